"""What was written comes back, wherever it lies now; what is no description says what is wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from xpm_nb.core import config, rebuild, serial
from xpm_nb.core.config import Config, Task, info, sealed_set
from xpm_nb.core.fields import DataPath, Meta, Param, field
from xpm_nb.errors import ConfigError, FrozenError, UnsetError


class Leaf(Config):
    n: Param[int] = 1
    data: DataPath = Path("/nothing")


class Later(Config):
    made: Meta[list[int]] = field(default_factory=lambda: [7])


class Top(Config):
    one: Param[Leaf]
    more: Param[list[Leaf]] = field(default=[])
    chosen: Param[set[Leaf]] = field(default=set())
    any: Param[Any] = None


class Make(Task):
    n: Param[int] = 0
    out: Meta[Path] = Path("/x")

    def task_outputs(self, dep):
        return dep(Leaf.C(n=self.n))

    def execute(self):
        pass


class InCell(Config):
    n: Param[int] = 0


assert InCell.C.__doc__  # its annotations are read
InCell.__module__ = "__main__"  # as if a cell had defined it


def resolve(module, qualname, typename):
    return globals()[qualname]


def leave(number, where, path):
    return str(path), False


def through(value, namespace=None, carry=leave, **options):
    document = json.loads(json.dumps(serial.dump_value(value, namespace=namespace, carry=carry)))
    return serial.load_value(document, resolve=resolve, **options)


def test_values_of_any_shape():
    leaf = Leaf.C(n=3)
    top = Top.C(one=leaf, more=[leaf, Leaf.C(n=4)], chosen=sealed_set(Leaf.C(n=5)))
    back = through([top, {"leaf": leaf}, 3, None, (1, "a")])
    assert back == [top, {"leaf": leaf}, 3, None, (1, "a")]
    assert back[0].one is back[0].more[0] is back[1]["leaf"]
    assert through(5) == 5
    assert not info(leaf).sealed
    with pytest.raises(FrozenError):
        back[0].any = 3


def test_factories_that_were_not_applied_are_when_it_is_loaded():
    assert through(Later.C()).made == [7]


def test_a_parameter_that_the_class_had_not_then_has_its_default():
    document = serial.dump_value(Leaf.C(n=2), namespace=None, carry=leave)
    del document["objects"][0]["fields"]["n"]
    assert serial.load_value(document, resolve=resolve).n == 1


def test_a_value_that_is_missing_is_told_when_it_is_written():
    with pytest.raises(UnsetError, match="one"):
        through(Top.C())


def test_the_files_are_where_the_folder_is():
    told = []

    def carry(number, where, path):
        told.append((number, where, path))
        return "files/x", False

    back = through(Leaf.C(data="/a/b"), carry=carry, data=Path("/elsewhere"))
    assert told == [(1, "Leaf.data", Path("/a/b"))]
    assert back.data == Path("/elsewhere/files/x")
    with pytest.raises(ConfigError, match="give the path"):
        through(Leaf.C(), carry=carry)
    with pytest.raises(ConfigError, match="leads out"):
        through(Leaf.C(), carry=lambda *_: ("../x", False), data=Path("/elsewhere"))


def test_tasks_that_made_something_are_loaded_on_request(submitter):
    output = Make.C(n=3).submit()
    task = info(output).task
    back = through(output)
    assert info(back).task is None
    again = through(output, producers=True)
    assert again == output
    assert info(again).task == task
    assert again.__identifier__() == output.__identifier__()
    assert back.__identifier__() == output.__identifier__()
    document = serial.dump(task, namespace=None)
    assert len(serial.load(document, resolve=resolve, producers=True)) == 1


def test_what_a_cell_defines_belongs_to_the_experiment_it_is_used_in():
    one = InCell.C(n=3)
    for namespace in ("a", None):  # None: no experiment is open
        back = through(Top.C(one=Leaf.C(), any=one), namespace)
        assert config.identify(back.any, "b") == config.identify(one, "b")
        assert config.identify(back, "b") == config.identify(Top.C(one=Leaf.C(), any=one), "b")


def test_paths_of_a_workspace_that_was_moved():
    document = serial.dump(Make.C(out="/old/ws/jobs/x"), namespace=None)
    document["workspace"] = "/old/ws"
    load = lambda **where: serial.load(document, resolve=resolve, **where)[-1].out  # noqa: E731
    assert load(workspace=Path("/new")) == Path("/new/jobs/x")
    assert load() == Path("/old/ws/jobs/x")
    document["workspace"] = "/other"
    assert load(workspace=Path("/new")) == Path("/old/ws/jobs/x")


def _with(path, value):
    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = value

    return change


DAMAGED = {
    "no objects": (_with(["objects"], None), "no list of 'objects'"),
    "empty": (_with(["objects"], []), "a part|no configuration"),
    "not an object": (_with(["objects", 0], 3), "number 0"),
    "no fields": (_with(["objects", 0, "fields"], 3), "number 0"),
    "no id": (_with(["objects", 1, "id"], "x"), "number 1"),
    "no name": (_with(["objects", 0, "type"], None), "number 0"),
    "no identifier": (_with(["objects", 0, "identifier"], "xyz"), "number 0"),
    "a reference to nothing": (
        _with(["objects", 1, "fields", "one"], {"type": "python", "value": 77}),
        "a part of .*top is missing",
    ),
    "a strange reference": (
        _with(["objects", 1, "fields", "one"], {"type": "python", "value": []}),
        "missing|understood",
    ),
    "a sort of tomorrow": (_with(["objects", 1, "fields", "any"], {"type": "what"}), "'what'"),
    "tomorrow": (_with(["version"], 4), "upgrade"),
    "strange version": (_with(["version"], "x"), "upgrade"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_no_description(kind):
    change, said = DAMAGED[kind]
    document = serial.dump(Top.C(one=Leaf.C()), namespace=None)
    changed = copy.deepcopy(document)
    change(changed)
    with pytest.raises(ConfigError, match=said):
        serial.load(changed, resolve=resolve)


def test_a_state_without_a_value():
    with pytest.raises(ConfigError, match="'data'"):
        serial.load_value(serial.dump(Leaf.C(), namespace=None), resolve=resolve)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"n": (int, 1), "data": (DataPath, Path("/"))}, ""),
        ({"n": (int, 1), "data": (DataPath, Path("/")), "new": (int, 7)}, ""),
        ({"data": (DataPath, Path("/"))}, "Leaf has no parameter n any more"),
        ({"n": (int, 1), "data": (DataPath, Path("/")), "new": (int, ...)}, "a parameter new now"),
    ],
)
def test_a_class_that_is_another_by_now_is_told(body, said):
    names = {"__annotations__": {k: Param[t] if t is int else t for k, (t, _) in body.items()}}
    names |= {name: value for name, (_, value) in body.items() if value is not ...}
    names |= {"__module__": __name__, "__qualname__": "Leaf"}
    other = type("Leaf", (Config,), names)
    document = serial.dump(Top.C(one=Leaf.C(), more=[Leaf.C(n=3)]), namespace=None)
    found = serial.load(document, resolve=lambda *names: {"Leaf": other}.get(names[1], Top))[-1]
    assert rebuild.misfit(found).endswith(said)
    assert bool(rebuild.misfit(found)) == bool(said)
