"""What a piece of Python says, whatever it looks like: the same text for the same code.

Comments, docstrings, blank lines and positions are left out, and so is what versions of Python
write differently into a syntax tree: two that read the same code give the same text. This module
needs nothing but the standard library, so that any interpreter can be asked.

Rule: names of nodes and fields are written, and everything in brackets, so that no two trees that
differ in what they do give one text.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence

# Where a value is used is told by the field it stands in; the rest is how something was written.
_IGNORED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BODIES = frozenset({"body", "orelse", "finalbody"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_EMPTY = ast.keyword(arg="default", value=ast.Constant(None))
_PARAMETERS = frozenset({"Param", "Meta", "Constant", "DataPath", "SubParam"})


def canonical(nodes: Iterable[ast.AST]) -> str:
    """Write statements so that equal code gives equal text.

    Left out are docstrings and all other statements that are a bare constant (help texts after
    fields, ``...``), ``pass``, and the defaults of parameters of configurations: what a parameter
    is counts in the identifier.

    Parameters
    ----------
    nodes
        The statements, in the order in which they are executed.
    """
    parts: list[str] = []
    # A stack and not a recursion: a sum of thousands of terms is as deep as it is long.
    stack: list[object] = list(reversed([node for node in nodes if not _says_nothing(node)]))
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            parts.append(item)
        elif isinstance(item, ast.Constant):
            parts.append(_constant(item.value))
        elif isinstance(item, ast.AST):
            parts.append(f"{type(item).__name__}(")
            stack.append(")")
            for name, value in reversed(list(_fields(item))):
                stack += [value, f"{name}="]
        elif isinstance(item, list):
            parts.append("[")
            stack.append("]")
            stack += reversed(item)
        else:  # a name, the level of an import, None for ** in a dict
            parts.append(f"{item!a};")
    return "".join(parts)


def digest(text: str) -> str:
    """Give the sha256 of what a text of Python says, 64 hexadecimal digits.

    Raises
    ------
    SyntaxError, ValueError
        It is no Python.
    """
    return digest_of(ast.parse(text).body)


def digest_of(nodes: Iterable[ast.AST]) -> str:
    """Give the sha256 of what statements say."""
    return hashlib.sha256(canonical(nodes).encode("utf-8")).hexdigest()


def documents(nodes: Iterable[ast.AST]) -> str:
    """Give the docstrings of statements, and of what is inside them, for code that reads them.

    Parameters
    ----------
    nodes
        Statements; a text that stands before all others is the docstring of the module.
    """
    nodes = list(nodes)
    found = [_text_of(nodes)]
    for top in nodes:
        found += [_text_of(n.body) for n in ast.walk(top) if isinstance(n, _DOCUMENTED)]
    return "".join(f"{text!a};" for text in found)


def _text_of(body: Sequence[ast.AST]) -> str | None:
    match body:
        case [ast.Expr(value=ast.Constant(value=str(text))), *_]:
            return text
    return None


def reads_documents(nodes: Iterable[ast.AST]) -> bool:
    """Tell whether code may read docstrings."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        match node:
            case ast.Attribute(attr="__doc__" | "getdoc" | "get_docstring", ctx=ast.Load()):
                return True
            case ast.Name(id="__doc__" | "getdoc" | "get_docstring", ctx=ast.Load()):
                return True
            case ast.Constant(value="__doc__"):  # getattr(f, "__doc__")
                return True
            case ast.Call(func=ast.Name(id="help")):
                return True
            case ast.AnnAssign(value=value):  # the help of a parameter
                stack += [] if value is None else [value]
                continue
        stack += ast.iter_child_nodes(node)
    return False


# What gives annotations as they were kept, text or not: `inspect.signature`, `dataclasses.fields`.
_ANNOTATING = frozenset(
    str.split(
        "__annotations__ __annotate__ __dataclass_fields__ annotation fields get_annotations"
        " get_type_hints getfullargspec signature"
    )
)


def reads_annotations(nodes: Iterable[ast.AST]) -> bool:
    """Tell whether code may see that annotations are text under ``from __future__``."""
    for top in nodes:
        for node in ast.walk(top):
            match node:
                case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
                    found = name
                case ast.Constant(value=str(name)):  # getattr(f, "__annotations__")
                    found = name if name.startswith("__") else ""
                case _:
                    continue
            if found in _ANNOTATING:
                return True
    return False


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Give the fields of a node that tell something, in the order of their names."""
    for name in sorted(node._fields):
        value = getattr(node, name, None)
        if name == "value" and isinstance(node, ast.AnnAssign):
            value = _without_default(node)
        if name in _IGNORED or value is None:
            continue
        if isinstance(value, list):
            if name in _BODIES:
                value = [part for part in value if not _says_nothing(part)]
            elif isinstance(node, ast.JoinedStr):
                value = _pieces(value)
            if not value:
                continue
            value = [_Name(part) if isinstance(part, str) else part for part in value]
        elif isinstance(value, ast.JoinedStr) and name == "format_spec" and not value.values:
            continue
        elif isinstance(value, str):
            value = _Name(value)
        yield name, value


class _Name:
    """A text of a tree, which is no piece of what was written already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _says_nothing(node: ast.AST) -> bool:
    """Tell whether a statement does nothing."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass)


def _constant(value: object) -> str:
    if type(value) is int:
        return f"int:{value:x};"  # in decimal, Python refuses very long ones
    if isinstance(value, str):
        return f"str:{value!a};"  # what can be printed depends on Python's version
    return f"{type(value).__name__}:{value!r};"


def _pieces(values: list[ast.expr]) -> list[ast.expr]:
    """Put the literal pieces of an f-string together: how they are cut differs between versions."""
    pieces: list[ast.expr] = []
    for value in values:
        if not isinstance(value, ast.Constant):
            pieces.append(value)
        elif value.value != "":
            last = pieces[-1] if pieces else None
            if isinstance(last, ast.Constant):
                pieces[-1] = ast.Constant(last.value + value.value)  # type: ignore[operator]
            else:
                pieces.append(value)
    return pieces


# -- defaults of parameters -------------------------------------------------------------------


def _without_default(node: ast.AnnAssign) -> ast.expr | None:
    """Give what a field is set to, without the default if it is a parameter of a configuration."""
    if not declares_parameter(node.annotation):
        return node.value
    if not isinstance(node.value, ast.Call) or _last_name(node.value.func) != "field":
        return None
    keywords = [_EMPTY if k.arg == "default" else k for k in node.value.keywords]
    return ast.Call(node.value.func, node.value.args, keywords)


def declares_parameter(annotation: ast.AST) -> bool:
    """Tell whether an annotation declares a parameter."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return False
    return any(_last_name(part) in _PARAMETERS for part in ast.walk(annotation))


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
