// @ts-check
// The graph tab: what needs what. Places and layers come from the kernel (`core.drawing`); here the
// boxes are drawn, keep the colours of their jobs' states, and lead to them.

import { attr, el, replaceText, svg } from "./dom.js";
import { clean, MARKS, plural, STATES } from "./format.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Row} Row */

/**
 * @typedef {object} TabContext  what the panel gives to a tab
 * @property {Store} store
 * @property {(msg: any) => void} send
 * @property {(wants: any) => void} watch  what of this tab is to be kept up to date
 * @property {(id: string) => void} open  show a job
 * @property {() => string[]} selection
 * @property {(listener: () => void) => void} onSelection
 * @property {(what: {task: string}) => void} [filter]  show only some jobs
 */

/**
 * @typedef {object} Tab
 * @property {HTMLElement} root
 * @property {() => void} show
 * @property {() => void} hide
 * @property {(changed: Set<number> | null) => void} update
 * @property {(msg: any) => void} message
 * @property {() => void} destroy
 */

/** @typedef {{key: string, label: string, sublabel: string, x: number, y: number, counts: [string, number][]}} GraphNode */
/** @typedef {{by: string, nodes: GraphNode[], edges: [number, number][], width: number, height: number, box: [number, number], bends?: [number, number][][]}} Graph */
/** @typedef {{x: number, y: number, k: number, least: [number, number]}} Zoom  scale k, but not below `least` of each axis */

const PAD = 4; // around the drawing
const HIGHEST = 460; // of the place for the drawing, in pixels
const NEAREST = 2.5; // how much it can be enlarged
const STEP = 1.4; // of a click on + or −
const READABLE = 0.5; // boxes of a smaller drawing have a name only,
const PATCHES = 0.3; // or are just patches

// -- pure parts ---------------------------------------------------------------------------------

/**
 * Which nodes are next to each other.
 * @param {Graph} graph
 */
export function neighbours(graph) {
  const near = graph.nodes.map((_node, n) => new Set([n]));
  for (const [a, b] of graph.edges) {
    near[a]?.add(b);
    near[b]?.add(a);
  }
  return near;
}

/**
 * The line of an edge: smooth between layers, straight through them, ending in an arrow.
 * @param {Graph} graph
 * @param {number} index
 */
export function edgePath(graph, index) {
  const [a, b] = graph.edges[index];
  const from = graph.nodes[a];
  const to = graph.nodes[b];
  const [width, height] = graph.box;
  /** @type {[number, number][]} */
  const points = [[from.x + width, from.y + height / 2], ...(graph.bends?.[index] ?? []), [to.x - 2, to.y + height / 2]];
  let path = `M${points[0].map(tenth)}`;
  for (let n = 1; n < points.length; n++) {
    const [x0, y0] = points[n - 1];
    const [x1, y1] = points[n];
    if (y0 === y1 && x1 > x0) path += `H${tenth(x1)}`;
    else {
      const reach = x1 > x0 ? (x1 - x0) / 2 : 40; // an edge that leads back leaves and comes in a curve
      path += `C${[x0 + reach, y0, x1 - reach, y1, x1, y1].map(tenth)}`;
    }
  }
  return `${path}m-5,-3l5,3l-5,3`;
}

/** @param {number} value */
function tenth(value) {
  return Math.round(value * 10) / 10;
}

/**
 * The nearest node in a direction: what an arrow key leads to; -1 for none.
 * @param {Graph} graph
 * @param {number} from
 * @param {string} key
 */
export function nodeTowards(graph, from, key) {
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const start = graph.nodes[from];
  if (!way || !start) return -1;
  let best = -1;
  let least = Infinity;
  graph.nodes.forEach((node, n) => {
    const dx = node.x - start.x;
    const dy = node.y - start.y;
    const along = dx * way[0] + dy * way[1];
    const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    const cost = along + 3 * aside;
    if (along > 0 && cost < least) [best, least] = [n, cost];
  });
  return best;
}

