"""Every public name says what it does for its caller, and a parameter's help text is shown."""

from __future__ import annotations

import inspect
import re

import pytest

import xpm_nb
from xpm_nb import Config, Constant, Meta, Param, field

NAMES = sorted(xpm_nb.__all__)
SECTIONS = re.compile(r"(?m)^(\w+)\n-{3,}$")


def public():
    """Every public name, and every method and function behind one, with its docstring."""
    for name in NAMES:
        value = getattr(xpm_nb, name)
        yield name, value
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                if not attribute.startswith("_") and inspect.isfunction(member):
                    yield f"{name}.{attribute}", member


def sections(text: str) -> dict[str, str]:
    """The parts of a numpy docstring; what comes before the first is under ""."""
    parts = SECTIONS.split(text)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in public()])
def test_a_public_name_is_documented(name, value):
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    first, *rest = text.split("\n")
    assert first.endswith("."), f"{name}: the first line is a sentence of its own: {first!r}"
    assert not rest or not rest[0], f"{name}: an empty line comes after the first"
    found = sections(text)
    assert set(found) <= {
        *("", "Parameters", "Returns", "Yields", "Raises", "Attributes", "Examples"),
        *("Notes", "See", "Warns"),
    }
    if "Parameters" not in found:
        return
    called = value.__init__ if inspect.isclass(value) else value
    wanted = {
        ("*" * (p.kind is p.VAR_POSITIONAL) + "**" * (p.kind is p.VAR_KEYWORD)) + p.name
        for p in inspect.signature(called).parameters.values()
        if p.name not in ("self", "cls")
    }
    heads = re.findall(r"(?m)^(\S[^:\n]*?)(?: :.*)?$", found["Parameters"])
    said = {word.strip() for head in heads for word in head.split(",")}
    assert wanted <= said, f"{name}: nothing is said of {sorted(wanted - said)}"
    assert said <= wanted, f"{name} has no {sorted(said - wanted)}"


class Kiln(Config):
    """What pots are fired in.

    Attributes:
        wood: how many logs
    """

    heat: Param[float]
    "how hot, in kelvin"
    wood: Param[int] = 3
    shelf: Meta[str] = field(default="top")
    """where pots stand;
    never counts"""
    kind: Constant[str] = "raku"
    "how it is fired"


def test_a_parameters_help_shows_in_the_docstring_and_in_the_display():
    text = inspect.getdoc(Kiln.C)
    assert text.startswith("What pots are fired in.")
    for line in ("how hot, in kelvin", "how many logs", "where pots stand;", "never counts"):
        assert line in text
    shown = xpm_nb.Config._repr_mimebundle_(Kiln.C(heat=1300))
    for words in ("how hot, in kelvin", "how many logs", "where pots stand;", "how it is fired"):
        assert words in shown["text/html"]
