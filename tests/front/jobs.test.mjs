import assert from "node:assert/strict";
import { test } from "node:test";

import { createStore } from "../../xpm_nb/notebook/static/js/store.js";
import { asides, columnsOf, filterHint, matcher, newsText, orderRows, outgrown, parseQuery, ROW_PX, stateText, tagsText, widen, windowOf } from "../../xpm_nb/notebook/static/js/jobs.js";

const NONE = { states: new Set(), task: "", text: "" };
const LRS = ["0.1", "0.01", "0.001"];

function some(count = 60, more = {}) {
  const states = ["d", "r", "e", "w"];
  const rows = Array.from({ length: count }, (_, i) => {
    const state = states[i % 4];
    const now = [state, state === "e" ? "memory" : "", i % 4 < 3 ? i : null, state === "d" ? 3 * i + 1 : null, state === "r" ? (i % 10) / 10 : null, "", 1, 0, state === "w" ? [] : [i / 10, null], state === "e" ? "MemoryError: too\nlittle" : ""];
    return [[i.toString(16).padStart(12, "0"), i % 7 ? 0 : 1, i, [i % 3, 0, i % 2 ? -1 : 0]], now];
  });
  return createStore({ seq: 1, ts: 1000, t0: 0, name: "x", tasks: ["Train", "Load"], tags: [["lr", LRS], ["same", ["a"]], ["only_some", ["two words"]]], metrics: ["loss", "acc"], rows, ...more }, () => 0);
}

const shown = (store, filter, column, down) => orderRows(store, { ...NONE, ...filter }, column && columnsOf(store, 2000).find((one) => one.key === column), down);

test("a query is words and conditions", () => {
  assert.deepEqual(parseQuery('Train lr=0.1 loss<0.5 name="two words" "free text" acc>'), {
    words: ["train", "free text"],
    conditions: [{ name: "lr", op: "=", value: "0.1" }, { name: "loss", op: "<", value: "0.5" }, { name: "name", op: "=", value: "two words" }, { name: "acc", op: ">", value: "" }],
  });
  for (const odd of ["", "  ", "=", "<>", '"', "a==b", "=x", '""', 'x="']) assert.doesNotThrow(() => parseQuery(odd));
});

test("filters: state, task, tag, metric, text, and all of them", () => {
  const store = some();
  const tasks = (list) => new Set(list.map((i) => store.rows[i].task));
  assert.deepEqual(tasks(shown(store, { task: "Load" })), new Set(["Load"]));
  assert.ok(shown(store, { states: new Set(["error", "waiting"]) }).every((i) => i % 4 > 1));
  assert.ok(shown(store, { text: "lr=0.1" }).every((i) => i % 3 === 0));
  assert.equal(shown(store, { text: "lr=0.0" }).length, 40); // while it is typed: 0.01 and 0.001
  assert.equal(shown(store, { text: "LR=0.01" }).length, 20);
  assert.deepEqual(shown(store, { text: "loss<0.5" }), [0, 1, 2, 4]);
  assert.ok(shown(store, { text: "loss>" }).length > 0);
  assert.equal(shown(store, { text: 'only_some="two words"' }).length, 30);
  assert.equal(shown(store, { text: "MemoryError" }).length, 15);
  assert.deepEqual(shown(store, { text: "00000000001f" }), [31]);
  assert.equal(shown(store, { text: "nobody=1" }).length, 0);
  assert.equal(shown(store, { text: "lr=0.1 train memory", states: new Set(["error"]) }).length, shown(store, { text: "lr=0.1 train" }).filter((i) => i % 4 === 2).length);
});

test("a filter keeps the rows that match alone, in their order", () => {
  const store = some(300);
  for (const text of ["", "train", "lr=0.1", "loss<3", "e"]) {
    const filter = { ...NONE, text };
    const wanted = matcher(filter, store);
    assert.deepEqual(shown(store, filter), store.rows.filter(wanted).map((row) => row.i));
  }
});

