from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Optional

import pydantic
import pytest

from xpm_nb.core import fields
from xpm_nb.core.config import Config, Task
from xpm_nb.core.fields import (
    Choices,
    Constant,
    DataPath,
    Meta,
    Param,
    PathGenerator,
    field,
    help,
    param_group,
    partial,
    pathgenerator,
    schema,
)
from xpm_nb.errors import ConfigError, ConfigTypeError, UnsetError


class Model(Config):
    n: Param[int]


class Everything(Config):
    """Holds one of each.

    Attributes:
        a: How many.
            On two lines.
        b (str): Its name.
    """

    a: Param[int]
    b: Meta[str] = "x"
    c: Constant[int] = 3
    d: DataPath
    e: Param[Model | None]
    f: Param[int] = field(default=1)
    g: Meta[Path] = field(default_factory=PathGenerator("g.txt"))
    h: Annotated[Path, pathgenerator("h.txt")]
    i: Param[Annotated[str, Choices(["u", "v"])]] = "u"
    j: Param[Annotated[int, help("number of js")]] = 0
    k: Param[list[int]] = field(default_factory=lambda: [1])
    plain: int = 3
    shared: ClassVar[int] = 4


def test_what_is_declared():
    found = schema(Everything).fields
    assert list(found) == list("abcdefghijk")
    assert [spec.kind for spec in found.values()] == [
        "param", "meta", "constant", "datapath", "param", "param", "meta", "meta", "param",
        "param", "param",
    ]  # fmt: skip
    assert {name for name, spec in found.items() if spec.required} == {"a", "d"}
    assert [spec.name for spec in schema(Everything).generated] == ["g", "h"]
    assert [found[n].type_text for n in "aekd"] == ["int", "Model | None", "list[int]", "Path"]
    assert {n for n in found if found[n].ignore_default} == set("bcij")
    assert found["d"].unhashed
    assert not found["a"].unhashed
    assert repr(found["e"]) == "<Everything.e: param Model | None>"


def test_constraints_of_pydantic_make_a_parameter_too():
    class Bounded(Config):
        n: Annotated[int, pydantic.Field(gt=0)]
        m: Param[Annotated[int, pydantic.Field(gt=0)]] = 1
        plain: Annotated[int, "words"] = 3

    assert list(schema(Bounded).fields) == ["n", "m"]
    assert Bounded.C(n="3").n == 3
    with pytest.raises(ConfigError, match=r"Bounded.n: .*greater than 0"):
        Bounded.C(n=0)


def test_help_texts():
    found = schema(Everything).fields
    assert found["a"].help_text == "How many. On two lines."
    assert found["b"].help_text == "Its name."
    assert found["j"].help_text == "number of js"
    assert found["f"].help_text == ""

    class Numpy(Config):
        """Something.

        Attributes
        ----------
        a : int
            The a.
        """

        a: Param[int] = field(default=1)
        b: Param[int] = field(default=1, help="the b")

    assert schema(Numpy).fields["a"].help_text == "The a."
    assert schema(Numpy).fields["b"].help_text == "the b"


def test_defaults():
    made = Everything.C(a=1)
    values = {n: getattr(made, n) for n in "abcefijk"}
    assert values == {
        "a": 1, "b": "x", "c": 3, "e": None, "f": 1, "i": "u", "j": 0, "k": [1],
    }  # fmt: skip
    other = Everything.C(a=1)
    assert made.k is not other.k
    with pytest.raises(UnsetError, match=r"Everything\.d has no value.*Path is required"):
        made.d  # noqa: B018
    with pytest.raises(KeyError):
        Everything.C().a  # noqa: B018


def test_mutable_defaults_are_not_shared():
    class Lists(Config):
        a: Param[list[int]] = [1]  # noqa: RUF012
        m: Param[Model] = field(default=Model.C(n=1))

    one, two = Lists.C(), Lists.C()
    one.a.append(2)
    one.m.n = 5
    assert (two.a, two.m.n, Lists.C().a) == ([1], 1, [1])


def test_a_default_is_checked():
    class Wrong(Config):
        a: Param[int] = "x"

    with pytest.raises(ConfigError, match=r"Wrong\.a: int wanted, not 'x'"):
        Wrong.C()


