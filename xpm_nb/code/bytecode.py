"""What Python itself makes of a statement: its code objects, and the global names it reads.

Names are taken from compiled code rather than from the text: scoping is then Python's own, and an
attribute ``x.model`` is no use of ``model``.
"""

from __future__ import annotations
import __future__

import ast
import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any

from xpm_nb.code.named import Named, named

# CO_OPTIMIZED: set for functions, whose body runs later, not for class bodies and modules.
_FUNCTION = 0x0001
_AT_ONCE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<generic parameters of")
_PARAMETER = frozenset({"Param", "Meta", "Constant", "DataPath", "SubParam"})
_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")
_STORES = ("STORE_NAME", "STORE_GLOBAL")

#: Flags of code objects compiled under a ``from __future__`` line, by the feature's name. The older
#: features share their bits with other flags; these start beyond them.
FUTURES: Mapping[str, int] = {
    name: getattr(__future__, name).compiler_flag
    for name in __future__.all_feature_names
    if getattr(__future__, name).compiler_flag > 0xFFFF
}
_FUTURE_MASK = sum(set(FUTURES.values()))


def future_flags(code: CodeType) -> int:
    """Give the ``__future__`` flags under which a code object was compiled."""
    return code.co_flags & _FUTURE_MASK


@lru_cache(maxsize=2048)
def parse(text: str) -> tuple[ast.stmt, ...]:
    """Give the top-level statements of a text, none if it is not Python."""
    try:
        return tuple(ast.parse(text).body)
    except (SyntaxError, ValueError):  # ValueError: null bytes
        return ()


@lru_cache(maxsize=4096)
def compiled(text: str, index: int | None, flags: int) -> CodeType | None:
    """Compile one top-level statement of a text, at the lines where it stands; or all (None).

    The two differ: methods of a module are called in another way where its import is in sight.
    """
    body = parse(text) if index is None else [parse(text)[index]]
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as a notebook does
    try:
        module = ast.Module(list(body), type_ignores=[])
        code: CodeType = compile(module, "<cell>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return code


def nested(code: CodeType) -> Iterator[CodeType]:
    """Walk a code object and all that are inside, outermost first."""
    stack = [code]
    while stack:
        code = stack.pop()
        yield code
        stack.extend(reversed([c for c in code.co_consts if isinstance(c, CodeType)]))


def is_class_body(code: CodeType) -> bool:
    """Tell the body of a class (or a module) from that of a function."""
    return not code.co_flags & _FUNCTION


def same_code(a: CodeType, b: CodeType, *, futures: bool = True) -> bool:
    """Tell whether two code objects do the same, whatever file they were compiled from.

    Parameters
    ----------
    a, b
        The code objects.
    futures
        Whether they have to be compiled under the same features of ``__future__``, too.
    """
    ignored = 0 if futures else _FUTURE_MASK
    return a is b or (
        a.co_code == b.co_code
        and a.co_name == b.co_name
        and a.co_flags | ignored == b.co_flags | ignored
        and a.co_names == b.co_names
        and a.co_varnames == b.co_varnames
        and a.co_freevars == b.co_freevars
        and a.co_cellvars == b.co_cellvars
        and (a.co_argcount, a.co_posonlyargcount, a.co_kwonlyargcount)
        == (b.co_argcount, b.co_posonlyargcount, b.co_kwonlyargcount)
        and _same_constant(a.co_consts, b.co_consts, futures)
    )


def _same_constant(a: Any, b: Any, futures: bool) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, CodeType):
        return same_code(a, b, futures=futures)
    if isinstance(a, tuple):
        pairs = zip(a, b, strict=False)
        return len(a) == len(b) and all(_same_constant(x, y, futures) for x, y in pairs)
    if isinstance(a, frozenset):
        return {(type(x), x) for x in a} == {(type(x), x) for x in b}
    return repr(a) == repr(b)  # tells 0.0 from -0.0, and NaN equals itself


@dataclass(frozen=True, slots=True)
class Reads:
    """The global names a statement reads, each with the line of its first use.

    Attributes
    ----------
    now
        Read when the statement itself is executed: bases, decorators, defaults, class bodies.
    later
        Read by the functions it makes.
    hints
        Named in annotations that are text, and read by whoever resolves them.
    sure
        Those among the hints that are code for certain, not perhaps just text: of annotations that
        ``from __future__`` made text, and of those of a class's parameters.
    attributes
        The attributes that its code reads, of whatever.
    computed
        Where it looks up names by a text that it computes.
    """

    now: dict[str, int] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    computed: list[Named] = field(default_factory=list)


