"""Jobs that fork, become daemons, close everything, end in ways of their own, or lie."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest

from tests.engine.lab import until
from tests.faults.fault_tasks import (
    After,
    Closes,
    Daemonizes,
    Early,
    Ends,
    Forks,
    Good,
    Stubborn,
    Waits,
)
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import loop
from xpm_nb.engine.loop import Loop
from xpm_nb.store import locks, records

pytestmark = pytest.mark.slow

ENDS = {
    "0": (FailureReason.FAILED, "ended without finishing (exit code 0)"),
    "3": (FailureReason.FAILED, "its process ended with exit code 3"),
    "kill": (FailureReason.LOST, "signal 9"),
    "raise": (FailureReason.FAILED, "ValueError: on purpose"),
    "exit": (FailureReason.FAILED, "ended without finishing: sys.exit(3)"),
}


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("how", ENDS)
def test_ends_of_its_own(lab, how, marker):
    """The marker that a job writes itself does not make it done, now or in a later kernel."""
    lab.begin()
    other, task = Good.C(n=1).submit(), Ends.C(how=how, marker=marker).submit()
    after = After.C(of=task).submit()
    assert task.job.wait(60) is JobState.ERROR
    reason, message = ENDS[how]
    assert task.job.view().reason is reason
    assert message in task.job.view().message
    assert after.job.wait(60) is JobState.ERROR
    assert "after" not in lab.said()
    lab.others_finish(other)
    found = lab.reopened()[task.job.identifier]
    assert (found.state, found.reason) == (JobState.ERROR, reason)
    assert message in found.message
    assert Counter(lab.said())[f"ends {how}"] == 1


def test_its_own_marker_and_a_good_end(lab):
    lab.begin()
    task = Ends.C(how="well", marker=True).submit()
    assert task.result() == "well"
    assert lab.reopened()[task.job.identifier].state is JobState.DONE


def test_its_own_marker_while_it_runs(lab):
    """What needs it waits until it has really ended, also in another kernel."""
    lab.begin()
    task = Early.C(gate=lab.gate).submit()
    after = After.C(of=task).submit()
    lab.wait_said("early")
    other = lab.kernel(
        "from tests.faults.fault_tasks import *\n"
        "xp = begin()\ntask = Early.C(gate=gate).submit()\n"
        "from xpm_nb.engine import loop\nassert loop.current().sync(30)\n"
        "assert task.state.value == 'running', task.job.view()\n"
        "open(gate, 'w').close()\n"
        "assert task.job.wait(60).value == 'error'\n"
    )
    assert other.wait(60) == 0
    assert task.job.wait(60) is JobState.ERROR
    assert "it was not" in task.job.view().message
    assert after.job.wait(60) is JobState.ERROR
    assert lab.said() == ["early", "late"]
    lab.others_finish()


def test_a_marker_that_a_killed_kernel_left_to_be_judged(lab):
    """Nobody looked when the job ended: the next kernel is not taken in either."""
    code = (
        "from tests.faults.fault_tasks import *\n"
        "xp = begin()\ntask = Early.C(gate=gate).submit()\n"
        "from xpm_nb.engine import loop\nassert loop.current().sync(30)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert lab.kernel(code).wait(60) == -signal.SIGKILL
    lab.wait_said("early")
    xp = lab.begin()
    (job,) = xp.jobs
    assert job.state is JobState.RUNNING
    os.killpg(records.read_process(job.entry.paths).pid, signal.SIGKILL)
    assert job.wait(60) is JobState.ERROR
    assert job.view().reason is FailureReason.LOST
    lab.others_finish()


def test_a_worker_that_is_left_does_not_hold_up_its_job(lab):
    lab.begin()
    task, other = Forks.C(seconds=120).submit(), Good.C(n=1).submit()
    assert task.result() == "forked"

    def workers():
        return [int(line.split()[1]) for line in lab.said() if line.startswith("worker")]

    (first,) = workers()
    lab.others_finish(other)
    task.job.rerun()
    assert task.job.wait(60) is JobState.DONE, "what is left of it was ended first"
    assert locks.start_of(first) is None
    _, second = workers()
    os.kill(second, signal.SIGKILL)


def test_a_daemon_has_the_job_until_it_ends(lab):
    """Its process is gone and somebody has its lock: nobody starts it a second time."""
    lab.begin()
    task, other = Daemonizes.C(gate=lab.gate).submit(), Good.C(n=1).submit()
    until(lambda: any(line.startswith("daemon") for line in lab.said()))
    lab.others_finish(other)
    assert task.state is JobState.RUNNING
    second = lab.kernel(
        "from tests.faults.fault_tasks import *\n"
        "xp = begin()\ntask = Daemonizes.C(gate=gate).submit()\n"
        "from xpm_nb.engine import loop\nassert loop.current().sync(30)\n"
        "assert task.state.value == 'running', task.job.view()\n"
    )
    assert second.wait(60) == 0
    lab.open_gate()
    assert task.job.wait(60) is JobState.ERROR
    assert "ended without finishing" in task.job.view().message
    assert sum(line.startswith("daemon ") and line != "daemon ends" for line in lab.said()) == 1
    lab.others_finish()


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_daemon_that_is_cancelled_is_ended(lab, deaf, elsewhere):
    """It has left its job's session: it is known by the lock that it holds, in each kernel."""
    loop.use(Loop(slots=2, grace_s=0.5))
    lab.begin()
    task, other = Daemonizes.C(gate=lab.gate, deaf=deaf).submit(), Good.C(n=1).submit()
    (line,) = until(lambda: [s for s in lab.said() if re.fullmatch(r"daemon \d+", s)])
    daemon = int(line.split()[1])
    if elsewhere:
        lab.new_kernel()
        loop.use(Loop(slots=2, grace_s=0.5))
        (job,) = [job for job in lab.begin().jobs if job.identifier == task.job.identifier]
    else:
        job = task.job
    assert job.state is JobState.RUNNING
    job.cancel()
    assert job.wait(60) is JobState.ERROR
    assert job.view().reason is FailureReason.CANCELLED, job.view()
    assert locks.start_of(daemon) is None
    assert not locks.held(job.entry.paths)
    assert "daemon ends" not in lab.said()
    if elsewhere:
        lab.others_finish()
    else:
        lab.others_finish(other)
    job.retry()
    until(lambda: len([s for s in lab.said() if re.fullmatch(r"daemon \d+", s)]) == 2)
    lab.open_gate()
    assert job.wait(60) is JobState.ERROR


