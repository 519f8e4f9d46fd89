"""What holds for all configurations."""

from __future__ import annotations

import copy
import json
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests import strategies as xst
from xpm_nb.core import config, serial, views
from xpm_nb.core.config import Config, copyconfig, info, same, setmeta, walk
from xpm_nb.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm_nb.core.identifier import encode
from xpm_nb.core.nodes import is_default

pytestmark = pytest.mark.slow


def identifier(made):
    return config.identify(made, None).hex()


def resolver(made):
    classes = {config.type_name(config.declared_class(c), None): config.declared_class(c)
               for c in walk(made)}  # fmt: skip

    def resolve(module, qualname, typename):
        return classes[typename] if typename else xst.Color

    resolve.known = classes
    return resolve


@given(xst.any_configs())
def test_load_of_dump_is_the_same(made):
    document = json.loads(json.dumps(serial.dump(made, namespace=None)))
    back = serial.load(document, resolve=resolver(made))[-1]
    assert back == made
    assert made == back
    assert identifier(back) == identifier(made)
    assert identifier(config.copyconfig(back)) == identifier(made)
    assert len(walk(back)) == len(walk(made))


@given(st.lists(xst.any_configs(), max_size=3))
def test_what_is_saved_is_loaded(made):
    value = {"all": made, "pair": tuple(made[:2]), "again": [*made, 1.5, None]}
    carry = lambda _number, _where, path: (str(path), False)  # noqa: E731
    document = json.loads(json.dumps(serial.dump_value(value, namespace=None, carry=carry)))
    resolvers = [resolver(one) for one in made]

    def resolve(*names):
        found = (r(*names) for r in resolvers if names[2] in r.known or not names[2])
        return next(found, xst.Color)

    back = serial.load_value(document, resolve=resolve)
    for one in made:
        one.seal()
    assert back == value
    for number, one in enumerate(made):
        other = back["again"][number]
        assert identifier(one) == identifier(other)
        assert other is back["all"][number]
    if not _factories(made):
        again = serial.dump_value(back, namespace=None, carry=carry)
        assert json.dumps(again) == json.dumps(document)


def _factories(made):
    """Tell whether values were made when it was loaded that were not there when it was written."""
    nodes = [info(c) for one in made for c in walk(one)]
    return any(spec.factory and spec.meta for n in nodes for spec in n.schema.fields.values())


@given(xst.any_configs())
def test_equal_configurations_have_equal_identifiers(made):
    other = copy.deepcopy(made)
    assert other == made
    assert identifier(other) == identifier(made)
    before = identifier(made)
    made.seal()
    assert identifier(made) == before
    other.seal()
    assert made == other
    assert hash(made) == hash(other)


@given(st.data())
def test_two_of_a_class_are_equal_only_if_their_identifiers_are(data):
    shape = data.draw(xst.shapes(levels=1))
    one, other = data.draw(xst.configs(shape)), data.draw(xst.configs(shape))
    if one == other:
        assert identifier(one) == identifier(other)
    if identifier(one) != identifier(other):
        assert one != other


@given(st.data())
def test_a_value_with_another_encoding_changes_the_identifier(data):
    annotation = data.draw(st.sampled_from(list(xst.PLAIN)))
    values = xst.PLAIN[annotation]
    one, other = data.draw(values), data.draw(values)
    assume(encode(one) != encode(other))
    cls = xst.make_class([xst.Field("x", annotation)])
    assert identifier(cls.C(x=one)) != identifier(cls.C(x=other))


@given(xst.any_configs(), st.randoms())
def test_order_sharing_tags_metas_and_paths_never_change_it(made, chance: random.Random):
    before = identifier(made)
    for node in map(info, walk(made)):
        names = [n for n in node.values if node.schema.fields[n].kind != "constant"]
        chance.shuffle(names)
        again = copyconfig(node.config)
        for name in names:
            setattr(again, name, node.values[name])
        assert identifier(again) == identifier(node.config)
        node.config.tag("some", chance.random())
    assert identifier(made) == before
    for node in map(info, walk(made)):
        for name, spec in node.schema.fields.items():
            if spec.kind == "meta" and not any(map(config.is_config, _inside(node, name))):
                node.values[name] = "something else"
            elif spec.is_path and name in node.values:
                setattr(node.config, name, "/elsewhere")
    assert identifier(made) == before


def _inside(node, name):
    value = node.values.get(name)
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple, set)) else [value]


@given(st.data())
def test_an_added_parameter_with_an_ignored_default_moves_nothing(data):
    shape = data.draw(xst.shapes(levels=1))
    annotation = data.draw(st.sampled_from(list(xst.PLAIN)))
    default = data.draw(xst.PLAIN[annotation])
    made = data.draw(xst.configs(shape))
    assume("nan" not in repr(default))  # NaN equals nothing, as in 2.x
    added = xst.Field("added", annotation, Param, None, default)
    path = field(default_factory=PathGenerator("p"))
    body = {
        "__module__": __name__, "__xpmid__": config.type_name(shape.cls, None),
        "__annotations__": {"added": Param[added.annotation], "p": Meta[xst.Path]},
        "added": default, "p": path,
    }  # fmt: skip
    wider = type("Wider", (shape.cls,), body)
    values = {n: v for n, v in info(made).values.items()
              if info(made).schema.fields[n].kind != "constant"}  # fmt: skip
    again = wider.C(**values)
    assert is_default(info(again).schema.fields["added"], again.added)
    assert identifier(again) == identifier(made)


@given(xst.any_configs())
def test_instances_have_the_values(made):
    instance = made.instance()
    for name, value in info(made).values.items():
        found = getattr(instance, name)
        if config.is_config(value):
            assert found.xpmconfig is value
        elif not any(map(config.is_config, _inside(info(made), name))):
            assert same(found, value)


@given(xst.any_configs())
def test_everything_can_be_shown(made):
    view = views.describe(made, None)
    assert view.identifier == identifier(made)
    assert repr(made)
    assert {p.name.partition("[")[0] for p in view.params} <= set(info(made).schema.fields)


@given(xst.any_configs())
def test_a_forced_meta_counts_for_nothing(made):
    class Holder(Config):
        x: Param[Config | None] = None
        v: Constant[int] = 1

    assert identifier(Holder.C(x=setmeta(made, True))) == identifier(Holder.C())
