"""Identifiers: a configuration as canonical bytes, and their SHA-256.

The bytes are those of experimaestro 2.x wherever that defines a result, but for texts with control
characters (``11`` below). Numbers are big endian, counts are doubles::

    H(config) = sha256 of: 00; 08 E(T) if it is an output of the task T; the type name in UTF-8;
                E(name) 05 E(value) for each parameter, by name, unless it is left out;
                0c E(t) for each init task t, if there are any (one 0c for all)
    E(value)  = 00 H(config)            0d n-1 behind it: the n-th of equal `InstanceConfig` objects
                0b distance             a config on the way down to here (1 is itself)
                01 int64, 02 double, 03 text, 06 None, 07 count items (list), 09 key value … (dict)
                0a module.qualname:NAME (enum), 0e count items by their sha256 (set)
                0f count items (tuple), 10 sign size magnitude (int beyond 64 bits)
                11 size text (text with control characters other than tab and line ends)

Configurations are known by the small protocol `Node` only.

Rule 1: nothing recurses. Each value that holds others is a generator that yields the generators of
what it holds; `_Run.drive` keeps the stack. A chain of any length has an identifier.
Rule 2: each distinct node is encoded once per computation, save those inside a loop, whose bytes
depend on the way by which they are reached.
Rule 3: a digest outlives its computation when it cannot depend on where the computation began: no
loop goes through the node, and no `InstanceConfig` lies below it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from enum import Enum
from typing import Any, Protocol, TypeAlias, cast

from xpm_nb.core import doors
from xpm_nb.errors import ConfigError, NoExperimentError

# One byte says what follows.
CONFIG, INT, FLOAT, STR, NAME_END = b"\x00", b"\x01", b"\x02", b"\x03", b"\x05"
NONE, LIST, PRODUCER, DICT, ENUM = b"\x06", b"\x07", b"\x08", b"\x09", b"\x0a"
LOOP, INIT_TASKS, INSTANCE, SET, TUPLE = b"\x0b", b"\x0c", b"\x0d", b"\x0e", b"\x0f"
BIG_INT, LONG_STR = b"\x10", b"\x11"

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_double = struct.Struct("!d").pack
_int64 = struct.Struct("!q").pack
_FAR = 1 << 62


def _sha256(data: bytes) -> Any:
    """Stand in for hashlib's until the first digest: a job process computes none."""
    global _sha256
    from hashlib import sha256 as _sha256

    return _sha256(data)


HASHING = "\0hash"
"""The namespace of `hash()`: no experiment, producers, or init tasks, so that it never changes."""


class Identifier:
    """The SHA-256 of a configuration.

    Attributes
    ----------
    all : bytes
        The 32 bytes.
    """

    __slots__ = ("all",)

    def __init__(self, digest: bytes) -> None:
        self.all = digest

    def hex(self) -> str:
        """Give 64 hexadecimal digits, lower case."""
        return self.all.hex()

    @property
    def short(self) -> str:
        """The first 8 digits, as shown on screen."""
        return self.all[:4].hex()

    def __str__(self) -> str:
        return self.all.hex()

    def __repr__(self) -> str:
        return f"Identifier({self.all.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identifier) and other.all == self.all

    def __hash__(self) -> int:
        return hash(self.all)


class Node(Protocol):
    """What an identifier needs to know of a configuration."""

    @property
    def meta(self) -> bool | None:
        """What `setmeta` said."""

    @property
    def numbered(self) -> bool:
        """An `InstanceConfig`: equal objects are told apart."""

    def entries(self, keep: Callable[[Any], bool] | None) -> Iterable[tuple[bytes, str, Any]]:
        """Give prefix, name and value of each parameter that is part of the identifier, in order.

        The prefix is ``E(name) 05``. With `keep`, only parameters whose spec it accepts.
        """

    def producer_node(self) -> Node | None:
        """Give the task that this is an output of (None for a task submitted itself)."""

    def init_nodes(self) -> Sequence[Node]:
        """Give the init tasks."""

    def type_bytes(self, namespace: str | None) -> bytes:
        """Give the type name in UTF-8."""

    def known_digest(self, namespace: str | None) -> bytes | None:
        """Give a digest fixed by a submission, or one kept by `remember` that still holds."""

    def remember(self, namespace: str | None, digest: bytes) -> None:
        """Keep a digest that does not depend on where the computation began."""


