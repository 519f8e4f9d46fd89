// @ts-check
// The widget of one config: its parameters as a tree, its identifier and what went into it, whether
// it is computed already; and, as long as it is not sealed, a form.
// Rule: the kernel decides what is valid. Here a slip is only pointed at a moment earlier, and what
// was typed stays in its field until the kernel has taken it.

import { attr, copyButton, el, hearAgain, kernelGone, markRoom, replaceText } from "./dom.js";
import { clean } from "./format.js";

/**
 * @typedef {object} Param  one parameter: a leaf has `text`, a nested config has `config`
 * @property {string} name
 * @property {string} kind  "param", "meta", "constant"
 * @property {string} type
 * @property {string} text
 * @property {ConfigTree | null} config
 * @property {boolean} default
 * @property {boolean} hashed
 * @property {string} help
 * @property {string} input  "int", "float", "bool", "choice", "text"; "" for not at all
 * @property {string[]} choices
 * @property {string} raw
 * @property {string} error
 */

/**
 * @typedef {object} ConfigTree  a config; one met again is a `shared` stub without parameters
 * @property {string} name
 * @property {string} type_name
 * @property {string} identifier
 * @property {string} note
 * @property {Param[]} params
 * @property {[string, string][]} tags
 * @property {[string, string][]} dependencies
 * @property {boolean} shared
 * @property {number} number
 * @property {string | null} [state]  of its job, once submitted
 */

/**
 * @typedef {object} FormView  what the kernel shows
 * @property {ConfigTree} config
 * @property {boolean} editable
 * @property {string} fate
 * @property {string} fate_kind
 * @property {boolean} task
 * @property {string} experiment
 * @property {{in: string[], out: [string, string][]}} explain
 */

/**
 * @typedef {object} TreeRow  one line of the tree
 * @property {string} key  its place: numbers of the parameters on the way, "2.0"
 * @property {string} path  as it is written in Python: "model.hidden"
 * @property {number} level
 * @property {Param} param
 * @property {boolean} folds  it has lines of its own below it
 * @property {boolean} open
 */

/** Mark of each fate: for the eye, always beside its words. @type {Record<string, string>} */
const FATE_MARKS = { computed: "✓", stale: "!", running: "▶", waiting: "○", failed: "✗", new: "+", none: "" };
const FIRST_ROWS = 60; // until all are asked for
const MOST_ROWS = 1000; // that are shown at once
const WHOLE_TREE = 40; // rows of a tree that is shown unfolded from the start
const SHORT_LIST = 12; // parameters of a config that is unfolded on the first level
const SHORT_NAMES = 10; // in the line about the identifier
const PATIENCE_MS = 4000; // without an answer, until that is told
const PAUSE_MS = 300; // in typing, until what stands there is looked at
const LOOK_MS = 1000; // between two looks for a kernel
const GONE = "there is no kernel any more: run the cell again";

// -- pure parts ---------------------------------------------------------------------------------

/**
 * How many lines a tree has below it, shared configs counted where they are first.
 * @param {ConfigTree} config
 * @returns {number}
 */
export function treeSize(config) {
  return config.params.reduce((sum, param) => sum + 1 + (param.config ? treeSize(param.config) : 0), 0);
}

/**
 * The lines of a tree that are to be seen, from top to bottom.
 * @param {ConfigTree} config
 * @param {Map<string, boolean>} folds  what a person has opened (true) or closed, by key
 * @returns {TreeRow[]}
 */
export function treeRows(config, folds) {
  /** @type {TreeRow[]} */
  const rows = [];
  const whole = treeSize(config) <= WHOLE_TREE;
  const add = (/** @type {ConfigTree} */ tree, /** @type {number} */ level, /** @type {string} */ at, /** @type {string} */ before) => {
    tree.params.forEach((param, index) => {
      const key = at + index;
      const path = before + param.name;
      const inner = param.config;
      const has = Boolean(inner && inner.params.length);
      const first = whole || (level === 0 && (inner?.params.length ?? 0) <= SHORT_LIST);
      const open = has && (folds.get(key) ?? (first || hasError(/** @type {ConfigTree} */ (inner))));
      rows.push({ key, path, level, param, folds: has, open });
      if (open && inner) add(inner, level + 1, `${key}.`, `${path}.`);
    });
  };
  add(config, 0, "", "");
  return rows;
}

/**
 * Something typed below is wrong: it must be seen.
 * @param {ConfigTree} config
 * @returns {boolean}
 */
