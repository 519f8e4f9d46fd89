"""How the environment of results differs from the present one, and that it is said once."""

from __future__ import annotations

import subprocess

import pytest

from tests.engine.some_tasks import Learn
from xpm_nb.engine import callbacks, loop, provenance, surroundings
from xpm_nb.engine.opening import start
from xpm_nb.engine.surroundings import drift
from xpm_nb.notebook import html
from xpm_nb.store import files, records
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Code, JobRecord, RunJob

HEX = "ab" * 32


@pytest.fixture
def job(tmp_path):
    """A job of the experiment "tour"."""
    workspace = Workspace(tmp_path / "ws").create()
    paths = workspace.job("gone.learn", HEX).create()
    record = JobRecord("gone.learn", HEX, "learn", "Learn", experiment="tour", submitted=7.0)
    records.write_job(paths, record)
    records.write_done(paths)
    return paths


def test_versions_of_what_it_imports(job, tmp_path):
    import numpy

    code = Code("0" * 64, packages={"numpy": numpy.__version__})
    records.write_code(job, code)
    assert not drift(job, str(tmp_path))
    records.write_code(job, code._replace(packages={"numpy": "0.9", "gone-too": "1"}))
    found = drift(job, str(tmp_path))
    assert found.changes == (
        ("numpy", "0.9", numpy.__version__),
        ("gone-too", "1", "not installed"),
    )
    assert str(found).startswith("numpy 0.9 then, ")


def test_branch_commit_and_python(job, tmp_path, monkeypatch):
    def git(*words):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, cwd=tmp_path / "code", check=True, capture_output=True)

    (tmp_path / "code").mkdir()
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    monkeypatch.setattr(surroundings, "NOW_S", 1e-6)  # git is asked each time
    run = Workspace(job.workspace).experiment("tour").create_run("20260101-000000-000-1")
    records.add_run_job(run, RunJob(job.relative, "Learn", submitted=7.0))
    then = {"format": 1, "python": "3.1.4"}
    then["git"] = surroundings.provenance.commit(str(tmp_path / "code"))
    files.write_json(run.environment, then)
    assert [what for what, *_ in drift(job, str(tmp_path / "code")).changes] == ["Python"]
    git("switch", "-q", "-c", "other")
    git("commit", "-q", "--allow-empty", "-m", "second")
    found = {what: (old, new) for what, old, new in drift(job, str(tmp_path / "code")).changes}
    assert found["branch"] == ("main", "other")
    assert found.keys() == {"Python", "branch", "commit"}
    notable = drift(job, str(tmp_path / "code")).notable
    assert notable.startswith("Python 3.1.4 then, ")
    assert notable.endswith("; branch main then, other now")
    assert "commit" not in notable  # each one is another one


def test_without_anything_to_compare(job, tmp_path):
    job.record.unlink()
    assert not drift(job, str(tmp_path))
    assert str(drift(job, str(tmp_path))) == ""


# -- in an experiment ---------------------------------------------------------------------------


@pytest.fixture
def made(new_kernel, fake, monkeypatch):
    """An experiment with three results, one of them of another Python; and a new kernel."""
    then = {"format": 1, "python": "3.1.4"}
    monkeypatch.setattr(provenance, "environment", lambda notebook: then)
    xp = start("tour", launcher=fake, slots=9)
    jobs = [Learn.C(lr=lr).submit().job for lr in (0.1, 0.2)]
    done(fake, xp)
    xp.close()
    new_kernel()
    monkeypatch.setattr(provenance, "environment", lambda notebook: {"format": 1})
    xp = start("tour", launcher=fake, slots=9)
    jobs.append(Learn.C(lr=0.3).submit().job)
    done(fake, xp)
    xp.close()
    new_kernel()
    return [job.identifier for job in jobs]


