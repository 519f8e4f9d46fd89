"""What jobs of test_caches.py import."""

from __future__ import annotations

import os
import time

from tests.engine.some_tasks import say
from xpm_nb import Config, Meta, Param, Task, cache


class Terms(Config):
    n: Param[int]
    gate: Meta[str] = ""

    @cache("terms.txt")
    def load(self, path):
        if not path.exists():
            say(f"compute {self.n}")
            while self.gate and not os.path.exists(self.gate):
                time.sleep(0.01)
            path.write_text("term " * self.n)
        return path.read_text().split()


class Count(Task):
    terms: Param[Terms]
    extra: Param[int]

    def execute(self):
        say(f"ask {self.extra}")
        return len(self.terms.load()) + self.extra


class Model(Config):
    size: Param[int]


class Use(Task):
    model: Param[Model]

    def execute(self):
        return [self.model.initialize(), self.model.initialize(), type(self.model).__name__]
