"""The n-th call that writes, renames, deletes or locks fails, for each n: the promise is kept.

A process of its own tries each n in forks of itself (`nth/lab.py`); afterwards a new kernel opens
the workspace: nothing is half there, no finished result is lost or run again, what was not finished
completes when it is submitted again, and nothing is locked.

Some n are left out; `--every-call` tries them all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NTH = Path(__file__).parent / "nth"
STEPS = {  # every which call is tried, and of at least how many there are
    "submit": (24, 50),
    "finish": (8, 20),
    "finish_again": (12, 20),
    "rerun": (24, 80),
    "collect": (24, 50),
    "keep": (18, 25),
    "disown": (24, 50),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)  # each try has a process of its own, and waits for real jobs
@pytest.mark.parametrize("name", sorted(STEPS))
def test_whichever_call_fails(name, pytestconfig, tmp_path):
    step, least = STEPS[name]
    if pytestconfig.getoption("--every-call", default=False):
        step = 1
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "COV_"))}
    env |= {
        "PYTHONPATH": os.pathsep.join([str(NTH), str(Path(__file__).parents[2])]),
        "TMPDIR": str(tmp_path),
    }
    # Each run begins with another one of those that are left out.
    first = 1 if step == 1 else 1 + os.getpid() % step
    done = subprocess.run(
        [sys.executable, str(NTH / "lab.py"), name, str(step), str(first)],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: calls up to {found['calls']}, {found['tries']} tries, from {first} by {step}")
    assert not found["bad"], "\n".join(found["bad"])
    assert found["calls"] > least - step
