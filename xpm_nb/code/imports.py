"""Import statements: what they bind, whether that is what a name means now, and how to write one.

A reader of this file finds no module being imported: what is not in ``sys.modules`` was never
imported, and so is nobody's value.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from xpm_nb.code.cells import Statement
from xpm_nb.code.equal import same_value
from xpm_nb.code.modules import absolute_module


def is_import(statement: Statement) -> bool:
    """Tell whether a statement imports something (a feature of the language is nothing)."""
    node = statement.node
    if isinstance(node, ast.ImportFrom):
        return node.module != "__future__"
    return isinstance(node, ast.Import)


def is_dotted(node: ast.stmt, name: str) -> bool:
    """Tell whether an import binds a package for the sake of a module inside: ``import a.b``."""
    return isinstance(node, ast.Import) and any(
        a.asname is None and a.name.startswith(f"{name}.") for a in node.names
    )


def bound_by(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """Give the name that a part of an import binds."""
    if alias.asname or isinstance(node, ast.ImportFrom):
        return alias.asname or alias.name
    return alias.name.partition(".")[0]


def package_of(space: Mapping[str, Any]) -> str:
    """Name the package that the code of a namespace is in, "" if it is in none."""
    return str(space.get("__package__") or "")


def import_gives(node: ast.stmt, name: str, value: Any, space: Mapping[str, Any]) -> bool:
    """Tell whether an import gives a name its present value."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if bound_by(node, alias) == name:
                path = alias.name if alias.asname else name
                if sys.modules.get(path) is value and alias.name in sys.modules:
                    return True
    if isinstance(node, ast.ImportFrom):
        module = absolute_module(node, package_of(space))
        for alias in node.names:
            if alias.name == "*" or (alias.asname or alias.name) == name:
                wanted = name if alias.name == "*" else alias.name
                if _has(module, wanted, value):
                    return True
    return False


def _has(module_name: str, name: str, value: Any) -> bool:
    """Tell whether a module has this value, or what became of it when it was loaded again."""
    module = sys.modules.get(module_name)
    try:
        there = getattr(module, name)
    except AttributeError:
        return False
    if there is value:
        return True
    for part in ("__module__", "__qualname__"):
        mine = getattr(value, part, None)
        if not isinstance(mine, str) or mine != getattr(there, part, None):
            return not isinstance(value, type | FunctionType) and same_value(value, there)
    return True


def import_text(name: str, value: Any) -> str:
    """Write the import that gives a name this value, "" if there is none."""
    if isinstance(value, ModuleType):
        path = value.__name__
        if sys.modules.get(path) is not value or value.__spec__ is None or path == "__main__":
            return ""
        parent, _, last = path.rpartition(".")
        if parent and last == name:
            return f"from {parent} import {last}\n"
        return f"import {path}\n" if path == name else f"import {path} as {name}\n"
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or module == "__main__":
        return ""
    if not qualname.isidentifier() or getattr(sys.modules.get(module), qualname, None) is not value:
        return ""
    return f"from {module} import {qualname}" + (f" as {name}\n" if name != qualname else "\n")
