"""What the loop does with a message: plan -> effects -> what the world answers -> views.

No thread and no waiting here: `engine.loop` calls these methods from its own thread, tests from
theirs. The plan decides, the directory is the truth, and the parts carry between the two; each has
a module of its own:

=====================  ==========================================================
`hub.Hub`              the jobs, the plan, and the way from events to effects
`arrivals.Arrivals`    how a job comes to the plan
`starts.Starts`        its shares, its lock, its launcher
`processes.Processes`  a job under way: who has it, how long, and that it ended
`ends.Ends`            how it ended, and what is to be thought of its result
`reruns.Reruns`        what is over and run again
`missed.Missed`        what is over and whose result is not there
`news.News`            views, and who is told of them
`shares`, `others`     what is shared with other jobs; what other processes do
`preparations`         what has to be ready before a job
=====================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from xpm_nb.core.events import Cancel, Effect, Kill, Launch, Moved, Remove, Retry, Take
from xpm_nb.core.plan import Plan
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.engine import limits, staleness
from xpm_nb.engine.arrivals import Arrivals, LauncherOf
from xpm_nb.engine.ends import Ends
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.messages import (
    CancelJobs,
    Clock,
    CountToken,
    JudgeJobs,
    LeaveJobs,
    Listen,
    LookAgain,
    MeetJobs,
    Message,
    MissResult,
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
from xpm_nb.engine.missed import Missed
from xpm_nb.engine.news import News
from xpm_nb.engine.others import Others
from xpm_nb.engine.preparations import Preparations
from xpm_nb.engine.processes import Processes
from xpm_nb.engine.readers import Readers
from xpm_nb.engine.reruns import Reruns
from xpm_nb.engine.shares import Shares
from xpm_nb.engine.starts import Starts
from xpm_nb.store.layout import JobPaths


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
    readers : Readers, optional
        Know who may read whose files.
    """

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        watcher: Watcher,
        entry_of: Callable[[JobPaths], Entry],
        launchers: Mapping[str, LauncherOf],
        refresh_hz: float,
        readers: Readers | None = None,
    ) -> None:
        self.plan = plan
        readers = readers or Readers()
        hub = self._hub = Hub(plan, clock, watcher, entry_of, self._act, readers)
        shares = self._shares = Shares(hub)
        others = self._others = Others(hub, self._notice)
        preparations = self._preparations = Preparations(hub)
        ends = self._ends = Ends(hub, others)
        processes = self._processes = Processes(hub, ends, refresh_hz, self._learn)
        arrivals = self._arrivals = Arrivals(
            hub, shares, others, preparations, ends, processes, launchers
        )
        self._starts = Starts(hub, shares, others, ends, processes, arrivals)
        self._reruns = Reruns(hub, arrivals, preparations, processes)
        self._missed = Missed(hub, arrivals, ends)
        self._news = News(hub, others, preparations)

    # -- what the loop calls --------------------------------------------------------------

    def handle(self, message: Message) -> None:
        """Deal with one message."""
        match message:
            case SubmitJob(entry):
                self._hub.guard(entry, partial(self._submit, message))
                entry.met()
                self._hub.note_change(entry)
            case OpenJobs(wanted, ready):
                for entry in wanted:
                    self._hub.guard(entry, partial(self._arrivals.recall, entry))
                self._news.freeze()
                if ready is not None:
                    ready.set()
            case MeetJobs(wanted):
                for entry in wanted:
                    self._hub.guard(entry, partial(self._arrivals.meet, entry))
                    self._hub.note_change(entry)
            case CancelJobs(wanted):
                for entry in wanted:
                    self._cancel(entry)
            case RetryJobs(wanted, asked):
                self._reruns.retry(wanted, asked)
            case RerunJobs(wanted):
                self._reruns.rerun(wanted)
            case LookAgain(entry):
                self._hub.guard(entry, partial(self._arrivals.look_again, entry))
                self._others.tell_of(entry.paths)
            case MissResult(entry):
                self._hub.guard(entry, partial(self._missed.look, entry))
                entry.met()
                self._hub.note_change(entry)
            case LeaveJobs(wanted, starter):
                if starter is None or not self._others.leave(wanted, starter):
                    self._others.take_back(wanted)
                for entry in wanted:
                    if entry.id in self.plan:
                        self._hub.note_change(entry)
            case _:
                self._note(message)

    def _note(self, message: Message) -> None:
        """Take note of what begins and ends no job by itself."""
        match message:
            case JudgeJobs(wanted):
                for entry, code in wanted:
                    entry.now = staleness.making(code) or entry.now
                self._ends.judge(*(entry for entry, _ in wanted))
            case NoteDrift(found):
                for entry, text in found:
                    if self.plan.state(entry.id) is JobState.DONE:  # still
                        entry.facts.drift = text
                        self._hub.note_change(entry)
            case NoteError(entry, text):
                entry.facts.callback_error = text
                self._hub.note_change(entry)
            case Say(entry, last):
                self._news.say(entry, last=last)
            case Wake(reached):
                self.tick()
                if reached is not None:
                    self._news.freeze()
                    reached.set()
            case Listen(workspace, name, heard, offset):
                if heard is None:
                    self._others.deafen(workspace, name)
                else:
                    self._others.listen(workspace, name, heard, offset)
            case SetSlots(slots):
                self._hub.carry_out(self.plan.set_slots(slots))
            case CountToken(workspace, name):
                self._shares.count(workspace, name)
            case PreparationEnded(key, trace):
                self._preparations.ended(key, trace)

    def ended(self, entry: Entry) -> None:
        """A watched process has ended."""
        self._processes.ended(entry)

    def tick(self) -> None:
        """Do what is due now."""
        now = self._hub.clock.monotonic()
        self._news.tick(now)
        self._hub.carry_out(self.plan.tick(now))
        self._others.tick(now)
        self._shares.tick(now)
        self._reruns.tick(now)
        self._starts.tick(now)
        self._processes.tick(now)

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        parts = (
            self._news,
            self.plan,
            self._others,
            self._shares,
            self._reruns,
            self._starts,
            self._processes,
        )
        times = [part.next_deadline() for part in parts]
        return min((at for at in times if at is not None), default=None)

    def publish(self) -> frozenset[str]:
        """Freeze what changed, let those go who waited for it, and name the jobs."""
        return self._news.publish()

    # -- one job --------------------------------------------------------------------------

    def _submit(self, message: SubmitJob) -> None:
        done = self._arrivals.submit(message)
        if done and not message.generate:
            self._reruns.renew(message.entry, message.asked)

    def _cancel(self, entry: Entry) -> None:
        if self._hub.live(entry):
            self._hub.guard(entry, partial(self._hub.apply, Cancel(entry.id)))
        else:
            self._reruns.forget(entry)  # it stays done

    def _notice(self, entry: Entry) -> None:
        """See what another process did with a job, unless it is to be run again here."""
        if entry not in self._reruns:
            self._hub.guard(entry, partial(self._arrivals.notice, entry))

    def _learn(self, entry: Entry) -> None:
        """Find out what a job is that somebody else has."""
        self._arrivals.learn(entry)

    # -- effects --------------------------------------------------------------------------

    def _act(self, entry: Entry, effect: Effect) -> None:
        """Carry out one effect."""
        match effect:
            case Moved():
                self._moved(entry, effect)
            case Take():
                self._starts.take(entry)
            case Launch():
                self._starts.launch(entry)
            case Remove():
                self._starts.remove(entry)
            case Retry():
                self._starts.retry(entry)
            case Kill(_, force, reason):
                self._processes.kill(entry, reason, force=force)

    def _moved(self, entry: Entry, effect: Moved) -> None:
        never_began = effect.new is JobState.ERROR and not effect.old.under_way
        if never_began and self.plan.reason(entry.id) is FailureReason.CANCELLED:
            self._ends.mark(entry, FailureReason.CANCELLED, limits.by(self._news.message(entry)))
        self._processes.moved(entry, effect.new)
        self._shares.moved(entry)
        self._news.moved(entry, effect.new)
