"""The readable ``<NAME>.py`` of a job: the cells' own statements, and how to run them.

`carry` finds and checks the statements; `script` writes the text around them. The text is compiled
and its code objects are compared with the live ones before anybody gets it: a class that was
defined anew gives the text of the class in hand, or an error, never that of its namesake.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from xpm_nb.code import former, modules
from xpm_nb.code.bytecode import FUTURES
from xpm_nb.code.canonical import reads_annotations
from xpm_nb.code.cells import Cell, Cells, Statement, command_text
from xpm_nb.code.differing import shortly
from xpm_nb.code.drift import Refused
from xpm_nb.code.gather import Gathering
from xpm_nb.code.imports import is_import
from xpm_nb.code.origin import Origins
from xpm_nb.code.pieces import Piece
from xpm_nb.code.touches import is_filling
from xpm_nb.core.config import Site
from xpm_nb.errors import CarrierError

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.Try)

_TEMPLATE = """\
# The code of one job, as it was when the job was submitted. Written by xpm_nb.
#
{about}#
# To run it by hand, without notebook or kernel:
#
#     {command}
#
# A job that is done is then executed once more as a rehearsal; nothing of the job is touched.

{future}import sys

if sys.version_info[:2] != {minor}:
    sys.exit("made by Python {version}, but this is " + sys.version.split()[0])

# Where the notebook found its modules, and behind that what this Python knows of. It is done before
# anything is imported: the directory of a script, which is first on the path, may hold a random.py
# or json.py: this very file.
_paths = [
{paths}    *sys.path[0 if sys.flags.safe_path else 1 :],
]
sys.path[:] = dict.fromkeys(_paths)


{source}

if __name__ == "__main__":
    from xpm_nb.runtime.runner import main{renamed}

    {runner}(__file__)
"""


@dataclass(frozen=True, slots=True)
class Carried:
    """Statements on their way into a script.

    Attributes
    ----------
    source : str
        Their text, under headers such as ``# --- In[3]``.
    futures : tuple[str, ...]
        Features of ``__future__`` that they were compiled under.
    modules : tuple[str, ...]
        Modules that they import, also inside functions.
    names : tuple[str, ...]
        Global names that they bind.
    statements : tuple[Statement, ...]
        The statements themselves, in the order of the text.
    unknown : Mapping[str, str]
        Classes that are pickled, by name, and why their source cannot be carried.
    pieces : tuple[Piece, ...]
        Statements and imports with what each of them needs, in the order of the text.
    doubts : tuple[str, ...]
        In what a job may come to something else than the kernel would, though nothing is missing.
    """

    source: str
    futures: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = field(default=(), compare=False, repr=False)
    doubts: tuple[str, ...] = ()


def carry(
    classes: Sequence[type],
    *,
    namespace_globals: Mapping[str, Any],
    numbers: Mapping[str, int],
    site: Callable[[type], Site | None],
    texts: Mapping[int, str] | None = None,
    whole: bool = False,
) -> Carried:
    """Collect the source of classes, with everything that they need.

    Classes of importable modules become import lines; for those of ``__main__`` the statements that
    made them are taken from the cells (or the script), and those that made what they use.

    Parameters
    ----------
    classes
        The classes of a task's configurations. Of several with one name, these are the ones meant.
    namespace_globals
        The globals of ``__main__``.
    numbers
        Execution number of each file name that cells were compiled under.
    site
        Gives the note taken when a class was defined, None when there is none.
    texts
        Executed text by execution number, if known; else linecache is asked.
    whole
        Whether classes keep their submit hooks, which no job needs.

    Raises
    ------
    CarrierError
        Naming class, cell, variable and the way out.
    """
    cells = _cells(namespace_globals, numbers, texts)
    origins = Origins(cells, site, namespace_globals)
    gathering = Gathering(cells, origins, namespace_globals, whole=whole)
    distinct = list(dict.fromkeys(classes))
    ours = [cls for cls in distinct if cls.__module__ == "__main__"]
    gathering.add(ours)
    pieces = gathering.ordered()
    names = {name for piece in pieces for name in piece.binds}
    lines = _import_lines([cls for cls in distinct if cls.__module__ != "__main__"], names)
    source = _text(lines, pieces)
    futures = _futures(pieces)
    _verify(source, len(lines), pieces, futures)
    return Carried(
        source,
        futures,
        _modules(source),
        tuple(sorted(names)),
        tuple(p.statement for p in pieces if p.statement is not None),
        {cls.__qualname__: reason for cls, reason in gathering.unknown.items()},
        tuple(pieces),
        (*gathering.doubts(), *_doubts(pieces, cells, futures)),
    )


def _cells(
    space: Mapping[str, Any], numbers: Mapping[str, int], texts: Mapping[int, str] | None
) -> Cells:
    scripts = [str(space[n]) for n in ("__file__",) if space.get(n)]
    command = "" if scripts else command_text(sys.orig_argv)
    sources = {"<string>": command} if command else {}
    return Cells(numbers, texts, [*scripts, *sources], sources)


def defined_anew(
    classes: Iterable[type],
    *,
    namespace_globals: Mapping[str, Any],
    numbers: Mapping[str, int],
    site: Callable[[type], Site | None],
    texts: Mapping[int, str] | None = None,
) -> dict[type, str]:
    """Give the classes that are not any more what their names mean, and what has defined them anew.

    See `carry` for the parameters. A class whose source cannot be found is none of them.
    """
    origins = Origins(_cells(namespace_globals, numbers, texts), site, namespace_globals)
    found: dict[type, str] = {}
    for cls in dict.fromkeys(classes):
        with suppress(Refused):
            if cls.__module__ == "__main__":
                by = former.anew(cls, namespace_globals, origins)
                found |= {} if by is None else {cls: by.place}
    return found


def _doubts(pieces: Sequence[Piece], cells: Cells, futures: Iterable[str]) -> Iterator[str]:
    yield from _computed_names(pieces)
    yield from _changed_modules(pieces, cells)
    yield from _executed_before(pieces, futures)


def _computed_names(pieces: Iterable[Piece]) -> Iterator[str]:
    """Name where code looks up a name that only its run tells."""
    for piece in pieces:
        statement = piece.statement
        if statement is None:
            continue
        for one in statement.reads.computed:
            yield (
                f"{statement.cell.place(one.line)} looks up a name by a text that it computes "
                f"({shortly(one.code)}): the job of {piece.root} has only the names that its code "
                "uses, and changes of what is meant are not seen. Name it, or make it a parameter."
            )


def _changed_modules(pieces: Iterable[Piece], cells: Cells) -> Iterator[str]:
    """Name what cells change in modules of the user's own; those of others have their settings."""
    for piece in pieces:
        if piece.statement is None or not is_import(piece.statement):
            continue
        for name in sorted(piece.used):
            module = piece.space.get(name)
            if not isinstance(module, ModuleType) or not modules.is_own(module.__name__):
                continue
            for statement in cells.touching(name):
                for touch in statement.touches:
                    if touch.name == name and touch.path and (not touch.call or is_filling(touch)):
                        yield (
                            f"{statement.place} changes {touch.what}: the job of {piece.root} does"
                            f" not see it, and imports {module.__name__} as its file is. Write it"
                            " into the file, or make it a parameter."
                        )


