// @ts-check
// What is known of one job: its log, parameters, what its callbacks said, where it lies. Asked for
// while it is open (`watch`), and only for the part that is looked at.

import { MARKS, clean, duration, parseLog, plural } from "./format.js";
import { attr, copyButton, el, replaceText, tabList } from "./dom.js";
import { elapsed } from "./store.js";
import { asides, remark, stateText } from "./jobs.js";
import { failureNodes } from "./failure.js";

/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./format.js").Piece} Piece */

const LINES = [200, 1000, 5000]; // how much of a log is asked for, step by step
const MAX_MARKS = 1000;
const NOTHING_YET = "Nothing written yet.";
const WROTE_NOTHING = "It wrote nothing.";
const IMAGE = /^data:image\/(png|jpeg|gif|webp|svg\+xml)[;,]/;

/**
 * Where a text occurs in a line of pieces: the pieces, cut at the borders of what was found.
 * @param {Piece[]} pieces
 * @param {string} query  lower case
 * @returns {{text: string, classes: string, hit: boolean}[]}
 */
export function findIn(pieces, query) {
  const whole = pieces.map((piece) => piece.text).join("");
  const lower = whole.toLowerCase();
  /** @type {number[]} */
  const starts = [];
  // Lower case may be longer than what it is made from (one letter of Turkish): then look as it is.
  const text = lower.length === whole.length ? lower : whole;
  for (let at = text.indexOf(query); query && at >= 0; at = text.indexOf(query, at + query.length)) starts.push(at);
  if (!starts.length) return pieces.map((piece) => ({ ...piece, hit: false }));
  const cuts = starts.flatMap((at) => [at, at + query.length]);
  const parts = [];
  let from = 0;
  let next = 0;
  for (const piece of pieces) {
    const end = from + piece.text.length;
    let start = from;
    while (start < end) {
      while (next < cuts.length && cuts[next] <= start) next++;
      const stop = Math.min(end, cuts[next] ?? end);
      parts.push({ text: piece.text.slice(start - from, stop - from), classes: piece.classes, hit: next % 2 === 1 });
      start = stop;
    }
    from = end;
  }
  return parts;
}

/**
 * @param {object} parts
 * @param {Store} parts.store
 * @param {string} parts.uid
 * @param {(wanted: any) => void} parts.watch
 * @param {(id: string) => void} parts.open
 * @param {() => void} parts.closed
 */
