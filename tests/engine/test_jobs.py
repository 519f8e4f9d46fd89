"""Jobs as one value."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.engine.some_tasks import Learn, Score
from xpm_nb.core.config import tag
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import loop
from xpm_nb.engine.jobs import Jobs, name_of
from xpm_nb.store import files


@pytest.fixture
def jobs(xp, fake):
    """Three that learn, of which one is done, one failed and one runs; and one that waits."""
    tasks = [Learn.C(lr=tag(lr)).submit() for lr in (0.1, 0.2, 0.3)]
    Score.C(learn=tasks[2]).submit()
    handles = fake.wait_for(2)
    files.append_line(handles[0].paths.metrics, {"metrics": {"loss": 0.5}})
    fake.finish(handles[0])
    fake.fail(handles[1], "ValueError: no luck\nat all")
    for task in tasks[:2]:
        task.job.wait(10)
    fake.wait_for(3)
    assert loop.current().sync(10)
    return xp.jobs


def test_jobs_are_a_tuple_of_jobs(xp, jobs):
    assert isinstance(jobs, Jobs)
    assert jobs == tuple(xp)
    assert isinstance(jobs[1:3], Jobs)
    assert jobs[1:3] == (jobs[1], jobs[2])
    assert jobs[-1] is jobs[3]
    assert isinstance(jobs[:1] + jobs[3:], Jobs)
    assert repr(jobs) == "Jobs(4 jobs: 1 done, 1 error, 1 running, 1 waiting)"
    assert repr(jobs[:0]) == "Jobs(0 jobs)"


def test_each_job_is_an_attribute(jobs):
    name = f"learn_{jobs[0].identifier[:8]}"
    assert getattr(jobs, name) == jobs[0]
    assert getattr(jobs, f"learn_{jobs[0].identifier}") == jobs[0]
    assert set(dir(jobs)) >= {name_of(job.view()) for job in jobs} | {"index", "df"}
    assert name in dir(jobs[:1])
    assert name not in dir(jobs[1:])
    for wrong in ("learn", "learn_", name[:-1] + "g", f"score_{jobs[0].identifier[:8]}"):
        assert not hasattr(jobs, wrong)
    other = "0" if name[-1] != "0" else "1"
    with pytest.raises(AttributeError, match=f"did you mean {name}") as caught:
        getattr(jobs, name[:-1] + other)
    assert caught.value.obj is jobs


def test_what_looks_for_hooks_finds_none(jobs):
    for hook in ("_ipython_display_", "_repr_html_", "_ipython_canary_method_should_not_exist_"):
        assert not hasattr(jobs, hook)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("Train", "train"),
        ("TrainModel", "train_model"),
        ("HTTPServer2Go", "http_server2_go"),
        ("outer.<locals>.Inner", "inner"),
        ("Übung", "übung"),
        ("a-b c", "a_b_c"),
        ("<>", "job"),
    ],
)
def test_names_are_what_can_be_written(task, name):
    view = JobView("t/" + "ab" * 32, "ab" * 32, "t", "t", task, JobState.DONE)
    assert name_of(view) == f"{name}_abababab"
    assert name_of(view).isidentifier()


def test_jobs_are_displayed_as_a_table(jobs):
    view = jobs.view()
    assert view.columns == ("job", "lr", "state", "message")
    assert [row[1:3] for row in view.rows] == [
        *[("0.1", "done"), ("0.2", "error (failed)"), ("0.3", "running"), ("0.3", "waiting")]
    ]
    assert view.rows[1][3] == "ValueError: no luck"
    assert view.rows[0][0] == name_of(jobs[0].view())
    assert view.numeric == (False, True, False, False)
    assert view.keys == tuple(job.key for job in jobs)
    assert view.caption == "4 jobs (1 done, 1 error, 1 running, 1 waiting)"
    assert jobs[:1].view().columns == ("job", "lr", "state")
    assert name_of(jobs[2].view()) in str(jobs)
    assert name_of(jobs[2].view()) in jobs._repr_mimebundle_()["text/html"]


def test_the_frame_of_jobs(jobs):
    frame = jobs.df
    assert list(frame.index) == [job.identifier[:8] for job in jobs]
    assert frame["task"].tolist() == ["Learn"] * 3 + ["Score"]
    assert frame["state"].tolist() == ["done", "error", "running", "waiting"]
    assert frame["loss"].tolist()[0] == 0.5
    assert frame["lr"].tolist() == ["0.1", "0.2", "0.3", "0.3"]
    assert frame["submitted"].notna().all()
    assert str(frame["started"].dtype).startswith("datetime64")
    assert len(jobs[:0].df) == 0


def test_jobs_can_be_copied(jobs):
    assert copy.copy(jobs) == jobs
    with pytest.raises((TypeError, pickle.PicklingError)):  # a job is a thing of this kernel
        pickle.dumps(jobs)


@pytest.mark.slow
@pytest.mark.parametrize("by_jedi", [True, False])
def test_tab_finds_the_jobs_of_an_experiment(xp, jobs, by_jedi):
    from IPython.core.completer import IPCompleter, provisionalcompleter

    completer = IPCompleter(namespace={"xp": xp, "jobs": jobs}, use_jedi=by_jedi)
    names = {name_of(job.view()) for job in jobs if job.name == "learn"}
    for begun in ("jobs.le", "xp.jobs.le", "xp.jobs."):
        with provisionalcompleter():
            found = {c.text.lstrip(".") for c in completer.completions(begun, len(begun))}
        assert names <= found, begun
    with provisionalcompleter():
        found = {c.text for c in completer.completions('xp["', 4)}
    assert found >= {job.identifier[:8] for job in jobs}


@pytest.mark.slow
@pytest.mark.parametrize("by_jedi", [True, False])
def test_tab_finds_the_files_of_a_job(jobs, by_jedi):
    from IPython.core.completer import IPCompleter, provisionalcompleter

    (jobs[0].path / "model.npz").write_text("")
    completer = IPCompleter(namespace={"job": jobs[0]}, use_jedi=by_jedi)
    with provisionalcompleter():
        found = {c.text.lstrip(".") for c in completer.completions("job.files.mo", 12)}
    assert "model_npz" in found


def test_the_jobs_of_an_experiment_cannot_be_set(xp):
    with pytest.raises(AttributeError, match="jobs cannot be set"):
        xp.jobs = ()
    assert "in order of submission" in type(xp).jobs.__doc__
