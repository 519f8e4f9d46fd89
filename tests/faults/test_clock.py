"""A clock that is set while jobs run: days forwards, or backwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.lab import REPOSITORY

pytestmark = pytest.mark.slow

CLOCK = str(Path(__file__).parent / "clock")

DRIVER = """
import json, time
from tests.faults.fault_tasks import *
from xpm_nb import LocalLauncher
from xpm_nb.notebook.html_job import elapsed_s
def jump():
    before = time.time()
    Path(os.environ["XPM_TEST_CLOCK"]).write_text(os.environ["XPM_TEST_JUMP"])
    assert abs(time.time() - before) > 1000, "the clock is set"
def said(text):
    log = Path(os.environ["XPM_TEST_LOG"])
    while not log.exists() or text not in log.read_text(): time.sleep(0.01)
from xpm_nb.engine import loop
loop.use(loop.Loop(slots=4, grace_s=0.5))
xp = begin(slots=4, launcher=LocalLauncher(time_min=5))
token = xp.token("one", 1)
runs, deaf = Waits.C(n=1, gate=gate).submit(), Stubborn.C().submit()
shares = [token(1, Waits.C(n=n, gate=gate)).submit() for n in (2, 3)]
said("waits 1"); said("stubborn"); said("waits 2")
jump()
late = Good.C(n=4).submit()
assert late.job.wait(60).value == "done"
Path(gate).touch()
deaf.job.cancel()
xp.wait(90)
print(json.dumps([[j.state.value, j.view().message, elapsed_s(j.view(), time.time())] for j in xp.jobs]))
"""

ATTACH = """
import json, time
from tests.faults.fault_tasks import *
from xpm_nb.engine import loop
Path(os.environ["XPM_TEST_CLOCK"]).write_text(os.environ["XPM_TEST_JUMP"])
xp = begin(slots=4)
assert loop.current().sync(30)
(job,) = xp.jobs
deadline = loop.current()._scheduler.plan.next_deadline()
assert job.state.value == "running"
print(deadline - time.monotonic())
Path(gate).touch()
xp.wait(60)
assert job.state.value == "done", job.view()
"""


@pytest.fixture
def clock(lab, monkeypatch):
    monkeypatch.setenv("XPM_TEST_CLOCK", str(lab.path / "clock"))

    def kernel(code, jump):
        head = (
            "from pathlib import Path\nimport os\nfrom xpm_nb import start\n"
            f"gate = {lab.gate!r}\n"
            f"def begin(**o): return start('x', workspace={str(lab.workspace)!r}, **o)\n"
        )
        # The jobs have the same path, and so the same clock.
        path = os.pathsep.join([CLOCK, str(REPOSITORY)])
        env = os.environ | {"XPM_TEST_JUMP": str(jump), "PYTHONPATH": path}
        command = [sys.executable, "-c", head + code]
        return subprocess.Popen(command, env=env, cwd=lab.path, stdout=subprocess.PIPE)

    return kernel


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_set_while_jobs_run(lab, clock, jump):
    """Each ends, cancelling works, tokens are passed on, and nothing took less than no time."""
    driver = clock(DRIVER, jump)
    out, _ = driver.communicate(timeout=150)
    assert driver.returncode == 0
    rows = json.loads(out)
    assert [row[0] for row in rows] == ["done", "error", "done", "done", "done"], rows
    assert rows[1][1].startswith("cancelled")
    assert all(0 <= row[2] < 1000 for row in rows), rows


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_set_between_two_kernels(lab, clock, jump):
    """The time limit of a job that is found again is what it was."""
    first = lab.kernel(
        "from tests.faults.fault_tasks import *\nfrom xpm_nb import LocalLauncher\n"
        "from xpm_nb.engine import loop\n"
        "begin(launcher=LocalLauncher(time_min=10))\nWaits.C(n=1, gate=gate).submit()\n"
        "assert loop.current().sync(60)\n"
    )
    assert first.wait(60) == 0
    lab.wait_said("waits 1")
    second = clock(ATTACH, jump)
    out, _ = second.communicate(timeout=100)
    assert second.returncode == 0
    assert 400 < float(out) <= 600
