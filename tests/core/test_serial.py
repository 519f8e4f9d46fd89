from __future__ import annotations

import json
import struct
import subprocess
import sys
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from xpm_nb.core import config, serial, views
from xpm_nb.core.config import (
    Config,
    LightweightTask,
    Task,
    info,
    sealed_set,
    setmeta,
    stop_tags,
    tag,
)
from xpm_nb.core.fields import Constant, DataPath, Meta, Param, PathGenerator, field
from xpm_nb.errors import ConfigError, NoExperimentError


class Color(Enum):
    RED = 1


class Model(Config):
    n: Param[int] = 0


class Everything(Task):
    f: Param[float] = 1.5
    i: Param[int] = 2**70
    b: Param[bool] = True
    s: Param[str] = "é\n"
    o: Param[int | None] = None
    color: Param[Color] = Color.RED
    nested: Param[list[list[int]]] = field(default=[[1], []])
    pair: Param[tuple[int, str]] = (1, "a")
    numbers: Param[set[int]] = field(default={3, 1})
    by_int: Param[dict[int, Model]] = field(default={})
    by_name: Param[dict[str, Any]] = field(default={"type": "python", "value": 1})
    plain: Param[dict[str, int]] = field(default={"a": 1})
    models: Param[list[Model]] = field(default=[])
    chosen: Param[set[Model]] = field(default=set())
    inside: Meta[Path] = field(default_factory=PathGenerator("x/y.txt"))
    paths: Meta[list[Path]] = field(default=[])

    def execute(self):
        pass


class Load(LightweightTask):
    model: Param[Model]


class Make(Task):
    n: Param[int] = 0

    def task_outputs(self, dep):
        return dep(Model.C(n=self.n))


def resolve(module, qualname, typename):
    assert module == __name__
    return globals()[qualname]


def through_json(document):
    return json.loads(json.dumps(document))


def test_there_and_back():
    shared = Model.C(n=1)
    made = Everything.C(
        by_int={3: shared}, models=[shared, Model.C(n=tag(2)), setmeta(Model.C(), True)],
        chosen=sealed_set(Model.C(n=5), Model.C(n=6)), f=float("-inf"),
    ).tag("k", "v")  # fmt: skip
    config.seal(made)
    document = through_json(serial.dump(made, namespace=None))
    loaded = serial.load(document, resolve=resolve)
    back = loaded[-1]
    assert back == made
    assert back.models[0] is back.by_int[3]
    assert [info(c).sealed for c in loaded] == [True] * len(loaded)
    assert config.identify(back, "whatever") == config.identify(made, None)
    assert back.tags() == made.tags() == {"k": "v", "n": 2}
    assert serial.dump(back, namespace=None) == document | {"objects": document["objects"]}
    for name, value in info(made).values.items():
        assert type(info(back).values[name]) is type(value)


def test_the_shape_of_the_file(submitter):
    made = Everything.C(models=[Model.C(n=1)])
    made.submit()
    root = info(made).root
    info(made).values["paths"] = [root, root / "a", PurePosixPath("/ws/other"), Path("/abs")]
    document = serial.dump(made, namespace="exp", workspace=PurePosixPath("/ws"), job=root)
    assert {k: v for k, v in document.items() if k != "objects"} == {
        "workspace": "", "version": 3, "experimaestro": "2.7.0", "format": 1, "scheme": 1,
        "namespace": "exp",
    }  # fmt: skip
    model, task = document["objects"]
    assert model == {
        "id": 1, "module": __name__, "type": "Model", "typename": "tests.core.test_serial.model",
        "identifier": made.models[0].__identifier__().hex(), "fields": {"n": 1},
    }  # fmt: skip
    assert task["task"] == task["id"] == 2
    assert task["identifier"] == made.__identifier__().hex()
    fields = task["fields"]
    assert fields["models"] == [{"type": "python", "value": 1}]
    assert fields["color"] == {
        "type": "enum", "module": __name__, "enum": "Color", "value": "RED",
    }  # fmt: skip
    assert fields["pair"] == {"type": "tuple", "items": [1, "a"]}
    assert fields["numbers"] == {"type": "set", "items": [1, 3]}
    assert fields["plain"] == {"a": 1}
    assert fields["by_name"] == {"type": "dict", "items": [["type", "python"], ["value", 1]]}
    assert fields["inside"] == {"type": "path", "value": "x/y.txt", "base": "job"}
    assert fields["paths"] == [
        {"type": "path", "value": ".", "base": "job"},
        {"type": "path", "value": "a", "base": "job"},
        {"type": "path", "value": "other", "base": "workspace"},
        {"type": "path", "value": "/abs"},
    ]
    assert "/ws" not in json.dumps(document)


