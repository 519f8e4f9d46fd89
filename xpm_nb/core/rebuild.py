"""What `serial` wrote is made configurations again: ``load(dump(c)) == c``.

Rule 1: loading a job's parameters checks no value and imports nothing that checks: values were
converted when they were set. The identifiers are those that were written.
Rule 2: nothing that a document says is executed or called: of classes, somebody else's `Resolve`
is asked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from xpm_nb.core.config import config_class
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.identifier import SCALARS
from xpm_nb.core.names import needs_namespace, user_place
from xpm_nb.core.nodes import ConfigInfo, children, convert, fresh, info
from xpm_nb.errors import ConfigError

VERSION = 3
_HEX = re.compile(r"(?:[0-9a-f]{64})?")

Resolve = Callable[[str, str, str], type]
"""Gives the class for a module, a qualified name and a type name ("" for an enum)."""


class Folder(Protocol):
    """Gives the path of a file in it: a `Path`, or something that finds it."""

    def __truediv__(self, name: str) -> Path:
        """Give the path."""


def load(
    document: Mapping[str, Any],
    *,
    resolve: Resolve,
    workspace: Folder | None = None,
    job: Path | None = None,
    producers: bool = False,
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
    workspace, job : Path, or what finds files as one, optional
        Where these directories are now.
    producers : bool
        Leave nothing out.

    Returns
    -------
    list of configs
        Sealed, with their identifiers; the one that was dumped is the last.

    Raises
    ------
    ConfigError
        If the document cannot be understood.
    """
    objects = _checked(document)
    if not objects:
        raise ConfigError("there is no configuration in it")
    reader = _Reader(document, resolve, {"workspace": workspace, "job": job})
    roots = [item["id"] for item in objects] if producers else [objects[-1]["id"]]
    made = reader.read(objects, _needed(objects, roots))
    tags = document.get("tags")
    if isinstance(tags, dict):  # experimaestro 1 did not say whose they are
        top, place = info(made[-1]), user_place()
        top.own_tags |= {name: (reader.value(value), place) for name, value in tags.items()}
    return made


def load_value(
    document: Mapping[str, Any],
    *,
    resolve: Resolve,
    data: Folder | None = None,
    workspace: Path | None = None,
    producers: bool = False,
) -> Any:
    """Make the value that `dump_value` wrote.

    Its configurations are sealed. They keep their identifiers, but for those of classes of cells,
    which depend on the experiment they are used in. What the class has a default for, and was not
    there when it was written, has that default.

    Parameters
    ----------
    document : Mapping
        What `dump_value` gave, perhaps by way of JSON.
    resolve : callable
        See `load`.
    data : Path, or what finds files as one, optional
        Where the files are that went along.
    workspace : Path, optional
        The directory that relative paths start from.
    producers : bool
        Also make the tasks that only produced something.

    Raises
    ------
    ConfigError
        If the document cannot be understood.
    """
    if "data" not in document:
        raise ConfigError("it has no 'data'")
    value = document["data"]
    objects = _checked(document, value)
    roots = [item["id"] for item in objects] if producers else _references([value])
    reader = _Reader(document, resolve, {"data": data, "workspace": workspace})
    made = [info(config) for config in reader.read(objects, _needed(objects, roots))]
    for node in made:
        complete(node)
    _float(made, reader.outputs)
    return reader.value(value)


def completed(configs: list[Any]) -> list[Any]:
    """Give configurations that were loaded what `complete` gives each."""
    for config in configs:
        complete(info(config))
    return configs


def misfit(config: Any) -> str:
    """Say why the class of a loaded configuration, or of one that it holds, is another by now.

    "" if each has a value for what its class requires, and for nothing that its class has not.
    """
    pending, seen = [info(config)], {info(config)}
    while pending:
        node = pending.pop()
        name = node.cls.__qualname__
        for parameter in node.values:
            if parameter not in node.schema.fields:
                return f"{name} has no parameter {parameter} any more"
        for parameter, spec in node.schema.fields.items():
            if spec.required and parameter not in node.values:
                return f"{name} requires a parameter {parameter} now"
        below = [*children(node), *map(info, node.init_tasks)]
        pending += [child for child in dict.fromkeys(below) if child not in seen]
        seen.update(below)
    return ""


def complete(node: ConfigInfo) -> None:
    """Give parameters their defaults that a document says nothing of: the class had none then."""
    for name, spec in node.schema.fields.items():
        if name not in node.values and spec.generator is None:
            if spec.factory is not None:
                node.values[name] = convert(node.cls, spec, spec.factory())
            elif spec.has_default:
                node.values[name] = convert(node.cls, spec, fresh(spec.default))
            elif spec.optional:
                node.values[name] = None


def _float(nodes: list[ConfigInfo], outputs: set[ConfigInfo]) -> None:
    """Let the identifiers of what was made in cells be those of the experiment it is used in.

    That of a submitted task stays; and that of an output, if the task that made it is not there.
    """
    found: set[ConfigInfo] = set()
    for node in nodes:
        below = children(node)
        if needs_namespace(node.cls) or any(child in found for child in below):
            found.add(node)
            if not node.submitted and not node.init_tasks and node not in outputs:
                node.thaw()


