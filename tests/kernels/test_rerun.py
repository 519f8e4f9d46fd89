"""Running done jobs again, with the code of the cells as it is now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

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
    assert "runs again with the code it had: Level cannot be carried into a job" in said
    assert kernel.value("task.result()") == 1


def test_a_kernel_without_the_class_runs_what_the_directory_holds(lab, kernel):
    kernel.run("xp = start('again')")
    kernel.run(CLASS.format(sign="+", text="first"))
    kernel.run("Answer.C(n=1).submit(); xp.wait(timeout_s=60)")
    kernel.kill()
    other = lab.kernel()
    other.run("xp = start('again'); job, = xp.rerun(*xp.jobs); xp.wait(timeout_s=60)")
    assert other.value("[job.result(), job.view().attempt, job.view().reused]") == [2, 2, False]
    other.run("job.rerun(); job.cancel(); job.wait(60)")
    assert other.value("job.state.value") in ("error", "done")
    (identifier,) = lab.started()
    assert lab.started()[identifier] <= 3
