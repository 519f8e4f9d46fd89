"""What a notebook is offered: counted from the lists of runs and the files of their jobs."""

from __future__ import annotations

import hashlib
import os

import pytest

from xpm_nb.engine import offers
from xpm_nb.store import files, locks, records
from xpm_nb.store.layout import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws").create()


def jobs(workspace, name, count):
    found = []
    for number in range(count):
        hexa = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
        found.append(workspace.job("t.learn", hexa).create())
    return found


def run(workspace, name, some, *, notebook="", when=0):
    made = workspace.experiment(name).create_run("20260101-000000")
    for paths in some:
        records.add_run_job(made, records.RunJob(paths.relative, "Learn", submitted=0.0))
    files.write_json(made.environment, {"format": 1, "notebook": notebook})
    os.utime(made.path, (when, when))
    return made


def test_what_runs_and_what_waits_is_counted(workspace):
    done, failed, running, *_ = some = jobs(workspace, "x", 5)
    records.write_done(done)
    failed.failed.write_text("{")
    run(workspace, "x", [*some, done, running])
    lock = locks.try_lock(running)
    assert offers.offers(workspace) == ["x: 1 running, 2 waiting: %xpm start x"]
    lock.release()
    assert offers.offers(workspace) == ["x: 3 waiting: %xpm start x"]


def test_what_is_finished_or_deleted_is_not_offered(workspace):
    some = jobs(workspace, "x", 2)
    made = run(workspace, "x", some)
    records.write_done(some[0])
    records.forget_run_job(made, some[1].relative, 1.0)
    assert offers.offers(workspace) == []
    assert offers.offers(Workspace(workspace.root / "none")) == []


def test_a_notebook_is_offered_its_own(workspace):
    for when, name in enumerate("abcde"):
        run(workspace, name, jobs(workspace, name, 1), notebook=f"/n/{name}.ipynb", when=when)
    assert offers.offers(workspace, "/n/b.ipynb") == ["b: 1 waiting: %xpm start b"]
    assert offers.offers(workspace, "/n/other.ipynb") == []
    latest = [f"{name}: 1 waiting: %xpm start {name}" for name in "edc"]
    assert offers.offers(workspace) == latest, "without its name: the latest"


def test_damaged_files_are_left_to_who_opens_the_experiment(workspace):
    run(workspace, "a", jobs(workspace, "a", 1))
    made = run(workspace, "b", jobs(workspace, "b", 1))
    with made.jobs.open("a") as file:
        file.write('{"format": 1, "job": 3}\n{oops\n{"format": 1, "job": "jobs/../../x"}\n')
    made.environment.write_text("[")
    assert sorted(offers.offers(workspace)) == [
        "a: 1 waiting: %xpm start a",
        "b: 1 waiting: %xpm start b",
    ]


def test_of_long_lists_the_end_is_looked_at(workspace, monkeypatch):
    some = jobs(workspace, "x", 20)
    made = run(workspace, "x", some)
    size = made.jobs.stat().st_size // 20
    monkeypatch.setattr(offers, "LIST_BYTES", size * 5 + size // 2)
    assert offers.offers(workspace) == ["x: at least 5 waiting: %xpm start x"]
    monkeypatch.setattr(offers, "LIST_BYTES", size * 40)
    monkeypatch.setattr(offers, "JOBS", 7)
    assert offers.offers(workspace) == ["x: at least 7 waiting: %xpm start x"]
    monkeypatch.setattr(offers, "JOBS", 20)
    assert offers.offers(workspace) == ["x: 20 waiting: %xpm start x"]


def test_no_more_is_looked_at_than_is_offered(workspace, monkeypatch):
    for when in range(8):
        run(workspace, f"x{when}", jobs(workspace, f"x{when}", 1), when=when)
    asked, read = [], records.read_run_end
    monkeypatch.setattr(
        records, "read_run_end", lambda run, size: asked.append(run) or read(run, size)
    )
    assert len(offers.offers(workspace)) == offers.OFFERED == len(asked)
