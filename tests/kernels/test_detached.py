"""An experiment goes on without its kernel: real kernels that are killed, and a referee."""

from __future__ import annotations

import os
import signal

import pytest

from tests.kernels.test_long_tasks import STEPS
from tests.kernels.test_tokens import TURN, rows
from xpm_nb.store import locks, told
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

# None ends before the gate is open.
CHAINS = """
class Step(Task):
    n: Param[int]
    before: Param["Step | None"] = None
    def execute(self):
        while not os.path.exists(os.environ["XPM_TEST_LOG"] + ".gate"):
            time.sleep(0.01)
        return self.n

xp = start("digits", slots=2)
steps = []
for i in range(10):
    one = Step.C(n=i).submit()
    two = Step.C(n=100 + i, before=one).submit()
    steps += [one, two, Step.C(n=200 + i, before=two).submit()]
"""

# Jobs that end one by one, when they are told to.
WAITS = """
def say(text):
    with open(os.environ["XPM_TEST_LOG"], "a") as log:
        log.write(text + "\\n")

class Waits(Task):
    n: Param[int]
    folder: Meta[str]
    before: Param["Waits | None"] = None
    def execute(self):
        say(f"waits {self.n}")
        while not (Path(self.folder) / f"gate-{self.n}").exists():
            time.sleep(0.01)

folder = os.path.dirname(os.environ["XPM_TEST_LOG"])
"""
SUBMIT = """
xp = start("digits", slots=2)
tasks = [Waits.C(n=n, folder=folder).submit() for n in range(3)]
tasks += [Waits.C(n=n, folder=folder, before=tasks[1]).submit() for n in (3, 4)]
"""


def open_gate(lab, *numbers):
    for n in numbers:
        (lab.path / f"gate-{n}").touch()


def open_chains(lab):
    lab.log.with_name(f"{lab.log.name}.gate").touch()


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
    open_chains(lab)
    ended = lab.wait_for(lambda: told.finisher(apart) is None and apart.process.exists())
    assert ended
    started = lab.started()
    assert len(started) == 30
    assert set(started.values()) == {1}
    assert len(told.read_promised(apart)[0].callbacks) == 30

    second = lab.kernel()
    told_of = second.run('xp = start("digits")').stderr
    assert "callbacks are not called, as the kernel that had them is gone" in told_of
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
    open_chains(lab)
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
    open_chains(lab)
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
    open_chains(lab)
    lab.wait_for(lambda: told.finisher(apart) is None)
    started = lab.started()
    assert len(started) == 38
    assert set(started.values()) == {1}


def test_a_cancelled_job_is_not_started_elsewhere(lab, apart):
    kernel = lab.kernel()
    kernel.run(CHAINS)
    kernel.run("xp.detach(); xp.cancel(steps[-2], steps[-5])")
    open_chains(lab)
    kernel.run("xp.wait()")
    lab.wait_for(lambda: told.finisher(apart) is None)
    assert kernel.value("[s.state.value for s in steps].count('error')") == 4
    assert len(lab.started()) == 26


def test_a_notebook_is_offered_what_is_not_finished(lab):
    first = lab.kernel(XPM_NOTEBOOK="/n/digits.ipynb")
    first.run(CHAINS)
    first.run("assert xp._loop.sync(60)")
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
    open_chains(lab)
    one.run("xp.wait()")
    for kernel in (one, two, three):
        kernel.run("xp.wait()")
        assert states(kernel) == ["done"]
    assert set(lab.started().values()) == {1}
    assert len(lab.started()) == 30


def test_tokens_while_jobs_change_hands(lab, apart):
    """Kernel, finisher and the next kernel count the same units, whoever dies."""
    first, second = lab.kernel(), lab.kernel()
    first.run(TURN)
    first.run(
        'xp = start("digits", slots=4); token = xp.token("turn", 2)\n'
        "gate = os.environ['XPM_TEST_LOG'] + '.gate'\n"
        "more = [{}] * 14 + [{'gate': gate}] * 10\n"
        "turns = [token(1, Turn.C(n=n, total=2, **more[n])).submit() for n in range(24)]"
    )
    lab.wait_for(lambda: rows(lab, "begin"))
    first.run("xp.detach()")
    lab.wait_for(lambda: len(rows(lab, "end")) > 2)
    first.kill()
    lab.wait_for(lambda: len(rows(lab, "end")) > 8)
    second.run('xp = start("digits", slots=4)')
    process = told.finisher(apart)
    assert process is not None, "it has jobs yet"
    assert second.value("xp.detached.stop()") is True
    assert not locks.alive(process)
    assert "is left, as this process was asked to end" in apart.log.read_text()
    open_chains(lab)
    second.run("xp.wait(timeout_s=60)")
    assert states(second) == ["done"]
    assert len(rows(lab, "begin")) == len(rows(lab, "end")) == 24
    assert not rows(lab, "overlap")
    assert max(lab.started().values()) == 1


