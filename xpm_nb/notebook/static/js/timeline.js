// @ts-check
// The timeline tab: when which job ran, packed into as few lanes as it takes. Drawn on a canvas:
// 10,000 bars are 10,000 rectangles there, and no elements.

import { attr, el, replaceText } from "./dom.js";
import { clean, duration, MARKS, plural } from "./format.js";
import { choice, tagWords } from "./graph.js";

/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./graph.js").TabContext} TabContext */
/** @typedef {import("./graph.js").Tab} Tab */

/** @typedef {{row: Row, from: number, to: number, lane: number}} Bar  times in seconds since the epoch */
/** @typedef {{name: string, first: number, count: number}} Band  lanes of one task */
/** @typedef {{bars: Bar[], bands: Band[], lanes: number, from: number, to: number, left: number, most: number}} Chart */

// Some themes have lines as strong as their text: those of the scale stay behind the bars.
const FAINT = "color-mix(in srgb, var(--xpm-fg) 16%, var(--xpm-bg))";
const AXIS = 22; // height of the line with the times
const HIGHEST = 420; // of the lanes, before they get thin
const MOST_LANES = 1500; // further ones are drawn over the first
const CALM_ROWS = 2000; // more are drawn again twice a second only
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000];

// -- pure parts ---------------------------------------------------------------------------------

/**
 * Round figures within a range, about `count` of them.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 * @returns {number[]}
 */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span) || !(count > 0)) return Number.isFinite(low) ? [low] : [];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10][[1.41, 3.16, 7.07].filter((limit) => rough / power >= limit).length] * power;
  /** @type {number[]} */
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let n = 0; n < 100 && (first + n) * step <= high + step * 1e-9; n++) {
    const tick = Number(((first + n) * step).toPrecision(12)) + 0; // no minus zero
    if (tick !== found[found.length - 1]) found.push(tick); // a span below what numbers can tell apart
  }
  return found;
}

/**
 * Times for the axis, in seconds from the start: multiples of seconds, minutes, hours, days.
 * @param {number} low
 * @param {number} high
 * @param {number} count  at most
 */
export function timeTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return { step: 1, times: [] };
  const last = STEPS[STEPS.length - 1];
  const step = STEPS.find((unit) => span / unit <= count) ?? last * Math.ceil(span / last / count);
  const times = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let n = 0; n < 100 && (first + n) * step <= high; n++) times.push((first + n) * step + 0);
  return { step, times };
}

/**
 * Write a time since the start, as exactly as the steps of the axis ask for.
 * @param {number} seconds
 * @param {number} step
 */
export function timeText(seconds, step) {
  const s = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (s < 1e-9) return "0";
  if (step < 1) return `${sign}${s.toFixed(1)} s`;
  const units = /** @type {[number, string][]} */ ([[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]);
  const parts = [];
  let rest = Math.round(s);
  for (const [size, name] of units) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount) parts.push(`${amount} ${name}`);
  }
  return sign + parts.slice(0, 2).join(" ");
}

/**
 * Put intervals into lanes, so that none overlap in a lane: each goes to the first that is free.
 * @param {{from: number, to: number}[]} items  sorted by `from`
 * @returns {{lanes: number[], count: number}}
 */
export function packLanes(items) {
  /** @type {number[]} */
  const ends = []; // when each lane gets free
  const lanes = items.map(({ from, to }) => {
    const free = ends.findIndex((end) => end <= from);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = to;
    return lane;
  });
  return { lanes, count: ends.length };
}

/**
 * What is to be drawn: the jobs that ran, in lanes, for all or for each task.
 * @param {Row[]} rows
 * @param {number} now
 * @param {boolean} byTask
 * @param {boolean} all  jobs that were done before too
 * @returns {Chart}
 */
export function layTimeline(rows, now, byTask, all) {
  const ran = rows.filter((row) => row.started != null && (row.ended != null || row.state === "running"));
  const fresh = ran.filter((row) => !row.reused);
  const chosen = all || !fresh.length ? ran : fresh;
  const bars = chosen.map((row) => {
    const from = /** @type {number} */ (row.started);
    return { row, from, to: Math.max(from, row.ended ?? now), lane: 0 };
  });
  bars.sort((a, b) => a.from - b.from || a.row.i - b.row.i);
  /** @type {Map<string, Bar[]>} */
  const groups = new Map();
  for (const bar of bars) {
    const name = byTask ? bar.row.task : "";
    const group = groups.get(name);
    if (group) group.push(bar);
    else groups.set(name, [bar]);
  }
  /** @type {Band[]} */
  const bands = [];
  let lanes = 0;
  for (const [name, group] of groups) {
    const packed = packLanes(group);
    group.forEach((bar, n) => (bar.lane = lanes + packed.lanes[n]));
    bands.push({ name, first: lanes, count: packed.count });
    lanes += packed.count;
  }
  const from = bars.length ? bars[0].from : now;
  const busy = chosen.some((row) => row.state === "running");
  const to = bars.reduce((most, bar) => Math.max(most, bar.to), busy ? now : from);
  const most = byTask ? packLanes(bars).count : lanes;
  return { bars, bands, lanes, from, to: Math.max(to, from + 0.1), left: ran.length - chosen.length, most };
}

