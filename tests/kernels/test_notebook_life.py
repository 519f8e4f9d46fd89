"""What happens to jobs when cells are re-run, kernels die, and classes are re-defined."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nbformat
import pytest

from tests.kernels.conftest import rehearse

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_experiment.ipynb"

THREADS = "import threading; print(sum(t.name == 'xpm-scheduler' for t in threading.enumerate()))"

# Ctrl-C, when the cell is in the wait.
INTERRUPT = """
import signal, sys, threading, traceback

def interrupt_the_wait():
    main = threading.main_thread().ident

    def act():
        frame = lambda: sys._current_frames()[main]
        while "wait_for" not in [f.f_code.co_name for f, _ in traceback.walk_stack(frame())]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=act).start()
"""

# Each job says when it runs, and stays until a file appears (or not, without a gate).
GATED = """
class Gated(Task):
    n: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        import os, time
        with open(os.environ["XPM_TEST_LOG"], "a") as log:
            log.write(f"start {self.n}\\n")
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.02)
        with open(os.environ["XPM_TEST_LOG"], "a") as log:
            log.write(f"end {self.n}\\n")
        return self.n * 10
"""

AFTER = """
class After(Task):
    before: Param[Gated]

    def execute(self):
        import os
        with open(os.environ["XPM_TEST_LOG"], "a") as log:
            log.write(f"after {self.before.n}\\n")
        return 1
"""


def code_cells(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_the_example_twice_in_one_kernel(lab):
    kernel = lab.kernel(load=False, XPM_WORKSPACE=str(lab.workspace))
    cells = code_cells(NOTEBOOK)
    threads, figures = [], []
    for _ in range(2):
        for cell in cells:
            kernel.run(cell, timeout_s=200)
        threads.append(kernel.run(THREADS).stdout.strip())
        figures.append(kernel.run("print(xp.table())").stdout)
    started = lab.started()
    assert len(started) >= 14
    assert set(started.values()) == {1}, "an identifier was executed twice"
    assert threads == ["1", "1"]
    assert figures[0] == figures[1]
    for task in ("split", "train", "evaluate"):
        rehearse(next(lab.workspace.glob(f"jobs/digits.{task}/*")))


def test_killed_kernel_running_jobs_are_attached_and_waiting_ones_start(lab):
    gate = lab.path / "gate"
    first = lab.kernel()
    first.run(GATED + AFTER)
    first.run(
        "xp = start('survivors', slots=1)\n"
        f"jobs = [Gated.C(n=n, gate={str(gate)!r}).submit() for n in range(3)]\n"
        "jobs.append(After.C(before=jobs[0]).submit())"
    )
    lab.wait_for(lambda: lab.said() == ["start 0"])
    identifiers = first.value("[job.job.identifier for job in jobs]")
    first.run("assert xp._loop.sync(60)")  # all that was submitted is written
    first.kill()

    second = lab.kernel()
    second.run("xp = start('survivors', slots=1)")
    states = second.value("[job.state.value for job in xp.jobs]")
    assert sorted(states) == ["ready", "ready", "running", "waiting"]
    gate.touch()
    second.run("xp.wait(timeout_s=60)")
    assert second.value("[job.state.value for job in xp.jobs]") == ["done"] * 4
    assert second.value("sorted(job.result() for job in xp.jobs)") == [0, 1, 10, 20]
    lines = [f"{what} {n}" for n in range(3) for what in ("start", "end")]
    assert Counter(lab.said()) == Counter([*lines, "after 0"])
    assert lab.said().index("end 0") < lab.said().index("after 0")
    assert lab.started() == Counter(identifiers)


def test_interrupting_a_wait_leaves_the_jobs_alone(lab):
    gate = lab.path / "gate"
    kernel = lab.kernel()
    kernel.run(GATED)
    kernel.run(f"xp = start('patience')\njob = Gated.C(n=1, gate={str(gate)!r}).submit()")
    lab.wait_for(lambda: lab.said() == ["start 1"])
    waiting = kernel.send("xp.wait()")
    kernel.until_displayed(waiting)  # the cell shows its table, so it waits
    kernel.interrupt()
    answer = kernel.answer(waiting)
    assert answer.status == "error"
    assert answer.error.startswith("KeyboardInterrupt")
    assert answer.traceback == "KeyboardInterrupt: the waiting has ended, the jobs go on"
    kernel.run(INTERRUPT)
    for wait in ("job.wait()", "job.result()"):
        assert kernel.fails(f"interrupt_the_wait()\n{wait}").traceback == answer.traceback
    assert kernel.value("job.state.value") == "running"
    gate.touch()
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("job.result()") == 10
    assert set(lab.started().values()) == {1}


def test_a_redefined_class_runs_new_code_while_the_old_job_keeps_its_own(lab):
    gate = lab.path / "gate"
    kernel = lab.kernel()
    cell = """
class Say(Task):
    n: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        import os, time
        open(os.environ["XPM_TEST_LOG"], "a").write("up\\n")
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.02)
        return "VERSION"
"""
    kernel.run(cell.replace("VERSION", "old"))
    kernel.run(f"xp = start('versions')\nold = Say.C(n=1, gate={str(gate)!r}).submit()")
    lab.wait_for(lambda: lab.said() == ["up"])
    kernel.run(cell.replace("VERSION", "new"))
    kernel.run("new = Say.C(n=2).submit()")
    assert kernel.value("new.result()") == "new"
    gate.touch()
    assert kernel.value("old.result()") == "old"


def test_the_current_experiment(lab):
    kernel = lab.kernel()
    kernel.run(GATED)
    kernel.run("""
a = start("a")
with experiment(Path("xpm-workspace"), "b") as b:
    inside = Gated.C(n=1).submit()
after = Gated.C(n=2).submit()
a.wait(timeout_s=60)
""")
    assert kernel.value("[[j.config.n for j in x.jobs] for x in (a, b)]") == [[2], [1]]
    assert len(list((lab.workspace / "experiments").iterdir())) == 2


def test_identifiers_do_not_depend_on_the_order_of_cells_or_the_kernel(lab):
    leaf = "class Leaf(Config):\n    x: Param[int]"
    top = "class Top(Config):\n    leaf: Param[Leaf]"
    ask = {
        name: f"start({name!r})\n{name} = [c.__identifier__().hex() for c in "
        "(Leaf.C(x=1), Top.C(leaf=Leaf.C(x=1)))]"
        for name in "ab"
    }
    seen = set()
    for cells in (
        [leaf, top, ask["a"], ask["b"]],
        [leaf, "start('b')", top, ask["b"], ask["a"], leaf, top],
        ["start('a')", leaf, top, top, ask["a"], ask["b"], leaf, top, ask["a"]],
    ):
        kernel = lab.kernel()  # a restart
        for cell in cells:
            kernel.run(cell)
        seen.add(str(kernel.value("[a, b]")))
    assert len(seen) == 1
    kernel.run(
        "one, two = Leaf.C(x=5), Leaf.C(x=5)\nstart('a')\nfirst = one.__identifier__().hex()"
    )
    kernel.run("start('b')\nother = one.__identifier__().hex()\nstart('a')")
    assert kernel.value("[one.__identifier__().hex() == first, first != other]") == [True, True]
    assert kernel.value("two.__identifier__().hex() == first") is True
