"""Where to draw the boxes of a graph of jobs: layers from left to right, few lines that cross.

The way of Sugiyama: each box goes into a layer behind those it needs; a line that passes layers
gets a *bend* in each, a thin cell that is ordered and placed as boxes are; each layer is ordered by
where its neighbours stand; then the cells are moved to where lines are short and straight.

Rule 1: everything is deterministic, near linear, and goes on without recursion: a chain of 5,000
jobs is drawn too.
Rule 2: nothing is expected of the edges. Tasks may need each other (A's second job needs B's first,
which needs A's first); an edge that closes a circle is drawn, and not looked at before.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from xpm_nb.core.states import JobState
from xpm_nb.core.views import GraphNode, GraphView, JobView

BOX = (150.0, 40.0)
GAP_X, GAP_Y = 56.0, 14.0
BEND, GAP_BEND = 6.0, 8.0  # height of a line that passes a layer, and what it keeps clear
MARGIN = 8.0
LOW = 400.0  # a drawing that is no higher than this is not broken into columns
ASPECT = 1.8
AUTO = 30  # jobs up to which they are drawn one by one
MAX_BENDS = 3000  # in one part; lines beyond go straight
SWEEPS = 10
PATIENCE = 3  # sweeps without any gain

Edge = tuple[int, int]
Point = tuple[float, float]


def graph(jobs: Sequence[JobView], *, by: str = "auto", max_nodes: int = 200) -> GraphView:
    """Lay out what needs what.

    Parameters
    ----------
    jobs : sequence of JobView
        What they need and is not among them is left out.
    by : str
        "job": a box for each job; "task": one for all jobs of a task; "auto": by job if they are
        few.
    max_nodes : int
        How many jobs are drawn one by one; more are drawn by task.

    Raises
    ------
    ValueError
        For another word.
    """
    if by not in ("auto", "job", "task"):
        raise ValueError(f"by={by!r}: it is 'auto', 'job' or 'task'")
    few = len(jobs) <= (min(AUTO, max_nodes) if by == "auto" else max_nodes)
    if by != "task" and few:
        return _drawn("job", _jobs(jobs), _needs(jobs, {job.key: n for n, job in enumerate(jobs)}))
    names = {name: n for n, name in enumerate(dict.fromkeys(job.task for job in jobs))}
    edges = _needs(jobs, {job.key: names[job.task] for job in jobs})
    return _drawn("task", _tasks(jobs, names), edges)


@dataclass(frozen=True, slots=True)
class _Box:
    key: str
    label: str
    sublabel: str
    counts: tuple[tuple[str, int], ...]


def _jobs(jobs: Sequence[JobView]) -> list[_Box]:
    return [_Box(j.key, j.task, j.identifier[:8], ((j.state.value, 1),)) for j in jobs]


def _tasks(jobs: Sequence[JobView], names: Iterable[str]) -> list[_Box]:
    counts = Counter((job.task, job.state) for job in jobs)
    boxes = []
    for name in names:
        own = tuple((s.value, counts[name, s]) for s in JobState if (name, s) in counts)
        many = sum(count for _state, count in own)
        boxes.append(_Box(name, name, "1 job" if many == 1 else f"{many:,} jobs", own))
    return boxes


def _needs(jobs: Sequence[JobView], number: dict[str, int]) -> list[Edge]:
    """Give the edges between boxes, each once, in the order of jobs; none from a box to itself."""
    edges: dict[Edge, None] = {}
    for job in jobs:
        here = number[job.key]
        for key in job.dependencies:
            there = number.get(key, here)
            if there != here:
                edges[there, here] = None
    return list(edges)


def _drawn(by: str, boxes: Sequence[_Box], edges: Sequence[Edge]) -> GraphView:
    places, bends, width, height = _place(len(boxes), edges)
    nodes = tuple(
        GraphNode(box.key, box.label, box.sublabel, x, y, box.counts)
        for box, (x, y) in zip(boxes, places, strict=True)
    )
    return GraphView(by, nodes, tuple(edges), width, height, BOX, bends)


# -- the whole: parts that hang together, beside and below each other


def _place(
    count: int, edges: Sequence[Edge]
) -> tuple[list[Point], tuple[tuple[Point, ...], ...], float, float]:
    """Give the left upper corners, the bends of each edge, and the size of the whole."""
    layer = _layers(count, edges)
    forward = [edge for edge in edges if layer[edge[0]] < layer[edge[1]]]
    parts = [_Part(nodes, own, layer) for nodes, own in _parts(count, forward)]
    corners, width, height = _packed([(part.width, part.height) for part in parts])
    places: list[Point] = [(0.0, 0.0)] * count
    ways: dict[Edge, tuple[Point, ...]] = {}
    for part, (left, top) in zip(parts, corners, strict=True):
        for node, (x, y) in part.corners():
            places[node] = round(left + x, 1), round(top + y, 1)
        for edge, points in part.ways():
            ways[edge] = tuple((round(left + x, 1), round(top + y, 1)) for x, y in points)
    return places, tuple(ways.get(edge, ()) for edge in edges), width, height


def _packed(sizes: Sequence[tuple[float, float]]) -> tuple[list[Point], float, float]:
    """Stack parts, and begin a new column where the drawing gets too high for its width."""
    area = sum((width + GAP_X) * (height + GAP_Y) for width, height in sizes)
    limit = max([LOW, math.sqrt(area / ASPECT), *(height for _width, height in sizes)])
    corners: list[Point] = []
    x = y = MARGIN
    right = bottom = MARGIN
    for width, height in sizes:
        if y > MARGIN and y + height > MARGIN + limit:
            x, y = right + GAP_X, MARGIN
        corners.append((x, y))
        right, bottom = max(right, x + width), max(bottom, y + height)
        y += height + GAP_Y
    return corners, round(right + MARGIN, 1), round(bottom + MARGIN, 1)


def _parts(count: int, edges: Sequence[Edge]) -> list[tuple[list[int], list[Edge]]]:
    """Give the parts that hang together, with their edges, in order of their first node."""
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    part = [-1] * count
    found: list[tuple[list[int], list[Edge]]] = []
    for first in range(count):
        if part[first] >= 0:
            continue
        part[first] = len(found)
        pending = [first]
        while pending:
            for other in near[pending.pop()]:
                if part[other] < 0:
                    part[other] = len(found)
                    pending.append(other)
        found.append(([], []))
    for node in range(count):
        found[part[node]][0].append(node)
    for edge in edges:
        found[part[edge[0]]][1].append(edge)
    return found


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """Give each node a layer behind all that it needs, as far left as that allows.

    Where nodes need each other in a circle, the first of them goes before the others. What needs
    nothing itself then moves right, to just before the first node that needs it.
    """
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        after[a].append(b)
    after = _uncircled(after)
    missing = [0] * count
    for others in after:
        for other in others:
            missing[other] += 1
    sources = [node for node in range(count) if not missing[node]]
    layer = [0] * count
    ready = list(sources)
    while ready:
        node = ready.pop()
        for other in after[node]:
            layer[other] = max(layer[other], layer[node] + 1)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    for node in sources:
        if after[node]:
            layer[node] = min(layer[other] for other in after[node]) - 1
    return layer


def _uncircled(after: Sequence[Sequence[int]]) -> list[list[int]]:
    """Leave out the edges that lead back to a node on the way to where they begin."""
    kept: list[list[int]] = [[] for _ in after]
    fresh, on_way, left = 0, 1, 2
    mark = [fresh] * len(after)
    for first in range(len(after)):
        if mark[first] != fresh:
            continue
        mark[first] = on_way
        way = [(first, iter(after[first]))]
        while way:
            node, rest = way[-1]
            for other in rest:
                if mark[other] != on_way:
                    kept[node].append(other)
                if mark[other] == fresh:
                    mark[other] = on_way
                    way.append((other, iter(after[other])))
                    break
            else:
                mark[node] = left
                way.pop()
    return kept


# -- one part


class _Part:
    """Nodes that hang together, in layers.

    Inside, nodes and bends are *cells*, numbered from 0 on: nodes first.
    """

    def __init__(self, nodes: Sequence[int], edges: Sequence[Edge], layer: Sequence[int]) -> None:
        cell = {node: number for number, node in enumerate(nodes)}
        first = min(layer[node] for node in nodes)
        self.nodes = nodes
        self.layer = [layer[node] - first for node in nodes]
        self.above: list[list[int]] = [[] for _ in nodes]  # cells of the layer before
        self.below: list[list[int]] = [[] for _ in nodes]  # cells of the layer behind
        self.way: dict[Edge, list[int]] = {}  # bends of the edges that have some
        self._connect([(cell[a], cell[b]) for a, b in edges])
        depth = max(self.layer) + 1
        layers: list[list[int]] = [[] for _ in range(depth)]
        for number, at in enumerate(self.layer):
            layers[at].append(number)
        self.order = _ordered(layers, self.above, self.below)
        self.y = _levels(self.order, self.above, self.below, self.high)
        top = min(y - self.high(c) / 2 for c, y in enumerate(self.y))
        self.y = [y - top for y in self.y]
        self.height = max(y + self.high(c) / 2 for c, y in enumerate(self.y))
        self.width = depth * BOX[0] + (depth - 1) * GAP_X

    def high(self, cell: int) -> float:
        """Give the height of a cell."""
        return BOX[1] if cell < len(self.nodes) else BEND

    def _connect(self, edges: Sequence[Edge]) -> None:
        """Join neighbours, and lead longer edges over bends, one for all that leave a node."""
        last: dict[int, int] = {}
        for a, b in edges:
            last[a] = max(last.get(a, 0), self.layer[b])
        bends: dict[int, list[int]] = {}
        budget = MAX_BENDS
        for a in sorted(last, key=lambda cell: (last[cell] - self.layer[cell], cell)):
            length = last[a] - self.layer[a] - 1
            if 0 < length <= budget:
                budget -= length
                bends[a] = self._lead(a, length)
        told = 0
        for a, b in edges:
            passed = self.layer[b] - self.layer[a] - 1
            if passed == 0:
                self._join(a, b)
            elif a in bends:
                self._join(bends[a][passed - 1], b)
                told += passed
                if told <= MAX_BENDS:
                    self.way[self.nodes[a], self.nodes[b]] = bends[a][:passed]

    def _lead(self, cell: int, length: int) -> list[int]:
        way = []
        at = self.layer[cell]
        for step in range(1, length + 1):
            bend = len(self.layer)
            self.layer.append(at + step)
            self.above.append([])
            self.below.append([])
            self._join(cell, bend)
            way.append(bend)
            cell = bend
        return way

    def _join(self, a: int, b: int) -> None:
        self.below[a].append(b)
        self.above[b].append(a)

    def left(self, cell: int) -> float:
        """Give the left side of a cell's layer."""
        return self.layer[cell] * (BOX[0] + GAP_X)

    def corners(self) -> Iterator[tuple[int, Point]]:
        """Give each node's left upper corner."""
        for cell, node in enumerate(self.nodes):
            yield node, (self.left(cell), self.y[cell] - BOX[1] / 2)

    def ways(self) -> Iterator[tuple[Edge, list[Point]]]:
        """Give the bends of edges: straight through a layer, from its left to its right side."""
        for edge, way in self.way.items():
            yield (
                edge,
                [(self.left(c) + x, self.y[c]) for c in way for x in (0.0, BOX[0])],
            )


