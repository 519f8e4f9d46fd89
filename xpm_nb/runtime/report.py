"""What a job says while it runs: progress and metrics, appended to files of its directory.

Cheap enough to be called a thousand times a second: a call costs about a microsecond, and files are
written at once while calls are rare, at most ten times a second when they are not. Progress written
later replaces what was held back; metrics are all kept. Outside a job these functions do nothing,
but that `tqdm` draws a bar.

The lines, as `store.files.read_lines` gives them::

    progress.jsonl  {"time": …, "progress": 0.25, "level": 0, "desc": "epoch"}
    metrics.jsonl   {"time": …, "step": 12, "metrics": {"loss": 0.31}}
    outputs.jsonl   {"time": …, "method": "checkpoint", "args": [12], "options": {}}
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock  # `threading` is 2 ms more, in each job
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from time import monotonic, time
from types import TracebackType
from typing import Any, Generic, TypeVar

from xpm_nb.store.files import Appender
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Output, add_output

T = TypeVar("T")

_RATE = 10.0  # writes a second of each file, in the long run
_BURST = 20.0  # … and how many at once, so that the last of a few calls is never held back
_ROWS = 1000  # metrics held back at most


class _File:
    """One file of lines, written now if it is not too soon."""

    def __init__(self, open_file: Callable[[], Appender]) -> None:
        self._open = open_file
        self._file: Appender | None = None
        self._credit = _BURST
        self._last = monotonic()
        self.rows: list[dict[str, Any]] = []

    def may_write(self, now: float) -> bool:
        self._credit = min(_BURST, self._credit + (now - self._last) * _RATE)
        self._last = now
        if self._credit < 1.0 and len(self.rows) < _ROWS:
            return False
        self._credit = max(0.0, self._credit - 1.0)
        return True

    def write(self) -> None:
        if self.rows:
            if self._file is None:
                self._file = self._open()
            self._file.write(self.rows)
            self.rows = []

    def close(self) -> None:
        self.write()
        if self._file is not None:
            self._file.close()
            self._file = None


class _Reports:
    """The reports of the job that this process runs."""

    def __init__(self, where: Callable[[], JobPaths]) -> None:
        self._guard = allocate_lock()
        self._where = where
        self._progress = _File(lambda: Appender(where().progress))
        self._metrics = _File(lambda: Appender(where().metrics))
        self._levels: dict[int, dict[str, Any]] = {}  # the latest row of each level
        self._late: set[int] = set()  # levels whose row is held back
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # What is held back is the parent's to write; its lock may be held by a thread of its own.
        self._guard = allocate_lock()
        self._late.clear()
        self._metrics.rows = []

    def progress(self, value: float, level: int, desc: str | None) -> None:
        with self._guard:
            if desc is None and level in self._levels:
                desc = self._levels[level]["desc"]
            row = {"time": time(), "progress": value, "level": level, "desc": desc}
            self._levels[level] = row
            self._late.add(level)
            if self._progress.may_write(monotonic()):
                self._write_progress()

    def _write_progress(self) -> None:
        self._progress.rows = [self._levels[level] for level in sorted(self._late)]
        self._late.clear()
        # A full disk is no reason to end a job that only says how far it is.
        with suppress(OSError):
            self._progress.write()

    def metrics(self, values: dict[str, float], step: int | float | None) -> None:
        with self._guard:
            self._metrics.rows.append({"time": time(), "step": step, "metrics": values})
            if self._metrics.may_write(monotonic()):
                self._metrics.write()

    def output(self, output: Output) -> None:
        with self._guard:
            add_output(self._where(), output)

    def close(self) -> None:
        with self._guard:
            self._write_progress()
            self._progress.rows = []
            self._progress.close()
            self._metrics.close()


_reports: _Reports | None = None


def open_job(where: Callable[[], JobPaths]) -> None:
    """Make this process a job whose reports go to a directory (for the runner).

    It is asked for when a file is opened: the workspace may have been moved by then.
    """
    global _reports
    _reports = _Reports(where)


def close_job() -> None:
    """Write what is held back; from now on reports go nowhere (for the runner)."""
    global _reports
    reports, _reports = _reports, None
    if reports is not None:
        reports.close()


def progress(value: float, level: int = 0, desc: str | None = None) -> None:
    """Say how far the job is.

    Parameters
    ----------
    value : float
        A fraction from 0 to 1.
    level : int
        0 for the job as a whole, 1 for a loop inside, and so on.
    desc : str, optional
        What is being done; stays until it is replaced.
    """
    if _reports is not None:
        _reports.progress(min(1.0, max(0.0, float(value))), level, desc)


def log_metrics(metrics: Mapping[str, Any], step: int | float | None = None) -> None:
    """Record figures: the last value of each name is the one shown in tables.

    Parameters
    ----------
    metrics : Mapping[str, number]
        Numbers, or what `float` makes one of (an element of an array, a tensor of one element).
    step : int or float, optional
        When in the course of the job: an epoch, a number of examples.

    Raises
    ------
    TypeError
        A value is not a number; the message names it. Or there are no names. Also outside a job.
    """
    if not hasattr(metrics, "items"):
        raise TypeError(f'log_metrics() takes names and numbers, {{"loss": 0.5}}, not {metrics!r}')
    values = {str(name): _number(name, value) for name, value in metrics.items()}
    if step is not None:
        step = _number("step", step)
    if _reports is not None:
        _reports.metrics(values, step)


def _number(name: object, value: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    try:
        index = getattr(value, "__index__", None)
        return float(value) if index is None or isinstance(value, bool) else int(index())
    except (TypeError, ValueError) as error:
        raise TypeError(f"the metric {name!r} is not a number: {value!r}") from error


def task_output(method: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Note an output of the task; at once, for somebody may be waiting for it (for the runner).

    Raises
    ------
    RecordError
        JSON cannot hold an argument.
    """
    if _reports is not None:
        _reports.output(Output(method, args, options))


