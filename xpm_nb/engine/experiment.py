"""Experiments: what is open, where submitted tasks go, and what becomes of them.

Rule 1: an experiment is a handle that can be opened again, by this kernel or another, at any time.
Rule 2: submitting never waits. Whatever can be wrong with a task is told in the user's cell.
Rule 3: leaving a block, interrupting, closing: none of it ends a job.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import Token as Restore
from dataclasses import replace
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.core.config import RunMode
from xpm_nb.core.names import warn
from xpm_nb.core.states import JobState, TransientMode
from xpm_nb.engine import (
    callbacks,
    entries,
    garbage,
    loop,
    outlook,
    preparing,
    settings,
    source,
    staleness,
    submission,
    tokens,
)
from xpm_nb.engine.codes import Codes
from xpm_nb.engine.contents import Contents, Item
from xpm_nb.engine.entries import Asked, Entry, Preparation
from xpm_nb.engine.export import Exported, export
from xpm_nb.engine.job import Job, error_of, flush, inside, run_again, seconds, settled, wait_for
from xpm_nb.engine.judging import Judging
from xpm_nb.engine.keeping import Keeping
from xpm_nb.engine.messages import CancelJobs, CountToken, OpenJobs, RetryJobs, SetSlots, SubmitJob
from xpm_nb.engine.namesakes import Namesakes
from xpm_nb.engine.provenance import Run
from xpm_nb.engine.tokens import Token
from xpm_nb.engine.why import Why
from xpm_nb.errors import (
    CarrierError,
    ConfigError,
    FailedExperiment,
    NoExperimentError,
    RecordError,
    XpmError,
)
from xpm_nb.launchers.base import Launcher
from xpm_nb.launchers.local import LocalLauncher
from xpm_nb.store import records
from xpm_nb.store import tokens as shares
from xpm_nb.store.layout import JobPaths, Workspace, stranger
from xpm_nb.store.records import Code, JobRecord, RunJob

__all__ = ["Experiment", "Job", "current", "current_namespace", "experiment", "start", "submit"]

OPEN_S = 2.0  # how long opening waits for the states of earlier jobs, at most
SYNC_S = 1.0  # how long a wait goes on for the views of what callbacks did, at most
CLOSE_S = 1.0  # how long closing waits for callbacks and provenance, at most
SHOWN = 10  # failed jobs that a FailedExperiment describes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# What the notebook side tells us; None outside a notebook.
cells_source: submission.CellsSource | None = None  # the executed cells: (number, text) each
executed_cells: submission.ExecutedCells | None = None  # as they were compiled
notebook_name: Callable[[], str] | None = None
source.executed = lambda: None if executed_cells is None else executed_cells()
on_wait: Callable[[Experiment], AbstractContextManager[Any]] | None = None  # draws while we wait


def _notebook() -> str:
    return "" if notebook_name is None else notebook_name()


class Experiment(Judging, Keeping, Contents):
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
    ) -> None:
        self.name = name
        self.workspace = workspace
        self.namespace = namespace
        self.launcher: Launcher = launcher or LocalLauncher()
        self.run_mode = run_mode
        self.stale_policy = stale
        self.closed = False
        self._loop = loop.current()
        self._lock = threading.Lock()
        self._items: dict[str, Item] = {}  # of this run, in order of submission
        self._earlier: dict[str, Item] = {}  # of earlier runs, latest run first
        self._submissions: list[Item] = []  # every one, for blocks
        self._environ: dict[str, str] = {}
        self._codes = Codes()
        self._namesakes = Namesakes(workspace, namespace, _notebook)
        self._run = Run(
            workspace.experiment(name),
            keep=provenance,
            cells=lambda: None if cells_source is None else cells_source(),
            notebook=_notebook,
        )

    def __repr__(self) -> str:
        counts = self.view().counts
        said = ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no jobs"
        return f"Experiment({self.name!r}: {said})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    def _display_(self) -> Any:
        """Give what marimo is to display."""
        return doors.widget(self)

    def _recall(self) -> None:
        """Read the lists of earlier runs, and have the loop find out how those jobs are."""
        found: list[Entry] = []
        for run in reversed(self.workspace.experiment(self.name).runs()):
            mine: list[Entry] = []
            try:
                rows = records.read_run_jobs(run)
            except RecordError as error:
                warnings.warn(f"a run of {self.name!r} is left out: {error}", stacklevel=4)
                continue
            for row in rows:
                try:
                    paths = self.workspace.job_at(row.job)
                except XpmError:  # a damaged line, of which only this one is lost
                    continue
                entry = self._loop.entry(paths)
                known = self._earlier.get(entry.id)
                if known is None:
                    item = Item(entry, row.tags, row.submitted, run.run_id)
                    item.job = self._job(item)
                    self._earlier[entry.id] = item
                    mine.append(entry)
                elif known.run == run.run_id:  # submitted again in that run
                    known.tags, known.submitted = row.tags, row.submitted
            found = mine + found  # what was submitted first is launched first
        self._look_at(found)

    def _look_at(self, found: Sequence[Entry]) -> None:
        """Have the loop find out how jobs are."""
        if found:
            ready = threading.Event()
            self._loop.post(OpenJobs(tuple(found), ready))
            if not self._loop.in_thread():
                ready.wait(OPEN_S)

    def _executed(self) -> submission.ExecutedCells | None:
        return executed_cells

    def _job(self, item: Item) -> Job:
        return Job(item.entry, self._loop, experiment=self, look=item.view)

    # -- submitting -----------------------------------------------------------------------

    def submit(
        self,
        task: Any,
        *,
        launcher: Any = None,
        run_mode: Any = None,
        init_tasks: Sequence[Any] = (),
        max_retries: int | None = None,
        transient: Any = None,
    ) -> Any:
        """Hand a task over, and give what its ``task_outputs`` gives; returns at once.

        A task that was submitted before with the same values is joined: what is done or runs is not
        run again, what is in error is.

        Parameters
        ----------
        task : task
            What to run.
        launcher : Launcher, optional
            How it is started; by default as the experiment says.
        run_mode : RunMode, optional
            By default as the experiment says.
        init_tasks : sequence of LightweightTask
            Executed in the job before the task; part of the identifier.
        max_retries : int, optional
            How often it may be started again after a time limit.
        transient : TransientMode, optional
            Whether it may be left out as long as no job that is not transient needs it, and whether
            its files go when all that needed them is done; by default neither.

        Raises
        ------
        ConfigError
            For a missing or impossible value, a difference from an earlier submission of the same
            object, or a submit hook that raised.
        CarrierError
            For code of cells that cannot be carried into a job.
        NoExperimentError
            If the experiment is closed.
        StaleError
            The result is there, other code made it, and that is to be an error.
        """
        mode = self._mode(run_mode)
        token = inside.set(self)  # what the task's own methods ask for is asked of this one
        try:
            options = submission.Options(
                launcher=_launcher(launcher) or self.launcher,
                namespace=self.namespace,
                experiment=self.name,
                environ=dict(self._environ),
                submitted=time.time(),
                max_retries=_whole("max_retries", max_retries),
                transient=_transient(transient),
            )
            return self._submit(task, launcher, mode, init_tasks, options)
        finally:
            inside.reset(token)

    def _mode(self, run_mode: Any) -> RunMode:
        if self.closed:
            raise NoExperimentError(
                f"the experiment {self.name!r} is closed: open it again with start({self.name!r})"
            )
        mode = self.run_mode if run_mode is None else _run_mode(run_mode)
        if mode is not RunMode.DRY_RUN and self.run_mode is RunMode.DRY_RUN:
            self.workspace.create()  # which a dry run did not
        return mode

    def _submit(
        self,
        task: Any,
        launcher: Launcher | None,
        mode: RunMode,
        init_tasks: Sequence[Any],
        options: submission.Options,
    ) -> Any:
        before = submission.job_of(task)
        cls = configs.declared_class(task)
        if not issubclass(cls, configs.Task):
            raise ConfigError(f"{cls.__qualname__} is no task: it derives from Config, not Task")
        init_tasks = init_tasks or submission.loaded_init_tasks(task)
        for made in submission.loaded(task, init_tasks):
            self._join(made, cls.__qualname__)
        identifier = configs.prepare(task, self.namespace, init_tasks)
        if before is None:
            type_name = configs.type_name(cls, self.namespace)
            paths = self.workspace.job(type_name, identifier.hex())
        else:
            options = submission.again(before, launcher, self.workspace, options)
            paths = before.entry.paths
        needs = submission.needed_jobs(task)
        tokens.check_totals(task, self.workspace)
        dry = mode is RunMode.DRY_RUN
        given = options.launcher  # before submit hooks change it
        options = submission.settled(task, Entry(paths), self._loop, needs, options, hooks=not dry)
        record = submission.record_of(task, paths, needs, options)
        entry = _dry_entry(paths, record) if dry else self._loop.entry(paths, record)
        policy = staleness.policy_of(cls, self.stale_policy)
        runs = not dry and mode is not RunMode.PREPARE
        carried, code = self._code_of(task, entry, policy, runs=runs)
        options = replace(options, stale=policy)
        item = self._item(entry, task, given)
        assert item.job is not None
        configs.mark_submitted(
            task,
            job=item.job,
            identifier=identifier,
            namespace=self.namespace,
            root=paths.path,
            shared=submission.sharing(paths, self.namespace),
        )
        try:
            output = configs.output(task)
            damaged = bool(entry.facts.damage)
            asked = submission.asked(task, paths, record, carried, options, code, damaged=damaged)
            if not dry:
                asked = replace(asked, preparations=self._preparations_of(task, entry))
        except BaseException:
            if before is None:  # nobody may wait for a job that was not handed over
                configs.info(task).job = None
            raise
        self._hand_over(item, asked, mode)
        if not dry:
            self._namesakes.check(configs.classes_of(task))
            configs.do_later(task, item.job)
        return output

    def _code_of(
        self, task: Any, entry: Entry, policy: str, *, runs: bool
    ) -> tuple[Any, Code | None]:
        """Read the code of a task: what is carried into its job, and what results are judged by.

        What is done, under way or only looked at does not run: nothing is carried then.
        """
        live = entry.view.state in _LIVE
        done = entry.paths.done.is_file() and not live
        known = done or live or not runs
        carried = None if known else self._codes.carrier.carry(task, executed_cells)
        code = self._codes.of(task, executed_cells) if policy != "ignore" or not known else None
        if done and policy in ("rerun", "error"):
            carried = self._code_to_rerun(entry, task, policy, code)
        return carried, code

    def _join(self, task: Any, by: str) -> None:
        """Find the job of a task that was loaded from a file, with what it made."""
        identifier = configs.identify(task, self.namespace)
        paths = self.workspace.job(configs.info(task).typename, identifier.hex())
        if not paths.path.is_dir():
            raise ConfigError(
                f"{by} needs what {paths.name} {paths.identifier[:8]} made, which is no job of"
                f" {self.workspace.root}: submit that task first"
            )
        entry = self._loop.entry(paths)
        if paths.done.is_file():
            self._look_at([entry])
        with self._lock:
            item = self._items.get(entry.id) or self._earlier.get(entry.id)
        namespace = submission.loaded_namespace(task)
        configs.mark_submitted(
            task,
            job=(item and item.job) or self._job(Item(entry, {}, 0.0, "")),
            identifier=identifier,
            namespace=namespace,
            root=paths.path,
            shared=submission.sharing(paths, namespace or self.namespace),
        )

    def _preparations_of(self, task: Any, entry: Entry) -> tuple[Preparation, ...]:
        return preparing.preparations_of(
            task,
            entry,
            self._loop,
            owner=self,
            workspace=self.workspace,
            namespace=self.namespace,
        )

    def _item(self, entry: Entry, task: Any, launcher: Launcher) -> Item:
        """Give what this experiment knows of a job, or what it will."""
        with self._lock:
            item = self._items.get(entry.id) or self._earlier.get(entry.id)
        if item is None or item.entry is not entry:  # it may have been a dry run
            item = Item(entry, {}, 0.0, "")
            item.job = self._job(item)
        assert item.job is not None
        item.job.adopt(task, launcher)
        return item

    def _hand_over(self, item: Item, asked: Asked, mode: RunMode) -> None:
        """Take the job in, and post it."""
        entry, record = item.entry, asked.record
        with self._lock:
            known = self._items.get(entry.id) is item
            # What is submitted again without tags keeps those it has.
            tags = record.tags or (item.tags if known else {})
            listed = known and item.listed and tags == item.tags
            item.listed = item.listed or mode is RunMode.NORMAL
            again = known and entry.view.state is not JobState.ERROR
            item.update(tags, item.submitted if again else record.submitted)
            self._earlier.pop(entry.id, None)
            self._items[entry.id] = item
            self._submissions.append(item)
        if mode is RunMode.DRY_RUN:
            return
        row = RunJob(
            job=entry.paths.relative,
            task=record.task,
            tags=tags,
            submitted=record.submitted,
            launcher=record.launcher,
        )
        # What is not to be run is not listed: opening the experiment again would run it.
        new = mode is RunMode.NORMAL and not listed
        note = partial(self._run.add, row) if new else self._run.keep_cells
        entry.expect()
        generate, prepare = mode is RunMode.GENERATE_ONLY, mode is RunMode.PREPARE
        self._loop.post(SubmitJob(entry, asked, generate=generate, prepare=prepare, listed=note))

    # -- waiting --------------------------------------------------------------------------

    def wait(self, timeout_s: float | None = None) -> Experiment:
        """Wait until all jobs have ended, or for so many seconds; give the experiment.

        Interrupting (Ctrl-C, the kernel's stop button) stops the waiting, never the jobs.
        """
        timeout_s = seconds(timeout_s)
        with on_wait(self) if on_wait is not None else contextlib.nullcontext():
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
        with on_wait(self) if on_wait is not None else contextlib.nullcontext():
            yield from settled([item.entry for item in self._all()], self._loop).__await__()
        self._run.keep_cells()
        return self

    # -- acting ---------------------------------------------------------------------------

    def cancel(self, *jobs: Any) -> tuple[Job, ...]:
        """Ask jobs to end; what needs them will not run. Give those that are not over.

        Raises
        ------
        ConfigError
            No job is named: an empty selection must not end all of them.
        """
        if not jobs:
            raise ConfigError("cancel() takes the jobs to end: cancel(*xp.jobs) for all")
        wanted = self._wanted(jobs)
        found = tuple(job for job in wanted if not job.entry.settled.is_set())
        self._loop.post(CancelJobs(tuple(job.entry for job in wanted)))
        return found

    def retry(self, *jobs: Any) -> tuple[Job, ...]:
        """Run jobs again that are in error, by default all; give those that are."""
        wanted = self._wanted(jobs)
        found = tuple(job for job in wanted if job.state is JobState.ERROR)
        for job in wanted:
            job.entry.expect()
        self._loop.post(RetryJobs(tuple(job.entry for job in wanted)))
        return found

    def rerun(self, *jobs: Any) -> tuple[Job, ...]:
        """Run jobs again that are over, also those that are done; give them.

        They run with the code with which they were last submitted in this kernel, or else with that
        in their directories. What needs them is not run again. What is under way is left alone.

        Raises
        ------
        ConfigError
            No job is named, or something is in the way of one of them; none is run again then.
        """
        if not jobs:
            raise ConfigError("rerun() takes the jobs to run again: rerun(*xp.jobs) for all")
        self._loop.sync(SYNC_S)  # what was submitted just now may be done
        found = self._wanted(jobs)
        return run_again(found, self._loop, {j.entry.id: self._afresh(j) for j in found})

    def _afresh(self, job: Job) -> Asked | None:
        """Put together what a job is run again with; None for what its directory holds."""
        if not job.entry.over() or job.dry:
            return None
        owner = job.experiment or self  # whose namespace and environment it has
        options = submission.Options(
            launcher=job.given_launcher or owner.launcher,
            namespace=owner.namespace,
            experiment=owner.name,
            environ=dict(owner._environ),
            submitted=time.time(),
            stale=job.entry.policy,
        )
        carried, code = self._code_again(job)
        if job.latest is None:
            return submission.renewed(job, options, carried, code)
        asked = submission.afresh(job, self._loop, options, carried, code)
        if asked is None:
            return None
        return replace(asked, preparations=owner._preparations_of(job.latest, job.entry))

    def _code_again(self, job: Job) -> tuple[Any, Code | None]:
        """Give the code to run a job again with: what it was last submitted or judged with."""
        judged = job.entry.now
        carried, code = self._now(job.entry)
        if code is not None and judged is not None and code.fingerprint == judged.fingerprint:
            return carried, code
        if job.latest is None:
            return None, None
        try:
            carried = self._codes.carrier.carry(job.latest, executed_cells)
        except CarrierError:
            return None, None
        return carried, self._codes.of(job.latest, executed_cells)

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
            forget=_forget,
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
        tasks, with the same tags, in the same workspace: what is done is not run again. Launchers,
        callbacks and dependencies made by hand are not written.

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
        return export(self, directory, None if executed_cells is None else executed_cells())

    def close(self) -> None:
        """Take no more tasks. Jobs go on; `start` opens the experiment again, as a new run."""
        with _guard:
            self.closed = True
            if _live.get(_place(self)) is self:
                del _live[_place(self)]
            _opened[:] = [xp for xp in _opened if xp is not self]
        self._run.keep_cells()
        callbacks.current().flush(CLOSE_S, chores=True)


_LIVE = (JobState.WAITING, JobState.READY, JobState.SCHEDULED, JobState.RUNNING)


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ConfigError(f"{name} is a whole number from 0 on, not {value!r}")
    return value


def _launcher(launcher: Any) -> Any:
    verbs = ("launch", "attach", "poll", "kill", "as_dict")
    able = all(callable(getattr(launcher, verb, None)) for verb in verbs)
    if launcher is not None and (isinstance(launcher, type) or not able):
        raise ConfigError(f"launcher is a launcher, as LocalLauncher() is, not {launcher!r}")
    return launcher


def _run_mode(mode: Any) -> RunMode:
    try:
        return RunMode(mode)
    except ValueError:
        known = ", ".join(f"RunMode.{one.name}" for one in RunMode)
        raise ConfigError(f"run_mode is one of {known}, not {mode!r}") from None


def _transient(mode: Any) -> TransientMode:
    if mode is None or isinstance(mode, TransientMode):
        return mode or TransientMode.NONE
    known = ", ".join(f"TransientMode.{one.name}" for one in TransientMode)
    raise ConfigError(f"transient is one of {known}, not {mode!r}")


def _dry_entry(paths: JobPaths, record: JobRecord) -> Entry:
    """Make an entry that no scheduler knows, of a job that is looked at and not run."""
    entry = Entry(paths, dry=True)
    entry.note_record(record)
    found, _ = entries.look(entry)
    done = found is entries.Found.DONE
    entry.freeze(JobState.DONE if done else JobState.UNSCHEDULED, None, "")
    entry.settle(True)
    return entry


# -- what is open -----------------------------------------------------------------------------

_guard = threading.RLock()
_live: dict[tuple[str, str], Experiment] = {}  # by workspace and name
_opened: list[Experiment] = []  # by `start`, the latest last


def _forget(jobs: Iterable[JobPaths]) -> None:
    """Take jobs out of all experiments that are open: they were deleted."""
    ids = {str(paths.path) for paths in jobs}
    for xp in list(_live.values()):
        with xp._lock:
            for known in (xp._items, xp._earlier):
                for gone in ids & known.keys():
                    del known[gone]
            xp._submissions[:] = [item for item in xp._submissions if item.entry.id not in ids]


def _place(xp: Experiment) -> tuple[str, str]:
    return str(xp.workspace.root), xp.name


def current() -> Experiment | None:
    """Give the experiment to which a submitted task goes, None if none is open.

    That of the `with` block, or of the job whose callback runs; else the one that was started last
    and not closed.
    """
    found: Experiment | None = inside.get()
    if found is not None and not found.closed:
        return found
    return _opened[-1] if _opened else None


def current_namespace() -> str | None:
    """Give the namespace of the current experiment, None if none is open."""
    found = current()
    return None if found is None else found.namespace


def fate(config: Any) -> outlook.Fate:
    """Say what would become of a task if it were submitted to the current experiment now.

    Of one that was submitted: how its job is. It is neither sealed, nor is anything written.

    Returns
    -------
    Fate
        ``kind``: "computed", "running" (maybe elsewhere), "waiting", "failed" (it would run again)
        or "new"; "none" for what is no task, has no identifier yet, or if no experiment is open.
        ``text``: the same in a few words.
    """
    if not outlook.is_task(config):
        return outlook.NONE
    job = submission.job_of(config)
    if job is not None:
        view = job.view()
        fate = outlook.fate_of(job.entry.paths, view, asked=job.entry.waits())
        return outlook.with_stale(fate, view.stale, job.entry.policy)
    xp = current()
    if xp is None:
        return outlook.Fate("none", f"no experiment is open: {doors.HOW_TO_OPEN}")
    return xp.fate(config)


def _current_for(task: Any, lack: str) -> Experiment:
    """Give the current experiment; raises `NoExperimentError` that says what a task lacks."""
    found = current()
    if found is None:
        name = configs.declared_class(task).__qualname__
        raise NoExperimentError(f"{name} has {lack}: {doors.HOW_TO_OPEN}")
    return found


def why(task: Any) -> Why:
    """Say why the result of a task is reused, or why not; see `Experiment.why`.

    Raises
    ------
    NoExperimentError
        If none is open.
    """
    return _current_for(task, "no place where results are").why(task)


def submit(task: Any, **options: Any) -> Any:
    """Submit a task to the current experiment; see `Experiment.submit`.

    Raises
    ------
    NoExperimentError
        If none is open.
    """
    return _current_for(task, "nowhere to go").submit(task, **options)


def _check_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be {what}: letters, digits, '.', '_' and '-', at most 100, the first "
            "a letter or digit"
        )
    return name


def _open(
    name: str,
    workspace: str | PathLike[str] | Workspace | None,
    *,
    slots: int | None,
    namespace: str | None,
    launcher: Any,
    run_mode: Any,
    provenance: bool | None,
    stale: str | None,
) -> tuple[Experiment, bool]:
    """Give the live experiment of that name, or open it; tell whether it was opened now."""
    _check_name(name, "an experiment's name")
    if namespace is not None:
        _check_name(namespace, "a namespace")
    if stale is not None:
        staleness.check_policy(stale, "stale=")
    mode = None if run_mode is None else _run_mode(run_mode)
    launcher = _launcher(launcher)
    if not isinstance(workspace, Workspace):
        workspace = Workspace(settings.workspace_root(workspace))
    if owner := stranger(workspace.root):
        mode = RunMode.DRY_RUN
        text = f"the workspace {workspace.root} belongs to the user {owner}: it is only looked at"
        warnings.warn(text, UserWarning, stacklevel=3)
    if mode is not RunMode.DRY_RUN:  # which writes nothing
        workspace.create()
    with _guard:
        xp = _live.get((str(workspace.root), name))
        new = xp is None
        if xp is None:
            xp = Experiment(
                name,
                workspace,
                namespace=namespace or name,
                launcher=launcher,
                run_mode=mode or RunMode.NORMAL,
                provenance=provenance is not False,
                stale=stale or "warn",
            )
        elif namespace is not None and namespace != xp.namespace:
            raise ConfigError(
                f"the experiment {name!r} is open with the namespace {xp.namespace!r}, not "
                f"{namespace!r}: close() it first, or give this one another name"
            )
        xp.launcher = launcher or xp.launcher
        xp.run_mode = mode or xp.run_mode
        xp.stale_policy = stale or xp.stale_policy
        if slots is not None:
            xp.slots = slots
        if new:
            xp._recall()
            _live[_place(xp)] = xp
        return xp, new


def start(
    name: str,
    *,
    workspace: str | PathLike[str] | Workspace | None = None,
    slots: int | None = None,
    namespace: str | None = None,
    launcher: Any = None,
    run_mode: Any = None,
    provenance: bool | None = None,
    stale: str | None = None,
) -> Experiment:
    """Open an experiment, or open it again, and return at once: submitted tasks go to it.

    Jobs of earlier runs are found again: what runs is followed, what waited is started, without the
    classes being there. The same name in the same kernel gives the same live object.

    Parameters
    ----------
    name : str
        Letters, digits, ``.``, ``_``, ``-``.
    workspace : path, optional
        Directory of all jobs, by default ``$XPM_WORKSPACE``, else that of the `Settings`, else
        ``./xpm-workspace``.
    slots : int, optional
        How many local jobs run at once in this kernel.
    namespace : str, optional
        Stands for ``__main__`` in type names, by default the experiment's name.
    launcher : Launcher, optional
        How jobs are started, by default a `LocalLauncher`.
    run_mode : RunMode, optional
        What becomes of submitted tasks from now on; by default they run, also where the
        experiment was open as a dry run.
    provenance : bool, optional
        False keeps neither environment nor cells.
    stale : str, optional
        What becomes of results that other code made: "warn" (they are reused, and marked; the
        default), "rerun", "error" (submitting raises `StaleError`) or "ignore". A task class may
        say so for itself: ``__stale__ = "rerun"``.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written.
    ConfigError
        If the name cannot be one.
    """
    xp, _ = _open(
        name,
        workspace,
        slots=slots,
        namespace=namespace,
        launcher=launcher,
        run_mode=RunMode.NORMAL if run_mode is None else run_mode,
        provenance=provenance,
        stale=stale,
    )
    with _guard:
        _opened[:] = [*(other for other in _opened if other is not xp), xp]
    return xp


# Arguments of experimaestro's experiment() that mean nothing here.
_IGNORED = {"host", "port", "token", "register_signals", "project_paths", "wait_for_quit"}
_IGNORED |= {"dirty_git", "no_db", "no_environment_file", "no_environmental_impact"}
_noted: set[str] = set()


class experiment:  # used as a function: `with experiment("runs", "name") as xp:`
    """Open an experiment for a block: tasks submitted inside go to it, its end waits for them.

    Parameters
    ----------
    workspace : path or None
        Directory of all jobs; None for the default one.
    name : str
        Letters, digits, ``.``, ``_``, ``-``.
    launcher, run_mode, namespace, slots, provenance, stale : optional
        See `start`.
    **ignored
        Arguments of experimaestro's function that mean nothing here (``port``, ``host``, …).

    Raises
    ------
    FailedExperiment
        At the end of the block, if jobs submitted in it ended in error.
    """

    def __init__(
        self,
        workspace: str | PathLike[str] | Workspace | None,
        name: str = "",
        *,
        launcher: Any = None,
        run_mode: Any = None,
        namespace: str | None = None,
        slots: int | None = None,
        provenance: bool | None = None,
        stale: str | None = None,
        **ignored: Any,
    ) -> None:
        if name == "":  # `experiment("name")`, which may as well be a workspace
            raise TypeError(
                "experiment(workspace, name); for the default workspace: "
                f"experiment(None, {str(workspace or 'name')!r})"
            )
        _note_ignored(ignored)
        self._name = name
        self._workspace = workspace
        self._options = {
            "launcher": launcher,
            "run_mode": run_mode,
            "namespace": namespace,
            "slots": slots,
            "provenance": provenance,
            "stale": stale,
        }
        self._token: Restore[Any] | None = None
        self._former: Any = None
        self._xp: Experiment | None = None
        self._is_new = False
        self._from = 0
        self._found: list[Item] = []

    def __enter__(self) -> Experiment:
        xp, self._is_new = _open(self._name, self._workspace, **self._options)
        self._xp = xp
        self._from = len(xp._submissions)
        if self._is_new:
            self._found = [item for item in xp._all() if not item.entry.settled.is_set()]
        self._former = inside.get()
        self._token = inside.set(xp)
        return xp

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._xp is not None
        assert self._token is not None
        try:
            inside.reset(self._token)
        except ValueError:  # an async cell went on in another context
            inside.set(self._former)
        xp = self._xp
        try:
            if kind is None:
                with on_wait(xp) if on_wait is not None else contextlib.nullcontext():
                    xp._wait(self._mine, None)
        finally:
            if self._is_new:
                xp.close()
        if kind is None:
            _raise_for(xp.name, self._mine())

    def _mine(self) -> list[Item]:
        assert self._xp is not None
        items = [*self._found, *self._xp._submissions[self._from :]]
        return list({item.entry.id: item for item in items}.values())


def _note_ignored(names: Iterable[str]) -> None:
    for name in names:
        if name not in _IGNORED:
            known = ["launcher", "run_mode", "namespace", "slots", "provenance", "stale"]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"experiment() has no argument {name!r}{hint}")
    new = sorted(set(names) - _noted)
    if new:
        _noted.update(new)
        text = f"experiment(): {', '.join(new)} mean nothing here and are ignored"
        warnings.warn(text, UserWarning, stacklevel=3)


def _raise_for(name: str, items: Sequence[Item]) -> None:
    """Raise `FailedExperiment` if some of the jobs ended in error."""
    bad = [item for item in items if item.entry.view.state is JobState.ERROR]
    if not bad:
        return
    errors = [error_of(item.view(), item.entry) for item in bad]
    parts = [f"{len(bad)} of {len(items)} jobs of {name!r} ended in error:"]
    parts += [str(error) for error in errors[:SHOWN]]
    if len(bad) > SHOWN:
        parts.append(f"… and {len(bad) - SHOWN} more")
    raise FailedExperiment("\n\n".join(parts), errors)
