"""Whether a statement is what gives a global name its present value, and if not, why.

Rule: what is accepted here is executed again in a job, so it has to be a definition (an import, a
function, a class, a plain value) and to give what the name means in the kernel now.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from xpm_nb.code import differing, numbers
from xpm_nb.code.cells import Statement, functions_in
from xpm_nb.code.differing import shortly
from xpm_nb.code.drift import Refused
from xpm_nb.code.equal import same_value
from xpm_nb.code.imports import import_gives
from xpm_nb.code.instances import compute
from xpm_nb.code.origin import Origins
from xpm_nb.code.shapes import is_open
from xpm_nb.code.values import NotPlain, evaluate, is_data
from xpm_nb.core import masks

#: Statements that define a function or a class.
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

#: Characters of a value beyond which it is data, which a script for people is no place for.
LARGE = 50_000

_TypeAlias: Any = getattr(ast, "TypeAlias", ())  # Python 3.12 and later
_MAKE_PARAM = "A job starts in a process of its own: make `{name}` a Param of {root}, or "
# Narrow on purpose: language models are full of innocent tokens.
_SECRET = re.compile(
    r"passw(or)?d|passphrase|(api|secret|private|access|auth)_?(key|token)|client_?secret", re.I
)


@dataclass(frozen=True)
class Meaning:
    """What a global name stands for now.

    Attributes
    ----------
    name : str
        The name.
    value : Any
        The live object.
    space : Mapping[str, Any]
        The globals that it is a name in.
    """

    name: str
    value: Any
    space: Mapping[str, Any]


def refusal(meaning: Meaning, statement: Statement, origins: Origins) -> Refused | None:
    """Say why a statement cannot be what gave a name its meaning; None if it can."""
    return _refusal(meaning, statement.node, statement, origins)


def _refusal(
    meaning: Meaning, node: ast.stmt, statement: Statement, origins: Origins
) -> Refused | None:
    """Judge a statement, or one inside an ``if`` or ``try`` of a statement."""
    place = statement.cell.place(node.lineno)
    if isinstance(node, ast.Import | ast.ImportFrom):
        fits = import_gives(node, meaning.name, meaning.value, meaning.space)
        return None if fits else _moved(place)
    if isinstance(node, DEFINITIONS):
        return _definition_refusal(meaning, node, statement, origins)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return _assignment_refusal(meaning, node, statement, origins)
    if _TypeAlias and isinstance(node, _TypeAlias):
        fits = getattr(meaning.value, "__name__", "") == meaning.name
        return None if fits else _moved(place)
    if isinstance(node, ast.If | ast.Try):
        return _branch_refusal(meaning, node, statement, origins)
    return _computed(place, node)


def _definition_refusal(
    meaning: Meaning,
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    statement: Statement,
    origins: Origins,
) -> Refused | None:
    """Look for the definition behind a value; only a decorator may have wrapped it."""
    place, value = statement.cell.place(node.lineno), meaning.value
    if isinstance(value, type):
        made = origins.of_class(value)
        return None if made is not None and made.key == statement.key else _moved(place)
    if not node.decorator_list:
        fits = isinstance(value, FunctionType) and statement.holds(value.__code__)
        return None if fits else _moved(place)
    codes = [f.__code__ for f in functions_in(value)]
    if any(code.co_qualname == meaning.name and statement.holds(code) for code in codes):
        return None
    return Refused(
        f"which {place} defines, but a decorator has put something else in its place",
        "Use a decorator that keeps the function (functools.wraps), or none",
    )


def _assignment_refusal(
    meaning: Meaning, node: ast.Assign | ast.AnnAssign, statement: Statement, origins: Origins
) -> Refused | None:
    """Compute a plain value once more, and compare."""
    place = statement.cell.place(node.lineno)
    if node.value is None:
        return _computed(place, node)
    if (size := _size(node.value, statement.cell.text)) > LARGE:
        return Refused(
            f"which {place} writes out in {size:,} characters",
            f"{_MAKE_PARAM}move it into a function, which may read it from a file",
        )
    try:
        if numbers.is_large(meaning.value):
            return _computed(place, node)
        made = compute(node.value, meaning.space, origins)
    except NotPlain:
        return _computed(place, node)
    if _is_secret(meaning):
        return Refused(
            "which looks like a secret, and would be written into the job's directory",
            "Read it from the environment inside the function that needs it",
        )
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = [p for t in targets for name, p in _unpacked(t, made) if name == meaning.name]
    if any(same_value(part, meaning.value, origins.alike) for part in parts):
        return None
    found = differing.place(parts[-1], meaning.value, origins.alike) if parts else None
    filled = found is not None and found.added
    written = shortly(ast.unparse(node.value))
    return Refused(
        f"which {place} sets to {written}, but {_difference(meaning, found, written)}",
        f"{_MAKE_PARAM}run {place.partition(',')[0]} again"
        + (", and then the cells that fill it" if filled else ""),
    )


def _difference(meaning: Meaning, place: differing.Place | None, written: str) -> str:
    """Say in what a value is not what its statement makes it."""
    live = meaning.value
    if place is not None and place.path and not differing.is_small(live):
        return place.told(meaning.name)
    text = f"is {_now(live, meaning.space)} now"
    if place is not None and differing.is_small(live) and differing.is_small(place.whole):
        anew = differing.shown(place.whole)
        text += (
            ""
            if anew in (written, differing.shown(live))
            else f", and would be {anew} if it were made again"
        )
    return text


def _is_secret(meaning: Meaning) -> bool:
    value = meaning.value
    if not isinstance(value, str) or len(value) <= 7:
        return False
    return _SECRET.search(meaning.name) is not None or masks.holds_secret(value)


def unfit(meaning: Meaning, statements: Iterable[Statement]) -> bool:
    """Tell whether statements are data, or say a secret, which a script is no place for."""
    return _is_secret(meaning) or any(
        _size(value, statement.cell.text) > LARGE
        for statement in statements
        if isinstance(value := getattr(statement.node, "value", None), ast.expr)
    )


def changed_by(meaning: Meaning, statement: Statement) -> Refused:
    """Say that a statement changes a value while it runs, in a way that is not plain."""
    return Refused(
        f"which {statement.place} changes while it runs: {shortly(ast.unparse(statement.node))}",
        f"{_MAKE_PARAM}move what makes it into a function",
    )


def made_of_itself(meaning: Meaning, statement: Statement) -> Refused | None:
    """Say why a plain statement has not made a value of what its name stood for before."""
    node = statement.node
    try:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            return None
        evaluate(node.value, meaning.space)
    except NotPlain:
        return None
    place = statement.cell.place(statement.node.lineno)
    return Refused(
        f"which {place} makes of what it was before: {shortly(ast.unparse(statement.node))}",
        f"{_MAKE_PARAM}write one statement that makes it, or a function",
    )


def _size(node: ast.expr, text: str) -> int:
    """Tell how many characters an expression takes, without looking for them if it is short."""
    first, last = node.lineno, node.end_lineno or node.lineno
    if first == last:
        return (node.end_col_offset or 0) - node.col_offset
    return sum(map(len, text.split("\n")[first - 1 : last]))


def _unpacked(target: ast.expr, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the names of a target with what each gets when a value is assigned to it."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, tuple | list | str):
        parts, names = list(value), target.elts
        starred = [i for i, element in enumerate(names) if isinstance(element, ast.Starred)]
        if starred:  # which takes what the others leave
            first, end = starred[0], len(parts) - (len(names) - 1 - starred[0])
            parts = [*parts[:first], parts[first:end], *parts[end:]]
        for element, part in zip(names, parts, strict=False):
            yield from _unpacked(element, part)
    elif isinstance(target, ast.Starred):
        yield from _unpacked(target.value, value)


def _branch_refusal(
    meaning: Meaning, node: ast.If | ast.Try, statement: Statement, origins: Origins
) -> Refused | None:
    """Look into ``if`` and ``try``: all inside must be definitions, one must fit."""
    place = statement.cell.place(node.lineno)
    if isinstance(node, ast.If) and not _is_plain(node.test, meaning):
        return _computed(place, node)
    fits = False
    for inner in _inside(node):
        if isinstance(inner, ast.Assign | ast.AnnAssign):
            allowed = inner.value is None or _is_plain(inner.value, meaning)
        elif isinstance(inner, ast.Expr):
            allowed = isinstance(inner.value, ast.Constant)
        else:
            allowed = isinstance(
                inner, (*DEFINITIONS, ast.Import, ast.ImportFrom, ast.Pass, ast.Raise, ast.Try)
            ) or (isinstance(inner, ast.If) and _is_plain(inner.test, meaning))
        if not allowed:
            return _computed(statement.cell.place(inner.lineno), inner)
        if not isinstance(inner, ast.If | ast.Try | ast.Pass | ast.Raise | ast.Expr):
            fits = fits or _refusal(meaning, inner, statement, origins) is None
    return None if fits else _moved(place)


def _inside(node: ast.If | ast.Try) -> Iterator[ast.stmt]:
    """Give the statements inside, also those of an ``if`` or ``try`` in turn."""
    parts = [*node.body, *node.orelse]
    if isinstance(node, ast.Try):
        parts += [part for handler in node.handlers for part in handler.body]
        parts += node.finalbody
    for part in parts:
        yield part
        if isinstance(part, ast.If | ast.Try):
            yield from _inside(part)


def _is_plain(node: ast.expr, meaning: Meaning) -> bool:
    try:
        evaluate(node, meaning.space)
    except NotPlain:
        return False
    return True


def _moved(place: str) -> Refused:
    return Refused(
        f"which is not, or no longer, what {place} makes it",
        f"{_MAKE_PARAM}run {place.partition(',')[0]} again",
    )


def _computed(place: str, node: ast.stmt) -> Refused:
    return Refused(
        f"which {place} computes while it runs: {shortly(ast.unparse(node))}",
        f"{_MAKE_PARAM}move the computation into a function",
    )


def unbound(value: Any, *, imported: bool) -> Refused:
    """Say why a value that no statement of a cell gives cannot be carried.

    Parameters
    ----------
    value
        The live object.
    imported
        Whether there is an import of its name.
    """
    if imported:
        return Refused(
            "which is no longer what its import brings",
            "Run the import again, or give the name `{name}` to nothing else",
        )
    if isinstance(value, FunctionType):
        return Refused(
            "a function whose source is in no cell (made by exec() or a tool of its own?)",
            "Write it as a def statement in a cell",
        )
    return Refused(
        "whose value comes from no statement of a cell (exec(), a magic?)",
        f"{_MAKE_PARAM}write it as a statement in a cell",
    )


def _now(value: Any, space: Mapping[str, Any]) -> str:
    """Describe a live value without running code of its own."""
    kind = type(value)
    if differing.is_small(value):
        return differing.shown(value)
    if numbers.is_generator(value):
        return "in another state"
    data = is_data(value) or is_open(value)
    former = data and space.get(kind.__name__, kind) is not kind
    return f"of {'an earlier' if former else 'type'} {kind.__qualname__}"
