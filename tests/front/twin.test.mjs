// What a view brings beside what it draws.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dressed } from "../../xpm_nb/notebook/static/js/twin.js";

/** As much of an element as is needed here. */
class Element {
  /** @param {any} page */
  constructor(page) {
    this.ownerDocument = page;
    this.textContent = "";
    /** @type {Element[]} */
    this.children = [];
    /** @type {Element | null} */
    this.parent = null;
  }

  /** @param {Element[]} others */
  append(...others) {
    for (const other of others) other.parent = this;
    this.children.push(...others);
  }

  /** @param {Element[]} others */
  replaceChildren(...others) {
    this.children = [];
    this.append(...others);
  }

  remove() {
    const parent = this.parent;
    if (parent) parent.children = parent.children.filter((one) => one !== this);
  }
}

function stage() {
  /** @type {any} */
  const page = { createElement: () => new Element(page) };
  page.head = new Element(page);
  const model = { get: () => "u-1" };
  return { page, context: { el: new Element(page), model } };
}

test("what is drawn and measured at once has its style already", () => {
  const { page, context } = stage();
  /** @type {string[]} */
  let there = [];
  const draw = () => {
    there = context.el.children.map((child) => child.textContent);
    context.el.append(new Element(page));
  };
  const stop = dressed({ render: draw }, ".x { }").render(context);
  assert.deepEqual(there, [".x { }"]);
  assert.equal(context.el.children.length, 2);
  stop();
});

test("a view that goes takes its style along, and its twin is there again", () => {
  const { page, context } = stage();
  let stopped = 0;
  const display = { render: () => () => (stopped += 1) };
  const stop = dressed(display, ".x { }").render(context);
  assert.equal(page.head.children.length, 1);
  stop();
  assert.equal(stopped, 1);
  assert.deepEqual([context.el.children, page.head.children], [[], []]);
});
