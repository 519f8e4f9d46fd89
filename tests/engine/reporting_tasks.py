"""What jobs of test_outputs.py import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.engine.some_tasks import say
from xpm_nb import Config, Meta, Param, PathGenerator, Task, field


class Checkpoint(Config):
    step: Param[int]
    path: Meta[Path]


class Learn(Task):
    """Reports a step for each character: digits do, "!" fails once, "." waits for the gate."""

    steps: Param[str]
    gate: Meta[str] = ""
    folder: Meta[Path] = field(default_factory=PathGenerator("checkpoints"))

    def checkpoint(self, dep, step, suffix=".txt"):
        return dep(Checkpoint.C(step=step, path=self.folder / f"{step}{suffix}"))

    def broken(self, dep, step):
        return dep(Checkpoint.C(step=f"step {step}", path=self.folder))

    def execute(self):
        self.folder.mkdir(exist_ok=True)
        for step in self.steps:
            if step == "!":
                first = not os.path.exists("failed-before")
                Path("failed-before").touch()
                if first:
                    raise ValueError("once")
            elif step == ".":
                while not os.path.exists(self.gate):
                    time.sleep(0.01)
            else:
                (self.folder / f"{step}.txt").write_text(f"model {step}")
                self.register_task_output(self.broken, int(step))
                self.register_task_output(self.checkpoint, int(step), suffix=".txt")
        say(f"learned {self.steps}")


class Stubborn(Learn):
    """One that keeps its files."""

    __xpm_resumable__ = True


class Wrong(Learn):
    def execute(self):
        self.register_task_output(self.checkpoint, Path("x"))


class Evaluate(Task):
    checkpoint: Param[Checkpoint]
    opens: Meta[str] = ""

    def execute(self):
        say(f"evaluate {self.checkpoint.step}")
        if self.opens:
            Path(self.opens).touch()
        return self.checkpoint.path.read_text()
