"""What would become of tasks, before they are submitted."""

from __future__ import annotations

import pytest

from tests.engine.some_tasks import Learn, Model, Report, Score
from xpm_nb.core import config as configs
from xpm_nb.core.config import RunMode, Task, tag
from xpm_nb.core.fields import Param
from xpm_nb.engine import loop, outlook
from xpm_nb.engine.opening import start
from xpm_nb.engine.outlook import KINDS
from xpm_nb.errors import ConfigError, UnsetError
from xpm_nb.store import records


def learn(lr=0.5, **options):
    return Learn.C(lr=lr, **options)


def files(workspace):
    return {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}


def ended(task, fake, seconds=None, *, well=True):
    """Have the job of a task end, maybe as if it had taken so long."""
    handle = next(h for h in fake.wait_for(1) if h.paths == task.job.entry.paths)
    if well:
        fake.finish(handle)
    else:
        fake.fail(handle)
    task.job.wait(10)
    if seconds is not None:
        records.write_times(handle.paths, 1000.0, 1000.0 + seconds)


def kinds(plan):
    return {kind: count for kind, count in plan.counts.items() if count}


def test_a_plan_of_tasks_before_they_are_submitted(xp, fake):
    done, failed, running = (learn(n) for n in (1, 2, 3))
    for task in (done, failed):
        task.submit()
    fake.wait_for(2)
    ended(done, fake)
    ended(failed, fake, well=False)
    running.submit()
    fake.wait_for(3)
    assert loop.current().sync(10)
    before, known = files(xp.workspace), xp.jobs
    new = learn(tag(4))
    plan = xp.plan(learn(1), [learn(tag(2)), (learn(3), new)])
    assert plan.columns == ("task", "job", "lr", "plan")
    assert [row[0] for row in plan.rows] == ["Learn"] * 4
    assert [row[2] for row in plan.rows] == [None, 2, None, 4]
    assert [row[-1] for row in plan.rows] == [
        "is done",
        "failed before (failed): would run again",
        "is running",
        "would run",
    ]
    assert kinds(plan) == {"computed": 1, "failed": 1, "running": 1, "new": 1}
    assert set(plan.counts) == set(KINDS)
    assert plan.keys[:3] == tuple(job.key for job in known)
    assert not configs.info(new).sealed
    assert (files(xp.workspace), xp.jobs) == (before, known), "nothing was written or submitted"
    new.lr = 5  # it can still be changed
    new.submit()


def test_what_a_task_needs_comes_first(xp, fake):
    first = learn().submit()
    scored = Score.C(learn=first).submit()
    assert loop.current().sync(10)
    plan = xp.plan(Report.C(scored=scored))
    assert [(row[0], row[-1]) for row in plan.rows] == [
        ("Learn", "is running"),
        ("Score", "will run"),
        ("Report", "would run"),
    ]
    learned, score = (job.identifier[:8] for job in xp.jobs)
    assert [row[2] for row in plan.rows] == [None, f"Learn {learned}", f"Score {score}"]
    assert plan.caption.startswith("3 tasks: 1 running, 1 waiting, 1 new")
    assert xp.plan(scored).rows == plan.rows[:2], "an output stands for its task"


def test_what_needs_something_in_error_would_not_run(xp, fake):
    first = learn().submit()
    score = Score.C(learn=first)
    fake.wait_for(1)
    ended(first, fake, well=False)
    plan = xp.plan(score)
    assert [row[-1] for row in plan.rows] == [
        "stays in error until it is submitted again",
        "would not run: what it needs is in error",
    ]
    assert kinds(plan) == {"failed": 1, "blocked": 1}
    assert plan.expected_s == 0
    score.submit()
    assert score.job.wait(10).value == "error", "as the plan said"
    again = xp.plan(first, score)
    assert kinds(again) == {"failed": 2}
    assert [row[-1] for row in again.rows] == [
        "failed before (failed): would run again",
        "failed before (dependency): would run again",
    ]


def test_equal_tasks_are_planned_once(xp):
    plan = xp.plan([learn(1), learn(1), learn(1.0)], learn(2))
    assert len(plan) == 2
    assert plan.caption == "2 tasks: 2 new"


def test_a_plan_of_what_was_only_looked_at(xp, fake):
    first = learn().submit(run_mode=RunMode.DRY_RUN)
    plan = xp.plan(Score.C(learn=first))
    assert [row[-1] for row in plan.rows] == ["would run", "would run"]


def test_a_plan_in_another_kernel(xp, fake, new_kernel):
    tasks = [learn(n).submit() for n in (1, 2)]
    fake.wait_for(2)
    ended(tasks[0], fake)
    assert loop.current().sync(10)
    new_kernel()
    other = start("other", workspace=xp.workspace, launcher=fake)
    plan = other.plan([learn(n) for n in (1, 2, 3)])
    assert [row[-1] for row in plan.rows] == ["is done", "is running elsewhere", "would run"]
    assert other.jobs == ()


