"""One configuration from the inside: its values, how they are checked, and what it was marked with.

A configuration keeps everything in one `ConfigInfo`, reached as ``config.__xpm__``: the library
uses that, never the public accessors of a user's object, which the user's own parameters may hide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from xpm_nb.core import doors, generics
from xpm_nb.core.deprecated import old_name
from xpm_nb.core.fields import FieldSpec, Partial, Schema, forgotten
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.forms import MISSING, Form, Unresolved, alternatives, signature
from xpm_nb.core.forms import bare as bare_form
from xpm_nb.core.identifier import HASHING, SCALARS, Identifier, digest_of
from xpm_nb.core.names import place_text, plain_name, repr_of, shorten, site, type_name, warn
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError, UnsetError, XpmError

MUTABLE = frozenset({list, set, dict})
DEEPEST = 1000
"""Containers, one in another, beyond which a value is taken for endless."""

_double = struct.Struct("!d").pack


class Tagged:
    """A value with a tag, made by ``tag(value)``."""

    __slots__ = ("place", "value")

    def __init__(self, value: Any, place: tuple[str, int]) -> None:
        self.value, self.place = value, place

    def __repr__(self) -> str:
        return f"tag({repr_of(self.value)})"


class Untagged:
    """A value whose tags go no further, made by ``stop_tags(value)``."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"stop_tags({repr_of(self.value)})"


class _Epoch:
    """Counts the marks put on sealed configs: each makes the digests kept so far doubtful."""

    now = 0


