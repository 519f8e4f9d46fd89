"""An experiment goes on without its kernel: real kernels that are killed, and a referee."""

from __future__ import annotations

import json
import os
import signal

import pytest

from xpm_nb.store import locks, told
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

CHAINS = """
class Step(Task):
    n: Param[int]
    before: Param["Step | None"] = None
    def execute(self):
        time.sleep(0.1)
        return self.n

xp = start("digits", slots=2)
steps = []
for i in range(10):
    one = Step.C(n=i).submit()
    two = Step.C(n=100 + i, before=one).submit()
    steps += [one, two, Step.C(n=200 + i, before=two).submit()]
"""


def place_of(lab):
    return Workspace(lab.workspace).experiment("digits").detached


@pytest.fixture
def apart(lab):
    """The place of the detached process, which is ended with the test."""
    place = place_of(lab)
    yield place
    if (process := told.finisher(place)) is not None:
        os.kill(process.pid, signal.SIGKILL)
        lab.wait_for(lambda: not locks.alive(process))


def states(kernel) -> list[str]:
    return sorted({*kernel.value("[job.state.value for job in xp.jobs]")})


def test_a_plan_is_finished_with_the_kernel_gone(lab, apart):
    first = lab.kernel()
    first.run(CHAINS)
    first.run("def note(): pass\nfor step in steps: step.on_completed(note)")
    answer = first.run("%xpm detach")
    assert "left to the detached process" in answer.result
    assert "callbacks are called only while this kernel lives (on_completed(note))" in answer.result
    assert "starts what waits" in first.run("print(xp)").stdout
    first.kill()
    ended = lab.wait_for(lambda: told.finisher(apart) is None and apart.process.exists())
    assert ended
    started = lab.started()
    assert len(started) == 30
    assert set(started.values()) == {1}
    assert json.loads(apart.handed.read_text())["callbacks"]

    second = lab.kernel()
    told_of = second.run('xp = start("digits")').stderr
    assert "not called, as the kernel that had them was gone" in told_of
    assert states(second) == ["done"]
    assert second.value("len(xp.jobs)") == 30
    second.run("xp.wait()")
    assert lab.started() == started
    assert second.run('xp.close(); xp = start("digits")').stderr == ""


def test_a_later_kernel_watches_and_takes_over(lab, apart):
    first = lab.kernel()
    first.run(CHAINS)
    first.run("xp.detach()")
    first.kill()
    second = lab.kernel()
    second.run('xp = start("digits", slots=2)')
    process = told.finisher(apart)
    assert process is not None
    second.run("xp.detached.stop()")
    lab.wait_for(lambda: not locks.alive(process))
    second.run("xp.wait()")
    assert states(second) == ["done"]
    assert set(lab.started().values()) == {1}
    assert second.value("xp.detached is None")


def test_what_cannot_be_handed_over_is_said(lab, apart):
    kernel = lab.kernel()
    kernel.run('xp = start("digits", slots=1)')
    assert "there is nothing to hand over" in kernel.run("%xpm detach").result
    assert not apart.path.exists()
    kernel.run(CHAINS)
    kernel.run("first = xp.detach()")
    assert kernel.run("xp.detach()").result.startswith(
        f"digits: process {kernel.value('first.pid')} has all that waits"
    )
    kernel.run("late = Step.C(n=1000).submit(); late.wait(); xp.wait()")
    assert states(kernel) == ["done"]
    refused = kernel.fails('start("looked", run_mode=RunMode.DRY_RUN).detach()')
    assert "only looked at" in refused.error


def test_what_is_submitted_later_is_handed_over_too(lab, apart):
    kernel = lab.kernel()
    kernel.run(CHAINS)
    kernel.run("xp.detach()")
    kernel.run("xp.slots = 1\nlate = [Step.C(n=1000 + i).submit() for i in range(8)]")
    answer = kernel.run("xp.detach()")
    assert "are left to the detached process that runs already" in answer.result
    kernel.kill()
    lab.wait_for(lambda: told.finisher(apart) is None)
    started = lab.started()
    assert len(started) == 38
    assert set(started.values()) == {1}


def test_a_cancelled_job_is_not_started_elsewhere(lab, apart):
    kernel = lab.kernel()
    kernel.run(CHAINS)
    kernel.run("xp.detach(); xp.cancel(steps[-2], steps[-5])")
    kernel.run("xp.wait()")
    lab.wait_for(lambda: told.finisher(apart) is None)
    assert kernel.value("[s.state.value for s in steps].count('error')") == 4
    assert len(lab.started()) == 26


def test_a_notebook_is_offered_what_is_not_finished(lab):
    first = lab.kernel(XPM_NOTEBOOK="/n/digits.ipynb")
    first.run(CHAINS.replace("0.1", "60"))
    first.run("xp._loop.sync(10)")
    lab.wait_for(lambda: len(lab.started()) == 2)
    lab.wait_for(lambda: list(lab.workspace.glob("experiments/digits/xpm_nb/*/environment.json")))
    first.kill()
    mine = lab.kernel(load=False, XPM_NOTEBOOK="/n/digits.ipynb")
    assert mine.run("%load_ext xpm_nb").stdout == (
        "digits: 2 running, 28 waiting: %xpm start digits\n"
    )
    other = lab.kernel(load=False, XPM_NOTEBOOK="/n/other.ipynb")
    assert other.run("%load_ext xpm_nb").stdout == ""


def test_three_kernels_see_each_others_jobs(lab):
    one, two, three = lab.kernel(), lab.kernel(), lab.kernel()
    two.run('xp = start("digits", slots=2)')
    three.run('xp = start("digits", slots=2)')
    one.run(CHAINS)
    lab.wait_for(lambda: two.value("len(xp.jobs)") == three.value("len(xp.jobs)") == 30)
    one.run("xp.wait()")
    for kernel in (one, two, three):
        kernel.run("xp.wait()")
        assert states(kernel) == ["done"]
    assert set(lab.started().values()) == {1}
    assert len(lab.started()) == 30
