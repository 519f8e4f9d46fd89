"""The states of a job, and the one table that says how they follow each other.

Rule 1: an event that the table does not know for a state raises and changes nothing.
Rule 2: values are the words people see; icons, colours and order belong to the displays.
"""

from __future__ import annotations

from enum import Enum


class JobState(Enum):
    """Where a job stands."""

    UNSCHEDULED = "unscheduled"
    WAITING = "waiting"  # for other jobs
    READY = "ready"  # for tokens and slots
    SCHEDULED = "scheduled"  # the launcher has it
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"

    @property
    def final(self) -> bool:
        """Nothing more happens by itself."""
        return self in (JobState.DONE, JobState.ERROR)


class FailureReason(Enum):
    """Why a job is in error."""

    FAILED = "failed"  # the task raised, or ended without finishing
    DEPENDENCY = "dependency"  # something it needs is in error
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # the launcher would not start it
    LOST = "lost"  # its process vanished
