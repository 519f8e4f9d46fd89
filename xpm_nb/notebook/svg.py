"""Graphs and curves as SVG: no script, no reference, readable without the style sheet.

They stand in the page as images whose data is in the page too: what shows notebooks of others
(JupyterLab for those that are not trusted, GitHub) takes elements of SVG and style sheets away,
and leaves images. An image cannot see the page's colours, so it has its own, on its own ground, for
light and dark; the style sheet tells it which of them the front-end shows. What a colour says, a
word or a mark says too; and the image's text says it to those who cannot see it.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from xpm_nb.core.states import JobState
from xpm_nb.core.views import CurveView, GraphNode, GraphView
from xpm_nb.notebook.markup import Html, body, clean, el, foot, join, table, void
from xpm_nb.notebook.words import MARKS, STATE_ORDER, fit, number_text, plural

MAX_NODES = 300
MAX_EDGES = 2_000
MAX_CURVES = 8  # jobs in one picture: more cannot be told apart
MAX_CHARTS = 8  # metrics
MAX_ALT = 1_200  # characters
MAX_POINTS = 800  # of all curves together; each keeps its extremes

# Seen on white and on black alike, and told apart by those who see few colours.
COLOURS = (
    "#2f81d6",
    "#c8730a",
    "#2a9460",
    "#b05cc6",
    "#d9487a",
    "#19919f",
    "#9a7b13",
    "#7d858f",
)
DASHES = ("", "7 4", "2 3", "9 3 2 3")
STATE_COLOURS = {
    JobState.DONE: "#2a9460",
    JobState.ERROR: "#d9485a",
    JobState.RUNNING: "#2f81d6",
    JobState.SCHEDULED: "#6c9ed8",
}
GREY = "#8b929a"
# Of the ground, text, text that matters less, boxes, and thin lines.
LIGHT = ("#ffffff", "#1f2328", "#59636e", "#f3f5f7", "#d8dee4")
DARK = ("#111111", "#e6edf3", "#9198a1", "#1e242c", "#3d444d")

Bends = Sequence[tuple[float, float]]

_PLOT = (220, 116)  # the inside of a chart, in pixels
_LEFT, _TOP, _RIGHT, _BOTTOM = 10, 10, 16, 22


def _n(value: float) -> str:
    """Write a coordinate: at most one decimal; what is no number is 0."""
    if not math.isfinite(value):
        return "0"
    text = f"{min(max(value, -1e6), 1e6):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _style() -> Html:
    """Give the sheet of an image: colours for light and dark, by classes of one letter."""

    def rules(ground: str, text: str, dim: str, box: str, line: str) -> str:
        return (
            f".p{{fill:{ground}}}text{{fill:{text}}}.d{{fill:{dim}}}"
            f".b{{fill:{box};stroke:{line}}}.g{{fill:none;stroke:{line}}}"
        )

    return Html(f"{rules(*LIGHT)}@media(prefers-color-scheme:dark){{{rules(*DARK)}}}")


def drawing(size: tuple[float, float], *parts: object, ground: bool = True) -> Html:
    """Put an SVG document together, on a ground of its own or on that of the page."""
    width, height = (_n(max(1.0, length)) for length in size)
    whole = el("rect", width="100%", height="100%", cls="p")
    return el(
        "svg",
        join([el("style", _style()), whole, "\n"]) if ground else "",
        join(parts, "\n"),
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        font_family="system-ui,sans-serif",
        font_size="12",
    )


def image(drawn: Html, size: tuple[float, float], about: str) -> Html:
    """Put an SVG document into a page, with what it says in words."""
    width, height = (_n(max(1.0, length)) for length in size)
    data = base64.b64encode(drawn.encode()).decode()
    return void(
        "img",
        src=Html(f"data:image/svg+xml;base64,{data}"),
        alt=body(clean(about, MAX_ALT, lines=True)),
        width=width,
        height=height,
        cls="xpm-drawing",
    )


# -- graphs -------------------------------------------------------------------------------------


def graph_svg(view: GraphView) -> Html:
    """Show what needs what, from left to right: a box for each task or job, with its states.

    Parameters
    ----------
    view : GraphView
        The graph, laid out already. Boxes beyond 300 and lines beyond 2,000 are counted below.
    """
    if not view.nodes:
        return foot("no jobs")
    nodes = view.nodes[:MAX_NODES]
    drawn = [i for i, edge in enumerate(view.edges) if max(edge) < len(nodes)][:MAX_EDGES]
    edges = [view.edges[i] for i in drawn]
    bends = [view.bends[i] if i < len(view.bends) else () for i in drawn]
    size = (view.width, view.height)
    boxes = (_node(node, view.box) for node in nodes)
    picture = image(drawing(size, _edges(view, edges, bends), *boxes), size, graph_text(view))
    missing = []
    if len(view.nodes) > len(nodes):
        missing.append(plural(len(view.nodes) - len(nodes), "more box").replace("boxs", "boxes"))
    if len(view.edges) > len(edges):
        missing.append(plural(len(view.edges) - len(edges), "more line"))
    note = foot("… and ", " and ".join(missing)) if missing else ""
    return join([el("div", picture, cls="xpm-figure", tabindex="0"), note])


def _edges(view: GraphView, edges: Sequence[tuple[int, int]], bends: Sequence[Bends]) -> Html:
    """Draw all lines as one path, and their heads as another."""
    lines, heads = [], []
    for (needed, needing), between in zip(edges, bends, strict=True):
        start, end = view.nodes[needed], view.nodes[needing]
        width, half = view.box[0], view.box[1] / 2
        places = [(start.x + width, start.y + half), *between, (end.x - 4, end.y + half)]
        path = [f"M{_n(places[0][0])} {_n(places[0][1])}"]
        for (ax, ay), (bx, by) in pairwise(places):
            dx, dy = bx - ax, by - ay
            if abs(dy) < 0.05 and dx > 0:
                path.append(f"h{_n(dx)}")
            else:  # a line backwards, between tasks that need each other, leaves and comes as all
                bend = max(abs(dx) / 2, 12.0)
                path.append(f"c{_n(bend)} 0 {_n(dx - bend)} {_n(dy)} {_n(dx)} {_n(dy)}")
        lines.append("".join(path))
        heads.append(f"M{_n(end.x)} {_n(end.y + half)}l-5-3v6z")
    if not lines:
        return Html("")
    line = el("path", d=Html("".join(lines)), fill="none", stroke=GREY, stroke_width="1.2")
    return join([line, el("path", d=Html("".join(heads)), fill=GREY)])


def _node(node: GraphNode, box: tuple[float, float]) -> Html:
    width, height = box
    counts = _counts(node)
    columns = 4 if not 50 <= width <= 1_000 else int((width - 16) / 7.5)
    label, sub = clean(node.label, 80), clean(node.sublabel, 60)
    letters = max(4, int(columns * 0.87))  # bold ones are wider
    return el(
        "g",
        el("rect", width=_n(width), height=_n(height), rx="4", cls="b"),
        el("text", fit(label, letters), x="9", y=_n(height / 2 - 4), font_weight="600"),
        el("text", fit(sub, columns), x="9", y=_n(height / 2 + 11), cls="d", font_size="11"),
        _marks(counts, width, height, columns - len(fit(sub, columns))),
        _share(counts, width, height),
        transform=f"translate({_n(node.x)} {_n(node.y)})",
    )


def _counts(node: GraphNode) -> list[tuple[JobState, int]]:
    known = dict(node.counts)
    return [(state, known[state.value]) for state in STATE_ORDER if known.get(state.value)]


def _marks(
    counts: Sequence[tuple[JobState, int]], width: float, height: float, columns: int
) -> Html:
    """Write the states at the right of a box: what asks for attention first, if it has room."""
    urgent = sorted(counts, key=lambda c: c[0] is JobState.DONE)
    shown: list[Html] = []
    for state, number in urgent:
        text = MARKS[state] if len(counts) == 1 else f"{MARKS[state]}{number}"
        columns -= len(text) + 1
        if shown and columns < 0:
            break
        shown.append(el("tspan", text, fill=STATE_COLOURS.get(state, GREY)))
    return el(
        "text",
        join(shown, " "),
        x=_n(width - 8),
        y=_n(height / 2 + 11),
        text_anchor="end",
        font_size="11",
    )


def _share(counts: Sequence[tuple[JobState, int]], width: float, height: float) -> Html:
    """Draw a thin bar at the foot of a box: how much of it is in which state."""
    total, at, bars = sum(number for _, number in counts), 1.0, []
    for state, number in counts:
        part = (width - 2) * number / total
        colour = STATE_COLOURS.get(state)
        if colour is not None:
            bars.append(
                el(
                    "rect",
                    x=_n(at),
                    y=_n(height - 3.5),
                    width=_n(part),
                    height="2.5",
                    fill=colour,
                )
            )
        at += part
    return join(bars)


def graph_text(view: GraphView, *, limit: int = 60) -> str:
    """Write a graph in lines: each box with its states, and what needs it."""
    after: dict[int, list[int]] = {}
    for needed, needing in view.edges:
        after.setdefault(needed, []).append(needing)
    lines = []
    for i, node in enumerate(view.nodes[:limit]):
        told = ", ".join(f"{number} {state.value}" for state, number in _counts(node))
        line = f"{clean(node.label, 60)} {clean(node.sublabel, 40)}".rstrip()
        line += f" ({told})" if told else ""
        names = [_name(view, j) for j in dict.fromkeys(after.get(i, ())) if j < len(view.nodes)]
        if names:
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            line += " → " + ", ".join(names[:6]) + more
        lines.append(line)
    if len(view.nodes) > limit:
        lines.append(f"… and {len(view.nodes) - limit} more")
    return "\n".join(lines) or "no jobs"


def _name(view: GraphView, i: int) -> str:
    node = view.nodes[i]
    name = clean(node.label, 60)
    return name if view.by == "task" else f"{name} {clean(node.sublabel, 40)}"


# -- curves -------------------------------------------------------------------------------------


def curves_svg(curves: Sequence[CurveView]) -> Html:
    """Show metrics over steps: a small chart for each metric, and one legend with last values.

    Parameters
    ----------
    curves : sequence of CurveView
        Any number of jobs and metrics. Jobs beyond 8 and metrics beyond 8 are counted below;
        points that are no finite numbers are left out.
    """
    finite = {
        (curve.metric, curve.key): [
            (x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)
        ]
        for curve in curves
    }
    labels = {curve.key: curve.label for curve in curves}
    metrics = list(dict.fromkeys(curve.metric for curve in curves))
    keys, shown = list(labels)[:MAX_CURVES], metrics[:MAX_CHARTS]
    drawn = {(m, k): points for (m, k), points in finite.items() if points}
    if not any(m in shown and k in keys for m, k in drawn):
        return foot("no curves: no metric has been reported more than once")
    each = max(24, MAX_POINTS // max(1, sum(m in shown and k in keys for m, k in drawn)))
    charts = [
        _chart(metric, [(i, _thin(drawn[metric, k], each)) for i, k in enumerate(keys)
                        if (metric, k) in drawn])
        for metric in shown
    ]  # fmt: skip
    missing = []
    if len(labels) > len(keys):
        missing.append(plural(len(labels) - len(keys), "more job"))
    if len(metrics) > len(shown):
        missing.append(plural(len(metrics) - len(shown), "more metric"))
    note = foot("… and ", " and ".join(missing)) if missing else ""
    legend = _legend(keys, labels, shown, drawn)
    return join([el("div", join(charts, "\n"), cls="xpm-charts"), legend, note], "\n")


def _thin(points: list[tuple[float, float]], limit: int) -> list[tuple[float, float]]:
    """Leave out points, but the first, the last, and the least and greatest of each stretch."""
    if len(points) <= limit:
        return points
    size = (len(points) - 2) / max(1, (limit - 2) // 2)
    kept = [points[0]]
    for i in range(max(1, (limit - 2) // 2)):
        some = points[1 + int(i * size) : 1 + max(int((i + 1) * size), int(i * size) + 1)]
        low, high = (f(some, key=lambda p: p[1]) for f in (min, max))
        kept += sorted({low, high}, key=some.index)
    return [*kept, points[-1]]


def _chart(metric: str, lines: Sequence[tuple[int, list[tuple[float, float]]]]) -> Html:
    name = clean(metric, 60)
    if not lines:
        return Html("")
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points]
    across, up = _Axis(min(xs), max(xs), _PLOT[0]), _Axis(min(ys), max(ys), _PLOT[1], pad=0.06)
    left = _LEFT + 6.2 * max((len(text) for _, text in up.ticks(4)), default=0)
    width = left + _PLOT[0] + _RIGHT
    height = _TOP + _PLOT[1] + _BOTTOM
    drawn = drawing(
        (width, height),
        _grid(across, up, left),
        *(_curve(i, points, across, up, left) for i, points in lines),
    )
    about = f"{name} over steps, from {number_text(min(ys))} to {number_text(max(ys))}"
    head = el("p", el("bdi", fit(name, 40)), cls="xpm-head")
    return el("div", head, image(drawn, (width, height), about))


class _Axis:
    """Where a number stands on an axis, in pixels from its beginning, and its round numbers."""

    def __init__(self, low: float, high: float, length: int, pad: float = 0.0) -> None:
        # So that the difference of two huge numbers is one.
        low, high = (min(max(end, -1e300), 1e300) for end in (low, high))
        space = (high - low) * pad if high > low else abs(low) * 0.1 or 1.0
        if not pad and high == low:
            space = 0.5
        self.low, self.high, self.length = low - space, high + space, length

    def at(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        return self.length * ((value - self.low) / (self.high - self.low or 1.0))

    def ticks(self, about: int) -> list[tuple[float, str]]:
        """Give a few round numbers between the ends, and how they are written."""
        raw = (self.high - self.low) / about
        if not 1e-290 < raw < 1e300:
            return []
        power = 10.0 ** math.floor(math.log10(raw))
        step = next((f * power for f in (1, 2, 5) if f * power >= raw), 10 * power)
        first = math.ceil(self.low / step)
        found = [(first + i) * step for i in range(2 * about + 2)]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(v, _tick(v, decimals)) for v in found if self.low <= v <= self.high]


def _tick(value: float, decimals: int) -> str:
    """Write a round number with as many decimals as its neighbours need to differ."""
    text = f"{value or 0.0:.{decimals}f}" if abs(value) < 1e9 and decimals < 7 else ""
    if not 0 < len(text) <= 9:
        text = re.sub(r"e\+?(-?)0*(?=\d)", r"e\1", f"{value or 0.0:.3g}")
    return text


def _grid(across: _Axis, up: _Axis, left: float) -> Html:
    """Draw round numbers: lines for the metric, words for the steps."""
    right, bottom = _n(left + _PLOT[0]), _TOP + _PLOT[1]
    lines, words = [], []
    for value, text in up.ticks(4):
        y = bottom - up.at(value)
        lines.append(f"M{_n(left)} {_n(y)}H{right}")
        words.append(el("text", text, x=_n(left - 6), y=_n(y + 3.5), text_anchor="end", cls="d"))
    for value, text in across.ticks(5):
        if value == int(value) or across.high - across.low < 4:
            x = _n(left + across.at(value))
            words.append(el("text", text, x=x, y=_n(bottom + 15), text_anchor="middle", cls="d"))
    lines.append(f"M{_n(left)} {bottom}H{right}")
    path = el("path", d=Html("".join(lines)), cls="g")
    return join([path, el("g", join(words, "\n"), font_size="10.5")], "\n")


def _curve(
    i: int, points: Sequence[tuple[float, float]], across: _Axis, up: _Axis, left: float
) -> Html:
    """Draw one line, in whole numbers of half pixels from one point to the next."""
    colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // 4 % len(DASHES)]
    places = [(round(2 * across.at(x)), round(2 * (_PLOT[1] - up.at(y)))) for x, y in points]
    (x, y), *_ = places
    place = f"translate({_n(left)} {_TOP}) scale(0.5)"
    if len(places) == 1:
        return el("circle", cx=str(x), cy=str(y), r="5", fill=colour, transform=place)
    steps = [f"{bx - ax} {by - ay}" for (ax, ay), (bx, by) in pairwise(places)]
    path = f"M{x} {y}l" + " ".join(steps).replace(" -", "-")
    return el(
        "path",
        d=Html(path),
        fill="none",
        stroke=colour,
        stroke_width="3",
        stroke_linejoin="round",
        stroke_dasharray=dash or None,
        transform=place,
    )


def _legend(
    keys: Sequence[str],
    labels: dict[str, str],
    metrics: Sequence[str],
    drawn: dict[tuple[str, str], list[tuple[float, float]]],
) -> Html:
    rows = []
    for i, key in enumerate(keys):
        last = [drawn.get((metric, key)) for metric in metrics]
        cells = [
            el("td", "" if not points else number_text(points[-1][1]), cls="xpm-num")
            for points in last
        ]
        name = el("th", _swatch(i), " ", clean(labels[key], 80), scope="row")
        rows.append(el("tr", name, *cells))
    head = ["job", *(f"{clean(metric, 60)}, last" for metric in metrics)]
    return table(head, rows, [False, *(True for _ in metrics)])


def _swatch(i: int) -> Html:
    """Show how the lines of a job are drawn; its number stands in for those who cannot see it."""
    colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // 4 % len(DASHES)]
    line = el(
        "path", d=Html("M0 4H22"), stroke=colour, stroke_width="2", stroke_dasharray=dash or None
    )
    return image(drawing((22, 8), line, ground=False), (22, 8), f"{i + 1}.")


def curves_text(curves: Iterable[CurveView]) -> str:
    """Write curves in lines: where each metric of each job began and is now."""
    lines = []
    for curve in curves:
        points = [y for _, y in curve.points if math.isfinite(y)]
        if points:
            told = f"{number_text(points[0])} → {number_text(points[-1])}"
            lines.append(f"{clean(curve.label, 60)}  {clean(curve.metric, 40)}: {told}")
    return "\n".join([*lines[:60], *([f"… and {len(lines) - 60} more"] if lines[60:] else [])])
