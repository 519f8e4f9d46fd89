"""How a configuration is made ready: `prepare` is called in the thread of the callbacks."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.engine import callbacks
from xpm_nb.engine.entries import Entry, Preparation
from xpm_nb.engine.listening import inside, say, trace_of
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import PreparationEnded, Say
from xpm_nb.errors import InternalError
from xpm_nb.store import cache
from xpm_nb.store.layout import CachePaths, Workspace


def preparations_of(
    task: Any, entry: Entry, loop: Loop, *, owner: Any, workspace: Workspace, namespace: str
) -> tuple[Preparation, ...]:
    """Give what is to be made ready before a task that was prepared for its submission.

    Parameters
    ----------
    task : task
        Sealed.
    entry : Entry
        Its job, at which is shown what they print.
    loop : Loop
        Hears of their ends.
    owner : Experiment
        The current experiment while they run.
    workspace, namespace
        Where they belong.

    Raises
    ------
    ConfigTypeError
        A configuration does not say how it is made ready.
    """
    found = []
    for config in configs.to_prepare(task):
        paths = cache.paths_of(workspace, namespace, config)
        key = str(paths.path)
        found.append(
            Preparation(
                key=key,
                name=f"{configs.declared_class(config).__qualname__} {paths.path.name[:8]}",
                is_done=partial(cache.is_prepared, paths),
                start=partial(
                    callbacks.current().put, partial(_prepare, config, paths, entry, loop, owner)
                ),
            )
        )
    return tuple(found)


def _prepare(config: Any, paths: CachePaths, entry: Entry, loop: Loop, owner: Any) -> None:
    """In the callbacks' thread: make ready what is not, and tell the loop how that ended."""
    token = inside.set(owner)
    trace = ""
    entry.voice.begin()
    try:
        with callbacks.capture(partial(say, entry, loop)):
            cache.prepare(paths, lambda: configs.build_instance(config).prepare())
    except BaseException as error:  # a border: the user's code, which may also call sys.exit()
        trace = trace_of(error, ours=(__file__, cache.__file__))
    finally:
        inside.reset(token)
    with contextlib.suppress(InternalError):  # the scheduler has ended: nobody waits
        if entry.voice.waits:
            loop.post(Say(entry, last=True))
        loop.post(PreparationEnded(str(paths.path), trace))
