"""What the scheduler is told, and what it needs of the world: time, and the ends of processes.

Every thread may post a message (`engine.loop`); only the scheduler reads them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.store.layout import Workspace
from xpm_nb.store.records import Code, ProcessRecord
from xpm_nb.store.told import Hint

Heard = Callable[[Hint], object]


class Clock(Protocol):
    """Where the time comes from: `testing.FakeClock` moves when told."""

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...

    def time(self) -> float:
        """Give seconds since the epoch."""
        ...


class Watcher(Protocol):
    """Who waits for the ends of processes."""

    def watch(self, descriptor: int, entry: Entry) -> None:
        """Call `Scheduler.ended` when the descriptor becomes readable."""
        ...

    def notify(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call a function when the descriptor becomes readable."""
        ...

    def unwatch(self, descriptor: int) -> None:
        """Forget the descriptor, which is about to be closed."""
        ...


# -- messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Run this, or join it.

    Attributes
    ----------
    asked : Asked or None
        None: what its directory holds.
    generate : bool
        Write the directory, and run nothing.
    prepare : bool
        Make ready what it needs, and write and run nothing else.
    listed : callable or None
        Called first (it writes the run's list of jobs); its failure is the job's.
    """

    entry: Entry
    asked: Asked | None
    generate: bool = False
    prepare: bool = False
    listed: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """These were submitted before: find out how they are, and go on with the unfinished."""

    entries: tuple[Entry, ...]
    ready: threading.Event | None


@dataclass(frozen=True, slots=True)
class MeetJobs:
    """Somebody looks at these, for which nobody has asked here: find out how they are."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class LeaveJobs:
    """Leave it to another process to start these, as long as it lives; None: start them."""

    entries: tuple[Entry, ...]
    starter: ProcessRecord | None


@dataclass(frozen=True, slots=True)
class Listen:
    """Hear what other processes tell about an experiment, from an offset on; None: no more.

    Attributes
    ----------
    heard : callable or None
        Called in the scheduler's thread; must be quick.
    """

    workspace: Workspace
    name: str
    heard: Heard | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """These are not wanted any more."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class RetryJobs:
    """Run those of these again that are in error, and what is in error because of them.

    `asked` has what is to be run, by `Entry.id`; what is not in it runs as its directory says.
    """

    entries: tuple[Entry, ...]
    asked: Mapping[str, Asked | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RerunJobs:
    """Run those of these again that are over, the done ones too; with what directories hold."""

    wanted: tuple[tuple[Entry, Asked | None], ...]


@dataclass(frozen=True, slots=True)
class JudgeJobs:
    """Look again which of these are stale; with the code as it is now, where that is known."""

    wanted: tuple[tuple[Entry, Code | None], ...]


@dataclass(frozen=True, slots=True)
class NoteDrift:
    """How the present environment differs from that of these results: in words, or "" for not."""

    found: tuple[tuple[Entry, str], ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """A job that was done is so no more, by what this process did: its result was disowned."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class MissResult:
    """Somebody asked for the result of a job that is said to be done, and it is not there."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class SetSlots:
    """How many jobs may run at once."""

    slots: int


@dataclass(frozen=True, slots=True)
class CountToken:
    """There is another number of a token."""

    workspace: Workspace
    name: str


@dataclass(frozen=True, slots=True)
class NoteError:
    """A callback of a job raised."""

    entry: Entry
    text: str


@dataclass(frozen=True, slots=True)
class PreparationEnded:
    """What jobs wait for is ready, or raised what the trace says."""

    key: str
    trace: str


@dataclass(frozen=True, slots=True)
class Say:
    """A callback of a job said something; `last`: it is over."""

    entry: Entry
    last: bool = False


@dataclass(frozen=True, slots=True)
class Wake:
    """Look at the clock; `reached` is set when everything posted before is dealt with."""

    reached: threading.Event | None = None


Message = (
    SubmitJob
    | OpenJobs
    | MeetJobs
    | LeaveJobs
    | Listen
    | CancelJobs
    | LookAgain
    | MissResult
    | RetryJobs
    | RerunJobs
    | JudgeJobs
    | NoteDrift
    | SetSlots
    | CountToken
    | NoteError
    | PreparationEnded
    | Say
    | Wake
)

PART = 100  # jobs that the scheduler deals with before it looks at what else there is


def in_parts(message: Message) -> Iterable[Message]:
    """Give a message about thousands of jobs as several, between which others have their turn.

    What waits is cancelled before what runs: no slot becomes free for what is to go, too.
    """
    if not isinstance(message, OpenJobs | CancelJobs) or len(message.entries) <= PART:
        return [message]
    found = message.entries
    if isinstance(message, CancelJobs):
        found = tuple(sorted(found, key=lambda entry: entry.view.state.under_way))
    parts = [found[at : at + PART] for at in range(0, len(found), PART)]
    if isinstance(message, CancelJobs):
        return map(CancelJobs, parts)
    return [*(OpenJobs(part, None) for part in parts[:-1]), OpenJobs(parts[-1], message.ready)]
