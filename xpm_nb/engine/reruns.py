"""Jobs that are over and run again: those in error (`retry`), and those that are done (`rerun`).

A job that is done may have to wait for that: its process has written the marker and is about to
end, or others run with its files. Thousands are made ready a few at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from graphlib import TopologicalSorter

from xpm_nb.core.freshness import Stale
from xpm_nb.core.states import JobState
from xpm_nb.engine import locked, looking, staleness
from xpm_nb.engine.arrivals import Arrivals
from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.looking import Found
from xpm_nb.engine.preparations import Preparations
from xpm_nb.engine.processes import Processes, delay_s
from xpm_nb.errors import XpmError
from xpm_nb.store import locks, records

log = logging.getLogger("xpm_nb")

AT_ONCE = 50  # jobs that are made ready to run again before we look at others once more
AGAIN = 100  # how often we try to run a job again whose process is about to end: some 3 minutes


class Reruns:
    """What is run again, and what waits for that.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    arrivals : Arrivals
        How a job comes to the plan once more.
    preparations : Preparations
        May be in error, too.
    processes : Processes
        Know what is under way.
    """

    def __init__(
        self, hub: Hub, arrivals: Arrivals, preparations: Preparations, processes: Processes
    ) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._preparations = preparations
        self._processes = processes
        self._waiting: dict[str, tuple[Entry, float, int]] = {}  # when to try, and which time
        self._uses: tuple[list[str], looking.Uses] | None = None  # of what was under way then

    def __contains__(self, entry: Entry) -> bool:
        return entry.id in self._waiting

    # -- asked for ------------------------------------------------------------------------

    def retry(self, wanted: Iterable[Entry], asked: Mapping[str, Asked | None]) -> None:
        """Run jobs again that are in error, and what stands in error because of them.

        With what is asked for, by `Entry.id`, or else with what directories hold.
        """
        for key in self._hub.plan.rerun_set(e.id for e in wanted):
            if key in self._preparations:
                self._preparations.retry(key)
                continue
            entry = self._hub.entries[key]
            if (new := asked.get(key)) is not None and self._hub.plan.state(key) is JobState.ERROR:
                entry.ask(new)
            self._hub.guard(entry, partial(self._arrive, entry))
            self._hub.note_change(entry)
        for entry in wanted:
            self._met(entry)

    def rerun(self, wanted: Iterable[tuple[Entry, Asked | None]]) -> None:
        """Run jobs again that are over, the done ones too."""
        failed, done = [], {}
        for entry, asked in wanted:
            if entry.id not in self._hub.plan:
                self._hub.guard(entry, partial(self._arrivals.recall, entry))
            state = self._hub.plan.state(entry.id)
            if asked is not None and state.final:
                entry.ask(asked)
            if state is JobState.ERROR:
                failed.append(entry)
            elif state is JobState.DONE and not (entry.id in done or entry in self):
                done[entry.id] = entry
            else:  # it is under way, or going to be
                self._met(entry)
        self.retry(failed, {})
        needs = {
            e.id: [d.id for d in self._hub.dependencies(e) if d.id in done] for e in done.values()
        }
        now = self._hub.clock.monotonic()
        for key in TopologicalSorter(needs).static_order():
            self._waiting[key] = (done[key], now, 0)

    def renew(self, entry: Entry, asked: Asked | None) -> None:
        """Run a job again that is done, if it is stale and that is what is to become of it."""
        if entry.policy != "rerun" or asked is None or entry in self:
            return
        stale = entry.facts.stale and Stale(entry.facts.stale) in staleness.CHANGED
        if stale or entry.changed:
            entry.ask(asked)
            entry.expect()
            self._waiting[entry.id] = (entry, self._hub.clock.monotonic(), 0)

    def forget(self, entry: Entry) -> None:
        """Leave a job done that waits to be run again."""
        if self._waiting.pop(entry.id, None) is not None:
            self._met(entry)

    # -- in time --------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        return min((at for _, at, _ in self._waiting.values()), default=None)

    def tick(self, now: float) -> None:
        """Try what is due."""
        for key in [k for k, (_, at, _) in self._waiting.items() if at <= now][:AT_ONCE]:
            entry, _, tries = self._waiting.pop(key)
            self._hub.guard(entry, partial(self._run_again, entry, tries))
            if entry in self:
                self._hub.note_change(entry)
            else:
                self._met(entry)

    # -- inside ---------------------------------------------------------------------------

    def _met(self, entry: Entry) -> None:
        entry.met()
        self._hub.note_change(entry)

    def _arrive(self, entry: Entry) -> None:
        asked = entry.asked
        if self._arrivals.arrive(entry, asked):
            self.renew(entry, asked)

    def _run_again(self, entry: Entry, tries: int) -> None:
        """Run a job again that is done, or have it wait for another try."""
        if self._hub.plan.state(entry.id) is not JobState.DONE:
            return
        entry.facts.note = ""
        self._arrivals.needs(entry)
        self._arrivals.make_launcher(entry)
        if text := self._used().obstacle(entry):
            _refuse(entry, text)
            return
        if entry.launcher is None and entry.record is not None:
            _refuse(entry, f"no launcher is known for {entry.record.launcher}")
            return
        try:
            again = partial(self._hub.readers.running, entry.paths)
            found = locked.prepare(entry, again=again)
        except (XpmError, OSError) as error:
            if records.is_done(entry.paths):
                _refuse(entry, str(error))
                return
            found = Found.NOTHING  # its marker is away: starting it shows what is wrong
        if found is Found.HELD and records.is_done(entry.paths) and tries < AGAIN:
            # The process that wrote the marker is about to end, or others that it left behind do
            # not: until they have, nobody may move their files.
            process = records.read_process(entry.paths)
            if process is not None and not locks.alive(process):
                locks.kill_survivors(process)
            at = self._hub.clock.monotonic() + delay_s(tries)
            self._waiting[entry.id] = (entry, at, tries + 1)
        elif found is Found.HELD:
            self._arrivals.attach(entry, slot=False)
        else:
            self._arrivals.begin_anew(entry)

    def _used(self) -> looking.Uses:
        """Say whose files are used, by what is under way now."""
        under_way = self._processes.under_way
        keys = [entry.id for entry in under_way]
        if self._uses is None or self._uses[0] != keys:
            self._uses = (keys, looking.Uses(under_way, self._hub.entry_of))
        return self._uses[1]


def _refuse(entry: Entry, text: str) -> None:
    entry.facts.note = f"it could not be run again: {text}"
    log.warning("%s: %s", entry.paths.key, entry.facts.note)