@pytest.mark.parametrize("streams", [False, True])
def test_a_job_that_closes_its_descriptors_is_not_started_twice(lab, streams):
    """With them goes its lock; that its process lives is known all the same."""
    lab.begin()
    task = Closes.C(gate=lab.gate, streams=streams).submit()
    lab.wait_said("closed")
    assert not locks.held(task.job.entry.paths)
    other = lab.kernel(
        "from tests.faults.fault_tasks import *\n"
        f"xp = begin()\ntask = Closes.C(gate=gate, streams={streams}).submit()\n"
        "from xpm_nb.engine import loop\nassert loop.current().sync(30)\n"
        "assert task.state.value == 'running', task.job.view()\n"
        "open(gate, 'w').close()\n"
        "sys.exit(0 if task.result() == 'closed' else 1)\n"
    )
    assert other.wait(60) == 0
    assert task.job.wait(60) is JobState.DONE, task.job.view()
    assert lab.said() == ["closes", "closed", "ends"]
    lab.others_finish()


def test_a_job_that_does_not_end_when_asked_is_killed_and_says_so(lab):
    loop.use(Loop(slots=2, grace_s=0.3))
    lab.begin()
    task, other = Stubborn.C().submit(), Waits.C(n=1, gate=lab.gate).submit()
    after = After.C(of=task).submit()
    lab.wait_said("stubborn", "waits 1")
    process = records.read_process(task.job.entry.paths)
    task.job.cancel()
    assert task.job.wait(60) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.CANCELLED
    said = "cancelled: it did not end within 0.3 s of being asked, and was killed"
    assert view.message == said
    assert not locks.alive(process)
    assert after.job.wait(60) is JobState.ERROR
    lab.open_gate()
    lab.others_finish(other)
    assert lab.reopened()[task.job.identifier].message == said
