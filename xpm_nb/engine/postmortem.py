"""The frames of a failed job, to be looked at, and opened in pdb.

What a job kept are texts. For pdb they become frames once more: for each, a function of the same
name, file and line, whose variables are stand-ins that show the text; the innermost raises a
stand-in of the error. So everything that pdb does with a traceback works.
"""

from __future__ import annotations

import ast
import keyword
import linecache
import os
import pdb
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

from xpm_nb.core import doors
from xpm_nb.core.kept import ErrorView, FramesView, FrameView, frames_view
from xpm_nb.errors import ConfigError, RecordError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths

MAX_ERRORS = 99  # that a debugger is given, the latest ones
_NEXT = "__next_frame__"
_NO_VARIABLES = (_NEXT, "__debug__")


class Frames:
    """What a failed job kept of its frames; ``job.frames``. Nothing in it changes.

    It is displayed as a traceback with the values of variables. ``frames[-1]`` is the innermost
    frame of the error, ``frames["x"]`` the text of the innermost variable of that name.
    """

    def __init__(self, view: FramesView) -> None:
        self._view = view

    def view(self) -> FramesView:
        """Give the frozen copy for displays."""
        return self._view

    @property
    def errors(self) -> tuple[ErrorView, ...]:
        """What was raised, then what caused it."""
        return self._view.errors

    def __bool__(self) -> bool:
        return any(error.frames for error in self.errors)

    def __len__(self) -> int:
        return len(self._stack())

    def _stack(self) -> tuple[FrameView, ...]:
        return self.errors[0].frames if self.errors else ()

    def __getitem__(self, what: int | str) -> Any:
        """Give a frame by its number, or the text of a variable by its name."""
        if not isinstance(what, str):
            return self._stack()[what]
        for frame in reversed(self._stack()):
            for name, text in frame.values:
                if name == what:
                    return text
        raise KeyError(what)

    def __repr__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    def traceback(self) -> tuple[BaseException, TracebackType]:
        """Build a stand-in of the error, with frames, for a debugger.

        Raises
        ------
        ConfigError
            No frames were kept.
        """
        raised: BaseException | None = None
        link = ""  # how the one before is linked to the next
        for error in reversed(self.errors):
            if error.frames:
                built = _build(error)
                if link == "cause":
                    built.__cause__ = raised
                else:
                    built.__context__ = raised
                raised = built
            link = error.link
        if raised is None or raised.__traceback__ is None:
            raise ConfigError(f"{self._view.name}: no frames were kept of its failure")
        return raised, raised.__traceback__


def read(paths: JobPaths, name: str) -> Frames:
    """Read the frames that a job kept; none if it did not fail, or they cannot be read."""
    try:
        data = records.read_frames(paths)
    except RecordError:
        data = None
    return Frames(frames_view(name, paths.identifier, data))


def debug(frames: Frames) -> None:
    """Open frames in pdb; see `inspect_trace`.

    Raises
    ------
    ConfigError
        No frames were kept, or nothing here can ask for commands.
    """
    error, trace = frames.traceback()
    if not inspect_trace(error, trace):
        name = frames.view().name
        raise ConfigError(f"{name}: nobody can be asked for pdb's commands here: see job.frames")


def inspect_trace(error: BaseException, trace: TracebackType) -> bool:
    """Open pdb on a traceback, with the input that this process has (a kernel's own, too).

    Returns
    -------
    bool
        False if nobody can be asked: a notebook that is executed without anybody before it.
    """
    debugger = _Debugger(error, trace)
    debugger.reset()
    debugger.begin()
    try:
        debugger.interaction(None, trace)
    except NotImplementedError:  # what a kernel raises whose front-end takes no input
        return False
    finally:
        debugger.forget()
    return True


class _Debugger(pdb.Pdb):
    """Pdb, which reaches what an error came from by the command of Python 3.13 in all versions."""

    def __init__(self, error: BaseException, trace: TracebackType) -> None:
        super().__init__()
        self._errors = [one for one in _chain(error)[:MAX_ERRORS] if one.__traceback__][::-1]
        self._traces = [*(one.__traceback__ for one in self._errors[:-1]), trace]
        self._at = len(self._errors) - 1

    def begin(self) -> None:
        """Say what has happened."""
        for number, error in enumerate(self._errors[:-1]):
            self.message(f"{_said(error)}   (exceptions {number} goes to its frames)")
        self.message(_said(self._errors[-1]))

    def do_exceptions(self, arg: str) -> None:
        """exceptions [number]

        List the errors, what each came from first; with a number, go to the frames of that one.
        """
        if not arg:
            for number, error in enumerate(self._errors):
                self.message(f"{'>' if number == self._at else ' '} {number:3} {_said(error)}")
        elif arg.isdecimal() and int(arg) < len(self._errors):
            self._at = int(arg)
            self.setup(None, self._traces[self._at])
            self.print_stack_entry(self.stack[self.curindex])
        else:
            self.error(f"there are the exceptions 0 to {len(self._errors) - 1}")


