from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core import drawing
from xpm_nb.core.drawing import graph
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView


def job(number, needs=(), *, task="Train", state=JobState.DONE):
    return JobView(
        key=f"t/{number}", identifier=f"{number:08d}" + "0" * 56, type_name="t", name="t",
        task=task, state=state, dependencies=tuple(f"t/{n}" for n in needs),
    )  # fmt: skip


def test_a_box_for_each_job():
    jobs = [job(0, task="Data"), job(1, [0]), job(2, [0]), job(3, [1, 2, 99], task="Report")]
    view = graph(jobs)
    assert view.by == "job"
    assert view.edges == ((0, 1), (0, 2), (1, 3), (2, 3))
    first = view.nodes[0]
    assert (first.key, first.label, first.sublabel) == ("t/0", "Data", "00000000")
    assert first.counts == (("done", 1),)
    assert [node.x for node in view.nodes] == [8.0, 214.0, 214.0, 420.0]
    assert view.nodes[0].y == view.nodes[3].y == (view.nodes[1].y + view.nodes[2].y) / 2
    assert (view.width, view.height) == (578.0, 110.0)
    assert view.bends == ((), (), (), ())


def test_a_box_for_each_task():
    jobs = [job(0, task="Data"), *(job(n, [0], state=JobState.RUNNING) for n in range(1, 1500))]
    jobs += [job(1500, [1499]), job(1501, [1500], state=JobState.ERROR)]  # of a task by itself
    view = graph(jobs)
    assert view.by == "task"
    assert [(n.key, n.sublabel) for n in view.nodes] == [("Data", "1 job"), ("Train", "1,501 jobs")]
    assert view.nodes[1].counts == (("running", 1499), ("done", 1), ("error", 1))
    assert view.edges == ((0, 1),)


def test_when_jobs_are_drawn_one_by_one():
    assert graph([job(n) for n in range(30)]).by == "job"
    assert graph([job(n) for n in range(31)]).by == "task"
    assert graph([job(n) for n in range(200)], by="job").by == "job"
    assert graph([job(n) for n in range(201)], by="job").by == "task"
    assert graph([job(n) for n in range(3)], by="task").by == "task"
    assert graph([job(n) for n in range(3)], max_nodes=2).by == "task"
    with pytest.raises(ValueError, match=r"by='layer': it is 'auto', 'job' or 'task'"):
        graph([], by="layer")
    empty = graph([])
    assert (empty.nodes, empty.edges, empty.width, empty.height) == ((), (), 16.0, 16.0)


def test_tasks_that_need_each_other():
    jobs = [job(0, task="A"), job(1, [0], task="B"), job(2, [1], task="A"), job(3, [2], task="C")]
    view = graph(jobs, by="task")
    assert view.edges == ((0, 1), (1, 0), (0, 2))
    a, b, c = view.nodes
    assert a.x < b.x == c.x


def test_a_source_stands_beside_what_needs_it():
    jobs = [job(0), job(1, [0]), job(2, [1]), job(3), job(4, [2, 3])]
    view = graph(jobs)
    assert view.nodes[3].x == view.nodes[2].x


def test_long_lines_pass_between_boxes():
    jobs = [job(0), job(1, [0]), job(2, [1]), job(3, [0, 2])]
    view = graph(jobs)
    way = view.bends[view.edges.index((0, 3))]
    assert [x for x, _y in way] == [214.0, 364.0, 420.0, 570.0]
    for (x, y), node in itertools.product(way, view.nodes):
        assert not (node.x < x < node.x + 150 and node.y < y < node.y + 40)


def test_many_small_parts_fill_columns():
    view = graph([job(n) for n in range(100)], by="job")
    assert view.height < view.width < 4 * view.height
    assert view.nodes[0].x == view.nodes[1].x
    assert view.nodes[0].y < view.nodes[1].y


def test_a_known_tangle_is_undone():
    needs = [[3, 2], [2, 1], [1, 0], [0]]
    view = graph([*map(job, range(4)), *map(job, range(4, 8), needs)])
    assert lines_that_cross(view) == 0


