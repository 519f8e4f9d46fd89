"""What this kernel calls when a job goes on: asked for here, called in the thread of the callbacks.

Rule 1: a register belongs to the job, not to a handle on it: all handles add to the same.
Rule 2: whatever a user's function does concerns the view of its job alone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView, Said
from xpm_nb.engine import callbacks
from xpm_nb.engine.callbacks import Listener, Register
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import NoteError, Say
from xpm_nb.errors import ConfigTypeError, InternalError, RecordError
from xpm_nb.store import records

log = logging.getLogger("xpm_nb")

TRACE_FRAMES = 8  # of a callback's exception

# Where an exception goes through before and after the user's code.
_OURS = (__file__, callbacks.__file__, contextlib.__file__)

inside: ContextVar[Any] = ContextVar("xpm_nb_experiment", default=None)
"""The experiment of the `with` block, or of the job whose callback runs."""

_registers: dict[Entry, Register] = {}
_registers_guard = threading.Lock()


def register_of(entry: Entry, loop: Loop) -> Register:
    """Give what is to be called for a job, making it if need be."""
    with _registers_guard:
        register = _registers.get(entry)
        if register is None:
            register = _registers[entry] = Register()
            entry.hooks.append(partial(_told, entry, loop, register))
            entry.output_hooks.append(partial(outputs_due, entry, loop, register))
        return register


def callbacks_of(entry: Entry) -> list[str]:
    """Name what this process is to call when a job goes on or ends well."""
    register = _registers.get(entry)
    return [] if register is None else register.names()


def check_callable(what: str, callback: object) -> None:
    """Refuse what cannot be called; `what` is the method that was given it."""
    if not callable(callback):
        raise ConfigTypeError(f"{what}() takes a function, not {callback!r:.60}")


def _told(entry: Entry, loop: Loop, register: Register, view: JobView) -> None:
    """In the loop's thread, at each change: have called what is to be called."""
    if view.state is JobState.DONE:
        call_due(entry, loop, register)
    else:
        register.reopen()
    for listener in register.listeners():
        callbacks.current().put(partial(_call, entry, loop, listener, view))


def outputs_due(entry: Entry, loop: Loop, register: Register) -> None:
    """Have outputs of a job looked for that nobody was given yet."""
    if register.watches():
        callbacks.current().put(partial(_give_outputs, entry, loop, register))


def _give_outputs(entry: Entry, loop: Loop, register: Register) -> None:
    """In the callbacks' thread: call users' functions with what is new of the job's outputs."""
    for watch in register.watches():
        try:
            outputs, file, watch.offset = records.read_outputs(
                entry.paths, watch.file, watch.offset
            )
        except RecordError as error:
            log.warning("%s", error)
            continue
        if file != watch.file:  # the job was run again, and its files are new
            watch.file, watch.seen = file, set()
        for output in outputs:
            if output.method == watch.method and output.key not in watch.seen:
                watch.seen.add(output.key)
                give = partial(_give, watch.function, watch.task, output)
                _call(entry, loop, Listener(give, watch.owner))


def _give(function: Callable[[Any], object], task: Any, output: records.Output) -> None:
    function(configs.early_output(task, output.method, output.args, output.options))


def call_due(entry: Entry, loop: Loop, register: Register) -> None:
    """Have called what is to be called once a job is done, and was not."""
    for listener in register.due():
        callbacks.current().put(partial(_call, entry, loop, listener))


def _call(entry: Entry, loop: Loop, listener: Listener, *args: object) -> None:
    """In the callbacks' thread: call a user's function, inside its job's experiment."""
    token = inside.set(listener.owner)
    sink = partial(say, entry, loop)
    entry.voice.begin()
    try:
        with callbacks.capture(sink):
            listener.function(*args)
    except BaseException as error:  # a border: the user's code, which may also call sys.exit()
        trace = trace_of(error)
        sink(Said("error", trace))
        loop.post(NoteError(entry, trace.rpartition("\n")[2]))
        # Where it is shown, a handler of logging would print it once more, into some cell.
        log.log(logging.DEBUG if callbacks.captured() else logging.ERROR, "%s", trace)
    finally:
        inside.reset(token)
    if entry.voice.waits:
        loop.post(Say(entry, last=True))


def say(entry: Entry, loop: Loop, said: Said) -> None:
    """In the callbacks' thread: show something at a job."""
    if entry.voice.say(said):
        with contextlib.suppress(InternalError):  # the scheduler has ended: `print` must not raise
            loop.post(Say(entry))


def trace_of(error: BaseException, ours: Sequence[str] = ()) -> str:
    """Write an exception of a callback with the user's lines; the last line says what it is."""
    found = traceback.TracebackException.from_exception(error)
    lines = []
    theirs = [one for one in found.stack if one.filename not in (*_OURS, *ours)]
    for frame in theirs[-TRACE_FRAMES:]:
        where = doors.place(frame.filename, frame.lineno or 0)
        lines += [f"{where}, in {frame.name}", *([f"    {frame.line}"] if frame.line else [])]
    what = " ".join("".join(found.format_exception_only()).split("\n")).strip()
    return "\n".join([*lines, what])
