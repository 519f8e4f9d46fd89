"""A kernel that has no file handles left."""

from __future__ import annotations

import json
import subprocess

import pytest

pytestmark = pytest.mark.slow

DRIVER = """
import json, resource
from tests.faults.fault_tasks import *
from xpm_nb.engine import callbacks, loop
xp = begin(slots=6)
first = [Waits.C(n=n, gate=gate).submit() for n in range(2)]
while len(lines()) < 2: time.sleep(0.01)
after = After.C(of=first[0]).submit()
assert loop.current().sync(60)
assert callbacks.current().flush(60, chores=True)  # which open files of their own
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
used = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + ROOM, hard))
more = [Waits.C(n=n, gate=gate).submit() for n in range(2, 10)]
assert loop.current().sync(60)
early = [[t.job.state.value, t.job.view().message] for t in more]
resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # nothing can be opened any more
os.mkdir(gate)  # they end, and the kernel can look at nothing
unknown = "not known how it is: "
while not all(t.job.view().message.startswith(unknown) for t in first): time.sleep(0.01)
said = [[t.job.state.value, t.job.view().message] for t in first]
resource.setrlimit(resource.RLIMIT_NOFILE, (used + ROOM, hard))
xp.wait(60)
late = [[t.job.state.value, t.job.view().message] for t in first]
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
xp.retry()
xp.wait(60)
print(json.dumps([early, said, late, [j.state.value for j in xp.jobs]]))
"""


@pytest.mark.parametrize("room", [3])
def test_no_handles_left(lab, room):
    """What cannot be started says why; what runs is followed, and no success is taken for a loss."""
    head = (
        "import time\nfrom pathlib import Path\n"
        "def lines():\n    log = Path(os.environ['XPM_TEST_LOG'])\n"
        "    return log.read_text().splitlines() if log.exists() else []\n"
    )
    code = head + DRIVER.replace("ROOM", str(room))
    driver = lab.kernel(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, err.decode()
    early, said, late, end = json.loads(out)
    refused = [message for state, message in early if state == "error"]
    assert refused, early
    assert all("as many files open as it may" in m and "ulimit -n" in m for m in refused), refused
    assert all(state == "running" and "ulimit -n" in message for state, message in said), said
    assert [state for state, _ in late] == ["done", "done"], late
    assert set(end) == {"done"}
