// Turn a static figure of the profile into one whose two Gaussians can be dragged.
// The page's cells compute everything in `data`; see docs/_ext/pages/drag.py.

"use strict";

const NAMES = ["amplitude", "mean", "width"];
const GAUSSIANS = ["first", "second"];
const X = [-5.7, 5.7], Y = [-0.8, 3.6], RESIDUAL = [-0.6, 0.6];
const MARGIN = { left: 34, right: 8 };
const MAP = { size: 220, from: 26, to: 214 }, MEANS = [-4, 4];
const MAIN = { top: 8, bottom: 288 }, STRIP = { top: 304, bottom: 374 }, HEIGHT = 404;

const gaussian = (a, mean, s, x) => a * Math.exp(-0.5 * ((x - mean) / s) ** 2);
const sum = (p, x) => gaussian(p[0], p[1], p[2], x) + gaussian(p[3], p[4], p[5], x);
const number = (value, digits = 0) => value.toLocaleString("en-US",
  { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
const ticks = (low, high, step) => {
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) found.push(t);
  return found;
};

/** Make an HTML or SVG element inside a parent. */
function add(parent, tag, attributes = {}, text = "") {
  const svg = tag === "svg" || parent.namespaceURI.endsWith("svg");
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  set(element, attributes);
  element.textContent = text;
  parent.append(element);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, value);
}

function chi2(data, params) {
  let total = data.constant;
  data.y.forEach((y, i) => {
    total += ((y - sum(params, data.x[i])) / data.yerr[i]) ** 2;
  });
  return total;
}

/** Keep parameters within the prior. */
const clip = (data, params) =>
  params.map((v, i) => Math.min(Math.max(v, data.low[i]), data.high[i]));

/** Refit the parameters that are not held, by damped Gauss-Newton steps in the box. */
function follow(data, params, held) {
  let best = [...params], value = chi2(data, best), damping = 1e-3;
  const indices = best.map((_, i) => i), { low, high } = data;
  for (let step = 0; step < 60 && damping < 1e8; step++) {
    const normal = indices.map(() => indices.map(() => 0)), slope = indices.map(() => 0);
    data.x.forEach((x, k) => {
      const weight = data.yerr[k] ** -2, residual = data.y[k] - sum(best, x);
      const by = [0, 3].flatMap((j) => {
        const [a, mean, s] = best.slice(j, j + 3), z = (x - mean) / s;
        const e = Math.exp(-0.5 * z ** 2);
        return [e, a * e * z / s, a * e * z ** 2 / s];
      });
      for (const i of indices) {
        slope[i] += weight * residual * by[i];
        for (const j of indices) normal[i][j] += weight * by[i] * by[j];
      }
    });
    const free = indices.filter((i) => !held.includes(i)
      && !(best[i] <= low[i] && slope[i] < 0) && !(best[i] >= high[i] && slope[i] > 0));
    const move = solve(free.map((i) => free.map((j) =>
      normal[i][j] * (i === j ? 1 + damping : 1))), free.map((i) => slope[i]));
    const moved = [...best];
    free.forEach((i, k) => { moved[i] += move[k]; });
    const next = clip(data, moved);
    const reached = chi2(data, next), gain = value - reached;
    if (!(gain > 0)) { damping *= 10; continue; }
    [best, value, damping] = [next, reached, damping / 10];
    if (gain < 1e-7) break;
  }
  return best;
}

/** Solve equations with a positive definite matrix, by elimination. */
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  rows.forEach((pivot, i) => rows.slice(i + 1).forEach((row) => {
    const factor = row[i] / pivot[i];
    for (let j = i; j < row.length; j++) row[j] -= factor * pivot[j];
  }));
  const found = [];
  for (let i = rows.length - 1; i >= 0; i--) {
    const known = found.reduce((total, value, j) => total + value * rows[i][j], 0);
    found[i] = (rows[i].at(-1) - known) / rows[i][i];
  }
  return found;
}

/** Draw points as lines of no length, which round caps turn into dots. */
const dots = (x, y) => x.map((x, i) => `M${x.toFixed(1)} ${y[i].toFixed(1)}h0`).join("");
const line = (x, y) => `M${x.map((x, i) => `${x.toFixed(1)} ${y[i].toFixed(1)}`).join("L")}`;

function place([from, to], start, end) {
  return (value) => start + (value - from) / (to - from) * (end - start);
}

