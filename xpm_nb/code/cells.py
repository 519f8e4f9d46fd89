"""Which statements of which cells made this live object.

Rule 1: an object is found by its code, never by its name alone: code object -> file name -> text of
the cell -> the statement that compiles to an equal code object. Where the same name was defined
twice, even in one cell, that gives the statement of the object in hand.

Rule 2: nothing here knows IPython. Cells come as two mappings: file name -> execution number, and
execution number -> the text that was executed (after IPython's own transformation of ``!`` and
``%`` lines). Without texts, linecache has them.

A cell magic such as ``%%time`` executes its body under no file name at all; the body is then found
as the string inside the cell that holds the magic.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import CodeType, FunctionType, MethodType
from typing import Any

from xpm_nb.code import scripts
from xpm_nb.code.bytecode import (
    Reads,
    compiled,
    future_flags,
    is_class_body,
    nested,
    parse,
    reads,
    same_code,
)
from xpm_nb.code.touches import Touch, touches


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that was executed as one: a cell, the body of a cell magic, a script.

    Attributes
    ----------
    number : int
        The execution number, 0 for a script.
    name : str
        What people call it: ``In[3]``, ``train.py``.
    text : str
        The Python text.
    shift : int
        Lines that the person sees above the text (that of the cell magic).
    whole : bool
        Whether it was compiled in one piece, as scripts are; cells are compiled by statements.
    part : int
        Its place among texts of one execution number: cells of a notebook that a cell has run.
    """

    number: int
    name: str
    text: str
    shift: int = 0
    whole: bool = False
    part: int = 0

    def place(self, line: int) -> str:
        """Name a line of the text: ``In[3], line 2``."""
        return f"{self.name}, line {line + self.shift}"

    def statements(self, flags: int = 0) -> list[Statement]:
        """Give the top-level statements, in order."""
        return [Statement(self, i, flags) for i in range(len(parse(self.text)))]


@dataclass(frozen=True, slots=True)
class Statement:
    """A top-level statement of a cell, as compiled under some ``__future__`` flags."""

    cell: Cell
    index: int
    flags: int = 0

    @property
    def node(self) -> ast.stmt:
        """The syntax tree."""
        return parse(self.cell.text)[self.index]

    @property
    def key(self) -> str:
        """Text that is equal for statements that say the same, wherever they stand."""
        return _dump(self.cell.text, self.index)

    @property
    def reads(self) -> Reads:
        """The global names it needs."""
        return reads(self.cell.text, self.index, self.flags)

    @property
    def touches(self) -> tuple[Touch, ...]:
        """What it changes of the things that global names lead to."""
        return touches(self.cell.text)[self.index]

    @property
    def order(self) -> tuple[int, int, str, int]:
        """When it was executed last, to be compared."""
        return (self.cell.number, self.cell.part, self.cell.name, self.index)

    @property
    def binds(self) -> frozenset[str]:
        """The global names it gives a value to; ``*`` stands for those of a star import."""
        return _bound(self.cell.text)[self.index]

    @property
    def source(self) -> str:
        """Its lines as they were written, with the comment right above, ending in a newline."""
        return _segment(self.cell.text, self.index)

    @property
    def place(self) -> str:
        """Where it begins: ``In[3], line 2``."""
        return self.cell.place(_first_line(self.node))

    def holds(self, code: CodeType) -> bool:
        """Tell whether compiling the statement gives this code object."""
        first, last = _first_line(self.node), self.node.end_lineno or 0
        if not first <= code.co_firstlineno <= last:
            return False
        index = None if self.cell.whole else self.index
        mine = compiled(self.cell.text, index, self.flags)
        return mine is not None and any(
            inner.co_firstlineno == code.co_firstlineno and same_code(inner, code)
            for inner in nested(mine)
        )

    def as_compiled(self, value: object) -> Statement:
        """Give the statement as it was compiled when it made a value, if its code tells how.

        What a cell imports from ``__future__`` holds for all cells that are executed after it.
        """
        for function in functions_in(value):
            flags = future_flags(function.__code__)
            other = Statement(self.cell, self.index, flags)
            if flags != self.flags and other.holds(function.__code__):
                return other
        return self

    def definition(self, qualname: str, line: int | None = None) -> ast.ClassDef | None:
        """Give the definition of a class with this qualified name (that holds a line), or None."""
        for name, node in classes_in(self.node):
            if name == qualname and (
                line is None or _first_line(node) <= line <= (node.end_lineno or line)
            ):
                return node
        return None


