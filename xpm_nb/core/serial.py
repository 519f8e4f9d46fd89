"""A graph of configurations as a plain dictionary; `load` (of `rebuild`) makes it one again.

The dictionary has the shape of experimaestro 2.7's ``params.json`` (version 3), and goes through
JSON unchanged. Objects stand children first, the one that was dumped last; those below it refer to
others by number, so what is shared stays shared.

Rule: no absolute path of ours is written: paths below the job or the workspace are relative.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import PurePath
from typing import Any

from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.graph import walk_all, walk_nodes
from xpm_nb.core.identifier import HASHING, SCALARS, digest_of, digests_of
from xpm_nb.core.names import plain_name, repr_of, shorten, type_name
from xpm_nb.core.nodes import (
    ConfigInfo,
    children,
    in_order,
    info,
    is_default,
    nested,
    node_of,
)
from xpm_nb.core.rebuild import VERSION
from xpm_nb.core.rebuild import completed as completed
from xpm_nb.core.rebuild import load as load
from xpm_nb.core.rebuild import load_value as load_value
from xpm_nb.errors import ConfigError, NoExperimentError, UnsetError

FORMAT = 1
SCHEME = 1

NAN = "7ff8000000000000"
"""The bits that JSON's NaN is read as; any other NaN is written by its bits."""

BIG = 2000
"""Bits of an int beyond which it is written in hex: Python reads few decimal digits (640, if told
so by the environment; 4,300 by default), and any number of these."""

Carry = Callable[[int, str, PurePath], tuple[str, bool]]
"""Takes the number of an object, which `DataPath` it is (``Class.name``), and the path; gives what
is written, and whether it is a folder."""


def dump(
    config: Any,
    *,
    namespace: str | None,
    workspace: PurePath | None = None,
    job: PurePath | None = None,
) -> dict[str, Any]:
    """Write a graph of configurations as a dictionary of JSON values.

    Parameters
    ----------
    config : config
        Becomes the last of the objects.
    namespace : str or None
        Stands for ``__main__`` in type names.
    workspace, job : PurePath, optional
        Directories to which paths below them are relative.

    Raises
    ------
    ConfigError
        For a value that has no place in the file.
    NoExperimentError
        If a namespace is needed and None.
    """
    root = info(config)
    nodes = walk_nodes(root, producers=True)
    writer = _Writer({node: number for number, node in enumerate(nodes, 1)}, workspace, job)
    digests = digests_of(nodes, namespace, node_of)
    objects = [
        writer.kept(node, digest, type_name(node.cls, node.namespace or namespace))
        for node, digest in zip(nodes, digests, strict=True)
    ]
    return {
        "workspace": "",
        "version": VERSION,
        "experimaestro": "2.7.0",
        "format": FORMAT,
        "scheme": SCHEME,
        "namespace": namespace,
        "objects": objects,
    }


def dump_value(
    value: Any, *, namespace: str | None, carry: Carry, workspace: PurePath | None = None
) -> dict[str, Any]:
    """Write any value that holds configurations: ``load_value(dump_value(v)) == v``.

    The dictionary has the shape of experimaestro 2.7's ``experimaestro.json``: beside the objects,
    ``"data"`` is the value. Nothing is sealed.

    Parameters
    ----------
    value : Any
        A configuration, or lists, dictionaries, … of them.
    namespace : str or None
        Stands for ``__main__`` in type names. Without it, classes that need one have no identifier.
    carry : callable
        Takes care of what the `DataPath` parameters name.
    workspace : PurePath, optional
        Directory to which paths below it are relative.

    Raises
    ------
    ConfigError
        For a value that has no place in the file.
    UnsetError
        For a required parameter without a value.
    """
    nodes = walk_all(nested([value]), producers=True)
    writer = _Carrier({node: number for number, node in enumerate(nodes, 1)}, carry, workspace)
    digests: list[bytes]
    try:
        digests = digests_of(nodes, namespace, node_of)
    except NoExperimentError:
        digests = [node.known_digest(None) or b"" for node in nodes]
    objects = [
        writer.object(node, digest, _name_of(node, namespace))
        for node, digest in zip(nodes, digests, strict=True)
    ]
    return {
        "version": VERSION,
        "experimaestro": "2.7.0",
        "format": FORMAT,
        "scheme": SCHEME,
        "namespace": namespace,
        "objects": objects,
        "data": writer.value(value, "the value"),
    }


