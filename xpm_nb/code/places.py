"""Where a job that starts now would find modules, and whose they are.

Rule 1: nothing is imported, and what this process has loaded is asked only where no path leads.
Rule 2: what was found holds as long as no place that was looked into has changed. A name may come
to mean another file though none that was found before was touched: something nearer appeared, an
optional module came, a package took the place of a module.
"""

from __future__ import annotations

import os
import site
import stat
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from importlib.machinery import FrozenImporter, ModuleSpec
from typing import Any, NamedTuple

_PACKAGE = __name__.partition(".")[0]
_DISTRIBUTION = "xpm-nb"

# What a file system tells no two changes apart within: its clock ticks; some count whole seconds.
TICK_NS, WHOLE_NS = 50_000_000, 2_000_000_000
# Who looks at many files takes a while; a time that is later than that was never the present.
AFTER_NS = 60_000_000_000


class Look(NamedTuple):
    """What tells one state of a file or directory from another: any change alters it."""

    written: int  # nanoseconds
    size: int
    changed: int
    number: int
    device: int
    mode: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def is_young(self, now: int) -> bool:
        """Tell whether another change may leave it equal.

        Parameters
        ----------
        now
            When looking began, nanoseconds since the epoch.
        """
        last = max(self.written, self.changed)
        tick = TICK_NS if last % 1_000_000_000 else WHOLE_NS
        return now - tick <= last <= now + AFTER_NS


def look(path: str) -> Look | None:
    """Look at a file or directory; None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return Look(
        status.st_mtime_ns,
        status.st_size,
        status.st_ctime_ns,
        status.st_ino,
        status.st_dev,
        status.st_mode,
    )


class Search:
    """Finds modules on a path, and remembers what it has looked at.

    Parameters
    ----------
    paths
        The directories and archives of the path, absolute.

    Attributes
    ----------
    kept : dict
        What others have made of what was found: it holds as long as the search does.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        self.kept: dict[Any, Any] = {}
        self._began = time.time_ns()
        self._seen: dict[str, Look | None] = {}
        self._young = False
        self._finders: dict[str, Any] = {}
        self._specs: dict[str, ModuleSpec | None] = {}
        self._strays: dict[str, ModuleSpec | None] = {}  # on no path: what this process knew
        self._own: dict[tuple[str, str], bool] = {}
        self._folders: dict[str, str] = {}

    def holds(self) -> bool:
        """Tell whether everything that was looked at is as it was."""
        if self._young:
            return False
        # Another thread may be adding to them.
        if any(look(path) != seen for path, seen in list(self._seen.items())):
            return False
        return all(_loaded_as(name) is spec for name, spec in list(self._strays.items()))

    def spec(self, name: str) -> ModuleSpec | None:
        """Find a module without importing anything, not even the packages that it is in."""
        if name not in self._specs:
            self._specs[name] = self._find(name)
        return self._specs[name]

    def _find(self, name: str) -> ModuleSpec | None:
        if not name.isprintable() or os.sep in name:
            return None  # from a damaged record, perhaps: a name is no path
        parent = name.rpartition(".")[0]
        where: Sequence[str] = self.paths
        if parent:
            above = self.spec(parent)
            if above is None or above.submodule_search_locations is None:
                return None
            if not self.is_own(parent, above):
                return None
            where = list(above.submodule_search_locations)
        elif name in sys.builtin_module_names or _is_frozen(name):
            return ModuleSpec(name, None)
        return self._on(where, name) or self._stray(name)

    def _on(self, where: Iterable[str], name: str) -> ModuleSpec | None:
        """Find a module in the first of some places that has it."""
        portions: list[str] = []
        last = name.rpartition(".")[2]
        for entry in where:
            seen = self._look(entry)
            finder = None if seen is None else self._finder(entry)
            if finder is None:
                continue
            if seen is not None and seen.is_directory:
                inner = os.path.join(entry, last)  # it may become a package
                if look(inner) is not None:
                    self._look(inner)
            found = finder.find_spec(name)
            if isinstance(found, ModuleSpec) and found.loader is not None:
                return found
            portions += getattr(found, "submodule_search_locations", None) or ()
        if not portions:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def _look(self, path: str) -> Look | None:
        if path not in self._seen:
            seen = self._seen[path] = look(path)
            self._young |= seen is not None and seen.is_young(self._began)
        return self._seen[path]

    def _finder(self, entry: str) -> Any:
        if entry not in self._finders:
            seen = self._look(entry)
            young = seen is None or seen.is_young(self._began)
            self._finders[entry] = _finder_of(entry) if young else _finder(entry, seen)
        return self._finders[entry]

    def _stray(self, name: str) -> ModuleSpec | None:
        """Give what this process has loaded: an editable install may have a finder of its own."""
        spec = self._strays[name] = _loaded_as(name)
        if spec is not None and spec.origin is not None and self._look(spec.origin) is None:
            return None  # it is gone, and a job finds nothing
        return spec

    def is_own(self, name: str, spec: ModuleSpec) -> bool:
        """Tell whether a module is the user's own: it belongs to no installed distribution."""
        top = name.partition(".")[0]
        if top == _PACKAGE:
            return False
        origin = spec.origin if spec.has_location else None
        if origin is None:  # built in, or a package without a file, whose modules are judged each
            return spec.submodule_search_locations is not None
        if (top, origin) not in self._own:
            self._own[top, origin] = self._file_is_own(top, origin)
        return self._own[top, origin]

    def _file_is_own(self, top: str, origin: str) -> bool:
        real = self._real(origin)
        if any(real.startswith(place) for place in self._installs):
            return not self.distributions(top)
        return not real.startswith(_library_places())

    def _real(self, file: str) -> str:
        if os.path.islink(file):
            return os.path.realpath(file)
        folder, name = os.path.split(file)
        if folder not in self._folders:  # many files are in one
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)

    def distributions(self, top: str) -> tuple[tuple[str, str], ...]:
        """Give name and version of the distributions that have a top-level module."""
        if top in sys.stdlib_module_names:
            return ()
        return _distributions(top, tuple(self._installs.values()), self.paths)

    @cached_property
    def _installs(self) -> dict[str, tuple[str, Look]]:
        """The directories that distributions are installed into, each with a slash at its end."""
        some = [(entry, self._look(entry)) for entry in self.paths]
        known = [(entry, seen) for entry, seen in some if seen and _has_distributions(entry, seen)]
        known += [(entry, seen) for entry in _site_places() if (seen := self._look(entry))]
        return {f"{os.path.realpath(entry)}/": (entry, seen) for entry, seen in known}


