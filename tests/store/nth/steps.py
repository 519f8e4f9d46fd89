"""Tasks that note outside of the workspace when they run."""

from __future__ import annotations

import os
from pathlib import Path

from xpm_nb import Meta, Param, PathGenerator, Task, field, log_metrics, progress


class Step(Task):
    x: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("out.txt"))

    def execute(self):
        fd = os.open(os.environ["XPM_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{self.x}\n".encode())
        os.close(fd)
        progress(0.5)
        log_metrics({"x": self.x})
        self.out.write_text(str(self.x))
        return self.x * 2
