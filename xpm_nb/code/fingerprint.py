"""The fingerprint of the code that a task reaches: equal for code that does the same.

Counted are the statements of cells that the carrier found, and the files of the user's own modules
that these import, and so on. Of a task that is only needed, what it executes is left out: that is a
matter of its own job. Installed distributions do not count; their versions are noted.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from xpm_nb.code import modules
from xpm_nb.code.bytecode import parse, reads
from xpm_nb.code.canonical import digest_of, reads_annotations, reads_documents
from xpm_nb.code.carrier import Carried
from xpm_nb.code.imports import bound_by
from xpm_nb.code.modules import Import, Module, Reached, Unreadable
from xpm_nb.code.pieces import Piece
from xpm_nb.store.records import Code, CodePart

MAX_KNOWN = 256  # fingerprints that are kept in memory

# Kinds of parts: a statement of a cell, the class of a task that is only needed, a file.
CELL, NEEDED, MODULE = "cell", "needed", "module"


@dataclass(frozen=True)
class Wanted:
    """What a fingerprint is of.

    Attributes
    ----------
    carried : Carried
        What the carrier found for the task.
    own : tuple[type, ...]
        The classes whose code is the task's.
    needed : tuple[type, ...]
        Classes of tasks that it needs done: all of them but `execute`.
    paths : tuple[str, ...]
        Where its job looks for modules.
    """

    carried: Carried
    own: tuple[type, ...]
    needed: tuple[type, ...]
    paths: tuple[str, ...]


def fingerprint(wanted: Wanted, left_out: Mapping[str, str]) -> Code:
    """Give the code that a task reaches, with its fingerprint; it says so if that is not known.

    Parameters
    ----------
    wanted
        The task's code.
    left_out
        See `Code`.
    """
    return _made(wanted, _Cells(wanted), left_out)[0]


def _made(
    wanted: Wanted, cells: _Cells, left_out: Mapping[str, str]
) -> tuple[Code, tuple[Reached, ...]]:
    """Give the code with its fingerprint, and what it is made of but the cells."""
    roots = (*map(_name_of, wanted.own), *(f"-{_name_of(cls)}" for cls in wanted.needed))
    made = Code(roots=roots, left_out=dict(left_out))
    if wanted.carried.unknown:
        names = ", ".join(wanted.carried.unknown)
        text = f"the source of {names} is not known"
        return made._replace(parts=tuple(cells.parts), unknown=text), ()
    texts = tuple(" ".join((one.module, *one.names)) for one in cells.imports)
    try:
        reached = modules.reach(cells.imports, wanted.paths)
    except (Unreadable, RecursionError) as error:
        return made._replace(parts=tuple(cells.parts), unknown=str(error), imports=texts), ()
    aside = _aside(cells.imports_aside, wanted.paths)
    parts = [*cells.parts, *_module_parts(reached.modules, len(cells.parts))]
    parts = _documented(parts, reached.modules)
    futures = _counted(wanted.carried.futures, parts, reached.modules)
    code = made._replace(
        fingerprint=combined(parts, futures),
        futures=futures,
        parts=tuple(_linked(parts, reached.modules)),
        packages=reached.packages,
        aside=_files(aside, besides=reached),
        imports=texts,
    )
    return code, (reached, aside)


def _aside(imports: Sequence[Import], paths: Sequence[str]) -> Reached:
    """Give what the script loads, and does not count."""
    try:
        return modules.reach(imports, paths) if imports else Reached((), {})
    except (Unreadable, RecursionError):  # the job will say so, if it comes to that
        return Reached((), {})


def _files(aside: Reached, besides: Reached) -> tuple[str, ...]:
    known = {module.path for module in besides.modules}
    return tuple(module.path for module in aside.modules if module.path not in known)


def combined(parts: Iterable[CodePart], futures: Iterable[str] = ()) -> str:
    """Put the digests of all parts together; the order of cells does not count."""
    lines = [f"future {name}" for name in futures]
    lines += [
        f"{part.kind} {part.name if part.kind == MODULE else ''} {part.digest}" for part in parts
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8")).hexdigest()


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


# -- cells ------------------------------------------------------------------------------------


class _Cells:
    """The statements of cells that count, of those that the carrier found."""

    def __init__(self, wanted: Wanted) -> None:
        bases = {base for cls in wanted.own for base in cls.__mro__}
        self._only_needed = {
            cls.__qualname__.partition(".")[0]
            for cls in wanted.needed
            if cls.__module__ == "__main__" and cls not in bases
        }
        self._classes = (*wanted.own, *wanted.needed)
        self._all = wanted.carried.pieces
        self._uses: dict[Piece, list[Piece]] = {}
        self.pieces = self._reached()

    def _reached(self) -> tuple[Piece, ...]:
        tops = {
            cls.__qualname__.partition(".")[0]
            for cls in self._classes
            if cls.__module__ == "__main__"
        }
        stack = [piece for piece in self._all if piece.binds & tops]
        while stack:
            piece = stack.pop()
            if piece not in self._uses:
                uses = self._uses[piece] = self._used_by(piece)
                stack += uses
        return tuple(piece for piece in self._all if piece in self._uses)

    def _used_by(self, piece: Piece) -> list[Piece]:
        needed = [p for some in piece.now.values() for p in some]
        found = dict.fromkeys([*needed, *piece.later, *piece.registered])
        found.pop(piece, None)
        if self._kind(piece) == NEEDED:
            read = _reads_without_execute(piece.source)
            return [p for p in found if p.binds & read]
        return list(found)

    def _kind(self, piece: Piece) -> str:
        return NEEDED if piece.binds & self._only_needed else CELL

    @cached_property
    def parts(self) -> list[CodePart]:
        """The parts; of imports one for each module, however the cells put them together."""
        imports = {piece: _imports_of(piece) for piece in self.pieces}
        groups: dict[Hashable, list[Piece]] = {}
        for piece in self.pieces:
            for key in imports[piece] or [piece]:
                groups.setdefault(key, []).append(piece)
        numbers = {key: i for i, key in enumerate(groups)}
        made = []
        for key, pieces in groups.items():
            first = pieces[0]
            kind, source, binds = self._kind(first), first.source, first.binds
            if key is not first:
                source, binds = _merged([node for p in pieces for node in imports[p][key]])
            name = ", ".join(sorted(binds)) or source.strip().partition("\n")[0]
            needs = [n for p in pieces for u in self._uses[p] for n in imports[u] or [u]]
            uses = tuple(sorted({numbers[need] for need in needs}))
            made.append(CodePart(kind, name, first.place, source, _digest(kind, source), uses))
        return made

    @cached_property
    def imports_aside(self) -> list[Import]:
        """Give the imports of what is carried and does not count."""
        counted = set(self.imports)
        found = [
            wanted
            for piece in self._all
            if piece not in self._uses or self._kind(piece) == NEEDED
            for wanted in modules.imports_in(
                parse(piece.source), str(piece.space.get("__package__") or "")
            )
        ]
        return [wanted for wanted in dict.fromkeys(found) if wanted not in counted]

    @cached_property
    def imports(self) -> list[Import]:
        """Give the imports of what counts."""
        found: dict[Import, None] = {}
        for piece in self.pieces:
            nodes = _nodes(self._kind(piece), piece.source)
            package = str(piece.space.get("__package__") or "")
            found.update(dict.fromkeys(modules.imports_in(nodes, package)))
        for cls in self._classes:
            if cls.__module__ != "__main__":
                found[Import(cls.__module__)] = None
        return list(found)


def _imports_of(piece: Piece) -> dict[Hashable, list[ast.Import | ast.ImportFrom]]:
    """Give what a piece imports, by what makes one part; nothing if it is no import.

    An import in another cell may bind a name first, and leaves the rest of a statement to this one.
    """
    found: dict[Hashable, list[ast.Import | ast.ImportFrom]] = {}
    for node in parse(piece.source):
        if isinstance(node, ast.ImportFrom):
            found.setdefault((node.module, node.level), []).append(node)
        elif isinstance(node, ast.Import):
            for one in node.names:
                found[one.name, one.asname or ""] = [ast.Import([one])]
        else:
            return {}
    return found


def _merged(nodes: Sequence[ast.Import | ast.ImportFrom]) -> tuple[str, set[str]]:
    """Give the one statement that imports what some do, and the names that it binds."""
    node = copy(nodes[0])
    names = {(one.name, one.asname or ""): one for other in nodes for one in other.names}
    node.names = [names[key] for key in sorted(names)]
    return f"{ast.unparse(node)}\n", {bound_by(node, one) for one in node.names}


@lru_cache(maxsize=4096)
def _digest(kind: str, source: str) -> str:
    return digest_of(_nodes(kind, source))


def _nodes(kind: str, source: str) -> Sequence[ast.stmt]:
    """Give the statements of a part that count."""
    return _without_execute(source) if kind == NEEDED else parse(source)


def _without_execute(source: str) -> list[ast.stmt]:
    """Give the statement of a class without what it executes."""
    nodes = list(ast.parse(source).body)
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            node.body = [part for part in node.body if getattr(part, "name", "") != "execute"]
            node.body = node.body or [ast.Pass(lineno=node.lineno, col_offset=0)]
    return nodes


@lru_cache(maxsize=1024)
def _reads_without_execute(source: str) -> frozenset[str]:
    text = ast.unparse(ast.Module(_without_execute(source), []))
    found: set[str] = set()
    for i in range(len(parse(text))):
        of_one = reads(text, i, 0)
        found.update(of_one.now, of_one.later, of_one.hints)
    return frozenset(found)


# -- docstrings -------------------------------------------------------------------------------


def _documented(parts: Sequence[CodePart], found: Sequence[Module]) -> list[CodePart]:
    """Have docstrings count in all parts, if any of the code may read docstrings."""
    cells = [part for part in parts if part.kind != MODULE]
    by_name = {module.name: module for module in found}
    counts = any(module.reads_documents for module in found) or any(
        _reads_documents(part.kind, part.source) for part in cells
    )
    made: list[CodePart] = []
    for part in parts:
        if part.kind == MODULE:
            module = by_name[part.name]
            digest = module.documented if counts and module.documented else module.digest
        else:
            digest = _digest(part.kind, part.source)
            digest = _with_documents(part.kind, part.source) if counts else digest
        made.append(part if digest == part.digest else part._replace(digest=digest))
    return made


@lru_cache(maxsize=4096)
def _reads_documents(kind: str, source: str) -> bool:
    return reads_documents(_nodes(kind, source))


@lru_cache(maxsize=4096)
def _with_documents(kind: str, source: str) -> str:
    return modules.documented(_digest(kind, source), _nodes(kind, source))


# -- features of the language -------------------------------------------------------------------


def _counted(
    futures: tuple[str, ...], parts: Sequence[CodePart], found: Sequence[Module]
) -> tuple[str, ...]:
    """Leave out the feature that makes text of annotations, unless any of the code reads them.

    IPython has what one cell imports from ``__future__`` hold for all that are executed later, so
    that a notebook which is run again is compiled otherwise, though nothing in it has changed.
    """
    counts = any(module.reads_annotations for module in found) or any(
        _reads_annotations(part.kind, part.source) for part in parts if part.kind != MODULE
    )
    return tuple(name for name in futures if counts or name != "annotations")


@lru_cache(maxsize=4096)
def _reads_annotations(kind: str, source: str) -> bool:
    return reads_annotations(_nodes(kind, source))


# -- modules ----------------------------------------------------------------------------------


def _module_parts(found: Sequence[Module], offset: int) -> list[CodePart]:
    numbers = {module.name: offset + i for i, module in enumerate(found)}
    return [
        CodePart(
            MODULE,
            module.name,
            module.path,
            module.kept,
            module.digest,
            tuple(_numbers(module.imports, numbers, module.name)),
            module.stamp,
        )
        for module in found
    ]


def _numbers(imports: Iterable[Import], numbers: Mapping[str, int], me: str = "") -> list[int]:
    names = {name for one in imports for name in modules.names_in(one)}
    return sorted(numbers[name] for name in names & numbers.keys() if name != me)


def _linked(parts: Sequence[CodePart], found: Sequence[Module]) -> Iterator[CodePart]:
    """Add to the statements of cells the modules that they import."""
    offset = len(parts) - len(found)
    numbers = {module.name: offset + i for i, module in enumerate(found)}
    for part in parts:
        if part.kind != MODULE and numbers:
            more = _numbers(modules.imports_in(_nodes(part.kind, part.source)), numbers)
            yield part._replace(uses=(*part.uses, *more)) if more else part
        else:
            yield part


# -- as it is now -----------------------------------------------------------------------------


def at_start(code: Code, paths: Sequence[str]) -> Code:
    """Give the code as it is when a job starts: with the modules as they are now.

    What changed since the submission is noted. Statements of cells stay what they were.
    """
    if not (code.fingerprint or code.imports or code.changed):
        return code  # what is not known of it is no matter of modules
    cells = [part for part in code.parts if part.kind != MODULE]
    before = [part for part in code.parts if part.kind == MODULE]
    # Another kernel may have submitted it, whose imports had finders that this one has not.
    off = {part.name: part.where for part in before if not _is_below(part.where, paths)}
    try:
        reached = modules.reach(_imports_again(code, cells), paths, off)
    except (Unreadable, RecursionError) as error:
        return code._replace(fingerprint="", unknown=str(error), changed=str(error))
    if code.fingerprint and _are(before, reached.modules):
        same = dict(code.packages) == reached.packages
        return code if same else code._replace(packages=reached.packages)
    kept = [part._replace(uses=tuple(n for n in part.uses if n < len(cells))) for part in cells]
    parts = [*kept, *_module_parts(reached.modules, len(cells))]
    parts = _documented(parts, reached.modules)
    then = {part.name: part.digest for part in before}
    now = {part.name: part.digest for part in parts if part.kind == MODULE}
    differ = sorted(n for n in then.keys() | now.keys() if then.get(n) != now.get(n))
    return code._replace(
        fingerprint=combined(parts, code.futures),
        unknown="",
        parts=tuple(_linked(parts, reached.modules)),
        packages=reached.packages,
        changed=", ".join(differ),
    )


def _is_below(file: str, paths: Iterable[str]) -> bool:
    return any(file.startswith(os.path.join(path, "")) for path in paths)


def _are(parts: Sequence[CodePart], found: Sequence[Module]) -> bool:
    """Tell whether parts are these modules, from the same files, which say the same."""
    return len(parts) == len(found) and all(
        (part.name, part.where, tuple(part.stamp)) == (module.name, module.path, module.stamp)
        and part.digest in (module.digest, module.documented)
        for part, module in zip(parts, found, strict=True)
    )


def _imports_again(code: Code, cells: Iterable[CodePart]) -> list[Import]:
    """Give the imports that count, of older records as far as cells and classes tell."""
    if code.imports:
        rows = [text.split() for text in code.imports]
        return [Import(module, tuple(names)) for module, *names in filter(None, rows)]
    nodes = [node for part in cells for node in _nodes(part.kind, part.source)]
    names = (root.lstrip("-").partition(":")[0] for root in code.roots)
    return [*modules.imports_in(nodes), *(Import(name) for name in names if name != "__main__")]


class _Known(NamedTuple):
    """A fingerprint, and what it was made from."""

    wanted: Wanted
    cells: _Cells
    reached: tuple[Reached, ...]
    code: Code

    def holds(self, paths: Sequence[str]) -> bool:
        """Tell whether modules are what they were."""
        if not self.reached or self.wanted.paths != paths:
            return False
        try:
            now = modules.reach(self.cells.imports, paths)
        except (Unreadable, RecursionError):
            return False
        return self.reached == (now, _aside(self.cells.imports_aside, paths))


class Prints:
    """Fingerprints of tasks, each made once as long as nothing that counts has changed."""

    def __init__(self) -> None:
        self._known: dict[Any, _Known] = {}

    def of(self, wanted: Wanted, left_out: Mapping[str, str]) -> Code:
        """Give the code of a task, with its fingerprint."""
        # What is kept with a number keeps it from being that of another object.
        key = wanted.own, wanted.needed, id(wanted.carried)
        known = self._known.get(key)
        if known is None or not known.holds(wanted.paths):
            cells = _Cells(wanted) if known is None else known.cells
            code, reached = _made(wanted, cells, left_out)
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = _Known(wanted, cells, reached, code)
        code = known.code
        return code if code.left_out == left_out else code._replace(left_out=left_out)
