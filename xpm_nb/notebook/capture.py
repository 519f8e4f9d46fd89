"""What callbacks print and display goes to their job, never to a cell.

Rule 1: only what the callbacks' thread itself says is taken. Other threads, those that a callback
starts too, and cells print and display as ever.
Rule 2: the kernel's own streams are tapped where they write, not replaced: whoever kept one (a
handler of `logging`, say) is heard too, and no redirection that ends meanwhile lets anything out.
(One that a cell begins while a callback runs is of the whole process, as Python has it.)
Rule 3: taps are there only while a callback runs.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from xpm_nb.core.views import Said

Sink = Callable[[Said], None]

_IMAGES = ("image/png", "image/jpeg", "image/svg+xml")
_TEXTS = ("text/plain", "text/markdown", "text/latex")
_INLINE = ("inline", "module://matplotlib_inline")
_PYPLOT = "matplotlib.pyplot"


class _Listening:
    """One callback that runs: where what its thread says goes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._clear = False  # before the next thing that is said
        self._ours: set[str] = set()  # ids of displays that no cell has
        self.figures: list[Any] = []  # made with pyplot, in this thread
        self.first = _PYPLOT not in sys.modules

    def say(self, said: Said) -> None:
        if self._clear:
            self._clear = False
            self._sink(Said("clear", ""))
        self._sink(said)

    def clear(self, wait: bool) -> None:
        if wait:
            self._clear = True
        else:
            self._sink(Said("clear", ""))

    def display(self, data: Any, options: dict[str, Any]) -> bool:
        """Take a bundle; False if it is an update of what a cell has displayed."""
        display_id = (options.get("transient") or {}).get("display_id")
        if options.get("update") and display_id not in self._ours:
            return False
        if display_id is not None:
            self._ours.add(display_id)
        self.say(said_of(data))
        return True


_listening: dict[int, _Listening] = {}  # by thread
_taps: list[_Tap | _ClassTap | _Proxy] = []
_guard = threading.Lock()
# What a redirection that ends while a callback runs puts back.
_streams = {"out": sys.stdout, "err": sys.stderr}
_publisher = getattr(get_ipython(), "display_pub", None)  # type: ignore[no-untyped-call, unused-ignore]

# What a forked child says is not ours.
os.register_at_fork(after_in_child=_listening.clear)


class _Tap:
    """A method of one object, replaced for a while."""

    def __init__(self, thing: Any, name: str, made: Callable[[Callable[..., Any]], Any]) -> None:
        self._thing, self._name = thing, name
        self._before = vars(thing).get(name)
        self._made = made(getattr(thing, name))
        setattr(thing, name, self._made)

    def remove(self) -> None:
        if vars(self._thing).get(self._name) is not self._made:
            return  # somebody has put something over it, which goes on to call it
        if self._before is None:
            delattr(self._thing, self._name)
        else:
            setattr(self._thing, self._name, self._before)


class _ClassTap:
    """The method `write` of a class of streams, replaced for a while.

    On the class, because IPython puts a `write` of its own on the stream itself while a cell runs,
    and takes it away again.
    """

    def __init__(self, cls: Any, kinds: dict[int, str]) -> None:
        self._cls, self._kinds = cls, kinds
        self._before: Any = vars(cls).get("write")
        cls.write = self

    def remove(self) -> None:
        if vars(self._cls).get("write") is not self:
            return
        if self._before is None:
            del self._cls.write
        else:
            self._cls.write = self._before

    def __get__(self, stream: Any, owner: type) -> Any:
        if stream is None:
            return self
        write = _untapped(vars(stream).get("write"))
        if write is None and self._before is None:
            beneath: Any = super(self._cls, stream)
            write = beneath.write
        elif write is None:
            write = self._before.__get__(stream, owner)
        kind = self._kinds.get(id(stream))
        return write if kind is None else _writer(kind, write)

    def __set__(self, stream: Any, write: Any) -> None:
        vars(stream)["write"] = _untapped(write)  # of a cell that began while we were there

    def __delete__(self, stream: Any) -> None:
        vars(stream).pop("write", None)


def _untapped(write: Any) -> Any:
    while (under := getattr(write, "_xpm_under", None)) is not None:
        write = under
    return write


class _Proxy:
    """Stands for a stream whose class cannot be changed, in its place in `sys`."""

    def __init__(self, name: str, kind: str) -> None:
        self._xpm_name, self._xpm_stream = name, getattr(sys, name)
        self.write = _writer(kind, self._xpm_stream.write)
        setattr(sys, name, self)

    def remove(self) -> None:
        # A redirection may put us back later: we only hand on by then.
        if getattr(sys, self._xpm_name) is self:
            setattr(sys, self._xpm_name, self._xpm_stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xpm_stream, name)


