"""What the loop does with a message: plan -> effects -> what the world answers -> views.

No thread and no waiting here: `engine.loop` calls these methods from its own thread, tests from
theirs.

Rule 1: the plan decides, the directory is the truth, and this module carries between the two.
Rule 2: what goes wrong with one job (a full disk, a damaged file, a mistake of ours or of a
launcher) becomes that job's failure: one thread looks after all jobs of a kernel.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from xpm_nb.core.events import (
    Attached,
    Cancel,
    Completed,
    Effect,
    Event,
    Failed,
    FoundDone,
    FoundFailed,
    Kill,
    Launch,
    Moved,
    Rejected,
    Released,
    Remove,
    Rerun,
    Retry,
    Started,
    Submit,
    Take,
    TimeLimit,
    verdict,
)
from xpm_nb.core.freshness import Stale
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import UNWRITTEN, FailureReason, JobState, TransientMode
from xpm_nb.engine import entries, limits, staleness, trust
from xpm_nb.engine.entries import Asked, Entry, Found
from xpm_nb.engine.messages import (
    CancelJobs,
    Clock,
    CountToken,
    JudgeJobs,
    LeaveJobs,
    Listen,
    LookAgain,
    Message,
    NoteDrift,
    NoteError,
    OpenJobs,
    PreparationEnded,
    RerunJobs,
    RetryJobs,
    Say,
    SetSlots,
    SubmitJob,
    Wake,
    Watcher,
)
from xpm_nb.engine.others import Others, job_of
from xpm_nb.engine.preparations import Preparations
from xpm_nb.engine.shares import Shares
from xpm_nb.errors import InternalError, RecordError, XpmError
from xpm_nb.launchers.base import Handle, Launcher, Status
from xpm_nb.store import holders, locks, records, troubles
from xpm_nb.store.layout import JobPaths, Workspace
from xpm_nb.store.records import Failure

log = logging.getLogger("xpm_nb")

SWEEP_S = 20.0  # the net below everything that tells us of ends by itself
SAY_S = 0.1  # between two looks at what callbacks of one job say
POLL_S = 1.0  # for launchers that cannot tell us
AT_ONCE = 50  # jobs that are made ready to run again before we look at others once more
AGAIN = 100  # how often we try to run a job again whose process is about to end: some 3 minutes
ASK_WHO = 4  # looks in vain for the process of a job, before we say who else holds its lock
LOOK_S = (0.02, 2.0)  # how soon we look again for who holds a lock: at first, and at last
LEFT_OUT = "transient: it runs when a job needs it"
REMOVED = "transient: its files were removed, as all that needed them is done"
_UNDER_WAY = (JobState.SCHEDULED, JobState.RUNNING)

LauncherOf = Callable[[Mapping[str, Any]], Launcher]


class Scheduler:
    """The jobs of one kernel, and everything that is done to them.

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
    launchers : mapping
        For each launcher type, what makes one from its stored form.
    refresh_hz : float
        How often files of running jobs are read.
    """

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        watcher: Watcher,
        entry_of: Callable[[JobPaths], Entry],
        launchers: Mapping[str, LauncherOf],
        refresh_hz: float,
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._watcher = watcher
        self._entry_of = entry_of
        self._launchers = launchers
        self._refresh_s = 1.0 / refresh_hz
        self._entries: dict[str, Entry] = {}
        self._shares = Shares(plan, clock, watcher, entry_of, self._carry_out)
        self._others = Others(
            plan,
            clock,
            watcher,
            self._entries,
            lambda entry: self._guard(entry, partial(self._notice, entry)),
            self._carry_out,
        )
        self._effects: deque[Effect] = deque()
        self._carrying = False
        self._under_way: dict[str, Entry] = {}
        self._looks: dict[str, float] = {}  # when to look again for who holds a lock
        self._again: dict[str, tuple[Entry, float, int]] = {}  # when to try once more, which time
        self._preparations = Preparations(plan, self._apply, self._note_change)
        self._known_uses: tuple[list[str], entries.Uses] | None = None
        self._says: dict[str, tuple[Entry, float]] = {}  # when to hear what callbacks say
        self._refresh_at = self._poll_at = self._sweep_at = 0.0
        self._changed: dict[str, Entry] = {}
        self._untold: set[str] = set()  # jobs with new views that the listeners do not know of

    # -- what the loop calls --------------------------------------------------------------

    def handle(self, message: Message) -> None:
        """Deal with one message."""
        match message:
            case SubmitJob(entry):
                self._guard(entry, partial(self._submit, message))
                entry.met()
                self._changed[entry.id] = entry
            case OpenJobs(wanted, ready):
                for entry in wanted:
                    self._guard(entry, partial(self._recall, entry))
                self._freeze()
                if ready is not None:
                    ready.set()
            case LeaveJobs(wanted, starter):
                if starter is None or not self._others.leave(wanted, starter):
                    self._others.take_back(wanted)
                self._changed.update((e.id, e) for e in wanted if e.id in self.plan)
            case Listen(workspace, name, heard, offset):
                if heard is None:
                    self._others.deafen(workspace, name)
                else:
                    self._others.listen(workspace, name, heard, offset)
            case CancelJobs(wanted):
                for entry in wanted:
                    if self._live(entry):
                        self._guard(entry, partial(self._apply, Cancel(entry.id)))
                    elif entry.id in self._again:  # it stays done
                        del self._again[entry.id]
                        entry.met()
                        self._changed[entry.id] = entry
            case RetryJobs(wanted):
                self._retry(wanted)
            case RerunJobs(wanted):
                self._rerun(wanted)
            case JudgeJobs(wanted):
                for entry, code in wanted:
                    entry.now = staleness.making(code) or entry.now
                self._judge(*(entry for entry, _ in wanted))
            case NoteDrift(found):
                for entry, text in found:
                    if self.plan.state(entry.id) is JobState.DONE:  # still
                        entry.facts.drift = text
                        self._changed[entry.id] = entry
            case LookAgain(entry):
                self._guard(entry, partial(self._look_again, entry))
            case SetSlots(slots):
                self._carry_out(self.plan.set_slots(slots))
            case CountToken(workspace, name):
                self._shares.count(workspace, name)
            case NoteError(entry, text):
                entry.facts.callback_error = text
                self._changed[entry.id] = entry
            case PreparationEnded(key, trace):
                self._preparations.ended(key, trace)
            case Say(entry, last):
                self._say(entry, last=last)
            case Wake(reached):
                self.tick()
                if reached is not None:
                    self._freeze()
                    reached.set()

    def ended(self, entry: Entry) -> None:
        """A watched process has ended."""
        self._guard(entry, partial(self._ended, entry))

    def _ended(self, entry: Entry) -> None:
        handle = entry.handle
        if handle is None:
            return
        if (descriptor := handle.fileno()) is not None:
            self._watcher.unwatch(descriptor)
        entry.exit_code, entry.hint = handle.exit_code(), handle.hint()
        handle.close()
        entry.handle = None
        if self.plan.state(entry.id) in _UNDER_WAY:
            self._examine(entry)

    def tick(self) -> None:
        """Do what is due now."""
        now = self._clock.monotonic()
        self._hear(now)
        self._carry_out(self.plan.tick(now))
        self._others.tick(now)
        self._changed.update((entry.id, entry) for entry in self._shares.tick(now))
        for key in [k for k, (_, at, _) in self._again.items() if at <= now][:AT_ONCE]:
            entry, _, tries = self._again.pop(key)
            self._begin_again(entry, tries)
        for key in [key for key, at in self._looks.items() if at <= now]:
            del self._looks[key]
            entry = self._entries[key]
            if self.plan.state(key) in _UNDER_WAY:
                self._guard(entry, partial(self._examine, entry))
        if not self._under_way:
            return
        if now >= self._refresh_at:
            self._refresh_at = now + self._refresh_s
            self._refresh()
        if now >= self._poll_at:
            self._poll_at = now + POLL_S
            self._poll([e for e in self._under_way.values() if _descriptor(e) is None])
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            self._poll(list(self._under_way.values()))

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        times = [*self._looks.values(), *(at for _, at in self._says.values())]
        times += [at for _, at, _ in self._again.values()]
        due = [part.next_deadline() for part in (self.plan, self._shares, self._others)]
        times += [at for at in due if at is not None]
        if self._under_way:
            times += [self._refresh_at, self._sweep_at]
            if any(e.handle and _descriptor(e) is None for e in self._under_way.values()):
                times.append(self._poll_at)
        return min(times, default=None)

    def publish(self) -> frozenset[str]:
        """Freeze what changed, let those go who waited for it, and name the jobs."""
        self._freeze()
        keys, self._untold = self._untold, set()
        return frozenset(keys)

    def _freeze(self) -> None:
        changed, self._changed = self._changed, {}
        for entry in changed.values():
            state = self.plan.state(entry.id)
            if entry.id in self.plan:
                entry.freeze(state, self.plan.reason(entry.id), self._message(entry))
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

    def _note_change(self, entry: Entry) -> None:
        self._changed[entry.id] = entry

    def _say(self, entry: Entry, *, last: bool) -> None:
        """Take over what callbacks said: the first words at once, more of them a little later."""
        now = self._clock.monotonic()
        if last or entry.id not in self._says:
            entry.said = entry.voice.heard()
            self._changed[entry.id] = entry
            self._says[entry.id] = (entry, now + SAY_S)

    def _hear(self, now: float) -> None:
        for key in [key for key, (_, at) in self._says.items() if at <= now]:
            entry, _ = self._says.pop(key)
            if (said := entry.voice.heard()) != entry.said:
                entry.said = said
                self._changed[key] = entry
                self._says[key] = (entry, now + SAY_S)

    # -- arrivals -------------------------------------------------------------------------

    def _submit(self, message: SubmitJob) -> None:
        entry = message.entry
        self._entries[entry.id] = entry
        live = self._live(entry)
        if (asked := message.asked) is not None:
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
                workspace = Workspace(entry.paths.workspace)
                self._others.tell(workspace, experiment=asked.record.experiment)
        if message.prepare:
            if not live and message.asked is not None:
                entry.ask(message.asked)
                entry.voice.forget()
                self._preparations.begin(entry)
        elif not live:
            self._arrive(entry, message.asked, generate=message.generate)
        elif message.asked is not None:
            self.plan.set_transient(entry.id, records.transient_mode(message.asked.record))

    def _notice(self, entry: Entry) -> None:
        """See whether another process has begun with a job, or ended it."""
        state = self.plan.state(entry.id)
        if entry.id not in self.plan or state in _UNDER_WAY or entry.id in self._again:
            return  # we hear of its end
        found, _ = entries.look(entry)
        waits = state in (JobState.WAITING, JobState.READY)
        if found is Found.HELD:
            self._attach(entry, slot=False)
        elif found is Found.NOTHING or not (waits or found is Found.DONE):
            return
        elif state is not JobState.DONE:
            entry.forget_attempt()
            entries.read_record(entry)
            entry.facts.elsewhere = entry.ran = True
            self._apply(Attached(entry.id, self._needs(entry), slot=False))
            self._examine(entry)

    def _live(self, entry: Entry) -> bool:
        """Tell whether a job is neither over, nor left out, nor unknown."""
        state = self.plan.state(entry.id)
        return not (state.final or state is JobState.UNSCHEDULED)

    def _arrive(self, entry: Entry, asked: Asked | None, *, generate: bool = False) -> None:
        """Take in a job that is wanted and not under way."""
        entry.put_on_list()
        found, _ = entries.look(entry)
        if found is not Found.DONE and asked is not None:
            entry.ask(asked)
        if found not in (Found.DONE, Found.HELD):
            found = entries.prepare(entry)
        if found is Found.DONE:
            self._found_done(entry, asked)
            if not generate:
                self._renew(entry, asked)
        elif found is Found.HELD:
            self._attach(entry, slot=False)
        elif not generate:
            self._fresh(entry)
            self._others.take_back((entry,))  # whoever asks for it here wants it started here
            needs = self._needs(entry) + self._begin(entry)
            again = self.plan.state(entry.id) is JobState.DONE  # its directory says otherwise
            self._apply(Rerun(entry.id, needs) if again else Submit(entry.id, needs))

    def _renew(self, entry: Entry, asked: Asked | None) -> None:
        """Run a job again that is done, if it is stale and that is what is to become of it."""
        if entry.policy != "rerun" or asked is None or entry.id in self._again:
            return
        stale = entry.facts.stale and Stale(entry.facts.stale) in staleness.CHANGED
        if stale or entry.changed:
            entry.ask(asked)
            entry.expect()
            self._again[entry.id] = (entry, self._clock.monotonic(), 0)

    def _recall(self, entry: Entry) -> None:
        """Find out how a job is that was submitted before, and go on with it."""
        self._entries[entry.id] = entry
        if entry.id in self.plan:
            return
        found, failure = entries.look(entry)
        if found is Found.DONE:
            self._found_done(entry, None)
        elif found is Found.HELD:
            self._attach(entry, slot=True)
        else:
            self._recall_unfinished(entry, found, failure)

    def _recall_unfinished(self, entry: Entry, found: Found, failure: Failure | None) -> None:
        """Go on with a job that waited, or learn why it is in error."""
        record = entries.read_record(entry)
        self._make_launcher(entry)
        needs = self._needs(entry)
        if found is Found.LOST:
            event = self._verdict(entry)
            failure = Failure(_reason(event), None, getattr(event, "message", ""))
        elif record is None and failure is None:
            text = entry.facts.damage or "its directory has no record"
            failure = Failure(FailureReason.LOST, None, f"{text}; submit the task again")
        if damage := entries.find_damage(entry):
            if failure is None:
                failure = Failure(FailureReason.LOST, None, f"{damage}; submit the task again")
            elif damage not in failure.message:
                failure = failure._replace(message=f"{failure.message}; {damage}")
        if failure is None:
            self._note_change(entry)  # also where it is left out, which changes no state
            self._apply(Submit(entry.id, needs))
            return
        entries.note_times(entry)
        self._read_reports(entry)
        found_failed = Failed(entry.id, failure.reason, failure.message)
        end = limits.judged(entry, found_failed)
        self._apply(FoundFailed(entry.id, needs, end.reason, end.message, end.retries))

    def _found_done(self, entry: Entry, asked: Asked | None) -> None:
        # Files go only where this kernel was asked to remove them: a record may be an old one.
        mode = records.transient_mode(None if asked is None else asked.record)
        self.plan.set_transient(entry.id, mode)
        if self.plan.state(entry.id) is JobState.DONE:  # nothing new
            if asked is not None and entry.facts.damage:
                self._read_done(entry, asked)
            entry.facts.reused = asked is not None and not entry.ran
            self._judge(entry)
            return
        entry.forget_attempt()
        self._read_done(entry, asked)
        entry.facts.reused = asked is not None
        if asked is not None:
            entry.facts.tags = entries.as_tags(asked.record.tags)
            entry.facts.submitted = asked.record.submitted
        self._doubt(entry)
        needs = tuple(e.id for e in self._dependencies(entry))
        self._apply(FoundDone(entry.id, needs))
        self._judge(entry)

    def _read_done(self, entry: Entry, asked: Asked | None) -> None:
        """Read what the directory of a job says that is done; mend it, if it is submitted."""
        entry.facts.damage = ""
        known = entries.read_record(entry)
        if entries.find_damage(entry) and asked is not None:
            entries.mend(entry, asked)
            entry.facts.damage = ""
            known = entries.read_record(entry)
            entries.find_damage(entry)
        if known is None and asked is not None:
            entry.note_record(asked.record)
        if entry.facts.damage:
            entry.facts.damage += "; submit the task again to have it written anew"
        entries.note_times(entry)
        self._read_reports(entry)

    def _read_reports(self, entry: Entry) -> None:
        """Read what a job that is over reported; that this cannot be read is no failure of it."""
        try:
            entry.read_reports()
        except RecordError as error:
            text = entries.shortly(entry.paths, f"{error}; move it away, or rerun()")
            entry.facts.damage = entry.facts.damage or text

    def _look_again(self, entry: Entry) -> None:
        """Find out that a result was disowned, and what was made from it."""
        _, failure = entries.look(entry)
        if failure is None or self.plan.state(entry.id) is not JobState.DONE:
            return
        entry.forget_attempt()
        needs = self.plan.dependencies(entry.id)
        self._apply(FoundFailed(entry.id, needs, failure.reason, failure.message))
        self._changed[entry.id] = entry
        told = [entry.id]
        while told:
            key = told.pop()
            for other in self.plan.dependents(key):
                made = self._entries[other]
                if self.plan.state(other) is JobState.DONE and not made.facts.doubt:
                    self._doubt(made)
                    self._changed[other] = made
                    told.append(other)
        self._judge(*self._users(entry))

    def _doubt(self, entry: Entry) -> None:
        """Learn whether something that a done job was made from was disowned since."""
        entry.facts.doubt = trust.doubt(entry, self._dependencies(entry))

    def _attach(self, entry: Entry, *, slot: bool) -> None:
        """Follow a job that somebody else has."""
        entry.forget_attempt()
        if entries.read_record(entry) is None and entry.asked is not None:
            entry.note_record(entry.asked.record)
        self._make_launcher(entry)
        entry.facts.elsewhere = entry.ran = True
        self._apply(Attached(entry.id, self._needs(entry), slot))
        self._find_holder(entry)

    def _dependencies(self, entry: Entry) -> list[Entry]:
        out = []
        for key in entry.facts.dependencies:
            try:
                out.append(self._entry_of(entries.resolve(entry.paths, key)))
            except XpmError as error:
                log.warning("%s: dependency %r: %s", entry.paths.key, key, error)
        return out

    def _needs(self, entry: Entry) -> tuple[str, ...]:
        """Make sure that the plan knows what a job needs, deepest first, and name it."""
        todo = [entry]
        on_the_way = {entry.id}
        while todo:
            top = todo[-1]
            if top is not entry and (top.id in self.plan or records.is_done(top.paths)):
                new = []
            else:
                if top.record is None:
                    entries.read_record(top)
                new = [
                    e
                    for e in self._dependencies(top)
                    if e.id not in self.plan and e.id not in on_the_way
                ]
            if new:
                todo += new
                on_the_way.update(e.id for e in new)
                continue
            todo.pop()
            if top is not entry and top.id not in self.plan:
                self._recall(top)
        return tuple(e.id for e in self._dependencies(entry))

    def _begin(self, entry: Entry) -> tuple[str, ...]:
        """Begin with what has to be ready before a job, and give the plan's keys of that."""
        if records.transient_mode(entry.wanted()) is not TransientMode.NONE:
            return ()  # it may be left out: if it runs after all, its process makes that ready
        return self._preparations.begin(entry)

    def _make_launcher(self, entry: Entry) -> None:
        if entry.launcher is None and entry.record is not None:
            stored = entry.record.launcher
            make = self._launchers.get(str(stored.get("type", "local")))
            entry.launcher = make(stored) if make is not None else None

    def _retry(self, wanted: Iterable[Entry]) -> None:
        for key in self.plan.rerun_set(e.id for e in wanted):
            if key in self._preparations:
                self._preparations.retry(key)
                continue
            entry = self._entries[key]
            self._guard(entry, partial(self._arrive, entry, entry.asked))
            self._changed[key] = entry
        for entry in wanted:
            entry.met()
            self._changed[entry.id] = entry

    def _rerun(self, wanted: Iterable[tuple[Entry, Asked | None]]) -> None:
        failed, done = [], {}
        for entry, asked in wanted:
            if entry.id not in self.plan:
                self._guard(entry, partial(self._recall, entry))
            state = self.plan.state(entry.id)
            if asked is not None and state.final:
                entry.ask(asked)
            if state is JobState.ERROR:
                failed.append(entry)
            elif state is JobState.DONE and not (entry.id in done or entry.id in self._again):
                done[entry.id] = entry
            else:  # it is under way, or going to be
                entry.met()
                self._changed[entry.id] = entry
        self._retry(failed)
        needs = {e.id: [d.id for d in self._dependencies(e) if d.id in done] for e in done.values()}
        now = self._clock.monotonic()
        for key in TopologicalSorter(needs).static_order():
            self._again[key] = (done[key], now, 0)

    def _begin_again(self, entry: Entry, tries: int) -> None:
        """Run a job again that is done, or try to later."""
        over = [True]
        self._guard(entry, lambda: over.append(self._run_again(entry, tries)))
        self._changed[entry.id] = entry
        if over[-1]:
            entry.met()

    def _run_again(self, entry: Entry, tries: int) -> bool:
        """Run a job again that is done; False if there will be another try."""
        if self.plan.state(entry.id) is not JobState.DONE:
            return True
        entry.facts.note = ""
        self._needs(entry)
        self._make_launcher(entry)
        if text := self._uses().obstacle(entry):
            return self._refused(entry, text)
        if entry.launcher is None and entry.record is not None:
            return self._refused(entry, f"no launcher is known for {entry.record.launcher}")
        try:
            found = entries.prepare(entry, again=True)
        except (XpmError, OSError) as error:
            if records.is_done(entry.paths):
                return self._refused(entry, str(error))
            found = Found.NOTHING  # its marker is away: starting it shows what is wrong
        if found is Found.HELD and records.is_done(entry.paths) and tries < AGAIN:
            # The process that wrote the marker is about to end, or others that it left behind do
            # not: until they have, nobody may move their files.
            process = records.read_process(entry.paths)
            if process is not None and not locks.alive(process):
                locks.kill_survivors(process)
            delay = min(LOOK_S[1], LOOK_S[0] * 2**tries)
            self._again[entry.id] = (entry, self._clock.monotonic() + delay, tries + 1)
            return False
        if found is Found.HELD:
            self._attach(entry, slot=False)
            return True
        self._fresh(entry)
        self._others.take_back((entry,))
        self._apply(Rerun(entry.id, self._needs(entry) + self._begin(entry)))
        return True

    def _uses(self) -> entries.Uses:
        if self._known_uses is None or self._known_uses[0] != [*self._under_way]:
            uses = entries.Uses(self._under_way.values(), self._entry_of)
            self._known_uses = ([*self._under_way], uses)
        return self._known_uses[1]

    def _refused(self, entry: Entry, text: str) -> bool:
        entry.facts.note = f"it could not be run again: {text}"
        log.warning("%s: %s", entry.paths.key, entry.facts.note)
        return True

    def _fresh(self, entry: Entry) -> None:
        """Forget what was known of an earlier attempt: another begins."""
        entry.forget_attempt()
        entry.voice.forget()
        entry.said = ()
        self._make_launcher(entry)

    def _judge(self, *some: Entry) -> None:
        """See whether results are stale, and those that were made from them."""
        for entry in staleness.spread(some, self._entry_of, self._users):
            self._changed[entry.id] = entry

    def _users(self, entry: Entry) -> list[Entry]:
        return [self._entries[key] for key in self.plan.dependents(entry.id)]

    # -- effects --------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        entry = self._entries.get(event.key)  # none of a preparation
        begins = isinstance(event, (Submit, Rerun, Attached))
        begins = begins or (isinstance(event, FoundFailed) and event.retries > 0)
        if entry is not None and begins:  # what is over needs none, and may be over because of them
            self._shares.want(entry)
        if entry is not None and isinstance(event, (Submit, Attached)):
            self.plan.set_transient(entry.id, records.transient_mode(entry.wanted()))
        self._carry_out(self.plan.apply(event, self._clock.monotonic()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        """Carry out effects in order, also those that come from carrying out others."""
        self._effects += effects
        if self._carrying:
            return
        self._carrying = True
        try:
            while self._effects:
                effect = self._effects.popleft()
                if effect.key not in self._preparations:  # which this module has nothing to do with
                    entry = self._entries[effect.key]
                    self._guard(entry, partial(self._effect, entry, effect))
        finally:
            self._carrying = False

    def _effect(self, entry: Entry, effect: Effect) -> None:
        match effect:
            case Moved():
                self._moved(entry, effect)
            case Take():
                self._take(entry)
            case Launch():
                self._launch(entry)
            case Remove():
                self._remove(entry)
            case Retry():
                entries.prepare_retry(entry)
                entry.forget_attempt()
            case Kill():
                self._kill(entry, effect.reason, force=effect.force)

    def _moved(self, entry: Entry, effect: Moved) -> None:
        reason, message = None, ""
        if effect.new is JobState.ERROR:
            reason, message = self.plan.reason(entry.id), self._message(entry)
            if reason is FailureReason.CANCELLED and effect.old not in _UNDER_WAY:
                self._mark(entry, reason, message)
        if effect.new in _UNDER_WAY:
            if not self._under_way:
                now = self._clock.monotonic()
                self._refresh_at = now + self._refresh_s
                self._poll_at, self._sweep_at = now + POLL_S, now + SWEEP_S
            self._under_way[entry.id] = entry
        else:
            self._under_way.pop(entry.id, None)
            self._looks.pop(entry.id, None)
        self._shares.moved(entry)
        self._changed[entry.id] = entry
        entry.freeze(effect.new, reason, message)
        for hook in entry.hooks:
            try:
                hook(entry.view)
            except Exception:  # a border: a listener must not become the job's failure
                log.exception("%s: a hook raised", entry.paths.key)

    def _message(self, entry: Entry) -> str:
        cause = self.plan.cause(entry.id)
        if cause is None:
            if self.plan.state(entry.id) is JobState.UNSCHEDULED:
                return entry.facts.note or LEFT_OUT
            state = self.plan.state(entry.id)
            if state is JobState.DONE and (said := _first(entry.facts)):
                return said
            if state is JobState.READY and (starter := self._others.starter(entry)) is not None:
                return f"left to process {starter.pid}, which starts it"
            if entry.facts.waits and state is JobState.READY:
                return entry.facts.waits
            if entry.facts.trouble and state in _UNDER_WAY:
                return entry.facts.trouble
            if entry.facts.holder and state in _UNDER_WAY:
                return f"held by {entry.facts.holder}"
            if state is JobState.WAITING:
                text = self._preparations.message(entry)
            else:
                text = self.plan.message(entry.id)
            return text or limits.progress(entry, state)
        if cause in self._preparations:
            return self._preparations.failure(cause)
        paths = self._entry_of(JobPaths.of(cause)).paths
        return f"needs {paths.name} {paths.identifier[:8]}, which is in error"

    def _take(self, entry: Entry) -> None:
        if not self.plan.asks(entry.id):
            return
        try:
            event = self._shares.ask(entry)
        except (XpmError, OSError) as error:
            self._reject(entry, error)
            return
        self._apply(event)

    def _reject(self, entry: Entry, error: Exception) -> None:
        log.warning("%s: not started", entry.paths.key, exc_info=True)
        text = _text_of(entry, error)
        self._mark(entry, FailureReason.REJECTED, text)
        self._apply(Rejected(entry.id, text))

    def _launch(self, entry: Entry) -> None:
        if self.plan.state(entry.id) is not JobState.SCHEDULED:
            entry.let_go()
            return
        try:
            found, failure = entries.launch(entry)
        except Exception as error:  # a border: a launcher may be anybody's code
            self._reject(entry, error)
            return
        if found is Found.HELD:  # the race is lost
            entry.facts.elsewhere = entry.ran = True
            self._apply(Attached(entry.id))
            self._find_holder(entry)
        elif found is Found.REFUSED:
            self._apply(self._shares.refused(entry))
        elif found is Found.DONE:
            self._finish(entry, Completed(entry.id))
        elif failure is not None:
            self._finish(entry, Failed(entry.id, failure.reason, failure.message))
        else:
            entry.asked = None  # its directory has it
            entry.facts.started = self._clock.time()
            self._others.tell(*job_of(entry.paths))
            self._watch(entry)
            self._apply(Started(entry.id))
            self._limit(entry)

    def _remove(self, entry: Entry) -> None:
        """Remove the files of a transient job that nothing needs any more."""
        try:
            gone = entries.remove(entry)
        except (XpmError, OSError) as error:  # what is left, the next attempt moves away
            log.warning("%s: cannot remove its files: %s", entry.paths.key, error)
            gone = False
        entry.forget_attempt()
        entry.facts.note = REMOVED if gone else "its files could not be removed"

    def _limit(self, entry: Entry) -> None:
        """Tell the plan until when the process of a job may live."""
        deadline = limits.deadline(entry)
        if deadline is not None:
            left_s = deadline - self._clock.time()
            self._apply(TimeLimit(entry.id, self._clock.monotonic() + left_s))

    def _kill(self, entry: Entry, reason: FailureReason, *, force: bool) -> None:
        if entry.handle is None or entry.launcher is None:
            return  # `_find_holder` comes back to it
        if not force:
            try:
                records.write_end_note(entry.paths, reason, self.plan.grace_s)
            except OSError as error:
                log.warning("%s: cannot note why it is to end: %s", entry.paths.key, error)
        entry.launcher.kill(entry.handle, force=force)

    # -- jobs under way -------------------------------------------------------------------

    def _watch(self, entry: Entry) -> None:
        descriptor = _descriptor(entry)
        if descriptor is not None:
            self._watcher.watch(descriptor, entry)

    def _find_holder(self, entry: Entry) -> None:
        """Look for the process that holds the lock of a job; look again soon if there is none.

        There is none yet while another kernel is about to start it, and none any more when
        processes that the job forked have outlived it.
        """
        try:
            process = records.read_process(entry.paths)
        except RecordError:
            process = None
        if process is not None and locks.alive(process) and entry.launcher is not None:
            entry.handle = entry.launcher.attach(process.as_dict())
            # As the clock goes now, from which a time limit is counted: it may have been set.
            entry.facts.started = locks.began(process) or None
        elif process is not None:
            locks.kill_survivors(process)
        self._changed[entry.id] = entry
        if entry.handle is None:
            entry.facts.holder = locks.legacy_holder(entry.paths) or ""
            if entry.looks >= ASK_WHO and process is not None and not entry.facts.holder:
                entry.facts.holder = holders.tell(entry.paths.lock)
            self._look_later(entry)
            return
        entry.seen = True
        entry.looks = 0
        self._watch(entry)
        if (reason := self.plan.asked_to_end(entry.id)) is not None:
            self._kill(entry, reason, force=False)
        self._limit(entry)

    def _look_later(self, entry: Entry) -> None:
        first, last = LOOK_S
        delay = min(last, first * 2 ** min(entry.looks, AGAIN))
        entry.looks += 1
        self._looks[entry.id] = self._clock.monotonic() + delay

    def _examine(self, entry: Entry) -> None:
        """Look how a job is whose process ended, or was never seen."""
        try:
            found, failure = entries.look(entry)
        except (OSError, RecordError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError) or not troubles.passing(cause):
                raise
            entry.facts.trouble = f"not known how it is: {troubles.explain(cause, entry.paths)}"
            self._changed[entry.id] = entry
            self._look_later(entry)
            return
        entry.facts.trouble = ""
        if found is Found.HELD:
            if entries.superseded(entry):  # another kernel was asked to run it again
                entry.forget_attempt()
                entries.read_record(entry)
                entry.facts.elsewhere = entry.ran = True
            self._find_holder(entry)
        elif found is Found.DONE:
            self._finish(entry, Completed(entry.id))
        elif failure is not None:
            self._finish(entry, Failed(entry.id, failure.reason, failure.message))
        elif place := troubles.missing(entry.paths):
            self._finish(entry, Failed(entry.id, FailureReason.LOST, f"lost while it ran: {place}"))
        elif found is Found.NOTHING and (
            entries.superseded(entry) or not (entry.launched or entry.seen)
        ):
            self._released(entry)
        else:
            self._finish(entry, self._verdict(entry))

    def _released(self, entry: Entry) -> None:
        """Somebody had the lock, for a moment or without getting as far as a process.

        Or another kernel is about to run it again: it is for the first who can.
        """
        entry.forget_attempt()
        self._apply(Released(entry.id))

    def _verdict(self, entry: Entry) -> Event:
        """Judge a job that ended without a marker, and write the marker for it."""
        asked = self.plan.asked_to_end(entry.id) if entry.id in self.plan else None
        if asked is None and (note := records.read_end_note(entry.paths)) is not None:
            asked = note.reason
        overdue = records.limit_reached(entry.record) if asked is FailureReason.TIMEOUT else ""
        if entries.superseded(entry):
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
        if entry.exit_code == UNWRITTEN and isinstance(event, Failed):
            more = troubles.of_place(entry.paths) or entries.last_line(entry)
        elif entry.exit_code and isinstance(event, Failed) and asked is None:
            more = entries.last_line(entry)
        else:
            more = ""
        if asked is FailureReason.CANCELLED and self.plan.killed(entry.id):
            more = f"it did not end within {self.plan.grace_s:g} s of being asked, and was killed"
        if more and isinstance(event, Failed):
            event = replace(event, message=f"{event.message}: {more}")
        self._mark(entry, _reason(event), getattr(event, "message", ""), entry.exit_code)
        return event

    def _mark(
        self, entry: Entry, reason: FailureReason, message: str, code: int | None = None
    ) -> None:
        try:
            entries.mark_failed(entry, reason, message, code)
        except (XpmError, OSError) as error:  # its failure stands, whether it can be noted or not
            log.warning("%s: cannot write the failed marker: %s", entry.paths.key, error)
            return
        self._others.tell(*job_of(entry.paths))

    def _finish(self, entry: Entry, event: Event) -> None:
        if entry.facts.elsewhere:  # who ran it wrote down with what code
            entries.read_record(entry)
        self._read_reports(entry)
        entries.note_times(entry)
        if entry.facts.ended is None:
            entry.facts.ended = max(self._clock.time(), entry.facts.started or 0.0)
        if isinstance(event, Failed):
            event = limits.judged(entry, event)
        elif isinstance(event, Completed):
            self._doubt(entry)
        self._apply(event)
        self._judge(entry)

    def _refresh(self) -> None:
        for entry in list(self._under_way.values()):
            try:
                if entry.read_reports():
                    self._changed[entry.id] = entry
            except Exception:  # a border: figures to look at are no reason for a job to fail
                log.warning("%s: its reports cannot be read", entry.paths.key, exc_info=True)

    def _poll(self, some: Iterable[Entry]) -> None:
        """Ask the launchers, one question each."""
        asked: dict[int, tuple[Launcher, dict[Handle, Entry]]] = {}
        for entry in some:
            if entry.launcher is not None and entry.handle is not None:
                group = asked.setdefault(id(entry.launcher), (entry.launcher, {}))
                group[1][entry.handle] = entry
        for launcher, handles in asked.values():
            try:
                gone = [h for h, status in launcher.poll(handles).items() if status is Status.GONE]
            except Exception:  # a border: a launcher that cannot answer now is asked again
                log.warning("%r cannot say how its jobs are", launcher, exc_info=True)
                continue
            for handle in gone:
                self.ended(handles[handle])

    def _guard(self, entry: Entry, act: Callable[[], None]) -> None:
        """Do something for a job; what goes wrong becomes its failure."""
        try:
            act()
            return
        except Exception as error:
            # A border: whatever it is, a mistake of ours too, must not end the thread that looks
            # after all the other jobs of this kernel, and the job must not seem to wait for ever.
            log.warning("%s: %s", entry.paths.key, _text_of(entry, error), exc_info=True)
            text = _text_of(entry, error)
        try:
            self._broken(entry, text)
        except Exception:  # the same border: the plan refuses even that
            log.exception("%s: cannot note its failure", entry.paths.key)

    def _broken(self, entry: Entry, text: str) -> None:
        state = self.plan.state(entry.id)
        self._entries[entry.id] = entry
        self._changed[entry.id] = entry
        if state in (JobState.UNSCHEDULED, JobState.ERROR):
            if entry.record is None and entry.asked is not None:  # nothing of it could be written
                entry.note_record(entry.asked.record)
            known = self.plan.dependencies(entry.id) if entry.id in self.plan else ()
            needs = known or tuple(e.id for e in self._dependencies(entry))  # `retry` asks for them
            self._apply(FoundFailed(entry.id, needs, FailureReason.REJECTED, text))
        elif state in _UNDER_WAY:
            self._apply(Failed(entry.id, FailureReason.LOST, text))


def _first(facts: entries.Facts) -> str:
    """Give what is to be said of a job that is done."""
    return facts.note or facts.damage or facts.doubt


def _descriptor(entry: Entry) -> int | None:
    return None if entry.handle is None else entry.handle.fileno()


def _text_of(entry: Entry, error: Exception) -> str:
    """Say what went wrong; with its kind, if the message was not written for users."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, (XpmError, OSError)) and isinstance(cause, OSError):
        known = troubles.explain(cause, entry.paths)
        if known != str(cause):
            return known
    meant = isinstance(error, (XpmError, OSError)) and not isinstance(error, InternalError)
    return str(error) if meant else f"{type(error).__name__}: {error}"


def _reason(event: Event) -> FailureReason:
    return event.reason if isinstance(event, Failed) else FailureReason.LOST