def outline(config: Any, namespace: str | None) -> dict[str, Any]:
    """Write a graph as `dump` does, whatever is missing or has no place in a file: to look at it.

    An identifier that is not known yet is empty. Without a namespace, identifiers are those of no
    experiment: equal for equal configurations, and good for nothing else.
    """
    nodes = walk_nodes(info(config), producers=True)
    writer = _Sketch({node: number for number, node in enumerate(nodes, 1)}, None, None)
    objects = []
    for node, digest in zip(nodes, _known_digests(nodes, namespace or HASHING), strict=True):
        objects.append(writer.object(node, digest, _name_of(node, namespace)))
    return {"format": FORMAT, "namespace": namespace, "objects": objects}


def _name_of(node: ConfigInfo, namespace: str | None) -> str:
    try:
        return type_name(node.cls, node.namespace or namespace)
    except NoExperimentError:
        return plain_name(node.cls)


def _known_digests(nodes: list[ConfigInfo], namespace: str) -> list[bytes]:
    try:
        return digests_of(nodes, namespace, node_of)
    except (ConfigError, UnsetError):
        return [_known_digest(node, namespace) if node.sealed else b"" for node in nodes]


def _known_digest(node: ConfigInfo, namespace: str) -> bytes:
    try:
        return digest_of(node, namespace, node_of)
    except (ConfigError, UnsetError):
        return b""


def hashed_names(node: ConfigInfo) -> set[str]:
    """Give the names of the parameters that are part of the identifier."""
    try:
        return {name for _prefix, name, _value in node.own_entries(None)}
    except (ConfigError, UnsetError):
        return {spec.name for spec in node.schema.ordered if not spec.unhashed}


def equals_default(spec: FieldSpec, value: Any) -> bool:
    """Tell whether a value is what the parameter has when nothing is said."""
    if spec.default is None or (value is None and not spec.has_default):
        return value is None
    return bool(spec.has_default) and is_default(spec, value)


def _marks(node: ConfigInfo) -> dict[str, str]:
    """Say what the schema knew of the values: their kind, and what went into the identifier.

    For people who look at the file when the class is gone; loading does without.
    """
    hashed = hashed_names(node)
    marks: dict[str, str] = {}
    for name, spec in node.schema.fields.items():
        words = ["meta"] if spec.meta else [spec.kind] if spec.kind != "param" else []
        if spec.generator is not None:
            words.append("generated")
        elif spec.factory is None and name in node.values:  # a factory is the user's to call
            words += ["default"] * equals_default(spec, node.values[name])
        words += ["unhashed"] * (name not in hashed)
        if words:
            marks[name] = " ".join(words)
    return marks


def _bits(value: float) -> str:
    return struct.pack("!d", value).hex()


def _nan(value: float) -> dict[str, str]:
    return {"type": "float", "bits": _bits(value)}


