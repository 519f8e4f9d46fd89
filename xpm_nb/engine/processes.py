"""Jobs under way: who has them, how they are, until when they may go on, and that they ended.

Rule 1: the end of a process is told by the system where it can be (a descriptor that becomes
readable); launchers that cannot tell are asked, and a sweep now and then is the net below both.
Rule 2: what ended is not known by its process but by its directory (`Processes.examine`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from xpm_nb.core.events import Completed, Failed, Released, TimeLimit
from xpm_nb.core.states import UNWRITTEN, FailureReason, JobState
from xpm_nb.engine import limits, looking
from xpm_nb.engine.ends import Ends
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.hub import Hub
from xpm_nb.engine.looking import Found, look
from xpm_nb.errors import RecordError
from xpm_nb.launchers.base import Handle, Launcher, Status
from xpm_nb.store import holders, locks, records, troubles
from xpm_nb.store.records import ProcessRecord

log = logging.getLogger("xpm_nb")

SWEEP_S = 20.0  # the net below everything that tells us of ends by itself
POLL_S = 1.0  # for launchers that cannot tell us
ASK_WHO = 4  # looks in vain for the process of a job, before we say who else holds its lock
LOOK_S = (0.02, 2.0)  # how soon we look again for who holds a lock: at first, and at last


class Processes:
    """The jobs of one kernel that are under way, whoever started them.

    Parameters
    ----------
    hub : Hub
        What the parts share.
    ends : Ends
        What becomes of a job that has ended.
    refresh_hz : float
        How often files of running jobs are read.
    learn : callable
        Finds out what a job is, and tells the plan.
    """

    def __init__(
        self, hub: Hub, ends: Ends, refresh_hz: float, learn: Callable[[Entry], None]
    ) -> None:
        self._hub = hub
        self._ends = ends
        self._learn = learn
        self._refresh_s = 1.0 / refresh_hz
        self._under_way: dict[str, Entry] = {}
        self._looks: dict[str, float] = {}  # when to look again for who holds a lock
        self._refresh_at = self._poll_at = self._sweep_at = 0.0

    @property
    def under_way(self) -> list[Entry]:
        """The jobs that run, or are about to."""
        return list(self._under_way.values())

    def moved(self, entry: Entry, new: JobState) -> None:
        """Take note that a job went from one state to another."""
        if not new.under_way:
            self._under_way.pop(entry.id, None)
            self._looks.pop(entry.id, None)
            return
        if not self._under_way:
            now = self._hub.clock.monotonic()
            self._refresh_at = now + self._refresh_s
            self._poll_at, self._sweep_at = now + POLL_S, now + SWEEP_S
        self._under_way[entry.id] = entry

    # -- in time --------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        times = list(self._looks.values())
        if self._under_way:
            times += [self._refresh_at, self._sweep_at]
            if any(e.handle and _descriptor(e) is None for e in self._under_way.values()):
                times.append(self._poll_at)
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Look at what is due."""
        for key in [key for key, at in self._looks.items() if at <= now]:
            del self._looks[key]
            entry = self._hub.entries[key]
            if self._hub.plan.state(key).under_way:
                self._hub.guard(entry, partial(self.examine, entry))
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
            self._poll(self.under_way)

    def _refresh(self) -> None:
        for entry in self.under_way:
            try:
                if entry.read_reports():
                    self._hub.note_change(entry)
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

    # -- one process ----------------------------------------------------------------------

    def watch(self, entry: Entry) -> None:
        """Have `ended` called when the process of a job ends, where that can be told."""
        descriptor = _descriptor(entry)
        if descriptor is not None:
            self._hub.watcher.watch(descriptor, entry)

    def limit(self, entry: Entry) -> None:
        """Tell the plan until when the process of a job may live."""
        deadline = limits.deadline(entry)
        if deadline is not None:
            left_s = deadline - self._hub.clock.time()
            self._hub.apply(TimeLimit(entry.id, self._hub.clock.monotonic() + left_s))

    def kill(self, entry: Entry, reason: FailureReason, *, force: bool) -> None:
        """Ask the processes of a job to end, or end them with `force`."""
        if entry.handle is None or entry.launcher is None:
            return  # `find_holder` comes back to it
        if not force:
            self._note_end(entry, reason)
        entry.launcher.kill(entry.handle, force=force)

    def _note_end(self, entry: Entry, reason: FailureReason) -> None:
        try:
            records.write_end_note(entry.paths, reason, self._hub.plan.grace_s)
        except OSError as error:
            log.warning("%s: cannot note why it is to end: %s", entry.paths.key, error)

    def _end_left(self, entry: Entry, process: ProcessRecord) -> None:
        """End what holds the lock of a job that was asked to end, and whose process has."""
        reason = self._hub.plan.asked_to_end(entry.id)
        if reason is not None and not locks.alive(process):
            if records.read_end_note(entry.paths) is None:
                self._note_end(entry, reason)
            holders.end(entry.paths.lock, process, force=self._hub.plan.killed(entry.id))

    def ended(self, entry: Entry) -> None:
        """Take note that the process of a job has ended."""
        self._hub.guard(entry, partial(self._ended, entry))

    def _ended(self, entry: Entry) -> None:
        handle = entry.handle
        if handle is None:
            return
        if (descriptor := handle.fileno()) is not None:
            self._hub.watcher.unwatch(descriptor)
        entry.exit_code, entry.hint = handle.exit_code(), handle.hint()
        handle.close()
        entry.handle = None
        if self._hub.plan.state(entry.id).under_way:
            self.examine(entry)

    # -- one job --------------------------------------------------------------------------

    def find_holder(self, entry: Entry) -> None:
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
        self._hub.note_change(entry)
        if entry.handle is None:
            self._ask_experimaestro(entry)
            if entry.looks >= ASK_WHO and process is not None and not entry.facts.holder:
                entry.facts.holder = holders.tell(entry.paths.lock)
                self._end_left(entry, process)
            self._look_later(entry)
            return
        entry.seen = True
        entry.looks = 0
        self.watch(entry)
        if (reason := self._hub.plan.asked_to_end(entry.id)) is not None:
            self.kill(entry, reason, force=False)
        self.limit(entry)

    def _ask_experimaestro(self, entry: Entry) -> None:
        """See whether a job of experimaestro runs there, or one whose directory is gone."""
        holder = locks.legacy_holder(entry.paths)
        if holder is not None:
            # It lets go before it writes its marker: until the process is gone, it may still come.
            entry.facts.holder = holder
            entry.stray = locks.legacy_process(entry.paths) or entry.stray
        elif entry.stray is None:
            entry.facts.holder = ""
        else:
            entry.facts.holder = entry.facts.holder or locks.tell_stray(entry.stray.pid)

    def _look_later(self, entry: Entry) -> None:
        self._looks[entry.id] = self._hub.clock.monotonic() + delay_s(entry.looks)
        entry.looks += 1

    def examine(self, entry: Entry) -> None:
        """Look how a job is whose process ended, or was never seen."""
        try:
            found, failure = look(entry)
        except (OSError, RecordError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError) or not troubles.passing(cause):
                raise
            entry.facts.trouble = f"not known how it is: {troubles.explain(cause, entry.paths)}"
            self._hub.note_change(entry)
            self._look_later(entry)
            return
        entry.facts.trouble = ""
        if entry.record is None:  # who looked before it was written knows nothing of it
            self._learn(entry)
        finish = partial(self._ends.finish, entry)
        if found is Found.HELD:
            if looking.superseded(entry):  # another kernel was asked to run it again
                entry.forget_attempt()
                looking.read_record(entry)
                entry.facts.elsewhere = entry.ran = True
            self.find_holder(entry)
        elif found is Found.DONE:
            finish(Completed(entry.id))
        elif failure is not None:
            finish(Failed(entry.id, failure.reason, failure.message))
        elif place := _place_lost(entry):
            finish(Failed(entry.id, FailureReason.LOST, f"lost while it ran: {place}"))
        elif found is Found.NOTHING and (
            looking.superseded(entry) or not (entry.launched or entry.seen)
        ):
            # Somebody had the lock, for a moment or without getting as far as a process; or
            # another kernel is about to run it again: it is for the first who can.
            if entry.record is None:
                lost = looking.unwritten(entry)
                finish(Failed(entry.id, lost.reason, lost.message))
                return
            entry.forget_attempt()
            if records.read_removals(entry.paths):  # for where it is left out now
                entry.facts.note = looking.REMOVED
            self._hub.apply(Released(entry.id))
        else:
            finish(self._ends.verdict(entry))


def delay_s(times: int) -> float:
    """Say how long to wait before the next look at who holds a lock, after some in vain."""
    first, last = LOOK_S
    return min(last, first * 2.0 ** min(times, 100))


def _place_lost(entry: Entry) -> str:
    """Say that the directory in which the process of a job ran is gone; "" if it is not."""
    if entry.exit_code == UNWRITTEN:  # a new one may be in its place, made by whoever runs it next
        return troubles.replaced(entry.paths)
    return troubles.missing(entry.paths)


def _descriptor(entry: Entry) -> int | None:
    return None if entry.handle is None else entry.handle.fileno()
