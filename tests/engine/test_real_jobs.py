"""The promises, with real processes; jobs say in a log what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.engine.lab import begin, until
from tests.engine.some_tasks import Alone, Environment, Learn, Load, Model, Report, Score
from xpm_nb.core.config import tag
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import callbacks, host, loop, usage
from xpm_nb.errors import ConfigError, JobError
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow


def test_from_submit_to_results(lab):
    xp = begin(lab, slots=2)
    xp.setenv("XPM_TEST_VALUE", "of the experiment")
    tasks = [Learn.C(lr=tag(lr)).submit() for lr in (0.25, 0.5)]
    report = Report.C(scored=Score.C(learn=tasks[0]).submit()).submit()
    bad = Learn.C(lr=1, fail="no such luck").submit()
    env = Environment.C(name="XPM_TEST_VALUE").tag("why", "to see").submit()
    xp.wait(60)
    assert xp.table("accuracy").rows[:2] == ((0.25, "done", 0.75), (0.5, "done", 0.5))
    assert tasks[1].result() == {"accuracy": 0.5, "hidden": 8}
    view = tasks[1].job.view()
    assert (view.progress, view.progress_text) == (0.5, "half way")
    assert tasks[1].metrics() == {"loss": 0.5}
    assert view.submitted <= view.started <= view.ended
    assert report.result() == "0.25"
    assert env.result() == ["of the experiment", {"why": "to see"}]
    with pytest.raises(JobError, match="ValueError: no such luck") as caught:
        bad.result()
    assert "Traceback" in str(caught.value)
    assert not list(lab.workspace.glob("jobs/*/*/*.pid"))
    lab.new_kernel()
    begin(lab)
    assert Learn.C(lr=0.25).submit().job.wait(30) is JobState.DONE
    assert Counter(lab.said())["start 0.25"] == 1


def test_a_done_job_is_run_again_once_and_keeps_what_it_left(lab):
    xp = begin(lab, slots=2)
    learn = Learn.C(lr=0.25).submit()
    score = Score.C(learn=learn).submit()
    xp.wait(60)
    called = []
    learn.on_completed(lambda: called.append(learn.job.view().attempt))
    learn.wait()
    with pytest.raises(ConfigError, match=r"Learn [0-9a-f]{8} is done: rerun\(\)"):
        learn.job.retry()
    assert learn.job.rerun() is learn.job
    with pytest.raises(ConfigError, match="has not ended"):
        learn.job.rerun()
    assert learn.job.wait(60) is JobState.DONE
    assert learn.result() == {"accuracy": 0.75, "hidden": 8}
    assert called == [1, 2]
    assert Counter(lab.said()) == {"start 0.25": 2, "end 0.25": 2}
    assert (score.state, score.job.view().attempt) == (JobState.DONE, 1)
    (first,) = learn.job.attempts
    assert (first / "learn.done").exists()
    assert [curve.points for curve in learn.job.curves()] == [((1, 0.5), (2, 0.25))]
    lab.new_kernel()
    again = begin(lab)
    assert [job.state for job in again.jobs] == [JobState.DONE] * 2
    again.rerun(*again.jobs)  # without the classes, with what their directories hold
    again.wait(60)
    assert [job.view().attempt for job in again.jobs] == [3, 2]
    assert [job.state for job in again.jobs] == [JobState.DONE] * 2


def test_reruns_from_two_kernels_are_never_two_processes(lab):
    """Each process of the job takes a directory that only one at a time can have."""
    xp = begin(lab)
    task = Alone.C(place=str(lab.path / "taken")).submit()
    xp.wait(60)
    code = (
        "xp = begin()\nfrom xpm_nb.errors import ConfigError\n"
        "for n in range(8):\n"
        "    try: xp.rerun(*xp.jobs)\n"
        "    except ConfigError: pass\n"
        "    xp.wait(60)\n"
        "    assert [job.state.value for job in xp.jobs] == ['done'], xp.view()\n"
    )
    others = [lab.kernel(code) for _ in range(2)]
    assert [other.wait(100) for other in others] == [0, 0]
    task.wait(60)
    attempts = task.job.attempts
    assert 8 <= len(attempts) <= 16
    assert all((path / "alone.done").exists() for path in attempts)


def test_what_a_running_job_uses_is_seen(lab, monkeypatch):
    monkeypatch.setattr(usage, "LEAST_S", 0.0)
    xp, sampler = begin(lab, slots=1), usage.Sampler()
    task, _ = (Learn.C(lr=lr, gate=lab.gate).submit() for lr in (1, 2))
    # At first, the process is not yet the one of the job's interpreter.
    until(lambda: any(used.memory_mb > 1 for used in sampler.sample(xp.jobs).values()))
    found = sampler.sample(xp.jobs)
    assert list(found) == [task.job.key], "the other one waits for the slot"
    lab.open_gate()
    xp.wait(60)
    assert sampler.sample(xp.jobs) == {}


def test_init_tasks_run_before_and_share_objects(lab):
    begin(lab)
    model = Model.C(hidden=5)
    task = Learn.C(lr=0.5, model=model)
    task.submit(init_tasks=[Load.C(factor=3, model=model)])
    assert task.result()["hidden"] == 15


def test_what_is_kept_of_a_run(lab, monkeypatch):
    monkeypatch.setattr(host, "cells_source", lambda: [(1, "API_KEY = 'canary'\nx = 1")])
    monkeypatch.setattr(host, "notebook_name", lambda: "tour.ipynb")
    xp = begin(lab)
    Learn.C(lr=tag(0.5)).submit().job.wait(30)
    xp.close()
    (run,) = xp.workspace.experiment("x").runs()
    (row,) = records.read_run_jobs(run)
    assert (dict(row.tags), row.task, row.job) == (
        {"lr": 0.5},
        "Learn",
        f"jobs/{xp.jobs[0].type}/{xp.jobs[0].identifier}",
    )
    known = until(lambda: files.read_object(run.environment))
    assert known["packages"]["traitlets"]
    assert known["notebook"] == "tour.ipynb"
    assert known["python"] == sys.version.split()[0]
    cells = until(lambda: files.read_object(run.notebook))["cells"]
    assert "".join(cells[0]["source"]) == 'API_KEY = "***"\nx = 1'
    for path in lab.workspace.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes()


def test_nothing_is_kept_if_not_wanted(lab, monkeypatch):
    monkeypatch.setattr(host, "cells_source", lambda: [(1, "x")])
    xp = begin(lab, provenance=False)
    Learn.C(lr=0.5).submit().job.wait(30)
    xp.close()
    (run,) = xp.workspace.experiment("x").runs()
    assert [path.name for path in run.path.iterdir()] == ["jobs.jsonl"]


def test_what_was_met_before_its_record_was_written_can_be_cancelled(lab):
    begin(lab)
    task = Learn.C(lr=0.5, gate=lab.gate).submit()
    until(lambda: lab.said() == ["start 0.5"])
    record = task.job.entry.paths.record
    lab.new_kernel()
    kept = record.rename(record.with_name("kept.json"))
    (job,) = begin(lab).jobs
    assert job.state is JobState.RUNNING
    kept.rename(record)
    until(lambda: job.view().task == "Learn")
    job.cancel()
    assert job.wait(60) is JobState.ERROR
    assert job.view().reason is FailureReason.CANCELLED


def test_cancel_of_a_running_job(lab):
    xp = begin(lab, slots=1)
    task = Learn.C(lr=1, gate=lab.gate).submit()
    score = Score.C(learn=task).submit()
    until(lambda: lab.said() == ["start 1.0"])
    task.job.cancel()
    xp.wait(30)
    assert task.job.view().reason is FailureReason.CANCELLED
    assert score.job.view().reason is FailureReason.DEPENDENCY
    failure = records.read_failed(task.job.entry.paths)
    assert failure.reason is FailureReason.CANCELLED
    assert lab.said() == ["start 1.0"]
    assert not locks.held(task.job.entry.paths)


def test_a_process_that_is_killed_is_lost_and_not_run_again_by_itself(lab):
    begin(lab)
    task = Learn.C(lr=1, gate=lab.gate).submit()
    until(lambda: lab.said() == ["start 1.0"])
    os.killpg(records.read_process(task.job.entry.paths).pid, signal.SIGKILL)
    assert task.job.wait(30) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.LOST
    assert "signal 9" in view.message
    lab.new_kernel()
    xp = begin(lab)
    assert [v.reason for v in xp.view().jobs] == [FailureReason.LOST]
    lab.open_gate()
    xp.retry()
    xp.wait(30)
    assert lab.said() == ["start 1.0", "start 1.0", "end 1.0"]


def test_a_killed_kernel_loses_nothing(lab):
    """Running jobs are followed, waiting ones start from their records; each runs once."""
    code = (
        "xp = begin(slots=1)\n"
        "tasks = [Learn.C(lr=n, gate=gate).submit() for n in range(3)]\n"
        "Score.C(learn=tasks[2]).submit()\n"
        "from xpm_nb.engine import loop\n"
        "assert loop.current().sync(30)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert lab.kernel(code).wait(60) == -signal.SIGKILL
    until(lambda: lab.said() == ["start 0.0"])
    xp = begin(lab, slots=1)
    states = [v.state.value for v in xp.view().jobs]
    assert states == ["running", "ready", "ready", "waiting"]
    assert xp.view().jobs[0].elsewhere
    lab.open_gate()
    xp.wait(60)
    assert [j.state.value for j in xp.jobs] == ["done"] * 4
    assert [j.result() for j in xp.jobs[:3]] == [
        {"accuracy": 1.0 - n, "hidden": 8} for n in (0, 1, 2)
    ]
    assert Counter(lab.said()) == Counter(f"{w} {n}.0" for n in range(3) for w in ("start", "end"))
    assert {j.view().attempt for j in xp.jobs} == {1}


def test_jobs_outlive_the_kernel_and_end_while_nobody_looks(lab):
    code = "begin()\nLearn.C(lr=1, gate=gate).submit()\nLearn.C(lr=2, fail='on purpose').submit()\n"
    code += "from xpm_nb.engine import loop\nassert loop.current().sync(60)\n"
    assert lab.kernel(code).wait(60) == 0
    until(lambda: "start 1.0" in lab.said())
    lab.open_gate()
    until(lambda: "end 1.0" in lab.said())
    jobs = Workspace(lab.workspace).jobs()
    until(lambda: all(records.read_outcome(paths) for paths in jobs))
    until(lambda: not any(locks.held(paths) for paths in jobs))
    xp = begin(lab)
    assert [v.state.value for v in xp.view().jobs] == ["done", "error"]
    assert "on purpose" in xp.view().jobs[1].message


def test_two_kernels_share_a_job_that_runs(lab):
    other = lab.kernel(
        "xp = begin(slots=1)\n"
        "t = Learn.C(lr=1, gate=gate).submit()\n"
        "sys.exit(0 if t.result()['accuracy'] == 0 else 1)\n"
    )
    until(lambda: lab.said() == ["start 1.0"])
    xp = begin(lab)
    task = Learn.C(lr=1, gate=lab.gate).submit()
    assert loop.current().sync(60)
    assert task.state is JobState.RUNNING
    assert task.job.view().elsewhere
    lab.open_gate()
    assert task.result() == {"accuracy": 0.0, "hidden": 8}
    assert other.wait(30) == 0
    xp.wait(30)
    assert lab.said() == ["start 1.0", "end 1.0"]


def test_waiting_for_a_running_job_costs_next_to_nothing(lab):
    xp = begin(lab)
    Learn.C(lr=1, gate=lab.gate).submit()
    until(lambda: lab.said() == ["start 1.0"])
    assert callbacks.current().flush(60, chores=True), "what is kept of the run is written"

    def cost():
        before = time.process_time()
        xp.wait(1.0)
        return time.process_time() - before

    until(lambda: cost() < 0.1)  # whatever else this process has to end
    lab.open_gate()
    xp.wait(30)


def test_a_module_with_an_error_is_told_with_its_last_line(lab, monkeypatch):
    begin(lab)
    task = Learn.C(lr=1)
    from xpm_nb.code import carrier

    real = carrier.script
    monkeypatch.setattr(
        carrier, "script", lambda *a, **k: "raise ImportError('x7')\n" + real(*a, **k)
    )
    task.submit()
    assert task.job.wait(30) is JobState.ERROR
    view = task.job.view()
    assert view.reason is FailureReason.FAILED
    assert "exit code 1" in view.message
    assert "ImportError: x7" in view.message


def test_a_script_that_ends_right_after_submitting_loses_nothing(lab):
    code = (
        "xp = begin(slots=1)\n"
        "tasks = [Learn.C(lr=n, gate=gate).submit() for n in range(20)]\n"
        "Score.C(learn=tasks[2]).submit()\n"
    )
    script = lab.kernel(code, stderr=subprocess.PIPE)
    _, err = script.communicate(timeout=60)
    assert script.returncode == 0
    assert err.decode() == (
        'xpm_nb: 20 jobs were not started yet: start("x") goes on with them, and xp.wait() before '
        "the end waits for them\n"
    )
    until(lambda: lab.said() == ["start 0.0"])
    xp = begin(lab, slots=4)
    assert [v.state.value for v in xp.view().jobs].count("error") == 0
    assert len(xp) == 21
    lab.open_gate()
    xp.wait(60)
    assert {j.state.value for j in xp.jobs} == {"done"}


def test_a_script_that_waits_or_starts_everything_ends_without_a_word(lab):
    for end in ("xp.wait()", ""):
        code = f"xp = begin(slots=2)\nLearn.C(lr=1).submit()\n{end}\n"
        script = lab.kernel(code, stderr=subprocess.PIPE)
        assert script.communicate(timeout=60)[1] == b""
    until(lambda: "end 1.0" in lab.said())


def test_the_end_of_a_process_is_not_held_up_by_a_blocked_thread(lab):
    code = (
        "import threading\n"
        "from xpm_nb.engine import loop\n"
        "loop.EXIT_S = 0.01\n"
        "begin()\n"
        "loop.current().subscribe(lambda keys: threading.Event().wait())\n"
        "Learn.C(lr=1).submit()\n"
    )
    assert lab.kernel(code).wait(60) == 0
