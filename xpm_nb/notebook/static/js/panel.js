// @ts-check
// The live panel of an experiment: head, tabs, acts, drawer, and the talk with the kernel.
// Rule 1: all views of one model share a hub, found by uid (each view gets a proxy of its own).
// Only the newest view of a hub listens, so nothing is taken twice.
// Rule 2: the kernel may be busy or gone. Whatever was asked has an end: an answer, or four seconds.

import { MARKS, STATES, clean, plural, roughly } from "./format.js";
import { attr, copyButton, el, hearAgain, kernelGone, markRoom, replaceText, tabList } from "./dom.js";
import { createStore } from "./store.js";
import { createJobsTab } from "./jobs.js";
import { createDrawer } from "./drawer.js";
import { createGraphTab } from "./graph.js";
import { createTimelineTab } from "./timeline.js";
import { createCurvesTab } from "./curves.js";
import { createResultsTab } from "./results.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {{get: (name: string) => any, send: (msg: any) => void, on: (name: string, listener: (...args: any[]) => void) => void, off: (name: string, listener: (...args: any[]) => void) => void}} Model */
/** @typedef {{ok: boolean, note: string}} Answer */
/** @typedef {{root: HTMLElement, show: () => void, hide: () => void, update: (changed: Set<number> | null) => void, message: (msg: any) => void, destroy: () => void}} Tab */
/**
 * @typedef {object} Ctx  what a tab gets
 * @property {Store} store
 * @property {(msg: any) => Promise<Answer>} send
 * @property {(wanted: any) => void} watch  what it wants kept up to date, merged with what others want
 * @property {(id: string) => void} open  selects the row and opens the drawer
 * @property {(filter: {task?: string, text?: string}) => void} filter  shows only these jobs
 * @property {() => string[]} selection
 * @property {(listener: (ids: string[]) => void) => void} onSelection
 */
/** @typedef {{model: Model, update: (changed: Set<number> | null, anew: boolean) => void, message: (msg: any) => void, kernel: () => void}} View */

const PATIENCE_MS = 4000; // for an answer of the kernel
const SOON_MS = 1500; // when the connection changed
const FIRST_PING_MS = 800;
const PING_MS = 30_000; // after such a silence of a run that has not finished
const NOTE_MS = 6000;
/** How much room there is, up to which width. @type {[string, number][]} */
const ROOMS = [["narrow", 600], ["tight", 900], ["usual", 1359], ["wide", Infinity]];
const SPEAK_MS = 5000; // between two sentences of a screen reader
const WANTED = { log: null, lines: 200, detail: null, curves: [], graph: null, table: null };

// -- the talk with the kernel ---------------------------------------------------------------------

/** @type {Map<string, Hub>} */
const hubs = new Map();

/** What all views of one experiment share. */
class Hub {
  /**
   * @param {string} uid
   * @param {any} snapshot
   */
  constructor(uid, snapshot) {
    this.uid = uid;
    this.store = createStore(snapshot);
    /** @type {View[]} */
    this.views = [];
    /** How the kernel is: "ok", "busy" (it speaks but does not answer), "silent". */
    this.kernel = "ok";
    this.heard = performance.now();
    this.answeredAt = 0;
    this.pinged = -1e9;
    this.pause = 1000; // before the next ping, while there is no answer
    this.timer = 0;
    this.resyncing = false;
    this.next = Math.floor(Math.random() * 2 ** 40); // other pages send too
    /** @type {Map<number, (answer: Answer) => void>} */
    this.asked = new Map();
    this.onMessage = (/** @type {any} */ msg) => this.take(msg);
    this.onSnapshot = () => this.renew();
    // The kernel went or came back: hear soon which.
    this.onComm = () => {
      this.pinged = -1e9;
      this.look();
      this.ping(SOON_MS);
    };
  }

  /** @param {View} view */
  join(view) {
    this.listen("off");
    this.views.push(view);
    this.listen("on");
    const snapshot = view.model.get("snapshot");
    if (snapshot?.seq > this.store.seq) this.renew();
    // Not at once: what is sent before the front-end has a subshell waits for the end of the cell.
    this.pingIn(FIRST_PING_MS);
  }

  /** @param {View} view */
  leave(view) {
    this.listen("off");
    this.views = this.views.filter((other) => other !== view);
    this.listen("on");
    if (!this.views.length) hubs.delete(this.uid);
  }

  /** The model of the newest view: after a reconnection, older ones may be dead. */
  get model() {
    return this.views.at(-1)?.model;
  }