@contextlib.contextmanager
def capturing(sink: Sink) -> Iterator[None]:
    """Give to `sink` what this thread prints and displays, in order, and show it nowhere else.

    Updates of displays and widgets that a cell has made go where they always go. `sink` gets the
    kinds "out", "err" and "display", and "clear" where all that was said before is to be forgotten.

    Parameters
    ----------
    sink : callable
        Called in this thread, with text as it comes: a `print` is several calls.
    """
    me, here = threading.get_ident(), _Listening(sink)
    with _guard:
        if not _listening:
            _taps.extend(_tap_all())
        before = _listening.get(me)
        _listening[me] = here
    try:
        try:
            yield
        finally:
            _show_figures(here)
    finally:
        with _guard:
            if before is None:
                _listening.pop(me, None)
            else:
                _listening[me] = before
            if not _listening:
                while _taps:
                    _taps.pop().remove()


def _tap_all() -> Iterator[_Tap | _ClassTap | _Proxy]:
    kinds = {id(stream): kind for kind, stream in _streams.items()}
    kinds |= {id(sys.stdout): "out", id(sys.stderr): "err"}
    classes = {type(stream) for stream in (*_streams.values(), sys.stdout, sys.stderr)}
    for cls in classes - {_Proxy, type(None)}:
        # Those that are written in C cannot be changed.
        with contextlib.suppress(AttributeError, TypeError):
            yield _ClassTap(cls, kinds)
    for name, kind in (("stdout", "out"), ("stderr", "err")):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(vars(type(stream)).get("write"), _ClassTap):
            yield _Proxy(name, kind)
    now = getattr(get_ipython(), "display_pub", None)  # type: ignore[no-untyped-call, unused-ignore]
    for publisher in (now, *([] if now is _publisher else [_publisher])):
        yield from _tap(publisher, "publish", _publishing)
        yield from _tap(publisher, "clear_output", _clearing)
    yield from _tap(sys.modules.get(_PYPLOT), "figure", _figures)


def _tap(thing: Any, name: str, made: Callable[[Callable[..., Any]], Any]) -> Iterator[_Tap]:
    if hasattr(thing, name):
        with contextlib.suppress(AttributeError, TypeError):  # it has no place for attributes
            yield _Tap(thing, name, made)


def _writer(kind: str, write: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(text: Any, *rest: Any) -> Any:
        here = _listening.get(threading.get_ident())
        if here is None or not isinstance(text, str):
            return write(text, *rest)
        if text:
            here.say(Said(kind, text))
        return len(text)

    tapped._xpm_under = write  # type: ignore[attr-defined]
    return tapped


def _publishing(publish: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(data: Any, metadata: Any = None, *rest: Any, **options: Any) -> Any:
        here = _listening.get(threading.get_ident())
        if here is None or not isinstance(data, dict) or not here.display(data, options):
            return publish(data, metadata, *rest, **options)
        return None

    return tapped


def _clearing(clear_output: Callable[..., Any]) -> Callable[..., Any]:
    def tapped(wait: bool = False) -> Any:
        here = _listening.get(threading.get_ident())
        return clear_output(wait) if here is None else here.clear(wait)

    return tapped


# -- bundles ----------------------------------------------------------------------------------


def said_of(data: dict[str, Any]) -> Said:
    """Give what a job's row can show of a mime bundle: its image, or else its text."""
    texts = [str(data[kind]) for kind in _TEXTS if data.get(kind)]
    # What displays itself by other means has no text of its own.
    text = next((t for t in texts if not t.startswith("<IPython.core.display.")), "")
    text = text or next(iter(texts), "")
    for kind in _IMAGES:
        if content := data.get(kind):
            return Said("display", text, _data_uri(kind, content))
    return Said("display", text or ", ".join(map(str, data)))


def _data_uri(kind: str, content: Any) -> str:
    if isinstance(content, bytes):
        data = content
    elif kind == "image/svg+xml":
        data = str(content).encode("utf-8", "replace")
    else:
        try:
            data = base64.b64decode("".join(str(content).split()), validate=True)
        except ValueError:
            return ""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


# -- figures of matplotlib --------------------------------------------------------------------
# With the inline backend, a figure that nobody has shown is drawn, and closed, by the next cell.


def _figures(figure: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(figure)  # functions of pyplot are asked for their signatures
    def tapped(*args: Any, **options: Any) -> Any:
        here = _listening.get(threading.get_ident())
        if here is None:
            return figure(*args, **options)
        before = set(sys.modules[_PYPLOT].get_fignums())
        made = figure(*args, **options)
        if getattr(made, "number", None) not in before:
            here.figures.append(made)
        return made

    return tapped


def _show_figures(here: _Listening) -> None:
    """Show what a callback has drawn and not shown."""
    pyplot = sys.modules.get(_PYPLOT)
    if pyplot is None or not pyplot.get_backend().startswith(_INLINE):
        return
    if here.first:  # the callback itself has loaded it
        here.figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    for figure in here.figures:
        if pyplot.fignum_exists(figure.number):
            display(figure)  # type: ignore[no-untyped-call, unused-ignore]
            pyplot.close(figure)
