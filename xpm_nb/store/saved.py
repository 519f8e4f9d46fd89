"""Configurations kept in a folder, with the files that they name: `save`, `load` and their kin.

The names, and the shape of the files, are those of experimaestro 2.7: what one wrote, the other
loads.

Rule 1: loading imports the modules of the classes that a file names, and executes nothing else that
it says: what is found there must be a class of configurations, or an enum.
Rule 2: a folder holds what was saved last, or what was saved before, never a mixture: files go to a
new folder, then the definition takes its name.
"""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from xpm_nb.core import doors, serial
from xpm_nb.core.config import Config
from xpm_nb.core.graph import build_instance, build_value, tags_of
from xpm_nb.core.names import shorten
from xpm_nb.core.nodes import info
from xpm_nb.core.standins import stand_in
from xpm_nb.errors import (
    ConfigError,
    ConfigTypeError,
    MissingClassError,
    RecordError,
    WorkspaceError,
)
from xpm_nb.store import fs
from xpm_nb.store.files import params_text, read_object, write_text
from xpm_nb.store.layout import MARKER, PARAMS, JobPaths, SavedPaths

Place: TypeAlias = "str | PathLike[str] | Callable[[str], str | PathLike[str]]"
"""A folder, or a function that gives the path of a file in it."""

_DEFINITION = SavedPaths.DEFINITIONS[0]


# -- saving -----------------------------------------------------------------------------------


def save(
    obj: Any, save_directory: str | PathLike[str], definition_filename: str = _DEFINITION
) -> None:
    """Save configurations in a folder, with the files and folders of their `DataPath` parameters.

    What is shared stays shared. The definition is a JSON file with a line for each configuration;
    nothing is sealed. What was saved there before is replaced.

    Parameters
    ----------
    obj : Any
        A configuration, or lists and dictionaries of them.
    save_directory : path
        Made if need be. It can be moved, and given away.
    definition_filename : str
        The name of the JSON file.

    Raises
    ------
    UnsetError
        For a required parameter without a value.
    ConfigError
        For a value that cannot be written, or a `DataPath` that is not there.
    WorkspaceError
        If the folder cannot be written.

    Examples
    --------
    >>> save(Model.C(hidden=64), "models/small")  # doctest: +SKIP
    >>> load("models/small").hidden  # doctest: +SKIP
    64
    """
    _save(obj, SavedPaths(Path(save_directory), definition_filename))


def keep(obj: Any, folder: Path, workspace: Path) -> None:
    """Save as `save` does in a folder of a workspace, with which it may be moved."""
    _save(obj, SavedPaths(folder, _DEFINITION), workspace)


def _save(obj: Any, paths: SavedPaths, workspace: Path | None = None) -> None:
    before = paths.folders()
    files = _Files(paths)
    try:
        fs.make_directories(paths.path)
        document = serial.dump_value(
            obj,
            namespace=doors.submitter.namespace(),
            carry=files.carry,
            workspace=workspace,
        )
        write_text(paths.definition, params_text(document))
    except OSError as error:
        _drop(files.folder)
        raise WorkspaceError(f"cannot save in {paths.path}: {error.strerror}") from error
    except BaseException:
        _drop(files.folder)
        raise
    for folder in before:
        _drop(folder)


def serialize(
    obj: Any,
    save_directory: str | PathLike[str],
    *,
    init_tasks: Sequence[Any] = (),
    definition_filename: str = _DEFINITION,
) -> None:
    """Save a configuration as `save` does, with tasks that make its instance what it is.

    Parameters
    ----------
    obj, save_directory, definition_filename
        See `save`.
    init_tasks : sequence of LightweightTask
        Executed by ``deserialize(…, as_instance=True)``, in order: to load weights, say.
    """
    for task in init_tasks:
        if not hasattr(info(task).cls, "__xpm_light__"):
            name = info(task).cls.__qualname__
            raise ConfigError(f"{name} is no init task: those derive from LightweightTask")
    save([obj, list(init_tasks)], save_directory, definition_filename)


def state_dict(context: Any, obj: Any = None) -> dict[str, Any]:
    """Give configurations as a dictionary that JSON takes; `from_state_dict` makes them again.

    Files stay where they are: their paths are written as they are.

    Parameters
    ----------
    context : Any
        For code written for experimaestro, and not looked at: ``state_dict(obj)`` will do.
    obj : Any
        A configuration, or lists and dictionaries of them.
    """
    value = context if obj is None else obj
    return serial.dump_value(
        value,
        namespace=doors.submitter.namespace(),
        carry=lambda _number, _where, path: (str(path), Path(path).is_dir()),
    )


def _drop(folder: Path) -> None:
    with suppress(OSError):  # what is left of it is in nobody's way
        fs.remove_tree(folder)


