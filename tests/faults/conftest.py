"""Real jobs of real tasks, in a workspace to which bad things happen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.test_real_jobs import REPOSITORY, Lab, until
from tests.faults.fault_tasks import Good
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop
from xpm_nb.engine.opening import start
from xpm_nb.engine.settings import Settings


class FaultLab(Lab):
    """What a test of a fault does: it has it happen, and looks how the other jobs fare."""

    def begin(self, **options):
        return start("x", workspace=self.workspace, **{"slots": 2, **options})

    def wait_said(self, *lines: str) -> None:
        until(lambda: set(lines) <= set(self.said()))

    def others_finish(self, *others) -> None:
        """All other jobs end well, and the scheduler takes new ones."""
        assert [task.job.wait(60) for task in others] == [JobState.DONE] * len(others)
        new = Good.C(n=1000 + len(self.said())).submit()
        assert new.job.wait(60) is JobState.DONE, new.job.view()

    def reopened(self):
        """What a new kernel finds, by identifier."""
        self.new_kernel()
        return {job.identifier: job.view() for job in self.begin().jobs}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    lab = FaultLab(tmp_path)
    monkeypatch.setenv("XPM_TEST_LOG", str(lab.log))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    former = loop.use(None)
    lab.new_kernel()
    yield lab
    lab.new_kernel()
    loop.use(former)
    lab.end_jobs()
    Settings.clear_instance()


@pytest.fixture
def small_disk(lab):
    """The workspace is on a disk of its own, of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    root = lab.workspace
    root.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "xpm_nb-test", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted: {made.stderr.strip()}")
    yield root
    lab.new_kernel()
    lab.end_jobs()
    subprocess.run(["umount", "-l", str(root)], check=True)


def fill(workspace: Path, *, leave: int = 0) -> Path:
    """Leave no room, or a little, on the disk of a workspace; give what takes it."""
    ballast = workspace / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    os.truncate(ballast, ballast.stat().st_size - leave)
    return ballast