class Cells:
    """All cells that are known, to look statements up in.

    Parameters
    ----------
    numbers
        The execution number of each file name that cells were compiled under.
    texts
        The executed text of each execution number; linecache is asked for those missing.
    scripts
        Names of files whose classes and functions are those of ``__main__`` too.
    sources
        The text of those among them that linecache does not have.
    """

    def __init__(
        self,
        numbers: Mapping[str, int],
        texts: Mapping[int, str] | None = None,
        scripts: Iterable[str] = (),
        sources: Mapping[str, str] | None = None,
    ) -> None:
        self._sources = sources or {}
        self._numbers = numbers
        self._texts = texts or {}
        self._scripts = tuple(scripts)
        self._files: dict[str, tuple[Cell, ...]] = {}

    def of_file(self, filename: str) -> tuple[Cell, ...]:
        """Give the cells that code with this file name may come from, the likeliest first."""
        if filename not in self._files:
            self._files[filename] = self._find_file(filename)
        return self._files[filename]

    def _find_file(self, filename: str) -> tuple[Cell, ...]:
        number = self._numbers.get(filename, _number_in(filename))
        if number is None and filename in self._sources:
            return (Cell(0, "python -c", _unix(self._sources[filename]), whole=True),)
        if number is None:  # a file, or what `python -c` executes (Python 3.13 and later)
            name = os.path.basename(filename)
            texts = scripts.texts_of(filename, _live_codes(), _holds)
            return tuple(Cell(0, name, _unix(text), whole=True) for text in texts)
        cached = "".join(linecache.getlines(filename))
        text = self._texts.get(number, "")
        found = []
        # linecache cuts lines at more characters than Python does: the executed text is better.
        if text and (not cached or text.splitlines() == cached.splitlines()):
            found.append(Cell(number, f"In[{number}]", _unix(text)))
        elif cached:
            # The body of %%capture is a cell in its own right, which no history has. IPython 9
            # counts it as the one that comes after the cell it stands in.
            shift = int("run_cell_magic(" in text)
            ran = notebook_run(text)
            if not shift and not ran and "run_cell_magic(" in self._texts.get(number - 1, ""):
                number, shift = number - 1, 1
            name = ran or (f"In[{number}]" if number else os.path.basename(filename))
            part = list(self._numbers).index(filename) + 1 if ran else 0
            found.append(Cell(number, name, _unix(cached), shift, part=part))
        return tuple(found)

    @cached_property
    def all(self) -> tuple[Cell, ...]:
        """Every cell, in order of execution; the body of a cell magic comes after its cell."""
        by_text: dict[str, Cell] = {}
        for name in self._scripts:  # as they were executed last
            by_text.update((cell.text, cell) for cell in self.of_file(name)[:1])
        for name in self._numbers:
            for cell in self.of_file(name):
                known = by_text.get(cell.text)
                if known is None or (known.number, known.part) < (cell.number, cell.part):
                    by_text[cell.text] = cell
        for number, text in self._texts.items():
            cell = Cell(number, f"In[{number}]", _unix(text))
            if text.strip() and by_text.get(cell.text, cell).number <= number:
                by_text[cell.text] = cell
        in_order = sorted(by_text.values(), key=lambda cell: (cell.number, cell.part))
        return tuple(part for cell in in_order for part in (cell, *_bodies(cell)))

    @cached_property
    def _binders(self) -> dict[str, list[Statement]]:
        index: dict[str, list[Statement]] = {}
        for cell in self.all:
            for statement in cell.statements():
                for name in statement.binds:
                    index.setdefault(name, []).append(statement)
        return index

    def binders(self, name: str) -> list[Statement]:
        """Give the statements that bind a name (or ``*``), in order of execution."""
        return self._binders.get(name, [])

    @cached_property
    def _touchers(self) -> dict[str, list[Statement]]:
        index: dict[str, list[Statement]] = {}
        for cell in self.all:
            for statement, some in zip(cell.statements(), touches(cell.text), strict=True):
                for name in dict.fromkeys(touch.name for touch in some):
                    index.setdefault(name, []).append(statement)
        return index

    def touching(self, name: str) -> list[Statement]:
        """Give the statements that may change what a name stands for, in order of execution."""
        return self._touchers.get(name, [])

    def holding(self, code: CodeType) -> Statement | None:
        """Find the statement that compiles to a live code object.

        The file that the code names is looked at first. Code without such a file comes from the
        body of a cell magic, or from a file name that several cells share: then all cells are.
        """
        flags = future_flags(code)
        for cell in (*self.of_file(code.co_filename), *reversed(self.all)):
            for statement in cell.statements(flags):
                if statement.holds(code):
                    self._add_script(code.co_filename, cell)
                    return statement
        return None

    def _add_script(self, filename: str, cell: Cell) -> None:
        """Look up names in a script too from which something has come (``%run``)."""
        if cell.number == 0 and filename not in self._scripts:
            self._scripts = (*self._scripts, filename)
            for computed in ("all", "_binders", "_touchers"):
                self.__dict__.pop(computed, None)

    def knows(self, filename: str) -> bool:
        """Tell whether a file name is one of a cell or of a script of ``__main__``."""
        return (
            filename in self._numbers
            or filename in self._scripts
            or _number_in(filename) is not None
        )


