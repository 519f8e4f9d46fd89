"""Parameters of a config class: from an annotation to a `FieldSpec`, from a class to its `Schema`.

Rule 1: nothing here imports what checks values (`core.types`): a job process reads schemas, but never
checks a value.
Rule 2: an annotation is understood in two steps. That it is a parameter, and which kind, is known when
the first config of a class is made; its type is resolved when it is first needed, so that classes may
refer to classes defined later.
Rule 3: a type is understood once, as a *form*: a small tuple that starts with a word. Checking,
comparing, and showing types all work on forms::

    ("any",) ("none",) ("path",) ("scalar", cls) ("enum", cls) ("config", cls) ("literal", values)
    ("list", form) ("set", form) ("dict", form, form) ("tuple", forms) ("tuple*", form)
    ("union", forms) ("constrained", form, constraints)
"""

from __future__ import annotations

import re
import sys
import types as _types
import warnings
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

from xpm_nb.errors import ConfigError, ConfigTypeError

T = TypeVar("T")
Form = tuple[Any, ...]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Any = _Missing()


class Mark:
    """What `Param[...]` and its kin leave in an annotation."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return self.kind


Param = Annotated[T, Mark("param")]
"""``x: Param[int]``: a parameter, part of the identifier."""
Meta = Annotated[T, Mark("meta")]
"""``x: Meta[int]``: a parameter that is left out of the identifier."""
Constant = Annotated[T, Mark("constant")]
"""``x: Constant[int] = 1``: a fixed value, always part of the identifier (a version number, say)."""
DataPath = Annotated[Path, Mark("datapath")]
"""``x: DataPath``: a path, left out of the identifier, whose content serialization carries along."""

RESERVED = frozenset({"C", "submit", "execute", "task_outputs"})
_SPELLED = re.compile(r"(^|\W)(Param|Meta|Constant|DataPath|SubParam)\b")


class Group:
    """A group of parameters, made by `param_group`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"param_group({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and other.name == self.name

    def __hash__(self) -> int:
        return hash(("xpm-group", self.name))


def param_group(name: str) -> Group:
    """Make a group that parameters join with ``field(groups=[...])``, for `partial` identifiers."""
    return Group(name)


class Partial:
    """A rule that leaves some groups of parameters out of an identifier; made by `partial`."""

    __slots__ = ("all", "exclude", "include", "name", "no_group")

    def __init__(
        self, exclude: frozenset[Group], include: frozenset[Group], no_group: bool, everything: bool
    ) -> None:
        self.exclude, self.include = exclude, include
        self.no_group, self.all = no_group, everything
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def keeps(self, spec: FieldSpec) -> bool:
        """Tell whether a parameter stays part of the partial identifier."""
        groups = spec.groups
        if groups & self.include:
            return True
        if self.all:
            return False
        if not groups:
            return not self.no_group
        return not groups & self.exclude


def partial(
    *,
    exclude_groups: Iterable[Group] | None = None,
    include_groups: Iterable[Group] | None = None,
    exclude_no_group: bool = False,
    exclude_all: bool = False,
) -> Partial:
    """Declare, as an attribute of a class, an identifier that some groups do not change.

    Parameters
    ----------
    exclude_groups, include_groups : iterable of groups, optional
        Groups left out; groups kept whatever the rest says.
    exclude_no_group : bool
        Leave out parameters that are in no group.
    exclude_all : bool
        Leave out everything but `include_groups`.
    """
    return Partial(
        frozenset(exclude_groups or ()),
        frozenset(include_groups or ()),
        exclude_no_group,
        exclude_all,
    )


class PathGenerator:
    """A path that is generated: ``field(default_factory=PathGenerator("model.pt"))``.

    The path lies in the job's directory. It is known once the task is submitted (or sealed with a
    `DirectoryContext`), and can only be read.

    Parameters
    ----------
    name : str
        Relative path of the file or folder. The empty string stands for the directory itself.
    """

    __slots__ = ("name", "partial")

    def __init__(self, name: str = "", *, partial: Partial | None = None) -> None:
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise ConfigError(f"PathGenerator({name!r}): a relative path without '..' is needed")
        self.name = name
        self.partial = partial

    def __repr__(self) -> str:
        return f"PathGenerator({self.name!r})"


def pathgenerator(name: str) -> PathGenerator:
    """Give the older spelling: ``Annotated[Path, pathgenerator("f")]``."""
    return PathGenerator(name)


class Choices:
    """A hint, ``Param[Annotated[str, Choices(["a", "b"])]]``: the only values allowed."""

    __slots__ = ("values",)

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)


