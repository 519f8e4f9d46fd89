"""The modules that code imports: those of the user's own, read from their files, and the others.

Rule 1: what counts is the file, as a job that starts now would read it. No module is imported, and
what this process has loaded of it is not asked.
Rule 2: a file is read and parsed once for each (path, time, size).
"""

from __future__ import annotations

import ast
import hashlib
import os
import site
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

from xpm_nb.code.canonical import digest_of, documents, reads_annotations, reads_documents

_PACKAGE = __name__.partition(".")[0]
_DISTRIBUTION = "xpm-nb"

Stamp = tuple[int, int]
"""When a file was written, in nanoseconds, and its size: another one means other content."""


class Unreadable(Exception):
    """A file that no job could import as it is now; `args[0]` says which and why."""


class Import(NamedTuple):
    """One import of a module, with the names taken from it, which may be modules too."""

    module: str
    names: tuple[str, ...] = ()


#: Characters of a file that each job keeps the text of, to show what has changed.
KEPT = 100_000


class Module(NamedTuple):
    """A module of the user's own, as its file is now."""

    name: str
    path: str
    stamp: Stamp
    text: str
    digest: str
    imports: tuple[Import, ...]
    reads_documents: bool = False
    documented: str = ""  # the digest, of its docstrings too
    reads_annotations: bool = False

    @property
    def kept(self) -> str:
        """Its text, "" if that is too long to be kept with each job."""
        return self.text if len(self.text) <= KEPT else ""


class Reached(NamedTuple):
    """What some imports lead to.

    Attributes
    ----------
    modules : tuple[Module, ...]
        The user's own, by name.
    packages : dict[str, str]
        Versions of the installed distributions that they come to, by name.
    """

    modules: tuple[Module, ...]
    packages: dict[str, str]


def imports_in(nodes: Iterable[ast.AST], package: str = "") -> tuple[Import, ...]:
    """Find what code imports, inside functions too.

    Parameters
    ----------
    nodes
        Statements.
    package
        The package that relative imports start from.
    """
    found: dict[Import, None] = {}
    for top in nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                found.update((Import(alias.name), None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names if alias.name != "*")
                module = _absolute(node, package)
                if module and module != "__future__":
                    found[Import(module, names)] = None
            elif isinstance(node, ast.Call) and (name := _called(node)):
                found[Import(name)] = None
    return tuple(found)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    start = parts[: len(parts) - node.level + 1]
    return ".".join(filter(None, [*start, node.module or ""]))


def _called(node: ast.Call) -> str:
    """Give the module of ``import_module("a.b")`` and ``__import__("a")``."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name not in ("import_module", "__import__") or not node.args:
        return ""
    first = node.args[0]
    text = first.value if isinstance(first, ast.Constant) else ""
    return text if isinstance(text, str) and not text.startswith(".") else ""


def reach(imports: Iterable[Import], paths: Sequence[str]) -> Reached:
    """Follow imports through all modules of the user's own.

    Parameters
    ----------
    imports
        Where to begin.
    paths
        Where modules are looked for, as a job would.

    Raises
    ------
    Unreadable
        For a module of the user's own that cannot be read as Python.
    """
    found: dict[str, Module] = {}
    seen: set[str] = set()
    tops: set[str] = set()
    pending = list(imports)
    while pending:
        wanted = pending.pop()
        for name in names_in(wanted):
            if name in seen:
                continue
            seen.add(name)
            spec = _spec(name, paths)
            if spec is None:
                continue  # no module (a name in one), or one that a job would not find either
            if not _is_own(name, spec):
                tops.add(name.partition(".")[0])
            elif spec.origin is not None and spec.has_location:
                module = found[name] = load(name, spec.origin, _package_of(name, spec))
                pending += module.imports
    packages = dict(sorted(pair for top in tops for pair in _distributions(top)))
    return Reached(tuple(found[name] for name in sorted(found)), packages)


def names_in(wanted: Import) -> Iterator[str]:
    """Give all names that an import may load: packages first, what is taken from it last."""
    parts = wanted.module.split(".")
    for i in range(1, len(parts) + 1):
        yield ".".join(parts[:i])
    for name in wanted.names:
        yield f"{wanted.module}.{name}"


def _package_of(name: str, spec: ModuleSpec) -> str:
    return name if spec.submodule_search_locations is not None else name.rpartition(".")[0]


def load(name: str, path: str, package: str) -> Module:
    """Read a module's file.

    Raises
    ------
    Unreadable
        It cannot be read as Python.
    """
    return _load(name, path, package, stamp(path))


def stamp(path: str) -> Stamp:
    """Tell one content of a file from another.

    Raises
    ------
    Unreadable
        There is no such file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2048)
