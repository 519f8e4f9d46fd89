"""Logs and figures of a gigabyte: the driver stays small, and its displays show the end."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.slow

GIGABYTE = 1 << 30
DRIVER = """
import json, time
from pathlib import Path
from tests.faults.fault_tasks import *
from xpm_nb.notebook import bridge
def peak_mb():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
xp = begin(slots=2)
task = Speaks.C(size=SIZE, gate=gate).submit()
other = Good.C(n=1).submit()
xp.jobs, xp.table(), bridge  # what is imported is not what is measured
repr(task.job.log(5)), xp._repr_mimebundle_(), task.job._repr_mimebundle_()
log = Path(os.environ["XPM_TEST_LOG"])
before = peak_mb()
while not log.exists() or "spoken" not in log.read_text(): time.sleep(0.01)
for _ in range(3):
    time.sleep(0.3)  # files are read some times a second
    tail = task.job.log(5)
    shown = task.job._repr_mimebundle_()["text/html"]
    xp._repr_mimebundle_(), task.job.curves(), xp.table("last")
Path(gate).touch()
xp.wait(60)
assert xp[task.job.identifier]._repr_mimebundle_()
print(json.dumps([peak_mb() - before, tail, "the last line" in shown, len(shown),
    [j.state.value for j in xp.jobs], dict(task.job.view().metrics), task.job.log_size()]))
"""


def test_a_gigabyte_of_log(lab):
    code = DRIVER.replace("SIZE", str(GIGABYTE))
    driver = lab.kernel(code, stdout=subprocess.PIPE)
    out, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0
    grown_mb, tail, shown, size, states, metrics, log_size = json.loads(out)
    assert grown_mb < 150, f"the driver took {grown_mb} MB more"
    assert "the last line" in tail
    assert shown
    assert size < 1_000_000
    assert states == ["done", "done"]
    assert metrics["last"] == 2.0
    assert log_size > 2 * GIGABYTE
    for path in lab.workspace.rglob("speaks.*"):
        if path.stat().st_size > GIGABYTE:
            os.truncate(path, 0)