_last: dict[tuple[str, ...], Search] = {}


def search(paths: Sequence[str]) -> Search:
    """Give a search on a path that knows of everything that is there now."""
    key = tuple(paths)
    known = _last.get(key)
    if known is None or not known.holds():
        if len(_last) > 16:
            _last.clear()
        known = _last[key] = Search(key)
    return known


def import_path() -> tuple[str, ...]:
    """Give the path of the jobs of this process, '' and relative entries resolved now."""
    entries = tuple(entry for entry in sys.path if isinstance(entry, str))  # as Python does
    here = ""
    if not all(map(os.path.isabs, entries)):
        try:
            here = os.getcwd()
        except OSError:  # it was deleted, and what is in it is not to be had
            entries = tuple(filter(os.path.isabs, entries))
    return _import_path(entries, here)


@lru_cache(maxsize=4)  # the records of a sweep hold one and the same, not a copy each
def _import_path(entries: tuple[str, ...], here: str) -> tuple[str, ...]:
    found = list(dict.fromkeys(os.path.abspath(entry) for entry in entries if entry))
    if "" in entries and here not in found:
        # What lies beside a notebook comes before what is installed, and after Python's own.
        own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
        own |= {os.path.join(path, "lib-dynload") for path in own}
        last = max((n for n, entry in enumerate(found) if entry in own), default=-1)
        found.insert(last + 1, here)
    return tuple(found)


def _loaded_as(name: str) -> ModuleSpec | None:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec if isinstance(spec, ModuleSpec) else None


def _is_frozen(name: str) -> bool:
    """Tell whether Python has a module in itself, whatever files there are."""
    return name in sys.stdlib_module_names and FrozenImporter.find_spec(name) is not None


@lru_cache(maxsize=256)
def _finder(entry: str, seen: Look) -> Any:
    return _finder_of(entry)


def _finder_of(entry: str) -> Any:
    """Give what finds modules in one place, with nothing in it of what was there before."""
    for hook in sys.path_hooks:
        try:
            finder = hook(entry)
        except ImportError:
            continue
        if hasattr(finder, "invalidate_caches"):  # those of archives share what they have read
            finder.invalidate_caches()
        return finder
    return None


@lru_cache(maxsize=256)
def _has_distributions(entry: str, seen: Look) -> bool:
    if not seen.is_directory:
        return False
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(entry))
    except OSError:
        return False


@lru_cache(maxsize=1)
def _site_places() -> tuple[str, ...]:
    known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return tuple(dict.fromkeys([*known, *site.getsitepackages(), site.getusersitepackages()]))


@lru_cache(maxsize=1)
def _library_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(f"{os.path.realpath(paths[name])}/" for name in ("stdlib", "platstdlib"))


@lru_cache(maxsize=1024)
def _distributions(
    top: str, installs: tuple[tuple[str, Look], ...], paths: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    from importlib import metadata  # slow to import

    name = _DISTRIBUTION if top == _PACKAGE else top
    found = next(iter(metadata.distributions(name=name, path=list(paths))), None)
    if found is not None:
        return ((found.metadata["Name"], found.version),)
    names = sorted(set(_by_module(installs).get(top, ())))
    return tuple((name, metadata.version(name)) for name in names)


@lru_cache(maxsize=4)
def _by_module(installs: tuple[tuple[str, Look], ...]) -> dict[str, list[str]]:
    from importlib import metadata

    return dict(metadata.packages_distributions())
