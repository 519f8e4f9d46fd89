"""The loop and the scheduler, with jobs that end when told; directories and locks are real."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import locked
from xpm_nb.engine.messages import SetSlots, Wake
from xpm_nb.errors import InternalError
from xpm_nb.store import files, locks, records


def end(desk, name, how="finish", **options):
    """End a job and wait until the loop has heard of it."""
    getattr(desk.launcher, how)(desk.launcher.running(f"t.{name}"), **options)
    return desk.settled(name)


def test_a_submission_writes_the_directory_and_launches_under_the_lock(desk):
    entry = desk.submit("a")
    (handle,) = desk.launcher.wait_for(1)
    desk.sync()
    paths = desk.paths("a")
    assert paths.script.read_text() == "# a\n"
    assert json.loads(paths.params.read_text()) == {"objects": []}
    assert records.read_job(paths).task == "A"
    assert locks.held(paths), "the job holds the lock that it was handed"
    assert entry.view.state is JobState.RUNNING
    assert not entry.settled.is_set()
    assert (entry.view.task, entry.view.tags, entry.view.attempt) == ("A", (("n", "a"),), 1)
    desk.launcher.finish(handle)
    assert desk.settled("a") is JobState.DONE
    assert not locks.held(paths)
    assert entry.view.ended is not None


def test_one_daemon_thread_of_that_name(desk):
    desk.submit("a")
    desk.submit("b")
    desk.sync()
    ours = [t for t in threading.enumerate() if t is desk.loop._thread]
    assert [(t.name, t.daemon) for t in ours] == [("xpm-scheduler", True)]


def test_slots_and_dependencies(make_desk):
    desk = make_desk(slots=2)
    desk.submit("a")
    desk.submit("b")
    desk.submit("c", "a")
    desk.submit("d")
    assert desk.started() == ["a", "b"]
    assert desk.states("abcd") == ["running", "running", "waiting", "ready"]
    end(desk, "a")
    assert desk.started() == ["a", "b", "c"]  # asked for before d
    end(desk, "b")
    assert desk.started() == ["a", "b", "c", "d"]
    desk.loop.post(SetSlots(3))
    assert desk.loop.slots == 3


def test_a_done_job_is_reused_and_nothing_is_touched(desk):
    desk.submit("a")
    desk.launcher.wait_for(1)
    end(desk, "a")
    assert not desk.view("a").reused
    before = {p: p.stat().st_mtime_ns for p in desk.paths("a").path.rglob("*")}
    desk.restart()
    desk.submit("a")
    assert desk.settled("a") is JobState.DONE
    assert desk.view("a").reused
    assert desk.started() == ["a"]
    assert {p: p.stat().st_mtime_ns for p in desk.paths("a").path.rglob("*")} == before


def test_submitting_again_joins_and_a_failure_is_run_again(desk):
    desk.submit("a")
    desk.submit("a")
    desk.launcher.wait_for(1)
    assert end(desk, "a", "fail") is JobState.ERROR
    assert desk.view("a").message == "ValueError: told to fail"
    entry = desk.submit("a")
    desk.launcher.wait_for(2)
    assert not entry.settled.is_set()
    assert end(desk, "a") is JobState.DONE
    assert desk.view("a").attempt == 2
    assert (desk.paths("a").attempts / "1" / "a.failed").exists()
    assert not desk.paths("a").failed.exists()


def test_waiting_right_after_a_second_submit_does_not_see_the_old_failure(desk):
    desk.submit("a")
    desk.launcher.wait_for(1)
    end(desk, "a", "fail")
    entry = desk.submit("a")
    assert not entry.settled.is_set()  # whatever the loop has done so far


def test_failures_go_down_and_retry_goes_up_and_down(desk):
    for name, *needs in ("a", "ba", "cb"):
        desk.submit(name, *needs)
    desk.launcher.wait_for(1)
    end(desk, "a", "fail")
    assert [desk.settled(n) for n in "bc"] == [JobState.ERROR] * 2
    view = desk.view("c")
    assert view.reason is FailureReason.DEPENDENCY
    assert view.message == f"needs b {desk.paths('b').identifier[:8]}, which is in error"
    assert not desk.paths("c").failed.exists(), "it never ran: nothing marks it"
    desk.retry("c")
    desk.launcher.wait_for(2)
    end(desk, "a")
    desk.launcher.wait_for(3)
    end(desk, "b")
    desk.launcher.wait_for(4)
    assert end(desk, "c") is JobState.DONE
    assert desk.started() == ["a", "a", "b", "c"]


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [(0, "failed", "ended without finishing"), (-9, "lost", "signal 9"), (3, "failed", "code 3")],
)
def test_a_job_that_ends_without_a_marker(desk, code, reason, words):
    desk.submit("a")
    desk.launcher.wait_for(1)
    desk.paths("a").stderr.write_text("first\nImportError: no such thing\n\n")
    assert end(desk, "a", "vanish", code=code) is JobState.ERROR
    view = desk.view("a")
    assert view.reason.value == reason
    assert words in view.message
    assert ("no such thing" in view.message) == (code == 3)
    failure = records.read_failed(desk.paths("a"))  # a new kernel must not run it by itself
    assert (failure.reason.value, failure.message) == (reason, view.message)
    desk.restart()
    desk.open("a")
    assert (desk.view("a").reason.value, desk.started()) == (reason, ["a"])


def test_a_launcher_that_refuses(make_desk):
    desk = make_desk(refuse=True)
    for n in range(30):
        desk.submit(f"a{n}")
    assert [desk.settled(f"a{n}") for n in range(30)] == [JobState.ERROR] * 30
    view = desk.view("a7")
    assert view.reason is FailureReason.REJECTED
    assert "does not start a7" in view.message
    assert not locks.held(desk.paths("a7"))
    desk.launcher.refuse = False
    desk.submit("a7")
    desk.launcher.wait_for(1)
    assert end(desk, "a7") is JobState.DONE


def test_a_directory_that_cannot_be_written_is_the_failure_of_that_job_only(desk):
    blocked = desk.paths("a").path.parent
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a directory should be")
    desk.submit("a")
    desk.submit("b")
    assert desk.settled("a") is JobState.ERROR
    assert desk.view("a").reason is FailureReason.REJECTED
    desk.launcher.wait_for(1)
    assert end(desk, "b") is JobState.DONE
    blocked.unlink()
    desk.submit("a")
    desk.launcher.wait_for(2)
    assert end(desk, "a") is JobState.DONE


def test_a_list_that_cannot_be_written_fails_a_new_job_and_leaves_a_running_one_alone(desk):
    def full():
        raise OSError("no space left on device")

    desk.submit("a")
    desk.submit("a", listed=full)
    desk.submit("b", listed=full)
    assert desk.settled("b") is JobState.ERROR
    assert "no space left" in desk.view("b").message
    assert desk.states("a") == ["running"]


def test_what_lies_in_the_directory_of_a_waiting_job_stays(desk):
    desk.submit("a")
    desk.submit("b")
    desk.sync()
    (desk.paths("b").path / "prepared.txt").write_text("by somebody")
    end(desk, "a")
    desk.launcher.wait_for(2)
    assert (desk.paths("b").path / "prepared.txt").exists()
    assert desk.view("b").attempt == 1


# -- again ------------------------------------------------------------------------------------


def done(desk, *names):
    """Run jobs to their good end: a, then what needs it…"""
    for name, *needs in names:
        desk.submit(name, *needs)
        desk.launcher.wait_for(len(desk.started()))
        assert end(desk, name) is JobState.DONE


def test_what_is_done_is_run_again_and_what_it_left_is_kept(desk):
    done(desk, "a")
    paths = desk.paths("a")
    (paths.path / "digits.npz").write_text("old")
    seen = []
    desk.entry("a").hooks.append(lambda view: seen.append(view.state.value))
    desk.rerun("a")
    assert not desk.entry("a").settled.is_set()
    desk.launcher.wait_for(2)
    desk.sync()
    assert not paths.done.exists()
    assert locks.held(paths)
    assert {"a.done", "digits.npz", "a.py"} <= {p.name for p in (paths.attempts / "1").iterdir()}
    assert desk.view("a").attempt == 2
    assert end(desk, "a") is JobState.DONE
    assert seen == ["waiting", "ready", "scheduled", "running", "done"]
    desk.rerun("a")
    desk.launcher.wait_for(3)
    assert end(desk, "a", "fail") is JobState.ERROR
    desk.rerun("a")  # in error: as retry
    desk.launcher.wait_for(4)
    assert end(desk, "a") is JobState.DONE
    assert desk.view("a").attempt == 4


def test_what_needs_it_stays_done_and_what_waits_waits_for_it(desk):
    done(desk, "a", "ba")
    desk.submit("x")
    desk.submit("c", "a")
    assert desk.states("abcx") == ["done", "done", "ready", "running"]
    desk.rerun("a")
    assert desk.states("abcx") == ["ready", "done", "waiting", "running"]
    end(desk, "x")
    end(desk, "a")
    end(desk, "c")
    assert desk.started() == ["a", "b", "x", "a", "c"]


def test_a_job_and_what_needs_it_are_run_again_in_order(make_desk):
    desk = make_desk(slots=4)
    done(desk, "a", "ba", "cb")
    desk.restart(slots=4)
    desk.open("c", "b", "a")  # the plan met them in the wrong order
    desk.rerun("c", "b", "a", "b")
    for count, name in enumerate("abc", start=4):
        assert [h.paths.name for h in desk.launcher.wait_for(count)][3:] == list("abc")[: count - 3]
        assert end(desk, name) is JobState.DONE


def test_a_job_is_not_run_again_while_one_that_needs_it_runs(desk, caplog):
    done(desk, "a", "ba")
    desk.submit("c", "b")
    desk.launcher.wait_for(3)
    desk.rerun("a")
    assert desk.settled("a") is JobState.DONE
    assert desk.paths("a").done.exists()
    assert "C 2e7d2c03 runs and may read its files" in desk.view("a").message
    end(desk, "c")
    desk.rerun("a")
    desk.launcher.wait_for(4)
    assert end(desk, "a") is JobState.DONE
    assert desk.view("a").message == ""


def test_a_job_is_not_run_again_while_what_it_needs_is_in_error(desk, caplog):
    done(desk, "a", "ba")
    desk.rerun("a")
    desk.launcher.wait_for(3)
    end(desk, "a", "fail")
    assert desk.states("ab") == ["error", "done"], "a result stays one"
    desk.rerun("b")
    assert desk.settled("b") is JobState.DONE
    assert "needs A ca978112, which is in error" in desk.view("b").message
    desk.rerun("b", "a")
    desk.launcher.wait_for(4)
    end(desk, "a")
    desk.launcher.wait_for(5)
    assert end(desk, "b") is JobState.DONE


def test_what_is_under_way_is_not_run_twice(desk):
    desk.submit("a")
    desk.submit("b")
    desk.launcher.wait_for(1)
    desk.rerun("a", "b")
    desk.rerun("a")
    assert desk.states("ab") == ["running", "ready"]
    end(desk, "a")
    desk.rerun("a")
    desk.rerun("a")  # a second click
    desk.launcher.wait_for(2)
    end(desk, "b")
    desk.launcher.wait_for(3)
    end(desk, "a")
    assert desk.started() == ["a", "b", "a"]


def test_a_rerun_that_waits_goes_on_in_the_next_kernel_and_can_be_cancelled(desk):
    done(desk, "a", "b")
    desk.submit("x")
    desk.launcher.wait_for(3)
    desk.rerun("a", "b")
    assert desk.states("ab") == ["ready", "ready"]
    desk.cancel("b")
    assert desk.settled("b") is JobState.ERROR
    desk.sync()
    desk.restart()
    desk.open("a", "b")
    desk.launcher.wait_for(4)
    assert end(desk, "a") is JobState.DONE
    assert desk.view("b").reason is FailureReason.CANCELLED
    assert (desk.paths("b").attempts / "1" / "b.done").exists()


def test_two_kernels_run_the_same_job_again(make_desk):
    one, two = make_desk(), make_desk()
    done(one, "a")
    two.submit("a")
    assert two.settled("a") is JobState.DONE
    one.rerun("a")
    one.launcher.wait_for(2)
    one.sync()
    two.rerun("a")
    assert two.states("a") == ["running"]
    assert two.view("a").elsewhere
    end(one, "a")
    two.clock.advance(5)
    assert two.settled("a") is JobState.DONE
    assert two.started() == []
    assert [p.name for p in one.paths("a").attempts.iterdir()] == ["1"]


@pytest.mark.parametrize("busy", [True, False])
def test_what_another_kernel_runs_again_before_we_heard_of_its_end_is_not_lost(make_desk, busy):
    one, two = make_desk(), make_desk()
    one.submit("a")
    (first,) = one.launcher.wait_for(1)
    one.sync()
    begun, gate = threading.Event(), threading.Event()
    one.entry("z").hooks.append(lambda view: (begun.set(), gate.wait(10)))
    one.submit("z")
    assert begun.wait(10), "the first kernel is busy"
    one.launcher.finish(first)
    if busy:
        two.submit("x")
    two.submit("a")
    assert two.settled("a") is JobState.DONE
    two.rerun("a")
    assert two.states("a") == ["ready" if busy else "running"]
    one.cancel("z")
    gate.set()
    if busy:  # it is for the first who can
        one.launcher.wait_for(2)
        end(one, "a")
        end(two, "x")
    else:
        assert one.states("a") == ["running"]
        assert one.view("a").elsewhere
        end(two, "a")
        one.clock.advance(5)
    assert [desk.settled("a") for desk in (one, two)] == [JobState.DONE] * 2
    assert [p.name for p in one.paths("a").attempts.iterdir()] == ["1"]
    assert one.started().count("a") + two.started().count("a") == 2


def test_a_process_that_has_written_its_marker_and_still_lives_is_awaited(desk):
    done(desk, "a")
    lock = locks.try_lock(desk.paths("a"))
    desk.rerun("a")
    desk.rerun("a")
    desk.sync()
    assert desk.paths("a").done.exists()
    desk.clock.advance(1)
    desk.sync()
    assert desk.started() == ["a"]
    assert not desk.entry("a").settled.is_set()
    lock.release()
    desk.clock.advance(5)
    desk.launcher.wait_for(2)
    assert end(desk, "a") is JobState.DONE


def test_a_rerun_that_is_awaited_can_be_cancelled(desk):
    done(desk, "a")
    lock = locks.try_lock(desk.paths("a"))
    desk.rerun("a")
    desk.cancel("a")
    assert desk.settled("a") is JobState.DONE
    lock.release()
    desk.clock.advance(5)
    assert desk.states("a") == ["done"]
    assert desk.started() == ["a"]


def test_a_launcher_that_nobody_knows_any_more_runs_nothing_again(desk, caplog):
    done(desk, "a")
    desk.restart()
    desk.loop._scheduler._arrivals._launchers = {}
    desk.open("a")
    desk.rerun("a")
    assert desk.settled("a") is JobState.DONE
    assert "no launcher is known for {'type': 'fake'}" in desk.view("a").message


@pytest.mark.slow
def test_many_jobs_are_run_again(make_desk):
    desk = make_desk(slots=1000)
    names = [f"j{n}" for n in range(120)]
    for name in names:
        desk.submit(name)
    for handle in desk.launcher.wait_for(120):
        desk.launcher.finish(handle)
    for name in names:
        desk.settled(name)
    desk.rerun(*names)
    for handle in desk.launcher.wait_for(240)[120:]:
        desk.launcher.finish(handle)
    assert {desk.settled(name) for name in names} == {JobState.DONE}
    assert {desk.view(name).attempt for name in names} == {2}


def test_a_directory_that_does_not_say_what_to_run_stays_done(desk, caplog):
    done(desk, "a")
    desk.paths("a").script.unlink()
    desk.rerun("a")
    assert desk.settled("a") is JobState.DONE
    assert desk.paths("a").done.exists()
    assert "does not say what is to be run" in desk.view("a").message


def test_a_disk_that_is_full_after_the_marker_is_away_is_a_failure(desk, monkeypatch, caplog):
    done(desk, "a")
    real = locked.write

    def full(entry, **options):
        real(entry, **options)
        raise OSError("no space left on device")

    monkeypatch.setattr(locked, "write", full)
    desk.rerun("a")
    assert desk.settled("a") is JobState.ERROR
    assert "no space left" in desk.view("a").message
    monkeypatch.setattr(locked, "write", real)
    desk.retry("a")
    desk.launcher.wait_for(2)
    assert end(desk, "a") is JobState.DONE


# -- cancel -----------------------------------------------------------------------------------


def test_cancel_asks_then_kills_and_writes_the_marker_for_the_job(make_desk):
    desk = make_desk(deaf=True)
    desk.submit("a")
    (handle,) = desk.launcher.wait_for(1)
    desk.cancel("a")
    desk.cancel("a")
    desk.sync()
    assert handle.signals == ["TERM"]
    desk.clock.advance(4.9)
    desk.sync()
    assert handle.signals == ["TERM"]
    desk.clock.advance(0.2)
    assert desk.settled("a") is JobState.ERROR
    assert handle.signals == ["TERM", "KILL"]
    assert desk.view("a").reason is FailureReason.CANCELLED
    assert records.read_failed(desk.paths("a")).reason is FailureReason.CANCELLED


def test_cancelled_before_it_started_it_stays_so_in_the_next_kernel(desk):
    desk.submit("a")
    desk.submit("b")
    desk.submit("c", "b")
    desk.cancel("b", "c")
    assert [desk.settled(n) for n in "bc"] == [JobState.ERROR] * 2
    assert desk.view("b").reason is FailureReason.CANCELLED
    desk.restart()
    desk.open("b", "c")
    assert [desk.view(n).reason.value for n in "bc"] == ["cancelled", "dependency"]
    desk.cancel("b")  # of what is over: nothing
    assert desk.states("b") == ["error"]


# -- other kernels ----------------------------------------------------------------------------


def test_a_job_that_another_kernel_is_starting_is_awaited_then_joined(desk):
    paths = desk.paths("a").create()
    lock = locks.try_lock(paths)
    desk.submit("a")
    assert desk.states("a") == ["running"]
    assert desk.view("a").elsewhere
    assert desk.started() == []
    records.write_done(paths)
    lock.release()
    desk.clock.advance(5)
    assert desk.settled("a") is JobState.DONE
    assert desk.started() == []


def test_a_lock_that_was_held_for_a_moment_only_is_our_turn(desk):
    lock = locks.try_lock(desk.paths("a").create())
    desk.submit("b")
    desk.submit("a")
    assert desk.states("ab") == ["running", "running"]
    lock.release()
    desk.clock.advance(5)
    assert desk.states("a") == ["ready"]  # b has the slot
    end(desk, "b")
    desk.launcher.wait_for(2)
    assert not desk.view("a").elsewhere
    assert end(desk, "a") is JobState.DONE


def test_two_kernels_one_job(make_desk):
    one = make_desk()
    two = make_desk()
    one.submit("a")
    (handle,) = one.launcher.wait_for(1)
    one.sync()
    two.submit("a")
    two.submit("b")
    assert two.states("ab") == ["running", "running"], "a holds no slot of the second kernel"
    one.launcher.finish(handle)
    assert one.settled("a") is JobState.DONE
    two.clock.advance(5)
    assert two.settled("a") is JobState.DONE
    assert two.started() == ["b"]


def test_another_kernel_was_quicker_while_ours_waited_for_a_slot(make_desk):
    one, two = make_desk(), make_desk()
    for name in "xab":
        one.submit(name)
    one.sync()
    two.submit("a")
    two.launcher.wait_for(1)
    end(two, "a")
    two.submit("b")
    two.launcher.wait_for(2)
    end(two, "b", "fail")
    end(one, "x")
    assert one.settled("a") is JobState.DONE
    assert one.settled("b") is JobState.ERROR
    assert one.started() == ["x"], "its success and its failure are everybody's"


# -- a new kernel -----------------------------------------------------------------------------


def test_reopening_goes_on_with_what_waited(desk):
    desk.submit("done")
    desk.launcher.wait_for(1)
    end(desk, "done")
    desk.submit("bad")
    desk.launcher.wait_for(2)
    end(desk, "bad", "fail")
    for name, *needs in (["run"], ["b"], ["c", "b", "done"], ["d", "bad"]):
        desk.submit(name, *needs)
    (*_, running) = desk.launcher.wait_for(3)
    desk.sync()
    desk.restart()
    desk.open("done", "bad", "run", "b", "c", "d")
    names = ["done", "bad", "run", "b", "c", "d"]
    states = [desk.view(n).state.value for n in names]
    assert states == ["done", "error", "running", "ready", "waiting", "error"]
    assert desk.started() == ["done", "bad", "run"], "the job that still runs has the slot"
    assert (desk.view("c").task, desk.view("c").tags) == ("C", (("n", "c"),))
    desk.launcher.finish(running)
    desk.clock.advance(5)
    desk.launcher.wait_for(4)
    end(desk, "b")
    desk.launcher.wait_for(5)
    assert end(desk, "c") is JobState.DONE
    assert desk.started() == ["done", "bad", "run", "b", "c"]


def test_reopening_one_job_brings_what_it_needs(desk):
    for name, *needs in ("x", "a", "ba", "cb"):
        desk.submit(name, *needs)
    desk.sync()
    desk.launcher.vanish("t.x")
    desk.settled("x")
    desk.launcher.wait_for(2)
    end(desk, "a")
    desk.launcher.wait_for(3)
    desk.sync()
    desk.restart()
    desk.open("c")
    assert desk.states("abc") == ["done", "running", "waiting"]


def test_a_job_that_vanished_while_no_kernel_looked_is_lost(desk):
    paths = desk.paths("a")
    desk.submit("x")
    desk.submit("a")
    desk.sync()
    desk.restart()
    records.write_process(paths, records.ProcessRecord(1, 1, "another boot", "host"))
    desk.open("a")
    assert desk.view("a").reason is FailureReason.LOST
    assert records.read_failed(paths).reason is FailureReason.LOST
    desk.submit("a")
    desk.launcher.wait_for(2)
    assert end(desk, "a") is JobState.DONE


def test_a_missing_directory_or_a_damaged_record_says_so(desk):
    desk.submit("x")
    desk.submit("a")
    desk.submit("b", "gone")
    desk.sync()
    assert desk.view("b").reason is FailureReason.DEPENDENCY
    desk.restart()
    desk.paths("a").record.write_text("{")
    desk.open("a", "b", "gone")
    assert "job.json is damaged" in desk.view("a").message
    assert "its kernel ended before it was written" in desk.view("gone").message
    assert desk.view("b").reason is FailureReason.DEPENDENCY


@pytest.mark.slow
def test_a_long_chain_is_reopened(make_desk):
    desk = make_desk()
    names = [f"j{n}" for n in range(400)]
    before = None
    for name in names:
        desk.submit(name, *([before] if before else []))
        before = name
    assert desk.loop.sync(60)
    desk.restart()
    desk.open(names[-1])
    assert desk.states([names[1], names[-1]]) == ["waiting", "waiting"]


def test_generate_writes_and_runs_nothing(desk):
    desk.submit("a", generate=True)
    assert desk.settled("a") is JobState.UNSCHEDULED
    assert desk.paths("a").script.exists()
    assert records.read_job(desk.paths("a")).task == "A"
    assert desk.started() == []
    desk.submit("b", "a")  # what is needed by a real one runs
    assert desk.started() == ["a"]
    end(desk, "a")
    assert desk.started() == ["a", "b"]


# -- listeners --------------------------------------------------------------------------------


def test_listeners_hear_in_the_loops_thread_and_cannot_stop_it(desk, caplog):
    heard = []
    desk.loop.subscribe(lambda keys: heard.append((threading.current_thread().name, keys)))
    desk.loop.subscribe(lambda keys: 1 / 0)
    with caplog.at_level(logging.ERROR, logger="xpm_nb"):
        entry = desk.submit("a")
        desk.launcher.wait_for(1)
        end(desk, "a")
        desk.sync()
    assert {name for name, _ in heard} == {"xpm-scheduler"}
    assert set().union(*(keys for _, keys in heard)) == {entry.paths.key}
    assert "ZeroDivisionError" in caplog.text
    assert desk.loop.view(entry.paths.key) is entry.view


def test_listeners_hear_of_what_somebody_waited_for_in_between(desk):
    """Who synchronizes sees new views, and takes them from nobody."""
    heard = set()
    entered, free = threading.Event(), threading.Event()

    def listen(keys):
        heard.update(keys)
        entered.set()
        free.wait(10)

    desk.loop.subscribe(listen)
    desk.submit("a")
    assert entered.wait(10)
    desk.submit("b")
    desk.loop.post(Wake(threading.Event()))  # in the same turn as the submission
    free.set()
    desk.sync()
    desk.sync()
    assert heard == {desk.entry("a").paths.key, desk.entry("b").paths.key}


def test_unsubscribed_listeners_hear_nothing(desk):
    heard = []
    desk.loop.subscribe(heard.append)()
    desk.submit("a")
    desk.sync()
    assert heard == []


def test_hooks_get_each_change(desk):
    seen = []
    desk.entry("a").hooks.append(lambda view: seen.append(view.state.value))
    desk.submit("a")
    desk.launcher.wait_for(1)
    end(desk, "a")
    assert seen == ["waiting", "ready", "scheduled", "running", "done"]


def test_progress_and_metrics_are_read_while_the_job_runs(desk):
    desk.submit("a")
    desk.launcher.wait_for(1)
    desk.sync()
    paths = desk.paths("a")
    report = {"progress": 0.5, "level": 0, "desc": "half"}
    files.append_line(paths.progress, report)
    files.append_line(paths.metrics, {"metrics": {"loss": 2.0}, "step": 1})
    desk.clock.advance(1)
    view = desk.view("a")
    assert (view.progress, view.progress_text, dict(view.metrics)) == (0.5, "half", {"loss": 2.0})
    files.append_line(paths.metrics, {"metrics": {"loss": 1.0, "acc": 0.75}, "step": 2})
    end(desk, "a")
    assert dict(desk.view("a").metrics) == {"loss": 1.0, "acc": 0.75}


def test_a_dead_thread_is_told_to_those_who_wait(desk, monkeypatch):
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda args: died.set())
    monkeypatch.setattr(desk.loop._scheduler, "tick", lambda: 1 / 0)
    desk.loop.post(Wake())
    assert died.wait(10)
    with pytest.raises(InternalError, match="restart the kernel"):
        desk.submit("a")


def test_an_idle_loop_does_not_turn(desk, monkeypatch):
    turns = []
    real = desk.loop._turn
    monkeypatch.setattr(desk.loop, "_turn", lambda: (turns.append(1), real()))
    desk.submit("a")
    desk.launcher.wait_for(1)
    end(desk, "a")
    desk.sync()
    assert desk.loop._timeout() is None, "nothing is due: it waits for ever"
    assert len(turns) < 12


@pytest.mark.parametrize("error", [ValueError("bad value"), InternalError("bad plan"), KeyError(1)])
def test_whatever_goes_wrong_with_one_job_is_its_failure_only(desk, monkeypatch, caplog, error):
    real = locked.write

    def write(entry, **options):
        if entry.paths.name == "a":
            raise error
        real(entry, **options)

    monkeypatch.setattr(locked, "write", write)
    with caplog.at_level(logging.WARNING, logger="xpm_nb"):
        desk.submit("a")
        desk.submit("b", "a")
        desk.submit("c")
        assert [desk.settled(n) for n in "ab"] == [JobState.ERROR] * 2
    assert desk.view("a").reason is FailureReason.REJECTED
    assert desk.view("a").message == f"{type(error).__name__}: {error}"
    assert "Traceback" in caplog.text
    desk.launcher.wait_for(1)
    assert end(desk, "c") is JobState.DONE


def test_a_mistake_while_a_job_ends_or_is_followed_is_its_failure_only(desk, monkeypatch, caplog):
    def broken(*args):
        raise ValueError("a mistake")

    desk.submit("a")
    (handle,) = desk.launcher.wait_for(1)
    desk.sync()
    monkeypatch.setattr(handle, "exit_code", broken)
    monkeypatch.setattr(desk.entry("a"), "read_reports", broken)
    desk.entry("a").hooks.append(broken)
    desk.clock.advance(1)
    desk.sync()
    assert end(desk, "a") is JobState.ERROR
    assert desk.view("a").message == "ValueError: a mistake"
    desk.submit("b")
    desk.launcher.wait_for(2)
    assert end(desk, "b") is JobState.DONE


def test_a_job_of_experimaestro_says_who_holds_it(desk):
    paths = desk.paths("a").create()
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", str(paths.script)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE)
    paths.pid.write_text(f'{{"type": "local", "pid": {other.pid}}}')
    desk.submit("a")
    assert desk.states("a") == ["running"]
    assert desk.view("a").message == (
        f"held by process {other.pid} of experimaestro; if that is wrong, delete {paths.pid}"
    )
    other.communicate()
    desk.clock.advance(5)
    desk.launcher.wait_for(1)
    assert desk.view("a").message == ""


def test_a_job_of_experimaestro_is_waited_for_until_its_process_is_gone(desk):
    """It lets go of all that shows that it runs before it writes its marker."""
    paths = desk.paths("a").create()
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", str(paths.script)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        paths.pid.write_text(f'{{"type": "local", "pid": {other.pid}}}')
        desk.submit("a")
        assert desk.states("a") == ["running"]
        message = desk.view("a").message
        paths.pid.unlink()
        for _ in range(10):
            desk.clock.advance(5)
            assert desk.states("a") == ["running"]
        assert desk.view("a").message == message
        paths.done.touch()
        desk.clock.advance(5)
        assert desk.states("a") == ["done"]
    finally:
        other.communicate()
    assert desk.started() == []


def test_a_directory_with_the_name_of_the_marker_is_moved_away(desk):
    desk.paths("a").create().done.mkdir()
    desk.submit("a")
    desk.launcher.wait_for(1)
    assert end(desk, "a") is JobState.DONE


def test_a_loop_that_was_woken_is_not_woken_again_before_it_looked(desk, monkeypatch):
    begun, gate = threading.Event(), threading.Event()
    desk.entry("a").hooks.append(lambda view: (begun.set(), gate.wait(10)))
    desk.submit("a")
    assert begun.wait(10)
    written = []
    real = os.write
    monkeypatch.setattr(
        os,
        "write",
        lambda fd, data: (written.append(data) if data == b"!" else 0, real(fd, data))[1],
    )
    for name in "bcdef":
        desk.submit(name)
    assert len(written) <= 1
    gate.set()
    assert desk.states("bcdef") == ["ready"] * 5


@pytest.mark.parametrize("what", [{"tokens": {"../gpu": 1}}, {"partials": ("../../elsewhere",)}])
def test_a_record_whose_shares_cannot_be_is_told_at_the_job(desk, what):
    """Nobody waits for a job that cannot begin, and what it shares leads nowhere."""
    paths = desk.paths("a").create()
    record = records.JobRecord(
        paths.type_name, paths.identifier, "a", "A", launcher={"type": "fake"}
    )
    records.write_job(paths, record._replace(**what))
    records.write_script(paths, "pass\n")
    (entry,) = desk.open("a")
    assert entry.settled.wait(10)
    assert (entry.view.state, entry.view.reason) == (JobState.ERROR, FailureReason.REJECTED)
    assert "../" in entry.view.message
    assert desk.started() == []