class Help:
    """A help text in an annotation; made by `help`."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def help(text: str) -> Help:
    """Give a parameter a help text: ``Annotated[int, help("how many layers")]``."""
    return Help(text)


class FieldOptions:
    """What `field(...)` was told."""

    __slots__ = ("default", "factory", "groups", "help", "ignore_default", "overrides")

    def __init__(self) -> None:
        self.default: Any = MISSING
        self.factory: Callable[[], Any] | PathGenerator | None = None
        self.ignore_default = False
        self.groups: frozenset[Group] = frozenset()
        self.overrides = False
        self.help = ""


def field(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | PathGenerator | None = None,
    ignore_default: bool = False,
    groups: Sequence[Group] = (),
    overrides: bool = False,
    help: str = "",
) -> Any:
    """Say more about a parameter than its annotation does.

    Parameters
    ----------
    default : Any
        The default value. It is part of the identifier unless `ignore_default` is set.
    default_factory : callable or PathGenerator, optional
        Called with no argument for each config (for a `Meta`, when the config is sealed).
    ignore_default : bool
        Leave a value equal to the default out of the identifier, so that a parameter can be added
        later without moving old results. A bare default, ``x: Param[int] = 3``, does this too.
    groups : sequence of groups
        Groups of this parameter, see `partial`.
    overrides : bool
        The parameter replaces one of a parent class on purpose.
    help : str
        Help text.

    Raises
    ------
    ConfigTypeError
        If both a default and a factory are given.
    """
    if default is not MISSING and default_factory is not None:
        raise ConfigTypeError("field(): give either default= or default_factory=, not both")
    options = FieldOptions()
    options.default, options.factory = default, default_factory
    options.ignore_default, options.overrides = ignore_default, overrides
    options.groups, options.help = frozenset(groups), help
    return options


class Unresolved(Exception):
    """A name in an annotation that is not defined (yet)."""


class FieldSpec:
    """One parameter of a config class, as declared.

    Attributes
    ----------
    name, kind : str
        Kind is "param", "meta", "constant" or "datapath".
    owner : type
        The class whose body declares it.
    default : Any
        `MISSING` when there is none.
    generator : PathGenerator or None
        How its path is generated, if it is.
    """

    __slots__ = (
        "_form",
        "_path",
        "_refs",
        "_text",
        "annotation",
        "choices",
        "converter",
        "default",
        "exact",
        "factory",
        "generator",
        "groups",
        "help",
        "ignore_default",
        "kind",
        "meta",
        "name",
        "owner",
        "prefix",
    )

    def __init__(self, name: str, kind: str, owner: type, annotation: Any) -> None:
        self.name, self.kind, self.owner, self.annotation = name, kind, owner, annotation
        self.meta = kind in ("meta", "datapath")
        self.default: Any = MISSING
        self.factory: Callable[[], Any] | None = None
        self.generator: PathGenerator | None = None
        self.ignore_default = False
        self.groups: frozenset[Group] = frozenset()
        self.help = ""
        self.choices: tuple[Any, ...] | None = None
        self.exact: type | None = None  # values of exactly this type need no check
        self.converter: Callable[[Any], Any] | None = None  # made by config at the first check
        raw = name.encode()
        self.prefix = b"\x03" + raw + b"\x05"  # what the identifier says before the value
        self._form: Form | None = None
        self._refs: list[tuple[dict[str, Any], str, Any]] = []
        self._path = False
        self._text = ""

    def __repr__(self) -> str:
        return f"<{self.owner.__qualname__}.{self.name}: {self.kind} {self.type_text}>"

    def copy(self) -> FieldSpec:
        """Give the same declaration, with nothing resolved."""
        new = FieldSpec(self.name, self.kind, self.owner, self.annotation)
        for slot in ("default", "factory", "generator", "ignore_default", "groups", "help"):
            setattr(new, slot, getattr(self, slot))
        new.choices = self.choices
        return new

    @property
    def required(self) -> bool:
        """No default of any sort."""
        return not self.has_default and self.generator is None and not self.optional

    @property
    def form(self) -> Form:
        """The resolved type (see Rule 3); raises `Unresolved` for a name not defined yet."""
        form = self._form
        if form is None or any(names.get(key) is not value for names, key, value in self._refs):
            form = self._resolve()
        return form

    @property
    def optional(self) -> bool:
        """None is allowed (``T | None``)."""
        form = self._form or self._try_form()
        return form is not None and ("none",) in alternatives(form)

    @property
    def is_path(self) -> bool:
        """The type is a path, or an optional one: never part of an identifier."""
        form = self._form or self._try_form()
        return form is not None and self._path

    @property
    def unhashed(self) -> bool:
        """Left out of the identifier, save for a config that `setmeta` puts back."""
        return self.meta or self.is_path

    @property
    def has_default(self) -> bool:
        """A default or a factory was declared."""
        return self.default is not MISSING or self.factory is not None

    @property
    def type_text(self) -> str:
        """The type as a person would write it."""
        form = self._try_form()
        return type_text(form) if form is not None else _annotation_text(self.annotation)

    @property
    def help_text(self) -> str:
        """The help text: declared, or from the "Attributes" section of the class's docstring."""
        return self.help or attribute_help(self.owner).get(self.name, "")

    def _try_form(self) -> Form | None:
        try:
            return self.form
        except Unresolved:
            return None

    def _resolve(self) -> Form:
        refs: list[tuple[dict[str, Any], str, Any]] = []
        form = _FormBuilder(self.owner, self.name, refs).build(self.annotation)
        alone = [part for part in alternatives(form) if part != ("none",)]
        self._path = bool(alone) and all(bare(part) == ("path",) for part in alone)
        if not self.meta and not self._path and _mentions_path(form):
            raise ConfigTypeError(
                f"{self.owner.__qualname__}.{self.name}: a Path inside {type_text(form)} would be part"
                f" of the identifier, and paths never are; declare it Meta[...]"
            )
        self._form, self._refs = form, refs
        self.converter = None
        self.exact = None
        if form[0] == "scalar" and self.choices is None:
            self.exact = form[1]
        return form