def test_paths_move_with_the_workspace(submitter):
    made = Everything.C()
    made.submit()
    document = serial.dump(made, namespace=None, workspace=Path("/ws"), job=info(made).root)
    back = serial.load(document, resolve=resolve, job=Path("/new/job"))[-1]
    assert back.inside == Path("/new/job/x/y.txt")
    with pytest.raises(ConfigError, match="lies in the job's directory"):
        serial.load(document, resolve=resolve)


def test_init_tasks_and_producers(submitter):
    made = Everything.C(models=[Make.C(n=3).submit()])
    made.submit(init_tasks=[Load.C(model=made.models[0])])
    document = through_json(serial.dump(made, namespace="exp"))
    by_type = {item["type"]: item for item in document["objects"]}
    assert by_type["Model"]["task"] == by_type["Make"]["id"]
    assert by_type["Everything"]["init-tasks"] == [by_type["Load"]["id"]]

    def careful(module, qualname, typename):
        assert qualname != "Make", "a producer is not needed to run"
        return globals()[qualname]

    loaded = serial.load(document, resolve=careful)
    back = loaded[-1]
    assert [type(c) for c in info(back).init_tasks] == [Load.C]
    assert info(back).init_tasks[0].model is back.models[0]
    assert info(back).task is back
    assert info(back.models[0]).task is None
    assert config.identify(back.models[0], None) == config.identify(made.models[0], None)


def test_loops():
    class Ring(Config):
        next: Param[Ring | None] = None

    a = Ring.C()
    a.next = Ring.C(next=a)
    a.seal()
    back = serial.load(serial.dump(a, namespace=None), resolve=lambda *_: Ring)[-1]
    assert back.next.next is back
    assert back == a


def test_every_nan_comes_back_as_it_was():
    for bits in ("7ff8000000000000", "fff8000000000000", "7ff8000000000001"):
        (value,) = struct.unpack("!d", bytes.fromhex(bits))
        made = Everything.C(f=value)
        document = through_json(serial.dump(made, namespace=None))
        back = serial.load(document, resolve=resolve)[-1]
        assert struct.pack("!d", back.f).hex() == bits
        assert back == made.seal()


def test_the_value_of_a_tag_needs_no_class():
    tagged = Model.C(n=1).tag("color", Color.RED).tag("n", 3).tag("path", Path("/x"))
    (item,) = json.loads(json.dumps(serial.dump(tagged, namespace="ns")))["objects"]
    assert item["tags"] == {"color": "Color.RED", "n": 3, "path": "/x"}


def test_what_cannot_be_written():
    class Loose(Config):
        x: Param[Any] = None

    with pytest.raises(ConfigError, match="complex"):
        serial.dump(Loose.C(x=[1j]), namespace=None)
    made = Loose.C()
    info(made).values["x"] = object()
    with pytest.raises(ConfigError):
        serial.dump(made, namespace=None)
    cell = type("Cell", (Config,), {"__module__": "__main__", "__qualname__": "Cell"})
    with pytest.raises(NoExperimentError):
        serial.dump(cell.C(), namespace=None)
    assert serial.dump(cell.C(), namespace="n")["objects"][0]["typename"] == "n.cell"


def test_values_of_an_unknown_sort():
    document = serial.dump(Model.C(), namespace=None)
    document["objects"][0]["fields"]["n"] = {"type": "hologram", "value": 1}
    with pytest.raises(ConfigError, match=r"unknown sort.*hologram"):
        serial.load(document, resolve=resolve)


def test_fields_that_the_class_has_no_more():
    document = serial.dump(Model.C(n=4), namespace=None)
    document["objects"][0]["fields"]["old"] = 3
    back = serial.load(document, resolve=resolve)[-1]
    assert (back.n, config.build_instance(back).old) == (4, 3)


@pytest.mark.slow
def test_a_job_process_loads_without_what_checks_values(tmp_path):
    (tmp_path / "m.py").write_text(
        "from __future__ import annotations\n"
        "from pathlib import Path\n"
        "from xpm_nb.core.config import Config, Task\n"
        "from xpm_nb.core.fields import Meta, Param, field, PathGenerator\n"
        "class Model(Config):\n    n: Param[int]\n    names: Param[list[str]]\n"
        "class Learn(Task):\n"
        "    model: Param[Model | None]\n    lr: Param[float] = 0.5\n"
        "    out: Meta[Path] = field(default_factory=PathGenerator('o'))\n"
    )
    write = (
        "import json, m, pathlib\nfrom xpm_nb.core import config, serial\n"
        "t = m.Learn.C(model=m.Model.C(n='3', names=['a']), lr='1.5')\n"
        "config.seal(t, pathlib.Path('/job'))\n"
        "print(json.dumps(serial.dump(t, namespace=None, job=pathlib.Path('/job'))))"
    )
    read = (
        "import sys, json, m, pathlib\nfrom xpm_nb.core import config, serial\n"
        "d = json.loads(sys.argv[1])\n"
        "c = serial.load(d, resolve=lambda mod, q, t: getattr(sys.modules[mod], q),"
        " job=pathlib.Path('/new'))\n"
        "i = config.build_instance(c[-1], taskdir='here', tags={'a': 1})\n"
        "print(i.model.n, i.lr, i.out, i.__taskdir__, i.__tags__)\n"
        "bad = 'pydantic pydantic_core filelock asyncio IPython dataclasses inspect hashlib difflib'\n"
        "print([m for m in bad.split() if m in sys.modules])"
    )

    def run(code, *args):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], cwd=tmp_path, text=True, check=True,
            capture_output=True, env={"PYTHONPATH": str(Path(config.__file__).parents[2])},
        )  # fmt: skip
        return done.stdout

    assert run(read, run(write)).splitlines() == ["3 1.5 /new/o here {'a': 1}", "[]"]


