// @ts-check
// The curves tab: how the metrics of some jobs went, one small chart for each metric, with one
// crosshair for all of them. The points come from the kernel, thinned out already.

import { attr, el, replaceText, svg } from "./dom.js";
import { clean, MARKS, number, plural } from "./format.js";
import { choice } from "./graph.js";
import { ticks } from "./timeline.js";

/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./graph.js").TabContext} TabContext */
/** @typedef {import("./graph.js").Tab} Tab */

/** @typedef {[number, number]} Point */
/** @typedef {{key: string, label: string, metric: string, points: Point[]}} Curve */
/** @typedef {{(value: number): number, invert: (place: number) => number}} Scale */

const MOST_JOBS = 12; // that are compared
const OF_ITSELF = 8; // jobs that are shown if none is selected
const MOST_CHARTS = 24;
const COLOURS = 8; // of the style sheet; further curves are dashed
const CALM_MS = 3000; // between two changes of what is shown of itself
const HEIGHT = 168;
const MARGIN = { left: 46, right: 10, top: 6, bottom: 20 };

// -- pure parts ---------------------------------------------------------------------------------

/**
 * From values to places and back.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 * @param {boolean} log  for positive values only
 * @returns {Scale}
 */
export function makeScale(domain, range, log = false) {
  const to = log ? Math.log10 : (/** @type {number} */ value) => value;
  const back = log ? (/** @type {number} */ value) => 10 ** value : (/** @type {number} */ value) => value;
  const [low, high] = domain.map(to);
  const slope = high > low ? (range[1] - range[0]) / (high - low) : 0;
  const middle = (range[0] + range[1]) / 2;
  const scale = (/** @type {number} */ value) => (slope ? range[0] + (to(value) - low) * slope : middle);
  scale.invert = (/** @type {number} */ place) => (slope ? back(low + (place - range[0]) / slope) : domain[0]);
  return scale;
}

/**
 * The least and the greatest of some values, with a little room; never empty.
 * @param {number[]} values
 * @param {number} room  share of the span, on either side
 * @param {boolean} log
 * @returns {[number, number]}
 */
export function extent(values, room = 0, log = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const factor = high > low ? (high / low) ** room : 2;
    return [low / factor, high * factor];
  }
  const more = high > low ? (high - low) * room : Math.abs(low) * 0.1 || 1;
  return [low - more, high + more];
}

/**
 * Figures for an axis that grows by factors.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 */
export function logTicks(low, high, count) {
  const powers = Math.floor(Math.log10(high) + 1e-9) - Math.ceil(Math.log10(low) - 1e-9);
  if (powers < 1) return ticks(low, high, count);
  const every = Math.max(1, Math.ceil((powers + 1) / Math.max(1, count)));
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power += every) found.push(Number(`1e${power}`));
  return found;
}

/**
 * Write a figure of an axis, short.
 * @param {number} value
 */
export function tickText(value) {
  const size = Math.abs(value);
  if (size && (size >= 1e5 || size < 1e-3)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e").replace("-", "−");
  return String(Number(value.toPrecision(6))).replace("-", "−");
}

/**
 * Write the figures of an axis with equally many decimals, so that they stand below each other.
 * @param {number[]} values
 */
export function tickTexts(values) {
  const texts = values.map(tickText);
  if (texts.some((text) => text.includes("e"))) return texts;
  const most = Math.max(0, ...texts.map((text) => (text.split(".")[1] ?? "").length));
  return values.map((value) => value.toFixed(most).replace("-", "−"));
}

/**
 * The line through some points.
 * @param {Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 */
export function linePath(points, x, y) {
  return points.map(([px, py], n) => `${n ? "L" : "M"}${x(px).toFixed(1)},${y(py).toFixed(1)}`).join("");
}

/**
 * The number of the point that is nearest to a place; -1 for none.
 * @param {Point[]} points  sorted by x
 * @param {number} at
 */
export function nearestPoint(points, at) {
  let [low, high] = [0, points.length - 1];
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle;
    else high = middle;
  }
  return Math.abs(points[low][0] - at) <= Math.abs(points[high][0] - at) ? low : high;
}

/**
 * Jobs that are worth a look if nobody has chosen any: those that run, then those that ended last.
 * @param {Row[]} rows
 * @param {number} count
 * @returns {string[]}
 */
