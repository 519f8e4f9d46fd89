"""What each type accepts, refuses and converts, as a table."""

# ruff: noqa: UP006, UP007, UP035, UP042, UP045  # older spellings are part of what is tested

from __future__ import annotations

import math
import subprocess
import sys
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, Optional, Set, Tuple, Union

import pytest
from pydantic import Field

from xpm_nb.core.config import Config, Task
from xpm_nb.core.fields import Choices, Meta, Param
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError


class Text(str, Enum):
    A = "a"


class Odd(str, Enum):
    ONE = 1


class Number(IntEnum):
    THREE = 3


class Color(Enum):
    RED = 1
    BLUE = "b"


class MyStr(str):
    pass


class MyFloat(float):
    pass


class Index:
    def __index__(self):
        return 7


class Model(Config):
    n: Param[int] = 1


class Deep(Model):
    pass


class Other(Config):
    pass


class Work(Task):
    def execute(self):
        pass


BIG = 10**400
MODEL, DEEP = Model.C(), Deep.C()
CWD = Path.cwd()

ACCEPTED = [
    (int, 3, 3), (int, BIG, BIG), (int, -BIG, -BIG), (int, True, 1), (int, False, 0),
    (int, "12", 12), (int, "3.0", 3), (int, 3.0, 3), (int, Number.THREE, 3), (int, Index(), 7),
    (float, 1.5, 1.5), (float, 1, 1.0), (float, True, 1.0), (float, "1.5", 1.5),
    (float, "nan", math.nan), (float, MyFloat(2.5), 2.5), (float, -0.0, -0.0),
    (bool, True, True), (bool, 0, False), (bool, 1, True),
    *[(bool, word, True) for word in ("true", "yes", "on", "t", "y", "1", "True", "YES")],
    *[(bool, word, False) for word in ("false", "no", "off", "f", "n", "0", "False", "NO")],
    (str, "a", "a"), (str, "", ""), (str, Text.A, "a"), (str, Odd.ONE, "1"), (str, MyStr("x"), "x"),
    (list[str], [Text.A], ["a"]), (dict[str, str], {Text.A: MyStr("x")}, {"a": "x"}),
    (Path, "/a/b", Path("/a/b")), (Path, Path("/a"), Path("/a")), (Path, "x/y", CWD / "x/y"),
    (Color, Color.RED, Color.RED), (Text, Text.A, Text.A),
    (list[int], [1, "2", 3.0], [1, 2, 3]), (List[int], [], []), (list, [1, "a"], [1, "a"]),
    (list[list[int]], [[1], ["2"]], [[1], [2]]),
    (set[int], {1, "2"}, {1, 2}), (Set[str], {"a"}, {"a"}), (set, {1}, {1}),
    (dict[str, int], {"a": "1"}, {"a": 1}), (Dict[int, str], {"1": "a"}, {1: "a"}), (dict, {}, {}),
    (tuple[int, str], (1, "a"), (1, "a")), (tuple[int, str], ["1", "a"], (1, "a")),
    (tuple[int, ...], [1, "2", 3], (1, 2, 3)), (Tuple[int, ...], (), ()), (tuple, [1], (1,)),
    (Literal["a", 1], "a", "a"), (Literal["a", 1], 1, 1), (Literal["a"], Text.A, "a"),
    (Literal[None, 2], None, None), (Literal[Color.RED], Color.RED, Color.RED),
    (Union[int, str], "5", 5), (Union[str, int], "5", "5"), (Union[str, int], 5, 5),
    (Union[int, float], 1.0, 1), (Union[int, float], 1.5, 1.5), (int | str, "x", "x"),
    (Optional[int], None, None), (Optional[int], "3", 3), (int | None, 3.0, 3),
    (Optional[Path], "/a", Path("/a")), (list[int | None], [1, None], [1, None]),
    (Any, 3, 3), (Any, "3", "3"), (Any, None, None), (Any, [1, {"a": ()}], [1, {"a": ()}]),
    (Model, MODEL, MODEL), (Model, DEEP, DEEP), (Optional[Model], None, None),
    (Model.C, MODEL, MODEL), (list[Model], [MODEL, DEEP], [MODEL, DEEP]),
    (Union[int, Model], MODEL, MODEL), (Config, MODEL, MODEL),
    (Annotated[int, Field(gt=0)], "3", 3), (Annotated[str, Field(max_length=2)], "ab", "ab"),
    (list[Annotated[int, Field(ge=1)]], [1, "2"], [1, 2]),
    (Annotated[str, Choices(["a", "b"])], "b", "b"),
]  # fmt: skip

REFUSED = [
    (int, 3.5), (int, "1e3"), (int, "abc"), (int, b"12"), (int, [1]), (int, math.nan),
    (float, "abc"), (float, b"1"), (float, [1.0]), (float, 1j),
    (bool, 2), (bool, "2"), (bool, "maybe"), (bool, b"1"), (bool, []),
    (str, 1), (str, b"a"), (str, Path("/a")), (str, Color.RED), (str, True),
    (list[str], ["a", 1]), (dict[str, str], {"a": b"x"}), (dict[str, str], {1: "x"}),
    (Path, 1), (Path, b"/a"), (Path, ["/a"]),
    (Color, 1), (Color, "RED"), (Color, "b"), (Color, Text.A),
    (list[int], (1, 2)), (list[int], {1}), (list[int], range(3)), (list[int], "12"),
    (list[int], [1, "x"]), (list, (1,)),
    (set[int], [1]), (set[int], frozenset({1})), (set[int], (1,)), (set[int], {"x"}),
    (dict[str, int], [("a", 1)]), (dict[str, int], {"a": "x"}),
    (tuple[int, str], (1,)), (tuple[int, str], (1, "a", 2)), (tuple[int, ...], {1}),
    (tuple[int, ...], range(3)), (tuple[int, ...], (1, "x")),
    (Literal["a", 1], "b"), (Literal[1], True), (Literal[1], 1.0), (Literal[1], "1"),
    (Union[int, str], 1.5), (Optional[int], "x"),
    (Model, Other.C()), (Model, 3), (Model, Model), (list[Model], [MODEL, 3]),
    (Model, Work.C()), (Work, Work.C()), (Config, Work.C()),
    (Annotated[int, Field(gt=0)], 0), (list[Annotated[int, Field(ge=1)]], [0]),
    (Annotated[str, Choices(["a", "b"])], "c"), (Annotated[int, Choices([1])], True + 1),
]  # fmt: skip


