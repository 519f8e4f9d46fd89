"""What was written can be looked at without its classes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest

from xpm_nb.core import config, serial, views
from xpm_nb.core.config import Config, Task, copyconfig
from xpm_nb.core.fields import Constant, DataPath, Meta, Param
from xpm_nb.core.standins import stand_in
from xpm_nb.errors import MissingClassError


class Color(Enum):
    RED = 1
    BLUE = 2


class Lost(Config):
    n: Param[int] = 3
    color: Param[Color] = Color.BLUE
    note: Meta[str] = "x"
    v: Constant[int] = 2
    data: DataPath = Path("/d")


class Kept(Task):
    lost: Param[Lost]
    k: Param[int] = 4

    def execute(self):
        pass


def leave(number, where, path):
    return str(path), False


def loaded(value):
    document = serial.dump_value(value, namespace=None, carry=leave)
    known = {}

    def resolve(module, qualname, typename):
        if qualname == "Kept":
            return Kept
        if qualname not in known:
            known[qualname] = stand_in(document, module, qualname, typename)
        return known[qualname]

    return serial.load_value(document, resolve=resolve)


def test_values_identifiers_and_the_rest_are_there():
    made = Kept.C(lost=Lost.C(n=9))
    back = loaded(made)
    assert config.declared_class(back) is Kept
    assert (back.k, back.lost.n, back.lost.color.name, back.lost.note) == (4, 9, "BLUE", "x")
    assert back.lost.data == Path("/d")
    assert config.identify(back, None) == config.identify(made, None)
    assert repr(back.lost).startswith("Lost(")
    shown = views.describe(back, None)
    assert shown.identifier == config.identify(made, None).hex()
    assert config.type_name(config.declared_class(back.lost), None) == f"{__name__}.lost"
    again = serial.dump_value(back, namespace=None, carry=leave)
    fresh = serial.dump_value(made, namespace=None, carry=leave)
    assert [o["fields"] for o in again["objects"]] == [o["fields"] for o in fresh["objects"]]


def test_metas_stay_metas():
    back = copyconfig(loaded(Lost.C()))
    before = config.identify(back, None)
    back.note = "other"
    assert config.identify(back, None) == before
    back.n = 10
    assert config.identify(back, None) != before


@pytest.mark.parametrize("act", [lambda c: c.instance(), lambda c: config.prepare(c, None)])
def test_what_stands_in_is_neither_built_nor_submitted(act):
    with pytest.raises(MissingClassError, match=r"Lost is not there") as found:
        act(loaded(Kept.C(lost=Lost.C())))
    assert found.value.classes == (f"{__name__}.Lost",)


def test_names_that_no_parameter_could_have():
    document = serial.dump_value(Lost.C(), namespace=None, carry=leave)
    document["objects"][0]["fields"] |= {"__init__": 1, "not a name": 2}
    cls = stand_in(document, "m", "Lost", "m.lost")
    assert "__init__" not in vars(cls)
