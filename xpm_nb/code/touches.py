"""Statements that change a thing after its definition: ``A.w = …``, ``REG.append(f)``.

A notebook may do so in any cell. A job executes the definition again, and these statements only if
they are carried too. `touches` finds them in the text; `filled` computes what they make of a plain
container, to be compared with the live one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from xpm_nb.code.bytecode import parse
from xpm_nb.code.values import NotPlain, evaluate

#: Attributes of classes and functions that no job reads.
SPOKEN = frozenset({"__doc__", "__stale__", "__carrier__", "__module__", "__annotations__"})

# Methods of Python's own containers that change them.
_CHANGING = frozenset(
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
    return method in _CHANGING or method in _OTHERS or inplace or method.startswith("set_")


def is_filling(touch: Touch) -> bool:
    """Tell whether a change is one of what a container holds."""
    return touch.call in _CHANGING if touch.call else touch.path[-1:] == ("[]",)


def filled(container: Any, statements: Iterable[ast.stmt], space: Mapping[str, Any]) -> Any:
    """Do to a container what statements have done to another, and give it.

    Raises
    ------
    NotPlain
        For a statement that does more than to put plain things in, or to take them out.
    """
    for node in statements:
        try:
            match node:
                case ast.Assign(targets=[ast.Subscript() as target], value=value):
                    container[evaluate(target.slice, space)] = evaluate(value, space)
                case ast.Delete(targets=[ast.Subscript() as target]):
                    del container[evaluate(target.slice, space)]
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr=method)) as call):
                    if method not in _CHANGING or type(container).__module__ not in _PLAIN:
                        raise NotPlain(call)
                    given = [evaluate(argument, space) for argument in call.args]
                    named = {str(k.arg): evaluate(k.value, space) for k in call.keywords if k.arg}
                    if len(named) < len(call.keywords) or "key" in named:
                        raise NotPlain(call)
                    getattr(container, method)(*given, **named)
                case _:
                    raise NotPlain(node)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise NotPlain(node) from error
    return container


_PLAIN = ("builtins", "collections")