class Long(Config):
    n: Param[int]
    table: Param[dict[int, Any]] = field(default={})
    numbers: Param[set[int]] = field(default={1})
    path: Meta[Path | None] = None


@pytest.mark.parametrize("n", [10**5000, -(10**5000), 10**700, 2**2000], ids=["a", "b", "c", "d"])
def test_ints_that_python_does_not_write_in_decimal(n):
    config_ = Long.C(n=n, table={n: [n, {"k": n}, (n,)]}, numbers={n, 1})
    config_.tag("n", n)
    document = json.loads(json.dumps(serial.dump(config_, namespace="exp")))
    (again,) = serial.load(document, resolve=lambda *_: Long)
    assert again == config_
    assert again.n == n
    assert config.tags(again) == {"n": n}
    assert repr(again)
    assert "0x" in repr(Long.C(n=10**5000, table={}))
    assert views.describe(again, "exp").params
    with pytest.raises(ConfigError, match=r"Long\.n"):
        Long.C(n=[n])
    with pytest.raises(ConfigError, match=r"Long\.table"):
        Long.C(n=1, table={n: 1, "no": 3})
    with pytest.raises(ConfigError, match="cannot be hashed"):
        Long.C(n=1, table={n: {n: object()}}).__identifier__()


def test_where_tags_stop_is_kept():
    class Holder(Config):
        model: Param[Model]
        other: Param[Model]

    made = Holder.C(model=stop_tags(Model.C(n=tag(1))), other=Model.C(n=2))
    document = serial.dump(made, namespace="exp")
    assert document["objects"][-1]["untagged"] == ["model"]
    back = serial.load(document, resolve=lambda m, q, t: {"Model": Model}.get(q, Holder))[-1]
    assert back.tags() == {}
    assert back.model.tags() == {"n": 1}


def test_marks_say_what_the_class_knew():
    calls = []

    class Held(Config):
        needed: Param[int]
        bare: Param[int] = 1
        kept: Param[int] = field(default=2)
        maybe: Param[int | None] = None
        note: Meta[str] = "n"
        version: Constant[int] = 1
        where: Param[Path] = Path("/data")
        files: DataPath = Path("/files")
        out: Meta[Path] = field(default_factory=PathGenerator("out"))
        made: Param[list[int]] = field(default_factory=lambda: calls.append(1) or [])
        model: Param[Model | None] = None

    made = Held.C(model=setmeta(Model.C(n=1), True), needed=2)
    calls.clear()
    item = serial.dump(made, namespace=None)["objects"][-1]
    assert not calls
    assert list(item["fields"]) == [name for name in Held.C.__xpm_schema__.fields if name != "out"]
    assert item["marks"] == {
        "bare": "default unhashed", "kept": "default", "maybe": "default unhashed",
        "note": "meta default unhashed", "version": "constant default",
        "where": "default unhashed", "files": "meta default unhashed",
        "out": "meta generated unhashed", "model": "unhashed",
    }  # fmt: skip


def test_outlines_of_what_is_not_complete():
    class Odd:
        def __repr__(self):
            return "<odd>"

    body = {"__module__": "__main__", "__qualname__": "Cell", "__annotations__": {"x": Param[Any]}}
    cell = type("Cell", (Config,), body)
    [item] = serial.outline(cell.C(), None)["objects"]
    assert (item["identifier"], item["typename"], item["fields"]) == ("", "cell", {})
    made = cell.C(x=1)
    assert serial.outline(made, None)["objects"][0]["identifier"]
    assert serial.outline(made, "n")["objects"] == serial.dump(made, namespace="n")["objects"]
    made = cell.C(x=[])
    made.x.append(Odd())
    [item] = serial.outline(made, "n")["objects"]
    assert item["fields"] == {"x": [{"type": "other", "value": "<odd>"}]}
    above = cell.C(x=[cell.C(x=1).seal(), cell.C()])
    known = [bool(item["identifier"]) for item in serial.outline(above, "n")["objects"]]
    assert known == [True, False, False]
