// Tables of many rows: searched by words, sorted by a column, shown page by page, saved as CSV.
const ROWS = 25;

function readColumn(column) {
  if (column.numbers) {
    const values = unpack(column.numbers);
    return { ...column, numeric: true, values, text: k => shown(values[k], column.digits) };
  }
  if (column.of) {
    const of = unpack(column.of);
    return { ...column, of, text: k => neurons.names[of[k]] };
  }
  const places = unpack(column.places);
  return { ...column, text: k => column.words[places[k]] };
}

// a spreadsheet computes what begins with = + - @, wide forms too
function quoted(text) {
  const safe = /^\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function cell(column, k) {
  if (!column.numeric) return quoted(column.text(k));
  return Number.isFinite(column.values[k]) ? String(Number(column.values[k].toPrecision(7))) : "";
}

function makeTable(root, table) {
  const columns = table.columns.map(readColumn);
  const searched = columns.filter(c => !c.numeric);
  const all = Array.from({ length: table.rows }, (_, k) => k);
  let chosen = all, order = { column: null, down: true }, start = 0;
  const search = make("input", { type: "search", autocomplete: "off", placeholder: "words to find", "aria-label": `Search the ${table.key}` });
  const said = make("span", { role: "status" });
  const save = make("button", { type: "button", onclick: saveFile }, "Save as CSV");
  const head = make("tr"), body = make("tbody");
  const back = make("button", { type: "button", onclick: () => turn(-ROWS) }, "Previous");
  const on = make("button", { type: "button", onclick: () => turn(ROWS) }, "Next");
  const sorters = columns.map(column => {
    const press = make("button", { type: "button", onclick: () => sortBy(column) }, column.title);
    const th = make("th", { scope: "col", className: column.numeric ? "number" : "" }, press);
    head.append(th);
    return th;
  });

  function sortBy(column) {
    order = { column, down: order.column === column ? !order.down : Boolean(column.numeric) };
    start = 0;
    choose();
  }
  function choose() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    chosen = words.length ? all.filter(k => { const text = searched.map(c => c.text(k)).join(" ").toLowerCase(); return words.every(w => text.includes(w)); }) : all;
    if (order.column) {
      const { column, down } = order, way = down ? -1 : 1;
      const compare = column.numeric
        ? (a, b) => { const [x, y] = [column.values[a], column.values[b]]; return Number.isNaN(x) ? Number.isNaN(y) ? 0 : 1 : Number.isNaN(y) ? -1 : way * (x - y); }
        : (a, b) => way * column.text(a).localeCompare(column.text(b), "en", { numeric: true });
      chosen = [...chosen].sort((a, b) => compare(a, b) || a - b);
    }
    show();
  }
  function show() {
    const rows = chosen.slice(start, start + ROWS);
    body.replaceChildren(...rows.map(k => make("tr", {}, ...columns.map(column => make("td", { className: column.numeric ? "number" : "" }, entry(column, k))))));
    sorters.forEach((th, c) => th.setAttribute("aria-sort", order.column !== columns[c] ? "none" : order.down ? "descending" : "ascending"));
    said.textContent = chosen.length ? `${counted(start + 1)}–${counted(start + rows.length)} of ${counted(chosen.length)}` : "no row has these words";
    back.disabled = start === 0;
    on.disabled = start + ROWS >= chosen.length;
    back.hidden = on.hidden = chosen.length <= ROWS;
  }
  function entry(column, k) {
    if (!column.of) return column.text(k);
    return make("button", { type: "button", className: "name", onclick: () => showCard(column.of[k]) }, column.text(k));
  }
  function turn(by) {
    start = Math.max(0, Math.min(start + by, Math.floor((chosen.length - 1) / ROWS) * ROWS));
    show();
  }
  function saveFile() {
    const lines = [columns.map(c => quoted(c.name)).join(","), ...chosen.map(k => columns.map(c => cell(c, k)).join(","))];
    const link = make("a", { href: URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" })), download: `${table.key}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  search.addEventListener("input", () => { start = 0; choose(); });
  root.querySelector(".scroll").replaceChildren(make("table", {}, make("thead", {}, head), body));
  root.prepend(make("div", { className: "controls" }, search, save));
  root.querySelector(".scroll").after(make("div", { className: "pages" }, said, back, on));
  choose();
  return { columns, rows: table.rows };
}
