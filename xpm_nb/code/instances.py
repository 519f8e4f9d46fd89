"""Instances of classes of cells, made once more aside: to be compared with those that there are.

``CALLBACKS = [Log(), Log(every=3)]`` is executed again in a job. What it comes to is found without
running any code of the user's: the statements of `__init__` (or `__post_init__`) are executed on
copies, if they are plain (`replay`); what does more is not made.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from types import FunctionType, SimpleNamespace
from typing import Any, Protocol

from xpm_nb.code.cells import Statement
from xpm_nb.code.replay import Replay
from xpm_nb.code.shapes import (
    is_data_class,
    is_open,
    is_open_class,
    is_plain_factory,
    is_written,
)
from xpm_nb.code.values import NotPlain, evaluate, is_pure

MAX_LEVELS = 10  # of classes above each other, each with an `__init__`
_MADE, _ARGS, _KEYWORDS = "__xpm_made_{}", "__xpm_args", "__xpm_keywords"
_NOTHING = ast.Constant(None)


class Finder(Protocol):
    """What finds the statements of functions (`origin.Origins`)."""

    def of_function(self, function: FunctionType) -> Statement | None:
        """Give the statement that holds a function's code; None for code that is in no cell."""
        ...


def compute(node: ast.expr, space: Mapping[str, Any], finder: Finder) -> Any:
    """Compute an expression as `evaluate` does, which may make instances of classes of cells.

    Parameters
    ----------
    node
        The expression.
    space
        The live globals that its names stand for.
    finder
        Where the statements of classes are found.

    Raises
    ------
    NotPlain
        When computing it could have an effect, or needs something that is not plain.
    """
    if not any(isinstance(part, ast.Call) for part in ast.walk(node)):
        return evaluate(node, space)
    (written,), more = prepared([node], space, finder)
    return evaluate(written, {**space, **more} if more else space)


def prepared(
    nodes: Sequence[Any],
    space: Mapping[str, Any],
    finder: Finder,
    local: frozenset[str] = frozenset(),
) -> tuple[list[Any], dict[str, Any]]:
    """Give expressions or statements in which instances have been made, and these by their names.

    `local` are names that stand for something else in them: what needs those is left as it is.

    Raises
    ------
    NotPlain
        An instance cannot be made.
    """
    making = _Making(space, finder, local)
    return [making.visit(deepcopy(node)) for node in nodes], making.made


class _Making(ast.NodeTransformer):
    """Puts what was made in the place of the calls that make it."""

    def __init__(self, space: Mapping[str, Any], finder: Finder, local: frozenset[str]) -> None:
        self._space = space
        self._finder = finder
        self._local = local
        self.made: dict[str, Any] = {}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        makes: Any = self._space.get(node.func.id) if isinstance(node.func, ast.Name) else None
        replaces = makes is dataclasses.replace
        if not (is_open_class(makes) or replaces) or _is_plain_data(makes):
            return node
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if names & self._local or any(isinstance(part, ast.Starred) for part in node.args):
            return node
        space = {**self._space, **self.made}
        given = [evaluate(part, space) for part in node.args]
        named = {k.arg: evaluate(k.value, space) for k in node.keywords if k.arg is not None}
        if len(named) < len(node.keywords):
            return node
        if replaces:
            if len(given) != 1 or not (is_open(given[0]) and dataclasses.is_dataclass(given[0])):
                return node
            makes = type(given[0])
            fields = [f.name for f in dataclasses.fields(makes) if f.init]
            named, given = {n: getattr(given[0], n) for n in fields} | named, []
        name = _MADE.format(len(self.made))
        self.made[name] = instance(makes, given, named, self._finder)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node  # what it makes, it makes when it is called


def _is_plain_data(cls: Any) -> bool:
    """Tell whether `evaluate` itself makes instances of a class."""
    return dataclasses.is_dataclass(cls) and is_data_class(cls, is_pure)


def instance(cls: type, given: Sequence[Any], named: Mapping[str, Any], finder: Finder) -> Any:
    """Make an instance of an open class (`is_open_class`).

    Raises
    ------
    NotPlain
        Its `__init__` or `__post_init__` does more than to set plain values.
    """
    stand_in = SimpleNamespace()
    if dataclasses.is_dataclass(cls):
        _make_data(cls, stand_in, given, named, finder)
    else:
        _run(cls, cls.__mro__, "__init__", stand_in, given, named, finder)
    for name, value in vars(stand_in).items():
        if value is stand_in or hasattr(type(inspect.getattr_static(cls, name, None)), "__set__"):
            raise NotPlain(_NOTHING)  # it holds itself, or to set it runs code
    made: Any = object.__new__(cls)
    vars(made).update(vars(stand_in))
    return made


