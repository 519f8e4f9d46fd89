"""Running done jobs again, with the code of the cells as it is now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CLASS = """
class Answer(Task):
    n: Param[int]
    def execute(self):
        Path("answer.txt").write_text("{text}")
        return self.n {sign} 1
"""
SUBMIT = """
task = Answer.C(n=41).submit()
@task.on_completed
def count():
    calls.append(task.job.view().attempt)
"""


@pytest.fixture
def kernel(lab):
    path = [lab.env["PYTHONPATH"], str(Path(__file__).parents[2])]
    lab.env["PYTHONPATH"] = os.pathsep.join(path)
    return lab.kernel()


def test_changed_code_runs_when_it_is_asked_for_and_once(lab, kernel):
    kernel.run("calls = []\nxp = start('again')")
    kernel.run(CLASS.format(sign="+", text="first"))
    kernel.run(SUBMIT)
    assert kernel.value("task.result()") == 42
    kernel.run(CLASS.format(sign="-", text="second"))
    assert kernel.value("Answer.C(n=41).submit().result()") == 42, "a result stays one"
    kernel.run("xp.rerun(task)")
    assert kernel.value("task.result()") == 40
    assert kernel.value("[task.job.files['answer.txt'].read_text(), calls]") == ["second", [1, 2]]
    assert kernel.value("(task.job.attempts[0] / 'answer.txt').read_text()") == "first"
    kernel.run(SUBMIT)  # the cell again: its callback is not called once more
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("calls") == [1, 2]
    assert kernel.fails("xp.rerun()").error.startswith("ConfigError")
    assert kernel.fails("task.job.retry()").error.startswith("ConfigError")
    (identifier,) = lab.started()
    assert lab.started()[identifier] == 2


def test_that_the_code_of_now_cannot_run_is_told(lab, kernel):
    kernel.run("xp = start('again')\nM = 1")
    kernel.run("class Level(Task):\n  def execute(self):\n    return M")
    assert kernel.value("(task := Level.C().submit()).result()") == 1
    kernel.run("def put(value):\n  global M\n  M = value\nput(5)")
    said = kernel.run("task.job.rerun(); xp.wait(timeout_s=60)").stderr
    assert "runs again with the code of before: Level cannot be carried into a job" in said
    assert kernel.value("[task.result(), task.job.view().stale]") == [1, "unknown"]
    said = kernel.run("task.job.rerun(); xp.wait(timeout_s=60)").stderr
    assert "runs again with the code of before" in said, "it is said each time"
    line = kernel.run("%xpm rerun --unknown").stderr
    assert "Level" in line
    assert "interactiveshell.py" not in line


MENDED = """
class First(Task):
    n: Param[int] = 1
    def execute(self):
        return work(self.n)

class Second(Task):
    first: Param[First]
    def execute(self):
        return add(1)
"""


@pytest.mark.parametrize("retry", ["second.job.retry()", "xp.retry()", "%xpm retry --all"])
def test_a_mended_failure_is_tried_again_as_it_is_now(lab, kernel, retry):
    kernel.run("xp = start('mended')")
    kernel.run("def work(n):\n    raise ValueError('not yet')\ndef add(n):\n    return n + 1")
    kernel.run(MENDED)
    kernel.run("first = First.C().submit(); second = Second.C(first=first).submit()")
    kernel.run("alone = First.C(n=2).submit(); xp.wait(timeout_s=60)")
    kernel.run("def work(n):\n    return n\ndef add(n):\n    return n + 10")
    assert "again with the code" not in kernel.run(retry).stderr
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("[first.result(), second.result()]") == [1, 11]
    assert kernel.value("[j.view().stale for j in (first.job, second.job)]") == ["", ""]
    others = "error" if "second" in retry else "done"
    assert kernel.value("alone.job.state.value") == others


def test_another_kernel_tries_again_what_it_mended(lab, kernel):
    kernel.run("xp = start('mended')\ndef work(n):\n    raise ValueError('not yet')\nadd = work")
    kernel.run(MENDED)
    kernel.run("first = First.C().submit(); xp.wait(timeout_s=60)")
    kernel.kill()
    kernel = lab.kernel()
    kernel.run("xp = start('mended')")
    said = kernel.run("xp.retry(); xp.wait(timeout_s=60)").stderr
    assert "runs again with the code of before: its classes are not defined here" in said
    assert kernel.value("xp.jobs[0].state.value") == "error"
    kernel.run("def work(n):\n    return n\nadd = work")
    kernel.run(MENDED)
    assert kernel.run("xp.retry(); xp.wait(timeout_s=60)").stderr == ""
    assert kernel.value("xp.jobs[0].result()") == 1


HELPED = """
class Level(Task):
    n: Param[int]
    def execute(self):
        return self.n + helper()
