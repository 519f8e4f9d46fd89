"""Who may read whose files: what the directories and lists of a workspace say."""

from __future__ import annotations

import contextlib
import hashlib

import pytest

from xpm_nb.core.states import FailureReason, TransientMode
from xpm_nb.engine.readers import Readers
from xpm_nb.store import locks, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import JobRecord, RunJob

KEEP, LEAVE_OUT, REMOVE = TransientMode.NONE, TransientMode.TRANSIENT, TransientMode.REMOVE


class Place:
    def __init__(self, root) -> None:
        self.workspace = Workspace(root).create()
        self.readers = Readers()

    def paths(self, name):
        return self.workspace.job(f"t.{name}", hashlib.sha256(name.encode()).hexdigest())

    def listed(self, name, experiment="x", mode=KEEP, submitted=1.0):
        runs = self.workspace.experiment(experiment)
        run = next(iter(runs.runs()), None) or runs.create_run("20260101-000000-1")
        row = RunJob(self.paths(name).relative, name.upper(), submitted=submitted)
        records.add_run_job(run, row._replace(transient=mode.value))

    def job(self, name, *needs, mode=KEEP, experiment="x", done=False, listed=True):
        paths = self.paths(name).create()
        if listed:
            self.listed(name, experiment, mode)
        record = JobRecord(paths.type_name, paths.identifier, paths.name, name.upper())
        needed = tuple(self.paths(other).key for other in needs)
        records.write_job(
            paths, record._replace(dependencies=needed, transient=mode.value, submitted=1.0)
        )
        if done:
            records.write_done(paths)
        return paths

    @contextlib.contextmanager
    def held(self, name):
        lock = locks.try_lock(self.paths(name))
        try:
            yield
        finally:
            lock.release()

    def running(self, name):
        return self.readers.running(self.paths(name))

    def needing(self, name):
        return self.readers.needing(self.paths(name))


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "ws")
    place.job("a", done=True)
    return place


def test_nobody_needs_what_nobody_names(place):
    assert (place.running("a"), place.needing("a"), place.readers.keeping(place.paths("b"))) == (
        "",
        "",
        "",
    )


def test_what_runs_reads_what_it_needs_directly_or_not(place):
    place.job("b", "a", done=True)
    place.job("c", "b", experiment="y")
    name = f"C {place.paths('c').identifier[:8]} (of y)"
    with place.held("c"):
        for needed in "ab":
            said = f"{name} runs and may read its files: wait for that, or cancel it"
            assert place.running(needed) == said
        assert place.needing("b") == f"{name} runs and may read them"
        assert place.needing("a") == "", "b has made of it what c reads"
        assert place.running("c") == "", "that is for its own lock to tell"
    assert place.running("a") == ""


def test_what_was_found_free_is_not_looked_at_again(place):
    place.job("b", "a", done=True)
    free = set()
    assert place.readers.running(place.paths("a"), free) == ""
    assert free == {place.paths("b").key}
    with place.held("b"):
        assert place.readers.running(place.paths("a"), free) == ""
        assert place.running("a")


def test_what_was_asked_about_may_run_itself(place):
    """Several are to be run again, and another process runs the last of them just now."""
    place.job("b", "a", done=True)
    free = set()
    with place.held("b"):
        assert place.readers.running(place.paths("b"), free) == ""
        assert "B" in place.readers.running(place.paths("a"), free)


def test_what_is_new_is_heard_of(place):
    assert place.needing("a") == ""
    place.listed("b", submitted=1.0)  # its record comes later
    assert place.needing("a") == ""
    place.job("b", "a", listed=False)
    assert place.needing("a") == f"B {place.paths('b').identifier[:8]} (of x) waits, and needs them"
    records.write_done(place.paths("b"))
    assert place.needing("a") == ""


def test_what_waits_for_nothing_needs_nothing(place):
    place.job("b")
    place.job("c", "a", "b")
    assert "C" in place.needing("a")
    records.write_failed(place.paths("b"), FailureReason.FAILED)
    assert place.needing("a") == ""
    place.job("d", "a", listed=False)
    assert place.needing("a") == "", "nobody asks for it"


def test_what_is_left_out_needs_something_if_it_is_needed(place):
    place.job("b", "a", mode=LEAVE_OUT)
    assert place.needing("a") == ""
    place.job("c", "b")
    assert "B" in place.needing("a")


def test_each_experiment_says_whether_files_are_kept_the_last_time_it_asks(place):
    place.job("b", mode=REMOVE)
    place.listed("b", "y", REMOVE)
    assert place.readers.keeping(place.paths("b")) == ""
    place.listed("b", "y", KEEP)
    said = "the experiment 'y' asked for it without removing them"
    assert place.readers.keeping(place.paths("b")) == said
    assert place.readers.experiments(place.paths("b")) == ("x", "y")
    place.listed("b", "y", REMOVE)
    assert place.readers.keeping(place.paths("b")) == ""


def test_a_list_without_the_word_keeps(place):
    """One that an earlier version wrote."""
    place.job("b", mode=REMOVE)
    run = place.workspace.experiment("old").create_run("20250101-000000-1")
    run.jobs.write_text(f'{{"job": "{place.paths("b").relative}", "task": "B", "format": 1}}\n')
    assert "'old'" in place.readers.keeping(place.paths("b"))
    records.forget_run_job(run, place.paths("b").relative, 2.0)
    assert place.readers.keeping(place.paths("b")) == ""


def test_in_doubt_it_is_needed(place):
    paths = place.job("b", listed=False)
    paths.record.write_text("{")
    paths.params.write_text(f'{{"of": "{place.paths("a").identifier}"}}')
    with place.held("b"):
        assert place.running("a")
