// What the kernel has packed is read as it was; what is damaged is an error.
import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";

import { inflate, unpack } from "../../xpm_nb/notebook/static/js/packed.js";

/** A text that is the same in each run, of so many characters, from so many different ones. */
function some(length, letters, seed = 1) {
  let text = "";
  for (let state = seed; text.length < length; ) {
    state = (state * 1103515245 + 12345) % 2147483648;
    text += String.fromCodePoint(32 + ((state >> 8) % letters));
    if (state % 7 === 0) text += text.slice(-(state % 300));
  }
  return text.slice(0, length);
}

const TEXTS = ["", "a", "aaaaaaaaaaaaaaaa", "é😀\u0000", some(300, 3), some(5000, 90), some(90000, 200), "ab".repeat(40000)];
const WAYS = [{ level: 0 }, { level: 1 }, { level: 6 }, { level: 9 }, { strategy: zlib.constants.Z_FIXED }, { strategy: zlib.constants.Z_HUFFMAN_ONLY }, { strategy: zlib.constants.Z_RLE }];

for (const [number, way] of WAYS.entries()) {
  test(`inflate turns round what zlib does, way ${number}`, () => {
    for (const text of TEXTS) {
      const data = Buffer.from(text);
      const out = inflate(new Uint8Array(zlib.deflateRawSync(data, way)), data.length);
      assert.deepEqual(Buffer.from(out), data);
    }
  });
}

test("every length of a copy", () => {
  const parts = [];
  for (let n = 3; n < 300; n += 1) parts.push(some(n, 200, n).repeat(2));
  const data = Buffer.from(parts.join("|"));
  assert.deepEqual(Buffer.from(inflate(new Uint8Array(zlib.deflateRawSync(data, { level: 9 })), data.length)), data);
});

test("unpack gives the values", () => {
  const value = { rows: [[["abc", 0], ["d", "", 0.5]]], name: "é \"quoted\" 😀" };
  const data = Buffer.from(JSON.stringify(value));
  assert.deepEqual(unpack(zlib.deflateRawSync(data).toString("base64"), data.length), value);
});

test("what is damaged is an error, whatever it is", () => {
  const data = Buffer.from(JSON.stringify(some(3000, 60)));
  const packed = new Uint8Array(zlib.deflateRawSync(data));
  assert.throws(() => inflate(packed, data.length - 1));
  assert.throws(() => inflate(packed, data.length + 1));
  assert.throws(() => inflate(packed.subarray(0, packed.length - 9), data.length));
  assert.throws(() => inflate(new Uint8Array(0), 0));
  for (let at = 0; at < packed.length; at += 17) {
    const bent = packed.slice();
    bent[at] ^= 0x5a;
    try {
      assert.equal(inflate(bent, data.length).length, data.length);
    } catch (error) {
      assert.ok(error instanceof Error);
    }
  }
});