export function jobsToShow(rows, count) {
  const started = rows.filter((row) => row.started != null);
  const measured = started.filter((row) => Object.keys(row.metrics).length);
  const time = (/** @type {Row} */ row) => (row.state === "running" ? 1e12 : 0) + (row.ended ?? row.started ?? 0);
  const some = (measured.length ? measured : started).sort((a, b) => time(b) - time(a) || a.i - b.i).slice(0, count);
  return some.sort((a, b) => a.i - b.i).map((row) => row.id);
}

/**
 * What the kernel sent, without what cannot be drawn.
 * @param {any} curves
 * @returns {Curve[]}
 */
export function readCurves(curves) {
  if (!Array.isArray(curves)) return [];
  return curves
    .filter((curve) => Array.isArray(curve?.points))
    .map((curve) => ({
      key: String(curve.key),
      label: String(curve.label ?? ""),
      metric: String(curve.metric),
      points: curve.points.filter((/** @type {any} */ point) => Number.isFinite(point?.[0]) && Number.isFinite(point?.[1])),
    }))
    .filter((curve) => curve.points.length);
}

/**
 * A colour for each job, which it keeps as long as it is there.
 * @param {Map<string, number>} before
 * @param {string[]} keys
 * @returns {Map<string, number>}
 */
export function keepColours(before, keys) {
  const kept = new Map(keys.filter((key) => before.has(key)).map((key) => [key, /** @type {number} */ (before.get(key))]));
  const used = new Set(kept.values());
  let next = 0;
  for (const key of keys) {
    if (kept.has(key)) continue;
    while (used.has(next)) next += 1;
    used.add(next);
    kept.set(key, next);
  }
  return kept;
}

/**
 * What to call jobs beside each other: by the tags in which they differ.
 * @param {{key: string, label: string, tags: Record<string, string> | null}[]} jobs
 * @returns {Map<string, string>}
 */
export function shortNames(jobs) {
  const names = [...new Set(jobs.flatMap((job) => Object.keys(job.tags ?? {})))];
  const differ = names.filter((name) => new Set(jobs.map((job) => job.tags?.[name])).size > 1);
  const labels = jobs.map((job) => {
    const words = job.tags ? differ.filter((name) => name in /** @type {{}} */ (job.tags)).map((name) => `${clean(name, 40)}=${clean(job.tags?.[name], 40)}`) : [clean(job.label, 80)];
    return words.join(" ");
  });
  return new Map(jobs.map((job, n) => {
    const alike = !labels[n] || labels.indexOf(labels[n]) !== labels.lastIndexOf(labels[n]);
    return [job.key, alike ? `${labels[n]} ${clean(job.key, 64).slice(0, 8)}`.trim() : labels[n]];
  }));
}

/** @param {number} colour */
function curveClass(colour) {
  return `xpm-c${colour % COLOURS}${colour >= COLOURS ? " xpm-dashed" : ""}`;
}

// -- the page -----------------------------------------------------------------------------------

/**
 * @param {TabContext} ctx
 * @returns {Tab}
 */
