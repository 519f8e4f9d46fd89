"""How jobs end, and what is to be thought of their results.

Rule 1: a marker beats every other sign. Where a process left none, the verdict is written as one,
so that every other kernel comes to the same.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from xpm_nb.core.events import Completed, Event, Failed, FoundFailed, verdict
from xpm_nb.core.states import UNWRITTEN, FailureReason, JobState
from xpm_nb.engine import limits, locked, looking, staleness, trust
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.others import Others
from xpm_nb.errors import XpmError
from xpm_nb.store import records, troubles
from xpm_nb.store.records import Failure

log = logging.getLogger("xpm_nb")


class Ends:
    """The ends of the jobs of one kernel.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    others : Others
        Are told of ends.
    """

    def __init__(self, hub: Hub, others: Others) -> None:
        self._hub = hub
        self._others = others

    # -- one end --------------------------------------------------------------------------

    def finish(self, entry: Entry, event: Event) -> None:
        """Have a job ended that was under way: by what its marker says, or a verdict of ours."""
        if entry.facts.elsewhere:  # who ran it wrote down with what code
            looking.read_record(entry)
        looking.read_last_reports(entry)
        looking.note_times(entry)
        if entry.facts.ended is None:
            entry.facts.ended = max(self._hub.clock.time(), entry.facts.started or 0.0)
        if isinstance(event, Failed):
            event = limits.judged(entry, event)
        elif isinstance(event, Completed):
            self.doubt(entry)
        self._hub.apply(event)
        self.judge(entry)

    def verdict(self, entry: Entry) -> Event:
        """Judge a job that ended without a marker, and write the marker for it."""
        plan = self._hub.plan
        asked = plan.asked_to_end(entry.id) if entry.id in plan else None
        if asked is None and (note := records.read_end_note(entry.paths)) is not None:
            asked = note.reason
        overdue = records.limit_reached(entry.record) if asked is FailureReason.TIMEOUT else ""
        if looking.superseded(entry):
            entry.exit_code, entry.hint = None, ""  # of the attempt that we had
        event = verdict(
            entry.id,
            done=False,
            failure=None,
            exit_code=entry.exit_code,
            cancelled=asked is FailureReason.CANCELLED,
            overdue=overdue,
            hint=entry.hint,
        )
        more = self._more(entry, event, asked)
        if more and isinstance(event, Failed):
            event = replace(event, message=f"{event.message}: {more}")
        failure = failure_of(event)
        self.mark(entry, failure.reason, failure.message, entry.exit_code)
        return event

    def _more(self, entry: Entry, event: Event, asked: FailureReason | None) -> str:
        """Say what else is known of an end, "" if nothing."""
        if asked is FailureReason.CANCELLED and self._hub.plan.killed(entry.id):
            grace_s = self._hub.plan.grace_s
            return f"it did not end within {grace_s:g} s of being asked, and was killed"
        if not isinstance(event, Failed) or not entry.exit_code:
            return ""
        if entry.exit_code == UNWRITTEN:
            return troubles.of_place(entry.paths) or looking.last_line(entry)
        return looking.last_line(entry) if asked is None else ""

    def mark(
        self, entry: Entry, reason: FailureReason, message: str, code: int | None = None
    ) -> None:
        """Write the failed marker of a job; its failure stands, whether that can be or not."""
        try:
            locked.mark_failed(entry, reason, message, code)
        except (XpmError, OSError) as error:
            log.warning("%s: cannot write the failed marker: %s", entry.paths.key, error)
            return
        self._others.tell_of(entry.paths)

    # -- what follows for results ---------------------------------------------------------

    def judge(self, *some: Entry) -> None:
        """See whether results are stale, and those that were made from them."""
        for entry in staleness.spread(some, self._hub.entry_of, self._hub.users):
            self._hub.note_change(entry)

    def doubt(self, entry: Entry) -> None:
        """Learn whether something that a done job was made from was disowned since."""
        entry.facts.doubt = trust.doubt(entry, self._hub.dependencies(entry))

    def spoilt(self, entry: Entry, failure: Failure) -> None:
        """Take note that a job that was done is in error now, and what was made from its result."""
        hub = self._hub
        entry.forget_attempt()
        needs = hub.plan.dependencies(entry.id)
        hub.apply(FoundFailed(entry.id, needs, failure.reason, failure.message))
        hub.note_change(entry)
        told = [entry]
        while told:
            for made in hub.users(told.pop()):
                if hub.plan.state(made.id) is JobState.DONE and not made.facts.doubt:
                    self.doubt(made)
                    hub.note_change(made)
                    told.append(made)
        self.judge(*hub.users(entry))


def failure_of(event: Event) -> Failure:
    """Give the failure that a verdict comes to."""
    reason = event.reason if isinstance(event, Failed) else FailureReason.LOST
    return Failure(reason, None, getattr(event, "message", ""))