/**
 * How to show a drawing whole, in the middle, never enlarged. One that gets too small to be read is
 * an overview anyway, and takes the whole place, each axis in its own scale.
 * @param {{width: number, height: number}} graph
 * @param {number} width
 * @param {number} height
 * @returns {Zoom}
 */
export function fitted(graph, width, height) {
  const across = Math.max(0.01, Math.min(1, (width - 2 * PAD) / graph.width));
  const down = Math.max(0.01, Math.min(1, (height - 2 * PAD) / graph.height));
  const k = Math.min(across, down);
  const least = /** @type {[number, number]} */ (k < PATCHES ? [across, down] : [0, 0]);
  const [kx, ky] = scales({ k, least });
  return { k, least, x: (width - kx * graph.width) / 2, y: (height - ky * graph.height) / 2 };
}

/**
 * The scales of both axes.
 * @param {Pick<Zoom, "k" | "least">} zoom
 */
export function scales({ k, least }) {
  return [Math.max(k, least[0]), Math.max(k, least[1])];
}

/**
 * Enlarge about a point that stays where it is.
 * @param {Zoom} zoom
 * @param {number} factor
 * @param {number} x
 * @param {number} y
 * @returns {Zoom}
 */
export function zoomed(zoom, factor, x, y) {
  const next = { ...zoom, k: Math.min(NEAREST, Math.max(0.02, zoom.k * factor)) };
  const before = scales(zoom);
  const after = scales(next);
  return { ...next, x: x - ((x - zoom.x) * after[0]) / before[0], y: y - ((y - zoom.y) * after[1]) / before[1] };
}

/**
 * Cut a text to what fits into a width, by what letters take on average.
 * @param {string} text
 * @param {number} width
 * @param {number} letter
 */
export function cutTo(text, width, letter) {
  const shown = clean(text, 200);
  const most = Math.max(1, Math.floor(width / letter));
  return shown.length > most ? `${shown.slice(0, most - 1)}…` : shown;
}

/**
 * How many jobs of each task are in which state.
 * @param {Row[]} rows
 * @returns {Map<string, Map<string, number>>}
 */
export function countByTask(rows) {
  /** @type {Map<string, Map<string, number>>} */
  const tasks = new Map();
  for (const row of rows) {
    let counts = tasks.get(row.task);
    if (!counts) tasks.set(row.task, (counts = new Map()));
    counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  }
  return tasks;
}

/**
 * The state that says most about some jobs: what goes on, then what is wrong, then the least done.
 * @param {Map<string, number>} counts
 */
export function mainState(counts) {
  const order = ["running", "error", "scheduled", "ready", "waiting", "unscheduled", "done"];
  return order.find((state) => counts.get(state)) ?? "unscheduled";
}

/**
 * The tags that tell a job from others: those that have more than one value.
 * @param {Pick<Store, "tagValues">} store
 * @param {Row} row
 */
export function tagWords(store, row) {
  return Object.entries(row.tags)
    .filter(([name]) => (store.tagValues.get(name)?.length ?? 2) > 1)
    .map(([name, value]) => `${clean(name, 40)}=${clean(value, 40)}`);
}

/** @param {Map<string, number>} counts */
function inOrder(counts) {
  return STATES.filter((state) => counts.get(state)).map((state) => /** @type {[string, number]} */ ([state, counts.get(state) ?? 0]));
}

/**
 * How many jobs are in which state, in as few letters as a box has room for.
 * @param {[string, number][]} counts
 * @param {number} most  letters
 * @returns {[string, string][]} what stands before each mark, and its state
 */
export function countWords(counts, most) {
  const forms = [
    (/** @type {number} */ count, /** @type {number} */ n) => `${n ? "  " : ""}${count.toLocaleString("en")} `,
    (/** @type {number} */ count, /** @type {number} */ n) => `${n ? " " : ""}${count}`,
    (/** @type {number} */ count, /** @type {number} */ n) => `${n ? " " : ""}${count < 10_000 ? count : `${Math.round(count / 1000)}k`}`,
  ];
  const written = forms.map((form) => counts.map(([state, count], n) => /** @type {[string, string]} */ ([form(count, n), state])));
  const letters = (/** @type {[string, string][]} */ words) => words.reduce((sum, [text]) => sum + text.length + 1, 0);
  const found = written.find((words) => letters(words) <= most) ?? written[2];
  while (found.length > 1 && letters(found) > most) found.pop(); // the bar below shows them all
  return found;
}

