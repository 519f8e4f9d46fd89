"""Experiments with jobs that end when told."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings

import pytest

from tests.engine.some_tasks import Learn, Load, Model, Report, Score
from xpm_nb.core import config as configs
from xpm_nb.core.config import RunMode, tag
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.engine import callbacks, contents, host, loop, opening
from xpm_nb.engine.experiment import Experiment, current, current_namespace
from xpm_nb.engine.job import Job
from xpm_nb.engine.jobs import Jobs
from xpm_nb.engine.opening import experiment, start
from xpm_nb.engine.outlook import Fate
from xpm_nb.errors import (
    ConfigError,
    ConfigTypeError,
    FailedExperiment,
    JobError,
    NoExperimentError,
    RecordError,
    WorkspaceError,
)
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import attempts, files, locks, records


def learn(lr=0.5, **options):
    return Learn.C(lr=lr, **options)


def state(job):
    assert loop.current().sync(10)
    return job.state.value


# -- opening ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", ".a", "ü", "a" * 101, "a\n", None, 3])
def test_a_name_that_cannot_be_one(new_kernel, name):
    with pytest.raises(ConfigError, match="cannot be an experiment's name"):
        start(name)
    with pytest.raises(ConfigError, match="cannot be a"):
        start("fine", namespace="no/t")


def test_a_workspace_that_cannot_be_written(new_kernel, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"file.*XPM_WORKSPACE"):
        start("a", workspace=tmp_path / "file")
    assert current() is None


def test_the_same_name_is_the_same_object(xp, tmp_path):
    assert start("tour") is xp
    assert start("tour", workspace=tmp_path / "xpm-workspace") is xp
    assert start("tour", workspace=tmp_path / "other") is not xp
    assert start("other") is not xp
    with pytest.raises(ConfigError, match="open with the namespace 'tour', not 'x'"):
        start("tour", namespace="x")


def test_the_current_experiment(new_kernel, fake):
    assert current() is None
    a = start("a", launcher=fake, run_mode=RunMode.GENERATE_ONLY)
    b = start("b")
    assert current() is b
    assert start("a") is a
    assert current() is a
    with experiment(None, "c", launcher=fake) as c:
        assert current() is c
        with experiment(None, "b"):
            assert current() is b
            learn().submit()
        assert current() is c
    assert current() is a
    b.close()
    assert current() is a
    a.close()
    assert current() is None
    assert current_namespace() is None
    with pytest.raises(NoExperimentError, match=r'start\("name"\) or %xpm start NAME'):
        learn().submit()
    with pytest.raises(NoExperimentError, match="closed"):
        a.submit(learn())
    assert start("a") is not a


def test_slots_are_the_kernels(xp):
    assert (xp.slots, start("other").slots) == (2, 2)
    xp.slots = 5
    assert start("other").slots == 5
    assert xp.view().slots == 5
    for bad in (0, -1, 1.5, True, "2"):
        with pytest.raises(ConfigError, match="slots"):
            xp.slots = bad


# -- submitting -------------------------------------------------------------------------------


def test_submit_gives_the_task_and_returns_at_once(xp, fake):
    task = learn(0.25)
    assert task.submit() is task
    job = task.job
    assert isinstance(job, Job)
    fake.wait_for(1)
    assert state(job) == "running"
    assert (job.name, job.type) == ("learn", "tests.engine.some_tasks.learn")
    assert job.identifier == task.__identifier__().hex()
    assert job.path == xp.workspace.root / "jobs" / job.type / job.identifier
    assert job.config is task
    assert job.launcher is fake
    assert job.retry_count == 0
    assert xp.jobs == (job,)
    assert xp[job.identifier[:6]] == xp.job(task) == xp.job(job.identifier) == job
    fake.finish("", {"accuracy": 0.75})
    assert job.wait(10) is JobState.DONE
    assert job.result() == {"accuracy": 0.75}


def test_dependencies_and_outputs(xp, fake):
    first = learn().submit()
    scored = Score.C(learn=first).submit()
    report = Report.C(scored=scored).submit()
    assert [j.name for j in xp.jobs] == ["learn", "score", "report"]
    assert report.job.dependencies == (xp.job(scored),)
    assert scored.job.dependencies == (first.job,)
    assert scored.path == scored.job.path / "score.txt"
    for name in ("learn", "score", "report"):
        assert [j.name for j in xp.jobs if state(j) == "running"] == [name]
        fake.finish(f"tests.engine.some_tasks.{name}")
        xp[next(j for j in xp.jobs if j.name == name).identifier].wait(10)
    xp.wait(10)
    assert xp.view().finished


def test_what_is_left_out_is_not_run_again_but_submitted(xp, fake):
    job = learn().submit(transient=TransientMode.TRANSIENT).job
    assert job.wait(10) is JobState.UNSCHEDULED
    said = r"does not wait to run \(transient: .*\): submit its task, without transient="
    with pytest.raises(ConfigError, match=said):
        job.rerun()
    learn().submit()
    fake.wait_for(1)
    assert state(job) == "running"


@pytest.fixture
def of_two(xp, fake):
    """Two experiments: what the later one needs was made in the earlier one."""
    first = learn().submit()
    fake.wait_for(1)
    fake.finish("", {"accuracy": 0.75})
    xp.wait(10)
    scored = Score.C(learn=first)
    with experiment(None, "later", launcher=fake):
        scored.submit()
        fake.wait_for(2)
        fake.finish("tests.engine.some_tasks.score")
    return first.job.entry.paths


def test_what_another_experiment_made_is_found(of_two, new_kernel, fake):
    new_kernel()
    (job,) = start("later", launcher=fake).jobs
    (needed,) = job.dependencies
    assert needed.wait(10) is JobState.DONE
    assert needed.result() == {"accuracy": 0.75}
    assert repr(needed).startswith("Job(Learn ")


def test_what_another_process_runs_of_another_experiment_is_waited_for(of_two, new_kernel, fake):
    attempts.archive_attempt(of_two)
    lock = locks.try_lock(of_two)
    new_kernel()
    later = start("later", launcher=fake)
    (needed,) = later.jobs[0].dependencies
    assert (needed.state, needed.view().elsewhere) == (JobState.RUNNING, True)
    records.write_done(of_two)
    lock.release()
    assert needed.wait(30) is JobState.DONE
    assert len(fake.handles) == 2


def test_what_failed_in_another_experiment_says_so(of_two, new_kernel, fake):
    of_two.done.unlink()
    records.write_failed(of_two, FailureReason.FAILED, message="no luck")
    new_kernel()
    (needed,) = start("later", launcher=fake).jobs[0].dependencies
    assert needed.wait(10) is JobState.ERROR
    with pytest.raises(JobError, match="no luck"):
        needed.result()


def not_made_by_a_look(fake):
    """Look at what a job needs of another experiment: nothing starts until that one is opened."""
    (needed,) = start("later", launcher=fake).jobs[0].dependencies
    assert needed.wait(10) is JobState.UNSCHEDULED
    assert len(fake.handles) == 2
    start("tour", launcher=fake)
    return needed


def test_what_another_experiment_has_not_made_is_not_made_by_a_look(of_two, new_kernel, fake):
    attempts.archive_attempt(of_two)
    new_kernel()
    needed = not_made_by_a_look(fake)
    fake.wait_for(3)
    assert fake.handles[2].paths == of_two
    assert needed.state in (JobState.SCHEDULED, JobState.RUNNING)


def test_what_is_to_go_on_in_another_experiment_does_not_by_a_look(of_two, new_kernel, fake):
    of_two.done.unlink()
    records.write_failed(of_two, FailureReason.TIMEOUT)
    record = records.read_job(of_two)
    records.write_job(of_two, record._replace(resumable=True, max_retries=1))
    new_kernel()
    not_made_by_a_look(fake)
    fake.wait_for(3)


def test_what_another_experiment_made_anew_is_another_input(of_two, new_kernel, fake):
    new_kernel()
    later = start("later", launcher=fake)
    assert list(later.stale()) == []
    paths = later.jobs[0].entry.paths
    record = records.read_job(paths)
    inputs = {of_two.key: "what it was before"}
    records.write_job(paths, record._replace(code=record.code | {"inputs": inputs}))
    new_kernel()
    later = start("later", launcher=fake)
    assert [(job.name, job.view().stale) for job in later.jobs] == [("score", "input")]
    assert [job.name for job in later.stale()] == ["score"]


def test_equal_tasks_are_one_job(xp, fake):
    a, b = learn(0.1), learn(0.1)
    a.submit()
    b.submit()
    a.submit()
    fake.wait_for(1)
    assert a.job is b.job
    assert len(xp) == 1
    fake.finish("")
    xp.wait(10)
    assert len(fake.handles) == 1
    rows = records.read_run_jobs(xp.workspace.experiment("tour").runs()[0])
    assert len(rows) == 1


def test_the_same_object_another_way_is_refused(xp, fake):
    task = learn()
    task.submit()
    task.submit(launcher=fake)
    with pytest.raises(ConfigError, match=r"launcher=.*copy\(\)"):
        task.submit(launcher=LocalLauncher())
    with pytest.raises(ConfigError, match=r"init_tasks"):
        task.submit(init_tasks=[Load.C(factor=2, model=Model.C())])
    other = start("tour", workspace="elsewhere", launcher=fake)
    with pytest.raises(ConfigError, match=r"workspace.*copy\(\)"):
        other.submit(task)
    other.submit(task.copy())


def test_into_another_experiment_the_job_joins_that_too(xp, fake):
    task = learn(tag(0.5))
    task.submit()
    other = start("other", launcher=fake)
    task.submit()
    assert other.jobs == xp.jobs
    fake.wait_for(1)
    fake.finish("")
    other.wait(10)
    assert [v.state.value for v in (other.view().jobs[0], xp.view().jobs[0])] == ["done"] * 2
    assert len(fake.handles) == 1


def test_tags_and_times_are_those_of_the_run(xp, fake):
    learn(tag(0.5)).submit()
    other = start("other", launcher=fake)
    learn(0.5).tag("who", "me").submit()
    assert xp.view().jobs[0].tags == (("lr", "0.5"),)
    assert other.view().jobs[0].tags == (("who", "me"),)
    loop.current().sync(10)
    record = records.read_job(xp.jobs[0].entry.paths)
    assert dict(record.tags) == {"lr": 0.5}, "those of the submission that started it"


def test_tags_stay_when_a_task_is_submitted_again_without_any(xp, fake):
    learn(tag(0.5)).submit()
    again = learn(0.5).submit()
    assert dict(xp.view().jobs[0].tags) == {"lr": "0.5"}
    with pytest.warns(UserWarning, match=r"a job of Learn is .* other tags \(lr\): it has one row"):
        learn(0.5).tag("round", 2).submit()
    assert dict(xp.view().jobs[0].tags) == {"round": "2"}
    loop.current().sync(10)
    (run,) = xp.workspace.experiment("tour").runs()
    assert [dict(row.tags) for row in records.read_run_jobs(run)] == [{"lr": 0.5}, {"round": 2}]
    assert again.job is xp.jobs[0]


def test_tags_that_come_to_others_are_no_surprise(xp):
    learn(tag(0.5)).submit()
    learn(tag(0.5)).tag("round", 2).submit()
    assert dict(xp.view().jobs[0].tags) == {"lr": "0.5", "round": "2"}
    with pytest.warns(UserWarning, match=r"other tags \(round\)"):
        learn(tag(0.5)).tag("round", 3).submit()


def test_secrets_in_variables_are_warned_of(xp, fake):
    xp.setenv("HF_TOKEN", "hf_abcdefgh")
    xp.setenv("MAX_TOKENS", "1000000")
    xp.setenv("TOKENIZERS_PARALLELISM", "false")
    with pytest.warns(
        UserWarning, match=r"HF_TOKEN looks like a secret.*os\.environ\['HF_TOKEN'\]"
    ):
        learn(0.5).submit()
    xp.setenv("HF_TOKEN", None)
    learn(0.6).submit()


def test_what_is_run_again_says_how_many(xp, fake):
    jobs = [learn(lr).submit().job for lr in (0.1, 0.2, 0.3)]
    fake.wait_for(2)
    for job in jobs[:2]:
        fake.fail(job.key)
        job.wait(10)
    assert str(xp.retry()).startswith("2 jobs")
    assert isinstance(xp.cancel(*jobs), Jobs)
    xp.wait(10)
    assert str(xp.rerun(jobs[2])).startswith("1 job")


def test_the_next_kernel_has_the_tags_of_the_last_submission(xp, fake, new_kernel):
    first = learn(tag(0.5))
    xp.submit(first)
    with pytest.warns(UserWarning, match="other tags"):
        xp.submit(learn(0.5).tag("who", "me"))
    xp.submit(learn(0.5))
    assert xp.view().jobs[0].tags == (("who", "me"),)
    assert xp.jobs[0].config is first
    assert loop.current().sync(10)
    new_kernel()
    (view,) = start("tour", launcher=fake).view().jobs
    assert view.tags == (("who", "me"),)


def test_an_error_in_the_users_cell_leaves_nothing_behind(xp, monkeypatch):
    task = Learn.C()
    with pytest.raises(ConfigError, match="lr"):
        task.submit()
    assert xp.jobs == ()
    task.lr = 1
    task.submit()
    assert len(xp.jobs) == 1


def test_outputs_that_raise(xp, monkeypatch):
    def broken(self, dep):
        raise RuntimeError("task_outputs is broken")

    monkeypatch.setattr(Learn, "task_outputs", broken, raising=False)
    task = learn()
    with pytest.raises(RuntimeError, match="broken"):
        task.submit()
    assert xp.jobs == ()
    xp.wait(5)  # there is nothing to wait for
    monkeypatch.undo()


def test_something_that_is_no_task(xp):
    with pytest.raises(ConfigError, match=r"Model.*no task"):
        xp.submit(Model.C())
    with pytest.raises(ConfigError):
        xp.submit(3)


def test_run_modes(xp, fake):
    for mode, written in ((RunMode.DRY_RUN, False), (RunMode.GENERATE_ONLY, True)):
        task = learn(0.1 if written else 0.2)
        score = Score.C(learn=task.submit(run_mode=mode)).submit(run_mode=mode)
        xp.wait(10)
        assert task.state is JobState.UNSCHEDULED
        assert task.job.path.exists() == score.job.path.exists() == written
        with pytest.raises(JobError, match="no result: it is unscheduled"):
            task.result()
    assert fake.handles == []
    assert [row[-1] for row in xp.plan().rows] == ["would run"] * 4
    task = learn(0.2)  # looked at before, now in earnest
    task.submit(run_mode=RunMode.DRY_RUN)
    task.submit()
    fake.wait_for(1)
    assert state(task.job) == "running"
    assert len(xp) == 4
    with pytest.raises(ConfigError, match=r"transient is one of TransientMode.NONE, .*, not 'yes'"):
        learn().submit(transient="yes")
    with pytest.raises(ConfigError, match="max_retries is a whole number from 0 on, not -1"):
        learn().submit(max_retries=-1)


def test_a_dry_run_knows_what_is_done(xp, fake, new_kernel):
    learn(0.1).submit()
    fake.wait_for(1)
    fake.finish("")
    xp.wait(10)
    new_kernel()
    again = start("again", run_mode=RunMode.DRY_RUN)
    learn(0.1).submit()
    learn(0.2).submit()
    assert [row[-1] for row in again.plan().rows] == ["is done", "would run"]
    assert not (again.workspace.root / "experiments" / "again").exists()


def test_a_dry_run_writes_nothing_at_all(new_kernel, tmp_path, fake):
    xp = start("dry", run_mode=RunMode.DRY_RUN, launcher=fake)
    task = learn().submit()
    xp.wait(5)
    assert list(tmp_path.iterdir()) == []
    task.submit(run_mode=RunMode.NORMAL)
    fake.wait_for(1)
    assert xp.workspace.marker.exists()


def test_what_was_open_as_a_dry_run_is_opened_in_earnest(new_kernel, fake):
    xp = start("tour", run_mode=RunMode.DRY_RUN, launcher=fake)
    learn().submit()
    assert xp.plan().rows[0][-1] == "would run"
    assert start("tour") is xp  # the same cell, without run_mode=
    task = learn().submit()
    fake.wait_for(1)
    assert state(task.job) == "running"
    with experiment(xp.workspace, "tour", run_mode=RunMode.GENERATE_ONLY):
        assert xp.run_mode is RunMode.GENERATE_ONLY


def test_options_that_are_none(xp):
    for wrong in ("local", LocalLauncher):
        with pytest.raises(ConfigError, match="launcher is a launcher, as LocalLauncher"):
            start("tour", launcher=wrong)
        with pytest.raises(ConfigError, match="launcher is a launcher"):
            learn().submit(launcher=wrong)
    with pytest.raises(ConfigError, match=r"run_mode is one of RunMode.NORMAL, .*, not 'dry-run'"):
        start("tour", run_mode="dry-run")
    with pytest.raises(ConfigError, match="run_mode is one of"):
        learn().submit(run_mode=3)
    with pytest.raises(TypeError, match=r"init_tasks is a list: write init_tasks=\[…\]"):
        learn().submit(init_tasks=Model.C())


def test_what_is_only_generated_is_not_run_by_the_next_kernel(xp, fake, new_kernel):
    learn().submit(run_mode=RunMode.GENERATE_ONLY)
    xp.wait(5)
    new_kernel()
    again = start("tour", launcher=fake)
    assert again.jobs == ()
    learn().submit()
    fake.wait_for(1)


def test_the_environment_of_jobs(xp, fake):
    xp.setenv("XPM_A", "experiment")
    xp.setenv("XPM_B", "experiment")
    fake.environ = {"XPM_B": "launcher"}
    task = learn().submit()
    (handle,) = fake.wait_for(1)
    assert handle.environ == {"XPM_A": "experiment", "XPM_B": "launcher"} == task.job.environ
    xp.setenv("XPM_A", None)
    with pytest.raises(ConfigError, match="variable"):
        xp.setenv("A=B", "x")


# -- ends -------------------------------------------------------------------------------------


def test_a_failure_and_its_message(xp, fake):
    task = learn().submit()
    score = Score.C(learn=task).submit()
    fake.wait_for(1)
    task.stdout().write_text("on the way\n")
    fake.fail("", "ValueError: no such luck")
    xp.wait(10)
    with pytest.raises(JobError) as caught:
        task.result()
    text = str(caught.value)
    for part in ("Learn", "failed", "no such luck", "Traceback", "on the way", "learn.err"):
        assert part in text
    assert (caught.value.reason, caught.value.identifier) == ("failed", task.job.identifier)
    with pytest.raises(JobError, match="needs learn"):
        score.job.result()
    assert score.job.view().reason is FailureReason.DEPENDENCY
    assert xp.jobs == (task.job, score.job)


def test_retry_runs_causes_first(xp, fake):
    task = learn().submit()
    score = Score.C(learn=task).submit()
    fake.wait_for(1)
    fake.fail("")
    xp.wait(10)
    score.job.retry()
    fake.wait_for(2)
    fake.finish("")
    fake.wait_for(3)
    fake.finish("")
    assert score.job.wait(10) is JobState.DONE
    assert task.job.retry_count == 1
    xp.retry()  # nothing is in error
    xp.wait(10)
    assert len(fake.handles) == 3


def test_cancel(xp, fake):
    tasks = [learn(x).submit() for x in (1, 2, 3)]
    fake.wait_for(2)
    xp.cancel(tasks[2], tasks[0].job)
    assert tasks[2].job.wait(10) is JobState.ERROR
    assert tasks[0].job.wait(10) is JobState.ERROR
    assert state(tasks[1].job) == "running"
    with pytest.raises(ConfigError, match=r"cancel\(\*xp\.jobs\)"):
        xp.cancel()
    xp.cancel(*xp.jobs)
    xp.wait(10)
    assert {j.view().reason for j in xp.jobs} == {FailureReason.CANCELLED}


def test_waiting_has_an_end_and_can_be_interrupted(xp, fake, monkeypatch):
    task = learn().submit()
    assert xp.wait(timeout_s=0.05) is xp
    assert not task.job.wait(0.01).final
    fake.wait_for(1)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Event, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        xp.wait()
    monkeypatch.undo()
    assert state(task.job) == "running"


def test_wait_is_drawn_by_the_notebook(xp, monkeypatch):
    seen = []

    class Watch:
        def __init__(self, xp):
            seen.append(xp)

        def __enter__(self):
            seen.append("in")

        def __exit__(self, *what):
            seen.append("out")

    monkeypatch.setattr(host, "on_wait", Watch)
    xp.wait()
    assert seen == [xp, "in", "out"]


def test_await(xp, fake):
    task = learn().submit()
    fake.wait_for(1)

    async def whole():
        asyncio.get_running_loop().call_later(0.05, fake.finish, "")
        return await task, await xp, await task.job

    assert asyncio.run(whole()) == (JobState.DONE, xp, JobState.DONE)


# -- blocks -----------------------------------------------------------------------------------


def test_a_block_waits_and_raises_for_its_jobs(new_kernel, fake):
    late = threading.Thread(target=lambda: (fake.wait_for(2), fake.fail(fake.handles[0])))
    block = experiment("ws", "b", launcher=fake, slots=2)
    tasks = []

    def run():
        with block:
            tasks.extend(learn(x).submit() for x in (1, 2))
            fake.wait_for(2)
            fake.finish(fake.handles[1])
            late.start()

    with pytest.raises(FailedExperiment) as caught:
        run()
    late.join()
    assert "1 of 2 jobs of 'b' ended in error" in str(caught.value)
    assert "told to fail" in str(caught.value)
    assert [e.identifier for e in caught.value.errors] == [tasks[0].job.identifier]
    assert current() is None


def test_leaving_by_an_exception_is_at_once(new_kernel, fake):
    task = learn()

    def run():
        with experiment("ws", "b", launcher=fake):
            task.submit()
            fake.wait_for(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert state(task.job) == "running"
    assert current() is None


def test_a_block_on_an_open_name_uses_the_live_object(xp, fake):
    before = learn(1).submit()
    fake.wait_for(1)
    fake.fail("")
    before.job.wait(10)
    with experiment(None, "tour") as same:
        assert same is xp
        inside = learn(2).submit()
        fake.wait_for(2)
        fake.finish("")
    assert inside.state is JobState.DONE, "the failure before the block is not the block's"
    assert not xp.closed
    assert current() is xp


def test_arguments_that_mean_nothing_here(new_kernel, fake):
    with pytest.warns(UserWarning, match="host, port mean nothing"):
        experiment("ws", "b", port=0, host="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        experiment("ws", "b", port=0)
        with pytest.raises(TypeError, match="did you mean slots"):
            experiment("ws", "b", slot=3)


# -- callbacks --------------------------------------------------------------------------------


def test_a_completion_callback_is_called_once_in_its_thread(xp, fake):
    seen = []
    task = learn().submit()
    task.on_completed(lambda: seen.append(("first", threading.current_thread().name)))
    fake.wait_for(1)
    fake.finish("")
    xp.wait(10)
    task.on_completed(lambda: seen.append(("late", current())))
    assert callbacks.current().flush(10)
    assert seen == [("first", "xpm-callbacks"), ("late", xp)]


def test_inside_a_callback_tasks_go_to_the_jobs_experiment_and_wait_waits_for_them(xp, fake):
    task = learn(1).submit()
    task.on_completed(lambda: learn(2).submit())
    start("other", launcher=fake)
    fake.wait_for(1)
    fake.finish("")
    done = threading.Thread(target=lambda: (fake.wait_for(2), fake.finish("")))
    done.start()
    xp.wait(10)
    done.join()
    assert [state(j) for j in xp.jobs] == ["done", "done"]


def test_a_callback_that_raises_is_told_at_its_job(xp, fake, caplog):
    task, seen = learn().submit(), []

    def boom():
        raise RuntimeError("trouble")

    task.on_completed(boom)
    task.on_completed(lambda: seen.append(1))
    fake.wait_for(1)
    with caplog.at_level(logging.CRITICAL):
        fake.finish("")
        xp.wait(10)
    assert task.job.view().callback_error == "RuntimeError: trouble"
    assert (task.state, seen) == (JobState.DONE, [1])


def test_state_callbacks_get_each_change(xp, fake):
    seen = []
    task = learn()
    xp.slots = 1
    blocker = learn(9).submit()
    task.submit()
    loop.current().sync(10)
    task.on_state(lambda view: seen.append(view.state.value))
    fake.finish("")
    blocker.job.wait(10)
    fake.wait_for(2)
    fake.finish("")
    xp.wait(10)
    assert seen == ["scheduled", "running", "done"]


# -- a new kernel -----------------------------------------------------------------------------


def test_opening_again_finds_the_jobs_of_earlier_runs(xp, fake, new_kernel):
    one = learn(tag(1)).submit()
    two = Score.C(learn=learn(2).submit()).submit()
    three = learn(3).submit()
    fake.wait_for(2)
    loop.current().sync(10)
    new_kernel()
    again = start("tour", launcher=fake, slots=2)
    assert [j.name for j in again.jobs] == ["learn", "learn", "score", "learn"]
    # Nobody can follow fake processes: what has its lock is under way.
    assert [v.state.value for v in again.view().jobs] == ["running", "running", "waiting", "ready"]
    assert all(v.earlier for v in again.view().jobs)
    assert again.view().jobs[0].tags == (("lr", "1"),)
    assert again[three.job.identifier].config is None
    learn(tag(3)).submit()
    views = again.view().jobs
    assert [v.identifier for v in views if not v.earlier] == [three.job.identifier]
    assert views[0].identifier == three.job.identifier, "this run first"
    assert len(again) == 4
    fake.finish(fake.running(one.job.identifier))
    assert again[one.job.identifier].wait(10) is JobState.DONE
    assert two.job is not None


def test_a_list_with_a_damaged_line_loses_that_line_only(xp, fake, new_kernel):
    learn(1).submit()
    learn(2).submit()
    loop.current().sync(10)
    run = xp.workspace.experiment("tour").runs()[0]
    lines = run.jobs.read_text().splitlines(keepends=True)
    run.jobs.write_text(lines[0] + '{"job": "../../etc", "task": "x"}\n{"torn\n' + lines[1])
    new_kernel()
    with pytest.warns(UserWarning, match=r"^2 lines of .*jobs\.jsonl cannot be understood") as told:
        assert len(start("tour", launcher=fake)) == 2
    assert len(told) == 1
    start("tour")


@pytest.mark.slow
def test_tables(xp, fake):
    for lr, hidden in ((0.1, 8), (0.2, 8), (0.2, 16)):
        learn(tag(lr), model=Model.C(hidden=tag(hidden))).submit()
    for n in range(3):
        handle = fake.wait_for(n + 1)[n]
        paths = handle.paths
        files.append_line(paths.metrics, {"metrics": {"loss": n / 3}})
        fake.finish(handle, {"accuracy": n})
    xp.wait(10)
    table = xp.table()
    assert table.columns == ("lr", "hidden", "state", "loss")
    assert table.rows[2] == (0.2, 16, "done", 2 / 3)
    table = xp.table("accuracy", "loss", "nothing")
    assert [row[3:] for row in table.rows] == [(0, 0.0, None), (1, 1 / 3, None), (2, 2 / 3, None)]
    assert table.view().numeric == (True, True, False, True, True, False)
    assert table.view().rows[1] == ("0.2", "8", "done", "1", "0.3333", "")
    rounded = xp.table("accuracy", "loss", decimals=1)
    assert rounded.rows[1] == (0.2, 8, "done", 1, 1 / 3)
    assert rounded.view().rows[1] == ("0.2", "8", "done", "1", "0.3")
    assert list(table.df.columns) == list(table.columns)
    assert list(table.df.index) == [j.identifier[:8] for j in xp.jobs]
    assert table.df["accuracy"].sum() == 3
    assert len(xp.table(task=Learn)) == len(xp.table(task="Learn")) == 3
    assert len(xp.table(task=Score)) == 0


def test_an_identifier_that_is_not_there_or_not_one(xp):
    learn(1).submit()
    learn(2).submit()
    known = xp.jobs[0].identifier[:8]
    with pytest.raises(ConfigError, match=f"begins with.*did you mean {known}"):
        xp[known[:-1] + ("0" if known[-1] != "0" else "1")]
    for n in range(3, 18):  # two of seventeen begin with the same digit
        learn(n).submit()
    digits = [job.identifier[0] for job in xp.jobs]
    with pytest.raises(ConfigError, match=r"stands for \d+ jobs"):
        xp[max(digits, key=digits.count)]
    with pytest.raises(ConfigError, match="not been submitted"):
        xp.job(learn(3))


def test_experiments_are_seen(xp):
    assert isinstance(xp, Experiment)
    assert repr(xp) == "Experiment('tour': no jobs)"
    assert xp


def test_what_was_submitted_just_now_is_not_called_unscheduled(xp, fake):
    held, reached = threading.Event(), threading.Event()
    loop.current().subscribe(lambda keys: (reached.set(), held.wait(30)))
    Learn.C(lr=0.1).submit()
    assert reached.wait(30)  # the scheduler is at something else
    Learn.C(lr=0.2).submit()
    assert "1 just submitted" in repr(xp)
    assert "unscheduled" not in repr(xp)
    held.set()
    assert loop.current().sync(30)
    assert repr(xp) == "Experiment('tour': 2 running)"


def test_who_starts_what_waits_is_said_as_long_as_something_waits(xp, fake, monkeypatch):
    monkeypatch.setattr(xp, "_finisher", locks.myself)
    jobs = [Learn.C(lr=lr).submit().job for lr in (0.1, 0.2, 0.3)]
    assert loop.current().sync(30)
    starts = f"; process {locks.myself().pid} starts what waits"
    assert repr(xp) == f"Experiment('tour': 1 ready, 2 running{starts})"
    for job in jobs:
        fake.wait_for(jobs.index(job) + 1)
        fake.finish(job.key)
    xp.wait(30)
    assert repr(xp) == "Experiment('tour': 3 done)"


def test_what_json_cannot_hold_is_told_in_the_cell(xp):
    with pytest.raises(ConfigError, match="Learn: its tags"):
        (big := learn().tag("n", 10**5000)).submit()
    with pytest.raises(ConfigError):  # no job of which anybody might wait for the end
        big.result()
    assert len(xp) == 0
    assert state(learn().submit().job) == "running"


@pytest.mark.parametrize("way", ["job", "experiment", "result", "await"])
def test_waiting_ends_after_the_completion_callbacks(xp, fake, way):
    task, seen, begun, gate = learn().submit(), [], threading.Event(), threading.Event()
    task.on_completed(lambda: (begun.set(), gate.wait(10), seen.append("called")))

    async def awaited():
        await task.job

    def wait():
        wait_by = {"job": task.job.wait, "experiment": xp.wait, "result": task.result}
        asyncio.run(awaited()) if way == "await" else wait_by[way]()
        seen.append("waited")

    thread = threading.Thread(target=wait)
    fake.wait_for(1)
    fake.finish("")
    assert begun.wait(10)  # it ended, and its callback is under way
    thread.start()
    gate.set()
    thread.join(10)
    assert seen == ["called", "waited"]


def test_waiting_inside_a_callback_ends(xp, fake):
    task, seen = learn().submit(), []
    task.on_completed(lambda: seen.append(xp.wait(10)))
    fake.wait_for(1)
    fake.finish("")
    task.job.wait()
    assert seen == [xp]


def test_what_was_submitted_is_not_walked_through_again(xp, monkeypatch):
    from xpm_nb.core import nodes
    from xpm_nb.engine import submission

    first = learn()
    first.submit()
    score = Score.C(learn=first)
    met = []
    real = nodes.children
    monkeypatch.setattr(nodes, "children", lambda node: (met.append(node.cls), real(node))[1])
    assert not submission.needs_namespace(score)
    assert len(met) == 1, "its own values only"


def test_calls_that_cannot_be_meant_say_so(xp):
    task = learn().submit()
    for register in (task.on_completed, task.job.on_state):
        with pytest.raises(ConfigTypeError, match=r"takes a function, not 3"):
            register(3)
    for wait in (xp.wait, task.job.wait):
        for bad in ("x", -1, True, float("nan")):
            with pytest.raises(ConfigError, match="timeout_s is a number of seconds"):
                wait(bad)
    with pytest.raises(TypeError, match=r"for the default workspace: experiment\(None, 'outer'\)"):
        experiment("outer")
    with pytest.raises(ConfigError, match="empty text names no job"):
        xp[""]
    with pytest.raises(ConfigError, match="has 1 jobs, and no number 1"):
        xp[1]


def test_a_job_by_its_place_its_task_and_itself(xp):
    tasks = [learn(n).submit() for n in (1, 2)]
    assert [xp[0], xp[-1]] == [task.job for task in tasks]
    assert xp[tasks[1]] == xp[tasks[1].job] == tasks[1].job


def test_cancel_and_retry_give_the_jobs_they_act_on(xp, fake):
    tasks = [learn(n).submit() for n in range(3)]
    fake.wait_for(2)
    assert xp.retry() == ()
    assert xp.cancel(tasks[2]) == (tasks[2].job,)
    tasks[2].job.wait(10)
    assert xp.cancel(tasks[2]) == ()
    assert xp.retry() == (tasks[2].job,)
    assert set(xp.cancel(*xp.jobs)) == {task.job for task in tasks}


# -- looking, a few at a time -----------------------------------------------------------------


def test_peek_gives_the_views_asked_for(xp, fake):
    tasks = [learn(tag(n)).submit() for n in (1, 2, 3)]
    keys = [task.job.key for task in tasks]
    assert xp.peek(()) == ()
    assert xp.peek([keys[2], "no/such", keys[0]]) == (tasks[2].job.view(), tasks[0].job.view())
    assert xp.peek(iter(keys)) == xp.view().jobs
    assert xp.peek(keys[:1])[0].tags == (("lr", "1"),), "as this experiment shows it"
    assert xp.find([keys[2], "no/such", keys[0]]) == (tasks[2].job, tasks[0].job)


def test_peek_knows_the_jobs_of_earlier_runs(xp, fake, new_kernel):
    key = learn().submit().job.key
    assert loop.current().sync(10)
    new_kernel()
    (view,) = start("tour", launcher=fake).peek([key])
    assert view.earlier


@pytest.mark.parametrize(
    "folder", ["runs", "a b", "it's", 'the "best"', "back\\slash", "Zoë\u202e"]
)
@pytest.mark.parametrize("namespace", [None, "other"])
def test_the_way_back_opens_the_same_experiment(new_kernel, tmp_path, folder, namespace):
    xp = start("tour", workspace=tmp_path / folder, namespace=namespace)
    line = xp.way_back
    assert ("namespace=" in line) is (namespace is not None)
    assert line.isprintable()
    new_kernel()
    space: dict = {}
    exec(line, space)
    again = space["xp"]
    assert again is not xp
    assert (again.name, again.namespace) == (xp.name, xp.namespace)
    assert again.workspace.root == xp.workspace.root


def test_the_way_back_reads_well(new_kernel):
    xp = start("digits", workspace="/tmp/results/runs")
    assert xp.way_back == (
        'from xpm_nb import start; xp = start("digits", workspace="/tmp/results/runs")'
    )


# -- what would become of a task --------------------------------------------------------------


def test_fate_follows_a_task(xp, fake):
    tasks = [learn(n) for n in (1, 2, 3)]
    one, two, three = tasks
    assert [opening.fate(task) for task in tasks] == [Fate("new", "new")] * 3
    assert not configs.info(one).sealed, "it can still be changed"
    assert not (xp.workspace.jobs_dir / "tests.engine.some_tasks.learn").exists()
    for task in tasks:
        task.submit()
    fake.wait_for(2)
    assert loop.current().sync(10)
    assert [opening.fate(task).text for task in tasks] == [
        *["running"] * 2,
        "waiting for a free slot",
    ]
    score = Score.C(learn=three)
    assert opening.fate(score).kind == "new"
    score.submit()
    assert loop.current().sync(10)
    assert opening.fate(score) == Fate("waiting", "waiting for other jobs")
    fake.finish(fake.handles[0])
    fake.fail(fake.handles[1])
    for task in tasks[:2]:
        task.job.wait(10)
    assert opening.fate(one) == opening.fate(learn(1)) == Fate("computed", "computed already")
    assert opening.fate(two) == Fate("failed", "failed before (failed): would run again")
    assert opening.fate(learn(2)).kind == "failed"
    xp.cancel(three)
    score.job.wait(10)
    assert opening.fate(three).text == "cancelled before: would run again"
    assert opening.fate(score).text == "failed before (dependency): would run again"


def test_fate_of_what_has_none(xp):
    assert opening.fate(Model.C()) == Fate("none", "")
    assert opening.fate(3) == Fate("none", "")
    assert opening.fate(Learn) == xp.fate(Model.C()) == Fate("none", "")
    kind, text, _ = opening.fate(Learn.C())
    assert kind == "none"
    assert "lr" in text
    xp.close()
    kind, text, _ = opening.fate(learn())
    assert kind == "none"
    assert 'start("name")' in text


def test_fate_in_a_new_kernel_is_what_the_directory_says(xp, fake, new_kernel):
    tasks = [learn(n).submit() for n in (1, 2)]
    fake.wait_for(2)
    fake.finish(fake.handles[0])
    tasks[0].job.wait(10)
    assert callbacks.current().flush(60, chores=True), "the environment of the run is written"
    new_kernel()
    start("other", workspace=xp.workspace, launcher=fake)
    before = sorted(xp.workspace.root.rglob("*"))
    assert opening.fate(learn(1)).kind == "computed"
    assert opening.fate(learn(2)) == Fate("running", "running elsewhere")
    fake.fail(fake.handles[1])
    assert opening.fate(learn(2)).text == "failed before (failed): would run again"
    assert opening.fate(learn(3)).kind == "new"
    after = sorted(xp.workspace.root.rglob("*"))
    assert {path.name for path in set(after) - set(before)} <= {
        *("learn.failed", "error.txt", "outcome.json")
    }


def test_fate_is_that_of_the_workspace(xp, fake):
    learn(1).submit()
    here = start("other", launcher=fake)
    there = start("tour", workspace="elsewhere", launcher=fake)
    assert xp.fate(learn(1)).kind in ("waiting", "running"), "also before the scheduler met it"
    fake.wait_for(1)
    assert loop.current().sync(10)
    assert (xp.fate(learn(1)).kind, here.fate(learn(1)).kind) == ("running", "running")
    assert there.fate(learn(1)).kind == "new"


# -- tables that live -------------------------------------------------------------------------


def test_a_table_fills_in_while_jobs_finish(xp, fake):
    table = xp.table("loss")
    assert len(table) == 0
    assert table.finished
    assert table.experiment is xp
    tasks = [learn(tag(n)) for n in (1, 2, 3)]
    for task in tasks:
        task.submit()
    assert not table.finished
    fake.wait_for(2)
    assert loop.current().sync(10)
    assert [row[1] for row in table.rows] == ["running", "running", "ready"]
    for n, handle in enumerate(fake.wait_for(2)):
        files.append_line(handle.paths.metrics, {"metrics": {"loss": n / 2}})
        fake.finish(handle)
    handle = fake.wait_for(3)[2]
    xp.wait(0.01)
    assert not table.finished
    assert tasks[0].job.wait(10)
    assert tasks[1].job.wait(10)
    assert table.rows[:2] == ((1, "done", 0.0), (2, "done", 0.5))
    assert table.view().best == ((0, 2),)
    fake.fail(handle)
    xp.wait(10)
    assert table.finished
    assert table.rows[2] == (3, "error (failed)", None)
    assert table.df["loss"].count() == 2


def test_a_table_over_a_tag(xp, fake):
    for lr in (0.1, 0.2):
        for seed in (0, 1):
            learn(tag(lr), gate=str(seed), model=Model.C(hidden=seed)).tag("seed", seed).submit()
    for n in range(4):
        handle = fake.wait_for(n + 1)[n]
        fake.finish(handle, {"accuracy": (n + 1) / 10})
    xp.wait(10)
    table = xp.table("accuracy", over="seed", decimals=2)
    assert table.view().rows == (
        ("0.1", "2 done", "0.15 ± 0.07 (2)"),
        ("0.2", "2 done", "0.35 ± 0.07 (2)"),
    )
    assert table.view().best == ((1, 2),)
    assert list(xp.table("accuracy", over=["seed"]).df["accuracy_mean"]) == [
        pytest.approx(0.15),
        pytest.approx(0.35),
    ]
    with pytest.raises(ConfigError, match="there are lr, seed"):
        xp.table(over="sed")
    with pytest.raises(ConfigError, match='best is "min", "max"'):
        xp.table(best="most")
    with pytest.raises(ConfigError, match="'los' is none of the figures accuracy"):
        xp.table("accuracy", best={"los": "min"})


def test_a_table_is_that_of_the_run_under_way(xp, fake, new_kernel):
    learn(1).submit()
    fake.wait_for(1)
    fake.finish("")
    xp.wait(10)
    new_kernel()
    again = start("tour", launcher=fake)
    table = again.table()
    assert len(table) == 1, "the latest run's, before anything is submitted"
    for n in (2, 3):
        learn(n).submit()
    assert len(table) == 2


# -- differences ------------------------------------------------------------------------------


def changes(diff):
    return [(row.path, row.left, row.right) for row in diff.rows]


def test_where_two_jobs_differ(xp, fake):
    one, other = learn(0.1).submit(), learn(0.2, model=Model.C(hidden=16)).submit()
    wanted = [("lr", "0.1", "0.2"), ("model.hidden", "8", "16")]
    digits = [task.job.identifier[:12] for task in (one, other)]
    for a, b in [(one, other), (one.job, other.job), digits, (0, 1), (one.job, digits[1])]:
        assert changes(xp.diff(a, b)) == wanted
    found = xp.diff(one, other).view()
    assert (found.left, found.right) == (
        ("Learn", one.job.identifier),
        ("Learn", other.job.identifier),
    )
    assert not xp.diff(one, learn(0.1)), "a config that was not submitted will do"
    assert changes(xp.diff(0, learn(0.3))) == [("lr", "0.1", "0.3")]


def test_where_jobs_of_another_kernel_differ(xp, fake, new_kernel):
    first = learn(0.1)
    xp.submit(first)
    for task in (learn(0.2), Score.C(learn=first)):
        xp.submit(task)
    assert loop.current().sync(10)
    new_kernel()
    again = start("tour", launcher=fake)
    assert [job.config for job in again.jobs] == [None] * 3
    assert changes(again.diff(0, 1)) == [("lr", "0.1", "0.2")]
    assert changes(again.diff(0, learn(0.1))) == []
    assert changes(again.diff(learn(0.3), 1)) == [("lr", "0.3", "0.2")]
    kinds = again.diff(0, 2).view()
    assert (kinds.left[0], kinds.right[0]) == ("Learn", "Score")
    assert kinds.rows[0].type_only
    path = again.jobs[0].entry.paths.params
    path.unlink()
    with pytest.raises(ConfigError, match=r"nothing says what Learn .* is: .*params\.json"):
        again.diff(0, 1)
    path.write_text("{torn")
    with pytest.raises(RecordError, match=r"params\.json"):
        again.diff(0, 1)


def test_what_cannot_be_compared(xp):
    learn().submit()
    for bad in ("ffff0000", 7, None, Learn, 1.5):
        with pytest.raises((ConfigError, ConfigTypeError)):
            xp.diff(0, bad)


def test_what_was_submitted_just_now_is_known_to_a_table_and_a_plan(xp, fake, monkeypatch):
    monkeypatch.setattr(contents, "VIEWS_S", 30.0)  # this machine may be busy
    for n in range(30):
        learn(tag(0.1), model=Model.C(hidden=n + 1)).submit()
    states = [row[xp.table().columns.index("state")] for row in xp.table().rows]
    assert "unscheduled" not in states
    assert xp.plan().counts["new"] == 0
