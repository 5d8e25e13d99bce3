"use strict";
// What all parts share: the page's data, elements, numbers, colours, the tip that says what is pointed at.
const data = JSON.parse(document.getElementById("data").textContent);
const KINDS_OF_ARRAY = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, f4: Float32Array };

function unpack(packed) {
  const raw = atob(packed.v), bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return new KINDS_OF_ARRAY[packed.t](bytes.buffer);
}

function unscaled(packed) {
  return Float32Array.from(unpack(packed), v => v === -32768 ? NaN : v * packed.limit / 32767);
}

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function shown(value, digits) {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function significant(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  const text = size >= 6 || size < -4 ? value.toExponential(digits - 1) : shown(value, Math.max(0, digits - 1 - size));
  return text.replace("-", "−");
}

const counted = value => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const plural = (n, one, many = `${one}s`) => `${counted(n)} ${n === 1 ? one : many}`;

const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = {};
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "soft", "line", "paper", "wash", "link", "exc", "inh", "pos", "neg"]) {
    theme[name] = style.getPropertyValue(`--${name}`).trim();
  }
}
readTheme();

function channels(colour) {
  const hex = colour.length === 4 ? [...colour.slice(1)].map(c => c + c).join("") : colour.slice(1);
  return [0, 2, 4].map(k => parseInt(hex.slice(k, k + 2), 16));
}

// 255 steps from the page's ground to a colour, and on to one that stands out more
function ramp(name) {
  const ground = channels(theme.paper), full = channels(theme[name]), end = channels(theme.ink);
  return Array.from({ length: 256 }, (_, k) => {
    const t = k / 255;
    return ground.map((g, c) => Math.round(t < 0.75 ? g + (full[c] - g) * t / 0.75 : full[c] + (end[c] - full[c]) * (t - 0.75) * 1.6));
  });
}

const BY_SIGN = { 1: "exc", "-1": "inh", 0: "soft" };
const neurons = data.neurons && {
  names: data.neurons.names, classes: data.neurons.classes, of: unpack(data.neurons.of),
  signs: unpack(data.neurons.signs), order: unpack(data.neurons.order),
};
if (neurons) {
  neurons.row = new Uint32Array(neurons.names.length);
  neurons.order.forEach((n, k) => { neurons.row[n] = k; });
  neurons.bounds = [0];
  neurons.classes.forEach((_, k) => neurons.bounds.push(neurons.bounds[k] + neurons.of.reduce((sum, c) => sum + (c === k), 0)));
}
const described = n => neurons.classes.length > 1 ? `${neurons.names[n]} (${neurons.classes[neurons.of[n]]})` : neurons.names[n];

function readEdges(part) {
  if (!part) return null;
  const counts = unpack(part.counts), sources = unpack(part.sources), weights = unpack(part.weights);
  const first = new Uint32Array(counts.length + 1);
  counts.forEach((c, k) => { first[k + 1] = first[k] + c; });
  const targets = new Uint32Array(sources.length);
  counts.forEach((c, k) => targets.fill(k, first[k], first[k] + c));
  return { first, sources, targets, weights, total: part.total, unit: part.unit };
}
const connections = { edges: readEdges(data.edges), junctions: readEdges(data.junctions) };

const tip = document.body.appendChild(make("div", { className: "tip", hidden: true }));
function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map(line => make("div", {}, line)));
  tip.hidden = false;
  const width = tip.offsetWidth, height = tip.offsetHeight, wide = document.documentElement.clientWidth;
  const left = x + 14 + width > wide ? Math.max(4, x - 14 - width) : x + 14;
  tip.style.left = `${Math.min(left, Math.max(4, wide - width - 4))}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - 12 - height) : y + 18}px`;
}
function hideTip() { tip.hidden = true; }
addEventListener("scroll", hideTip, { passive: true });
