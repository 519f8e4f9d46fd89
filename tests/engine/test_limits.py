"""Time limits and what follows from them: jobs that end when told, then real processes."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

from tests.engine.lab import begin, until
from tests.engine.long_tasks import Deaf, Graceful, Steps, Stubborn
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.errors import ConfigError
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import locks, records
from xpm_nb.store.layout import JobPaths

TIMEOUT = FailureReason.TIMEOUT
RESUMES = {"resumable": True}


def at_the_limit(desk, name="a"):
    """Let a job come to its limit, and end as one that listens would."""
    count = len(desk.launcher.handles)
    handle = desk.launcher.running(f"t.{name}")
    desk.sync()
    desk.clock.advance(61)
    desk.sync()
    assert handle.signals == ["TERM"]
    return count


def test_a_job_that_resumes_is_run_again_until_its_retries_are_used_up(make_desk):
    desk = make_desk(time_min=1)
    entry = desk.submit("a", record=RESUMES | {"max_retries": 2})
    for attempt in (1, 2, 3):
        desk.launcher.wait_for(attempt)
        desk.sync()
        assert desk.view("a").attempt == attempt
        (desk.paths("a").path / "saved.txt").write_text(str(attempt))
        at_the_limit(desk)
    assert desk.settled("a") is JobState.ERROR
    view = desk.view("a")
    assert view.reason is TIMEOUT
    assert view.message == (
        "its time limit of 60 s was reached; it was run again 2 times, as often as max_retries=2 "
        "allows: retry() goes on from there"
    )
    assert [p.name for p in sorted(desk.paths("a").attempts.iterdir())] == ["1", "2"]
    assert (desk.paths("a").attempts / "2" / "a.failed").exists()
    assert (desk.paths("a").path / "saved.txt").read_text() == "3"
    desk.restart()
    desk.open("a")
    again = desk.view("a")  # by another kernel
    assert (again.reason, again.message, again.attempt) == (TIMEOUT, view.message, 3)
    desk.retry("a")  # asked for: it has all its retries again
    desk.launcher.wait_for(4)
    desk.sync()
    assert entry.paths.path.joinpath("saved.txt").read_text() == "3"
    assert records.read_job(desk.paths("a")).retries == 0
    at_the_limit(desk)
    desk.launcher.wait_for(5)
    desk.launcher.finish("t.a")
    assert desk.settled("a") is JobState.DONE
    assert (desk.view("a").attempt, desk.view("a").message) == (5, "")


def test_what_waits_for_it_goes_on_waiting_and_the_message_says_why(make_desk):
    desk = make_desk(time_min=1)
    desk.submit("a", record=RESUMES)
    desk.submit("b", "a")
    desk.launcher.wait_for(1)
    at_the_limit(desk)
    desk.launcher.wait_for(2)
    assert desk.states("ab") == ["running", "waiting"]
    assert desk.view("a").message == "run again after its time limit: 1 of 3"
    desk.launcher.finish("t.a")
    desk.launcher.wait_for(3)
    assert desk.states("ab") == ["done", "running"]


def test_a_job_that_does_not_resume_is_not_run_again(make_desk):
    desk = make_desk(time_min=1, deaf=True)
    desk.submit("a")
    desk.launcher.wait_for(1)
    at_the_limit(desk)
    desk.clock.advance(5)  # the grace of the desk's loop
    assert desk.settled("a") is JobState.ERROR
    assert desk.launcher.handles[0].signals == ["TERM", "KILL"]
    view = desk.view("a")
    assert view.reason is TIMEOUT
    assert view.message.startswith("its time limit of 60 s was reached; a ResumableTask would be")
    assert records.read_failed(desk.paths("a")).reason is TIMEOUT


def test_the_limit_counts_from_the_start_of_the_process_whoever_follows_it(make_desk, monkeypatch):
    desk = make_desk(time_min=1)
    desk.submit("a", record=RESUMES)
    (handle,) = desk.launcher.wait_for(1)
    desk.sync()
    process = locks.identify(os.getpid(), started=desk.clock.time())
    records.write_process(desk.paths("a"), process)
    monkeypatch.setattr(desk.launcher, "attach", lambda record: handle)
    # The process is that of the tests; by the desk's clock it began with its job.
    monkeypatch.setattr(locks, "began", lambda record: record.started)
    desk.clock.advance(40)
    desk.restart()
    desk.open("a")
    assert desk.states("a") == ["running"]
    desk.clock.advance(19)
    desk.sync()
    assert handle.signals == []
    desk.clock.advance(2)
    desk.launcher.wait_for(2)
    assert handle.signals == ["TERM"]


def test_an_end_that_nobody_saw_is_followed_by_the_next_attempt(desk):
    desk.submit("a", record=RESUMES)
    desk.launcher.wait_for(1)
    desk.sync()
    desk.loop.stop()
    desk.launcher.fail("t.a", "stopped because of its time limit", TIMEOUT)
    desk.loop = desk.new_loop(1)
    desk.open("a")
    desk.launcher.wait_for(2)
    assert desk.view("a").attempt == 2


def test_cancel_between_two_attempts_is_for_good(make_desk):
    desk = make_desk(slots=1)
    desk.submit("a", record=RESUMES)
    desk.launcher.wait_for(1)
    desk.sync()
    desk.submit("b", record={"submitted": 0.0})
    desk.sync()
    desk.cancel("a")
    desk.launcher.fail("t.a", "stopped because of its time limit", TIMEOUT)
    assert desk.settled("a") is JobState.ERROR
    assert desk.view("a").reason is FailureReason.CANCELLED
    desk.restart()
    desk.open("a")
    assert desk.view("a").reason is FailureReason.CANCELLED
    assert desk.started() == ["a", "b"]


@pytest.mark.parametrize("limit", [0, -1, float("inf"), float("nan"), "1", True])
def test_a_time_limit_is_a_number_of_minutes(limit):
    with pytest.raises(ConfigError, match="time_min is a number of minutes above 0"):
        LocalLauncher(time_min=limit)


def test_a_launcher_with_a_limit_is_stored_with_it():
    launcher = LocalLauncher(time_min=2)
    assert LocalLauncher.from_dict(launcher.as_dict()) == launcher
    assert "time_min" not in LocalLauncher().as_dict()


# -- real processes -----------------------------------------------------------------------------

SHORT = LocalLauncher(time_min=5 / 60)  # a job has begun by then, also on a machine that is busy


@pytest.mark.slow
def test_a_job_with_checkpoints_finishes_in_the_third_attempt(lab):
    xp = begin(lab, launcher=SHORT)
    task = Steps.C(steps=3).submit()
    task.wait(60)
    assert task.result() == [1, 2, 3]
    assert (task.job.view().attempt, task.job.retry_count) == (3, 2)
    assert [(p / "steps.failed").exists() for p in task.job.attempts] == [True, True]
    text = (task.job.attempts[0] / "steps.out").read_text()
    assert text.startswith("step 1, limited True")
    assert "cancelled with time left: True" in text
    assert [record.reason for record in map(_failure, task.job.attempts)] == [TIMEOUT] * 2
    assert xp.view().jobs[0].message == ""


def _failure(path):
    from xpm_nb.store.layout import JobPaths

    class There(JobPaths):
        failed = path / "steps.failed"

    return records.read_failed(There(path, "x", "0"))


@pytest.mark.slow
def test_a_job_that_stops_by_itself_and_one_that_is_not_resumable(lab):
    begin(lab)
    task = Graceful.C(times=2).submit()
    last = Graceful.C(times=9).submit(max_retries=1)
    task.wait(60)
    assert (task.result(), task.job.view().attempt) == (2, 3)
    assert last.wait(60) is JobState.ERROR
    view = last.job.view()
    assert (view.reason, view.attempt) == (TIMEOUT, 2)
    assert view.message == (
        "stopped because of its time limit: so much is done; it was run again once, as often as "
        "max_retries=1 allows: retry() goes on from there"
    )
    last.job.retry()
    assert last.wait(60) is JobState.ERROR
    assert last.job.view().attempt == 4


@pytest.mark.slow
def test_a_job_that_ignores_the_signal_is_killed(lab, monkeypatch):
    from xpm_nb.engine.settings import Settings

    monkeypatch.setattr(Settings.instance(), "grace_s", 0.5)
    begin(lab, launcher=SHORT, slots=2)
    deaf, stubborn = Deaf.C().submit(), Stubborn.C().submit()
    for task in (deaf, stubborn):
        assert task.wait(60) is JobState.ERROR
        assert task.job.view().reason is TIMEOUT
        assert not locks.held(task.job.entry.paths)
    assert stubborn.job.view().message.startswith("its time limit of 5 s was reached")
    assert Counter(lab.said()) == {"deaf": 1, "stubborn": 1}


@pytest.mark.slow
def test_a_kernel_that_is_killed_between_two_attempts(lab):
    code = (
        "from tests.engine.long_tasks import *\n"
        "from xpm_nb import LocalLauncher\n"
        "xp = begin(launcher=LocalLauncher(time_min=5 / 60))\n"
        "Steps.C(steps=3).submit()\nxp.wait()\n"
    )
    kernel = lab.kernel(code)
    until(lambda: "step 2" in lab.said())
    kernel.send_signal(signal.SIGKILL)
    kernel.wait(60)
    xp = begin(lab)  # without the launcher, and the class: what the records say
    xp.wait(60)
    (job,) = xp.jobs
    assert (job.state, job.view().attempt) == (JobState.DONE, 3)
    assert job.result() == [1, 2, 3]
    assert lab.said() == ["step 1", "step 2", "step 3"]


@pytest.mark.slow
def test_a_time_limit_holds_when_its_kernel_is_gone(lab):
    code = (
        "from tests.engine.long_tasks import *\n"
        "from xpm_nb import LocalLauncher\n"
        "xp = begin(launcher=LocalLauncher(time_min=5 / 60), slots=2)\n"
        "Steps.C(steps=2).submit(); Deaf.C().submit(); xp.wait()\n"
    )
    kernel = lab.kernel(code)
    until(lambda: set(lab.said()) == {"step 1", "deaf"})
    kernel.send_signal(signal.SIGKILL)
    kernel.wait(60)
    scripts = list(lab.workspace.glob("jobs/*/*/*.py"))
    assert len(scripts) == 2
    until(lambda: all(path.with_suffix(".failed").exists() for path in scripts))
    for path in scripts:
        until(lambda path=path: not locks.held(JobPaths.of(path.parent)))
        assert records.read_failed(JobPaths.of(path.parent)).reason is TIMEOUT
    xp = begin(lab)
    xp.wait(60)
    deaf, steps = sorted(xp.jobs, key=lambda job: job.view().attempt)
    assert (steps.state, steps.view().attempt, steps.result()) == (JobState.DONE, 2, [1, 2])
    assert (deaf.state, deaf.view().attempt) == (JobState.ERROR, 1)
    for job in (steps, deaf):
        assert "asked to end by itself, as no kernel did: timeout" in str(job.story())
    assert sorted(lab.said()) == ["deaf", "step 1", "step 2"]