class _Unhashable(Exception):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why


Label: TypeAlias = "str | int"
Encoding: TypeAlias = Generator[tuple["Encoding", Label], bytes, bytes]
NodeOf: TypeAlias = Callable[[Any], "Node | None"]


def digest_of(
    root: Node,
    namespace: str | None,
    node_of: NodeOf,
    *,
    keep: Callable[[Any], bool] | None = None,
) -> bytes:
    """Compute H(root).

    Parameters
    ----------
    root : Node
        The configuration.
    namespace : str or None
        Stands for ``__main__`` in the names of classes and enums.
    node_of : callable
        Gives the node of a value that is a configuration, None for any other value.
    keep : callable, optional
        Accepts the specs of the root's parameters that a partial identifier keeps.

    Returns
    -------
    bytes
        32 bytes.

    Raises
    ------
    ConfigError
        For a value that has no encoding; the message begins with its path (``$.model.lr``).
    NoExperimentError
        If a name needs a namespace and there is none.
    """
    run = _Run(namespace, node_of)
    if keep is None and (known := run.known(root)) is not None:
        return known
    return run.finish(run.node(root, keep))[1:33]


def digests_of(nodes: Sequence[Node], namespace: str | None, node_of: NodeOf) -> list[bytes]:
    """Compute H of many nodes, those below others first, at the cost of the last one's."""
    run = _Run(namespace, node_of)
    found = []
    for node in nodes:
        run.way = _Way()
        digest = run.known(node)
        found.append(run.finish(run.node(node, None))[1:33] if digest is None else digest)
    return found


def encode(value: Any, namespace: str | None = None) -> bytes:
    """Give E(value) of a value that holds no configuration."""
    run = _Run(namespace, lambda _value: None)
    return run.finish(run.whole(value))


def namespaced(module: str, name: str, namespace: str | None) -> str:
    """Give ``module.name``, with the namespace in the place of ``__main__``.

    Raises
    ------
    NoExperimentError
        If it is needed and None.
    """
    if module == "__main__":
        if namespace is None:
            raise NoExperimentError(
                f"{name} is defined in the notebook: its identifier depends on the experiment;"
                f" {doors.HOW_TO_OPEN}"
            )
        module = "" if namespace is HASHING else namespace
    return f"{module}.{name}"


def _key_text(key: Any) -> str:
    try:
        return f"[{key!r:.40}]"
    except ValueError:  # an int that Python will not write in decimal
        return f"[{key:#x}]" if isinstance(key, int) else f"[{type(key).__qualname__}]"


def _encode_int(value: int) -> bytes:
    try:
        return INT + _int64(value)
    except struct.error:
        size = abs(value)
        raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return BIG_INT + (b"\x01" if value < 0 else b"\x00") + struct.pack("!I", len(raw)) + raw


def _encode_str(value: str) -> bytes:
    raw = value.encode()
    if not value.isprintable() and _CONTROL.search(value):
        return LONG_STR + struct.pack("!Q", len(raw)) + raw
    return STR + raw


_EXACT: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _none: NONE,
    float: lambda value: FLOAT + _double(value),
    int: _encode_int,
    bool: lambda value: INT + _int64(value),
    str: _encode_str,
}
SCALARS = frozenset(_EXACT)
_BASES: tuple[type, ...] = (float, int, str)  # in the order in which they are tried


class _Way:
    """The way down from a starting point to the present node."""

    __slots__ = ("depth", "lows", "memo", "met", "tainted")

    def __init__(self) -> None:
        self.depth: dict[Node, int] = {}  # of the nodes on the way, from 1
        self.lows: list[int] = []  # per such node: the lowest depth that a loop below refers to
        self.tainted: list[bool] = []  # per such node: an InstanceConfig lies below
        self.met: dict[bytes, dict[Node, int]] = {}  # numbers of InstanceConfig objects
        self.memo: dict[Node, bytes] = {}  # digests of nodes with an InstanceConfig below


