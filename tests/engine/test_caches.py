"""@cache and value classes in real jobs and beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import caching_values
from tests.engine.caching_tasks import Count, Model, Terms, Use
from tests.engine.lab import until
from xpm_nb.engine.opening import start
from xpm_nb.errors import NoExperimentError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def test_two_jobs_that_ask_at_the_same_time_compute_once(lab):
    xp = start("x", workspace=lab.workspace, slots=3)
    tasks = [Count.C(terms=Terms.C(n=3, gate=lab.gate), extra=e).submit() for e in (1, 2, 3)]
    until(lambda: len(lab.said()) == 4)
    assert lab.said().count("compute 3") == 1
    lab.open_gate()
    xp.wait(60)
    assert [task.result() for task in tasks] == [4, 5, 6]
    # And lab, of the same configuration, by an instance or without.
    assert len(Terms.C(n=3).instance().load()) == 3
    assert len(Terms.C(n=3).load()) == 3
    assert lab.said().count("compute 3") == 1
    assert len(Terms.C(n=2).load()) == 2
    assert lab.said()[-1] == "compute 2"
    found = lab.workspace.glob("config/tests.engine.caching_tasks.terms/*/terms.txt")
    identifiers = {Terms.C(n=n).__identifier__().hex() for n in (2, 3)}
    assert {path.parent.name for path in found} == identifiers
    # What was computed here is there for a job that comes later.
    assert Count.C(terms=Terms.C(n=2), extra=0).submit().result() == 2
    assert lab.said().count("compute 2") == 1


def test_without_an_experiment_there_is_no_place(lab):
    with pytest.raises(NoExperimentError, match=r"Terms has nowhere to keep 'terms.txt'"):
        Terms.C(n=3).load()


def test_a_value_class_of_another_module_is_there_in_the_job(lab):
    start("x", workspace=lab.workspace)
    assert Use.C(model=Model.C(size=3)).submit().result() == [4, 4, "ModelValue"]
    assert Model.XPMValue is caching_values.ModelValue