export function hasError(config) {
  return config.params.some((param) => param.error || (param.config && hasError(param.config)));
}

/**
 * Where each config of a tree stands first, and how often it is used: by its number.
 * @param {ConfigTree} config
 * @returns {Map<number, {key: string, uses: number}>}
 */
export function sharedPlaces(config) {
  /** @type {Map<number, {key: string, uses: number}>} */
  const places = new Map();
  const walk = (/** @type {ConfigTree} */ tree, /** @type {string} */ at) => {
    tree.params.forEach((param, index) => {
      const inner = param.config;
      if (!inner) return;
      const known = places.get(inner.number);
      if (known) known.uses += 1;
      else places.set(inner.number, { key: at + index, uses: 1 });
      walk(inner, `${at}${index}.`);
    });
  };
  places.set(config.number, { key: "", uses: 1 });
  walk(config, "");
  return places;
}

/**
 * What surely is wrong with what was typed, before the kernel has looked at it; "" if it may do.
 * @param {string} input  the kind of the field
 * @param {string} text
 */
export function slip(input, text) {
  const word = text.trim();
  if ((input !== "int" && input !== "float") || /^(none|null)?$/i.test(word)) return "";
  if (/^[+-]?(inf|infinity|nan)$/i.test(word)) return input === "float" ? "" : "a whole number is expected";
  if (!/\d/.test(word) || /[^\d\s+\-._exobjEXOBJa-fA-F]/.test(word)) return input === "int" ? "a whole number is expected" : "a number is expected";
  return input === "int" && /^[+-]?\d+\.\d*[1-9]\d*$/.test(word) ? "a whole number is expected" : "";
}

/**
 * What is to be said about a parameter beside its type.
 * @param {Param} param
 */
export function aboutParam(param) {
  const words = [];
  if (param.kind !== "param") words.push(param.kind);
  if (param.default && param.kind !== "constant") words.push("default");
  else if (!param.hashed && param.kind === "param") words.push("not in the identifier");
  return words;
}

// -- the page -----------------------------------------------------------------------------------

/**
 * @typedef {object} Model  what a front-end gives
 * @property {(name: string) => any} get
 * @property {(event: string, listener: (...args: any[]) => void) => void} on
 * @property {(event: string, listener: (...args: any[]) => void) => void} off
 * @property {(content: any) => void} send
 */

/** @typedef {{row: HTMLTableRowElement, kind: string, path: string, update: (row: TreeRow) => void}} LineView */

/**
 * Show a config in an element, until the function that is given back is called.
 * @param {{model: Model, el: HTMLElement}} place
 */
