"""Types as *forms*: small tuples that start with a word.

An annotation is understood once. Checking, comparing, and showing types all work on its form::

    ("any",) ("none",) ("path",) ("scalar", cls) ("enum", cls) ("config", cls) ("literal", values)
    ("list", form) ("set", form) ("dict", form, form) ("tuple", forms) ("tuple*", form)
    ("union", forms) ("constrained", form, constraints)
    ("typevar", form, variable or form) ("config", cls, forms)           (see `core.generics`)

Names in texts and forward references are looked up when the form is built, in the module of the
class and among what was defined beside it.
"""

from __future__ import annotations

import re
import sys
import types as _types
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, cast, get_args, get_origin

from xpm_nb.errors import ConfigTypeError

Form = tuple[Any, ...]
Refs = list[tuple[dict[str, Any], str, Any]]
"""What names of a text were found to mean: where, the name, the value."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class Hint:
    """What of an annotation's metadata is ours; all else are constraints of the type."""

    __slots__ = ()


class Unresolved(Exception):
    """A name in an annotation that is not defined (yet)."""


def repr_of(value: Any) -> str:
    """Give the repr of a value; integers that Python will not write in decimal are in hex."""
    try:
        return repr(value)
    except ValueError:  # beyond sys.get_int_max_str_digits()
        if isinstance(value, int):
            return hex(value)
    if isinstance(value, dict):
        items = (f"{repr_of(key)}: {repr_of(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, (list, tuple, set, frozenset)):
        brackets = {list: "[]", tuple: "()"}.get(type(value), "{}")
        return f"{brackets[0]}{', '.join(map(repr_of, value))}{brackets[1]}"
    return f"<{type(value).__qualname__}>"


def shorten(value: Any, limit: int = 80) -> str:
    """Give the repr of a value, cut in the middle."""
    text = repr_of(value)
    return text if len(text) <= limit else f"{text[: limit - 20]} … {text[-17:]}"


def alternatives(form: Form) -> tuple[Form, ...]:
    """Give the parts of a union, or the form alone."""
    inner = bare(form)
    return inner[1] if inner[0] == "union" else (inner,)


def bare(form: Form) -> Form:
    """Give a form without its constraints, and a variable as what it is checked as."""
    while form[0] in ("constrained", "typevar"):
        form = form[1]
    return form


def parts(form: Form) -> tuple[Form, ...]:
    """Give the forms directly inside a form."""
    word = form[0]
    if word in ("list", "set", "tuple*", "constrained", "typevar"):
        return (form[1],)
    if word == "dict":
        return (form[1], form[2])
    if word in ("tuple", "union"):
        return cast("tuple[Form, ...]", form[1])
    return ()


def mentions_path(form: Form) -> bool:
    """Tell whether there is a path anywhere in a form."""
    return form == ("path",) or any(mentions_path(part) for part in parts(form))


def type_text(form: Form) -> str:
    """Write a form as a person would write the type."""
    word = form[0]
    if word == "typevar":
        return form[2].__name__ if isinstance(form[2], TypeVar) else type_text(form[2])
    if word == "config" and len(form) == 3:
        return f"{type_text(form[:2])}[{', '.join(map(type_text, form[2]))}]"
    if word in ("scalar", "enum", "config"):
        return str(form[1].__qualname__).rpartition("<locals>.")[2]
    if word in ("any", "none", "path"):
        return {"any": "Any", "none": "None", "path": "Path"}[word]
    if word == "literal":
        return f"Literal[{', '.join(map(repr, form[1]))}]"
    if word == "constrained":
        return type_text(form[1])
    inner = [type_text(part) for part in parts(form)]
    if word == "union":
        return " | ".join(inner)
    if word == "tuple*":
        return f"tuple[{inner[0]}, ...]"
    return f"{word}[{', '.join(inner)}]"


def signature(form: Form) -> Form:
    """Give a form in which classes stand by name, to compare two definitions of one class."""
    word = form[0]
    if word == "config":
        inside = tuple(map(signature, form[2])) if len(form) == 3 else ()
        return (word, form[1].__module__, form[1].__qualname__, *inside)
    if word == "typevar":
        said = form[2].__name__ if isinstance(form[2], TypeVar) else signature(form[2])
        return (word, signature(form[1]), said)
    if word == "enum":
        members = tuple((name, repr(item.value)) for name, item in form[1].__members__.items())
        return (word, form[1].__module__, form[1].__qualname__, members)
    if word == "constrained":
        return (word, signature(form[1]), repr(form[2]))
    if word == "dict":
        return (word, signature(form[1]), signature(form[2]))
    if word in ("tuple", "union"):
        return (word, tuple(signature(part) for part in form[1]))
    if word in ("list", "set", "tuple*"):
        return (word, signature(form[1]))
    return form


def annotation_text(annotation: Any) -> str:
    """Write an annotation that has no form (yet)."""
    if isinstance(annotation, str):
        return annotation
    return getattr(annotation, "__qualname__", None) or repr(annotation)


class _Names(dict[str, Any]):
    """Names for evaluating an annotation: those not defined yet become forward references."""

    def __init__(self, scope: Callable[[str], Any]) -> None:
        super().__init__()
        self.scope = scope

    def __missing__(self, name: str) -> Any:
        value = self.scope(name)
        return ForwardRef(name) if value is MISSING else value


class Scope:
    """Where the names of an annotation of a class are looked up."""

    def __init__(self, owner: type, refs: Refs | None) -> None:
        self.owner, self.refs = owner, refs
        module = sys.modules.get(owner.__module__)
        self.globals: dict[str, Any] = vars(module) if module is not None else {}

    def find(self, name: str) -> Any:
        """Give what a name means, `MISSING` when it is not defined."""
        if name == self.owner.__name__:
            return self.owner
        found = self.globals.get(name, vars(sys.modules["builtins"]).get(name, MISSING))
        if "<locals>" in self.owner.__qualname__:
            noted = vars(self.owner).get("__xpm_locals__", {})
            if name in noted:
                return noted[name]
            if found is MISSING or _users_config(found):
                sibling = _sibling(self.owner, name)
                if sibling is not None:
                    return sibling
        if self.refs is not None and name in self.globals:
            self.refs.append((self.globals, name, found))
        return found

    def evaluate(self, text: str) -> Any:
        """Evaluate the text of an annotation; unknown names become forward references."""
        code = compile(text.strip(), f"<annotation of {self.owner.__qualname__}>", "eval")
        # The text is the user's own annotation, as typing.get_type_hints would evaluate it.
        try:
            return eval(code, {"__builtins__": {}}, _Names(self.find))
        except (AttributeError, TypeError):  # what is not defined has no attribute, takes no [...]
            for name in code.co_names:
                if re.search(rf"(?<![.\w]){name}\b", text) and self.find(name) is MISSING:
                    raise Unresolved(name) from None
            raise


def _users_config(value: Any) -> bool:
    return hasattr(value, "__xpm_config__") and "__xpm_config__" not in vars(value)


def _sibling(owner: type, name: str) -> type | None:
    """Find a class defined beside `owner` in a function: its names are out of reach."""
    prefix = owner.__qualname__.rpartition(".")[0]
    found: type | None = None
    pending = [b for b in reversed(owner.__mro__) if "__xpm_config__" in vars(b)][:1]
    seen = set(pending)
    while pending:
        subclasses: list[type] = type.__subclasses__(pending.pop())
        for sub in subclasses:
            if sub not in seen:
                seen.add(sub)
                pending.append(sub)
                if sub.__qualname__ == f"{prefix}.{name}" and sub.__module__ == owner.__module__:
                    found = sub
    return found


class FormBuilder:
    """Turns an annotation into a form, resolving forward references on the way."""

    def __init__(
        self,
        owner: type,
        name: str,
        refs: Refs | None = None,
        variables: Mapping[Any, Form] | None = None,
    ) -> None:
        self.owner, self.name, self.variables = owner, name, variables or {}
        self.scope = Scope(owner, refs)
        self.resolving: set[str] = set()

    def build(self, t: Any) -> Form:
        """Give the form of an annotation; raises `Unresolved` for a name not defined yet."""
        if isinstance(t, ForwardRef):
            t = t.__forward_arg__
        if isinstance(t, str):
            return self._reference(t)
        if t is None or t is type(None):
            return ("none",)
        if t is Any or t is object:
            return ("any",)
        if isinstance(t, TypeVar):
            return self._type_variable(t)
        origin = get_origin(t)
        if origin is not None:
            return self._generic(t, origin, get_args(t))
        if isinstance(t, type):
            return self._class(t)
        return self._refuse(t)

    def _reference(self, text: str) -> Form:
        if text in self.resolving:
            raise Unresolved(text)
        self.resolving.add(text)
        try:
            found = self.scope.evaluate(text)
            if isinstance(found, ForwardRef) and found.__forward_arg__ == text:
                raise Unresolved(text)
            return self.build(found)
        finally:
            self.resolving.discard(text)

    def _type_variable(self, t: TypeVar) -> Form:
        said: Form | None = self.variables.get(t)
        if said is not None and bare(said)[0] in ("path", "config"):
            return said  # such a value stays what it is when it is checked
        form: Form = ("any",)
        if t.__constraints__:
            form = ("union", tuple(self.build(part) for part in t.__constraints__))
        elif t.__bound__ is not None:
            form = self.build(t.__bound__)
        return ("typevar", form, t if said is None else said)

    def _generic(self, t: Any, origin: Any, args: tuple[Any, ...]) -> Form:
        if origin is Annotated:
            inner, *hints = args
            form = self.build(inner)
            extra = tuple(hint for hint in hints if not isinstance(hint, Hint))
            return ("constrained", form, extra) if extra else form
        if origin is Union or origin is _types.UnionType:
            flat: list[Form] = []
            for part in map(self.build, args):
                flat += part[1] if part[0] == "union" else (part,)
            return ("union", tuple(dict.fromkeys(flat)))
        if origin is Literal:
            return ("literal", args)
        if origin in (list, set):
            return (origin.__name__, self.build(args[0]))
        if origin is dict:
            return ("dict", self.build(args[0]), self.build(args[1]))
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return ("tuple*", self.build(args[0]))
            return ("tuple", tuple(map(self.build, args)))
        if isinstance(origin, type):
            form = self._class(origin)
            return (*form, tuple(map(self._argument, args))) if form[0] == "config" else form
        return self._refuse(t)

    def _argument(self, t: Any) -> Form:
        try:
            return self.build(t)
        except (ConfigTypeError, Unresolved):  # no type of a parameter: an array, a protocol
            return ("any",)

    def _class(self, t: type) -> Form:
        if t in (bool, int, float, str):
            return ("scalar", t)
        if t in (list, set):
            return (t.__name__, ("any",))
        if t is dict:
            return ("dict", ("any",), ("any",))
        if t is tuple:
            return ("tuple*", ("any",))
        if issubclass(t, PurePath):
            return ("path",)
        if issubclass(t, Enum):
            return ("enum", t)
        declared = getattr(t, "__xpm_class__", None)  # Param[Model.C] means Param[Model]
        if declared is not None:
            return ("config", declared)
        if hasattr(t, "__xpm_config__"):
            return ("config", t)
        return self._refuse(t)

    def _refuse(self, t: Any) -> Form:
        raise ConfigTypeError(
            f"{self.owner.__qualname__}.{self.name}: {annotation_text(t)} cannot be the type of a"
            " parameter; use numbers, str, Path, enums, lists, sets, dicts, tuples, or a Config"
        )


def narrower(new: Form, old: Form) -> bool:
    """Tell whether every value of `new` is a value of `old`."""
    new, old = bare(new), bare(old)
    if old == ("any",) or new == old:
        return True
    if new[0] == "union":
        return all(narrower(part, old) for part in new[1])
    if old[0] == "union":
        return any(narrower(new, part) for part in old[1])
    if new[0] == "literal":
        return all(old == ("scalar", type(value)) for value in new[1])
    if new[0] != old[0]:
        return False
    if new[0] in ("config", "enum"):
        return issubclass(new[1], old[1]) or signature(new) == signature(old)
    mine, theirs = parts(new), parts(old)
    return bool(mine) and len(mine) == len(theirs) and all(map(narrower, mine, theirs))
