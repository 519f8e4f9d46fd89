"""Finishing an experiment without a kernel: what `Experiment.detach` starts, and ``xpm-nb run`` is.

It opens the experiment, follows it until nothing is under way any more, and says what changes. Of
the workspace it executes nothing but jobs, in their own processes: no class of the user's is needed
here. Nobody listens to it but by its lock, its log and the hints that all kernels give.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import loop as loops
from xpm_nb.engine.contents import Item
from xpm_nb.engine.experiment import Experiment
from xpm_nb.engine.opening import start
from xpm_nb.errors import LaunchError, WorkspaceError
from xpm_nb.store import locks, told
from xpm_nb.store.layout import DetachedPaths, Workspace
from xpm_nb.store.records import ProcessRecord

WHO_S = 5.0  # how long who has the lock may take to say who it is
LOOK_S = 0.7  # how long nothing is heard before it is over: more than `others.LISTEN_S`


class Following:
    """Follows an experiment until none of its jobs waits or is under way.

    Followed are the jobs of the latest run, those of earlier ones that are not over, and what other
    kernels submit meanwhile.

    Parameters
    ----------
    xp : Experiment
        The experiment.
    say : callable
        Called with the view of a job at each change of its state.
    """

    def __init__(self, xp: Experiment, say: Callable[[JobView], object]) -> None:
        self._xp = xp
        self._say = say
        self._items: dict[str, Item] = {}
        self._states: dict[str, JobState] = {}
        self._open: set[str] = set()
        self._known = 0
        items = xp._all()
        for item in items:
            if item.run == items[0].run or not item.entry.settled.is_set():
                self._take_in(item)
                self._states[item.entry.paths.key] = item.entry.view.state
        self._known = len(items)

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs are in which state."""
        states = [item.entry.view.state for item in self._items.values()]
        return {state.value: states.count(state) for state in JobState}

    @property
    def good(self) -> bool:
        """Whether each job is done, or was left out."""
        idle = (JobState.DONE, JobState.UNSCHEDULED)
        return all(item.entry.view.state in idle for item in self._items.values())

    @property
    def over(self) -> bool:
        """Whether nothing is under way, or waits."""
        return not self._open

    def run(self) -> None:
        """Follow it to its end."""
        news: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        unsubscribe = self._xp._loop.subscribe(news.put)
        try:
            self._look(self._items)  # what happened before we listened
            while True:
                self._xp._loop.check()
                self._take_in_new()
                try:
                    self._look(news.get(timeout=LOOK_S))
                except queue.Empty:
                    if self.over:
                        return
        finally:
            unsubscribe()

    def _take_in(self, item: Item) -> None:
        key = item.entry.paths.key
        self._items[key] = item
        if not item.entry.settled.is_set():
            self._open.add(key)

    def _take_in_new(self) -> None:
        """Follow also what was submitted meanwhile."""
        if len(self._xp) != self._known:
            items = self._xp._all()
            self._known = len(items)
            new = [item for item in items if not item.entry.settled.is_set()]
            new = [item for item in new if item.entry.paths.key not in self._items]
            for item in new:
                self._take_in(item)
            self._look([item.entry.paths.key for item in new])

    def _look(self, keys: Iterable[str]) -> None:
        for item in [self._items[key] for key in keys if key in self._items]:
            view = item.view()
            if item.entry.settled.is_set():
                self._open.discard(view.key)
            else:
                self._open.add(view.key)
            if self._states.get(view.key) is not view.state:
                self._states[view.key] = view.state
                self._say(view)


@contextlib.contextmanager
def finishing(place: DetachedPaths, lock_fd: int | None = None) -> Iterator[ProcessRecord | None]:
    """Be the process that finishes an experiment; gives the one that does, if it is another.

    Parameters
    ----------
    place : DetachedPaths
        Of the experiment.
    lock_fd : int, optional
        The lock, if it was inherited.

    Raises
    ------
    LaunchError
        Somebody has the lock and does not say who that is.
    WorkspaceError
        The lock that was inherited is not the one that is there.
    """
    lock = told.try_lock(place) if lock_fd is None else locks.adopt(place, lock_fd)
    if lock is None and lock_fd is not None:
        raise WorkspaceError(
            f"the workspace {place.workspace} is not there any more: it was moved or deleted as"
            " this process began, or something else is in its place"
        )
    until = time.monotonic() + WHO_S
    while lock is None:
        if (other := told.finisher(place)) is not None:
            yield other
            return
        if time.monotonic() > until:
            raise LaunchError(f"a process holds {place.lock} and does not say which it is")
        time.sleep(0.02)  # it was about to say so, or to end
        lock = told.try_lock(place)
    try:
        told.write_process(place, locks.myself())
        yield None
    finally:
        lock.release()


def ends_when_asked() -> None:
    """Have SIGTERM do what Ctrl-C does: `Detached.stop` and ``xpm-nb stop`` send it.

    A process that is ended without being asked (SIGKILL) leaves nothing behind either: its jobs go
    on, and its lock is free.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def let_go() -> None:
    """Start no more jobs in this process, those that run go on; who asks again, ends it at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if (loop := loops.use(None)) is not None:
        loop.stop()


def main(words: Sequence[str]) -> int:
    """Finish an experiment: workspace, name, slots, the descriptor of its lock; 1 for failures."""
    root, name, slots, lock_fd = words
    workspace = Workspace(root)
    place = workspace.experiment(name).detached
    ends_when_asked()
    try:
        with finishing(place, int(lock_fd)):
            return _finish(name, workspace, int(slots))
    except WorkspaceError as error:
        _log(f"{name} is left: {error}")
    except KeyboardInterrupt:
        let_go()
        _log(f"{name} is left, as this process was asked to end: jobs that run go on")
    return 1


def _finish(name: str, workspace: Workspace, slots: int) -> int:
    xp = start(name, workspace=workspace, slots=slots, provenance=False)

    def say(view: JobView) -> None:
        _log(f"{view.state.value:<9} {view.task} {view.identifier[:8]} {view.message}")

    following = Following(xp, say)
    _log(f"{name}: {_counted(following)}")
    following.run()
    _log(f"{name} is over: {_counted(following)}")
    xp.close()
    return 0 if following.good else 1


def _counted(following: Following) -> str:
    return ", ".join(f"{n} {state}" for state, n in following.counts.items() if n) or "no jobs"


def _log(text: str) -> None:
    """Write a line of the log; what is no printing character is written by its number."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text).rstrip()
    with contextlib.suppress(OSError):  # a full disk is no reason to leave jobs alone
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {shown}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
