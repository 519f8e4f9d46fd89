"""Tasks of cells that take longer than they may, and what has to be ready before them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

STEPS = """
from xpm_nb import (GracefulTimeout, LocalLauncher, Meta, Param, PathGenerator, Prepare,
                    ResumableTask, Task, TransientMode, field, start)
from pathlib import Path


def say(text):
    import os
    with open(os.environ["XPM_TEST_LOG"], "a") as log:
        log.write(text + "\\n")


class Steps(ResumableTask):
    steps: Param[int]
    saved: Meta[Path] = field(default_factory=PathGenerator("saved.txt"))

    def execute(self):
        import time

        done = self.saved.read_text().split() if self.saved.exists() else []
        done.append(str(len(done) + 1))
        self.saved.write_text(" ".join(done))
        say(f"step {len(done)}")
        if len(done) < self.steps:
            time.sleep(600)
        return done
"""

CORPUS = """
class Corpus(Prepare):
    name: Param[str]

    def prepare(self):
        print("fetching", self.name)
        say(f"prepare {self.name}")


class Parse(Task):
    corpus: Param[Corpus]
    seed: Param[int]

    def execute(self):
        say(f"parse {self.seed}")
        return self.corpus.name
"""


def test_attempts_go_on_where_a_killed_kernel_left_them(lab):
    first = lab.kernel()
    first.run(STEPS)
    first.run(
        "xp = start('steps', launcher=LocalLauncher(time_min=5 / 60))\n"
        "task = Steps.C(steps=3).submit()"
    )
    lab.wait_for(lambda: "step 2" in lab.said())
    first.kill()

    second = lab.kernel()  # which has neither the class nor the launcher
    second.run("xp = start('steps')\nxp.wait(timeout_s=60)")
    assert second.value("[job.state.value for job in xp.jobs]") == ["done"]
    assert second.value("[job.result() for job in xp.jobs]") == [["1", "2", "3"]]
    assert second.value("[job.view().attempt for job in xp.jobs]") == [3]
    assert lab.said() == ["step 1", "step 2", "step 3"]
    assert list(lab.started().values()) == [3]


def test_the_last_attempt_says_that_it_was_the_last(lab):
    kernel = lab.kernel()
    kernel.run(STEPS)
    kernel.run(
        "xp = start('steps', launcher=LocalLauncher(time_min=5 / 60))\n"
        "task = Steps.C(steps=9).submit(max_retries=1)\nxp.wait(timeout_s=60)"
    )
    assert kernel.value("[task.state.value, task.job.view().reason.value]") == ["error", "timeout"]
    message = kernel.value("task.job.view().message")
    assert message.startswith("its time limit of 5 s was reached; it was run again once")
    kernel.run("%xpm retry --all")
    lab.wait_for(lambda: "step 3" in lab.said())
    kernel.run("task.job.cancel()\nxp.wait(timeout_s=60)")
    assert kernel.value("task.job.view().reason.value") == "cancelled"


def test_what_has_to_be_ready_and_what_may_be_left_out(lab):
    kernel = lab.kernel()
    kernel.run(STEPS + CORPUS)
    kernel.run(
        "xp = start('corpus')\n"
        "tasks = [Parse.C(corpus=Corpus.C(name='news'), seed=n).submit() for n in range(2)]\n"
        "idle = Parse.C(corpus=Corpus.C(name='mail'), seed=0).submit("
        "transient=TransientMode.TRANSIENT)\n"
        "xp.wait(timeout_s=60)"
    )
    assert kernel.value("[task.result() for task in tasks]") == ["news"] * 2
    assert kernel.value("idle.state.value") == "unscheduled"
    assert sorted(lab.said()) == ["parse 0", "parse 1", "prepare news"]
    assert lab.said()[0] == "prepare news"
    said = kernel.value("[said.text for job in xp.jobs for said in job.view().said]")
    assert said == ["fetching news\n"]
