// @ts-check
// What is known of an experiment's jobs: one copy for all views of it, made from a snapshot and
// kept up to date by deltas. Nothing here knows the page.
// Rule: a delta counts only on top of the one it was made for (`prev`). What is older is ignored;
// after a gap the caller asks for a new snapshot.

import { WORDS, STATES } from "./format.js";
import { unpack } from "./packed.js";

// By the number that the flags of a row hold; `freshness.BADGES` has the same words.
const STALE = ["", "stale: code changed", "stale: default changed", "stale: input changed", "code unknown"];
const DRIFTED = "environment changed";
const SOURCE_UNKNOWN = "source unknown";

/**
 * @typedef {object} Row  one job; times are the kernel's, in seconds since the epoch
 * @property {number} i  its place
 * @property {string} id  twelve digits
 * @property {string} task
 * @property {Record<string, string>} tags
 * @property {number | null} submitted
 * @property {string} state  the word: "running"
 * @property {string} reason  of an error: "cancelled"
 * @property {number | null} started
 * @property {number | null} ended
 * @property {number | null} progress  from 0 to 1
 * @property {string} ptext
 * @property {number} attempt
 * @property {boolean} reused
 * @property {boolean} elsewhere
 * @property {boolean} earlier
 * @property {string} source  that it is not known
 * @property {string} stale why its result may not be what would be computed now
 * @property {string} drift whether the environment is another one than that of its run
 * @property {boolean} callbackError
 * @property {Record<string, number | null>} metrics
 * @property {string} message
 * @property {number} said  how many things its callbacks have said
 * @property {number | null} cpu  processors
 * @property {number | null} memory  megabytes
 */

/**
 * @typedef {object} Store
 * @property {Row[]} rows
 * @property {string[]} tasks
 * @property {string[]} tagNames
 * @property {Map<string, string[]>} tagValues
 * @property {string[]} metricNames
 * @property {Record<string, number>} counts  per state, none left out
 * @property {string} name
 * @property {string} workspace
 * @property {string} back  the line that leads back to the experiment
 * @property {number | null} eta  seconds that are left, from now on; null: nobody knows
 * @property {number} slots
 * @property {boolean} dry
 * @property {number} seq
 * @property {boolean} finished  no job will change by itself any more
 * @property {() => number} now  the kernel's time
 * @property {(id: string) => Row | undefined} byId
 * @property {(msg: any) => Change | "resync"} apply
 * @property {(snapshot: any) => void} reset
 */

/** @typedef {{changed: Set<number>, structure: boolean}} Change  structure: rows or columns are new */

/**
 * @param {any} snapshot
 * @param {() => number} [clock]  seconds of this page, never going back
 * @returns {Store}
 */