  /** @param {"on" | "off"} how */
  listen(how) {
    this.model?.[how]("msg:custom", this.onMessage);
    this.model?.[how]("change:snapshot", this.onSnapshot);
    this.model?.[how]("comm_live_update", this.onComm);
  }

  /** @param {any} msg */
  take(msg) {
    if (!msg || typeof msg !== "object") return;
    this.heard = performance.now();
    if (this.kernel === "silent" && msg.t !== "ack") {
      this.setKernel("busy");
      this.ping();
    }
    if (msg.t === "ack") this.answered(msg.id, { ok: Boolean(msg.ok), note: String(msg.note ?? "") });
    else if (msg.t === "d") {
      const change = this.store.apply(msg);
      if (change === "resync") this.resync();
      else if (change.changed.size || change.structure || msg.eta !== undefined || msg.slots !== undefined) for (const view of this.views) view.update(change.changed, change.structure);
    } else for (const view of this.views) view.message(msg);
  }

  /** The whole came anew. */
  renew() {
    const snapshot = this.model?.get("snapshot");
    if (!snapshot || (snapshot.seq === this.store.seq && !this.resyncing)) return;
    this.resyncing = false;
    this.store.reset(snapshot);
    for (const view of this.views) view.update(null, true);
  }

  resync() {
    if (this.resyncing) return;
    this.resyncing = true;
    this.send({ do: "resync" }).then((answer) => {
      if (!answer.ok) this.resyncing = false; // the next gap asks again
    });
  }

  /**
   * Send a message; the promise is kept, with an answer or the reason why there is none.
   * @param {any} msg
   * @param {number} [patience]  milliseconds
   * @returns {Promise<Answer>}
   */
  send(msg, patience = PATIENCE_MS) {
    const id = this.next++;
    const sent = performance.now();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.asked.delete(id);
        if (this.answeredAt < sent) this.setKernel(this.heard > sent ? "busy" : "silent");
        if (this.kernel !== "ok") this.pingIn((this.pause = Math.min(2 * this.pause, 60_000)));
        resolve({ ok: false, note: this.trouble() || "no answer: try again" });
      }, patience);
      this.asked.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      try {
        this.model?.send({ ...msg, id, at: this.store.now() });
      } catch {
        clearTimeout(timer);
        this.asked.delete(id);
        this.setKernel("silent");
        resolve({ ok: false, note: this.trouble() });
      }
    });
  }

  /**
   * @param {number} id
   * @param {Answer} answer
   */
  answered(id, answer) {
    const listener = this.asked.get(id);
    this.asked.delete(id);
    this.answeredAt = performance.now();
    this.pause = 1000;
    this.setKernel("ok");
    listener?.(answer);
  }

  /** @param {number} ms */
  pingIn(ms) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.views.length && this.ping(), ms);
  }

  /** @param {number} [patience] */
  ping(patience) {
    if (performance.now() - this.pinged < 1000) return;
    this.pinged = performance.now();
    this.send({ do: "ping" }, patience);
  }

  /** @param {string} state */
  setKernel(state) {
    if (this.kernel === state) return;
    this.kernel = state;
    for (const view of this.views) view.kernel();
    if (state === "silent" && !kernelGone(this.model)) {
      hearAgain(this.model, "snapshot", () => {
        this.pinged = -1e9;
        this.resync(); // and whatever was said meanwhile
      });
    }
  }

  /** Where the front-end knows that there is no kernel, nothing has to be asked first. */
  look() {
    if (this.kernel === "silent" || !kernelGone(this.model)) return;
    this.setKernel("silent");
    this.pingIn(this.pause);
  }

  trouble() {
    if (this.kernel === "busy") return "waits for the kernel: a cell is running";
    return this.kernel === "silent" ? "the kernel does not answer" : "";
  }
}

// -- the panel ------------------------------------------------------------------------------------

/** Besides the jobs: made when they are looked at first. @type {Record<string, [string, (ctx: Ctx) => Tab]>} */
const VIEWS = {
  graph: ["Graph", createGraphTab],
  timeline: ["Timeline", createTimelineTab],
  curves: ["Curves", createCurvesTab],
  results: ["Results", createResultsTab],
};

let panels = 0;

/**
 * @param {object} parts
 * @param {Model} parts.model
 * @param {HTMLElement} parts.el
 */