class ConfigInfo:
    """What a configuration knows about itself.

    Attributes
    ----------
    config, cls : object, type
        The configuration and the user's class.
    values : dict
        From parameter to value, all converted. Generated paths appear when they are known.
    meta : bool or None
        What `setmeta` said.
    task : config or None
        The task it is an output of; a submitted task is its own.
    early : bool
        It was reported while its task runs: nobody has to wait for the task to end.
    job : object or None
        The engine's job of a submitted task.
    later : list of callables
        What is to be done with the job, once there is one.
    init_tasks : tuple of configs
        Set before a submission is sealed.
    sealed : bool
        Nothing can be set any more.
    own_tags : dict
        Tags put on this configuration: from name to value and place.
    untagged : frozenset
        Parameters through which no tags come up, see `stop_tags`.
    root : PurePath or None
        Directory of the job, of a task whose paths are known.
    added : tuple
        What a task was told to wait for beside what it holds.
    shared : tuple of PurePath
        Directories that a submitted task shares with others.
    place : tuple or None
        File and line where it was made.
    pins, bindings : dict
        What type variables were said to be (``Box[int].C(...)``), and are by the values.
    typename : str
        The type name of one that was read from a file, where nothing says its namespace.
    """

    __slots__ = (
        "_converted",
        "_digests",
        "_epoch",
        "_frozen",
        "added",
        "below",
        "bindings",
        "classes",
        "cls",
        "config",
        "early",
        "init_tasks",
        "job",
        "later",
        "meta",
        "namespace",
        "own_tags",
        "pins",
        "place",
        "root",
        "schema",
        "sealed",
        "shared",
        "task",
        "typename",
        "untagged",
        "values",
        "written",
    )

    def __init__(self, config: Any, schema: Schema, values: dict[str, Any]) -> None:
        self.config, self.schema, self.cls, self.values = config, schema, schema.cls, values
        self.meta: bool | None = None
        self.task: Any = None
        self.early = False
        self.job: Any = None
        self.later: list[Callable[[Any], object]] = []
        self.init_tasks: tuple[Any, ...] = ()
        self.sealed = False
        self.own_tags: dict[str, tuple[Any, tuple[str, int]]] = {}
        self.untagged: frozenset[str] = frozenset()
        self.added: tuple[Any, ...] = ()
        self.shared: tuple[PurePath, ...] = ()
        self.root: PurePath | None = None
        self.place: tuple[str, int] | None = None
        self.namespace: str | None = None
        self.typename = ""
        self.pins: generics.Bindings = {}
        self.bindings: generics.Bindings = {}
        # Kept once nothing can change any more, so that a long chain is not looked through anew
        # with each of its links: see `children`, `graph.classes_of`, `serial.dump`.
        self.below: list[ConfigInfo] | None = None
        self.classes: tuple[type, ...] | None = None
        self.written: tuple[Any, dict[str, Any], tuple[str, ...]] | None = None
        self._converted: ConfigInfo | None = None
        self._frozen: bytes | None = None
        self._digests: dict[str | None, bytes] = {}
        self._epoch = 0

    # -- what people and code written for experimaestro ask for

    @property
    def identifier(self) -> Identifier:
        """The identifier in the current experiment's namespace."""
        return Identifier(digest_of(self, doors.submitter.namespace(), node_of))

    def get_partial_identifier(self, partial: Any) -> Identifier:
        """Give the identifier without the parameters that a partial leaves out.

        Parameters
        ----------
        partial : partial or str
            One of the class, or its name; ``"main"`` leaves sub-parameters out.

        Raises
        ------
        ConfigError
            If the class has none of that name.
        """
        if isinstance(partial, str):
            known = self.schema.partials()
            if partial not in known:
                hint = _nearest(partial, known)
                raise ConfigError(f"{self.cls.__qualname__} has no partial {partial!r}; {hint}")
            partial = known[partial]
        return self.partial_identifier(partial, doors.submitter.namespace())

    def partial_identifier(self, partial: Partial, namespace: str | None) -> Identifier:
        """Give the identifier without the parameters that a partial leaves out."""
        namespace = self.namespace or namespace
        return Identifier(digest_of(self, namespace, node_of, keep=partial.keeps))

    @property
    def tags(self) -> dict[str, Any]:
        """Tags put on this configuration itself."""
        return {name: value for name, (value, _place) in self.own_tags.items()}

    @property
    def submitted(self) -> bool:
        """It is a task that was submitted: its identifier is fixed."""
        return self.task is self.config

    @property
    def numbered(self) -> bool:
        """Equal objects are told apart."""
        return hasattr(self.cls, "__xpm_numbered__")

    # -- the protocol of core.identifier

    def producer_node(self) -> ConfigInfo | None:
        """Give the node of the task this is an output of."""
        task = self.standing_for().task if self.schema.converts else self.task
        return None if task is None or task is self.config else info(task)

    def init_nodes(self) -> Sequence[ConfigInfo]:
        """Give the nodes of the init tasks."""
        return [info(task) for task in self.init_tasks]

    def standing_for(self) -> ConfigInfo:
        """Give the node whose identifier this has: its own, or what a deprecated one becomes.

        Raises
        ------
        ConfigError
            If the user's ``__convert__`` fails, or gives something else.
        """
        node = self
        while node.schema.converts:
            found = node._converted
            if found is None:
                found = _converted(node)
                if node.sealed:
                    node._converted = found
            node = found
        return node

    def type_bytes(self, namespace: str | None) -> bytes:
        """Give the type name in UTF-8."""
        return type_name(self.cls, namespace).encode()

    def type_name(self, namespace: str | None) -> str:
        """Give the type name that goes with the identifier: where files of this config lie."""
        return self.typename or type_name(self.cls, self.namespace or namespace)

    def known_digest(self, namespace: str | None) -> bytes | None:
        """Give the digest fixed by a submission, or one kept since it was sealed."""
        if self._frozen is not None and namespace is not HASHING:
            return self._frozen
        return self._digests.get(namespace) if self._epoch == _Epoch.now else None

    def remember(self, namespace: str | None, digest: bytes) -> None:
        """Keep a digest, once sealed."""
        if self.sealed:
            if self._epoch != _Epoch.now:
                self._digests.clear()
                self._epoch = _Epoch.now
            self._digests[namespace] = digest

    def freeze(self, digest: bytes) -> None:
        """Fix the identifier for good: that of a job."""
        self._frozen = digest

    def thaw(self) -> None:
        """Have the identifier computed again: in the experiment where it is asked for."""
        self._frozen, self.typename = None, ""

    def mark(self, task: Any) -> None:
        """Note the task that this is an output of."""
        if self.task is not task:
            self.task = task
            if self.sealed:
                _Epoch.now += 1

    def entries(self, keep: Callable[[Any], bool] | None) -> Iterator[tuple[bytes, str, Any]]:
        """Give the parameters that are part of the identifier."""
        return self.standing_for().own_entries(keep)

    def own_entries(self, keep: Callable[[Any], bool] | None) -> Iterator[tuple[bytes, str, Any]]:
        """Give the parameters that count, also of a configuration that converts to another."""
        values = self.values
        for spec in self.schema.ordered:
            value = values.get(spec.name, MISSING)
            if value is MISSING:
                if spec.factory is None and spec.unhashed:
                    continue
                value = self._unapplied(spec)
            if spec.kind != "constant":
                if keep is not None and not keep(spec):
                    continue
                node = None if type(value) in SCALARS else node_of(value)
                meta = None if node is None else node.meta
                if meta or (meta is None and spec.unhashed):
                    continue
                if value is None and spec.optional and default_of(spec) is None:
                    continue
                if spec.ignore_default and is_default(spec, value):
                    continue
            yield spec.prefix, spec.name, value

    def _unapplied(self, spec: FieldSpec) -> Any:
        """Stand in for a value that is not there yet."""
        if spec.factory is not None:
            return convert(self.cls, spec, spec.factory())
        raise UnsetError(self.unset_message(spec))

    def unset_message(self, spec: FieldSpec) -> str:
        """Say that a parameter has no value."""
        where = f"{self.cls.__qualname__}.{spec.name}"
        made = f" (made at {place_text(self.place)})" if self.place else ""
        if spec.generator is not None:
            return (
                f"{where}: its path is generated when the task is submitted, or when the config is"
                f" sealed with a DirectoryContext{made}"
            )
        if spec.factory is not None:
            return f"{where}: its value is made when the config is sealed{made}"
        return f"{where} has no value: {spec.name}: {spec.type_text} is required{made}"


