"""What was kept of a failure, as frozen views: errors, frames, lines, values.

Read from what a job wrote (`runtime.frames`); nothing raises, whatever stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MAX_LINE = 1_000_000  # a number beyond is no line's


@dataclass(frozen=True, slots=True)
class FrameView:
    """One frame of a failed job.

    Attributes
    ----------
    file, line, function, module
        Where it was.
    whole : bool
        It was a module's own, and no function's.
    definition : int
        The line at which the function begins.
    first : int
        The number of the first of `lines`.
    lines : tuple[str, ...]
        The source as it was, around the line.
    values, globals : tuple
        Name and text of the local variables, and of the global ones that the function names.
    """

    file: str
    line: int
    function: str
    module: str = ""
    whole: bool = False
    definition: int = 1
    first: int = 1
    lines: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    globals: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The line at which it was, "" if it is not known."""
        index = self.line - self.first
        return self.lines[index].strip() if 0 <= index < len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class ErrorView:
    """One exception, with its frames from the outermost to the innermost.

    `link` says how it hangs together with the one before it: "cause" and "context" of that one.
    """

    kind: str
    message: str
    module: str = "builtins"
    link: str = ""
    left_out: int = 0  # frames in the middle
    frames: tuple[FrameView, ...] = ()

    @property
    def said(self) -> str:
        """Kind and message, as a traceback ends."""
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True, slots=True)
class FramesView:
    """What was kept of a failure: what was raised first, then what caused it."""

    name: str  # of the job, for people
    identifier: str = ""
    errors: tuple[ErrorView, ...] = ()


def frames_view(name: str, identifier: str, data: Mapping[str, Any] | None) -> FramesView:
    """Make the view of what a job wrote; what cannot be understood is left out."""
    found = _rows(data or {}, "errors")
    return FramesView(name, identifier, tuple(_error(row) for row in found))


def shortened(
    view: FramesView, *, frames: int, around: int, values: int, chars: int, all_chars: int
) -> FramesView:
    """Cut what was kept, so that it may be sent: what is innermost stays.

    Parameters
    ----------
    view : FramesView
        What was kept.
    frames : int
        How many of each error, the innermost ones.
    around : int
        How many lines before and after the present one.
    values : int
        How many of each frame.
    chars, all_chars : int
        How long one text may be, and those of all values together; global variables are left out.
    """
    errors = []
    left = all_chars
    for error in view.errors:
        kept: list[FrameView] = []
        for frame in reversed(error.frames[-frames:]):
            some: list[tuple[str, str]] = []
            for name, text in frame.values[:values]:
                name, text = _cut(name, chars), _cut(text, chars)
                left -= len(name) + len(text)
                if left >= 0:
                    some.append((name, text))
            at = frame.line - frame.first
            start = max(0, at - around)
            lines = tuple(
                _cut(line, chars) for line in frame.lines[start : max(0, at + around + 1)]
            )
            kept.insert(
                0,
                replace(
                    frame,
                    first=frame.first + start,
                    lines=lines,
                    values=tuple(some),
                    globals=(),
                ),
            )
        missing = error.left_out + len(error.frames) - len(kept)
        message = _cut(error.message, 2 * chars)
        errors.append(replace(error, frames=tuple(kept), left_out=missing, message=message))
    return replace(view, errors=tuple(errors))


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def _error(row: Mapping[str, Any]) -> ErrorView:
    return ErrorView(
        kind=_text(row, "kind") or "?",
        message=_text(row, "message"),
        module=_text(row, "module"),
        link=_text(row, "link"),
        left_out=_number(row, "left_out"),
        frames=tuple(_frame(inner) for inner in _rows(row, "frames")),
    )


def _frame(row: Mapping[str, Any]) -> FrameView:
    lines = row.get("lines")
    return FrameView(
        file=_text(row, "file") or "?",
        line=max(1, _number(row, "line")),
        function=_text(row, "function") or "?",
        module=_text(row, "module"),
        whole=row.get("whole") is True,
        definition=max(1, _number(row, "definition")),
        first=max(1, _number(row, "first")),
        lines=tuple(str(line) for line in lines) if isinstance(lines, list) else (),
        values=_pairs(row, "values"),
        globals=_pairs(row, "globals"),
    )


def _rows(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = data.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return _clean(value) if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Give a text that may be the name of a file, a class or a function."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _number(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return value if type(value) is int and 0 <= value <= MAX_LINE else 0


def _pairs(row: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    found = row.get(name)
    return tuple(
        (str(pair[0]), str(pair[1]))
        for pair in (found if isinstance(found, list) else ())
        if isinstance(pair, list) and len(pair) == 2
    )
