// A neuron's own card: what it is, what it receives and reaches, with whom it is correlated.
const LONGEST = 12;
const tables = new Map();
let card = null;

function nameButton(n) {
  return make("button", { type: "button", className: "name", onclick: () => showCard(n) }, described(n));
}

function partners(n, side) {
  const out = [];
  for (const [which, part] of Object.entries(connections)) {
    if (!part) continue;
    if (side === "inputs") {
      for (let k = part.first[n]; k < part.first[n + 1]; k++) out.push([part.sources[k], part.weights[k], part.unit, which]);
    } else if (which === "edges") {
      for (let k = 0; k < part.sources.length; k++) if (part.sources[k] === n) out.push([part.targets[k], part.weights[k], part.unit, which]);
    }
  }
  return out.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
}

function partnerList(title, list) {
  const rows = list.slice(0, LONGEST).map(([other, weight, unit, which]) => make("tr", {}, make("td", {}, nameButton(other)), make("td", { className: "number" }, `${significant(weight)} ${unit}${which === "junctions" ? ", gap junction" : ""}`)));
  const rest = list.length > LONGEST ? make("p", { className: "note" }, `and ${counted(list.length - LONGEST)} weaker ones`) : "";
  return make("section", {}, make("h3", {}, `${title}: ${counted(list.length)}`), list.length ? make("table", {}, ...rows) : make("p", { className: "note" }, "none"), rest);
}

function showCard(n) {
  hideTip();
  if (!card) {
    card = document.body.appendChild(make("dialog", { className: "card" }));
    card.addEventListener("click", event => { if (event.target === card) card.close(); });
  }
  const own = tables.get("neurons"), facts = make("dl");
  for (const column of own ? own.columns.slice(1) : []) {
    facts.append(make("div", {}, make("dt", {}, column.title), make("dd", {}, column.text(n))));
  }
  const parts = [partnerList("Receives from", partners(n, "inputs")), partnerList("Reaches", partners(n, "outputs"))];
  const missing = Object.values(connections).some(part => part && part.total > part.weights.length);
  if (missing) parts.push(make("p", { className: "note" }, `This page holds the ${counted(connections.edges.weights.length)} strongest of ${counted(connections.edges.total)} connections.`));
  const pairs = tables.get("pairs");
  if (pairs) {
    const [first, second] = pairs.columns, r = pairs.columns.find(c => c.name === "correlation"), predicted = pairs.columns.find(c => c.name === "predicted");
    const mine = [];
    for (let k = 0; k < pairs.rows; k++) if (first.of[k] === n || second.of[k] === n) mine.push(k);
    const rows = mine.slice(0, LONGEST).map(k => make("tr", {}, make("td", {}, nameButton(first.of[k] === n ? second.of[k] : first.of[k])), make("td", { className: "number" }, r.text(k) + (predicted ? ` (predicted ${predicted.text(k)})` : ""))));
    parts.push(make("section", {}, make("h3", {}, "Correlated with"), rows.length ? make("table", {}, ...rows) : make("p", { className: "note" }, "in none of the pairs listed")));
  }
  const title = make("h2", { tabIndex: -1 }, neurons.names[n]);
  card.replaceChildren(make("button", { type: "button", className: "close", "aria-label": "Close", onclick: () => card.close() }, "✕"), title, facts, ...parts);
  card.setAttribute("aria-label", neurons.names[n]);
  if (!card.open) card.showModal();
  card.scrollTop = 0;
  title.focus();
}

for (const root of document.querySelectorAll("[data-table]")) {
  const table = data.tables[root.dataset.table];
  tables.set(table.key, makeTable(root, table));
}
makeFigures();
