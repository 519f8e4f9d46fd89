"""Others that start jobs, and what they tell: their processes are real, their jobs end when told."""

from __future__ import annotations

import subprocess

import pytest

from xpm_nb.core.states import JobState
from xpm_nb.engine.messages import LeaveJobs, Listen
from xpm_nb.engine.others import LISTEN_S
from xpm_nb.store import locks, records, told
from xpm_nb.store.told import Hint


@pytest.fixture
def starters():
    """Starts processes that do nothing, to which jobs are left."""
    begun = []

    def begin():
        begun.append(subprocess.Popen(["sleep", "600"]))
        process = locks.identify(begun[-1].pid)
        assert process is not None
        return process

    def end(process):
        (one,) = [p for p in begun if p.pid == process.pid]
        one.kill()
        one.wait()

    begin.end = end
    yield begin
    for process in begun:
        process.kill()
        process.wait()


def leave(desk, process, *names):
    desk.loop.post(LeaveJobs(tuple(desk.entry(n) for n in names), process))
    desk.sync()


def waiting(desk):
    """A runs in the only slot; b and c are ready."""
    for name in "abc":
        desk.submit(name)
    desk.launcher.wait_for(1)


def finish(desk, name):
    desk.launcher.finish(desk.launcher.running(f"t.{name}"))
    assert desk.settled(name) is JobState.DONE


def test_what_is_left_to_a_process_is_started_when_that_ends(desk, starters):
    waiting(desk)
    process = starters()
    leave(desk, process, "b")
    finish(desk, "a")
    desk.launcher.wait_for(2)
    assert desk.started() == ["a", "c"], "b is another's"
    assert desk.view("b").message == f"left to process {process.pid}, which starts it"
    starters.end(process)
    finish(desk, "c")
    desk.launcher.wait_for(3)
    assert desk.started() == ["a", "c", "b"]
    assert "left to" not in desk.view("b").message


def test_nothing_is_left_to_a_process_that_is_gone(desk, starters):
    waiting(desk)
    process = starters()
    starters.end(process)
    leave(desk, process, "b")
    finish(desk, "a")
    desk.launcher.wait_for(2)
    assert desk.started() == ["a", "b"]


def test_jobs_are_left_to_one_process_the_last(desk, starters):
    waiting(desk)
    first, second = starters(), starters()
    leave(desk, first, "b", "c")
    leave(desk, second, "b")
    finish(desk, "a")
    starters.end(first)
    desk.launcher.wait_for(2)
    assert desk.started() == ["a", "c"], "b is the second's"
    starters.end(second)
    finish(desk, "c")
    desk.launcher.wait_for(3)


def test_what_the_process_did_is_seen_when_it_ends(desk, starters):
    waiting(desk)
    process = starters()
    leave(desk, process, "b", "c")
    lock = locks.try_lock(desk.paths("b"))
    records.write_done(desk.paths("b"))
    lock.release()
    starters.end(process)
    assert desk.settled("b") is JobState.DONE
    finish(desk, "a")
    desk.launcher.wait_for(2)
    assert desk.started() == ["a", "c"]


def test_what_is_asked_for_here_is_started_here(desk, starters):
    waiting(desk)
    leave(desk, starters(), "b", "c")
    desk.cancel("b")
    assert desk.settled("b") is JobState.ERROR
    desk.submit("b")
    finish(desk, "a")
    desk.launcher.wait_for(2)
    assert desk.started() == ["a", "b"]


@pytest.fixture
def stranger(starters):
    """Another process, which tells us something."""
    process = starters()

    def tell(desk, **what):
        told.add_hint(desk.workspace, Hint(process, **what))
        desk.clock.advance(LISTEN_S)
        desk.sync()

    return tell


def listen(desk, name, heard):
    offset = told.hints_end(desk.workspace)
    desk.loop.post(Listen(desk.workspace, name, heard, offset))
    desk.sync()


def test_hints_are_heard_by_those_whom_they_are_for(desk, stranger):
    heard = {"x": [], "y": []}
    stranger(desk, experiment="x")
    for name in heard:
        listen(desk, name, heard[name].append)
    assert heard == {"x": [], "y": []}, "what was told before is not for us"
    stranger(desk, experiment="x")
    stranger(desk, experiment="y", detach=True)
    stranger(desk, experiment="z")
    told.add_hint(desk.workspace, Hint(locks.myself(), experiment="x"))  # our own
    desk.clock.advance(LISTEN_S)
    desk.sync()
    assert [(h.experiment, h.detach) for h in heard["x"]] == [("x", False)]
    assert [(h.experiment, h.detach) for h in heard["y"]] == [("y", True)]
    listen(desk, "x", None)
    stranger(desk, experiment="x")
    assert len(heard["x"]) == 1


def test_a_job_is_looked_at_when_a_hint_names_it(desk, stranger):
    waiting(desk)
    listen(desk, "x", lambda hint: None)
    lock = locks.try_lock(desk.paths("b"))
    records.write_done(desk.paths("b"))
    lock.release()
    stranger(desk, job="t.nobody/" + "0" * 64)
    stranger(desk, job=desk.paths("b").key)
    assert desk.settled("b") is JobState.DONE
    assert desk.started() == ["a"]


def test_who_raises_at_a_hint_does_not_end_the_listening(desk, stranger, caplog):
    def raises(hint):
        raise ValueError("no")

    heard = []
    listen(desk, "x", raises)
    listen(desk, "y", heard.append)
    stranger(desk, experiment="x")
    stranger(desk, experiment="y")
    assert len(heard) == 1
    assert "cannot take in what another kernel did" in caplog.text


def test_a_file_of_hints_that_began_anew_is_read_from_its_beginning(desk, stranger, monkeypatch):
    heard = []
    listen(desk, "x", heard.append)
    for _ in range(5):
        stranger(desk, experiment="x")
    monkeypatch.setattr(told, "HINTS_BYTES", 1)
    stranger(desk, experiment="x")
    assert len(heard) == 6


def test_another_file_of_hints_is_read_from_its_beginning(desk, stranger):
    """Somebody deleted the workspace, and made it anew: the new file is as long as the old one."""
    heard = []
    listen(desk, "x", heard.append)
    for _ in range(3):
        stranger(desk, experiment="x")
    desk.workspace.events.unlink()
    for _ in range(2):
        told.add_hint(desk.workspace, Hint(heard[0].process, experiment="x"))
    stranger(desk, experiment="x")
    assert len(heard) == 6
