"""What the panel of an experiment is told, and what it may ask. Pure: nothing is sent from here.

A `Feed` holds the rows as the panel knows them. The panel gets one snapshot and then only what
changed, numbered, so that it can tell when it has missed something and asks for a new snapshot.
What comes from a panel goes through `read`: whatever is not exactly one of the messages that there
are is nothing.

A row is two lists, with what is empty cut off at their ends::

    s = [id, task, submitted, [tag value…]]     what is known from the start
    d = [state, reason, started, ended, progress, its text, attempt, flags, [metric…], message,
         said]

with the first 12 digits of the identifier as `id`, times in seconds since the feed's `t0`, and
tasks and values of tags by their numbers in lists that are sent once.

Rule 1: rows are only ever added at the end. What else changes of `s` takes a new snapshot.
Rule 2: a snapshot holds no row that was not told as a change before: a change is numbered from the
snapshot before it, and adds its rows once.
Rule 3: what is sent can be written as JSON in UTF-8, whatever a user's text holds, and is cut.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from xpm_nb.core.freshness import BADGES
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView

VERSION = 1
DIGITS = 12  # of an identifier: what stands for a job

LETTERS = {
    JobState.UNSCHEDULED: "u",
    JobState.WAITING: "w",
    JobState.READY: "y",
    JobState.SCHEDULED: "s",
    JobState.RUNNING: "r",
    JobState.DONE: "d",
    JobState.ERROR: "e",
}
REUSED, ELSEWHERE, EARLIER, CALLBACK_ERROR, DRIFTED, UNKNOWN = 1, 2, 4, 8, 128, 256
STALE = {word: number << 4 for number, word in enumerate(("", *BADGES))}  # three bits

MAX_NAME = 80  # characters of a tag's or metric's name
MAX_TAG = 200  # of a tag's value
MAX_PROGRESS = 100
MAX_MESSAGE = 300
MAX_METRICS = 50  # of all jobs: more cannot be looked at
MAX_TAGS = 50

MAX_ID = 64
MAX_LIST = 10_000
MAX_LINES = 5_000
MAX_CURVES = 32
MAX_WORD = 200
MAX_PATH = 1_000
MAX_VALUE = 100_000
MAX_NUMBER = 2**53  # what JavaScript counts to
STALE_S = 5.0  # an act that is older comes from a click before something else happened

Json = dict[str, Any]


def short_id(key: str) -> str:
    """Give what stands for a job in messages, from its key or its identifier."""
    return key.rpartition("/")[2][:DIGITS]


# -- values -------------------------------------------------------------------------------------


def text(value: str, limit: int | None = None) -> str:
    """Cut a text, and replace halves of surrogate pairs, which no UTF-8 can hold."""
    if limit is not None and len(value) > limit:
        value = value[: limit - 1] + "…"
    if value.isascii():  # most are
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def number(value: float, digits: int = 6) -> float | int | None:
    """Round to so many digits that count; None for what is no number, whole where it is whole."""
    try:
        rounded = float(f"{value:.{digits}g}")
    except (OverflowError, ValueError):  # an int of a thousand digits
        return None
    if not math.isfinite(rounded):
        return None
    return int(rounded) if rounded.is_integer() and abs(rounded) < MAX_NUMBER else rounded


def plain(value: Any) -> Any:
    """Give a view as JSON values: texts that can be sent, None for numbers that cannot."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int):
        return value if abs(value) <= MAX_NUMBER else number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {text(str(k)): plain(v) for k, v in value.items()}
    return [plain(item) for item in value]


def trimmed(row: list[Any], empty: Sequence[Any]) -> list[Any]:
    """Cut off what is empty at the end of a row."""
    length = len(row)
    while length and row[length - 1] == empty[length - 1]:
        length -= 1
    return row[:length]


# -- what a panel is told -----------------------------------------------------------------------

_EMPTY_S: Sequence[Any] = ("", -1, None, [])
_EMPTY_D: Sequence[Any] = ("", "", None, None, None, "", 1, 0, [], "", 0)


def _put(row: list[Any], index: int, value: Any, empty: Any) -> None:
    """Set an item of a row that may be too short, and cut what is empty at its end."""
    row += [empty] * (index + 1 - len(row))
    row[index] = value
    while row and row[-1] == empty:
        row.pop()


