"""A job that sees to its own time limit: processes that have one each, and no engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xpm_nb.core.states import FailureReason
from xpm_nb.store import records
from xpm_nb.store.layout import Workspace

pytestmark = pytest.mark.slow

JOB = """
import os, signal, subprocess, sys, time
from xpm_nb.core.states import FailureReason
from xpm_nb.runtime import deadline
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths
os.setsid()
deadline.LATE_S, deadline.GRACE_S = 0.1, {grace_s}
paths = JobPaths.of(sys.argv[1])
it = deadline.Deadline(time.monotonic() + 0.1, lambda: paths)
def wait():
    while True:
        time.sleep(600)
def asked(number, frame):
    print("asked", flush=True)
"""
DEAF = "signal.signal(signal.SIGTERM, asked)\n"


@pytest.fixture
def job(tmp_path):
    return Workspace(tmp_path / "ws").create().job("m.learn", "ab" * 32).create()


def run(job, code: str, grace_s: float = 600.0) -> tuple[int, list[str]]:
    """Run a job; give how it ended, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", JOB.format(grace_s=grace_s) + code, str(job.path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout.split()


def test_it_is_asked_to_end_and_says_why(job):
    assert run(job, "it.watch(); wait()") == (-signal.SIGTERM, [])
    note = records.read_end_note(job)
    assert note.reason is FailureReason.TIMEOUT
    assert note.until > 0


def test_it_is_killed_with_its_group_if_it_does_not_end(job):
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    ignored = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # a child begins like this, too
    code = ignored + child + DEAF + "it.watch(); wait()"
    # The pipe of its output is at its end when nobody is left who holds it.
    assert run(job, code, grace_s=0.1) == (-signal.SIGKILL, ["asked"])


def test_an_engine_that_has_asked_is_let_do_so(job):
    """It is not asked a second time, and killed only if the engine does not."""
    records.write_end_note(job, FailureReason.CANCELLED, 0.5)
    before = job.cancel.read_bytes()
    assert run(job, DEAF + "it.watch(); wait()") == (-signal.SIGKILL, [])
    assert job.cancel.read_bytes() == before


def test_an_engine_that_was_late_may_let_it_live_longer(job):
    """A kernel computes, and is heard again when the job has begun to end."""
    code = """
import json
real = it._sleep
def sleep(until):
    if until - time.monotonic() > 100:
        print("granted", flush=True)
        it.over = True
    real(until)
it._sleep = sleep
it.watch()
signal.pause()
told = json.loads(paths.cancel.read_text()) | {"by": 1, "until": time.time() + 600}
paths.cancel.write_text(json.dumps(told))
while len(os.listdir('/proc/self/task')) > 1:
    time.sleep(0.01)
"""
    assert run(job, DEAF + code, grace_s=1.0) == (0, ["asked", "granted"])


@pytest.mark.parametrize("when", ["before its end", "while it is asked"])
def test_what_has_been_executed_is_not_ended(job, when):
    early = "it.over = True; it.watch()\n"
    late = DEAF + "it.watch(); signal.pause(); it.over = True\n"
    end = "while len(os.listdir('/proc/self/task')) > 1: time.sleep(0.01)\nprint('kept')\n"
    code = (early if when == "before its end" else late) + end
    said = ["kept"] if when == "before its end" else ["asked", "kept"]
    assert run(job, code, grace_s=0.5) == (0, said)


def test_where_nothing_can_be_written_it_ends_all_the_same(job):
    code = "def gone(): raise FileNotFoundError\nit._paths = gone\nit.watch(); wait()"
    assert run(job, code) == (-signal.SIGTERM, [])
    assert records.read_end_note(job) is None


def test_signals_are_for_the_task(job):
    """They interrupt what the main thread waits for, whichever thread sends them."""
    code = (
        "import threading\nsignal.signal(signal.SIGALRM, lambda *_: print('alarm', flush=True))\n"
        "it.watch(); signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "signal.pause(); print(threading.active_count(), flush=True); wait()"
    )
    assert run(job, code) == (-signal.SIGTERM, ["alarm", "1"])
