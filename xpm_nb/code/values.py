"""Plain values: expressions that can be carried as they stand.

A statement such as ``LR = 0.1`` or ``Point = namedtuple("Point", "x y")`` may stand in the script
of a job if computing it again has no effect, needs nothing but plain things, and still gives the
live value. `evaluate` answers the first two, `same_value` the third. Whatever is neither is
run-time state, and that never travels in a script.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import enum
import functools
import inspect
import logging
import operator
import struct
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from xpm_nb.code.bytecode import same_code
from xpm_nb.code.shapes import fields_of, is_data_class

# Callables without effect whose result depends on their arguments only, by the module that has
# them. They are looked up in sys.modules and compared by identity: a user's own `field` is none.
_PURE = {
    "builtins": "abs all any bool bytes chr complex dict divmod enumerate float frozenset int len"
    " list max min object ord pow range repr reversed round set slice sorted str sum tuple zip",
    "argparse": "Namespace",
    "annotated_types": "Ge Gt Interval Le Len Lt MaxLen MinLen MultipleOf",
    "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
    "contextvars": "ContextVar",
    "dataclasses": "asdict astuple replace",
    "datetime": "date datetime time timedelta",
    "decimal": "Decimal",
    "enum": "Enum Flag IntEnum IntFlag StrEnum",
    "fractions": "Fraction",
    "functools": "partial",
    "itertools": "chain combinations permutations product",
    "logging": "getLogger",
    "math": "ceil comb cos dist erf exp fabs factorial floor fmod fsum gcd hypot isclose isfinite"
    " isinf isnan isqrt lcm log log10 log1p log2 perm pow prod radians sin sqrt tan tanh trunc",
    "operator": "attrgetter itemgetter methodcaller",
    "os.path": "basename dirname join splitext",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pydantic": "Field",
    "re": "compile",
    "string": "Template",
    "struct": "Struct",
    "threading": "Lock RLock",
    "types": "MappingProxyType SimpleNamespace",
    "typing": "NamedTuple NewType ParamSpec TypeVar TypeVarTuple TypedDict",
    "typing_extensions": "NamedTuple NewType ParamSpec TypeVar TypeVarTuple TypedDict",
    "xpm_nb.core.fields": "Choices PathGenerator field help param_group partial pathgenerator",
}
_ATOMS = (
    *(bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range, slice),
    PurePath,
)
_CONTAINERS = (tuple, list, dict, set, frozenset)
#: Classes of objects that are nothing but their attributes.
NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_NAMED = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType, enum.Enum)
#: What a plain expression may raise when it is computed once more.
FAILURES = (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError)

_PARTS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred)  # their elements may be anything
_OPERATIONS = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp),
    *(ast.Subscript, ast.Slice, ast.JoinedStr, ast.FormattedValue),
)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Methods that have no effect, of values that are of exactly these types.
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(name for name in dir(str) if not name.startswith("_")),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    set: frozenset({"copy", "difference", "intersection", "issubset", "union"}),
}
_OF_PATHS = frozenset({"as_posix", "joinpath", "relative_to", "with_name", "with_suffix"})
_PARTS_OF_PATHS = frozenset({"name", "parent", "parts", "stem", "suffix"})
_MARKS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


class NotPlain(Exception):
    """An expression that is more than a plain value; `args[0]` is the part that makes it so."""


def evaluate(node: ast.expr, space: Mapping[str, Any]) -> Any:
    """Compute a plain expression in a namespace.

    Parameters
    ----------
    node
        The expression.
    space
        The live globals that its names stand for.

    Raises
    ------
    NotPlain
        When computing it could have an effect, or needs something that is not plain.
    """
    check(node, space, frozenset(), operand=False)
    code = compile(ast.Expression(node), "<plain>", "eval", dont_inherit=True)
    try:
        return eval(code, {**space, "__builtins__": builtins})
    except FAILURES as error:
        raise NotPlain(node) from error


def check(node: ast.AST, space: Mapping[str, Any], local: frozenset[str], *, operand: bool) -> None:
    """Look whether an expression is plain.

    Parameters
    ----------
    node
        The expression.
    space
        The live globals.
    local
        Names that stand for something else in it.
    operand
        Whether something is done with its value.

    Raises
    ------
    NotPlain
        It is not.
    """
    if isinstance(node, (ast.Constant, ast.Lambda, *_MARKS)):
        return  # the code of a lambda is compared with that of the live one
    if isinstance(node, ast.Name):
        if node.id not in local and operand and not is_plain(_leaf(node, space)):
            raise NotPlain(node)
    elif isinstance(node, ast.Attribute):
        _check_attribute(node, space, local)
        if operand and not is_plain(evaluate(node, space)):
            raise NotPlain(node)
    elif isinstance(node, ast.Call):
        _check_call(node, space, local)
    elif isinstance(node, _PARTS):
        _check_all(ast.iter_child_nodes(node), space, local, operand=operand)
    elif isinstance(node, _OPERATIONS):
        _check_all(ast.iter_child_nodes(node), space, local, operand=True)
    elif isinstance(node, _COMPREHENSIONS):
        targets = {
            name.id
            for part in node.generators
            for name in ast.walk(part.target)
            if isinstance(name, ast.Name)
        }
        _check_all(ast.iter_child_nodes(node), space, local | targets, operand=True)
    elif isinstance(node, ast.comprehension) and not node.is_async:
        _check_all([node.iter, *node.ifs], space, local, operand=True)
    elif isinstance(node, ast.keyword):
        check(node.value, space, local, operand=operand)
    else:
        raise NotPlain(node)


def _check_all(
    nodes: Iterable[ast.AST], space: Mapping[str, Any], local: frozenset[str], *, operand: bool
) -> None:
    for node in nodes:
        check(node, space, local, operand=operand)


def _check_attribute(node: ast.Attribute, space: Mapping[str, Any], local: frozenset[str]) -> None:
    """Let through what modules, classes, enum members and data have: no code of an object runs."""
    if any(isinstance(n, ast.Name) and n.id in local for n in ast.walk(node.value)):
        raise NotPlain(node)
    owner = evaluate(node.value, space)
    if isinstance(owner, types.ModuleType | type | enum.Enum):
        return
    if isinstance(owner, PurePath) and node.attr in _PARTS_OF_PATHS:
        return
    if is_data(owner) and node.attr in dict(fields_of(owner)):
        return
    if type(owner) in NAMESPACES and node.attr in vars(owner):
        return
    raise NotPlain(node)


def _check_call(node: ast.Call, space: Mapping[str, Any], local: frozenset[str]) -> None:
    method = node.func
    if isinstance(method, ast.Attribute) and isinstance(method.value, ast.Constant | ast.JoinedStr):
        check(method.value, space, local, operand=True)  # "adam sgd".split()
    elif any(isinstance(n, ast.Name) and n.id in local for n in ast.walk(method)):
        raise NotPlain(node)
    elif not (isinstance(method, ast.Attribute) and _has_method(method, space)):
        function = evaluate(method, space)
        if not _is_pure(function) and not is_data_class(function, _is_pure):
            raise NotPlain(node)
    if any(keyword.arg == "key" for keyword in node.keywords):
        raise NotPlain(node)  # the only way for what is in the list to call a function handed over
    _check_all([*node.args, *node.keywords], space, local, operand=True)


def _has_method(method: ast.Attribute, space: Mapping[str, Any]) -> bool:
    """Tell whether a method is one without effect, of a value that has it from Python itself."""
    try:
        owner = evaluate(method.value, space)
    except NotPlain:
        return False
    return (
        method.attr in _METHODS.get(type(owner), frozenset())
        or (isinstance(owner, PurePath) and method.attr in _OF_PATHS)
        or (isinstance(owner, tuple) and is_data(owner) and method.attr in ("_asdict", "_replace"))
    )


def is_data(value: Any) -> bool:
    """Tell whether a value is an instance of a class that has nothing but data."""
    return is_data_class(type(value), _is_pure)


def _leaf(node: ast.Name, space: Mapping[str, Any]) -> Any:
    try:
        return space[node.id] if node.id in space else vars(builtins)[node.id]
    except KeyError:
        raise NotPlain(node) from None


def is_plain(value: Any) -> bool:
    """Tell whether operators on this value run no code but Python's own."""
    kind = type(value)
    return (
        kind in _ATOMS
        or kind in _CONTAINERS
        or kind in NAMESPACES
        or isinstance(value, (*_NAMED, PurePath))
        or is_data(value)
        or kind.__module__ in ("typing", "types", "re", "typing_extensions", "xpm_nb.core.fields")
    )


