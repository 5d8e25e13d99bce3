"use strict";
const search = document.getElementById("search");
const buttons = [...document.querySelectorAll("[data-verdict]")];
const systems = [...document.querySelectorAll("#systems li")];

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = buttons.find((button) => button.getAttribute("aria-pressed") === "true").dataset.verdict;
  let shown = 0;
  for (const system of systems) {
    const text = system.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    const judged = !verdict || system.dataset.verdicts.split(" ").includes(verdict);
    system.hidden = !(fits && judged);
    shown += !system.hidden;
  }
  for (const group of document.querySelectorAll("#systems section")) {
    group.hidden = !group.querySelector("li:not([hidden])");
  }
  document.getElementById("none").hidden = shown > 0;
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    show();
  });
}
search.addEventListener("input", show);
search.form.addEventListener("submit", (event) => event.preventDefault());