def _converted(node: ConfigInfo) -> ConfigInfo:
    mark = node.schema.deprecated
    assert mark is not None
    name, target = node.cls.__qualname__, mark.target
    try:
        made = node.config.__convert__()
    except XpmError:
        raise
    except Exception as error:  # a border: the user's code; displays expect ours
        what = f"{type(error).__qualname__}: {error}"
        raise ConfigError(f"{name}.__convert__: {what} ({place_text()})") from error
    found = node_of(made)
    if found is None or plain_name(found.cls) != plain_name(target):
        raise ConfigError(
            f"{name}.__convert__ gave {shorten(made)}, a {target.__qualname__} is needed: write"
            f" `return {target.__qualname__}.C(...)` ({place_text()})"
        )
    return found


TRAVELS = (
    *("values", "meta", "task", "init_tasks", "sealed", "own_tags", "root", "place", "namespace"),
    *("untagged", "_frozen"),
)
"""What a configuration takes along when it is pickled: all but its job, and what is computed."""


def node_of(value: Any) -> ConfigInfo | None:
    """Give the `ConfigInfo` of a configuration, None for any other value."""
    found = getattr(value, "__xpm__", None)
    return found if type(found) is ConfigInfo else None


def is_config(value: Any) -> bool:
    """Tell whether a value is a configuration (made by ``.C``; an instance is not)."""
    return node_of(value) is not None


def info(config: Any) -> ConfigInfo:
    """Give the `ConfigInfo` of a configuration.

    Raises
    ------
    ConfigError
        If it is not a configuration.
    """
    found = node_of(config)
    if found is None:
        cls = config if isinstance(config, type) else type(config)
        name = (
            cls.__qualname__ if hasattr(cls, "__identifier__") else "a class derived from Config: K"
        )
        raise ConfigError(f"{shorten(config)} is no configuration; those are made by {name}.C(...)")
    return found


def declared_class(config: Any) -> type:
    """Give the user's class of a configuration."""
    return info(config).cls


# -- checking values


