"""Run experiments from notebooks: typed configs, jobs that run once and outlive the kernel.

General layout -------------- `core` decides (types, identifiers, states, plan), `store` knows the
disk, `code` what runs, `runtime` is the inside of a job, `launchers` start jobs, `engine` holds it
together, `notebook` shows it.

This module is a lazy door (PEP 562): importing it loads next to nothing; a name loads its module
when it is first used. It is also the roof: it fills the doors of the core (`xpm_nb.core.doors`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from xpm_nb.core.config import Config as Config
    from xpm_nb.core.config import DirectoryContext as DirectoryContext
    from xpm_nb.core.config import InstanceConfig as InstanceConfig
    from xpm_nb.core.config import LightweightTask as LightweightTask
    from xpm_nb.core.config import Prepare as Prepare
    from xpm_nb.core.config import ResumableTask as ResumableTask
    from xpm_nb.core.config import RunMode as RunMode
    from xpm_nb.core.config import Task as Task
    from xpm_nb.core.config import copyconfig as copyconfig
    from xpm_nb.core.config import grid as grid
    from xpm_nb.core.config import sealed_set as sealed_set
    from xpm_nb.core.config import setmeta as setmeta
    from xpm_nb.core.config import stop_tags as stop_tags
    from xpm_nb.core.config import tag as tag
    from xpm_nb.core.config import tags as tags
    from xpm_nb.core.config import tagspath as tagspath
    from xpm_nb.core.deprecated import deprecate as deprecate
    from xpm_nb.core.fields import Choices as Choices
    from xpm_nb.core.fields import Constant as Constant
    from xpm_nb.core.fields import DataPath as DataPath
    from xpm_nb.core.fields import Meta as Meta
    from xpm_nb.core.fields import Param as Param
    from xpm_nb.core.fields import PathGenerator as PathGenerator
    from xpm_nb.core.fields import SubParam as SubParam
    from xpm_nb.core.fields import field as field
    from xpm_nb.core.fields import help as help
    from xpm_nb.core.fields import param_group as param_group
    from xpm_nb.core.fields import partial as partial
    from xpm_nb.core.fields import pathgenerator as pathgenerator
    from xpm_nb.core.hooks import SubmitHook as SubmitHook
    from xpm_nb.core.hooks import submit_hook_decorator as submit_hook_decorator
    from xpm_nb.core.methods import cache as cache
    from xpm_nb.core.methods import initializer as initializer
    from xpm_nb.core.states import FailureReason as FailureReason
    from xpm_nb.core.states import JobState as JobState
    from xpm_nb.core.states import TransientMode as TransientMode
    from xpm_nb.engine.experiment import Experiment as Experiment
    from xpm_nb.engine.inspection import inspect_job as inspect_job
    from xpm_nb.engine.job import Job as Job
    from xpm_nb.engine.opening import experiment as experiment
    from xpm_nb.engine.opening import start as start
    from xpm_nb.engine.settings import Settings as Settings
    from xpm_nb.engine.tokens import Token as Token
    from xpm_nb.errors import CarrierError as CarrierError
    from xpm_nb.errors import ConfigError as ConfigError
    from xpm_nb.errors import ConfigTypeError as ConfigTypeError
    from xpm_nb.errors import ExportError as ExportError
    from xpm_nb.errors import FailedExperiment as FailedExperiment
    from xpm_nb.errors import FrozenError as FrozenError
    from xpm_nb.errors import GracefulTimeout as GracefulTimeout
    from xpm_nb.errors import InternalError as InternalError
    from xpm_nb.errors import JobError as JobError
    from xpm_nb.errors import LaunchError as LaunchError
    from xpm_nb.errors import MissingClassError as MissingClassError
    from xpm_nb.errors import NoExperimentError as NoExperimentError
    from xpm_nb.errors import RecordError as RecordError
    from xpm_nb.errors import StaleError as StaleError
    from xpm_nb.errors import TaskCancelled as TaskCancelled
    from xpm_nb.errors import UnsetError as UnsetError
    from xpm_nb.errors import WorkspaceError as WorkspaceError
    from xpm_nb.errors import XpmError as XpmError
    from xpm_nb.launchers.base import Launcher as Launcher
    from xpm_nb.launchers.local import LocalLauncher as LocalLauncher
    from xpm_nb.notebook.bridge import widget as widget
    from xpm_nb.runtime.report import log_metrics as log_metrics
    from xpm_nb.runtime.report import progress as progress
    from xpm_nb.runtime.report import tqdm as tqdm
    from xpm_nb.store.layout import Workspace as Workspace
    from xpm_nb.store.saved import deserialize as deserialize
    from xpm_nb.store.saved import from_state_dict as from_state_dict
    from xpm_nb.store.saved import from_task_dir as from_task_dir
    from xpm_nb.store.saved import load as load
    from xpm_nb.store.saved import save as save
    from xpm_nb.store.saved import serialize as serialize
    from xpm_nb.store.saved import state_dict as state_dict

__version__ = "0.1.0"

_HOMES = {
    "core.config": "Config DirectoryContext InstanceConfig LightweightTask Prepare ResumableTask"
    " RunMode Task copyconfig grid sealed_set setmeta stop_tags tag tags tagspath",
    "core.deprecated": "deprecate",
    "core.fields": "Choices Constant DataPath Meta Param PathGenerator SubParam field help"
    " param_group partial pathgenerator",
    "core.hooks": "SubmitHook submit_hook_decorator",
    "core.methods": "cache initializer",
    "core.states": "FailureReason JobState TransientMode",
    "engine.experiment": "Experiment",
    "engine.job": "Job",
    "engine.opening": "experiment start",
    "engine.inspection": "inspect_job",
    "engine.settings": "Settings",
    "engine.tokens": "Token",
    "errors": "CarrierError ConfigError ConfigTypeError ExportError FailedExperiment FrozenError"
    " GracefulTimeout InternalError JobError LaunchError MissingClassError NoExperimentError"
    " RecordError StaleError TaskCancelled UnsetError WorkspaceError XpmError",
    "launchers.base": "Launcher",
    "launchers.local": "LocalLauncher",
    "notebook.bridge": "widget",
    "runtime.report": "log_metrics progress tqdm",
    "store.layout": "Workspace",
    "store.saved": "deserialize from_state_dict from_task_dir load save serialize state_dict",
}
_SHOWN = ("core.config", "engine.experiment", "engine.job", "engine.opening", "notebook.bridge")
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # the table above is the one list of public names


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    if module in _SHOWN and (shell := _shell()) is not None:
        from xpm_nb.notebook import magics

        magics.install(shell)  # so that tables are drawn and cells are known without %load_ext
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# -- the doors of the core


class _Submitter:
    """Sends tasks to the current experiment."""

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
        from xpm_nb.engine import opening

        return opening.submit(
            task,
            launcher=launcher,
            run_mode=run_mode,
            init_tasks=init_tasks,
            max_retries=max_retries,
            transient=transient,
        )

    def namespace(self) -> str | None:
        engine = sys.modules.get("xpm_nb.engine.experiment")  # not loaded: nothing can be open
        return None if engine is None else engine.current_namespace()


def _render(config: Any) -> dict[str, Any]:
    from xpm_nb.notebook import bridge

    return bridge.render(config)


def _widget(thing: Any) -> Any:
    from xpm_nb.notebook import bridge

    return bridge.display_of(thing)


def _place(filename: str, lineno: int) -> str:
    if _shell() is None:
        return f"{filename}:{lineno}"
    from xpm_nb.notebook import magics

    return magics.place(filename, lineno)


def _compare(left: Any, right: Any) -> Any:
    from xpm_nb.core import compare

    return compare.difference(left, right)


def _explain(task: Any) -> Any:
    from xpm_nb.engine import opening

    return opening.why(task)


def _cache_path(config: Any, name: str) -> AbstractContextManager[Path]:
    from xpm_nb.core import doors
    from xpm_nb.engine import experiment
    from xpm_nb.store import cache

    current = experiment.current()
    if current is None:
        return doors.no_cache(config, name)
    return cache.of_config(current.workspace, current.namespace, config, name)


def _literals(cls: type) -> dict[str, str]:
    from xpm_nb.code import literals

    return literals.after_fields(cls)


def _fill_doors() -> None:
    from xpm_nb.core import doors

    doors.fill(
        submitter=_Submitter(),
        renderer=_render,
        widget=_widget,
        place=_place,
        comparer=_compare,
        explainer=_explain,
        cache_path=_cache_path,
        literals=_literals,
    )


# -- IPython


def _shell() -> Any:
    """Give the shell if this process is one of IPython, without importing it; else None."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get is None else get()


