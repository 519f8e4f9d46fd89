"""Tables, from views alone."""

from __future__ import annotations

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine.results import Table, plan_table, state_text, table


def job(n, task="Learn", state=JobState.DONE, metrics=(), needs=(), reason=None):
    name = task.lower()
    return JobView(
        key=f"t.{name}/{n:064x}",
        identifier=f"{n:064x}",
        type_name=f"t.{name}",
        name=name,
        task=task,
        state=state,
        reason=reason,
        metrics=tuple(metrics),
        dependencies=tuple(needs),
    )


def test_only_what_tells_rows_apart_has_a_column():
    jobs = [job(1), job(2), job(3)]
    tags = {
        jobs[0].key: {"lr": 0.1, "seed": 0},
        jobs[1].key: {"lr": 0.2, "seed": 0},
        jobs[2].key: {"lr": 0.2, "seed": 0, "who": "me"},
    }
    made = table(jobs, tags)
    assert made.columns == ("lr", "who", "state")
    assert made.rows[2] == (0.2, "me", "done")
    assert table(jobs[:1], tags).columns == ("lr", "seed", "state"), "one row: all it has"
    assert table([], {}).columns == ("state",)


def test_one_is_not_true():
    jobs = [job(1), job(2)]
    made = table(jobs, {jobs[0].key: {"x": 1}, jobs[1].key: {"x": True}})
    assert made.columns == ("x", "state")
    assert made.view().numeric == (False, False)


def test_several_tasks_are_named_and_metrics_are_where_they_are():
    jobs = [job(1, metrics=[("loss", 0.5)]), job(2, "Score", metrics=[("accuracy", 1)])]
    made = table(jobs, {})
    assert made.columns == ("task", "state", "loss", "accuracy")
    assert made.rows == (("Learn", "done", 0.5, None), ("Score", "done", None, 1))
    assert made.view().rows[0] == ("Learn", "done", "0.5", "")


def test_asked_figures_choose_the_tasks_that_have_them():
    jobs = [
        job(1, metrics=[("loss", 0.5)]),
        job(2, state=JobState.ERROR, reason=FailureReason.FAILED),
        job(3, "Split"),
    ]
    made = table(jobs, {}, ["loss"])
    assert made.rows == (("done", 0.5), ("error (failed)", None)), "failed ones are shown too"
    assert len(table(jobs, {}, ["nothing"])) == 3, "nobody has it yet: all of them"


def test_fields_of_results_are_asked_for_only_where_no_metric_has_the_name():
    asked = []

    def result_of(view):
        asked.append(view.identifier[-1])
        return {"accuracy": 0.75, "loss": "other"}

    jobs = [job(1, metrics=[("loss", 1)]), job(2, state=JobState.RUNNING)]
    made = table(jobs, {}, ["loss", "accuracy"], result_of)
    assert made.rows[0] == ("done", 1, 0.75)
    assert asked == ["1"]
    assert table(jobs[:1], {}, ["result"], lambda view: 3.5).rows == (("done", 3.5),)


def test_the_plan_says_what_becomes_of_each():
    split = job(1, "Split")
    waits = job(2, state=JobState.WAITING, needs=[split.key, f"t.other/{5:064x}"])
    made = plan_table([split, waits], {})
    assert made.columns == ("task", "job", "needs", "plan")
    assert made.rows[1] == ("Learn", "00000000", "Split 00000000, other 00000000", "will run")
    for state in JobState:
        assert plan_table([job(1, state=state)], {}).rows[0][-1]


def test_text_and_frame():
    made = Table(("a", "b"), ((1, None), (2.34567, "x")), (f"t/{'ab' * 32}", f"t/{'cd' * 32}"))
    assert made.view().rows == (("1", ""), ("2.346", "x"))
    assert made.view().numeric == (True, False)
    assert repr(made) == "Table(2 rows: a, b)"
    assert "2.346" in str(made)
    frame = made.df
    assert list(frame.index) == ["abababab", "cdcdcdcd"]
    assert frame["a"].tolist() == [1, 2.34567]


def test_states_with_their_reasons():
    assert state_text(job(1)) == "done"
    lost = job(1, state=JobState.ERROR, reason=FailureReason.LOST)
    assert state_text(lost) == "error (lost)"
