"""What views watch, and that many threads at once do no harm."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.notebook.test_bridge import panels, screen, view  # noqa: F401
from xpm_nb.core.states import JobState
from xpm_nb.notebook import bridge, live, protocol
from xpm_nb.notebook.live import together, wanted
from xpm_nb.notebook.protocol import Watch

IDS = [f"{n:x}" * 12 for n in range(10)]


def test_what_a_view_wants():
    watch = Watch(IDS[0] + "fff", 50, IDS[1], (IDS[2], IDS[3]), "auto", True, "seed")
    assert wanted(watch) == {
        ("log", IDS[0]): 50,
        ("detail", IDS[1]): None,
        ("curves", ""): (IDS[2], IDS[3]),
        ("graph", "auto"): None,
        ("table", "seed"): None,
    }
    assert wanted(Watch()) == {}


def test_views_that_want_the_same_get_what_the_greedier_wants():
    some = wanted(Watch(log=IDS[0], lines=50, curves=(IDS[1], IDS[2])))
    more = wanted(Watch(log=IDS[0], lines=500, curves=(IDS[2], IDS[3]), graph="job"))
    assert together([some, more]) == {
        ("log", IDS[0]): 500,
        ("curves", ""): (IDS[1], IDS[2], IDS[3]),
        ("graph", "job"): None,
    }
    assert together([]) == {}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("short", "short"),
        ("x" * 4000, "x" * 4000),
        ("x" * 10_000_000, "x" * 4000 + "… (10000000 characters)"),
        ("\r".join(f"{n:4}%" for n in range(100_000)), None),
    ],
)
def test_a_line_that_nobody_reads_is_cut(line, shown):
    cut = live._short_line(line)
    assert len(cut) < 4100
    if shown is None:
        assert cut.endswith("\r99999%")
        assert line.endswith(cut)
    else:
        assert cut == shown


def test_a_pace_follows_size_and_cost(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    pace = live.Pace(2.0, bytes_s=1000)
    pace.done(100.0)
    assert pace.due == 102.0
    pace.done(100.0, size=5000)
    assert pace.due == 105.0
    pace.done(99.0)  # it took a second
    assert pace.due == pytest.approx(120.0)


class Numbers:
    """A front-end that only counts: whether the messages of a panel are without a gap."""

    def __init__(self, sent) -> None:
        self.seq = -1
        self.states: dict[int, str] = {}
        for _, kind, data in sent:
            if kind == "comm_open" or data["method"] == "update":
                if "snapshot" in data["state"]:
                    self.reset(data["state"]["snapshot"])
            elif data["content"]["t"] == "d":
                self.change(data["content"])

    def reset(self, state) -> None:
        whole = protocol.unpack(state)
        assert whole["seq"] >= self.seq
        self.seq = whole["seq"]
        self.states = {i: row[1][0] for i, row in enumerate(whole["rows"])}

    def change(self, message) -> None:
        if message["prev"] == message["seq"]:
            assert message["seq"] == self.seq
            return
        assert message["prev"] == self.seq
        self.seq = message["seq"]
        for i, row in message["r"]:
            assert i in self.states
            self.states[i] = row[0]
        for _, row in message["n"]:
            self.states[len(self.states)] = row[0]


@pytest.mark.slow
def test_many_threads_at_once_leave_no_gap(panels, monkeypatch):  # noqa: F811
    """Jobs change, front-ends click and load pages, cells draw and wait: one order for all."""
    monkeypatch.setattr(bridge, "PERIOD_S", 0.001)
    monkeypatch.setattr(live, "SNAPSHOT_S", 0.002)
    monkeypatch.setattr(live, "SHARE", 1e6)
    states = [JobState.WAITING] * 20
    guard, over = threading.Lock(), threading.Event()

    def look() -> None:
        with guard:
            panels.now = view(*states)

    look()
    bridge.show(panels)
    panel = panels.live.panel

    def change(seed: int) -> None:
        rnd = random.Random(seed)
        while not over.is_set():
            n = rnd.randrange(len(states))
            with guard:
                states[n] = rnd.choice(list(JobState))
                if rnd.random() < 0.02:
                    states.append(JobState.WAITING)
                panels.now = view(*states)
                if rnd.random() < 0.02:  # tags change: a snapshot is due
                    jobs = (*panels.now.jobs[:-1], replace(panels.now.jobs[-1], tags=(("n", "1"),)))
                    panels.now = replace(panels.now, jobs=jobs)
                key = panels.now.jobs[n].key
            panels.publisher.touch([key])

    def click(seed: int) -> None:
        rnd = random.Random(seed)
        for number in range(100_000):
            if over.is_set():
                return
            verb = rnd.choice(["ping", "resync", "watch", "rm"])
            content = {"do": verb, "id": number, "view": f"{seed}-{number % 30}"}
            if verb != "watch":
                del content["view"]
            message = {"method": "custom", "content": content}
            panel.comm.handle_msg({"content": {"data": message}})
            if rnd.random() < 0.1:  # a page is loaded
                panel.get_state()
                panel.comm.handle_msg({"content": {"data": {"method": "request_state"}}})

    acts = [*((change, n) for n in range(3)), *((click, n) for n in range(3))]
    threads = [threading.Thread(target=act, args=(n,)) for act, n in acts]
    for thread in threads:
        thread.start()
    for cell in range(2, 30):
        panels.shell.execution_count = cell
        with bridge.watch(panels):
            time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join()
    with guard:
        states[:] = [JobState.DONE] * len(states)
    look()
    panels.shell.execution_count = 100
    with bridge.watch(panels):
        pass
    panels.until(lambda: set(Numbers(panels.wires).states.values()) == {"d"})
    seen = Numbers(panels.wires)
    assert len(seen.states) == len(states)
    assert panels.live.dropped > 0
    assert {kind for _, kind, _ in panels.wires} <= {"comm_open", "comm_msg"}


def test_a_part_that_cannot_be_made_does_not_take_the_others_along(panels):  # noqa: F811
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    job = panels.now.jobs[0].identifier[:12]

    def broken(*_args, **_options):
        raise RuntimeError("broken")

    panels.table = broken
    answer = panels.answer(do="watch", view="v", table={"over": None}, graph="job", log=job)
    assert answer["ok"]
    panels.until(lambda: panels.messages("graph"))
    panels.change(JobState.DONE)
    panels.until(lambda: any(m["r"] for m in panels.messages("d")))
    assert panels.messages("table") == panels.messages("log") == []


def test_pages_that_are_gone_are_forgotten(panels):  # noqa: F811
    panels.now = view(JobState.RUNNING)
    bridge.show(panels)
    for n in range(40):
        assert panels.answer(do="watch", view=f"page {n}", graph="job")["ok"]
    assert len(panels.live._views) == live.MAX_VIEWS
    assert panels.answer(do="watch", view="page 39")["ok"]
    assert "page 39" not in panels.live._views
    assert isinstance(panels.live.experiment.workspace, SimpleNamespace)