export function renderConfig({ model, el: host }) {
  /** @type {Map<string, boolean>} */
  const folds = new Map();
  /** @type {Map<string, string>} */
  const typed = new Map(); // what stands in fields and is not (yet) what the config holds, by path
  /** @type {Map<string, LineView>} */
  const lines = new Map();
  /** @type {Map<number, string>} */
  const asked = new Map(); // messages without an answer: by their number, what they are about
  let last = Math.floor(Math.random() * 1e6) * 1000; // two views of one model must not mix up answers
  let editing = false;
  let places = sharedPlaces(NOTHING);
  let before = ""; // the identifier before the first edit
  let note = "";
  let patience = 0;
  let lost = kernelGone(model); // no kernel, or none that answers
  let allNames = false;
  let most = FIRST_ROWS;

  const page = configPage();
  page.root.addEventListener("keydown", (event) => event.stopPropagation());
  page.edit.addEventListener("click", () => {
    editing = !editing;
    if (editing && !before) before = view()?.config.identifier ?? "";
    draw();
    if (editing) focusFirst();
  });
  page.reset.addEventListener("click", () => {
    typed.clear();
    ask("reset", {});
  });
  page.submit.addEventListener("click", () => ask("submit", {}));
  page.more.addEventListener("click", () => {
    allNames = true;
    draw();
  });

  page.rest.addEventListener("click", () => {
    most = MOST_ROWS;
    draw();
    page.root.querySelector("button")?.focus({ preventScroll: true });
  });

  /** @returns {FormView | null} */
  function view() {
    const now = model.get("view");
    return now?.config?.params ? now : null;
  }

  /**
   * @param {string} verb
   * @param {Record<string, string>} more
   */
  function ask(verb, more) {
    last += 1;
    asked.set(last, more.path ?? verb);
    note = "";
    try {
      model.send({ do: verb, id: last, ...more });
    } catch {
      asked.delete(last);
      lost = true;
      note = "the kernel does not answer";
      return draw();
    }
    window.clearTimeout(patience);
    patience = window.setTimeout(() => {
      lost = true;
      note = "waits for the kernel: a cell is running, or there is no kernel any more";
      draw();
      hearAgain(model, "view", (real) => {
        asked.clear(); // what became of it is in the view
        real.comm.send({ method: "request_state" }, {});
        lost = false;
        note = "";
        draw();
      });
    }, PATIENCE_MS);
    draw();
  }

  /** The kernel shows what became of a message, and answers it then. @param {any} message */
  function heard(message) {
    const about = asked.get(message?.id);
    if (message?.t !== "ack" || about === undefined) return;
    asked.delete(message.id);
    lost = false;
    if (!asked.size) window.clearTimeout(patience);
    note = message.ok === false || message.note ? clean(message.note || "the kernel could not do that", 300) : "";
    const now = view();
    if (now && ![...asked.values()].includes(about)) {
      const row = treeRows(now.config, OPEN_ALL).find((one) => one.path === about);
      if (!row?.param.error) typed.delete(about); // else it stands there to be mended
    }
    draw();
  }

  /**
   * @param {string} path
   * @param {string} text
   */
  function commit(path, text) {
    typed.set(path, text);
    ask("set", { path, value: text });
  }

  /** Its buttons do nothing without a kernel: that is to be seen before one is clicked. */
  function look() {
    const gone = kernelGone(model);
    if (gone === (note === GONE)) return;
    lost = gone;
    note = gone ? GONE : "";
    draw();
  }

  function news() {
    lost = kernelGone(model); // the kernel speaks
    if (!asked.size && !lost && note === GONE) note = "";
    draw();
  }

  function draw() {
    const now = view();
    page.root.hidden = !now;
    if (!now) return;
    if (!now.editable) editing = false;
    drawHead(page, now, { editing, before, pending: asked.size > 0, submitting: [...asked.values()].includes("submit"), wrong: wrongs(now), lost, note });
    drawNames(page, now.explain, allNames);
    drawTree(now);
  }

  /** @param {FormView} now */
  function wrongs(now) {
    const rows = treeRows(now.config, OPEN_ALL);
    const paths = new Set(rows.filter((row) => row.param.error).map((row) => row.path));
    for (const row of rows) if (slip(row.param.input, typed.get(row.path) ?? "")) paths.add(row.path);
    return paths.size;
  }

  /** @param {FormView} now */
  function drawTree(now) {
    const all = treeRows(now.config, folds);
    const rows = all.slice(0, all.length > most + SHORT_NAMES ? most : MOST_ROWS);
    places = sharedPlaces(now.config);
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, line] of lines) {
      if (keys.has(key)) continue;
      line.row.remove();
      lines.delete(key);
    }
    rows.forEach((row, index) => {
      let kind = lineKind(row, editing && now.editable);
      let line = lines.get(row.key);
      // The field somebody types in stays, even if the text grew too long for it.
      if (line && isWords(line.kind) && isWords(kind) && line.row.contains(document.activeElement)) kind = line.kind;
      if (line?.kind !== kind || line.path !== row.path) {
        line?.row.remove();
        line = kind === "config" ? configLine(row.path) : leafLine(kind, row);
        lines.set(row.key, line);
      }
      if (page.body.children[index] !== line.row) page.body.insertBefore(line.row, page.body.children[index] ?? null);
      line.update(row);
    });
    replaceText(page.rest, all.length > rows.length ? `… and ${(all.length - rows.length).toLocaleString("en")} more lines` : "");
    page.rest.hidden = all.length <= rows.length;
    page.rest.disabled = most === MOST_ROWS;
    page.table.hidden = rows.length === 0;
    page.empty.hidden = rows.length > 0;
  }

  /**
   * A line with a nested config: its name and identifier, or where it is shown.
   * @param {string} path
   * @returns {LineView}
   */
  function configLine(path) {
    const sign = el("span", { class: "xpm-fold", "aria-hidden": "true" });
    const name = el("bdi");
    const opener = el("button", { type: "button", class: "xpm-open" }, sign, name);
    const title = el("span", { class: "xpm-config-name" });
    const id = el("code", { class: "xpm-id" });
    const link = el("button", { type: "button", class: "xpm-link" });
    const about = el("td", { class: "xpm-about" });
    const row = el("tr", {}, el("th", { scope: "row" }, opener), el("td", { class: "xpm-value" }, title, id, link), about);
    /** @type {TreeRow} */
    let current;
    opener.addEventListener("click", () => {
      folds.set(current.key, !current.open);
      draw();
    });
    link.addEventListener("click", () => jump(places.get(/** @type {ConfigTree} */ (current.param.config).number)?.key ?? ""));
    return {
      row,
      kind: "config",
      path,
      update(next) {
        current = next;
        const inner = /** @type {ConfigTree} */ (next.param.config);
        const uses = places.get(inner.number)?.uses ?? 1;
        row.style.setProperty("--level", String(next.level));
        attr(row, "class", next.param.default ? "xpm-default" : null);
        replaceText(sign, next.folds ? "›" : "");
        replaceText(name, clean(next.param.name, 80));
        attr(opener, "aria-expanded", next.folds ? String(next.open) : null);
        attr(opener, "disabled", !next.folds);
        attr(opener, "title", helpText(next.param));
        replaceText(title, clean(inner.name, 80));
        replaceText(id, clean(inner.identifier, 64).slice(0, 8));
        attr(id, "title", inner.identifier || clean(inner.note, 300) || null);
        link.hidden = !inner.shared;
        replaceText(link, inner.number === 0 ? "this config itself" : "shown above");
        const words = [...aboutParam(next.param), !inner.shared && uses > 1 ? `used ${uses} times` : ""];
        replaceText(about, words.filter(Boolean).join(", "));
      },
    };
  }

  /**
   * A line with a value, or the field to change it.
   * @param {string} kind
   * @param {TreeRow} made
   * @returns {LineView}
   */
  function leafLine(kind, made) {
    const field = kind === "leaf" ? null : fieldFor(kind, made, (text) => commit(current.path, text));
    const text = el("code", { class: "xpm-text" });
    const help = el("div", { class: "xpm-help", hidden: true });
    const name = el("bdi");
    const label = made.param.help ? el("button", { type: "button", class: "xpm-about-it", "aria-expanded": "false" }, name) : el("span", {}, name);
    const value = el("td", { class: "xpm-value" }, field?.node ?? text, help);
    const about = el("td", { class: "xpm-about" });
    const row = el("tr", {}, el("th", { scope: "row" }, label), value, about);
    /** @type {HTMLElement | null} */
    let problem = null;
    let current = made;
    if (made.param.help) {
      label.addEventListener("click", () => {
        help.hidden = !help.hidden;
        attr(label, "aria-expanded", String(!help.hidden));
      });
    }
    return {
      row,
      kind,
      path: made.path,
      update(next) {
        current = next;
        const param = next.param;
        const error = [...asked.values()].includes(next.path) ? slip(param.input, typed.get(next.path) ?? "") : param.error;
        row.style.setProperty("--level", String(next.level));
        attr(row, "class", param.default && !field ? "xpm-default" : null);
        attr(row, "data-kind", param.kind);
        replaceText(name, clean(param.name, 80));
        attr(label, "title", helpText(param));
        replaceText(help, clean(param.help, 1000, true));
        replaceText(text, clean(param.text, 400, true));
        replaceText(about, [clean(param.type, 80), ...aboutParam(param)].join(" · "));
        field?.set(typed.get(next.path) ?? param.raw, param.choices);
        if (field) attr(field.input, "aria-invalid", error ? "true" : null);
        // An empty field says what it holds: None, or the empty text.
        if (field && "placeholder" in field.input) attr(field.input, "placeholder", param.raw ? null : clean(param.text, 40));
        problem = field ? showProblem(value, field.input, problem, next.path, error) : null;
      },
    };
  }

  /**
   * Show the line at which a config stands first.
   * @param {string} key
   */
  function jump(key) {
    const parts = key.split(".");
    for (let n = 1; n < parts.length; n++) folds.set(parts.slice(0, n).join("."), true);
    draw();
    const target = key ? lines.get(key)?.row : null;
    const focus = target?.querySelector("button") ?? page.id;
    (target ?? page.root).scrollIntoView({ block: "nearest" });
    focus.focus({ preventScroll: true });
    if (target) blink(target);
  }

  function focusFirst() {
    /** @type {HTMLElement | null} */ (page.body.querySelector("[data-path]"))?.focus();
  }

  model.on("change:view", news);
  model.on("msg:custom", heard);
  model.on("comm_live_update", look);
  host.append(page.root);
  const unmark = markRoom(page.root, [["narrow", 560]]);
  draw();
  look();
  const clock = window.setInterval(look, LOOK_MS);
  return () => {
    window.clearInterval(clock);
    model.off("change:view", news);
    model.off("comm_live_update", look);
    model.off("msg:custom", heard);
    window.clearTimeout(patience);
    unmark();
    page.root.remove();
  };
}

