from __future__ import annotations

import errno
import json
import os

import pytest

from tests.store.conftest import RECORD
from xpm_nb.core.states import FailureReason
from xpm_nb.store import attempts, files, fs, records, results
from xpm_nb.store.layout import make_next
from xpm_nb.store.records import ProcessRecord


def fill(job):
    records.write_params(job, {"n": 1})
    records.write_script(job, "pass\n")
    records.write_job(job, RECORD)
    records.write_process(job, ProcessRecord(1, 2, "b", "h"))
    records.write_times(job, 1.0, 2.0)
    results.store_result(job, 3)
    files.append_line(job.metrics, {"n": 1})
    files.append_line(job.progress, {"n": 1})
    job.lock.touch()
    job.stdout.write_text("out")
    job.stderr.write_text("err")
    records.write_done(job)
    (job.path / "model.bin").write_text("weights")
    (job.path / "deep" / "er").mkdir(parents=True)
    (job.path / "elsewhere").symlink_to("/")
    job.by_hand.mkdir()


def test_archive_moves_the_attempt_and_the_files(job):
    fill(job)
    inode = job.lock.stat().st_ino
    target = attempts.archive_attempt(job)
    assert target == job.attempts / "1"
    assert {p.name for p in job.path.iterdir()} == {"learn.py", "params.json", ".experimaestro"}
    assert {p.name for p in job.private.iterdir()} == {"attempts", "by-hand", "job.json", "lock"}
    assert job.lock.stat().st_ino == inode
    assert (target / "model.bin").read_text() == "weights"
    assert (target / "elsewhere").is_symlink()
    for name in ("learn.done", "learn.out", "learn.err", "learn.py", "params.json", "job.json"):
        assert (target / name).exists()
    records.write_params(job, {"n": 2})
    assert json.loads((target / "params.json").read_text()) == {"n": 1}
    assert records.read_outcome(job) is None
    assert attempts.archive_attempt(job) is None
    records.write_failed(job, FailureReason.FAILED)
    assert attempts.archive_attempt(job) == job.attempts / "2"


def test_archive_keeps_checkpoints_of_a_task_that_resumes(job):
    fill(job)
    target = attempts.archive_attempt(job, keep_files=True)
    assert (job.path / "model.bin").read_text() == "weights"
    assert (job.path / "deep" / "er").is_dir()
    assert job.metrics.exists()
    assert not job.progress.exists()
    assert not job.stdout.exists()
    assert (target / "learn.out").read_text() == "out"
    assert not (target / "model.bin").exists()


def test_the_marker_goes_first(job, monkeypatch):
    fill(job)
    moved = []

    def rename(source, target):
        moved.append(os.path.basename(source))
        raise OSError("stop")

    monkeypatch.setattr(fs, "rename", rename)
    with pytest.raises(OSError, match="stop"):
        attempts.archive_attempt(job)
    assert moved == ["learn.done"]


def test_archive_does_not_follow_a_planted_link(job, tmp_path):
    fill(job)
    canary = tmp_path.parent / f"{tmp_path.name}-canary"
    canary.mkdir()
    job.attempts.symlink_to(canary)
    from xpm_nb.errors import WorkspaceError

    with pytest.raises(WorkspaceError, match="leads out of"):
        attempts.archive_attempt(job)
    assert list(canary.iterdir()) == []
    assert job.done.exists()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_what_cannot_be_moved_away_whole_comes_back(job, monkeypatch, n):
    fill(job)
    before = sorted(p.relative_to(job.path) for p in job.path.rglob("*"))
    real, calls = fs.rename, []

    def rename(source, target):
        calls.append(source)
        if len(calls) == n:
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(fs, "rename", rename)
    with pytest.raises(OSError, match="full"):
        attempts.archive_attempt(job)
    assert calls[-1].name == job.done.name, "the marker is the first to go and the last to be back"
    job.attempts.rmdir()
    assert sorted(p.relative_to(job.path) for p in job.path.rglob("*")) == before


def test_who_comes_after_a_kill_goes_on_with_the_same_attempt(job, monkeypatch):
    fill(job)
    records.write_job(job, RECORD)
    names = {p.name for p in job.path.iterdir()} - {".experimaestro"}
    target = make_next(job.workspace, job.attempts)
    os.rename(job.done, target / job.done.name)  # and then it was killed
    assert attempts.archive_attempt(job) == target
    assert names <= {p.name for p in target.iterdir()}
    records.write_done(job)
    assert attempts.archive_attempt(job).name == "2"
