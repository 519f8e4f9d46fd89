// @ts-check
// How things read: numbers, durations, states, text from anywhere. Pure functions, no page needed.

/** State letter of the protocol -> word. @type {Record<string, string>} */
export const WORDS = { u: "unscheduled", w: "waiting", y: "ready", s: "scheduled", r: "running", d: "done", e: "error" };

/** Mark of each state: for the eye, always beside the word. @type {Record<string, string>} */
export const MARKS = { unscheduled: "·", waiting: "○", ready: "◔", scheduled: "◑", running: "▶", done: "✓", error: "✗" };

/** From what has ended to what has not begun: the order of counts, of the bar, and of sorting. */
export const STATES = ["done", "error", "running", "scheduled", "ready", "waiting", "unscheduled"];

/**
 * Write a duration in at most two units: "0.4 s", "3 min 04 s", "2 h 05 min".
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, "0");
}

/**
 * Write how long something will take, no more exactly than anybody can know: "about 3 min".
 * @param {number | null | undefined} seconds
 */
export function roughly(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  if (seconds < 8) return "a few seconds";
  if (seconds < 55) return `about ${Math.ceil(seconds / 10) * 10} s`;
  if (seconds < 5400) return `about ${Math.max(1, Math.round(seconds / 60))} min`;
  if (seconds < 36 * 3600) return `about ${Math.round(seconds / 3600)} h`;
  return `about ${Math.round(seconds / 86400)} d`;
}

const MOST_DECIMALS = 6; // of figures in a column

/**
 * How many decimals a figure needs for four significant digits; `Infinity` where that reads badly.
 * (The table of results goes by the same: `engine.results.common_decimals`.)
 * @param {number | null | undefined} value
 */
export function decimals(value) {
  if (value == null || !Number.isFinite(value)) return 0;
  const rounded = Number(value.toPrecision(4));
  const size = Math.abs(rounded);
  if (size >= 1e4 || (size && size < 1e-4)) return Infinity;
  const found = (String(rounded).split(".")[1] ?? "").length;
  return found > MOST_DECIMALS ? Infinity : found;
}

/**
 * Write a figure: four significant digits, whole numbers whole; or with so many decimals.
 * @param {number | null | undefined} value
 * @param {number} [most]  what a column of figures needs; `Infinity`: each for itself
 */
export function number(value, most = Infinity) {
  if (value == null) return "";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (most < Infinity) return value.toFixed(most);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return String(value);
  if (size >= 1e-4 && size < 1e9) {
    return value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size))));
  }
  return Number(value.toPrecision(4)).toExponential().replace("e+", "e");
}

/**
 * Write an amount of memory: "812 MB", "3.4 GB".
 * @param {number | null | undefined} mb
 */
export function memory(mb) {
  if (mb == null || !Number.isFinite(mb)) return "";
  if (mb < 1000) return `${Math.round(mb)} MB`;
  return mb < 1e6 ? `${(mb / 1000).toFixed(mb < 1e4 ? 1 : 0)} GB` : `${(mb / 1e6).toFixed(1)} TB`;
}

/**
 * Write what is used of the processors: "0.9", "12".
 * @param {number | null | undefined} cpu
 */
export function processors(cpu) {
  if (cpu == null || !Number.isFinite(cpu)) return "";
  return cpu < 9.95 ? cpu.toFixed(1) : String(Math.round(cpu));
}

/**
 * "1 job", "2 jobs", "10,000 jobs".
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

// Characters that would act on the text around them, or not show at all: control characters, marks
// of direction, invisible separators, half surrogate pairs, tag letters. Written as escapes.
const INERT =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]|[\u{e0000}-\u{e007f}]/gu;

/** @param {string} char */
function escaped(char) {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/**
 * Make text harmless to look at: what is invisible or gives direction is shown as an escape; cut.
 * @param {unknown} text  anything; what is not text is written as JavaScript would
 * @param {number} limit  characters of the input that are kept
 * @param {boolean} lines  keep line ends and tabs; otherwise they are shown as escapes too
 */
export function clean(text, limit = 160, lines = false) {
  const raw = typeof text === "string" ? text : text == null ? "" : String(text);
  const cut = raw.length > limit ? raw.slice(0, Math.max(limit - 1, 0)) : raw;
  let shown = cut.replace(INERT, escaped);
  if (!lines) shown = shown.replace(/\n/g, "\\n").replace(/\t/g, "\\t");
  return cut === raw ? shown : `${shown}…`;
}

// -- logs ---------------------------------------------------------------------------------------

/** @typedef {{text: string, classes: string}} Piece  a run of text in one style */

/** Longest line of a log that is shown; the middle of a longer one is left out. */
export const LINE_LIMIT = 2000;
const LINE_TAIL = 200;
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[ -/]*[0-~]|$)/g;
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** @typedef {{colour: string, flags: Set<string>}} Pen */

