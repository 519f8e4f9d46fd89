"""What submit hooks get to see and to change of a job, before it is handed over.

Rule: what hooks change belongs to this one job. The launcher that an experiment or a cell holds is
never touched.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast

from xpm_nb.core import config as configs
from xpm_nb.core.hooks import hook_error, hooks_of
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.job import Job
from xpm_nb.engine.loop import Loop
from xpm_nb.errors import ConfigError
from xpm_nb.launchers.base import Launcher


@dataclass(frozen=True, slots=True)
class Start:
    """How a job will be started.

    Attributes
    ----------
    launcher : Launcher
        What starts it.
    environ : mapping
        Variables set on top of the inherited ones.
    """

    launcher: Launcher
    environ: Mapping[str, str]


class ProposedJob(Job):
    """A job that is being submitted; its `environ` may be changed."""

    def __init__(
        self, entry: Entry, loop: Loop, *, task: Any, needs: tuple[Job, ...], start: Start
    ) -> None:
        super().__init__(entry, loop)
        self.adopt(task, start.launcher)
        self._needs = needs
        self._environ: dict[str, Any] = dict(start.environ)

    @property
    def environ(self) -> dict[str, str]:
        """Variables set for the job, on top of the inherited ones; they may be changed."""
        return self._environ

    @property
    def dependencies(self) -> tuple[Job, ...]:
        """The jobs that must be done first."""
        return self._needs


def start_of(launcher: Launcher, experiment: Mapping[str, str]) -> Start:
    """Say how a job without hooks is started: its launcher's variables over the experiment's."""
    return Start(launcher, {**experiment, **getattr(launcher, "environ", {})})


def propose(task: Any, entry: Entry, loop: Loop, needs: tuple[Job, ...], start: Start) -> Start:
    """Have the submit hooks of a task say how its job is started.

    Raises
    ------
    ConfigError
        A hook raised, or asks for what cannot be; the message names it and its class.
    """
    hooks = hooks_of(configs.classes_of(task))
    if not hooks:
        return start
    job = ProposedJob(entry, loop, task=task, needs=needs, start=start)
    launcher = _draft(start.launcher)
    for hook, cls in hooks:
        try:
            hook.process(job, launcher)
            environ = _checked(job.environ)
            made = _derived(start.launcher, launcher)
        except Exception as error:  # a border: the user's code runs here
            raise hook_error(hook, cls, "process", error) from error
    return _joined(start, Start(made, environ))


def _joined(former: Start, latter: Start) -> Start:
    """Bring the variables of a job and of its launcher together; the job's count more."""
    before = dict(getattr(former.launcher, "environ", {}))
    now = dict(getattr(latter.launcher, "environ", {}))
    environ = dict(latter.environ)
    for name, value in now.items():
        if before.get(name) != value and environ.get(name) == former.environ.get(name):
            environ[name] = value
    gone = [name for name in now if name not in environ]
    if not gone:
        return Start(latter.launcher, environ)
    kept = {name: value for name, value in now.items() if name not in gone}
    return Start(cast("Any", latter.launcher).config(environ=kept), environ)


def _checked(environ: Mapping[str, Any]) -> dict[str, str]:
    """Give variables as text; what was set to None is left out, as with `Experiment.setenv`."""
    for name, value in environ.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in f"{name}{value}":
            raise ConfigError(f"{name!r} = {value!r} cannot be a variable of the environment")
    return {name: str(value) for name, value in environ.items() if value is not None}


# -- a launcher whose options may be assigned to


def _options(launcher: Launcher) -> list[str]:
    return [f.name for f in fields(cast("Any", launcher))] if is_dataclass(launcher) else []


def _draft(launcher: Launcher) -> Launcher:
    """Copy a launcher for hooks: of its own class, but not frozen, and with containers of its own.

    A launcher that is no dataclass has no options that we know of: it is copied, no more.
    """
    draft = copy.copy(launcher)
    options = _options(launcher)
    if not options:
        return draft
    for name in options:
        object.__setattr__(draft, name, copy.copy(getattr(launcher, name)))
    kind = type(launcher)

    def assign(self: Any, name: str, value: Any) -> None:
        if name not in options:
            near = difflib.get_close_matches(name, options, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(options)}"
            raise AttributeError(f"{kind.__name__} has no option {name!r}: {hint}")
        object.__setattr__(self, name, value)

    object.__setattr__(draft, "__class__", type(kind.__name__, (kind,), {"__setattr__": assign}))
    return draft


def _derived(launcher: Launcher, draft: Launcher) -> Launcher:
    """Give the launcher that a draft stands for: the same one, if nothing was changed."""
    options = _options(launcher)
    if not options:
        return launcher if draft.as_dict() == launcher.as_dict() else draft
    now = {name: getattr(draft, name) for name in options}
    changes = {name: value for name, value in now.items() if value != getattr(launcher, name)}
    return cast("Any", launcher).config(**changes) if changes else launcher
