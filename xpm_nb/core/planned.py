"""What the plan knows of one job, and what must be true of all of them together.

The plan is always consistent between two calls. `faults` says where it is not: each transition can
be followed by it (see `Plan.checked`), so that a mistake is found where it is made and not hours
later, in a job that waits for ever.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from xpm_nb.core.pools import Pools
from xpm_nb.core.states import FailureReason, JobState


@dataclass(slots=True)
class Node:
    """What the plan knows of one job."""

    key: str
    order: int
    state: JobState = JobState.UNSCHEDULED
    reason: FailureReason | None = None
    message: str = ""
    cause: str | None = None  # the job that it stands in error because of
    dependencies: tuple[str, ...] = ()
    missing: set[str] = field(default_factory=set)  # dependencies that are not done
    dependents: dict[str, None] = field(default_factory=dict)  # an ordered set
    in_need: int = 0  # dependents that may read its files yet (`needy`)
    slot: bool = False  # it holds one
    asks: bool = False  # ready, and being given its shares
    sought: bool = False  # somebody else has it, and it was to be started here
    cancelled: bool = False  # somebody wants it to end
    overdue: bool = False  # its time limit was reached
    killed: bool = False  # it did not end when it was asked to
    limit_at: float | None = None  # when that will be
    kill_at: float | None = None  # its processes were asked to end: when asking is over


def needy(state: JobState) -> bool:
    """Tell whether a job in a state may read the files of what it needs, now or later."""
    return state not in (JobState.DONE, JobState.UNSCHEDULED)


def faults(
    nodes: Mapping[str, Node],
    pools: Pools,
    limited: Mapping[str, None],
    slots: int,
    used: int,
    left: Container[str] = (),
) -> Iterator[str]:
    """Say what is wrong between the jobs of a plan; nothing if all is well.

    Parameters
    ----------
    nodes : mapping
        All jobs, by key.
    pools : Pools
        What they have in common.
    limited : mapping
        Keys of those that have a time limit, or were asked to end.
    slots, used : int
        How many jobs may be launched at once, and how many are said to be.
    left : container of str
        Keys of those that another process starts.
    """
    for node in nodes.values():
        for text in (*_alone(node), *_among(node, nodes), *_shares(node, pools, left)):
            yield f"{node.key} is {node.state.value}, and {text}"
        timed = node.limit_at is not None or node.kill_at is not None
        if timed and node.key not in limited:
            yield f"{node.key} has a time limit that nobody looks at"
        idle = node.state is JobState.READY and not node.asks and node.key not in left
        if idle and used < slots and pools.may_go(node.key):
            yield f"{node.key} could go, and a slot is free"
    holders = sum(node.slot for node in nodes.values())
    if holders != used:
        yield f"{used} slots are said to be used, and {holders} jobs hold one"
    yield from pools.faults()
    try:
        TopologicalSorter({node.key: node.dependencies for node in nodes.values()}).prepare()
    except CycleError as error:
        yield f"jobs need themselves: {error.args[1]}"


def _alone(node: Node) -> Iterator[str]:
    under_way = node.state.under_way
    if (node.reason is not None) != (node.state is JobState.ERROR):
        yield f"its reason to be in error is {node.reason}"
    if node.cause is not None and node.reason is not FailureReason.DEPENDENCY:
        yield f"it names {node.cause} as the cause"
    if node.asks and node.state is not JobState.READY:
        yield "it asks for shares"
    if node.slot and not (under_way or node.asks):
        yield "it holds a slot"
    if not node.slot and (node.asks or node.state is JobState.SCHEDULED):
        yield "it holds no slot"
    if (node.cancelled or node.overdue) and not under_way:
        yield "it is asked to end"
    if (node.limit_at is not None or node.kill_at is not None) and not under_way:
        yield "it has a time limit"


def _among(node: Node, nodes: Mapping[str, Node]) -> Iterator[str]:
    unknown = [key for key in (*node.dependencies, *node.dependents) if key not in nodes]
    if unknown:
        yield f"beside jobs that are not known: {unknown}"
        return
    needed = {key: nodes[key] for key in node.dependencies}
    missing = {key for key, other in needed.items() if other.state is not JobState.DONE}
    if missing != node.missing:
        yield f"it lacks {sorted(missing)}, not {sorted(node.missing)}"
    if any(node.key not in other.dependents for other in needed.values()):
        yield "what it needs does not know of it"
    if any(node.key not in nodes[key].dependencies for key in node.dependents):
        yield "what is said to need it does not"
    in_need = sum(needy(nodes[key].state) for key in node.dependents)
    if in_need != node.in_need:
        yield f"{in_need} jobs may read its files, not {node.in_need}"
    if node.state is JobState.READY and missing:
        yield f"it lacks {sorted(missing)}"
    if node.state is JobState.WAITING:
        states = {nodes[key].state for key in missing}
        if not missing:
            yield "it lacks nothing"
        if JobState.ERROR in states:
            yield "something it needs is in error"
        if JobState.UNSCHEDULED in states:
            yield "something it needs was left out"


def _shares(node: Node, pools: Pools, left: Container[str]) -> Iterator[str]:
    under_way = node.state.under_way
    if pools.holds(node.key) and not (under_way or node.asks):
        yield "it holds shares"
    if pools.needs(node.key) and not pools.holds(node.key) and (under_way or node.asks):
        yield "it holds no shares"
    idle = node.state is JobState.READY and not node.asks and node.key not in left
    stands = idle and bool(pools.needs(node.key))
    if pools.waits(node.key) != stands:
        yield "it stands in a queue" if not stands else "it stands in no queue"