/** @param {string} kind  of a line */
function isWords(kind) {
  return kind === "text" || kind === "long";
}

/** To see every line of a tree: whatever is asked is open. */
const OPEN_ALL = /** @type {Map<string, boolean>} */ (/** @type {unknown} */ ({ get: () => true }));

/** @type {ConfigTree} */
const NOTHING = { name: "", type_name: "", identifier: "", note: "", params: [], tags: [], dependencies: [], shared: false, number: 0 };

/** What stands above and below the tree. */
function configPage() {
  const name = el("bdi");
  const id = el("button", { type: "button", class: "xpm-id", "aria-expanded": "false" });
  const was = el("span", { class: "xpm-was" });
  const copy = copyButton(() => id.dataset.full ?? "", "copy the identifier");
  const mark = el("span", { class: "xpm-mark", "aria-hidden": "true" });
  const word = el("span");
  const fate = el("span", { class: "xpm-fate", role: "status" }, mark, word);
  const edit = el("button", { type: "button", "data-act": "edit" });
  const reset = el("button", { type: "button", "data-act": "reset", text: "Reset" });
  const submit = el("button", { type: "button", "data-act": "submit", class: "xpm-primary", text: "Submit" });
  const head = el(
    "div",
    { class: "xpm-form-head" },
    el("strong", {}, name),
    el("span", { class: "xpm-ident" }, id, copy, was),
    fate,
    el("span", { class: "xpm-form-acts" }, edit, reset, submit),
  );
  const type = el("span", { class: "xpm-form-type" });
  const tags = el("span", { class: "xpm-form-tags" });
  const needs = el("span", { class: "xpm-form-needs" });
  const note = el("p", { class: "xpm-form-note", role: "status" });
  const caption = el("caption", { class: "xpm-unseen" });
  const body = el("tbody");
  const columns = ["parameter", "value", "about it"].map((text) => el("th", { scope: "col", text }));
  const table = el("table", { class: "xpm-tree" }, caption, el("thead", { class: "xpm-unseen" }, el("tr", {}, columns)), body);
  const rest = el("button", { type: "button", class: "xpm-link xpm-rest", "data-act": "rest" });
  const empty = el("p", { class: "xpm-form-line", text: "no parameters" });
  const inside = el("span");
  const outside = el("span");
  const more = el("button", { type: "button", class: "xpm-link", text: "all" });
  const explain = el("p", { class: "xpm-explain" }, inside, outside, more);
  const root = el(
    "div",
    { class: "xpm xpm-form", role: "group", "data-lm-suppress-shortcuts": "true" },
    head,
    el("p", { class: "xpm-form-line" }, type, tags, needs),
    note,
    table,
    empty,
    rest,
    explain,
  );
  id.addEventListener("click", () => {
    const full = id.getAttribute("aria-expanded") !== "true";
    attr(id, "aria-expanded", String(full));
    replaceText(id, full ? id.dataset.full ?? "" : (id.dataset.full ?? "").slice(0, 8));
  });
  return { root, name, id, was, copy, fate, mark, word, edit, reset, submit, type, tags, needs, note, caption, table, body, rest, empty, explain, inside, outside, more };
}

