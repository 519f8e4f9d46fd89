"""@cache and value classes in real jobs and beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine import caching_values
from tests.engine.caching_tasks import Count, Model, Terms, Use
from tests.engine.test_real_jobs import Lab, until
from xpm_nb.engine import loop
from xpm_nb.engine.opening import start
from xpm_nb.errors import NoExperimentError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    monkeypatch.setenv("XPM_TEST_LOG", str(lab.log))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    former = loop.use(None)
    lab.new_kernel()
    yield lab
    lab.new_kernel()
    loop.use(former)
    lab.end_jobs()


def test_two_jobs_that_ask_at_the_same_time_compute_once(here):
    xp = start("x", workspace=here.workspace, slots=3)
    tasks = [Count.C(terms=Terms.C(n=3, gate=here.gate), extra=e).submit() for e in (1, 2, 3)]
    until(lambda: len(here.said()) == 4)
    assert here.said().count("compute 3") == 1
    here.open_gate()
    xp.wait(60)
    assert [task.result() for task in tasks] == [4, 5, 6]
    # And here, of the same configuration, by an instance or without.
    assert len(Terms.C(n=3).instance().load()) == 3
    assert len(Terms.C(n=3).load()) == 3
    assert here.said().count("compute 3") == 1
    assert len(Terms.C(n=2).load()) == 2
    assert here.said()[-1] == "compute 2"
    found = here.workspace.glob("config/tests.engine.caching_tasks.terms/*/terms.txt")
    identifiers = {Terms.C(n=n).__identifier__().hex() for n in (2, 3)}
    assert {path.parent.name for path in found} == identifiers
    # What was computed here is there for a job that comes later.
    assert Count.C(terms=Terms.C(n=2), extra=0).submit().result() == 2
    assert here.said().count("compute 2") == 1


def test_without_an_experiment_there_is_no_place(here):
    with pytest.raises(NoExperimentError, match=r"Terms has nowhere to keep 'terms.txt'"):
        Terms.C(n=3).load()


def test_a_value_class_of_another_module_is_there_in_the_job(here):
    start("x", workspace=here.workspace)
    assert Use.C(model=Model.C(size=3)).submit().result() == [4, 4, "ModelValue"]
    assert Model.XPMValue is caching_values.ModelValue