// -- the page -----------------------------------------------------------------------------------

/**
 * @param {TabContext} ctx
 * @returns {Tab}
 */
export function createGraphTab(ctx) {
  /** @type {Graph | null} */
  let graph = null;
  /** @type {ReturnType<typeof drawGraph> | null} */
  let drawing = null;
  let wanted = "auto";
  let visible = false;

  const by = choice("one box for", [["task", "by task"], ["job", "by job"]], (value) => {
    wanted = value;
    ctx.watch({ graph: wanted });
    tell();
  });
  const hint = el("span", { class: "xpm-hint" });
  const stage = el("div", { class: "xpm-canvas" });
  const tools = [["−", "smaller", 1 / STEP], ["fit", "fit: show all", 0], ["+", "larger", STEP]].map(([text, label, factor]) =>
    el("button", { type: "button", text: String(text), "aria-label": String(label), title: String(label), on: { click: () => drawing?.zoom(Number(factor)) } }),
  );
  const root = el("div", { class: "xpm-graph" }, el("div", { class: "xpm-tools" }, by.root, hint, el("span", { class: "xpm-group", role: "group", "aria-label": "size" }, tools)), stage);
  const sizes = new ResizeObserver(() => drawing?.resize());
  sizes.observe(stage);

  function tell() {
    by.set(graph ? graph.by : wanted);
    if (!graph) replaceText(hint, "the graph comes from the kernel …");
    else if (wanted === "job" && graph.by === "task") replaceText(hint, "too many jobs for a box each");
    else replaceText(hint, graph.nodes.length ? "" : "no jobs yet");
    stage.hidden = !graph?.nodes.length;
  }

  /** @param {Graph} next */
  function take(next) {
    const alike = graph && sameDrawing(graph, next);
    graph = next;
    tell();
    if (alike) return;
    drawing?.destroy();
    drawing = next.nodes.length ? drawGraph(ctx, next, stage) : null;
    drawing?.update();
  }

  tell();
  return {
    root,
    show() {
      visible = true;
      ctx.watch({ graph: wanted });
      drawing?.resize();
      drawing?.update();
    },
    hide() {
      visible = false;
      ctx.watch({ graph: null });
    },
    update() {
      if (visible) drawing?.update();
    },
    message(msg) {
      if (msg?.t !== "graph" || !Array.isArray(msg.graph?.nodes)) return;
      if (!msg.by || msg.by === wanted) take(msg.graph); // another view may want another
    },
    destroy() {
      sizes.disconnect();
      drawing?.destroy();
    },
  };
}

/**
 * Some words of which one is chosen.
 * @param {string} label
 * @param {[string, string][]} values  what each stands for, and what is written on it
 * @param {(value: string) => void} chosen
 */
export function choice(label, values, chosen) {
  const buttons = values.map(([value, text]) => el("button", { type: "button", "data-value": value, "aria-pressed": "false", text, on: { click: () => chosen(value) } }));
  return {
    root: el("span", { class: "xpm-group xpm-choice", role: "group", "aria-label": label }, buttons),
    /** @param {string} value */
    set(value) {
      for (const button of buttons) attr(button, "aria-pressed", String(button.dataset.value === value));
    },
  };
}

/**
 * @param {Graph} a
 * @param {Graph} b
 */
function sameDrawing(a, b) {
  const shape = (/** @type {Graph} */ graph) => JSON.stringify([graph.nodes.map((node) => [node.key, node.x, node.y, node.label]), graph.edges]);
  return a.by === b.by && a.nodes.length === b.nodes.length && shape(a) === shape(b);
}

/**
 * @param {TabContext} ctx
 * @param {Graph} graph
 * @param {HTMLElement} stage
 */
