"""durable=True: what is asked of the disk, and when, in a real job and in who starts it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.engine.durable_tasks import Writes
from tests.engine.lab import begin
from xpm_nb.core.states import JobState
from xpm_nb.engine.settings import Settings
from xpm_nb.store import durable, fs, records

pytestmark = pytest.mark.slow

# In the job: what is synced, and what takes its name, one line each.
AUDIT = """
import os, sys
script = next((a for a in sys.orig_argv if a.endswith("writes.py")), None)
def say(what, path):
    with open({log!r}, "a") as file:
        file.write(f"{{what}} {{path}}\\n")
if script:
    fsync, replace = os.fsync, os.replace
    def noted_fsync(fd):
        fsync(fd)
        say("sync", os.readlink(f"/proc/self/fd/{{fd}}"))
    def noted_replace(source, target, **options):
        replace(source, target, **options)
        say("name", target)
    os.fsync, os.replace = noted_fsync, noted_replace
"""


@pytest.fixture
def audited(lab, monkeypatch):
    """Give what the job did, in order."""
    site, log = lab.path / "site", lab.path / "audit.txt"
    site.mkdir()
    (site / "sitecustomize.py").write_text(AUDIT.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ['PYTHONPATH']}")
    return lambda: [tuple(line.split(" ", 1)) for line in log.read_text().splitlines()]


def test_what_a_job_leaves_is_on_the_disk_before_its_marker(lab, audited, monkeypatch):
    ours = []
    real = fs.fsync

    def noted(fd):
        ours.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(fs, "fsync", noted)
    begin(lab, durable=True)
    task = Writes.C(n=1).submit()
    assert task.job.wait(30) is JobState.DONE
    paths = task.job._entry.paths
    assert records.read_job(paths).durable
    assert {str(paths.private), str(paths.path), str(paths.path.parent)} <= set(ours), "its record"
    done = audited()
    named = done.index(("name", str(paths.done)))
    before = {path for what, path in done[:named] if what == "sync"}
    job, deep = paths.path, paths.path / "deep"
    (shared,) = (paths.workspace / "partials").glob("*/*/*")
    files = [job / "model.bin", deep / "er" / "file", shared / "checkpoint", paths.result_json]
    files += [paths.stdout, paths.params, paths.script]
    folders = [job, deep, deep / "er", shared, paths.private]
    assert {str(path) for path in (*files, *folders)} <= before
    assert not [path for path in before if "link" in Path(path).name or "hostname" in path]
    assert done[named + 1 :][:2] == [("sync", str(paths.done)), ("sync", str(job))]


def test_a_failure_too(lab, audited):
    begin(lab, durable=True)
    task = Writes.C(n=-1).submit()
    assert task.job.wait(30) is JobState.ERROR
    failed = str(task.job._entry.paths.failed)
    done = audited()
    named = done.index(("name", failed))
    assert str(task.job.path / "model.bin") in {p for what, p in done[:named] if what == "sync"}
    assert ("sync", failed) in done[named:]


def test_it_is_asked_for(lab, audited):
    begin(lab)
    task = Writes.C(n=1).submit()
    assert task.job.wait(30) is JobState.DONE
    assert not records.read_job(task.job._entry.paths).durable
    assert str(task.job.path / "model.bin") not in {path for what, path in audited()}


def test_it_is_a_setting_and_stays_as_it_was_said(lab, monkeypatch):
    monkeypatch.setattr(Settings.instance(), "durable", True)
    assert begin(lab).durable
    assert not begin(lab, durable=False).durable
    assert not begin(lab).durable, "opened again, it is as it was"


def test_what_cannot_be_synced_is_no_failure_and_a_broken_disk_is_one(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    durable.sync(tmp_path / "not there")
    code = errno.EINVAL

    def fail(fd):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fs, "fsync", fail)
    durable.sync_tree(tmp_path)
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        durable.sync_tree(tmp_path)