class _Run:
    """One computation."""

    def __init__(self, namespace: str | None, node_of: NodeOf) -> None:
        self.namespace, self.node_of = namespace, node_of
        self.memo: dict[Node, bytes] = {}
        self.way = _Way()
        self.labels: list[Label] = []

    def finish(self, generator: Encoding) -> bytes:
        try:
            return self.drive(generator)
        except _Unhashable as error:
            raise ConfigError(f"{error.path}: {error.why}") from None

    def drive(self, generator: Encoding) -> bytes:
        """Run a generator and all those it yields, on a stack of our own."""
        stack = [generator]
        send = generator.send
        labels = self.labels
        result: Any = None
        while True:
            try:
                inner, label = send(result)
            except StopIteration as stop:
                stack.pop()
                result = stop.value
                if not stack:
                    return cast("bytes", result)
                labels.pop()
                send = stack[-1].send
            else:
                stack.append(inner)
                labels.append(label)
                send, result = inner.send, None

    def fail(self, label: Label, why: str) -> _Unhashable:
        way = [*self.labels, label]
        text = "".join(f"[{part}]" if isinstance(part, int) else part for part in way)
        return _Unhashable("$" + text, why)

    # -- values

    def quick(self, value: Any, label: Label) -> bytes | None:
        """Encode a plain value or a node already known; give None for all others."""
        exact = _EXACT.get(type(value))
        if exact is None:
            node = self.node_of(value)
            if node is not None:
                return self.quick_node(node)
            base = next((base for base in _BASES if isinstance(value, base)), None)
            if base is None:
                return None
            exact = _EXACT[base]
        try:
            return exact(value)
        except UnicodeEncodeError:
            raise self.fail(label, f"{value!r} cannot be written in UTF-8") from None

    def slow(self, value: Any, label: Label) -> Encoding:
        """Give the generator that encodes a value that `quick` does not."""
        node = self.node_of(value)
        if node is not None:
            return self.node(node, None)
        if isinstance(value, list):
            return self.sequence(LIST, value)
        if isinstance(value, set):
            return self.set(value)
        if isinstance(value, tuple):
            return self.sequence(TUPLE, value)
        if isinstance(value, Enum):
            if value.name is None:
                raise self.fail(label, f"{value!r} has no name")
            return self.enum(type(value), value.name)
        if isinstance(value, dict):
            return self.dict(value)
        kind = type(value).__qualname__
        raise self.fail(label, f"a value of type {kind} cannot be hashed: {value!r:.80}")

    def whole(self, value: Any) -> Encoding:
        encoded = self.quick(value, "")
        if encoded is None:
            encoded = yield self.slow(value, ""), ""
        return encoded

    def is_meta(self, value: Any) -> bool:
        if type(value) in SCALARS:
            return False
        node = self.node_of(value)
        return node is not None and node.meta is True

    def sequence(self, tag: bytes, value: Iterable[Any]) -> Encoding:
        out = [b""]
        for index, item in enumerate(value):
            if self.is_meta(item):
                continue
            encoded = self.quick(item, index)
            if encoded is None:
                encoded = yield self.slow(item, index), index
            out.append(encoded)
        out[0] = tag + _double(len(out) - 1)
        return b"".join(out)

    def set(self, value: Iterable[Any]) -> Encoding:
        keyed: list[tuple[bytes, Any]] = []
        way = self.way
        for item in value:
            if not self.is_meta(item):
                # Neither loops nor numbers of the whole may decide the order of the elements.
                self.way = _Way()
                encoded = self.quick(item, "{…}")
                if encoded is None:
                    encoded = yield self.slow(item, "{…}"), "{…}"
                keyed.append((_sha256(encoded).digest(), item))
        self.way = way
        keyed.sort(key=lambda pair: pair[0])
        return (yield self.sequence(SET, [item for _key, item in keyed]), "")

    def dict(self, value: dict[Any, Any]) -> Encoding:
        items = [(k, v) for k, v in value.items() if not self.is_meta(v)]
        try:
            if any(k != k for k, _v in items):  # NaN has no place in an order
                raise TypeError
            items.sort(key=lambda item: item[0])
        except TypeError:  # keys that Python does not order: by their bytes
            keyed: list[tuple[bytes, tuple[Any, Any]]] = []
            for item in items:
                encoded = self.quick(item[0], "{…}")
                if encoded is None:
                    encoded = yield self.slow(item[0], "{…}"), "{…}"
                keyed.append((encoded, item))
            items = [item for _key, item in sorted(keyed, key=lambda pair: pair[0])]
        out = [DICT]
        for key, item in items:
            for part in (key, item):
                encoded = self.quick(part, label := _key_text(key))
                if encoded is None:
                    encoded = yield self.slow(part, label), label
                out.append(encoded)
        return b"".join(out)

    def enum(self, cls: type, name: str) -> Encoding:
        own = vars(cls).get("__xpmid__")  # as a config class has it
        if not isinstance(own, str):
            own = namespaced(cls.__module__, cls.__qualname__, self.namespace)
        return ENUM + f"{own}:{name}".encode()
        yield  # a generator, like all that `slow` gives

    # -- nodes

    def known(self, node: Node) -> bytes | None:
        """Give the digest of a node, if it need not be computed."""
        found = self.memo.get(node)
        if found is None and (found := self.way.memo.get(node)) is not None:
            self.way.tainted[-1] = True
        return node.known_digest(self.namespace) if found is None else found

    def quick_node(self, node: Node) -> bytes | None:
        """Encode a node that is on the way down to here, or known."""
        way = self.way
        depth = way.depth.get(node)
        if depth is not None:
            way.lows[-1] = min(way.lows[-1], depth)
            return CONFIG + LOOP + _int64(len(way.depth) + 1 - depth)
        digest = self.known(node)
        return None if digest is None else self.marked(node, digest)

    def marked(self, node: Node, digest: bytes) -> bytes:
        """Give E(node) from its digest: equal InstanceConfig objects are numbered as met."""
        if not node.numbered:
            return CONFIG + digest
        way = self.way
        if way.tainted:
            way.tainted[-1] = True
        numbers = way.met.setdefault(digest, {})
        number = numbers.setdefault(node, len(numbers))
        return CONFIG + digest + (INSTANCE + _int64(number) if number else b"")

    def node(self, node: Node, keep: Callable[[Any], bool] | None) -> Encoding:
        way = self.way
        way.depth[node] = len(way.depth) + 1
        way.lows.append(_FAR)
        way.tainted.append(False)
        out = [CONFIG]
        hashing = self.namespace is HASHING
        producer = None if hashing else node.producer_node()
        if producer is not None:
            encoded = self.quick_node(producer)
            if encoded is None:
                encoded = yield self.node(producer, None), " (its producer)"
            out += (PRODUCER, encoded)
        out.append(node.type_bytes(self.namespace))
        for prefix, name, value in node.entries(keep):
            encoded = self.quick(value, label := "." + name)
            if encoded is None:
                encoded = yield self.slow(value, label), label
            out += (prefix, encoded)
        init = () if hashing else node.init_nodes()
        if init:
            out.append(INIT_TASKS)
            for task in init:
                encoded = self.quick_node(task)
                if encoded is None:
                    encoded = yield self.node(task, None), " (an init task)"
                out.append(encoded)
        digest = _sha256(b"".join(out)).digest()
        self.leave(node, digest, keep is None)
        return self.marked(node, digest)

    def leave(self, node: Node, digest: bytes, whole: bool) -> None:
        """Go back up, and keep the digest where Rules 2 and 3 allow it."""
        way = self.way
        depth = way.depth.pop(node)
        low, tainted = way.lows.pop(), way.tainted.pop()
        if way.lows:
            if low < depth:
                way.lows[-1] = min(way.lows[-1], low)
            if tainted:
                way.tainted[-1] = True
        if low > depth and whole:
            if tainted:
                way.memo[node] = digest
            else:
                self.memo[node] = digest
                node.remember(self.namespace, digest)