/**
 * How high a lane is: as high as there is place for, down to a line.
 * @param {number} lanes
 */
export function laneHeight(lanes) {
  return Math.max(lanes > 400 ? 1 : 3, Math.min(22, Math.floor(HIGHEST / Math.max(1, lanes))));
}

/**
 * The bar at a place, or the nearest one in its lane within a tolerance.
 * @param {Bar[]} bars
 * @param {number} lane
 * @param {number} time
 * @param {number} tolerance  seconds
 * @returns {number}  its number, -1 for none
 */
export function barAt(bars, lane, time, tolerance) {
  let best = -1;
  let least = tolerance;
  bars.forEach((bar, n) => {
    if (bar.lane !== lane) return;
    const distance = Math.max(bar.from - time, time - bar.to, 0);
    if (distance <= least) [best, least] = [n, distance];
  });
  return best;
}

// -- the page -----------------------------------------------------------------------------------

/**
 * @param {TabContext} ctx
 * @returns {Tab}
 */
export function createTimelineTab(ctx) {
  const store = ctx.store;
  let visible = false;
  let byTask = false;
  let all = false;
  /** @type {[number, number] | null} */
  let range = null; // what a person has chosen to see, in seconds since the epoch
  /** @type {Chart} */
  let chart = layTimeline([], 0, false, false);
  let pointed = -1; // the bar that is told about
  let brush = /** @type {[number, number] | null} */ (null); // pixels, while dragging
  let frame = 0;
  let later = 0;
  let drawn = 0;

  const mode = choice("lanes", [["slot", "by slot"], ["task", "by task"]], (value) => {
    byTask = value === "task";
    mode.set(value);
    now();
  });
  mode.set("slot");
  const hint = el("span", { class: "xpm-hint" });
  const more = el("button", { type: "button", class: "xpm-link", on: { click: () => { all = !all; range = null; now(); } } });
  const whole = el("button", { type: "button", text: "show all", hidden: true, on: { click: () => zoom(null) } });
  const canvas = el("canvas", { "aria-hidden": "true" });
  const tip = el("div", { class: "xpm-tip", hidden: true });
  // Over the picture, so that it is not drawn again while the pointer moves.
  const mark = el("div", { class: "xpm-bar-mark", hidden: true });
  const band = el("div", { class: "xpm-bar-band", hidden: true });
  const stage = el("div", { class: "xpm-time", tabindex: 0, role: "slider", "aria-label": "timeline of jobs: arrow keys move, Enter opens", "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 }, canvas, mark, band);
  const place = el("div", { class: "xpm-plot" }, stage, tip);
  const probes = Object.fromEntries(["ok", "bad", "run", "dim", "fg", "line", "soft"].map((name) => [name, el("i", { class: "xpm-probe", "data-name": name, style: { color: name === "line" ? FAINT : `var(--xpm-${name})` } })]));
  const root = el("div", { class: "xpm-timeline" }, el("div", { class: "xpm-tools" }, mode.root, el("span", {}, hint, " ", more), el("span", { class: "xpm-group" }, whole)), place, ...Object.values(probes));
  const sizes = new ResizeObserver(() => soon());
  sizes.observe(place);

  /** What is written on a bar. @param {Row} row */
  function label(row) {
    return tagWords(store, row).join(" ") || row.id.slice(0, 8);
  }

  /** The times at the left and right side. @returns {[number, number]} */
  function span() {
    return range ?? [chart.from, chart.to + (chart.to - chart.from) * 0.03];
  }

  function geometry() {
    const width = place.clientWidth;
    const gutter = byTask && width > 560 ? Math.min(150, 24 + 7 * Math.max(0, ...chart.bands.map((band) => band.name.length))) : 0;
    const titles = byTask && !gutter ? 16 : 0; // above each band, where there is no place beside it
    const height = laneHeight(chart.lanes);
    const [from, to] = span();
    const left = gutter + 1;
    const scale = Math.max(1, width - left - 1) / (to - from);
    /** @type {number[]} */
    const tops = [];
    let y = 0;
    for (const band of chart.bands) {
      y += titles + (byTask && tops.length ? 6 : 0);
      for (let n = 0; n < band.count; n++) tops.push(y + (n % MOST_LANES) * height);
      y += Math.min(band.count, MOST_LANES) * height;
    }
    return { width, gutter, titles, height, from, to, left, tops, bottom: y, x: (/** @type {number} */ time) => left + (time - from) * scale, time: (/** @type {number} */ x) => from + (x - left) / scale };
  }

  /** @param {[number, number] | null} next */
  function zoom(next) {
    const least = Math.max(0.05, (chart.to - chart.from) / 5000);
    range = next && next[1] - next[0] > least ? next : next ? [(next[0] + next[1] - least) / 2, (next[0] + next[1] + least) / 2] : null;
    if (range && range[0] <= chart.from && range[1] >= chart.to) range = null;
    now();
  }

  /** @param {number} factor  above 1 to see less, in more detail */
  function zoomAbout(factor, time = (span()[0] + span()[1]) / 2) {
    const [from, to] = span();
    zoom([time - (time - from) / factor, time + (to - time) / factor]);
  }

  function soon() {
    if (!visible || frame || later) return;
    const wait = chart.bars.length > CALM_ROWS ? 500 - (performance.now() - drawn) : 0;
    if (wait > 0) later = window.setTimeout(() => { later = 0; now(); }, wait);
    else frame = window.requestAnimationFrame(() => { frame = 0; now(); });
  }

  function now() {
    if (!visible) return;
    drawn = performance.now();
    const id = chart.bars[pointed]?.row.id;
    chart = layTimeline(store.rows, store.now(), byTask, all);
    pointed = id ? chart.bars.findIndex((bar) => bar.row.id === id) : -1;
    tell();
    draw();
  }

  function tell() {
    const bars = chart.bars.length;
    stage.hidden = !bars;
    mode.root.hidden = store.tasks.length < 2;
    whole.hidden = !range;
    if (!bars) replaceText(hint, "no job has started yet");
    else replaceText(hint, `${plural(bars, "job")} in ${duration(chart.to - chart.from)}, ${chart.most === 1 ? "one after the other" : `up to ${chart.most.toLocaleString("en")} at once`}`);
    more.hidden = !chart.left && !all;
    replaceText(more, all ? "only this run" : `show ${chart.left.toLocaleString("en")} done before`);
    attr(stage, "aria-valuemax", Math.max(0, bars - 1));
    describe();
  }

  function describe() {
    const bar = chart.bars[pointed];
    attr(stage, "aria-valuenow", Math.max(0, pointed));
    attr(stage, "aria-valuetext", bar ? words(bar).join(", ") : `${hint.textContent}`);
  }

  /** @param {Bar} bar */
  function words({ row, from, to }) {
    const clock = (/** @type {number} */ time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });
    const state = `${MARKS[row.state]} ${row.state}${row.reason ? ` (${row.reason})` : ""}`;
    const progress = row.state === "running" && row.progress != null ? `, ${Math.floor(row.progress * 100)}%` : "";
    return [
      `${clean(row.task, 60)} ${row.id.slice(0, 8)}`,
      tagWords(store, row).slice(0, 8).join("  "),
      `${state}${progress}, ${duration(to - from)}`,
      `from ${clock(from)}${row.ended == null ? "" : ` to ${clock(to)}`}`,
    ].filter(Boolean);
  }

  function draw() {
    const g = geometry();
    if (!g.width || !chart.bars.length) return point();
    const height = g.bottom + AXIS;
    const sharp = Math.min(window.devicePixelRatio || 1, 2);
    if (canvas.width !== Math.round(g.width * sharp) || canvas.height !== Math.round(height * sharp)) {
      canvas.width = Math.round(g.width * sharp);
      canvas.height = Math.round(height * sharp);
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    if (!pen) return;
    const colours = Object.fromEntries(Object.entries(probes).map(([name, probe]) => [name, window.getComputedStyle(probe).color]));
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, g.width, height);
    pen.font = `11px ${window.getComputedStyle(root).fontFamily}`;
    pen.textBaseline = "middle";
    drawAxis(pen, g, colours, chart.from);
    drawBands(pen, g, colours, chart.bands);
    pen.save();
    pen.beginPath();
    pen.rect(g.left - 1, 0, g.width - g.left + 1, g.bottom);
    pen.clip();
    // What goes on or went wrong is drawn over what is done: among thousands it is still seen.
    for (const bar of chart.bars) if (bar.row.state === "done") drawBar(pen, g, colours, bar, label);
    for (const bar of chart.bars) if (bar.row.state !== "done") drawBar(pen, g, colours, bar, label);
    drawNow(pen, g, colours, chart.bars.some((bar) => bar.row.ended == null) ? store.now() : null);
    pen.restore();
    point();
  }

  /** Show what is chosen while the pointer is drawn over the picture. */
  function sweep() {
    band.hidden = !brush || Math.abs(brush[1] - brush[0]) <= 4;
    if (brush) setBox(band, Math.min(...brush), 0, Math.abs(brush[1] - brush[0]), geometry().bottom);
  }

  /** Show which bar is told about, and tell it. */
  function point() {
    const bar = chart.bars[pointed];
    tip.hidden = mark.hidden = !bar || Boolean(brush);
    if (!bar) return;
    const g = geometry();
    const [left, right] = [Math.max(g.left, g.x(bar.from)), Math.min(g.width - 1, g.x(bar.to))];
    const top = g.tops[bar.lane];
    mark.hidden ||= right < left;
    setBox(mark, left - 1, top - 1, Math.max(3, right - left + 2), g.height + (g.height > 4 ? 0 : 2));
    tip.replaceChildren(...words(bar).map((text, n) => el(n ? "div" : "strong", { text })));
    const x = Math.min(Math.max(0, left), Math.max(0, g.width - tip.offsetWidth));
    const below = top + g.height + 4 - stage.scrollTop;
    tip.style.transform = `translate(${x}px, ${below}px)`;
  }

  /**
   * @param {number} n
   */
  function pointAt(n) {
    if (n === pointed) return;
    pointed = n;
    describe();
    point();
  }

  /** @param {PointerEvent | MouseEvent} event */
  function under(event) {
    const g = geometry();
    const at = canvas.getBoundingClientRect();
    const y = event.clientY - at.top;
    const x = event.clientX - at.left;
    let lane = g.tops.findIndex((top) => y >= top && y < top + g.height);
    if (x < g.left) lane = -1;
    return { x, n: lane < 0 ? -1 : barAt(chart.bars, lane, g.time(x), g.time(4) - g.time(0)), g };
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch") brush = [under(event).x, under(event).x];
  });
  stage.addEventListener("pointermove", (event) => {
    const { x, n } = under(event);
    if (!brush) return pointAt(n);
    brush[1] = x;
    if (Math.abs(brush[1] - brush[0]) > 4 && !stage.hasPointerCapture(event.pointerId)) stage.setPointerCapture(event.pointerId);
    point();
    sweep();
  });
  stage.addEventListener("pointerup", (event) => {
    const [from, to] = brush ?? [0, 0];
    brush = null;
    sweep();
    const { g, n } = under(event);
    if (Math.abs(to - from) > 4) zoom([g.time(Math.min(from, to)), g.time(Math.max(from, to))]);
    else if (n >= 0) ctx.open(chart.bars[n].row.id);
  });
  stage.addEventListener("pointercancel", () => { brush = null; sweep(); });
  stage.addEventListener("pointerleave", () => { if (!brush) pointAt(-1); });
  stage.addEventListener("blur", () => pointAt(-1));
  stage.addEventListener("dblclick", () => zoom(null));
  stage.addEventListener("scroll", () => point());
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoomAbout(Math.exp(-event.deltaY * 0.004), under(event).g.time(under(event).x));
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const last = chart.bars.length - 1;
    const steps = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 20, PageUp: -20 });
    if (event.key in steps) pointAt(Math.min(last, Math.max(0, pointed + steps[event.key])));
    else if (event.key === "Home") pointAt(0);
    else if (event.key === "End") pointAt(last);
    else if (event.key === "Enter" && chart.bars[pointed]) ctx.open(chart.bars[pointed].row.id);
    else if (event.key === "+" || event.key === "=") zoomAbout(1.5);
    else if (event.key === "-") zoomAbout(1 / 1.5);
    else if (event.key === "0" || (event.key === "Escape" && range)) zoom(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
    keepInSight();
  });

  /** Move what is seen to the bar that is told about. */
  function keepInSight() {
    const bar = chart.bars[pointed];
    if (!bar) return;
    const [from, to] = span();
    const middle = (bar.from + bar.to) / 2;
    if (range && (bar.to < from || bar.from > to)) zoom([middle - (to - from) / 2, middle + (to - from) / 2]);
    const g = geometry();
    const top = g.tops[bar.lane];
    if (top < stage.scrollTop) stage.scrollTop = top;
    else if (top + g.height > stage.scrollTop + stage.clientHeight - AXIS) stage.scrollTop = top + g.height + AXIS - stage.clientHeight;
  }

  const clock = window.setInterval(() => {
    if (store.counts.running) soon();
  }, 1000);

  return {
    root,
    show() {
      visible = true;
      now();
    },
    hide() {
      visible = false;
    },
    update: soon,
    message() {},
    destroy() {
      visible = false;
      sizes.disconnect();
      window.clearInterval(clock);
      window.clearTimeout(later);
      window.cancelAnimationFrame(frame);
    },
  };
}

