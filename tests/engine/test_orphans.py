"""What a dead job leaves behind, and what is said of how it died; with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.engine.lab import begin, until
from tests.engine.orphan_tasks import Hungry, Leaves
from tests.engine.some_tasks import Learn
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.store import locks, records, trial

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


def test_a_workspace_whose_file_system_does_not_lock_is_told_when_it_is_opened(lab, monkeypatch):
    monkeypatch.setattr(trial, "_tried", {os.stat(lab.path).st_dev: "it does not"})
    with pytest.warns(UserWarning, match="does not lock files as jobs need it"):
        begin(lab)
    assert Learn.C(lr=1).submit().job.wait(30) is JobState.DONE, "it can be used all the same"


def test_jobs_where_only_flock_is_there(lab, monkeypatch):
    """A machine without the better locks: two kernels, jobs that fork, one that is killed."""
    site = lab.path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from xpm_nb.store import locks\nlocks.kind_of_lock = lambda: 'flock'\n"
        "with open(__file__ + '.used', 'a') as file:\n    file.write('x')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.setattr(locks, "kind_of_lock", lambda: "flock")
    monkeypatch.setattr(trial, "_tried", {})
    begin(lab, slots=2)
    note = lab.path / "note"
    left, learn = Leaves.C(note=note).submit(), Learn.C(lr=1, gate=lab.gate).submit()
    child, job = left_by(left, note)
    until(lambda: "start 1.0" in lab.said())
    other = lab.kernel(
        f"sys.path.insert(0, {str(site)!r})\nimport sitecustomize\n"
        "xp = begin()\ntask = Learn.C(lr=1, gate=gate).submit()\n"
        "from xpm_nb.engine import loop\nassert loop.current().sync(30)\n"
        "assert task.state.value == 'running', task.job.view()\n"
        "open(gate, 'w').close()\nassert task.job.wait(60).value == 'done'\n"
    )
    assert other.wait(60) == 0
    assert learn.job.wait(30) is JobState.DONE
    os.kill(job, signal.SIGKILL)
    assert left.job.wait(30) is JobState.ERROR
    assert locks.start_of(child) is None
    assert lab.said() == ["start 1.0", "end 1.0"]
    assert (site / "sitecustomize.py.used").read_text() == "xxx", "two jobs and a kernel"
