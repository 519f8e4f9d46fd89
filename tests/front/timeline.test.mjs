import assert from "node:assert/strict";
import { test } from "node:test";

import { barAt, laneHeight, layTimeline, packLanes, ticks, timeText, timeTicks } from "../../xpm_nb/notebook/static/js/timeline.js";

// A small generator of numbers, so that a failure comes again.
function random(seed) {
  let state = seed;
  return () => ((state = (state * 1664525 + 1013904223) >>> 0), state / 2 ** 32);
}

test("ticks are round, within the range, and about as many as asked for", () => {
  assert.deepEqual(ticks(0, 100, 4), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks(0.12, 0.83, 4), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(ticks(-1, 1, 4), [-1, -0.5, 0, 0.5, 1]);
  assert.deepEqual(ticks(1e-9, 3e-9, 2), [1e-9, 2e-9, 3e-9]);
  const next = random(1);
  for (let n = 0; n < 2000; n++) {
    const low = (next() - 0.5) * 10 ** Math.floor(next() * 20 - 10);
    const high = low + next() * 10 ** Math.floor(next() * 12 - 6);
    const count = 2 + Math.floor(next() * 8);
    const found = ticks(low, high, count);
    assert.ok(found.length <= 2 * count + 1, `${low} ${high} ${count}: ${found.length}`);
    const room = (high - low) * 1e-6 + Math.abs(low) * 1e-9;
    assert.ok(found.every((tick) => tick >= low - room && tick <= high + room));
    assert.ok(found.every((tick, i) => !i || tick > found[i - 1]));
  }
  assert.deepEqual(ticks(5, 5, 4), [5]);
  for (const [low, high] of [[NaN, 1], [0, Infinity], [2, 1]]) assert.ok(ticks(low, high, 4).length <= 1);
});

test("times are marked in steps that people count in", () => {
  assert.deepEqual(timeTicks(0, 60, 6), { step: 10, times: [0, 10, 20, 30, 40, 50, 60] });
  assert.deepEqual(timeTicks(0, 7200, 5).step, 1800);
  assert.equal(timeTicks(0, 86400 * 400, 5).step % 86400, 0);
  for (const span of [0.3, 5, 77, 1234, 98765, 3e7, 4e9]) {
    const { times } = timeTicks(0, span, 8);
    assert.ok(times.length >= 2 && times.length <= 9, `${span}: ${times.length}`);
  }
  assert.deepEqual(timeTicks(3, 3, 5).times, []);
});

test("times are written as exactly as the axis is", () => {
  const pairs = [[0, 1, "0"], [0.5, 0.1, "0.5 s"], [90, 30, "1 min 30 s"], [120, 60, "2 min"], [3600, 600, "1 h"], [5400, 900, "1 h 30 min"], [90000, 3600, "1 d 1 h"], [-30, 10, "−30 s"]];
  for (const [seconds, step, text] of pairs) assert.equal(timeText(seconds, step), text);
});

test("no two jobs overlap in a lane, and there are no more lanes than ran at once", () => {
  const next = random(7);
  for (let round = 0; round < 100; round++) {
    const items = Array.from({ length: 1 + Math.floor(next() * 80) }, () => {
      const from = Math.floor(next() * 50);
      return { from, to: from + Math.floor(next() * 12) };
    }).sort((a, b) => a.from - b.from);
    const { lanes, count } = packLanes(items);
    const ends = Array(count).fill(-Infinity);
    items.forEach((item, n) => {
      assert.ok(item.from >= ends[lanes[n]]);
      ends[lanes[n]] = item.to;
    });
    const most = Math.max(...items.map(({ from }) => items.filter((other) => other.from <= from && (other.to > from || other.from === from)).length));
    assert.ok(count <= most);
  }
  assert.deepEqual(packLanes([]), { lanes: [], count: 0 });
  assert.deepEqual(packLanes([{ from: 0, to: 1 }, { from: 1, to: 2 }]).lanes, [0, 0]); // one ends as the other starts
});

const row = (i, more) => ({ i, id: `id${i}`, task: "A", tags: {}, state: "done", reason: "", started: 100 + i, ended: 101 + i, reused: false, progress: null, ...more });

test("the timeline holds what ran, those done before only if asked for", () => {
  const rows = [row(0), row(1, { state: "running", ended: null }), row(2, { state: "waiting", started: null, ended: null }), row(3, { reused: true, started: 1, ended: 2 }), row(4, { state: "error", started: null, ended: null })];
  const chart = layTimeline(rows, 150, false, false);
  assert.deepEqual(chart.bars.map((bar) => [bar.row.i, bar.from, bar.to, bar.lane]), [[0, 100, 101, 0], [1, 101, 150, 0]]);
  assert.deepEqual([chart.from, chart.to, chart.left, chart.lanes], [100, 150, 1, 1]);
  assert.deepEqual(layTimeline(rows, 150, false, true).bars.length, 3);
  assert.equal(layTimeline([rows[3]], 150, false, false).bars.length, 1); // nothing else is there
  const empty = layTimeline([], 150, true, false);
  assert.ok(empty.to > empty.from && empty.bars.length === 0);
});

test("by task, each has lanes of its own", () => {
  const rows = [row(0, { ended: 110 }), row(1, { task: "B", ended: 120 }), row(2, { task: "A", ended: 103 }), row(3, { task: "B", started: 130, ended: 131 })];
  const chart = layTimeline(rows, 140, true, false);
  assert.deepEqual(chart.bands, [{ name: "A", first: 0, count: 2 }, { name: "B", first: 2, count: 1 }]);
  assert.deepEqual(chart.bars.map((bar) => bar.lane), [0, 2, 1, 2]);
  assert.equal(chart.most, 3);
});

test("a clock that went back makes no bar of negative length", () => {
  const chart = layTimeline([row(0, { started: 200, ended: 190 }), row(1, { state: "running", started: 300, ended: null })], 250, false, false);
  assert.ok(chart.bars.every((bar) => bar.to >= bar.from) && chart.to > chart.from);
});

test("10,000 jobs are laid out at once", () => {
  const next = random(3);
  const rows = Array.from({ length: 10_000 }, (_, i) => row(i, { started: next() * 3600, ended: 3600 + next() * 60, task: `T${i % 9}` }));
  const chart = layTimeline(rows, 4000, true, false);
  assert.equal(chart.bars.length, 10_000);
  assert.equal(chart.lanes, 10_000);
  assert.ok(laneHeight(chart.lanes) >= 1 && laneHeight(1) <= 22 && laneHeight(0) > 0);
});

test("the pointer finds the bar it is on, or a near one", () => {
  const bars = layTimeline([row(0), row(1, { started: 105, ended: 110 })], 120, false, false).bars;
  assert.equal(barAt(bars, 0, 100.5, 1), 0);
  assert.equal(barAt(bars, 0, 104.5, 1), 1);
  assert.equal(barAt(bars, 0, 103, 1), -1);
  assert.equal(barAt(bars, 5, 100.5, 1), -1);
});
