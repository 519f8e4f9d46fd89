"""What of a workspace nobody needs: found, shown, and deleted if somebody says so.

Rule 1: looking changes nothing; `Garbage` is a preview that stays as it is.
Rule 2: nothing goes that runs, or that a running or waiting job needs, whosever it is. It is asked
for again when it is deleted, under the lock of the job: what was true of the preview may have
changed. In doubt it stays (`engine.needed`).
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from xpm_nb.core import doors
from xpm_nb.core.views import TableView
from xpm_nb.engine.needed import Needed, name_of, outcome_of
from xpm_nb.errors import ConfigError, XpmError
from xpm_nb.store import locks, records, removal
from xpm_nb.store.layout import CachePaths, JobPaths, Workspace, numbered, writer_of

DAY_S = 86400.0
HOUR_S = 3600.0
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_UNITS = {"s": 1.0, "m": 60.0, "h": HOUR_S, "d": DAY_S, "": DAY_S, "w": 7 * DAY_S}

# Why something is there, as people read it; the first that fits is told.
FAILED, STALE, UNREFERENCED = "failed", "stale", "unreferenced"
ORPHANS = ("no record", "unfinished write", "attempt", "rehearsal", "cache", "half deleted")

IsStale = Callable[[JobPaths], bool]


class Piece(NamedTuple):
    """Something that could go."""

    kind: str
    name: str  # for people
    path: Path
    bytes: int
    changed: float  # when anything in it changed last, seconds since the epoch
    job: JobPaths | None = None  # to whom it belongs
    cache: CachePaths | None = None
    stamp: tuple[object, ...] = ()  # of a job: another one when it has been run meanwhile


@dataclass(frozen=True, slots=True, repr=False)
class Garbage:
    """What could go: a preview, displayed as a table. `delete` does it.

    Attributes
    ----------
    workspace : Workspace
        Where.
    pieces : tuple[Piece, ...]
        The largest first.
    left : tuple[tuple[str, str], ...]
        Name of what was not deleted, and why.
    deleted : bool
        It is gone: this tells what was deleted.
    """

    workspace: Workspace
    pieces: tuple[Piece, ...]
    left: tuple[tuple[str, str], ...] = ()
    deleted: bool = False
    made: float = 0.0
    forget: Callable[[Sequence[JobPaths]], None] | None = field(default=None, compare=False)
    busy: Callable[[], Iterable[str]] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[Piece]:
        return iter(self.pieces)

    @property
    def bytes(self) -> int:
        """How much it is, in bytes."""
        return sum(piece.bytes for piece in self.pieces)

    def view(self) -> TableView:
        """Give the frozen copy for displays."""
        rows = [
            (piece.kind, piece.name, size_text(piece.bytes), age_text(self.made - piece.changed))
            for piece in self.pieces
        ]
        rows += [("left alone", name, why, "") for name, why in self.left]
        counts = Counter(piece.kind for piece in self.pieces)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        many = f"{len(self.pieces)} thing{'' if len(self.pieces) == 1 else 's'}"
        done = f"deleted {many}" if self.deleted else f"{many} nobody needs"
        caption = f"{done}, {size_text(self.bytes)}" + (f": {told}" if told else "")
        if self.pieces and not self.deleted:
            caption += "\nnothing is deleted yet: %xpm gc --yes, or xp.gc(…).delete()"
        return TableView(
            columns=("why", "what", "size", "last change") if rows else (),
            rows=tuple(rows),
            numeric=(False, False, True, True),
            caption=caption,
        )

    def __repr__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    def delete(self) -> Garbage:
        """Delete it, and give what was deleted, and what was left alone and why.

        Jobs that run, or that anything running or waiting needs by now, stay; so does what has
        changed since the preview was made, and whatever lies behind a link.
        """
        if self.deleted:
            return self
        needed = Needed(self.workspace, self.busy)
        needed.look()
        gone, left = [], []
        for piece in self.pieces:
            try:
                _delete(self.workspace, piece, needed)
                gone.append(piece)
            except FileNotFoundError:  # somebody else was quicker
                continue
            except (XpmError, OSError) as error:
                text = str(error) if isinstance(error, XpmError) else error.strerror or str(error)
                left.append((piece.name, text))
        jobs = [p.job for p in gone if p.job is not None and p.path == p.job.path]
        _unlist(self.workspace, jobs)
        if self.forget is not None and jobs:
            self.forget(jobs)
        return Garbage(self.workspace, tuple(gone), tuple(left), deleted=True, made=self.made)


def find(
    workspace: Workspace,
    *,
    failed: bool = False,
    stale: bool = False,
    unreferenced: bool = False,
    orphans: bool = False,
    older_than: str | float | None = None,
    is_stale: IsStale | None = None,
    busy: Callable[[], Iterable[str]] | None = None,
    forget: Callable[[Sequence[JobPaths]], None] | None = None,
) -> Garbage:
    """Find what nobody needs; see `Experiment.gc`.

    Parameters
    ----------
    is_stale : callable, optional
        Tells whether the code of a done job has changed.
    busy : callable, optional
        Gives keys of jobs of which this process knows that they are under way.
    forget : callable, optional
        Told which jobs were deleted.
    """
    least_s = 0.0 if older_than is None else seconds_of(older_than)
    wanted = {
        kind
        for kind, chosen in ((FAILED, failed), (STALE, stale), (UNREFERENCED, unreferenced))
        if chosen
    }
    wanted.update(ORPHANS if orphans else ())
    now = time.time()
    found = [
        piece
        for piece in _pieces(workspace, Needed(workspace, busy), is_stale, now)
        if (not wanted or piece.kind in wanted) and now - piece.changed >= least_s
    ]
    found.sort(key=lambda piece: (-piece.bytes, piece.name))
    return Garbage(workspace, tuple(found), made=now, forget=forget, busy=busy)


def seconds_of(age: str | float) -> float:
    """Read an age: ``"30d"``, ``"12h"``, ``"2w"``, or a number of days.

    Raises
    ------
    ConfigError
        It is none.
    """
    match = _AGE.fullmatch(str(age).strip().lower())
    if match is None or isinstance(age, bool):
        raise ConfigError(f"{age!r} is no age: write 30d, 12h, 2w, or a number of days")
    return float(match[1]) * _UNITS[match[2]]


# -- looking ------------------------------------------------------------------------------------


def _pieces(
    workspace: Workspace, needed: Needed, is_stale: IsStale | None, now: float
) -> Iterator[Piece]:
    needed.look()
    for paths in needed.jobs.values():
        kind = _kind(paths, needed, is_stale)
        if kind:
            piece = _piece(kind, name_of(paths), paths.path, paths)
            yield piece._replace(stamp=_stamp(paths))
        else:
            yield from _leftovers(paths, now)
    for cache in workspace.caches():
        if cache.path.name not in needed.mentioned:
            name = f"{cache.type_name} {cache.path.name[:8]}"
            yield _piece("cache", name, cache.path)._replace(cache=cache)
    for folder in (workspace.root, workspace.jobs_dir, workspace.deleting):
        for path in _listed(folder):
            if folder == workspace.deleting and now - _changed(path) > HOUR_S:
                yield _piece("half deleted", path.name, path)
            elif _left_behind(path, now):
                yield _piece("unfinished write", path.name, path)


def _kind(paths: JobPaths, needed: Needed, is_stale: IsStale | None) -> str:
    """Say why a job could go, "" if it stays."""
    if paths.key in needed.now or paths.path.is_symlink():
        return ""
    outcome = outcome_of(paths)
    if not (paths.record.exists() or paths.params.exists() or outcome):
        return "no record"
    if outcome in ("failed", "lost"):
        return FAILED
    if outcome == "done" and is_stale is not None and is_stale(paths):
        return STALE
    return "" if paths.key in needed.referenced else UNREFERENCED


def _stamp(paths: JobPaths) -> tuple[object, ...]:
    """Give something that changes when a job is submitted, run, or ends."""
    out: list[object] = []
    for path in (paths.record, paths.params, paths.process, paths.done, paths.failed):
        with suppress(OSError):
            found = path.lstat()
            out.append((path.name, found.st_mtime_ns, found.st_ino))
    return tuple(out)


def _leftovers(paths: JobPaths, now: float) -> Iterator[Piece]:
    """Find what a job that stays does not need."""
    for path in numbered(paths.attempts):
        if not (path / paths.disowned.name).exists():  # of which the history is kept
            yield _piece("attempt", f"{name_of(paths)}, attempt {path.name}", path, paths)
    for path in numbered(paths.by_hand):
        yield _piece("rehearsal", f"{name_of(paths)}, rehearsal {path.name}", path, paths)
    for path in _listed(paths.private):
        if _left_behind(path, now):
            yield _piece("unfinished write", f"{name_of(paths)}, {path.name}", path, paths)


def _left_behind(path: Path, now: float) -> bool:
    """Tell whether somebody began to write a file, and did not come to its end."""
    pid = writer_of(path.name)
    if pid is None or now - _changed(path) < HOUR_S:
        return False
    return locks.start_of(pid) is None or now - _changed(path) > DAY_S


def _piece(kind: str, name: str, path: Path, job: JobPaths | None = None) -> Piece:
    size, changed = _measure(path)
    return Piece(kind, name, path, size, changed, job)


def _listed(folder: Path) -> list[Path]:
    try:
        return [] if folder.is_symlink() else [folder / name for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return time.time()


def _measure(path: Path) -> tuple[int, float]:
    """Give how many bytes lie there, and when anything changed last; links are not followed."""
    size, changed, stack = 0, 0.0, [path]
    while stack:
        one = stack.pop()
        with suppress(OSError):
            found = one.lstat()
            size += found.st_size
            changed = max(changed, found.st_mtime)
            if not one.is_symlink() and one.is_dir():
                stack += [Path(entry.path) for entry in os.scandir(one)]
    return size, changed


# -- deleting -----------------------------------------------------------------------------------


def _delete(workspace: Workspace, piece: Piece, needed: Needed) -> None:
    job = piece.job
    if piece.cache is not None:
        removal.remove_cache(piece.cache)
    elif job is None:
        removal.remove(workspace.root, piece.path)
    elif piece.path == job.path:
        removal.remove_job(job, lambda: _in_the_way(piece, job, needed))
    else:
        name = piece.path.relative_to(job.private).as_posix()
        removal.remove_inside(job, name, lambda: locks.legacy_holder(job) or "")


def _in_the_way(piece: Piece, job: JobPaths, needed: Needed) -> str:
    """Say why a job must stay although the preview has it; asked under its lock."""
    if (holder := locks.legacy_holder(job)) is not None:
        return f"{name_of(job)} is run by {holder}"
    if text := needed.why(job):
        return text
    found_again = piece.kind == UNREFERENCED and job.key in needed.referenced
    if found_again or _stamp(job) != piece.stamp:
        return f"{name_of(job)} has changed since it was looked at"
    return ""


def _unlist(workspace: Workspace, jobs: Iterable[JobPaths]) -> None:
    """Take deleted jobs from the lists of all runs, where another kernel would look for them."""
    gone = {paths.relative for paths in jobs}
    if not gone:
        return
    now = time.time()
    for experiment in workspace.experiments():
        for run in experiment.runs():
            with suppress(XpmError, OSError):
                for row in dict.fromkeys(row.job for row in records.read_run_jobs(run)):
                    if row in gone:
                        records.forget_run_job(run, row, now)


# -- words --------------------------------------------------------------------------------------


def size_text(count: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def age_text(age_s: float) -> str:
    """Write an age in its largest unit."""
    for unit, length_s in (("d", DAY_S), ("h", HOUR_S), ("min", 60.0)):
        if age_s >= length_s:
            return f"{age_s / length_s:.0f} {unit} ago"
    return "just now"