class _Files:
    """Copies what `DataPath` parameters name into a folder."""

    def __init__(self, paths: SavedPaths) -> None:
        self.root, self.folder = paths.path, paths.new_folder()
        self._places: dict[Path, tuple[str, bool]] = {}

    def carry(self, number: int, where: str, path: PurePath) -> tuple[str, bool]:
        source = Path(path).absolute()
        if source not in self._places:
            place = self.folder / f"{number}.{where.rpartition('.')[2]}" / source.name
            try:
                self._copy(source, place)
            except FileNotFoundError as error:
                raise ConfigError(f"{where}: {source} is not there, to be saved") from error
            except OSError as error:
                raise ConfigError(f"{where}: {source} cannot be saved: {error}") from error
            self._places[source] = place.relative_to(self.root).as_posix(), source.is_dir()
        return self._places[source]

    def _copy(self, source: Path, place: Path) -> None:
        real = source.resolve(strict=True)
        fs.make_directories(place.parent)
        if not real.is_dir():
            fs.copy_file(real, place)
        elif self.root.resolve().is_relative_to(real):
            raise OSError("the folder to save it in lies inside of it")
        elif broken := _broken_link(real):
            raise OSError(
                f"{broken.relative_to(real)} in it is a link to {broken.readlink()}, which is not "
                "there: mend the link, or remove it"
            )
        else:
            fs.copy_tree(real, place)