def done(fake, xp):
    assert loop.current().sync(10)
    for job in xp.jobs:
        if not job.state.final:
            fake.finish(job.key)
    assert all(job.state.value == "done" for job in xp.wait(10).jobs)
    assert callbacks.current().flush(10, chores=True)


def opened(fake, **options):
    """Open the experiment, and let all that there is to compare be compared."""
    xp = start("tour", launcher=fake, **options)
    return compared(xp)


def compared(xp):
    assert loop.current().sync(10)
    for _ in range(2):  # whether to compare, and that: one chore puts the other
        assert callbacks.current().flush(10, chores=True)
    assert loop.current().sync(10)
    return xp


def test_results_of_another_environment_say_so(made, fake):
    xp = opened(fake)
    drifts = {job.identifier: job.view().drift for job in xp.jobs}
    assert [drifts[one].startswith("Python 3.1.4 then, ") for one in made] == [True, True, False]
    assert drifts[made[2]] == ""
    assert repr(xp[made[0][:12]]).endswith(" done, environment changed)")
    assert repr(xp) == "Experiment('tour': 3 done, 2 environment changed)"
    assert [html.clean(str(row)) for row in xp.view().jobs if "3.1.4" in row.drift]
    Learn.C(lr=0.1).submit()
    assert ("done (environment changed)",) in [row[-1:] for row in compared(xp).table().rows]


def test_the_present_is_asked_for_once_an_opening(made, fake, monkeypatch):
    asked, compare = [], surroundings.compare
    monkeypatch.setattr(
        surroundings, "compare", lambda *given: asked.append(given[-1]) or compare(*given)
    )
    xp = opened(fake)
    assert len(asked) == 3
    assert len(set(map(id, asked))) == 1
    for lr in (0.1, 0.2, 0.3):
        Learn.C(lr=lr).submit()
    compared(xp).view()
    compared(start("tour"))  # nothing has changed: nothing is compared
    assert len(asked) == 3


def test_an_opening_in_another_environment_compares_anew(made, fake, monkeypatch):
    code = xp_job(opened(fake), made[2])
    records.write_code(code, Code("0" * 64, packages={"numpy": "0.9"}))
    monkeypatch.setattr(surroundings.metadata, "version", lambda name: "0.9")
    asked = []
    monkeypatch.setattr(
        surroundings.Present, "differs", lambda self, before: asked.append(before) or True
    )
    xp = opened(fake)
    assert len(asked) == 1
    assert xp[made[2][:12]].view().drift == ""
    monkeypatch.setattr(surroundings.metadata, "version", lambda name: "1.0")
    assert opened(fake)[made[2][:12]].view().drift == "numpy 0.9 then, 1.0 now"


def xp_job(xp, identifier):
    return xp[identifier[:12]].entry.paths


def test_versions_that_change_are_another_present(monkeypatch, tmp_path):
    version = ["1.0"]
    monkeypatch.setattr(surroundings.metadata, "version", lambda name: version[0])
    before = surroundings.Present(str(tmp_path))
    assert not surroundings.Present(str(tmp_path)).differs(before)
    assert before.version("numpy") == "1.0"
    assert not surroundings.Present(str(tmp_path)).differs(before)
    version[0] = "2.0"
    assert surroundings.Present(str(tmp_path)).differs(before)
    assert before.version("numpy") == "1.0"


def test_what_is_run_again_is_of_the_present(made, fake):
    xp = opened(fake)
    job = xp[made[0][:12]]
    assert job.view().drift
    job.rerun()
    assert loop.current().sync(10)
    assert job.view().drift == ""
    done(fake, xp)
    assert compared(xp)[made[0][:12]].view().drift == ""


def test_a_closed_experiment_hears_of_nothing(made, fake):
    xp = opened(fake)
    xp.close()
    other = start("other", launcher=fake)
    before = dict(xp._comparing._met)
    xp._comparing._met.clear()
    Learn.C(lr=0.1).submit()
    compared(other)
    assert before
    assert not xp._comparing._met