export function createCurvesTab(ctx) {
  const store = ctx.store;
  let visible = false;
  let log = false;
  /** @type {string[]} */
  let wanted = [];
  let wantedAt = -Infinity;
  let heard = false;
  /** @type {Curve[]} */
  let curves = [];
  /** @type {Map<string, number>} */
  let colours = new Map();
  /** @type {Map<string, string>} */
  let labels = new Map();
  /** @type {Map<string, ReturnType<typeof createChart>>} */
  const charts = new Map();

  const mode = choice("scale", [["linear", "linear"], ["log", "log"]], (value) => {
    log = value === "log";
    mode.set(value);
    draw();
  });
  mode.set("linear");
  const hint = el("span", { class: "xpm-hint", role: "status" });
  const legend = el("div", { class: "xpm-legend", role: "group", "aria-label": "jobs" });
  const grid = el("div", { class: "xpm-charts" });
  const root = el("div", { class: "xpm-curves" }, el("div", { class: "xpm-tools" }, hint, el("span", { class: "xpm-group" }, mode.root)), legend, grid);
  const sizes = new ResizeObserver(() => visible && draw());
  sizes.observe(grid);

  function want() {
    const chosen = ctx.selection().slice(0, MOST_JOBS);
    const next = chosen.length ? chosen : jobsToShow(store.rows, OF_ITSELF);
    if (visible && next.join() !== wanted.join()) {
      wanted = next;
      wantedAt = performance.now();
      ctx.watch({ curves: wanted });
    }
    tell();
  }

  function tell() {
    const many = ctx.selection().length;
    const metrics = new Set(curves.map((curve) => curve.metric)).size;
    mode.root.hidden = !curves.length;
    if (!curves.length) {
      if (!store.counts.running && !store.rows.some((row) => row.started != null)) replaceText(hint, "no job has started yet");
      else replaceText(hint, heard ? "no metrics of these jobs yet" : "the curves come from the kernel …");
      return;
    }
    const jobs = many ? (many > MOST_JOBS ? `the first ${MOST_JOBS} of ${many.toLocaleString("en")} selected jobs` : plural(many, "selected job")) : "running and latest jobs; select others in Jobs";
    replaceText(hint, jobs + (metrics > MOST_CHARTS ? `; ${metrics - MOST_CHARTS} more metrics` : ""));
  }

  function draw() {
    const byMetric = /** @type {Map<string, Curve[]>} */ (new Map());
    for (const curve of curves) {
      const group = byMetric.get(curve.metric);
      if (group) group.push(curve);
      else byMetric.set(curve.metric, [curve]);
    }
    const names = [...store.metricNames.filter((name) => byMetric.has(name)), ...[...byMetric.keys()].filter((name) => !store.metricNames.includes(name))].slice(0, MOST_CHARTS);
    for (const [name, chart] of charts) {
      if (names.includes(name)) continue;
      chart.root.remove();
      charts.delete(name);
    }
    attr(grid, "data-few", names.length <= 1);
    names.forEach((name, n) => {
      let chart = charts.get(name);
      if (!chart) charts.set(name, (chart = createChart(name, cross)));
      if (grid.children[n] !== chart.root) grid.insertBefore(chart.root, grid.children[n] ?? null);
      chart.set((byMetric.get(name) ?? []).map((curve) => ({ ...curve, colour: colours.get(curve.key) ?? 0, running: store.byId(curve.key)?.state === "running" })), log);
    });
    drawLegend();
    tell();
  }

  function drawLegend() {
    const jobs = new Map(curves.map((curve) => [curve.key, { key: curve.key, label: curve.label, tags: store.byId(curve.key)?.tags ?? null }]));
    labels = shortNames([...jobs.values()]);
    const known = new Map([...legend.children].map((node) => [node.getAttribute("data-id"), /** @type {HTMLElement} */ (node)]));
    const items = [...labels].map(([key, label]) => {
      const item = known.get(key) ?? legendItem(key);
      const row = store.byId(key);
      attr(/** @type {Element} */ (item.firstElementChild), "class", `xpm-swatch ${curveClass(colours.get(key) ?? 0)}`);
      replaceText(/** @type {Element} */ (item.lastElementChild), row ? `${label} ${MARKS[row.state]}` : label);
      attr(item, "title", row ? `${clean(row.task, 60)} ${key.slice(0, 8)}: ${row.state}` : null);
      return item;
    });
    if (items.length !== legend.children.length || items.some((item, n) => legend.children[n] !== item)) legend.replaceChildren(...items);
  }

  /** @param {Curve} curve */
  function nameOf(curve) {
    return labels.get(curve.key) ?? curve.key.slice(0, 8);
  }

  /** @param {string} key */
  function legendItem(key) {
    const swatch = svg("svg", { width: 18, height: 8, "aria-hidden": "true" }, svg("path", { d: "M1,4H17" }));
    const item = el("button", { type: "button", "data-id": key }, swatch, el("span"));
    const light = (/** @type {string | null} */ id) => charts.forEach((chart) => chart.light(id));
    item.addEventListener("click", () => ctx.open(key));
    for (const event of ["pointerenter", "focus"]) item.addEventListener(event, () => light(key));
    for (const event of ["pointerleave", "blur"]) item.addEventListener(event, () => light(null));
    return item;
  }

  /**
   * One crosshair for all charts; the words stand in the one that is pointed at.
   * @param {number | null} at  the step
   * @param {string} metric
   */
  function cross(at, metric) {
    for (const [name, chart] of charts) chart.cross(at, name === metric, nameOf);
  }

  ctx.onSelection(() => {
    if (visible) want();
  });
  tell();
  return {
    root,
    show() {
      visible = true;
      wanted = [];
      want();
      draw();
    },
    hide() {
      visible = false;
      ctx.watch({ curves: [] });
    },
    update(changed) {
      if (!visible) return;
      if (changed === null || wanted.length < OF_ITSELF || performance.now() - wantedAt > CALM_MS) want();
      if (curves.length) drawLegend();
    },
    message(msg) {
      if (msg?.t !== "curves") return;
      heard = true;
      curves = readCurves(msg.curves).filter((curve) => wanted.includes(curve.key)); // other views may want others
      colours = keepColours(colours, wanted);
      if (visible) draw();
    },
    destroy() {
      visible = false;
      sizes.disconnect();
    },
  };
}

