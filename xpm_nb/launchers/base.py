"""What a launcher is: something that starts a job directory, and finds it again later.

A launcher keeps no table of live processes: what is needed to find a job again is in the handle's
dictionary, which the engine stores in the job's directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol


class Status(Enum):
    """What a launcher knows of a started job; whether it went well is read from its markers."""

    PENDING = "pending"  # accepted, its process has not been seen yet
    RUNNING = "running"
    GONE = "gone"  # the process has ended, or cannot be found


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What is to be started.

    Attributes
    ----------
    path : Path
        The job's directory, which holds the script, the parameters and the record.
    name : str
        The stem of the file names inside (``learn`` for ``learn.py``).
    environ : Mapping[str, str]
        Variables added to those inherited (job over launcher over experiment, already merged).
    attempt : int
        1 for the first.
    lock_fd : int or None
        The open file description that holds the job lock, to be handed to the process; None for
        launchers whose jobs take the lock themselves.
    """

    path: Path
    name: str
    environ: Mapping[str, str]
    attempt: int
    lock_fd: int | None = None


class Handle(Protocol):
    """One started job. Hashable; `as_dict` and the launcher's `attach` are each other's inverse."""

    def as_dict(self) -> dict[str, Any]:
        """Give a JSON-able description, from which `attach` finds the job again."""
        ...

    def fileno(self) -> int | None:
        """Give a descriptor that becomes readable when the job ends, None if there is none."""
        ...

    def exit_code(self) -> int | None:
        """Give how the job's process ended, minus the signal if one ended it.

        None while it runs, and for ever where nobody can tell (a process that another kernel
        started). Whether the job went well is read from its markers, never from here.
        """
        ...

    def hint(self) -> str:
        """Say what may have ended it, where that was not its own doing; "" if nothing is known."""
        ...

    def close(self) -> None:
        """Give back what the handle holds open; called once the job has ended."""
        ...


class Launcher(Protocol):
    """Four verbs; `poll` takes all handles, so that a cluster needs one query for all jobs.

    One that has ``timed_by_engine = True`` leaves it to the engine to end attempts at the limit in
    its description (``"time_min"``).
    """

    def launch(self, request: LaunchRequest) -> Handle:
        """Start the job; raises `LaunchError`."""
        ...

    def attach(self, record: Mapping[str, Any]) -> Handle | None:
        """Find a job that is already started, None if it is gone."""
        ...

    def poll(self, handles: Iterable[Handle]) -> dict[Handle, Status]:
        """Ask how the jobs are."""
        ...

    def kill(self, handle: Handle, *, force: bool = False) -> None:
        """Ask the whole process group to end (SIGTERM), or end it (SIGKILL) with `force`."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Give a JSON-able description: ``{"type": "local", …}``."""
        ...