export function createDrawer({ store, uid, watch, open, closed }) {
  let id = "";
  let lines = LINES[0];
  /** @type {any} */
  let detail = null;
  const log = createLog(() => {
    lines = LINES.find((more) => more > lines) ?? lines;
    want();
  });

  const mark = el("span", { class: "xpm-mark", "aria-hidden": "true" });
  const title = el("strong");
  const digits = el("span", { class: "xpm-id" });
  const facts = el("span", { class: "xpm-dim" });
  const close = el("button", { type: "button", class: "xpm-quiet xpm-close", "aria-label": "close", title: "close (Esc)", text: "✕" });
  const note = el("pre", { class: "xpm-message", tabindex: 0, role: "note" });
  const panels = {
    log: log.root,
    failure: el("div", { class: "xpm-scroll", tabindex: 0 }),
    params: el("div", { class: "xpm-scroll", tabindex: 0 }),
    said: el("div", { class: "xpm-scroll", tabindex: 0 }),
    details: el("div", { class: "xpm-scroll", tabindex: 0 }),
    diff: el("div", { class: "xpm-scroll", tabindex: 0 }),
  };
  const tabs = tabList(
    `${uid}-job`,
    [["log", "Log"], ["failure", "Failure"], ["params", "Parameters"], ["said", "Callbacks"], ["details", "Details"], ["diff", "Difference"]],
    (key) => {
      for (const [name, panel] of Object.entries(panels)) panel.hidden = name !== key;
      want();
      if (key === "log") log.shown();
    },
    "about the job",
  );
  for (const [name, panel] of Object.entries(panels)) {
    panel.id = `${uid}-job-panel-${name}`;
    attr(panel, "role", "tabpanel");
    attr(panel, "aria-labelledby", `${uid}-job-tab-${name}`);
  }
  const top = el("div", { class: "xpm-drawer-head" }, mark, title, digits, facts, close);
  const root = el("div", { class: "xpm-drawer", role: "group", hidden: true }, top, note, tabs.root, Object.values(panels));
  close.addEventListener("click", hide);
  tabs.choose("log");

  /** Say what is looked at. */
  function want() {
    const mine = id && !root.hidden;
    watch({ log: mine && tabs.chosen() === "log" ? id : null, lines, detail: mine ? id : null });
  }

  /** @param {string} job */
  function show(job) {
    const differs = tabs.chosen() === "diff";
    const same = job === id && !root.hidden;
    root.hidden = false;
    for (const [key, tab] of tabs.tabs) tab.hidden = key === "diff" || (key === "failure" && !(same && framed()));
    if (!same) {
      id = job;
      lines = LINES[0];
      detail = null;
      log.clear();
      for (const panel of [panels.failure, panels.params, panels.said, panels.details]) panel.replaceChildren();
    }
    if (differs) tabs.choose("log");
    drawHead();
    want();
  }

  function hide() {
    if (root.hidden) return;
    const inside = root.contains(/** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement);
    root.hidden = true;
    id = "";
    want();
    closed();
    if (inside) /** @type {HTMLElement | null} */ (root.parentElement?.querySelector(".xpm-grid"))?.focus({ preventScroll: true });
  }

  /** @param {Row} row */
  function wholeRemark(row) {
    return row.message ? remark(row, String(detail?.message || row.message)) : "";
  }

  function framed() {
    return detail?.frames?.length > 0;
  }

  function isOver() {
    return /^(done|error)$/.test(store.byId(id)?.state ?? "");
  }

  function drawHead() {
    const row = store.byId(id);
    if (!row) return;
    if (log.pre.dataset.empty) attr(log.pre, "data-empty", isOver() ? WROTE_NOTHING : NOTHING_YET);
    attr(root, "data-state", row.state);
    attr(root, "aria-label", `job ${clean(row.task, 40)} ${eight(row.id)}`);
    replaceText(mark, MARKS[row.state]);
    replaceText(title, clean(row.task, 60));
    replaceText(digits, eight(row.id));
    replaceText(facts, [stateText(row), duration(elapsed(row, store.now())), asides(row)].filter(Boolean).join(" · "));
    const message = wholeRemark(row);
    note.hidden = !message;
    attr(note, "aria-label", row.state === "error" ? "what went wrong" : "remark");
    replaceText(note, clean(message, 8000, true));
    const said = detail?.said?.length || row.said;
    const tab = /** @type {HTMLElement} */ (tabs.tabs.get("said"));
    replaceText(tab, said ? `Callbacks ${said}` : "Callbacks");
  }

  function drawDetail() {
    const row = store.byId(id);
    if (!detail || !row) return;
    const tab = /** @type {HTMLElement} */ (tabs.tabs.get("failure"));
    tab.hidden = !framed();
    panels.failure.replaceChildren(...(framed() ? failureNodes(detail.frames, `%xpm debug ${eight(id)}`, wholeRemark(row)) : []));
    if (tab.hidden && tabs.chosen() === "failure") tabs.choose("log");
    const { config } = detail;
    panels.params.replaceChildren(config ? configTable(config) : none("The parameters of this job cannot be read."));
    const said = (detail.said ?? []).map(saidNode);
    panels.said.replaceChildren(...(said.length ? said : [none("What on_completed and on_state print, display or raise appears here.")]));
    panels.details.replaceChildren(detailList(row));
  }

  /** @param {Row} row */
  function detailList(row) {
    /** @type {[string, Node | string][]} */
    const items = [];
    const add = (/** @type {string} */ name, /** @type {Node | string | null | undefined} */ value) => value && items.push([name, value]);
    const full = detail.config?.identifier || row.id;
    add("identifier", el("span", {}, el("code", { text: clean(full, 80) }), copyButton(full, "copy the identifier")));
    if (detail.path) add("folder", el("span", {}, el("code", { text: clean(detail.path, 400) }), copyButton(detail.path, "copy the path of the folder")));
    add("tags", (detail.tags ?? []).map((/** @type {string[]} */ tag) => `${clean(tag[0], 60)} = ${clean(tag[1], 120)}`).join(", "));
    add("needs", links(detail.needs));
    add("needed by", links(detail.needed_by));
    add("submitted", moment(row.submitted));
    add("started", moment(row.started));
    add("ended", moment(row.ended));
    add("source", detail.unknown?.length && clean(`unknown, pickled: ${detail.unknown.join(", ")}`, 400));
    add("environment", detail.drift && clean(detail.drift, 400));
    add("attempts", String(detail.attempts ?? row.attempt));
    return el("dl", { class: "xpm-facts" }, items.map(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)]).flat());
  }

  /** @param {string[] | undefined} ids */
  function links(ids) {
    if (!ids?.length) return null;
    const some = ids.slice(0, 40).map((other) => {
      const row = store.byId(other);
      if (!row) return el("span", { class: "xpm-id", text: eight(other) });
      const link = el("button", { type: "button", class: "xpm-link", "data-job": row.id }, `${MARKS[row.state]} ${clean(row.task, 40)} `, el("span", { class: "xpm-id", text: eight(row.id) }));
      link.addEventListener("click", () => open(row.id));
      return link;
    });
    return el("span", { class: "xpm-links" }, some, ids.length > 40 ? `and ${ids.length - 40} more` : null);
  }

  return {
    root,
    show,
    hide,
    current: () => (root.hidden ? "" : id),
    want,
    /** @param {any} msg */
    message(msg) {
      if (msg.t === "log" && msg.job === id && id) log.take(msg, lines < (LINES.at(-1) ?? 0), isOver());
      else if (msg.t === "detail" && msg.job === id && id) {
        const again = JSON.stringify(msg) === JSON.stringify(detail);
        detail = msg;
        if (!again) drawDetail();
        drawHead();
      }
    },
    /** @param {any} diff */
    showDiff(diff) {
      id = "";
      root.hidden = false;
      for (const [key, tab] of tabs.tabs) tab.hidden = key !== "diff";
      tabs.choose("diff");
      attr(root, "data-state", null);
      attr(root, "aria-label", "difference");
      replaceText(mark, "");
      replaceText(title, "Difference");
      replaceText(digits, "");
      replaceText(facts, diff.rows.length ? plural(diff.rows.length, "place") : "");
      note.hidden = true;
      panels.diff.replaceChildren(diffTable(diff));
      want();
    },
    /** @param {Set<number> | null} changed */
    update(changed) {
      const row = id && !root.hidden ? store.byId(id) : undefined;
      if (row && (!changed || changed.has(row.i))) drawHead();
    },
    tick() {
      if (id && !root.hidden && store.byId(id)?.state === "running") drawHead();
    },
    log,
  };
}

