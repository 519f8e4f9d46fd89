"""What a job's directory has for people to look at: its log, the course of its metrics, its files.

Nothing here writes, and nothing raises because a file is large, missing, damaged or being written.
"""

from __future__ import annotations

import keyword
import math
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from xpm_nb.errors import MissingFileError, RecordError, WorkspaceError
from xpm_nb.store import files
from xpm_nb.store.layout import PRIVATE, JobPaths, inside

LINES = 5000  # of a log, at most
_LEAST_BYTES, _MOST_BYTES, _LINE_BYTES = 64 * 1024, 2 * 1024 * 1024, 400
_CHUNK_BYTES = 4 * 1024 * 1024
_BUCKETS = 1024
MANY = 1000  # files that are listed, at most

Point = tuple[float, float]


# -- logs -------------------------------------------------------------------------------------


def tail(path: Path, lines: int) -> str:
    """Give the last lines of a file that may be large or missing.

    At most 2 MB are read, and no more than some 400 bytes for each line that is asked for.
    """
    lines = min(lines, LINES)
    if lines < 1:
        return ""
    most = min(_MOST_BYTES, max(_LEAST_BYTES, lines * _LINE_BYTES))
    try:
        with files.open_file(path) as file:
            start = max(0, file.seek(0, os.SEEK_END) - most)
            file.seek(start)
            data = file.read(most)
    except OSError:
        return ""
    rows = data.decode("utf-8", "replace").rstrip().split("\n")
    if start and len(rows) > 1:  # the first is the end of one
        del rows[0]
    return "\n".join(rows[-lines:])


def size(*paths: Path) -> int:
    """Give how many bytes files have together; those that are missing have none."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


# -- curves -----------------------------------------------------------------------------------


class Series:
    """Points in the order in which they came, so many that a screen can show them.

    They are kept in buckets of as many points each, of which the first, the smallest, the largest
    and the last stay; when there are too many buckets, each two become one.
    """

    def __init__(self, buckets: int = _BUCKETS) -> None:
        self.count = 0
        self._most = 2 * buckets
        self._width = 1
        self._buckets: list[list[Point]] = []

    def add(self, x: float, y: float) -> None:
        """Take one more point."""
        if self.count % self._width:
            self._buckets[-1] = _extremes([*self._buckets[-1], (x, y)])
        else:
            self._buckets.append([(x, y)])
            if len(self._buckets) > self._most:
                self._buckets = _merged(self._buckets, 2)
                self._width *= 2
        self.count += 1

    def points(self, limit: int) -> tuple[Point, ...]:
        """Give at most so many of them (4 at least): first, last and extremes are among them."""
        buckets = self._buckets
        if sum(map(len, buckets)) > limit:
            buckets = _merged(buckets, math.ceil(len(buckets) / max(1, limit // 4)))
        return tuple(point for bucket in buckets for point in bucket)


def _merged(buckets: list[list[Point]], count: int) -> list[list[Point]]:
    """Make one bucket of each so many."""
    return [
        _extremes([point for bucket in buckets[i : i + count] for point in bucket])
        for i in range(0, len(buckets), count)
    ]


def _extremes(points: list[Point]) -> list[Point]:
    """Keep the first, the lowest, the highest and the last of some points."""
    if len(points) <= 4:
        return points
    heights = [y for _, y in points]
    low, high = heights.index(min(heights)), heights.index(max(heights))
    return [points[i] for i in sorted({0, low, high, len(points) - 1})]


class Curves:
    """The course of each metric of one job, read on as its file grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._series: dict[str, Series] = {}
        self._guard = threading.Lock()

    def points(self, names: Iterable[str] | None, limit: int) -> dict[str, tuple[Point, ...]]:
        """Give at most so many points of each metric that there is, by default of all."""
        with self._guard:
            self._read()
            wanted = self._series if names is None else dict.fromkeys(names)
            known = self._series
            return {name: known[name].points(limit) for name in wanted if name in known}

    def _read(self) -> None:
        try:
            stat = self._path.stat()
        except OSError:
            stat = None
        file = None if stat is None else (stat.st_dev, stat.st_ino)
        if file != self._file or stat is None or stat.st_size < self._offset:  # another attempt
            self._file, self._offset, self._series = file, 0, {}
        while stat is not None:
            before = self._offset
            try:
                rows, self._offset = files.read_lines(self._path, before, _CHUNK_BYTES)
            except RecordError:
                return
            for row in rows:
                self._take(row)
            if self._offset <= before:  # the rest is no whole line
                return

    def _take(self, row: Mapping[str, Any]) -> None:
        values, step = row.get("metrics"), _number(row.get("step"))
        for name, value in values.items() if isinstance(values, dict) else ():
            y = _number(value)
            if y is not None:
                series = self._series.get(name)
                if series is None:
                    series = self._series[name] = Series()
                series.add(series.count if step is None else step, y)


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# -- files ------------------------------------------------------------------------------------


