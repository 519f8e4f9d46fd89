"""Where two values differ: the first place inside them, said in words.

For messages only: of what differs, nothing is run but Python's own code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

from xpm_nb.code import numbers
from xpm_nb.code.equal import same_value
from xpm_nb.code.shapes import fields_of, is_open
from xpm_nb.code.values import NAMESPACES, is_data

MAX_CHARS = 60  # of a value that is shown
MAX_LEVELS = 20
MAX_ITEMS = 10_000  # of an array that is looked through
_ATOMS = (bool, int, float, complex, str, bytes, type(None))
_MISSING = object()

Alike = Callable[[type, type], bool]


class Place(NamedTuple):
    """The first place where a value differs from what it would be if it were made again.

    Attributes
    ----------
    path : str
        What leads to it, as people write it: ``.n``, ``['cub'].lr``; "" for the value itself.
    made, live : object
        What it would be, and what it is; where it is not there, `added` or `gone`.
    whole : object
        What the whole value would be.
    """

    path: str
    made: Any
    live: Any
    whole: Any = None

    @property
    def added(self) -> bool:
        """Whether it is there only now."""
        return self.made is _MISSING

    @property
    def gone(self) -> bool:
        """Whether it is not there any more."""
        return self.live is _MISSING

    def told(self, name: str) -> str:
        """Say it of the value of a name."""
        what = f"`{name}{self.path}`"
        if self.added:
            return f"{what} is there now, and would not be if it were made again"
        if self.gone:
            return f"{what} is not there any more"
        made, live = shown(self.made), shown(self.live)
        kinds = type(self.made), type(self.live)
        if kinds[0] is not kinds[1] and kinds[0].__qualname__ == kinds[1].__qualname__:
            return f"{what} is of an earlier {kinds[0].__qualname__} now"
        if made == live:
            return f"{what}, {live}, is another one now"
        return f"{what} is {live} now, and would be {made} if it were made again"


def place(made: Any, live: Any, alike: Alike) -> Place:
    """Give the first place where two values differ; see `same_value`."""
    path, whole = "", made
    for _ in range(MAX_LEVELS):
        parts = _parts(made, live, alike)
        found = next((p for p in parts if not _same(p, alike)), None)
        if found is None:
            break
        path, made, live = path + found.path, found.made, found.live
        if found.added or found.gone:
            break
    return Place(path, made, live, whole)


def _same(part: Place, alike: Alike) -> bool:
    if part.added or part.gone:
        return False
    return same_value(part.made, part.live, alike)


def _parts(a: Any, b: Any, alike: Alike) -> Iterator[Place]:
    """Give what two values of one kind are made of, pairwise."""
    kinds = type(a), type(b)
    if kinds[0] is not kinds[1] and not alike(*kinds):
        return
    if is_data(a) and is_data(b):
        yield from _pairs(dict(fields_of(a)), dict(fields_of(b)), ".{}".format)
    elif kinds[0] in NAMESPACES or is_open(a):
        yield from _pairs(vars(a), vars(b), ".{}".format)
    elif isinstance(a, dict):
        yield from _pairs(a, b, lambda key: f"[{shown(key)}]")
        yield Place(".default_factory", *(getattr(v, "default_factory", None) for v in (a, b)))
    elif isinstance(a, list | tuple):
        yield from _pairs(dict(enumerate(a)), dict(enumerate(b)), "[{}]".format)
    elif numbers.is_array(a) and a.shape == b.shape and 0 < a.size <= MAX_ITEMS and a.ndim:
        yield from _pairs(dict(enumerate(a.tolist())), dict(enumerate(b.tolist())), "[{}]".format)
    elif isinstance(a, functools.partial):
        for name in ("func", "args", "keywords"):
            yield Place(f".{name}", getattr(a, name), getattr(b, name))


def _pairs(a: dict[Any, Any], b: dict[Any, Any], path: Callable[[Any], str]) -> Iterator[Place]:
    for key in {**a, **b}:
        yield Place(path(key), a.get(key, _MISSING), b.get(key, _MISSING))


def shown(value: Any) -> str:
    """Describe a value without running code of its own."""
    kind = type(value)
    if kind in _ATOMS or is_small(value):
        return shortly(repr(value))
    if isinstance(value, FunctionType | type):
        ended = "" if isinstance(value, type) or "<lambda>" in value.__name__ else "()"
        return f"{value.__name__}{ended}"
    return f"a {kind.__qualname__}"


def shortly(text: str) -> str:
    """Give the beginning of a text, in one line."""
    text = " ".join(text.split())
    return text if len(text) < MAX_CHARS else text[: MAX_CHARS - 3] + "…"


def is_small(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is a small container of numbers and texts."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind not in (list, tuple, dict, set) or len(value) >= 20 or depth > 3:
        return False
    parts = [*value, *value.values()] if kind is dict else value
    return all(is_small(part, depth + 1) for part in parts)
