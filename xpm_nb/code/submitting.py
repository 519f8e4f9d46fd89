"""What a class statement says to whoever submits, and not to the job: its submit hooks.

They were called before the job began. In its script their lines are comments: what they are made of
need not be there, nor anything that it needs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from xpm_nb.code.cells import Statement
from xpm_nb.core.hooks import SubmitHook, is_hook_maker


def without_hooks(statement: Statement, space: Mapping[str, Any]) -> Statement:
    """Give a statement whose submit hooks are comments, on as many lines.

    Parameters
    ----------
    statement
        Any; all but a class with hooks are given back.
    space
        The globals of its cell.
    """
    node = statement.node
    if not isinstance(node, ast.ClassDef) or not node.decorator_list:
        return statement
    lines = statement.cell.text.split("\n")
    starts = [_at(lines, decorator.lineno) for decorator in node.decorator_list]
    ends = [*starts[1:], node.lineno]
    said = False
    for decorator, start, end in zip(node.decorator_list, starts, ends, strict=True):
        if _is_hook(decorator, space):
            said = True
            for number in range(start - 1, end - 1):
                lines[number] = f"# {lines[number]}".rstrip()
    if not said:
        return statement
    return replace(statement, cell=replace(statement.cell, text="\n".join(lines)))


def _at(lines: list[str], number: int) -> int:
    """Give the line of the ``@`` of a decorator, which may stand above what it decorates with."""
    while not lines[number - 1].lstrip().startswith("@"):
        number -= 1
    return number


def _is_hook(decorator: ast.expr, space: Mapping[str, Any]) -> bool:
    """Tell whether a decorator is a submit hook, without executing it."""
    if isinstance(decorator, ast.Call):
        return is_hook_maker(_value(decorator.func, space))
    return isinstance(_value(decorator, space), SubmitHook)


def _value(node: ast.expr, space: Mapping[str, Any]) -> Any:
    """Look up a dotted name; None for anything else."""
    if isinstance(node, ast.Name):
        return space.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, space)
        return vars(owner).get(node.attr) if isinstance(owner, ModuleType | type) else None
    return None
