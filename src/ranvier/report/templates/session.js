"use strict";
const canvas = document.getElementById("cloud");
const context = canvas.getContext("2d");
const points = canvas.dataset.points.split(" ").map(Number);
const hues = canvas.dataset.hues.split(" ").map(Number);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let turn = 0.6, tilt = 0.4;

function draw() {
  const scale = Math.min(canvas.width, canvas.height) / 2600;
  const [c, s, d, e] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  const shown = hues.map((hue, k) => {
    const [x, y, z] = points.slice(3 * k, 3 * k + 3);
    const side = c * x + s * y, depth = c * y - s * x;
    return [side, d * z - e * depth, e * z + d * depth, hue];
  }).sort((a, b) => b[2] - a[2]);
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const [x, y, depth, hue] of shown) {
    context.fillStyle = `hsl(${hue} 75% ${dark.matches ? 62 : 42}% / ${(0.75 - depth / 5000).toFixed(2)})`;
    context.beginPath();
    context.arc(canvas.width / 2 + scale * x, canvas.height / 2 - scale * y, 5 - depth / 700, 0, 2 * Math.PI);
    context.fill();
  }
  canvas.dataset.turn = turn.toFixed(2);
}

canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener("pointermove", event => {
  if (!event.buttons) return;
  turn += event.movementX / 150;
  tilt = Math.max(-1.5, Math.min(1.5, tilt + event.movementY / 150));
  draw();
});
canvas.addEventListener("keydown", event => {
  const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  if (!(event.key in steps)) return;
  turn += steps[event.key][0];
  tilt = Math.max(-1.5, Math.min(1.5, tilt + steps[event.key][1]));
  event.preventDefault();
  draw();
});
dark.addEventListener("change", draw);
draw();
