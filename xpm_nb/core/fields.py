"""Parameters of a config class: from an annotation to a `FieldSpec`, from a class to its `Schema`.

Rule 1: nothing here imports what checks values (`core.types`): a job process reads schemas, but
never checks a value.
Rule 2: an annotation is understood in two steps. That it is a parameter, and which kind, is known
when the first config of a class is made; its type (see `core.forms`) is resolved when it is first
needed, so that classes may refer to classes defined later.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_args, get_origin

from xpm_nb.core import doors
from xpm_nb.core.deprecated import Deprecation
from xpm_nb.core.forms import (
    MISSING,
    Form,
    FormBuilder,
    Hint,
    Refs,
    Scope,
    Unresolved,
    alternatives,
    annotation_text,
    bare,
    mentions_path,
    narrower,
    type_text,
)
from xpm_nb.core.generics import is_generic, meanings
from xpm_nb.core.names import kept, place_text, shorten, site, warn
from xpm_nb.errors import ConfigError, ConfigTypeError

T = TypeVar("T")


class Mark(Hint):
    """What `Param[...]` and its kin leave in an annotation."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return self.kind


class Kind:
    """A kind of parameter, as in ``x: Param[int]``.

    Each use has a mark of its own: `typing` keeps one alias for equal arguments, and takes
    ``int | str`` and ``str | int`` for equal.
    """

    _kind: str

    def __init__(self, kind: str, doc: str) -> None:
        self._kind, self.__doc__ = kind, doc

    def __getitem__(self, annotation: Any) -> Any:
        return Annotated[annotation, Mark(self._kind)]

    def __repr__(self) -> str:
        return f"xpm_nb.{'SubParam' if self._kind == 'subparam' else self._kind.capitalize()}"


if TYPE_CHECKING:
    Param = Annotated[T, "param"]
    Meta = Annotated[T, "meta"]
    Constant = Annotated[T, "constant"]
    SubParam = Annotated[T, "subparam"]
else:
    Param = Kind("param", "``x: Param[int]``: a parameter, part of the identifier.")
    Meta = Kind("meta", "``x: Meta[int]``: a parameter that is left out of the identifier.")
    Constant = Kind("constant", "``x: Constant[int] = 1``: fixed, always part of the identifier.")
    SubParam = Kind("subparam", "``x: SubParam[int]``: one that the main identifier leaves out.")
DataPath = Annotated[Path, Mark("datapath")]
"""``x: DataPath``: a path, left out of the identifier, whose content goes along when saved."""

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


def _groups(where: str, groups: Iterable[Group] | None) -> frozenset[Group]:
    given = [groups] if isinstance(groups, (Group, FieldOptions, str)) else list(groups or ())
    for one in given:
        if not isinstance(one, Group):
            # In a class's body, a parameter of the group's name stands before the group.
            hint = " (a parameter of the class has that name)" * isinstance(one, FieldOptions)
            raise ConfigTypeError(
                f"{where} takes groups made by param_group, not a {type(one).__qualname__}{hint}"
                f" ({place_text()})"
            )
    return frozenset(given)


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

    def __repr__(self) -> str:
        return f"<partial {self.name or '(of no class yet)'}>"

    def keeps(self, spec: FieldSpec) -> bool:
        """Tell whether a parameter stays part of the partial identifier."""
        groups = spec.groups | {_SUB} if spec.sub else spec.groups
        if groups & self.include:
            return True
        if self.all:
            return False
        if not groups:
            return not self.no_group
        return not groups & self.exclude


