"""Statements of cells as a module: imports first, and type names that stay what they were.

A class of a cell is named by its experiment. In a module it would be named by that: so each gets an
``__xpmid__`` of its own, and identifiers, and all that was computed, stay.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from xpm_nb.code.cells import Cell, Statement, classes_in, names_bound
from xpm_nb.errors import ExportError

#: What tells ruff and isort that the imports before and after are not to be sorted as one.
SPLIT = "# isort: split"


def module_text(
    code: str,
    doc: str,
    futures: tuple[str, ...],
    names: Mapping[str, str],
    apart: Sequence[Collection[str]] = (),
    checked: Sequence[str] = (),
) -> str:
    """Write a module.

    Parameters
    ----------
    code
        Its statements, as a job has them.
    doc
        Its docstring, one line.
    futures
        Features of ``__future__``.
    names
        The ``__xpmid__`` of classes, by their qualified names.
    apart
        Modules whose imports come after all others, those of one directory together: whether they
        are of the project, formatters see differently from different directories.
    checked
        Imports for type checkers only: see `checked_imports`.

    Raises
    ------
    ExportError
        If the code has not one of these classes, and exactly one.
    """
    imports: list[str] = [f"from __future__ import {', '.join(futures)}\n"] if futures else []
    own: list[list[str]] = [[] for _ in apart]
    body: list[str] = []
    left = dict(names)
    statements = Cell(0, "", code).statements()
    for statement in statements:
        if isinstance(statement.node, ast.Import | ast.ImportFrom):
            alone = _is_alone(statement, statements)
            if alone:
                for part, source in _parted(statement.node, statement.source):
                    tops = _tops(part)
                    at = (own[i] for i, some in enumerate(apart) if tops & set(some))
                    next(at, imports).append(source)
            else:
                body.append(statement.source)
        else:
            body.append(with_names(statement.source, left))
    if left:
        raise ExportError(f"{', '.join(sorted(left))}: there is no class statement to export")
    if checked:
        imports.append("from typing import TYPE_CHECKING\n")
        body.insert(0, "if TYPE_CHECKING:\n" + "".join(f"    {line}\n" for line in checked))
    blocks = ["".join(lines) for lines in (imports, *own) if lines]
    parts = [f'"""{doc}"""\n', f"\n{SPLIT}\n".join(blocks)]
    return "\n".join(part for part in parts if part) + "\n\n" + "\n\n".join(body)


def checked_imports(code: str, cells: Iterable[Cell]) -> list[str]:
    """Give the imports under ``if TYPE_CHECKING:`` that annotations of a code need.

    No job needs them, and so no code of a job has them; type checkers and ruff do.

    Parameters
    ----------
    code
        Statements, as a job has them.
    cells
        All that were executed, in order.
    """
    bound = {name for node in ast.parse(code).body for name in names_bound(node)}
    needed = _annotation_names(code) - bound
    found: dict[str, str] = {}
    for cell in cells if needed else ():
        for statement in cell.statements():
            for node in _checked(statement.node):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    if name in needed:
                        found[name] = ast.unparse(_only(node, alias))
    return sorted(set(found.values()))


def _annotation_names(code: str) -> set[str]:
    """Give the names in annotations, also in those that are texts."""
    pending: list[ast.AST] = []
    for node in ast.walk(ast.parse(code)):
        some = (getattr(node, part, None) for part in ("annotation", "returns"))
        pending += [part for part in some if isinstance(part, ast.expr)]
    names = set[str]()
    while pending:
        for node in ast.walk(pending.pop()):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                with suppress(SyntaxError, ValueError):
                    pending.append(ast.parse(node.value, mode="eval"))
    return names


def _checked(node: ast.stmt) -> Iterator[ast.Import | ast.ImportFrom]:
    """Give the imports of an ``if TYPE_CHECKING:``."""
    match node:
        case ast.If(
            test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), body=body
        ):
            yield from (part for part in body if isinstance(part, ast.Import | ast.ImportFrom))


def _only(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.Import | ast.ImportFrom:
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)


def _parted(
    node: ast.Import | ast.ImportFrom, source: str
) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Take apart an import of several modules, which may belong to different places."""
    if isinstance(node, ast.ImportFrom) or len(node.names) == 1:
        yield node, source
        return
    for alias in node.names:
        one = ast.Import([alias])
        yield one, f"{ast.unparse(one)}\n"


def _tops(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Give the first parts of the names of the modules that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names}


def _is_alone(statement: Statement, statements: list[Statement]) -> bool:
    """Tell whether nothing else binds the names of an import, which then may come first."""
    return not any(other.binds & statement.binds for other in statements if other != statement)


def with_names(source: str, names: dict[str, str]) -> str:
    """Write ``__xpmid__`` into the classes of a statement; take those out of `names`."""
    lines = source.split("\n")
    (statement,) = ast.parse(source).body
    for qualname, node in reversed(list(classes_in(statement))):
        name = names.pop(qualname, None)
        if name is not None:
            _insert(lines, node, f'__xpmid__ = "{name}"')
    return "\n".join(lines)


def _insert(lines: list[str], node: ast.ClassDef, line: str) -> None:
    """Put a line at the beginning of the body of a class, after its docstring."""
    first = node.body[0]
    described = ast.get_docstring(node, clean=False) is not None
    header = lines[node.lineno - 1]
    indent = header[: len(header) - len(header.lstrip())] + "    "
    if _begins_on_the_header(lines, first):
        text = lines[first.lineno - 1].encode()
        before, after = (
            text[: first.col_offset].decode().rstrip(),
            text[first.col_offset :].decode(),
        )
        rest = [] if _is_pass(node) else [indent + after]
        new = [*rest, "", indent + line] if described else [indent + line, *rest]
        lines[first.lineno - 1 : first.lineno] = [before, *new]
        return
    opening = lines[first.lineno - 1]
    indent = opening[: len(opening) - len(opening.lstrip())]
    if described:
        after_doc = first.end_lineno or first.lineno
        lines[after_doc:after_doc] = ["", indent + line]
        return
    decorators: list[ast.expr] = getattr(first, "decorator_list", [])
    top = min([first.lineno, *(d.lineno for d in decorators)])
    if _is_pass(node):
        lines[top - 1] = indent + line
        return
    while lines[top - 2].lstrip().startswith("#") or not lines[top - 2].strip():
        top -= 1
    lines[top - 1 : top - 1] = [indent + line, ""]


def _begins_on_the_header(lines: list[str], first: ast.stmt) -> bool:
    before = lines[first.lineno - 1].encode()[: first.col_offset].decode()
    return bool(before.strip()) and not before.strip().startswith("@")


def _is_pass(node: ast.ClassDef) -> bool:
    return len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