"""


def helper(number):
    return f"def helper():\n    return {number}"


def ran(kernel):
    kernel.run("xp.wait(timeout_s=60)")
    return kernel.value("[task.result(), task.job.view().stale]")


@pytest.mark.parametrize("looked", ["", "xp.stale()"])
@pytest.mark.parametrize("again", ["xp.jobs[0].rerun()", "%xpm rerun {xp.jobs[0].identifier[:8]}"])
def test_another_kernel_runs_the_code_of_now_whether_somebody_looked_or_not(lab, again, looked):
    first = lab.kernel()
    for cell in (helper(1), HELPED, "xp = start('again')", "task = Level.C(n=1).submit()"):
        first.run(cell)
    assert ran(first) == [2, ""]
    first.kill()
    kernel = lab.kernel()
    for cell in (helper(5), HELPED, "xp = start('again')", looked):
        kernel.run(cell)
    assert "code of before" not in kernel.run(again).stderr
    kernel.run("xp.wait(timeout_s=60)")
    assert kernel.value("[xp.jobs[0].result(), xp.jobs[0].view().stale]") == [6, ""]
    assert kernel.value("len(xp.stale(unknown=True))") == 0


def test_a_kernel_that_has_another_class_of_the_name_runs_the_code_of_before(lab):
    first = lab.kernel()
    for cell in (helper(1), HELPED, "xp = start('again')", "task = Level.C(n=1).submit()"):
        first.run(cell)
    assert ran(first) == [2, ""]
    # What is in hand is of the former class, which the task is made of.
    first.run(helper(3))
    first.run(HELPED.replace("n: Param[int]", "n: Param[int]\n    m: Param[int]"))
    assert "code of before" not in first.run("task.job.rerun()").stderr
    assert ran(first)[0] == 4
    first.kill()
    kernel = lab.kernel()
    kernel.run(helper(5))
    for other, reason in (
        (HELPED.replace("n: P", "m: P").replace(".n ", ".m "), "Level has no parameter n any more"),
        (
            HELPED.replace("    def", "    m: Param[int]\n    def"),
            "Level requires a parameter m now",
        ),
    ):
        kernel.run(other)
        kernel.run("xp = start('again')")
        said = kernel.run("xp.jobs[0].rerun(); xp.wait(timeout_s=60)").stderr
        assert f"again with the code of before: {reason}" in " ".join(said.split()), said
        assert kernel.value("xp.jobs[0].result()") == 4


def test_what_the_code_of_before_comes_to_is_judged_by_that_of_now(lab):
    kernel = lab.kernel()
    kernel.run("import json\nxp = start('again')")
    for cell in (
        "OFF = 1",
        "def helper():\n    return OFF",
        HELPED,
        "task = Level.C(n=1).submit()",
    ):
        kernel.run(cell)
    assert ran(kernel) == [2, ""]
    kernel.run("OFF = json.loads('5')")
    said = kernel.run("task.job.rerun()").stderr
    assert "runs again with the code of before: Level cannot be carried" in said
    assert ran(kernel) == [2, "unknown"]
    kernel.run("OFF = 2")
    assert "code of before" not in kernel.run("task.job.rerun()").stderr
    assert ran(kernel) == [3, ""]


def test_a_kernel_without_the_class_runs_what_the_directory_holds(lab, kernel):
    kernel.run("xp = start('again')")
    kernel.run(CLASS.format(sign="+", text="first"))
    kernel.run("Answer.C(n=1).submit(); xp.wait(timeout_s=60)")
    kernel.kill()
    other = lab.kernel()
    said = other.run("xp = start('again'); job, = xp.rerun(*xp.jobs); xp.wait(timeout_s=60)").stderr
    assert "runs again with the code of before: its classes are not defined here" in said
    assert other.value("[job.result(), job.view().attempt, job.view().reused]") == [2, 2, False]
    other.run("job.rerun(); job.cancel(); job.wait(60)")
    assert other.value("job.state.value") in ("error", "done")
    (identifier,) = lab.started()
    assert lab.started()[identifier] <= 3
