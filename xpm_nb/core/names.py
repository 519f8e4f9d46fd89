"""Names and places: what a class is called, where it and a value come from, for people to read."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType
from typing import Any, cast
from weakref import WeakValueDictionary

from xpm_nb.core import doors
from xpm_nb.core.forms import repr_of as repr_of
from xpm_nb.core.forms import shorten as shorten
from xpm_nb.core.identifier import HASHING, namespaced
from xpm_nb.errors import ConfigError

_PACKAGE = __name__.partition(".")[0]


class Stays:
    """What stays behind when a class is pickled.

    cloudpickle takes a class of a notebook apart, and puts it together elsewhere, or sets all
    its attributes once more where it still is. There, this leads back to the very same object;
    elsewhere, to a new one.
    """

    __slots__ = ("__weakref__", "token")

    def __init__(self) -> None:
        self.token = ""

    def travels(self) -> tuple[Any, ...]:
        """Give the arguments of the new one."""
        return ()

    def __reduce__(self) -> Any:
        if not self.token:
            from uuid import uuid4  # slow to import, and seldom needed

            self.token = uuid4().hex
            _PICKLED[self.token] = self
        return _unpickled, (self.token, type(self), self.travels())


_PICKLED: WeakValueDictionary[str, Stays] = WeakValueDictionary()


def _unpickled(token: str, kind: type[Stays], arguments: tuple[Any, ...]) -> Stays:
    found = _PICKLED.get(token)
    if found is None:
        found = _PICKLED[token] = kind(*arguments)
        found.token = token
    return found


class Site(Stays):
    """Where a class was defined.

    Attributes
    ----------
    filename : str
        As the code object says: the temporary name of a cell, or a file.
    lineno : int
        Line of the ``class`` statement.
    code : CodeType or None
        The code that executed the statement, which holds the code of the class's body; None when
        the class was not made by a ``class`` statement.
    """

    __slots__ = ("code", "filename", "lineno")

    def __init__(self, filename: str, lineno: int, code: CodeType | None = None) -> None:
        super().__init__()
        self.filename, self.lineno, self.code = filename, lineno, code

    def travels(self) -> tuple[Any, ...]:
        """Leave the code here: it may hold anything."""
        return self.filename, self.lineno

    def __repr__(self) -> str:
        return f"Site({self.filename!r}, {self.lineno})"


class Kept(Stays):
    """What was computed from a class, kept with it: its ``K.C``, its schema, its help texts."""

    __slots__ = ("made", "schema", "texts")

    def __init__(self) -> None:
        super().__init__()
        self.made: Any = None
        self.schema: Any = None
        self.texts: dict[str, str] | None = None


def kept(cls: type) -> Kept:
    """Give what is kept with a class."""
    found = vars(cls).get("__xpm_kept__")
    if found is None:
        found = Kept()
        type.__setattr__(cls, "__xpm_kept__", found)
    return cast("Kept", found)


def site(cls: type) -> Site | None:
    """Tell where a config class was defined."""
    return cast("Site | None", vars(cls).get("__xpm_site__"))


def _ours(name: str) -> bool:
    return name == _PACKAGE or name.startswith(_PACKAGE + ".")


_OF_MAGICS = ("run_line_magic", "run_cell_magic")  # IPython's own: the cell that says it is meant


def user_place() -> tuple[str, int]:
    """Give file name and line of the nearest caller outside this package, and what runs magics."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        _ours(frame.f_globals.get("__name__", "")) or frame.f_code.co_name in _OF_MAGICS
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


_ELSEWHERE: ContextVar[str] = ContextVar("_ELSEWHERE", default="")


@contextmanager
def placed(words: str) -> Iterator[None]:
    """Have errors say these words, where no line of the user's gave the value (a form's field)."""
    before = _ELSEWHERE.set(words)
    try:
        yield
    finally:
        _ELSEWHERE.reset(before)


def place_text(place: tuple[str, int] | None = None) -> str:
    """Say a place in words (``In[7], line 2``), by default that of the nearest user's code."""
    if place is None and (words := _ELSEWHERE.get()):
        return words
    return doors.place(*(place or user_place()))


# For each file (each cell is one), what was said at which of its lines.
_WARNED: dict[str, dict[str | tuple[str, type[Warning], int], int]] = {}


def warn(message: str, category: type[Warning] = UserWarning, *, once: bool = True) -> None:
    """Warn at the nearest line of the user's, by default once for each line and message."""
    filename, lineno = user_place()
    registry = _WARNED.setdefault(filename, {}) if once else {}
    warnings.warn_explicit(message, category, filename, lineno, registry=registry)


def local_name(cls: type) -> str:
    """Give the qualified name of a class in its module."""
    return cls.__qualname__


def own_name(cls: type) -> str | None:
    """Give what ``__xpmid__`` says: a str in the class's own body, or an inherited classmethod."""
    own = vars(cls).get("__xpmid__")
    if isinstance(own, str):
        return own
    found = getattr(cls, "__xpmid__", None)
    return str(found()) if callable(found) else None


def standing_for(cls: type) -> type:
    """Give the class whose type name a class has: its own, or what a deprecated one stands for."""
    while (mark := vars(cls).get("__xpm_deprecated__")) is not None:
        cls = mark.target
    return cls


def needs_namespace(cls: type) -> bool:
    """Tell whether the type name of a class depends on the experiment."""
    cls = standing_for(cls)
    return cls.__module__ == "__main__" and own_name(cls) is None


def type_name(cls: type, namespace: str | None) -> str:
    """Give the type name of a config class, in lower case.

    Raises
    ------
    NoExperimentError
        If the class needs a namespace and there is none.
    ConfigError
        If its name is no text: half of a surrogate pair is in it.
    """
    cls = standing_for(cls)
    own = own_name(cls)
    if own is None:
        own = namespaced(cls.__module__, cls.__qualname__, namespace)
    if not own.isascii():
        try:
            own.encode()
        except UnicodeEncodeError as error:
            bad = own[error.start : error.end]
            raise ConfigError(f"{own!r} cannot be a type name: it holds {bad!r}") from error
    return own.lower()


def plain_name(cls: type) -> str:
    """Give the type name for messages: without namespace where it depends on one."""
    return type_name(cls, HASHING).lstrip(".")
