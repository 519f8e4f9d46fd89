"""What jobs write of themselves in the histories of a chaos run, and how they fork.

A history is one file for each job, outside its directory, to which everybody appends whole lines:
their order is what happened. Nothing here goes through code of the package.

======== ====================================================================================
``what``
======== ====================================================================================
start    a process of the job began to work; with the others of the job that live just now
         (`living`), whether its marker was there already (`marked`), and what it needs that had
         none (`unmet`)
beat     that process still works
end      it has finished its work with a value; what is left to do is not ours
seen     somebody saw the marker of success, with this result
kill     the referee's side is about to kill this process
final    how the job was found after everybody had ended
======== ====================================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import time
from pathlib import Path
from typing import Any

CHAOS = "XPM_TEST_CHAOS"  # names the directory of the run
NO_LOCK = "XPM_TEST_NO_LOCK"  # set in the control run
MET = "met"  # is there in the control run when a job has been started by two kernels
MEET_S = 60.0


def ticks_of(pid: int) -> int | None:
    """When a process started that is not dead, and still holds anything open."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("utf-8", "replace")
        if not os.listdir(f"/proc/{pid}/fd"):  # it has given back its lock: it is past working
            return None
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def me() -> str:
    """Name this process, as nobody else is or will be named."""
    return f"{os.getpid()}.{ticks_of(os.getpid())}"


def lives(process: str) -> bool:
    """Tell whether the process of that name lives."""
    pid, _, ticks = process.partition(".")
    return str(ticks_of(int(pid))) == ticks


class History:
    """What is written of one job."""

    def __init__(self, chaos: Path, job: str) -> None:
        self.job = job
        self.path = chaos / "history" / f"{job}.jsonl"

    def add(self, what: str, **more: Any) -> None:
        """Append a line, in one write."""
        row = {"what": what, "t": time.monotonic(), **more}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        try:
            os.write(fd, json.dumps(row).encode() + b"\n")
        finally:
            os.close(fd)

    def rows(self) -> list[dict[str, Any]]:
        """Read all lines."""
        try:
            return [json.loads(line) for line in self.path.read_bytes().splitlines()]
        except FileNotFoundError:
            return []

    def living(self, run: str) -> list[str]:
        """Name the runs, other than this one, of which a process lives."""
        found = {
            row["run"]
            for row in self.rows()
            if row["what"] == "start" and row["run"] != run and lives(row["process"])
        }
        return sorted(found)


def marker(directory: Path) -> Path | None:
    """Find the marker of success of a job, if it has one."""
    return next(iter(directory.glob("*.done")), None)


def result(directory: Path) -> Any:
    """Read what a job that is done has returned."""
    path = directory / ".experimaestro" / "result.json"
    return json.loads(path.read_bytes())["value"]


class Note:
    """A file that is there while a process is: for those who choose whom to kill."""

    def __init__(self, chaos: Path, job: str) -> None:
        self.path = chaos / "running" / f"{me()}.{job}"
        self.path.touch()

    def remove(self) -> None:
        """Say that the process is about to end."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def work(directory: Path, output: Path, needs: list[Path], seed: int) -> str:
    """Do what each job does: write of itself, fork, and leave a file; give a value of its own."""
    chaos, job = Path(os.environ[CHAOS]), directory.name
    history, run, chance = History(chaos, job), me(), random.Random(seed)
    kind = chance.choice(["none", "none", "brief", "longer", "stubborn"])
    history.add(
        "start",
        run=run,
        process=run,
        living=history.living(run),
        marked=marker(directory) is not None,
        unmet=[path.name for path in needs if marker(path) is None],
    )
    if os.environ.get(NO_LOCK):
        _meet(history, run, chaos / MET)
    child = 0
    if kind != "none":
        # The stubborn one does not end with its job: a dead job's is to be found and ended.
        child = _fork(history, run, chaos, {"brief": 0.03, "longer": 0.4, "stubborn": 4.0}[kind])
    _beat(history, run, chance.uniform(0.05, 0.4))
    value = secrets.token_hex(8)
    aside = output.with_suffix(f".{os.getpid()}")
    aside.write_text(value)
    aside.replace(output)
    if child and kind == "brief":
        os.waitpid(child, 0)
    history.add("end", run=run, process=run, value=value)
    return value


def _meet(history: History, run: str, met: Path) -> None:
    """Give the other kernels the time to start the same job, until it has happened once."""
    end = time.monotonic() + MEET_S
    while not met.exists() and time.monotonic() < end:
        if any(row["what"] == "start" and row["run"] != run for row in history.rows()):
            met.touch()
        time.sleep(0.02)


def _beat(history: History, run: str, seconds: float) -> None:
    end, process = time.monotonic() + seconds, me()
    while time.monotonic() < end:
        history.add("beat", run=run, process=process)
        time.sleep(0.02)


def _fork(history: History, run: str, chaos: Path, seconds: float) -> int:
    child = os.fork()
    if child == 0:
        try:
            note = Note(chaos, f"{history.job}.forked")
            history.add("start", run=run, process=me(), living=history.living(run))
            _beat(history, run, seconds)
            note.remove()
        finally:
            os._exit(0)
    return child
