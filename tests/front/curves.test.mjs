import assert from "node:assert/strict";
import { test } from "node:test";

import { extent, jobsToShow, keepColours, linePath, logTicks, makeScale, nearestPoint, readCurves, shortNames, tickText, tickTexts } from "../../xpm_nb/notebook/static/js/curves.js";

test("a scale and its inverse", () => {
  for (const [domain, log] of [[[0, 10], false], [[-3, 7.5], false], [[0.001, 1000], true]]) {
    const scale = makeScale(domain, [46, 310], log);
    assert.equal(Math.round(scale(domain[0])), 46);
    assert.equal(Math.round(scale(domain[1])), 310);
    for (const share of [0, 0.1, 0.5, 0.9, 1]) {
      const place = 46 + share * 264;
      assert.ok(Math.abs(scale(scale.invert(place)) - place) < 1e-6);
    }
  }
  const upside = makeScale([0, 1], [100, 0]);
  assert.deepEqual([upside(0), upside(1)], [100, 0]);
  const point = makeScale([5, 5], [0, 100]); // one value stands in the middle
  assert.deepEqual([point(5), point(7), point.invert(3)], [50, 50, 5]);
});

test("an extent is never empty", () => {
  assert.deepEqual(extent([3, 1, 2]), [1, 3]);
  assert.deepEqual(extent([0, 10], 0.1), [-1, 11]);
  for (const values of [[], [0], [5], [-2, -2]]) {
    const [low, high] = extent(values);
    assert.ok(low < high);
  }
  for (const values of [[], [0.5], [1e-3, 1e3]]) {
    const [low, high] = extent(values, 0.05, true);
    assert.ok(low > 0 && low < high && values.every((value) => value >= low && value <= high));
  }
});

test("an axis by factors shows powers of ten, a short one round figures", () => {
  assert.deepEqual(logTicks(0.001, 1000, 4), [0.001, 0.01, 0.1, 1, 10, 100, 1000].filter((_, n) => n % 2 === 0));
  assert.deepEqual(logTicks(0.5, 200, 4), [1, 10, 100]);
  assert.deepEqual(logTicks(2, 8, 4), [2, 4, 6, 8]);
});

test("figures of an axis are short", () => {
  const pairs = [[0, "0"], [0.30000000000000004, "0.3"], [-0.5, "−0.5"], [12345, "12345"], [1e6, "1e6"], [2.5e-7, "2.5e−7"], [100000, "1e5"]];
  for (const [value, text] of pairs) assert.equal(tickText(value), text);
});

test("a line goes through all points", () => {
  const scale = makeScale([0, 2], [0, 20]);
  assert.equal(linePath([[0, 0], [1, 2], [2, 1]], scale, scale), "M0.0,0.0L10.0,20.0L20.0,10.0");
});

test("the nearest point", () => {
  const points = [0, 1, 4, 9].map((x) => [x, 0]);
  const pairs = [[-5, 0], [0.4, 0], [0.6, 1], [2.4, 1], [3, 2], [7, 3], [99, 3]];
  for (const [at, n] of pairs) assert.equal(nearestPoint(points, at), n, `${at}`);
  assert.equal(nearestPoint([], 1), -1);
  assert.equal(nearestPoint([[3, 0]], 99), 0);
});

test("what is shown of itself: what runs, then what ended last, in the order of jobs", () => {
  const row = (i, state, ended, metrics = { loss: 1 }) => ({ i, id: `j${i}`, state, started: 10 + i, ended, metrics });
  const rows = [row(0, "done", 20), row(1, "done", 40), row(2, "running", null), row(3, "done", 30), row(4, "done", 50, {}), { i: 5, id: "j5", state: "waiting", started: null, ended: null, metrics: {} }];
  assert.deepEqual(jobsToShow(rows, 3), ["j1", "j2", "j3"]);
  assert.deepEqual(jobsToShow(rows, 9), ["j0", "j1", "j2", "j3"]); // those with metrics
  assert.deepEqual(jobsToShow(rows.slice(4), 9), ["j4"]); // nobody has any yet
  assert.deepEqual(jobsToShow([], 9), []);
});

test("what cannot be drawn is left out", () => {
  const curves = readCurves([{ key: "a", label: "x", metric: "loss", points: [[0, 1], [1, null], [2, "3"], [3, NaN], [4, 5]] }, { key: "b", metric: "loss", points: [] }, null, { key: "c" }, 7]);
  assert.deepEqual(curves, [{ key: "a", label: "x", metric: "loss", points: [[0, 1], [4, 5]] }]);
  assert.deepEqual(readCurves(null), []);
  assert.deepEqual(readCurves({}), []);
});

test("a job keeps its colour as long as it is there", () => {
  const first = keepColours(new Map(), ["a", "b", "c"]);
  assert.deepEqual([...first], [["a", 0], ["b", 1], ["c", 2]]);
  const second = keepColours(first, ["c", "d", "a"]);
  assert.deepEqual(Object.fromEntries(second), { c: 2, a: 0, d: 1 });
});

test("jobs are called by the tags in which they differ", () => {
  const job = (key, tags, label = "") => ({ key, tags, label });
  const names = (jobs) => [...shortNames(jobs).values()];
  assert.deepEqual(names([job("aaaaaaaaaaaa", { lr: "0.1", seed: "1" }), job("bbbbbbbbbbbb", { lr: "0.2", seed: "1" })]), ["lr=0.1", "lr=0.2"]);
  assert.deepEqual(names([job("aaaaaaaaaaaa", { lr: "0.1" })]), ["aaaaaaaa"]);
  assert.deepEqual(names([job("aaaaaaaaaaaa", { lr: "0.1" }), job("bbbbbbbbbbbb", { lr: "0.1" }), job("cccccccccccc", { lr: "0.2" })]), ["lr=0.1 aaaaaaaa", "lr=0.1 bbbbbbbb", "lr=0.2"]);
  assert.deepEqual(names([job("aaaaaaaaaaaa", null, "of a\u202E kernel"), job("bbbbbbbbbbbb", { lr: "1" })]), ["of a\\u202e kernel", "lr=1"]);
});

test("the figures of an axis have equally many decimals", () => {
  assert.deepEqual(tickTexts([0.9775, 0.978, 0.9785]), ["0.9775", "0.9780", "0.9785"]);
  assert.deepEqual(tickTexts([-1, 0, 1.5]), ["−1.0", "0.0", "1.5"]);
  assert.deepEqual(tickTexts([0, 10, 20]), ["0", "10", "20"]);
  assert.deepEqual(tickTexts([0, 0.0005, 0.001]), ["0", "5e−4", "0.001"]);
  assert.deepEqual(tickTexts([]), []);
});