def _make_data(
    cls: Any,
    stand_in: SimpleNamespace,
    given: Sequence[Any],
    named: Mapping[str, Any],
    finder: Finder,
) -> None:
    """Set the fields as the `__init__` does that `dataclasses` has made, and what follows."""
    if is_written(cls.__init__):  # by it or by a class above
        raise NotPlain(_NOTHING)
    bound = _bound(inspect.signature(cls.__init__), (stand_in, *given), named)
    replay = Replay({}, {})
    later: list[Any] = []
    for name, spec in cls.__dataclass_fields__.items():
        kind = spec._field_type.name
        if kind == "_FIELD_CLASSVAR":
            continue
        if name in bound:
            value = replay.copied(bound[name])
        elif spec.default is not dataclasses.MISSING:
            value = replay.copied(spec.default)
        elif spec.default_factory is not dataclasses.MISSING:
            if not is_plain_factory(spec.default_factory, is_pure):
                raise NotPlain(_NOTHING)
            value = spec.default_factory()
        elif spec.init:
            raise NotPlain(_NOTHING)
        else:
            continue  # `__post_init__` sets it
        if kind == "_FIELD_INITVAR":
            later.append(value)
        else:
            setattr(stand_in, name, value)
    if hasattr(cls, "__post_init__"):
        _run(cls, cls.__mro__, "__post_init__", stand_in, later, {}, finder)


def _bound(
    signature: inspect.Signature, given: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        return dict(signature.bind(*given, **named).arguments)
    except TypeError as error:
        raise NotPlain(_NOTHING) from error


def _run(
    cls: type,
    above: Sequence[type],
    method: str,
    stand_in: SimpleNamespace,
    given: Sequence[Any],
    named: Mapping[str, Any],
    finder: Finder,
) -> None:
    """Execute the statements of the first of some classes that has a method, on a stand-in."""
    owner = next((c for c in above if method in vars(c)), object)
    if owner is object:
        if given or named:
            raise NotPlain(_NOTHING)
        return
    function = vars(owner)[method]
    if not isinstance(function, FunctionType) or len(above) > MAX_LEVELS + 1:
        raise NotPlain(_NOTHING)
    node = _definition(function, finder)
    signature = inspect.signature(function)
    bound = signature.bind_partial(stand_in)
    try:
        bound = signature.bind(stand_in, *given, **named)
    except TypeError as error:
        raise NotPlain(node) from error
    bound.apply_defaults()
    copies = Replay(function.__globals__, {})
    begin = {
        name: value if value is stand_in else copies.copied(value)
        for name, value in bound.arguments.items()
    }
    replay = Replay(function.__globals__, begin)
    rest = list(above)[list(above).index(owner) + 1 :]
    for part in _Private(owner).visit(deepcopy(node)).body:
        match part:
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=to)
                ) as call
            ) if to == method:
                args, keywords = _arguments(call, replay)
                _run(cls, rest, method, stand_in, args, keywords, finder)
            case _:
                replay.run([_Checks().visit(part)])


def _arguments(call: ast.Call, replay: Replay) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Compute what a method of the class above is called with."""
    if any(k.arg is None for k in call.keywords) or any(
        isinstance(part, ast.Starred) for part in call.args
    ):
        raise NotPlain(call)
    values = ast.Dict(
        [ast.Constant(k.arg) for k in call.keywords], [k.value for k in call.keywords]
    )
    for name, value in ((_ARGS, ast.Tuple(call.args, ast.Load())), (_KEYWORDS, values)):
        replay.run([ast.Assign([ast.Name(name, ast.Store())], value)])
    return replay.names[_ARGS], replay.names[_KEYWORDS]


def _definition(function: FunctionType, finder: Finder) -> ast.FunctionDef:
    """Find the definition of a method in its class statement."""
    statement = finder.of_function(function)
    for node in _functions(statement):
        if node.lineno == function.__code__.co_firstlineno and node.name == function.__name__:
            return node
    raise NotPlain(_NOTHING)


def _functions(statement: Statement | None) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(statement.node) if statement is not None else ():
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            yield node


class _Private(ast.NodeTransformer):
    """Writes names as Python does inside a class: ``self.__n`` sets ``_Log__n``."""

    def __init__(self, cls: type) -> None:
        self._prefix = f"_{name}" if (name := cls.__name__.lstrip("_")) else ""

    def _written(self, name: str) -> str:
        private = name.startswith("__") and not name.endswith("__")
        return f"{self._prefix}{name}" if private else name

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._written(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._written(node.attr)
        return self.generic_visit(node)


class _Checks(ast.NodeTransformer):
    """Has what checks a value fail as other plain statements do, and writes setters out."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return _failing()

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.If(ast.UnaryOp(ast.Not(), node.test), [_failing()], [])

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="object"), attr="__setattr__"),
                args=[ast.Name() as owner, ast.Constant(value=str() as name), value],
                keywords=[],
            ):
                return ast.Assign([ast.Attribute(owner, name, ast.Store())], value)
        return node


def _failing() -> ast.stmt:
    impossible = ast.BinOp(ast.Constant(1), ast.Div(), ast.Constant(0))
    return ast.Assign([ast.Name("__xpm_failed", ast.Store())], impossible)
