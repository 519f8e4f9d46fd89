"""The grammar of identifiers, on plain stubs."""

from __future__ import annotations

import hashlib
import struct
from enum import Enum, IntEnum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xpm_nb.core import identifier
from xpm_nb.core.identifier import Identifier, digest_of, encode
from xpm_nb.errors import ConfigError, NoExperimentError


class Color(Enum):
    RED = 1
    BLUE = 2


class Level(IntEnum):
    LOW = 5


Color.__module__, Color.__qualname__ = "m", "Color"


def count(number):
    return struct.pack("!d", number)


INT1 = b"\x01" + struct.pack("!q", 1)

ENCODINGS = [
    (None, b"\x06"),
    (1.5, b"\x02" + struct.pack("!d", 1.5)),
    (-0.0, b"\x02\x80" + bytes(7)),
    (1, INT1),
    (True, INT1),
    (-1, b"\x01" + b"\xff" * 8),
    (2**63 - 1, b"\x01\x7f" + b"\xff" * 7),
    (2**63, b"\x10\x00\x00\x00\x00\x08\x80" + bytes(7)),
    (-(2**64), b"\x10\x01\x00\x00\x00\x09\x01" + bytes(8)),
    ("é", b"\x03\xc3\xa9"),
    ("a\tb\nc\r", b"\x03a\tb\nc\r"),
    ("a\x05", b"\x11" + struct.pack("!Q", 2) + b"a\x05"),
    ("\x00é", b"\x11" + struct.pack("!Q", 3) + b"\x00\xc3\xa9"),
    ([], b"\x07" + count(0)),
    ([1, None], b"\x07" + count(2) + INT1 + b"\x06"),
    ((1,), b"\x0f" + count(1) + INT1),
    (set(), b"\x0e" + count(0)),
    ({}, b"\x09"),
    ({"b": 1, "a": None}, b"\x09\x03a\x06\x03b" + INT1),
    ({2: 1, 1: 1}, b"\x09" + INT1 + INT1 + b"\x01" + struct.pack("!q", 2) + INT1),
    (Color.RED, b"\x0am.Color:RED"),
    (Level.LOW, b"\x01" + struct.pack("!q", 5)),
    ({Color.RED: 1, Color.BLUE: 1}, b"\x09\x0am.Color:BLUE" + INT1 + b"\x0am.Color:RED" + INT1),
]


@pytest.mark.parametrize(("value", "expected"), ENCODINGS, ids=repr)
def test_values(value, expected):
    assert encode(value) == expected


def test_elements_of_a_set_are_sorted_by_the_digest_of_their_encoding():
    parts = sorted((encode(v) for v in (1, 2, "x")), key=lambda e: hashlib.sha256(e).digest())
    assert encode({1, 2, "x"}) == b"\x0e" + count(3) + b"".join(parts)


def test_keys_without_an_order_go_by_their_bytes():
    assert encode({None: 1, "a": 1}) == encode({"a": 1, None: 1})
    assert encode({float("nan"): 1, 1.0: 2}) == encode({1.0: 2, float("nan"): 1})


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        (object, r"\$", "type type"),
        ([1, [b"x"]], r"\$\[1\]\[0\]", "type bytes"),
        ({"k": [1, b""]}, r"\$\['k'\]\[1\]", "bytes"),
        (["\ud800"], r"\$\[0\]", "UTF-8"),
        ({1j}, r"\$\{…\}", "complex"),
    ],
)
def test_what_cannot_be_hashed_names_its_path(value, path, why):
    with pytest.raises(ConfigError, match=f"^{path}: .*{why}"):
        encode(value)


@pytest.mark.slow
def test_containers_of_any_depth():
    value = []
    for _ in range(20_000):
        value = [value]
    assert len(encode(value)) == 20_001 * 9


def test_an_enum_of_a_notebook_goes_by_the_namespace():
    class Mine(Enum):
        X = 1

    Mine.__module__, Mine.__qualname__ = "__main__", "Mine"
    assert encode(Mine.X, "exp") == b"\x0aexp.Mine:X"
    with pytest.raises(NoExperimentError, match="open one with start"):
        encode(Mine.X)