class tqdm(Generic[T]):
    """Go through something and report how far it is; nested loops take the next levels.

    In a job that is its progress; elsewhere a bar is drawn on the error stream.

    Parameters
    ----------
    iterable : iterable, optional
        What to go through; without it, call `update`.
    desc : str, optional
        What is being done.
    total : number, optional
        How many steps there are, if ``len(iterable)`` does not tell.
    **options
        Of the library of this name: ``disable`` and ``initial`` count, the others do not.

    Examples
    --------
    >>> for epoch in tqdm(range(10), desc="epoch"):
    ...     for batch in tqdm(batches):
    ...         step(batch)
    """

    _depth = 0  # how many are open: the level of the next

    def __init__(
        self,
        iterable: Iterable[T] | None = None,
        desc: str | None = None,
        total: float | None = None,
        **options: Any,
    ) -> None:
        if total is None and iterable is not None:
            try:
                total = len(iterable)  # type: ignore[arg-type]
            except TypeError:
                total = None
        self.iterable = iterable
        self.total = total
        self.desc = desc or ""
        self.n: float = options.get("initial", 0)
        self._step = self.n
        self._postfix = ""
        self._level = tqdm._depth
        self._open = True
        self._bar = _Bar() if _reports is None and not options.get("disable") else None
        self._muted = bool(options.get("disable"))
        tqdm._depth += 1
        self._show()

    def __iter__(self) -> Iterator[T]:
        if self.iterable is None:
            raise TypeError("tqdm() without something to go through: call update() instead")
        try:
            for item in self.iterable:
                yield item
                self.n += 1
                self._show()
        finally:
            self.close()

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("this tqdm() does not know its total")
        return int(self.total)

    def __enter__(self) -> tqdm[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, n: float = 1) -> None:
        """Go on by `n` steps."""
        self.n += n
        self._show()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Say what is being done."""
        self.desc = desc or ""
        if refresh:
            self._show()

    def set_postfix(self, values: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Show a few values beside the progress."""
        both = {**(values or {}), **more}
        self._postfix = ", ".join(
            f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in both.items()
        )
        self._show()

    def set_postfix_str(self, text: str = "") -> None:
        """Show a text beside the progress."""
        self._postfix = text
        self._show()

    def write(self, text: str, **options: Any) -> None:
        """Print a line without disturbing the bar."""
        if self._bar is not None:
            self._bar.clear()
        sys.stdout.write(f"{text}\n")

    def close(self) -> None:
        """End the loop: the next one takes its level."""
        if self._open:
            self._open = False
            tqdm._depth = max(0, tqdm._depth - 1)
            if self._bar is not None:
                self._bar.end(self._text())

    def _text(self) -> str:
        share = f"{self.n / self.total:4.0%} " if self.total else ""
        count = f"{self.n:g}/{self.total:g}" if self.total is not None else f"{self.n:g}"
        return " ".join(
            filter(None, (f"{self.desc}:" if self.desc else "", share + count, self._postfix))
        )

    def _show(self) -> None:
        if self._muted:
            return
        if self._bar is not None:
            self._bar.draw(self._text)
        elif self.total:
            desc = " ".join(filter(None, (self.desc, self._postfix)))
            progress(self.n / self.total, self._level, desc or None)


class _Bar:
    """One line of the error stream, drawn over at most ten times a second, if somebody looks."""

    def __init__(self) -> None:
        watched = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        self._stream = sys.stderr if watched else None
        self._last = 0.0
        self._width = 0

    def draw(self, text: Callable[[], str]) -> None:
        now = monotonic()
        if self._stream is not None and now - self._last >= 1 / _RATE:
            self._last = now
            self._put(text())

    def _put(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def clear(self) -> None:
        if self._width:
            self._put("")
            self._put("")

    def end(self, text: str) -> None:
        if self._stream is not None:
            self._put(text)
            self._stream.write("\n")
            self._stream.flush()
            self._stream = None