def convert(cls: type, spec: FieldSpec, value: Any) -> Any:
    """Check a value and convert it to the type of a parameter.

    Raises
    ------
    ConfigError
        Naming class, parameter, value, and the place in the user's code.
    FrozenError
        For None where a value is required, and for an instance where a config is.
    """
    try:
        form = spec.form
    except Unresolved as error:
        raise ConfigError(
            f"{cls.__qualname__}.{spec.name}: name {error.args[0]!r} is not defined, in its"
            f" annotation ({place_text()})"
        ) from None
    if spec.exact is type(value):
        return value
    if value is None and not _takes_none(form):
        raise FrozenError(
            f"{cls.__qualname__}.{spec.name} cannot be None: {spec.type_text} is required;"
            f" write {spec.kind.capitalize()}[{spec.type_text} | None] to allow None"
            f" ({place_text()})"
        )
    if form[0] == "config" and spec.choices is None:
        try:
            return accept(form[1], value)
        except ValueError as error:
            raise _wrong(cls, spec, value, "", value, str(error)) from None
    from xpm_nb.core import types  # a job process never comes here

    if spec.converter is None:
        spec.converter = types.converter(form, accept, spec.choices)
    try:
        return spec.converter(value)
    except types.Mismatch as error:
        raise _wrong(cls, spec, value, error.path, error.value, error.why) from None
    except RecursionError:
        raise endless(cls, spec.name, value) from None


def endless(cls: type, name: str, value: Any) -> ConfigError:
    """Make the error for a container that holds itself, or too many others one in another."""
    what = "holds itself" if _holds_itself(value) else "is nested too deeply"
    return ConfigError(
        f"{cls.__qualname__}.{name}: the {type(value).__qualname__} {what}, and cannot be written"
        f" down (type {plain_name(cls)}, {place_text()})"
    )


def _holds_itself(value: Any) -> bool:
    """Look for a container that is met again on the way down."""
    way: list[tuple[int, Iterator[Any]]] = [(id(value), iter(_items(value)))]
    above = {id(value)}
    done: set[int] = set()
    while way:
        for item in way[-1][1]:
            if id(item) in above:
                return True
            if id(item) not in done and isinstance(item, (list, tuple, dict)):
                above.add(id(item))
                way.append((id(item), iter(_items(item))))
                break
        else:
            number, _rest = way.pop()
            above.discard(number)
            done.add(number)
    return False


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _takes_none(form: Form) -> bool:
    return any(
        part in (("none",), ("any",)) or (part[0] == "literal" and None in part[1])
        for part in map(bare_form, alternatives(form))
    )


def _wrong(cls: type, spec: FieldSpec, value: Any, path: str, part: Any, why: str) -> ConfigError:
    at = f" at $.{spec.name}{path}: {shorten(part)}" if path else ""
    if isinstance(part, (Tagged, Untagged)):
        word = "tag" if isinstance(part, Tagged) else "stop_tags"
        why = f"{word}() goes around the whole value: {spec.name}={word}(…)"
    return ConfigError(
        f"{cls.__qualname__}.{spec.name}: {spec.type_text} wanted, not {shorten(value)}"
        f" ({type(value).__qualname__}){at}; {why} (type {plain_name(cls)}, {place_text()})"
    )


