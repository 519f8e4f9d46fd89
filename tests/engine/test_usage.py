"""What jobs use, of real processes."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from xpm_nb.engine import usage
from xpm_nb.engine.usage import Sampler
from xpm_nb.launchers.local import LocalHandle
from xpm_nb.store import locks

pytestmark = pytest.mark.slow

BUSY = "import sys; print(flush=True)\nwhile True: pass"
IDLE = "import sys; data = bytearray(b'x') * 50_000_000; print(flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {IDLE!r}], stdin=sys.stdin)
child.wait()
"""


@pytest.fixture
def spawn():
    """What stands for a job: a process that leads a session, once it has said something."""
    started = []

    def make(code, **handle):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        process.stdout.read(1)
        found = LocalHandle(locks.identify(process.pid))
        entry = SimpleNamespace(handle=found)
        return SimpleNamespace(key=f"job-{process.pid}", entry=entry, process=process)

    yield make
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def tick(monkeypatch):
    """Samples as close as a test likes."""
    monkeypatch.setattr(usage, "LEAST_S", 0.0)


def sample_until(sampler, jobs, predicate):
    deadline = time.monotonic() + 30
    while not predicate(found := sampler.sample(jobs)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_what_a_busy_and_an_idle_job_use(spawn, tick):
    busy, idle, sampler = spawn(BUSY), spawn(PARENT), Sampler()
    assert sampler.sample([busy, idle]) == {}, "nothing is known of the time before"
    found = sample_until(sampler, [busy, idle], lambda now: now[busy.key].cpu > 0)
    assert found[idle.key].memory_mb > 45, "its child counts"
    assert 0 < found[busy.key].memory_mb < 45
    idle.process.stdin.close()
    idle.process.wait()
    assert set(sampler.sample([busy, idle])) == {busy.key}
    assert sampler.sample([]) == {}
    assert sampler.sample([busy]) == {}, "what was left out begins anew"


def test_another_attempt_begins_anew(spawn, tick):
    first, second, sampler = spawn(BUSY), spawn(BUSY), Sampler()
    sampler.sample([first])
    assert sampler.sample([first])
    second.key = first.key
    assert sampler.sample([second]) == {}


def test_two_looks_in_a_row_give_the_same(spawn, monkeypatch):
    job, sampler = spawn(BUSY), Sampler()
    monkeypatch.setattr(usage, "LEAST_S", 0.0)
    sampler.sample([job])
    first = sampler.sample([job])
    monkeypatch.setattr(usage, "LEAST_S", 3600.0)
    assert sampler.sample([job]) == first


def test_the_time_of_children_that_have_ended_is_not_lost(spawn, tick):
    code = """
import subprocess, sys
print(flush=True)
sys.stdin.read(1)
subprocess.run([sys.executable, "-c", "import time; any(time.process_time() > 0.2 for _ in iter(int, 1))"])
print(flush=True)
sys.stdin.read()
"""
    job, sampler = spawn(code), Sampler()
    sampler.sample([job])
    before = sampler._last[job.key].cpu_s
    job.process.stdin.write(b"x")
    job.process.stdin.flush()
    job.process.stdout.read(1)
    sampler.sample([job])
    assert sampler._last[job.key].cpu_s - before > 0.05


def test_jobs_without_a_process_here_are_left_out(desk):
    desk.submit("a")
    desk.launcher.wait_for(1)
    desk.sync()
    sampler = Sampler()
    jobs = [
        SimpleNamespace(key="fake", entry=desk.entry("a")),
        SimpleNamespace(key="waits", entry=desk.entry("b")),
    ]
    assert sampler.sample(jobs) == sampler.sample(jobs) == {}