/** @typedef {ReturnType<typeof configPage>} ConfigPage */

/**
 * @param {ConfigPage} page
 * @param {FormView} now
 * @param {{editing: boolean, before: string, pending: boolean, submitting: boolean, wrong: number, lost: boolean, note: string}} state
 */
function drawHead(page, now, { editing, before, pending, submitting, wrong, lost, note }) {
  const config = now.config;
  const id = clean(config.identifier, 64);
  attr(page.root, "aria-label", `config ${clean(config.name, 80)}`);
  attr(page.root, "data-editing", String(editing));
  replaceText(page.name, clean(config.name, 80));
  replaceText(page.caption, `parameters of ${clean(config.name, 80)}`);
  if (page.id.dataset.full !== id) {
    if (page.id.dataset.full) blink(page.id);
    page.id.dataset.full = id;
    replaceText(page.id, page.id.getAttribute("aria-expanded") === "true" ? id : id.slice(0, 8));
    attr(page.id, "title", id);
  }
  // What stands in the fields has no identifier then: this is that of what the config holds.
  attr(page.id, "data-stale", wrong > 0);
  attr(page.id, "aria-label", `${wrong ? "last identifier" : "identifier"} ${id.slice(0, 8)}`);
  page.id.hidden = page.copy.hidden = !id;
  attr(page.id, "data-pending", pending);
  const moved = now.editable && Boolean(before) && before !== id;
  replaceText(page.was, !id ? clean(config.note || "no identifier yet", 300) : moved && !wrong ? `was ${before.slice(0, 8)}` : "");
  attr(page.fate, "data-kind", wrong ? "none" : now.fate_kind);
  replaceText(page.mark, wrong ? "" : (FATE_MARKS[now.fate_kind] ?? ""));
  replaceText(page.word, wrong ? `${wrong === 1 ? "a field is" : `${wrong} fields are`} to be put right` : clean(now.fate, 120));
  replaceText(page.edit, editing ? "Done" : "Edit");
  attr(page.edit, "aria-pressed", String(editing));
  page.edit.hidden = !now.editable;
  page.reset.hidden = !editing;
  page.submit.hidden = !(now.task && now.experiment) || config.state != null; // submitted already
  attr(page.submit, "disabled", wrong > 0 || submitting || lost);
  attr(page.reset, "disabled", lost);
  attr(page.edit, "disabled", lost && !editing);
  attr(page.submit, "title", lost ? note || GONE : wrong ? "first mend what is wrong" : now.experiment ? `to ${clean(now.experiment, 80)}` : null);
  replaceText(page.note, note);
  page.note.hidden = !note;
  replaceText(page.type, clean(config.type_name, 120));
  fillOnce(page.tags, JSON.stringify(config.tags), () => config.tags.map(([name, value]) => el("span", { class: "xpm-tag", text: `${clean(name, 60)}=${clean(value, 60)}` })));
  fillOnce(page.needs, JSON.stringify(config.dependencies), () => (config.dependencies.length ? ["needs ", ...config.dependencies.flatMap(need)] : []));
}

