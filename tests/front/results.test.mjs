import assert from "node:assert/strict";
import { test } from "node:test";

import { figure, idOf, sortedRows, stateOf, toMarkdown, toTsv } from "../../xpm_nb/notebook/static/js/results.js";

const table = {
  columns: ["task", "lr", "loss"],
  rows: [["Train", "0.1", "0.52"], ["Train", "0.03", ""], ["Eval", "10", "0.9 ± 0.1 (3)"], ["Train", "0.1", "0.1234"]],
  numeric: [false, false, true],
  keys: ["demo.train/0123456789abcdef", "", "x/y", "z"],
  caption: "",
  best: [[3, 2]],
  hidden: [],
};

test("a cell's figure is what it begins with", () => {
  const pairs = [["0.52", 0.52], ["0.9 ± 0.1 (3)", 0.9], ["−3e-5", -3e-5], ["1,234,567", 1234567], ["12 %", 12]];
  for (const [text, value] of pairs) assert.equal(figure(text), value);
  for (const text of ["", "n/a", undefined]) assert.ok(Number.isNaN(figure(text)));
});

test("the state of one job is told from counts of several", () => {
  assert.equal(stateOf("done"), "done");
  assert.equal(stateOf("error (timeout)"), "error");
  for (const text of ["3 done, 1 error", "", "constructor", "toString (x)"]) assert.equal(stateOf(text), null);
});

test("rows are sorted by what they mean, empty cells last in both directions", () => {
  assert.deepEqual(sortedRows(table, null), [0, 1, 2, 3]);
  assert.deepEqual(sortedRows(table, { column: 2, down: false }), [3, 0, 2, 1]);
  assert.deepEqual(sortedRows(table, { column: 2, down: true }), [2, 0, 3, 1]);
  assert.deepEqual(sortedRows(table, { column: 1, down: false }), [1, 0, 3, 2]); // text with numbers; equal ones stay in order
  assert.deepEqual(sortedRows(table, { column: 0, down: true }), [0, 1, 3, 2]);
});

test("a copy for a spreadsheet has one line a row", () => {
  assert.equal(toTsv(table, [3, 0]), "task\tlr\tloss\nTrain\t0.1\t0.1234\nTrain\t0.1\t0.52");
  assert.equal(toTsv({ ...table, columns: ["a"], rows: [["x\ty\r\nz"]] }, [0]), "a\nx y z");
});

test("a copy for a text is a table of Markdown in which nothing else becomes markup", () => {
  assert.equal(toMarkdown(table, [3, 1]), "| task | lr | loss |\n| --- | --- | ---: |\n| Train | 0.1 | **0.1234** |\n| Train | 0.03 |  |");
  const nasty = { ...table, columns: ["a|b"], numeric: [false], best: [], rows: [["<img src=x>|\n*bold* [link](x)"]] };
  assert.equal(toMarkdown(nasty, [0]).split("\n").length, 3);
  assert.match(toMarkdown(nasty, [0]), /\\<img src=x\\>\\\| \\\*bold\\\* \\\[link\\\]/);
});

test("a job is known by the first 12 digits of its identifier", () => {
  assert.deepEqual(table.keys.map(idOf), ["0123456789ab", "", "y", "z"]);
  assert.equal(idOf(undefined), "");
});