/** Draw the map of the two means; return what moves its point. */
function chart(parent, data) {
  const { size, from, to } = MAP, across = place(MEANS, from, to), up = place(MEANS, to, from);
  const svg = add(parent, "svg", { class: "map", role: "img", width: size, height: size + 18,
    viewBox: `0 0 ${size} ${size + 18}`, "aria-label":
      "Map of the two means: contours of chi squared, both modes, the diagonal and the present point" });
  const axes = add(svg, "g", { class: "axes" });
  add(axes, "rect", { x: from, y: size - to, width: to - from, height: to - from });
  const top = size - to - from;  // the frame begins here, from above
  const at = ([x, y]) => [across(x), up(y) + top];
  for (const { level, lines } of data.map.levels)
    add(svg, "path", { class: "level", "data-level": level, d: lines.map((points) =>
      line(...[0, 1].map((k) => points.map((point) => at(point)[k])))).join("") });
  add(svg, "path", { class: "diagonal", d: line([from, to], [to + top, from + top]) });
  for (const [name, point] of Object.entries(data.map.marks)) {
    const [x, y] = at(point);
    add(svg, "path", { class: `mark ${name}`, d: `M${x - 4} ${y}h8M${x} ${y - 4}v8` });
  }
  for (const t of ticks(-4, 4, 4)) {
    add(axes, "text", { x: across(t), y: to + top + 16, class: "x" }, number(t));
    add(axes, "text", { x: from - 4, y: up(t) + top + 4, class: "y" }, number(t));
  }
  add(axes, "text", { x: across(2), y: to + top + 16, class: "x" }, "first mean");
  add(axes, "text", { x: from + 6, y: from + top + 16 }, "second mean");
  const point = add(svg, "circle", { class: "here", r: 5 });
  return (x, y) => {
    const [cx, cy] = at([x, y]);
    set(point, { cx, cy });
  };
}

