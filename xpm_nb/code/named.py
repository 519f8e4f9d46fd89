"""Global names that code looks up by a text: ``globals()["X"]``, ``eval("X + 1")``.

Where the text is written out, the name is used like any other. Where it is computed, only the run
can tell which names are meant: a job has those that its code names, and no others of the kernel.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

_READING = frozenset({"get", "pop", "setdefault", "__getitem__", "__contains__"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOADERS = frozenset({"import_module", "__import__"})


class Named(NamedTuple):
    """A name that is looked up by a text.

    Attributes
    ----------
    name : str
        The name, "" if its text is computed.
    line : int
        Where.
    code : str
        How it is looked up.
    """

    name: str
    line: int
    code: str


def named(node: ast.AST) -> Iterator[Named]:
    """Give the global names that a statement looks up by a text, inside functions too."""
    mains = {
        alias.asname or alias.name
        for part in ast.walk(node)
        if isinstance(part, ast.Import)
        for alias in part.names
        if alias.name == "__main__"
    }
    yield from _Search(frozenset({"__main__", *mains})).of(node, frozenset())


class _Search:
    """Walks through a statement, with the names of the module ``__main__`` in it."""

    def __init__(self, mains: frozenset[str]) -> None:
        self._mains = mains

    def of(self, node: ast.AST, local: frozenset[str]) -> Iterator[Named]:
        if isinstance(node, _FUNCTIONS):
            local |= bound_in(node)
        rest: list[ast.AST] = list(ast.iter_child_nodes(node))
        names: list[str] = []
        match node:
            case ast.Subscript(value=space, slice=key) if self._is_globals(space):
                names, rest = _literal(key), [key]
            case ast.Call(func=ast.Attribute(value=space, attr=attr), args=[key, *others]) if (
                attr in _READING and self._is_globals(space)
            ):
                names, rest = _literal(key), [key, *others]
            case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[space]) if (
                self._is_globals(space)
            ):
                names, rest = _literal(key), [key]
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[main, key, *others]) if (
                self._is_main(main)
            ):
                names, rest = _literal(key), [key, *others]
            case ast.Attribute(value=main, attr=attr) if self._is_main(
                main
            ) and not self._is_globals(node):
                names, rest = [attr], []
            case ast.Call(func=ast.Name(id="eval" | "exec" as function), args=[text, *spaces]) if (
                function not in local
            ):
                if spaces and not self._is_globals(spaces[0]):
                    yield from self._all(rest, local)
                    return  # it has names of its own
                names, rest = [n for n in _names_in(text) if n not in local], []
                if not names and isinstance(text, ast.Constant):
                    return
            case _:
                if not (self._is_globals(node) or self._is_main(node)):
                    yield from self._all(rest, local)
                    return
                names, rest = [""], []
        code = " ".join(ast.unparse(node).split())
        for name in names:
            yield Named(name, getattr(node, "lineno", 1), code)
        yield from self._all(rest, local)

    def _all(self, nodes: list[ast.AST], local: frozenset[str]) -> Iterator[Named]:
        for node in nodes:
            yield from self.of(node, local)

    def _is_globals(self, node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Name(id="globals"), args=[]):
                return True
            case ast.Call(func=ast.Name(id="vars"), args=[main]):
                return self._is_main(main)
            case ast.Attribute(value=owner, attr="__dict__"):
                return self._is_main(owner)
            case ast.Attribute(attr="__globals__"):
                return True
        return False

    def _is_main(self, node: ast.AST) -> bool:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                return name in self._mains
            case ast.Subscript(
                value=ast.Attribute(attr="modules") | ast.Name(id="modules"),
                slice=ast.Constant(value="__main__"),
            ):
                return True
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value="__main__"), *_]):
                return name in _LOADERS
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value="__main__"), *_]):
                return name in _LOADERS
        return False


def _literal(key: ast.AST) -> list[str]:
    """Give the name that a key is, "" for one that is computed."""
    return [key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""]


def _names_in(text: ast.AST) -> list[str]:
    """Give the names that a text of Python reads, "" if the text is computed."""
    if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
        return [""]
    try:
        tree = ast.parse(text.value.strip())
    except (SyntaxError, ValueError):
        return []  # the job will say so, as the kernel would
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    bound = {n.id for n in found if not isinstance(n.ctx, ast.Load)}
    return list(dict.fromkeys(n.id for n in found if n.id not in bound))


def bound_in(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
    """Give the names that a function binds for itself."""
    arguments = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
    stored = {
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    shared = {n for part in ast.walk(node) if isinstance(part, ast.Global) for n in part.names}
    return frozenset((arguments | stored) - shared)