def test_a_factory_of_a_meta_is_called_when_it_is_sealed():
    calls = []

    class Late(Config):
        a: Meta[int] = field(default_factory=lambda: calls.append(1) or 7)

    made = Late.C()
    assert not calls
    with pytest.raises(UnsetError, match="made when the config is sealed"):
        made.a  # noqa: B018
    made.seal()
    assert (made.a, calls) == (7, [1])


def test_forward_references_and_loops():
    class First(Config):
        later: Param[Optional["Second"]] = None  # noqa: UP037, UP045
        me: Param["First | None"] = None  # noqa: UP037
        listed: Param[list["Second"]] = field(default=[])  # noqa: UP037

    with pytest.raises(ConfigError, match=r"First\.later: name 'Second' is not defined"):
        First.C(later=3)

    class Second(Config):
        first: Param["First"]  # noqa: UP037

    made = First.C(later=Second.C(first=First.C()))
    assert isinstance(made.later.first, First)
    with pytest.raises(ConfigError, match=r"Second \| None wanted"):
        First.C(later=made)
    made.listed = [made.later]


LATER = {}


class OnModule(Config):
    x: Param["ByName"]  # noqa: F821, UP037


def test_a_forward_reference_means_the_present_definition():
    class ByName(Config):
        a: Param[int] = 1

    old = globals()["ByName"] = ByName
    ByName.__qualname__ = "ByName"
    OnModule.C(x=old.C())

    class ByName(Config):
        b: Param[int] = 1

    new = globals()["ByName"] = ByName
    ByName.__qualname__ = "ByName"
    try:
        OnModule.C(x=new.C())
        with pytest.raises(ConfigError, match=r"other fields \(a, b\)"):
            OnModule.C(x=old.C())
    finally:
        del globals()["ByName"]


def test_inheritance_mixins_and_new_defaults():
    class Mixin:
        """No Config itself."""

        m: Param[int] = 5
        other: int

    class Base(Config):
        a: Param[int]
        b: Param[int] = 1

    class Child(Mixin, Base):
        b = 2
        c: Param[str] = "c"

    assert list(schema(Child).fields) == ["a", "b", "m", "c"]
    made = Child.C(a=1)
    assert (made.b, made.m, made.c, Base.C(a=1).b) == (2, 5, "c", 1)
    assert issubclass(Child.C, Base.C)


def test_overrides():
    class Base(Config):
        m: Param[Config]
        n: Param[int]

    class Silent(Base):
        m: Param[Model]

    with pytest.warns(UserWarning, match=r"Silent\.m replaces .*overrides=True"):
        Silent.C()

    class Said(Base):
        m: Param[Model] = field(overrides=True)

    assert schema(Said).fields["m"].type_text == "Model"

    class Clash(Base):
        n: Param[str] = field(overrides=True)

    with pytest.raises(
        ConfigTypeError, match=r"Clash\.n: str does not fit .*Base\.n, which is int"
    ):
        Clash.C()

    class Method(Base):
        def n(self):
            pass

    with pytest.raises(ConfigTypeError, match="cannot become a method"):
        Method.C()


@pytest.mark.parametrize(
    ("new", "old", "fits"),
    [
        ("int", "int", True), ("int", "int | str", True), ("int | str", "int", False),
        ("list[Model]", "list[Config]", True), ("list[int]", "set[int]", False),
        ("Literal['a']", "str", True), ("Literal[1]", "str", False), ("int", "Any", True),
        ("tuple[int, ...]", "tuple[int, ...]", True), ("dict[str, int]", "dict[str, str]", False),
        ("Config", "Model", False), ("int | None", "Any", True),
    ],
)  # fmt: skip
def test_narrower(new, old, fits):
    from xpm_nb.core import forms

    class Owner(Config):
        pass

    names = "from typing import Any, Literal\n"
    space = {"Model": Model, "Config": Config}
    exec(names, space)
    build = forms.FormBuilder(Owner, "x").build
    assert forms.narrower(build(eval(new, space)), build(eval(old, space))) is fits