test("sorting: numbers as numbers, nothing last both ways, equals as they were", () => {
  const store = some();
  const values = (order, value) => order.map((i) => value(store.rows[i]));
  const lr = values(shown(store, {}, "tag:lr", false), (row) => Number(row.tags.lr));
  assert.deepEqual(lr, [...lr].sort((a, b) => a - b));
  for (const down of [false, true]) {
    const order = shown(store, {}, "metric:loss", down);
    const figures = values(order, (row) => row.metrics.loss ?? null);
    assert.ok(figures.slice(0, 45).every((figure) => figure !== null) && figures.slice(45).every((figure) => figure === null));
    const sorted = figures.slice(0, 45).sort((a, b) => (down ? b - a : a - b));
    assert.deepEqual(figures.slice(0, 45), sorted);
    assert.deepEqual(order.slice(45), [...order.slice(45)].sort((a, b) => a - b));
  }
  const states = values(shown(store, {}, "state", false), (row) => row.state);
  assert.deepEqual([...new Set(states)], ["done", "error", "running", "waiting"]);
});

test("columns: tags that vary, metrics, fewer where it is narrow", () => {
  const keys = (...how) => columnsOf(...how).map((column) => column.key);
  assert.deepEqual(keys(some(), 2000), ["job", "state", "tag:lr", "tag:only_some", "progress", "metric:loss", "metric:acc", "time"]);
  assert.deepEqual(keys(some(), 2000, true).slice(-2), ["cpu", "memory"]);
  assert.deepEqual(keys(createStore({}), 2000), ["job", "state", "progress"]);
  let before = Infinity;
  for (const width of [619, 520, 420, 320, 200]) {
    const narrow = columnsOf(some(), width, true);
    assert.ok(narrow.length <= before);
    before = narrow.length;
    assert.deepEqual(narrow.slice(0, 2).map((column) => column.key), ["job", "state"]);
  }
  const wide = columnsOf(some(3, { tags: [["x".repeat(500), ["a", "b".repeat(9999)]], ["__proto__", ["1", "2"]]] }), 2000);
  assert.ok(wide.every((column) => column.chars < 40));
  assert.equal(wide.find((column) => column.key === "tag:__proto__").value(some().rows[0]), null);
});

test("ten thousand rows are put in order quickly, and a window of them exists", () => {
  const store = some(10_000);
  assert.equal(shown(store, { text: "lr=0.1" }, "metric:loss", true).length, 3334);
  const [from, to] = windowOf(5000 * ROW_PX, 12.5 * ROW_PX, 10_000);
  assert.ok(from < 5000 && from > 4995 && to > 5012 && to < 5017);
  assert.deepEqual(windowOf(0, 100, 0), [0, 0]);
  assert.deepEqual(windowOf(1e9, 300, 20), [20, 20]);
  for (let top = 0; top < 3000; top += 7) {
    const [a, b] = windowOf(top, 300, 100);
    assert.ok(a * ROW_PX <= top && (b === 100 || b * ROW_PX >= top + 300));
  }
});

test("what is said of a job", () => {
  // (of several lines, the first says what it is)
  const row = (now) => createStore({ t0: 0, tasks: ["A"], metrics: [], tags: [], rows: [[["a", 0], now]] }).rows[0];
  assert.equal(stateText(row(["e", "memory"])), "out of memory");
  assert.equal(stateText(row(["e", ""])), "error");
  assert.equal(newsText(row(["e", "failed", 1, 2, null, "", 2, 0, [], "ValueError: <b>\u202e\nboom"])), "ValueError: <b>\\u202e · attempt 2");
  assert.equal(newsText(row(["r", "", 1, null, 0.456])), "45%");
  assert.equal(newsText(row(["r", "", 1, null, 0.4, "epoch 3", 1, 2])), "epoch 3 · elsewhere");
  assert.equal(newsText(row(["d", "", 1, 2, 1, "epoch 9", 1, 1])), "reused");
  // What is no error is said, too: why a job waits, who holds it, what is to be thought of a result.
  assert.equal(newsText(row(["y", "", null, null, null, "", 1, 0, [], "waits for token 'gpu': 2 of 2 in use"])), "waits for token 'gpu': 2 of 2 in use");
  assert.equal(newsText(row(["r", "", 1, null, 0.4, "", 2, 0, [], "held by process 12"])), "40% · held by process 12 · attempt 2");
  assert.equal(newsText(row(["d", "", 1, 2, 1, "", 1, 256 + 1, [], "bad input: Learn 12 was disowned (noise)"])), "bad input: Learn 12 was disowned (noise) · source unknown · reused");
  assert.equal(newsText(row(["e", "cancelled", 1, 2, null, "", 1, 0, [], "cancelled"])), "");
  assert.equal(newsText(row(["e", "cancelled", 1, 2, null, "", 1, 0, [], "cancelled by process 12"])), "cancelled by process 12");
});

