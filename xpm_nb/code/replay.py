"""Statements executed once more, aside: what they make of plain values, to be compared.

A cell may fill a table in a loop, add to a list, set a field. Where all that it does is plain, what
it comes to can be computed again: on values of its own, so that nothing of the kernel is touched.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from types import SimpleNamespace
from typing import Any

from xpm_nb.code.numbers import is_array
from xpm_nb.code.shapes import fields_of, is_inert
from xpm_nb.code.touches import CHANGING
from xpm_nb.code.values import (
    FAILURES,
    GUARDS,
    NAMESPACES,
    NotPlain,
    check,
    evaluate,
    guarded,
    is_data,
    is_plain,
)

_BLOCKS = (ast.For, ast.If)


class Replay:
    """A namespace in which plain statements are executed.

    Parameters
    ----------
    space
        The live globals: what is read of them is a copy.
    begin
        Names with a value of their own, which the statements may change. What stands for a class
        or function is a `SimpleNamespace` of its attributes.
    """

    def __init__(self, space: Mapping[str, Any], begin: Mapping[str, Any]) -> None:
        self._space = space
        self.names = dict(begin)
        self._stand_ins = frozenset(
            name for name, value in begin.items() if type(value) is SimpleNamespace
        )
        self._copies: dict[int, tuple[Any, Any]] = {}  # with what each is of, which it keeps alive

    def run(self, nodes: Sequence[ast.stmt]) -> None:
        """Execute statements.

        Raises
        ------
        NotPlain
            They do more than to make plain values, or fail.
        """
        every = [node for top in nodes for node in ast.walk(top) if isinstance(node, ast.Name)]
        stored = {node.id for node in every if not isinstance(node.ctx, ast.Load)}
        local = frozenset(stored | self.names.keys())
        for node in nodes:
            self._check(node, local)
        for name in dict.fromkeys(node.id for node in every):
            if name not in local and name in self._space:
                self.names[name] = self.copied(self._space[name])
        looked_at = [guarded(node, local, self._stand_ins) for node in nodes]
        written = [_Guards().visit(deepcopy(node)) for node in looked_at]
        module = ast.fix_missing_locations(ast.Module(written, type_ignores=[]))
        self.names.update({"__builtins__": builtins, _HELD: _held, _DATA: _data, **GUARDS})
        try:
            exec(compile(module, "<plain>", "exec", dont_inherit=True), self.names)
        except FAILURES as error:
            raise NotPlain(nodes[-1]) from error

    # -- what is plain

    def _check(self, node: ast.stmt, local: frozenset[str]) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                self._expression(value, local)
                self._targets(targets, local)
            case ast.AugAssign(target=target, value=value):
                self._expression(value, local, operand=True)
                self._targets([target], local)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._expression(value, local)
                self._targets([target], local)
            case ast.Delete(targets=targets):
                self._targets(targets, local)
            case ast.Expr(value=ast.Call() as call):
                self._call(call, local)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.For(target=target, iter=values):
                self._expression(values, local, operand=True)
                self._targets([target], local)
            case ast.If(test=test):
                self._expression(test, local, operand=True)
            case _:
                raise NotPlain(node)
        if isinstance(node, _BLOCKS):
            for part in (*node.body, *node.orelse):
                self._check(part, local)

    def _call(self, call: ast.Call, local: frozenset[str]) -> None:
        """Let through what changes a container, or sets an attribute, of ours."""
        match call.func:
            case ast.Attribute(value=owner, attr=method) if method in CHANGING:
                self._targets([owner], local, root=True)
            case ast.Name(id="setattr" | "delattr" as name) if name not in local | {*self._space}:
                self._targets(call.args[:1], local, root=True)
            case _:
                raise NotPlain(call)
        if any(keyword.arg in (None, "key") for keyword in call.keywords):
            raise NotPlain(call)
        for given in (*call.args, *(keyword.value for keyword in call.keywords)):
            self._expression(given, local)

    def _targets(
        self, targets: Iterable[ast.expr], local: frozenset[str], *, root: bool = False
    ) -> None:
        """Let through names and what is inside values of ours; `root`: what is changed itself."""
        for target in targets:
            if isinstance(target, ast.Tuple | ast.List):
                self._targets(target.elts, local)
            elif isinstance(target, ast.Starred):
                self._targets([target.value], local)
            elif isinstance(target, ast.Subscript):
                self._expression(target.slice, local, operand=True)
                self._targets([target.value], local, root=True)
            elif isinstance(target, ast.Attribute):
                self._targets([target.value], local, root=True)
            elif not isinstance(target, ast.Name) or (root and target.id not in local):
                raise NotPlain(target)

    def _expression(self, node: ast.expr, local: frozenset[str], *, operand: bool = False) -> None:
        node = _Attributes(self._stand_ins).visit(deepcopy(node))
        check(node, self._space, local, operand=operand)
        for part in ast.walk(node):
            # What a class or module holds is no copy: it must not be changed.
            if isinstance(part, ast.Attribute) and _can_change(_value(part, self._space)):
                raise NotPlain(part)

    def copied(self, value: Any) -> Any:
        """Copy what can be changed, with all that it holds; what cannot is what it was.

        Raises
        ------
        NotPlain
            It holds something that is more than data.
        """
        if id(value) in self._copies:
            return self._copies[id(value)][1]
        kind = type(value)
        if kind is tuple or kind is frozenset:
            return kind(map(self.copied, value))
        if isinstance(value, tuple) and is_data(value):
            return tuple.__new__(kind, map(self.copied, value))
        if not _can_change(value):
            if not (is_plain(value) or kind.__module__ in _OPAQUE or is_inert(value)):
                raise NotPlain(ast.Constant(None))
            return value
        made = kind() if kind in NAMESPACES else copy(value)
        self._copies[id(value)] = value, made
        if is_array(value):
            return made
        if isinstance(value, dict):
            for key, held in value.items():  # not `update`: counters add
                made[key] = self.copied(held)
        elif kind in NAMESPACES:
            vars(made).update((name, self.copied(held)) for name, held in vars(value).items())
        elif is_data(value):
            for name, held in fields_of(value):
                object.__setattr__(made, name, self.copied(held))
        elif kind is not set:
            made[:] = map(self.copied, value)
        return made


# Modules of things that nothing here changes, or calls.
_OPAQUE = frozenset(
    str.split("_thread contextvars datetime decimal fractions functools logging operator")
)
_HELD, _DATA = "__xpm_held", "__xpm_data"
_CONTAINERS = (list, dict, set, defaultdict, OrderedDict, Counter)


def _can_change(value: Any) -> bool:
    """Tell whether a value is one that plain statements can change."""
    kind = type(value)
    return kind in _CONTAINERS or kind in NAMESPACES or is_data(value) or is_array(value)


def _value(node: ast.expr, space: Mapping[str, Any]) -> Any:
    try:
        return evaluate(node, space)
    except NotPlain:
        return None


def _held(value: Any) -> Any:
    """Give a container of Python's own back; others are not changed."""
    if type(value) not in _CONTAINERS:
        raise TypeError(f"a {type(value).__qualname__} is changed")
    return value


def _data(value: Any) -> Any:
    """Give data back; of others no attribute is set."""
    if type(value) not in NAMESPACES and not is_data(value):
        raise TypeError(f"an attribute of a {type(value).__qualname__} is set")
    return value


class _Guards(ast.NodeTransformer):
    """Has whatever is changed looked at before."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._guarded(node, _HELD)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._guarded(node, _DATA)

    def _guarded(self, node: ast.Subscript | ast.Attribute, name: str) -> ast.AST:
        changes = not isinstance(node.ctx, ast.Load)
        self.generic_visit(node)
        if changes:
            node.value = _called(name, node.value)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        match node.value:
            case ast.Call(func=ast.Attribute() as method):
                method.value = _called(_HELD, method.value)
            case ast.Call(args=[first, *_]) as call:
                call.args[0] = _called(_DATA, first)
        return node


def _called(name: str, value: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [value], [])


class _Attributes(ast.NodeTransformer):
    """Writes a name instead of an attribute of what stands for a class: it is a plain value."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self._names:
            return node.value
        return self.generic_visit(node)
