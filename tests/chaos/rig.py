"""A chaos run: real kernels on one workspace, and somebody who kills them and their jobs.

Each kernel is a real Jupyter kernel with a notebook that defines the task in a cell, submits all
jobs, and runs again what is in error. Who is killed and when follows from a seed (what comes of
that does not: the system schedules the processes).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.inside import witness
from tests.chaos.referee import Verdict, judge
from tests.kernels.conftest import Kernel
from xpm_nb.core.states import JobState
from xpm_nb.engine import garbage, story
from xpm_nb.store.layout import Workspace

INSIDE = Path(__file__).parent / "inside"
DETACH = 0.1  # how probable it is that a kernel that looks after its jobs hands them over
GROUP = 10  # jobs among which there are dependencies
CELLS = [
    """
import asyncio, json, os, random, sys, traceback
import witness
from pathlib import Path
from xpm_nb import *
from xpm_nb.errors import LaunchError
""",
    """
class Work(Task):
    n: Param[int]
    needs: Param[list[Task]] = field(default_factory=list)
    output: Meta[Path] = field(default_factory=PathGenerator("output.txt"))

    def execute(self):
        needs = [task.output.parent for task in self.needs]
        return witness.work(self.__taskdir__, self.output, needs, self.n)
""",
    """
xp = start({name!r}, workspace={workspace!r}, namespace="chaos", slots={slots})
chance, luck, works = random.Random({seed}), random.Random(), []
for n in range({jobs}):
    near = works[n - n % {group} :]
    needs = chance.sample(near, min(len(near), chance.choice([0, 0, 1, 1, 2])))
    works.append(Work.C(n=n, needs=needs))
    works[-1].submit()

async def look_after():
    while True:
        mine = list(xp.jobs)
        count = dict.fromkeys([state.value for state in JobState], 0)
        for job in mine:
            count[job.state.value] += 1
        failed = [job for job in mine if job.state is JobState.ERROR]
        if failed:
            xp.retry(*failed)
        if luck.random() < {detach}:
            try:
                xp.detach()
            except LaunchError:
                pass  # another process is about to, or it is too busy: later
        aside = Path({report!r}).with_suffix(f".{{os.getpid()}}")
        aside.write_text(json.dumps({{"pid": os.getpid(), **count}}))
        os.replace(aside, {report!r})
        await asyncio.sleep(0.3)

async def look_on():
    try:
        await look_after()
    except Exception:  # a border: nobody awaits this task, and its end is a finding
        Path({report!r}).with_suffix(".trouble").write_text(traceback.format_exc())

