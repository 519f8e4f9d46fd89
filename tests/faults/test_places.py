"""Workspaces that move, directories that are deleted or cannot be written, while jobs run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.engine.lab import REPOSITORY
from tests.faults.fault_tasks import After, Good, Waits
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.opening import start

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fail", [False, True])
def test_a_workspace_that_is_moved_while_open(lab, fail):
    """Its jobs end where it is now; here they are told lost, and nothing is made anew."""
    xp = lab.begin(slots=1)
    task = Waits.C(n=1, gate=lab.gate, fail=fail).submit()
    waiting = Good.C(n=2).submit()
    after = After.C(of=task).submit()
    lab.wait_said("waits 1")
    moved = lab.path / "moved"
    lab.workspace.rename(moved)
    late = Good.C(n=3).submit()
    lab.open_gate()
    xp.wait(60)
    gone = f"the workspace {lab.workspace} is not there any more: it was moved or deleted"
    for job in (task.job, waiting.job, late.job):
        assert (job.state, gone in job.view().message) == (JobState.ERROR, True), job.view()
    assert task.job.view().reason is FailureReason.LOST
    assert after.job.view().reason is FailureReason.DEPENDENCY
    assert not os.path.lexists(lab.workspace), "nothing is made at the old place"

    there = start("there", workspace=lab.path / "ws2")  # the scheduler lives
    there.submit(Good.C(n=4))
    there.wait(60)
    assert [job.state for job in there.jobs] == [JobState.DONE]
    there.close()

    lab.new_kernel()
    lab.workspace = moved
    again = lab.begin()
    again.wait(60)
    states = {job.identifier: job.state for job in again.jobs}
    assert states[task.job.identifier] is (JobState.ERROR if fail else JobState.DONE)
    assert states[waiting.job.identifier] is JobState.DONE
    found = again[task.job.identifier]
    if fail:
        assert "ValueError: after the wait" in found.view().message
    else:
        assert (found.result(), dict(found.view().metrics)) == (1, {"n": 1})
    assert lab.said().count("waits 1") == 1
    assert states.get(after.job.identifier) is (JobState.ERROR if fail else JobState.DONE)


def test_put_back_it_goes_on(lab):
    xp = lab.begin(slots=1)
    task = Waits.C(n=1, gate=lab.gate).submit()
    lab.wait_said("waits 1")
    away = lab.path / "away"
    lab.workspace.rename(away)
    refused = Good.C(n=2).submit()
    assert refused.job.wait(30) is JobState.ERROR
    away.rename(lab.workspace)
    lab.open_gate()
    assert task.job.wait(30) is JobState.DONE
    xp.retry()
    xp.wait(60)
    assert refused.job.state is JobState.DONE


@pytest.mark.parametrize("fail", [False, True])
def test_a_directory_that_is_deleted_while_its_job_runs(lab, fail):
    lab.begin()
    task, other = Waits.C(n=1, gate=lab.gate, fail=fail).submit(), Good.C(n=2).submit()
    after = After.C(of=task).submit()
    lab.wait_said("waits 1")
    shutil.rmtree(task.jobpath)
    assert Waits.C(n=1, gate=lab.gate).submit().job is task.job, "joined: it still runs"
    lab.open_gate()
    assert task.job.wait(60) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.LOST
    assert "its directory is not there any more" in view.message
    assert "submit the task again" in view.message
    assert after.job.wait(30) is JobState.ERROR
    assert not task.jobpath.exists(), "nobody makes half of it anew"
    lab.others_finish(other)
    again = Waits.C(n=1, gate=lab.gate).submit()
    assert again.job.wait(60) is JobState.DONE
    assert lab.said().count("waits 1") == 2


def test_a_directory_that_is_deleted_while_its_job_waits(lab):
    lab.begin(slots=1)
    first, task = Waits.C(n=1, gate=lab.gate).submit(), Good.C(n=2).submit()
    lab.wait_said("waits 1")
    shutil.rmtree(task.jobpath)
    lab.open_gate()
    assert task.job.wait(60) is JobState.DONE, "it is written again: the kernel knows it"
    lab.others_finish(first)


READ_ONLY = """
import os, sys
from pathlib import Path
from tests.faults.fault_tasks import *
from xpm_nb import start
root, gate, what = sys.argv[1:]
xp = start("x", workspace=root, slots=2)
run = Waits.C(n=1, gate=gate).submit()
while not Path(root, "said").exists() or "waits 1" not in Path(root, "said").read_text():
    pass
waits = Good.C(n=2)
place = {"jobs": xp.workspace.jobs_dir / "tests.faults.fault_tasks.good", "run": run.jobpath,
         "experiments": xp._run.paths.path}[what]
place.mkdir(exist_ok=True)
hidden = [place, *place.rglob("*")] if what == "run" else [*place.rglob("*"), place]
for path in hidden:
    path.chmod(0o555 if path.is_dir() else 0o444)
waits.submit()
Path(gate).touch()
xp.wait(60)
print([waits.job.state.value, waits.job.view().message])
print([run.job.state.value, run.job.view().message])
for path in reversed(hidden):
    path.chmod(0o755 if path.is_dir() else 0o644)
other = Good.C(n=3).submit()
print(other.job.wait(60).value)
xp.retry(); xp.wait(60)
print([job.state.value for job in xp.jobs])
"""


@pytest.mark.parametrize("what", ["jobs", "run", "experiments"])
def test_a_directory_that_cannot_be_written(tmp_path, what):
    """Modes count for whoever is not root, or gives up that right of root."""
    root = tmp_path / "ws"
    root.mkdir()
    command = [sys.executable, "-c", READ_ONLY, str(root), str(root / "gate"), what]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("nothing is read-only for root, and setpriv is not there to change that")
        less = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--inh-caps={less}", f"--bounding-set={less}", "--", *command]
    env = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(root),
        "XPM_TEST_LOG": str(root / "said"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        command,
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    waits, run, other, states = done.stdout.splitlines()
    assert other == "done", "the scheduler lives"
    if what == "run":
        assert waits == "['done', '']"
        assert "cannot be written: make it writable" in run
        assert "error" in run
    else:
        assert "Permission denied: make " in waits, waits
        assert run == "['done', '']"
    assert set(eval(states)) == {"done"}