def notebook_run(text: str) -> str:
    """Name the notebook whose cells a cell has executed by ``%run``, "" if it has none."""
    match = re.search(r"run_line_magic\('run', '(?:[^']*[\s/])?([^'/\s]+\.ipy(?:nb)?)", text)
    return match[1] if match else ""


def _holds(text: str, code: CodeType) -> bool:
    """Tell whether a script gives a code object."""
    cell = Cell(0, "", text, whole=True)
    return any(statement.holds(code) for statement in cell.statements(future_flags(code)))


def _live_codes() -> Iterator[CodeType]:
    """Give the code of the functions of ``__main__`` and of the methods of its classes."""
    for value in list(vars(sys.modules["__main__"]).values()):
        parts = vars(value).values() if isinstance(value, type) else [value]
        for part in parts:
            yield from (function.__code__ for function in functions_in(part))


def functions_in(value: object) -> Iterator[FunctionType]:
    """Give the functions an object is made of: itself, or what a decorator has wrapped up.

    Looks through methods, properties, partials, closures, ``__wrapped__`` and instance attributes.
    """
    stack, seen = [(value, 0)], set[int]()
    while stack:
        item, depth = stack.pop()
        if id(item) in seen or depth > 4 or isinstance(item, type):
            continue
        seen.add(id(item))
        if isinstance(item, FunctionType):
            yield item
        stack.extend((part, depth + 1) for part in reversed(_parts_of(item)))


def _parts_of(item: object) -> list[object]:
    if isinstance(item, FunctionType):
        cells = [c.cell_contents for c in item.__closure__ or () if _is_filled(c)]
        return [getattr(item, "__wrapped__", None), *cells]
    if isinstance(item, staticmethod | classmethod | MethodType):
        return [item.__func__]
    if isinstance(item, property):
        return [item.fget, item.fset, item.fdel]
    if isinstance(item, functools.partial | functools.partialmethod | functools.cached_property):
        return [item.func]
    if isinstance(item, Mapping | str | bytes | int | float) or item is None:
        return []
    # Attributes of the class (properties, slots) are not asked: reading one could run anything.
    own = getattr(item, "__dict__", None)
    values = list(own.values()) if isinstance(own, dict) else []
    # Asked for only if it is there: a `__getattr__` of the user's may do anything.
    wraps = callable(item) and inspect.getattr_static(item, "__wrapped__", None) is not None
    wrapped = getattr(item, "__wrapped__", None) if wraps else None
    return [wrapped, *(v for v in values if callable(v))]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (an empty cell raises)
    except ValueError:
        return False
    return True


