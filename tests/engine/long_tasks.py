"""Tasks that take longer than they may."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.engine.some_tasks import say
from xpm_nb import (
    GracefulTimeout,
    Meta,
    Param,
    PathGenerator,
    Prepare,
    ResumableTask,
    Task,
    TaskCancelled,
    field,
)


class Steps(ResumableTask):
    """One step in each attempt; but for the last, it then stays until its time is over."""

    steps: Param[int]
    saved: Meta[Path] = field(default_factory=PathGenerator("saved.txt"))

    def execute(self):
        done = self.saved.read_text().split() if self.saved.exists() else []
        done.append(str(len(done) + 1))
        self.saved.write_text(" ".join(done))
        say(f"step {len(done)}")
        left = self.remaining_time()
        print(f"step {len(done)}, limited {left is not None and 0 <= left <= 5}")
        if len(done) < self.steps:
            try:
                time.sleep(600)
            except TaskCancelled as cancelled:
                print("cancelled with time left:", 0 < (cancelled.remaining_time or 0) <= 10)
                raise
        return [int(step) for step in done]


class Graceful(ResumableTask):
    """Asks to be started again."""

    times: Param[int]
    saved: Meta[Path] = field(default_factory=PathGenerator("saved.txt"))

    def execute(self):
        done = int(self.saved.read_text()) if self.saved.exists() else 0
        assert self.remaining_time() is None
        if done < self.times:
            self.saved.write_text(str(done + 1))
            raise GracefulTimeout("so much is done")
        return done


class Deaf(Task):
    """Takes no notice of being asked to end, and then raises something else."""

    def execute(self):
        say("deaf")
        try:
            time.sleep(600)
        except TaskCancelled:
            raise ValueError("not now") from None


class Stubborn(Task):
    """Cannot be asked to end."""

    def execute(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("stubborn")
        time.sleep(600)


class Corpus(Prepare):
    """Says when it is made ready."""

    name: Param[str]

    def prepare(self):
        say(f"prepare {self.name}")


class Nothing(Prepare):
    """Does not say how it is made ready."""


class Idle(Task):
    """Needs what cannot be made ready."""

    nothing: Param[Nothing]

    def execute(self):
        pass


class Parse(Task):
    """Needs a corpus."""

    corpus: Param[Corpus]
    seed: Param[int]

    def execute(self):
        return self.corpus.name


class Produce(Task):
    """Gives a value."""

    n: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("value.txt"))

    def execute(self):
        say(f"produce {self.n}")
        self.out.write_text(str(self.n))
        return self.n

    def value(self):
        return int(self.out.read_text())


class Use(Task):
    """Adds to the value of another task."""

    of: Param[Task]
    n: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("value.txt"))

    def execute(self):
        say(f"use {self.n}")
        self.out.write_text(str(self.of.value() + self.n))
        return self.value()

    def value(self):
        return int(self.out.read_text())