def _nearest(name: str, names: Iterable[str]) -> str:
    """Say which name may have been meant."""
    import difflib  # slow to import, and errors are rare

    known = list(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"


def unknown_name(cls: type, name: str) -> ConfigError:
    """Make the error for a parameter that does not exist, with the nearest name that does."""
    hint = forgotten(cls, name) or _nearest(name, schema_of(cls).fields)
    return ConfigError(
        f"{cls.__qualname__} has no parameter {name!r}; {hint} (type {plain_name(cls)},"
        f" {place_text()})"
    )


def accept(cls: type, value: Any) -> Any:
    """Judge a value given for a config class; raise a ValueError that says why it will not do."""
    node = node_of(value)
    name = cls.__qualname__
    if node is None:
        if isinstance(value, type) and issubclass(value, cls):
            raise ValueError(f"this is the class: write {value.__qualname__}.C(...)")
        if isinstance(value, cls):
            raise FrozenError(
                f"an instance of {type(value).__qualname__} is no configuration: write"
                f" {type(value).__qualname__}.C(...) ({place_text()})"
            )
        raise ValueError(f"a configuration made by {name}.C(...) is needed")
    if not isinstance(value, cls):
        _match_by_schema(node.cls, cls)
    if hasattr(node.cls, "__xpm_task__") and node.task is None:
        raise ValueError(
            "a task used as a value must have been submitted:"
            f" {node.cls.__qualname__}.C(...).submit()"
        )
    return value


def _match_by_schema(given: type, wanted: type) -> None:
    """Let a class re-defined by re-running its cell pass for its other definition."""
    for base in given.__mro__:
        if (base.__module__, base.__qualname__) == (wanted.__module__, wanted.__qualname__):
            ours, theirs = schema_signature(wanted), schema_signature(base)
            if ours == theirs:
                return
            names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
            raise ValueError(
                f"{wanted.__qualname__} was defined twice, with other fields ({', '.join(names)}):"
                f" the value's at {_site_text(base)}, the parameter's at {_site_text(wanted)};"
                " re-run the cells that use the older one"
            )
    raise ValueError(f"a {wanted.__qualname__} is needed, this is a {given.__qualname__}")


def _site_text(cls: type) -> str:
    where = site(cls)
    return "an unknown place" if where is None else doors.place(where.filename, where.lineno)


def schema_signature(cls: type) -> dict[str, Any]:
    """Give what two definitions of a class must share to be the same type."""
    found: dict[str, Any] = {}
    for name, spec in schema_of(cls).fields.items():
        try:
            form: Any = signature(spec.form)
        except Unresolved as error:
            form = ("unresolved", error.args[0])
        found[name] = (spec.kind, form, spec.generator is not None)
    return found


# -- equality


def default_of(spec: FieldSpec) -> Any:
    """Give the default of a parameter; None is that of an optional one without any."""
    if spec.factory is not None:
        return convert(spec.owner, spec, spec.factory())
    if spec.default is MISSING:
        return None if spec.optional else MISSING
    return spec.default


def is_default(spec: FieldSpec, value: Any) -> bool:
    """Tell whether a value equals the default, meta elements of containers left aside.

    Numbers are compared as Python does (and experimaestro): -0.0 equals a default of 0.0, and NaN
    equals nothing.
    """
    default = default_of(spec)
    if type(value) is type(default) and type(value) in SCALARS:
        return bool(value == default)
    return same(_without_meta(value), _without_meta(default), bits=False)


def _without_meta(value: Any) -> Any:
    if isinstance(value, (list, tuple, set)):
        return type(value)(item for item in value if not _is_meta(item))
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if not _is_meta(item)}
    return value


def _is_meta(value: Any) -> bool:
    node = None if type(value) in SCALARS else node_of(value)
    return node is not None and node.meta is True


def same(one: Any, other: Any, *, bits: bool = True) -> bool:
    """Compare two values as `==` of configurations does: by type and bits, through any depth.

    Without `bits`, floats are compared as numbers.
    """
    pending: list[tuple[Any, Any]] = [(one, other)]
    seen: set[tuple[int, int]] = set()
    numbers: dict[tuple[str, int], int] = {}  # InstanceConfig objects correspond one to one
    top = True
    while pending:
        a, b = pending.pop()
        x, y = node_of(a), node_of(b)
        if x is not None and y is not None:
            if (id(x), id(y)) not in seen:
                seen.add((id(x), id(y)))
                if not _same_node(x, y, top, numbers, pending):
                    return False
        elif not bits and type(a) is type(b) is float:
            if a != b:
                return False
        elif not _same_value(a, b, pending):
            return False
        top = False
    return True


def _same_node(
    x: ConfigInfo,
    y: ConfigInfo,
    top: bool,
    numbers: dict[tuple[str, int], int],
    pending: list[tuple[Any, Any]],
) -> bool:
    if x.cls is not y.cls and not (
        x.sealed and y.sealed and plain_name(x.cls) == plain_name(y.cls)
    ):
        return False
    if (not top and x.meta is not y.meta) or not _same_producer(x, y):
        return False
    if x.numbered:
        pair = numbers.setdefault(("a", id(x)), id(y)), numbers.setdefault(("b", id(y)), id(x))
        if pair != (id(y), id(x)):
            return False
    if len(x.init_tasks) != len(y.init_tasks):
        return False
    pending.extend(zip(x.init_tasks, y.init_tasks, strict=True))
    if x.schema.fields.keys() != y.schema.fields.keys():
        return False
    for name, spec in x.schema.fields.items():
        if spec.generator is None:
            pending.append((x.values.get(name, MISSING), y.values.get(name, MISSING)))
    return True


def _same_producer(x: ConfigInfo, y: ConfigInfo) -> bool:
    a, b = x.producer_node(), y.producer_node()
    if a is None or b is None:
        return a is b
    return a is b or a.known_digest(None) == b.known_digest(None) is not None