test("news of jobs that are over take what they need, tags stand in where it is narrow", () => {
  const done = (i, message) => [[i.toString(16).padStart(12, "0"), 0, i, [i % 3, 0]], [message ? "e" : "d", message ? "failed" : "", 0, 9, null, "", 1, 0, [0.1], message]];
  const over = (message) => some(0, { rows: [0, 1, 2].map((i) => done(i, i ? "" : message)), finished: true });
  const column = (store, width, key) => columnsOf(store, width).find((one) => one.key === key);
  assert.equal(column(over(""), 900, "progress"), undefined); // nothing to read, nothing to come
  assert.ok(column(over("short"), 900, "progress").chars > 0);
  assert.equal(column(over("x".repeat(200)), 900, "progress").chars, 0); // there is something to read
  assert.equal(column(some(), 900, "progress").chars, 0); // there is more to come
  const long = some(60, { tags: [["group", ["a".repeat(60), "b"]], ["lr", LRS]] });
  assert.ok(column(long, 700, "tag:group").chars < column(long, 2000, "tag:group").chars);
  const named = some(60, { metrics: ["a very long name", "b"] });
  const figure = (width) => column(named, width, "metric:a very long name").chars;
  assert.ok(figure(640) < figure(2000) && figure(640) >= 10); // the name is cut, no figure
  const store = over("");
  assert.equal(tagsText(store, store.rows[1]), "lr=0.01");
  const narrow = columnsOf(store, 300);
  assert.ok(!narrow.some((one) => one.key === "tag:lr"));
  const news = narrow.find((one) => one.key === "progress");
  assert.equal(news.text(store.rows[2]), "lr=0.001");
});

test("what is said of jobs that are over finds a column, also where there was none any more", () => {
  const done = (flags = 0, message = "") => [message ? "e" : "d", message ? "failed" : "", 0, 9, null, "", 1, flags, [0.1], message];
  const late = (first, ...then) => {
    const store = some(0, { rows: [first, done()].map((now, i) => [[String(i).repeat(12), 0, i, [0, 0]], now]), finished: true });
    const columns = columnsOf(store, 900);
    const other = then.map((now, n) => {
      store.apply({ seq: n + 2, prev: n + 1, r: [[1, now]] });
      return outgrown(columns, [store.rows[1]]);
    });
    return { other, before: columns.map((column) => column.key), after: columnsOf(store, 900).map((column) => column.key) };
  };
  const silent = late(done(), done(), done(8)); // a callback failed
  assert.deepEqual(silent.other, [false, true]);
  assert.ok(!silent.before.includes("progress") && silent.after.includes("progress"));
  assert.deepEqual(late(done(), done(16)).other, [true]); // it is stale now
  assert.deepEqual(late(done(1), done(1), done(8)).other, [false, true]); // longer than "reused"
  assert.deepEqual(late(done(0, "x".repeat(60)), done(8)).other, [false]); // there is room for anything
  assert.deepEqual(late(done(), ["e", "memory", 0, 9, null, "", 1, 0, [0.1], "killed"]).other, [true]);
});

