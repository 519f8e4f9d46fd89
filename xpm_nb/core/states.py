"""The words for where a job stands, and why it is in error.

Values are the words people see; icons, colours and order belong to the displays. Job processes
import this module: nothing heavy here. How the states follow each other is in `core.events`.
"""

from __future__ import annotations

from enum import Enum

UNWRITTEN = 74
"""The exit code of a job that could not write how it ended (EX_IOERR of sysexits.h)."""


class JobState(Enum):
    """Where a job stands."""

    UNSCHEDULED = "unscheduled"
    WAITING = "waiting"  # for other jobs
    READY = "ready"  # for tokens and slots
    SCHEDULED = "scheduled"  # the launcher has it
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"

    __hash__ = object.__hash__  # by identity, as they are compared: looked up for each job

    @property
    def final(self) -> bool:
        """It is over."""
        return self in (JobState.DONE, JobState.ERROR)

    @property
    def under_way(self) -> bool:
        """Somebody has it, and its process lives or is about to."""
        return self in (JobState.SCHEDULED, JobState.RUNNING)

    @property
    def idle(self) -> bool:
        """Nothing more happens by itself: it is over, only looked at, or left out for now."""
        return self.final or self is JobState.UNSCHEDULED


class TransientMode(Enum):
    """Whether a job may be left out, and what becomes of its files."""

    NONE = "none"  # it is run
    TRANSIENT = "transient"  # only if a job that is not transient, and not done, needs it
    REMOVE = "remove"  # the same, and its files go when all that needs it is done


class FailureReason(Enum):
    """Why a job is in error."""

    FAILED = "failed"  # the task raised, or ended without finishing
    DEPENDENCY = "dependency"  # something it needs is in error
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # the launcher would not start it
    LOST = "lost"  # its process vanished
    DISOWNED = "disowned"  # it was done, and somebody trusts its result no more
