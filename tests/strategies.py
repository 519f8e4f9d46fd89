"""Hypothesis: classes of configurations, configurations of them, and changes to those.

Classes are made from a small description (`Shape`) that also says what may vary without changing an
identifier, so that laws can be said in few words.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from xpm_nb.core import fields
from xpm_nb.core.config import Config
from xpm_nb.core.fields import Constant, Meta, Param


class Color(Enum):
    RED = 1
    GREEN = "g"
    BLUE = 3


@dataclass
class Field:
    """One parameter of a class to be made."""

    name: str
    annotation: Any
    kind: Any = Param
    values: Any = None  # a strategy
    default: Any = fields.MISSING  # as it stands in the class's body


@dataclass
class Shape:
    """A class, and what its configurations are made of."""

    cls: type
    fields: list[Field] = field(default_factory=list)


texts = st.text(max_size=4)
numbers = st.integers(-(2**70), 2**70)
floats = st.floats()

SCALARS = {
    int: numbers,
    float: floats,
    bool: st.booleans(),
    str: texts,
    Color: st.sampled_from(Color),
    int | None: st.none() | numbers,
    Any: st.none() | numbers | floats | texts | st.lists(st.booleans(), max_size=2),
}


def _containers() -> dict[Any, st.SearchStrategy[Any]]:
    found: dict[Any, st.SearchStrategy[Any]] = {}
    for kind in (int, float, str, Color):
        inner = SCALARS[kind]
        found[list[kind]] = st.lists(inner, max_size=3)
        found[tuple[kind, ...]] = st.lists(inner, max_size=3).map(tuple)
        found[dict[str, kind]] = st.dictionaries(texts, inner, max_size=3)
    found[set[int]] = st.sets(numbers, max_size=3)
    found[set[str]] = st.sets(texts, max_size=3)
    found[list[list[int]]] = st.lists(found[list[int]], max_size=2)
    found[dict[int, list[str]]] = st.dictionaries(numbers, found[list[str]], max_size=2)
    return found


PLAIN = SCALARS | _containers()
_count = itertools.count()


def make_class(parts: list[Field]) -> type:
    """Make a config class of fields."""
    body: dict[str, Any] = {
        "__module__": __name__,
        "__xpmid__": f"made.{next(_count)}",
        "__annotations__": {part.name: part.kind[part.annotation] for part in parts},
    }
    body |= {part.name: part.default for part in parts if part.default is not fields.MISSING}
    return type("Made", (Config,), body)


@st.composite
def plain_fields(draw: Any, name: str) -> Field:
    """Give a parameter with a plain type."""
    annotation = draw(st.sampled_from(list(PLAIN)))
    values = PLAIN[annotation]
    kind = draw(st.sampled_from([Param, Param, Param, Meta, Constant]))
    part = Field(name, annotation, kind, values)
    how = "bare" if kind is Constant else draw(st.sampled_from(["none", "bare", "kept", "factory"]))
    if how != "none":
        value = draw(values)
        part.default = {
            "bare": value,
            "kept": fields.field(default=value),
            "factory": fields.field(default_factory=lambda: value),
        }[how]
    return part


@st.composite
def shapes(draw: Any, *, levels: int = 2) -> Shape:
    """Give a class whose fields are plain, paths, and configurations of other classes."""
    parts = [draw(plain_fields(f"p{n}")) for n in range(draw(st.integers(0, 4)))]
    if draw(st.booleans()):
        paths = texts.map(lambda text: Path("/data") / f"x{len(text)}")
        parts.append(Field("path", Path, Param, paths))
    for n in range(draw(st.integers(0, 2)) if levels else 0):
        below = draw(shapes(levels=levels - 1))
        inner = configs(below)
        annotation, values = draw(
            st.sampled_from(
                [
                    (below.cls, inner),
                    (below.cls | None, st.none() | inner),
                    (list[below.cls], st.lists(inner, max_size=2)),
                    (dict[str, below.cls], st.dictionaries(texts, inner, max_size=2)),
                ]
            )
        )
        kind = draw(st.sampled_from([Param, Param, Meta]))
        parts.append(Field(f"c{n}", annotation, kind, values))
    order = draw(st.permutations(parts))
    return Shape(make_class(order), list(order))


@st.composite
def configs(draw: Any, shape: Shape) -> Any:
    """Give a configuration of a class."""
    values = {}
    for part in draw(st.permutations(shape.fields)):
        if part.kind is not Constant and (part.default is fields.MISSING or draw(st.booleans())):
            values[part.name] = draw(part.values)
    return shape.cls.C(**values)  # type: ignore[attr-defined]


@st.composite
def any_configs(draw: Any) -> Any:
    """Give a configuration of any class."""
    return draw(configs(draw(shapes())))
