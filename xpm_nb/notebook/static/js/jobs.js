// @ts-check
// The grid of jobs: only the rows that are seen exist, and only cells that differ are written.
// Rule: order and selection go by identifier and place of the row, never by elements.

import { MARKS, STATES, clean, decimals, duration, memory, number, plural, processors } from "./format.js";
import { attr, el, replaceText } from "./dom.js";
import { elapsed } from "./store.js";

/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {{states: Set<string>, task: string, text: string}} Filter */
/** @typedef {{key: string, down: boolean}} Sorting */
/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {boolean} num  figures: to the right
 * @property {number} chars  how wide, in digits; 0 for what is left
 * @property {number} [least]  of one that takes what is left: em
 * @property {number} [decimals]  of figures that are to be compared
 * @property {number} [figure]  digits that the longest of them needs
 * @property {(row: Row, now: number) => number | string | null} value  what it is sorted by
 * @property {(row: Row, now: number) => string} text
 */

export const ROW_PX = 28;
const SEEN = 12; // rows that are seen at once of a long list; a short one is shown whole
const WHOLE = 16;
const SPARE = 1; // rows kept ready above and below what is seen
const NARROW_PX = 620; // below it, columns are left out; above, the grid scrolls
const TIGHT_PX = 1200; // below it, long words give way to the columns behind them
const SHORT_NEWS = 26; // letters: the column with the news of jobs that are over need not take all the space
const FIGURE = 10.5; // digits: what a figure needs; its heading may be cut
const MARK = 4.5; // digits: the mark before a state, and the space around it
const METER_EM = 9; // in less, the line that says how far a job is stands alone
const MAX_TAGS = 8;
const MAX_METRICS = 6;
const REORDER_MS = 1000; // rows that move while one reads are no help

/** What is said of a job in error. @type {Record<string, string>} */
const REASONS = { dependency: "blocked", memory: "out of memory", timeout: "timed out" };

// -- pure: what is shown, in which order ----------------------------------------------------------

/**
 * The state of a job in a word; of an error, its reason.
 * @param {Row} row
 */
export function stateText(row) {
  return row.state === "error" && row.reason ? (REASONS[row.reason] ?? clean(row.reason, 20)) : row.state;
}

/**
 * What is special about a job.
 * @param {Row} row
 */
export function asides(row) {
  const some = [row.source, row.stale, row.drift, row.attempt > 1 && `attempt ${row.attempt}`, row.reused && "reused", row.elsewhere && "elsewhere", row.earlier && "earlier run", row.callbackError && "callback failed"];
  return some.filter(Boolean).join(" · ");
}

/**
 * What the kernel says of a job, "" where that is said already ("cancelled").
 * @param {Row} row
 * @param {string} [message]  all of it
 */
export function remark(row, message = row.message) {
  return message === row.reason ? "" : message.trim();
}

/**
 * What happens with a job just now: its progress, what went wrong or what it waits for.
 * @param {Row} row
 */
export function newsText(row) {
  let progress = "";
  if (row.state === "running") progress = row.ptext ? clean(row.ptext, 120) : row.progress == null ? "" : `${Math.floor(row.progress * 100)}%`;
  return [progress, clean(remark(row).split("\n")[0], 200), asides(row)].filter(Boolean).join(" · ");
}

/**
 * Words, and conditions on tags and metrics: `lr=0.1`, `loss<0.5`, `name="two words"`.
 * @param {string} text
 * @returns {{words: string[], conditions: {name: string, op: string, value: string}[]}}
 */