def _same_value(a: Any, b: Any, pending: list[tuple[Any, Any]]) -> bool:
    if a is b:
        return not isinstance(a, (list, tuple, dict, set)) or _same_inside(a, b, pending)
    if isinstance(a, PurePath) and isinstance(b, PurePath):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return _double(a) == _double(b)
    if isinstance(a, (list, tuple, dict, set)):
        return len(a) == len(b) and _same_inside(a, b, pending)
    return bool(a == b)


def _same_inside(a: Any, b: Any, pending: list[tuple[Any, Any]]) -> bool:
    if isinstance(a, (list, tuple)):
        pending.extend(zip(a, b, strict=True))
        return True
    mine = {_token(item): item for item in a}
    theirs = {_token(item): item for item in b}
    if mine.keys() != theirs.keys():
        return False
    for token, item in mine.items():
        if isinstance(a, dict):
            pending.append((a[item], b[theirs[token]]))
        if node_of(item) is not None:
            pending.append((item, theirs[token]))
    return True


def _token(value: Any) -> Any:
    """Give something hashable that is equal for values that are the same."""
    node = node_of(value)
    if node is not None:
        producer = node.producer_node()
        made_by = None if producer is None else producer.known_digest(None)
        return ("config", digest_of(node, HASHING, node_of), made_by)
    if isinstance(value, float):
        return (float, _double(value))
    if isinstance(value, tuple):
        return (tuple, tuple(map(_token, value)))
    return (type(value), value)


# -- setting values


def put(node: ConfigInfo, name: str, value: Any) -> None:
    """Set a parameter from a user's code.

    Raises
    ------
    ConfigError
        For an unknown name or a value that does not fit.
    FrozenError
        For what may not be set.
    """
    spec = node.schema.fields.get(name)
    if spec is None and old_name(node.cls, name) is None:
        raise unknown_name(node.cls, name)
    where = f"{node.cls.__qualname__}.{name}"
    if node.sealed:
        raise FrozenError(
            f"{where} cannot be set: the config is sealed (submitted?); copy() it first"
            f" ({place_text()})"
        )
    if spec is None:
        _put_old(node, name, value)
        return
    if spec.kind == "constant":
        raise FrozenError(f"{where} is a Constant and cannot be set ({place_text()})")
    if spec.generator is not None:
        raise FrozenError(f"{where} is generated and cannot be set ({place_text()})")
    place, stopped = None, False
    while type(value) is Tagged or type(value) is Untagged:
        if type(value) is Tagged:
            place = value.place
        else:
            stopped = True
        value = value.value
    converted = convert(node.cls, spec, value)
    if spec.generic:
        bind_variables(node, {name: converted})
    node.values[name] = converted
    if place is not None:
        node.own_tags[name] = value, place
    if stopped is not (name in node.untagged):
        node.untagged ^= {name}


def bind_variables(node: ConfigInfo, changes: Mapping[str, Any] | None = None) -> None:
    """Find out what the type variables of a configuration are.

    Raises
    ------
    ConfigTypeError
        If its values, with these changes, make one variable two types.
    """
    found = dict(node.pins)
    values = node.values if changes is None else {**node.values, **changes}
    for name, spec in node.schema.fields.items():
        if not spec.generic or name not in values:
            continue
        value = values[name]
        if spec.default is not MISSING and is_default(spec, value):
            continue  # it would do for any type
        try:
            generics.bind(spec.form, value, found, name, node_of)
        except generics.Clash as clash:
            raise ConfigTypeError(
                f"{node.cls.__qualname__}.{name}: {clash} (the value is {shorten(value, 60)};"
                f" {place_text()})"
            ) from None
    node.bindings = found


def warn_deprecated(node: ConfigInfo) -> None:
    """Say that a configuration of a deprecated class was made."""
    mark = node.schema.deprecated
    assert mark is not None
    name, target = node.cls.__qualname__, mark.target.__qualname__
    warn(f"{name} is deprecated: write {target}.C(...)", FutureWarning)


def _put_old(node: ConfigInfo, name: str, value: Any) -> None:
    """Give a value to the user's method that knows what an old parameter stands for."""
    old = old_name(node.cls, name)
    assert old is not None
    where = f"{node.cls.__qualname__}.{name}"
    names = ", ".join(node.schema.fields)
    warn(
        f"{where} is deprecated: {node.cls.__qualname__} has the parameters {names}", FutureWarning
    )
    if type(value) is Tagged:
        node.own_tags[name] = value.value, value.place
        value = value.value
    old.method(node.config, value)


