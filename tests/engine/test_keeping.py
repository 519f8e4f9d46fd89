"""Configurations and files that are kept with a run."""

from __future__ import annotations

import pytest

from tests.engine.some_tasks import Learn, Load, Model, Report, Score, Scored
from xpm_nb.core.config import RunMode
from xpm_nb.engine import callbacks
from xpm_nb.engine.opening import experiment, start
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import files, records
from xpm_nb.store.saved import from_task_dir


def test_what_is_saved_in_one_experiment_is_loaded_in_another(xp, new_kernel):
    model = Model.C(hidden=3)
    xp.save({"best": model, "all": [model]}, "models")
    xp.save(Model.C(hidden=5))
    xp.save(Model.C(hidden=6))
    assert xp.load("tour").hidden == 6
    new_kernel()
    other = start("other")
    found = other.load("tour", "models")
    assert found["best"] == model.seal()
    assert found["best"] is found["all"][0]
    assert other.load("tour", run_id=xp.workspace.experiment("tour").runs()[-1].run_id).hidden == 6
    with pytest.raises(RecordError, match=r"'tour' has nothing saved as 'best': .*default, models"):
        other.load("tour", "best")
    with pytest.raises(RecordError, match="nothing was saved in it"):
        other.load("none")
    with pytest.raises(ConfigError, match="cannot be a name"):
        other.save(model, "../x")


def test_what_is_saved_moves_with_the_workspace(xp, new_kernel, tmp_path):
    outside = tmp_path / "elsewhere.txt"
    learn = Learn.C(lr=0.1)
    xp.submit(learn)
    score = xp.submit(Score.C(learn=learn))
    xp.save([score, Scored.C(path=outside)])
    place = xp.workspace.root
    moved = place.with_name("mo ved")
    new_kernel()
    place.rename(moved)
    inside, other = start("tour", workspace=moved).load("tour")
    assert inside.path == moved / score.path.relative_to(place)
    assert other.path == outside


def test_what_a_task_gave_is_its_output_still(xp, new_kernel, fake):
    learn = Learn.C(lr=0.1)
    xp.submit(learn)
    score = Score.C(learn=learn)
    xp.save(xp.submit(score), "score")
    report = xp.submit(Report.C(scored=score.submit()))
    key = score.job.key
    assert xp._loop.sync(10)  # its directory is there
    new_kernel()
    other = start("other", launcher=fake)
    loaded = other.load("tour", "score")
    again = other.submit(Report.C(scored=loaded))
    assert again.job.identifier == report.job.identifier
    assert [job.key for job in again.job.dependencies] == [key]
    assert other.submit(Report.C(scored=other.load("tour", "score"))).job == again.job
    elsewhere = start("tour", workspace="elsewhere", launcher=fake)
    with pytest.raises(ConfigError, match=r"Report needs what score .* submit that task first"):
        elsewhere.submit(Report.C(scored=other.load("tour", "score")))


def test_a_task_that_is_read_from_its_job_is_that_job(xp, new_kernel, fake):
    learn = Learn.C(lr=0.1)
    load = Load.C(factor=2, model=learn.model)
    task = xp.submit(learn, init_tasks=[load])
    report = xp.submit(Report.C(scored=xp.submit(Score.C(learn=learn))))
    xp._loop.sync(10)
    new_kernel()
    other = start("other", launcher=fake)
    again = other.submit(from_task_dir(task.job.path))
    assert again.job.identifier == task.job.identifier
    copied = other.submit(from_task_dir(report.job.path).copy())
    assert copied.job.identifier == report.job.identifier
    assert [job.type for job in copied.job.dependencies] == ["tests.engine.some_tasks.score"]


def test_the_latest_run_that_saved_it_counts(xp, new_kernel, fake):
    xp.save(Model.C(hidden=1))
    xp.close()
    assert xp.resultspath.is_dir()
    later = start("tour", launcher=fake)
    later.submit(Learn.C(lr=0.1))
    later._loop.sync(10)
    assert later.load("tour").hidden == 1
    later.save(Model.C(hidden=2))
    assert later.load("tour").hidden == 2
    first, second = later.workspace.experiment("tour").runs()
    assert later.load("tour", run_id=first.run_id).hidden == 1
    assert later.resultspath == second.results
    assert len(records.read_run_jobs(second)) == 1
    with pytest.raises(ConfigError, match="name a run"):
        later.load("tour", run_id="../x")


def test_results_lie_in_the_run_beside_its_jobs(xp):
    (xp.resultspath / "a.txt").write_text("kept")
    assert xp.resultspath == xp.workspace.experiment("tour").runs()[0].path / "results"
    xp.submit(Learn.C(lr=0.1))
    xp._loop.sync(10)
    assert len(xp.workspace.experiment("tour").runs()) == 1
    assert callbacks.current().flush(30, chores=True)
    assert files.read_object(xp.workspace.experiment("tour").runs()[0].environment)


def test_a_dry_run_writes_nothing(new_kernel, fake, tmp_path):
    with experiment(tmp_path / "ws", "dry", run_mode=RunMode.DRY_RUN, launcher=fake) as xp:
        xp.save(Model.C())
        with pytest.raises(ConfigError, match="dry run"):
            assert xp.resultspath
    assert not (tmp_path / "ws").exists()
