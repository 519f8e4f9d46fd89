"""Files that are damaged or vanish while the workspace is open and jobs run."""

from __future__ import annotations

import shutil

import pytest

from tests.faults.fault_tasks import After, Good, Waits
from xpm_nb.core.states import JobState
from xpm_nb.store import locks

pytestmark = pytest.mark.slow


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def removed(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("somebody's")


def binary(path):
    path.write_bytes(bytes(range(128, 256)))


DONE, ERROR = JobState.DONE, JobState.ERROR
# Of a job that runs: what is damaged, how, how it ends, and what is said at its row.
RUNNING = [
    ("process", cut, DONE, ""),
    ("process", removed, DONE, ""),
    ("record", cut, DONE, ""),
    ("record", removed, DONE, ""),
    ("record", folder, DONE, ""),
    ("params", removed, DONE, ""),
    ("params", binary, DONE, ""),
    ("script", removed, DONE, ""),
    ("code", folder, DONE, ""),
    ("lock", removed, DONE, ""),
    ("pid", removed, DONE, ""),
    ("stdout", removed, DONE, ""),
    ("stderr", folder, DONE, ""),
    ("progress", folder, DONE, "progress.jsonl: Is a directory"),
    ("metrics", binary, DONE, ""),
    ("metrics", folder, ERROR, "IsADirectoryError"),
    ("done", folder, ERROR, "learn.done"),
    ("failed", folder, DONE, ""),
    ("outcome", folder, ERROR, "outcome.json"),
    ("private", removed, ERROR, "how it ended could not be written"),
]


@pytest.mark.parametrize(
    ("name", "damage", "state", "said"),
    RUNNING,
    ids=[f"{n}-{d.__name__}" for n, d, _, _ in RUNNING],
)
def test_of_a_job_that_runs(lab, name, damage, state, said):
    lab.begin()
    task, other = Waits.C(n=1, gate=lab.gate).submit(), Good.C(n=2).submit()
    after = After.C(of=task).submit()
    lab.wait_said("waits 1")
    damage(getattr(task.job.entry.paths, name))
    assert task.job._repr_mimebundle_()
    lab.open_gate()
    assert task.job.wait(60) is state, task.job.view()
    assert said.replace("learn", "waits") in task.job.view().message, task.job.view().message
    assert after.job.wait(60) is state
    lab.others_finish(other)
    assert lab.said().count("waits 1") == 1
    found = lab.reopened()[task.job.identifier]
    assert found.state is state, found
    again = Waits.C(n=1, gate=lab.gate).submit()
    assert again.job.wait(60) is DONE, again.job.view()
    assert lab.said().count("waits 1") == (1 if state is DONE else 2)


FILES = ["record", "params", "script", "code", "lock"]
WAITING = [(name, damage) for name in FILES for damage in (cut, removed, folder)]
WAITING += [("private", removed), ("path", removed)]


@pytest.mark.parametrize(("name", "damage"), WAITING, ids=[f"{n}-{d.__name__}" for n, d in WAITING])
def test_of_a_job_that_waits(lab, name, damage):
    """The kernel knows what is to be run, and writes it anew."""
    xp = lab.begin(slots=1)
    first, task = Waits.C(n=1, gate=lab.gate).submit(), Good.C(n=2).submit()
    lab.wait_said("waits 1")
    path = getattr(task.job.entry.paths, name)
    damage(path)
    lab.open_gate()
    state = task.job.wait(60)
    if name == "lock" and damage is folder:
        assert state is ERROR
        assert "lock" in task.job.view().message
        removed(path)
        xp.retry()
    assert task.job.wait(60) is DONE, task.job.view()
    lab.others_finish(first)
    assert lab.said().count("good 2") == 1


AROUND = [
    ("jobs.jsonl cut", lambda xp: cut(xp._run.paths.jobs)),
    ("jobs.jsonl folder", lambda xp: folder(xp._run.paths.jobs)),
    ("run removed", lambda xp: removed(xp._run.paths.path)),
    ("experiments removed", lambda xp: removed(xp.workspace.experiments_dir)),
    ("marker removed", lambda xp: removed(xp.workspace.marker)),
    ("token cut", lambda xp: cut(xp.workspace.token("one"))),
    ("token removed", lambda xp: removed(xp.workspace.token("one"))),
]


@pytest.mark.parametrize(("what", "damage"), AROUND, ids=[what for what, _ in AROUND])
def test_of_the_experiment(lab, what, damage):
    """What runs or waits goes on; a new one does, or says what is in its way."""
    xp = lab.begin()
    token = xp.token("one", 1)
    task, second = (token(1, Waits.C(n=n, gate=lab.gate)).submit() for n in (1, 2))
    plain = Good.C(n=3).submit()
    lab.wait_said("waits 1", "good 3")
    damage(xp)
    new = Good.C(n=4).submit()
    lab.open_gate()
    xp.wait(60)
    assert (task.state, plain.state) == (DONE, DONE)
    for job in (second.job, new.job):
        assert job.state is DONE or "json" in job.view().message, job.view()
    assert not locks.held(task.job.entry.paths)
    if what.startswith(("token", "marker")):
        lab.others_finish(task, plain)
