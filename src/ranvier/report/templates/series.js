// Panels of activity: spikes, traces, curves, and what is spread over groups.
const spanOf = values => values.reduce(([a, b], v) => Number.isFinite(v) ? [Math.min(a, v), Math.max(b, v)] : [a, b], [Infinity, -Infinity]);

const withErrors = (values, errors) => [...values].flatMap((v, k) => [v - errors[k], v + errors[k]]);

function stroke(g, points) {
  g.beginPath();
  let down = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) down = false;
    else if (down) g.lineTo(x, y);
    else { g.moveTo(x, y); down = true; }
  }
  g.stroke();
}

Object.assign(KINDS, {
  lines(spec) {
    const [logX, logY] = [spec.log.includes("x"), spec.log.includes("y")];
    const forwards = (values, log) => log ? Float64Array.from(values, v => v > 0 ? Math.log10(v) : NaN) : values;
    const raw = unpack(spec.x), x = forwards(raw, logX);
    const curves = spec.curves.map(c => ({ ...c, raw: unpack(c.y), y: forwards(unpack(c.y), logY) }));
    const band = spec.band && unpack(spec.band), errors = spec.errors && unpack(spec.errors);
    let [low, high] = spanOf(curves.flatMap(c => errors && c.dots ? withErrors(c.y, errors) : [...c.y]).concat(band ? [...band, ...band.map(b => -b)] : [], spec.reference ?? []));
    const pad = 0.05 * (high - low) || 0.5;
    [low, high] = spec.zero ? [0, high + pad] : [low - pad, high + pad];
    const small = Boolean(spec.title);
    return {
      x: spanOf(x), y: [low, high], logX, logY, labels: spec.labels, margin: PLAIN,
      height: width => small ? Math.min(230, width * 0.7) : Math.min(300, 130 + width * 0.2),
      legend: () => [...(curves.length > 1 ? curves.map(c => swatch(c.colour, c.name, c.dots ? "dot" : "line")) : []), ...(band ? [swatch("line", "two standard errors about 0", "box")] : []), ...(spec.reference !== undefined ? [swatch("soft", "dashed: independent Poisson trains")] : [])],
      draw(g, { box, px, py }) {
        if (band) {
          g.fillStyle = theme.line;
          g.beginPath();
          x.forEach((at, k) => g.lineTo(px(at), py(band[k])));
          [...x].reverse().forEach((at, k) => g.lineTo(px(at), py(-band[x.length - 1 - k])));
          g.fill();
        }
        g.strokeStyle = theme.line;
        g.lineWidth = 1;
        for (const level of logY ? [] : [0]) stroke(g, [[box.left, py(level)], [box.left + box.width, py(level)]]);
        if (spec.reference !== undefined) {
          g.strokeStyle = theme.soft;
          g.setLineDash([5, 4]);
          stroke(g, [[box.left, py(spec.reference)], [box.left + box.width, py(spec.reference)]]);
          g.setLineDash([]);
        }
        for (const c of curves) {
          g.strokeStyle = g.fillStyle = hue(c.colour);
          g.lineWidth = 1.6;
          if (!c.dots) { stroke(g, [...x].map((at, k) => [px(at), py(c.y[k])])); continue; }
          x.forEach((at, k) => {
            g.lineWidth = 1;
            if (errors) stroke(g, [[px(at), py(c.y[k] - errors[k])], [px(at), py(c.y[k] + errors[k])]]);
            g.fillRect(px(at) - 1.5, py(c.y[k]) - 1.5, 3, 3);
          });
        }
      },
      hit({ x: at }) {
        let k = 0;
        x.forEach((v, j) => { if (Math.abs(v - at) < Math.abs(x[k] - at)) k = j; });
        const error = j => j === k && errors ? ` ± ${significant(errors[k], 2)}` : "";
        return { lines: [`${spec.labels[0]}: ${significant(raw[k])}`, ...curves.map(c => `${curves.length > 1 ? c.name : spec.labels[1]}: ${significant(c.raw[k])}${c.dots ? error(k) : ""}`)] };
      },
    };
  },

  raster(spec) {
    const steps = unpack(spec.steps), who = unpack(spec.rows), size = neurons.names.length;
    const at = k => (spec.start + steps[k] * spec.dt) / 1000;
    return {
      x: [spec.start / 1000, spec.stop / 1000], y: [0, size], down: true, labels: ["time (s)", ""],
      height: width => Math.max(260, Math.min(560, width * 0.6)),
      margin: (g, width, view) => ({ left: Math.max(30, widest(g, neuronWords(view.y), Math.min(130, width * 0.3))) + 4, right: 14, top: 6, bottom: 42 }),
      ticksY: (view, box) => neuronTicks(view.y, box.height),
      legend: () => signKeys(neurons.signs),
      draw(g, place) {
        const { box, view, px, py } = place;
        if (neurons.classes.length > 1) classLines(g, place, false);
        const tall = Math.max(1, Math.min(12, 0.8 * box.height / (view.y[1] - view.y[0])));
        const wide = Math.max(1, Math.min(2, box.width / (view.x[1] - view.x[0]) / 200));
        for (const sign of [1, -1, 0]) {
          g.fillStyle = hue(BY_SIGN[sign]);
          for (let k = 0; k < steps.length; k++) {
            if (neurons.signs[who[k]] !== sign) continue;
            const t = at(k), row = neurons.row[who[k]];
            if (t < view.x[0] || t > view.x[1] || row + 1 < view.y[0] || row > view.y[1]) continue;
            g.fillRect(px(t), py(row + 0.5) - tall / 2, wide, tall);
          }
        }
      },
      hit({ x, y }, { box, px, py }) {
        const row = Math.floor(y);
        if (row < 0 || row >= size) return null;
        const n = neurons.order[row];
        let best = 8, when = null;
        for (let k = 0; k < steps.length; k++) {
          if (who[k] !== n) continue;
          const d = Math.abs(px(at(k)) - px(x));
          if (d < best) [best, when] = [d, at(k)];
        }
        return { lines: [described(n), when === null ? `${shown(x, 3)} s` : `spike at ${shown(when, 4)} s`], neuron: n };
      },
    };
  },

  traces(spec) {
    const x = unpack(spec.x), chosen = unpack(spec.neurons), means = unpack(spec.means), y = spec.y.map(unscaled);
    const spread = y.map(v => Math.sqrt(v.reduce((s, w) => s + w * w, 0) / v.length)).sort((a, b) => a - b);
    const step = 6 * spread[Math.floor(spread.length / 2)] || 3 * Math.max(...y.map(v => v.reduce((m, w) => Math.max(m, Math.abs(w)), 0))) || 1;
    const label = k => neurons.names[chosen[k]];
    return {
      x: spanOf(x), y: [-0.9, chosen.length - 0.1], down: true, only: "x", labels: ["time (s)", ""],
      height: () => 34 * chosen.length + 70,
      margin: (g, width) => ({ left: widest(g, [...chosen].map((_, k) => label(k)), Math.min(130, width * 0.3)) + 4, right: 14, top: 6, bottom: 42 }),
      ticksY: () => [...chosen].map((_, k) => ({ at: k, text: label(k) })),
      legend: () => [make("span", { className: "key" }, `from row to row: ${significant(step, 2)} mV`), ...signKeys([...chosen].map(n => neurons.signs[n]))],
      draw(g, { view, px, py }) {
        g.lineWidth = 1.2;
        y.forEach((values, row) => {
          g.strokeStyle = hue(BY_SIGN[neurons.signs[chosen[row]]]);
          const points = [];
          for (let k = 0; k < x.length; k++) if (x[k] >= view.x[0] && x[k] <= view.x[1]) points.push([px(x[k]), py(row - values[k] / step)]);
          stroke(g, points);
        });
      },
      hit({ x: at, y: row }) {
        const which = Math.round(row);
        if (which < 0 || which >= chosen.length) return null;
        let k = Math.min(x.length - 1, Math.max(0, Math.round((at - x[0]) / (x[1] - x[0]))));
        return { lines: [described(chosen[which]), `${shown(x[k], 2)} s: ${shown(means[which] + y[which][k], 2)} mV`], neuron: chosen[which] };
      },
    };
  },

  ridges(spec) {
    const { rows, low, high } = spec, bins = rows.length ? rows[0].counts.length : 1, step = (high - low) / bins;
    return {
      x: [low, high], y: [-1.05, rows.length - 0.95], down: true, only: "x", labels: [spec.label, ""],
      height: () => 26 * rows.length + 60,
      margin: (g, width) => ({ left: widest(g, rows.map(r => `${r.name} (${r.count})`), Math.min(170, width * 0.36)) + 4, right: 14, top: 6, bottom: 42 }),
      ticksY: () => rows.map((r, k) => ({ at: k - 0.3, text: `${r.name} (${r.count})` })),
      legend: () => [swatch("ink", "median")],
      draw(g, { px, py }) {
        rows.forEach((row, r) => {
          const most = Math.max(1, ...row.counts);
          g.fillStyle = hue(BY_SIGN[row.sign]);
          g.globalAlpha = 0.8;
          row.counts.forEach((count, k) => {
            const top = py(r - 0.85 * count / most);
            if (count) g.fillRect(px(low + k * step), top, Math.max(1, px(low + (k + 1) * step) - px(low + k * step)), py(r) - top);
          });
          g.globalAlpha = 1;
          g.strokeStyle = theme.line;
          g.lineWidth = 1;
          stroke(g, [[px(low), py(r)], [px(high), py(r)]]);
          if (row.median === null) return;
          g.strokeStyle = theme.ink;
          g.lineWidth = 2;
          stroke(g, [[px(row.median), py(r - 0.9)], [px(row.median), py(r)]]);
        });
      },
      hit({ x, y }) {
        const row = rows[Math.ceil(y)], k = Math.min(bins - 1, Math.floor((x - low) / step));
        if (!row) return null;
        return { lines: [`${row.name}: ${plural(row.count, "neuron")}, median ${significant(row.median ?? NaN)}`, `${significant(low + k * step)} to ${significant(low + (k + 1) * step)}: ${plural(row.counts[k], "neuron")}`] };
      },
    };
  },

  boxes(spec) {
    const { rows, noise } = spec;
    let [low, high] = spanOf(rows.flatMap(r => [...r.quantiles, r.mean]).concat([2 * noise, -2 * noise]));
    const pad = 0.06 * (high - low) || 0.1;
    const colour = name => name.endsWith("excitatory") ? "exc" : name.endsWith("inhibitory") ? "inh" : "soft";
    return {
      x: [-0.6, rows.length - 0.4], y: [low - pad, high + pad], labels: spec.labels, only: "x", turned: true,
      height: width => Math.min(360, 220 + width * 0.14),
      margin: (g, width) => ({ left: 68, right: 10, top: 6, bottom: widest(g, rows.map(r => r.name), 110) + 24 }),
      ticksX: () => rows.map((r, k) => ({ at: k, text: r.name })),
      legend: () => [swatch("line", "two standard errors of one pair", "box"), swatch("ink", "mean", "dot")],
      draw(g, { box, px, py }) {
        g.fillStyle = theme.line;
        g.fillRect(box.left, py(2 * noise), box.width, py(-2 * noise) - py(2 * noise));
        rows.forEach((row, k) => {
          const [least, q1, middle, q3, most] = row.quantiles, half = Math.min(16, (px(1) - px(0)) * 0.3);
          g.strokeStyle = g.fillStyle = hue(colour(row.name));
          g.lineWidth = 1.5;
          stroke(g, [[px(k), py(least)], [px(k), py(most)]]);
          g.globalAlpha = 0.6;
          g.fillRect(px(k) - half, py(q3), 2 * half, py(q1) - py(q3));
          g.globalAlpha = 1;
          stroke(g, [[px(k) - half, py(middle)], [px(k) + half, py(middle)]]);
          g.fillStyle = theme.ink;
          g.beginPath();
          g.arc(px(k), py(row.mean), 3.2, 0, 7);
          g.fill();
        });
      },
      hit({ x }) {
        const row = rows[Math.round(x)];
        if (!row) return null;
        const [least, q1, middle, q3, most] = row.quantiles.map(v => significant(v));
        return { lines: [`${row.name}: ${plural(row.count, "pair")}`, `mean ${significant(row.mean)}, median ${middle}`, `half of them ${q1} to ${q3}, 95 % ${least} to ${most}`] };
      },
    };
  },
});