def _broken_link(folder: Path) -> Path | None:
    """Find a link in a folder whose target is not there."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            return path
    return None


# -- loading ----------------------------------------------------------------------------------


def load(
    path: Place,
    as_instance: bool = False,
    partial_loading: bool | None = None,
    definition_filename: str | None = None,
    *,
    missing_ok: bool = False,
) -> Any:
    """Load what `save` wrote.

    Parameters
    ----------
    path : path or callable
        The folder; or a function that gives the path of a file of it.
    as_instance : bool
        Give live objects, not configurations.
    partial_loading : bool, optional
        Whether to leave out the tasks that made something. By default, configurations come with
        them if their classes are there: an output is one still, and who takes it depends on the
        task. False: the classes must be there.
    definition_filename : str, optional
        The name of the JSON file, where it was said when saving.
    missing_ok : bool
        Have classes stand in for those that are not there. What is loaded so can be looked at,
        compared and saved again.

    Returns
    -------
    Any
        What was saved, its configurations sealed.

    Raises
    ------
    RecordError
        If there is nothing, or it cannot be understood.
    MissingClassError
        If classes are not there; it names all of them.
    """
    read = _Reading(missing_ok=missing_ok, partial_loading=partial_loading)
    value = read.folder(path, definition_filename)
    return read.live(value) if as_instance else value


def deserialize(
    path: Place,
    as_instance: bool = False,
    partial_loading: bool | None = None,
    definition_filename: str | None = None,
    *,
    missing_ok: bool = False,
) -> Any:
    """Load what `serialize` wrote: a configuration, and the init tasks that go with it.

    Parameters
    ----------
    path, partial_loading, definition_filename, missing_ok
        See `load`.
    as_instance : bool
        Give the live object, after the init tasks were executed.

    Returns
    -------
    tuple of config and list, or the live object
        With `as_instance`, only the latter.
    """
    read = _Reading(missing_ok=missing_ok, partial_loading=partial_loading)
    value = read.folder(path, definition_filename)
    pair = isinstance(value, list) and len(value) == 2 and isinstance(value[1], list)
    config, init_tasks = value if pair else (value, [])
    if not as_instance:
        return config, init_tasks
    instance, tasks = read.live([config, init_tasks])
    for task in tasks:
        task.execute()
    return instance


def from_state_dict(
    state: Mapping[str, Any],
    path: Place | None = None,
    *,
    as_instance: bool = False,
    partial_loading: bool | None = None,
    missing_ok: bool = False,
) -> Any:
    """Load what `state_dict` gave.

    Parameters
    ----------
    state : dict
        Perhaps by way of JSON.
    path : path or callable, optional
        Where the files are, for a definition that `save` wrote.
    as_instance, partial_loading, missing_ok
        See `load`.

    Raises
    ------
    ConfigTypeError
        The state is no dictionary.
    RecordError, MissingClassError
        See `load`.
    """
    if not isinstance(state, Mapping):
        raise ConfigTypeError(
            f"from_state_dict() takes the dictionary that state_dict() gave, not {shorten(state)}"
        )
    read = _Reading(missing_ok=missing_ok, partial_loading=partial_loading)
    value = read.value(state, "the state", path)
    return read.live(value) if as_instance else value


def from_task_dir(
    path: Place,
    as_instance: bool = False,
    partial_loading: bool | None = None,
    *,
    missing_ok: bool = False,
) -> Any:
    """Load the task of a job's directory, also of one that experimaestro 1.8 or 2 wrote.

    Parameters
    ----------
    path : path or callable
        The directory, with its ``params.json``. Paths in a workspace that was moved, or copied, are
        where they are now.
    as_instance, partial_loading, missing_ok
        See `load`. Init tasks are not executed.

    Returns
    -------
    task
        Sealed, with the identifier of the job. Submitted once more, it is that job.
    """
    read = _Reading(missing_ok=missing_ok, partial_loading=partial_loading)
    task = read.task(_finder(path)(PARAMS))
    if not as_instance:
        return task
    read.check()
    return build_instance(task, taskdir=_finder(path)(""), tags=tags_of(task, warn=False))


class _Reading:
    """One loading: where files are, which classes are missing."""

    def __init__(self, *, missing_ok: bool, partial_loading: bool | None) -> None:
        self.missing_ok = missing_ok
        self.partial = partial_loading
        self.what = ""
        self.missing: dict[str, str] = {}
        self._document: Mapping[str, Any] = {}
        self._found: dict[tuple[str, str, bool], type] = {}

    def folder(self, path: Place, definition: str | None) -> Any:
        """Load a folder that was saved."""
        find = _finder(path)
        names = SavedPaths.DEFINITIONS if definition is None else (definition,)
        for name in names:
            document = read_object(find(name))
            if document is not None:
                return self.value(document, str(find(name)), path)
        raise RecordError(f"nothing was saved in {find('')}: there is no {names[0]}")

    def value(self, document: Mapping[str, Any], what: str, path: Place | None) -> Any:
        """Load a document with a value."""
        return self._load(
            document,
            what,
            lambda producers: serial.load_value(
                document,
                resolve=self.resolve,
                data=None if path is None else _Base(_finder(path)),
                workspace=None if path is None else _workspace_of(_finder(path)("")),
                producers=producers,
            ),
        )

    def task(self, file: Path) -> Any:
        """Load the parameters of a job."""
        document = read_object(file)
        if document is None:
            raise RecordError(f"{file.parent} is no job's directory: there is no {file.name}")
        try:
            workspace: Path | None = JobPaths.of(file.parent).workspace
        except WorkspaceError:  # a copy of the directory alone
            workspace = None
        return self._load(
            document,
            str(file),
            lambda producers: serial.completed(
                serial.load(
                    document,
                    resolve=self.resolve,
                    workspace=workspace,
                    job=file.parent.absolute(),
                    producers=producers,
                )
            )[-1],
        )

    def _load(self, document: Mapping[str, Any], what: str, act: Callable[[bool], Any]) -> Any:
        self._document, self.what = document, what
        try:
            loaded = act(not self.partial)
            if self.missing and self.partial is None:  # perhaps only of tasks that made something
                self.missing, self._found = {}, {}
                loaded = act(False)
        except ConfigError as error:
            raise RecordError(f"{what} cannot be loaded: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            said = f"{type(error).__name__}: {error}"  # a value that is none
            raise RecordError(f"{what} is damaged: {said}") from error
        if not self.missing_ok:
            self.check()
        return loaded

    def live(self, value: Any) -> Any:
        """Give the live objects."""
        self.check()
        return build_value(value)

    def check(self) -> None:
        """Say which classes are missing."""
        if self.missing:
            some = ", ".join(f"{name} ({why})" for name, why in self.missing.items())
            raise MissingClassError(
                f"{self.what} needs what is not there: {some}. Import or define it and load again;"
                " missing_ok=True gives what there is, to be looked at",
                list(self.missing),
            )

    def resolve(self, module: str, qualname: str, typename: str) -> type:
        """Find a class, or have one stand in for it."""
        key = module, qualname, bool(typename)
        found = self._found.get(key)
        if found is None:
            try:
                found = find_class(module, qualname, Config if typename else Enum)
            except LookupError as error:
                self.missing[f"{module}.{qualname}"] = str(error.args[0])
                found = stand_in(self._document, module, qualname, typename)
            self._found[key] = found
        return found


def find_class(module: str, qualname: str, kind: type) -> type:
    """Find a class by the name of its module, which is imported, and its own.

    Raises
    ------
    LookupError
        Saying why there is none.
    """
    if module == "__main__":
        found: Any = sys.modules["__main__"]
    else:
        try:
            found = importlib.import_module(module)
        except Exception as error:  # a border: the user's module
            raise LookupError(f"{type(error).__name__}: {error}") from error
    for name in qualname.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    if not isinstance(found, type) or not issubclass(found, kind):
        raise LookupError("no cell defines it" if module == "__main__" else "no class of that name")
    return found


def _workspace_of(folder: Path) -> Path | None:
    """Find the workspace that a folder lies in."""
    return next((one for one in folder.absolute().parents if (one / MARKER).is_file()), None)


def _finder(path: Place) -> Callable[[str], Path]:
    """Give what finds a file of a folder."""
    if callable(path):
        return lambda name: Path(path(name))
    return lambda name: Path(path) / name if name else Path(path)


class _Base:
    """A folder whose files a function finds."""

    def __init__(self, find: Callable[[str], Path]) -> None:
        self._find = find

    def __truediv__(self, name: str) -> Path:
        return self._find(name)
