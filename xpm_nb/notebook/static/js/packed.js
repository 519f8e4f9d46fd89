// @ts-check
// The state of a model, as a notebook may keep it, is a text that was made short: JSON, deflated
// (RFC 1951), in base64. Browsers can inflate too, but not at once: who asks a model for its state
// wants it now. Rule: what is damaged gives an error, never something else.

/**
 * Read what was packed.
 * @param {string} text
 * @param {number} size  bytes of what comes out
 * @returns {any}
 */
export function unpack(text, size) {
  const data = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(inflate(data, size)));
}

/** Of the codes for lengths of copies, and for how far back: the least, and how many bits are added. */
const LENGTHS = steps([3, 4, 5, 6, 7, 8, 9, 10], 4, 5, 258);
const BACKS = steps([1, 2, 3, 4], 2, 13);
/** In which order the lengths of the codes for lengths stand. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * The table of a kind of code: after the first ones, each `each` have one bit more to add.
 * @param {number[]} first
 * @param {number} each
 * @param {number} bits  at the end
 * @param {number} [last]  a code of its own
 * @returns {[least: number, bits: number][]}
 */
function steps(first, each, bits, last) {
  /** @type {[number, number][]} */
  const table = first.map((least) => [least, 0]);
  let least = first[first.length - 1] + 1;
  for (let more = 1; more <= bits; more += 1) {
    for (let i = 0; i < each; i += 1, least += 1 << more) table.push([least, more]);
  }
  if (last) table[table.length - 1] = [last - 31, 5];
  return last ? [...table, [last, 0]] : table;
}

/** @typedef {{counts: Uint16Array, symbols: number[]}} Code  a Huffman code in its canonical form */

/**
 * @param {ArrayLike<number>} lengths  of the code of each symbol, in bits
 * @returns {Code}
 */
function codeOf(lengths) {
  const counts = new Uint16Array(16);
  /** @type {number[][]} */
  const byLength = Array.from({ length: 16 }, () => []);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    if (!lengths[symbol]) continue;
    counts[lengths[symbol]] += 1;
    byLength[lengths[symbol]].push(symbol);
  }
  return { counts, symbols: byLength.flat() };
}

const FIXED = codeOf(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_BACKS = codeOf(new Array(30).fill(5));

/**
 * @param {Uint8Array} data
 * @param {number} size  of what comes out
 * @returns {Uint8Array}
 */
export function inflate(data, size) {
  const out = new Uint8Array(size);
  let done = 0; // bytes of out
  let next = 0; // of data
  let held = 0; // bits that are read and not used, and how many
  let count = 0;

  /** @param {number} bits  that are wanted */
  function take(bits) {
    while (count < bits) {
      if (next >= data.length) throw new Error("the packed state ends too early");
      held |= data[next++] << count;
      count += 8;
    }
    const value = held & ((1 << bits) - 1);
    held >>>= bits;
    count -= bits;
    return value;
  }

  /** @param {Code} code */
  function symbol({ counts, symbols }) {
    let value = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length += 1) {
      value |= take(1);
      if (value - counts[length] < first) return symbols[index + value - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      value <<= 1;
    }
    throw new Error("the packed state is damaged");
  }

  function stored() {
    held = count = 0; // the rest of the byte means nothing
    const length = data[next] | (data[next + 1] << 8);
    next += 4;
    if (next + length > data.length || done + length > size) throw new Error("the packed state is damaged");
    out.set(data.subarray(next, next + length), done);
    next += length;
    done += length;
  }

  /** The two codes of a block that brings its own. */
  function codes() {
    const literals = take(5) + 257;
    const backs = take(5) + 1;
    const some = take(4) + 4;
    const lengths = new Uint8Array(19);
    for (let i = 0; i < some; i += 1) lengths[ORDER[i]] = take(3);
    const code = codeOf(lengths);
    const all = new Uint8Array(literals + backs);
    for (let i = 0; i < all.length; ) {
      const what = symbol(code);
      if (what < 16) all[i++] = what;
      else {
        const value = what === 16 ? all[i - 1] : 0;
        const times = what === 16 ? 3 + take(2) : what === 17 ? 3 + take(3) : 11 + take(7);
        all.fill(value, i, i + times);
        i += times;
      }
    }
    return [codeOf(all.subarray(0, literals)), codeOf(all.subarray(literals))];
  }

  /**
   * @param {Code} literals
   * @param {Code} backs
   */
  function block(literals, backs) {
    for (let what = symbol(literals); what !== 256; what = symbol(literals)) {
      if (what < 256) {
        out[done++] = what;
        continue;
      }
      const [least, more] = LENGTHS[what - 257];
      const length = least + take(more);
      const [near, further] = BACKS[symbol(backs)];
      const from = done - near - take(further);
      if (from < 0 || done + length > size) throw new Error("the packed state is damaged");
      for (let i = 0; i < length; i += 1) out[done++] = out[from + i];
    }
  }

  for (let last = 0; !last; ) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) stored();
    else if (kind === 1) block(FIXED, FIXED_BACKS);
    else if (kind === 2) {
      const [literals, backs] = codes();
      block(literals, backs);
    } else throw new Error("the packed state is damaged");
  }
  if (done !== size) throw new Error("the packed state has another size than it says");
  return out;
}
