"""What a configuration keeps between jobs: one path for each name, for one user at a time.

The user's method decides what is a file there, and when it is good: we only see to it that two do
not write at once, and that nobody finds what a killed process left half written.
"""

from __future__ import annotations

import os
from _thread import get_ident  # `threading` is 2 ms more, in each job
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xpm_nb.core.graph import identify
from xpm_nb.core.nodes import info
from xpm_nb.errors import ConfigError
from xpm_nb.store import fs, locks
from xpm_nb.store.layout import CachePaths, Workspace, inside, make_directory

_held: dict[Path, int] = {}
"""Paths that this process is in, and the thread that is."""


@contextmanager
def of_config(
    workspace: Workspace, namespace: str | None, config: Any, name: str
) -> Iterator[Path]:
    """Hold a path that belongs to a configuration and a name; see `hold`.

    Raises
    ------
    NoExperimentError
        If a class of a notebook takes part and `namespace` is None.
    """
    with hold(paths_of(workspace, namespace, config), name) as path:
        yield path


@contextmanager
def hold(paths: CachePaths, name: str) -> Iterator[Path]:
    """Hold a path; whoever else asks for it waits.

    What is there when one begins was finished by somebody. What was begun and broken off (by an
    error, an interrupt, a kill) is moved away first.

    Raises
    ------
    ConfigError
        The name cannot be one, or this thread holds the path already.
    WorkspaceError
        The directory leads out of the workspace, or cannot be made.
    """
    path, me = paths.file(name), get_ident()
    if _held.get(path) == me:
        raise ConfigError(
            f"the cache {name!r} of {paths.type_name} is needed to compute itself: two methods of"
            " one name, or one that calls itself"
        )
    make_directory(paths.workspace, paths.private)
    with locks.exclusive(inside(paths.workspace, paths.lock(name))):
        _held[path] = me
        try:
            begun = paths.begun(name)
            if begun.exists():
                _put_aside(paths, name)
            new = not os.path.lexists(inside(paths.workspace, path))
            if new:
                _touch(begun)
            yield path
            if new:
                fs.unlink(begun)
        finally:
            del _held[path]


def is_prepared(paths: CachePaths) -> bool:
    """Tell whether what a configuration stands for is there."""
    return paths.prepared.is_file()


def prepare(paths: CachePaths, act: Callable[[], object]) -> bool:
    """Have done once what a configuration asks for; whoever else wants that waits.

    Returns
    -------
    bool
        Whether it was done now; False if it is done already.

    Raises
    ------
    WorkspaceError
        The directory leads out of the workspace, or cannot be made.
    """
    if is_prepared(paths):
        return False
    make_directory(paths.workspace, paths.private)
    with locks.exclusive(inside(paths.workspace, paths.preparing)):
        if is_prepared(paths):
            return False
        act()
        _touch(paths.prepared)
        return True


def paths_of(workspace: Workspace, namespace: str | None, config: Any) -> CachePaths:
    """Name the files of what a configuration keeps.

    Raises
    ------
    NoExperimentError
        If a class of a notebook takes part and `namespace` is None.
    """
    identifier = identify(config, namespace).hex()
    return workspace.cache(info(config).type_name(namespace), identifier)


def _put_aside(paths: CachePaths, name: str) -> None:
    path, broken = paths.file(name), inside(paths.workspace, paths.broken(name))
    if os.path.lexists(path):
        if broken.is_dir():
            fs.remove_tree(broken)
        elif path.is_dir():
            with suppress(FileNotFoundError):
                fs.unlink(broken)
        fs.replace(path, broken)


def _touch(path: Path) -> None:
    os.close(fs.open_fd(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW))
