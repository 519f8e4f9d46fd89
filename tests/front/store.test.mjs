import assert from "node:assert/strict";
import { test } from "node:test";

import { createStore, elapsed } from "../../xpm_nb/notebook/static/js/store.js";

const T0 = 1_700_000_000;

function snapshot(rows = [], more = {}) {
  return { v: 1, seq: 5, ts: T0 + 10, t0: T0, name: "digits", workspace: "/w", back: "start()", slots: 2, eta: 60, dry: false, tasks: ["Train", "Load"], tags: [["lr", ["0.1", "0.01"]], ["__proto__", ["x"]]], metrics: ["loss"], rows, ...more };
}

const ROWS = [
  [["aaaaaaaaaaaa", 1, 0.5], ["d", "", 1, 3.5]],
  [["bbbbbbbbbbbb", 0, 1, [1, 0]], ["r", "", 4, null, 0.25, "epoch 1", 2, 2, [0.5]]],
  [["cccccccccccc", 0, null, [-1]], ["e", "failed", null, null, null, "", 1, 8, [], "boom", 3]],
];

test("a snapshot gives rows, counts and names", () => {
  const store = createStore(snapshot(ROWS), () => 0);
  assert.equal(store.rows.length, 3);
  assert.deepEqual({ ...store.counts }, { done: 1, error: 1, running: 1, scheduled: 0, ready: 0, waiting: 0, unscheduled: 0 });
  const [load, run, bad] = store.rows;
  assert.deepEqual([load.task, load.state, load.started, load.ended], ["Load", "done", T0 + 1, T0 + 3.5]);
  assert.deepEqual([run.attempt, run.elsewhere, run.reused, run.progress, run.ptext, run.metrics.loss], [2, true, false, 0.25, "epoch 1", 0.5]);
  assert.equal(run.tags.lr, "0.01");
  assert.equal(run.tags["__proto__"], "x");
  assert.deepEqual([bad.reason, bad.message, bad.said, bad.callbackError, bad.submitted, bad.tags.lr], ["failed", "boom", 3, true, null, undefined]);
  assert.equal(store.byId("bbbbbbbbbbbb"), run);
  assert.equal(store.byId("nobody"), undefined);
  assert.equal(store.finished, false);
});

test("flags say what is to be thought of a result", () => {
  const words = (flags) => {
    const [row] = createStore(snapshot([[["aaaaaaaaaaaa", 1, 0.5], ["d", "", 1, 3.5, null, "", 1, flags]]])).rows;
    return [row.source, row.stale, row.drift, row.reused];
  };
  assert.deepEqual(words(0), ["", "", "", false]);
  assert.deepEqual(words(16 + 1), ["", "stale: code changed", "", true]);
  assert.deepEqual(words(128), ["", "", "environment changed", false]);
  assert.deepEqual(words(128 + 64), ["", "code unknown", "environment changed", false]);
  assert.deepEqual(words(256), ["source unknown", "", "", false]);
});

test("an empty or missing snapshot is an experiment without jobs", () => {
  for (const nothing of [{}, null, undefined, snapshot()]) {
    const store = createStore(nothing);
    assert.equal(store.rows.length, 0);
    assert.equal(store.finished, true);
  }
});

test("deltas change rows and append new ones with new columns", () => {
  const store = createStore(snapshot(ROWS), () => 0);
  const change = store.apply({ t: "d", prev: 5, seq: 6, ts: T0 + 11, r: [[1, ["d", "", 4, 9, 1, "", 2, 0, [0.4]]]], n: [[["dddddddddddd", 2, 2, [2]], ["w"]]], tasks: ["Train", "Load", "Score"], tags: [["lr", ["0.1", "0.01", "1"]]], eta: null });
  assert.deepEqual([...change.changed].sort(), [1, 3]);
  assert.equal(change.structure, true);
  assert.deepEqual([store.rows[1].state, store.rows[1].metrics.loss, store.counts.done, store.counts.running, store.counts.waiting], ["done", 0.4, 2, 0, 1]);
  assert.deepEqual([store.rows[3].task, store.rows[3].tags.lr, store.eta], ["Score", "1", null]);
});

test("what came before is ignored, a gap or a row nobody knows asks for a snapshot", () => {
  const store = createStore(snapshot(ROWS));
  const late = store.apply({ prev: 3, seq: 4, r: [[0, ["e"]]] });
  assert.equal(late.changed.size, 0);
  assert.equal(store.rows[0].state, "done");
  assert.equal(store.apply({ prev: 7, seq: 8, r: [] }), "resync");
  assert.equal(store.apply({ prev: 5, seq: 6, r: [[99, ["d"]]] }), "resync");
  assert.equal(store.seq, 5);
  store.reset(snapshot([], { seq: 9 }));
  assert.deepEqual([store.rows.length, store.seq, store.byId("aaaaaaaaaaaa")], [0, 9, undefined]);
});

test("a delta in steps and a snapshot of the end tell the same", () => {
  const letters = ["w", "y", "s", "r", "d", "e"];
  let seed = 3;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
  const store = createStore(snapshot([]), () => 0);
  const rows = [];
  for (let seq = 6; seq < 300; seq++) {
    const r = [];
    if (rows.length) {
      const i = random(rows.length);
      rows[i] = [rows[i][0], [letters[random(6)], "", 1, random(9), random(100) / 100]];
      r.push([i, rows[i][1]]);
    }
    const n = random(3) ? [] : [[[String(seq), 0, 0, [random(2)]], ["w"]]];
    rows.push(...n);
    store.apply({ prev: seq - 1, seq, r, n });
  }
  const other = createStore(snapshot(rows), () => 0);
  assert.deepEqual(store.rows, other.rows);
  assert.deepEqual(store.counts, other.counts);
});

test("the kernel's time is reckoned from what came quickest", () => {
  let here = 100;
  const store = createStore(snapshot(ROWS), () => here);
  assert.equal(store.now(), T0 + 10);
  here = 105;
  store.apply({ prev: 5, seq: 6, ts: T0 + 12 }); // three seconds on its way
  assert.equal(store.now(), T0 + 15);
  store.apply({ prev: 6, seq: 7, ts: T0 + 15.2 });
  assert.equal(store.now(), T0 + 15.2);
  assert.equal(elapsed(store.rows[1], store.now()), T0 + 15.2 - (T0 + 4));
  assert.equal(elapsed(store.rows[0], store.now()), 2.5);
  assert.equal(elapsed(store.rows[2], store.now()), null);
});

test("what is left counts down by itself, not below nothing", () => {
  let here = 0;
  const store = createStore(snapshot(ROWS), () => here);
  assert.equal(store.eta, 60);
  here = 45;
  assert.equal(store.eta, 15);
  here = 100;
  assert.equal(store.eta, 0);
});

test("usage is that of running jobs only", () => {
  const store = createStore(snapshot(ROWS));
  const change = store.apply({ prev: 5, seq: 6, u: { 0: [1, 50], 1: [0.9, 512], 77: [1, 1] } });
  assert.deepEqual([...change.changed], [1]);
  assert.deepEqual([store.rows[1].cpu, store.rows[1].memory, store.rows[0].cpu], [0.9, 512, null]);
  store.apply({ prev: 6, seq: 7, r: [[1, ["r", "", 4, null, 0.5]]] });
  assert.equal(store.rows[1].cpu, 0.9);
  store.apply({ prev: 7, seq: 8, r: [[1, ["d", "", 4, 9]]] });
  assert.equal(store.rows[1].cpu, null);
});
