"""Submit hooks and what becomes of a job; no job runs here."""

import dataclasses

import pytest

from xpm_nb.core.config import Config, LightweightTask, RunMode, Task
from xpm_nb.core.fields import Param
from xpm_nb.core.hooks import submit_hook_decorator
from xpm_nb.engine.job import Job
from xpm_nb.engine.opening import start
from xpm_nb.errors import ConfigError
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import records

seen: list = []
acts: dict = {}


@submit_hook_decorator
def does(job, launcher, name):
    seen.append((job, launcher))
    acts.get(name, lambda job, launcher: None)(job, launcher)


@does("task")
class Hooked(Task):
    n: Param[int] = 0

    def execute(self): ...


@does("model")
class Model(Config):
    n: Param[int]


@does("warm")
class Warm(LightweightTask):
    def execute(self): ...


@does("after")
class After(Task):
    before: Param[Hooked]

    def execute(self): ...


class Outer(Task):
    models: Param[list[Model]]

    def execute(self): ...


def hooked(act):
    """A task with a hook that does something."""
    acts["task"] = act
    return Hooked.C()


def with_env(**values):
    return lambda job, launcher: job.environ.update(values)


@pytest.fixture
def local(new_kernel):
    """An experiment with real launchers whose jobs are not run."""
    seen.clear()
    acts.clear()
    shared = LocalLauncher(environ={"A": "launcher", "B": "launcher"})
    xp = start("tour", launcher=shared, run_mode=RunMode.GENERATE_ONLY)
    xp.setenv("A", "experiment")
    xp.setenv("E", "experiment")
    yield xp
    assert xp.launcher is shared
    assert shared == LocalLauncher(environ={"A": "launcher", "B": "launcher"})


def submitted(xp, task):
    task.submit()
    assert xp._loop.sync(10)
    return records.read_job(task.job.entry.paths)


def test_variables_of_a_hook_win_over_launcher_and_experiment(local):
    act = with_env(B="hook", C="hook")
    record = submitted(local, hooked(act))
    want = {"A": "launcher", "B": "hook", "C": "hook", "E": "experiment"}
    assert record.environ == want


def test_hooks_of_nested_configs_and_init_tasks_count(local):
    acts.update(model=with_env(MODEL="1"), warm=with_env(WARM="1"))
    task = Outer.C(models=[Model.C(n=1), Model.C(n=2)])
    task.submit(init_tasks=[Warm.C()])
    assert task.job.entry.record.environ.items() >= {("MODEL", "1"), ("WARM", "1")}
    assert len(seen) == 2


def test_the_job_that_a_hook_sees(local):
    before = Hooked.C()
    before.submit()
    seen.clear()
    after = After.C(before=before)
    after.submit()
    (job, launcher), *_ = seen
    assert isinstance(job, Job)
    assert isinstance(launcher, LocalLauncher)
    assert job == after.job
    assert job.config is after
    assert job.dependencies == (before.job,)
    assert job.environ["E"] == "experiment"


def test_a_variable_is_text_and_none_takes_it_away(local):
    def act(job, launcher):
        job.environ["N"] = 3
        job.environ["E"] = None
        del job.environ["A"]

    task = hooked(act)
    record = submitted(local, task)
    assert record.environ == {"B": "launcher", "N": "3"}
    assert task.job.launcher.environ == {"B": "launcher"}  # it would set it once more


def test_options_of_the_launcher_are_changed_for_this_job_alone(local):
    def act(job, launcher):
        launcher.python = "/opt/java/python"
        launcher.environ["L"] = "hook"

    record = submitted(local, hooked(act))
    assert record.launcher["python"] == record.python == "/opt/java/python"
    assert record.environ["L"] == "hook"
    acts.clear()
    other = submitted(local, Hooked.C(n=5))
    assert other.launcher["python"] is None
    assert "L" not in other.environ


def test_submitting_once_more_gives_the_hook_the_launcher_as_it_was(local):
    def act(job, launcher):
        launcher.environ["TIMES"] = launcher.environ.get("TIMES", "") + "x"

    task = hooked(act)
    task.submit()
    task.submit(launcher=local.launcher)
    assert task.job.entry.record.environ["TIMES"] == "x"
    assert seen[1][1].environ["TIMES"] == "x"


def test_a_launcher_that_is_no_dataclass_is_copied(xp, fake):
    def act(job, launcher):
        assert launcher is not fake
        launcher.deaf = True

    hooked(act).submit()
    assert not fake.deaf


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda job, launcher: 1 / 0, r"process\(\): ZeroDivisionError"),
        (lambda job, launcher: setattr(launcher, "pyton", 1), "'pyton': did you mean python"),
        (lambda job, launcher: setattr(launcher, "gpus", 1), "'gpus': there are python, environ"),
        (lambda job, launcher: job.environ.update({"A=B": "1"}), "cannot be a variable"),
    ],
)
def test_what_goes_wrong_is_told_in_the_cell_and_nothing_is_submitted(local, act, message):
    task = hooked(act)
    with pytest.raises(ConfigError, match=message) as caught:
        task.submit()
    assert "hook does of Hooked" in str(caught.value)
    assert not local.jobs
    assert not list(local.workspace.jobs_dir.glob("*/*"))


def test_a_dry_run_calls_no_hook(local):
    hooked(lambda job, launcher: 1 / 0).submit(run_mode="dry_run")
    assert not seen


def test_a_hook_holds_no_frozen_launcher_for_long(local):
    """What hooks got is of a class of its own; the job's launcher is of the real one."""
    task = hooked(lambda job, launcher: setattr(launcher, "python", "/p"))
    submitted(local, task)
    assert type(task.job.launcher) is LocalLauncher
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.job.launcher.python = "/q"
