// @ts-check
// The results tab: one row a job, or one for each combination of tags over which it is averaged.
// The kernel makes the table; here it is sorted, copied, and leads to the jobs.

import { attr, copy, el, replaceText } from "./dom.js";
import { clean, MARKS, plural } from "./format.js";

/** @typedef {import("./graph.js").TabContext} TabContext */
/** @typedef {import("./graph.js").Tab} Tab */

/** @typedef {{columns: string[], rows: string[][], numeric: boolean[], keys: string[], caption: string, best: [number, number][], hidden: [string, string][]}} Table */
/** @typedef {{column: number, down: boolean}} Order */

const FIRST_ROWS = 200; // until more are asked for
const MOST_ROWS = 2000;

// -- pure parts ---------------------------------------------------------------------------------

/**
 * The figure in a cell: "0.913 ± 0.02 (3)" is 0.913; NaN for none.
 * @param {string} text
 */
export function figure(text) {
  return Number.parseFloat(String(text ?? "").replace("−", "-").replace(/(?<=\d),(?=\d{3})/g, ""));
}

/**
 * In which order to show rows: their numbers. Empty cells come last, whatever the direction.
 * @param {Table} table
 * @param {Order | null} order  null for that of the kernel
 * @returns {number[]}
 */
export function sortedRows(table, order) {
  const rows = table.rows.map((_row, n) => n);
  if (!order) return rows;
  const { column, down } = order;
  const sign = down ? -1 : 1;
  const cell = (/** @type {number} */ n) => table.rows[n][column] ?? "";
  const compare = table.numeric[column]
    ? (/** @type {number} */ a, /** @type {number} */ b) => sign * (figure(cell(a)) - figure(cell(b)))
    : (/** @type {number} */ a, /** @type {number} */ b) => sign * (Number(cell(a)) - Number(cell(b)) || cell(a).localeCompare(cell(b), "en", { numeric: true }));
  const empty = (/** @type {number} */ n) => (table.numeric[column] ? Number.isNaN(figure(cell(n))) : cell(n) === "");
  return rows.sort((a, b) => Number(empty(a)) - Number(empty(b)) || (empty(a) ? 0 : compare(a, b)) || a - b);
}

/**
 * The table for a spreadsheet.
 * @param {Table} table
 * @param {number[]} rows
 */
export function toTsv(table, rows) {
  const line = (/** @type {string[]} */ cells) => cells.map((cell) => cell.replace(/[\t\r\n]+/g, " ")).join("\t");
  return [table.columns, ...rows.map((n) => table.rows[n])].map(line).join("\n");
}

/**
 * The table for a text: what is best is bold.
 * @param {Table} table
 * @param {number[]} rows
 */
