"""A graph of configurations as a plain dictionary, and back: ``load(dump(c)) == c``.

The dictionary has the shape of experimaestro 2.7's ``params.json`` (version 3), and goes through
JSON unchanged. Objects stand children first, the one that was dumped last; those below it refer to
others by number, so what is shared stays shared.

Rule 1: no absolute path of ours is written: paths below the job or the workspace are relative.
Rule 2: loading checks nothing and imports nothing that checks: values were converted when they were
set. The identifiers are those that were written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from xpm_nb.core.config import config_class
from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.graph import walk_nodes
from xpm_nb.core.identifier import HASHING, SCALARS, digest_of, digests_of
from xpm_nb.core.names import plain_name, repr_of, shorten, type_name, user_place
from xpm_nb.core.nodes import (
    ConfigInfo,
    children,
    in_order,
    info,
    is_default,
    node_of,
)
from xpm_nb.errors import ConfigError, NoExperimentError, UnsetError

FORMAT = 1
SCHEME = 1
VERSION = 3

NAN = "7ff8000000000000"
"""The bits that JSON's NaN is read as; any other NaN is written by its bits."""

BIG = 2000
"""Bits of an int beyond which it is written in hex: Python reads few decimal digits (640, if told
so by the environment; 4,300 by default), and any number of these."""

Resolve = Callable[[str, str, str], type]


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


def outline(config: Any, namespace: str | None) -> dict[str, Any]:
    """Write a graph as `dump` does, whatever is missing or has no place in a file: to look at it.

    An identifier that is not known yet is empty. Without a namespace, identifiers are those of no
    experiment: equal for equal configurations, and good for nothing else.
    """
    nodes = walk_nodes(info(config), producers=True)
    writer = _Sketch({node: number for number, node in enumerate(nodes, 1)}, None, None)
    objects = []
    for node, digest in zip(nodes, _known_digests(nodes, namespace or HASHING), strict=True):
        try:
            name = type_name(node.cls, node.namespace or namespace)
        except NoExperimentError:
            name = plain_name(node.cls)
        objects.append(writer.object(node, digest, name))
    return {"format": FORMAT, "namespace": namespace, "objects": objects}


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
        written["fields"] = {
            name: self.value(values[name], f"{node.cls.__qualname__}.{name}") for name in ordered
        }
        return written

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


class _Sketch(_Writer):
    """Writes what is only looked at: any value has a text."""

    def other(self, value: Any, where: str) -> Any:
        return {"type": "other", "value": repr_of(value)}


def load(
    document: Mapping[str, Any],
    *,
    resolve: Resolve,
    workspace: Path | None = None,
    job: Path | None = None,
) -> list[Any]:
    """Make the configurations that `dump` wrote.

    Tasks that only produced something, and are not part of a value or an init task themselves, are
    left out: their classes need not be there.

    Parameters
    ----------
    document : Mapping
        What `dump` gave, perhaps by way of JSON.
    resolve : callable
        Gives the class for a module, a qualified name and a type name ("" for an enum).
    workspace, job : Path, optional
        Where these directories are now.

    Returns
    -------
    list of configs
        Sealed, with their identifiers; the one that was dumped is the last.

    Raises
    ------
    ConfigError
        If the document cannot be understood.
    """
    written = {item["id"]: item for item in document["objects"]}
    needed = _needed(document["objects"])
    nodes: dict[int, ConfigInfo] = {}
    reader = _Reader(nodes, resolve, {"workspace": workspace, "job": job})
    for number in needed:
        nodes[number] = _blank(written[number], resolve)
    # Sets and keys need the hash of what they hold: children first, as they were written.
    for number in needed:
        reader.fill(nodes[number], written[number])
    return [nodes[number].config for number in needed]


def _needed(objects: list[Mapping[str, Any]]) -> list[int]:
    """Give the numbers of the objects that the last one holds, in the order of the document."""
    held = {item["id"]: _references(item) for item in objects}
    found: set[int] = set()
    pending = [objects[-1]["id"]]
    while pending:
        number = pending.pop()
        if number not in found:
            found.add(number)
            pending += held[number]
    return [item["id"] for item in objects if item["id"] in found]


def _references(item: Mapping[str, Any]) -> list[int]:
    found = list(item.get("init-tasks", ()))
    pending: list[Any] = list(item["fields"].values())
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            if value.get("type") == "python":
                found.append(value["value"])
            else:
                pending += value.values()
    return found


def _blank(item: Mapping[str, Any], resolve: Resolve) -> ConfigInfo:
    cls = resolve(item["module"], item["type"], item["typename"])
    made = config_class(cls)
    config: Any = object.__new__(made)
    node = ConfigInfo(config, schema_of(cls), {})
    config.__dict__["__xpm__"] = node
    node.meta = item.get("meta")
    node.sealed = True
    node.freeze(bytes.fromhex(item["identifier"]))
    node.typename = item["typename"]
    return node


class _Reader:
    def __init__(
        self, nodes: dict[int, ConfigInfo], resolve: Resolve, bases: dict[str, Path | None]
    ) -> None:
        self.nodes, self.resolve, self.bases = nodes, resolve, bases

    def fill(self, node: ConfigInfo, item: Mapping[str, Any]) -> None:
        for name, value in item["fields"].items():
            node.values[name] = self.value(value)
        node.init_tasks = tuple(self.nodes[n].config for n in item.get("init-tasks", ()))
        producer = self.nodes.get(item.get("task", 0))
        node.task = None if producer is None else producer.config
        if "tags" in item:
            place = user_place()
            node.own_tags = {k: (self.value(v), place) for k, v in item["tags"].items()}
        node.untagged = frozenset(item.get("untagged", ()))

    def value(self, value: Any) -> Any:
        if type(value) in SCALARS:
            return value
        if isinstance(value, list):
            return [self.value(item) for item in value]
        word = value.get("type")
        if word is None:
            return {key: self.value(item) for key, item in value.items()}
        if word == "python":
            return self.nodes[value["value"]].config
        if word == "float":
            return struct.unpack("!d", bytes.fromhex(value["bits"]))[0]
        if word == "int":
            return int(value["hex"], 16)
        if word == "enum":
            members: Any = self.resolve(value["module"], value["enum"], "")
            return members[value["value"]]
        if word == "path":
            return self.path(value)
        if word == "tuple":
            return tuple(self.value(item) for item in value["items"])
        if word == "set":
            return {self.value(item) for item in value["items"]}
        if word == "dict":
            return {self.value(key): self.value(item) for key, item in value["items"]}
        raise ConfigError(f"a value of an unknown sort in a params.json: {word!r}")

    def path(self, value: Mapping[str, Any]) -> Path:
        base = value.get("base")
        if base is None:
            return Path(value["value"])
        start = self.bases.get(base)
        if start is None:
            raise ConfigError(f"where is the {base} of {value['value']!r}? give {base}=")
        return start / str(value["value"])
