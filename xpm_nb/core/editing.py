"""Values as a person types them into a form: what is shown, and what becomes of what was typed.

Rule 1: nothing that was typed is evaluated: numbers, words and literals are read, no code runs.
Rule 2: what was not changed stays what it is: the text that stands for a value gives that value
again, to the bit.
Rule 3: this module reads texts, `nodes.put` judges values. What cannot be read goes there as the
text it is, so that the error is the one that people know.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, ClassVar, NamedTuple

from xpm_nb.core.fields import FieldSpec
from xpm_nb.core.forms import (
    MISSING,
    Form,
    Unresolved,
    alternatives,
    bare,
    parts,
    repr_of,
    type_text,
)
from xpm_nb.core.names import place_text, placed, shorten
from xpm_nb.core.nodes import (
    ConfigInfo,
    convert,
    in_order,
    info,
    node_of,
    put,
    same,
    unknown_name,
    value_text,
)
from xpm_nb.errors import ConfigError

MAX_RAW = 10_000
"""Characters of a value beyond which it is shown, and not typed."""

PLACE = "in the form"

# Characters that a field of a form does not give back as they were: half surrogate pairs, and
# control characters but for tab and newline.
_FRAGILE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_ODD_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\(?![\\'"abfnrtvxuUN0-7\n])""")
_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}
_NOTHING = ("", "none", "null")


class Input(NamedTuple):
    """How a value is typed: see `views.ParamView`."""

    kind: str
    choices: tuple[str, ...]
    raw: str


class _Way(NamedTuple):
    """How the values of a type are written and read."""

    kind: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]
    choices: tuple[str, ...] = ()


def input_of(node: ConfigInfo, spec: FieldSpec) -> Input | None:
    """Tell how the value of a parameter is typed; None where it cannot be."""
    if node.sealed or spec.kind == "constant" or spec.generator is not None:
        return None
    value = node.values.get(spec.name, MISSING)
    way = None if node_of(value) is not None else _way(spec)
    if way is None:
        return None
    raw = "" if value is MISSING else way.write(value)
    if len(raw) > MAX_RAW or _FRAGILE.search(raw):
        return None
    return Input(way.kind, way.choices, raw)


def edit(config: Any, path: str, text: str) -> None:
    """Set a parameter to what was typed.

    Parameters
    ----------
    config : config
        Not sealed.
    path : str
        Dotted, made of the names of the rows of `views.describe`: ``models[1].depth``.
    text : str
        A number, a word, the name of an enum's member or of a choice, a literal of Python or JSON
        for containers. For str it is the value itself. Nothing, "none" or "null" is None where
        that is allowed (for ``str | None`` only nothing at all; ``""`` is the empty text there).

    Raises
    ------
    ConfigError
        For a path that leads nowhere or to what cannot be typed, and a value that does not fit.
    FrozenError
        For what may not be set.
    """
    with placed(PLACE):
        node, spec, value = _find(info(config), path)
        shown = input_of(node, spec)
        there = value is not MISSING or not spec.required
        if shown is not None and shown.raw == text and there:
            return
        way = _way(spec)
        if way is None and not (node.sealed or spec.kind == "constant" or spec.generator):
            raise _untypable(node, spec, text)
        put(node, spec.name, text if way is None else way.read(text))
        _retag(node, spec, value)


def _untypable(node: ConfigInfo, spec: FieldSpec, text: str) -> ConfigError:
    try:
        kind = type_text(spec.form)
    except Unresolved:
        convert(node.cls, spec, text)  # says which name is not defined
        raise
    return ConfigError(
        f"{node.cls.__qualname__}.{spec.name}: {kind} cannot be typed in; set it in code"
        f" ({place_text()})"
    )


def _retag(node: ConfigInfo, spec: FieldSpec, before: Any) -> None:
    """Let the tag of a value, as ``lr=tag(0.1)`` made it, follow the value."""
    if spec.name not in node.own_tags or before is MISSING:
        return
    tagged, place = node.own_tags[spec.name]
    try:
        tagged = convert(node.cls, spec, tagged)
    except (ConfigError, AttributeError):  # a FrozenError is one: some other tag of this name
        return
    if same(tagged, before):
        node.own_tags[spec.name] = node.values[spec.name], place


# -- paths


def items_of(name: str, value: Any, limit: int | None = None) -> Iterator[tuple[str, Any]] | None:
    """Give a row for each item of a container that holds configurations; None for other values.

    Only the first `limit` items are looked at for one.
    """
    items: Iterable[Any]
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, set):
        items = in_order(value)
    elif isinstance(value, (list, tuple)):
        items = value
    else:
        return None
    if not any(node_of(item) is not None for item in islice(items, limit)):
        return None
    if isinstance(value, dict):
        return zip(_keys(name, value), items, strict=True)
    return ((f"{name}[{index}]", item) for index, item in enumerate(items))


def _keys(name: str, value: dict[Any, Any]) -> list[str]:
    """Give the names of a dict's rows, with keys cut short unless that makes two alike."""
    names = [f"{name}[{shorten(key, 40)}]" for key in value]
    if len(set(names)) < len(names):
        names = [f"{name}[{repr_of(key)}]" for key in value]
    return names


def _find(node: ConfigInfo, path: str) -> tuple[ConfigInfo, FieldSpec, Any]:
    """Follow a path to a parameter; gives its value too (`MISSING` if it has none)."""
    rest = path
    while True:
        for name, spec, value in _rows_of(node):
            if rest == name == spec.name:
                return node, spec, value
            inner = node_of(value)
            if inner is not None and rest.startswith(f"{name}."):
                node, rest = inner, rest[len(name) + 1 :]
                break
        else:
            raise _nowhere(node, rest, path)


