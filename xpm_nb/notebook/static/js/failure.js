// @ts-check
// Where a failed job was: its errors, each with its frames, lines and values. All of it is text of
// the job's, and shown as such. The innermost frame of each error is open, as one reads it first.

import { clean } from "./format.js";
import { copyButton, el } from "./dom.js";

/**
 * @typedef {object} Frame  of a `kept.FrameView`
 * @property {string} file
 * @property {number} line
 * @property {string} function
 * @property {number} first  the number of the first of its lines
 * @property {string[]} lines
 * @property {[string, string][]} values
 */

/**
 * @typedef {object} Failure  of a `kept.ErrorView`
 * @property {string} kind
 * @property {string} message
 * @property {string} link  how it hangs together with the one before it
 * @property {number} left_out  frames in the middle
 * @property {Frame[]} frames
 */

/** @type {Record<string, string>} */
const LINKS = { cause: "which was caused by this", context: "which came up while this was dealt with" };

/**
 * What is shown of a frame's lines: their numbers, and which of them it was at.
 * @param {Frame} frame
 * @returns {{number: string, text: string, here: boolean}[]}
 */
export function numbered(frame) {
  const width = String(frame.first + frame.lines.length).length;
  return frame.lines.map((text, n) => ({
    number: String(frame.first + n).padStart(width),
    text: clean(text, 200),
    here: frame.first + n === frame.line,
  }));
}

/**
 * @param {Failure[]} errors
 * @param {string} command  that opens them in the debugger
 * @param {string} told  what is written above them already
 */
export function failureNodes(errors, command, told) {
  const hint = el("p", { class: "xpm-dim" }, el("code", { class: "xpm-command", text: command }), copyButton(command, "copy the line that opens the debugger"), " opens it in pdb");
  return [...errors.flatMap((error) => errorNodes(error, told)), hint];
}

/**
 * @param {Failure} error
 * @param {string} told
 */
function errorNodes(error, told) {
  const said = error.message ? `${error.kind}: ${error.message}` : error.kind;
  const left = error.left_out > 0 ? el("p", { class: "xpm-dim", text: `${error.left_out} frame${error.left_out === 1 ? "" : "s"} left out` }) : null;
  return [
    error.link ? el("p", { class: "xpm-dim", text: LINKS[error.link] ?? "before that" }) : null,
    said.trim() === told.trim() ? null : el("pre", { class: "xpm-raised", text: clean(said, 600, true) }),
    left,
    ...error.frames.map((frame, n) => frameNode(frame, n === error.frames.length - 1)),
  ].filter((node) => node !== null);
}

/**
 * @param {Frame} frame
 * @param {boolean} open
 */
function frameNode(frame, open) {
  const file = clean(frame.file, 300);
  const short = file.slice(file.lastIndexOf("/") + 1);
  const title = el("summary", { title: file }, el("code", { text: clean(frame.function, 100) }), el("span", { class: "xpm-dim", text: ` ${short}, line ${frame.line}` }));
  const lines = numbered(frame).map(({ number, text, here }) => el("div", { "data-here": here, "aria-current": here ? "true" : null }, el("span", { class: "xpm-dim", text: `${here ? "→" : " "} ${number}  ` }), text || " "));
  const source = lines.length ? el("pre", { class: "xpm-source", tabindex: 0, role: "group", "aria-label": `source of ${clean(frame.function, 60)}` }, lines) : null;
  const rows = frame.values.map(([name, text]) => el("tr", {}, el("th", { scope: "row", text: clean(name, 60) }), el("td", { class: "xpm-value", text: clean(text, 400, true) })));
  const values = rows.length ? el("table", { class: "xpm-params", "aria-label": "values" }, el("tbody", {}, rows)) : null;
  return el("details", { class: "xpm-frame", open }, title, source, values);
}
