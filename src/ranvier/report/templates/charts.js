// What panels draw: each entry takes a panel's data, and gives its extent, how it is drawn, and what lies at a point.
const PLAIN = () => ({ left: 68, right: 14, top: 6, bottom: 42 });

function widest(g, texts, most) {
  return Math.min(most, texts.reduce((w, text) => Math.max(w, g.measureText(text).width), 0) + 12);
}

function hue(name) { return theme[name] || name; }

function swatch(name, text, kind = "line") {
  const mark = make("span", { className: `mark ${kind}` });
  mark.style.background = hue(name);
  return make("span", { className: "key" }, mark, text);
}

const SIGNS = [[1, "exc", "excitatory"], [-1, "inh", "inhibitory"], [0, "soft", "mixed or none"]];
function signKeys(signs, kind) {
  return SIGNS.filter(([sign]) => signs.includes(sign)).map(([, colour, text]) => swatch(colour, text, kind));
}

function scale(limit, label, colours, signed) {
  const [up, down] = colours === "correlation" ? ["pos", "neg"] : ["exc", "inh"];
  const strip = make("span", { className: "strip" });
  const ramps = signed ? [...ramp(down)].reverse().concat(ramp(up)) : ramp(up);
  const stops = [0, 0.25, 0.5, 0.75, 1].map(t => `rgb(${ramps[Math.round(t * (ramps.length - 1))].join(" ")})`);
  strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return [make("span", { className: "key" }, signed ? significant(-limit) : "0", strip, significant(limit), ` ${label}`)];
}

// colours of a matrix: signs by two ramps, on a square-root scale
function painter(limit, colours) {
  const [up, down] = colours === "correlation" ? ["pos", "neg"] : ["exc", "inh"];
  const ramps = { up: ramp(up), down: ramp(down) }, wash = channels(theme.wash);
  return value => {
    if (Number.isNaN(value)) return wash;
    const t = Math.min(255, Math.round(255 * Math.sqrt(Math.abs(value) / limit)));
    return (value < 0 ? ramps.down : ramps.up)[t];
  };
}

function quantileOfSizes(values, share) {
  const sizes = Float32Array.from(values.filter(v => Number.isFinite(v) && v !== 0), Math.abs).sort();
  return sizes.length ? sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))] : 1;
}

function image(width, height, colourAt) {
  const bitmap = make("canvas", { width, height }), pen = bitmap.getContext("2d"), pixels = pen.createImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    const [r, b, c] = colourAt(k);
    pixels.data.set([r, b, c, 255], 4 * k);
  }
  pen.putImageData(pixels, 0, 0);
  return bitmap;
}

// ticks of rows that are neurons in the page's order: names where there is room, classes elsewhere
function neuronTicks(span, pixels) {
  const each = pixels / (span[1] - span[0]), ticks = [];
  if (each >= 11) {
    for (let k = Math.max(0, Math.floor(span[0])); k < Math.min(neurons.order.length, span[1]); k++) {
      if (k + 0.5 >= span[0] && k + 0.5 <= span[1]) ticks.push({ at: k + 0.5, text: neurons.names[neurons.order[k]] });
    }
    return ticks;
  }
  let last = -Infinity;
  if (neurons.classes.length > 1) neurons.classes.forEach((text, k) => {
    const low = Math.max(span[0], neurons.bounds[k]), high = Math.min(span[1], neurons.bounds[k + 1]), at = (low + high) / 2;
    if (high <= low || (at - last) * each < 12 || (high - low) * each < 3) return;
    ticks.push({ at, text });
    last = at;
  });
  return ticks;
}

function classLines(g, { box, view, px, py }, both) {
  g.strokeStyle = theme.soft;
  g.globalAlpha = 0.35;
  g.lineWidth = 1;
  for (const edge of neurons.bounds.slice(1, -1)) {
    g.beginPath();
    g.moveTo(box.left, py(edge));
    g.lineTo(box.left + box.width, py(edge));
    if (both) {
      g.moveTo(px(edge), box.top);
      g.lineTo(px(edge), box.top + box.height);
    }
    g.stroke();
  }
  g.globalAlpha = 1;
}