def _executed_before(pieces: Sequence[Piece], futures: Iterable[str]) -> Iterator[str]:
    """Name statements whose annotations are not text yet, if the code may see the difference."""
    flag = FUTURES["annotations"]
    statements = [piece.statement for piece in pieces if piece.statement is not None]
    if "annotations" not in futures or not reads_annotations(s.node for s in statements):
        return
    for statement in statements:
        parts = ast.walk(statement.node)
        if not statement.flags & flag and any(getattr(n, "annotation", None) for n in parts):
            yield (
                f"{statement.place} was executed before `from __future__ import annotations`, and "
                "a job executes it after: its annotations are text there. Run "
                f"{statement.cell.name} again."
            )


def _import_lines(classes: Iterable[type], taken: set[str]) -> list[str]:
    """Write one import per importable class; a name that is taken is left to the one who has it."""
    lines: dict[str, None] = {}
    taken = set(taken)
    for cls in sorted(classes, key=lambda c: (c.__module__, c.__qualname__)):
        _check_importable(cls)
        top = cls.__qualname__.partition(".")[0]
        line = f"from {cls.__module__} import {top}"
        if line not in lines and top in taken:
            line = f"import {cls.__module__}"
        elif line not in lines:
            taken.add(top)
        lines[line] = None
    return list(lines)


def _check_importable(cls: type) -> None:
    value: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        value = getattr(value, name, None)
    if not isinstance(value, type):
        raise CarrierError(
            f"{cls.__qualname__} cannot be carried into a job: {cls.__module__} has no such class "
            "to import. Define it at the top level of its module."
        )


def _text(lines: list[str], pieces: list[Piece]) -> str:
    """Put statements under the headers of their cells, definitions two lines apart."""
    parts = ["# --- imported\n", *(f"{line}\n" for line in lines)] if lines else []
    header, after = ("imported", False) if lines else ("", False)
    for piece in pieces:
        statement = piece.statement
        name = statement.cell.name if statement else piece.header
        wide = statement is not None and isinstance(statement.node, _DEFINITIONS)
        if name != header:
            parts.append(("\n\n" if parts else "") + f"# --- {name}\n")
        elif wide or after:
            parts.append("\n\n")
        parts.append(piece.source)
        header, after = name, wide
    return "".join(parts)


def _futures(pieces: Iterable[Piece]) -> tuple[str, ...]:
    flags = 0
    for piece in pieces:
        flags |= piece.statement.flags if piece.statement else 0
    return tuple(sorted(name for name, flag in FUTURES.items() if flags & flag))


def _modules(source: str) -> tuple[str, ...]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return tuple(sorted(found))