def class_bodies(code: CodeType, qualname: str) -> list[CodeType]:
    """Give the code of the class bodies with this qualified name inside a code object."""
    return [c for c in nested(code) if is_class_body(c) and c.co_qualname == qualname]


@lru_cache(maxsize=4096)
def _dump(text: str, index: int) -> str:
    return ast.dump(parse(text)[index])


@lru_cache(maxsize=2048)
def _bound(text: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names_bound(node)) for node in parse(text))


def names_bound(node: ast.AST) -> Iterator[str]:
    """Give the names that a statement gives values to where it stands."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import):
        yield from (a.asname or a.name.partition(".")[0] for a in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (a.asname or a.name for a in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp):
        if isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name
        for child in ast.iter_child_nodes(node):
            yield from names_bound(child)


def classes_in(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Give the classes of a statement with their qualified names, but for those of functions."""
    if isinstance(node, ast.ClassDef):
        yield prefix + node.name, node
        prefix, parts = f"{prefix}{node.name}.", list[ast.AST](node.body)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
        return
    else:
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        yield from classes_in(part, prefix)


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


@lru_cache(maxsize=4096)
def _segment(text: str, index: int) -> str:
    """Give the source of a statement: whole lines where it has them to itself."""
    nodes = parse(text)
    node, lines = nodes[index], text.split("\n")
    first, last = _first_line(node), node.end_lineno or node.lineno
    before = nodes[index - 1].end_lineno or 0 if index else 0
    after = _first_line(nodes[index + 1]) if index + 1 < len(nodes) else last + 1
    if before >= first or after <= last or lines[first - 1][:1].isspace():
        return f"{ast.get_source_segment(text, node)}\n"  # a = 1; b = 2
    while first - 1 > before and _is_comment(lines[first - 2]):
        first -= 1
    return "\n".join(lines[first - 1 : last]) + "\n"


def _is_comment(line: str) -> bool:
    """Tell a comment from a line that says where a cell begins, in a script of ours or others."""
    return line.startswith("#") and not line.startswith(("# %%", "#%%", "# In[", "# --- "))


def command_text(words: Sequence[str]) -> str:
    """Give the code in a command line of Python's, ``python -c CODE …``; "" if there is none."""
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-") or word in ("-", "--"):
            return ""
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, "")
            continue
        for at, letter in enumerate(word[1:], 2):
            if letter == "c":
                return word[at:] or next(rest, "")
            if letter == "m":
                return ""
            if letter in "WX":  # the rest of the word, or the next one, is its value
                if at == len(word):
                    next(rest, "")
                break
    return ""


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _number_in(filename: str) -> int | None:
    """Read the number that a terminal's IPython writes into file names."""
    match = re.match(r"<ipython-input-(\d+)-", filename)
    return int(match[1]) if match else None


def _bodies(cell: Cell) -> list[Cell]:
    """Give the bodies of the cell magics of a cell, as Python text."""
    found: list[Cell] = []
    for node in parse(cell.text):
        match node:
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(attr="run_cell_magic"),
                    args=[ast.Constant(), ast.Constant(), ast.Constant(value=str(body))],
                )
            ):
                inner, shift = _unix(body), cell.shift + 1
                while inner.startswith("%%"):  # %%time above %%capture
                    inner, shift = inner.partition("\n")[2], shift + 1
                found.append(Cell(cell.number, cell.name, _without_magics(inner), shift, True))
    return found


def _without_magics(text: str) -> str:
    """Put plain statements where a body has lines for IPython, keeping its line numbers."""
    if parse(text) or not text.strip():
        return text
    lines = [re.sub(r"^(\s*)([!%].*|\S+\?+)$", r"\1pass", line) for line in text.split("\n")]
    assignment = re.compile(r"^(\s*[\w, ]+=\s*)[!%].*$")
    return "\n".join(assignment.sub(r"\1get_ipython()", line) for line in lines)
