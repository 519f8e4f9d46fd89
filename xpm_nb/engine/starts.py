"""Starting jobs: their shares, their locks, their launchers; and taking away what is not needed."""

from __future__ import annotations

import logging
from functools import partial

from xpm_nb.core.events import Attached, Completed, Failed, Rejected, Released, Started
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import locked
from xpm_nb.engine.arrivals import Arrivals
from xpm_nb.engine.ends import Ends
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub, text_of
from xpm_nb.engine.looking import Found
from xpm_nb.engine.others import Others
from xpm_nb.engine.processes import Processes
from xpm_nb.engine.shares import Shares
from xpm_nb.errors import WorkspaceError, XpmError
from xpm_nb.store import records

log = logging.getLogger("xpm_nb")

REMOVED = "transient: its files were removed, as all that needed them is done"


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
        """Have a job wait for what it needs: a result of that was taken away meanwhile."""
        for needed in needs:
            self._hub.guard(needed, partial(self._arrivals.look_again, needed))
        for needed in needs:
            taken = self._hub.plan.state(needed.id) is JobState.DONE
            if taken and not records.is_done(needed.paths):
                text = f"it needs {needed.name}, whose result is not there any more"
                self._reject(entry, WorkspaceError(text))
                return
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

    def remove(self, entry: Entry) -> None:
        """Remove the files of a transient job that nothing needs any more."""
        try:
            gone = locked.remove(entry)
        except (XpmError, OSError) as error:  # what is left, the next attempt moves away
            log.warning("%s: cannot remove its files: %s", entry.paths.key, error)
            gone = False
        entry.forget_attempt()
        entry.facts.note = REMOVED if gone else "its files could not be removed"
