"""Configurations as the Python code that makes them, and tasks as code that submits them.

Rule 1: what the code makes has the identifiers, tags and metas of what it was written from.
Rule 2: what is used more than once, and what tasks give to others, has a name; all else stands
where it is used.
"""

from __future__ import annotations

import keyword
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from xpm_nb.core import graph
from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.forms import MISSING
from xpm_nb.core.nodes import ConfigInfo, children, default_of, info, node_of, same
from xpm_nb.errors import ExportError

_OURS = "xpm_nb"
_RESERVED = frozenset(
    str.split("experiment RunMode tag stop_tags setmeta sealed_set Path submit sys")
)


class Spelling:
    """Writes tasks as code, one after the other.

    Parameters
    ----------
    home
        The module that stands for ``__main__``.
    tasks
        All that are to be written, in the order of their submission.

    Attributes
    ----------
    lines : list[str]
        The code.
    imports : dict[str, set[str]]
        The names that it needs, by their modules.
    """

    def __init__(self, home: str, tasks: Sequence[Any]) -> None:
        self.lines: list[str] = []
        self.imports: dict[str, set[str]] = {}
        self._home = home
        self._names: dict[ConfigInfo, str] = {}  # of what can be referred to
        self._outputs: dict[ConfigInfo, tuple[Any, str]] = {}  # of a task: what it gave, its name
        self._written: set[ConfigInfo] = set()
        self._open: set[ConfigInfo] = set()
        self._taken = set(_RESERVED)
        self._uses: Counter[ConfigInfo] = Counter()
        self._used_tasks: set[ConfigInfo] = set()
        self._used_outputs: set[ConfigInfo] = set()
        self._count([info(task) for task in tasks])

    def _count(self, nodes: Iterable[ConfigInfo]) -> None:
        """Find out what is used how often, over all tasks."""
        pending, seen = list(nodes), set[ConfigInfo]()
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            self._taken.add(node.cls.__qualname__.partition(".")[0])
            for child in children(node):
                producer = child.producer_node()
                if producer is not None:
                    self._used_outputs.add(producer)
                    pending.append(producer)
                elif child.submitted:
                    self._used_tasks.add(child)
                    pending.append(child)
                else:
                    self._uses[child] += 1
                    pending.append(child)

    # -- tasks

    def submit(self, task: Any, options: Mapping[str, str] | None = None) -> None:
        """Write the submission of a task, after what it needs.

        Parameters
        ----------
        task
            One that was submitted.
        options
            Code of further arguments of ``submit()``, by name.

        Raises
        ------
        ExportError
            Naming what cannot be written as code.
        """
        node = info(task)
        if node in self._written:
            return
        self._written.add(node)
        code = self._made(node)
        arguments = dict(options or {})
        if node.init_tasks:
            arguments = {"init_tasks": self.value(list(node.init_tasks)), **arguments}
        given = ", ".join(f"{name}={text}" for name, text in arguments.items())
        output = task if getattr(node.cls, "task_outputs", None) is None else graph.output(task)
        if node in self._used_tasks:
            name = self._names[node] = self._new_name(node.cls)
            if output is task:
                self._outputs[node] = output, name
                self.lines.append(f"{name} = {code}.submit({given})")
                return
            self.lines.append(f"{name} = {code}")
            code = name
        if node in self._used_outputs:
            label = getattr(node_of(output), "cls", None)
            name = self._new_name(label or node.cls, "" if label else "_output")
            self._outputs[node] = output, name
            self.lines.append(f"{name} = {code}.submit({given})")
        else:
            self.lines.append(f"{code}.submit({given})")

    def _output(self, node: ConfigInfo, producer: ConfigInfo) -> str:
        """Refer to something that a task gave."""
        self.submit(producer.config)
        if producer in self._outputs:
            output, name = self._outputs[producer]
            for value, path in _parts(output, name):
                if value is node or same(value.config, node.config):
                    return path
        raise ExportError(
            f"a {node.cls.__qualname__} is an output of {producer.cls.__qualname__}, but not (part "
            "of) what its task_outputs gives: it cannot be written as code"
        )

    # -- values

    def value(self, value: Any) -> str:
        """Write a value."""
        node = node_of(value)
        if node is not None:
            return self._config(node)
        kind = type(value)
        if value is None or kind in (bool, int, str, bytes):
            return _text(value) if kind is str else repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if isinstance(value, Enum) and value.name:
            return f"{self._class(kind)}.{value.name}"
        if isinstance(value, PurePath):
            self.imports.setdefault("pathlib", set()).add("Path")
            return f"Path({_text(str(value))})"
        if kind is list:
            return f"[{', '.join(map(self.value, value))}]"
        if kind is tuple:
            return f"({', '.join(map(self.value, value))}{',' if len(value) == 1 else ''})"
        if kind is dict:
            items = (f"{self.value(key)}: {self.value(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        if isinstance(value, set | frozenset):
            return self._set(value)
        raise ExportError(f"a value of type {kind.__qualname__} cannot be written as code")

    def _set(self, value: set[Any] | frozenset[Any]) -> str:
        if any(node_of(item) is not None for item in value):
            items = sorted(map(self.value, value))
            return f"{self._ours('sealed_set')}({', '.join(items)})"
        items = sorted(map(self.value, value))
        return f"{{{', '.join(items)}}}" if items else "set()"

    def _config(self, node: ConfigInfo) -> str:
        producer = node.producer_node()
        if producer is not None:
            return self._output(node, producer)
        if node.submitted:
            self.submit(node.config)
            return self._names[node]
        name = self._names.get(node)
        if name is not None:
            return name
        if node in self._open:
            raise ExportError(
                f"a {node.cls.__qualname__} holds itself: that cannot be written as code"
            )
        self._open.add(node)
        code = self._made(node)
        if node.init_tasks:
            raise ExportError(f"init tasks of a {node.cls.__qualname__} that was never submitted")
        self._open.discard(node)
        if self._uses[node] > 1:
            name = self._names[node] = self._new_name(node.cls)
            self.lines.append(f"{name} = {code}")
            return name
        return code

    def _made(self, node: ConfigInfo) -> str:
        """Write what makes a configuration: its class, its values, its tags, its meta."""
        tags = dict(node.tags)
        given = []
        for name, spec in node.schema.fields.items():
            value = node.values.get(name, MISSING)
            if value is MISSING or spec.kind == "constant" or spec.generator is not None:
                continue
            tagged = name in tags and type(tags[name]) is type(value) and tags[name] == value
            if not tagged and name not in node.untagged and _is_plain_default(spec, value):
                continue
            text = self.value(value)
            if tagged:
                del tags[name]
                text = f"{self._ours('tag')}({text})"
            if name in node.untagged:
                text = f"{self._ours('stop_tags')}({text})"
            given.append(f"{name}={text}")
        code = f"{self._class(node.cls)}.C({', '.join(given)})"
        code += "".join(f".tag({_text(name)}, {self._tag(tag)})" for name, tag in tags.items())
        return code if node.meta is None else f"{self._ours('setmeta')}({code}, {node.meta})"

    def _tag(self, value: Any) -> str:
        try:
            return self.value(value)
        except ExportError:  # a record has it as text, too
            return _text(str(value))

    # -- names

    def _class(self, cls: type) -> str:
        if "<locals>" in cls.__qualname__:
            raise ExportError(
                f"{cls.__qualname__} is defined inside a function: no one can import it"
            )
        module = self._home if cls.__module__ == "__main__" else cls.__module__
        self.imports.setdefault(module, set()).add(cls.__qualname__.partition(".")[0])
        return cls.__qualname__

    def _ours(self, name: str) -> str:
        self.imports.setdefault(_OURS, set()).add(name)
        return name

    def _new_name(self, cls: type, end: str = "") -> str:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
        stem = stem.lower().strip("_") + end or "config"
        name, number = stem, 1
        while name in self._taken or keyword.iskeyword(name):
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name


def _is_plain_default(spec: FieldSpec, value: Any) -> bool:
    """Tell whether a parameter has its default, to the bit, without anybody saying so."""
    default = default_of(spec)
    return default is not MISSING and same(value, default)


def _text(text: str) -> str:
    """Write a string with double quotes where that needs no more escapes, as formatters do."""
    written = repr(text)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written


def _parts(output: Any, name: str) -> Iterator[tuple[ConfigInfo, str]]:
    """Give the configurations in what a task gave, the outer ones first, with code for each."""
    pending: list[tuple[Any, str]] = [(output, name)]
    seen = set[int]()
    while pending:
        value, path = pending.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        node = node_of(value)
        if node is not None:
            yield node, path
            pending += [(item, f"{path}.{field}") for field, item in node.values.items()]
        elif isinstance(value, list | tuple):
            pending += [(item, f"{path}[{number}]") for number, item in enumerate(value)]
        elif isinstance(value, dict):
            pending += [(item, f"{path}[{key!r}]") for key, item in value.items()]
