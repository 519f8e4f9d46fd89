"""This process as if it had just begun: no scheduler, no experiment, no thread of ours."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import sys
import time

from xpm_nb.engine import callbacks, experiment, loop
from xpm_nb.engine.settings import Settings
from xpm_nb.launchers import local

PATIENCE_S = 60.0


def new_kernel() -> None:
    """Forget jobs and experiments, as a new process would; what runs goes on."""
    old = loop.use(None)
    if old is not None:
        old.stop()
    experiment.live.clear()
    experiment.started.clear()


def as_new() -> None:
    """Forget everything, and end our threads; children that were ended are waited for."""
    new_kernel()
    callbacks.use(callbacks.Callbacks()).stop()
    if bridge := sys.modules.get("xpm_nb.notebook.bridge"):
        bridge.use(bridge.Publisher()).stop()
    Settings.clear_instance()
    with contextlib.suppress(ChildProcessError):  # there is none
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        gc.collect()  # handles in a cycle: those of children that are dropped are noted
    until = time.monotonic() + PATIENCE_S
    for pid in local._children:  # what goes on is for the test to end
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            os.close(descriptor)
    local._reap_dropped()