_SUB = Group("\0sub")  # of all sub-parameters
MAIN = Partial(frozenset({_SUB}), frozenset(), no_group=False, everything=False)
"""Leaves sub-parameters out: the partial ``main`` of each class that has some."""
MAIN.name = "main"


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

    Raises
    ------
    ConfigTypeError
        If something is given as a group that is none.

    Examples
    --------
    >>> training = param_group("training")
    >>> class Learn(Task):  # doctest: +SKIP
    ...     lr: Param[float]
    ...     epochs: Param[int] = field(groups=[training])
    ...     model = partial(exclude_groups=[training])
    ...     weights: Meta[Path] = field(default_factory=PathGenerator("w.pt", partial=model))
    """
    return Partial(
        _groups("partial(exclude_groups=…)", exclude_groups),
        _groups("partial(include_groups=…)", include_groups),
        exclude_no_group,
        exclude_all,
    )


class PathGenerator(Hint):
    """A path that is generated: ``field(default_factory=PathGenerator("model.pt"))``.

    The path lies in the job's directory. It is known once the task is submitted (or sealed with a
    `DirectoryContext`), and can only be read.

    Parameters
    ----------
    name : str
        Relative path of the file or folder. The empty string stands for the directory itself.
    partial : optional
        A `partial` of the class: the path lies in a directory that all tasks share whose partial
        identifier is the same. No two of them run at once.
    """

    __slots__ = ("name", "partial")

    def __init__(self, name: str = "", *, partial: Partial | None = None) -> None:
        if not isinstance(name, str):
            raise ConfigTypeError(f"PathGenerator(): a name is a text, not {name!r}")
        if partial is not None and not isinstance(partial, Partial):
            example = partial if isinstance(partial, str) and partial.isidentifier() else "model"
            raise ConfigTypeError(
                f"PathGenerator({name!r}, partial={partial!r}): a partial of the class is needed: "
                f"`{example} = partial(exclude_groups=[…])` above, and partial={example} without "
                "quotes here"
            )
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise ConfigError(f"PathGenerator({name!r}): a relative path without '..' is needed")
        self.name = name
        self.partial = partial

    def __repr__(self) -> str:
        return f"PathGenerator({self.name!r})"


def pathgenerator(name: str) -> PathGenerator:
    """Give the older spelling: ``Annotated[Path, pathgenerator("f")]``."""
    return PathGenerator(name)


MAX_CHOICES = 12  # that a help text lists


class Choices(Hint):
    """A hint, ``Param[Annotated[str, Choices(["a", "b"])]]``: the only values allowed."""

    __slots__ = ("values",)

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)


class Help(Hint):
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
        If both a default and a factory are given, or something as a group that is none.
    """
    if default is not MISSING and default_factory is not None:
        raise ConfigTypeError("field(): give either default= or default_factory=, not both")
    options = FieldOptions()
    options.default, options.factory = default, default_factory
    options.ignore_default, options.overrides = ignore_default, overrides
    options.groups, options.help = _groups("field(groups=…)", groups), help
    return options


