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
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import PurePath
from typing import Any, TypeGuard

from xpm_nb.code import numbers
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
    "numpy": "abs arange array asarray ceil concatenate cos cumsum diff dtype exp eye float32"
    " float64 floor full geomspace identity int32 int64 linspace log log10 log2 logspace maximum"
    " minimum ones outer power round sin sqrt stack tan tanh zeros",
    "numpy.random": "RandomState default_rng",
    "random": "Random",
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
_OF_SETS = frozenset({"copy", "difference", "intersection", "issubset", "union"})
# Methods that have no effect, of values that are of exactly these types.
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(name for name in dir(str) if not name.startswith("_")),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    set: _OF_SETS,
    frozenset: _OF_SETS,
    int: frozenset({"bit_count", "bit_length", "conjugate"}),
    float: frozenset({"hex", "is_integer"}),
}
_OF_PATHS = frozenset({"as_posix", "joinpath", "relative_to", "with_name", "with_suffix"})
_PARTS_OF_PATHS = frozenset({"name", "parent", "parts", "stem", "suffix"})
_ALL_METHODS = frozenset().union(*_METHODS.values(), _OF_PATHS, {"_asdict", "_replace"})
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
    written = ast.Expression(guarded(node, frozenset()))
    code = compile(written, "<plain>", "eval", dont_inherit=True)
    try:
        return eval(code, {**space, "__builtins__": builtins, **GUARDS})
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
        if operand and not (_reads_one_of(node, local) or is_plain(evaluate(node, space))):
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
    if _reads_one_of(node.value, local):  # what that is, only its value tells: see `guarded`
        check(node.value, space, local, operand=True)
        return
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
    elif isinstance(method, ast.Attribute) and _reads_one_of(method, local):
        if method.attr not in _ALL_METHODS:
            raise NotPlain(node)
        check(method.value, space, local, operand=True)  # and what it is: see `guarded`
    elif _reads_one_of(method, local):
        raise NotPlain(node)
    elif not (isinstance(method, ast.Attribute) and _has_method(method, space)):
        function = evaluate(method, space)
        if not is_pure(function) and not is_data_class(function, is_pure):
            raise NotPlain(node)
        if numbers.is_seeded(function) and not (node.args or node.keywords):
            raise NotPlain(node)  # it begins with what the machine has at hand
        if numbers.may_fill(function, node):
            raise NotPlain(node)
        named = {keyword.arg for keyword in node.keywords}
        if function in (max, min, sorted) and named & {"key", None}:
            raise NotPlain(node)  # nothing else calls a function that it is given
    _check_all([*node.args, *node.keywords], space, local, operand=True)


def _has_method(method: ast.Attribute, space: Mapping[str, Any]) -> bool:
    """Tell whether a method is one without effect, of a value that has it from Python itself."""
    return _offers(evaluate(method.value, space), method.attr)


def _offers(owner: Any, name: str) -> bool:
    return (
        name in _METHODS.get(type(owner), frozenset())
        or (isinstance(owner, PurePath) and name in _OF_PATHS)
        or (isinstance(owner, tuple) and is_data(owner) and name in ("_asdict", "_replace"))
    )


def _reads_one_of(node: ast.AST, names: frozenset[str]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def guarded(node: Any, local: frozenset[str], stand_ins: frozenset[str] = frozenset()) -> Any:
    """Have what local names stand for looked at before it is asked for an attribute or a method.

    Parameters
    ----------
    node
        An expression or a statement that was checked; it is not changed.
    local
        Names that stand for something else in it, beside those of its comprehensions.
    stand_ins
        Those among them that stand for the attributes of something.
    """
    names = {n.id for part in _comprehensions(node) for n in ast.walk(part.target) if _is_name(n)}
    if not names and not local:
        return node
    return ast.fix_missing_locations(_Guard(local | names, stand_ins).visit(deepcopy(node)))


def _comprehensions(node: ast.AST) -> Iterator[ast.comprehension]:
    return (part for part in ast.walk(node) if isinstance(part, ast.comprehension))


def _is_name(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name)


class _Guard(ast.NodeTransformer):
    """Writes calls of the guards, where the names of local things lead."""

    def __init__(self, local: frozenset[str], stand_ins: frozenset[str]) -> None:
        self._local = local
        self._stand_ins = stand_ins

    def visit_Call(self, node: ast.Call) -> ast.AST:
        method = node.func
        if isinstance(method, ast.Attribute):
            value = self.visit(method.value)
            if method.attr in _ALL_METHODS and _reads_one_of(method, self._local):
                asked = [value, ast.Constant(method.attr)]
                node.func = ast.Call(ast.Name(_METHOD, ast.Load()), asked, [])
            else:
                node.func = ast.Attribute(value, method.attr, ast.Load())
        node.args = [self.visit(part) for part in node.args]
        node.keywords = [self.visit(part) for part in node.keywords]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        held = isinstance(node.value, ast.Name) and node.value.id in self._stand_ins
        if isinstance(node.ctx, ast.Load) and not held and _reads_one_of(node.value, self._local):
            asked = [self.visit(node.value), ast.Constant(node.attr)]
            return ast.Call(ast.Name(_ATTRIBUTE, ast.Load()), asked, [])
        return self.generic_visit(node)


def _method(owner: Any, name: str) -> Any:
    if not _offers(owner, name):
        raise TypeError(f"{name} of a {type(owner).__qualname__} may do anything")
    return getattr(owner, name)


def _attribute(owner: Any, name: str) -> Any:
    known = (
        isinstance(owner, enum.Enum)
        or (isinstance(owner, PurePath) and name in _PARTS_OF_PATHS)
        or (is_data(owner) and name in dict(fields_of(owner)))
        or (type(owner) in NAMESPACES and name in vars(owner))
    )
    found = getattr(owner, name) if known else None
    if not known or not is_plain(found):
        raise TypeError(f"{name} of a {type(owner).__qualname__} may be anything")
    return found


_METHOD, _ATTRIBUTE = "__xpm_method", "__xpm_attribute"
#: What guarded expressions call.
GUARDS: Mapping[str, Any] = {_METHOD: _method, _ATTRIBUTE: _attribute}


def is_data(value: Any) -> bool:
    """Tell whether a value is an instance of a class that has nothing but data."""
    return is_data_class(type(value), is_pure)


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
        or numbers.is_array(value)
        or kind.__module__ in ("typing", "types", "re", "typing_extensions", "xpm_nb.core.fields")
    )


def is_pure(value: Any) -> bool:
    """Tell whether a value is a callable without effect whose result its arguments determine."""
    for module_name, names in _PURE.items():
        module = sys.modules.get(module_name)
        if module is not None and any(
            vars(module).get(name, names) is value for name in names.split()
        ):
            return True
    return False
