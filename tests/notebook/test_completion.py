"""What Tab offers, for views of every kind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.notebook.samples import SWEEP, job
from xpm_nb import Param, Task
from xpm_nb.core.states import JobState
from xpm_nb.core.views import ExperimentView
from xpm_nb.notebook import completion, magics

PARSERS = {verb: getattr(magics.XpmMagics, verb).parser for verb in magics.VERBS}


def experiment(*jobs):
    view = ExperimentView("digits", "/w", "digits", jobs)
    return SimpleNamespace(view=lambda: view)


def offered(line: str, of=None) -> dict[str, str]:
    words = line.split(" ")
    return dict(completion.offers(words, PARSERS, of))


def test_metrics_and_tags_that_jobs_have():
    of = experiment(*SWEEP.jobs)
    assert offered("table ", of) == {
        "accuracy": "metric",
        "loss": "metric",
        "--over": "one row for all values of this tag",
        "--task": "only jobs of this task",
    }
    assert list(offered("table accuracy ", of)) == ["loss", "--over", "--task"]
    assert list(offered("table --over ", of)) == ["model", "C", "data"]
    assert list(offered("jobs --tag model", of)) == ["model=svc", "model=forest"]


def test_with_no_experiment_there_are_verbs_and_options():
    assert list(offered("cancel ")) == ["--all", "--state", "--task"]
    assert list(offered("jobs --state e")) == ["error"]
    assert offered("log ") == {}
    assert offered("frobnicate ") == {}
    assert offered("help log ") == {}


def test_what_has_spaces_is_quoted():
    of = experiment(job(tags=(("a b", "it's"),), metrics=(("top 5", 0.5),)))
    assert list(offered("jobs --tag ", of)) == ["'a b=it'\"'\"'s'"]
    assert "'top 5'" in offered("table ", of)


def test_text_of_users_is_shown_inertly_and_cut():
    nasty = "\x1b[31m\u202e" + "x" * 500
    [about] = offered("log ", experiment(job(task="Train", tags=(("n", nasty),)))).values()
    assert "\x1b" not in about
    assert "\u202e" not in about
    assert len(about) < 80


def test_of_very_many_jobs_some_are_offered():
    jobs = [job(JobState.RUNNING, str(i)) for i in range(2_000)]
    found = offered("cancel ", experiment(*jobs))
    assert len(found) == completion.MAX_OFFERS
    wanted = jobs[-1].identifier[:8]
    assert wanted not in found
    assert list(offered(f"cancel {wanted[:7]}", experiment(*jobs))) == [wanted]


@pytest.mark.parametrize("verb", PARSERS)
def test_each_verb_says_what_it_does(verb):
    assert len(completion.about(PARSERS[verb])) > 10


class _Fit(Task):
    x: Param[int] = 1


def test_variables_with_tasks_are_offered_for_a_plan():
    known = {"fit": _Fit.C(), "fits": [_Fit.C()], "_1": _Fit.C(), "n": 3, "none": [], "cls": _Fit}
    found = completion.offers(["plan", "f"], PARSERS, None, known)
    assert found == [("fit", "task"), ("fits", "tasks")]
    assert completion.offers(["plan", "fit", ""], PARSERS, None, known) == [("fits", "tasks")]
    assert completion.offers(["jobs", ""], PARSERS, None, known) == completion.offers(
        ["jobs", ""], PARSERS, None
    )