def holder(annotation):
    kind = Meta if "Path" in repr(annotation) else Param
    body = {"__annotations__": {"v": kind[annotation]}, "__module__": __name__}
    return type("Holder", (Config,), body)


def alike(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a.hex() == b.hex() or (a != a and b != b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    return a == b


def name_of(value):
    return f"{getattr(value, '__name__', value)}"[:30]


@pytest.mark.parametrize(("annotation", "value", "result"), ACCEPTED, ids=name_of)
def test_accepted(annotation, value, result):
    got = holder(annotation).C(v=value).v
    assert alike(got, result)
    assert type(got) is type(result)
    if isinstance(value, (list, set, dict)):
        assert got is not value


@pytest.mark.parametrize(("annotation", "value"), REFUSED, ids=name_of)
def test_refused(annotation, value):
    with pytest.raises(ConfigError, match=r"Holder\.v"):
        holder(annotation).C(v=value)


@pytest.mark.parametrize("annotation", [int, float, bool, str, list[int], Model, Color])
def test_none_is_refused_where_a_value_is_required(annotation):
    with pytest.raises(FrozenError, match=r"Holder\.v cannot be None"):
        holder(annotation).C(v=None)


def test_an_instance_is_no_configuration():
    instance = Model.C().instance()
    with pytest.raises(AttributeError, match=r"write Model\.C\(\.\.\.\)"):
        holder(Model).C(v=instance)
    with pytest.raises(AttributeError):
        holder(list[Model]).C(v=[instance])


def test_elements_are_plain_after_conversion():
    assert type(holder(list[float]).C(v=[MyFloat(1)]).v[0]) is float
    assert type(holder(Any).C(v=[1]).v) is list
    numpy = pytest.importorskip("numpy")
    assert type(holder(int).C(v=numpy.int64(3)).v) is int
    assert type(holder(float).C(v=numpy.float64(3)).v) is float
    assert type(holder(float).C(v=numpy.float32(0.5)).v) is float


def test_a_relative_path_is_made_absolute_when_it_is_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert holder(Path).C(v="data/x.txt").v == tmp_path / "data/x.txt"


def test_the_path_in_a_value_is_said():
    with pytest.raises(ConfigError, match=r"at \$\.v\[1\]\[0\]: 'x'; input should be a valid int"):
        holder(list[list[int]]).C(v=[[1], ["x"]])
    with pytest.raises(ConfigError, match=r"\$\.v\['k'\]: 'x'"):
        holder(dict[str, int]).C(v={"k": "x"})
    with pytest.raises(ConfigError, match=r"1"):
        holder(dict[str, int]).C(v={1: 1})


def test_all_reasons_of_a_union_are_said():
    with pytest.raises(ConfigError, match=r"int \| Model wanted.*valid integer.*Model\.C"):
        holder(int | Model).C(v="x")


@pytest.mark.parametrize("annotation", [list[Path], dict[str, Path], Union[Path, int], tuple[Path]])
def test_a_path_inside_a_container_cannot_be_part_of_an_identifier(annotation):
    cls = type("Bad", (Config,), {"__annotations__": {"v": Param[annotation]}})
    with pytest.raises(ConfigTypeError, match=r"Bad\.v: a Path inside .* declare it Meta"):
        cls.C()
    fine = type("Fine", (Config,), {"__annotations__": {"v": Meta[annotation]}})
    fine.C()


@pytest.mark.parametrize("annotation", [bytes, complex, frozenset[int], type(len), Index])
def test_other_types_are_refused_with_the_class(annotation):
    cls = type("Bad", (Config,), {"__annotations__": {"v": Param[annotation]}})
    with pytest.raises(ConfigTypeError, match=r"Bad\.v: .* cannot be the type of a parameter"):
        cls.C()


def test_an_enum_of_a_cell_that_was_run_again():
    def define():
        class Shade(Enum):
            DARK = 1

        class Room(Config):
            shade: Param[Shade]

        return Shade, Room

    (old, _), (new, room) = define(), define()
    assert room.C(shade=old.DARK).shade is new.DARK


def test_plain_values_need_no_checker():
    """A job process, and a sweep over numbers, never import pydantic_core."""
    code = (
        "import sys\n"
        "from xpm_nb.core.config import Config\n"
        "from xpm_nb.core.fields import Param\n"
        "class M(Config):\n    n: Param[int]\n    o: Param['M | None'] = None\n"
        "M.C(n=3, o=M.C(n=2)).__xpm__.identifier if M.__module__ != '__main__' else None\n"
        "bad = 'pydantic pydantic_core filelock asyncio IPython dataclasses inspect'.split()\n"
        "print([m for m in bad if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