class _Writer:
    def __init__(
        self, numbers: dict[ConfigInfo, int], workspace: PurePath | None, job: PurePath | None
    ) -> None:
        self.numbers = numbers
        self.bases = [
            (name, path) for name, path in (("job", job), ("workspace", workspace)) if path
        ]
        self.workspace, self.job = workspace, "\0" if job is None else str(job)
        self.paths: list[str] = []

    def kept(self, node: ConfigInfo, digest: bytes, typename: str) -> dict[str, Any]:
        """Give the written form of a node: that of an earlier dump, if it would be the same.

        With each link of a long chain of tasks, all links before it are written once more.
        """
        if not node.sealed or node.own_tags:
            return self.object(node, digest, typename)
        numbers = self.numbers
        task = None if node.task is None else numbers[info(node.task)]
        references = [numbers[child] for child in children(node)]
        key = (numbers[node], digest, typename, task, references, len(node.values), self.workspace)
        if node.written is not None:
            before, written, paths = node.written
            if before == key and not any(path.startswith(self.job) for path in paths):
                return written
        self.paths = []
        written = self.object(node, digest, typename)
        if not any(path.startswith(self.job) for path in self.paths):
            node.written = key, written, tuple(self.paths)
        return written

    def object(self, node: ConfigInfo, digest: bytes, typename: str) -> dict[str, Any]:
        written: dict[str, Any] = {
            "id": self.numbers[node],
            "module": node.cls.__module__,
            "type": node.cls.__qualname__,
            "typename": typename,
            "identifier": digest.hex(),
        }
        if node.init_tasks:
            written["init-tasks"] = [self.numbers[task] for task in node.init_nodes()]
        if node.task is not None:
            written["task"] = self.numbers[info(node.task)]
        if node.meta is not None:
            written["meta"] = node.meta
        if node.own_tags:
            # A tag never counts: its value must not need a class that the job may not have.
            written["tags"] = {
                name: self.value(value if type(value) in SCALARS else str(value), f"tag {name}")
                for name, value in node.tags.items()
            }
        if node.untagged:
            written["untagged"] = sorted(node.untagged)
        marks = _marks(node)
        if marks:
            written["marks"] = marks
        values = node.values
        ordered = [name for name in node.schema.fields if name in values]
        ordered += [name for name in values if name not in node.schema.fields]
        written["fields"] = {name: self.field(node, name) for name in ordered}
        return written

    def field(self, node: ConfigInfo, name: str) -> Any:
        return self.value(node.values[name], f"{node.cls.__qualname__}.{name}")

    def value(self, value: Any, where: str) -> Any:
        if type(value) in SCALARS:
            if type(value) is int and value.bit_length() > BIG:
                return {"type": "int", "hex": f"{value:x}"}
            return value if value == value or _bits(value) == NAN else _nan(value)
        node = node_of(value)
        if node is not None:
            return {"type": "python", "value": self.numbers[node]}
        if isinstance(value, Enum):
            cls = type(value)
            return {
                "type": "enum",
                "module": cls.__module__,
                "enum": cls.__qualname__,
                "value": value.name,
            }
        if isinstance(value, PurePath):
            return self.path(value)
        if isinstance(value, list):
            return self.items(value, where)
        if isinstance(value, tuple):
            return {"type": "tuple", "items": self.items(value, where)}
        if isinstance(value, set):
            return {"type": "set", "items": self.items(in_order(value), where)}
        if isinstance(value, dict):
            if "type" not in value and all(type(key) is str for key in value):
                return {key: self.value(item, where) for key, item in value.items()}
            return {"type": "dict", "items": [self.items(item, where) for item in value.items()]}
        return self.other(value, where)

    def other(self, value: Any, where: str) -> Any:
        raise ConfigError(
            f"{where}: a value of type {type(value).__qualname__} cannot be written:"
            f" {shorten(value)}"
        )

    def items(self, values: Iterable[Any], where: str) -> list[Any]:
        return [self.value(item, where) for item in values]

    def path(self, value: PurePath) -> dict[str, Any]:
        self.paths.append(str(value))
        for name, base in self.bases:
            if value.is_relative_to(base):
                relative = value.relative_to(base).as_posix()
                return {"type": "path", "value": relative, "base": name}
        return {"type": "path", "value": str(value)}


class _Carrier(_Writer):
    """Writes what is saved with the files that it names."""

    def __init__(
        self, numbers: dict[ConfigInfo, int], carry: Carry, workspace: PurePath | None
    ) -> None:
        super().__init__(numbers, workspace, None)
        self.carry = carry

    def field(self, node: ConfigInfo, name: str) -> Any:
        value, spec = node.values[name], node.schema.fields.get(name)
        if spec is None or spec.kind != "datapath" or not isinstance(value, PurePath):
            return super().field(node, name)
        where = f"{node.cls.__qualname__}.{name}"
        place, is_folder = self.carry(self.numbers[node], where, value)
        return {"type": "path.serialized", "value": place, "is_folder": is_folder}


class _Sketch(_Writer):
    """Writes what is only looked at: any value has a text."""

    def other(self, value: Any, where: str) -> Any:
        return {"type": "other", "value": repr_of(value)}
