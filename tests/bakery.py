"""What jobs of test_tasks_document.py import: a bakery, in which every feature has its use."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import ClassVar

from tests.engine.some_tasks import say
from xpm_nb import (
    Config,
    Job,
    Launcher,
    LightweightTask,
    Meta,
    Param,
    PathGenerator,
    SubmitHook,
    SubParam,
    Task,
    cache,
    field,
    submit_hook_decorator,
)


class Flour(Config):
    grain: Param[str]


class Knead(Task):
    """Minutes have a default, the flour is nested, the dough is a generated file."""

    minutes: Param[int] = 12
    flour: Param[Flour]
    dough: Meta[Path] = field(default_factory=PathGenerator("dough.txt"))

    def execute(self):
        self.dough.write_text(f"{self.flour.grain} x {self.minutes}")
        print("kneaded")
        return {
            "cwd": os.getcwd(),
            "tags": self.__tags__,
            "taskdir": str(self.__taskdir__),
            "maintaskdir": str(self.__maintaskdir__),
            "dough": str(self.dough),
        }


class Rest(Task):
    """Takes a task as it is: the default output."""

    dough: Param[Knead]

    def execute(self):
        say("rest")
        return self.dough.dough.read_text()


def wait_at(gate: str) -> None:
    """Wait for a file that a test makes: all that a process beside it can do is look again."""
    while gate and not os.path.exists(gate):
        time.sleep(0.01)


class Prove(Task):
    """Says what the default is, in so many words."""

    gate: Meta[str] = ""
    hours: Param[int]

    def task_outputs(self, dep):
        return dep(self)

    def execute(self):
        wait_at(self.gate)
        say("prove")


class Shape(Task):
    proved: Param[Prove]

    def execute(self):
        say("shape")


class Season(Task):
    """Salt is a detail: what it makes and what it keeps for all salts are told apart."""

    flour: Param[Flour]
    salt: SubParam[int] = 0

    def execute(self):
        with (self.__maintaskdir__ / "spoons.txt").open("a") as file:
            file.write(f"{self.salt}\n")
        return [str(self.__taskdir__), str(self.__maintaskdir__)]


# -- outputs of which some parts are marked


class Shelf(Config):
    path: Param[Path]


class Shop(Config):
    window: Param[Shelf]
    cellar: Param[Shelf]


class Decorate(Task):
    """The window is made anew, the cellar is left as it is."""

    shop: Param[Shop]
    seed: Param[int]
    display: Param[Path] = field(default_factory=PathGenerator("window.txt"))

    def task_outputs(self, dep):
        window = dep(Shelf.C(path=self.display))
        return dep(Shop.C(window=window, cellar=self.shop.cellar))

    def execute(self):
        self.display.write_text(f"window {self.seed}")


class Look(Task):
    shelf: Param[Shelf]

    def execute(self):
        return self.shelf.path.read_text()


class Visit(Task):
    shop: Param[Shop]

    def execute(self):
        return [self.shop.window.path.read_text(), self.shop.cellar.path.read_text()]


# -- a path that is passed on, wrapped and not


class Loaf(Config):
    path: Meta[Path]


class Bake(Task):
    heat: Param[int]
    where: Meta[Path] = field(default_factory=PathGenerator("loaf.txt"))

    def task_outputs(self, dep):
        return dep(Loaf.C(path=self.jobpath / "loaf.txt"))

    def execute(self):
        self.where.write_text(f"baked at {self.heat}")


class Taste(Task):
    loaf: Param[Loaf]

    def execute(self):
        return self.loaf.path.read_text()


class TasteAt(Task):
    path: Param[Path]

    def execute(self): ...


# -- loading by an init task


class Sourdough(Config):
    strain: Param[str]

    def __post_init__(self):
        self.age = 0


class Wake(LightweightTask):
    sourdough: Param[Sourdough]
    path: Meta[Path]

    def execute(self):
        say("wake")
        self.sourdough.age = json.loads(self.path.read_text())


class Double(LightweightTask):
    sourdough: Param[Sourdough]

    def execute(self):
        say("double")
        self.sourdough.age *= 2


class Feed(Task):
    sourdough: Param[Sourdough]
    days: Param[int]
    diary: Meta[Path] = field(default_factory=PathGenerator("diary.json"))

    def task_outputs(self, dep):
        return dep(Wake.C(sourdough=self.sourdough, path=self.diary))

    def execute(self):
        say("feed")
        self.diary.write_text(json.dumps(self.days))


class Smell(Task):
    sourdough: Param[Sourdough]

    def execute(self):
        say("smell")
        return self.sourdough.age


# -- submit hooks


class needs_oven(SubmitHook):
    asked: ClassVar[list[int]] = []

    def __init__(self, size: int):
        self.size = size

    def spec(self):
        return self.size

    def process(self, job: Job, launcher: Launcher):
        self.asked.append(self.size)
        job.environ["OVEN_HOME"] = f"/ovens/{self.size}"


@submit_hook_decorator
def needs_light(job, launcher, colour):
    launcher.environ["LIGHT"] = colour


@needs_oven(3)
class Tray(Config):
    number: Param[int]


@needs_light("amber")
@needs_oven(3)
class Roast(Task):
    trays: Param[list[Tray]]

    def execute(self):
        return [os.environ["OVEN_HOME"], os.environ["LIGHT"]]


class Fail(Task):
    def execute(self):
        raise RuntimeError("burnt")


# -- a cache


class Prices(Config):
    year: Param[int]
    gate: Meta[str] = ""

    @cache("prices.json")
    def load(self, path: Path):
        if path.is_file():
            return json.loads(path.read_text())
        say("compute prices")
        wait_at(self.gate)
        path.write_text(json.dumps([self.year, str(path)]))
        return json.loads(path.read_text())


class Sell(Task):
    prices: Param[Prices]
    loaves: Param[int]

    def execute(self):
        say(f"sell {self.loaves}")
        return self.prices.load()
