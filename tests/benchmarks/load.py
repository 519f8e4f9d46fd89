"""What many jobs cost the kernel that has them: memory, processor time, answers while it is busy.

    python tests/benchmarks/load.py [--sizes 100,1000,10000] [--jobs 300] [--shapes wide,one,…]

Prints tables; asserts nothing, as machines differ: read the ratios. Each line is a process of its
own, with the real scheduler, the real local launcher (its one slot is taken by a job that holds it)
and a workspace in the folder of temporary files: times by the clock are the disk's, too, for which
``TMPDIR=/dev/shm`` has none.

wide, one, many, chain
    So many jobs that wait: each for itself; each for one and the same job; one that waits for all
    of them; each for the one before it.
ms main, ms loop
    Processor time for a submit, of the cell's thread and of the scheduler's.
cell s, all s
    How long the cell takes, and when the scheduler has met all of it.
gap ms
    The longest time for which the main thread, which sleeps and wakes 200 times a second, did not
    get its turn, while the scheduler was busy.
jobs ms
    The longest time that ``xp.jobs`` and its states took meanwhile.
kB rss, kB py
    Memory of a job: of the process, and of Python's objects (`tracemalloc`, in another process).
files, kB disk
    Of a job in the workspace.
again s, again kB
    Opening the experiment in a new process, until all states are known; its memory of a job.
cancel s
    Cancelling all of it.
growth
    Of main + loop, and of memory, from the size before: 1.0 is linear.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

from xpm_nb import Param, Task, start
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop
from xpm_nb.engine.messages import Wake

SHAPES = ("wide", "one", "many", "chain")
WARM = 20  # jobs before anything is counted
BEAT_S = 0.005
TRACED = 1_000
LONGEST = 1_000  # chain: the parameters of its last job hold all before it, so it grows as a square


class Hold(Task):
    """Takes the slot."""

    go: Param[str]

    def execute(self) -> None:
        import os
        import time

        # Nor does it outlive its workspace, should the benchmark be broken off.
        while os.path.exists(os.path.dirname(self.go)) and not os.path.exists(self.go):
            time.sleep(0.1)


class Point(Task):
    """One of many."""

    x: Param[int]

    def execute(self) -> int:
        return self.x


class After(Task):
    """Needs one."""

    x: Param[int]
    before: Param[Task]

    def execute(self) -> int:
        return self.x


class Gather(Task):
    """Needs many."""

    parts: Param[list[Point]]

    def execute(self) -> int:
        return len(self.parts)


def submit_all(shape: str, count: int, base: int = 0) -> None:
    """Submit so many jobs, as a cell would."""
    if shape in ("wide", "many"):
        parts = [Point.C(x=base + i).submit() for i in range(count)]
        if shape == "many":
            Gather.C(parts=parts).submit()
        return
    before = Point.C(x=base).submit()
    for i in range(1, count):
        after = After.C(x=base + i, before=before).submit()
        before = after if shape == "chain" else before


# -- measuring ----------------------------------------------------------------------------------


def scheduler_s() -> float:
    """Give the processor time of the scheduler's thread."""
    (thread,) = [t for t in threading.enumerate() if t.name == "xpm-scheduler"]
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def rss_kb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def beat(xp: Any, over: threading.Event) -> tuple[float, float]:
    """Sleep and wake as an idle kernel does, and look at the jobs now and then; in ms."""
    gap = answer = 0.0
    turn = 0
    while not over.is_set():
        begin = time.perf_counter()
        time.sleep(BEAT_S)
        gap = max(gap, time.perf_counter() - begin - BEAT_S)
        turn += 1
        if turn % 20 == 0:
            begin = time.perf_counter()
            [job.state for job in xp.jobs]
            answer = max(answer, time.perf_counter() - begin)
    return 1000 * gap, 1000 * answer


def reach() -> threading.Event:
    """Give what is set when the scheduler has met all that was posted."""
    reached = threading.Event()
    loop.current().post(Wake(reached))
    return reached


def on_disk(folder: Path) -> tuple[int, float]:
    """Count the files below a folder, and the kilobytes that they take."""
    count, blocks = 0, 0
    for root, _, names in os.walk(folder):
        count += len(names)
        blocks += sum(os.lstat(os.path.join(root, name)).st_blocks for name in (*names, "."))
    return count, blocks / 2


def open_held(workspace: Path) -> Any:
    """Open the experiment, with its one slot taken."""
    xp = start("load", workspace=workspace, slots=1)
    hold = Hold.C(go=str(workspace / "go"))
    hold.submit()
    while hold.state is not JobState.RUNNING:
        time.sleep(0.01)
    return xp


