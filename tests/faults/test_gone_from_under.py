"""A job runs, and its directory is deleted or renamed: no second process runs beside the first."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.engine.test_real_jobs import until
from tests.faults.fault_tasks import After, Good, Waits
from xpm_nb.core.states import JobState
from xpm_nb.store import records

pytestmark = pytest.mark.slow

DEEDS = {
    "its directory is deleted": lambda lab, path: shutil.rmtree(path),
    "the workspace is deleted": lambda lab, path: shutil.rmtree(lab.workspace),
    "its directory is renamed": lambda lab, path: path.rename(path.with_name("kept")),
    "what we know of it is deleted": lambda lab, path: shutil.rmtree(path / ".experimaestro"),
}


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("deed", DEEDS)
def test_the_next_kernel_waits_for_it(lab, deed, fail):
    """And what it wrote at its end is not taken for an end of the next attempt."""
    lab.begin()
    old = Waits.C(n=1, gate=lab.gate, fail=fail).submit()
    lab.wait_said("waits 1")
    first = records.read_process(old.job.entry.paths)
    lab.new_kernel()
    DEEDS[deed](lab, old.jobpath)
    lab.begin()
    new, other = Waits.C(n=1).submit(), Good.C(n=2).submit()
    after = After.C(of=new).submit()
    until(lambda: "deleted or renamed" in new.job.view().message)
    assert f"process {first.pid}, whose files" in new.job.view().message
    assert "wait for it to end, or end it" in new.job.view().message
    lab.others_finish(other)
    assert (lab.said().count("waits 1"), new.job.state) == (1, JobState.RUNNING)
    assert after.job.state is JobState.WAITING
    lab.open_gate()
    if deed == "what we know of it is deleted":  # what was submitted joined what ran
        assert new.job.wait(60) is JobState.ERROR
        assert "submit the task again" in new.job.view().message
        new, after = Waits.C(n=1).submit(), After.C(of=new).submit()
    assert new.job.wait(60) is JobState.DONE, new.job.story()
    assert (new.job.result(), lab.said().count("waits 1")) == (1, 2)
    assert records.read_process(new.job.entry.paths).pid != first.pid
    assert not new.job.entry.paths.failed.exists()
    assert after.job.wait(60) is JobState.DONE
    assert not list(lab.workspace.rglob("kept/*.done")), "it found no place that is a job's"
    assert lab.reopened()[new.job.identifier].state is JobState.DONE


FIRST = """
import json, time
from tests.faults.fault_tasks import *
xp = begin()
task = Waits.C(n=1, gate=gate).submit()
task.job.wait(60)
seen = [task.job.state.value, task.job.view().message]
if "hear" in sys.stdin.readline():
    while task.job.state.value != "done": time.sleep(0.01)
    print(json.dumps([seen, task.job.result()]))
else:
    print(json.dumps([seen, task.job.state.value]))
"""


@pytest.mark.parametrize("deed", [d for d in DEEDS if "what we know" not in d])
def test_two_kernels(lab, deed):
    """The one that started it says what became of it, the other runs it, and then both have it.

    But where the workspace is another one, that is none of the first one's.
    """
    kernel = lab.kernel(FIRST, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lab.wait_said("waits 1")
    task = Waits.C(n=1)
    lab.begin()
    old = task.submit()
    until(lambda: old.job.state is JobState.RUNNING)
    lab.new_kernel()
    DEEDS[deed](lab, old.jobpath)
    lab.begin()
    new = Waits.C(n=1).submit()
    until(lambda: "deleted or renamed" in new.job.view().message)
    lab.open_gate()
    assert new.job.wait(60) is JobState.DONE, new.job.story()
    other = deed == "the workspace is deleted"
    out, _ = kernel.communicate(b"leave\n" if other else b"hear\n", timeout=60)
    (state, message), result = json.loads(out)
    assert lab.said().count("waits 1") == 2
    assert result == ("error" if other else 1)
    if other:
        assert "it was moved or deleted while it was open" in message
    elif state == "error":  # it may also have seen the next attempt begin, and followed that
        assert "deleted or renamed" in message