def _is_pure(value: Any) -> bool:
    for module_name, names in _PURE.items():
        module = sys.modules.get(module_name)
        if module is not None and any(
            vars(module).get(name, names) is value for name in names.split()
        ):
            return True
    return False


def same_value(a: Any, b: Any, alike: Callable[[type, type], bool] = operator.is_) -> bool:
    """Tell whether two plain values are equal, with equal types all the way down.

    ``1`` is not ``True``, ``0.0`` is not ``-0.0``, NaN is NaN; functions are compared by their
    code, things made anew by each call (locks, type variables) by what they were made from.

    Parameters
    ----------
    a, b
        The values.
    alike
        Tells of two classes that are not the same object whether they are as good as the same.
    """
    return _Comparison(alike).same(a, b)


class _Comparison:
    """Compares values, with a rule for classes."""

    def __init__(self, alike: Callable[[type, type], bool]) -> None:
        self._alike = alike

    def same(self, a: Any, b: Any) -> bool:
        if a is b:
            return True
        if isinstance(a, type) and isinstance(b, type):
            return self._alike(a, b) or self._same_recipe(a, b)
        if isinstance(a, enum.Enum) and isinstance(b, enum.Enum):
            return a.name == b.name and self.same(type(a), type(b))
        if is_data(a) and is_data(b):  # of one class, or of one that was executed again
            return self.same(type(a), type(b)) and self.same(dict(fields_of(a)), dict(fields_of(b)))
        if type(a) is not type(b):
            return False
        match a:
            case float():
                return struct.pack("d", a) == struct.pack("d", b)
            case complex():
                return self.same((a.real, a.imag), (b.real, b.imag))
            case list() | tuple():
                return len(a) == len(b) and all(map(self.same, a, b))
            case dict():
                return self.same(list(a.items()), list(b.items())) and self._same_parts(
                    a, b, ("default_factory",)
                )
            case set() | frozenset():
                return bool(a == b) and {(type(x), x) for x in a} == {(type(x), x) for x in b}
            case types.FunctionType():
                codes = same_code(a.__code__, b.__code__, futures=False)
                return codes and self._same_parts(a, b, _OF_FUNCTIONS)
            case functools.partial():
                return self._same_parts(a, b, ("func", "args", "keywords"))
            case types.ModuleType() | logging.Logger():
                return False
        return self._same_object(a, b)

    def _same_parts(self, a: Any, b: Any, names: Iterable[str]) -> bool:
        return all(self.same(getattr(a, n, None), getattr(b, n, None)) for n in names)

    def _same_object(self, a: Any, b: Any) -> bool:
        kind = type(a)
        if kind is object or kind.__module__ == "_thread":
            return True  # a sentinel, a lock: one is as good as another
        if kind.__name__ in _OF_TYPES:
            return self._same_parts(a, b, _OF_TYPES[kind.__name__])
        if hasattr(a, "__origin__") and hasattr(a, "__args__"):  # list[Model], Annotated[int, …]
            return self._same_parts(a, b, ("__origin__", "__args__", "__metadata__"))
        if isinstance(a, types.UnionType):
            return self._same_parts(a, b, ("__args__",))
        if kind.__module__ == "operator":
            return bool(a.__reduce__() == b.__reduce__())
        if bool(a == b):
            return True
        mine = _state(a)
        return bool(mine) and self.same(mine, _state(b))

    def _same_recipe(self, a: type, b: type) -> bool:
        """Compare classes that a call has made: named tuples, enums, typed dicts."""
        if a.__name__ != b.__name__ or a.__bases__ != b.__bases__:
            return False
        if issubclass(a, enum.Enum) and issubclass(b, enum.Enum):
            return self.same(_members(a), _members(b))
        if typing.is_typeddict(a) or (issubclass(a, tuple) and hasattr(a, "_fields")):
            mine, other = inspect.get_annotations(a), inspect.get_annotations(b)
            parts = ("_fields", "_field_defaults", "__total__")
            return self.same(mine, other) and self._same_parts(a, b, parts)
        return False


# The attributes that things were made from, where == compares no more than identity.
_OF_FUNCTIONS = ("__defaults__", "__kwdefaults__", "__closure__")
_TYPE_VARIABLE = ("__name__", "__bound__", "__constraints__", "__covariant__", "__contravariant__")
_OF_TYPES = {
    "TypeVar": _TYPE_VARIABLE,
    "ParamSpec": _TYPE_VARIABLE,
    "TypeVarTuple": ("__name__",),
    "NewType": ("__name__", "__supertype__"),
    "ContextVar": ("name",),
    "Struct": ("format",),
}


def _members(cls: type[enum.Enum]) -> dict[str, Any]:
    return {name: member.value for name, member in cls.__members__.items()}


def _state(value: Any) -> dict[str, Any]:
    """Give the attributes of an object itself, slots too."""
    named = [cls.__dict__.get("__slots__", ()) for cls in type(value).__mro__]
    names = [name for slots in named for name in ([slots] if isinstance(slots, str) else slots)]
    slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return slots | getattr(value, "__dict__", {})
