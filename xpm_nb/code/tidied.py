"""Whether a text that a formatter went over is still the same program.

Same means: all statements other than imports are what they were, and imports bind what they did.
They may stand in another order, and names that nobody needs may be gone, as long as every module is
imported that was (modules of Python itself do nothing to others).
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import NamedTuple

#: What keeps ruff and isort from saying where in its block an import has to stand.
SKIP = "  # isort: skip"

_IMPORTS = (ast.Import, ast.ImportFrom)


class Import(NamedTuple):
    """One name that an import binds: where it stands, and what it means."""

    place: str  # of the block that it stands in, and after how many other statements
    module: str  # with the dots of a relative one
    name: str  # "" if the module itself is bound
    asname: str

    @property
    def binds(self) -> str:
        """The name that it gives a value to."""
        return self.asname or self.name or self.module.partition(".")[0]

    @property
    def is_inside(self) -> bool:
        """Whether it is there for a module inside the package that it binds: ``import a.b``."""
        return not self.name and not self.asname and "." in self.module

    def loads(self) -> Iterator[str]:
        """Give the modules that are loaded for it."""
        yield self.module
        if self.name and f"{self.module}.{self.name}" in sys.modules:
            yield f"{self.module}.{self.name}"


def same_program(before: str, after: str) -> bool:
    """Tell whether two texts do the same; see above."""
    try:
        old, new = ast.parse(before), ast.parse(after)
    except (SyntaxError, ValueError):
        return False
    imports, others = list(_taken_out(old, "")), list(_taken_out(new, ""))
    for tree in (old, new):
        _level_docstrings(tree)
    if ast.dump(old) != ast.dump(new):
        return False
    if any(one.name == "*" for one in imports) and imports != others:
        return False  # which names of which module are meant, depends on the order
    gone, added = Counter(imports) - Counter(others), Counter(others) - Counter(imports)
    if added or any(one.module == "__future__" for one in gone):
        return False
    read = {node.id for node in ast.walk(new) if isinstance(node, ast.Name)}
    kept = {one.binds for one in others}
    if any(one.binds in read and (one.is_inside or one.binds not in kept) for one in gone):
        return False
    loaded = {module for one in others for module in one.loads()}
    if any(
        module not in loaded and module.partition(".")[0] not in sys.stdlib_module_names
        for one in gone
        for module in one.loads()
    ):
        return False
    meant = _meant(imports)
    return all(meant[key] == one for key, one in _meant(others).items())


def _taken_out(tree: ast.AST, place: str) -> Iterator[Import]:
    """Take the imports out of a tree, and give them in order."""
    for field, value in ast.iter_fields(tree):
        if not isinstance(value, list):
            if isinstance(value, ast.AST):
                yield from _taken_out(value, f"{place}.{field}")
            continue
        kept: list[object] = []
        for part in value:
            here = f"{place}.{field}{len(kept)}"
            if isinstance(part, _IMPORTS):
                yield from _names(part, here)
                continue
            kept.append(part)
            if isinstance(part, ast.AST):
                yield from _taken_out(part, here)
        value[:] = kept


def _names(node: ast.Import | ast.ImportFrom, place: str) -> Iterator[Import]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(place, alias.name, "", alias.asname or "")
        else:
            module = "." * node.level + (node.module or "")
            yield Import(place, module, alias.name, alias.asname or "")


def _meant(imports: list[Import]) -> dict[tuple[str, str], Import]:
    """Give what names mean after each block of imports: the last one that binds it."""
    return {(one.place, one.binds): one for one in imports}


def _level_docstrings(tree: ast.AST) -> None:
    """Take the indentation of docstrings for nothing: formatters move their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                text = first.value.value
                if isinstance(text, str):
                    lines = [line.strip() for line in text.strip().splitlines()]
                    first.value.value = "\n".join(lines)


def unsorted(text: str, apart: Collection[Collection[str]]) -> str:
    """Let imports stand as they do where their order depends on from where one looks.

    Formatters take modules for those of the project by the directory that they are started in.

    Parameters
    ----------
    text
        A module, its imports one to a line.
    apart
        Modules that lie beside the notebook, those of one directory together.
    """
    lines = text.split("\n")
    for block in _blocks(ast.parse(text)):
        for run in _runs(block, lines):
            groups = {_group(node, apart) for node in run}
            if len(groups) > 1:
                for node in run:
                    lines[node.lineno - 1] += SKIP
    return "\n".join(lines)


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def _runs(block: list[ast.stmt], lines: list[str]) -> Iterator[list[ast.stmt]]:
    """Give the imports of a block that are sorted as one."""
    cut = 0

    def key(node: ast.stmt) -> tuple[bool, int]:
        nonlocal cut
        cut += lines[node.lineno - 2].strip().startswith("# isort:") if node.lineno > 1 else 0
        return isinstance(node, _IMPORTS), cut

    for (imports, _), nodes in groupby(block, key):
        if imports:
            yield list(nodes)


def _group(node: ast.stmt, apart: Collection[Collection[str]]) -> int:
    """Tell which of the directories an import is from; -1 for everything else."""
    if isinstance(node, ast.ImportFrom):
        top = (node.module or "").partition(".")[0]
    else:
        assert isinstance(node, ast.Import)
        top = node.names[0].name.partition(".")[0]
    return next((i for i, some in enumerate(apart) if top in some), -1)