// what stands beside rows that are neurons: the longest of it says how wide the margin must be
function neuronWords(span) {
  if (span[1] - span[0] < 45) return [...neurons.order.slice(Math.floor(span[0]), Math.ceil(span[1]))].map(n => neurons.names[n]);
  return neurons.classes.length > 1 ? neurons.classes : [];
}

function namedMargin(g, width, texts, labels) {
  const most = Math.min(130, width * 0.3), wide = Math.max(30, widest(g, texts, most));
  return { left: wide + (labels[1] ? 18 : 4), right: 8, top: 4, bottom: wide + (labels[0] ? 20 : 4) };
}

function rowsWords(low, high) {
  if (high - low <= 1) return described(neurons.order[low]);
  const classes = [...new Set([neurons.of[neurons.order[low]], neurons.of[neurons.order[high - 1]]])].map(c => neurons.classes[c]);
  return `${plural(high - low, "neuron")}${neurons.classes.length > 1 ? ` of ${classes.join(" to ")}` : ""}`;
}

const KINDS = {
  edges(spec) {
    const { sources, targets, weights, unit, total } = connections[spec.which], size = neurons.names.length;
    const rows = neurons.row, signed = weights.some(w => w < 0);
    const strong = quantileOfSizes(weights, 0.995);
    let grid = null, limit = strong;
    return {
      x: [0, size], y: [0, size], down: true, square: true, turned: true, labels: ["source", "target"],
      margin: (g, width, view) => namedMargin(g, width, neuronWords(view.x).concat(neuronWords(view.y)), ["source", "target"]),
      ticksX: (view, box) => neuronTicks(view.x, box.width), ticksY: (view, box) => neuronTicks(view.y, box.height),
      legend: () => [...scale(limit, spec.label, "weights", signed), ...(total > weights.length ? [`the strongest ${counted(weights.length)} of ${plural(total, "connection")}`] : [])],
      draw(g, place) {
        const { box, view, px, py } = place;
        const bins = (span, pixels) => Math.max(1, Math.min(Math.ceil(span[1]) - Math.floor(span[0]), Math.floor(pixels)));
        const low = [Math.floor(view.x[0]), Math.floor(view.y[0])];
        const high = [Math.ceil(view.x[1]), Math.ceil(view.y[1])];
        const nx = bins(view.x, box.width), ny = bins(view.y, box.height);
        const wx = (high[0] - low[0]) / nx, wy = (high[1] - low[1]) / ny;
        const sums = new Float32Array(nx * ny), counts = new Uint32Array(nx * ny);
        for (let k = 0; k < weights.length; k++) {
          const x = rows[sources[k]], y = rows[targets[k]];
          if (x < low[0] || y < low[1] || x >= high[0] || y >= high[1]) continue;
          const at = Math.floor((y - low[1]) / wy) * nx + Math.floor((x - low[0]) / wx);
          sums[at] += weights[k];
          counts[at] += 1;
        }
        grid = { low, wx, wy, nx, ny, sums, counts };
        const means = sums.map(sum => sum / (wx * wy));
        limit = wx * wy > 1 ? quantileOfSizes(means, 0.995) : strong;
        const paint = painter(limit, "weights"), bitmap = image(nx, ny, k => paint(means[k]));
        g.imageSmoothingEnabled = false;
        g.drawImage(bitmap, px(low[0]), py(low[1]), px(high[0]) - px(low[0]), py(high[1]) - py(low[1]));
        classLines(g, place, true);
      },
      hit({ x, y }) {
        const i = Math.floor((x - grid.low[0]) / grid.wx), j = Math.floor((y - grid.low[1]) / grid.wy);
        if (i < 0 || j < 0 || i >= grid.nx || j >= grid.ny) return null;
        const span = (k, low, w) => [Math.ceil(low + k * w - 1e-9), Math.ceil(low + (k + 1) * w - 1e-9)];
        const [a, b] = span(i, grid.low[0], grid.wx), [c, d] = span(j, grid.low[1], grid.wy);
        const count = grid.counts[j * grid.nx + i], sum = grid.sums[j * grid.nx + i];
        const words = count ? (b - a) * (d - c) === 1 ? `${significant(sum)} ${unit}` : `${plural(count, "connection")}, ${significant(sum / count)} ${unit} in the mean` : "not connected";
        return { lines: [`${rowsWords(a, b)} → ${rowsWords(c, d)}`, words], neuron: d - c === 1 ? neurons.order[c] : undefined };
      },
    };
  },

  matrix(spec) {
    const { side } = spec, values = unscaled(spec.values), z = spec.z && unscaled(spec.z);
    const size = spec.names ? side : spec.size, own = !spec.names && neurons && size === neurons.names.length;
    const coloured = z ? values.map((v, k) => Number.isNaN(v) ? NaN : Math.abs(z[k]) >= spec.blank ? v : 0) : values;
    const limit = quantileOfSizes(coloured, 0.995), signed = coloured.some(v => v < 0);
    const list = (span, pixels) => {
      if (own) return neuronTicks(span, pixels);
      const each = pixels / (span[1] - span[0]);
      return (spec.names || []).map((text, k) => ({ at: k + 0.5, text })).filter((t, k) => t.at >= span[0] && t.at <= span[1] && (each >= 11 || k % Math.ceil(11 / each) === 0));
    };
    const words = (low, high) => spec.names ? spec.names[low] : own ? rowsWords(low, high) : plural(high - low, "neuron");
    let bitmap = null, drawnFor = null;
    return {
      x: [0, size], y: [0, size], down: true, square: true, turned: true, labels: spec.axes,
      margin: (g, width, view) => namedMargin(g, width, spec.names || (own ? neuronWords(view.x).concat(neuronWords(view.y)) : []), spec.axes),
      ticksX: (view, box) => list(view.x, box.width), ticksY: (view, box) => list(view.y, box.height),
      legend: () => scale(limit, spec.label, spec.colours, signed),
      draw(g, place) {
        const { px, py } = place;
        if (drawnFor !== theme.paper) {
          const paint = painter(limit, spec.colours);
          bitmap = image(side, side, k => paint(coloured[k]));
          drawnFor = theme.paper;
        }
        g.imageSmoothingEnabled = false;
        g.drawImage(bitmap, px(0), py(0), px(size) - px(0), py(size) - py(0));
        if (own) classLines(g, place, true);
      },
      hit({ x, y }) {
        const i = Math.floor(x / size * side), j = Math.floor(y / size * side), k = j * side + i;
        if (i < 0 || j < 0 || i >= side || j >= side) return null;
        const span = p => [Math.ceil(p * size / side - 1e-9), Math.max(Math.ceil(p * size / side - 1e-9) + 1, Math.ceil((p + 1) * size / side - 1e-9))];
        const [a, b] = span(i), [c, d] = span(j);
        const between = spec.axes[0] ? `${words(a, b)} → ${words(c, d)}` : `${words(c, d)} and ${words(a, b)}`;
        const value = Number.isNaN(values[k]) ? "no value" : `${spec.label} ${significant(values[k])}`;
        const score = z && !Number.isNaN(z[k]) ? `z = ${shown(z[k], 1)}${Math.abs(z[k]) < spec.blank ? ", not beyond chance" : ""}` : null;
        return { lines: [between, value, score].filter(Boolean), neuron: own && size === side ? neurons.order[j] : undefined };
      },
    };
  },

  density(spec) {
    const counts = unpack(spec.counts), { side } = spec, most = counts.reduce((a, b) => Math.max(a, b), 1);
    const step = axis => (axis[1] - axis[0]) / side;
    return {
      x: spec.x, y: spec.y, square: true, labels: spec.labels, margin: PLAIN,
      legend: () => [make("span", { className: "key" }, "stronger shade: more pairs"), swatch("ink", "equal")],
      draw(g, place) {
        const { px, py } = place, shades = ramp("soft");
        const bitmap = image(side, side, k => {
          const count = counts[(side - 1 - Math.floor(k / side)) * side + k % side];
          return count ? shades[Math.round(40 + 200 * Math.log(1 + count) / Math.log(1 + most))] : channels(theme.paper);
        });
        g.imageSmoothingEnabled = false;
        g.drawImage(bitmap, px(spec.x[0]), py(spec.y[1]), px(spec.x[1]) - px(spec.x[0]), py(spec.y[0]) - py(spec.y[1]));
        equalLine(g, place, spec);
      },
      hit({ x, y }) {
        const i = Math.floor((x - spec.x[0]) / step(spec.x)), j = Math.floor((y - spec.y[0]) / step(spec.y));
        const count = counts[j * side + i];
        return count === undefined || i < 0 || i >= side ? null : { lines: [plural(count, "pair"), `predicted ${significant(x)}, simulated ${significant(y)}`] };
      },
    };
  },

  scatter(spec) {
    const x = unpack(spec.x), y = unpack(spec.y), errors = spec.errors && unpack(spec.errors);
    const many = x.length > 400;  // error bars are left out
    const ends = [spanOf(x), spanOf(errors && !many ? withErrors(y, errors) : [...y])], least = Math.max(...ends.map(e => e[1] - e[0])) / 100 || 1e-3;
    const pad = e => { const d = e[1] - e[0] < least ? 50 * least : 0.04 * (e[1] - e[0]); return [e[0] - d, e[1] + d]; };
    const name = k => spec.own ? described(k) : spec.names ? spec.names[k] : null;
    return {
      x: pad(ends[0]), y: pad(ends[1]), square: true, labels: spec.labels, margin: PLAIN,
      legend: () => [...(spec.own ? signKeys(neurons.signs, "dot") : []), swatch("ink", "equal")],
      draw(g, place) {
        const { px, py } = place;
        equalLine(g, place, { x: place.view.x, y: place.view.y });
        g.strokeStyle = g.fillStyle = theme.soft;
        g.globalAlpha = many ? 0.5 : 1;
        for (let k = 0; k < x.length; k++) {
          if (errors && !many) {
            g.beginPath();
            g.moveTo(px(x[k]), py(y[k] - errors[k]));
            g.lineTo(px(x[k]), py(y[k] + errors[k]));
            g.stroke();
          }
          g.beginPath();
          g.fillStyle = spec.own ? hue(BY_SIGN[neurons.signs[k]]) : theme.soft;
          g.arc(px(x[k]), py(y[k]), many ? 2 : 3.2, 0, 7);
          g.fill();
        }
        g.globalAlpha = 1;
      },
      hit({ left, top }, { px, py }) {
        let best = 14, which = -1;
        for (let k = 0; k < x.length; k++) {
          const d = Math.hypot(px(x[k]) - left, py(y[k]) - top);
          if (d < best) [best, which] = [d, k];
        }
        if (which < 0) return null;
        const error = errors ? ` ± ${significant(errors[which], 2)}` : "";
        return { lines: [name(which), `${spec.labels[0]}: ${significant(x[which])}`, `${spec.labels[1]}: ${significant(y[which])}${error}`].filter(Boolean), neuron: spec.own ? which : undefined };
      },
    };
  },
};

function equalLine(g, { px, py }, spec) {
  const low = Math.max(spec.x[0], spec.y[0]), high = Math.min(spec.x[1], spec.y[1]);
  if (high <= low) return;
  g.strokeStyle = theme.ink;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(px(low), py(low));
  g.lineTo(px(high), py(high));
  g.stroke();
}