/** @typedef {Curve & {colour: number, running: boolean}} DrawnCurve */

/**
 * One chart: its curves over the steps.
 * @param {string} metric
 * @param {(at: number | null, metric: string) => void} pointed
 */
function createChart(metric, pointed) {
  const axes = svg("g", { class: "xpm-axes" });
  const lines = svg("g", { class: "xpm-lines" });
  const cursor = svg("g", { class: "xpm-cursor" });
  const picture = svg("svg", { "aria-hidden": "true", height: HEIGHT }, axes, lines, cursor);
  const tip = el("div", { class: "xpm-tip", hidden: true });
  const name = clean(metric, 80);
  const place = el("div", { class: "xpm-plot", tabindex: 0, role: "slider", "aria-label": `${name} over steps: arrow keys move`, "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 }, picture, tip);
  const root = el("figure", { class: "xpm-chart", "data-metric": name }, el("figcaption", {}, el("bdi", { text: name })), place);
  /** @type {DrawnCurve[]} */
  let curves = [];
  /** @type {number[]} */
  let steps = []; // all that any curve has a point at
  let x = makeScale([0, 1], [0, 1]);
  let y = x;
  let width = 0;
  let drawn = "";
  /** @type {number | null} */
  let crossed = null;

  /**
   * @param {DrawnCurve[]} next
   * @param {boolean} log
   */
  function set(next, log) {
    const now = JSON.stringify([place.clientWidth, log, next.map((curve) => [curve.key, curve.colour, curve.running, curve.points])]);
    if (now === drawn || !place.clientWidth) return;
    drawn = now;
    curves = next;
    width = place.clientWidth;
    const values = curves.flatMap((curve) => curve.points.map((point) => point[1]));
    const factors = log && values.every((value) => value > 0);
    steps = [...new Set(curves.flatMap((curve) => curve.points.map((point) => point[0])))].sort((a, b) => a - b);
    const span = extent(steps);
    const [low, high] = extent(values, 0.06, factors);
    x = makeScale(span, [MARGIN.left, width - MARGIN.right]);
    y = makeScale([low, high], [HEIGHT - MARGIN.bottom, MARGIN.top], factors);
    attr(picture, "width", width);
    drawAxes(span, factors ? logTicks(low, high, 4) : ticks(low, high, 4));
    lines.replaceChildren(...curves.flatMap(drawCurve));
    attr(place, "aria-valuemax", Math.max(0, steps.length - 1));
    if (crossed == null) attr(place, "aria-valuetext", summary());
  }

  /**
   * @param {[number, number]} span
   * @param {number[]} heights
   */
  function drawAxes(span, heights) {
    const whole = steps.every(Number.isInteger);
    const round = ticks(span[0], span[1], Math.max(2, width / 90)).filter((step) => !whole || Number.isInteger(step));
    const across = steps.length === 1 ? steps : round; // beside a single step there is none
    const right = width - MARGIN.right;
    const figures = tickTexts(heights);
    axes.replaceChildren(
      ...heights.flatMap((value, n) => [
        svg("path", { d: `M${MARGIN.left},${y(value).toFixed(1)}H${right}` }),
        svg("text", { x: MARGIN.left - 6, y: y(value) + 3.5, "text-anchor": "end", text: figures[n] }),
      ]),
      ...across.map((step) => svg("text", { x: x(step), y: HEIGHT - 5, "text-anchor": x(step) > right - 14 ? "end" : "middle", text: tickText(step) })),
    );
  }

  /** @param {DrawnCurve} curve */
  function drawCurve(curve) {
    const [lastX, lastY] = curve.points[curve.points.length - 1];
    const line = svg("path", { class: curveClass(curve.colour), "data-id": curve.key, d: linePath(curve.points, x, y) });
    const end = curve.running || curve.points.length === 1;
    return end ? [line, svg("circle", { class: curveClass(curve.colour), "data-id": curve.key, cx: x(lastX), cy: y(lastY), r: 3 })] : [line];
  }

  function summary() {
    const ends = curves.map((curve) => curve.points[curve.points.length - 1][1]);
    return curves.length ? `${plural(curves.length, "curve")}, ending between ${number(Math.min(...ends))} and ${number(Math.max(...ends))}` : "no curves";
  }

  /** @param {string | null} id */
  function light(id) {
    attr(picture, "data-lit", id != null);
    for (const node of lines.children) attr(node, "data-on", id != null && node.getAttribute("data-id") === id);
  }

  /**
   * @param {number | null} at
   * @param {boolean} here
   * @param {(curve: Curve) => string} nameOf
   */
  function cross(at, here, nameOf) {
    crossed = at;
    tip.hidden = !here || at == null;
    if (at == null || !curves.length) {
      cursor.replaceChildren();
      attr(place, "aria-valuetext", summary());
      return;
    }
    // A curve that has ended before says nothing about this step.
    const found = curves
      .filter((curve) => at >= curve.points[0][0] && at <= curve.points[curve.points.length - 1][0])
      .map((curve) => ({ curve, point: curve.points[nearestPoint(curve.points, at)] }));
    const dots = found.map(({ curve, point }) => svg("circle", { class: curveClass(curve.colour), cx: x(point[0]), cy: y(point[1]), r: 3.5 }));
    const place_x = Math.min(Math.max(x(at), MARGIN.left), width - MARGIN.right);
    cursor.replaceChildren(svg("path", { d: `M${place_x.toFixed(1)},${MARGIN.top}V${HEIGHT - MARGIN.bottom}` }), ...dots);
    if (!here) return;
    found.sort((a, b) => b.point[1] - a.point[1]);
    const rows = found.map(({ curve, point }) =>
      el("div", { class: "xpm-tip-row" }, svg("svg", { width: 12, height: 8, "aria-hidden": "true", class: `xpm-swatch ${curveClass(curve.colour)}` }, svg("path", { d: "M0,4H12" })), el("span", { text: nameOf(curve) }), el("b", { text: number(point[1]) })),
    );
    tip.replaceChildren(el("strong", { text: `step ${tickText(at)}` }), ...rows);
    const left = place_x > width / 2 ? place_x - tip.offsetWidth - 10 : place_x + 10;
    tip.style.transform = `translate(${Math.max(0, Math.min(left, width - tip.offsetWidth))}px, ${MARGIN.top}px)`;
    attr(place, "aria-valuenow", Math.max(0, steps.indexOf(at)));
    attr(place, "aria-valuetext", [`step ${tickText(at)}`, ...found.map(({ curve, point }) => `${nameOf(curve)}: ${number(point[1])}`)].join(", "));
  }

  /** The step that is nearest to a place on the chart. @param {number} px */
  function stepAt(px) {
    const at = x.invert(px);
    const n = nearestPoint(steps.map((step) => /** @type {Point} */ ([step, 0])), at);
    return n < 0 ? null : steps[n];
  }

  place.addEventListener("pointermove", (event) => pointed(stepAt(event.clientX - picture.getBoundingClientRect().left), metric));
  place.addEventListener("pointerleave", () => pointed(null, metric));
  place.addEventListener("blur", () => pointed(null, metric));
  place.addEventListener("keydown", (event) => {
    const moves = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity });
    if (event.key === "Escape" && crossed != null) pointed(null, metric);
    else if (event.key in moves && steps.length) {
      const from = crossed == null ? (moves[event.key] > 0 ? -1 : steps.length) : steps.indexOf(crossed);
      pointed(steps[Math.min(steps.length - 1, Math.max(0, from + moves[event.key]))], metric);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { root, set, light, cross };
}
