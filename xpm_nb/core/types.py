"""From a form (see `core.fields`) to a function that checks and converts a value.

Imported when the first value that needs it is checked; `pydantic_core` lives behind this module,
and `pydantic` itself is imported only for a type with `pydantic.Field` constraints.

What is accepted, and what comes of it, is a table in ``tests/core/test_types.py``. Plain lax
mode would take tuples as lists, lists as sets, bytes as numbers: containers are strict here, their
elements are converted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from xpm_nb.core.forms import repr_of, shorten

Form = tuple[Any, ...]
Accept = Callable[[type, Any], Any]
"""Takes a config class and a value; gives the value, or raises a ValueError that says why not."""

_BRANCH = "\0"  # marks the label of a union's branch in the location of an error


class Mismatch(Exception):
    """A value does not fit a type.

    Attributes
    ----------
    path : str
        Where inside the value: "" or ``[2]``, ``['key'][0]``.
    value : Any
        The part that does not fit.
    why : str
        The reason.
    """

    def __init__(self, path: str, value: Any, why: str) -> None:
        super().__init__(path, value, why)
        self.path, self.value, self.why = path, value, why


def converter(
    form: Form, accept: Accept, choices: Sequence[Any] | None = None
) -> Callable[[Any], Any]:
    """Make the function that checks and converts values of a type.

    Parameters
    ----------
    form : tuple
        The type.
    accept : callable
        Judges configurations.
    choices : sequence, optional
        The only values allowed.

    Returns
    -------
    callable
        Takes a value and gives the converted one; raises `Mismatch`.
    """
    validate = SchemaValidator(_schema(form, accept)).validate_python

    def convert(value: Any) -> Any:
        try:
            result = validate(value)
        except ValidationError as error:
            raise _mismatch(error, value) from None
        if choices is not None and not any(
            type(choice) is type(result) and choice == result for choice in choices
        ):
            raise Mismatch("", value, f"it is not one of {', '.join(map(repr_of, choices))}")
        return result

    return convert


def _schema(form: Form, accept: Accept) -> CoreSchema:
    word = form[0]
    if word == "any":
        return cs.no_info_plain_validator_function(_any)
    if word == "none":
        return cs.none_schema()
    if word == "scalar":
        return _SCALARS[form[1]]
    if word == "path":
        return cs.no_info_plain_validator_function(_path)
    if word == "enum":
        return cs.no_info_plain_validator_function(_member(form[1]))
    if word == "config":
        return cs.no_info_plain_validator_function(_config(form[1], accept))
    if word == "literal":
        return _literal(form[1])
    if word == "typevar":
        return _schema(form[1], accept)
    if word == "constrained":
        return cs.chain_schema([_schema(form[1], accept), _constraints(form[2])])
    if word == "union":
        return _union(form[1], accept)
    return _container(word, form, accept)


def _container(word: str, form: Form, accept: Accept) -> CoreSchema:
    if word == "list":
        return cs.list_schema(_schema(form[1], accept), strict=True)
    if word == "set":
        return cs.set_schema(_schema(form[1], accept), strict=True)
    if word == "dict":
        return cs.dict_schema(_schema(form[1], accept), _schema(form[2], accept), strict=True)
    if word == "tuple*":
        items = cs.tuple_schema([_schema(form[1], accept)], variadic_item_index=0, strict=True)
    else:
        items = cs.tuple_schema([_schema(part, accept) for part in form[1]], strict=True)
    return cs.no_info_before_validator_function(_list_as_tuple, items)


def _union(forms: Sequence[Form], accept: Accept) -> CoreSchema:
    others = [form for form in forms if form != ("none",)]
    choices: list[CoreSchema | tuple[CoreSchema, str]] = [
        (_schema(form, accept), _BRANCH) for form in others
    ]
    joined = (
        _schema(others[0], accept)
        if len(others) == 1
        else cs.union_schema(choices, mode="left_to_right")
    )
    return joined if len(others) == len(forms) else cs.nullable_schema(joined)


def _any(value: Any) -> Any:
    """Copy containers, and make plain what would not come back from a file as it is."""
    if isinstance(value, (list, tuple, set)):
        kind = next(kind for kind in (list, tuple, set) if isinstance(value, kind))
        return kind(map(_any, value))
    if isinstance(value, dict):
        return {_any(key): _any(item) for key, item in value.items()}
    if isinstance(value, (int, float, str)) and not isinstance(value, (Enum, bool)):
        plain = next(kind for kind in (int, float, str) if isinstance(value, kind))
        return value if type(value) is plain else _plain(plain, value)
    return value


def _plain(kind: type, value: Any) -> Any:
    return str.__str__(value) if kind is str else kind(value)


def _list_as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _int(value: Any) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, (bytes, bytearray)):
        raise PydanticCustomError("bytes", "bytes are not a number")
    if not isinstance(value, (int, float, str)) and hasattr(type(value), "__index__"):
        return operator.index(value)  # numpy's integers
    return value


def _float(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        raise PydanticCustomError("bytes", "bytes are not a number")
    return float(value) if isinstance(value, float) and type(value) is not float else value


def _bool(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        raise PydanticCustomError("bytes", "bytes are not a truth value")
    return value


def _str(value: Any) -> Any:
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)  # a subclass of str would not come back from a file
    return value


_SCALARS: dict[type, CoreSchema] = {
    int: cs.no_info_before_validator_function(_int, cs.int_schema()),
    float: cs.no_info_before_validator_function(_float, cs.float_schema()),
    bool: cs.no_info_before_validator_function(_bool, cs.bool_schema()),
    str: cs.no_info_before_validator_function(_str, cs.str_schema(strict=True)),
}


def _path(value: Any) -> Path:
    if isinstance(value, str):
        value = Path(_str(value))
    elif not isinstance(value, PurePath):
        raise PydanticCustomError("path", "a str or a Path is needed")
    return Path(value).absolute()


def _member(cls: type[Enum]) -> Callable[[Any], Enum]:
    def check(value: Any) -> Enum:
        if isinstance(value, cls):
            return value
        theirs = type(value)
        same = (theirs.__module__, theirs.__qualname__) == (cls.__module__, cls.__qualname__)
        # A member of an earlier definition of the same class, from before its cell was re-run.
        if same and isinstance(value, Enum) and value.name in cls.__members__:
            return cls[value.name]
        names = ", ".join(f"{cls.__name__}.{name}" for name in list(cls.__members__)[:8])
        raise PydanticCustomError("enum", "a member is needed: {names}", {"names": names})

    return check


def _config(cls: type, accept: Accept) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        return accept(cls, value)

    return check


def _literal(values: Sequence[Any]) -> CoreSchema:
    def check(value: Any) -> Any:
        for allowed in values:
            if type(allowed) is type(value) and allowed == value:
                return allowed
        plain = _str(value)
        if type(plain) is str and plain in values:
            return plain
        text = ", ".join(map(repr_of, values))
        raise PydanticCustomError("literal", "it is not one of {values}", {"values": text})

    return cs.no_info_plain_validator_function(check)


def _constraints(hints: Sequence[Any]) -> CoreSchema:
    from typing import Annotated

    from pydantic import TypeAdapter

    constrained: Any = Any
    for hint in hints:
        constrained = Annotated[constrained, hint]
    return TypeAdapter(constrained).core_schema


def _mismatch(error: ValidationError, value: Any) -> Mismatch:
    problems = error.errors(include_url=False)
    location: list[Any] = []
    for key in problems[0]["loc"]:
        if key == _BRANCH:
            break
        location.append(key)
    inside, steps = value, ""
    for key in location:
        if key == "[key]":  # pydantic's way to say that a key, not a value, is wrong
            inside = location[-2]
            break
        steps += f"[{shorten(key)}]"
        try:
            inside = inside[key]
        except (TypeError, LookupError):
            break
    if len(problems) > 1 and _BRANCH in problems[0]["loc"]:
        return Mismatch(steps, inside, _branches(problems))
    return Mismatch(steps, inside, _sentence(problems[0]))


def _branches(problems: Sequence[Any]) -> str:
    return "; ".join(dict.fromkeys(_sentence(problem) for problem in problems))


def _sentence(problem: Any) -> str:
    inner = problem.get("ctx", {}).get("error")
    if inner is not None:
        return str(inner)
    text = str(problem["msg"])
    return text[:1].lower() + text[1:]