class FieldSpec:
    """One parameter of a config class, as declared.

    Attributes
    ----------
    name, kind : str
        Kind is "param", "meta", "constant" or "datapath".
    sub : bool
        It is a parameter that the main identifier leaves out (``SubParam``).
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
        "generic",
        "groups",
        "help",
        "ignore_default",
        "kind",
        "meta",
        "name",
        "owner",
        "prefix",
        "sub",
        "within",
    )

    def __init__(self, name: str, kind: str, owner: type, annotation: Any) -> None:
        self.sub = kind == "subparam"
        self.name, self.owner, self.annotation = name, owner, annotation
        self.kind = kind = "param" if self.sub else kind
        self.meta = kind in ("meta", "datapath")
        self.default: Any = MISSING
        self.factory: Callable[[], Any] | None = None
        self.generator: PathGenerator | None = None
        self.ignore_default = False
        self.groups: frozenset[Group] = frozenset()
        self.help = ""
        self.choices: tuple[Any, ...] | None = None
        self.within = owner  # the class whose parameter it is: it may say what variables are
        self.generic = False  # once resolved: its type has variables, or arguments
        self.exact: type | None = None  # values of exactly this type need no check
        self.converter: Callable[[Any], Any] | None = None  # made by config at the first check
        raw = name.encode()
        self.prefix = b"\x03" + raw + b"\x05"  # what the identifier says before the value
        self._form: Form | None = None
        self._refs: Refs = []
        self._path = False
        self._text = ""

    def __repr__(self) -> str:
        return f"<{self.owner.__qualname__}.{self.name}: {self.kind} {self.type_text}>"

    def copy(self) -> FieldSpec:
        """Give the same declaration, with nothing resolved."""
        new = FieldSpec(self.name, self.kind, self.owner, self.annotation)
        for slot in ("default", "factory", "generator", "ignore_default", "groups", "help"):
            setattr(new, slot, getattr(self, slot))
        new.choices, new.within, new.sub = self.choices, self.within, self.sub
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
        return type_text(form) if form is not None else annotation_text(self.annotation)

    @property
    def values_text(self) -> str:
        """The type, or the only values allowed, as numpy's documentation writes them."""
        if self.choices is None:
            return self.type_text
        some = [*map(shorten, self.choices[:MAX_CHOICES])]
        more = ["…"] if len(self.choices) > MAX_CHOICES else []
        return f"{{{', '.join([*some, *more])}}}"

    @property
    def help_text(self) -> str:
        """The help text.

        Declared, or the string literal after the field, or in the "Attributes" section of the
        class's docstring.
        """
        return self.help or _texts(self.owner).get(self.name, "")

    def _try_form(self) -> Form | None:
        try:
            return self.form
        except Unresolved:
            return None

    def _resolve(self) -> Form:
        refs: Refs = []
        variables = meanings(self.within, self.owner) if self.within is not self.owner else None
        form = FormBuilder(self.owner, self.name, refs, variables).build(self.annotation)
        self.generic = is_generic(form)
        alone = [part for part in alternatives(form) if part != ("none",)]
        self._path = bool(alone) and all(bare(part) == ("path",) for part in alone)
        if not self.meta and not self._path and mentions_path(form):
            raise ConfigTypeError(
                f"{self.owner.__qualname__}.{self.name}: a Path inside {type_text(form)} would be"
                " part of the identifier, and paths never are; declare it Meta[...]"
            )
        self._form, self._refs = form, refs
        self.converter = None
        self.exact = None
        if form[0] == "scalar" and self.choices is None:
            self.exact = form[1]
        return form


def _texts(cls: type) -> dict[str, str]:
    memory = kept(cls)
    if memory.texts is None:
        memory.texts = {**attribute_help(cls), **doors.literals(cls)}
    return memory.texts


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


class Schema:
    """All parameters of a class, those of its parents first.

    Attributes
    ----------
    fields : dict
        From name to `FieldSpec`, in order of declaration.
    ordered : tuple of FieldSpec
        In order of name, without generated paths: the order of the identifier.
    deprecated : Deprecation or None
        What the class stands for.
    converts : bool
        Its configurations have the identifier of what they convert to.
    """

    __slots__ = (
        *("checked", "cls", "converts", "deprecated"),
        *("fields", "generated", "made", "ordered", "plain"),
    )

    def __init__(self, cls: type, fields: dict[str, FieldSpec]) -> None:
        self.cls, self.fields = cls, fields
        self.deprecated: Deprecation | None = vars(cls).get("__xpm_deprecated__")
        self.converts = self.deprecated is not None and hasattr(cls, "__convert__")
        self.checked = False
        self.plain: dict[str, Any] = {}  # defaults that can be shared between configs
        self.made: tuple[FieldSpec, ...] = ()  # those made anew for each config
        self.generated = tuple(spec for spec in fields.values() if spec.generator is not None)
        self.ordered = tuple(fields[n] for n in sorted(fields) if fields[n].generator is None)

    def partials(self) -> dict[str, Partial]:
        """Give the partial identifiers declared by the class and its parents.

        The first is that of the main directory: ``main``, if there are sub-parameters.
        """
        found: dict[str, Partial] = {}
        if any(spec.sub for spec in self.fields.values()):
            found[MAIN.name] = MAIN
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
    found = vars(cls).get("__xpm_schema__")  # of a K.C
    if found is None:
        memory = kept(cls)
        found = memory.schema
        if found is None:
            found = memory.schema = _read_schema(cls)
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
                spec.within = cls
                _place_in(fields, spec, _class_values(base).get(name, MISSING))
        _redefault(fields, base, own)
    if hasattr(cls, "__getattr__"):
        _clear_defaults(cls, fields)
    return Schema(cls, fields)


def _class_values(base: type) -> dict[str, Any]:
    """Give the attributes of a class, with the defaults that were taken off it."""
    return {**vars(base), **vars(base).get("__xpm_defaults__", {})}


