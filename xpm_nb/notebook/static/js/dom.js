// @ts-check
// Rule: text becomes a text node, always. Nothing in these modules parses markup, so no value, log
// or name from anywhere can become an element or an attribute's script.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Props  attributes; "class", "text", "style" (object), "on" (listeners) */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  fill(node, props, children);
  return node;
}

/**
 * Make an element of a drawing.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [attrs]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(node, attrs, children);
  return /** @type {SVGElementTagNameMap[K]} */ (node);
}

/**
 * @param {HTMLElement | SVGElement} node
 * @param {Props} props
 * @param {(Child | Child[])[]} children
 */
function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, /** @type {EventListener} */ (listener));
    } else if (name === "text") node.textContent = String(value);
    else if (name === "style") {
      for (const [key, text] of Object.entries(value)) node.style.setProperty(key, String(text));
    } else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child != null && child !== false) node.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Set the text of a node, if it is another one: an unchanged page is not laid out again.
 * @param {Node} node
 * @param {string} text
 */
export function replaceText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Set or remove an attribute, if that changes anything.
 * @param {Element} node
 * @param {string} name
 * @param {string | number | boolean | null} value  true for an empty one, null or false for none
 */
export function attr(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/**
 * A small button that copies a text, and says so.
 * @param {string | (() => string)} text  what to copy, or what gives it at the click
 * @param {string} [what]  for those who do not see it: "copy the path"
 */
export function copyButton(text, what = "copy") {
  const button = el("button", { type: "button", class: "xpm-copy", "aria-label": what, title: what, text: "copy" });
  let timer = 0;
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const ok = await copy(typeof text === "function" ? text() : text);
    button.textContent = ok ? "copied" : "press Ctrl+C";
    window.clearTimeout(timer);
    timer = window.setTimeout(() => (button.textContent = "copy"), 1500);
  });
  return button;
}

/**
 * Put a text on the clipboard; tell whether that worked.
 * @param {string} text
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http, or a frame without the permission: the old way, from a field nobody sees.
    const field = el("textarea", { style: { position: "fixed", opacity: "0", top: "0" }, "aria-hidden": "true" });
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    field.value = text;
    document.body.append(field);
    field.select();
    const ok = document.execCommand("copy");
    field.remove();
    focused?.focus?.({ preventScroll: true });
    return ok;
  }
}

/**
 * Write on an element how much room it has, as its `data-room`. It is what container queries of CSS are
 * for; but with them Chromium forgets to lay out what came into a widget while its cell was out of
 * sight, and it was blank when the reader scrolled back.
 * @param {HTMLElement} root
 * @param {[string, number][]} rooms  names, from the narrowest, and up to which width in pixels each is meant
 * @returns {() => void} ends it
 */
export function markRoom(root, rooms) {
  const ruler = el("div", { "aria-hidden": "true" }); // its height is always 0: marking does not resize what is watched
  root.prepend(ruler);
  const observer = new ResizeObserver(() => {
    const width = ruler.clientWidth;
    if (width) attr(root, "data-room", rooms.find(([, most]) => width <= most)?.[0] ?? null);
  });
  observer.observe(ruler);
  return () => observer.disconnect();
}

/**
 * A row of tabs; the panels are the caller's.
 * @param {string} prefix  of the identifiers: `${prefix}-tab-${key}`, `${prefix}-panel-${key}`
 * @param {[string, string][]} names  key and title of each
 * @param {(key: string) => void} pick  told when another one is chosen
 * @param {string} label
 */
export function tabList(prefix, names, pick, label) {
  /** @type {Map<string, HTMLButtonElement>} */
  const tabs = new Map();
  const root = el("div", { role: "tablist", class: "xpm-tabs", "aria-label": label });
  let chosen = "";
  for (const [key, title] of names) {
    const tab = el("button", { type: "button", role: "tab", id: `${prefix}-tab-${key}`, "aria-controls": `${prefix}-panel-${key}`, "data-tab": key, text: title });
    tab.addEventListener("click", () => choose(key));
    tabs.set(key, tab);
    root.append(tab);
  }
  root.addEventListener("keydown", (event) => {
    const keys = names.map(([key]) => key).filter((key) => !tabs.get(key)?.hidden);
    const at = keys.indexOf(chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    choose(/** @type {string} */ (keys.at(to % keys.length)));
    tabs.get(chosen)?.focus();
    event.preventDefault();
    event.stopPropagation();
  });

  /** @param {string} key */
  function choose(key) {
    if (key === chosen) return;
    chosen = key;
    for (const [name, tab] of tabs) {
      attr(tab, "aria-selected", name === key ? "true" : "false");
      attr(tab, "tabindex", name === key ? 0 : -1);
    }
    pick(key);
  }

  return { root, tabs, choose, chosen: () => chosen };
}

/**
 * Tell whether there surely is no kernel behind a widget: false where the front-end does not say.
 * @param {any} model  what a front-end gives
 */
export function kernelGone(model) {
  try {
    const manager = model?.widget_manager;
    if (!manager || !("kernel" in manager)) return false;
    const { kernel } = manager;
    return kernel === null || kernel?.isDisposed === true || kernel?.status === "dead";
  } catch {
    return false;
  }
}

/** Models whose messages go past anywidget. @type {WeakSet<object>} */
const mended = new WeakSet();

/**
 * Let a model hear the kernel again. anywidget gives a page two seconds to load a module; where that
 * took longer, as the page or the machine was busy, it refuses whatever the kernel says to that model
 * from then on, although everything is there by now. What stands below anywidget takes it.
 * @param {any} model  what anywidget gives to `render`
 * @param {string} trait  one whose value is an object: by it the front-end's own model is known
 * @param {(real: any) => void} then  called once it has been mended, with the front-end's own model
 */
export function hearAgain(model, trait, then) {
  try {
    const mark = model?.get(trait);
    if (!mark) return;
    for (const promise of Object.values(model.widget_manager?._models ?? {})) {
      Promise.resolve(promise).then((real) => mark === real?.get?.(trait) && mend(real) && then(real)).catch(() => {});
    }
  } catch {
    // a front-end that is made in another way: nothing is lost
  }
}

/** @param {any} real */
function mend(real) {
  const below = Object.getPrototypeOf(Object.getPrototypeOf(real))?._handle_comm_msg;
  if (mended.has(real) || typeof below !== "function" || typeof real.comm?.on_msg !== "function") return false;
  mended.add(real);
  real.comm.on_msg(below.bind(real));
  return true;
}
