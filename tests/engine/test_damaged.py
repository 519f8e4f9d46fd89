"""Files of a job that are damaged: the one job says so, all others work, nothing is deleted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests import fresh
from tests.engine.some_tasks import Learn, Model
from xpm_nb.core.config import RunMode, tag
from xpm_nb.core.states import JobState
from xpm_nb.engine.opening import start
from xpm_nb.notebook import html_jobs
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

LRS = {"done": 0.25, "failed": 1.0, "waits": 0.5, "fine": 0.125}


def task(name):
    fail = "no such luck" if name == "failed" and not os.environ.get("MENDED") else ""
    return Learn.C(lr=tag(LRS[name]), fail=fail)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace that real jobs wrote: two done, one failed, one that its kernel did not start."""
    root = tmp_path_factory.mktemp("damaged") / "ws"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        xp = start("x", workspace=root)
        for name in ("done", "failed", "fine"):
            xp.submit(task(name))
        xp.wait(60)
        waits = task("waits")
        xp.submit(waits, run_mode=RunMode.GENERATE_ONLY)
        xp._loop.sync(10)
        run = xp.workspace.experiment("x").runs()[0]
        row = json.loads(run.jobs.read_text().splitlines()[0])
        row |= {"job": f"jobs/{waits.job.key}", "tags": {"lr": 0.5}}
        with run.jobs.open("a") as file:
            file.write(json.dumps(row) + "\n")
        xp.close()
        fresh.new_kernel()
    return root


@pytest.fixture
def root(template, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return shutil.copytree(template, tmp_path / "ws")


def paths_of(root, name):
    task_ = task(name)
    return Workspace(root).job(f"{Learn.__module__}.learn".lower(), task_.__identifier__().hex())


# -- damages ----------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def folder(path):
    if path.exists():
        path.unlink()
    path.mkdir()
    (path / "inside").write_text("somebody's")


def other(path):
    path.write_text("[1, 2]\n")


def binary(path):
    path.write_bytes(bytes(range(128, 256)))


def newer(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))


def strange(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dependencies": [1, {}]}))


def added(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"of_tomorrow": {"a": 1}}))


DONE, ERROR = JobState.DONE, JobState.ERROR
CASES = [
    (name, file, damage, state, said)
    for file, damage, said in [
        ("record", cut, "job.json is damaged"),
        ("record", empty, "job.json is damaged"),
        ("record", folder, "job.json: Is a directory"),
        ("record", other, "job.json is damaged"),
        ("record", binary, "job.json is damaged"),
        ("record", strange, "job.json is damaged"),
        ("record", newer, "job.json has format 99"),
        ("params", cut, "params.json is damaged"),
        ("params", empty, "params.json is damaged"),
        ("params", folder, "params.json: Is a directory"),
        ("params", other, "params.json is damaged"),
        ("params", binary, "params.json is damaged"),
        ("params", newer, "params.json has format 99"),
    ]
    for name, state, damages in (
        ("done", DONE, None),
        ("failed", ERROR, (cut, folder)),
        ("waits", ERROR, (cut, folder, newer)),
    )
    if damages is None or damage in damages
] + [
    ("done", "done", folder, ERROR, "learn.done is a directory"),
    ("failed", "failed", folder, ERROR, "learn.failed: Is a directory"),
    ("failed", "failed", empty, ERROR, "learn.failed is damaged"),
    ("failed", "failed", newer, ERROR, "learn.failed has format 99"),
    ("done", "progress", folder, DONE, "progress.jsonl: Is a directory"),
    ("done", "metrics", folder, DONE, "metrics.jsonl: Is a directory"),
    ("done", "metrics", binary, DONE, ""),
    ("done", "process", cut, DONE, ""),
    ("done", "outcome", cut, DONE, ""),
    ("done", "record", added, DONE, ""),
    ("done", "params", added, DONE, ""),
]


def contents(folder):
    """Everything that lies below a folder, by what it says."""
    return sorted(
        (p.name, p.read_bytes()) for p in folder.rglob("*") if p.is_file() and p.name != "lock"
    )


@pytest.mark.parametrize(
    ("name", "file", "damage", "state", "said"),
    CASES,
    ids=[f"{name}-{file}-{damage.__name__}" for name, file, damage, _, _ in CASES],
)
def test_a_damaged_job(root, monkeypatch, name, file, damage, state, said):
    paths = paths_of(root, name)
    damage(getattr(paths, file))
    before = contents(paths.path)

    xp = start("x", workspace=root)
    xp.wait(60)
    shown = {job.identifier: job.view() for job in xp.jobs}
    assert len(shown) == 4
    view = shown[paths.identifier]
    assert (view.state, said in view.message) == (state, True), view.message
    assert str(root) not in view.message, "a table has no room for what all messages begin with"
    assert bool(view.message) is bool(said) or state is ERROR
    for other_name in LRS.keys() - {name}:
        job = shown[paths_of(root, other_name).identifier]
        expected = ERROR if other_name == "failed" else DONE
        assert (job.state, "damaged" in job.message) == (expected, False)
    for thing in (xp, xp.table(), xp.plan(), xp[paths.identifier]):
        assert thing._repr_mimebundle_()["text/plain"]
    assert (
        said.replace("'", "&#x27;") in html_jobs.jobs_html(list(shown.values())) if said else True
    )
    if name != "waits":
        assert set(before) <= set(contents(paths.path)), "nothing is deleted or changed"

    monkeypatch.setenv("MENDED", "1")
    again = task(name)
    xp.submit(again)
    assert again.job.wait(60) is DONE
    if file in ("progress", "metrics") and said:  # it is done, and nothing could be written anew
        assert "rerun()" in again.job.view().message
        again.job.rerun()
        assert again.job.wait(60) is DONE
    xp._loop.sync(10)
    view = again.job.view()
    assert (view.state, view.message, view.attempt) == (DONE, "", view.attempt)
    assert again.result() == {"accuracy": 1 - LRS[name], "hidden": Model.C().hidden}
    if damage is not added:
        names = {getattr(paths, file).name, "inside"} if name == "waits" else None
        wanted = [row for row in before if names is None or row[0] in names]
        assert wanted
        kept = contents(paths.path)
        assert all(row in kept for row in wanted), "what was there is still somewhere"
    fresh.new_kernel()
    assert [j.view().message for j in start("x", workspace=root).jobs if j.state is DONE] == [
        ""
    ] * (4 if name == "failed" else 3)
