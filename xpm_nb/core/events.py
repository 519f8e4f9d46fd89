"""What happens to a job, what is to be done about it, and the one table of its states.

Rule 1: an event that the table does not know for a state raises and changes nothing.
Rule 2: an event says what happened in the world, an effect what is to be done there. Neither acts.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xpm_nb.core.states import UNWRITTEN, FailureReason, JobState
from xpm_nb.errors import InternalError

# -- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one job."""

    key: str


@dataclass(frozen=True, slots=True)
class Submit(Event):
    """It was asked for, is not done, and nobody runs it. Joins a job that is already under way."""

    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer(Event):
    """It was asked for and may be left out until something needs it (found by the plan itself)."""

    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Needed(Event):
    """A job that waits needs it, which would have been left out (found by the plan itself)."""


@dataclass(frozen=True, slots=True)
class Spent(Event):
    """All that needs it is done, and its files are not to be kept (found by the plan itself)."""


@dataclass(frozen=True, slots=True)
class Removed(Event):
    """Its files are gone: it is as if it had not been run."""


@dataclass(frozen=True, slots=True)
class FoundDone(Event):
    """Its marker already says done."""

    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundFailed(Event):
    """Its marker says failed, and it was not asked for again. `retries`: see `Failed`."""

    dependencies: tuple[str, ...] = ()
    reason: FailureReason = FailureReason.FAILED
    message: str = ""
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Attached(Event):
    """A process that we did not start has it. `slot`: it counts among those that we run.

    Once more, if what it is was learnt since. `dependencies`: None for those that are known.
    """

    dependencies: tuple[str, ...] | None = None
    slot: bool = False


@dataclass(frozen=True, slots=True)
class DependenciesDone(Event):
    """Every job that it needs is done (found by the plan itself)."""


@dataclass(frozen=True, slots=True)
class DependencyReopened(Event):
    """A job that it needs is run again (found by the plan itself)."""


@dataclass(frozen=True, slots=True)
class DependencyFailed(Event):
    """A job that it needs is in error (found by the plan itself)."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Granted(Event):
    """It has its slot (found by the plan itself)."""


@dataclass(frozen=True, slots=True)
class Taken(Event):
    """It has its shares of what jobs have in common."""


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """There was no share to be had. `pools`: of what; `until`: when to ask again."""

    pools: tuple[str, ...] = ()
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Started(Event):
    """Its process lives."""


@dataclass(frozen=True, slots=True)
class TimeLimit(Event):
    """Its process may live until then, by the clock of `Plan.tick`."""

    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Completed(Event):
    """It ended, and its marker says done."""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """It ended badly, and we know why. `retries`: how often it may be run again by itself."""

    reason: FailureReason = FailureReason.FAILED
    message: str = ""
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Again(Event):
    """It ended by its time limit and is run again (found by the plan itself)."""

    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected(Event):
    """The launcher would not start it."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Vanished(Event):
    """It ended without a marker, and not by its own doing."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Released(Event):
    """Whoever held it let go without having run it."""


@dataclass(frozen=True, slots=True)
class Cancel(Event):
    """It is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Rerun(Event):
    """It is to be run again although it ended. `dependencies`: None for those it had."""

    dependencies: tuple[str, ...] | None = None


# -- effects ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to be done in the world for one job."""

    key: str


@dataclass(frozen=True, slots=True)
class Take(Effect):
    """Take its lock and its shares of what jobs have in common."""


@dataclass(frozen=True, slots=True)
class Launch(Effect):
    """Take its lock and start it."""


@dataclass(frozen=True, slots=True)
class Kill(Effect):
    """Ask its processes to end, or end them with `force`."""

    force: bool = False
    reason: FailureReason = FailureReason.CANCELLED


@dataclass(frozen=True, slots=True)
class Retry(Effect):
    """Make its directory ready for one more attempt, which goes on where this one ended."""


@dataclass(frozen=True, slots=True)
class Remove(Effect):
    """Remove its files, unless the workspace tells that somebody else needs them."""


@dataclass(frozen=True, slots=True)
class Moved(Effect):
    """Tell everybody: it went from one state to another."""

    old: JobState
    new: JobState


