"""Statements that change a thing after its definition: ``A.w = …``, ``REG.append(f)``.

A notebook may do so in any cell. A job executes the definition again, and these statements only if
they are carried too. `touches` finds them in the text, `inner_touches` what functions change when
they are called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from xpm_nb.code.bytecode import parse
from xpm_nb.code.named import bound_in

#: Attributes of classes and functions that no job reads.
SPOKEN = frozenset({"__doc__", "__stale__", "__carrier__", "__module__", "__annotations__"})

#: Methods of Python's own containers that change them.
CHANGING = frozenset(
    str.split(
        "append add extend update insert setdefault remove discard pop popitem clear sort reverse"
        " appendleft extendleft"
    )
)
# Methods of other things that change them, as far as names tell.
_OTHERS = frozenset(
    str.split("register fill put resize itemset load_state_dict train eval fit partial_fit seed")
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Touch(NamedTuple):
    """One change of something that a global name leads to.

    Attributes
    ----------
    name : str
        The global name.
    path : tuple[str, ...]
        The attributes that lead from it to what is changed; ``[]`` stands for items.
    call : str
        The method that is called, "" for an assignment or a ``del``.
    """

    name: str
    path: tuple[str, ...]
    call: str = ""

    @property
    def what(self) -> str:
        """What is changed, as people write it."""
        return ".".join([self.name, *self.path]).replace(".[]", "[…]")


@lru_cache(maxsize=2048)
def touches(text: str) -> tuple[tuple[Touch, ...], ...]:
    """Give what each top-level statement of a text changes while it is executed."""
    return tuple(tuple(dict.fromkeys(_found(node))) for node in parse(text))


def _found(node: ast.AST) -> Iterator[Touch]:
    if isinstance(node, _SCOPES):
        return
    if isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node.ctx, ast.Store | ast.Del) and (path := _path(node)):
            yield Touch(path[0], path[1:])
    elif isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("setattr", "delattr") and node.args:
            name = node.args[1] if len(node.args) > 1 else None
            attribute = str(name.value) if isinstance(name, ast.Constant) else "?"
            if path := _path(node.args[0]):
                yield Touch(path[0], (*path[1:], attribute))
        elif (
            isinstance(function, ast.Attribute)
            and is_changing(function.attr)
            and (path := _path(function.value))
        ):
            yield Touch(path[0], path[1:], function.attr)
    for child in ast.iter_child_nodes(node):
        yield from _found(child)


class Inner(NamedTuple):
    """One change that a function makes when it is called.

    Attributes
    ----------
    path : tuple[str, ...]
        As that of a `Touch`, with the name that it begins with. A class that is asked for
        (``type(self)``, ``self.__class__``) is called ``cls``.
    local : bool
        Whether the name is one of the function's own.
    sets : bool
        Whether something is set, or deleted; else what is there is changed.
    """

    path: tuple[str, ...]
    local: bool
    sets: bool


@lru_cache(maxsize=2048)
def inner_touches(text: str) -> tuple[frozenset[Inner], ...]:
    """Give what the functions of each top-level statement of a text change when they are called."""
    return tuple(frozenset(_inside(node, None)) for node in parse(text))


def _inside(node: ast.AST, local: frozenset[str] | None) -> Iterator[Inner]:
    """Walk through a statement; `local` are the names of the functions around, None outside."""
    if isinstance(node, _SCOPES):
        local = (local or frozenset()) | bound_in(node)
    if local is not None:
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield from _inner(node, local, sets=True)
            case ast.Subscript(ctx=ast.Store() | ast.Del(), value=owner):
                yield from _inner(owner, local, sets=False)
            case ast.Call(func=ast.Attribute(value=owner, attr=method)) if is_changing(method):
                yield from _inner(owner, local, sets=False)
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, name, *_]):
                attribute = str(name.value) if isinstance(name, ast.Constant) else "?"
                yield from _inner(ast.Attribute(owner, attribute), local, sets=True)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if name not in local:
                yield Inner((name,), local=False, sets=True)
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, local)


def _inner(node: ast.AST, local: frozenset[str], *, sets: bool) -> Iterator[Inner]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Attribute) and node.attr == "__class__":
            break
        parts.append(node.attr if isinstance(node, ast.Attribute) else "[]")
        node = node.value
    match node:
        case ast.Name(id=name):
            yield Inner((name, *reversed(parts)), name in local, sets)
        case ast.Attribute() | ast.Call(func=ast.Name(id="type"), args=[_]):
            yield Inner(("cls", *reversed(parts)), True, sets)


def _path(node: ast.AST) -> tuple[str, ...]:
    """Give the global name and the attributes of ``A.b[0].c``, nothing for other expressions."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        parts.append(node.attr if isinstance(node, ast.Attribute) else "[]")
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def is_changing(method: str) -> bool:
    """Tell whether a method changes what it is one of, as far as its name tells."""
    inplace = method.endswith("_") and not method.startswith("_")  # as torch names them
    return method in CHANGING or method in _OTHERS or inplace or method.startswith("set_")


def is_filling(touch: Touch) -> bool:
    """Tell whether a change is one of what a container holds."""
    return touch.call in CHANGING if touch.call else touch.path[-1:] == ("[]",)
