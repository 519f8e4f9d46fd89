"""What a dead job leaves behind, and what is said of how it died; with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.engine.orphan_tasks import Hungry, Leaves
from tests.engine.some_tasks import Learn
from tests.engine.test_real_jobs import begin, lab, until
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.store import locks, records

__all__ = ["lab"]
pytestmark = pytest.mark.slow

CGROUP = Path("/sys/fs/cgroup/memory")  # of version 1; in version 2 there are others


def left_by(task, note):
    """Wait for what the job forked; give its process and that of the job."""
    pid = int(until(lambda: note.exists() and note.read_text()))
    return pid, records.read_process(task.job._entry.paths).pid


def test_what_a_killed_job_forked_is_ended(lab):
    begin(lab, slots=2)
    note = lab.path / "note"
    task = Leaves.C(note=note).submit()
    child, job = left_by(task, note)
    fd = os.pidfd_open(child)
    os.kill(job, signal.SIGKILL)
    assert task.job.wait(30) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.LOST
    assert view.message == "its process was ended by signal 9 (SIGKILL)"
    assert records.read_failed(task.job._entry.paths).code == -9
    assert locks.start_of(child) is None
    assert not locks.held(task.job._entry.paths)
    os.close(fd)


def test_the_row_says_who_holds_the_lock_of_a_job_that_is_gone(lab):
    """A process that left the job's session is nobody's to kill: the user is told of it."""
    begin(lab, slots=2)
    note = lab.path / "note"
    task = Leaves.C(note=note, daemon=True).submit()
    child, job = left_by(task, note)
    try:
        os.kill(job, signal.SIGKILL)
        until(lambda: f"process {child} (" in task.job.view().message)
        view = task.job.view()
        assert view.message.startswith(f"held by process {child} (")
        assert "python -P leaves.py)" in view.message
        assert view.message.endswith("), which the job left behind: wait for it to end, or end it")
        assert Learn.C(lr=1).submit().job.wait(30) is JobState.DONE, "others go on"
        assert task.job.state is JobState.RUNNING, "nobody may begin there before that ends"
    finally:
        os.kill(child, signal.SIGKILL)
    assert task.job.wait(30) is JobState.ERROR
    assert "signal 9 (SIGKILL)" in task.job.view().message


@pytest.fixture
def group():
    """A group of processes with little memory, which only root can make."""
    path = CGROUP / f"xpm_nb-test-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(100 << 20))
    except OSError as error:
        pytest.skip(f"no group of processes with a limit can be made here: {error}")
    with contextlib.suppress(OSError):
        (path / "memory.memsw.limit_in_bytes").write_text(str(100 << 20))
    yield path
    until(lambda: not (path / "cgroup.procs").read_text())
    path.rmdir()


def test_a_guess_that_memory_ran_out(lab, group):
    begin(lab)
    task = Hungry.C(group=group).submit()
    assert task.job.wait(60) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.LOST
    start, _, hint = view.message.partition(": ")
    assert start == "its process was ended by signal 9 (SIGKILL)"
    assert hint.startswith("probably for want of memory, for which this machine killed just then")
    assert "it had used up to " in hint
