// Every visible text and placeholder against what lies behind it: WCAG's contrast ratio, and those below 4.5.
() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return text.startsWith("color(srgb") ? [...n.slice(0, 3).map(v => 255 * v), n[3] ?? 1] : [...n.slice(0, 3), n[3] ?? 1]; };
  const over = (top, ground) => [0, 1, 2].map(k => top[k] * top[3] + ground[k] * (1 - top[3]));
  const ground = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), parse(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18,18,18)" : "rgb(255,255,255)"));
  };
  const faint = {};
  const measure = (element, colour, text) => {
    const behind = ground(element), a = light(over(parse(colour), behind)), b = light(behind);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint[`${element.tagName}.${element.className} ${colour}`] ??= [ratio.toFixed(2), text.slice(0, 40)];
  };
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || ["SCRIPT","STYLE","NOSCRIPT"].includes(element.tagName)) continue;
    count++; measure(element, style.color, walker.currentNode.data.trim());
  }
  for (const input of document.querySelectorAll("input[placeholder]")) measure(input, getComputedStyle(input, "::placeholder").color, input.placeholder);
  return { count, faint };
}
