"""The modules that code imports: those of the user's own, read from their files, and the others.

Rule 1: what counts is the file, as a job that starts now would read it. No module is imported, and
what this process has loaded of it is not asked.
Rule 2: a file is read and parsed once for each state of it, and imports are followed once for each
state of the places that they lead through.
"""

from __future__ import annotations

import ast
import hashlib
import marshal
import os
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import cache_from_source, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

from xpm_nb.code import places
from xpm_nb.code.canonical import digest_of, documents, reads_annotations, reads_documents
from xpm_nb.code.places import Look

_NOTHING: Mapping[str, str] = {}

Stamp = tuple[int, int]
"""When a file was written, in nanoseconds, and its size: another one means other content."""


class Unreadable(Exception):
    """A file that no job could import as it is now; `args[0]` says which and why."""


class Import(NamedTuple):
    """One import of a module, with the names taken from it, which may be modules too."""

    module: str
    names: tuple[str, ...] = ()


MAX_KEPT = 512  # searches whose outcome is kept in memory

#: Characters of a file that each job keeps the text of, to show what has changed.
KEPT = 100_000


class Module(NamedTuple):
    """A module of the user's own, as its file is now."""

    name: str
    path: str
    seen: Look
    text: str
    digest: str
    imports: tuple[Import, ...]
    reads_documents: bool = False
    documented: str = ""  # the digest, of its docstrings too
    reads_annotations: bool = False

    @property
    def stamp(self) -> Stamp:
        """When its file was written, and its size."""
        return self.seen.written, self.seen.size

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
                module = absolute_module(node, package)
                if module and module != "__future__":
                    found[Import(module, names)] = None
            elif isinstance(node, ast.Call) and (name := _called(node)):
                found[Import(name)] = None
    return tuple(found)


def absolute_module(node: ast.ImportFrom, package: str) -> str:
    """Give the module of a ``from`` import, a relative one seen from its package."""
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


def reach(
    imports: Iterable[Import], paths: Sequence[str], off: Mapping[str, str] = _NOTHING
) -> Reached:
    """Follow imports through all modules of the user's own.

    Parameters
    ----------
    imports
        Where to begin.
    paths
        Where modules are looked for, as a job would.
    off
        The files of modules, by name, that no path leads to: where the search finds none, these.

    Raises
    ------
    Unreadable
        For a module of the user's own that cannot be read as Python.
    """
    here = places.search(paths)
    key = tuple(imports), tuple(off.items())
    known: Reached | None = here.kept.get(key)
    if known is None or not all(places.look(m.path) == m.seen for m in known.modules):
        now = time.time_ns()
        known = _follow(key[0], here, off)
        if len(here.kept) > MAX_KEPT:
            here.kept.clear()
        here.kept.pop(key, None)
        if not any(module.seen.is_young(now) for module in known.modules):
            here.kept[key] = known
    return known


def _follow(imports: Iterable[Import], here: places.Search, off: Mapping[str, str]) -> Reached:
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
            spec = here.spec(name)
            if spec is None and places.look(file := off.get(name, "")) is not None:
                spec = spec_from_file_location(name, file)
            if spec is None:
                continue  # no module (a name in one), or one that a job would not find either
            if not here.is_own(name, spec):
                tops.add(name.partition(".")[0])
            elif spec.origin is not None and spec.has_location:
                module = found[name] = load(name, spec.origin, _package_of(name, spec))
                pending += module.imports
    packages = dict(sorted(pair for top in tops for pair in here.distributions(top)))
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
    now = time.time_ns()
    seen = places.look(path)
    if seen is None:
        raise Unreadable(f"{path} cannot be read: {_trouble(path)}")
    # What was written a moment ago may be written once more, and look the same.
    read = _load.__wrapped__ if seen.is_young(now) else _load
    return read(name, path, package, seen)


def stamp(path: str) -> Stamp:
    """Tell one content of a file from another.

    Raises
    ------
    Unreadable
        There is no such file.
    """
    seen = places.look(path)
    if seen is None:
        raise Unreadable(f"{path} cannot be read: {_trouble(path)}")
    return seen.written, seen.size


def _trouble(path: str) -> str:
    try:
        os.stat(path)
    except NotADirectoryError:
        return "it is in an archive, into which nobody looks"
    except OSError as error:
        return error.strerror or "it is not there"
    return "it came just now"


@lru_cache(maxsize=2048)
def _load(name: str, path: str, package: str, seen: places.Look) -> Module:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
    if not path.endswith(".py"):  # compiled: nothing to look into
        return Module(name, path, seen, "", hashlib.sha256(data).hexdigest(), ())
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
        seen,
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


# -- those that this process has loaded ---------------------------------------------------------


def is_own(name: str, here: places.Search | None = None) -> bool:
    """Tell whether a module that this process has loaded is the user's own."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    here = here or places.search(places.import_path())
    return isinstance(spec, ModuleSpec) and here.is_own(name, spec)


def where(name: str, here: places.Search) -> str:
    """Give the file of a module, looked for as a job would; or "" if there is none."""
    spec = here.spec(name)
    return spec.origin or "" if spec is not None and spec.has_location else ""


# -- compiled files that are out of date ------------------------------------------------------


def drop_outdated(path: str) -> bool:
    """Remove the compiled form of a file if Python would take it although the file has changed.

    Python compares whole seconds and sizes: what is written twice within a second is not seen, nor
    is another file in the place of one (by its name, or by a link) that was written with it.

    Returns
    -------
    bool
        Whether that said something else: who has imported the file may have got it.
    """
    try:
        compiled = cache_from_source(path)
        source, made = os.stat(path), os.stat(compiled)
        came_ns = max(source.st_mtime_ns, source.st_ctime_ns, os.lstat(path).st_ctime_ns)
        with open(compiled, "rb") as file:
            flags, seconds, size = struct.unpack("<4x3I", file.read(16))
            if flags == 0:
                taken = (seconds, size) == (int(source.st_mtime) & 0xFFFFFFFF, source.st_size)
                if made.st_mtime_ns > came_ns or not taken:
                    return False
            elif flags != _UNCHECKED:
                return False
            rest = file.read()
        differs = not _is_of(path, rest)
        if differs or flags == 0:
            os.unlink(compiled)
        return differs
    except (OSError, NotImplementedError, struct.error):
        return False  # there is none that could be taken


_UNCHECKED = 0b01  # compiled with a digest of the file, which Python does not look at


def _is_of(path: str, compiled: bytes) -> bool:
    """Tell whether code is what a file says."""
    try:
        now = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        return bool(marshal.loads(compiled) == now)
    except (SyntaxError, ValueError, EOFError, TypeError):
        return False
