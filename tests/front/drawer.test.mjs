import assert from "node:assert/strict";
import { test } from "node:test";

import { findIn } from "../../xpm_nb/notebook/static/js/drawer.js";

const pieces = (...texts) => texts.map((text, n) => ({ text, classes: n % 2 ? "xpm-red" : "" }));

test("what is found may lie across pieces of several colours", () => {
  assert.deepEqual(findIn(pieces("an er", "ror, Err"), "err"), [
    { text: "an ", classes: "", hit: false },
    { text: "er", classes: "", hit: true },
    { text: "r", classes: "xpm-red", hit: true },
    { text: "or, ", classes: "xpm-red", hit: false },
    { text: "Err", classes: "xpm-red", hit: true },
  ]);
  assert.deepEqual(findIn(pieces("abc"), "x"), [{ text: "abc", classes: "", hit: false }]);
  assert.deepEqual(findIn(pieces("abc"), ""), [{ text: "abc", classes: "", hit: false }]);
  assert.deepEqual(findIn([], "x"), []);
});

test("no text is lost or doubled, and what is marked is what was looked for", () => {
  let seed = 5;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
  for (let round = 0; round < 2000; round++) {
    const parts = pieces(...Array.from({ length: random(6) }, () => Array.from({ length: random(5) }, () => "abAİ"[random(4)]).join("")));
    const query = "ab".slice(0, 1 + random(2));
    const found = findIn(parts, query);
    const whole = parts.map((part) => part.text).join("");
    assert.equal(found.map((part) => part.text).join(""), whole);
    assert.equal(found.filter((part) => part.hit).map((part) => part.text.toLowerCase()).join("").replaceAll(query, ""), "");
    if (!whole.includes("İ")) {
      const times = whole.toLowerCase().split(query).length - 1;
      assert.equal(found.filter((part) => part.hit).reduce((sum, part) => sum + part.text.length, 0), times * query.length);
    }
  }
});