def _checked(document: Mapping[str, Any], value: Any = None) -> list[Mapping[str, Any]]:
    """Give the objects of a document, each of which has the parts that reading takes for granted.

    Raises
    ------
    ConfigError
        Saying what is wrong.
    """
    version = document.get("version", VERSION)
    if type(version) is not int or version > VERSION:
        raise ConfigError(f"it has version {version!r}, and {VERSION} is known here: upgrade")
    objects = document.get("objects")
    if not isinstance(objects, list):
        raise ConfigError("it has no list of 'objects'")
    known: set[int] = set()
    for place, item in enumerate(objects):
        fields = item.get("fields") if isinstance(item, dict) else None
        texts = ("module", "type", "typename")
        if (
            not isinstance(fields, dict)
            or type(item.get("id")) is not int
            or not all(type(item.get(name)) is str for name in texts)
            or not _HEX.fullmatch(str(item.get("identifier", "")))
        ):
            raise ConfigError(f"its object number {place} cannot be understood")
        known.add(item["id"])
    for item in objects:
        tasks = item.get("init-tasks", [])
        references = [*_references([item["fields"]]), *(tasks if isinstance(tasks, list) else [0])]
        if not all(type(number) is int and number in known for number in references):
            raise ConfigError(f"a part of {item['typename']} is missing")
    if not known.issuperset(_references([value])):
        raise ConfigError("a part of its value is missing")
    return objects


def _needed(objects: list[Mapping[str, Any]], roots: list[int]) -> list[int]:
    """Give the numbers of the objects that some of them hold, in the order of the document."""
    held = {
        item["id"]: [*item.get("init-tasks", ()), *_references([item["fields"]])]
        for item in objects
    }
    found: set[int] = set()
    pending = list(roots)
    while pending:
        number = pending.pop()
        if number not in found:
            found.add(number)
            pending += held[number]
    return [item["id"] for item in objects if item["id"] in found]


def _references(values: list[Any]) -> list[Any]:
    """Give the numbers of the objects that are named in written values."""
    found: list[Any] = []
    pending: list[Any] = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            if value.get("type") == "python":
                found.append(value.get("value"))
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
    if item["identifier"]:
        node.freeze(bytes.fromhex(item["identifier"]))
        node.typename = item["typename"]
    return node


_WHERE = {
    "data": "give the path of the folder that was saved",
    "workspace": "it lies in the workspace, and this file does not any more",
    "job": "it lies in the job's directory: give that",
}
"""What to do about a relative path that starts from a place nobody named."""


class _Reader:
    def __init__(
        self, document: Mapping[str, Any], resolve: Resolve, bases: dict[str, Folder | None]
    ) -> None:
        self.nodes: dict[int, ConfigInfo] = {}
        self.outputs: set[ConfigInfo] = set()  # of tasks that are not loaded
        self.resolve, self.bases = resolve, bases
        before = document.get("workspace")  # experimaestro 1 wrote whole paths
        self.before = before if isinstance(before, str) and before.startswith("/") else None

    def read(self, objects: list[Mapping[str, Any]], needed: list[int]) -> list[Any]:
        """Make objects; give their configurations."""
        written = {item["id"]: item for item in objects}
        for number in needed:
            self.nodes[number] = _blank(written[number], self.resolve)
        # Sets and keys need the hash of what they hold: children first, as they were written.
        for number in needed:
            self.fill(self.nodes[number], written[number])
        return [self.nodes[number].config for number in needed]

    def fill(self, node: ConfigInfo, item: Mapping[str, Any]) -> None:
        for name, value in item["fields"].items():
            node.values[name] = self.value(value)
        node.init_tasks = tuple(self.nodes[n].config for n in item.get("init-tasks", ()))
        producer = self.nodes.get(item.get("task", 0))
        node.task = None if producer is None else producer.config
        if producer is None and "task" in item:
            self.outputs.add(node)
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
            if value["value"] not in members.__members__:
                raise ConfigError(f"{value['enum']} has no member {value['value']!r} any more")
            return members[value["value"]]
        if word in ("path", "path.serialized"):
            return self.path(value)
        if word == "tuple":
            return tuple(self.value(item) for item in value["items"])
        if word == "set":
            return {self.value(item) for item in value["items"]}
        if word == "dict":
            return {self.value(key): self.value(item) for key, item in value["items"]}
        raise ConfigError(f"a value of an unknown sort in a params.json: {word!r}")

    def path(self, value: Mapping[str, Any]) -> Path:
        text = str(value["value"])
        base = value.get("base", "data" if value["type"] == "path.serialized" else None)
        path = Path(text)
        if base is None or path.is_absolute():
            workspace = self.bases.get("workspace")
            if self.before and workspace is not None and path.is_relative_to(self.before):
                return workspace / str(path.relative_to(self.before))  # it was moved, or copied
            return path
        start = self.bases.get(base)
        if start is None:
            raise ConfigError(f"{text!r} is not to be found: {_WHERE.get(base, base)}")
        if base == "data" and ".." in path.parts:
            raise ConfigError(f"{text!r} leads out of the folder that was saved")
        return start / text
