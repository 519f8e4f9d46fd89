"""Type variables: checked, and bound across nested configurations."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core import config
from xpm_nb.core.config import Config, Task, copyconfig, info
from xpm_nb.core.fields import Param, field, schema
from xpm_nb.errors import ConfigError, ConfigTypeError

T = TypeVar("T")
U = TypeVar("U")


class A(Config):
    pass


class A1(A):
    pass


class A2(A):
    pass


B = TypeVar("B", bound=A)
N = TypeVar("N", int, str)


class Phantom:
    """Stands for a class that is no type of a parameter, such as an array."""


class Box(Config, Generic[T]):
    x: Param[T]


class Two(Config, Generic[T]):
    x: Param[T]
    y: Param[T]


class Boxes(Config, Generic[T]):
    a: Param[Box[T]]
    b: Param[Box[T]]


class OfInt(Config):
    box: Param[Box[int]]


class OfA(Config):
    box: Param[Box[A]]


class IntBox(Box[int]):
    pass


class ListBox(Box[list[U]], Generic[U]):
    more: Param[U | None] = None


class Same(Box[T], Generic[T]):
    pass


class Plain(Box):
    pass


class Deep(Config):
    box: Param[Box[Box[int]]]


class Bound(Config, Generic[B]):
    x: Param[B]


class Mixed(Config, Generic[T]):
    items: Param[list[T]] = field(default=[])
    table: Param[dict[str, Box[T]]] = field(default={})
    pair: Param[tuple[T, int] | None] = None
    one: Param[T | None] = None


class Either(Config, Generic[T]):
    x: Param[Box[int] | Box[str]]
    y: Param[T] = 3


class Chain(Config, Generic[T]):
    value: Param[T]
    below: Param[Chain[T] | None] = None


OK = {
    "one variable": lambda: Box.C(x=1),
    "twice the same": lambda: Two.C(x=1, y=2),
    "a parent, then its child": lambda: Two.C(x=A.C(), y=A1.C()),
    "a child, then its parent": lambda: Two.C(x=A1.C(), y=A.C()),
    "nested": lambda: Boxes.C(a=Box.C(x=1), b=Box.C(x=2)),
    "nested, of related classes": lambda: Boxes.C(a=Box.C(x=A1.C()), b=Box.C(x=A.C())),
    "as declared": lambda: OfInt.C(box=Box.C(x=1)),
    "a whole number for a float": lambda: Box[float].C(x=1),
    "a child of what is declared": lambda: OfA.C(box=Box.C(x=A1.C())),
    "a subclass that says it": lambda: OfInt.C(box=IntBox.C(x=1)),
    "a subclass that passes it on": lambda: OfInt.C(box=Same.C(x=1)),
    "a subclass that leaves it open": lambda: OfInt.C(box=Plain.C(x=1)),
    "lists": lambda: ListBox.C(x=[1], more=2),
    "two levels": lambda: Deep.C(box=Box.C(x=Box.C(x=1))),
    "bound": lambda: Bound.C(x=A1.C()),
    "containers": lambda: Mixed.C(items=[1], table={"k": Box.C(x=2)}, pair=(3, 4), one=5),
    "an empty list": lambda: Mixed.C(items=[], one="s"),
    "elements of several types": lambda: Mixed.C(items=[1, "s"], one=2.5),
    "none": lambda: Mixed.C(items=[1], one=None),
    "either": lambda: Either.C(x=Box.C(x="s")),
    "a default says nothing": lambda: Either.C(x=Box.C(x=1), y="s"),
    "arguments": lambda: Box[int].C(x=1),
    "arguments that are no parameters": lambda: Box[Phantom].C(x=1),
    "anything": lambda: Box[Any].C(x=1),
    "not yet known": lambda: OfInt.C(box=Box.C()),
}  # fmt: skip


@pytest.mark.parametrize("name", OK)
def test_what_fits(name):
    made = OK[name]()
    config.validate(made) if name != "not yet known" else None
    assert copyconfig(made) == made


CLASHES = {
    "two types": (lambda: Two.C(x=1, y="s"), r"Two.y: T is int \(by x\), and str by y"),
    "int and float": (lambda: Two.C(x=1, y=2.5), "T is int"),
    "siblings": (lambda: Two.C(x=A1.C(), y=A2.C()), r"T is A1 \(by x\), and A2 by y"),
    "nested": (lambda: Boxes.C(a=Box.C(x=1), b=Box.C(x="s")), "Boxes.b: T is int"),
    "not as declared": (lambda: OfInt.C(box=Box.C(x="s")), "OfInt.box: int is wanted, not str"),
    "a parent": (lambda: Box[A1].C(x=A.C()), "T is A1.*and A by x"),
    "a subclass that says it": (lambda: IntBox.C(x="s"), "IntBox.x: int is wanted, not str"),
    "of a subclass": (lambda: OfInt.C(box=Same.C(x="s")), "int is wanted, not str"),
    "lists": (lambda: ListBox.C(x=["s"], more=2), "U is str"),
    "no list": (lambda: ListBox.C(x=3), r"list\[U\] is wanted, not int"),
    "two levels": (lambda: Deep.C(box=Box.C(x=Box.C(x="s"))), r"int is wanted, not str"),
    "two levels, one missing": (lambda: Deep.C(box=Box.C(x=1)), r"Box\[int\] is wanted, not int"),
    "elements": (lambda: Mixed.C(items=[1], one="s"), "T is int"),
    "values": (lambda: Mixed.C(table={"k": Box.C(x="s")}, one=1), "T is str"),
    "pairs": (lambda: Mixed.C(pair=("s", 1), items=[1]), "T is int|T is str"),
    "arguments": (lambda: Box[int].C(x="s"), r"T is int \(by Box\[int\]\), and str by x"),
    "neither": (lambda: Either.C(x=Box.C(x=1.5)), "is wanted, not float"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASHES)
def test_what_clashes(name):
    make, message = CLASHES[name]
    with pytest.raises(ConfigTypeError, match=message) as caught:
        make()
    assert isinstance(caught.value, TypeError)
    assert "test_generics.py" in str(caught.value)


def test_nothing_is_set_by_a_clash():
    made = Two.C(x=1, y=2)
    with pytest.raises(ConfigTypeError):
        made.x = "s"
    assert (made.x, made.y) == (1, 2)
    box = Box.C(x=1)
    box.x = "s"  # nothing else says what T is
    assert box.x == "s"


def test_changes_below_are_seen_when_it_is_validated():
    made = OfInt.C(box=Box.C())
    made.box.x = "s"
    with pytest.raises(ConfigTypeError, match="int is wanted, not str"):
        config.validate(made)


def test_copies_keep_what_was_said():
    made = Box[int].C(x=1)
    for again in (made.copy(), copy.deepcopy(made)):
        with pytest.raises(ConfigTypeError, match="T is int"):
            again.x = "s"
    assert pickle.loads(pickle.dumps(made)) == made
    assert Box[int].C(x=1) == Box.C(x=1)


def test_values_are_not_converted_so_that_identifiers_stay():
    """Experimaestro takes a type variable for anything: a value is hashed as it was given."""
    assert type(Box[float].C(x=1).x) is int
    assert Box[float].C(x=1).__identifier__() == Box.C(x=1).__identifier__()
    assert Box.C(x=1).__identifier__() != Box.C(x=1.0).__identifier__()


def test_a_path_is_one_where_the_class_says_so(monkeypatch, tmp_path):
    class PathBox(Box[Path]):
        pass

    monkeypatch.chdir(tmp_path)
    assert PathBox.C(x="a").x == tmp_path / "a"
    assert PathBox.C(x="a").__identifier__() == PathBox.C(x="b").__identifier__()


def test_bounds_and_constraints():
    with pytest.raises(ConfigError, match="a A is needed"):
        Bound.C(x=Box.C(x=1))

    class Number(Config, Generic[N]):
        x: Param[N]

    assert Number.C(x="s").x == "s"
    with pytest.raises(ConfigError):
        Number.C(x=1.5)


def test_how_types_are_written():
    def text(cls, name):
        return schema(cls).fields[name].type_text

    assert [text(Two, "x"), text(Boxes, "a"), text(OfInt, "box")] == ["T", "Box[T]", "Box[int]"]
    assert [text(IntBox, "x"), text(ListBox, "x"), text(Deep, "box")] == [
        "int", "list[U]", "Box[Box[int]]",
    ]  # fmt: skip
    assert text(Chain, "below") == "Chain[T] | None"


def test_what_is_not_generic_takes_no_arguments():
    with pytest.raises(TypeError, match=r"A is not generic"):
        A[int]
    assert Box[int].C.__name__ == "Box.C"
    assert isinstance(Box[int].C(x=1), Box)
    with pytest.raises(ConfigTypeError, match=r"Box.C\("):
        Box[int](x=1)
    assert Box[T].C(x=1).x == 1


def test_outputs_and_tasks(submitter):
    class Make(Task, Generic[T]):
        n: Param[T]

        def task_outputs(self, dep):
            return dep(Box.C(x=self.n))

        def execute(self):
            pass

    assert OfInt.C(box=Make.C(n=1).submit()).box.x == 1
    with pytest.raises(ConfigTypeError, match="int is wanted, not str"):
        OfInt.C(box=Make[str].C(n="s").submit())


@pytest.mark.slow
def test_a_chain_of_5000_and_a_loop():
    made = None
    for _ in range(5000):
        made = Chain.C(value=1, below=made)
    config.validate(made)
    with pytest.raises(ConfigTypeError, match="T is str"):
        Chain.C(value="s", below=made)
    box = other = Box.C(x=1)
    for _ in range(5000):
        box, other = Box.C(x=box), Box.C(x=other)
    both = Two.C(x=box, y=other)
    config.validate(both)
    assert both.__identifier__() == Two.C(x=box, y=box).__identifier__()
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    Two.C(x=nested, y=[nested])
    a = Chain.C(value=1)
    a.below = a
    config.validate(a)
    assert info(a).config is a


@given(st.recursive(st.sampled_from([int, str, A, A1]), lambda inner: inner.map(lambda t: Box[t])))
def test_a_value_of_the_type_always_fits_and_of_another_never(annotation):
    class Holder(Config):
        x: Param[Box[annotation]]

    def example(t):
        if t in (int, str):
            return t()
        return t.C() if isinstance(t, type) else Box.C(x=example(t.__args__[0]))

    def other(t):
        return Box.C(x=2.5) if isinstance(t, type) else Box.C(x=other(t.__args__[0]))

    made = Holder.C(x=Box.C(x=example(annotation)))
    config.validate(made)
    with pytest.raises(ConfigTypeError, match="is wanted, not"):
        Holder.C(x=other(annotation))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="class G[T] is of Python 3.12")
def test_the_new_way_of_writing():
    space = {"Config": Config, "Param": Param, "__name__": "generic"}
    text = "class G[T](Config):\n    x: Param[T]\n    y: Param[T]\n"
    exec(compile(text, "<cell>", "exec", dont_inherit=True), space)
    assert space["G"][int].C(x=1, y=2).x == 1
    with pytest.raises(ConfigTypeError, match="T is int"):
        space["G"].C(x=1, y="s")
