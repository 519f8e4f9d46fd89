"""What is said of jobs: their views, made anew when something changed, and who is told of it.

Rule 1: a view is derived from plan, facts and preparations; nothing is kept here but what has not
been told yet.
"""

from __future__ import annotations

import logging

from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import Said
from xpm_nb.engine import limits
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.others import Others
from xpm_nb.engine.preparations import Preparations
from xpm_nb.store.layout import JobPaths

log = logging.getLogger("xpm_nb")

SAY_S = 0.1  # between two looks at what callbacks of one job say
LEFT_OUT = "transient: it runs when a job needs it"


class News:
    """The views of the jobs of one kernel.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    others : Others
        Know who is to start a job.
    preparations : Preparations
        Know what a job waits for.
    """

    def __init__(self, hub: Hub, others: Others, preparations: Preparations) -> None:
        self._hub = hub
        self._others = others
        self._preparations = preparations
        self._untold: set[str] = set()  # jobs with new views that the listeners do not know of
        self._says: dict[str, tuple[Entry, float]] = {}  # when to hear what callbacks say

    # -- views ----------------------------------------------------------------------------

    def publish(self) -> frozenset[str]:
        """Freeze what changed, let those go who waited for it, and name the jobs."""
        self.freeze()
        keys, self._untold = self._untold, set()
        return frozenset(keys)

    def freeze(self) -> None:
        """Make views anew where something changed, and let those go who waited for it."""
        plan = self._hub.plan
        for entry in self._hub.take_changed():
            state = plan.state(entry.id)
            if entry.id in plan:
                entry.freeze(state, plan.reason(entry.id), self.message(entry))
            else:
                self._freeze_unknown(entry)
            # (Unscheduled is also what the plan does not know.)
            entry.settle(state.idle and self._preparations.state(entry) is not JobState.RUNNING)
            self._untold.add(entry.paths.key)

    def _freeze_unknown(self, entry: Entry) -> None:
        """Make the view of a job that is not to be run, or could not be asked for."""
        view, prepared = entry.view, self._preparations.state(entry)
        if prepared is None:
            entry.freeze(view.state, view.reason, view.message)
        elif prepared is JobState.ERROR:
            message = self._preparations.message(entry)
            entry.freeze(JobState.ERROR, FailureReason.DEPENDENCY, message)
        else:
            message = self._preparations.message(entry) or "prepared"
            entry.freeze(JobState.UNSCHEDULED, None, message)

    def moved(self, entry: Entry, new: JobState) -> None:
        """Tell those at once who want to know of each change of state."""
        self._hub.note_change(entry)
        if new is JobState.ERROR:
            entry.freeze(new, self._hub.plan.reason(entry.id), self.message(entry))
        else:
            entry.freeze(new, None, "")
        for hook in entry.hooks:
            try:
                hook(entry.view)
            except Exception:  # a border: a listener must not become the job's failure
                log.exception("%s: a hook raised", entry.paths.key)

    # -- words ----------------------------------------------------------------------------

    def message(self, entry: Entry) -> str:
        """Say in a few words why a job stands where it does, "" if there is nothing to say."""
        cause = self._hub.plan.cause(entry.id)
        if cause is None:
            return self._of_itself(entry, self._hub.plan.state(entry.id))
        if cause in self._preparations:
            return self._preparations.failure(cause)
        paths = self._hub.entry_of(JobPaths.of(cause)).paths
        how = "is in error"
        if self._hub.plan.reason(cause) is FailureReason.DISOWNED:
            how = f"was {self._hub.plan.message(cause)}"  # which says by whom, and why
        return f"needs {paths.name} {paths.identifier[:8]}, which {how}"

    def _of_itself(self, entry: Entry, state: JobState) -> str:
        facts, text = entry.facts, ""
        match state:
            case JobState.UNSCHEDULED:
                return facts.note or LEFT_OUT
            case JobState.DONE:
                text = facts.note or facts.damage or facts.doubt
            case JobState.READY:
                starter = self._others.starter(entry)
                left = f"left to process {starter.pid}, which starts it" if starter else ""
                text = left or facts.waits
            case JobState.SCHEDULED | JobState.RUNNING:
                text = facts.trouble or (f"held by {facts.holder}" if facts.holder else "")
            case JobState.WAITING:
                return self._preparations.message(entry) or limits.progress(entry, state)
        return text or self._hub.plan.message(entry.id) or limits.progress(entry, state)

    # -- voices ---------------------------------------------------------------------------

    def say(self, entry: Entry, *, last: bool) -> None:
        """Take over what callbacks said: the first words at once, more of them a little later."""
        if last or entry.id not in self._says:
            self._take_over(entry, entry.voice.heard(), self._hub.clock.monotonic())

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        return min((at for _, at in self._says.values()), default=None)

    def tick(self, now: float) -> None:
        """Hear what callbacks said since."""
        for key in [key for key, (_, at) in self._says.items() if at <= now]:
            entry, _ = self._says.pop(key)
            if (said := entry.voice.heard()) != entry.said:
                self._take_over(entry, said, now)

    def _take_over(self, entry: Entry, said: tuple[Said, ...], now: float) -> None:
        entry.said = said
        self._hub.note_change(entry)
        self._says[entry.id] = (entry, now + SAY_S)