def _clear_defaults(cls: type, fields: Mapping[str, FieldSpec]) -> None:
    """Take defaults off a class whose instances find values by ``__getattr__``.

    (As those of nn.Module find sub-modules: a default on the class would stand before them.)
    """
    for base in cls.__mro__:
        if hasattr(base, "__xpm_config__") and "__xpm_config__" not in vars(base):
            taken = {name: vars(base)[name] for name in fields if name in vars(base)}
            if taken:
                before = vars(base).get("__xpm_defaults__", {})
                type.__setattr__(base, "__xpm_defaults__", {**before, **taken})
                for name in taken:
                    type.__delattr__(base, name)


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


def forgotten(cls: type, name: str) -> str:
    """Say how to make a parameter of something in a class that was perhaps meant as one."""
    for base in cls.__mro__:
        own = _own_annotations(base)
        if name in own:
            text = annotation_text(own[name])
            return f"`{name}: {text}` is a plain annotation: write `{name}: Param[{text}]`"
        value = vars(base).get(name)
        if isinstance(value, Kind) or _looks_like_parameter(value):
            return f"`{name} = Param[…]` is no annotation: write `{name}: Param[…]`"
    return ""


def _read_field(base: type, name: str, annotation: Any) -> FieldSpec | None:
    text = annotation if isinstance(annotation, str) else None
    if text is not None:
        try:
            while isinstance(annotation, str):  # twice: quotes under the future import
                annotation = Scope(base, None).evaluate(annotation)
        except (AttributeError, TypeError, SyntaxError, Unresolved) as error:
            if hasattr(base, "__xpm_config__") and _SPELLED.search(text):
                raise ConfigTypeError(_not_understood(base, name, text, error)) from None
            return None  # none of our business
    if isinstance(annotation, Kind):
        raise ConfigTypeError(f"{base.__qualname__}.{name}: write the type too: Param[int]")
    if get_origin(annotation) is not Annotated:
        return None
    inner, *hints = get_args(annotation)
    marks = [hint for hint in hints if isinstance(hint, Mark)]
    if not marks and not any(isinstance(hint, Hint) or _constrains(hint) for hint in hints):
        return None
    generated = any(isinstance(hint, PathGenerator) for hint in hints)
    kind = marks[-1].kind if marks else "meta" if generated else "param"
    others = [hint for hint in hints if not isinstance(hint, Hint)]
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


def _constrains(hint: Any) -> bool:
    """Tell whether a hint is a ``pydantic.Field``, without importing pydantic."""
    return type(hint).__module__ == "pydantic.fields"


def _not_understood(base: type, name: str, text: str, error: Exception) -> str:
    why = f"{text} cannot be understood: {error}"
    if isinstance(error, Unresolved):
        why = f"name {error.args[0]!r} is not defined, in {text}"
    where = site(base)
    place = "" if where is None else f" ({place_text((where.filename, where.lineno))})"
    return f"{base.__qualname__}.{name}: {why}{place}"


def local_names(cls: type, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the names in a class's annotations mean in the function that defines it."""
    text = " ".join(a for a in _own_annotations(cls).values() if isinstance(a, str))
    return {name: scope[name] for name in set(re.findall(r"\w+", text)) if name in scope}


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
        warn(
            f"{where} replaces the parameter of {old.owner.__qualname__}; if that is meant, write"
            " field(overrides=True)"
        )


def _redefault(fields: dict[str, FieldSpec], base: type, own: dict[str, Any]) -> None:
    """Let ``lr = 0.1`` in a subclass, without annotation, change a parent's default."""
    for name, value in _class_values(base).items():
        old = fields.get(name)
        if old is None or name in own or old.owner is base:
            continue
        if callable(value) or hasattr(type(value), "__get__"):
            raise ConfigTypeError(
                f"{base.__qualname__}.{name}: {name} is a parameter of {old.owner.__qualname__},"
                " and cannot become a method or a property"
            )
        spec = old.copy()
        spec.default, spec.factory, spec.ignore_default = value, None, True
        if isinstance(value, FieldOptions):
            spec.default = MISSING
            _place_in({}, spec, value)
        fields[name] = spec