@pytest.mark.parametrize("name", ["C", "submit", "execute", "task_outputs", "__x__"])
@pytest.mark.parametrize("text", [False, True])
def test_reserved_names(name, text):
    annotation = "Param[int]" if text else Param[int]
    with pytest.raises(ConfigTypeError, match=f"cannot be called '{name}'"):
        type("Bad", (Task,), {"__annotations__": {name: annotation}, "__module__": __name__})


def test_declarations_that_cannot_be_meant():
    with pytest.raises(ConfigTypeError, match="either default= or default_factory="):
        field(default=1, default_factory=int)
    with pytest.raises(ConfigTypeError, match="reserved"):
        type("Bad", (Task,), {"submit": lambda self: None})
    with pytest.raises(ConfigTypeError, match="write the type too"):
        schema(type("Bad", (Config,), {"__annotations__": {"x": Param}}))
    with pytest.raises(ConfigTypeError, match="a Constant needs a value"):
        schema(type("Bad", (Config,), {"__annotations__": {"x": Constant[int]}}))
    with pytest.raises(ConfigTypeError, match=r"derive from the class, not from its \.C"):
        type("Bad", (Model.C,), {})
    for bad in ("/abs", "../up", "a/../../b"):
        with pytest.raises(ConfigError, match="relative path"):
            PathGenerator(bad)
    with pytest.raises(ConfigTypeError, match="a name is a text, not 5"):
        PathGenerator(5)
    with pytest.raises(
        ConfigTypeError, match=r"`model = partial\(.*and partial=model without quotes"
    ):
        PathGenerator("weights.pt", partial="model")
    with pytest.raises(ConfigTypeError, match=r"Bad\.x: Param\[int cannot be understood"):
        schema(type("Bad", (Config,), {"__annotations__": {"x": "Param[int"}}))


def test_partials():
    group, other = param_group("g"), param_group("o")
    assert group == param_group("g") != other

    class Part(Task):
        ck = partial(exclude_groups=[group])
        only = partial(exclude_all=True, include_groups=[other])
        named = partial(exclude_no_group=True)
        a: Param[int] = field(default=0, groups=[group])
        b: Param[int] = field(default=0, groups=[group, other])
        c: Param[int] = field(default=0)

    found = schema(Part)
    kept = {
        name: "".join(n for n, spec in found.fields.items() if rule.keeps(spec))
        for name, rule in found.partials().items()
    }
    assert kept == {"ck": "c", "only": "b", "named": "ab"}
    assert Part.ck.name == "ck"


def test_unions_keep_their_order():
    class One(Config):
        x: Param[int | str]

    class Two(Config):
        x: Param[str | int]

    assert (One.C(x="5").x, Two.C(x="5").x) == (5, "5")
    assert repr(fields.Param) == "xpm_nb.Param"


def _postponed(text):
    """Execute a class statement under the future import, as IPython goes on to do."""
    space = {"__name__": __name__, "Config": Config, "Param": Param}
    code = "from __future__ import annotations\n" + text
    exec(compile(code, "<cell>", "exec", dont_inherit=True), space)
    return space["K"]


def test_quotes_under_the_future_import_make_a_parameter():
    cls = _postponed("class K(Config):\n  a: 'Param[int]'\n  b: Param['int'] = 2")
    assert cls.C(a=1).a == 1
    assert list(schema(cls).fields) == ["a", "b"]


@pytest.mark.parametrize("text", ["Param[Absent[int]]", "'Param[Absent[int]]'"])
def test_a_name_that_is_not_defined_is_named(text):
    cls = _postponed(f"class K(Config):\n  a: {text}")
    with pytest.raises(ConfigTypeError, match=r"K\.a: name 'Absent' is not defined, in .*<cell>:2"):
        cls.C(a=1)


def test_a_name_that_is_not_defined_inside_text():
    cls = type("K", (Config,), {"__annotations__": {"a": Param["Absent[int]"]}})
    with pytest.raises(ConfigError, match=r"K\.a: name 'Absent' is not defined"):
        cls.C(a=1)


def test_help_lists_the_only_values_allowed():
    class Few(Config):
        mode: Param[Annotated[str, Choices(["fast", "slow"])]] = "fast"
        many: Param[Annotated[int, Choices(range(100))]] = 0

    text = Few.C.__doc__
    assert "mode : {'fast', 'slow'}, default 'fast'" in text
    assert "many : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …}, default 0" in text
