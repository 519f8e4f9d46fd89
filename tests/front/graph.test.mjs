import assert from "node:assert/strict";
import { test } from "node:test";

import { countByTask, countWords, cutTo, edgePath, fitted, mainState, neighbours, nodeTowards, scales, tagWords, zoomed } from "../../xpm_nb/notebook/static/js/graph.js";

const node = (key, x, y) => ({ key, label: key, sublabel: "", x, y, counts: [["done", 1]] });
//   a - b - d
//    \ c /
const graph = {
  by: "job",
  nodes: [node("a", 0, 30), node("b", 200, 0), node("c", 200, 60), node("d", 400, 30)],
  edges: [[0, 1], [0, 2], [1, 3], [2, 3]],
  width: 550,
  height: 100,
  box: [150, 40],
};

test("neighbours are both sides of an edge, and the node itself", () => {
  const near = neighbours(graph).map((set) => [...set].sort());
  assert.deepEqual(near, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]);
  assert.deepEqual(neighbours({ ...graph, edges: [[0, 9]] })[0].size, 2); // an edge from elsewhere breaks nothing
});

test("an edge leaves at the right side of its box and comes in at the left of the other", () => {
  const path = edgePath(graph, 0);
  assert.match(path, /^M150,50C/);
  assert.match(path, /,198,20m-5,-3l5,3l-5,3$/);
});

test("an edge goes straight through the layers that it passes", () => {
  const long = { ...graph, edges: [[0, 3]], bends: [[[200, 120], [350, 120]]] };
  assert.match(edgePath(long, 0), /^M150,50C[\d.,]+,200,120H350C[\d.,]+,398,50m/);
});

test("an edge that leads back is a curve out of the right and into the left", () => {
  const back = { ...graph, edges: [[3, 0]] };
  const [, x1, , x2] = edgePath(back, 0).match(/C([\d.-]+),([\d.-]+),([\d.-]+),/);
  assert.ok(Number(x1) > 550 && Number(x2) < 0);
  assert.doesNotMatch(edgePath(back, 0), /NaN/);
});

test("arrow keys lead to the nearest box in their direction", () => {
  const keys = (from) => ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "x"].map((key) => nodeTowards(graph, from, key));
  assert.deepEqual(keys(0), [1, -1, 1, 2, -1]);
  assert.deepEqual(keys(1), [3, 0, -1, 2, -1]);
  assert.deepEqual(keys(3), [-1, 1, 1, 2, -1]);
  assert.equal(nodeTowards(graph, 17, "ArrowRight"), -1);
});

test("a drawing fits: in the middle, inside, never enlarged", () => {
  for (const [w, h] of [[1200, 400], [420, 200], [300, 90]]) {
    for (const [width, height] of [[550, 100], [990, 334], [990, 5149], [20000, 60]]) {
      const zoom = fitted({ width, height }, w, h);
      const [kx, ky] = scales(zoom);
      assert.ok(kx <= 1 && ky <= 1 && zoom.x >= 0 && zoom.y >= 0);
      assert.ok(zoom.x + kx * width <= w + 1e-6 && zoom.y + ky * height <= h + 1e-6);
      assert.ok(Math.abs(2 * zoom.x + kx * width - w) < 1e-6);
    }
  }
  const [kx, ky] = scales(fitted({ width: 990, height: 5149 }, 1200, 460));
  assert.ok(kx === 1 && ky < 0.1); // an overview takes the whole place
  const even = scales(fitted({ width: 990, height: 334 }, 800, 460));
  assert.equal(even[0], even[1]);
});

test("what is under the pointer stays there when the drawing is enlarged", () => {
  for (const start of [fitted({ width: 990, height: 334 }, 800, 460), fitted({ width: 990, height: 5149 }, 1200, 460)]) {
    let zoom = start;
    const [px, py] = [321, 123];
    const under = (z) => [(px - z.x) / scales(z)[0], (py - z.y) / scales(z)[1]];
    for (const factor of [1.4, 1.4, 3, 10, 10, 0.2, 0.5]) {
      const next = zoomed(zoom, factor, px, py);
      under(next).forEach((value, axis) => assert.ok(Math.abs(value - under(zoom)[axis]) < 1e-6 * (1 + Math.abs(value))));
      zoom = next;
    }
    assert.deepEqual(scales(zoomed(zoom, 1e9, 0, 0)), [2.5, 2.5]);
    assert.ok(zoomed(zoom, 0, 0, 0).k > 0);
  }
});

test("jobs are counted by task and state", () => {
  const rows = [["A", "done"], ["A", "done"], ["A", "error"], ["B", "running"]].map(([task, state]) => ({ task, state }));
  const counts = countByTask(rows);
  assert.deepEqual([...counts.get("A")], [["done", 2], ["error", 1]]);
  assert.equal(mainState(counts.get("A")), "error");
  assert.equal(mainState(counts.get("B")), "running");
  assert.equal(mainState(new Map([["done", 3], ["waiting", 1]])), "waiting");
  assert.equal(mainState(new Map()), "unscheduled");
});

test("texts on boxes are cut and inert", () => {
  assert.equal(cutTo("short", 100, 7), "short");
  assert.equal(cutTo("a very long name of a task", 70, 7), "a very lo…");
  assert.equal(cutTo("x\u202Ey", 100, 7), "x\\u202ey");
  const store = { tagValues: new Map([["lr", ["0.1", "0.2"]], ["data", ["digits"]]]) };
  assert.deepEqual(tagWords(store, { tags: { lr: "0.1", data: "digits" } }), ["lr=0.1"]);
});

test("counts take as few letters as there is room for", () => {
  const counts = [["done", 498], ["error", 42], ["running", 11], ["waiting", 12490]];
  const text = (most) => countWords(counts, most).map(([before, state]) => before + state[0]).join("");
  assert.equal(text(40), "498 d  42 e  11 r  12,490 w");
  assert.equal(text(23), "498d 42e 11r 12490w");
  assert.equal(text(18), "498d 42e 11r 12kw");
  assert.equal(text(16), "498d 42e 11r");
  assert.equal(text(6), "498d");
  assert.deepEqual(countWords([], 9), []);
});