function drawGraph(ctx, graph, stage) {
  const near = neighbours(graph);
  const lines = graph.edges.map((_edge, n) => svg("path", { class: "xpm-edge", d: edgePath(graph, n) }));
  const boxes = graph.nodes.map((node) => drawBox(graph, node, (row) => tagWords(ctx.store, row)));
  const all = svg("g", {}, svg("g", {}, lines), svg("g", {}, boxes.map((box) => box.root)));
  const what = graph.by === "job" ? plural(graph.nodes.length, "job") : plural(graph.nodes.length, "task");
  const picture = svg("svg", { role: "group", "aria-label": `graph of ${what}: arrow keys move, Enter opens` }, all);
  const tip = el("div", { class: "xpm-tip", hidden: true }); // what a box stands for, where that cannot be read on it
  stage.replaceChildren(picture, tip);

  /** @type {Zoom} */
  let zoom = { x: 0, y: 0, k: 1, least: [0, 0] };
  let own = false; // a person has chosen what to see
  let current = 0; // the box that has its turn with the Tab key
  let width = 0;
  let height = 0;
  let far = false; // too small to be read

  function apply() {
    const [kx, ky] = scales(zoom);
    all.setAttribute("transform", `translate(${tenth(zoom.x)},${tenth(zoom.y)}) scale(${kx},${ky})`);
    const even = Math.max(kx / ky, ky / kx) < 1.2;
    far = Math.min(kx, ky) < READABLE || !even;
    const named = far && even && kx >= PATCHES;
    attr(picture, "data-far", far && (named ? "named" : "patches"));
    for (const box of boxes) box.size(named ? kx : 1);
  }

  function resize() {
    width = stage.clientWidth;
    if (!width) return;
    const scale = Math.min(1, (width - 2 * PAD) / graph.width);
    height = Math.min(HIGHEST, Math.max(64, Math.ceil(graph.height * scale) + 2 * PAD));
    if (stage.style.height !== `${height}px`) stage.style.height = `${height}px`;
    if (!own) zoom = fitted(graph, width, height);
    apply();
  }

  /** @param {number} factor  0 to show all */
  function rezoom(factor, x = width / 2, y = height / 2) {
    own = factor > 0;
    zoom = own ? zoomed(zoom, factor, x, y) : fitted(graph, width, height);
    apply();
  }

  /** @param {number | null} n */
  function light(n) {
    attr(picture, "data-lit", n != null);
    const set = n == null ? null : near[n];
    boxes.forEach((box, i) => attr(box.root, "data-on", Boolean(set?.has(i))));
    lines.forEach((line, i) => attr(line, "data-on", n != null && graph.edges[i].includes(n)));
    tip.hidden = n == null || !far;
    if (n != null && far) tell(n);
    // What is lit is drawn over what is not.
    const lit = lines.filter((line) => line.hasAttribute("data-on"));
    if (lit.length <= 30) for (const line of lit) line.parentNode?.append(line);
  }

  /** @param {number} n */
  function tell(n) {
    const [kx, ky] = scales(zoom);
    const node = graph.nodes[n];
    replaceText(tip, boxes[n].root.querySelector("title")?.textContent ?? "");
    const x = Math.max(0, Math.min(kx * node.x + zoom.x, width - tip.offsetWidth));
    const below = ky * (node.y + graph.box[1]) + zoom.y + 4;
    const y = below + tip.offsetHeight < height ? below : ky * node.y + zoom.y - tip.offsetHeight - 4;
    tip.style.transform = `translate(${tenth(x)}px, ${tenth(Math.max(0, y))}px)`;
  }

  /** @param {number} n */
  function turn(n) {
    attr(boxes[current].root, "tabindex", -1);
    current = n;
    attr(boxes[current].root, "tabindex", 0);
  }

  /** @param {number} n */
  function open(n) {
    const node = graph.nodes[n];
    if (graph.by === "job") ctx.open(node.key);
    else if (ctx.filter) ctx.filter({ task: node.key });
    else {
      const row = ctx.store.rows.find((item) => item.task === node.key);
      if (row) ctx.open(row.id);
    }
  }

  /** Bring a box into sight. @param {number} n */
  function reveal(n) {
    const node = graph.nodes[n];
    const [w, h] = graph.box;
    const [kx, ky] = scales(zoom);
    const left = kx * node.x + zoom.x;
    const top = ky * node.y + zoom.y;
    const dx = left < 0 ? 8 - left : Math.min(0, width - 2 - left - kx * w);
    const dy = top < 0 ? 8 - top : Math.min(0, height - 2 - top - ky * h);
    if (!dx && !dy) return;
    zoom = { ...zoom, x: zoom.x + dx, y: zoom.y + dy };
    own = true;
    apply();
  }

  boxes.forEach(({ root }, n) => {
    root.addEventListener("pointerenter", () => light(n));
    root.addEventListener("pointerleave", () => light(null));
    root.addEventListener("focus", () => {
      light(n);
      turn(n);
      reveal(n);
    });
    root.addEventListener("blur", () => light(null));
    root.addEventListener("click", () => open(n));
  });
  picture.addEventListener("keydown", (event) => {
    const to = event.key === "Home" ? 0 : event.key === "End" ? boxes.length - 1 : nodeTowards(graph, current, event.key);
    if (event.key === "Enter" || event.key === " ") open(current);
    else if (event.key === "+" || event.key === "=") rezoom(STEP);
    else if (event.key === "-") rezoom(1 / STEP);
    else if (event.key === "0") rezoom(0);
    else if (to >= 0) boxes[to].root.focus();
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    event.stopPropagation();
  });
  pan(picture, (dx, dy) => {
    zoom = { ...zoom, x: zoom.x + dx, y: zoom.y + dy };
    own = true;
    apply();
  });
  picture.addEventListener("dblclick", (event) => {
    const at = picture.getBoundingClientRect();
    rezoom(zoom.k < 1 ? 1 / zoom.k : 0, event.clientX - at.left, event.clientY - at.top);
  });
  picture.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    const at = picture.getBoundingClientRect();
    rezoom(Math.exp(-event.deltaY * 0.004), event.clientX - at.left, event.clientY - at.top);
  }, { passive: false });
  turn(0);
  resize();

  return {
    resize,
    zoom: rezoom,
    update() {
      const tasks = graph.by === "task" ? countByTask(ctx.store.rows) : null;
      const kinds = graph.nodes.map((node, n) => {
        const row = tasks ? undefined : ctx.store.byId(node.key);
        const counts = tasks?.get(node.key) ?? (row ? new Map([[row.state, 1]]) : new Map(node.counts));
        boxes[n].update(counts, row);
        return mainState(counts);
      });
      graph.edges.forEach(([a, b], n) => {
        attr(lines[n], "data-state", kinds[b] === "running" ? "running" : kinds[a] === "error" ? "error" : null);
      });
    },
    destroy: () => stage.replaceChildren(),
  };
}

