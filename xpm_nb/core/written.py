"""What `serial.dump` wrote, read without the classes it speaks of.

For looking at jobs whose classes are gone, or were never here. Nothing raises, whatever stands in
the file: what cannot be understood is left out, or shown as it is.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from xpm_nb.core.forms import repr_of

MAX_TEXT = 100_000
"""Characters of a value's text beyond which it is cut."""

_BRACKETS = {"list": ("[", "]"), "tuple": ("(", ")"), "set": ("{", "}"), "dict": ("{", "}")}
_LEAVES = frozenset({"enum", "path", "int", "float", "other", "python"})


class Mark(NamedTuple):
    """What the schema knew of a parameter."""

    kind: str  # "param", "meta", "constant"
    default: bool
    hashed: bool
    generated: bool


class Written:
    """A graph of configurations as it stands in a file; its objects are known by number.

    Attributes
    ----------
    objects : dict
        From number to what was written, in the order of the file.
    root : int or None
        The configuration that was written, None if there is none.
    """

    def __init__(self, data: object) -> None:
        found = data.get("objects") if isinstance(data, Mapping) else None
        self.objects: dict[int, Mapping[str, Any]] = {
            item["id"]: item
            for item in (found if isinstance(found, list) else ())
            if isinstance(item, Mapping) and type(item.get("id")) is int
        }
        self.root = next(reversed(self.objects), None)

    # -- one object

    def name(self, number: int) -> str:
        """Give the name of the class."""
        return self._str(number, "type").rpartition(".")[2] or "?"

    def type_name(self, number: int) -> str:
        """Give the type name."""
        return self._str(number, "typename")

    def identifier(self, number: int) -> str:
        """Give the identifier, 64 hex digits; "" if there is none."""
        digits = self._str(number, "identifier")
        return digits if len(digits) == 64 and set(digits) <= set("0123456789abcdef") else ""

    def meta(self, number: int) -> bool | None:
        """Give what `setmeta` said."""
        found = self.objects[number].get("meta")
        return found if isinstance(found, bool) else None

    def fields(self, number: int) -> dict[str, Any]:
        """Give the values by name, as they were written."""
        return self._table(number, "fields")

    def tags(self, number: int) -> dict[str, Any]:
        """Give the tags put on this configuration itself, as they were written."""
        return self._table(number, "tags")

    def mark(self, number: int, name: str) -> Mark:
        """Give what the schema knew of a parameter; a file of before says nothing of it."""
        words = str(self._table(number, "marks").get(name, "")).split()
        kind = next((word for word in ("constant", "meta") if word in words), "param")
        return Mark(kind, "default" in words, "unhashed" not in words, "generated" in words)

    def init_tasks(self, number: int) -> list[int]:
        """Give the objects that are the init tasks."""
        found = self.objects[number].get("init-tasks")
        numbers = found if isinstance(found, list) else ()
        return [n for n in numbers if type(n) is int and n in self.objects]

    def task(self, number: int) -> int | None:
        """Give the submitted task that this is an output of; such a task is its own."""
        found = self.objects[number].get("task")
        return found if type(found) is int and found in self.objects else None

    def below(self, number: int) -> list[int]:
        """Give the objects directly below one: in its values, then its init tasks."""
        found: list[int] = []
        pending = list(reversed(self.fields(number).values()))
        while pending:
            value = pending.pop()
            inner = self.reference(value)
            if inner is not None:
                found.append(inner)
                continue
            held = items(value)
            if held is not None:
                pending.extend(item for _step, item in reversed(held.items))
        return found + self.init_tasks(number)

    def _str(self, number: int, key: str) -> str:
        found = self.objects[number].get(key)
        return found if isinstance(found, str) else ""

    def _table(self, number: int, key: str) -> dict[str, Any]:
        found = self.objects[number].get(key)
        return dict(found) if isinstance(found, Mapping) else {}

    # -- values

    def reference(self, value: object) -> int | None:
        """Give the object that a value stands for; None for any other value."""
        if isinstance(value, Mapping) and value.get("type") == "python":
            number = value.get("value")
            if type(number) is int and number in self.objects:
                return number
        return None

    def text(self, value: object, limit: int = MAX_TEXT) -> str:
        """Write a value as Python would, cut at the end; configs by their class: ``Model(…)``."""
        out: list[str] = []
        size = 0
        pending: list[Any] = [value]
        while pending and size <= limit:
            item = pending.pop()
            if type(item) is not _Piece:
                item = self._piece(item, pending)
            if item is not None:
                out.append(item)
                size += len(item)
        text = "".join(out)
        return text if len(text) <= limit else f"{text[: limit - 1]}…"

    def _piece(self, value: object, pending: list[Any]) -> str | None:
        """Write a leaf; put the parts of a container on the stack, the first on top."""
        number = self.reference(value)
        if number is not None:
            return f"{self.name(number)}(…)"
        held = items(value)
        if held is None:
            return leaf_text(value)
        if not held.items:
            return "set()" if held.kind == "set" else "".join(_BRACKETS[held.kind])
        left, right = _BRACKETS[held.kind]
        pending.append(_Piece(",)" if held.kind == "tuple" and len(held.items) == 1 else right))
        for index, (step, item) in reversed(list(enumerate(held.items))):
            pending.append(item)
            if held.kind == "dict":
                pending.append(_Piece(": "))
                pending.append(step)
            if index:
                pending.append(_Piece(", "))
        pending.append(_Piece(left))
        return None


class _Piece(str):
    """Text that is part of the writing, not a value."""

    __slots__ = ()


class Items(NamedTuple):
    """What a container holds."""

    kind: str  # "list", "tuple", "set", "dict"
    items: list[tuple[Any, Any]]  # index or (written) key, and value


def items(value: object) -> Items | None:
    """Give what a written container holds; None for any other value."""
    if isinstance(value, list):
        return Items("list", list(enumerate(value)))
    if not isinstance(value, Mapping):
        return None
    word, held = value.get("type"), value.get("items")
    if isinstance(word, str) and word in _LEAVES:
        return None
    if isinstance(held, list):
        if word in ("tuple", "set"):
            return Items(word, list(enumerate(held)))
        if word == "dict" and all(isinstance(pair, list) and len(pair) == 2 for pair in held):
            return Items("dict", [(key, item) for key, item in held])
    return Items("dict", list(value.items()))  # also what nothing here wrote


def leaf_text(value: object) -> str:
    """Write a value that is neither a container nor a configuration."""
    if not isinstance(value, Mapping):
        return repr_of(value)
    word = value.get("type")
    if word == "enum":
        return f"{_word(value, 'enum').rpartition('.')[2]}.{_word(value, 'value')}"
    if word in ("path", "other"):
        return _word(value, "value")
    if word == "int":
        return f"0x{_word(value, 'hex')}".replace("0x-", "-0x")
    if word == "float":
        return _bits_text(_word(value, "bits"))
    return f"(missing object {_word(value, 'value')})"


def _word(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else repr(found) if type(found) is int else "?"


def _bits_text(bits: str) -> str:
    try:
        number = struct.unpack("!d", bytes.fromhex(bits))[0]
    except (ValueError, struct.error):
        return f"float({bits!r})"
    return f"nan (bits {bits})" if math.isnan(number) else repr(number)


def walk(written: Written, start: int) -> Iterator[int]:
    """Give each object of a graph once, the nearest first; producers of outputs count too."""
    seen = {start}
    queue = [start]
    for number in queue:
        yield number
        task = written.task(number)
        for other in [*written.below(number), *(() if task is None else (task,))]:
            if other not in seen:
                seen.add(other)
                queue.append(other)
