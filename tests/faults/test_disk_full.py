"""A disk that is full."""

from __future__ import annotations

import pytest

from tests.faults.conftest import fill
from tests.faults.fault_tasks import After, Fills, Good, Prints, Waits
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.opening import start
from xpm_nb.errors import WorkspaceError

pytestmark = pytest.mark.slow


def test_full_at_submit(lab, small_disk):
    xp = lab.begin()
    runs = Waits.C(n=0, gate=lab.gate).submit()
    lab.wait_said("waits 0")
    ballast = fill(small_disk)
    task = Good.C(n=1).submit()
    after = After.C(of=task).submit()
    assert task.job.wait(30) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.REJECTED
    assert "No space left on device: make room on the disk of" in view.message
    assert after.job.wait(30) is JobState.ERROR
    ballast.unlink()
    lab.open_gate()
    lab.others_finish(runs)
    xp.retry()
    xp.wait(60)
    assert {job.state for job in xp.jobs} == {JobState.DONE}


def test_full_in_the_output_of_a_job(lab, small_disk):
    lab.begin()
    task = Prints.C(mb=8).submit()
    assert task.job.wait(60) is JobState.ERROR
    view = task.job.view()
    # What was written can be read, and the reason stands at the row, whether it found room or not.
    assert "No space left on device" in view.message or "is full: make room" in view.message
    assert task.job.log(n=1).startswith("x")
    task.job.stdout().unlink()
    assert not (small_disk / "ballast").exists()
    lab.others_finish()
    assert lab.reopened()[task.job.identifier].state is JobState.ERROR


@pytest.mark.parametrize("fail", [False, True])
def test_full_at_the_end_of_a_job(lab, small_disk, fail):
    """A result that could not be written is none, and a failure is one all the same."""
    lab.begin()
    task, other = Fills.C(fail=fail).submit(), Good.C(n=1)
    assert task.job.wait(60) is JobState.ERROR
    view = task.job.view()
    assert "No space left" in view.message or "make room" in view.message, view.message
    other.submit()
    assert other.job.wait(30) is JobState.ERROR
    assert "make room" in other.job.view().message
    (task.jobpath / "all").unlink()
    lab.others_finish()
    found = lab.reopened()[task.job.identifier]
    assert found.state is JobState.ERROR


def test_a_job_without_result_is_done_on_a_full_disk(lab, small_disk):
    """Its marker is empty: there is room for that, or it says that there was none."""
    lab.begin()
    task = Fills.C(fail=False, result=False).submit()
    state = task.job.wait(60)
    view = task.job.view()
    assert state is JobState.DONE or "make room" in view.message, view
    (task.jobpath / "all").unlink()
    lab.others_finish()
    assert lab.reopened()[task.job.identifier].state is state


def test_full_at_start(lab, small_disk):
    fill(small_disk)
    lab.workspace = small_disk / "deeper"
    lab.workspace.mkdir()
    try:
        xp = lab.begin()
    except WorkspaceError as error:
        assert "No space left" in str(error)  # noqa: PT017  (either is right)
    else:
        task = Good.C(n=1).submit()
        assert task.job.wait(30) is JobState.ERROR
        assert "make room" in task.job.view().message
        xp.close()
    (small_disk / "ballast").unlink()
    assert start("y", workspace=lab.workspace).name == "y"
    lab.others_finish()