def alternatives(form: Form) -> tuple[Form, ...]:
    """Give the parts of a union, or the form alone."""
    inner = bare(form)
    return inner[1] if inner[0] == "union" else (inner,)


def bare(form: Form) -> Form:
    """Give a form without its constraints."""
    while form[0] == "constrained":
        form = form[1]
    return form


def parts(form: Form) -> tuple[Form, ...]:
    """Give the forms directly inside a form."""
    word = form[0]
    if word in ("list", "set", "tuple*", "constrained"):
        return (form[1],)
    if word == "dict":
        return (form[1], form[2])
    if word in ("tuple", "union"):
        return cast("tuple[Form, ...]", form[1])
    return ()


def _mentions_path(form: Form) -> bool:
    return form == ("path",) or any(_mentions_path(part) for part in parts(form))


def type_text(form: Form) -> str:
    """Write a form as a person would write the type."""
    word = form[0]
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
    """Give a form in which classes stand by name, so that two definitions of one can be compared."""
    word = form[0]
    if word == "config":
        return (word, form[1].__module__, form[1].__qualname__)
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


_SECTION = re.compile(r"^\s*Attributes:?\s*$(?:\n\s*-+\s*$)?", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^(\s*)(\w+)\s*(?:\([^)]*\))?\s*:(.*)$")


def attribute_help(cls: type) -> dict[str, str]:
    """Read the "Attributes" section of a docstring, in Google's or numpy's manner."""
    found: dict[str, str] = {}
    section = _SECTION.search(cls.__doc__ or "")
    if section is None:
        return found
    numpy = "-" in section.group()
    name, indent = "", -1
    for line in (cls.__doc__ or "")[section.end() :].splitlines():
        entry = _ATTRIBUTE.match(line)
        if not line.strip():
            continue
        if entry and (indent < 0 or len(entry[1]) == indent):
            indent, name = len(entry[1]), entry[2]
            found[name] = "" if numpy else entry[3].strip()
        elif name and len(line) - len(line.lstrip()) > indent:
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            break
    return found


def _annotation_text(annotation: Any) -> str:
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


class _Scope:
    """Where the names of an annotation of a class are looked up."""

    def __init__(self, owner: type, refs: list[tuple[dict[str, Any], str, Any]] | None) -> None:
        self.owner, self.refs = owner, refs
        module = sys.modules.get(owner.__module__)
        self.globals: dict[str, Any] = vars(module) if module is not None else {}

    def __call__(self, name: str) -> Any:
        if name == self.owner.__name__:
            return self.owner
        if "<locals>" in self.owner.__qualname__:
            sibling = _sibling(self.owner, name)
            if sibling is not None:
                return sibling
        for names in (self.globals, vars(sys.modules["builtins"])):
            if name in names:
                if self.refs is not None and names is self.globals:
                    self.refs.append((names, name, names[name]))
                return names[name]
        return MISSING

    def evaluate(self, text: str) -> Any:
        """Evaluate the text of an annotation; unknown names become forward references."""
        code = compile(text.strip(), f"<annotation of {self.owner.__qualname__}>", "eval")
        # The text is the user's own annotation, as typing.get_type_hints would evaluate it.
        return eval(code, {"__builtins__": {}}, _Names(self))