# Tab, new line and return are also tags, and 2.x writes them as they are: ambiguous by its rules.
letters = st.characters(codec="utf-8", exclude_characters="\t\n\r")
texts = st.text(letters, max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(letters, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def shape(value):
    """What must decide an encoding: 1 and True are one, 0.0 and -0.0 are two."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, tuple(map(shape, value))
    if isinstance(value, dict):
        return "dict", tuple(sorted((k, shape(v)) for k, v in value.items()))
    if isinstance(value, float):
        return "float", value.hex()
    if isinstance(value, int):
        return "int", int(value)
    return type(value).__name__, value


@given(values, values)
@example([1], [True])
@example([[(False, False)]], [[(False, 0)]])
def test_different_values_have_different_encodings(one, other):
    assert (encode([one]) == encode([other])) == (repr(shape(one)) == repr(shape(other)))


class Stub:
    """A configuration, as far as `core.identifier` knows one."""

    def __init__(self, name="stub", numbered=False, producer=None, init=(), **values):
        self.name, self.values, self.numbered = name, values, numbered
        self.producer, self.init, self.meta = producer, init, None
        self.kept = {}
        self.encoded = 0
        self.sealed = True

    def entries(self, keep):
        self.encoded += 1
        for name in sorted(self.values):
            yield b"\x03" + name.encode() + b"\x05", name, self.values[name]

    def producer_node(self):
        return self.producer

    def init_nodes(self):
        return self.init

    def type_bytes(self, namespace):
        return self.name.encode()

    def known_digest(self, namespace):
        return self.kept.get(namespace)

    def remember(self, namespace, digest):
        if self.sealed:
            self.kept[namespace] = digest


def h(data):
    return hashlib.sha256(data).digest()


def node_of(value):
    return value if isinstance(value, Stub) else None


def digest(node, namespace=None):
    return digest_of(node, namespace, node_of)


def test_a_node():
    inner = Stub("inner", x=1)
    outer = Stub("outer", b=inner, a=None)
    below = h(b"\x00inner\x03x\x05" + INT1)
    assert digest(outer) == h(b"\x00outer\x03a\x05\x06\x03b\x05\x00" + below)


def test_producer_and_init_tasks():
    task, light = Stub("task"), Stub("light")
    node = Stub("out", producer=task, init=[light])
    expected = b"\x00\x08\x00" + h(b"\x00task") + b"out\x0c\x00" + h(b"\x00light")
    assert digest(node) == h(expected)


def test_a_loop_is_a_distance_up_the_stack():
    a, b = Stub("a"), Stub("b")
    a.values["b"], b.values["a"] = b, a
    inside = h(b"\x00b\x03a\x05\x00\x0b" + struct.pack("!q", 2))
    assert digest(a) == h(b"\x00a\x03b\x05\x00" + inside)
    assert not a.kept
    assert not b.kept  # their digests depend on where one begins
    me = Stub("me")
    me.values["me"] = me
    assert digest(me) == h(b"\x00me\x03me\x05\x00\x0b" + struct.pack("!q", 1))


def test_what_stands_above_or_below_a_loop_is_kept():
    a, b, leaf = Stub("a"), Stub("b"), Stub("leaf")
    a.values.update(b=b, leaf=leaf)
    b.values.update(a=a, leaf=leaf)
    top = Stub("top", a=a, b=b)
    whole = digest(top)
    assert (leaf.encoded, top.kept.keys(), leaf.kept.keys()) == (1, {None}, {None})
    assert not a.kept
    assert digest(Stub("top", a=a, b=b)) == whole


def test_equal_numbered_objects_are_told_apart():
    i, j = Stub("i", numbered=True), Stub("i", numbered=True)
    same, two = Stub("pair", p=i, q=i), Stub("pair", p=i, q=j)
    one = b"\x00" + h(b"\x00i")
    assert digest(same) == h(b"\x00pair\x03p\x05" + one + b"\x03q\x05" + one)
    mark = b"\x0d" + struct.pack("!q", 1)
    assert digest(two) == h(b"\x00pair\x03p\x05" + one + b"\x03q\x05" + one + mark)
    assert not two.kept
    assert i.kept  # nothing lies below itself


def test_numbers_below_are_not_reused_by_another_computation():
    i, j = Stub("i", numbered=True), Stub("i", numbered=True)
    holder = Stub("holder", i=j)
    alone = digest(holder)
    after = digest(Stub("top", a=i, b=holder))
    assert after != h(b"\x00top\x03a\x05\x00" + h(b"\x00i") + b"\x03b\x05\x00" + alone)


def test_each_node_of_a_diamond_is_encoded_once():
    node = Stub("leaf")
    nodes = [node]
    for _ in range(20):
        nodes.append(Stub("level", a=nodes[-1], b=nodes[-1]))
    for node in nodes:
        node.sealed = False
    digest(nodes[-1])
    assert [node.encoded for node in nodes] == [1] * 21


def test_nodes_in_sets_are_encoded_once_too():
    leaf = Stub("leaf")
    leaf.sealed = False
    node = leaf
    for _ in range(10):
        node = Stub("level", s={node, leaf})
        node.sealed = False
    digest(node)
    assert leaf.encoded == 1


@pytest.mark.slow
def test_a_chain_of_5000_through_fields_lists_dicts_and_sets():
    for wrap in (lambda v: v, lambda v: [v], lambda v: {"k": v}, lambda v: {v}, lambda v: (v,)):
        node = Stub("leaf")
        for _ in range(5000):
            node = Stub("link", next=wrap(node))
        assert len(digest(node)) == 32


def test_digests_of_many_share_what_they_find():
    nodes = [Stub("leaf")]
    for _ in range(50):
        nodes.append(Stub("link", next=nodes[-1]))
    for node in nodes:
        node.sealed = False
    found = identifier.digests_of(nodes, None, node_of)
    assert [node.encoded for node in nodes] == [1] * 51
    assert found == [digest(node) for node in nodes]


def test_the_path_of_a_nested_value():
    bad = Stub("top", model=Stub("model", layers=[1, Stub("layer", size={"k": 1j})]))
    with pytest.raises(ConfigError, match=r"^\$\.model\.layers\[1\]\.size\['k'\]: .*complex"):
        digest(bad)


def test_identifier_objects():
    one = Identifier(bytes(range(32)))
    assert (one.hex(), str(one)) == (bytes(range(32)).hex(),) * 2
    assert one.short == "00010203"
    assert one == Identifier(bytes(range(32)))
    assert one != Identifier(bytes(32))
    assert len({one, Identifier(bytes(range(32)))}) == 1
    assert "000102" in repr(one)


def test_an_enum_may_keep_its_name_when_it_moves():
    class Moved(Enum):
        __xpmid__ = "old.place.Kind"
        A = 1

    class Sub(Enum):
        A = 1

    Sub.__module__, Sub.__qualname__ = "old.place", "Kind"
    assert encode(Moved.A) == encode(Sub.A) == b"\x0aold.place.Kind:A"
