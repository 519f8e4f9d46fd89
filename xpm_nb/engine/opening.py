"""The ways into an experiment: `start`, `with experiment(…)`, and what the current one is asked."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterable, Sequence
from contextvars import Token as Restore
from os import PathLike
from types import TracebackType
from typing import Any, NamedTuple

from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.core.config import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.engine import host, outlook, settings, staleness, submission, unguarded
from xpm_nb.engine.contents import Item
from xpm_nb.engine.experiment import Experiment, current, guard, live, place, started
from xpm_nb.engine.job import error_of
from xpm_nb.engine.listening import inside
from xpm_nb.engine.options import check_name, launcher_of, run_mode_of
from xpm_nb.engine.why import Why
from xpm_nb.errors import ConfigError, FailedExperiment, NoExperimentError
from xpm_nb.store import owners, trial
from xpm_nb.store.layout import Workspace, stranger

SHOWN = 10  # failed jobs that a FailedExperiment describes


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
    ConfigError
        If a job does so because it imports a module that does.
    """
    unguarded.check_import()
    return _current_for(task, "nowhere to go").submit(task, **options)


class _Wanted(NamedTuple):
    """What an experiment is opened with; None: as it is, or by default."""

    slots: int | None
    namespace: str | None
    launcher: Any
    run_mode: Any
    provenance: bool | None
    stale: str | None
    durable: bool | None


def _open(
    name: str, workspace: str | PathLike[str] | Workspace | None, wanted: _Wanted
) -> tuple[Experiment, bool]:
    """Give the live experiment of that name, or open it; tell whether it was opened now."""
    unguarded.check_import()
    check_name(name, "an experiment's name")
    namespace, stale = wanted.namespace, wanted.stale
    if namespace is not None:
        check_name(namespace, "a namespace")
    if stale is not None:
        staleness.check_policy(stale, "stale=")
    mode = None if wanted.run_mode is None else run_mode_of(wanted.run_mode)
    launcher = launcher_of(wanted.launcher)
    workspace, mode = _made_ready(workspace, mode)
    with guard:
        xp = live.get((str(workspace.root), name))
        new = xp is None
        if xp is None:
            xp = Experiment(
                name,
                workspace,
                namespace=namespace or name,
                launcher=launcher,
                run_mode=mode or RunMode.NORMAL,
                provenance=wanted.provenance is not False,
                stale=stale or "warn",
                durable=settings.default_durable(),
            )
        elif namespace is not None and namespace != xp.namespace:
            raise ConfigError(
                f"the experiment {name!r} is open with the namespace {xp.namespace!r}, not "
                f"{namespace!r}: close() it first, or give this one another name"
            )
        xp.launcher = launcher or xp.launcher
        xp.run_mode = mode or xp.run_mode
        xp.stale_policy = stale or xp.stale_policy
        xp.durable = xp.durable if wanted.durable is None else bool(wanted.durable)
        if wanted.slots is not None:
            xp.slots = wanted.slots
        if new:
            xp._recall()
            live[place(xp)] = xp
        else:
            xp._comparing.again(item.entry for item in xp._all())
        return xp, new


def _made_ready(
    workspace: str | PathLike[str] | Workspace | None, mode: RunMode | None
) -> tuple[Workspace, RunMode | None]:
    """Make the workspace, unless it is only looked at; the mode says so if it can only be that."""
    if not isinstance(workspace, Workspace):
        workspace = Workspace(settings.workspace_root(workspace))
    texts = []
    if owner := stranger(workspace.root):
        mode = RunMode.DRY_RUN
        texts = [
            f"the workspace {workspace.root} belongs to the user {owner}: it is only looked at"
        ]
    if mode is not RunMode.DRY_RUN:  # which writes nothing
        unguarded.check_place(workspace.root)
        workspace.create()
        texts = [*owners.notes(workspace), trial.trouble(workspace)]
    for text in filter(None, texts):
        warnings.warn(text, UserWarning, stacklevel=4)
    return workspace, mode


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
    durable: bool | None = None,
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
        How jobs are started, by default a `LocalLauncher`. Where the experiment is open already:
        by default as it is (so it is with `stale` and `durable`).
    run_mode : RunMode, optional
        What becomes of submitted tasks from now on; by default they run, also where the
        experiment was open as a dry run.
    provenance : bool, optional
        False keeps neither environment nor cells.
    stale : str, optional
        What becomes of results that other code made: "warn" (they are reused, and marked; the
        default), "rerun", "error" (submitting raises `StaleError`) or "ignore". A task class may
        say so for itself: ``__stale__ = "rerun"``.
    durable : bool, optional
        True has everything that a job leaves on the disk itself (``fsync``) before its marker says
        that it has ended: a power cut then takes no finished result. That may take a while for
        large files. By default as the `Settings` say: no.

    Raises
    ------
    WorkspaceError
        If the workspace cannot be written, or lies in the directory of a job.
    ConfigError
        If the name cannot be one, or a job imports a module that opens an experiment.
    """
    mode = RunMode.NORMAL if run_mode is None else run_mode
    wanted = _Wanted(slots, namespace, launcher, mode, provenance, stale, durable)
    xp, _ = _open(name, workspace, wanted)
    with guard:
        started[:] = [*(other for other in started if other is not xp), xp]
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
    launcher, run_mode, namespace, slots, provenance, stale, durable : optional
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
        durable: bool | None = None,
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
        self._wanted = _Wanted(slots, namespace, launcher, run_mode, provenance, stale, durable)
        self._token: Restore[Any] | None = None
        self._former: Any = None
        self._xp: Experiment | None = None
        self._is_new = False
        self._from = 0
        self._found: list[Item] = []

    def __enter__(self) -> Experiment:
        xp, self._is_new = _open(self._name, self._workspace, self._wanted)
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
                with host.on_wait(xp) if host.on_wait is not None else contextlib.nullcontext():
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
            near = difflib.get_close_matches(name, _Wanted._fields, 1)
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