/**
 * @param {Graph} graph
 * @param {GraphNode} node
 * @param {(row: Row) => string[]} varying
 */
function drawBox(graph, node, varying) {
  const [width, height] = graph.box;
  const label = svg("text", { class: "xpm-box-label", x: 11, y: height / 2 - 4.5, text: cutTo(node.label, width - 36, 7.2) });
  const sub = svg("text", { class: "xpm-box-sub", x: 11, y: height / 2 + 9 });
  const mark = svg("text", { class: "xpm-box-mark", x: width - 10, y: height / 2 - 4.5, "text-anchor": "end" });
  const bar = svg("g", { class: "xpm-box-bar" });
  const title = svg("title");
  const root = svg(
    "g",
    { class: "xpm-box", role: "button", tabindex: -1, "data-node": clean(node.key, 200), transform: `translate(${node.x},${node.y})` },
    title,
    svg("rect", { class: "xpm-box-back", width, height, rx: 5 }),
    bar,
    label,
    sub,
    mark,
  );
  let shown = "";
  let small = 1;
  return {
    root,
    /**
     * In a small drawing the name takes the whole box, in letters that can be read.
     * @param {number} k  the scale; 1 for anything as usual
     */
    size(k) {
      if (k === small) return;
      small = k;
      label.style.fontSize = k < 1 ? `${tenth(10.5 / k)}px` : "";
      attr(label, "x", k < 1 ? tenth(4 / k) : 11);
      attr(label, "y", k < 1 ? tenth(height / 2 + 3.6 / k) : height / 2 - 4.5);
      replaceText(label, k < 1 ? cutTo(node.label, width - 20 / k, 6 / k) : cutTo(node.label, width - 36, 7.2));
      mark.style.fontSize = k < 1 ? `${tenth(10.5 / k)}px` : "";
      attr(mark, "x", k < 1 ? tenth(width - 4 / k) : width - 10);
      attr(mark, "y", k < 1 ? tenth(height / 2 + 3.6 / k) : height / 2 - 4.5);
    },
    /**
     * @param {Map<string, number>} counts
     * @param {Row} [row]  of the one job it stands for
     */
    update(counts, row) {
      const list = inOrder(counts);
      const progress = row?.state === "running" ? row.progress : null;
      const now = JSON.stringify([list, row?.reason, progress]);
      if (now === shown) return;
      shown = now;
      const many = list.reduce((sum, [, count]) => sum + count, 0);
      const state = mainState(counts);
      const tags = row ? varying(row) : [];
      attr(root, "data-state", state);
      replaceText(mark, row ? MARKS[state] : "");
      if (graph.by === "job") replaceText(sub, cutTo(tags.join(" ") || node.sublabel, width - 22, 6.3));
      else sub.replaceChildren(...countWords(list, (width - 22) / 5.8).flatMap(([text, word]) => [svg("tspan", { text }), svg("tspan", { "data-state": word, text: MARKS[word] })]));
      const words = row ? [row.state + (row.reason ? ` (${row.reason})` : ""), ...tags] : list.map(([word, count]) => `${count} ${word}`);
      const text = `${clean(node.label, 80)} ${row ? `${row.id.slice(0, 8)} ` : ""}${words.join(", ")}`;
      replaceText(title, text); // what it is called, too
      const parts = progress != null ? [/** @type {[string, number]} */ (["running", Math.max(0, Math.min(1, progress))])] : row ? [] : list.map(([word, count]) => /** @type {[string, number]} */ ([word, count / many]));
      drawBar(bar, parts, width - 22, height - 6.5);
    },
  };
}

