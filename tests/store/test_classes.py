"""Pickles of classes of ``__main__``: in programs of their own, as `__main__` is theirs."""

from __future__ import annotations

import subprocess
import sys

DEFINED = """
import sys
from dataclasses import dataclass
from enum import Enum
from xpm_nb.store import classes

class Kind(Enum):
    A = 1

@dataclass
class Found:
    kind: Kind
    def again(self):
        return Found(Kind.A)
"""
DUMP = """
value = {"kind": Kind.A, "found": Found(Kind.A), "class": Found, "call": lambda: Kind.A}
sys.stdout.buffer.write(classes.dumps(value))
"""
LOAD = """
value = classes.loads(sys.stdin.buffer.read(), {find})
kind, found = value["kind"], value["found"]
assert value["class"] is type(found) and value["call"]() is kind is found.kind
assert found.again() == found
print(kind is {kind}, found == {found})
"""


def python(code, data=b""):
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def loaded(code):
    return python(code, python(DEFINED + DUMP)).decode().split()


def test_whoever_loads_may_say_which_class_is_meant():
    load = LOAD.format(find="globals().get", kind="Kind.A", found="Found(Kind.A)")
    assert loaded(DEFINED + load) == ["True", "True"]


def test_otherwise_it_is_what_was_kept():
    load = LOAD.format(find="lambda name: None", kind="Kind.A", found="Found(Kind.A)")
    assert loaded(DEFINED + load) == ["False", "False"]
    load = LOAD.format(find="None", kind="None", found="None")
    assert loaded("import sys; from xpm_nb.store import classes\n" + load) == ["False", "False"]


def test_a_class_that_is_found_in_part():
    found = "lambda name: Kind if name == 'Kind' else None"
    load = LOAD.format(find=found, kind="Kind.A", found="Found(Kind.A)").replace(
        "is kind is found.kind", "is kind"
    )
    load = load.replace("assert found.again() == found\n", "")
    assert loaded(DEFINED + load) == ["True", "False"]


def test_local_classes_and_classes_of_modules_are_as_ever():
    code = DEFINED + (
        "import collections\n"
        "def make():\n    class Local: x = 3\n    return Local\n"
        "value = classes.loads(classes.dumps([make()(), collections.OrderedDict]), globals().get)\n"
        "print(value[0].x, value[1] is collections.OrderedDict)\n"
    )
    assert python(code).decode().split() == ["3", "True"]
