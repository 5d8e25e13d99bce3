// A panel: a canvas with axes, which can be enlarged, and says what is pointed at. What is drawn in it comes from `KINDS`.
const LEAST = 1e-4;  // the part of an axis that can still be enlarged

function ticksOf(low, high, most) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k++) ticks.push(k * step);
  return ticks;
}

const raised = n => [...String(n)].map(c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"[c === "-" ? 0 : Number(c) + 1]).join("");

function numberTicks([low, high], most, log) {
  if (!log) {
    const ticks = ticksOf(low, high, most);
    const digits = ticks.length > 1 ? Math.max(0, -Math.floor(Math.log10(ticks[1] - ticks[0]) + 1e-9)) : 3;
    return ticks.map(at => ({ at, text: Math.abs(at) >= 1e5 ? significant(at) : shown(at, Math.min(digits, 6)) }));
  }
  const ticks = [];
  for (let e = Math.floor(low); e <= high; e++) {
    for (const f of [1, 2, 5]) {
      const at = e + Math.log10(f);
      if (at >= low && at <= high && (f === 1 || (high - low) * 3 < most)) ticks.push({ at, text: Math.abs(e) > 2 && f === 1 ? `10${raised(e)}` : significant(10 ** at, 1) });
    }
  }
  return ticks;
}

function makePanel(spec, caption) {
  const kind = KINDS[spec.kind](spec);
  const home = { x: [...kind.x], y: [...kind.y] };
  const view = { x: [...kind.x], y: [...kind.y] };
  const canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": `${spec.title ? `${spec.title}. ` : ""}${caption} Drag to enlarge a part, or press plus and minus.` });
  const button = (text, label, action) => make("button", { type: "button", title: label, "aria-label": label, onclick: action }, text);
  const tools = make("div", { className: "tools" }, button("+", "Enlarge", () => zoom(0.5)), button("−", "Reduce", () => zoom(2)), button("⟲", "Show all", reset));
  const legend = make("div", { className: "legend" });
  const root = make("div", { className: kind.square ? "panel square" : "panel" }, make("div", { className: "bar" }, make("span", {}, spec.title || ""), tools), canvas, legend);
  let box = { left: 0, top: 0, width: 1, height: 1 }, drag = null, g = null;

  const px = x => box.left + (x - view.x[0]) / (view.x[1] - view.x[0]) * box.width;
  const py = y => {
    const t = (y - view.y[0]) / (view.y[1] - view.y[0]);
    return box.top + (kind.down ? t : 1 - t) * box.height;
  };
  const from = event => {
    const frame = canvas.getBoundingClientRect(), left = event.clientX - frame.left, top = event.clientY - frame.top;
    const t = (top - box.top) / box.height;
    return {
      left, top, inside: left >= box.left && left <= box.left + box.width && t >= 0 && t <= 1,
      x: view.x[0] + (left - box.left) / box.width * (view.x[1] - view.x[0]),
      y: view.y[0] + (kind.down ? t : 1 - t) * (view.y[1] - view.y[0]),
    };
  };

  function limit(span, whole) {
    const width = Math.min(span[1] - span[0], whole[1] - whole[0]);
    const low = Math.min(Math.max(span[0], whole[0]), whole[1] - width);
    return [low, low + width];
  }
  function look(x, y) {
    view.x = limit(x, home.x);
    view.y = limit(y, home.y);
    draw();
  }
  function zoom(factor, x = (view.x[0] + view.x[1]) / 2, y = (view.y[0] + view.y[1]) / 2) {
    const about = (span, at) => span.map(end => at + (end - at) * factor);
    if (factor < 1 && (view.x[1] - view.x[0]) * factor < LEAST * (home.x[1] - home.x[0])) return;
    look(about(view.x, x), kind.only === "x" ? view.y : about(view.y, y));
  }
  function reset() { look(home.x, home.y); }
  function move(dx, dy) {
    const by = (span, d) => span.map(end => end + d * (span[1] - span[0]));
    look(by(view.x, dx), kind.only === "x" ? view.y : by(view.y, dy));
  }

  function draw() {
    const width = canvas.clientWidth || 300, ratio = Math.min(3, devicePixelRatio || 1);
    g = canvas.getContext("2d");
    g.font = "12px system-ui, sans-serif";
    const margin = kind.margin(g, width, view);
    const height = Math.round(kind.square ? Math.min(width - margin.left - margin.right, 460) + margin.top + margin.bottom : kind.height(width));
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = "12px system-ui, sans-serif";
    box = { left: margin.left, top: margin.top, width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    g.save();
    g.beginPath();
    g.rect(box.left, box.top, box.width, box.height);
    g.clip();
    kind.draw(g, { box, view, px, py });
    g.restore();
    legend.replaceChildren(...(kind.legend?.() ?? []));
    axes(width, height);
    if (drag && drag.moved) frame();
    canvas.dataset.view = [...view.x, ...view.y].map(v => v.toPrecision(6)).join(" ");
  }

  function axes(width, height) {
    const across = kind.ticksX ? kind.ticksX(view, box) : numberTicks(view.x, box.width / 70, kind.logX);
    const up = kind.ticksY ? kind.ticksY(view, box) : numberTicks(view.y, box.height / 40, kind.logY);
    g.strokeStyle = theme.line;
    g.fillStyle = theme.soft;
    g.lineWidth = 1;
    g.strokeRect(box.left + 0.5, box.top + 0.5, box.width - 1, box.height - 1);
    g.textBaseline = "middle";
    for (const { at, text } of up) {
      g.textAlign = "right";
      g.fillText(text, box.left - 5, py(at), box.left - 8);
    }
    for (const { at, text } of across) {
      if (kind.turned) {
        g.save();
        g.translate(px(at), box.top + box.height + 5);
        g.rotate(-Math.PI / 2);
        g.textAlign = "right";
        g.fillText(text, 0, 0, height - box.top - box.height - 6);
        g.restore();
      } else {
        g.textAlign = "center";
        const half = g.measureText(text).width / 2;
        g.fillText(text, Math.min(px(at), width - half - 1), box.top + box.height + 11);
      }
    }
    g.fillStyle = theme.ink;
    if (kind.labels?.[0]) {
      g.textAlign = "center";
      g.fillText(kind.labels[0], box.left + box.width / 2, height - 8, width);
    }
    if (kind.labels?.[1]) {
      const half = Math.min(height, g.measureText(kind.labels[1]).width) / 2;
      g.save();
      g.translate(9, Math.max(half, Math.min(box.top + box.height / 2, height - half)));
      g.rotate(-Math.PI / 2);
      g.textAlign = "center";
      g.fillText(kind.labels[1], 0, 0, height);
      g.restore();
    }
  }

  function frame() {
    g.strokeStyle = theme.link;
    g.lineWidth = 1.5;
    g.strokeRect(drag.left, drag.top, drag.now.left - drag.left, drag.now.top - drag.top);
  }
  function point(event) {
    const at = from(event), hit = at.inside ? kind.hit(at, { box, view, px, py }) : null;
    canvas.style.cursor = hit?.neuron !== undefined ? "pointer" : "crosshair";
    if (hit) showTip(hit.lines, event.clientX, event.clientY);
    else hideTip();
    return hit;
  }

  canvas.addEventListener("pointerdown", event => {
    if (event.pointerType === "touch" || event.button) return;
    const at = from(event);
    if (at.inside) drag = { ...at, now: at, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    if (!drag) return point(event);
    drag.now = from(event);
    drag.moved ||= Math.hypot(drag.now.left - drag.left, drag.now.top - drag.top) > 6;
    hideTip();
    draw();
  });
  canvas.addEventListener("pointerup", event => {
    const done = drag;
    drag = null;
    if (done?.moved) {
      const sorted = (a, b) => a < b ? [a, b] : [b, a];
      const x = sorted(done.x, done.now.x), y = sorted(done.y, done.now.y);
      const least = (span, whole) => span[1] - span[0] > LEAST * (whole[1] - whole[0]);
      if (least(x, home.x) && (kind.only === "x" || least(y, home.y))) return look(x, kind.only === "x" ? view.y : y);
      return draw();
    }
    const hit = point(event);
    if (hit?.neuron !== undefined && event.pointerType !== "touch") showCard(hit.neuron);
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("dblclick", reset);
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = from(event);
    zoom(event.deltaY < 0 ? 0.8 : 1.25, at.x, at.y);
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const acts = {
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: reset, Escape: reset,
      ArrowLeft: () => move(-0.2, 0), ArrowRight: () => move(0.2, 0),
      ArrowUp: () => move(0, kind.down ? -0.2 : 0.2), ArrowDown: () => move(0, kind.down ? 0.2 : -0.2),
    };
    const enlarged = view.x[1] - view.x[0] < home.x[1] - home.x[0] || view.y[1] - view.y[0] < home.y[1] - home.y[0];
    if (!(event.key in acts) || (event.key.startsWith("Arrow") && !enlarged) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  });
  return { root, draw };
}

function makeFigures() {
  const panels = [];
  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    const caption = figure.querySelector("figcaption").textContent;
    const grid = make("div", { className: "panels" });
    const made = data.figures[figure.dataset.figure].map(spec => makePanel(spec, caption));
    grid.append(...made.map(panel => panel.root));
    grid.classList.toggle("several", made.length > 2 && !figure.classList.contains("stacked"));
    figure.prepend(grid);
    figure.classList.add("alive");
    panels.push(...made);
  }
  const all = () => { for (const panel of panels) panel.draw(); };
  all();
  let waiting = 0, drawn = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === drawn) return;  // a table has grown or shrunk
    drawn = document.body.clientWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(all);
  }).observe(document.body);
  dark.addEventListener("change", () => { readTheme(); all(); });
}
