// @ts-check
// A live display has a twin: the same as a static picture, in the next output of its cell. The twin
// is what remains in a saved notebook. While a view lives, its twin is hidden; when the view goes
// (the kernel restarted, the page is a plain one), it stands there again.

/** @type {Map<string, {views: number, style: HTMLStyleElement}>} */
const hidden = new Map();

/**
 * Hide the twin of a display until the function that is given back was called.
 * @param {unknown} uid  of the display
 * @param {Document} page
 * @returns {() => void}
 */
export function hideTwin(uid, page = document) {
  if (typeof uid !== "string" || !/^[\w-]+$/.test(uid)) return () => {};
  let entry = hidden.get(uid);
  if (!entry) {
    const style = page.createElement("style");
    // Two rules: a browser that does not know :has() drops the second only.
    style.textContent =
      `[data-xpm="${uid}"] { display: none !important; }\n` +
      `.jp-OutputArea-child:has(> .jp-OutputArea-output > [data-xpm="${uid}"]) { display: none !important; }`;
    page.head.append(style);
    entry = { views: 0, style };
    hidden.set(uid, entry);
  }
  const mine = entry;
  let gone = false;
  mine.views += 1;
  return () => {
    if (gone) return;
    gone = true;
    mine.views -= 1;
    if (mine.views > 0) return;
    mine.style.remove();
    hidden.delete(uid);
  };
}

/**
 * Give a display that brings its style, and whose twin is hidden while there is a view of it.
 * @param {{render: (context: any) => any}} display
 * @param {string} sheet
 */
export function dressed(display, sheet) {
  return {
    ...display,
    /** @param {any} context */
    render(context) {
      // In the view, not in the page: some front-ends keep each view in a shadow tree of its own.
      const style = context.el.ownerDocument.createElement("style");
      style.textContent = sheet;
      context.el.replaceChildren(style); // before what is drawn: it is measured at once
      const stop = display.render(context);
      const show = hideTwin(context.model.get("uid"), context.el.ownerDocument);
      return () => {
        show();
        if (typeof stop === "function") stop();
        style.remove();
      };
    },
  };
}
