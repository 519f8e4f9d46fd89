"""Texts of values, for people: short, and whatever the value does when it is looked at.

Imported when a task has failed, and not before.

Rule 1: texts are short, all of them together have a limit in size and in time, and whatever a value
does when it is looked at (raise, not come back, need all memory) concerns its own text alone.
Rule 2: what is large is told by its shape and a few figures. Nothing is imported for that: an array
can only be one if the task has imported what it is made of.
Rule 3: values whose names look like secrets are not shown, and are kept in mind (`Texts.secrets`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from itertools import islice
from time import monotonic
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from xpm_nb.core.masks import is_secret, mask

VALUE_S = 0.5  # for the text of one value
ALL_S = 4.0  # for everything; a job that is asked to end meanwhile has more than that
TICK_S = 0.05
MAX_NAMES = 60  # of one frame
MAX_CHARS = 600  # of one text
ALL_CHARS = 300_000
SECRET_CHARS = 6  # from which on a secret is looked for in other texts too
MAX_ITEMS = 8
MAX_DEPTH = 3
FIGURES = 10_000_000  # elements of an array up to which figures are computed
LONG = 10_000  # items of a container of an unknown kind whose repr is not asked for


# -- time ---------------------------------------------------------------------------------------


class _TooLong(BaseException):
    """A value does not come to an end with its text."""


class Watch:
    """Interrupts what takes too long, in the main thread; elsewhere nothing can be interrupted.

    The bell rings again and again: a value's own code may swallow what is raised.
    """

    def __init__(self) -> None:
        self._end = monotonic() + ALL_S
        self._until: float | None = None
        self.works = False

    def __enter__(self) -> Watch:
        try:
            self._former = signal.signal(signal.SIGALRM, self._ring)
            self._timer = signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
            self.works = True
        except ValueError:  # not the main thread
            pass
        return self

    def __exit__(self, *_: object) -> None:
        if self.works:
            self._until = None
            signal.setitimer(signal.ITIMER_REAL, *self._timer)
            signal.signal(signal.SIGALRM, self._former or signal.SIG_DFL)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._until is not None and monotonic() >= self._until:
            raise _TooLong

    @property
    def over(self) -> bool:
        """All time is used."""
        return monotonic() >= self._end

    def call(self, act: Callable[[], str]) -> str:
        """Have something done, if that comes to an end; raises whatever it raises."""
        try:
            self._until = min(monotonic() + VALUE_S, self._end)
            return act()
        finally:
            self._until = None


# -- texts --------------------------------------------------------------------------------------


def _kind(value: object) -> str:
    """Name the class of a value, without its help."""
    cls = type(value)
    name, module = type.__getattribute__(cls, "__qualname__"), cls.__module__
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


class Texts:
    """Makes the texts, as long as there is time and room."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.left = ALL_CHARS
        self.secrets: set[str] = set()

    def of_names(self, found: Mapping[str, Any]) -> list[list[str]]:
        """Give name and text of each variable."""
        named = ((n, v) for n, v in list(found.items()) if n.isidentifier() and n[:2] != "__")
        return [[name, self.of(name, value)] for name, value in islice(named, MAX_NAMES)]

    def message(self, error: BaseException) -> str:
        """Give what an exception says."""
        return self._text(lambda: str(error), error)[:MAX_CHARS]

    def of(self, name: str, value: object) -> str:
        """Give the text of a variable."""
        if self.hidden(name, value):
            return "***"
        if self.left <= 0:
            return "(not kept: there was too much)"
        text = self._text(lambda: self.show(value, 0), value)
        text = mask(text[: 4 * MAX_CHARS])
        text = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        self.left -= len(text)
        return text

    def _text(self, act: Callable[[], str], value: object) -> str:
        if self.watch.over:
            return f"<{_kind(value)}: not looked at, the others took too long>"
        try:
            return self.watch.call(act)
        except _TooLong:
            return f"<{_kind(value)}: looking at it took too long>"
        except BaseException as error:  # a border: the user's code, and it must not get further
            return f"<{_kind(value)}: looking at it raised {_kind(error)}>"

    def show(self, value: Any, depth: int) -> str:
        """Write a value."""
        kind = type(value)
        if kind in _BY_KIND:
            return _BY_KIND[kind](value)
        for told in (_array, _frame_of_data, _tensor):
            if (text := told(value)) is not None:
                return text
        written: Any = type.__getattribute__(kind, "__repr__")
        if isinstance(value, _PLAIN) and (written in _CONTAINERS or hasattr(kind, "_fields")):
            return self._items(value, kind, depth)
        fields = getattr(kind, "__dataclass_fields__", None)
        if fields is not None and hasattr(written, "__wrapped__"):  # as `dataclass` writes it
            return self._attributes(value, [n for n, f in fields.items() if f.repr], depth)
        if written is object.__repr__:
            return self._attributes(value, list(getattr(value, "__dict__", ())), depth)
        size = _length(value)
        if not isinstance(written, FunctionType) and size > LONG:
            return f"<{_kind(value)} of {size} items>"
        if isinstance(written, FunctionType) and not self.watch.works:
            return f"<{_kind(value)}>"  # it could not be interrupted
        return repr(value)

    def _items(self, value: Any, kind: type, depth: int) -> str:
        opening, closing = _brackets(value, kind)
        if depth >= MAX_DEPTH:
            return f"{opening}…{closing}"
        some: list[str] = []
        if isinstance(value, dict):
            for key, item in islice(value.items(), MAX_ITEMS):
                shown = self._inner(str(key) if isinstance(key, str) else "", item, depth)
                some.append(f"{self.show(key, depth + 1)}: {shown}")
        else:
            names: tuple[str, ...] = getattr(kind, "_fields", ())
            for number, item in enumerate(islice(value, MAX_ITEMS)):
                name = names[number] if number < len(names) else ""
                some.append((f"{name}=" if name else "") + self._inner(name, item, depth))
        if len(value) > len(some):
            some.append(f"… ({len(value)} items)")
        elif kind is tuple and len(some) == 1:
            some[0] += ","
        return f"{opening}{', '.join(some)}{closing}"

    def _attributes(self, value: Any, names: list[str], depth: int) -> str:
        known = [name for name in names if not name.startswith("__")]
        if depth >= MAX_DEPTH:
            return f"{_kind(value)}(…)"
        some = [
            f"{name}={self._inner(name, getattr(value, name, None), depth)}"
            for name in known[:MAX_ITEMS]
        ]
        if len(known) > MAX_ITEMS:
            some.append("…")
        return f"{_kind(value)}({', '.join(some)})"

    def _inner(self, name: str, value: Any, depth: int) -> str:
        return "***" if name and self.hidden(name, value) else self.show(value, depth + 1)

    def hidden(self, name: str, value: Any) -> bool:
        """Tell whether a value is not to be kept. (Counts and arrays of tokens are no secrets.)"""
        if not is_secret(name) or isinstance(value, (int, float, FunctionType, type, type(None))):
            return False
        if isinstance(value, (list, tuple)):
            return any(isinstance(item, (str, bytes)) for item in value[:100])
        if isinstance(value, str) and len(value) >= SECRET_CHARS:
            self.secrets.add(value)
        return not hasattr(type(value), "dtype")