def _rows_of(node: ConfigInfo) -> Iterator[tuple[str, FieldSpec, Any]]:
    for spec in node.schema.fields.values():
        value = node.values.get(spec.name, MISSING)
        for name, item in items_of(spec.name, value) or [(spec.name, value)]:
            yield name, spec, item


def _nowhere(node: ConfigInfo, rest: str, path: str) -> ConfigError:
    name = re.split(r"[.\[]", rest, maxsplit=1)[0]
    if name not in node.schema.fields:
        return unknown_name(node.cls, name)
    return ConfigError(
        f"{path!r} leads to no parameter: {node.cls.__qualname__}.{name} is"
        f" {shorten(node.values.get(name, MISSING), 60)} ({place_text()})"
    )


# -- ways of writing and reading


def _way(spec: FieldSpec) -> _Way | None:
    """Give how values of a parameter are typed; None where they cannot be."""
    try:
        forms = [bare(form) for form in alternatives(spec.form)]
    except Unresolved:
        return None
    optional = ("none",) in forms
    others = [form for form in forms if form != ("none",)]
    words = {form[0] for form in others}
    if spec.choices is not None:
        return _choice(spec.choices, optional)
    if words == {"literal"}:
        return _choice([value for form in others for value in form[1]], optional)
    if len(others) == 1 and words == {"enum"}:
        return _choice(list(others[0][1]), optional)
    scalars = {form[1] for form in others} if words == {"scalar"} else set()
    if scalars == {bool}:
        return _choice([True, False], optional) if optional else _Way("bool", _flag, _read_flag)
    if scalars == {str}:
        return _Way("text", _text_or_none, _read_text_or_none) if optional else _TEXT
    if scalars == {int}:
        return _Way("int", _plain, _or_none(_read_int) if optional else _read_int)
    if scalars in ({float}, {int, float}):
        number = _read_float if scalars == {float} else _read_number
        return _Way("float", _plain, _or_none(number) if optional else number)
    if words == {"path"}:
        return _Way("text", _plain, lambda text: text or None)
    if len(others) == 1 and _literal(others[0]):
        read = _reader(others[0][0])
        return _Way("text", _container, _or_none(read) if optional else read)
    return None


def _literal(form: Form) -> bool:
    """Tell whether the values of a type of containers can be written as literals."""
    pending = list(parts(form))
    if not pending or form[0] in ("union", "constrained"):
        return False
    while pending:
        inner = bare(pending.pop())
        if inner[0] not in ("scalar", "none", "list", "set", "tuple", "tuple*", "dict", "union"):
            return False
        pending += parts(inner)
    return True


def _choice(values: Sequence[Any], optional: bool) -> _Way:
    found = {_choice_text(value): value for value in values if value is not None}
    if len(found) < sum(value is not None for value in values):  # 1 and "1"
        found = {repr_of(value): value for value in values if value is not None}
    nothing = "None" if "" in found else ""
    optional = optional or None in values
    texts = ((nothing,) if optional else ()) + tuple(found)

    def write(value: Any) -> str:
        alike = (t for t, v in found.items() if type(v) is type(value) and v == value)
        return nothing if value is None else next(alike, _choice_text(value))

    def read(text: str) -> Any:
        return None if optional and text == nothing else found.get(text, text)

    return _Way("choice", write, read, texts)


def _choice_text(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name or repr_of(value)
    if isinstance(value, bool):
        return _flag(value)
    return value if isinstance(value, str) else repr_of(value)


def _flag(value: Any) -> str:
    return "true" if value else "false"


def _read_flag(text: str) -> Any:
    return _WORDS.get(text.strip().lower(), text)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, PurePath) else repr_of(value)


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.strip().lower() in _NOTHING else read(text)


def _read_int(text: str) -> Any:
    return _first(text, (lambda t: int(t, 0), int, float))


def _read_float(text: str) -> Any:
    return _first(text, (float,))


def _read_number(text: str) -> Any:
    return _first(text, (int, float))


def _first(text: str, readers: Iterable[Callable[[str], Any]]) -> Any:
    """Give what the first that can read a text makes of it; the text itself if none can."""
    for read in readers:
        try:
            return read(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return text


_TEXT = _Way("text", str, str)


def _text_or_none(value: Any) -> str:
    return "" if value is None else value or '""'


def _read_text_or_none(text: str) -> Any:
    return None if not text else "" if text in ('""', "''") else text


def _container(value: Any) -> str:
    return "" if value is None else value_text(value, MAX_RAW + 1000)


class _Named(ast.NodeTransformer):
    """Puts values in the place of the words that Python and JSON write for them."""

    names: ClassVar[dict[str, Any]] = {
        "inf": math.inf, "nan": math.nan, "Infinity": math.inf, "NaN": math.nan,
        "true": True, "false": False, "null": None,
    }  # fmt: skip

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names:
            return ast.copy_location(ast.Constant(self.names[node.id]), node)
        return node


def _evaluate(text: str) -> Any:
    """Read a literal; raises a ValueError (and what deep nesting raises) for all else."""
    if _ODD_ESCAPE.search(text):
        raise ValueError("Python would warn of it, and print that wherever it likes")
    return ast.literal_eval(_Named().visit(ast.parse(text, mode="eval")))


def _reader(word: str) -> Callable[[str], Any]:
    """Give the reader of literals; a list may be typed without its brackets."""
    kind = {"list": list, "set": set}.get(word)

    def read(text: str) -> Any:
        value = _first(text, (_evaluate,))
        try:
            loose = kind is not None and type(value) is tuple and not text.strip().startswith("(")
            return kind(value) if kind is not None and loose else value
        except TypeError:  # a set of lists
            return value

    return read