function render({ model, el: host }) {
  const name = String(model.get("uid") ?? "");
  const hub = hubs.get(name) ?? new Hub(name, model.get("snapshot"));
  hubs.set(name, hub);
  const { store } = hub;
  const uid = `xpm-${++panels}`;
  const viewId = `${Math.random().toString(36).slice(2)}`;
  /** @type {((ids: string[]) => void)[]} */
  const onSelection = [];
  /** @type {Record<string, any>} */
  let wanted = { ...WANTED };
  let wantedBefore = JSON.stringify(wanted);
  let wantTimer = 0;
  let noteTimer = 0;
  let spoken = 0;
  /** @type {{ids: string[], act: string} | null} */
  let question = null;

  /** @type {ReturnType<typeof createDrawer> | null} */
  let drawer = null; // made when it is opened first
  const jobs = createJobsTab({
    store,
    uid,
    open,
    act,
    selected(ids) {
      question = null;
      drawActs();
      for (const listener of onSelection) listener(ids);
    },
    filtered: drawCounts,
  });
  jobs.onMove((id) => drawer?.current() && drawer.show(id));

  /** @type {Ctx} */
  const ctx = {
    store,
    send: (msg) => hub.send(msg),
    watch,
    open,
    filter(filter) {
      tabs.choose("jobs");
      jobs.setFilter({ text: "", task: "", states: new Set(), ...filter });
    },
    selection: jobs.selection,
    onSelection: (listener) => onSelection.push(listener),
  };

  // Head
  const title = el("strong", { class: "xpm-name" });
  const total = el("span", { class: "xpm-dim xpm-nowrap" });
  const counts = new Map(STATES.map((state) => [state, el("button", { type: "button", class: "xpm-count", "data-count": state, "data-mark": MARKS[state], "aria-pressed": "false" })]));
  const left = el("span", { class: "xpm-left" });
  const head = el("div", { class: "xpm-head" }, title, total, el("span", { class: "xpm-counts" }, [...counts.values()]), left);
  const segments = new Map(STATES.map((state) => [state, el("span", { "data-state": state })]));
  const bar = el("div", { class: "xpm-bar", role: "img" }, [...segments.values()]);
  for (const [state, button] of counts) button.addEventListener("click", (event) => pickState(state, event.ctrlKey || event.metaKey || event.shiftKey));

  // Acts
  const chosen = el("span", { class: "xpm-dim xpm-nowrap" });
  const note = el("span", { class: "xpm-note", role: "status" });
  const buttons = new Map(["cancel", "retry", "rerun", "diff"].map((verb) => [verb, el("button", { type: "button", class: "xpm-quiet", "data-act": verb, text: verb })]));
  const yes = el("button", { type: "button", class: "xpm-quiet xpm-strong", "data-act": "confirm" });
  const no = el("button", { type: "button", class: "xpm-quiet", "data-act": "dismiss", text: "no" });
  const acts = el("div", { class: "xpm-acts", role: "group", "aria-label": "acts on the selected jobs" }, chosen, [...buttons.values()], yes, no);
  for (const [verb, button] of buttons) button.addEventListener("click", () => act(verb, jobs.selection()));
  yes.addEventListener("click", () => {
    if (question) perform(question.act, question.ids);
    question = null;
    drawActs();
  });
  no.addEventListener("click", () => {
    question = null;
    drawActs();
  });

  // Tabs
  /** @type {Map<string, any>} */
  const parts = new Map();
  /** @type {Map<string, HTMLElement>} */
  const panes = new Map();
  const names = /** @type {[string, string][]} */ ([["jobs", "Jobs"], ...Object.entries(VIEWS).map(([key, [text]]) => [key, text])]);
  const tabs = tabList(uid, names, pickTab, "views of the experiment");
  for (const [key] of names) panes.set(key, el("div", { role: "tabpanel", id: `${uid}-panel-${key}`, "aria-labelledby": `${uid}-tab-${key}`, hidden: true }));
  const body = el("div", { class: "xpm-body" }, el("div", { class: "xpm-views" }, [...panes.values()]));

  // Foot
  const place = el("span", { class: "xpm-place" });
  const back = el("code", { class: "xpm-back" });
  const foot = el("div", { class: "xpm-foot" }, place, el("span", { class: "xpm-way" }, back, copyButton(() => store.back, "copy the line that leads back here")));
  const status = el("div", { class: "xpm-hidden", role: "status", "aria-live": "polite" });

  const root = el("div", { class: "xpm xpm-live", role: "group", "data-uid": name, "data-state": "idle" }, head, bar, el("div", { class: "xpm-line" }, tabs.root, note, acts), body, foot, status);
  root.addEventListener("keydown", key);
  // Clicks and keys in here are not the notebook's.
  for (const event of ["keyup", "keypress", "dblclick"]) root.addEventListener(event, (e) => e.stopPropagation());

  /** @type {Set<number> | null} */
  let changed = new Set();
  let anew = false;
  let frame = 0;
  /** @type {View} */
  const view = {
    model,
    update(rows, structure) {
      anew ||= structure;
      if (rows === null) changed = null;
      else if (changed) for (const i of rows) changed.add(i);
      frame ||= requestAnimationFrame(draw);
    },
    message(msg) {
      if (msg.t === "diff") {
        if (!awaitsDiff) return;
        awaitsDiff = false;
        theDrawer().showDiff(msg.diff);
      } else {
        drawer?.message(msg);
        for (const part of parts.values()) part.message?.(msg);
      }
    },
    kernel() {
      drawActs();
      drawHead();
    },
  };
  let awaitsDiff = false;

  /** Write what changed since the last picture. */
  function draw() {
    frame = 0;
    const rows = changed;
    const structure = anew;
    changed = new Set();
    anew = false;
    drawHead();
    drawCounts();
    drawActs();
    jobs.update(rows, structure || rows === null);
    drawer?.update(rows);
    for (const [key, part] of parts) if (key !== "jobs" && key === tabs.chosen()) part.update(structure ? null : rows);
  }

  function drawHead() {
    replaceText(title, clean(store.name, 80));
    attr(root, "aria-label", `experiment ${clean(store.name, 80)}`);
    replaceText(total, plural(store.rows.length, "job"));
    const { eta, slots, finished } = store;
    const words = [store.dry ? "dry run: nothing is started" : "", !finished && eta != null ? `${roughly(eta)} left` : "", plural(slots, "slot")];
    replaceText(left, words.filter(Boolean).join(" · "));
    const state = hub.kernel === "silent" ? "lost" : !store.rows.length ? "idle" : finished ? "done" : "live";
    attr(root, "data-state", state);
    attr(root, "data-kernel", hub.kernel);
    if (!noteTimer) replaceText(note, hub.trouble());
    replaceText(place, clean(store.workspace, 300));
    replaceText(back, clean(store.back, 400));
    foot.hidden = !store.back && !store.workspace;
  }

  function drawCounts() {
    const { states } = jobs.filter;
    const length = store.rows.length;
    for (const [state, button] of counts) {
      const n = store.counts[state];
      button.hidden = !n && !states.has(state);
      replaceText(button, `${n.toLocaleString("en")} ${state}`);
      attr(button, "aria-pressed", states.has(state) ? "true" : "false");
      const segment = /** @type {HTMLElement} */ (segments.get(state));
      segment.style.flexGrow = String(n);
      segment.hidden = !n;
    }
    bar.hidden = !length;
    const text = STATES.filter((state) => store.counts[state]).map((state) => `${store.counts[state]} ${state}`).join(", ");
    attr(bar, "aria-label", text || "no jobs");
    const now = performance.now();
    if (now - spoken > SPEAK_MS || store.finished) {
      spoken = now;
      replaceText(status, length ? text : "");
    }
  }

  // -- acts ---------------------------------------------------------------------------------------

  /**
   * Those of some jobs that an act makes sense for.
   * @param {string} verb
   * @param {string[]} ids
   */
  function fit(verb, ids) {
    const fits = /** @type {Record<string, (state: string) => boolean>} */ ({
      cancel: (state) => state !== "done" && state !== "error",
      retry: (state) => state === "error",
      rerun: (state) => state === "done",
    })[verb];
    return ids.filter((id) => fits(store.byId(id)?.state ?? ""));
  }

  function drawActs() {
    const ids = jobs.selection();
    replaceText(chosen, question ? `${question.act === "rerun" ? "run" : "cancel"} ${plural(question.ids.length, question.act === "rerun" ? "done job" : "job")}${question.act === "rerun" ? " again" : ""}?` : ids.length > 1 ? `${ids.length.toLocaleString("en")} selected` : "");
    for (const [verb, button] of buttons) {
      const count = verb === "diff" ? (ids.length === 2 ? 2 : 0) : fit(verb, ids).length;
      button.hidden = Boolean(question) || !ids.length || (verb === "diff" && ids.length !== 2);
      button.disabled = !count || hub.kernel !== "ok";
      replaceText(button, verb !== "diff" && count && ids.length > 1 ? `${verb} ${count.toLocaleString("en")}` : verb);
      attr(button, "title", hub.trouble() || null);
    }
    yes.hidden = no.hidden = !question;
    if (question) replaceText(yes, question.act === "rerun" ? "run again" : "cancel them");
  }

  /**
   * What a button or a key asks for.
   * @param {string} verb
   * @param {string[]} ids
   */
  function act(verb, ids) {
    if (verb === "diff") {
      if (ids.length === 2) {
        awaitsDiff = true;
        ask({ do: "diff", jobs: ids });
      }
      return;
    }
    const some = fit(verb, ids);
    if (!some.length) return;
    const byKey = !acts.contains(/** @type {Document | ShadowRoot} */ (root.getRootNode()).activeElement);
    if (verb === "rerun" || (verb === "cancel" && some.length > 1 && byKey)) {
      question = { act: verb, ids: some };
      drawActs();
      yes.focus();
    } else perform(verb, some);
  }

  /**
   * @param {string} verb
   * @param {string[]} ids
   */
  function perform(verb, ids) {
    jobs.grid.focus({ preventScroll: true });
    ask({ do: verb, jobs: ids });
  }

  /** @param {any} msg */
  async function ask(msg) {
    const answer = await hub.send(msg);
    if (answer.ok && !answer.note) return;
    if (!answer.ok && msg.do === "diff") awaitsDiff = false;
    window.clearTimeout(noteTimer);
    replaceText(note, clean(answer.note || "that did not work", 200));
    noteTimer = window.setTimeout(() => {
      noteTimer = 0;
      replaceText(note, hub.trouble());
    }, NOTE_MS);
  }

  // -- what is looked at --------------------------------------------------------------------------

  /** @param {any} more */
  function watch(more) {
    wanted = { ...wanted, ...more };
    wantTimer ||= window.setTimeout(() => {
      wantTimer = 0;
      const now = JSON.stringify(wanted);
      if (now === wantedBefore) return;
      wantedBefore = now;
      hub.send({ do: "watch", view: viewId, ...wanted });
    }, 30);
  }

  /** @param {string} id */
  function open(id) {
    if (!store.byId(id)) return;
    if (jobs.selection().join() !== id) jobs.pick(id);
    theDrawer().show(id);
  }

  function theDrawer() {
    attr(root, "data-drawer", true);
    if (drawer) return drawer;
    drawer = createDrawer({ store, uid, watch, open, closed: () => attr(root, "data-drawer", null) });
    body.append(drawer.root);
    return drawer;
  }

  /** @param {string} picked */
  function pickTab(picked) {
    for (const [key, pane] of panes) {
      if (key !== picked && !pane.hidden) {
        pane.hidden = true;
        parts.get(key)?.hide();
      }
    }
    const pane = /** @type {HTMLElement} */ (panes.get(picked));
    pane.hidden = false;
    if (!parts.has(picked)) {
      parts.set(picked, picked === "jobs" ? jobs : VIEWS[picked][1](ctx));
      pane.append(parts.get(picked).root);
    }
    parts.get(picked).show();
  }

  /**
   * @param {string} state
   * @param {boolean} more  besides those that are shown already
   */
  function pickState(state, more) {
    const { states } = jobs.filter;
    const next = new Set(more ? states : []);
    if (!states.has(state)) next.add(state);
    else if (more) next.delete(state);
    tabs.choose("jobs");
    jobs.setFilter({ states: next });
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(/** @type {Element} */ (event.target).tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      tabs.choose("jobs");
      jobs.search.focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      if (question) no.click();
      else drawer?.hide();
    }
    // The notebook has its own use for single keys; its shortcuts with Ctrl still work in here.
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  }

  // -- begin and end ------------------------------------------------------------------------------

  host.append(root);
  const unmark = markRoom(root, ROOMS);
  tabs.choose("jobs");
  hub.join(view);
  draw();
  const clock = window.setInterval(() => {
    hub.look();
    if (document.hidden || !root.isConnected || hub.kernel === "silent") return;
    if (store.counts.running) {
      jobs.tick();
      drawer?.tick();
    }
    if (!store.finished) drawHead();
    if (!store.finished && performance.now() - hub.heard > PING_MS) hub.ping();
  }, 1000);

  return () => {
    window.clearInterval(clock);
    window.clearTimeout(wantTimer);
    window.clearTimeout(noteTimer);
    if (frame) cancelAnimationFrame(frame);
    if (wantedBefore !== JSON.stringify(WANTED)) hub.send({ do: "watch", view: viewId, ...WANTED });
    for (const part of parts.values()) part.destroy();
    hub.leave(view);
    unmark();
    root.remove();
  };
}

export default { render };