def _verify(source: str, skipped: int, pieces: Sequence[Piece], futures: Iterable[str]) -> None:
    """Read the text as Python does, and check that it still says what the live code does."""
    flags = sum({FUTURES[name] for name in futures})
    compile(source, "<carried>", "exec", flags, dont_inherit=True)
    nodes = iter(ast.parse(source).body[skipped:])
    for piece in pieces:
        statement = piece.statement
        if statement is None:
            for _ in ast.parse(piece.text).body:
                next(nodes)
        elif isinstance(statement.node, ast.Import | ast.ImportFrom):
            next(nodes)
        elif ast.dump(next(nodes)) != statement.key:
            raise CarrierError(
                f"The text of {piece.place} changes when it is copied: please report it."
            )


def script(
    carried: Carried,
    *,
    task: str,
    type_name: str,
    identifier: str,
    namespace: str | None,
    name: str,
    sys_path: Sequence[str],
    python: str | None = None,
) -> str:
    """Write the whole text of ``<NAME>.py``.

    Parameters
    ----------
    carried
        What `carry` gave.
    task
        The task's class, as people know it.
    type_name, identifier
        The job's type name and its 64 hexadecimal digits.
    namespace
        What stands for ``__main__`` in type names; None when no class is of ``__main__``.
    name
        The stem of the file's name.
    sys_path
        The import path of the submitting process. Relative entries are made absolute here.
    python
        The interpreter to name in the instructions, by default this one.

    Returns
    -------
    str
        The same text for the same arguments.
    """
    said = (
        ("task", task),
        ("type", type_name),
        ("identifier", identifier),
        ("namespace", namespace or "(all classes are imported)"),
    )
    about = "".join(f"#     {label:<12}{_one_line(value)}\n" for label, value in said)
    command = f"{_one_line(python or sys.executable)} {_one_line(name)}.py"
    paths = "".join(f"    {_quoted(entry)},\n" for entry in _absolute(sys_path))
    future = f"from __future__ import {', '.join(carried.futures)}\n\n" if carried.futures else ""
    runner = "main"
    while runner in carried.names:
        runner = f"xpm_nb_{runner}"
    return _TEMPLATE.format(
        about=about,
        command=command,
        future=future,
        minor=tuple(sys.version_info[:2]),
        version=sys.version.split()[0],
        paths=paths,
        source=carried.source,
        renamed="" if runner == "main" else f" as {runner}",
        runner=runner,
    )


@dataclass(frozen=True, slots=True)
class Read:
    """A script, taken apart again.

    Attributes
    ----------
    futures : tuple[str, ...]
        Features of ``__future__`` that it imports.
    parts : tuple[tuple[str, str], ...]
        Where statements came from (``In[3]``), and their text.
    """

    futures: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]

    @property
    def code(self) -> str:
        """The statements alone, as they would stand in one cell."""
        future = f"from __future__ import {', '.join(self.futures)}\n\n\n" if self.futures else ""
        return future + "\n\n\n".join(text.strip("\n") for _, text in self.parts) + "\n"


def read(text: str) -> Read:
    """Take the text of a script apart; one that another tool has written is one part."""
    before, begin, rest = text.partition("\nsys.path[:] = dict.fromkeys(_paths)\n")
    source, end, _ = rest.rpartition('\n\nif __name__ == "__main__":\n')
    if not begin or not end:
        return Read((), (("script", text),))
    future = re.search(r"^from __future__ import (.+)$", before, re.M)
    names = future[1].split(", ") if future else ()
    return Read(tuple(names), parts(source))


def parts(source: str) -> tuple[tuple[str, str], ...]:
    """Cut the statements of a script by the headers that say where they came from."""
    pieces = re.split(r"^# --- (.+)\n", source.strip("\n") + "\n", flags=re.M)
    found = list(zip(pieces[1::2], pieces[2::2], strict=True))
    if pieces[0].strip():
        found.insert(0, ("script", pieces[0]))
    return tuple((name, part.strip("\n") + "\n") for name, part in found)


def aligned(before: str, now: str) -> tuple[list[str], list[str]]:
    """Give the lines of two codes, the statements of the second in the order of the first.

    Cells that are executed again come later than before, which says nothing about what they do.
    """
    old = Cell(0, "", before).statements()
    left = Cell(0, "", now).statements()
    found: list[Statement] = []
    for statement in old:
        same = [other for other in left if other.key == statement.key]
        named = [other for other in left if other.binds & statement.binds]
        for other in (same or named)[:1]:
            found.append(other)
            left.remove(other)
    texts = ("\n\n\n".join(s.source.rstrip("\n") for s in part) for part in (old, found + left))
    first, second = (text.splitlines() for text in texts)
    return first, second


def _absolute(entries: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(os.path.abspath(str(entry)) for entry in entries))


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode("utf-8")


def _quoted(text: str) -> str:
    """Write a string literal with double quotes, one that UTF-8 can hold."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    if text.isprintable():
        return f'"{text}"'
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f'"{"".join(escaped)}"'
