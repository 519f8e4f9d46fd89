"""Experiments: a named set of jobs in a workspace, and what can be done with it.

Rule 1: an experiment is a handle that can be opened again, by this kernel or another, at any time.
Rule 2: submitting never waits (`engine.intake`).
Rule 3: leaving a block, interrupting, closing: none of it ends a job.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from os import PathLike
from typing import Any

from xpm_nb.core import doors
from xpm_nb.core.config import RunMode
from xpm_nb.core.freshness import BADGES, DRIFTED
from xpm_nb.core.names import warn
from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks, garbage, host, loop, tokens, uncalled
from xpm_nb.engine.codes import Codes
from xpm_nb.engine.contents import Item
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.export import Exported, export
from xpm_nb.engine.handing import Handing
from xpm_nb.engine.intake import Intake
from xpm_nb.engine.job import Job, run_again
from xpm_nb.engine.jobs import Jobs
from xpm_nb.engine.judging import Looked
from xpm_nb.engine.keeping import Keeping
from xpm_nb.engine.listening import inside
from xpm_nb.engine.messages import (
    CancelJobs,
    CountToken,
    Heard,
    LeaveJobs,
    Listen,
    RetryJobs,
    SetSlots,
)
from xpm_nb.engine.namesakes import Namesakes
from xpm_nb.engine.provenance import Run
from xpm_nb.engine.surroundings import Comparing
from xpm_nb.engine.tokens import Token
from xpm_nb.engine.waiting import flush, seconds, settled, wait_for
from xpm_nb.errors import ConfigError, InternalError, RecordError, XpmError
from xpm_nb.launchers.base import Launcher
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import records, told
from xpm_nb.store import tokens as shares
from xpm_nb.store.layout import JobPaths, RunPaths, Workspace
from xpm_nb.store.told import Hint

SYNC_S = 1.0  # how long a wait goes on for the views of what callbacks did, at most
CLOSE_S = 1.0  # how long closing waits for callbacks and provenance, at most


class Experiment(Handing, Intake, Keeping):
    """A named set of jobs in a workspace; made by `start` and `experiment`.

    Attributes
    ----------
    name : str
        Its name, under which it can be opened again.
    workspace : Workspace
        Where its jobs are.
    namespace : str
        Stands for ``__main__`` in the type names of classes defined in cells.
    launcher : Launcher
        How jobs are started if their submission does not say.
    stale_policy : str
        What becomes of stale results: "warn", "rerun", "error" or "ignore".
    closed : bool
        No task can be submitted any more.
    """

    def __init__(
        self,
        name: str,
        workspace: Workspace,
        *,
        namespace: str,
        launcher: Launcher | None = None,
        run_mode: RunMode = RunMode.NORMAL,
        provenance: bool = True,
        stale: str = "warn",
        durable: bool = False,
    ) -> None:
        self.name = name
        self.workspace = workspace
        self.namespace = namespace
        self.launcher = launcher or LocalLauncher()
        self.run_mode = run_mode
        self.stale_policy = stale
        self.durable = durable
        self.closed = False
        self._loop = loop.current()
        self._lock = threading.Lock()
        self._items = {}
        self._earlier = {}
        self._submissions = []
        self._environ = {}
        self._read: dict[str, tuple[int, int]] = {}  # how the lists of runs were when read
        self._codes = Codes()
        self._looked = Looked(0, set(), {})
        self._comparing = Comparing(workspace, self._known, self._loop)
        self._namesakes = Namesakes(workspace, namespace, host.notebook)
        self._run = Run(
            workspace.experiment(name),
            keep=provenance,
            cells=lambda: None if host.cells_source is None else host.cells_source(),
            notebook=host.notebook,
        )

    def __repr__(self) -> str:
        view = self.view()
        stale = Counter(job.stale for job in view.jobs)
        counts = dict(view.counts)
        asked = [item.entry for item in self._all() if item.entry.pending]
        new = sum(entry.view.state is JobState.UNSCHEDULED for entry in asked)
        new = min(new, counts[JobState.UNSCHEDULED.value])  # which is what nobody asked for
        counts[JobState.UNSCHEDULED.value] -= new
        told = [f"{n} {state}" for state, n in counts.items() if n]
        told += [f"{new} just submitted"] * bool(new)
        told += [f"{stale[word]} {text}" for word, text in BADGES.items() if stale[word]]
        drifted = sum(bool(job.drift) for job in view.jobs)
        told += [f"{drifted} {DRIFTED}"] * bool(drifted)
        said = ", ".join(told) or "no jobs"
        waits = [counts[state.value] for state in (JobState.WAITING, JobState.READY)]
        if any(waits) and (process := self._finisher()) is not None:
            said += f"; process {process.pid} starts what waits"
        return f"Experiment({self.name!r}: {said})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    def _display_(self) -> Any:
        """Give what marimo is to display."""
        return doors.widget(self)

    def _recall(self) -> None:
        """Read the lists of earlier runs, and have the loop find out how those jobs are.

        What a process without a kernel finishes is left to that.
        """
        self._comparing.begin()
        self._loop.post(
            Listen(self.workspace, self.name, _ear(self), told.hints_end(self.workspace))
        )
        starter = self._finisher()
        self._look_at(self._read_lists(), starter)
        if self.run_mode is not RunMode.DRY_RUN:
            uncalled.report(self.name, self.workspace)

    def _heard(self, hint: Hint) -> None:
        """Take note of what another process did with this experiment (in the loop's thread)."""
        if hint.detach and self._finisher() is None:  # it is us who finish it
            waiting = [i.entry for i in self._all() if not i.entry.settled.is_set()]
            self._loop.post(LeaveJobs(tuple(waiting), None))
        self._look_at(self._read_lists(), hint.process)

    def _read_lists(self) -> list[Entry]:
        """Take in the jobs of all runs that are not known yet; give them in order of submission."""
        found: list[Entry] = []
        mine_id = "" if self._run.paths is None else self._run.paths.run_id
        for run in reversed(self.workspace.experiment(self.name).runs()):
            state = records.state_of(run.jobs)
            if self._read.get(run.run_id) == state or run.run_id == mine_id:
                continue
            self._read[run.run_id] = state
            mine: list[Entry] = []
            try:
                rows, damaged = records.read_run_list(run)
            except RecordError as error:
                if not self._loop.in_thread():  # which warns of nothing: it is in no cell
                    warnings.warn(f"a run of {self.name!r} is left out: {error}", stacklevel=4)
                continue
            for row in rows:
                try:
                    paths = self.workspace.job_at(row.job)
                except XpmError:  # a damaged line, of which only this one is lost
                    damaged += 1
                    continue
                entry = self._loop.entry(paths)
                known = self._items.get(entry.id) or self._earlier.get(entry.id)
                if known is None:
                    item = Item(entry, row.tags, row.submitted, run.run_id)
                    item.job = self._job(item)
                    if entry.view.state is JobState.UNSCHEDULED:  # nobody has asked for it yet
                        entry.policy = self.stale_policy
                    with self._lock:
                        self._earlier[entry.id] = item
                    mine.append(entry)
                elif known.run == run.run_id:  # submitted again in that run
                    known.tags, known.submitted = row.tags, row.submitted
            if damaged and not self._loop.in_thread():
                warn(_damaged_list(self.name, run, damaged))
            found = mine + found  # what was submitted first is launched first
        return found

    # -- waiting --------------------------------------------------------------------------

    def wait(self, timeout_s: float | None = None) -> Experiment:
        """Wait until all jobs have ended, or for so many seconds; give the experiment.

        Interrupting (Ctrl-C, the kernel's stop button) stops the waiting, never the jobs.
        """
        timeout_s = seconds(timeout_s)
        with host.on_wait(self) if host.on_wait is not None else contextlib.nullcontext():
            self._wait(self._all, timeout_s)
        return self

    def _wait(self, wanted: Callable[[], Iterable[Item]], timeout_s: float | None) -> bool:
        """Wait until nothing is under way, callbacks (which may submit more) included."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait_for([item.entry for item in wanted()], self._loop, left):
                return False
            self._run.keep_cells()
            flush(deadline)
            self._loop.sync(SYNC_S)  # what callbacks did is in the views now
            if all(item.entry.settled.is_set() for item in wanted()):
                return True

    def __await__(self) -> Generator[Any, None, Experiment]:
        with host.on_wait(self) if host.on_wait is not None else contextlib.nullcontext():
            yield from settled([item.entry for item in self._all()], self._loop).__await__()
        self._run.keep_cells()
        return self

    # -- acting ---------------------------------------------------------------------------

    def cancel(self, *jobs: Any) -> Jobs:
        """Ask jobs to end; what needs them will not run. Give those that are not over.

        Raises
        ------
        ConfigError
            No job is named: an empty selection must not end all of them.
        """
        if not jobs:
            raise ConfigError("cancel() takes the jobs to end: cancel(*xp.jobs) for all")
        wanted = self._wanted(jobs)
        found = Jobs(job for job in wanted if not job.entry.settled.is_set())
        self._loop.post(CancelJobs(tuple(job.entry for job in wanted)))
        return found

    def retry(self, *jobs: Any) -> Jobs:
        """Run jobs again that are in error, by default all; give those that are.

        They run with the code of their classes as it is in this kernel now, as `rerun` says, and so
        does what is in error because of them. What is given is displayed as a table, which says how
        many there are.
        """
        wanted = self._wanted(jobs)
        found = Jobs(job for job in wanted if job.state is JobState.ERROR)
        asked, texts = self._afresh(self._failed_with(found))
        for job in wanted:
            job.entry.expect()
        self._loop.post(RetryJobs(tuple(job.entry for job in wanted), asked))
        for text in texts:
            warn(text, once=False)
        return found

    def _failed_with(self, found: Iterable[Job]) -> list[Job]:
        """Give jobs in error, and what else is that needs them, or they need; indirectly, too."""
        failed = {job.entry.id: job for job in (*found, *self.jobs) if job.state is JobState.ERROR}
        beside: dict[str, set[str]] = {key: set() for key in failed}
        for key, job in failed.items():
            for needed in self._needs(job.entry):
                if needed.id in failed:
                    beside[key].add(needed.id)
                    beside[needed.id].add(key)
        pending, seen = [job.entry.id for job in found], set[str]()
        while pending:
            if (key := pending.pop()) not in seen:
                seen.add(key)
                pending += beside.get(key, ())
        return [job for key, job in failed.items() if key in seen]

    def rerun(self, *jobs: Any) -> Jobs:
        """Run jobs again that are over, also those that are done; give them.

        They run with the code of their classes as it is in this kernel now; where that is not here,
        a warning says so, and they run with that in their directories. What needs them is not run
        again. What is under way is left alone.

        Raises
        ------
        ConfigError
            No job is named, or something is in the way of one of them; none is run again then.
        """
        if not jobs:
            raise ConfigError("rerun() takes the jobs to run again: rerun(*xp.jobs) for all")
        self._loop.sync(SYNC_S)  # what was submitted just now may be done
        found = self._wanted(jobs)
        self._run.keep_cells()
        asked, texts = self._afresh(found)
        again = Jobs(run_again(found, self._loop, asked))
        for text in texts:
            warn(text, once=False)
        return again

    def _wanted(self, jobs: Iterable[Any]) -> tuple[Job, ...]:
        return tuple(self[job] for job in jobs) or self.jobs

    def gc(
        self,
        *,
        failed: bool = False,
        stale: bool = False,
        unreferenced: bool = False,
        orphans: bool = False,
        older_than: str | float | None = None,
    ) -> garbage.Garbage:
        """Find what nobody needs in the workspace: a preview, whose ``delete()`` deletes it.

        Without a choice: all of it. What runs or waits, in whatever kernel, what that needs, and
        what lies behind a link, is never part of it.

        Parameters
        ----------
        failed : bool
            Jobs that ended in error.
        stale : bool
            Done jobs whose code has changed.
        unreferenced : bool
            Jobs that no experiment refers to.
        orphans : bool
            Directories without a record, earlier attempts, rehearsals, files that were begun,
            caches of configurations that no job has.
        older_than : str or float, optional
            Only what did not change for so long: ``"30d"``, ``"12h"``, or a number of days.

        Raises
        ------
        ConfigError
            For an age that is none.
        """
        every = not (failed or unreferenced or orphans)
        return garbage.find(
            self.workspace,
            failed=failed,
            stale=stale,
            unreferenced=unreferenced,
            orphans=orphans,
            older_than=older_than,
            is_stale=self._stale_ones() if stale or every else None,
            busy=self._busy,
            forget=forget,
        )

    def _stale_ones(self) -> Callable[[JobPaths], bool]:
        found = {job.path for job in self.stale()}
        return lambda paths: paths.path in found

    def _busy(self) -> Iterable[str]:
        """Give the keys of jobs that this kernel is about to run, or runs."""
        known = self._loop.known()
        return [e.paths.key for e in known if e.paths.workspace == self.workspace.root]

    @property
    def slots(self) -> int:
        """How many local jobs run at once in this kernel, for all its experiments together."""
        return self._loop.slots

    @slots.setter
    def slots(self, slots: int) -> None:
        if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
            raise ConfigError(f"slots is a whole number from 1 on, not {slots!r}")
        self._loop.post(SetSlots(slots))

    def token(self, name: str, count: int) -> Token:
        """Give a counted resource of the workspace, of which jobs hold units while they run.

        It is counted across kernels and experiments. If there were another number of units, the
        new one counts from now on, with a warning; what is held stays held.

        Parameters
        ----------
        name : str
            Can be one part of a path.
        count : int
            How many units there are.

        Raises
        ------
        ConfigError
            The name or the count cannot be one.
        """
        token = Token(name, self.workspace, tokens.checked_count(name, count))
        self.workspace.token(name)
        if self.run_mode is not RunMode.DRY_RUN:
            before = shares.set_total(self.workspace, name, count)
            self._loop.post(CountToken(self.workspace, name))
            if before not in (None, count):
                warn(f"token {name!r} had {before} units, and from now on {count}, for all jobs")
        return token

    def setenv(self, name: str, value: str | None) -> None:
        """Set a variable for jobs submitted from now on; None takes it back."""
        if not name or "=" in name or "\0" in f"{name}{value}":
            raise ConfigError(f"{name!r} = {value!r} cannot be a variable of the environment")
        if value is None:
            self._environ.pop(name, None)
        else:
            self._environ[name] = str(value)

    def export(self, directory: str | PathLike[str]) -> Exported:
        """Write the tasks that this kernel has submitted as a package, with a script to run them.

        Classes and functions of cells become a module; each class keeps its type name by an
        ``__xpmid__``, and so all identifiers and results stay. ``python run.py`` submits the same
        tasks, with the same tags, in the same workspace: what is done is not run again. Results
        that are fresh here are accepted for the code of the package, which is noted with each; edit
        it, and they are stale. Launchers, callbacks and dependencies made by hand are not written.

        Parameters
        ----------
        directory : path
            Where; made if it is not there. Other files in it stay.

        Returns
        -------
        Exported
            ``path``, ``package``, ``files``, ``tasks`` and ``notes``.

        Raises
        ------
        ExportError
            Nothing is there to export, something cannot be written as code, or a file that is there
            already says something else: the message has the difference. Nothing is written then.
        CarrierError
            The code of a class cannot be found.
        """
        cells = None if host.executed_cells is None else host.executed_cells()
        return export(self, directory, cells, self._accept)

    def close(self) -> None:
        """Take no more tasks. Jobs go on; `start` opens the experiment again, as a new run."""
        with guard:
            self.closed = True
            if live.get(place(self)) is self:
                del live[place(self)]
            started[:] = [xp for xp in started if xp is not self]
        self._run.keep_cells()
        self._comparing.end()
        with contextlib.suppress(InternalError):  # the scheduler's thread is gone: nobody listens
            self._loop.post(Listen(self.workspace, self.name, None))
        callbacks.current().flush(CLOSE_S, chores=True)


def _at_exit() -> None:
    """Before the process ends: keep the cells that came after the last submission."""
    for xp in list(live.values()):
        xp._run.keep_now()


atexit.register(_at_exit)


def _ear(xp: Experiment) -> Heard:
    """Give what has an experiment hear of hints, and does not keep it."""
    method = weakref.WeakMethod(xp._heard)

    def heard(hint: Hint) -> None:
        if (call := method()) is not None:
            call(hint)

    return heard


def _damaged_list(name: str, run: RunPaths, damaged: int) -> str:
    lines = "1 line" if damaged == 1 else f"{damaged} lines"
    return (
        f"{lines} of {run.jobs} cannot be understood: jobs of {name!r} that are named nowhere else "
        "are left out here. Nothing of them is lost: submit their tasks again, and they are found"
    )


# -- what is open -----------------------------------------------------------------------------

guard = threading.RLock()
live: dict[tuple[str, str], Experiment] = {}  # by workspace and name
started: list[Experiment] = []  # by `start`, the latest last


def forget(jobs: Iterable[JobPaths]) -> None:
    """Take jobs out of all experiments that are open: they were deleted."""
    ids = {str(paths.path) for paths in jobs}
    for xp in list(live.values()):
        with xp._lock:
            for known in (xp._items, xp._earlier):
                for gone in ids & known.keys():
                    del known[gone]
            xp._submissions[:] = [item for item in xp._submissions if item.entry.id not in ids]


def place(xp: Experiment) -> tuple[str, str]:
    """Give the key of an experiment in `live`."""
    return str(xp.workspace.root), xp.name


def current() -> Experiment | None:
    """Give the experiment to which a submitted task goes, None if none is open.

    That of the `with` block, or of the job whose callback runs; else the one that was started last
    and not closed.
    """
    found: Experiment | None = inside.get()
    if found is not None and not found.closed:
        return found
    return started[-1] if started else None


def current_namespace() -> str | None:
    """Give the namespace of the current experiment, None if none is open."""
    found = current()
    return None if found is None else found.namespace
