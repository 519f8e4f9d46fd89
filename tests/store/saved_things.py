"""Classes that tests save, and load in other processes."""

from __future__ import annotations

from enum import Enum

from xpm_nb import Config, DataPath, LightweightTask, Param, Task, field


class Color(Enum):
    RED = 1
    BLUE = 2


class Words(Config):
    data: DataPath
    color: Param[Color] = Color.RED
    loaded = ""

    def text(self) -> str:
        return self.data.read_text()


class Model(Config):
    words: Param[Words]
    same: Param[Words]
    more: Param[dict[str, list[Words]]] = field(default={})


class Read(LightweightTask):
    model: Param[Model]
    times: Param[int] = 1

    def execute(self):
        self.model.words.loaded += self.model.words.text() * self.times


class Learn(Task):
    model: Param[Model]

    def execute(self):
        pass
