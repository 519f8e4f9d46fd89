"""What is kept of a failure for a look at it afterwards: the frames, their lines, their values.

Imported when a task has failed, and not before. Values are kept as texts (`runtime.texts`): what a
person sees of them, never the values themselves.

Rule 1: nothing here makes a failure worse.
Rule 2: values whose names look like secrets are not kept, wherever they turn up again.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from types import TracebackType as Trace
from typing import Any

from xpm_nb.core.masks import mask
from xpm_nb.runtime.texts import Texts, Watch

MAX_ERRORS = 4  # of a chain
MAX_FRAMES = 40  # of one exception: the first few, and the last
FIRST_FRAMES = 8
LINES_BEFORE, LINES_AFTER = 40, 15  # of the line at which a frame is
MAX_LINE = 300


def describe(error: BaseException, trace: Trace | None) -> dict[str, Any]:
    """Describe an exception with its causes, as JSON values.

    Parameters
    ----------
    error : BaseException
        What was raised.
    trace : TracebackType or None
        Its traceback, from the user's first frame on.
    """
    with Watch() as watch:
        texts = Texts(watch)
        found = []
        for link, one in _chain(error):
            tb = trace if one is error else one.__traceback__
            found.append(_error(one, tb, link, texts))
        return {"errors": _without(found, texts.secrets)}


def _chain(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Give an exception, then what caused it, and how the one hangs together with the other."""
    link, one, seen = "", error, set[int]()
    for _ in range(MAX_ERRORS):
        yield link, one
        seen.add(id(one))
        if one.__cause__ is not None:
            link, following = "cause", one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            link, following = "context", one.__context__
        else:
            return
        if id(following) in seen:
            return
        one = following


def _error(error: BaseException, tb: Trace | None, link: str, texts: Texts) -> dict[str, Any]:
    kind = type(error)
    stack = []
    while tb is not None:
        stack.append((tb.tb_frame, tb.tb_lineno))
        tb = tb.tb_next
    left_out = max(0, len(stack) - MAX_FRAMES)
    if left_out:
        stack[FIRST_FRAMES : FIRST_FRAMES + left_out] = []
    # The innermost frame comes first: if there is too much, the others have less.
    frames = [_frame(frame, line or 0, texts) for frame, line in reversed(stack)][::-1]
    return {
        "kind": kind.__qualname__,
        "module": kind.__module__,
        "message": mask(texts.message(error)),
        "link": link,
        "left_out": left_out,
        "frames": frames,
    }


def _frame(frame: FrameType, line: int, texts: Texts) -> dict[str, Any]:
    code = frame.f_code
    whole = code.co_name == "<module>"
    first, lines = _source(code, frame.f_globals, line, whole)
    names = {} if whole else _reached(code, frame.f_globals)
    return {
        "file": code.co_filename,
        "line": line,
        "function": code.co_qualname,
        "module": str(frame.f_globals.get("__name__", "")),
        "whole": whole,
        "definition": code.co_firstlineno,
        "first": first,
        "lines": [mask(text) for text in lines],
        "values": texts.of_names(frame.f_locals),
        "globals": texts.of_names(names),
    }


def _source(
    code: CodeType, space: Mapping[str, Any], line: int, whole: bool
) -> tuple[int, list[str]]:
    """Give the lines of a function, or those around the present one; and the first one's number."""
    known = linecache.getlines(code.co_filename, dict(space))
    ends = [number for *_, number in code.co_lines() if number]
    first, last = (1, len(known)) if whole else (code.co_firstlineno, max(ends, default=line))
    first, last = max(first, line - LINES_BEFORE, 1), min(max(last, line), line + LINES_AFTER)
    return first, [text.rstrip("\n")[:MAX_LINE] for text in known[first - 1 : last]]


def _reached(code: CodeType, space: Mapping[str, Any]) -> dict[str, Any]:
    """Give the globals that a function names."""
    return {name: space[name] for name in code.co_names if name in space}


def _without(value: Any, secrets: set[str]) -> Any:
    """Take secrets out wherever they turn up again: under another name, in a message."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {key: _without(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(item, secrets) for item in value]
    return value