/**
 * A thin bar of the shares of states.
 * @param {SVGGElement} bar
 * @param {[string, number][]} parts
 * @param {number} width
 * @param {number} y
 */
function drawBar(bar, parts, width, y) {
  let x = 11;
  bar.replaceChildren(
    ...(parts.length ? [svg("rect", { x, y, width, height: 2, class: "xpm-box-rail" })] : []),
    ...parts.map(([state, share]) => {
      const rect = svg("rect", { x: tenth(x), y, width: tenth(share * width), height: 2, "data-state": state });
      x += share * width;
      return rect;
    }),
  );
}

/**
 * Let a drawing be moved with the pointer; a click stays a click.
 * @param {SVGElement} node
 * @param {(dx: number, dy: number) => void} moved
 */
function pan(node, moved) {
  let from = /** @type {{x: number, y: number} | null} */ (null);
  let far = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = { x: event.clientX, y: event.clientY };
    far = false;
  });
  node.addEventListener("pointermove", (event) => {
    if (!from) return;
    if (!far && Math.hypot(event.clientX - from.x, event.clientY - from.y) < 4) return;
    if (!far) node.setPointerCapture(event.pointerId);
    far = true;
    moved(event.clientX - from.x, event.clientY - from.y);
    from = { x: event.clientX, y: event.clientY };
  });
  const end = () => (from = null);
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
  node.addEventListener("click", (event) => {
    if (far) event.stopPropagation();
    far = false;
  }, { capture: true });
}