export function toMarkdown(table, rows) {
  const best = new Set(table.best.map(([row, column]) => `${row},${column}`));
  const safe = (/** @type {string} */ text) => text.replace(/[\r\n]+/g, " ").replace(/[\\|<>*_`[\]]/g, "\\$&");
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(" | ")} |`;
  const bold = (/** @type {string} */ text, /** @type {boolean} */ on) => (on && text ? `**${text}**` : text);
  return [
    line(table.columns.map(safe)),
    line(table.columns.map((_name, n) => (table.numeric[n] ? "---:" : "---"))),
    ...rows.map((n) => line(table.rows[n].map((cell, c) => bold(safe(cell), best.has(`${n},${c}`))))),
  ].join("\n");
}

/**
 * What stands for a job in messages, from its key.
 * @param {string | undefined} key
 */
export function idOf(key) {
  return (key ?? "").replace(/^.*\//, "").slice(0, 12);
}

/**
 * The state that a cell tells of one job: "error (timeout)" is an error; null for counts of several.
 * @param {string} text
 */
export function stateOf(text) {
  const [word] = text.split(" (");
  return Object.hasOwn(MARKS, word) ? word : null;
}

// -- the page -----------------------------------------------------------------------------------

/**
 * @param {TabContext} ctx
 * @returns {Tab}
 */
export function createResultsTab(ctx) {
  const store = ctx.store;
  let visible = false;
  let over = "";
  let most = FIRST_ROWS;
  /** @type {Table | null} */
  let table = null;
  /** @type {Order | null} */
  let order = null;
  let columns = ""; // those the head was made for
  /** @type {number[]} */
  let shown = []; // rows of the table, from top to bottom

  const chooser = el("select", {}, el("option", { value: "", text: "each job" }));
  const overBox = el("label", {}, "rows: ", chooser);
  const hint = el("span", { class: "xpm-hint", role: "status" });
  const copies = [copier("TSV", toTsv), copier("Markdown", toMarkdown)];
  const copyBox = el("span", { class: "xpm-group", role: "group", "aria-label": "copy the table" }, el("span", { class: "xpm-hint", text: "copy as" }), copies);
  const caption = el("caption", { class: "xpm-unseen", text: "results" });
  const head = el("tr");
  const body = el("tbody");
  const grid = el("table", { class: "xpm-table" }, caption, el("thead", {}, head), body);
  const place = el("div", { class: "xpm-sheet", tabindex: 0, role: "region", "aria-label": "results" }, grid);
  const more = el("button", { type: "button", class: "xpm-link", hidden: true });
  const foot = el("p", { class: "xpm-hint" });
  const root = el("div", { class: "xpm-results" }, el("div", { class: "xpm-tools" }, overBox, hint, copyBox), place, more, foot);

  chooser.addEventListener("change", () => {
    over = chooser.value;
    order = null;
    ctx.watch({ table: { over: over || null } });
  });
  more.addEventListener("click", () => {
    most = MOST_ROWS;
    draw();
  });
  body.addEventListener("click", (event) => {
    const row = /** @type {HTMLElement} */ (event.target).closest("tr");
    const id = row?.dataset.id;
    if (id && !window.getSelection()?.toString()) ctx.open(id);
  });

  /**
   * @param {string} name
   * @param {(table: Table, rows: number[]) => string} write
   */
  function copier(name, write) {
    const button = el("button", { type: "button", text: name, "aria-label": `copy as ${name}` });
    button.addEventListener("click", async () => {
      if (!table) return;
      const ok = await copy(write(table, sortedRows(table, order)));
      button.textContent = ok ? "copied" : "not allowed";
      window.setTimeout(() => (button.textContent = name), 1500);
    });
    return button;
  }

  function drawChooser() {
    const names = store.tagNames.filter((name) => (store.tagValues.get(name)?.length ?? 0) > 1 || name === over);
    const values = ["", ...names];
    overBox.hidden = !names.length;
    if ([...chooser.options].map((option) => option.value).join("\n") === values.join("\n")) return;
    chooser.replaceChildren(...values.map((value) => el("option", { value, text: value ? `mean over ${clean(value, 60)}` : "each job" })));
    chooser.value = over;
  }

  function draw() {
    drawChooser();
    place.hidden = copyBox.hidden = !table?.rows.length;
    if (!table) return replaceText(hint, "the table comes from the kernel …");
    replaceText(hint, clean(table.caption, 300) || (table.rows.length ? "" : "no results yet"));
    const all = sortedRows(table, order);
    shown = all.slice(0, most);
    drawHead(table);
    drawBody(table);
    more.hidden = all.length <= shown.length || most >= MOST_ROWS;
    replaceText(more, `show ${plural(Math.min(all.length, MOST_ROWS), "row")}`);
    const cut = all.length > shown.length && most >= MOST_ROWS ? `… and ${plural(all.length - shown.length, "row")} that a copy holds. ` : "";
    const same = table.hidden.map(([name, value]) => `${clean(name, 60)}=${clean(value, 60)}`).join(", ");
    replaceText(foot, cut + (same ? `constant: ${same}` : ""));
    foot.hidden = !foot.textContent;
  }

  /** @param {Table} now */
  function drawHead(now) {
    const mark = JSON.stringify([now.columns, now.numeric]);
    if (mark !== columns) {
      columns = mark;
      body.replaceChildren();
      const heads = now.columns.map((name, column) => {
        const button = el("button", { type: "button" }, el("bdi", { text: clean(name, 60) }), el("span", { class: "xpm-arrow", "aria-hidden": "true" }));
        button.addEventListener("click", () => {
          // By a figure the highest first; a third click gives the kernel's order back.
          const first = Boolean(table?.numeric[column]);
          order = order?.column !== column ? { column, down: first } : order.down === first ? { column, down: !first } : null;
          draw();
        });
        return el("th", { scope: "col", class: now.numeric[column] ? "xpm-num" : null, title: name.length > 16 ? clean(name, 200) : null }, button);
      });
      head.replaceChildren(...heads);
    }
    now.columns.forEach((_name, column) => {
      const cell = head.children[column];
      const down = order?.column === column ? order.down : null;
      attr(cell, "aria-sort", down == null ? null : down ? "descending" : "ascending");
      replaceText(/** @type {Element} */ (cell.querySelector(".xpm-arrow")), down == null ? "" : down ? " ↓" : " ↑");
    });
  }

  /** @param {Table} now */
  function drawBody(now) {
    const best = new Set(now.best.map(([row, column]) => `${row},${column}`));
    while (body.children.length > shown.length) body.lastElementChild?.remove();
    while (body.children.length < shown.length) body.append(el("tr", {}, now.columns.map((name, column) => el("td", { class: now.numeric[column] ? "xpm-num" : name === "state" ? "xpm-words" : null }))));
    shown.forEach((n, at) => {
      const line = /** @type {HTMLElement} */ (body.children[at]);
      const id = idOf(now.keys[n]);
      attr(line, "data-id", id || null);
      attr(line, "data-state", null);
      now.columns.forEach((name, column) => {
        const cell = /** @type {HTMLElement} */ (line.children[column]);
        const text = clean(now.rows[n][column], 200);
        const top = best.has(`${n},${column}`);
        attr(cell, "data-best", top);
        if (column === 0 && id) fillLink(cell, text, id);
        else replaceText(cell, top ? `★ ${text}` : text);
        attr(cell, "title", top ? "the best" : text.length > 40 ? text : null);
        if (name !== "state") return;
        const state = stateOf(text);
        attr(cell, "data-mark", state && MARKS[state]);
        if (state) attr(line, "data-state", state);
      });
    });
  }

  /**
   * The first cell of a row is what leads to its job.
   * @param {HTMLElement} cell
   * @param {string} text
   * @param {string} id
   */
  function fillLink(cell, text, id) {
    const button = cell.querySelector("button") ?? el("button", { type: "button", class: "xpm-open" });
    if (!button.parentNode) cell.replaceChildren(button);
    replaceText(button, text || id.slice(0, 8));
  }

  draw();
  return {
    root,
    show() {
      visible = true;
      ctx.watch({ table: { over: over || null } });
      draw();
    },
    hide() {
      visible = false;
      ctx.watch({ table: null });
    },
    update() {
      if (visible) drawChooser();
    },
    message(msg) {
      if (msg?.t !== "table" || !Array.isArray(msg.table?.rows) || (msg.over || "") !== over) return;
      table = { caption: "", best: [], hidden: [], keys: [], ...msg.table };
      if (order && order.column >= msg.table.columns.length) order = null;
      if (visible) draw();
    },
    destroy() {
      visible = false;
    },
  };
}