def _load(name: str, path: str, package: str, at: Stamp) -> Module:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
    if not path.endswith(".py"):  # compiled: nothing to look into
        return Module(name, path, at, "", hashlib.sha256(data).hexdigest(), ())
    try:
        body = ast.parse(data).body  # which knows of coding: lines
        text = data.decode("utf-8", "replace")
    except SyntaxError as error:
        raise Unreadable(f"{path} is no Python: {error.msg} (line {error.lineno})") from None
    except ValueError as error:
        raise Unreadable(f"{path} is no Python: {error}") from None
    made = digest_of(body)
    return Module(
        name,
        path,
        at,
        text,
        made,
        imports_in(body, package),
        reads_documents(body),
        documented(made, body),
        reads_annotations(body),
    )


def documented(digest: str, body: Iterable[ast.AST]) -> str:
    """Give the digest of statements, if their docstrings count too."""
    return hashlib.sha256(f"{digest} {documents(body)}".encode()).hexdigest()


# -- where modules are ------------------------------------------------------------------------


def _spec(name: str, paths: Sequence[str]) -> ModuleSpec | None:
    """Find a module without importing anything, not even the packages that it is in."""
    parent, _, _ = name.rpartition(".")
    where: Sequence[str] = paths
    if parent:
        above = _spec(parent, paths)
        if above is None or above.submodule_search_locations is None:
            return None
        if not _is_own(parent, above):
            return None
        where = list(above.submodule_search_locations)
    elif name in sys.builtin_module_names:
        return ModuleSpec(name, None)
    found = PathFinder.find_spec(name, list(where))
    if found is None:  # an editable install may have a finder of its own
        loaded = getattr(sys.modules.get(name), "__spec__", None)
        found = loaded if isinstance(loaded, ModuleSpec) else None
    return found


def is_own(name: str) -> bool:
    """Tell whether a module that this process has loaded is the user's own."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return isinstance(spec, ModuleSpec) and _is_own(name, spec)


def where(name: str) -> str:
    """Give the file of a module of the user's own, looked for as this process would; or ""."""
    spec = _spec(name, sys.path)
    if spec is None or spec.origin is None or not _is_own(name, spec):
        return ""
    return spec.origin if spec.has_location else ""


def _is_own(name: str, spec: ModuleSpec) -> bool:
    """Tell whether a module is the user's own: it belongs to no installed distribution."""
    top = name.partition(".")[0]
    if top == _PACKAGE:
        return False
    origin = spec.origin if spec.has_location else None
    if origin is None:  # built in, or a package without a file, whose modules are judged each
        return spec.submodule_search_locations is not None
    return _file_is_own(top, origin)


@lru_cache(maxsize=4096)
def _file_is_own(top: str, origin: str) -> bool:
    real = os.path.realpath(origin)
    for place in _install_places():
        if real.startswith(place):
            return not _distributions(top)
    return not real.startswith(_library_places())


@cache
def _install_places() -> tuple[str, ...]:
    """Give the directories that distributions are installed into, each with a slash at its end."""
    known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    known += [*site.getsitepackages(), site.getusersitepackages()]
    known += [entry for entry in sys.path if any(Path(entry or ".").glob("*.dist-info"))]
    return tuple(dict.fromkeys(f"{os.path.realpath(entry)}/" for entry in known))


@cache
def _library_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(f"{os.path.realpath(paths[name])}/" for name in ("stdlib", "platstdlib"))


@lru_cache(maxsize=1024)
def _distributions(top: str) -> tuple[tuple[str, str], ...]:
    """Give name and version of the distributions that have a top-level module."""
    if top in sys.stdlib_module_names:
        return ()
    from importlib import metadata  # slow to import

    name = _DISTRIBUTION if top == _PACKAGE else top
    try:
        found = metadata.distribution(name)
        return ((found.metadata["Name"], found.version),)
    except (metadata.PackageNotFoundError, ValueError):
        names = sorted(set(_by_module().get(top, ())))
        return tuple((name, metadata.version(name)) for name in names)


@cache
def _by_module() -> dict[str, list[str]]:
    from importlib import metadata

    return dict(metadata.packages_distributions())


# -- compiled files that are out of date ------------------------------------------------------


def drop_outdated(path: str) -> bool:
    """Remove the compiled form of a file if Python would take it although the file has changed.

    Python compares whole seconds and sizes: what is written twice within a second is not seen.

    Returns
    -------
    bool
        Whether there was one: who has imported the file may have got what it said before.
    """
    try:
        compiled = cache_from_source(path)
        source, made = os.stat(path), os.stat(compiled)
        if made.st_mtime_ns > source.st_mtime_ns:
            return False
        with open(compiled, "rb") as file:
            flags, seconds, size = struct.unpack("<4x3I", file.read(16))
        if flags == 0 and (seconds, size) == (int(source.st_mtime), source.st_size):
            os.unlink(compiled)
            return True
    except (OSError, NotImplementedError, struct.error):
        pass  # there is none that could be taken
    return False