export function parseQuery(text) {
  const words = [];
  const conditions = [];
  for (const match of text.matchAll(/([^\s=<>"]+)([=<>])(?:"([^"]*)"?|(\S*))|"([^"]*)"?|(\S+)/g)) {
    if (match[2]) conditions.push({ name: match[1].toLowerCase(), op: match[2], value: (match[3] ?? match[4]).toLowerCase() });
    else words.push((match[5] ?? match[6]).toLowerCase());
  }
  return { words: words.filter(Boolean), conditions };
}

/**
 * Make the test that says whether a row is wanted.
 * @param {Filter} filter
 * @param {Store} store
 * @returns {(row: Row) => boolean}
 */
export function matcher(filter, store) {
  const { words, conditions } = parseQuery(filter.text);
  const tests = conditions.map(({ name, op, value }) => {
    const tag = store.tagNames.find((known) => known.toLowerCase() === name);
    const metric = store.metricNames.find((known) => known.toLowerCase() === name);
    const whole = tag !== undefined && (store.tagValues.get(tag) ?? []).some((known) => known.toLowerCase() === value);
    const limit = Number(value);
    return (/** @type {Row} */ row) => {
      const text = tag !== undefined ? row.tags[tag]?.toLowerCase() : metric !== undefined ? String(row.metrics[metric] ?? "") : name === "task" ? row.task.toLowerCase() : name === "state" ? row.state : undefined;
      if (text === undefined || text === "") return false;
      if (op === "=") return whole ? text === value : text.startsWith(value); // while it is typed
      if (value === "") return true;
      return op === "<" ? Number(text) < limit : Number(text) > limit;
    };
  });
  return (row) => {
    if (filter.states.size && !filter.states.has(row.state)) return false;
    if (filter.task && row.task !== filter.task) return false;
    if (!tests.every((test) => test(row))) return false;
    if (!words.length) return true;
    let text = `${row.task} ${row.id} ${row.state} ${row.reason} ${row.message} ${row.ptext}`;
    for (const name in row.tags) text += ` ${name}=${row.tags[name]}`;
    text = text.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/**
 * Which rows are shown, in which order: numbers of rows.
 * @param {Store} store
 * @param {Filter} filter
 * @param {Column | undefined} column  what to sort by; without: as they were submitted
 * @param {boolean} down
 * @returns {number[]}
 */
export function orderRows(store, filter, column, down) {
  const wanted = matcher(filter, store);
  const rows = store.rows.filter(wanted);
  if (!column) return rows.map((row) => row.i);
  const now = store.now();
  const keyed = rows.map((row) => ({ i: row.i, value: column.value(row, now) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.value === b.value) return a.i - b.i;
    if (a.value === null) return 1; // nothing is last, in both directions
    if (b.value === null) return -1;
    if (typeof a.value === "number" && typeof b.value === "number") return sign * (a.value - b.value);
    return sign * String(a.value).localeCompare(String(b.value), undefined, { numeric: true }) || a.i - b.i;
  });
  return keyed.map((item) => item.i);
}

/**
 * The columns that have something to say; where it is narrow, those that matter most.
 * @param {Store} store
 * @param {number} width  pixels, 0 if not known yet
 * @param {boolean} [usage]  with what running jobs use
 * @param {number} [digit]  how wide a digit is
 * @returns {Column[]}
 */
export function columnsOf(store, width, usage = false, digit = 8) {
  const longest = store.tasks.reduce((most, task) => Math.max(most, clean(task, 28).length), 3);
  /** @type {Column[]} */
  const columns = [
    { key: "job", title: "job", num: false, chars: longest + 9.5, value: (row) => row.task, text: (row) => clean(row.task, 28) },
    { key: "state", title: "state", num: false, chars: 9 + MARK, value: (row) => STATES.indexOf(row.state), text: stateText },
    ...store.tagNames.filter((name) => varies(store, name)).slice(0, MAX_TAGS).map((name) => tagColumn(store, name)),
    { key: "progress", title: "progress", num: false, chars: newsChars(store), least: asideEm(store), value: (row) => row.progress ?? null, text: newsText },
  ];
  for (const name of store.metricNames.slice(0, MAX_METRICS)) {
    const chars = Math.min(Math.max(clean(name, 16).length, 8.5), 14) + 2;
    const value = (/** @type {Row} */ row) => row.metrics[name] ?? null;
    /** @type {Column} */
    const column = { key: `metric:${name}`, title: name, num: true, chars, decimals: 0, value, text: (row) => number(value(row), column.decimals) };
    columns.push(column);
  }
  widen(columns, store.rows);
  for (const column of columns) column.chars = Math.max(column.chars, column.figure ?? 0);
  if (store.rows.some((row) => row.started != null)) {
    columns.push({ key: "time", title: "time", num: true, chars: 11, value: elapsed, text: (row, now) => duration(elapsed(row, now)) });
  }
  if (usage) {
    columns.push({ key: "cpu", title: "cpu", num: true, chars: 5, value: (row) => row.cpu, text: (row) => processors(row.cpu) });
    columns.push({ key: "memory", title: "memory", num: true, chars: 9, value: (row) => row.memory, text: (row) => memory(row.memory) });
  }
  if (width && width < NARROW_PX) return fitted(columns, width, digit, store);
  // Once all is over and went well, an empty column would only take the space of figures.
  const silent = store.finished && store.rows.length > 0 && !store.rows.some(newsText);
  const told = silent ? columns.filter((column) => column.key !== "progress") : columns;
  if (width) squeeze(told, width, digit);
  return told;
}

/**
 * Give states the space, and figures the decimals and the digits, that these rows need, too; tell
 * whether that is more than before. (There is less only when all columns are new: where one reads,
 * nothing jumps to and fro.)
 * @param {Column[]} columns
 * @param {Row[]} rows
 */
export function widen(columns, rows) {
  let more = false;
  for (const column of columns) {
    if (column.key === "state") {
      const words = rows.reduce((most, row) => (row.reason ? Math.max(most, stateText(row).length) : most), 0);
      more ||= words + MARK > column.chars;
      column.chars = Math.max(column.chars, words + MARK);
    }
    if (column.decimals === undefined) continue;
    const { decimals: before, figure = FIGURE } = column;
    for (const row of rows) {
      if (column.decimals === Infinity) break;
      column.decimals = Math.max(column.decimals, decimals(row.metrics[column.title]));
    }
    column.figure = rows.reduce((most, row) => Math.max(most, column.text(row, 0).length + 2.5), figure);
    more ||= column.decimals > before || column.figure > figure;
  }
  return more;
}

/**
 * Tell whether rows that changed need other columns. (What comes after the end, such as a callback that
 * failed or a result that is stale by now, may find that there is no column for news any more.)
 * @param {Column[]} columns
 * @param {Row[]} rows
 */
export function outgrown(columns, rows) {
  const has = (/** @type {string} */ key) => columns.find((column) => column.key === key);
  const room = has("progress")?.chars ?? 2; // 0: as much as there is
  const untold = room > 0 && rows.some((row) => newsText(row).length + 2 > room);
  const begun = !has("time") && rows.some((row) => row.started != null);
  return widen(columns, rows) || untold || begun;
}

/**
 * How wide the news have to be: 0 for as wide as can be, while there is more to come or much to read.
 * @param {Store} store
 */
function newsChars(store) {
  if (!store.finished) return 0;
  let most = 8;
  for (const row of store.rows) {
    most = Math.max(most, newsText(row).length);
    if (most > SHORT_NEWS) return 0;
  }
  return most + 2;
}

/**
 * How wide the news are at least: short remarks, such as that the environment has changed, are whole.
 * @param {Store} store
 */
function asideEm(store) {
  const most = store.rows.reduce((found, row) => Math.max(found, asides(row).length), 0);
  return Math.min(15, Math.max(11, 0.58 * most + 1.6));
}

/**
 * Take from long names and words what the columns behind them need to be seen.
 * @param {Column[]} columns
 * @param {number} width
 * @param {number} digit
 */
function squeeze(columns, width, digit) {
  const least = (/** @type {Column} */ column) => (column.chars ? digit * column.chars : 13 * (column.least ?? 0));
  let over = columns.reduce((sum, column) => sum + least(column), 0) - width;
  const figures = columns.filter((column) => column.key.startsWith("metric:"));
  for (const column of [...figures, ...columns.filter((one) => !figures.includes(one))]) {
    if (over <= 0) return;
    const before = least(column);
    if (!column.chars) column.least = Math.max(6, (column.least ?? 0) - over / 13);
    else if (column.key.startsWith("tag:") && !column.num && column.chars > 10) column.chars = Math.max(10, Math.floor(column.chars - over / digit));
    else if (column.figure && column.chars > column.figure) column.chars = Math.max(column.figure, Math.floor(column.chars - over / digit));
    over -= before - least(column);
  }
}

/**
 * The tags of a job that are not the same in all, in a line.
 * @param {Store} store
 * @param {Row} row
 */
export function tagsText(store, row) {
  const names = store.tagNames.filter((name) => row.tags[name] !== undefined && varies(store, name));
  return names.map((name) => `${clean(name, 30)}=${clean(row.tags[name], 40)}`).join(" ");
}

/**
 * What may stand in the filter, with a tag and a metric that there are.
 * @param {Store} store
 */
export function filterHint(store) {
  const plain = (/** @type {string | undefined} */ word) => word !== undefined && /^[^\s=<>"]{1,12}$/.test(word);
  const tag = store.tagNames.find((name) => plain(name) && varies(store, name) && plain(store.tagValues.get(name)?.[0]));
  const metric = store.metricNames.find(plain);
  const examples = [tag && `${tag}=${store.tagValues.get(tag)?.[0]}`, metric && `${metric}<0.5`].filter(Boolean);
  return examples.length ? `filter: ${["text", ...examples].map((word) => clean(word, 30)).join(", ")}` : "filter";
}

/**
 * @param {Store} store
 * @param {string} name
 * @returns {Column}
 */
function tagColumn(store, name) {
  const values = store.tagValues.get(name) ?? [];
  const num = values.every((value) => value.trim() !== "" && Number.isFinite(Number(value)));
  const chars = values.reduce((most, value) => Math.max(most, value.length), clean(name, 16).length);
  return {
    key: `tag:${name}`,
    title: name,
    num,
    // A letter may be wider than a digit, which is what is counted in.
    chars: Math.min(num ? chars : Math.ceil(chars * 1.2), 20) + 2.5,
    value: (row) => (row.tags[name] === undefined ? null : num ? Number(row.tags[name]) : row.tags[name]),
    text: (row) => clean(row.tags[name], 80),
  };
}

/**
 * As many columns as there is space for, in their order: what a job is and how it stands first.
 * @param {Column[]} columns
 * @param {number} width
 * @param {number} digit
 * @param {Store} store
 */
function fitted(columns, width, digit, store) {
  const rank = (/** @type {Column} */ column) => ["job", "state", "progress", "time", "metric", "tag", "cpu", "memory"].indexOf(column.key.split(":")[0]);
  const kept = new Set();
  let left = width;
  columns[0].chars = Math.min(columns[0].chars, 20);
  for (const column of columns) if (column.key === "progress") Object.assign(column, { chars: 0, least: 4 });
  for (const column of [...columns].sort((a, b) => rank(a) - rank(b))) {
    left -= column.chars ? digit * column.chars : 64;
    if (left < 0 && kept.size > 2) break;
    kept.add(column);
  }
  // Tags that have no column stand where there is no news: rows differ by more than an identifier.
  const news = columns.find((column) => column.key === "progress" && kept.has(column));
  if (news && columns.some((column) => column.key.startsWith("tag:") && !kept.has(column))) {
    news.text = (row) => newsText(row) || tagsText(store, row);
  }
  return columns.filter((column) => kept.has(column));
}

/**
 * @param {Store} store
 * @param {string} name
 */
function varies(store, name) {
  const values = store.tagValues.get(name) ?? [];
  return values.length > 1 || (values.length === 1 && store.rows.some((row) => row.tags[name] === undefined));
}

/**
 * Which part of a long list exists: from (with) and to (without).
 * @param {number} top  how far it is scrolled
 * @param {number} height  of what is seen
 * @param {number} count
 * @returns {[number, number]}
 */
export function windowOf(top, height, count) {
  const from = Math.max(0, Math.floor(top / ROW_PX) - SPARE);
  return [Math.min(from, count), Math.min(count, Math.ceil((top + height) / ROW_PX) + SPARE)];
}

// -- the page -------------------------------------------------------------------------------------

/** @typedef {{node: HTMLElement, cells: HTMLElement[], id: HTMLElement, i: number}} Line */

/**
 * @param {object} parts
 * @param {Store} parts.store
 * @param {string} parts.uid  for identifiers of elements
 * @param {(id: string) => void} parts.open
 * @param {(ids: string[]) => void} parts.selected  the selection is another one
 * @param {(filter: Filter) => void} parts.filtered  the filter is another one
 * @param {(act: string, ids: string[]) => void} parts.act
 */
export function createJobsTab({ store, uid, open, selected, filtered, act }) {
  /** @type {Filter} */
  const filter = { states: new Set(), task: "", text: "" };
  /** @type {Sorting} */
  const sorting = { key: "", down: false };
  /** @type {Set<string>} */
  const selection = new Set();
  /** @type {Column[]} */
  let columns = [];
  /** @type {number[]} */
  let order = [];
  /** @type {Map<number, number>} */
  let places = new Map();
  /** @type {Line[]} */
  let lines = [];
  let active = "";
  let anchor = "";
  let shown = "";
  let width = 0;
  let height = 0;
  let digit = 8;
  let orderTimer = 0;
  let over = false; // no news are to come
  let usage = false; // what running jobs use has been told
  let away = true; // another tab is looked at
  let stale = false; // and there is news for when it comes back

  const search = el("input", { type: "search", class: "xpm-search", placeholder: "filter", "aria-label": "filter jobs: text, tag=value, metric<number", spellcheck: "false", autocomplete: "off" });
  const tasks = el("select", { class: "xpm-tasks", "aria-label": "task" });
  const count = el("span", { class: "xpm-dim xpm-nowrap" });
  const all = el("button", { type: "button", class: "xpm-quiet", "data-act": "select-all", text: "select all" });
  const clear = el("button", { type: "button", class: "xpm-quiet", "data-act": "clear", text: "clear" });
  const bar = el("div", { class: "xpm-tools" }, search, tasks, count, all, clear);
  const head = el("div", { role: "row", class: "xpm-row xpm-head-row", "aria-rowindex": 1 });
  const body = el("div", { role: "rowgroup", class: "xpm-rows" });
  const probe = el("div", { class: "xpm-ruler", "aria-hidden": "true" });
  const grid = el("div", { role: "grid", class: "xpm-grid", tabindex: 0, "aria-label": "jobs", "aria-multiselectable": "true" }, el("div", { role: "rowgroup", class: "xpm-head-group" }, head), body);
  const empty = el("p", { class: "xpm-empty" });
  const root = el("div", { class: "xpm-jobs" }, bar, grid, empty, probe);

  search.addEventListener("input", () => setFilter({ text: search.value }));
  tasks.addEventListener("change", () => setFilter({ task: tasks.value }));
  all.addEventListener("click", selectAll);
  clear.addEventListener("click", () => setFilter({ text: "", task: "", states: new Set() }));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (search.value) setFilter({ text: "" });
      else grid.focus();
    } else if (event.key === "ArrowDown" || event.key === "Enter") grid.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  grid.addEventListener("scroll", () => draw(null), { passive: true });
  grid.addEventListener("keydown", key);
  grid.addEventListener("focus", () => {
    if (!active && order.length) active = store.rows[order[0]].id;
    draw(null);
  });
  body.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
  body.addEventListener("click", click);
  const watcher = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(measure);
  watcher?.observe(grid);

  /** Look how much space there is. */
  function measure() {
    const now = grid.clientWidth;
    if (!now) return; // not on the page just now
    const before = digit;
    digit = probe.offsetWidth / 20 || digit;
    const other = digit !== before || (width !== now && Math.min(width, now) < TIGHT_PX);
    width = now;
    if (other || !columns.length) structure();
    else draw(null);
  }

  /** Columns or rows are new. */
  function structure() {
    stale = false;
    for (const id of selection) if (!store.byId(id)) selection.delete(id);
    columns = columnsOf(store, width, usage, digit);
    if (!columns.some((column) => column.key === sorting.key)) sorting.key = "";
    attr(search, "placeholder", filterHint(store));
    over = store.finished;
    const keys = columns.map((column) => `${column.key} ${column.chars} ${column.least ?? ""}`).join("\n");
    if (keys !== shown) {
      shown = keys;
      // All rows are as wide as that: what is behind an edge belongs to a row as well.
      root.style.setProperty("--xpm-least", `calc(${columns.map((column) => (column.chars ? `${column.chars}ch` : `${(column.least ?? 4).toFixed(1)}em`)).join(" + ")})`);
      root.style.setProperty("--xpm-columns", columns.map((column) => (column.chars ? `${column.chars}ch` : `minmax(${(column.least ?? 4).toFixed(1)}em, 1fr)`)).join(" "));
      const news = columns.find((column) => column.key === "progress" && !column.chars);
      attr(root, "data-tight", Boolean(news) && (news?.least ?? 0) < METER_EM);
      head.replaceChildren(...columns.map(heading));
      attr(grid, "aria-colcount", columns.length);
      body.replaceChildren();
      lines = [];
    }
    const names = [...new Set(store.tasks)];
    if (tasks.options.length !== names.length + 1) {
      tasks.replaceChildren(el("option", { value: "", text: "all tasks" }), ...names.map((name) => el("option", { value: name, text: clean(name, 40) })));
      tasks.value = filter.task;
      tasks.hidden = names.length < 2;
    }
    reorder();
  }

  /**
   * @param {Column} column
   * @param {number} n
   */
  function heading(column, n) {
    const button = el("button", { type: "button", tabindex: n ? -1 : 0, title: `sort by ${clean(column.title, 80)}`, text: clean(column.title, 24) });
    button.addEventListener("click", () => {
      if (sorting.key !== column.key) Object.assign(sorting, { key: column.key, down: false });
      else if (!sorting.down) sorting.down = true;
      else Object.assign(sorting, { key: "", down: false });
      reorder();
    });
    button.addEventListener("keydown", (event) => {
      const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      const buttons = head.querySelectorAll("button");
      const next = buttons[n + step];
      if (event.key === "ArrowDown") grid.focus();
      else if (step && next) {
        buttons.forEach((other) => attr(other, "tabindex", other === next ? 0 : -1));
        next.focus();
      } else {
        if (event.key !== "Escape") event.stopPropagation();
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
    return el("div", { role: "columnheader", class: column.num ? "xpm-num" : null, "data-key": column.key }, button);
  }

  function reorder() {
    window.clearTimeout(orderTimer);
    orderTimer = 0;
    const column = columns.find((one) => one.key === sorting.key);
    order = orderRows(store, filter, column, sorting.down);
    places = new Map(order.map((i, place) => [i, place]));
    columns.forEach((one, n) => attr(head.children[n], "aria-sort", one !== column ? null : sorting.down ? "descending" : "ascending"));
    const total = store.rows.length;
    const whole = order.length <= WHOLE;
    body.style.height = `${order.length * ROW_PX}px`;
    grid.style.maxHeight = whole ? "none" : `${(SEEN + 1.5) * ROW_PX}px`;
    grid.hidden = !order.length;
    empty.hidden = order.length > 0;
    replaceText(empty, total ? "No job is like that." : "No jobs yet: they appear here when they are submitted.");
    attr(grid, "aria-rowcount", order.length + 1);
    const some = order.length < total;
    replaceText(count, some ? `${order.length.toLocaleString("en")} of ${plural(total, "job")}` : "");
    clear.hidden = !some && !filter.text && !filter.task && !filter.states.size;
    drawTools();
    bar.hidden = total < 2;
    draw(null);
  }

  /**
   * Write the rows that are seen.
   * @param {Set<number> | null} changed  null for all
   */
  function draw(changed) {
    const inner = grid.clientHeight - ROW_PX;
    if (grid.clientHeight) height = order.length <= WHOLE ? order.length * ROW_PX : inner;
    const [from, to] = windowOf(order.length <= WHOLE ? 0 : grid.scrollTop, Math.max(height, ROW_PX), order.length);
    const need = Math.min(to - from, order.length);
    // One line for each place modulo their number: what stays in sight stays where it is.
    if (lines.length < need) {
      lines.push(...Array.from({ length: need - lines.length }, (_, n) => line(lines.length + n)));
      body.append(...lines.map((one) => one.node).filter((node) => !node.parentNode));
      changed = null;
    }
    const now = store.now();
    lines.forEach((one, n) => {
      const place = from + ((((n - from) % lines.length) + lines.length) % lines.length);
      const i = place < to ? order[place] : undefined;
      one.node.hidden = i === undefined;
      if (i === undefined) {
        one.i = -1;
        attr(one.node, "data-id", null);
        return;
      }
      if (one.i !== i || !changed || changed.has(i)) write(one, store.rows[i], place, now);
    });
    const at = lines.find((one) => one.i >= 0 && store.rows[one.i].id === active);
    attr(grid, "aria-activedescendant", at ? at.node.id : null);
  }

  /** @param {number} n */
  function line(n) {
    const id = el("span", { class: "xpm-id" });
    const cells = columns.map((column) => el("div", { role: "gridcell", class: column.num ? "xpm-num" : null, "data-key": column.key.split(":")[0] }));
    cells[0].append("", id);
    return { node: el("div", { role: "row", class: "xpm-row", id: `${uid}-row-${n}` }, cells), cells, id, i: -1 };
  }

  /**
   * @param {Line} one
   * @param {Row} row
   * @param {number} place
   * @param {number} now
   */
  function write(one, row, place, now) {
    const { node, cells } = one;
    if (one.i !== row.i) {
      one.i = row.i;
      attr(node, "data-id", row.id);
      replaceText(one.id, clean(row.id, 12).slice(0, 8));
      attr(cells[0], "title", [clean(row.task, 80), tagsText(store, row)].filter(Boolean).join(" · "));
    }
    const top = `${place * ROW_PX}px`;
    if (node.style.top !== top) node.style.top = top;
    attr(node, "aria-rowindex", place + 2);
    attr(node, "data-state", row.state);
    attr(node, "aria-selected", selection.has(row.id) ? "true" : "false");
    node.classList.toggle("xpm-active", row.id === active);
    columns.forEach((column, n) => {
      const text = column.text(row, now);
      const cell = cells[n];
      if (n === 0) {
        const first = /** @type {Text} */ (cell.firstChild);
        if (first.data !== `${text} `) first.data = `${text} `;
        return;
      }
      if (cell.textContent !== text) {
        cell.textContent = text;
        attr(cell, "title", text.length > column.chars && !column.num ? text : null);
      }
      if (column.key === "state") attr(cell, "data-mark", MARKS[row.state]);
      else if (column.key === "progress") meter(cell, row);
    });
  }

  /**
   * The thin line that says how far a running job is.
   * @param {HTMLElement} cell
   * @param {Row} row
   */
  function meter(cell, row) {
    const on = row.state === "running" && row.progress != null;
    attr(cell, "data-meter", on);
    const share = on ? `${(Math.min(1, Math.max(0, row.progress ?? 0)) * 100).toFixed(1)}%` : "";
    if (cell.style.getPropertyValue("--xpm-share") !== share) cell.style.setProperty("--xpm-share", share);
  }

  // -- the user -----------------------------------------------------------------------------------

  /** @param {Partial<Filter>} change */
  function setFilter(change) {
    Object.assign(filter, change);
    if (search.value !== filter.text) search.value = filter.text;
    if (tasks.value !== filter.task) tasks.value = filter.task;
    grid.scrollTop = 0;
    reorder();
    // An act must not reach rows that were filtered away and are not seen.
    const before = selection.size;
    for (const id of selection) if (placeOf(id) < 0) selection.delete(id);
    if (selection.size < before) tell();
    filtered(filter);
  }

  function drawTools() {
    all.hidden = selection.size === order.length || !(selection.size || order.length < store.rows.length);
  }

  function selectAll() {
    selection.clear();
    for (const i of order) selection.add(store.rows[i].id);
    tell();
  }

  function tell() {
    draw(null);
    drawTools();
    selected([...selection]);
  }

  /** @param {string} id */
  function placeOf(id) {
    const row = store.byId(id);
    return (row && places.get(row.i)) ?? -1;
  }

  /**
   * Select from the anchor to a row.
   * @param {string} id
   */
  function selectTo(id) {
    const from = placeOf(anchor);
    const to = placeOf(id);
    if (from < 0 || to < 0) return select(id);
    selection.clear();
    for (let place = Math.min(from, to); place <= Math.max(from, to); place++) selection.add(store.rows[order[place]].id);
    tell();
  }

  /**
   * Select one row, and no other.
   * @param {string} id
   */
  function select(id) {
    selection.clear();
    selection.add(id);
    active = anchor = id;
    tell();
  }

  /** @param {string} id */
  function toggle(id) {
    if (!selection.delete(id)) selection.add(id);
    active = anchor = id;
    tell();
  }

  /** @param {MouseEvent} event */
  function click(event) {
    const node = /** @type {Element} */ (event.target).closest("[data-id]");
    const id = node?.getAttribute("data-id");
    if (!id) return;
    grid.focus({ preventScroll: true });
    if (event.shiftKey) selectTo(id);
    else if (event.ctrlKey || event.metaKey) toggle(id);
    else {
      select(id);
      open(id);
    }
  }

  /** What an act by key is for: the selection, if the active row is one of it. */
  function meant() {
    return selection.has(active) || !active ? [...selection] : [active];
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.target !== grid) return;
    const page = Math.max(1, Math.floor(height / ROW_PX) - 1);
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity });
    const control = event.ctrlKey || event.metaKey;
    if (event.key in steps && order.length) {
      const last = order.length - 1;
      const next = Math.min(last, Math.max(0, placeOf(active) + steps[event.key]));
      if (event.shiftKey && !anchor) anchor = active;
      active = store.rows[order[next]].id;
      reveal(next);
      if (event.shiftKey) selectTo(active);
      else draw(null);
      if (!event.shiftKey) moved(active);
    } else if (control && event.key.toLowerCase() === "a") selectAll();
    else if (control || event.altKey) return;
    else if (event.key === " " && active) toggle(active);
    else if (event.key === "Enter" && active) {
      select(active);
      open(active);
    } else if (event.key === "Delete") act("cancel", meant());
    else if (event.key.toLowerCase() === "r") act("retry", meant());
    else if (event.key === "Escape" && selection.size) {
      selection.clear();
      tell();
      return; // and whoever else has something to close
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @type {(id: string) => void} */
  let moved = () => {};

  /** @param {number} place */
  function reveal(place) {
    const top = place * ROW_PX;
    const seen = grid.clientHeight - ROW_PX;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW_PX > grid.scrollTop + seen) grid.scrollTop = top + ROW_PX - seen;
  }

  return {
    root,
    grid,
    search,
    filter,
    setFilter,
    show() {
      away = false;
      measure();
      if (stale || !columns.length) structure();
      else draw(null);
    },
    hide() {
      away = true;
    },
    /**
     * @param {Set<number> | null} changed
     * @param {boolean} [anew]  rows or columns are new
     */
    update(changed, anew = changed === null) {
      if (away) {
        stale = true;
        return;
      }
      const used = store.counts.running > 0 && (usage || store.rows.some((row) => row.cpu != null));
      const other = changed !== null && outgrown(columns, [...changed].map((i) => store.rows[i]));
      if (anew || other || used !== usage || over !== store.finished || !columns.length) {
        usage = used;
        structure();
        return;
      }
      draw(changed);
      if ((sorting.key || filter.states.size || filter.text) && !orderTimer) orderTimer = window.setTimeout(reorder, REORDER_MS);
    },
    /** Once a second: the times of the rows that are seen. */
    tick() {
      const n = columns.findIndex((column) => column.key === "time");
      const now = store.now();
      if (n < 0) return;
      for (const one of lines) {
        if (one.i >= 0 && store.rows[one.i].state === "running") replaceText(one.cells[n], columns[n].text(store.rows[one.i], now));
      }
    },
    /** @param {string} id */
    pick(id) {
      if (stale) structure();
      if (placeOf(id) < 0 && store.byId(id)) setFilter({ text: "", task: "", states: new Set() });
      select(id);
      const place = placeOf(id);
      if (place >= 0) reveal(place);
      draw(null);
    },
    selection: () => [...selection],
    unselect() {
      selection.clear();
      tell();
    },
    /** @param {(id: string) => void} listener  told when the keys go to another row */
    onMove(listener) {
      moved = listener;
    },
    destroy() {
      window.clearTimeout(orderTimer);
      watcher?.disconnect();
    },
  };
}
