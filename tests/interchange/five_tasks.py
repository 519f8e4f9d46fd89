"""Five tasks, for both tools: which one it is, is said by the line of the import alone."""

import os
import time
from pathlib import Path

from xpm_nb import (
    Config,
    DataPath,
    LightweightTask,
    Meta,
    Param,
    PathGenerator,
    Task,
    experiment,
    field,
    load,
    save,
    tag,
)


def say(text: str) -> None:
    """Tell the referee, in one write."""
    with open(os.environ["REFEREE"], "a") as file:
        file.write(f"{text}\n")


class Model(Config):
    hidden: Param[int] = field(default=3)


class Bundle(Config):
    path: Meta[Path]
    model: Param[Model]


class Prepare(Task):
    n: Param[int]
    model: Param[Model]
    out: Meta[Path] = field(default_factory=PathGenerator("prepared.txt"))

    def task_outputs(self, dep):
        return dep(Bundle.C(path=self.out, model=self.model))

    def execute(self):
        say(f"prepare {self.n}")
        self.out.write_text(str(self.n))


class Loader(LightweightTask):
    bundle: Param[Bundle]
    model: Param[Model]

    def execute(self):
        self.model.loaded = self.bundle.path.read_text()


class Use(Task):
    model: Param[Model]
    sizes: Param[list[int]]
    named: Param[dict[str, Model]]

    def execute(self):
        say(f"use {self.model.loaded}")


class Read(Task):
    bundle: Param[Bundle]

    def execute(self):
        say(f"read {self.bundle.path.read_text()}")


class Plain(Task):
    x: Param[float]
    ok: Param[bool] = field(default=True)

    def execute(self):
        say(f"plain {self.x}")


class Breaks(Task):
    x: Param[float | None] = field(default=None)

    def execute(self):
        say("breaks")
        if os.environ.get("BREAK"):
            raise ValueError("as it was told to")


class Gate(Task):
    name: Param[str]

    def execute(self):
        say(f"start {self.name}")
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.02)
        say(f"end {self.name}")


class Dataset(Config):
    data: DataPath
    name: Param[str]


class Both(Config):
    one: Param[Dataset]
    same: Param[Dataset]
    sizes: Param[list[float]]


def run_all(workspace: Path) -> dict[str, str]:
    """Submit all five, and wait for them; give their identifiers."""
    prepare = Prepare.C(n=1, model=Model.C(hidden=4))
    plain, breaks = Plain.C(x=tag(0.5)), Breaks.C()
    tasks = {"prepare": prepare, "plain": plain, "breaks": breaks}
    try:
        with experiment(workspace, "five"):
            bundle = prepare.submit()
            tasks["read"] = Read.C(bundle=bundle)
            tasks["read"].submit()
            model = Model.C(hidden=5)
            tasks["use"] = Use.C(model=model, sizes=[1, 2], named={"a": bundle.model})
            tasks["use"].submit(init_tasks=[Loader.C(bundle=bundle, model=model)])
            plain.submit()
            breaks.submit()
    except Exception as error:
        if type(error).__name__ != "FailedExperiment":
            raise
    return {name: task.__xpm__.identifier.all.hex() for name, task in tasks.items()}


def run_gate(workspace: Path) -> None:
    """Run the task that waits."""
    with experiment(workspace, "gate"):
        Gate.C(name="one").submit()


def save_both(folder: Path, data: Path) -> None:
    """Save two references to one configuration with a file."""
    one = Dataset.C(data=data, name="é")
    save(Both.C(one=one, same=one, sizes=[1.5, float("inf")]), folder)


def load_both(folder: Path) -> str:
    """Say what was saved."""
    both = load(folder, as_instance=True)
    assert both.one is both.same
    return f"{both.one.name} {both.sizes} {both.one.data.read_text()}"
