"""Results that somebody asked for and that are not there: what has become of their jobs.

What a kernel knows of a job that is done may be old: another one runs it again, or has disowned it;
its files were deleted, or its workspace was moved. Nobody watches thousands of jobs that are over,
but who asks for a result, and finds no marker, has the job looked at here.
"""

from __future__ import annotations

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import looking
from xpm_nb.engine.arrivals import Arrivals
from xpm_nb.engine.ends import Ends, failure_of
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.looking import Found
from xpm_nb.store import troubles
from xpm_nb.store.layout import gone
from xpm_nb.store.records import Failure


class Missed:
    """Finds out what became of jobs that were done.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    arrivals : Arrivals
        How a job comes to the plan once more.
    ends : Ends
        What becomes of a job that is in error now.
    """

    def __init__(self, hub: Hub, arrivals: Arrivals, ends: Ends) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._ends = ends

    def look(self, entry: Entry) -> None:
        """Look how a job is whose result is not there, if it is thought to be done.

        Afterwards it is done once more (there was another attempt meanwhile), under way, or in
        error with a reason.
        """
        if not self._done(entry):
            return
        if text := gone(entry.paths.workspace):
            self._lose(entry, text)
            return
        self._arrivals.look_again(entry)
        if not self._done(entry):
            return
        found, _ = looking.look(entry)
        if found is Found.DONE:
            self._arrivals.renew(entry)
        elif not looking.superseded(entry):
            text = troubles.missing(entry.paths)
            self._lose(entry, text or "its marker of success was deleted: submit the task again")
        elif found is Found.LOST:  # so is whoever began with another attempt
            entry.forget_attempt()
            looking.read_record(entry)
            self._ends.spoilt(entry, failure_of(self._ends.verdict(entry)))
        elif found is Found.NOTHING:  # somebody is about to, or has ended: the first who can
            self._arrivals.begin_anew(entry)

    def _done(self, entry: Entry) -> bool:
        return self._hub.plan.state(entry.id) is JobState.DONE

    def _lose(self, entry: Entry, text: str) -> None:
        self._ends.spoilt(entry, Failure(FailureReason.LOST, None, text))
