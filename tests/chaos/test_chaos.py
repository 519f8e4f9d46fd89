"""Kernels and jobs are killed at random; a referee judges what became of the promise.

pytest tests/chaos --seed 7 -s         a run like one that was seen
pytest tests/chaos --long 10 -s        ten long ones: the table of RESULTS.md
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.chaos.rig import HEAD, LONG, SHORT, Rig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def show(rig, verdict):
    """What a failed run tells."""
    return "\n".join([HEAD, rig.told(verdict), *verdict.complaints[:50], *rig.killed.troubles[:50]])


def test_nothing_runs_twice_and_nothing_is_lost(tmp_path, pytestconfig):
    seed = pytestconfig.getoption("--seed")
    seed = random.randrange(10**6) if seed is None else seed
    print(f"seed {seed}")
    rig = Rig(tmp_path, SHORT, seed)
    verdict = rig.run()
    print(show(rig, verdict))
    assert not verdict.complaints, show(rig, verdict)
    assert not rig.killed.troubles
    assert rig.killed.kernels == SHORT.kernel_kills
    assert verdict.killed


def test_without_the_lock_the_referee_complains(tmp_path):
    """The control: who takes a lock is told that it is theirs, and all kernels start everything."""
    size = replace(SHORT, jobs=30, kernel_kills=0, job_kill_s=1e6, limit_s=90)
    rig = Rig(tmp_path, size, 1, lock=False)
    verdict = rig.run()
    print(show(rig, verdict))
    assert verdict.overlaps


@pytest.mark.timeout(0)
def test_long(tmp_path, pytestconfig, capsys):
    count = pytestconfig.getoption("--long")
    if not count:
        pytest.skip("takes long: --long 10")
    first = pytestconfig.getoption("--seed") or 1
    with capsys.disabled():
        print(f"\n{HEAD}", flush=True)
    complaints = []
    for seed in range(first, first + count):
        path = tmp_path / str(seed)
        path.mkdir()
        rig = Rig(path, LONG, seed)
        verdict = rig.run()
        with capsys.disabled():
            print(rig.told(verdict), flush=True)
        complaints += [f"seed {seed}: {t}" for t in verdict.complaints + rig.killed.troubles]
    assert not complaints, "\n".join(complaints[:100])
