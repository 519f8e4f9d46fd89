import assert from "node:assert/strict";
import { test } from "node:test";

import { clean, decimals, duration, LINE_LIMIT, memory, number, parseLog, processors, roughly } from "../../xpm_nb/notebook/static/js/format.js";

const texts = (log) => parseLog(log).map((line) => line.map((piece) => piece.text).join(""));

test("durations have at most two units", () => {
  const pairs = [[0, "0.0 s"], [0.44, "0.4 s"], [9.94, "9.9 s"], [9.96, "10 s"], [59.7, "1 min 00 s"], [184, "3 min 04 s"], [3599.9, "1 h 00 min"], [7500, "2 h 05 min"], [90000, "1 d 1 h"], [-3, "0.0 s"], [null, ""], [NaN, ""], [Infinity, ""]];
  for (const [seconds, text] of pairs) assert.equal(duration(seconds), text);
});

test("what is left is told roughly", () => {
  const pairs = [[0, "a few seconds"], [31, "about 40 s"], [60, "about 1 min"], [185, "about 3 min"], [7200, "about 2 h"], [3 * 86400, "about 3 d"], [null, ""]];
  for (const [seconds, text] of pairs) assert.equal(roughly(seconds), text);
});

test("figures have four significant digits, whole numbers are whole", () => {
  const pairs = [[0, "0"], [3, "3"], [3.14159, "3.142"], [0.00012345, "0.0001234"], [1234.5678, "1235"], [123.456, "123.5"], [1e-7, "1.000e-7"], [6.02e23, "6.02e23"], [-0.5, "-0.5000"], [NaN, "nan"], [-Infinity, "-inf"], [null, ""]];
  for (const [value, text] of pairs) {
    const shown = number(value);
    assert.equal(shown.replace(/\.?0+(?=e|$)/, ""), text.replace(/\.?0+(?=e|$)/, ""), `${value}`);
    if (value !== null) assert.ok(Math.abs(Number(shown) - value) <= Math.abs(value) * 1e-3 || !Number.isFinite(value));
  }
});

test("a column of figures has the decimals that each needs, as in the table of results", () => {
  const pairs = [[11, 0], [2.5, 1], [-0.12345, 4], [1234.5678, 0], [0.0001, 4], [0.00011, 5], [0.00012345, Infinity], [0.00001, Infinity], [12345, Infinity], [9999.7, Infinity], [0, 0], [NaN, 0], [Infinity, 0], [null, 0]];
  for (const [value, count] of pairs) assert.equal(decimals(value), count, `${value}`);
  assert.deepEqual([11, -2.5, 0, NaN, null].map((value) => number(value, 3)), ["11.000", "-2.500", "0.000", "nan", ""]);
  assert.equal(number(12345, Infinity), "12345");
});

test("memory and processors", () => {
  assert.deepEqual([0, 811.6, 3400, 99999, 2e6, null].map(memory), ["0 MB", "812 MB", "3.4 GB", "100 GB", "2.0 TB", ""]);
  assert.deepEqual([0, 0.94, 9.96, 31.5, undefined].map(processors), ["0.0", "0.9", "10", "32", ""]);
});

test("nothing that acts on its surroundings is left in clean text", () => {
  const nasty = "a\0b\u202Ec\u200Bd\ud800e\x1b[31mf\u{e0041}g\u2028h\r\n\ti\uFEFF";
  const shown = clean(nasty);
  assert.equal(shown, "a\\x00b\\u202ec\\u200bd\\ud800e\\x1b[31mf\\U000e0041g\\u2028h\\x0d\\n\\ti\\ufeff");
  assert.equal(clean("<b>&amp;</b> 🎉 é 漢"), "<b>&amp;</b> 🎉 é 漢");
  assert.equal(clean("x".repeat(200), 10), "xxxxxxxxx…");
  assert.equal(clean("a\nb", 10, true), "a\nb");
  assert.equal(clean("🎉".repeat(9), 4).at(-1), "…"); // cut within a pair: half of it is an escape
  assert.doesNotMatch(clean("🎉".repeat(9), 4), /\p{Surrogate}/u);
  for (const odd of [null, undefined, 3, {}, [], true]) assert.equal(typeof clean(odd), "string");
});

test("a line that was written again is shown in its last form", () => {
  assert.deepEqual(texts("  0%\r 50%\r100%\ndone\r\nnext\n"), ["100%", "done", "next"]);
  assert.deepEqual(texts("a\r\r\nb"), ["a", "b"]);
  assert.deepEqual(texts(""), []);
  assert.deepEqual(texts("\n\n"), ["", ""]);
  assert.deepEqual(texts("|\b/\b-\babc\b\bd\n\b\b\bx"), ["ad", "x"]);
});

test("colours become classes, whatever else a terminal obeys is dropped", () => {
  assert.deepEqual(parseLog("\x1b[1;31mbad\x1b[0m fine\n\x1b[32mgreen\nstill\x1b[39m no"), [
    [{ text: "bad", classes: "xpm-red xpm-bold" }, { text: " fine", classes: "" }],
    [{ text: "green", classes: "xpm-green" }],
    [{ text: "still", classes: "xpm-green" }, { text: " no", classes: "" }],
  ]);
  assert.equal(parseLog("\x1b[38;5;196mx")[0][0].classes, "xpm-red");
  assert.equal(parseLog("\x1b[38;2;20;200;30mx")[0][0].classes, "xpm-green");
  assert.equal(parseLog("\x1b[38;2;1;2;3;1mx")[0][0].classes, "xpm-bold");
  assert.equal(parseLog("\x1b[38;5mx")[0][0].classes, "");
  assert.equal(parseLog("\x1b[31m 0%\r 50%")[0][0].classes, "xpm-red");
  const odd = "\x1b]0;title\x07\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\\x1b[2K\x1b[1A\x1b(B\x1bcx\x1b[999999999999999mz\x1b";
  assert.deepEqual(texts(odd), ["linkxz"]);
});

test("lines of ten megabytes are cut, and quickly gone through", () => {
  const line = "x".repeat(10_000_000);
  const [shown] = texts(line);
  assert.ok(shown.length < LINE_LIMIT + 100);
  assert.match(shown, /… 9,998,200 characters …/);
  assert.equal(texts("\r".repeat(1_000_000) + "a\n").join(), "a");
  assert.equal(texts("\x1b[".repeat(1_000_000)).length, 1);
  assert.equal(texts("\x1b]".repeat(1_000_000)).length, 1);
  assert.equal(texts("ab\b".repeat(500)).length, 1);
});

test("any text gives lines without control characters, and none is lost", () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
  const parts = ["\x1b[", "\x1b]", "31", ";", "m", "\r", "\n", "\0", "\u202e", "\ud83c", "🎉", "<img src=x onerror=1>", "a", " ", "\x07", "\x1b", "\\", "\b"];
  for (let round = 0; round < 3000; round++) {
    const text = Array.from({ length: random(20) }, () => parts[random(parts.length)]).join("");
    const lines = texts(text);
    assert.equal(lines.length, text.split("\n").length - (text.endsWith("\n") || text === "" ? 1 : 0));
    for (const line of lines) assert.doesNotMatch(line, /[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]|\p{Surrogate}/u);
  }
});