class Files(Mapping[str, Path]):
    """The files of a job's directory, by name; those in folders as ``"folder/name"``.

    ``job.files["digits.npz"]`` is a path, and so is ``job.files.digits_npz``: what is no letter,
    digit or ``_`` is written as ``_`` there. What is our own (``.experimaestro``) is left out, and
    so is what lies elsewhere, behind a link.
    """

    __slots__ = ("_paths",)

    def __init__(self, paths: JobPaths) -> None:
        self._paths = paths

    def __getitem__(self, name: str) -> Path:
        """Give the path of a file or folder.

        Raises
        ------
        MissingFileError
            There is none, or it lies outside of the directory.
        """
        if isinstance(name, str) and self._mine(name):
            return self._paths.path / name
        near = get_close_matches(str(name), list(self), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise MissingFileError(f"{self._paths.path} has no file {name!r}{hint}")

    def _mine(self, name: str) -> bool:
        parts = name.split("/")
        if not all(part not in ("", ".", "..") and "\0" not in part for part in parts):
            return False
        path = self._paths.path / name
        try:
            inside(self._paths.path, path)
            real = Path(os.path.realpath(path)).relative_to(os.path.realpath(self._paths.path))
            return real.parts[:1] != (PRIVATE,) and path.exists()  # no circle of links
        except (WorkspaceError, OSError, ValueError):
            return False

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._walk())

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                found = sorted(os.scandir(self._paths.path / folder), key=lambda one: one.name)
            except OSError:  # it is gone by now, or not ours to read
                continue
            inner = []
            for one in found:
                name = f"{folder}{one.name}"
                if name == PRIVATE:
                    continue
                if one.is_dir(follow_symlinks=False):
                    inner.append(f"{name}/")
                elif not one.is_symlink() or (self._mine(name) and one.is_file()):
                    yield name, one
            folders += reversed(inner)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    # -- at hand in a notebook ------------------------------------------------------------

    def _ipython_key_completions_(self) -> list[str]:
        return list(islice(self, MANY))

    def _attributes(self) -> dict[str, str]:
        """Give the file that each attribute stands for; none that could be two."""
        found: dict[str, list[str]] = {}
        for name in islice(self, MANY):
            found.setdefault(_attribute(name), []).append(name)
        return {a: names[0] for a, names in found.items() if len(names) == 1 and _is_open(a)}

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._attributes()]

    def __getattr__(self, name: str) -> Path:
        if _is_open(name) and (file := self._attributes().get(name)) is not None:
            return self[file]
        raise AttributeError(f"no file of the job is called {name!r}, with '_' for other signs")

    def __repr__(self) -> str:
        rows = []
        for name, one in islice(self._walk(), MANY + 1):
            try:
                rows.append((_shown(name), _bytes(one.stat().st_size)))
            except OSError:
                continue
        more = len(rows) > MANY
        width = max((len(name) for name, _ in rows[:MANY]), default=0)
        sizes = max((len(text) for _, text in rows[:MANY]), default=0)
        lines = [f"  {name:<{width}}  {text:>{sizes}}" for name, text in rows[:MANY]]
        head = f"{len(rows[:MANY])}{' and more' if more else ''} files in {self._paths.path}"
        return "\n".join([head, *lines])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self)}


def _attribute(name: str) -> str:
    text = re.sub(r"\W", "_", name)
    return f"_{text}" if text[:1].isdigit() else f"{text}_" if keyword.iskeyword(text) else text


def _is_open(attribute: str) -> bool:
    # Others are asked for by the dozen: by displays, copies and pickles.
    return not attribute.startswith("_") or attribute[1:2].isdigit()


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
