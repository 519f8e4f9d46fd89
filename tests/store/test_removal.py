"""What is deleted, and what stays; links and locks are tested with the garbage, and the attacks."""

from __future__ import annotations

import pytest

from xpm_nb.errors import WorkspaceError
from xpm_nb.store import removal
from xpm_nb.store.layout import Workspace


@pytest.fixture
def job(tmp_path):
    job = Workspace(tmp_path / "ws").create().job("m.learn", "ab" * 32).create()
    for path in (job.script, job.params, job.done, job.stdout, job.record, job.lock, job.metrics):
        path.touch()
    (job.attempts / "1").mkdir(parents=True)
    (job.attempts / "1" / "learn.out").touch()
    return job


def test_files_that_are_removed(job, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (job.path / "way out").symlink_to(outside)
    inode = job.lock.stat().st_ino
    removal.remove_files(job)
    assert {p.name for p in job.path.iterdir()} == {"learn.py", "params.json", ".experimaestro"}
    assert {p.name for p in job.private.iterdir()} == {"job.json", "lock"}
    assert job.lock.stat().st_ino == inode
    assert (outside / "file").exists()


def test_nothing_is_removed_behind_a_link(job, tmp_path):
    job.path.rename(tmp_path / "away")
    job.path.symlink_to(tmp_path / "away")
    with pytest.raises(WorkspaceError, match="is a link or no directory"):
        removal.remove_files(job)
    assert (tmp_path / "away" / "learn.done").exists()
