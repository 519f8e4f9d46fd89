"""Which edits change the fingerprint of a task, in a notebook without a kernel."""

from __future__ import annotations

import importlib.util
import json
import os
import sys

import pytest

from tests.code.conftest import FakeNotebook
from xpm_nb.code import fingerprint as prints
from xpm_nb.code.fingerprint import Prints, Wanted, at_start, fingerprint
from xpm_nb.code.modules import KEPT
from xpm_nb.store.records import Code

HELPERS = """
# a comment
def deep(x):
    return x + 1

def helper(x):
    "Its docstring."
    return deep(x) * 2

def unused(x):
    return x
"""
TASK = """
import tools
from noted import Noted
import os

class Learn(Noted):
    def execute(self):
        return helper(1), tools.text()
"""


class Book:
    """A notebook and a folder of modules."""

    def __init__(self, notebook, folder):
        self.notebook, self.folder = notebook, folder
        self.prints = Prints()
        self.write("tools.py", "import more\n\ndef text():\n    return more.word\n")
        self.write("more.py", "word = 'a'\n")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        old = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(text)
        if path.stat().st_mtime_ns <= old:
            os.utime(path, ns=(old + 1, old + 1))

    def cell(self, text):
        self.notebook.cell(text)
        return self

    def wanted(self, *names, needed=()):
        own = tuple(self.notebook[name] for name in names or ("Learn",))
        tasks = tuple(self.notebook[name] for name in needed)
        carried = self.notebook.carry(*own, *tasks)
        return Wanted(carried, own, tasks, (str(self.folder), *sys.path))

    def print(self, *names, **options):
        return fingerprint(self.wanted(*names, **options), {})

    def hex(self, *names, **options):
        code = self.print(*names, **options)
        assert not code.unknown
        assert len(code.fingerprint) == 64
        return code.fingerprint


