"""What has to be ready before jobs: which preparation is under way, and who waits for it.

To the plan a preparation is a job that somebody else runs: it takes no slot, and what needs it
waits or fails with it. Its key is the directory of its configuration. It runs in the thread of the
callbacks; all functions here are called in the loop's.
"""

from __future__ import annotations

from xpm_nb.core.events import Attached, Completed, Failed, FoundDone
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import Said
from xpm_nb.engine.entries import Entry, Preparation
from xpm_nb.engine.hub import Hub


class Preparations:
    """The preparations of one kernel.

    Parameters
    ----------
    hub : Hub
        Its plan knows how they are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: dict[str, Preparation] = {}
        self._users: dict[str, dict[str, Entry]] = {}
        self._errors: dict[str, str] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def begin(self, entry: Entry) -> tuple[str, ...]:
        """Begin with what a job that was asked for needs, if nobody has; give its keys."""
        wanted = _wanted(entry)
        for preparation in wanted:
            self._known[preparation.key] = preparation
            self._users.setdefault(preparation.key, {})[entry.id] = entry
            self._start(preparation)
        return tuple(preparation.key for preparation in wanted)

    def retry(self, key: str) -> None:
        """Begin once more with one that failed."""
        self._start(self._known[key])

    def ended(self, key: str, trace: str) -> None:
        """Take note of an end; the last line of `trace` says what was raised, "" for nothing."""
        users = list(self._users[key].values())
        if trace:
            self._errors[key] = trace.rpartition("\n")[2]
            for entry in users:
                if (
                    self._hub.plan.state(entry.id) is not JobState.ERROR
                ):  # or it has been told before
                    entry.voice.say(Said("error", trace))
                    entry.said = entry.voice.heard()
            self._hub.apply(Failed(key, FailureReason.FAILED, self._errors[key]))
        else:
            self._hub.apply(Completed(key))
        for entry in users:
            self._hub.note_change(entry)

    def message(self, entry: Entry) -> str:
        """Say what of a job's preparations is under way or failed, "" if nothing."""
        words = []
        for preparation in self._mine(entry):
            state = self._hub.plan.state(preparation.key)
            if state is JobState.ERROR:
                return self.failure(preparation.key)
            if state is JobState.RUNNING:
                words.append(preparation.name)
        return f"preparing {', '.join(words)}" if words else ""

    def failure(self, key: str) -> str:
        """Say how a preparation failed, the last time that it did."""
        return f"preparing {self._known[key].name}: {self._errors.get(key, 'it failed')}"

    def state(self, entry: Entry) -> JobState | None:
        """Give how the preparations of a job are all together, None if it has none."""
        states = {self._hub.plan.state(preparation.key) for preparation in self._mine(entry)}
        for state in (JobState.ERROR, JobState.RUNNING, JobState.DONE):
            if state in states:
                return state
        return None

    def _mine(self, entry: Entry) -> list[Preparation]:
        return [p for p in _wanted(entry) if entry.id in self._users.get(p.key, ())]

    def _start(self, preparation: Preparation) -> None:
        key = preparation.key
        if self._hub.plan.state(key) is JobState.RUNNING:
            return
        if preparation.is_done():
            self._hub.apply(FoundDone(key))
            return
        self._hub.apply(Attached(key))
        preparation.start()


def _wanted(entry: Entry) -> tuple[Preparation, ...]:
    return () if entry.asked is None else entry.asked.preparations
