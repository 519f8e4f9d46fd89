from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xpm_nb.core.states import FailureReason
from xpm_nb.store import files, records


def test_lines_are_tailed_and_a_torn_one_is_waited_for(job):
    path = job.metrics
    assert files.read_lines(path) == ([], 0)
    files.append_line(path, {"n": 1})
    rows, offset = files.read_lines(path)
    assert rows == [{"n": 1}]
    with path.open("ab") as file:
        file.write(b'{"n": 2}\n{"n"')
    rows, offset = files.read_lines(path, offset)
    assert rows == [{"n": 2}]
    assert files.read_lines(path, offset) == ([], offset)
    with path.open("ab") as file:
        file.write(b": 3}\n")
    rows, offset = files.read_lines(path, offset)
    assert rows == [{"n": 3}]


def test_a_line_after_a_torn_one_is_not_lost(job):
    job.metrics.write_bytes(b'{"n": 1}\n{"n"')
    files.append_line(job.metrics, {"n": 3})
    assert files.read_lines(job.metrics)[0] == [{"n": 1}, {"n": 3}]


def test_a_file_that_was_replaced_is_read_anew(job):
    for n in range(5):
        files.append_line(job.metrics, {"n": n})
    _, offset = files.read_lines(job.metrics)
    job.metrics.unlink()
    files.append_line(job.metrics, {"n": 9})
    assert files.read_lines(job.metrics, offset)[0] == [{"n": 9}]


def test_appending_does_not_follow_links(job, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    job.metrics.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        files.append_line(job.metrics, {})
    for path in (job.done, job.failed, job.params):
        path.symlink_to(victim)
    records.write_done(job)
    records.write_failed(job, FailureReason.FAILED)
    records.write_params(job, {})
    assert victim.read_text() == "precious"
    assert not job.done.is_symlink()


WRITER = """
import sys
from xpm_nb.core.states import FailureReason
from xpm_nb.store import files, layout, records
job = layout.JobPaths.of(sys.argv[1])
print("ready", flush=True)
while True:
    records.write_failed(job, FailureReason.FAILED, 1, "x" * 100_000)
    files.append_line(job.metrics, {"x": "y" * 10_000})
"""


@pytest.mark.slow
def test_a_writer_killed_anywhere_leaves_whole_files(job):
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(job.path)]
        env = {**os.environ, "PYTHONPATH": "."}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as writer:
            try:
                assert writer.stdout.readline() == b"ready\n"
                seen = 0
                while seen < 20:
                    failure = records.read_failed(job)
                    if failure is not None:
                        assert len(failure.message) == 100_000
                        seen += 1
                assert writer.poll() is None, "it wrote all the time"
            finally:
                writer.kill()
        assert len(records.read_failed(job).message) == 100_000
        assert all(row == {"x": "y" * 10_000} for row in files.read_lines(job.metrics)[0])
        assert {p.name for p in job.path.iterdir()} == {"learn.failed", ".experimaestro"}


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("fault", ["error", "death"])
def test_the_nth_system_call_fails(job, nth, fault):
    """Whatever call of a durable write fails, the old file is there, and whole."""
    code = """
import errno, os, sys
from xpm_nb.core.states import FailureReason
from xpm_nb.store import layout, records
job = layout.JobPaths.of(sys.argv[1])
records.write_failed(job, FailureReason.FAILED, 1, "old")
left = int(sys.argv[2])
def seam(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            if sys.argv[3] == "death":
                os._exit(9)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)
    setattr(os, name, call)
for name in ("open", "write", "fsync", "close", "replace"):
    seam(name)
try:
    records.write_failed(job, FailureReason.FAILED, 1, "new")
except OSError as error:
    assert error.errno == errno.ENOSPC
    sys.exit(3)
"""
    command = [sys.executable, "-c", code, str(job.path), str(nth), fault]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": "."}, timeout=60)
    assert done.returncode == (9 if fault == "death" else 3)
    assert records.read_failed(job).message == "old"
    if fault == "error" and nth != 4:  # a descriptor that cannot be closed
        assert not list(job.private.glob(".writing*"))


def test_what_no_stream_can_print_is_spelt_in_a_failure(job):
    records.write_failed(job, FailureReason.FAILED, 1, "no file a\udcff, no \ud800")
    assert records.read_failed(job).message == "no file a\\udcff, no \\ud800"