@pytest.fixture
def book(notebook, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    book = Book(notebook, tmp_path)
    yield book.cell(HELPERS).cell(TASK)
    for name in ("tools", "more", "pack", "pack.inner"):
        sys.modules.pop(name, None)


EDITS = {
    "the body": (TASK.replace("helper(1)", "helper(2)"), True),
    "a helper": (HELPERS.replace("* 2", "* 3") + TASK, True),
    "a helper of the helper": (HELPERS.replace("x + 1", "x + 2"), True),
    "a helper that is not used": (HELPERS.replace("return x\n", "return -x\n"), False),
    "a comment": (HELPERS.replace("# a comment", "# another"), False),
    "a docstring": (HELPERS.replace("Its docstring.", "Another."), False),
    "blank lines": (HELPERS.replace("\n\ndef", "\n\n\n\n\ndef") + TASK, False),
    "the order of cells": (HELPERS, False),
    "an import that is not used": (TASK.replace("import os", "import sys"), False),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit(book, name):
    text, changes = EDITS[name]
    before = book.hex()
    book.cell(text)
    assert (book.hex() != before) == changes


USES = """
class Learn(Noted):
    def execute(self):
        return os.sep, time.sleep, join(sep, altsep or "")
"""
ONE = "import time, os\nfrom noted import Noted\nfrom os.path import sep, join, altsep\n"
IMPORTS = {
    "one cell": [ONE + USES],
    "a cell before it": ["import time", ONE + USES],
    "several cells": [
        "from os.path import join",
        "import os\nimport time",
        "from os.path import altsep, dirname, sep",
        "import sys, time\nfrom noted import Noted\n" + USES,
    ],
    "another order": [ONE, "from os.path import join", "import os, time", USES],
}


@pytest.mark.parametrize("where", IMPORTS)
def test_in_which_cells_imports_stand_does_not_count(where):
    found = {}
    for name in ("one cell", where):
        notebook = FakeNotebook()
        for text in IMPORTS[name]:
            notebook.cell(text)
        learn = notebook["Learn"]
        code = fingerprint(Wanted(notebook.carry(learn), (learn,), (), tuple(sys.path)), {})
        notebook.close()
        assert code.fingerprint
        found[name] = code
    one, other = found["one cell"], found[where]
    assert one.fingerprint == other.fingerprint
    assert {part.source for part in one.parts} == {part.source for part in other.parts}
    assert "from os.path import altsep, join, sep\n" in {part.source for part in one.parts}


MODULES = {
    "a module": ("tools.py", "import more\ndef text():\n    return more.word + 'x'\n", True),
    "a module's module": ("more.py", "word = 'b'\n", True),
    "its comment": ("more.py", "# a comment\n\n\nword = 'a'\n", False),
    "a module that is not used": ("other.py", "x = 1\n", False),
}


@pytest.mark.parametrize("name", MODULES)
def test_an_edit_of_a_module_counts_whether_it_is_loaded_again_or_not(book, name):
    file, text, changes = MODULES[name]
    before = book.hex()
    book.write(file, text)
    assert (book.hex() != before) == changes


def test_modules_are_followed_into_packages(book):
    book.write("pack/__init__.py", "from .inner import value as _value\n")
    book.write("pack/inner.py", "from . import leaf\nvalue = 1\n")
    book.write("pack/leaf.py", "x = 1\n")
    book.cell(TASK.replace("import tools", "import tools\nimport pack").replace("(1)", "(pack)"))
    code = book.print()
    names = [part.name for part in code.parts if part.kind == "module"]
    assert names == ["more", "noted", "pack", "pack.inner", "pack.leaf", "tools"]
    book.write("pack/leaf.py", "x = 2\n")
    assert book.hex() != code.fingerprint


def test_packages_of_others_have_a_version_and_do_not_count(book):
    before = book.print()
    text = TASK.replace("helper(1)", "helper(pytest)").replace("import os", "import pytest, json")
    code = book.cell(text).print()
    assert code.packages == {"pytest": pytest.__version__}
    assert {p.name for p in code.parts if p.kind == "module"} == {"more", "noted", "tools"}
    assert before.packages == {}


def test_a_module_in_the_middle_of_an_edit_is_unknown_and_not_fresh(book):
    book.write("more.py", "word = (\n")
    code = book.print()
    assert not code.fingerprint
    assert "more.py is no Python" in code.unknown
    assert "line 1" in code.unknown


def test_the_parts_are_a_tree(book):
    code = book.print()
    by_name = {part.name: part for part in code.parts}
    assert by_name["helper"].where == "In[1], line 6"
    assert [code.parts[i].name for i in by_name["helper"].uses] == ["deep"]
    uses = {code.parts[i].name for i in by_name["Learn"].uses}
    assert uses == {"helper", "tools", "Noted"}
    imported, module = (part for part in code.parts if part.name == "tools")
    assert [code.parts[i] for i in imported.uses] == [module]
    assert [code.parts[i].name for i in module.uses] == ["more"]
    assert "return deep(x) * 2" in by_name["helper"].source
    assert code.roots == ("__main__:Learn",)


NEXT = """
def only_for_evaluate():
    return 1

class Evaluate(Noted):
    learn: Learn
    def execute(self):
        return only_for_evaluate(), self.learn.load()
"""
LEARN = """
def load_helper():
    return 1

class Learn(Noted):
    def load(self):
        return load_helper()
    def execute(self):
        return helper(1), tools.text()
"""


def test_what_a_needed_task_executes_does_not_count_but_its_methods_do(book):
    book.cell(LEARN).cell(NEXT)

    def both():
        return book.hex("Evaluate", needed=["Learn"]), book.hex("Learn")

    evaluate, learn = both()
    book.cell(HELPERS.replace("* 2", "* 3"))  # of execute
    assert both()[0] == evaluate
    assert both()[1] != learn
    book.cell(LEARN.replace("helper(1)", "helper(7)")).cell(NEXT)
    assert both()[0] == evaluate
    book.write("more.py", "word = 'b'\n")  # of execute
    assert both()[0] == evaluate
    book.cell(LEARN.replace("return 1", "return 2")).cell(NEXT)
    assert both()[0] != evaluate


def test_a_base_class_counts_whole(book):
    book.cell(LEARN).cell("class Longer(Learn):\n    learn: Learn\n")
    before = book.hex("Longer", needed=["Learn"])
    book.cell(LEARN.replace("helper(1)", "helper(7)"))
    book.cell("class Longer(Learn):\n    learn: Learn\n")
    assert book.hex("Longer", needed=["Learn"]) != before


def test_what_is_registered_for_a_type_counts(book):
    book.cell("from functools import singledispatch\n@singledispatch\ndef show(x): return deep(x)")
    book.cell("class Learn(Noted):\n    def execute(self):\n        return show('a')")
    prints = [book.hex()]
    for text in ("return 1", "return 2", "return helper(2)"):
        book.cell(f"@show.register(str)\ndef of_text(x):\n    {text}")
        prints.append(book.hex())
    assert len({*prints}) == 4


def test_what_is_registered_with_a_class_counts(book):
    book.cell(
        "class Known:\n    all = {}\n    def __init_subclass__(cls): Known.all[cls.__name__] = cls"
    )
    book.cell("class Learn(Noted):\n    def execute(self):\n        return Known.all['One'].n")
    texts = ("class One(Known): n = 1", "class One(Known): n = 2", "class Two(Known): n = 2")
    prints = [book.hex(), *(book.cell(text).hex() for text in texts)]
    assert len({*prints}) == 4


def test_nothing_is_made_twice(book, monkeypatch):
    wanted = book.wanted()
    code = book.prints.of(wanted, {"Learn.x": "1"})
    with monkeypatch.context() as patched:
        patched.setattr(prints, "_made", None)
        assert book.prints.of(wanted, {"Learn.x": "1"}) is code
        assert book.prints.of(wanted, {"Learn.x": "2"}).fingerprint == code.fingerprint
    book.write("more.py", "word = 'b'\n")
    assert book.prints.of(wanted, {"Learn.x": "1"}).fingerprint != code.fingerprint


def test_a_change_before_the_start_is_noticed(book):
    code = book.print()
    assert at_start(code, (str(book.folder), *sys.path)) is code
    book.write("more.py", "word = 'later'\n")
    later = at_start(code, (str(book.folder), *sys.path))
    assert later.changed == "more"
    assert later.fingerprint == book.hex() != code.fingerprint
    assert "later" in next(p.source for p in later.parts if p.name == "more")
    book.write("more.py", "word = 'a'\n")
    again = at_start(later, (str(book.folder), *sys.path))
    assert again.fingerprint == code.fingerprint
    (book.folder / "more.py").unlink()
    gone = at_start(later, (str(book.folder), *sys.path))
    assert gone.fingerprint != code.fingerprint


def test_what_names_mean_at_the_start(book, monkeypatch):
    book.cell(TASK.replace("tools.text()", "tools.text(), __import__('optional')"))
    code, paths = book.print(), (str(book.folder / "nearer"), str(book.folder), *sys.path)
    (book.folder / "nearer").mkdir()
    assert at_start(code, paths) == code
    book.write("nearer/more.py", "word = 'a'\n")
    same = at_start(code, paths)
    assert (same.fingerprint, same.changed) == (code.fingerprint, "")
    assert str(book.folder / "nearer" / "more.py") in [part.where for part in same.parts]
    book.write("optional.py", "import more\n")
    later = at_start(same, paths)
    assert later.changed == "optional"
    assert later.fingerprint == book.hex() != code.fingerprint
    # Through the record, another kernel may start it.
    kept = Code(**json.loads(json.dumps(later._asdict())) | {"parts": later.parts})
    assert at_start(kept, paths) is kept


def test_a_module_that_only_another_kernel_could_find(book, monkeypatch):
    """One has a finder of an editable install, and the one that starts the job has not."""
    away = book.folder.parent / f"{book.folder.name}-away"
    away.mkdir()
    (away / "tools.py").write_text("import more, less\ndef text():\n    return more.word\n")
    (away / "less.py").write_text("x = 1\n")
    (book.folder / "tools.py").unlink()
    with monkeypatch.context() as patched:
        for name in ("tools", "less"):
            file = str(away / f"{name}.py")
            spec = importlib.util.spec_from_file_location(name, file)
            patched.setitem(sys.modules, name, importlib.util.module_from_spec(spec))
        code = book.cell(TASK).print()
    modules_ = {part.name for part in code.parts if part.kind == "module"}
    assert modules_ == {"less", "more", "noted", "tools"}
    paths = (str(book.folder), *sys.path)
    sys.modules.pop("tools", None)
    assert at_start(code, paths) is code
    (away / "less.py").write_text("x = 2\n")
    assert at_start(code, paths).changed == "less"
    (away / "less.py").unlink()
    assert at_start(code, paths).changed == "less"


def test_docstrings_count_where_code_reads_them(book):
    other = HELPERS.replace("Its docstring.", "Another.")
    plain = book.hex()
    assert book.cell(other).hex() == plain
    reading = TASK.replace("helper(1)", "helper.__doc__")
    before = book.cell(HELPERS).cell(reading).hex()
    assert book.cell(other).hex() != before
    assert book.cell(HELPERS).hex() == before
    book.write("more.py", "'A text.'\nword = 'a'\n")
    assert book.hex() != before
    # A module may be the one that reads them.
    book.write("more.py", "def word(f): return f.__doc__\n")
    by_module = book.cell(TASK).hex()
    assert book.cell(other).hex() != by_module
    code = book.print()
    book.write("tools.py", "'A text.'\n" + (book.folder / "tools.py").read_text())
    later = at_start(code, (str(book.folder), *sys.path))
    assert later.changed == "tools"
    assert later.fingerprint == book.hex()


def test_of_a_large_file_no_job_keeps_the_text(book):
    book.write("more.py", f"word = {'a' * KEPT!r}\n")
    (large,) = (part for part in book.print().parts if part.name == "more")
    assert large.source == ""
    before = book.hex()
    book.write("more.py", f"word = {'b' * KEPT!r}\n")
    assert book.hex() != before


def test_what_statements_do_to_things_counts(book):
    task = TASK.replace("helper(1)", "[f() for f in REG]")
    book.cell("REG = []").cell("def one(): return 1\nREG.append(one)").cell(task)
    before = book.hex()
    book.cell("REG = []").cell("def one(): return 2\nREG.append(one)").cell(task)
    assert book.hex() != before


def test_names_that_are_looked_up_by_a_text_count(book):
    before = book.cell(TASK.replace("helper(1)", "globals()['helper'](1)")).hex()
    assert book.cell(HELPERS.replace("x + 1", "x + 2")).hex() != before


def test_what_only_the_script_needs_is_put_aside(book):
    book.write("aside.py", "import deeper\n")
    book.write("deeper.py", "x = 1\n")
    book.cell("import aside\nclass Before(Noted):\n  def execute(self): return aside\n")
    code = book.print("Learn", needed=["Before"])
    assert code.aside == tuple(str(book.folder / name) for name in ("aside.py", "deeper.py"))
    assert not {"aside", "deeper"} & {part.name for part in code.parts}
    assert code.summary()["aside"] == list(code.aside)
    assert book.print("Before").aside == ()


ANNOTATED = """
from dataclasses import dataclass
from noted import plain

@dataclass
class Point:
    x: int = 1

def reached(point: Point, of: plain(3) = 2) -> Point:
    return {0}
"""


@pytest.mark.parametrize(("reads", "counts"), [("point", False), ("reached.__annotations__", True)])
def test_annotations_that_became_text(book, reads, counts):
    """IPython has a feature of the future hold for all cells that come after."""
    book.cell(ANNOTATED.format(reads)).cell(TASK.replace("helper(1)", "reached(Point())"))
    before = book.print()
    book.cell("from __future__ import annotations")
    book.cell(ANNOTATED.format(reads)).cell(TASK.replace("helper(1)", "reached(Point())"))
    after = book.print()
    assert (after.fingerprint != before.fingerprint) == counts
    assert [part.name for part in after.parts] == [part.name for part in before.parts]
    assert (before.futures, after.futures) == ((), ("annotations",) if counts else ())
    assert book.wanted().carried.futures == ("annotations",)


def test_annotations_that_a_module_reads(book):
    book.write("tools.py", "import inspect\ndef text(f=len): return str(inspect.signature(f))\n")
    before = book.hex()
    book.cell("from __future__ import annotations").cell(HELPERS).cell(TASK)
    assert book.hex() != before


def test_the_start_of_what_was_in_the_middle_of_an_edit(book):
    book.write("more.py", "word = (\n")
    code, paths = book.print(), (str(book.folder), *sys.path)
    assert at_start(code, paths).unknown == code.unknown
    book.write("more.py", "word = 'whole'\n")
    whole = at_start(code, paths)
    assert (whole.unknown, whole.fingerprint) == ("", book.hex())