def load_ipython_extension(shell: Any) -> None:
    """Register ``%xpm`` (called by ``%load_ext xpm_nb``)."""
    from xpm_nb.notebook import magics

    _take_back(shell)
    magics.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Undo `load_ipython_extension`."""
    from xpm_nb.notebook import magics

    _take_back(shell)
    magics.unload_ipython_extension(shell)


def _register_lazily() -> None:
    """Let ``%xpm`` load the extension when it is first used, if this is IPython."""
    shell = _shell()
    if shell is not None and "xpm" not in shell.magics_manager.magics["line"]:
        shell.magics_manager.register_lazy("xpm", __name__)
        matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
        if matchers is not None and _complete not in matchers:
            matchers.append(_complete)


def _complete(context: Any) -> Any:
    """Complete ``%xpm`` before the extension is loaded, so that the first Tab finds its verbs."""
    if "%xpm " not in context.line_with_cursor:
        return {"completions": [], "suppress": False}
    from xpm_nb.notebook import magics

    return magics.complete(context)


# What IPython's decorator `context_matcher` sets, without an import of IPython.
_complete.matcher_api_version = 2  # type: ignore[attr-defined]
_complete.matcher_identifier = "xpm.magic.early"  # type: ignore[attr-defined]


def _take_back(shell: Any) -> None:
    """Leave completion to the extension."""
    if _complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(_complete)


_fill_doors()
_register_lazily()
