"""Tables, from views alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine.figures import Spread
from xpm_nb.engine.results import Choice, LiveTable, Results, Seen, Table, check, state_text, table
from xpm_nb.errors import ConfigError


def job(n, task="Learn", state=JobState.DONE, metrics=(), reason=None):
    name = task.lower()
    return JobView(
        key=f"t.{name}/{n:064x}",
        identifier=f"{n:064x}",
        type_name=f"t.{name}",
        name=name,
        task=task,
        state=state,
        reason=reason,
        metrics=tuple(dict(metrics).items()),
    )


def seen(n, tags=(), **options):
    return Seen(job(n, **options), dict(tags))


def test_only_what_tells_rows_apart_has_a_column():
    jobs = [
        seen(1, {"lr": 0.1, "seed": 0}),
        seen(2, {"lr": 0.2, "seed": 0}),
        seen(3, {"lr": 0.2, "seed": 0, "who": "me"}),
    ]
    made = table(jobs)
    assert made.columns == ("lr", "who", "state")
    assert made.rows[2] == (0.2, "me", "done")
    assert made.hidden == made.view().hidden == (("seed", "0"),)
    assert table(jobs[:1]).columns == ("lr", "seed", "state"), "one row: all it has"
    assert table(jobs[:1]).hidden == ()
    assert table([]).columns == ("state",)
    assert len(table([]).df) == 0


def test_one_is_not_true():
    made = table([seen(1, {"x": 1}), seen(2, {"x": True})])
    assert made.columns == ("x", "state")
    assert made.view().numeric == (False, False)


def test_several_tasks_are_named_and_metrics_are_where_they_are():
    made = table([seen(1, metrics={"loss": 0.5}), seen(2, task="Score", metrics={"accuracy": 1})])
    assert made.columns == ("task", "state", "loss", "accuracy")
    assert made.rows == (("Learn", "done", 0.5, None), ("Score", "done", None, 1))
    assert made.view().rows[0] == ("Learn", "done", "0.5", "")


def test_asked_figures_choose_the_tasks_that_have_them():
    jobs = [
        seen(1, metrics={"loss": 0.5}),
        seen(2, state=JobState.ERROR, reason=FailureReason.FAILED),
        seen(3, task="Split"),
    ]
    made = table(jobs, Choice(("loss",)))
    assert made.rows == (("done", 0.5), ("error (failed)", None)), "failed ones are shown too"
    assert len(table(jobs, Choice(("nothing",)))) == 3, "nobody has it yet: all of them"


def test_fields_of_results_are_asked_for_only_where_no_metric_has_the_name():
    asked = []

    def result_of(view):
        asked.append(view.identifier[-1])
        return {"accuracy": 0.75, "loss": "other"}

    jobs = [seen(1, metrics={"loss": 1}), seen(2, state=JobState.RUNNING)]
    made = table(jobs, Choice(("loss", "accuracy")), result_of)
    assert made.rows[0] == ("done", 1, 0.75)
    assert asked == ["1"]
    assert table(jobs[:1], Choice(("result",)), lambda view: 3.5).rows == (("done", 3.5),)


def test_a_result_is_read_once_an_attempt(monkeypatch):
    from xpm_nb.engine import results

    read = []
    monkeypatch.setattr(results, "json_result", lambda view: read.append(view) or len(read))
    reader = Results()
    first = replace(job(1), path="/a", ended=5.0)
    assert [reader(first), reader(replace(first, metrics=(("x", 1),)))] == [1, 1]
    assert reader(replace(first, attempt=2, ended=9.0)) == 2
    assert reader(replace(first, path="/b")) == 3


# -- the best ---------------------------------------------------------------------------------


def test_figures_of_a_column_have_equally_many_decimals():
    def shown(*values):
        return [row[0] for row in Table(("x",), tuple((v,) for v in values), ()).view().rows]

    assert shown(0.05, 0.9827, 1.0, None, 3) == ["0.0500", "0.9827", "1.0000", "", "3"]
    assert shown(29.0, 42.25) == ["29.00", "42.25"]
    assert shown(29.0, 42.0) == ["29", "42"]
    assert shown(1e-9, 0.5) == ["1e-09", "0.5"]  # which would take ten
    assert shown(math.nan, 0.25) == ["nan", "0.25"]


def test_tags_are_shown_as_they_were_given():
    rates = (10.0, 0.123456)
    jobs = [seen(n, {"lr": lr}, metrics={"loss": 0.123456}) for n, lr in enumerate(rates)]
    rows = table(jobs).view().rows
    assert [row[::2] for row in rows] == [("10.0", "0.1235"), ("0.123456", "0.1235")]


def test_the_best_figure_of_each_column_is_marked():
    figures = [(0.5, 0.7, 3.1), (0.25, 0.7, 3.2), (0.75, 0.9, 3.3)]
    jobs = [
        seen(n, {"n": n}, metrics={"loss": loss, "accuracy": accuracy, "pi": pi})
        for n, (loss, accuracy, pi) in enumerate(figures)
    ]
    assert table(jobs).best == table(jobs).view().best == ((1, 2), (2, 3))
    assert table(jobs, Choice(best="max")).best == ((2, 2), (2, 3), (2, 4))
    assert table(jobs, Choice(best={"pi": "min", "loss": None})).best == ((2, 3), (0, 4))
    assert table(jobs, Choice(best=False)).best == ()


def test_what_is_not_done_is_not_the_best():
    jobs = [
        seen(1, metrics={"loss": 0.5}),
        seen(2, metrics={"loss": 0.4}),
        seen(3, metrics={"loss": 0.1}, state=JobState.RUNNING),
        seen(4, metrics={"loss": 0.0}, state=JobState.ERROR),
    ]
    assert table(jobs).best == ((1, 1),)
    assert table(jobs[::2]).best == (), "of one nothing is said"


# -- over a tag -------------------------------------------------------------------------------


def runs():
    figures = {(0.1, 0): 0.5, (0.1, 1): 0.7, (0.2, 0): 0.2, (0.2, 1): 0.4, (0.3, 0): 0.9}
    return [
        seen(n, {"lr": lr, "seed": seed, "who": "me"}, metrics={"loss": loss})
        for n, ((lr, seed), loss) in enumerate(figures.items())
    ]


def test_one_row_for_each_combination_of_the_other_tags():
    made = table(runs(), Choice(over=("seed",)))
    assert made.columns == ("lr", "state", "loss")
    assert [row[:2] for row in made.rows] == [(0.1, "2 done"), (0.2, "2 done"), (0.3, "1 done")]
    assert [row[2] for row in made.rows] == [
        Spread(pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4), 2),
        Spread(pytest.approx(0.3), pytest.approx(0.1414, abs=1e-4), 2),
        Spread(0.9, None, 1),
    ]
    view = made.view()
    assert view.rows[0] == ("0.1", "2 done", "0.60 ± 0.14 (2)")
    assert view.rows[2] == ("0.3", "1 done", "0.9 (1)")
    assert view.numeric == (True, False, True)
    assert view.best == ((1, 2),)
    assert view.hidden == (("who", "me"),)
    assert view.caption == "mean ± deviation over seed (how many)"
    assert view.keys == ("", "", runs()[4].view.key), "several jobs have no one key"
    assert table(runs(), Choice(over=("seed",), decimals=1)).view().rows[0][2] == "0.6 ± 0.1 (2)"


def test_over_all_tags_there_is_one_row():
    made = table(runs(), Choice(over=("seed", "lr")))
    assert made.columns == ("state", "loss")
    assert made.rows[0][1].n == 5


def test_the_frame_of_a_grouped_table_holds_numbers():
    frame = table(runs(), Choice(over=("seed",))).df
    assert list(frame.columns) == ["lr", "state", "loss_mean", "loss_std", "loss_n"]
    assert frame["loss_mean"].round(2).tolist() == [0.6, 0.3, 0.9]
    assert frame["loss_std"].dtype == float
    assert frame["loss_n"].tolist() == [2, 2, 1]


def test_only_what_is_done_counts_in_a_mean():
    jobs = [
        seen(1, {"lr": 1, "seed": 0}, metrics={"loss": 0.5}),
        seen(2, {"lr": 1, "seed": 1}, metrics={"loss": 9.0}, state=JobState.RUNNING),
        seen(3, {"lr": 2, "seed": 0}, state=JobState.WAITING),
    ]
    made = table(jobs, Choice(over=("seed",)))
    assert made.rows == ((1, "1 done, 1 running", Spread(0.5, None, 1)), (2, "1 waiting", None))


def test_figures_that_are_texts_are_shown_where_they_agree():
    jobs = [seen(n, {"seed": n}) for n in range(3)]
    answers = {0: "yes", 1: "yes", 2: "no"}

    def result_of(view):
        return {"answer": answers[int(view.identifier, 16)]}

    choice = Choice(("answer",), over=("seed",))
    assert table(jobs[:2], choice, result_of).rows == (("2 done", "yes"),)
    assert table(jobs, choice, result_of).rows == (("3 done", None),)


def test_several_tasks_are_not_put_together():
    jobs = [seen(n, {"seed": n}, task=task) for n, task in enumerate(["A", "B", "A"])]
    assert table(jobs, Choice(over=("seed",))).rows == (("A", "2 done"), ("B", "1 done"))


def test_a_tag_that_nobody_has():
    with pytest.raises(ConfigError, match="no job has a tag 'sede'; there are lr, seed, who"):
        check(Choice(over=("sede",)), runs())
    with pytest.raises(ConfigError, match="none has a tag"):
        check(Choice(over=("seed",)), [seen(1)])
    check(Choice(over=("seed",)), [])  # who knows


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(JobState)),
            st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
            st.dictionaries(st.sampled_from(["loss", "f1", "pi"]), st.floats() | st.integers()),
        ),
        max_size=12,
    ),
    st.sampled_from([(), ("a",), ("a", "b")]),
)
def test_a_table_of_anything_is_a_table(rows, over):
    jobs = [
        seen(n, tags, state=state, metrics=metrics) for n, (state, tags, metrics) in enumerate(rows)
    ]
    view = table(jobs, Choice(over=over)).view()
    assert len(view.numeric) == len(view.columns)
    assert all(len(row) == len(view.columns) for row in view.rows)
    assert len(view.keys) == len(view.rows) <= len(jobs)
    assert all(row < len(view.rows) and column < len(view.columns) for row, column in view.best)
    if not over:
        assert view.keys == tuple(job.view.key for job in jobs), "in the order of submission"
    shown = {*view.columns, *(name for name, _ in view.hidden), *over}
    assert {name for job in jobs for name in job.tags} <= shown


# -- a table that lives -----------------------------------------------------------------------


def test_a_live_table_is_of_now():
    jobs = [seen(1, state=JobState.RUNNING)._replace(settled=False)]
    live = LiveTable("the experiment", lambda: list(jobs), Choice())
    assert live.experiment == "the experiment"
    first = live.now()
    assert live.now() is first, "nothing has changed"
    assert live.rows == (("running",),)
    assert not live.finished
    jobs[0] = seen(1, metrics={"loss": 0.5})
    assert live.finished
    assert live.rows == (("done", 0.5),)
    assert live.columns == ("state", "loss")
    assert live.view().rows == (("done", "0.5"),)
    assert live.keys == (jobs[0].view.key,)
    assert list(live.df["loss"]) == [0.5]
    assert len(live) == 1
    assert repr(live) == "Table(1 rows: state, loss)"
    assert str(live) == str(live.now())
    assert first.rows == (("running",),), "what was taken stays"


# -- text -------------------------------------------------------------------------------------


def test_text_and_frame():
    made = Table(("a", "b"), ((1, None), (2.34567, "x")), (f"t/{'ab' * 32}", f"t/{'cd' * 32}"))
    assert made.view().rows == (("1", ""), ("2.346", "x"))
    assert made.view().numeric == (True, False)
    assert repr(made) == "Table(2 rows: a, b)"
    assert "2.346" in str(made)
    frame = made.df
    assert list(frame.index) == ["abababab", "cdcdcdcd"]
    assert frame["a"].tolist() == [1, 2.34567]


def test_a_tag_and_a_figure_of_one_name_are_two_columns():
    jobs = [seen(n, {"loss": n}, metrics={"loss": n / 2}) for n in (1, 2)]
    assert table(jobs).columns == ("loss", "state", "loss")
    assert table(jobs).df.to_numpy().tolist() == [[1, "done", 0.5], [2, "done", 1.0]]


def test_states_with_their_reasons():
    assert state_text(job(1)) == "done"
    lost = job(1, state=JobState.ERROR, reason=FailureReason.LOST)
    assert state_text(lost) == "error (lost)"
