"""Graphs and curves as SVG: what is drawn, and that it is drawn inside the picture."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notebook.reading import drawings, parse, strictly, words
from tests.notebook.samples import BY_TASK, CURVES, GRAPH, job
from xpm_nb.core import drawing
from xpm_nb.core.states import JobState
from xpm_nb.core.views import CurveView, GraphNode, GraphView
from xpm_nb.notebook import svg
from xpm_nb.notebook.words import MARKS

SVG = "{http://www.w3.org/2000/svg}"


def pictures(markup: str) -> list:
    """Give the drawings, without the samples of lines in a legend."""
    strictly(markup)
    return [drawn for drawn in drawings(markup) if drawn.find(f"{SVG}style") is not None]


def told(markup: str) -> list[str]:
    """Give the texts of the drawings."""
    return [node.attrib["alt"] for node in parse(markup).iter("img")]


def size(picture) -> tuple[float, float]:
    return float(picture.attrib["width"]), float(picture.attrib["height"])


def ends(path: str) -> list[tuple[float, float]]:
    """Give the points through which a path of ours goes."""
    x = y = 0.0
    found = []
    for letter, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", rest)]
        if letter == "M":
            x, y = numbers
        elif letter == "H":
            x = numbers[0]
        elif letter == "h":
            x += numbers[0]
        elif letter == "c":
            x, y = x + numbers[4], y + numbers[5]
        elif letter == "l":
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                x, y = x + dx, y + dy
                found.append((x, y))
            continue
        elif letter == "v":
            y += numbers[0]
        found.append((x, y))
    return found


# -- graphs -------------------------------------------------------------------------------------


def test_a_graph_has_a_box_for_each_node_where_its_view_says():
    [picture] = pictures(svg.graph_svg(GRAPH))
    assert size(picture) == (round(GRAPH.width, 1), round(GRAPH.height, 1))
    boxes = [node for node in picture.iter(f"{SVG}g") if "transform" in node.attrib]
    places = [f"translate({node.x:.1f} {node.y:.1f})".replace(".0", "") for node in GRAPH.nodes]
    assert [box.attrib["transform"] for box in boxes] == places
    assert [words(box) for box in boxes] == [
        f"{node.label} {node.sublabel} {MARKS[JobState(node.counts[0][0])]}" for node in GRAPH.nodes
    ]


def test_a_graph_says_what_it_shows_to_those_who_cannot_see_it():
    [about] = told(svg.graph_svg(BY_TASK))
    assert about.splitlines() == [
        "Split 1 job (1 done) → Train",
        "Train 4 jobs (1 done, 2 error, 1 running) → Best",
        "Best 1 job (1 waiting)",
    ]
    assert svg.graph_text(BY_TASK) == about


def test_states_are_told_by_marks_too():
    [picture] = pictures(svg.graph_svg(BY_TASK))
    train = next(g for g in picture.iter(f"{SVG}g") if "Train" in words(g))
    assert words(train).endswith("✗2 ▶1 ✓1")


def test_what_asks_for_attention_comes_first_where_room_is_short():
    counts = tuple((state.value, 10_000) for state in JobState)
    node = GraphNode("t", "Train", "70,000 jobs", 0.0, 0.0, counts)
    markup = svg.graph_svg(GraphView("task", (node,), (), 150.0, 40.0, (150.0, 40.0)))
    [picture] = pictures(markup)
    assert "✗10000" in words(picture)
    assert "✓10000" not in words(picture)
    assert "10000 done" in told(markup)[0]


def test_lines_go_from_box_to_box_and_have_heads():
    [picture] = pictures(svg.graph_svg(GRAPH))
    line, heads = picture.findall(f"{SVG}path")
    width, height = GRAPH.box
    found = ends(line.attrib["d"])
    for needed, needing in GRAPH.edges:
        a, b = GRAPH.nodes[needed], GRAPH.nodes[needing]
        start, end = (a.x + width, a.y + height / 2), (b.x - 4, b.y + height / 2)
        assert any(math.dist(start, place) < 0.2 for place in found)
        assert any(math.dist(end, place) < 0.5 for place in found)
    assert heads.attrib["d"].count("M") == len(GRAPH.edges)


def test_a_line_bends_between_the_boxes_that_it_passes():
    chain = [job(text=str(i), dependencies=(job(text=str(i - 1)).key,)) for i in range(1, 5)]
    chain[-1] = replace(chain[-1], dependencies=(*chain[-1].dependencies, job(text="0").key))
    view = drawing.graph([job(text="0"), *chain], by="job")
    assert any(view.bends)
    [picture] = pictures(svg.graph_svg(view))
    found = ends(picture.find(f"{SVG}path").attrib["d"])
    for bends in view.bends:
        for place in bends:
            assert any(math.dist(place, other) < 0.5 for other in found)


def test_no_jobs_are_no_graph():
    assert "no jobs" in svg.graph_svg(drawing.graph([]))
    assert svg.graph_text(drawing.graph([])) == "no jobs"


def test_too_many_boxes_and_lines_are_counted():
    nodes = tuple(GraphNode(str(i), "T", str(i), 0.0, 50.0 * i, ()) for i in range(400))
    edges = tuple((i, j) for i in range(60) for j in range(i + 1, 60)) * 2
    markup = svg.graph_svg(GraphView("job", nodes, edges, 150.0, 20_000.0, (150.0, 40.0)))
    assert "… and 100 more boxes and 1540 more lines" in words(parse(markup))
    assert len(markup) < 300_000


@given(st.lists(st.sampled_from(list(JobState)), min_size=1, max_size=12))
def test_the_bar_of_a_box_is_as_long_as_its_states_are_many(states):
    jobs = [job(state, str(i)) for i, state in enumerate(states)]
    view = drawing.graph(jobs, by="task")
    [picture] = pictures(svg.graph_svg(view))
    bars = [r for r in picture.iter(f"{SVG}rect") if r.attrib["height"] == "2.5"]
    coloured = {"done", "error", "running", "scheduled"}
    expected = sum(state.value in coloured for state in states) / len(states)
    assert sum(float(bar.attrib["width"]) for bar in bars) / (view.box[0] - 2) == pytest.approx(
        expected, abs=0.01
    )


# -- curves -------------------------------------------------------------------------------------


def test_a_chart_for_each_metric_and_one_legend_with_last_values():
    markup = svg.curves_svg(CURVES)
    assert len(pictures(markup)) == 2
    assert told(markup)[:2] == [
        "loss over steps, from 0.004320 to 1",
        "accuracy over steps, from 0 to 1.0000",
    ]
    rows = [[words(cell) for cell in row] for row in parse(markup).iter("tr")]
    assert rows == [
        ["job", "loss, last", "accuracy, last"],
        ["model=svc C=1.0", "0.004320", "1.0000"],
        ["model=forest C=10.0", "0.004320", "1.0000"],
    ]
    assert svg.curves_text(CURVES[:1]) == "model=svc C=1.0  loss: 1 → 0.004320"


def lines(chart) -> list:
    return [p for p in chart.iter(f"{SVG}path") if p.attrib.get("stroke") in svg.COLOURS]


number = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(number, number), min_size=1, max_size=60))
def test_curves_stay_inside_their_chart(points):
    [chart] = pictures(svg.curves_svg([CurveView("k", "a", "loss", tuple(points))]))
    width, height = size(chart)
    for line in lines(chart):
        # Drawn in half pixels, from the upper left corner of the inside.
        for x, y in ends(line.attrib["d"]):
            assert -1 <= x <= 2 * svg._PLOT[0] + 1
            assert -1 <= y <= 2 * svg._PLOT[1] + 1
    for text in chart.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height
        assert len(text.text) <= 9


@given(st.lists(number, min_size=5, max_size=400), st.integers(4, 60))
def test_thinned_curves_keep_both_ends_and_both_extremes(values, limit):
    points = [(float(i), value) for i, value in enumerate(values)]
    thin = svg._thin(points, limit)
    assert len(thin) <= max(limit, 4) or len(points) <= limit
    assert (thin[0], thin[-1]) == (points[0], points[-1])
    assert thin == sorted(thin, key=lambda p: p[0])
    for extreme in (min, max):
        assert extreme(y for _, y in thin) == extreme(values)


def test_what_is_no_number_is_left_out_and_one_point_is_a_dot():
    points = ((0.0, math.nan), (1.0, 0.5), (2.0, math.inf))
    [chart] = pictures(svg.curves_svg([CurveView("k", "a", "loss", points)]))
    assert len(list(chart.iter(f"{SVG}circle"))) == 1
    assert "no curves" in svg.curves_svg([CurveView("k", "a", "loss", points[:1])])
    assert "no curves" in svg.curves_svg([])
    assert svg.curves_text([CurveView("k", "a", "loss", points[:1])]) == ""


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0.0, 1.0, ["0.0", "0.5", "1.0"]),
        (0.97, 0.985, ["0.970", "0.975", "0.980", "0.985"]),
        (1_000_000.1, 1_000_000.4, ["1000000.1", "1000000.2", "1000000.3", "1000000.4"]),
        (0.0, 2e10, ["0", "5e9", "1e10", "1.5e10", "2e10"]),
        (-1e-7, 1e-7, ["-1e-7", "-5e-8", "0", "5e-8", "1e-7"]),
    ],
)
def test_round_numbers_on_an_axis_differ(low, high, texts):
    found = [text for _, text in svg._Axis(low, high, 100).ticks(4)]
    assert found == texts
    assert len(set(found)) == len(found)


def test_more_jobs_than_can_be_told_apart_are_counted():
    curves = [
        CurveView(f"k{i}", f"job {i}", f"m{j}", tuple((float(x), x * i) for x in range(2_000)))
        for i in range(12)
        for j in range(10)
    ]
    markup = svg.curves_svg(curves)
    assert "… and 4 more jobs and 2 more metrics" in words(parse(markup))
    assert len(pictures(markup)) == svg.MAX_CHARTS
    assert len(markup) < 60_000
    [first, *_] = pictures(markup)
    styles = {(line.attrib["stroke"], line.attrib.get("stroke-dasharray")) for line in lines(first)}
    assert len(styles) == svg.MAX_CURVES


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("colour", [*svg.COLOURS, *svg.STATE_COLOURS.values(), svg.GREY])
def test_colours_are_seen_on_white_and_on_black(colour):
    light = luminance(colour)
    assert 1.05 / (light + 0.05) >= 2.7  # on white
    assert (light + 0.05) / (luminance("#1e242c") + 0.05) >= 3  # on the darkest grey of themes