# -- the table --------------------------------------------------------------------------------

_U, _W, _Y = JobState.UNSCHEDULED, JobState.WAITING, JobState.READY
_S, _R, _D, _E = JobState.SCHEDULED, JobState.RUNNING, JobState.DONE, JobState.ERROR

TABLE: Mapping[JobState, Mapping[type[Event], JobState]] = MappingProxyType(
    {
        _U: {
            Submit: _W,
            Offer: _U,
            Needed: _W,
            FoundDone: _D,
            FoundFailed: _E,
            Attached: _R,
            Again: _W,
            Cancel: _E,
        },
        _W: {
            Submit: _W,
            DependenciesDone: _Y,
            DependencyReopened: _W,
            DependencyFailed: _E,
            FoundDone: _D,  # another kernel was quicker
            Attached: _R,
            Cancel: _E,
        },
        _Y: {
            Submit: _Y,
            Granted: _S,
            Taken: _S,
            Refused: _Y,
            Rejected: _E,
            DependencyReopened: _W,
            DependencyFailed: _E,
            FoundDone: _D,
            Attached: _R,
            Cancel: _E,
        },
        _S: {
            Submit: _S,
            Started: _R,
            TimeLimit: _S,
            Completed: _D,
            Failed: _E,
            Again: _W,
            Rejected: _E,
            Refused: _Y,
            Vanished: _E,
            Attached: _R,  # the race for its lock was lost
            Released: _W,
            Cancel: _S,  # it ends when its process has ended
        },
        _R: {
            Submit: _R,
            TimeLimit: _R,
            Completed: _D,
            Failed: _E,
            Again: _W,
            Vanished: _E,
            Attached: _R,  # when it was taken up, its record was still to be written
            Released: _W,
            Removed: _U,  # by whoever was thought to run it
            Cancel: _R,
        },
        _D: {
            Submit: _D,
            FoundDone: _D,
            FoundFailed: _E,
            Attached: _R,
            Rerun: _W,
            Spent: _D,
            Removed: _U,
        },
        _E: {Submit: _W, Offer: _U, FoundDone: _D, FoundFailed: _E, Attached: _R, Rerun: _W},
    }
)


def next_state(state: JobState, event: Event) -> JobState:
    """Say which state follows.

    Raises
    ------
    InternalError
        If the table does not know the event for this state.
    """
    try:
        return TABLE[state][type(event)]
    except KeyError:
        raise InternalError(
            f"job {event.key}: {type(event).__name__} means nothing in state {state.value!r}"
        ) from None


def verdict(
    key: str,
    *,
    done: bool,
    failure: tuple[FailureReason, str] | None,
    exit_code: int | None,
    cancelled: bool,
    overdue: str = "",
    hint: str = "",
) -> Event:
    """Judge a job whose process has ended.

    Parameters
    ----------
    key : str
        The job.
    done : bool
        Its marker says done: this beats every other sign.
    failure : tuple or None
        Reason and message of its failed marker.
    exit_code : int or None
        What its process returned (minus the signal's number for a signal), None if nobody knows.
    cancelled : bool
        We asked it to end.
    overdue : str
        We asked it to end because of its time limit: what is said then.
    hint : str
        What may have ended it, where a signal did.
    """
    if done:
        return Completed(key)
    if failure is not None:
        return Failed(key, *failure)
    if cancelled:
        return Failed(key, FailureReason.CANCELLED, "cancelled")
    if overdue:
        return Failed(key, FailureReason.TIMEOUT, overdue)
    if exit_code is None:
        return Vanished(key, "its process vanished without a trace")
    if exit_code < 0:
        text = f"its process was ended by signal {_signal(-exit_code)}"
        return Vanished(key, f"{text}: {hint}" if hint else text)
    if exit_code == 0:
        return Failed(key, FailureReason.FAILED, "ended without finishing (exit code 0)")
    if exit_code == UNWRITTEN:
        return Failed(key, FailureReason.LOST, f"how it ended could not be written ({UNWRITTEN})")
    return Failed(key, FailureReason.FAILED, f"its process ended with exit code {exit_code}")


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:  # one without a name
        return str(number)
