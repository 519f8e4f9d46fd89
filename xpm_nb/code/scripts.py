"""The text of a script as it was executed last, which may be neither the first nor that of now.

``%run`` executes a file as it is; Python's own cache of lines keeps the text that somebody read
first. The live objects of ``__main__`` tell which of the texts that were seen they come from.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import CodeType
from typing import Any

from xpm_nb.code.bytecode import parse
from xpm_nb.code.equal import same_value

KEPT = 8  # texts of a file: code of older ones is that of nobody's objects any more

_seen: dict[str, list[str]] = {}

Holds = Callable[[str, CodeType], bool]
"""Tells whether a text, compiled in one piece, gives a code object."""


def texts_of(filename: str, codes: Iterable[CodeType], holds: Holds) -> list[str]:
    """Give the texts that a file has had, that of the live objects of ``__main__`` first.

    Parameters
    ----------
    filename
        The file, as code objects name it.
    codes
        The live code objects.
    holds
        See `Holds`.

    Returns
    -------
    list[str]
        Empty if nobody knows any.
    """
    seen = _seen.get(filename, [])
    for text in ("".join(linecache.getlines(filename)), _read(filename)):
        if text and text not in seen:
            seen = [*seen, text][-KEPT:]
    if len(seen) > 1:
        mine = [code for code in codes if code.co_filename == filename]
        # The latest of those that explain most.
        best = max(range(len(seen)), key=lambda i: (_explained(seen[i], mine, holds), i))
        seen = [*seen[:best], *seen[best + 1 :], seen[best]]
    if os.path.isfile(filename):
        _seen[filename] = seen
    return seen[::-1]


def _read(filename: str) -> str:
    if os.path.isfile(filename):
        with suppress(OSError, SyntaxError, UnicodeDecodeError), tokenize.open(filename) as file:
            return file.read()
    return ""


def _explained(text: str, codes: Iterable[CodeType], holds: Holds) -> int:
    """Count the live things that a text would make just so."""
    space = vars(sys.modules["__main__"])
    values = sum(same_value(space.get(name), value) for name, value in _literals(text))
    return values + sum(holds(text, code) for code in codes)


def _literals(text: str) -> Iterator[tuple[str, Any]]:
    for node in parse(text):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            with suppress(ValueError, TypeError, SyntaxError, RecursionError):
                value = ast.literal_eval(node.value)
                yield from ((t.id, value) for t in targets if isinstance(t, ast.Name))