test("a reason that is longer than any state is whole while others run", () => {
  const rows = ["r", "r"].map((state, i) => [[String(i).repeat(12), 0, i, [0, 0]], [state, "", 0, null, null, "", 1, 0, []]]);
  const store = some(0, { rows });
  const columns = columnsOf(store, 900);
  const state = (all) => all.find((one) => one.key === "state").chars;
  const before = state(columns);
  store.apply({ seq: 2, prev: 1, r: [[1, ["e", "failed", 0, 9, null, "", 1, 0, [], ""]]] });
  assert.equal(outgrown(columns, [store.rows[1]]), false);
  store.apply({ seq: 3, prev: 2, r: [[1, ["e", "memory", 0, 9, null, "", 1, 0, [], ""]]] });
  assert.equal(outgrown(columns, [store.rows[1]]), true);
  assert.equal(state(columnsOf(store, 900)), before + "out of memory".length - 9);
});

test("figures of a metric have equally many decimals, and more when one needs them", () => {
  const measured = (...values) => some(0, { rows: values.map((value, i) => [[String(i).repeat(12), 0, 0, [0, 0]], ["r", "", 0, null, null, "", 1, 0, value]]) });
  const column = (columns) => columns.find((one) => one.key === "metric:loss");
  const store = measured([11], [2.5], [null], []);
  const columns = columnsOf(store, 2000);
  const texts = () => store.rows.map((row) => column(columns).text(row, 0));
  assert.deepEqual(texts(), ["11.0", "2.5", "", ""]);
  store.apply({ seq: 2, prev: 1, r: [[2, ["r", "", 0, null, null, "", 1, 0, [0.25]]]] });
  assert.equal(widen(columns, [store.rows[1]]), false);
  assert.equal(widen(columns, [store.rows[2]]), true);
  assert.deepEqual(texts(), ["11.00", "2.50", "0.25", ""]);
  const large = measured([11], [123456.5]);
  assert.deepEqual(large.rows.map((row) => column(columnsOf(large, 2000)).text(row, 0)), ["11", "123457"]);
});

test("a figure is never cut: a column is as wide as its longest, also where there is little room", () => {
  const measured = (...values) => some(0, { rows: values.map((value, i) => [[String(i).repeat(12), 0, 0, [0, 0]], ["r", "", 0, null, null, "", 1, 0, [value]]]) });
  const room = (store, width) => columnsOf(store, width).find((one) => one.key === "metric:loss").chars;
  for (const [value, letters] of [[123457000, 9], [-1.235e-300, 11], [5, 8]]) {
    for (const width of [700, 2000]) assert.ok(room(measured(1, value), width) >= letters + 2);
  }
  const store = measured(1, 2);
  const columns = columnsOf(store, 2000);
  store.apply({ seq: 2, prev: 1, r: [[1, ["r", "", 0, null, null, "", 1, 0, [123457000]]]] });
  assert.equal(widen(columns, [store.rows[1]]), true); // the columns are made anew
  assert.equal(widen(columnsOf(store, 2000), [store.rows[1]]), false);
});

test("short remarks are whole where there is room", () => {
  const least = (flags) => {
    const rows = ["d", "r"].map((state, i) => [[String(i).repeat(12), 0, 0, [0, 0]], [state, "", 0, i ? null : 1, null, "", 1, i ? 0 : flags, [0.1]]]);
    return columnsOf(some(0, { rows }), 2000).find((one) => one.key === "progress").least;
  };
  assert.ok(least(128) > least(0)); // "environment changed"
  assert.ok(least(128 + 16) <= 15); // and why it is stale: too long to be whole everywhere
});

test("the filter gives examples that there are", () => {
  assert.equal(filterHint(some()), "filter: text, lr=0.1, loss<0.5");
  assert.equal(filterHint(some(60, { metrics: ["a b"] })), "filter: text, lr=0.1");
  assert.equal(filterHint(createStore({})), "filter");
});

test("what is to be thought of a result stands first among the small words", () => {
  const row = { stale: "stale: code changed", drift: "environment changed", attempt: 2, reused: true, elsewhere: false, earlier: true, callbackError: false };
  assert.equal(asides(row), "stale: code changed · environment changed · attempt 2 · reused · earlier run");
  assert.equal(asides({ ...row, stale: "", drift: "", attempt: 1, reused: false, earlier: false }), "");
});
