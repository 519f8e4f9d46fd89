"""Outputs that are reported while their tasks run, with real jobs."""

from __future__ import annotations

import threading

import pytest

from tests.engine.reporting_tasks import Checkpoint, Evaluate, Learn, Stubborn, Wrong
from xpm_nb.core.states import JobState
from xpm_nb.engine.opening import start
from xpm_nb.errors import ConfigError, ConfigTypeError, JobError

pytestmark = pytest.mark.slow


def watched(task, method="checkpoint"):
    """The steps of what a watch is told; the job has ended, or is awaited."""
    steps = []
    task.watch_output(method, lambda found: steps.append(found.step))
    task.wait(60)
    return steps


def test_what_is_reported_is_used_while_the_task_runs(lab):
    xp = start("x", workspace=lab.workspace, slots=2)
    learn = Learn.C(steps="12.3", gate=lab.gate)
    made, threads = [], set()

    def evaluate(checkpoint):
        threads.add(threading.current_thread().name)
        opens = lab.gate if checkpoint.step == 2 else ""
        made.append(Evaluate.C(checkpoint=checkpoint, opens=opens).submit())

    learn.watch_output(learn.checkpoint, evaluate)  # before it is submitted
    learn.submit()
    xp.wait(60)  # for what the callbacks submit, too
    assert [task.result() for task in made] == ["model 1", "model 2", "model 3"]
    said = lab.said()
    assert said.index("evaluate 2") < said.index("learned 12.3")
    assert threads == {"xpm-callbacks"}
    assert {job.type.rpartition(".")[2] for job in xp.jobs} == {"learn", "evaluate"}
    assert made[0].job.dependencies == ()
    # It counts as an output of the task, so that another task's first step is another.
    other = Learn.C(steps="1").submit()
    plain = Checkpoint.C(step=1, path="/x")
    identifiers = {c.__identifier__().hex() for c in (made[0].checkpoint, plain)}
    other.watch_output("checkpoint", lambda found: identifiers.add(found.__identifier__().hex()))
    other.wait(60)
    assert len(identifiers) == 3


def test_a_watch_is_told_what_came_before_it_once_and_in_order(lab):
    start("x", workspace=lab.workspace)
    learn = Learn.C(steps="312213").submit()
    assert watched(learn) == [3, 1, 2]
    assert watched(learn) == [3, 1, 2]
    lab.new_kernel()
    start("x", workspace=lab.workspace)
    again = Learn.C(steps="312213").submit()
    assert watched(again) == [3, 1, 2]
    assert lab.said() == ["learned 312213"]


def test_completion_comes_after_all_outputs(lab):
    start("x", workspace=lab.workspace)
    learn, order = Learn.C(steps="123"), []
    learn.on_completed(lambda: order.append("completed"))
    learn.watch_output(learn.checkpoint, lambda found: order.append(found.step))
    learn.submit().wait(60)
    assert order == [1, 2, 3, "completed"]


def test_attempts_that_keep_their_files_are_one_sequence(lab):
    start("x", workspace=lab.workspace)
    learn = Stubborn.C(steps="12!3").submit()
    steps = []
    learn.watch_output(learn.checkpoint, lambda found: steps.append(found.step))
    assert learn.wait(60) is JobState.ERROR
    assert steps == [1, 2]
    learn.job.retry()
    assert learn.wait(60) is JobState.DONE
    assert steps == [1, 2, 3]
    assert watched(learn) == [1, 2, 3]
    lab.new_kernel()
    start("x", workspace=lab.workspace)
    assert watched(Stubborn.C(steps="12!3").submit()) == [1, 2, 3]


def test_an_attempt_with_new_files_reports_anew(lab):
    start("x", workspace=lab.workspace)
    learn = Learn.C(steps="12").submit()
    steps = []
    learn.watch_output(learn.checkpoint, lambda found: steps.append(found.step))
    learn.wait(60)
    learn.job.rerun()
    learn.wait(60)
    assert steps == [1, 2, 1, 2]
    assert watched(learn) == [1, 2]


def test_what_goes_wrong_in_a_method_is_shown_at_the_job(lab):
    start("x", workspace=lab.workspace)
    learn = Learn.C(steps="12").submit()
    assert watched(learn, "broken") == []
    assert "ConfigError" in learn.job.view().callback_error
    assert watched(learn) == [1, 2]


def test_arguments_are_what_json_can_hold(lab):
    start("x", workspace=lab.workspace)
    task = Wrong.C(steps="").submit()
    with pytest.raises(JobError, match=r"arguments of checkpoint\(\).*PosixPath\('x'\)"):
        task.result()


def test_what_is_refused(lab):
    xp = start("x", workspace=lab.workspace)
    learn = Learn.C(steps="1")
    with pytest.raises(ConfigTypeError, match="named by one of its methods"):
        learn.watch_output("chekpoint", print)
    with pytest.raises(ConfigTypeError, match="named by one of its methods"):
        learn.watch_output(print, print)
    with pytest.raises(ConfigTypeError, match=r"is for execute\(\)"):
        learn.register_task_output(learn.checkpoint, 1)
    learn.submit().wait(60)
    with pytest.raises(ConfigTypeError, match="takes a function"):
        learn.watch_output(learn.checkpoint, 3)
    lab.new_kernel()
    xp = start("x", workspace=lab.workspace)
    with pytest.raises(ConfigError, match=r"nothing here makes outputs of Learn [0-9a-f]{8}"):
        xp.jobs[0].watch_output("checkpoint", print)


def test_an_instance_in_the_notebook_reports_nothing():
    made = Learn.C(steps="1").instance()
    assert made.register_task_output(made.checkpoint, 1) is None