looking = asyncio.get_running_loop().create_task(look_on())
""",
]
LOOKS = ["xp.jobs", "xp.table()", "xp", "xp.plan()", "xp.gc()", "xp.jobs[-1].story()", "works[0]"]


@dataclass(frozen=True)
class Size:
    """How large a run is, and how often somebody dies.

    Jobs are killed at exponential times (means in seconds), and so many kernels (`kernel_kills`)
    each when so many jobs are done: however slow the machine is, all of them die, and none before
    any has come anywhere.
    """

    kernels: int
    jobs: int
    kernel_kills: int
    job_kill_s: float
    sweep_s: float
    slots: int = 2
    limit_s: float = 600.0


SHORT = Size(kernels=3, jobs=60, kernel_kills=4, job_kill_s=0.2, sweep_s=1.0)
LONG = Size(kernels=4, jobs=1000, kernel_kills=30, job_kill_s=0.4, sweep_s=8.0, limit_s=1500.0)
MOST = 0.9  # of the jobs are done when the last kernel is killed


@dataclass
class Killed:
    """Whom the run has killed."""

    kernels: int = 0
    detached: int = 0
    groups: int = 0
    forked: int = 0
    paused: int = 0
    sweeps: int = 0
    troubles: list[str] = field(default_factory=list)


class Rig:
    """One run.

    Parameters
    ----------
    path : Path
        A directory for everything.
    size : Size
        How large it is.
    seed : int
        What chance follows from.
    lock : bool
        False for the control run.
    """

    def __init__(self, path: Path, size: Size, seed: int, *, lock: bool = True) -> None:
        self.path, self.size, self.seed, self.lock = path, size, seed, lock
        self.chance = random.Random(seed)
        self.workspace = path / "xpm-workspace"
        for name in ("history", "running"):
            (path / name).mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XPM_", "COV_", "PYTEST"))}
        self.env = kept | {
            "XPM_DEBUG": "1",
            "PYTHONPATH": os.pathsep.join([str(INSIDE), str(Path(__file__).parents[2])]),
            witness.CHAOS: str(path),
            "IPYTHONDIR": str(path / "ipython"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if not lock:
            self.env[witness.NO_LOCK] = "1"
        self.kernels: dict[int, Kernel] = {}
        self.killed = Killed()
        self.over = threading.Event()
        self.took_s = 0.0

    # -- kernels --------------------------------------------------------------------------

    def report(self, number: int) -> Path:
        return self.path / f"kernel-{number}.json"

    def start(self, number: int) -> None:
        """Start a kernel with its notebook; which cell it is in when it is killed is chance."""
        self.report(number).unlink(missing_ok=True)
        kernel = self.kernels[number] = Kernel(self.path, self.env)
        # Two kernels share an experiment, the others have one each.
        name = f"chaos-{max(1, number)}"
        for cell in CELLS:
            kernel.send(
                cell
                if "{name" not in cell
                else cell.format(
                    name=name,
                    workspace=str(self.workspace),
                    slots=self.size.slots,
                    seed=self.seed,
                    jobs=self.size.jobs,
                    group=GROUP,
                    report=str(self.report(number)),
                    detach=DETACH if self.lock else 0,
                )
            )

    def kill(self, number: int) -> None:
        """Kill a kernel; it may be anywhere, also in the middle of its first cell."""
        self.kernels.pop(number).kill()
        self.killed.kernels += 1

    def kill_detached(self) -> None:
        """Kill one of the processes that finish an experiment without a kernel, if there are."""
        found = [process for process in self.detached() if witness.lives(process)]
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.chance.choice(found).partition(".")[0]), signal.SIGKILL)
                self.killed.detached += 1

    def detached(self) -> list[str]:
        """Name the processes that finish, or finished, an experiment."""
        found = []
        for path in sorted(self.workspace.glob("experiments/*/detached/process.json")):
            process = json.loads(path.read_bytes())
            found.append(f"{process['pid']}.{process['start']}")
        return found

    def done(self) -> list[int]:
        """Count for each kernel how many jobs it sees done."""
        found = []
        for number in self.kernels:
            try:
                count = json.loads(self.report(number).read_text())
            except (OSError, ValueError):  # it has not come so far
                count = {}
            found.append(count.get(JobState.DONE.value, 0))
        return found

    def listen(self) -> None:
        """Read what kernels said, and keep errors of their cells."""
        for number, kernel in self.kernels.items():
            while kernel.client.iopub_channel.msg_ready():
                message = kernel.client.get_iopub_msg(timeout=1)
                if message["msg_type"] == "error":
                    content = message["content"]
                    text = f"{content['ename']}: {content['evalue']}"
                    self.killed.troubles.append(f"kernel {number}: {text}")
            if (trouble := self.report(number).with_suffix(".trouble")).exists():
                self.killed.troubles.append(f"kernel {number}: {trouble.read_text()}")
                trouble.unlink()

    # -- those who kill -------------------------------------------------------------------

    def kill_jobs(self) -> None:
        """Kill processes of jobs, one after the other, until the run is over."""
        chance = random.Random(self.seed + 1)
        while not self.over.wait(chance.expovariate(1 / self.size.job_kill_s)):
            notes = sorted(os.listdir(self.path / "running"))
            mains = [note for note in notes if not note.endswith(".forked")]
            notes = mains if mains and chance.random() < 0.75 else notes
            if notes:
                self.kill_job(chance.choice(notes), group=chance.random() < 0.3)

    def kill_job(self, note: str, *, group: bool) -> None:
        """Kill a process of a job: the job itself (or it and all it forked), or a forked one."""
        pid, ticks, job, *forked = note.split(".")
        process = f"{pid}.{ticks}"
        try:
            handle = os.pidfd_open(int(pid))
        except OSError:
            handle = -1
        try:
            if handle < 0 or not witness.lives(process):  # the number is not given again now
                (self.path / "running" / note).unlink(missing_ok=True)
                return
            witness.History(self.path, job).add("kill", process=process)
            if group and not forked:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(pid), signal.SIGKILL)
                self.killed.groups += 1
            else:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                self.killed.forked += bool(forked)
        finally:
            if handle >= 0:
                os.close(handle)

    def sweep(self) -> None:
        """Look through the workspace as other tools do, and note which jobs are done."""
        chance = random.Random(self.seed + 2)
        while not self.over.wait(chance.expovariate(1 / self.size.sweep_s)):
            workspace = Workspace(self.workspace)
            if not workspace.jobs_dir.is_dir():
                continue
            jobs = workspace.jobs()
            self.killed.sweeps += 1
            if chance.random() < 0.3:
                len(garbage.find(workspace))
            for paths in chance.sample(jobs, min(len(jobs), 30)):
                str(story.tell(paths))
                if witness.marker(paths.path) is not None:
                    value = witness.result(paths.path)
                    witness.History(self.path, paths.identifier).add("seen", value=value)

    # -- the run --------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Run until all jobs are done, kill on the way, and judge."""
        began = time.monotonic()
        threads = [threading.Thread(target=act) for act in (self._sweeps, self.kill_jobs)]
        try:
            for number in range(self.size.kernels):
                self.start(number)
            for thread in threads:
                thread.start()
            self._kill_kernels(began + self.size.limit_s)
        finally:
            self.over.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            self.listen()
            for kernel in self.kernels.values():
                kernel.stop()
            self.end_processes()
            self.took_s = time.monotonic() - began
        return self.judge()

    def _sweeps(self) -> None:
        try:
            self.sweep()
        except Exception as error:  # a border: what a look at the workspace raised is a finding
            self.killed.troubles.append(f"a sweep: {type(error).__name__}: {error}")

    def _kill_kernels(self, deadline: float) -> None:
        """Kill kernels and start them again, until all is done (or the control has shown it)."""
        most = int(MOST * self.size.jobs)
        due = sorted(self.chance.randint(0, most) for _ in range(self.size.kernel_kills))
        while time.monotonic() < deadline and not (self.path / witness.MET).exists():
            time.sleep(0.05)  # whoever is killed, this is the rhythm of the run, not a wait
            self.listen()
            done = self.done()
            if not due and min(done) >= self.size.jobs:
                return
            if self.chance.random() < 0.05:
                self.chance.choice(list(self.kernels.values())).send(self.chance.choice(LOOKS))
            if due and max(done) >= due[0]:
                del due[0]
                self._strike()

    def _strike(self) -> None:
        """Kill a kernel and start it again; now and then a finisher dies, and a kernel sleeps."""
        if self.chance.random() < 0.5:
            self.kill_detached()
        if self.chance.random() < 0.2:
            self._pause(self.kernels[self.chance.choice(list(self.kernels))].pid)
        number = self.chance.choice(list(self.kernels))
        self.kill(number)
        self.start(number)

    def _pause(self, pid: int) -> None:
        """Have a kernel sleep over what happens."""
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.2, 1.0))
        os.kill(pid, signal.SIGCONT)
        self.killed.paused += 1

    def end_processes(self) -> None:
        """End what is left: processes that jobs forked, and those that finish experiments."""
        while left := [process for process in psutil.process_iter() if self._is_ours(process)]:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(witness.CHAOS) == str(self.path)
        except psutil.Error:  # it ended in between, or is a dead one that nobody waits for
            return False

    def judge(self) -> Verdict:
        """Look how each job is, and judge."""
        histories = {}
        jobs = sorted((self.workspace / "jobs").glob("*/*"))
        for job in jobs:
            history = witness.History(self.path, job.name)
            done, output = witness.marker(job) is not None, job / "output.txt"
            history.add(
                "final",
                done=done,
                value=witness.result(job) if done else None,
                output=output.read_text() if output.exists() else None,
            )
            histories[job.name] = history.rows()
        verdict = judge(histories)
        if len(jobs) != self.size.jobs:
            verdict.unended.append(f"{len(jobs)} jobs are there, not {self.size.jobs}")
        return verdict

    def told(self, verdict: Verdict) -> str:
        """Give a row of the table in RESULTS.md."""
        who = self.killed
        cells = [
            self.seed,
            f"{who.kernels}/{who.detached}/{verdict.killed}",
            f"{who.forked}/{who.groups}/{who.paused}/{who.sweeps}",
            verdict.runs,
            f"{verdict.done}/{self.size.jobs}",
            len(verdict.overlaps),
            len(verdict.again),
            len(verdict.lost),
            len(verdict.early),
            f"{self.took_s:.0f} s",
        ]
        return f"| {' | '.join(map(str, cells))} |"


HEAD = (
    "| seed | kernels/detached/jobs killed | forked, groups killed/pauses/sweeps | runs | done | overlaps "
    "| runs after success | lost | too early | took |\n|---|---|---|---|---|---|---|---|---|---|"
)