# -- the order in each layer

Layers = list[list[int]]
Near = Sequence[Sequence[int]]


def crossings(layers: Sequence[Sequence[int]], below: Near) -> int:
    """Count the pairs of lines between neighbouring layers that cross."""
    count = 0
    for upper, lower in pairwise(layers):
        at = {cell: place for place, cell in enumerate(lower)}
        ends: list[int] = []
        for cell in upper:
            own = sorted(at[other] for other in below[cell])
            count += sum(len(ends) - bisect_right(ends, end) for end in own)
            for end in own:
                insort(ends, end)
    return count


def _ordered(layers: Layers, above: Near, below: Near) -> Layers:
    """Order each layer so that few lines cross: never more than as they were given."""
    best, fewest = layers, crossings(layers, below)
    lines = sum(map(len, below))
    for start in (layers, _by_descent(layers, below)):
        order = [list(layer) for layer in start]
        idle = 0
        for sweep in range(max(2, min(SWEEPS, 30_000 // (lines + 1)))):
            if not fewest or idle >= PATIENCE:
                break
            _sweep(order, above, below, down=sweep % 2 == 0)
            found = crossings(order, below)
            idle += 1
            if found < fewest:
                best, fewest, idle = [list(layer) for layer in order], found, 0
    return best


def _by_descent(layers: Layers, below: Near) -> Layers:
    """Order cells as they are met when each line is followed to its end before the next."""
    order: Layers = [[] for _ in layers]
    depth = {cell: at for at, layer in enumerate(layers) for cell in layer}
    seen: set[int] = set()
    for layer in layers:
        for first in layer:
            pending = [first]
            while pending:
                cell = pending.pop()
                if cell not in seen:
                    seen.add(cell)
                    order[depth[cell]].append(cell)
                    pending.extend(reversed(below[cell]))
    return order


def _sweep(order: Layers, above: Near, below: Near, *, down: bool) -> None:
    """Order each layer by where its neighbours stand in the layer before (or behind)."""
    near = above if down else below
    numbers = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
    for number in numbers:
        fixed, layer = order[number - 1 if down else number + 1], order[number]
        at = {cell: place for place, cell in enumerate(fixed)}
        scale = len(fixed) / len(layer)
        wish = {
            cell: sum(at[other] for other in near[cell]) / len(near[cell])
            if near[cell]
            else place * scale  # nothing pulls it: about where it stands
            for place, cell in enumerate(layer)
        }
        layer.sort(key=wish.__getitem__)


# -- the height of each cell


def _levels(order: Layers, above: Near, below: Near, high: Callable[[int], float]) -> list[float]:
    """Give each cell's middle, near those of its neighbours, with no two that overlap."""
    y = [0.0] * len(above)
    offsets = [_offsets(layer, high) for layer in order]
    tallest = max(offset[-1] for offset in offsets)
    for layer, offset in zip(order, offsets, strict=True):
        for cell, level in zip(layer, offset, strict=True):
            y[cell] = level + (tallest - offset[-1]) / 2
    numbers = list(range(len(order)))
    for side, way in ((above, numbers), (below, numbers[::-1])) * 3:
        for number in way:
            _settle(order[number], offsets[number], (side,), y)
    for number in numbers:
        _settle(order[number], offsets[number], (above, below), y)
    return y


def _offsets(layer: Sequence[int], high: Callable[[int], float]) -> list[float]:
    """Give how far below the first cell of a layer each must be at least."""
    found = [0.0]
    for one, other in pairwise(layer):
        gap = GAP_Y if high(one) == high(other) == BOX[1] else GAP_BEND
        found.append(found[-1] + (high(one) + high(other)) / 2 + gap)
    return found


def _settle(
    layer: Sequence[int], offset: Sequence[float], sides: Iterable[Near], y: list[float]
) -> None:
    """Move the cells of a layer to their neighbours' heights, as near as keeping apart allows.

    What is least in the squares of all distances: cells that would overlap form a block, which
    goes to the mean of what its cells want.
    """
    blocks: list[tuple[float, float, int]] = []  # mean wish, weight, number of cells
    for cell, least in zip(layer, offset, strict=True):
        near = [y[other] for side in sides for other in side[cell]]
        wish = sum(near) / len(near) if near else y[cell]
        mean, weight, size = wish - least, float(len(near) or 0.1), 1
        while blocks and blocks[-1][0] > mean:
            before, heavy, many = blocks.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, size = weight + heavy, size + many
        blocks.append((mean, weight, size))
    numbers = iter(range(len(layer)))
    for mean, _weight, size in blocks:
        for number in islice(numbers, size):
            y[layer[number]] = mean + offset[number]