def _sibling(owner: type, name: str) -> type | None:
    """Find a class defined beside `owner` in a function: its names are out of reach."""
    prefix = owner.__qualname__.rpartition(".")[0]
    found: type | None = None
    base = next(b for b in reversed(owner.__mro__) if "__xpm_config__" in vars(b))
    pending, seen = [base], {base}
    while pending:
        for sub in type.__subclasses__(pending.pop()):
            if sub not in seen:
                seen.add(sub)
                pending.append(sub)
                if sub.__qualname__ == f"{prefix}.{name}" and sub.__module__ == owner.__module__:
                    found = sub
    return found


class _FormBuilder:
    """Turns an annotation into a form, resolving forward references on the way."""

    def __init__(
        self, owner: type, name: str, refs: list[tuple[dict[str, Any], str, Any]] | None = None
    ) -> None:
        self.owner, self.name = owner, name
        self.scope = _Scope(owner, refs)
        self.resolving: set[str] = set()

    def build(self, t: Any) -> Form:
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
        if t.__constraints__:
            return ("union", tuple(self.build(part) for part in t.__constraints__))
        return self.build(t.__bound__) if t.__bound__ is not None else ("any",)

    def _generic(self, t: Any, origin: Any, args: tuple[Any, ...]) -> Form:
        if origin is Annotated:
            inner, *hints = args
            form = self.build(inner)
            extra = tuple(hint for hint in hints if not isinstance(hint, _OWN_HINTS))
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
            return self._class(origin)
        return self._refuse(t)

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
            f"{self.owner.__qualname__}.{self.name}: {_annotation_text(t)} cannot be the type of a"
            " parameter; use numbers, str, Path, enums, lists, sets, dicts, tuples, or a Config"
        )


_OWN_HINTS = (Mark, Choices, Help, PathGenerator)


class Schema:
    """All parameters of a class, those of its parents first.

    Attributes
    ----------
    fields : dict
        From name to `FieldSpec`, in order of declaration.
    ordered : tuple of FieldSpec
        In order of name, without generated paths: the order of the identifier.
    """

    __slots__ = ("checked", "cls", "fields", "generated", "made", "ordered", "plain")

    def __init__(self, cls: type, fields: dict[str, FieldSpec]) -> None:
        self.cls, self.fields = cls, fields
        self.checked = False
        self.plain: dict[str, Any] = {}  # defaults that can be shared between configs
        self.made: tuple[FieldSpec, ...] = ()  # those made anew for each config
        self.generated = tuple(spec for spec in fields.values() if spec.generator is not None)
        self.ordered = tuple(fields[n] for n in sorted(fields) if fields[n].generator is None)

    def partials(self) -> dict[str, Partial]:
        """Give the partial identifiers declared by the class and its parents."""
        found: dict[str, Partial] = {}
        for base in reversed(self.cls.__mro__):
            found |= {k: v for k, v in vars(base).items() if isinstance(v, Partial)}
        return found


def schema(cls: type) -> Schema:
    """Give the schema of a config class (made on first use, kept with the class).

    Raises
    ------
    ConfigTypeError
        If a declaration cannot be meant (a constant without a value, a reserved name, …).
    """
    found = vars(cls).get("__xpm_schema__")
    if found is None:
        found = _read_schema(cls)
        type.__setattr__(cls, "__xpm_schema__", found)
    return cast("Schema", found)


def _read_schema(cls: type) -> Schema:
    fields: dict[str, FieldSpec] = {}
    for base in reversed(cls.__mro__):
        if base is object or "__xpm_config__" in vars(base):
            continue
        own = _own_annotations(base)
        for name, annotation in own.items():
            spec = _read_field(base, name, annotation)
            if spec is not None:
                _place_in(fields, spec, vars(base).get(name, MISSING))
        _redefault(fields, base, own)
    return Schema(cls, fields)