def test_a_job_fails_once_and_is_run_again_with_the_kernel_gone(lab, apart):
    kernel = lab.kernel()
    kernel.run(STEPS)
    kernel.run(
        'xp = start("digits"); limit = LocalLauncher(time_min=6 / 60)\n'
        "steps = [Steps.C(steps=n).submit(launcher=limit, max_retries=1) for n in (2, 3)]"
    )
    lab.wait_for(lambda: len(lab.said()) == 2)  # both run: nothing waits, but for their next times
    assert "the time limits of 2 jobs are left to" in kernel.run("xp.detach()").result
    kernel.kill()
    lab.wait_for(lambda: told.finisher(apart) is None)
    assert sorted(lab.said()) == ["step 1", "step 1", "step 2", "step 2"]
    assert "error     Steps" in apart.log.read_text()
    later = lab.kernel()
    later.run('xp = start("digits"); done, failed = xp.jobs')
    assert later.value("[done.state.value, done.view().attempt]") == ["done", 2]
    assert later.value("failed.view().message").startswith(
        "its time limit of 6 s was reached; it was run again once"
    )


def test_callbacks_of_a_kernel_that_is_gone(lab, apart):
    """Of jobs that were still to end when it went; what it could call is not told of."""
    first = lab.kernel()
    first.run(WAITS + SUBMIT)
    first.run(
        "def note(): say('called')\ndef change(view): pass\n"
        "for task in tasks: task.on_completed(note)\n"
        "tasks[1].on_state(change)\nxp.detach()"
    )
    open_gate(lab, 0)
    lab.wait_for(lambda: "called" in lab.said())
    lab.wait_for(lambda: len(told.read_promised(apart)[0].callbacks) == 5)  # that is noted, too
    first.kill()
    open_gate(lab, 1)
    second = lab.kernel()
    said = second.run('xp = start("digits")').stderr
    assert "5 callbacks are not called, as the kernel that had them is gone: " in said
    assert said.count("on_completed(note) of ") + said.count("on_state(change) of ") == 3
    assert "and 2 more; run the cells again that register them" in said
    assert second.run('xp.close(); xp = start("digits")').stderr == "", "it is said once"
    second.run(WAITS + SUBMIT)
    second.run("def again(): say('again')\nfor task in tasks[2:]: task.on_completed(again)")
    open_gate(lab, 2, 3, 4)
    second.run("xp.wait(timeout_s=60)")
    lab.wait_for(lambda: lab.said().count("again") == 3)
    lab.wait_for(lambda: told.finisher(apart) is None)
    assert second.run('xp.close(); xp = start("digits")').stderr == ""
    assert lab.said().count("called") == 1


def test_a_job_is_cancelled_from_another_kernel_and_the_owner_is_told(lab):
    owner, other = lab.kernel(), lab.kernel()
    owner.run(WAITS + SUBMIT)
    lab.wait_for(lambda: len(lab.said()) == 2)
    other.run('xp = start("digits", slots=2)')
    owner.run("seen = []; tasks[0].on_state(lambda view: seen.append(view.state.value))")
    running, waiting = owner.value("[tasks[0].job.identifier, tasks[4].job.identifier]")
    other.run(f"xp.cancel({running!r}, {waiting!r}); xp[{running!r}].wait(timeout_s=60)")
    other.run(f"xp[{waiting!r}].wait(timeout_s=60)")
    owner.run("tasks[0].wait(timeout_s=60); tasks[4].wait(timeout_s=60)")
    lab.wait_for(lambda: owner.value("seen") == ["error"])
    pid = other.pid
    assert owner.value("tasks[0].job.view().message") == f"cancelled by process {pid}"
    assert owner.value("tasks[4].job.view().message") == f"cancelled by process {pid}"
    for kernel in (owner, other):
        reasons = f"[xp[key].view().reason.value for key in ({running!r}, {waiting!r})]"
        assert kernel.value(reasons) == ["cancelled", "cancelled"]
    assert other.value(f"xp[{running!r}].view().message") == "cancelled"
    open_gate(lab, 1, 2, 3)
    owner.run("xp.wait(timeout_s=60)")
    other.run("xp.wait(timeout_s=60)")
    for kernel in (owner, other):
        assert kernel.value("sorted(job.state.value for job in xp.jobs)") == [
            *["done"] * 3,
            *["error"] * 2,
        ]
    assert set(lab.started().values()) == {1}
    assert len(lab.started()) == 4, "what waited was never started"