/**
 * @param {[string, string]} dependency
 * @param {number} index
 */
function need([name, identifier], index) {
  return [index ? ", " : "", clean(name, 80), " ", el("code", { class: "xpm-id", title: clean(identifier, 64), text: clean(identifier, 64).slice(0, 8) })];
}

/**
 * Fill an element again, if what it shows is something else than last time.
 * @param {HTMLElement} node
 * @param {string} mark
 * @param {() => (Node | string)[]} children
 */
function fillOnce(node, mark, children) {
  if (node.dataset.mark === mark) return;
  node.dataset.mark = mark;
  node.replaceChildren(...children());
}

/**
 * The line on what the identifier is made of.
 * @param {ConfigPage} page
 * @param {FormView["explain"] | undefined} explain
 * @param {boolean} all
 */
function drawNames(page, explain, all) {
  const names = (explain?.in ?? []).map((name) => clean(name, 80));
  const others = (explain?.out ?? []).map(([name, why]) => `${clean(name, 80)} (${clean(why, 80)})`);
  const some = (/** @type {string[]} */ list) => (all || list.length <= SHORT_NAMES ? list : [...list.slice(0, SHORT_NAMES), `${list.length - SHORT_NAMES} more`]).join(", ");
  page.explain.hidden = !names.length && !others.length;
  replaceText(page.inside, names.length ? `In the identifier: ${some(names)}. ` : "Nothing of it is in the identifier. ");
  replaceText(page.outside, others.length ? `Not in it: ${some(others)}. ` : "");
  page.more.hidden = all || (names.length <= SHORT_NAMES && others.length <= SHORT_NAMES);
}

/**
 * What a line is made of: another kind takes another line.
 * @param {TreeRow} row
 * @param {boolean} editing
 */
function lineKind(row, editing) {
  if (row.param.config) return "config";
  if (!editing || !row.param.input) return "leaf";
  const { input, raw } = row.param;
  if (input === "bool") return /^(true|false)$/i.test(raw) ? "bool" : "choice";
  if (input === "text") return raw.includes("\n") || raw.length > 120 ? "long" : "text";
  return input;
}