function interactive(data) {
  const figure = document.getElementById(data.figure);
  const root = document.createElement("div");
  root.className = "drag";
  let params = [...data.best];

  // the plot; its sliders are read out, so the handles need no focus of their own
  const svg = add(root, "svg", { class: "profile", role: "img", height: HEIGHT, "aria-label":
    "Some of the points, the two Gaussians and their sum; below, the compressed points less the sum" });
  const axes = add(svg, "g", { class: "axes" });
  const clips = { main: MAIN, strip: STRIP };
  for (const name in clips)
    clips[name] = add(add(svg, "clipPath", { id: `drag-${name}` }), "rect");
  const main = add(svg, "g", { "clip-path": "url(#drag-main)" });
  const strip = add(svg, "g", { "clip-path": "url(#drag-strip)" });
  const points = add(main, "path", { class: "points" });
  const zero = add(strip, "path", { class: "zero" });
  const residuals = add(strip, "path", { class: "points compressed" });
  const curves = GAUSSIANS.map((name) => add(main, "path", { class: name }));
  const total = add(main, "path", { class: "sum" });
  const handles = GAUSSIANS.flatMap((name, k) => ["peak", "side"].map((kind) => {
    const handle = add(svg, "g", { class: `handle ${name} ${kind}` });
    if (kind === "peak") add(handle, "text", { y: 26 }, name);
    add(handle, "circle", { class: "reach", r: 16 });
    add(handle, ...(kind === "peak" ? ["circle", { r: 8 }]
      : ["rect", { x: -6, y: -6, width: 12, height: 12 }]));
    return Object.assign(handle, { k, kind });
  }));

  // the controls
  const below = add(root, "div", { class: "below" });
  const words = add(below, "div", { class: "words" });
  const readout = add(words, "p", { class: "readout" });
  const fit = add(readout, "span"), order = add(readout, "span");
  const said = add(words, "p", { class: "said", role: "status" });
  const buttons = add(words, "div", { class: "buttons" });
  const button = (text, next) => add(buttons, "button", { type: "button" }, text)
    .addEventListener("click", () => show(next()));
  button("Exchange labels", () => [...params.slice(3), ...params.slice(0, 3)]);
  button("Best fit", () => data.best);
  button("Third mode", () => data.third);
  const tick = add(words, "label", { class: "follow" });
  const following = add(tick, "input", { type: "checkbox" });
  add(tick, "span", {}, "the other parameters follow");
  following.addEventListener("change", () => turn(params, [0, 1]));
  const here = chart(below, data);
  const sets = add(root, "div", { class: "sets" });
  const sliders = GAUSSIANS.flatMap((gaussian, k) => {
    const group = add(sets, "fieldset", { class: gaussian });
    add(group, "legend", {}, gaussian);
    return NAMES.map((name, j) => {
      const i = 3 * k + j;
      const label = add(group, "label", {}, name);
      const slider = add(label, "input", { type: "range", step: 0.01,
        min: data.low[i], max: data.high[i] });
      slider.setAttribute("aria-label", `${name} of the ${gaussian} Gaussian`);
      slider.shown = add(label, "span");
      slider.addEventListener("input", () => turn(params.with(i, +slider.value), [i]));
      for (const event of ["focus", "blur"])
        slider.addEventListener(event, () =>
          handles[2 * k + (j === 2)].classList.toggle("focused", event === "focus"));
      return slider;
    });
  });

  /** Show parameters of which the reader chose some, and refit the rest if asked to. */
  function turn(next, held) {
    show(following.checked ? follow(data, clip(data, next), held) : next);
  }

  let toX, toY, toResidual, scale;  // from data to pixels, for the present width
  const grid = ticks(X[0], X[1] + 1e-6, 0.05);

  function resize() {
    const width = root.clientWidth, right = width - MARGIN.right;
    if (width === 0) return;
    set(svg, { width, viewBox: `0 0 ${width} ${HEIGHT}` });
    toX = place(X, MARGIN.left, right);
    toY = place(Y, MAIN.bottom, MAIN.top);
    toResidual = place(RESIDUAL, STRIP.bottom, STRIP.top);
    scale = [toX(1) - toX(0), toY(1) - toY(0)];
    axes.replaceChildren();
    for (const [name, box] of [["main", MAIN], ["strip", STRIP]]) {
      const frame = { x: MARGIN.left, y: box.top, width: right - MARGIN.left,
        height: box.bottom - box.top };
      set(clips[name], frame);
      add(axes, "rect", frame);
    }
    for (const t of ticks(-4, 4, 2))
      add(axes, "text", { x: toX(t), y: STRIP.bottom + 18, class: "x" }, number(t));
    for (const t of ticks(0, 3, 1))
      add(axes, "text", { x: MARGIN.left - 6, y: toY(t) + 4, class: "y" }, number(t));
    add(axes, "text", { x: MARGIN.left + 6, y: MAIN.top + 16 }, "points, two Gaussians, their sum");
    add(axes, "text", { x: MARGIN.left + 6, y: STRIP.top + 16 }, "compressed points less sum");
    set(points, { d: dots(data.shown[0].map(toX), data.shown[1].map(toY)) });
    set(zero, { d: line(X.map(toX), [0, 0].map(toResidual)) });
    show(params);
  }

  function show(next) {
    params = clip(data, next);
    const pixels = grid.map(toX), parts = [params.slice(0, 3), params.slice(3)];
    parts.forEach((p, k) =>
      set(curves[k], { d: line(pixels, grid.map((x) => toY(gaussian(...p, x)))) }));
    set(total, { d: line(pixels, grid.map((x) => toY(sum(params, x)))) });
    set(residuals, { d: dots(data.x.map(toX),
      data.y.map((y, i) => toResidual(y - sum(params, data.x[i])))) });
    for (const handle of handles) {
      const [a, mean, s] = parts[handle.k], other = parts[1 - handle.k][1];
      handle.outward = mean < other || (mean === other && handle.k === 0) ? -1 : 1;
      const [x, y] = handle.kind === "peak" ? [mean, a]
        : [mean + handle.outward * s, a * Math.exp(-0.5)];
      handle.at = [toX(x), toY(y)];
      set(handle, { transform: `translate(${handle.at})` });
    }
    here(params[1], params[4]);
    sliders.forEach((slider, i) => {
      slider.value = params[i];
      slider.shown.textContent = number(params[i], 2);
    });
    report();
  }

  let pause;
  function report() {
    const value = chi2(data, params), above = value - data.lowest;
    const rise = number(above, Math.abs(above) < 99.95 ? 1 : 0).replace("−0.0", "0.0");
    fit.textContent = `χ² ${number(value, 0)}, ${rise} above the best fit`;
    order.textContent = params[1] < params[4] ? "means in order" : "means not in order";
    Object.assign(root.dataset, { params: JSON.stringify(params), chi2: value });
    clearTimeout(pause);  // a screen reader hears where the dragging ended
    pause = setTimeout(() => { said.textContent = `${fit.textContent}, ${order.textContent}`; }, 600);
  }

  for (const handle of handles) {
    let grip = null;
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      handle.setPointerCapture(event.pointerId);
      grip = [handle.at[0] - event.clientX, handle.at[1] - event.clientY];
      event.preventDefault();
    });
    // or the page would scroll under the finger
    handle.addEventListener("touchstart", (event) => event.preventDefault());
    handle.addEventListener("lostpointercapture", () => { grip = null; });
    handle.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const x = X[0] + (event.clientX + grip[0] - toX(X[0])) / scale[0];
      const y = Y[0] + (event.clientY + grip[1] - toY(Y[0])) / scale[1];
      const i = 3 * handle.k, next = [...params], peak = handle.kind === "peak";
      if (peak) [next[i], next[i + 1]] = [y, x];
      else next[i + 2] = handle.outward * (x - params[i + 1]);
      turn(next, peak ? [i, i + 1] : [i + 2]);
    });
  }

  figure.prepend(root);
  figure.classList.add("dragged");  // hides the static image, except in print
  resize();
  new ResizeObserver(resize).observe(root);
}

for (const source of document.querySelectorAll("[data-drag]")) {
  const data = JSON.parse(source.dataset.drag);
  [data.x, data.y, data.yerr] = data.compressed;
  interactive(data);
}