def submitting(shape: str, count: int, workspace: Path, traced: bool) -> dict[str, float]:
    """Measure the submission of many jobs that wait."""
    xp = open_held(workspace)
    submit_all("wide", WARM, base=-WARM)
    reach().wait()
    files, disk = on_disk(workspace)
    if traced:
        tracemalloc.start()
    memory, loop_s, main_s, begin = rss_kb(), scheduler_s(), time.thread_time(), time.time()
    submit_all(shape, count)
    main_s, cell_s = time.thread_time() - main_s, time.time() - begin
    gap, answer = beat(xp, reach())
    all_s, loop_s = time.time() - begin, scheduler_s() - loop_s
    found = {
        "ms main": 1000 * main_s / count,
        "ms loop": 1000 * loop_s / count,
        "cell s": cell_s,
        "all s": all_s,
        "gap ms": gap,
        "jobs ms": answer,
        "kB rss": (rss_kb() - memory) / count,
    }
    if traced:
        return {"kB py": tracemalloc.get_traced_memory()[0] / 1024 / count}
    files_now, disk_now = on_disk(workspace)
    found |= {"files": (files_now - files) / count, "kB disk": (disk_now - disk) / count}
    return found


def opening(shape: str, count: int, workspace: Path, traced: bool) -> dict[str, float]:
    """Measure what it takes to open an experiment of so many jobs, and to cancel them."""
    start("warm", workspace=workspace, slots=1)
    memory, begin = rss_kb(), time.time()
    xp = start("load", workspace=workspace)
    reach().wait()
    found = {"again s": time.time() - begin, "again kB": (rss_kb() - memory) / count}
    begin = time.time()
    (workspace / "go").touch()  # which no cancelled job gets the slot of
    xp.cancel(*xp.jobs)
    xp.wait()
    return found | {"cancel s": time.time() - begin}


def running(shape: str, count: int, workspace: Path, traced: bool) -> dict[str, float]:
    """Measure cheap jobs that run, two at a time."""
    xp = start("load", workspace=workspace, slots=2)
    Point.C(x=-1).submit()
    xp.wait()
    before, loop_s, begin = os.times(), scheduler_s(), time.time()
    submit_all("wide", count)
    gap, answer = beat(xp, _waited(xp))
    after = os.times()
    took = time.time() - begin
    return {
        "jobs/s": count / took,
        "ms kernel": 1000 * (after.user + after.system - before.user - before.system) / count,
        "ms loop": 1000 * (scheduler_s() - loop_s) / count,
        "ms job": 1000
        * (
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
        / count,
        "gap ms": gap,
        "jobs ms": answer,
    }


def _waited(xp: Any) -> threading.Event:
    over, left = threading.Event(), [len(xp.jobs)]

    def one() -> None:
        left[0] -= 1
        if not left[0]:
            over.set()

    for job in xp.jobs:
        job.entry.when_settled(one)
    return over


ACTS = {"submitting": submitting, "opening": opening, "running": running}


def child(
    act: str, shape: str, count: int, workspace: Path, traced: bool = False
) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--child", act, shape, str(count), str(workspace)]
    done = subprocess.run(
        [*command, *["traced"] * traced], capture_output=True, text=True, cwd=workspace.parent
    )
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- printing -----------------------------------------------------------------------------------


def table(rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    print("".join(f"{name:>10}" for name in names))
    for row in rows:
        cells = [row.get(name, "") for name in names]
        print("".join(f" {c:>9.2f}" if isinstance(c, float) else f" {c:>9}" for c in cells))
    print(flush=True)


def load(shape: str, sizes: list[int], home: Path) -> None:
    """Print what jobs of a shape cost, for each number of them."""
    rows: list[dict[str, Any]] = []
    for count in sizes:
        workspace, other = home / f"{shape}{count}", home / f"{shape}{count}t"
        row: dict[str, Any] = {"shape": shape, "jobs": count}
        row |= child("submitting", shape, count, workspace)
        if count <= TRACED:  # which takes five times as long
            row |= child("submitting", shape, count, other, traced=True)
            (other / "go").touch()
        row |= child("opening", shape, count, workspace)
        row["growth"] = f"{ratio(rows, row, 'ms main', 'ms loop')} {ratio(rows, row, 'kB rss')}"
        rows.append(row)
    table(rows)


def ratio(rows: list[dict[str, Any]], row: dict[str, Any], *names: str) -> str:
    if not rows:
        return "-"
    return f"{sum(row[n] for n in names) / sum(rows[-1][n] for n in names):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--jobs", type=int, default=300, help="that really run")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        act, shape, count, workspace, *traced = chosen.child
        print(json.dumps(ACTS[act](shape, int(count), Path(workspace), bool(traced))))
        return
    sizes = [int(size) for size in chosen.sizes.split(",")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for shape in filter(None, chosen.shapes.split(",")):
            load(shape, [n for n in sizes if shape != "chain" or n <= LONGEST], Path(folder))
        if chosen.jobs:
            table(
                [{"jobs": chosen.jobs} | child("running", "run", chosen.jobs, Path(folder) / "run")]
            )


if __name__ == "__main__":
    main()