_PLAIN = (list, tuple, set, frozenset, deque, dict)
_CONTAINERS = {kind.__repr__ for kind in (*_PLAIN, Counter, OrderedDict, defaultdict)}


def _brackets(value: Any, kind: type) -> tuple[str, str]:
    if hasattr(kind, "_fields"):
        return f"{_kind(value)}(", ")"
    for base, pair in ((list, "[]"), (tuple, "()"), (dict, "{}"), (set, "{}")):
        if kind is base and (value or base is not set):
            return pair[0], pair[1]
        if isinstance(value, base):
            return f"{_kind(value)}({pair[0]}", f"{pair[1]})"
    return f"{_kind(value)}([", "])"


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        return 0


def _whole(value: int) -> str:
    return repr(value) if value.bit_length() <= 2000 else f"<int of {value.bit_length()} bits>"


def _chars(value: Any) -> str:
    if len(value) <= MAX_CHARS // 2:
        return repr(value)
    what = "characters" if isinstance(value, str) else "bytes"
    return f"{value[: MAX_CHARS // 3]!r}… ({len(value)} {what})"


_BY_KIND: dict[type, Callable[[Any], str]] = {
    type(None): repr,
    bool: repr,
    float: repr,
    complex: repr,
    range: repr,
    int: _whole,
    str: _chars,
    bytes: _chars,
    bytearray: _chars,
    type: lambda value: f"<class {value.__module__}.{value.__qualname__}>",
    FunctionType: lambda value: f"<function {value.__qualname__}>",
    BuiltinFunctionType: lambda value: f"<function {value.__qualname__}>",
    MethodType: lambda value: f"<method {value.__qualname__}>",
    ModuleType: lambda value: f"<module {value.__name__}>",
}
_BY_KIND[type(os.environ)] = lambda value: f"<environ of {len(value)} variables>"