def test_long_chains_and_dense_graphs():
    chain = [job(n, [n - 1] if n else []) for n in range(5000)]
    view = graph(chain, by="job", max_nodes=5000)
    assert len({node.y for node in view.nodes}) == 1
    dense = graph([job(n, range(n)) for n in range(120)], by="job")
    assert len(dense.edges) == 120 * 119 / 2
    assert sum(map(len, dense.bends)) <= 2 * drawing.MAX_BENDS
    check(dense)


# -- laws


@st.composite
def job_lists(draw, *, circles=False):
    count = draw(st.integers(0, 25))
    jobs = []
    for n in range(count):
        highest = count if circles else n - 1
        needs = draw(st.lists(st.integers(0, max(0, highest)), max_size=4)) if n else []
        jobs.append(job(n, needs, task=draw(st.sampled_from("ABCD"))))
    return jobs


def check(view):
    """What holds for every drawing."""
    width, height = view.box
    for node in view.nodes:
        assert 0 <= node.x <= node.x + width <= view.width
        assert 0 <= node.y <= node.y + height <= view.height
    for one, other in itertools.combinations(view.nodes, 2):
        assert (
            one.x + width <= other.x
            or other.x + width <= one.x
            or one.y + height <= other.y
            or other.y + height <= one.y
        )
    assert len(view.bends) == len(view.edges) == len(set(view.edges))
    for (needed, needing), way in zip(view.edges, view.bends, strict=True):
        xs = [view.nodes[needed].x + width, *(x for x, _y in way), view.nodes[needing].x]
        assert not way or xs == sorted(xs)
        for x, y in way:
            assert 0 <= x <= view.width
            assert 0 <= y <= view.height


def lines_that_cross(view):
    """Pairs of straight lines between neighbouring layers, the bent ones piece by piece."""
    pieces = set()
    width, height = view.box
    for (a, b), way in zip(view.edges, view.bends, strict=True):
        one, other = view.nodes[a], view.nodes[b]
        points = [(one.x + width, one.y + height / 2), *way, (other.x, other.y + height / 2)]
        pieces |= {(*p, *q) for p, q in itertools.pairwise(points)}
    return sum(
        1
        for p, q in itertools.combinations(pieces, 2)
        if p[0] == q[0] and p[2] == q[2] and (p[1] - q[1]) * (p[3] - q[3]) < 0
    )


@given(job_lists(), st.sampled_from(["job", "task"]))
def test_drawings(jobs, by):
    view = graph(jobs, by=by)
    check(view)
    assert graph(jobs, by=by) == view
    if by == "job":
        for needed, needing in view.edges:
            assert view.nodes[needed].x < view.nodes[needing].x


@given(job_lists(circles=True), st.sampled_from(["job", "task"]))
def test_drawings_of_circles(jobs, by):
    view = graph(jobs, by=by)
    check(view)
    number = {node.key: n for n, node in enumerate(view.nodes)}
    box = (lambda one: one.key) if by == "job" else (lambda one: one.task)
    keys = {one.key: box(one) for one in jobs}
    wanted = {
        (number[keys[key]], number[box(one)])
        for one in jobs
        for key in one.dependencies
        if key in keys and keys[key] != box(one)
    }
    assert set(view.edges) == wanted


@given(job_lists())
def test_no_more_lines_cross_than_in_the_order_given(jobs):
    count = len(jobs)
    edges = [(a, b) for b, one in enumerate(jobs) for a in {int(k[2:]) for k in one.dependencies}]
    layer = drawing._layers(count, edges)
    for nodes, own in drawing._parts(count, edges):
        part = drawing._Part(nodes, own, layer)
        naive = [sorted(cells) for cells in part.order]
        assert drawing.crossings(part.order, part.below) <= drawing.crossings(naive, part.below)
        for cells in part.order:
            assert [part.y[c] for c in cells] == sorted(part.y[c] for c in cells)
