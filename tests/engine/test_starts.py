"""What starts has its inputs: what became of a result since it was done is seen at the last moment.

B is done and c needs it; c waits for the only slot, in which a runs, while another process takes
the result of b away and tells nobody.
"""

from __future__ import annotations

import contextlib
import shutil

import pytest

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.starts import Starts
from xpm_nb.store import attempts, leaving, locks, records, removal
from xpm_nb.store.records import Disowned


@contextlib.contextmanager
def lock_of(paths):
    lock = locks.try_lock(paths)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()


@pytest.fixture
def waiting(desk):
    desk.submit("b")
    finish(desk, "b")
    desk.submit("a")
    desk.launcher.wait_for(2)
    desk.submit("c", "b")
    assert desk.states("abc") == ["running", "done", "ready"]
    return desk


def finish(desk, name):
    desk.launcher.wait_for(1)
    desk.launcher.finish(desk.launcher.running(f"t.{name}"))
    assert desk.settled(name) is JobState.DONE


def test_what_was_disowned_is_no_input(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.disown(paths, Disowned("eve", 1.0, "bad data"))
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    assert waiting.started() == ["b", "a"]
    assert waiting.view("b").reason is FailureReason.DISOWNED
    view = waiting.view("c")
    assert view.reason is FailureReason.DEPENDENCY
    assert view.message == f"needs b {paths.identifier[:8]}, which was disowned by eve: bad data"


def test_what_was_removed_is_made_again(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        removal.remove_files(paths)
    finish(waiting, "a")
    waiting.launcher.wait_for(3)
    assert waiting.states("bc") == ["running", "waiting"]
    finish(waiting, "b")
    waiting.launcher.wait_for(4)
    assert waiting.started() == ["b", "a", "b", "c"]


def test_what_was_deleted_has_to_be_submitted_again(waiting):
    shutil.rmtree(waiting.paths("b").path)
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    view = waiting.view("b")
    assert (view.reason, view.state) == (FailureReason.LOST, JobState.ERROR)
    assert view.message == "its files were deleted: submit the task again"
    waiting.submit("b")
    waiting.retry("c")
    waiting.launcher.wait_for(3)
    finish(waiting, "b")
    waiting.launcher.wait_for(4)
    assert waiting.started() == ["b", "a", "b", "c"]


def test_what_runs_again_elsewhere_is_waited_for(waiting):
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.archive_attempt(paths)
        finish(waiting, "a")
        waiting.sync()
        assert waiting.states("bc") == ["running", "waiting"]
        records.write_done(paths)
    waiting.clock.advance(5)
    assert waiting.settled("b") is JobState.DONE
    waiting.launcher.wait_for(3)
    assert waiting.started() == ["b", "a", "c"]


def test_what_somebody_is_about_to_take_away_is_waited_for(waiting, monkeypatch):
    monkeypatch.setattr(leaving, "WAIT_S", 0.0)
    paths = waiting.paths("b")
    with lock_of(paths), leaving.announced(paths):
        finish(waiting, "a")
        assert waiting.started() == ["b", "a"]
        assert waiting.states("bc") == ["running", "waiting"]
    waiting.clock.advance(5)  # it was left alone
    waiting.launcher.wait_for(3)
    assert waiting.started() == ["b", "a", "c"]
    assert waiting.view("b").state is JobState.DONE


def test_what_cannot_be_looked_at_is_told_and_not_asked_for_ever(waiting, monkeypatch):
    def broken(self, entry):
        raise OSError("no luck")

    monkeypatch.setattr("xpm_nb.engine.arrivals.Arrivals.look_again", broken)
    waiting.paths("b").done.unlink()
    finish(waiting, "a")
    assert waiting.settled("c") is JobState.ERROR
    view = waiting.view("c")
    assert view.reason is FailureReason.REJECTED
    assert "whose result is not there any more" in view.message


def test_a_hint_of_another_process_is_enough(waiting):
    """That is, before the job that needs it is about to start."""
    paths = waiting.paths("b")
    with lock_of(paths):
        attempts.disown(paths, Disowned("eve", 1.0, "bad data"))
    starts = waiting.loop._scheduler
    assert isinstance(starts._starts, Starts)
    starts._notice(waiting.entry("b"))
    waiting.sync()
    assert waiting.settled("c") is JobState.ERROR
    assert waiting.view("a").state is JobState.RUNNING
