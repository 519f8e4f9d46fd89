import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutParam, hasError, sharedPlaces, slip, treeRows, treeSize } from "../../xpm_nb/notebook/static/js/config.js";

const leaf = (name, more = {}) => ({ name, kind: "param", type: "int", text: "1", config: null, default: false, hashed: true, help: "", input: "int", choices: [], raw: "1", error: "", ...more });
const config = (number, params, more = {}) => ({ name: "C", type_name: "c", identifier: "", note: "", params, tags: [], dependencies: [], shared: false, number, ...more });
const nested = (name, inner) => leaf(name, { config: inner, input: "" });

const inner = config(2, [leaf("depth")]);
const tree = config(0, [leaf("lr"), nested("models[0]", config(1, [leaf("hidden"), nested("data", inner)])), nested("again", config(2, [], { shared: true }))]);

test("a tree becomes lines with paths as in Python", () => {
  const rows = treeRows(tree, new Map());
  assert.deepEqual(rows.map((row) => [row.key, row.path, row.level]), [
    ["0", "lr", 0],
    ["1", "models[0]", 0],
    ["1.0", "models[0].hidden", 1],
    ["1.1", "models[0].data", 1],
    ["1.1.0", "models[0].data.depth", 2],
    ["2", "again", 0],
  ]);
  assert.equal(treeSize(tree), rows.length);
  assert.deepEqual(rows.map((row) => row.folds), [false, true, false, true, false, false]);
});

test("what is folded has no lines, and keys are of one line each", () => {
  const rows = treeRows(tree, new Map([["1.1", false]]));
  assert.deepEqual(rows.map((row) => row.key), ["0", "1", "1.0", "1.1", "2"]);
  assert.deepEqual(treeRows(tree, new Map([["1", false]])).map((row) => row.key), ["0", "1", "2"]);
});

test("a large tree is folded below its first level, but for what is wrong", () => {
  const many = Array.from({ length: 30 }, (_, n) => leaf(`p${n}`));
  const large = (error) => config(0, [nested("a", config(1, many)), nested("b", config(2, [...many, leaf("bad", { error })])), nested("c", config(3, [leaf("x")]))]);
  const open = (view) => treeRows(view, new Map()).filter((row) => row.open).map((row) => row.path);
  assert.deepEqual(open(large("")), ["c"]);
  assert.deepEqual(open(large("no number")), ["b", "c"]);
  assert.equal(hasError(large("")), false);
  assert.equal(hasError(large("no number")), true);
  const folded = treeRows(large("no number"), new Map([["1", false]]));
  assert.ok(folded.every((row) => !row.path.startsWith("b."))); // a person's choice weighs more
});

test("a shared config is counted, and found where it stands first", () => {
  const places = sharedPlaces(tree);
  assert.deepEqual(places.get(2), { key: "1.1", uses: 2 });
  assert.deepEqual(places.get(1), { key: "1", uses: 1 });
  assert.deepEqual(places.get(0), { key: "", uses: 1 }); // a loop leads back to the top
});

test("only what surely is no number is called a slip", () => {
  for (const good of ["3", " -3 ", "+1_000", "0x1f", "1e3", "None", "null", "", "3.0"]) assert.equal(slip("int", good), "", good);
  for (const bad of ["many", "3.5", "nan", "1,5", "3 apples", "<b>", "--"]) assert.notEqual(slip("int", bad), "", bad);
  for (const good of ["1e-3", ".5", "5.", "-inf", "NaN", "3", "1_0.5"]) assert.equal(slip("float", good), "", good);
  for (const bad of ["fast", "0,1", "1/2", "ten"]) assert.notEqual(slip("float", bad), "", bad);
  for (const kind of ["text", "choice", "bool", ""]) assert.equal(slip(kind, "anything at all"), "");
});

test("a parameter says what is special about it", () => {
  assert.deepEqual(aboutParam(leaf("a")), []);
  assert.deepEqual(aboutParam(leaf("a", { default: true, hashed: false })), ["default"]);
  assert.deepEqual(aboutParam(leaf("a", { kind: "meta", hashed: false, default: true })), ["meta", "default"]);
  assert.deepEqual(aboutParam(leaf("a", { kind: "constant", default: true })), ["constant"]);
  assert.deepEqual(aboutParam(leaf("a", { hashed: false })), ["not in the identifier"]);
});
