"""Starting jobs: their shares, their locks, their launchers; and taking away what is not needed."""

from __future__ import annotations

import logging
from functools import partial

from xpm_nb.core.events import Attached, Completed, Failed, Rejected, Released, Started
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.engine import locked, looking
from xpm_nb.engine.arrivals import Arrivals
from xpm_nb.engine.ends import Ends
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub, text_of
from xpm_nb.engine.looking import Found
from xpm_nb.engine.others import Others
from xpm_nb.engine.processes import Processes, delay_s
from xpm_nb.engine.shares import Shares
from xpm_nb.errors import XpmError
from xpm_nb.store import records

log = logging.getLogger("xpm_nb")

AGAIN = 20  # how often we try to remove files that are needed for a moment more: some 30 s


class Starts:
    """What the plan has done with jobs that it lets go: the effects that change a directory.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    shares : Shares
        What jobs have in common.
    others : Others
        Are told of what was started.
    ends : Ends
        What becomes of a job that could not be started, or is over already.
    processes : Processes
        What follows a job that was started.
    arrivals : Arrivals
        Look again at what a job needs, where that is not there.
    """

    def __init__(
        self,
        hub: Hub,
        shares: Shares,
        others: Others,
        ends: Ends,
        processes: Processes,
        arrivals: Arrivals,
    ) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._shares = shares
        self._others = others
        self._ends = ends
        self._processes = processes
        self._removals: dict[str, tuple[Entry, float, int]] = {}  # when to try, and which time

    def take(self, entry: Entry) -> None:
        """Take the lock of a job and its shares, as far as they are to be had."""
        if not self._hub.plan.asks(entry.id):
            return
        try:
            event = self._shares.ask(entry)
        except (XpmError, OSError) as error:
            self._reject(entry, error)
            return
        self._hub.apply(event)

    def launch(self, entry: Entry) -> None:
        """Start a job, unless another process was quicker."""
        hub = self._hub
        if hub.plan.state(entry.id) is not JobState.SCHEDULED:
            entry.let_go()
            return
        keys = hub.plan.dependencies(entry.id)
        needs = [hub.entries[key] for key in keys if key in hub.entries]  # the rest is prepared
        try:
            found, failure = locked.launch(entry, [needed.paths for needed in needs])
        except Exception as error:  # a border: a launcher may be anybody's code
            self._reject(entry, error)
            return
        if found is Found.HELD:  # the race is lost
            entry.facts.elsewhere = entry.ran = True
            hub.apply(Attached(entry.id))
            self._processes.find_holder(entry)
        elif found is Found.REFUSED:
            hub.apply(self._shares.refused(entry))
        elif found is Found.UNREADY:
            self._wait_again(entry, needs)
        elif found is Found.DONE:
            self._ends.finish(entry, Completed(entry.id))
        elif failure is not None:
            self._ends.finish(entry, Failed(entry.id, failure.reason, failure.message))
        else:
            entry.asked = None  # its directory has it
            entry.facts.started = hub.clock.time()
            self._others.tell_of(entry.paths)
            self._processes.watch(entry)
            hub.apply(Started(entry.id))
            self._processes.limit(entry)

    def _wait_again(self, entry: Entry, needs: list[Entry]) -> None:
        """Have a job wait for what it needs: a result of that was taken away meanwhile.

        After a look at it what has no marker is not done for the plan either, whatever came of that
        look. If it was taken away only since, the next start finds that out.
        """
        for needed in needs:
            self._hub.guard(needed, partial(self._arrivals.look_again, needed))
        self._hub.apply(Released(entry.id))

    def _reject(self, entry: Entry, error: Exception) -> None:
        log.warning("%s: not started", entry.paths.key, exc_info=True)
        text = text_of(entry, error)
        self._ends.mark(entry, FailureReason.REJECTED, text)
        self._hub.apply(Rejected(entry.id, text))

    def retry(self, entry: Entry) -> None:
        """Make the directory of a job ready that goes on where its time limit ended it."""
        locked.prepare_retry(entry)
        entry.forget_attempt()

    # -- taking away ----------------------------------------------------------------------

    def remove(self, entry: Entry, tries: int = 0) -> None:
        """Remove the files of a transient job that nothing needs any more.

        What needs them elsewhere may be about to end: it is tried again for a while. If it goes on
        for longer, they go when that has ended, by whoever looks after it.
        """
        if not self._hub.plan.spent(entry.id):
            return
        readers, paths = self._hub.readers, entry.paths
        try:
            if text := self._kept(entry):
                tries = AGAIN
            else:
                text = locked.remove(
                    entry,
                    lambda: self._kept(entry) or readers.needing(paths),
                    readers.experiments(paths),
                )
        except (XpmError, OSError) as error:  # what is left, the next attempt moves away
            log.warning("%s: cannot remove its files: %s", paths.key, error)
            text = f"they could not be removed: {error}"
        self._hub.note_change(entry)
        if records.is_done(paths):
            entry.facts.note = f"its files stay: {text}"
            if tries < AGAIN:
                at = self._hub.clock.monotonic() + delay_s(tries)
                self._removals[entry.id] = (entry, at, tries + 1)
        elif text == locked.BUSY:  # another process was quicker
            self._arrivals.look_again(entry)
        else:
            note = f"its files are not all gone: {text}" if text else looking.REMOVED
            self._arrivals.leave_out(entry, note)
            self._others.tell_of(paths)

    def _kept(self, entry: Entry) -> str:
        """Say who does not want the files of a job removed, "" if all do: who runs it, and asks."""
        mode = records.transient_mode(records.read_job(entry.paths))
        if mode is not TransientMode.REMOVE:
            return "it was run without the wish to remove them"
        return self._hub.readers.keeping(entry.paths)

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        return min((at for _, at, _ in self._removals.values()), default=None)

    def tick(self, now: float) -> None:
        """Try again to remove what could not be."""
        for key in [key for key, (_, at, _) in self._removals.items() if at <= now]:
            entry, _, tries = self._removals.pop(key)
            self._hub.guard(entry, partial(self.remove, entry, tries))