# -- what is large ------------------------------------------------------------------------------


def _is_a(value: object, module: str, *names: str) -> bool:
    """Tell whether a value is of a class of a module, if the task has imported that."""
    known = sys.modules.get(module)
    kinds = tuple(k for name in names if isinstance(k := getattr(known, name, None), type))
    return bool(kinds) and isinstance(value, kinds)


def _figures(low: Any, high: Any, mean: Any) -> str:
    return f", from {low:.6g} to {high:.6g}, mean {mean:.6g}"


def _array(value: Any) -> str | None:
    """Write a numpy array, or anything else that has shape and dtype."""
    if not _is_a(value, "numpy", "ndarray"):
        shape = getattr(value, "shape", None)
        if not (isinstance(shape, tuple) and shape and hasattr(value, "dtype")):
            return None
        if _is_a(value, "torch", "Tensor") or _is_a(value, "pandas", "Series"):
            return None
        stored = f", {value.nnz} stored" if hasattr(value, "nnz") else ""
        return f"<{_kind(value)} {value.dtype} {shape}{stored}>"
    text = f"{type(value).__name__} {value.dtype} {value.shape}"
    if value.size == 0:
        return f"<{text}>"
    first = value.flat[:MAX_ITEMS].tolist() if value.dtype.kind in "biufU" else []
    if value.dtype.kind in "biuf":
        some = value if value.size <= FIGURES else value.flat[:FIGURES]
        of = "" if value.size <= FIGURES else f" (the first {FIGURES})"
        missing = int((some != some).sum()) if value.dtype.kind == "f" else 0
        if missing:
            some = some[some == some]
        if some.size:
            text += _figures(float(some.min()), float(some.max()), float(some.mean())) + of
        text += f", {missing} NaN" if missing else ""
    shown = ", ".join(f"{item:.6g}" if type(item) is float else f"{item}"[:40] for item in first)
    more = ", …" if value.size > len(first) else ""
    return f"<{text}: [{shown}{more}]>" if first else f"<{text}>"


def _frame_of_data(value: Any) -> str | None:
    """Write a table, or a column, of pandas."""
    if _is_a(value, "pandas", "DataFrame"):
        columns = [f"{name} {kind}" for name, kind in islice(value.dtypes.items(), 12)]
        more = ", …" if len(value.columns) > len(columns) else ""
        return f"<DataFrame {value.shape}: {', '.join(columns)}{more}>"
    if _is_a(value, "pandas", "Series"):
        return f"<Series {value.name!r} {value.dtype} ({len(value)},)>"
    return None


def _tensor(value: Any) -> str | None:
    """Write a tensor of torch; one that is on another device is not moved."""
    if not _is_a(value, "torch", "Tensor"):
        return None
    text = f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    text += f" on {value.device}" + (", requires grad" if value.requires_grad else "")
    plain = value.device.type == "cpu" and value.is_floating_point() and value.layout is not None
    if plain and 0 < value.numel() <= FIGURES:
        still = value.detach()
        text += _figures(still.min().item(), still.max().item(), still.float().mean().item())
    return f"<{text}>"