def prepare_schema(found: Schema) -> None:
    """Check and convert the defaults of a class, before the first configuration is made."""
    done = True
    made: list[FieldSpec] = []
    for name, spec in found.fields.items():
        if spec.generator is not None:
            continue
        try:
            form = spec.form
        except Unresolved:
            done = False  # once more, with the next configuration
            continue
        if spec.factory is not None:
            if not spec.meta:
                made.append(spec)
        elif spec.default is not MISSING:
            spec.default = convert(found.cls, spec, spec.default)
            if _shareable(spec.default):
                found.plain[name] = spec.default
            else:
                made.append(spec)
        elif ("none",) in alternatives(form):
            found.plain[name] = None
    found.made = tuple(made)
    found.checked = done


def _shareable(value: Any) -> bool:
    return type(value) in SCALARS or isinstance(value, (Enum, PurePath))


def fill_defaults(node: ConfigInfo) -> None:
    """Make the defaults that each configuration has for itself."""
    for spec in node.schema.made:
        if spec.name not in node.values:
            if spec.factory is not None:
                node.values[spec.name] = convert(node.cls, spec, spec.factory())
            else:
                node.values[spec.name] = fresh(spec.default)


def same_containers(value: Any) -> Any:
    """Copy the containers of a value, and nothing inside them."""
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(same_containers, value))
    if isinstance(value, dict):
        return {key: same_containers(item) for key, item in value.items()}
    return value


def fresh(value: Any) -> Any:
    """Copy the containers of a default value (and configurations that are not sealed)."""
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(fresh, value))
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    node = None if type(value) in SCALARS else node_of(value)
    if node is not None and not node.sealed and node.task is None:
        return node.config.__deepcopy__({})
    return value


def nested(values: Iterable[Any]) -> list[ConfigInfo]:
    """Give the nodes of the configurations found in values, through containers, in order."""
    found: list[ConfigInfo] = []
    pending = [iter(values)]
    while pending:
        for value in pending[-1]:
            if type(value) in SCALARS:
                continue
            if isinstance(value, (list, tuple)):
                pending.append(iter(value))
                break
            if isinstance(value, set):
                pending.append(iter(in_order(value)))
                break
            if isinstance(value, dict):
                pending.append(iter([*value.keys(), *value.values()]))
                break
            node = node_of(value)
            if node is not None:
                found.append(node)
        else:
            pending.pop()
        if len(pending) > DEEPEST:
            raise RecursionError("a container holds itself")
    return found


def in_order(values: set[Any]) -> list[Any]:
    """Give the elements of a set in an order that does not change from run to run."""
    try:
        return sorted(values)
    except TypeError:  # configurations, or values of several kinds
        return sorted(values, key=lambda value: repr_of(_token(value)))


def value_text(value: Any, limit: int) -> str:
    """Write a plain value, the same in every process (sets have an order of their own in each)."""
    if isinstance(value, set) and value:
        text = "{" + ", ".join(map(repr_of, in_order(value))) + "}"
        return text if len(text) <= limit else f"{text[: limit - 2]}…}}"
    return shorten(value, limit)


def tagged_below(node: ConfigInfo) -> Sequence[ConfigInfo]:
    """Give the configurations directly below one whose tags are also its own."""
    if not node.untagged:
        return children(node)
    open_ways = (value for name, value in node.values.items() if name not in node.untagged)
    return [*nested(open_ways), *map(info, node.init_tasks)]


def children(node: ConfigInfo) -> Sequence[ConfigInfo]:
    """Give the configurations directly below one: in its parameters, then its init tasks."""
    below = node.below
    if below is None:
        below = _in_values(node)
        if node.sealed:
            node.below = below
    return [*below, *map(info, node.init_tasks)] if node.init_tasks else below


def _in_values(node: ConfigInfo) -> list[ConfigInfo]:
    values = node.values
    try:
        return nested(values[name] for name in node.schema.fields if name in values)
    except RecursionError:  # it was changed after it was set
        for name, value in values.items():
            if _holds_itself(value):
                raise endless(node.cls, name, value) from None
        raise
