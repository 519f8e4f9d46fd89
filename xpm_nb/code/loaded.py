"""The modules that a task loads and that nothing in its code names: imported by a computed name.

What the text of the code says is known when a task is submitted; of these only the run can tell.
The job notes them when it ends (`look`), and whoever asks later whether its result is stale
compares them with their files as they are then (`present`).

Rule: what was loaded cannot be read any more when a job ends, only its file. A file that was
written while the job ran is in doubt, and so is the result.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from xpm_nb.code import modules, places
from xpm_nb.code.modules import Unreadable
from xpm_nb.store.records import Loaded

_COARSE_S = 0.02  # file systems take the time from a clock that ticks


def look(files: Mapping[str, str], since: float) -> tuple[list[Loaded], list[str]]:
    """Give the user's own among modules that are loaded in this process.

    Parameters
    ----------
    files
        Files by the names of modules.
    since
        When the process began, seconds since the epoch: nothing was loaded before.

    Returns
    -------
    tuple
        The modules, by name, and the files that may say something else than what was loaded.
    """
    found, doubtful = [], []
    here = places.search(places.import_path())
    for name in sorted(files):
        path = files[name]
        if not modules.is_own(name, here) or not _is_on_path(path):
            continue
        try:
            status = os.stat(path)
            module = modules.load(name, path, "")
        except (OSError, Unreadable):
            doubtful.append(path)
            continue
        written = max(status.st_mtime, status.st_ctime)
        if written >= since - _COARSE_S or modules.drop_outdated(path):
            doubtful.append(path)
        found.append(Loaded(name, path, module.digest, module.stamp, module.kept))
    return found, doubtful


def _is_on_path(path: str) -> bool:
    """Tell whether a file is below a place where modules are looked for.

    Others are made while tasks run (by compilers, by templates), in places that come and go.
    """
    real = os.path.realpath(path)
    return any(real.startswith(os.path.join(os.path.realpath(p), "")) for p in sys.path)


def present(some: Iterable[Loaded]) -> dict[str, str]:
    """Give the digests of modules as a job would find them now, by the path each had.

    Those that a job would not find by their names (a task may look in places of its own) are what
    their files say; "" is for one that is gone.
    """
    some = tuple(some)
    here = _here(some)
    return {one.path: _present(one, path) for one, path in zip(some, here, strict=True)}


def texts(some: Iterable[Loaded]) -> dict[str, str]:
    """Give the texts of modules as a job would find them now, by the path each had."""
    some = tuple(some)
    found: dict[str, str] = {}
    for one, path in zip(some, _here(some), strict=True):
        with suppress(Unreadable):
            found[one.path] = modules.load(one.name, path, "").kept
    return found


def _here(some: Sequence[Loaded]) -> list[str]:
    """Give the files in which a job would find modules now."""
    if not some:
        return []
    search = places.search(places.import_path())
    return [modules.where(one.name, search) or one.path for one in some]


def _present(one: Loaded, path: str) -> str:
    try:
        if path == one.path and modules.stamp(path) == one.stamp:
            return one.digest
        return modules.load(one.name, path, "").digest
    except Unreadable:
        return ""