/**
 * Read a log as a terminal would: colours become classes, a line that was written again (`\r`) is
 * shown in its last form, other control sequences are dropped. One list of pieces for each line.
 * @param {string} text
 * @returns {Piece[][]}
 */
export function parseLog(text) {
  /** @type {Pen} */
  const pen = { colour: "", flags: new Set() };
  const lines = text.split("\n");
  if (lines.length && lines[lines.length - 1] === "") lines.pop();
  return lines.map((line) => parseLine(lastForm(line), pen));
}

/**
 * What is left on the screen of a line with carriage returns.
 * @param {string} line
 */
function lastForm(line) {
  let last = line.length;
  while (last && line[last - 1] === "\r") last--;
  const end = line.slice(0, last);
  const from = end.lastIndexOf("\r");
  if (from < 0) return end;
  // A colour that was switched on before the last return still counts.
  const kept = end.slice(Math.max(0, from - LINE_LIMIT), from).match(/\x1b\[[\d;]*m/g);
  return (kept ? kept.join("") : "") + end.slice(from + 1);
}

/**
 * @param {string} line
 * @param {Pen} pen  the style so far; it is changed
 * @returns {Piece[]}
 */
function parseLine(line, pen) {
  /** @type {Piece[]} */
  const pieces = [];
  const whole = cutLine(line);
  const add = (/** @type {string} */ part) => {
    if (!part) return;
    const classes = [pen.colour, ...pen.flags].filter(Boolean).join(" ");
    const text = clean(part.includes("\b") ? stepBack(part) : part, Infinity, true);
    const last = pieces[pieces.length - 1];
    if (last && last.classes === classes) last.text += text;
    else pieces.push({ text, classes });
  };
  let from = 0;
  for (const match of whole.matchAll(ESCAPE)) {
    add(whole.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") setPen(pen, match[1]);
  }
  add(whole.slice(from));
  return pieces;
}

/**
 * Take away what backspaces took away: spinners write so.
 * @param {string} text
 */
function stepBack(text) {
  /** @type {string[]} */
  const left = [];
  for (const char of text) {
    if (char === "\b") left.pop();
    else left.push(char);
  }
  return left.join("");
}

/** @param {string} line */
function cutLine(line) {
  if (line.length <= LINE_LIMIT) return line;
  const left = line.length - LINE_LIMIT + LINE_TAIL;
  const head = line.slice(0, LINE_LIMIT - LINE_TAIL);
  return `${head} … ${left.toLocaleString("en")} characters … ${line.slice(-LINE_TAIL)}`;
}

/**
 * @param {Pen} pen
 * @param {string} codes  as in "1;31"
 */
function setPen(pen, codes) {
  const list = codes.split(";").map((code) => Number(code) || 0);
  for (let i = 0; i < list.length; i++) {
    const code = list[i];
    if (code === 0) {
      pen.colour = "";
      pen.flags.clear();
    } else if (code === 1) pen.flags.add("xpm-bold");
    else if (code === 2) pen.flags.add("xpm-faint");
    else if (code === 3) pen.flags.add("xpm-italic");
    else if (code === 4) pen.flags.add("xpm-under");
    else if (code === 22) ["xpm-bold", "xpm-faint"].forEach((flag) => pen.flags.delete(flag));
    else if (code === 23) pen.flags.delete("xpm-italic");
    else if (code === 24) pen.flags.delete("xpm-under");
    else if (code === 39) pen.colour = "";
    else if ((code >= 30 && code < 38) || (code >= 90 && code < 98)) pen.colour = `xpm-${COLOURS[code % 10]}`;
    else if (code === 38 || code === 48) {
      const colour = list[i + 1] === 5 ? fromTable(list[i + 2]) : list[i + 1] === 2 ? nearest(list[i + 2], list[i + 3], list[i + 4]) : "";
      i += list[i + 1] === 5 ? 2 : list[i + 1] === 2 ? 4 : 0;
      if (code === 38) pen.colour = colour;
    }
  }
}

/**
 * The named colour for one of the 256 of terminals.
 * @param {number} index
 */
function fromTable(index) {
  if (!(index >= 0 && index < 232)) return "";
  if (index < 16) return `xpm-${COLOURS[index % 8]}`;
  const cube = index - 16;
  return nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51);
}

/**
 * The named colour that is nearest to one of millions, by which of its parts are strong: themes
 * have the named ones in shades that can be read on their background.
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
function nearest(red, green, blue) {
  const most = Math.max(red, green, blue);
  const least = Math.min(red, green, blue);
  if (!(most - least > 40)) return "";
  const strong = (/** @type {number} */ part) => (part - least > (most - least) / 2 ? 1 : 0);
  return `xpm-${COLOURS[strong(red) + 2 * strong(green) + 4 * strong(blue)]}`;
}