/** @param {unknown} identifier */
function eight(identifier) {
  return clean(identifier, 100).slice(0, 8);
}

/** @param {string} text */
function none(text) {
  return el("p", { class: "xpm-empty", text });
}

/** @param {number | null} seconds */
function moment(seconds) {
  if (seconds == null) return "";
  const when = new Date(seconds * 1000);
  const today = when.toDateString() === new Date().toDateString();
  return today ? when.toLocaleTimeString() : when.toLocaleString();
}

// -- log ------------------------------------------------------------------------------------------

/** @param {() => void} more  the user wants more of it */
function createLog(more) {
  let text = "";
  let follow = true;
  let query = "";
  /** @type {HTMLElement[]} */
  let marks = [];
  let at = -1;

  const find = el("input", { type: "search", class: "xpm-search", placeholder: "find in the log", "aria-label": "find in the log", spellcheck: "false", autocomplete: "off" });
  const found = el("span", { class: "xpm-dim xpm-nowrap", role: "status" });
  const earlier = el("button", { type: "button", class: "xpm-quiet", "data-act": "more", text: "load more", hidden: true });
  const following = el("button", { type: "button", class: "xpm-quiet xpm-toggle", "aria-pressed": "true", "data-act": "follow", text: "follow" });
  const pre = el("pre", { class: "xpm-log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "log" });
  const root = el("div", { class: "xpm-log-panel" }, el("div", { class: "xpm-tools" }, find, found, el("span", { class: "xpm-space" }), earlier, following), pre);

  find.addEventListener("input", () => {
    query = find.value.toLowerCase();
    at = -1;
    draw();
    if (marks.length) go(marks.length - 1); // the news are at the end
  });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(at + (event.shiftKey ? 1 : -1));
    else if (event.key === "Escape" && find.value) {
      find.value = query = "";
      draw();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  earlier.addEventListener("click", more);
  following.addEventListener("click", () => {
    setFollow(!follow);
    if (follow) toEnd();
  });
  pre.addEventListener("scroll", () => {
    if (pre.clientHeight) setFollow(pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24);
  }, { passive: true });

  /** @param {boolean} on */
  function setFollow(on) {
    follow = on;
    attr(following, "aria-pressed", on ? "true" : "false");
  }

  function toEnd() {
    pre.scrollTop = pre.scrollHeight;
  }

  /** @param {number} to */
  function go(to) {
    if (!marks.length) return;
    marks[at]?.classList.remove("xpm-here");
    at = (to + marks.length) % marks.length;
    marks[at].classList.add("xpm-here");
    setFollow(false);
    pre.scrollTop = marks[at].offsetTop - pre.clientHeight / 2;
    tellFound();
  }

  function tellFound() {
    const many = `${marks.length}${marks.length >= MAX_MARKS ? "+" : ""}`;
    replaceText(found, !query ? "" : !marks.length ? "not found" : at < 0 ? `${many} found` : `${at + 1} of ${many}`);
  }

  function draw() {
    const parts = document.createDocumentFragment();
    let plain = "";
    marks = [];
    const flush = () => {
      if (plain) parts.append(plain);
      plain = "";
    };
    for (const line of parseLog(text)) {
      const pieces = query && marks.length < MAX_MARKS ? findIn(line, query) : line;
      for (const piece of pieces) {
        const hit = "hit" in piece && piece.hit;
        if (!hit && !piece.classes) {
          plain += piece.text;
          continue;
        }
        flush();
        const node = el(hit ? "mark" : "span", { class: piece.classes || null, text: piece.text });
        if (hit) marks.push(node);
        parts.append(node);
      }
      plain += "\n";
    }
    flush();
    pre.replaceChildren(parts);
    at = Math.min(at, marks.length - 1);
    marks[at]?.classList.add("xpm-here");
    tellFound();
    if (follow) toEnd();
  }

  return {
    root,
    pre,
    clear() {
      text = "";
      setFollow(true);
      earlier.hidden = true;
      pre.replaceChildren();
      attr(pre, "data-empty", null);
    },
    shown() {
      if (follow) toEnd();
    },
    /**
     * @param {any} msg
     * @param {boolean} moreCanBe
     * @param {boolean} over  nothing is to come any more
     */
    take(msg, moreCanBe, over) {
      const now = String(msg.text ?? "");
      earlier.hidden = !(msg.more && moreCanBe);
      attr(pre, "data-empty", now ? null : over ? WROTE_NOTHING : NOTHING_YET);
      if (now === text) return;
      // Keep what is read in its place when earlier lines come before it.
      const below = pre.scrollHeight - pre.scrollTop;
      const grewUp = !follow && now.endsWith(text.slice(-200)) && now.length > text.length;
      text = now;
      draw();
      if (grewUp) pre.scrollTop = pre.scrollHeight - below;
    },
  };
}

// -- parameters, callbacks, difference ------------------------------------------------------------

/**
 * A config as a table: one row a parameter, what is nested is indented.
 * @param {any} config  a ConfigView
 */
function configTable(config) {
  const body = el("tbody");
  /** @type {Map<number, string>} */
  const places = new Map();
  const add = (/** @type {any} */ view, /** @type {number} */ depth, /** @type {string} */ path) => {
    if (!view.shared) places.set(view.number, path);
    for (const param of view.params ?? []) {
      const here = path ? `${path}.${param.name}` : String(param.name);
      const inner = param.config;
      const value = el("td", { class: "xpm-value" });
      if (inner) {
        value.append(clean(inner.name, 60), " ", el("span", { class: "xpm-id", text: eight(inner.identifier) }));
        if (inner.shared) value.append(` as ${clean(places.get(inner.number) || "above", 80)}`);
      } else value.append(clean(param.text, 400));
      const name = el("th", { scope: "row", title: param.help ? clean(param.help, 400) : null, text: clean(param.name, 60) });
      name.style.setProperty("--xpm-depth", String(Math.min(depth, 8)));
      const kind = [clean(param.type, 60), param.kind === "param" ? "" : param.kind, param.default ? "default" : ""].filter(Boolean).join(" · ");
      body.append(el("tr", { class: param.default ? "xpm-default" : null }, name, value, el("td", { class: "xpm-dim", text: kind })));
      if (inner && !inner.shared && depth < 12) add(inner, depth + 1, here);
    }
  };
  add(config, 0, "");
  if (!body.children.length) return none(config.note ? clean(config.note, 400) : "No parameters.");
  const note = config.note ? el("p", { class: "xpm-dim", text: clean(config.note, 400) }) : null;
  return el("div", {}, el("table", { class: "xpm-params" }, body), note);
}

/** @param {[string, string, string]} said */
function saidNode([kind, text, image]) {
  const label = kind === "error" ? "raised" : kind === "display" ? "displayed" : kind === "err" ? "stderr" : "";
  const small = label ? el("span", { class: "xpm-dim", text: label }) : null;
  if (image && IMAGE.test(image)) return el("div", { class: "xpm-said" }, small, el("img", { src: image, alt: clean(text, 200) || "displayed by a callback" }));
  const lines = parseLog(String(text ?? "")).map((line) => line.map((piece) => piece.text).join(""));
  return el("div", { class: `xpm-said${kind === "error" ? " xpm-problem" : ""}` }, small, el("pre", { text: clean(lines.join("\n"), 8000, true) }));
}

/** @param {any} diff  a DiffView */
function diffTable(diff) {
  if (!diff.rows.length) return none("Nothing differs.");
  const side = (/** @type {string[]} */ one) => el("th", { scope: "col" }, `${clean(one[0], 40)} `, el("span", { class: "xpm-id", text: eight(one[1]) }));
  const value = (/** @type {string | null} */ text, /** @type {boolean} */ strong) => el("td", { class: text == null ? "xpm-value xpm-dim" : "xpm-value", text: text == null ? "—" : clean(text, 400), "data-type": strong });
  const rows = diff.rows.map((/** @type {any} */ row) => el("tr", {}, el("th", { scope: "row", text: clean(row.path, 160) }), value(row.left, row.type_only), value(row.right, row.type_only), el("td", { class: "xpm-dim", text: row.hashed === false ? "not in the identifier" : "" })));
  return el("table", { class: "xpm-params xpm-diff" }, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "differs in" }), side(diff.left), side(diff.right), el("td"))), el("tbody", {}, rows));
}
