"""The scheduler that decides and does nothing: events in, effects out.

Rule 1: an event that cannot be meant raises `InternalError` and changes nothing.
Rule 2: time is an argument. Files, processes and threads are somebody else's.
Rule 3: every job that nothing holds back is launched as long as a slot is free, in the order in
which the jobs were first submitted. One that needs shares of what jobs have in common (see
`core.pools`) asks the world for them first, and waits without a slot if it is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from itertools import islice

from xpm_nb.core.events import (
    TABLE,
    Again,
    Attached,
    Cancel,
    DependenciesDone,
    DependencyFailed,
    DependencyReopened,
    Effect,
    Event,
    Failed,
    FoundDone,
    FoundFailed,
    Granted,
    Kill,
    Launch,
    Moved,
    Needed,
    Offer,
    Refused,
    Rejected,
    Released,
    Remove,
    Removed,
    Rerun,
    Retry,
    Spent,
    Submit,
    Take,
    Taken,
    TimeLimit,
    Vanished,
    next_state,
)
from xpm_nb.core.planned import Node, faults, needy
from xpm_nb.core.pools import Needs, Pools
from xpm_nb.core.states import FailureReason, JobState, TransientMode
from xpm_nb.errors import InternalError

_ARRIVALS = (Submit, Offer, FoundDone, FoundFailed, Attached, Again)
_INTERNAL = (DependenciesDone, DependencyReopened, DependencyFailed)
_BLOCKABLE = (JobState.WAITING, JobState.READY)

FAULTS = 5  # how many contradictions are named
OFTEN = 100  # a plan of more jobs is looked at after each n-th change, n being a part of its size


class Plan:
    """The jobs of one kernel: who waits for whom, who may start, who is in error because of whom.

    Parameters
    ----------
    slots : int
        How many jobs may be launched at once.
    grace_s : float
        How long a job that is asked to end has before it is killed.

    Attributes
    ----------
    checked : bool
        Whether each change is followed by `validate` (of large plans, now and then): a mistake is
        then an `InternalError` where it is made. On in tests, and with ``XPM_DEBUG=1``.
    """

    checked = False

    def __init__(self, *, slots: int = 1, grace_s: float = 5.0) -> None:
        self._nodes: dict[str, Node] = {}
        self._transient: dict[str, TransientMode] = {}  # those that may be left out
        self._ready: list[tuple[int, str]] = []  # a heap; entries that are out of date are skipped
        self._pools = Pools()
        self._slots = slots
        self._used = 0
        self._left: set[str] = set()  # jobs that another process starts
        self._limited: dict[str, None] = {}  # an ordered set: those with a time limit or a kill_at
        self._grace_s = grace_s
        self._unchecked = 0  # changes since `validate` was called

    # -- reading --------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many jobs may be launched at once."""
        return self._slots

    @property
    def grace_s(self) -> float:
        """How long a job that is asked to end has before it is killed."""
        return self._grace_s

    @property
    def used(self) -> int:
        """How many jobs hold a slot."""
        return self._used

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def state(self, key: str) -> JobState:
        """Give the state of a job, `UNSCHEDULED` if it is not known."""
        node = self._nodes.get(key)
        return JobState.UNSCHEDULED if node is None else node.state

    def reason(self, key: str) -> FailureReason | None:
        """Say why a job is in error, None if it is not."""
        return self._nodes[key].reason

    def message(self, key: str) -> str:
        """Say in a few words why a job is in error, "" if it is not."""
        return self._nodes[key].message

    def cause(self, key: str) -> str | None:
        """Name the job because of which a job is in error, None if that is its own doing."""
        return self._nodes[key].cause

    def asked_to_end(self, key: str) -> FailureReason | None:
        """Say why we asked its processes to end, None if we did not."""
        node = self._nodes[key]
        if node.cancelled:
            return FailureReason.CANCELLED
        return FailureReason.TIMEOUT if node.overdue else None

    def killed(self, key: str) -> bool:
        """Tell whether its processes had to be killed, as they did not end when asked to."""
        return key in self._nodes and self._nodes[key].killed

    def dependencies(self, key: str) -> tuple[str, ...]:
        """Give the jobs that a job needs."""
        return self._nodes[key].dependencies

    def asks(self, key: str) -> bool:
        """Tell whether a job is being given its shares (see `Take`)."""
        return key in self._nodes and self._nodes[key].asks

    def is_left(self, key: str) -> bool:
        """Tell whether starting a job is left to another process."""
        return key in self._left

    @property
    def pools(self) -> Pools:
        """What jobs have in common; to be read only."""
        return self._pools

    def dependents(self, key: str) -> tuple[str, ...]:
        """Give the jobs that need a job."""
        return tuple(self._nodes[key].dependents) if key in self._nodes else ()

    def spent(self, key: str) -> bool:
        """Tell whether the files of a done job are to go, as no job here needs them any more.

        Asked when a job that needs it has just ended well: what was found done says nothing of what
        is going to be submitted next.
        """
        if self._transient.get(key) is not TransientMode.REMOVE:
            return False
        node = self._nodes[key]
        return node.state is JobState.DONE and not node.in_need

    def next_deadline(self) -> float | None:
        """Say when `tick` has something to do, None if nothing is due."""
        nodes = [self._nodes[key] for key in self._limited]
        times = [t for n in nodes for t in (n.limit_at, n.kill_at) if t is not None]
        times += [at for at in [self._pools.next_deadline()] if at is not None]
        return min(times, default=None)

    def rerun_set(self, keys: Iterable[str]) -> list[str]:
        """Name the jobs to run again with these, in order: causes first, then what they stopped.

        A job that stands in error because of another one is only helped by running that one again,
        and what stands in error because of a job of the set comes back with it.
        """
        causes: dict[str, None] = {}
        stack = [key for key in keys if self.state(key) is JobState.ERROR]
        while stack:
            key = stack.pop()
            if key not in causes:
                causes[key] = None
                deps = self._nodes[key].dependencies
                stack += [d for d in deps if self.state(d) is JobState.ERROR]
        stopped = list(causes)
        while stopped:
            for key in self._nodes[stopped.pop()].dependents:
                blocked = self._nodes[key].reason is FailureReason.DEPENDENCY
                if blocked and key not in causes:
                    causes[key] = None
                    stopped.append(key)
        needs = {k: [d for d in self._nodes[k].dependencies if d in causes] for k in causes}
        return list(TopologicalSorter(needs).static_order())

    def validate(self) -> None:
        """See that what the plan knows fits together.

        Raises
        ------
        InternalError
            Saying what does not.
        """
        found = faults(self._nodes, self._pools, self._limited, self._slots, self._used, self._left)
        texts = list(islice(found, FAULTS))
        if texts:
            raise InternalError(f"the plan contradicts itself: {'; '.join(texts)}")

    # -- changing -------------------------------------------------------------------------

    def apply(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event and say what is to be done.

        Raises
        ------
        InternalError
            If the event cannot be meant; nothing has changed then.
        """
        node = self._nodes.get(event.key)
        if node is None:
            if not isinstance(event, _ARRIVALS):
                raise InternalError(f"job {event.key} is not known: {type(event).__name__}")
            node = Node(event.key, order=len(self._nodes))
        event = self._offered(node, _again(node, _given_up(node, event)))
        next_state(node.state, event)  # raises before anything is changed
        needs = event.dependencies if isinstance(event, (*_ARRIVALS, Rerun)) else None
        if needs is not None and needs != node.dependencies:
            self._link(node, event, needs)
        self._nodes[event.key] = node
        effects: list[Effect] = []
        self._step(node, event, now, effects)
        return self._settle(effects)

    def tick(self, now: float) -> list[Effect]:
        """Say which jobs have had their time, and which of those asked to end have not done so.

        And who asks once more for shares that were refused.
        """
        effects: list[Effect] = []
        for node in [self._nodes[key] for key in self._limited]:
            if node.limit_at is not None and node.limit_at <= now:
                node.limit_at, node.overdue = None, True
                if node.kill_at is None:
                    self._ask_to_end(node, now, effects)
            elif node.kill_at is not None and node.kill_at <= now:
                node.kill_at, node.killed = None, True
                reason = self.asked_to_end(node.key) or FailureReason.CANCELLED
                effects.append(Kill(node.key, force=True, reason=reason))
        self._pools.due(now)
        return self._settle(effects)

    def set_transient(self, key: str, mode: TransientMode) -> None:
        """Note whether a job may be left out, before the event with which it arrives."""
        if mode is TransientMode.NONE:
            self._transient.pop(key, None)
        else:
            self._transient[key] = mode

    def set_slots(self, slots: int) -> list[Effect]:
        """Change how many jobs may be launched at once; running ones go on."""
        self._slots = slots
        return self._settle([])

    def leave(self, keys: Iterable[str]) -> list[Effect]:
        """Start none of these jobs from now on, known or not: another process does."""
        for key in keys:
            self._left.add(key)
            if self.state(key) is JobState.READY and not self._nodes[key].asks:
                self._pools.leave(key)
        return self._settle([])

    def take_back(self, keys: Iterable[str]) -> list[Effect]:
        """Start these jobs ourselves again, those that were left to another process."""
        for key in [key for key in dict.fromkeys(keys) if key in self._left]:  # in their order
            self._left.discard(key)
            if self.state(key) is JobState.READY:
                self._stand(self._nodes[key])
        return self._settle([])

    def want(self, key: str, needs: Needs) -> None:
        """Note which shares a job needs, before the event with which it arrives."""
        self._pools.want(key, needs)

    def set_total(self, pool: str, total: int) -> list[Effect]:
        """Change how many units of something there are; what is held stays held."""
        self._pools.set_total(pool, total)
        return self._settle([])

    def freed(self, pools: Iterable[str]) -> list[Effect]:
        """Take note that there may be room again where the world had none."""
        self._pools.open(pools)
        return self._settle([])

    # -- inside ---------------------------------------------------------------------------

    def _link(self, node: Node, event: Event, needs: tuple[str, ...]) -> None:
        """Note what a job needs. A job under way keeps what it was started with, if that is known.

        What another process has may be known only later: it says so itself.
        """
        learnt = isinstance(event, Attached) and node.state is JobState.RUNNING
        if not (node.state.idle or learnt):
            return
        wanted = tuple(dict.fromkeys(needs))
        unknown = [key for key in wanted if key not in self._nodes]
        if unknown and isinstance(event, (Submit, Offer, Attached, Again, Rerun)):
            raise InternalError(f"job {node.key} needs jobs that are not known: {unknown}")
        if self._reaches(wanted, node.key):
            raise InternalError(f"job {node.key} would need itself")
        self._count(node, -needy(node.state))
        for key in node.dependencies:
            self._nodes[key].dependents.pop(node.key, None)
        node.dependencies = tuple(key for key in wanted if key in self._nodes)
        for key in node.dependencies:
            self._nodes[key].dependents[node.key] = None
        self._count(node, needy(node.state))
        node.missing = {k for k in node.dependencies if self.state(k) is not JobState.DONE}

    def _count(self, node: Node, change: int) -> None:
        """Note of what a job needs that one more may read its files, or one less."""
        for key in node.dependencies if change else ():
            self._nodes[key].in_need += change

    def _reaches(self, start: Iterable[str], goal: str) -> bool:
        if goal not in self._nodes:
            return goal in start  # what nobody knows, nobody needs
        stack, seen = list(start), set[str]()
        while stack:
            key = stack.pop()
            if key == goal:
                return True
            if key not in seen and key in self._nodes:
                seen.add(key)
                stack += self._nodes[key].dependencies
        return False

    def _step(self, node: Node, event: Event, now: float, effects: list[Effect]) -> None:
        """Move one job, and those that follow from it (a loop: chains may be thousands long)."""
        todo = deque[tuple[Node, Event]]([(node, event)])
        while todo:
            node, event = todo.popleft()
            if isinstance(event, _INTERNAL) and node.state not in _BLOCKABLE:
                continue  # met before, by another way
            if isinstance(event, DependenciesDone) and node.state is JobState.READY:
                continue
            if isinstance(event, Needed) and node.state is not JobState.UNSCHEDULED:
                continue
            old, new = node.state, next_state(node.state, event)
            if isinstance(event, Cancel) and not (new.final or node.cancelled):
                node.cancelled = True
                self._ask_to_end(node, now, effects)
            elif isinstance(event, TimeLimit) and not node.overdue:
                node.limit_at = event.at
                self._limited[node.key] = None
            elif isinstance(event, Again):
                effects.append(Retry(node.key))
            elif isinstance(event, Spent):
                effects.append(Remove(node.key))
            elif isinstance(event, Attached) and new is old:
                self._pools.take(node.key)
            if isinstance(event, Refused):
                self._pools.close(event.pools, event.until)
            if new is not old or isinstance(event, Refused):
                self._enter(node, event, new)
            if new is not old:
                effects.append(Moved(node.key, old, new))
                if isinstance(event, Taken):
                    effects.append(Launch(node.key))
            elif isinstance(event, FoundFailed):
                node.reason, node.message = event.reason, event.message
            todo += self._consequences(node, old)

    def _enter(self, node: Node, event: Event, new: JobState) -> None:
        self._count(node, needy(new) - needy(node.state))
        node.sought = isinstance(event, Attached) and not node.state.idle
        node.state = new
        node.reason, node.message = _why(node, event) if new is JobState.ERROR else (None, "")
        node.cause = event.by if isinstance(event, DependencyFailed) else None
        node.asks = False
        if new is JobState.READY:
            self._stand(node)
        elif new.under_way:
            self._pools.take(node.key)
        else:
            self._pools.leave(node.key)
        holds = new is JobState.SCHEDULED or (
            new is JobState.RUNNING and (event.slot if isinstance(event, Attached) else node.slot)
        )
        self._used += holds - node.slot
        node.slot = holds
        if not new.under_way:  # what was asked of one attempt is not of the next
            node.cancelled = node.overdue = node.killed = False
            node.limit_at = node.kill_at = None
            self._limited.pop(node.key, None)

    def _stand(self, node: Node) -> None:
        """Put a job that is ready among those that are started when there is room."""
        if node.key in self._left:
            self._pools.leave(node.key)
            return
        heappush(self._ready, (node.order, node.key))
        self._pools.wait(node.key, node.order)

    def _consequences(self, node: Node, old: JobState) -> list[tuple[Node, Event]]:
        """Say what a job's new state means for itself and for those that need it."""
        out: list[tuple[Node, Event]] = []
        if node.state is JobState.WAITING:
            failed = next((k for k in node.missing if self.state(k) is JobState.ERROR), None)
            if failed is not None:
                out.append((node, DependencyFailed(node.key, failed)))
            elif not node.missing:
                out.append((node, DependenciesDone(node.key)))
            else:
                left_out = [k for k in node.missing if self.state(k) is JobState.UNSCHEDULED]
                out += [(self._nodes[key], Needed(key)) for key in left_out]
        if node.state is JobState.READY and node.missing:  # run again while this one was under way
            out.append((node, DependencyReopened(node.key)))
        if node.state is JobState.DONE and old.under_way:
            spent = [key for key in node.dependencies if self.spent(key)]
            out += [(self._nodes[key], Spent(key)) for key in spent]
        if node.state is old or not (node.state.final or old.final):
            return out
        for key in node.dependents:
            other = self._nodes[key]
            if node.state is JobState.DONE:
                other.missing.discard(node.key)
                if other.state is JobState.WAITING and not other.missing:
                    out.append((other, DependenciesDone(key)))
                continue
            other.missing.add(node.key)
            if other.state not in _BLOCKABLE:
                continue
            if node.state is JobState.ERROR:
                out.append((other, DependencyFailed(key, node.key)))
            elif old is JobState.DONE:
                out.append((other, DependencyReopened(key)))
        return out

    def _offered(self, node: Node, event: Event) -> Event:
        """Leave a job out that may be, unless something waits for it already."""
        if node.key not in self._transient:
            return event
        if any(self.state(key) is JobState.WAITING for key in node.dependents):
            return event
        if isinstance(event, Submit) and Offer in TABLE[node.state]:
            return Offer(event.key, event.dependencies)
        if isinstance(event, Released) and node.state is JobState.RUNNING and not node.sought:
            return Removed(event.key)  # whoever had it may just have taken its files away
        return event

    def _ask_to_end(self, node: Node, now: float, effects: list[Effect]) -> None:
        if node.kill_at is None:  # the second reason to end gives no more time than the first
            node.kill_at = now + self._grace_s
        self._limited[node.key] = None
        effects.append(
            Kill(node.key, reason=self.asked_to_end(node.key) or FailureReason.CANCELLED)
        )

    def _settle(self, effects: list[Effect]) -> list[Effect]:
        """Give what is free, as the last of each change."""
        self._grant(effects)
        self._unchecked += 1
        if self.checked and self._unchecked * OFTEN > len(self._nodes):
            self._unchecked = 0
            self.validate()
        return effects

    def _grant(self, effects: list[Effect]) -> None:
        self._offer()
        while self._ready and self._used < self._slots:
            node = self._nodes[heappop(self._ready)[1]]
            if node.state is not JobState.READY or node.asks or node.key in self._left:
                continue
            if not self._pools.may_go(node.key):
                continue  # it comes back when the pools that it needs have changed
            if self._pools.needs(node.key):
                node.asks = node.slot = True
                self._used += 1
                self._pools.take(node.key)
                effects.append(Take(node.key))
                self._offer()
                continue
            self._enter(node, Granted(node.key), next_state(node.state, Granted(node.key)))
            effects.append(Moved(node.key, JobState.READY, JobState.SCHEDULED))
            effects.append(Launch(node.key))

    def _offer(self) -> None:
        for key in self._pools.offers():
            heappush(self._ready, (self._nodes[key].order, key))


def _given_up(node: Node, event: Event) -> Event:
    """Take what would have a job start anew for its end, if somebody cancelled it meanwhile."""
    meant = isinstance(event, (Released, Refused)) and type(event) in TABLE[node.state]
    if node.cancelled and meant:
        return Failed(event.key, FailureReason.CANCELLED, "cancelled")
    return event


def _again(node: Node, event: Event) -> Event:
    """Take the end of a job that may be run again by itself for the beginning of its next attempt.

    Not if somebody cancelled it meanwhile.
    """
    if not isinstance(event, (Failed, FoundFailed)) or event.retries < 1 or node.cancelled:
        return event
    if event.reason is not FailureReason.TIMEOUT or Again not in TABLE[node.state]:
        return event
    needs = event.dependencies if isinstance(event, FoundFailed) else node.dependencies
    return Again(event.key, needs)


def _why(node: Node, event: Event) -> tuple[FailureReason, str]:
    """Give reason and message of a job that comes into error."""
    match event:
        case Failed(_, reason, message) | FoundFailed(_, _, reason, message):
            if node.cancelled and reason is FailureReason.TIMEOUT:  # which came second
                return FailureReason.CANCELLED, "cancelled"
            return reason, message
        case Rejected(_, message):
            return FailureReason.REJECTED, message
        case DependencyFailed(_, by):
            return FailureReason.DEPENDENCY, f"needs {by}, which is in error"
        case Vanished(_, message):
            if node.cancelled:
                return FailureReason.CANCELLED, "cancelled"
            return FailureReason.LOST, message
        case _:
            return FailureReason.CANCELLED, "cancelled"