@pytest.mark.parametrize("what", [3, "1f3a", None, Learn, object()])
def test_what_is_no_task_at_all(xp, what):
    with pytest.raises(ConfigError, match=r"a plan is made of tasks, and .* is none"):
        xp.plan(learn(), [what])


def test_what_would_be_refused_is_refused(xp):
    with pytest.raises(ConfigError, match=r"Model is no task"):
        xp.plan(Model.C())
    with pytest.raises((ConfigError, UnsetError), match="lr"):
        xp.plan(Learn.C())


def test_no_tasks_make_an_empty_plan(xp):
    assert xp.plan([]).caption == "0 tasks"
    assert xp.plan().caption == "0 jobs"
    assert xp.plan([]).expected_s == 0


# -- the plan of a run ------------------------------------------------------------------------


def test_the_plan_of_a_run_says_what_becomes_of_its_jobs(xp, fake):
    done = learn(1).submit()
    fake.wait_for(1)
    ended(done, fake)
    bad = learn(tag(2)).submit()
    fake.wait_for(2)
    ended(bad, fake, well=False)
    waits = learn(tag(3)).submit()
    Score.C(learn=waits).submit()
    learn(4).submit(run_mode=RunMode.GENERATE_ONLY)
    fake.wait_for(3)
    assert loop.current().sync(10)
    plan = xp.plan()
    assert plan.columns == ("task", "job", "lr", "needs", "plan")
    assert [row[-1] for row in plan.rows] == [
        "is done",
        "stays in error until it is submitted again",
        "is running",
        "will run",
        "would run",
    ]
    assert plan.rows[3][3] == f"Learn {waits.job.identifier[:8]}"
    assert kinds(plan) == {"computed": 1, "failed": 1, "running": 1, "waiting": 1, "new": 1}
    assert plan.caption.startswith("5 jobs: 1 done, 1 running, 1 waiting, 1 in error, 1 would run")
    assert list(plan.df["plan"]) == [row[-1] for row in plan.rows]
    assert "5 jobs: 1 done" in str(plan)
    assert repr(plan) == "Plan(5 rows: task, job, lr, needs, plan)"


# -- how long ---------------------------------------------------------------------------------


def test_the_expected_time_comes_from_jobs_of_the_same_task(xp, fake, new_kernel):
    tasks = [learn(n).submit() for n in (1, 2)]
    fake.wait_for(2)
    for task in tasks:
        ended(task, fake, 60.0)
    new_kernel()
    other = start("other", workspace=xp.workspace, launcher=fake, slots=2)
    assert other.plan([learn(n) for n in (1, 2)]).expected_s == 0
    plan = other.plan([learn(n) for n in (1, 2, 3)])
    assert plan.expected_s == pytest.approx(60)
    assert plan.caption == "3 tasks: 2 reused, 1 new; about 60 s with 2 slots"
    assert other.plan([learn(n) for n in range(3, 9)]).expected_s == pytest.approx(180)
    other.slots = 1
    assert loop.current().sync(10)
    plan = other.plan([learn(n) for n in range(3, 9)])
    assert plan.caption == "6 tasks: 6 new; about 6 min with 1 slot"


def test_of_what_never_ran_no_time_is_told(xp):
    plan = xp.plan(learn())
    assert plan.expected_s is None
    assert plan.caption == "1 task: 1 new"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0.01, "1 s"), (12.4, "12 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min")],
        *[(7200, "2.0 h"), (100_000, "28 h"), (200_000, "2.3 days"), (4e6, "46 days")],
    ],
)
def test_times_are_told_roughly(seconds, text):
    assert outlook._roughly(seconds) == text


def test_a_damaged_record_of_times_is_no_obstacle(xp, fake):
    task = learn(1).submit()
    fake.wait_for(1)
    ended(task, fake, 30.0)
    paths = task.job.entry.paths
    paths.outcome.write_text("{torn")
    other = start("other", workspace=xp.workspace)
    assert other.plan(learn(2)).expected_s is None


# -- chains -----------------------------------------------------------------------------------


class Link(Task):
    number: Param[int]
    before: Param[Link | None]

    def execute(self): ...


@pytest.mark.slow
def test_a_long_chain_is_planned_without_recursion(new_kernel, fake):
    xp = start("chain", run_mode=RunMode.DRY_RUN, launcher=fake)
    last = None
    for number in range(1200):
        last = Link.C(number=number, before=last).submit()
    plan = xp.plan(Link.C(number=-1, before=last))
    assert len(plan) == 1201
    assert kinds(plan) == {"new": 1201}
    assert plan.rows[1][2] == f"Link {plan.rows[0][1]}"
