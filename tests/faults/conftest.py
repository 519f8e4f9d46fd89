"""Real jobs of real tasks, in a workspace to which bad things happen.

In each test all other jobs end as they should, and the scheduler takes new ones.

==================================  ==================================================  ==========
fault                               what the user sees                                  test file
==================================  ==================================================  ==========
disk full at submit                 rejected: "No space left on device: make room on    disk_full
                                    the disk of …, then retry()"; retry() runs it
… in the output of a job            failed, or lost: "how it ended could not be         disk_full
                                    written (74): the disk of … is full"
… when its end is written           the same; no result is claimed that is not there    disk_full
directory that cannot be written    rejected: "Permission denied: make … writable"; a   places
                                    job that runs there: "could not be written"
no file handles left                rejected: "this process has as many files open as   handles
                                    it may (…): … ulimit -n"; what runs is followed
clock set by a day, either way      nothing: times, limits, tokens, cancel are right    clock
callback that calls sys.exit(),     its error at the job's row; the next is called, in  callback_
raises KeyboardInterrupt; thread    a new thread if need be                             thread
ended from outside
files damaged or gone while a job   done, with the file named where it is missed; a     damaged_
runs or waits                       waiting job's files are written anew                while_open
workspace moved while open          "the workspace … is not there any more"; its jobs   places
                                    end where it is now; nothing is made at the old
                                    place
job directory deleted, job runs     lost: "its directory is not there any more:         places
                                    submit the task again"
… and another kernel submits it     held by "process …, whose files were deleted or     gone_from_
                                    renamed: wait for it to end, or end it"; then it    under
                                    runs; nothing of the first counts as its end
log and metrics of 1 GB             the end of them; the driver takes < 150 MB more     large_logs
os._exit(0), os._exit(3), SIGKILL   "ended without finishing", "ended with exit code    processes
                                    3", lost with the signal
marker of success that the task     nothing: the end of its process decides, now and    processes
writes itself                       in later kernels; what needs it waits
forked worker that is left          done; ended before the job is run again             processes
daemon (fork, setsid, fork)         running until it ends, then "ended without          processes
                                    finishing"; never started beside it; ended by cancel
all descriptors closed              nothing: its process is known to live, and is not   processes
                                    started a second time
SIGTERM ignored                     "cancelled: it did not end within … s of being      processes
                                    asked, and was killed"
==================================  ==================================================  ==========
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.lab import Lab, in_use, until
from tests.faults.fault_tasks import Good
from xpm_nb.core.states import JobState
from xpm_nb.engine.opening import start


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
    yield from in_use(FaultLab(tmp_path), monkeypatch)


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
