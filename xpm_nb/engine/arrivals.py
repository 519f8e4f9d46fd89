"""How jobs come to the plan: submitted, found again, or taken up by another process.

Rule 1: the directory says how a job is, and only that counts; what is asked for is written there
before the plan hears of it.
Rule 2: the plan knows what a job needs before the job (`Arrivals.needs`). Of a result it knows what
that was made from, as far as there is anything: it is stale with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xpm_nb.core.events import Attached, Failed, FoundDone, FoundFailed, Removed, Rerun, Submit
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.engine import entries, limits, locked, looking, staleness
from xpm_nb.engine.ends import Ends, failure_of
from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.looking import Found, look
from xpm_nb.engine.messages import SubmitJob
from xpm_nb.engine.others import Others
from xpm_nb.engine.preparations import Preparations
from xpm_nb.engine.processes import Processes
from xpm_nb.engine.shares import Shares
from xpm_nb.errors import XpmError
from xpm_nb.launchers.base import Launcher
from xpm_nb.store import leaving, records
from xpm_nb.store.records import Failure

log = logging.getLogger("xpm_nb")

LauncherOf = Callable[[Mapping[str, Any]], Launcher]


class Arrivals:
    """The ways of a job into the plan.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    shares : Shares
        What jobs have in common.
    others : Others
        Are told of new jobs.
    preparations : Preparations
        What has to be ready before a job.
    ends : Ends
        What is to be thought of a job that is over.
    processes : Processes
        What follows a job that somebody else has.
    launchers : mapping
        For each launcher type, what makes one from its stored form.
    """

    def __init__(
        self,
        hub: Hub,
        shares: Shares,
        others: Others,
        preparations: Preparations,
        ends: Ends,
        processes: Processes,
        launchers: Mapping[str, LauncherOf],
    ) -> None:
        self._hub = hub
        self._shares = shares
        self._others = others
        self._preparations = preparations
        self._ends = ends
        self._processes = processes
        self._launchers = launchers

    # -- asked for ------------------------------------------------------------------------

    def submit(self, message: SubmitJob) -> bool:
        """Take in a job that a cell asks for, or join it; tell whether it is done already."""
        entry, asked = message.entry, message.asked
        self._hub.entries[entry.id] = entry
        live = self._hub.live(entry)
        if asked is not None:
            entry.now, entry.policy = staleness.making(asked.code) or entry.now, asked.policy
        if message.listed is not None:
            entry.unlisted = message.listed
            try:
                entry.put_on_list()
            except (XpmError, OSError) as error:
                if not live:  # it would be forgotten by the next kernel
                    if asked is not None:
                        entry.ask(asked)  # `retry` begins here again
                    raise
                log.warning("%s is not in the list of its run: %s", entry.paths.key, error)
            if asked is not None:
                self._others.tell_listed(entry.paths, asked.record.experiment)
        if message.prepare:
            if not live and asked is not None:
                entry.ask(asked)
                entry.voice.forget()
                self._preparations.begin(entry)
        elif not live:
            return self.arrive(entry, asked, generate=message.generate)
        elif asked is not None:
            self._hub.plan.set_transient(entry.id, records.transient_mode(asked.record))
        return False

    def arrive(self, entry: Entry, asked: Asked | None, *, generate: bool = False) -> bool:
        """Take in a job that is wanted and not under way; tell whether it is done already."""
        entry.put_on_list()
        found, _ = look(entry)
        if found is not Found.DONE and asked is not None:
            entry.ask(asked)
        if found not in (Found.DONE, Found.HELD):
            found = locked.prepare(entry)
        if found is Found.DONE:
            self._found_done(entry, asked)
        elif found is Found.HELD:
            self.attach(entry, slot=False)
        elif not generate:
            self.begin_anew(entry)
        return found is Found.DONE

    def begin_anew(self, entry: Entry) -> None:
        """Have another attempt of a job, whose directory is ready for it."""
        entry.forget_attempt()  # what was known of an earlier one
        entry.voice.forget()
        entry.said = ()
        self.make_launcher(entry)
        self._others.take_back((entry,))  # whoever asks for it here wants it started here
        needs = self.needs(entry) + self._prepare(entry)
        again = self._hub.plan.state(entry.id) is JobState.DONE  # its directory says otherwise
        self._take_in(entry, Rerun(entry.id, needs) if again else Submit(entry.id, needs))

    def _prepare(self, entry: Entry) -> tuple[str, ...]:
        """Begin with what has to be ready before a job, and give the plan's keys of that."""
        if records.transient_mode(entry.wanted()) is not TransientMode.NONE:
            return ()  # it may be left out: if it runs after all, its process makes that ready
        return self._preparations.begin(entry)

    def _found_done(self, entry: Entry, asked: Asked | None) -> None:
        # Files go only where this kernel was asked to remove them: a record may be an old one.
        mode = records.transient_mode(None if asked is None else asked.record)
        self._hub.plan.set_transient(entry.id, mode)
        if self._hub.plan.state(entry.id) is JobState.DONE:  # nothing new
            if asked is not None and entry.facts.damage:
                _read_done(entry, asked)
            entry.facts.reused = asked is not None and not entry.ran
            self._ends.judge(entry)
            return
        entry.forget_attempt()
        _read_done(entry, asked)
        entry.facts.reused = asked is not None
        if asked is not None:
            entry.facts.tags = entries.as_tags(asked.record.tags)
            entry.facts.submitted = asked.record.submitted
        for needed in self._unknown(entry, done=True):  # of other experiments: see Rule 2
            self.meet(needed)
        self._ends.doubt(entry)
        self._hub.apply(FoundDone(entry.id, self._keys(entry)))
        self._ends.judge(entry)

    # -- found again ----------------------------------------------------------------------

    def recall(self, entry: Entry) -> None:
        """Find out how a job is that was submitted before, and go on with it."""
        self._hub.entries[entry.id] = entry
        if entry.id in self._hub.plan:
            return
        found, failure = look(entry)
        if found is Found.DONE:
            self._found_done(entry, None)
        elif found is Found.HELD:
            self.attach(entry, slot=True)
        else:
            self._recall_unfinished(entry, found, failure)

    def meet(self, entry: Entry) -> None:
        """Find out how a job is that is no experiment's here; whatever that is, it is not begun."""
        if entry.id in self._hub.plan:
            return
        self._hub.entries[entry.id] = entry
        found, failure = look(entry)
        if found is Found.DONE:
            self._found_done(entry, None)
        elif found is Found.HELD:
            self.attach(entry, slot=False)
        elif looking.read_record(entry) is not None and failure is not None:
            looking.note_times(entry)
            looking.read_last_reports(entry)
            end = limits.judged(entry, Failed(entry.id, failure.reason, failure.message))
            if not end.retries:  # else its experiment goes on with it, when that is opened
                needs = self._keys(entry)
                self._hub.apply(FoundFailed(entry.id, needs, end.reason, end.message))

    def _recall_unfinished(self, entry: Entry, found: Found, failure: Failure | None) -> None:
        """Go on with a job that waited, or learn why it is in error."""
        record = looking.read_record(entry)
        self.make_launcher(entry)
        needs = self.needs(entry)
        if found is Found.LOST:
            failure = failure_of(self._ends.verdict(entry))
        elif record is None and failure is None:
            failure = looking.unwritten(entry)
        if damage := looking.find_damage(entry):
            if failure is None:
                failure = Failure(FailureReason.LOST, None, f"{damage}; submit the task again")
            elif damage not in failure.message:
                failure = failure._replace(message=f"{failure.message}; {damage}")
        if failure is None:
            self._hub.note_change(entry)  # also where it is left out, which changes no state
            self._take_in(entry, Submit(entry.id, needs))
            return
        looking.note_times(entry)
        looking.read_last_reports(entry)
        end = limits.judged(entry, Failed(entry.id, failure.reason, failure.message))
        event = FoundFailed(entry.id, needs, end.reason, end.message, end.retries)
        if end.retries > 0:
            self._take_in(entry, event)
        else:  # what is over needs no shares, and may be over because of them
            self._hub.apply(event)

    def needs(self, entry: Entry) -> tuple[str, ...]:
        """Make sure that the plan knows what a job needs, deepest first, and name it."""
        for needed in self._unknown(entry, done=False):
            self.recall(needed)
        return self._keys(entry)

    def _unknown(self, entry: Entry, *, done: bool) -> Iterator[Entry]:
        """Give what a job needs and the plan does not know, deepest first.

        And what those of them need that are done; or, without `done`, those that are not.
        """
        plan = self._hub.plan
        todo = [entry]
        on_the_way = {entry.id}
        while todo:
            top = todo[-1]
            if top is not entry and (top.id in plan or records.is_done(top.paths) is not done):
                new = []
            else:
                if top.record is None:
                    looking.read_record(top)
                new = [
                    e
                    for e in self._hub.dependencies(top)
                    if e.id not in plan and e.id not in on_the_way
                ]
            if new:
                todo += new
                on_the_way.update(e.id for e in new)
                continue
            todo.pop()
            if top is not entry and top.id not in plan:
                yield top

    def _keys(self, entry: Entry) -> tuple[str, ...]:
        return tuple(e.id for e in self._hub.dependencies(entry))

    # -- in the hands of others -----------------------------------------------------------

    def notice(self, entry: Entry) -> None:
        """See whether another process has begun with a job, or ended it."""
        state = self._hub.plan.state(entry.id)
        if entry.id not in self._hub.plan or state.under_way:
            return  # we hear of its end
        if state is JobState.DONE:
            self.look_again(entry)
            return
        found, _ = look(entry)
        waits = state in (JobState.WAITING, JobState.READY)
        if found is Found.HELD:
            self.attach(entry, slot=False)
        elif found is not Found.NOTHING and (waits or found is Found.DONE):
            entry.forget_attempt()
            looking.read_record(entry)
            entry.facts.elsewhere = entry.ran = True
            self._take_in(entry, Attached(entry.id, self.needs(entry), slot=False))
            self._processes.examine(entry)

    def look_again(self, entry: Entry) -> None:
        """See whether a job that was done is so still: anybody may have taken its result away.

        What waits for it has it run again, if nobody does; what ran with it is none of this.
        """
        if self._hub.plan.state(entry.id) is not JobState.DONE:
            return
        found, failure = look(entry)
        if found is Found.HELD or (found is Found.DONE and leaving.about_to(entry.paths)):
            self.attach(entry, slot=False)
        elif failure is not None:
            self._ends.spoilt(entry, failure)
        elif found is not Found.DONE and self._waited_for(entry):
            if entry.paths.script.exists():
                self.begin_anew(entry)
                return
            text = "its files were deleted: submit the task again"
            self._ends.spoilt(entry, Failure(FailureReason.LOST, None, text))
        elif found is Found.NOTHING and records.read_removals(entry.paths):
            self.leave_out(entry, looking.REMOVED)

    def leave_out(self, entry: Entry, note: str) -> None:
        """Take note that the files of a job that was done are gone; it runs when a job needs it."""
        entry.forget_attempt()
        entry.facts.note = note
        self.make_launcher(entry)  # of what was found done nobody has thought that it would run
        self._shares.want(entry)
        self._hub.apply(Removed(entry.id))

    def renew(self, entry: Entry) -> None:
        """Take over what another attempt of a job has left that is done, and was before."""
        if looking.superseded(entry):
            entry.forget_attempt()
            entry.facts.elsewhere = True
        _read_done(entry, None)
        self._ends.doubt(entry)
        self._ends.judge(entry)
        self._hub.note_change(entry)

    def _waited_for(self, entry: Entry) -> bool:
        """Tell whether a job that is still to be started needs a job."""
        states = (self._hub.plan.state(user.id) for user in self._hub.users(entry))
        return any(not state.idle and state is not JobState.RUNNING for state in states)

    def attach(self, entry: Entry, *, slot: bool) -> None:
        """Follow a job that somebody else has."""
        entry.forget_attempt()
        if looking.read_record(entry) is None and entry.asked is not None:
            entry.note_record(entry.asked.record)
        self.make_launcher(entry)
        entry.facts.elsewhere = entry.ran = True
        self._take_in(entry, Attached(entry.id, self.needs(entry), slot))
        self._processes.find_holder(entry)

    def learn(self, entry: Entry) -> None:
        """Find out what a job is that was taken up while its record was still to be written."""
        if looking.read_record(entry) is not None:
            self.make_launcher(entry)
            self._take_in(entry, Attached(entry.id, self.needs(entry)))

    # -- for all of them ------------------------------------------------------------------

    def make_launcher(self, entry: Entry) -> None:
        """Give a job the launcher that its record names, if it has none and that is known."""
        if entry.launcher is None and entry.record is not None:
            stored = entry.record.launcher
            make = self._launchers.get(str(stored.get("type", "local")))
            entry.launcher = make(stored) if make is not None else None

    def _take_in(self, entry: Entry, event: Submit | Rerun | Attached | FoundFailed) -> None:
        """Have the plan take in a job that is going to run, or runs."""
        self._shares.want(entry)
        if isinstance(event, (Submit, Attached)):
            self._hub.plan.set_transient(entry.id, records.transient_mode(entry.wanted()))
        self._hub.apply(event)


def _read_done(entry: Entry, asked: Asked | None) -> None:
    """Read what the directory of a job says that is done; mend it, if it is submitted."""
    entry.facts.damage = ""
    known = looking.read_record(entry)
    if looking.find_damage(entry) and asked is not None:
        locked.mend(entry, asked)
        entry.facts.damage = ""
        known = looking.read_record(entry)
        looking.find_damage(entry)
    if known is None and asked is not None:
        entry.note_record(asked.record)
    if entry.facts.damage:
        entry.facts.damage += "; submit the task again to have it written anew"
    looking.note_times(entry)
    looking.read_last_reports(entry)
