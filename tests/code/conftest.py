"""A notebook without a kernel: cells are compiled, numbered and remembered as IPython does."""

from __future__ import annotations
import __future__

import ast
import builtins
import itertools
import linecache
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xpm_nb.code.carrier import carry

sys.path.append(str(Path(__file__).parent))
import noted

_SERIAL = itertools.count()


class FakeNotebook:
    """Executes cells; `carry` gives what a job would get, `job` the globals it would have."""

    def __init__(self):
        self.main = ModuleType("__main__")
        self.space = vars(self.main)
        self.space["__builtins__"] = builtins
        self.numbers = {}
        self.texts = {}
        self.files = []
        self.flags = 0
        self._serial = next(_SERIAL)
        self._count = 0

    def cell(self, text, *, number=None):
        self._count = number or self._count + 1
        # As with ipykernel, a cell that is executed again has the file name it had before.
        name = f"/tmp/fake_{self._serial}/{hash(text)}.py"
        lines = [line + "\n" for line in text.splitlines()]
        linecache.cache[name] = (len(text), None, lines, name)
        self.files.append(name)
        self.numbers[name] = self._count
        self.texts[self._count] = text
        for node in ast.parse(text).body:
            code = compile(ast.Module([node], []), name, "exec", self.flags, dont_inherit=True)
            for feature in __future__.all_feature_names:  # they last for all cells that follow
                flag = getattr(__future__, feature).compiler_flag
                if flag > 0xFFFF:
                    self.flags |= code.co_flags & flag
            exec(code, self.space)
        return self

    def __getitem__(self, name):
        return self.space[name]

    def carry(self, *classes, texts=True):
        return carry(
            [self.space[c] if isinstance(c, str) else c for c in classes],
            namespace_globals=self.space,
            numbers=self.numbers,
            texts=self.texts if texts else None,
            site=noted.site,
        )

    def job(self, *classes, **options):
        carried = self.carry(*classes, **options)
        flags = sum({getattr(__future__, f).compiler_flag for f in carried.futures})
        space = {"__name__": "__main__"}
        exec(compile(carried.source, "<job>", "exec", flags, dont_inherit=True), space)
        space["__carried__"] = carried
        return space

    def close(self):
        for name in self.files:
            linecache.cache.pop(name, None)


@pytest.fixture
def notebook(monkeypatch):
    fake = FakeNotebook()
    monkeypatch.setitem(sys.modules, "__main__", fake.main)
    yield fake
    fake.close()