/** @param {Param} param */
function helpText(param) {
  return [clean(param.type, 120), clean(param.help, 400)].filter(Boolean).join(": ") || null;
}

/**
 * @typedef {object} Field
 * @property {HTMLElement} node
 * @property {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input
 * @property {(text: string, choices: string[]) => void} set  what it is to show, unless somebody is typing there
 */

/**
 * @param {string} kind
 * @param {TreeRow} row
 * @param {(text: string) => void} commit
 * @returns {Field}
 */
function fieldFor(kind, row, commit) {
  const props = { "data-path": row.path, "aria-label": row.path, autocomplete: "off", spellcheck: "false", dir: "auto" };
  if (kind === "bool") {
    const input = el("input", { ...props, type: "checkbox" });
    const word = el("span", { "aria-hidden": "true" });
    input.addEventListener("change", () => commit(String(input.checked)));
    const set = (/** @type {string} */ text) => {
      input.checked = /^true$/i.test(text);
      replaceText(word, input.checked ? "True" : "False"); // as Python writes it
    };
    return { node: el("label", { class: "xpm-check" }, input, word), input, set };
  }
  if (kind === "choice") {
    const input = el("select", props);
    input.addEventListener("change", () => commit(input.value));
    const set = (/** @type {string} */ text, /** @type {string[]} */ choices) => {
      const list = choices.length ? choices : ["true", "false"];
      const all = list.includes(text) ? list : [text, ...list];
      const nothing = !list.includes("") ? "(not set)" : /\b(None|Optional)\b/.test(row.param.type) && !list.includes("None") ? "None" : "(empty)";
      if (input.dataset.mark !== all.join("\n")) {
        input.dataset.mark = all.join("\n");
        input.replaceChildren(...all.map((value) => el("option", { value, text: clean(value, 120) || nothing })));
      }
      input.value = text;
    };
    return { node: input, input, set };
  }
  const input = kind === "long" ? el("textarea", { ...props, rows: 3 }) : el("input", { ...props, type: "text", class: `xpm-in-${kind}`, inputmode: kind === "float" ? "decimal" : kind === "int" ? "numeric" : null });
  let held = ""; // what the field was set to last
  let sent = ""; // what the kernel was told last while somebody types
  let typing = false;
  let timer = 0;
  const tell = (/** @type {boolean} */ ended) => {
    window.clearTimeout(timer);
    if (ended) typing = false;
    else if (input.value === sent) return;
    sent = input.value;
    if (ended) held = sent;
    commit(sent);
  };
  input.addEventListener("input", () => {
    if (!typing) sent = held;
    typing = true;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => input.isConnected && tell(false), PAUSE_MS);
  });
  input.addEventListener("change", () => tell(true));
  // It stands as it stood before; and not at once: a field that is removed while the page is drawn says it too.
  input.addEventListener("blur", () => void window.setTimeout(() => typing && input.isConnected && tell(true)));
  input.addEventListener("keydown", (event) => {
    if (/** @type {KeyboardEvent} */ (event).key !== "Escape" || !typing) return;
    input.value = held;
    if (sent !== held) tell(true);
    window.clearTimeout(timer);
    typing = false;
  });
  return {
    node: input,
    input,
    set(text) {
      if (typing) return; // nothing moves below the fingers
      held = text;
      if (input.value !== text) input.value = text;
    },
  };
}

/**
 * Show, change or remove the words below a field on what is wrong with it.
 * @param {HTMLElement} cell
 * @param {HTMLElement} input
 * @param {HTMLElement | null} problem  the ones that are shown
 * @param {string} path
 * @param {string} error
 */
function showProblem(cell, input, problem, path, error) {
  if (!error) {
    problem?.remove();
    attr(input, "aria-describedby", null);
    return null;
  }
  const shown = problem ?? el("div", { class: "xpm-problem-text", role: "alert", "data-error-for": path, id: `xpm-e${(problems += 1)}` });
  if (!problem) cell.append(shown);
  attr(input, "aria-describedby", shown.id);
  replaceText(shown, clean(error, 600, true));
  return shown;
}

let problems = 0; // for ids that nothing else on the page has

/**
 * Let an element be noticed for a moment.
 * @param {HTMLElement} node
 */
function blink(node) {
  node.classList.remove("xpm-blink");
  void node.offsetWidth; // the animation begins anew
  node.classList.add("xpm-blink");
}

export default { render: renderConfig };
