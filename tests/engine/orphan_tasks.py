"""Tasks that leave processes behind, or are ended by the system."""

from __future__ import annotations

import os
import time
from pathlib import Path

from xpm_nb import Meta, Param, Task


class Leaves(Task):
    """Forks a process that outlives it; says which, and waits to be killed."""

    daemon: Param[bool] = False
    note: Meta[Path]

    def execute(self):
        child = os.fork()
        if child == 0:
            if self.daemon:
                os.setsid()
            aside = self.note.with_suffix(".new")
            aside.write_text(str(os.getpid()))
            aside.replace(self.note)
            time.sleep(60)
            os._exit(0)
        time.sleep(60)


class Hungry(Task):
    """Takes more memory than its group of processes may have."""

    group: Meta[Path]

    def execute(self):
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        block = bytearray(512 << 20)
        return len(block)