/**
 * @param {HTMLElement} node
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function setBox(node, x, y, width, height) {
  node.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
  node.style.width = `${width.toFixed(1)}px`;
  node.style.height = `${height.toFixed(1)}px`;
}

/** @typedef {{width: number, gutter: number, titles: number, height: number, from: number, to: number, left: number, tops: number[], bottom: number, x: (time: number) => number, time: (x: number) => number}} Geometry */
/** @typedef {Record<string, string>} Colours */

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Geometry} g
 * @param {Colours} colours
 * @param {number} start  the time that is called 0
 */
function drawAxis(pen, g, colours, start) {
  const { step, times } = timeTicks(g.from - start, g.to - start, Math.max(2, (g.width - g.left) / 90));
  pen.textAlign = "left";
  for (const time of times) {
    const x = Math.round(g.x(time + start)) + 0.5;
    if (x < g.left - 1) continue;
    pen.fillStyle = colours.line;
    pen.fillRect(x - 0.5, 0, 1, g.bottom + 5);
    const text = timeText(time, step);
    pen.fillStyle = colours.dim;
    if (x + 3 + pen.measureText(text).width < g.width) pen.fillText(text, x + 3, g.bottom + 12);
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Geometry} g
 * @param {Colours} colours
 * @param {Band[]} bands
 */
function drawBands(pen, g, colours, bands) {
  for (const band of bands) {
    const top = g.tops[band.first];
    if (!band.name) continue;
    pen.fillStyle = colours.line;
    if (band.first) pen.fillRect(0, top - g.titles - 3.5, g.width, 1);
    pen.fillStyle = colours.fg;
    pen.textAlign = "left";
    const middle = g.titles ? top - g.titles / 2 : top + Math.min(g.height / 2, 10);
    pen.fillText(clean(band.name, g.gutter ? Math.floor((g.gutter - 8) / 6.5) : 60), 0, middle);
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Geometry} g
 * @param {Colours} colours
 * @param {Bar} bar
 * @param {(row: Row) => string} label
 */
function drawBar(pen, g, colours, { row, from, to, lane }, label) {
  const left = g.x(from);
  const right = Math.max(left + 1, g.x(to) - (g.x(to) - left > 4 ? 1 : 0)); // a gap to the next
  if (right < g.left || left > g.width) return;
  const top = g.tops[lane];
  const high = g.height > 4 ? g.height - 2 : g.height > 2 ? g.height - 1 : g.height;
  const colour = row.state === "error" ? colours.bad : row.state === "running" ? colours.run : colours.ok;
  pen.fillStyle = colour;
  const small = high < 8 || right - left < 6;
  pen.globalAlpha = !small ? 0.32 : row.state === "done" ? 0.5 : 0.9;
  pen.fillRect(left, top, right - left, high);
  pen.globalAlpha = 1;
  if (small) return;
  pen.fillRect(left, top, 2, high);
  const seen = Math.max(left, g.left);
  if (high < 12 || right - seen < 40) return;
  pen.save();
  pen.beginPath();
  pen.rect(seen, top, right - seen - 3, high);
  pen.clip();
  pen.fillStyle = colours.fg;
  pen.textAlign = "left";
  pen.fillText(`${MARKS[row.state]} ${label(row)}`, seen + 6, top + high / 2 + 0.5);
  pen.restore();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Geometry} g
 * @param {Colours} colours
 * @param {number | null} now
 */
function drawNow(pen, g, colours, now) {
  if (now == null) return;
  pen.fillStyle = colours.run;
  pen.fillRect(Math.round(g.x(now)), 0, 1, g.bottom);
}