export function createStore(snapshot, clock = () => performance.now() / 1000) {
  /** @type {Map<string, Row>} */
  let ids = new Map();
  let base = 0;
  let ahead = 0; // of the kernel's clock before ours
  /** @type {number | null} */
  let left = null;
  let leftAt = 0;

  /** @type {Store} */
  const store = {
    rows: [],
    tasks: [],
    tagNames: [],
    tagValues: new Map(),
    metricNames: [],
    counts: {},
    name: "",
    workspace: "",
    back: "",
    slots: 1,
    dry: false,
    seq: -1,
    get eta() {
      return left == null ? null : Math.max(0, left - (store.now() - leftAt));
    },
    get finished() {
      const { done, error, unscheduled } = store.counts; // what is left out does not begin by itself
      return done + error + unscheduled === store.rows.length;
    },
    now: () => clock() + ahead,
    byId: (id) => ids.get(id),
    apply,
    reset,
  };
  reset(snapshot);
  return store;

  /** @param {any} snap */
  function reset(snap) {
    snap = typeof snap?.packed === "string" ? unpack(snap.packed, snap.size) : (snap ?? {});
    base = snap.t0 ?? 0;
    ahead = (snap.ts ?? Date.now() / 1000) - clock();
    store.name = String(snap.name ?? "");
    store.workspace = String(snap.workspace ?? "");
    store.back = String(snap.back ?? "");
    store.dry = Boolean(snap.dry);
    store.seq = snap.seq ?? 0;
    store.counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    store.rows = [];
    ids = new Map();
    take({ tasks: [], tags: [], metrics: [], slots: 1, eta: null, ...snap });
    for (const [fixed, now] of snap.rows ?? []) append(fixed, now);
  }

  /**
   * What both a snapshot and a delta may say about the whole.
   * @param {any} msg
   */
  function take(msg) {
    if (msg.tasks) store.tasks = msg.tasks.map(String);
    if (msg.tags) {
      store.tagNames = msg.tags.map((/** @type {any} */ tag) => String(tag[0]));
      store.tagValues = new Map(msg.tags.map((/** @type {any} */ tag) => [String(tag[0]), tag[1].map(String)]));
    }
    if (msg.metrics) store.metricNames = msg.metrics.map(String);
    if (msg.slots != null) store.slots = msg.slots;
    if (msg.eta !== undefined) {
      left = msg.eta;
      leftAt = store.now();
    }
  }

  /** @param {any} msg  of type "d" */
  function apply(msg) {
    /** @type {Set<number>} */
    const changed = new Set();
    if (msg.seq <= store.seq) return { changed, structure: false };
    if (msg.prev !== store.seq) return "resync";
    const rows = msg.r ?? [];
    if (rows.some((/** @type {any} */ item) => !store.rows[item[0]])) return "resync";
    store.seq = msg.seq;
    // The one that was the quickest to come is the nearest to the truth.
    if (msg.ts != null) ahead = Math.max(ahead, msg.ts - clock());
    take(msg);
    for (const [fixed, now] of msg.n ?? []) changed.add(append(fixed, now));
    for (const [i, now] of rows) {
      const row = store.rows[i];
      store.counts[row.state] -= 1;
      set(row, now);
      store.counts[row.state] += 1;
      changed.add(i);
    }
    for (const [i, [cpu, mb]] of Object.entries(msg.u ?? {})) {
      const row = store.rows[Number(i)];
      if (row?.state !== "running") continue;
      row.cpu = cpu;
      row.memory = mb;
      changed.add(row.i);
    }
    return { changed, structure: Boolean(msg.n?.length || msg.tasks || msg.tags || msg.metrics) };
  }

  /**
   * @param {any[]} fixed  what never changes
   * @param {any[]} now
   */
  function append(fixed, now) {
    const [id, task, submitted, values] = fixed;
    /** @type {Record<string, string>} */
    const tags = Object.create(null); // a tag may be named like anything
    (values ?? []).forEach((/** @type {number} */ value, /** @type {number} */ n) => {
      const name = store.tagNames[n];
      const text = store.tagValues.get(name)?.[value];
      if (text !== undefined) tags[name] = text;
    });
    const row = /** @type {Row} */ ({ i: store.rows.length, id: String(id), task: store.tasks[task ?? 0] ?? "", tags, submitted: time(submitted) });
    set(row, now);
    store.counts[row.state] += 1;
    store.rows.push(row);
    ids.set(row.id, row);
    return row.i;
  }

  /**
   * @param {Row} row
   * @param {any[]} now
   */
  function set(row, now) {
    const flags = now[7] || 0;
    row.state = WORDS[now[0]] ?? "unscheduled";
    row.reason = now[1] || "";
    row.started = time(now[2]);
    row.ended = time(now[3]);
    row.progress = now[4] ?? null;
    row.ptext = now[5] || "";
    row.attempt = now[6] || 1;
    row.reused = (flags & 1) > 0;
    row.elsewhere = (flags & 2) > 0;
    row.earlier = (flags & 4) > 0;
    row.callbackError = (flags & 8) > 0;
    row.source = (flags & 256) > 0 ? SOURCE_UNKNOWN : "";
    row.stale = STALE[(flags >> 4) & 7] ?? "";
    row.drift = (flags & 128) > 0 ? DRIFTED : "";
    row.metrics = Object.create(null);
    (now[8] || []).forEach((/** @type {number | null} */ value, /** @type {number} */ n) => (row.metrics[store.metricNames[n]] = value));
    row.message = now[9] || "";
    row.said = now[10] || 0;
    if (row.state !== "running") row.cpu = row.memory = null;
    row.cpu ??= null;
    row.memory ??= null;
  }

  /** @param {number | null | undefined} seconds */
  function time(seconds) {
    return seconds == null ? null : seconds + base;
  }
}

/**
 * How long a job took, or has run until now.
 * @param {Row} row
 * @param {number} now
 */
export function elapsed(row, now) {
  if (row.started == null) return null;
  const end = row.ended ?? (row.state === "running" ? now : null);
  return end == null ? null : Math.max(0, end - row.started);
}
