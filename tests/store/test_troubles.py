"""What is said of a machine's troubles: what is wrong where, and what to do about it."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys

import pytest

from xpm_nb.store import troubles


def error(number, path=None):
    return OSError(number, os.strerror(number), *([] if path is None else [str(path)]))


def test_what_is_to_be_made_writable_is_where_the_file_is(job):
    other = job.workspace / "jobs" / "m.other"
    other.mkdir()
    text = troubles.explain(error(errno.EACCES, other / "learn.py"), job)
    assert f"Permission denied: make {other} writable, then retry()" in text
    text = troubles.explain(error(errno.EACCES, other / "not" / "there"), job)
    assert f"make {other} writable" in text
    (other / "learn.out").touch()
    assert f"make {other} writable" in troubles.explain(
        error(errno.EPERM, other / "learn.out"), job
    )
    assert f"make {job.path} writable" in troubles.explain(error(errno.EROFS), job)
    assert f"make {job.path} writable" in troubles.explain(error(errno.EACCES, job.script), job)
    # What was named below an open directory, as whatever is deleted.
    assert f"make {job.path} writable" in troubles.explain(error(errno.EACCES, "result.json"), job)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_whose_it_is_is_said(job):
    os.chown(job.path, 54321, -1)
    text = troubles.explain(error(errno.EACCES, job.script), job)
    assert f"make {job.path}, which belongs to the user number 54321, writable" in text


def test_a_file_that_must_not_be_larger(job):
    code = """
import resource, sys
from xpm_nb.store import troubles
from xpm_nb.store.layout import JobPaths
job = JobPaths.of(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    (job.path / "large").write_bytes(bytes(5000))
except OSError as error:
    error.filename = "large"
    print(troubles.explain(error, job))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(job.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "large: File too large: this process may write 4096 bytes into a file: raise the limit "
        "(ulimit -f), then retry()\n"
    )
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY:
        assert "write less into one, then retry()" in troubles.explain(error(errno.EFBIG), job)


def test_no_memory(job, monkeypatch):
    monkeypatch.setattr(troubles, "_limit", lambda name: 3 << 30 if name == "AS" else None)
    said = "this process has as much memory as it may (3072 MB): free some, or raise the limit"
    assert f"{said} (ulimit -v), then retry()" in troubles.explain(error(errno.ENOMEM), job)
    assert troubles.out_of_memory().startswith(said)
    monkeypatch.setattr(troubles, "_limit", lambda name: None)
    assert "no memory left on this machine: free some" in troubles.out_of_memory()
