"""Tasks that jobs of these tests import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from xpm_nb import (
    Config,
    LightweightTask,
    Meta,
    Param,
    PathGenerator,
    Task,
    field,
    log_metrics,
    progress,
)


def say(text: str) -> None:
    """One write, so that lines of several jobs never mix."""
    log = os.environ.get("XPM_TEST_LOG")
    if log:
        with open(log, "a") as file:
            file.write(f"{text}\n")


class Model(Config):
    hidden: Param[int] = 8


class Learn(Task):
    lr: Param[float]
    model: Param[Model] = field(default_factory=Model.C)
    gate: Meta[str] = ""  # it stays until this file exists
    fail: Meta[str] = ""

    def execute(self):
        say(f"start {self.lr}")
        progress(0.5, desc="half way")
        log_metrics({"loss": self.lr * 2}, step=1)
        log_metrics({"loss": self.lr}, step=2)
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        if self.fail:
            raise ValueError(self.fail)
        say(f"end {self.lr}")
        return {"accuracy": 1 - self.lr, "hidden": self.model.hidden}


class Scored(Config):
    path: Meta[Path]


class Score(Task):
    learn: Param[Learn]
    out: Meta[Path] = field(default_factory=PathGenerator("score.txt"))

    def task_outputs(self, dep):
        return dep(Scored.C(path=self.out))

    def execute(self):
        self.out.write_text(str(self.learn.lr))


class Report(Task):
    scored: Param[Scored]

    def execute(self):
        return self.scored.path.read_text()


class Environment(Task):
    name: Param[str]

    def execute(self):
        return [os.environ.get(self.name), dict(self.__tags__)]


class Alone(Task):
    place: Param[str]

    def execute(self):
        os.mkdir(self.place)  # fails if another one is here
        time.sleep(0.02)
        os.rmdir(self.place)


class Load(LightweightTask):
    factor: Param[int]
    model: Param[Model]

    def execute(self):
        self.model.hidden *= self.factor
