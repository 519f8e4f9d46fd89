"""A cell that forks all the time, in a thread, while jobs are submitted: no fork keeps a lock."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

JOBS = 100

FORKS = """
import os, threading
forks, read, write = [], *os.pipe()
going = threading.Event()

def fork():
    while not going.wait(0.02) and len(forks) < 400:
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # it stays until the kernel's end of the pipe is closed
            os._exit(0)
        forks.append(child)

forking = threading.Thread(target=fork)
forking.start()
"""
JOB = """
class Short(Task):
    n: Param[int]
    def execute(self):
        return self.n
"""
SUBMIT = f"""
xp = start("forks", slots=4)
jobs = []
while len(jobs) < {JOBS} or len(forks) < {JOBS}:  # as long as it takes for so many of both
    jobs += [Short.C(n=n).submit().job for n in range(len(jobs), len(jobs) + 25)]
    xp.wait()
from xpm_nb.store import holders, locks
kept = [job for job in jobs if locks.held(job._entry.paths)]
those = [holder for job in kept for holder in holders.holders(job._entry.paths.lock)]
"""
LIVING = "[locks.start_of(pid) is not None for pid in forks]"
END = """
going.set()
forking.join()
os.close(write)
for pid in forks:
    os.waitpid(pid, 0)
"""


def test_forks_of_the_kernel_never_keep_the_lock_of_a_job(lab):
    kernel = lab.kernel()
    kernel.run(JOB)
    kernel.run(FORKS)
    kernel.run(SUBMIT, timeout_s=800)
    try:
        assert kernel.value("[str(holder) for holder in those]") == []
        assert kernel.value("len(kept)") == 0
        states = kernel.value("[job.state.value for job in jobs]")
        assert set(states) == {"done"}
        living = kernel.value(LIVING)
        assert all(living)
        assert len(living) >= JOBS
    finally:
        kernel.run(END)
    assert set(lab.started().values()) == {1}
    assert len(lab.started()) == len(states)
