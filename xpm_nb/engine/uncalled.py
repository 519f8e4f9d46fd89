"""Callbacks of kernels that are gone: what they were to call when their detached jobs end.

A callback lives in the kernel that registered it, and nobody else can call it. A kernel that has
its jobs finished without it notes which callbacks it has (`promise`), and each that it has called.
Who opens the experiment when that kernel is gone says which were not (`report`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Iterable, Sequence
from functools import partial

from xpm_nb.core.names import warn
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import callbacks
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.listening import callbacks_of
from xpm_nb.errors import XpmError
from xpm_nb.store import locks, records, told
from xpm_nb.store.layout import DetachedPaths, Workspace
from xpm_nb.store.told import Promised

log = logging.getLogger("xpm_nb")

NAMED = 3  # callbacks that are named, at most
_Pairs = tuple[tuple[str, str], ...]


def promise(place: DetachedPaths, some: Iterable[Entry]) -> None:
    """Note which callbacks this kernel has for some jobs, and from now on each that it called."""
    mine = locks.myself()
    before = [one for one in told.read_promised(place) if _same(one, mine)]
    known = {pair for one in before for pair in one.callbacks}
    new: dict[Entry, _Pairs] = {}
    for entry in some:
        pairs = dict.fromkeys((entry.paths.key, what) for what in callbacks_of(entry))
        if found := tuple(pair for pair in pairs if pair not in known):
            new[entry] = found
    told.add_promised(place, Promised(mine, tuple(itertools.chain(*new.values()))))
    for entry, found in new.items():
        entry.hooks.append(partial(_ended, place, found))


def _same(promised: Promised, process: records.ProcessRecord) -> bool:
    return (promised.kernel.pid, promised.kernel.start) == (process.pid, process.start)


def _ended(place: DetachedPaths, pairs: _Pairs, view: JobView) -> None:
    """In the loop's thread, at each change of a job: have noted what is called at its end."""
    if view.state is JobState.ERROR:
        pairs = tuple(pair for pair in pairs if _at_failures(pair[1]))
    if view.state.final and pairs:  # behind what was put there to be called
        callbacks.current().put_chore(partial(_called, place, pairs))


def _called(place: DetachedPaths, pairs: _Pairs) -> None:
    try:
        told.add_called(place, Promised(locks.myself(), pairs))
    except (XpmError, OSError) as error:  # they are named once too often then
        log.warning("cannot note that callbacks were called: %s", error)


def _at_failures(what: str) -> bool:
    """Tell whether a callback, by its name, is called at more than a good end."""
    return what.startswith("on_state(")


def report(name: str, workspace: Workspace) -> None:
    """Warn of callbacks that are not called, as the kernel is gone that had them.

    Those of jobs that ended without it, and those of jobs that are still to end. Who finishes the
    experiment says nothing: it has nobody who could register them again.
    """
    place = workspace.experiment(name).detached
    promised = told.read_promised(place)
    finisher = told.finisher(place) if promised else None
    if not promised or (finisher is not None and finisher.pid == os.getpid()):
        return
    alive = [one for one in promised if locks.alive(one.kernel)]
    lost = [pair for one in promised if one not in alive for pair in one.callbacks]
    lost = [pair for pair in dict.fromkeys(lost) if _was_to_be_called(workspace, *pair)]
    if lost:
        warn(_text(name, lost))
    with contextlib.suppress(XpmError, OSError):  # it is said once more then
        told.forget_promised(place)
        for one in alive:
            told.add_promised(place, one)


def _was_to_be_called(workspace: Workspace, key: str, what: str) -> bool:
    """Tell whether a callback is called at the end that a job came to, if it did."""
    try:
        outcome = records.read_outcome(workspace.job_at(f"jobs/{key}"))
    except (XpmError, OSError):
        return False
    return outcome is None or outcome == "done" or _at_failures(what)


def _text(name: str, lost: Sequence[tuple[str, str]]) -> str:
    some = ", ".join(f"{what} of {key.rpartition('/')[2][:8]}" for key, what in lost[:NAMED])
    more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    counted = "1 callback is" if len(lost) == 1 else f"{len(lost)} callbacks are"
    return (
        f"{name}: {counted} not called, as the kernel that had them is gone: {some}{more}; run the "
        "cells again that register them, and they are called"
    )