def _said(error: BaseException) -> str:
    return f"{type(error).__qualname__}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    """Give an error and what it came from, as a traceback shows them."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and not any(one is other for other in found):
        found.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


# -- building frames ----------------------------------------------------------------------------


class _Value:
    """Stands for a value of a job that has ended: it shows the text that was kept."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _plain(text: str) -> Any:
    """Give the value itself where its text tells it whole: numbers and short texts."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _Value(text)
    return value if repr(value) == text else _Value(text)


def _build(error: ErrorView) -> BaseException:
    """Raise a stand-in of an error through stand-ins of its frames, and give it."""
    name = error.kind.rpartition(".")[2]
    kind: Any = type(name, (Exception,), {"__module__": error.module})
    kind.__qualname__ = error.kind
    step: Callable[[], object] = partial(_raise, kind(error.message))
    for frame in reversed(error.frames):
        step = _function(frame, step)
    try:
        step()
    except Exception as raised:  # raised just now, for the frames of its traceback
        return raised.with_traceback(_without_ours(raised.__traceback__))
    raise AssertionError("the innermost frame raises")


def _raise(error: BaseException) -> None:
    raise error


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that are ours: the first and the last one."""
    stack = []
    while trace is not None:
        if trace.tb_frame.f_globals is not globals():
            stack.append(trace)
        trace = trace.tb_next
    found: TracebackType | None = None
    for one in reversed(stack):
        found = TracebackType(found, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return found


def _function(frame: FrameView, step: Callable[[], object]) -> Callable[[], object]:
    """Make a function that looks like the frame's, and goes on with `step`."""
    values = {name: _plain(text) for name, text in frame.values if _is_word(name)}
    name = frame.function.rpartition(".")[2]
    shown = name if _is_word(name) else "_"
    lines: dict[str, Any] = {
        "lineno": frame.line,
        "end_lineno": frame.line,
        "col_offset": 0,
        "end_col_offset": 0,
    }
    call = ast.Call(ast.Name(_NEXT, ast.Load(), **lines), [], [], **lines)
    definition = min(frame.definition, frame.line)
    place: dict[str, Any] = lines | {"lineno": definition, "end_lineno": frame.line}
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(n, **place) for n in values], kwonlyargs=[],
        kw_defaults=[], defaults=[],
    )  # fmt: skip
    function = ast.parse(f"def {shown}(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.args, function.body = arguments, [ast.Expr(call, **lines)]
    for key, value in place.items():
        setattr(function, key, value)
    code = compile(ast.Module([function], []), _source_of(frame), "exec")
    space: dict[str, Any] = {n: _plain(text) for n, text in frame.globals}
    space |= {"__name__": frame.module, _NEXT: step}
    exec(code, space)  # a function of one call, whose names are what the frame had
    made: FunctionType = space.pop(shown)
    space.update({n: _plain(text) for n, text in frame.globals if n == shown})
    made.__code__ = made.__code__.replace(co_name=name, co_qualname=frame.function)
    return partial(made, *values.values())


def _is_word(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _NO_VARIABLES


def _source_of(frame: FrameView) -> str:
    """Name the file from which a debugger takes the lines: as they were, if they changed."""
    if os.path.exists(frame.file) and not os.path.isfile(frame.file):
        return "?"  # a pipe of that name would be waited for
    end = frame.first + len(frame.lines) - 1
    linecache.checkcache(frame.file)
    now = [line.rstrip("\n") for line in linecache.getlines(frame.file)[frame.first - 1 : end]]
    if not frame.lines or now == list(frame.lines):
        return frame.file
    name = f"{frame.file} (as it was)"
    text = ["\n"] * (frame.first - 1) + [f"{line}\n" for line in frame.lines]
    known: Any = linecache.cache.get(name)
    if known is not None and len(known) == 4:  # another function of the same file
        old = [*known[2], *["\n"] * (len(text) - len(known[2]))]
        old[frame.first - 1 : len(text)] = text[frame.first - 1 :]
        text = old
    linecache.cache[name] = (sum(map(len, text)), None, text, str(Path(name)))
    return name
