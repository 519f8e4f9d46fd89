from __future__ import annotations

import io
import math
import os
import sys
import time

import pytest

from xpm_nb.runtime import report
from xpm_nb.store import files
from xpm_nb.store.layout import Workspace

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path).create().job("m.learn", HEX).create()


@pytest.fixture
def opened(job):
    report.open_job(lambda: job)
    yield job
    report.close_job()


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when told."""

    class Clock:
        now = 1000.0

    clock = Clock()
    monkeypatch.setattr(report, "monotonic", lambda: clock.now)
    return clock


def rows(path):
    return [{k: v for k, v in row.items() if k != "time"} for row in files.read_lines(path)[0]]


def test_outside_a_job_nothing_happens(job):
    report.progress(0.5)
    report.log_metrics({"loss": 1}, step=3)
    report.close_job()
    assert sorted(p.name for p in job.private.iterdir()) == []


def test_a_job_that_says_nothing_has_no_files(opened):
    report.close_job()
    assert sorted(p.name for p in opened.private.iterdir()) == []


def test_rare_calls_are_written_at_once(opened):
    before = time.time()
    report.progress(0.25, desc="epoch")
    assert rows(opened.progress) == [{"progress": 0.25, "level": 0, "desc": "epoch"}]
    report.progress(2, level=1)
    report.progress(0.5)
    report.log_metrics({"loss": 0.5, "n": 3}, step=1)
    assert rows(opened.progress)[1:] == [
        {"progress": 1.0, "level": 1, "desc": None},
        {"progress": 0.5, "level": 0, "desc": "epoch"},
    ]
    assert rows(opened.metrics) == [{"step": 1, "metrics": {"loss": 0.5, "n": 3}}]
    assert before <= files.read_lines(opened.metrics)[0][0]["time"] <= time.time()


def test_many_calls_are_coalesced_and_no_metric_is_lost(clock, job):
    report.open_job(lambda: job)
    try:
        for n in range(10_000):  # a thousand a second
            clock.now += 0.001
            report.progress(n / 10_000)
            report.log_metrics({"n": n}, step=n)
        written = rows(job.progress)
        assert 100 <= len(written) <= 125
        assert written[-1]["progress"] > 0.98
        assert len(rows(job.metrics)) >= 9_800
    finally:
        report.close_job()
    assert [row["metrics"]["n"] for row in rows(job.metrics)] == list(range(10_000))
    assert rows(job.progress)[-1]["progress"] == 0.9999


def test_levels_are_held_back_apart(clock, job):
    report.open_job(lambda: job)
    for _ in range(30):
        report.progress(0.0)
    report.progress(0.5, desc="outer")
    report.progress(0.1, level=1)
    report.progress(0.2, level=1)
    report.close_job()
    assert rows(job.progress)[-2:] == [
        {"progress": 0.5, "level": 0, "desc": "outer"},
        {"progress": 0.2, "level": 1, "desc": None},
    ]


class Scalar:
    """An element of an array."""

    def __float__(self):
        return 0.5


class Integer:
    def __index__(self):
        return 3


def test_metrics_are_numbers(opened):
    report.log_metrics({"a": Scalar(), "b": Integer(), "c": True, "d": math.inf, "e": 10**30})
    values = rows(opened.metrics)[0]["metrics"]
    assert values == {"a": 0.5, "b": 3, "c": 1.0, "d": math.inf, "e": 10**30}
    for bad in ("many", None, [1.0], 1j):
        with pytest.raises(TypeError, match="'loss' is not a number"):
            report.log_metrics({"loss": bad})
    with pytest.raises(TypeError, match=r"log_metrics\(\) takes names and numbers.*, not 5"):
        report.log_metrics(5)
    report.log_metrics({"loss": math.nan})
    assert math.isnan(rows(opened.metrics)[-1]["metrics"]["loss"])


def test_a_wrong_metric_is_an_error_outside_a_job_too():
    with pytest.raises(TypeError, match="'loss'"):
        report.log_metrics({"loss": "many"})


def test_a_full_disk_ends_no_job_for_its_progress(opened, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Appender, "write", full)
    report.progress(0.5)
    with pytest.raises(OSError, match="No space"):
        report.log_metrics({"loss": 1})
    monkeypatch.undo()
    report.close_job()
    assert rows(opened.metrics) == [{"step": None, "metrics": {"loss": 1}}]


def test_a_forked_worker_does_not_write_what_its_parent_held_back(clock, job):
    report.open_job(lambda: job)
    for n in range(30):
        report.log_metrics({"n": n})
    child = os.fork()
    if child == 0:
        report.close_job()
        os._exit(0)
    os.waitpid(child, 0)
    report.close_job()
    assert [row["metrics"]["n"] for row in rows(job.metrics)] == list(range(30))


def test_calls_are_cheap(opened):
    """Not a benchmark: a hundred times what it takes."""
    start = time.process_time()
    for n in range(10_000):
        report.progress(n / 10_000)
        report.log_metrics({"loss": 0.5}, step=n)
    assert time.process_time() - start < 5


# --- tqdm ------------------------------------------------------------------------------------


def test_nested_loops_take_levels(opened):
    seen = []
    for epoch in report.tqdm(range(2), desc="epoch"):
        seen += [(epoch, batch) for batch in report.tqdm([1, 2])]
    assert seen == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [row for row in rows(opened.progress) if row["level"] == 0] == [
        {"progress": n / 2, "level": 0, "desc": "epoch"} for n in range(3)
    ]
    assert [r["progress"] for r in rows(opened.progress) if r["level"] == 1] == [0, 0.5, 1] * 2
    assert report.tqdm._depth == 0


def test_leaving_a_loop_early_gives_its_level_back(opened):
    for _ in report.tqdm(range(10)):
        break
    with pytest.raises(ZeroDivisionError):
        sum(1 / n for n in report.tqdm(range(10)))
    for _ in report.tqdm(range(1)):
        pass
    assert {row["level"] for row in rows(opened.progress)} == {0}


def test_updates_by_hand(opened):
    with report.tqdm(total=4, desc="steps") as bar:
        bar.update(1)
        bar.set_postfix(loss=0.123456, k="v")
        bar.set_description("more")
        bar.update(3)
        assert len(bar) == 4
    assert rows(opened.progress)[-1] == {
        "progress": 1.0,
        "level": 0,
        "desc": "more loss=0.123, k=v",
    }


def test_unknown_totals_and_empty_ones(opened):
    assert list(report.tqdm(iter("ab"))) == ["a", "b"]
    assert list(report.tqdm([])) == []
    with pytest.raises(TypeError, match="total"):
        len(report.tqdm(iter("ab")))
    report.tqdm._depth = 0
    assert rows(opened.progress) == []
    with pytest.raises(TypeError, match="update"):
        list(report.tqdm())
    report.tqdm._depth = 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_outside_a_job(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(report.tqdm(range(3), desc="load")) == [0, 1, 2]
    text = terminal.getvalue()
    assert text.startswith("\rload:   0% 0/3")
    assert text.endswith("\rload: 100% 3/3\n")
    assert list(report.tqdm([1], disable=True)) == [1]
    assert terminal.getvalue() == text
    bar = report.tqdm(total=1)
    bar.write("a line")
    assert capsys.readouterr().out == "a line\n"
    bar.close()


def test_no_bar_where_nobody_looks(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert list(report.tqdm([1])) == [1]
    assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)
    assert list(report.tqdm([1])) == [1]
