"""Help texts that stand after fields: string literals that Python throws away when it compiles."""

from __future__ import annotations

import ast
import inspect
import linecache

from xpm_nb.code.bytecode import parse
from xpm_nb.core.names import Site, site


def after_fields(cls: type) -> dict[str, str]:
    """Read the string literals that stand right after the fields in the body of a class.

    Empty where the text of the class is not to be had (any more).
    """
    where = site(cls)
    if where is None:
        return {}
    node = _definition(cls.__name__, where)
    if node is None:
        return {}
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _definition(name: str, where: Site) -> ast.ClassDef | None:
    """Find the class statement of a name that begins at a line, or whose decorators do."""
    text = "".join(linecache.getlines(where.filename))
    for statement in parse(text):
        if statement.lineno > where.lineno or (statement.end_lineno or 0) < where.lineno:
            decorators = getattr(statement, "decorator_list", [])
            if not any(decorator.lineno == where.lineno for decorator in decorators):
                continue
        for node in ast.walk(statement):
            if isinstance(node, ast.ClassDef) and node.name == name:
                lines = (node.lineno, *(decorator.lineno for decorator in node.decorator_list))
                if where.lineno in lines:
                    return node
    return None