class _Words:
    """Texts by number, in the order in which they were met."""

    def __init__(self, limit: int = MAX_LIST) -> None:
        self.known: dict[str, int] = {}
        self.limit = limit
        self.grown = False  # since it was told last

    def number(self, word: str) -> int:
        """Give the number of a text, -1 if there are too many to take another."""
        found = self.known.get(word)
        if found is None:
            if len(self.known) >= self.limit:
                return -1
            found = self.known[word] = len(self.known)
            self.grown = True
        return found


@dataclass(slots=True)
class _Row:
    view: JobView
    s: list[Any]
    d: list[Any]


class Feed:
    """The jobs of an experiment as its panel knows them, and what it has to be told.

    Not for several threads: its owner takes care.

    Parameters
    ----------
    t0 : float
        From when times are counted, in seconds since the epoch.
    """

    def __init__(self, t0: float) -> None:
        self.t0 = math.floor(t0)
        self.seq = 0
        self.unfinished = 0
        self.broken = False  # what is new cannot be told as a change: a snapshot is due
        self.running: set[str] = set()  # keys
        self.structure = 0  # counts what changed of which jobs there are, and what needs what
        self.numbers: dict[str, int] = {}  # of rows, by the job's key
        self._rows: list[_Row] = []
        self._ids: dict[str, str] = {}  # keys
        self._told = 0  # rows
        self._changed: set[int] = set()
        self._tasks = _Words()
        self._metrics = _Words(MAX_METRICS)
        self._tag_names = _Words(MAX_TAGS)
        self._tags: list[_Words] = []

    # -- taking in ------------------------------------------------------------------------

    def take(self, views: Iterable[JobView]) -> None:
        """Take note of how jobs are now; those not met before come after the others."""
        for view in views:
            index = self.numbers.get(view.key)
            if index is None:
                self._add(view)
                continue
            row = self._rows[index]
            if row.view is view:
                continue
            self._change(index, row, view)

    def _add(self, view: JobView) -> None:
        self.numbers[view.key] = len(self._rows)
        self._ids[short_id(view.key)] = view.key
        self._rows.append(_Row(view, self._static(view), self._dynamic(view)))
        self.unfinished += not view.state.idle
        if view.state is JobState.RUNNING:
            self.running.add(view.key)
        self.structure += 1

    def _change(self, index: int, row: _Row, view: JobView) -> None:
        before, row.view = row.view, view
        self.unfinished += before.state.idle - view.state.idle
        if view.state is JobState.RUNNING:
            self.running.add(view.key)
        else:
            self.running.discard(view.key)
        if view.dependencies != before.dependencies or view.task != before.task:
            self.structure += 1
        if (view.tags, view.submitted, view.task) != (before.tags, before.submitted, before.task):
            static = self._static(view)
            self.broken = self.broken or (static != row.s and index < self._told)
            row.s = static
        dynamic = self._dynamic(view)
        if dynamic != row.d:
            row.d = dynamic
            self._changed.add(index)

    def _time(self, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return round(value - self.t0, 2)

    def _static(self, view: JobView) -> list[Any]:
        tags: list[int] = []
        for name, value in view.tags:
            index = self._tag_names.number(text(name, MAX_NAME))
            if index < 0:
                continue
            while len(self._tags) <= index:
                self._tags.append(_Words())
            _put(tags, index, self._tags[index].number(text(value, MAX_TAG)), -1)
        task = self._tasks.number(text(view.task, MAX_NAME))
        return trimmed([short_id(view.key), task, self._time(view.submitted), tags], _EMPTY_S)

    def _dynamic(self, view: JobView) -> list[Any]:
        flags = STALE.get(view.stale, 0)
        flags += DRIFTED * bool(view.drift) + UNKNOWN * bool(view.unknown)
        flags += REUSED * view.reused + ELSEWHERE * view.elsewhere + EARLIER * view.earlier
        metrics: list[Any] = []
        for name, value in view.metrics:
            index = self._metrics.number(text(name, MAX_NAME))
            if index >= 0:
                _put(metrics, index, number(value), None)
        row = [
            LETTERS[view.state],
            "" if view.reason is None else view.reason.value,
            self._time(view.started),
            self._time(view.ended),
            None if view.progress is None else number(view.progress, 4),
            text(view.progress_text, MAX_PROGRESS),
            view.attempt,
            flags + CALLBACK_ERROR * bool(view.callback_error),
            metrics,
            text(view.message, MAX_MESSAGE),
            len(view.said),
        ]
        return trimmed(row, _EMPTY_D)

    # -- looking --------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """No job will change by itself any more."""
        return self.unfinished == 0

    @property
    def pending(self) -> bool:
        """There is something to tell."""
        return self.broken or bool(self._changed) or self._told < len(self._rows)

    def key(self, job_id: str) -> str | None:
        """Give the key of the job with this id, None if there is none."""
        return self._ids.get(job_id[:DIGITS])

    def view(self, key: str) -> JobView | None:
        """Give the last view of a job."""
        index = self.numbers.get(key)
        return None if index is None else self._rows[index].view

    def views(self) -> list[JobView]:
        """Give the last views of all jobs."""
        return [row.view for row in self._rows]

    # -- telling --------------------------------------------------------------------------

    def snapshot(self, now: float, **more: Any) -> Json:
        """Tell everything that was told before; changes after it begin with its number."""
        return {
            "v": VERSION,
            "seq": self.seq,
            "ts": round(now, 3),
            "t0": self.t0,
            **more,
            **self._words(),
            "rows": [[row.s, row.d] for row in self._rows[: self._told]],
        }

    def packed(self, now: float, **more: Any) -> Json:
        """Give `snapshot` as the model's state has it, made short (``packed.js`` reads it).

        Notebooks that keep the state of widgets write each number on a line of its own.
        """
        whole = json.dumps(self.snapshot(now, **more), ensure_ascii=False, separators=(",", ":"))
        data = whole.encode("utf-8")
        deflated = zlib.compress(data, wbits=-zlib.MAX_WBITS)
        packed = base64.b64encode(deflated).decode("ascii")
        return {"v": VERSION, "seq": self.seq, "size": len(data), "packed": packed}

    def renew(self) -> None:
        """Begin anew: the next snapshot holds everything, and takes the place of every change."""
        self.seq += 1
        self._told = len(self._rows)
        self._changed.clear()
        self.broken = False
        self._grown()

    def change(self, now: float, **more: Any) -> Json:
        """Tell what changed since the last time, with `more` said beside it."""
        before, self.seq = self.seq, self.seq + 1
        message: Json = {"t": "d", "prev": before, "seq": self.seq, "ts": round(now, 3)}
        changed = sorted(index for index in self._changed if index < self._told)
        message["r"] = [[index, self._rows[index].d] for index in changed]
        message["n"] = [[row.s, row.d] for row in self._rows[self._told :]]
        self._told = len(self._rows)
        self._changed.clear()
        words = self._words()
        message.update({name: words[name] for name in self._grown()})
        message.update(more)
        return message

    def greeting(self, now: float) -> Json:
        """Tell nothing but where we are, so that who has missed something notices."""
        return {"t": "d", "prev": self.seq, "seq": self.seq, "ts": round(now, 3), "r": [], "n": []}

    def _words(self) -> Json:
        names = list(self._tag_names.known)
        return {
            "tasks": list(self._tasks.known),
            "tags": [
                [name, list(words.known)] for name, words in zip(names, self._tags, strict=True)
            ],
            "metrics": list(self._metrics.known),
        }

    def _grown(self) -> list[str]:
        """Say which of the lists of words have grown since the last time."""
        kinds: dict[str, list[_Words]] = {
            "tasks": [self._tasks],
            "tags": [self._tag_names, *self._tags],
            "metrics": [self._metrics],
        }
        found = []
        for kind, lists in kinds.items():
            if any(words.grown for words in lists):
                found.append(kind)
            for words in lists:
                words.grown = False
        return found


def unpack(state: Mapping[str, Any]) -> Json:
    """Read what `Feed.packed` gave."""
    whole: Json = json.loads(zlib.decompress(base64.b64decode(state["packed"]), -zlib.MAX_WBITS))
    return whole


# -- what a panel may ask -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """What one view of a panel wants kept up to date."""

    log: str = ""  # a job
    lines: int = 0
    detail: str = ""  # a job
    curves: tuple[str, ...] = ()  # jobs
    graph: str = ""  # "auto", "job", "task"
    table: bool = False
    over: str = ""  # a tag, for the table


@dataclass(frozen=True, slots=True)
class Request:
    """A message of a front-end that is one of those there are."""

    do: str
    id: int
    at: float | None = None
    jobs: tuple[str, ...] = ()
    view: str = ""
    watch: Watch = Watch()
    path: str = ""
    value: str = ""


def _is_text(limit: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= limit


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= MAX_NUMBER


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def _is_job(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID


def _is_jobs(at_most: int, at_least: int = 0) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list)
        and at_least <= len(value) <= at_most
        and all(_is_job(item) for item in value)
    )


def _or_null(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_table(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) - {"over"}:
        return False
    over = value.get("over")
    return over is None or (isinstance(over, str) and len(over) <= MAX_WORD)


Checks = Mapping[str, Callable[[Any], bool]]

_ACT: Checks = {"jobs": _is_jobs(MAX_LIST, 1), "at": _is_number}
_OPTIONAL: Checks = {"at": _or_null(_is_number)}
# What a message must hold, and what it may.
PANEL: Mapping[str, tuple[Checks, Checks]] = {
    "cancel": (_ACT, {}),
    "retry": (_ACT, {}),
    "rerun": (_ACT, {}),
    "watch": (
        {"view": _is_text(MAX_ID)},
        {
            **_OPTIONAL,
            "log": _or_null(_is_job),
            "lines": _or_null(_is_count),
            "detail": _or_null(_is_job),
            "curves": _or_null(_is_jobs(MAX_LIST)),
            "graph": lambda value: value in (None, "auto", "job", "task"),
            "table": _or_null(_is_table),
        },
    ),
    "diff": ({"jobs": _is_jobs(2, 2)}, _OPTIONAL),
    "resync": ({}, _OPTIONAL),
    "ping": ({}, _OPTIONAL),
}
FORM: Mapping[str, tuple[Checks, Checks]] = {
    "set": ({"path": _is_text(MAX_PATH), "value": _is_text(MAX_VALUE)}, _OPTIONAL),
    "submit": ({}, _OPTIONAL),
    "reset": ({}, _OPTIONAL),
}


def read(content: Any, verbs: Mapping[str, tuple[Checks, Checks]] = PANEL) -> Request | None:
    """Give what a message asks; None for anything that is not one of the messages there are."""
    if not isinstance(content, dict):
        return None
    verb = content.get("do")
    if not isinstance(verb, str) or verb not in verbs or not _is_count(content.get("id")):
        return None
    needed, possible = verbs[verb]
    given = {name: value for name, value in content.items() if name not in ("do", "id")}
    if set(needed) - set(given) or set(given) - set(needed) - set(possible):
        return None
    if not all((needed.get(name) or possible[name])(value) for name, value in given.items()):
        return None
    return Request(
        do=verb,
        id=content["id"],
        at=given.get("at"),
        jobs=tuple(given.get("jobs") or ()),
        view=given.get("view") or "",
        watch=_watch(given) if verb == "watch" else Watch(),
        path=given.get("path") or "",
        value=given.get("value") or "",
    )


def _watch(given: Mapping[str, Any]) -> Watch:
    table = given.get("table")
    return Watch(
        log=given.get("log") or "",
        lines=min(given.get("lines") or 200, MAX_LINES),
        detail=given.get("detail") or "",
        curves=tuple(dict.fromkeys(given.get("curves") or ()))[:MAX_CURVES],
        graph=given.get("graph") or "",
        table=table is not None,
        over="" if table is None else table.get("over") or "",
    )


def ack(request: Request, note: str = "") -> Json:
    """Answer a message; `note` says why nothing was done."""
    return {"t": "ack", "id": request.id, "ok": not note, "note": text(note, MAX_MESSAGE)}


def too_late(request: Request, now: float) -> str:
    """Say why an act is not carried out any more; empty if it is."""
    if request.at is None or abs(now - request.at) <= STALE_S:
        return ""
    return "came too late: click again"