@lru_cache(maxsize=4096)
def reads(text: str, index: int, flags: int) -> Reads:
    """Find the global names that one top-level statement of a text reads."""
    found = Reads()
    code = compiled(text, index, flags)
    if code is not None:
        _scan(code, found, at_once=True)
    node = parse(text)[index]
    postponed = bool(flags & FUTURES["annotations"])
    for name, line in _text_names(node, postponed):
        found.hints.setdefault(name, line)
    found.sure.update(_sure_names(node, postponed))
    for one in named(node):
        if one.name:
            found.later.setdefault(one.name, one.line)
        else:
            found.computed.append(one)
    return found


def _scan(code: CodeType, found: Reads, *, at_once: bool) -> None:
    bound: set[str] = set()  # in a class body or module, a name stored earlier is not a global
    names = found.now if at_once else found.later
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if instruction.positions is not None and instruction.positions.lineno is not None:
            line = instruction.positions.lineno
        if instruction.opname in _ATTRIBUTES:
            found.attributes.add(instruction.argval)
        if instruction.opname in _LOADS and instruction.argval not in bound:
            names.setdefault(instruction.argval, line)
        elif instruction.opname in _STORES and is_class_body(code):
            bound.add(instruction.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            soon = is_class_body(inner) or inner.co_name.startswith(_AT_ONCE)
            _scan(inner, found, at_once=at_once and soon)


def _text_names(node: ast.stmt, postponed: bool) -> Iterator[tuple[str, int]]:
    """Give the names inside annotations that Python keeps as text, with their lines.

    Parameters
    ----------
    node
        A statement.
    postponed
        Whether all its annotations are kept as text (``from __future__ import annotations``).
    """
    for annotation in _annotations(node):
        yield from _names_in_strings(annotation, annotation.lineno)
        if postponed:
            yield from (
                (name.id, name.lineno)
                for name in ast.walk(annotation)
                if isinstance(name, ast.Name)
            )


def _sure_names(node: ast.stmt, postponed: bool) -> Iterator[str]:
    """Give the names without which annotations cannot be understood."""
    if postponed:  # they are code, and were executed at once without the import
        for annotation in _annotations(node):
            yield from _names(annotation)
    for inner in ast.walk(node):
        if not isinstance(inner, ast.ClassDef):
            continue
        for part in inner.body:
            if not isinstance(part, ast.AnnAssign):
                continue
            annotation = part.annotation
            # Text that Python keeps twice, ``a: "Param[int]"`` under the future import, too.
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                unquoted = _parsed(annotation.value)
                if unquoted is None or not _PARAMETER.intersection(_names(unquoted)):
                    continue
                yield from _names(unquoted)


def _names(node: ast.AST) -> Iterator[str]:
    """Give the names in code, with the attributes that may be ``xpm_nb.Param``."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute) and inner.attr in _PARAMETER:
            yield inner.attr


def _parsed(text: str) -> ast.expr | None:
    """Read text as an expression; None if it is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    """Give the annotations of a statement, and the other places where a type may be text."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
        yield from (a.annotation for a in every if a.annotation is not None)
        if node.returns is not None:
            yield node.returns
        return  # annotations of variables inside a function are never read
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.AnnAssign):
        yield node.annotation
    elif isinstance(node, ast.Subscript):
        yield node  # Alias = list["Model"], class A(Base["T"])
        return
    elif isinstance(node, ast.keyword) and node.arg == "bound":
        yield node.value  # TypeVar("T", bound="Model")
    for child in ast.iter_child_nodes(node):
        yield from _annotations(child)


def _names_in_strings(node: ast.AST, line: int) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        inner = _parsed(node.value)
        if inner is None:
            return
        yield from ((name.id, line) for name in ast.walk(inner) if isinstance(name, ast.Name))
        yield from _names_in_strings(inner, line)
        return
    if isinstance(node, ast.Subscript) and _last_name(node.value) == "Literal":
        return
    for child in ast.iter_child_nodes(node):
        yield from _names_in_strings(child, line)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
