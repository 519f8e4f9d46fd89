"""What the parts of the scheduler share: the jobs, the plan, and the way from events to effects.

Each part (`arrivals`, `starts`, `processes`, `reruns`, ...) has state of its own, tells the plan of
events through the hub, and notes here whose view is to be made anew.

Rule 1: what goes wrong with one job (a full disk, a damaged file, a mistake of ours or of a
launcher) becomes that job's failure: one thread looks after all jobs of a kernel.
Rule 2: effects are carried out in the order in which the plan named them, one at a time, also those
that come from carrying out others.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from xpm_nb.core.events import Effect, Event, Failed, FoundFailed
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.messages import Clock, Watcher
from xpm_nb.engine.readers import Readers
from xpm_nb.errors import InternalError, XpmError
from xpm_nb.store import locks, records, troubles
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import ProcessRecord

log = logging.getLogger("xpm_nb")


class Hub:
    """The jobs of one kernel, the plan for them, and what the parts need of each other.

    Parameters
    ----------
    plan : Plan
        Decides.
    clock : Clock
        Tells the time.
    watcher : Watcher
        Waits for processes.
    entry_of : callable
        Gives the entry of a directory, making it if need be.
    act : callable
        Carries out one effect for one job.
    readers : Readers
        Know who may read whose files.

    Attributes
    ----------
    entries : dict
        The jobs that the plan may know, by `Entry.id`. What it knows besides are preparations.
    """

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        watcher: Watcher,
        entry_of: Callable[[JobPaths], Entry],
        act: Callable[[Entry, Effect], None],
        readers: Readers,
    ) -> None:
        self.plan = plan
        self.clock = clock
        self.watcher = watcher
        self.entry_of = entry_of
        self.readers = readers
        self.entries: dict[str, Entry] = {}
        self._act = act
        self._effects: deque[Effect] = deque()
        self._carrying = False
        self._changed: dict[str, Entry] = {}

    # -- asking ---------------------------------------------------------------------------

    def live(self, entry: Entry) -> bool:
        """Tell whether a job is neither over, nor left out, nor unknown."""
        return not self.plan.state(entry.id).idle

    def dependencies(self, entry: Entry) -> list[Entry]:
        """Give what a job needs, as its record says; what cannot be understood is left out."""
        out = []
        for key in entry.facts.dependencies:
            try:
                out.append(self.entry_of(entry.paths.sibling(key)))
            except XpmError as error:
                log.warning("%s: dependency %r: %s", entry.paths.key, key, error)
        return out

    def users(self, entry: Entry) -> list[Entry]:
        """Give the jobs that need a job."""
        return [self.entries[key] for key in self.plan.dependents(entry.id)]

    def when_ended(self, process: ProcessRecord, call: Callable[[], None]) -> bool:
        """Have a function called, once, when a process ends; False if it does not live here."""
        descriptor = locks.open_pidfd(process)
        if descriptor is None:
            return False

        def ended() -> None:
            self.watcher.unwatch(descriptor)
            os.close(descriptor)
            call()

        self.watcher.notify(descriptor, ended)
        return True

    # -- views ----------------------------------------------------------------------------

    def note_change(self, entry: Entry) -> None:
        """Have the view of a job made anew."""
        self._changed[entry.id] = entry

    def take_changed(self) -> list[Entry]:
        """Give the jobs whose views are to be made anew, and forget that they are."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    # -- events and effects ---------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Have the plan take note of an event, and carry out what follows.

        Raises
        ------
        InternalError
            The event cannot be meant; nothing has changed then.
        """
        self.carry_out(self.plan.apply(event, self.clock.monotonic()))

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Carry out effects; inside of another effect: as soon as that is done."""
        self._effects += effects
        if self._carrying:
            return
        self._carrying = True
        try:
            while self._effects:
                effect = self._effects.popleft()
                entry = self.entries.get(effect.key)
                if entry is not None:  # nothing is to be done for a preparation
                    self.guard(entry, partial(self._act, entry, effect))
        finally:
            self._carrying = False

    def guard(self, entry: Entry, act: Callable[[], object]) -> None:
        """Do something for a job; what goes wrong becomes its failure."""
        try:
            act()
            return
        except Exception as error:
            # A border: whatever it is, a mistake of ours too, must not end the thread that looks
            # after all the other jobs of this kernel, and the job must not seem to wait for ever.
            text = text_of(entry, error)
            log.warning("%s: %s", entry.paths.key, text, exc_info=True)
        try:
            self._broken(entry, text)
        except Exception:  # the same border: the plan refuses even that
            log.exception("%s: cannot note its failure", entry.paths.key)

    def _broken(self, entry: Entry, text: str) -> None:
        state = self.plan.state(entry.id)
        self.entries[entry.id] = entry
        self.note_change(entry)
        if state in (JobState.UNSCHEDULED, JobState.ERROR):
            if entry.record is None and entry.asked is not None:  # nothing of it could be written
                entry.note_record(entry.asked.record)
            known = self.plan.dependencies(entry.id) if entry.id in self.plan else ()
            needs = known or tuple(e.id for e in self.dependencies(entry))  # `retry` asks for them
            self.apply(FoundFailed(entry.id, needs, FailureReason.REJECTED, text))
        elif state.under_way:
            self.apply(Failed(entry.id, FailureReason.LOST, text))
        elif state is JobState.DONE and records.done_mark(entry.paths) is None:
            needs = self.plan.dependencies(entry.id)
            self.apply(FoundFailed(entry.id, needs, FailureReason.REJECTED, text))


def text_of(entry: Entry, error: Exception) -> str:
    """Say what went wrong; with its kind, if the message was not written for users."""
    if isinstance(error, MemoryError):
        return troubles.out_of_memory()
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, (XpmError, OSError)) and isinstance(cause, OSError):
        known = troubles.explain(cause, entry.paths)
        if known != str(cause):
            return known
    meant = isinstance(error, (XpmError, OSError)) and not isinstance(error, InternalError)
    return str(error) if meant else f"{type(error).__name__}: {error}"