def _own_annotations(base: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(base, format=annotationlib.Format.FORWARDREF)
    return dict(vars(base).get("__annotations__", {}))


def check_names(cls: type) -> None:
    """Refuse, when a class is defined, parameters whose names are taken.

    Raises
    ------
    ConfigTypeError
        If a parameter has a reserved name.
    """
    for name, annotation in _own_annotations(cls).items():
        taken = name in RESERVED or (name.startswith("__") and name.endswith("__"))
        if taken and _looks_like_parameter(annotation):
            raise ConfigTypeError(
                f"{cls.__qualname__}.{name}: a parameter cannot be called {name!r} (reserved are"
                f" {', '.join(sorted(RESERVED))} and names with double underscores)"
            )


def _looks_like_parameter(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return bool(_SPELLED.search(annotation))
    return any(isinstance(hint, Mark) for hint in getattr(annotation, "__metadata__", ()))


def _read_field(base: type, name: str, annotation: Any) -> FieldSpec | None:
    text = annotation if isinstance(annotation, str) else None
    if text is not None:
        if not _SPELLED.search(text) and "Annotated" not in text:
            return None
        try:
            annotation = _Scope(base, None).evaluate(text)
        except (NameError, AttributeError, TypeError, SyntaxError):
            if hasattr(base, "__xpm_config__"):
                raise
            return None  # an annotation of a foreign base class, none of our business
    if get_origin(annotation) is not Annotated:
        return None
    inner, *hints = get_args(annotation)
    marks = [hint for hint in hints if isinstance(hint, Mark)]
    older = [hint for hint in hints if isinstance(hint, PathGenerator)]
    if not marks and not older:
        return None
    if isinstance(inner, TypeVar) and inner is T:
        raise ConfigTypeError(f"{base.__qualname__}.{name}: write the type too: Param[int]")
    kind = marks[-1].kind if marks else "meta"
    others = [hint for hint in hints if not isinstance(hint, _OWN_HINTS)]
    if others:
        inner = _annotate(inner, others)
    # A text stays a text: names in it may come to mean newer definitions.
    spec = FieldSpec(name, kind, base, inner if text is None else text)
    for hint in hints:
        if isinstance(hint, Help):
            spec.help = hint.text
        elif isinstance(hint, Choices):
            spec.choices = hint.values
        elif isinstance(hint, PathGenerator):
            spec.generator = hint
    return spec


def _annotate(inner: Any, hints: list[Any]) -> Any:
    for hint in hints:
        inner = Annotated[inner, hint]
    return inner


def _place_in(fields: dict[str, FieldSpec], spec: FieldSpec, value: Any) -> None:
    """Put a declaration with its default in the fields, and judge what it overrides."""
    where = f"{spec.owner.__qualname__}.{spec.name}"
    overrides = False
    if isinstance(value, FieldOptions):
        overrides = value.overrides
        spec.ignore_default, spec.groups = value.ignore_default, value.groups
        spec.help = value.help or spec.help
        if isinstance(value.factory, PathGenerator):
            spec.generator = value.factory
        else:
            spec.default, spec.factory = value.default, value.factory
    elif value is not MISSING:
        spec.default, spec.ignore_default = value, True
    if spec.kind == "constant" and spec.default is MISSING and spec.factory is None:
        raise ConfigTypeError(
            f"{where}: a Constant needs a value, as in `{spec.name}: Constant[…] = 1`"
        )
    old = fields.get(spec.name)
    if old is not None and old.owner is not spec.owner:
        _judge_override(old, spec, overrides)
    fields[spec.name] = spec


def _judge_override(old: FieldSpec, new: FieldSpec, wanted: bool) -> None:
    where = f"{new.owner.__qualname__}.{new.name}"
    try:
        fits = narrower(new.form, old.form)
    except Unresolved:
        fits = True
    if not fits:
        raise ConfigTypeError(
            f"{where}: {new.type_text} does not fit {old.owner.__qualname__}.{old.name}, which is"
            f" {old.type_text}"
        )
    if not wanted:
        warnings.warn(
            f"{where} replaces the parameter of {old.owner.__qualname__}; if that is meant, write"
            " field(overrides=True)",
            stacklevel=2,
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


def _redefault(fields: dict[str, FieldSpec], base: type, own: dict[str, Any]) -> None:
    """Let ``lr = 0.1`` in a subclass, without annotation, change a parent's default."""
    for name, value in vars(base).items():
        old = fields.get(name)
        if old is None or name in own or old.owner is base:
            continue
        if callable(value) or hasattr(type(value), "__get__"):
            raise ConfigTypeError(
                f"{base.__qualname__}.{name}: {name} is a parameter of {old.owner.__qualname__}, and"
                " cannot become a method or a property"
            )
        spec = old.copy()
        spec.default, spec.factory, spec.ignore_default = value, None, True
        if isinstance(value, FieldOptions):
            spec.default = MISSING
            _place_in({}, spec, value)
        fields[name] = spec
