"""The classes that users derive from, and what can be done with a configuration.

``class K(Config)`` declares parameters; ``K.C(...)`` makes a *configuration*: an object of a class
``K.C``, made on first use, that derives from K (so that ``isinstance(K.C(...), K)`` holds) and holds
nothing but its `ConfigInfo`. Plain objects of K are *instances*: they exist inside jobs.

Rule 1: `Config` has no metaclass, and ``K.C`` stands before K in the order of look-up with as little as
possible: making, setting, comparing. All accessors (`copy`, `job`, `wait`, …) are ordinary attributes
of the base classes, so that a user's parameters, methods and base classes win over them.
Rule 2: no function of this package calls those accessors on a user's object; they go the other way.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from types import CodeType, FrameType
from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform, overload

from xpm_nb.core import doors
from xpm_nb.core.fields import RESERVED, FieldSpec, Schema, check_names, field
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.graph import (
    build_instance,
    check_paths,
    dependencies,
    generated_paths,
    identify,
    mark_submitted,
    output,
    prepare,
    seal,
    set_init_tasks,
    set_meta,
    tag,
    tags_of,
    validate,
    walk,
)
from xpm_nb.core.identifier import HASHING, Identifier, digest_of
from xpm_nb.core.nodes import (
    ConfigInfo,
    Site,
    accept,
    declared_class,
    fill_defaults,
    info,
    is_config,
    local_name,
    needs_namespace,
    node_of,
    place_text,
    prepare_schema,
    put,
    same,
    shorten,
    site,
    type_name,
    unknown_name,
    user_place,
)
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError, NoExperimentError, UnsetError

__all__ = [
    "Config",
    "ConfigInfo",
    "DirectoryContext",
    "InstanceConfig",
    "LightweightTask",
    "RunMode",
    "Site",
    "Task",
    "build_instance",
    "check_paths",
    "copyconfig",
    "declared_class",
    "dependencies",
    "generated_paths",
    "grid",
    "identify",
    "info",
    "is_config",
    "local_name",
    "mark_submitted",
    "needs_namespace",
    "output",
    "prepare",
    "same",
    "schema_of",
    "seal",
    "sealed_set",
    "set_init_tasks",
    "setmeta",
    "site",
    "tag",
    "tags",
    "tags_of",
    "type_name",
    "validate",
    "walk",
]

K = TypeVar("K")


class RunMode(Enum):
    """What becomes of the tasks that are submitted."""

    NORMAL = "normal"
    GENERATE_ONLY = "generate_only"  # job directories are written, nothing runs
    DRY_RUN = "dry_run"  # nothing is written, nothing runs
    PREPARE = "prepare"


class DirectoryContext:
    """Gives generated paths a directory outside a job: ``c.instance(DirectoryContext(path))``."""

    __slots__ = ("path",)

    def __init__(self, path: str | PurePath) -> None:
        self.path = Path(path).absolute()


# -- the class K.C of a class K


class _Value:
    """A parameter as an attribute of configurations."""

    __slots__ = ("spec",)

    def __init__(self, spec: FieldSpec) -> None:
        self.spec = spec

    def __get__(self, config: Any, owner: type | None = None) -> Any:
        if config is None:
            return self.spec
        node = cast(ConfigInfo, config.__dict__["__xpm__"])
        try:
            return node.values[self.spec.name]
        except KeyError:
            raise UnsetError(node.unset_message(self.spec)) from None


class Configuration:
    """What the classes ``K.C`` put before the user's class."""

    __xpm_class__: ClassVar[type]
    __xpm_schema__: ClassVar[Schema]
    __xpm__: ConfigInfo

    def __init_subclass__(cls, **_keywords: Any) -> None:
        # Neither our own nor the user's __init_subclass__ takes K.C for a class of the user's.
        if "__xpm_class__" not in vars(cls):
            raise ConfigTypeError(f"{cls.__qualname__}: derive from the class, not from its .C")

    def __new__(cls, *_args: Any, **_values: Any) -> Configuration:
        return object.__new__(cls)

    def __init__(self, /, *args: Any, **values: Any) -> None:
        cls = type(self)
        found = cls.__xpm_schema__
        if args:
            raise ConfigTypeError(
                f"{cls.__xpm_class__.__qualname__}.C takes keywords only: {_names(found)}"
                f" ({place_text()})"
            )
        if not found.checked:
            prepare_schema(found)
        store = found.plain.copy()
        node = ConfigInfo(self, found, store)
        self.__dict__["__xpm__"] = node
        node.place = user_place()
        fields = found.fields
        for name, value in values.items():
            spec = fields.get(name)
            if (
                spec is not None
                and type(value) is spec.exact
                and spec.generator is None
                and spec.kind != "constant"
            ):
                store[name] = value
            else:
                put(node, name, value)
        if found.made:
            fill_defaults(node)

    def __setattr__(self, name: str, value: Any) -> None:
        put(self.__dict__["__xpm__"], name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"{type(self).__qualname__}.{name} cannot be deleted ({place_text()})")

    def __eq__(self, other: object) -> bool:
        mine, theirs = node_of(self), node_of(other)
        if mine is None or theirs is None:
            return NotImplemented
        return mine is theirs or same(self, other)

    def __hash__(self) -> int:
        node = info(self)
        if not node.sealed:
            raise ConfigTypeError(
                f"a {node.cls.__qualname__} that can still change has no hash: seal() it first"
                f" ({place_text()})"
            )
        return hash(digest_of(node, HASHING, node_of))

    def __repr__(self) -> str:
        return text_of(self)

    def __copy__(self) -> Any:
        return copyconfig(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _deep_copy(info(self), memo)


def _names(found: Schema) -> str:
    return ", ".join(f"{name}=…" for name in found.fields) or "there are none"


def config_class(cls: type) -> type:
    """Give the class ``K.C`` of a class K (made on first use)."""
    found = vars(cls).get("__xpm_made__")
    if found is None:
        if cls is Config:
            parents: list[type] = [Configuration]
        else:
            parents = [config_class(base) for base in cls.__bases__ if issubclass(base, Config)]
        schema = schema_of(cls)
        body: dict[str, Any] = {name: _Value(spec) for name, spec in schema.fields.items()}
        body |= {
            "__module__": cls.__module__,
            "__qualname__": f"{cls.__qualname__}.C",
            "__doc__": cls.__doc__,
            "__xpm_class__": cls,
            "__xpm_schema__": schema,
        }
        found = type(cls)("C", (*parents, cls), body)
        type.__setattr__(cls, "__xpm_made__", found)
    return cast(type, found)


class _MakesConfigs:
    """``K.C``: a class attribute that depends on the class it is read from."""

    def __get__(self, instance: object, owner: type[K]) -> type[K]:
        if instance is not None and owner.__dict__.get("__xpm_class__") is not None:
            owner = owner.__dict__["__xpm_class__"]
        return config_class(owner)


class _ValueClass:
    """``K.XPMValue``: the class of instances."""

    def __get__(self, instance: object, owner: type[K]) -> type[K]:
        return cast("type[K]", owner.__dict__.get("__xpm_class__", owner))


class _Accessor(Generic[K]):
    """An attribute computed by a function, over which anything of the user's wins."""

    def __init__(self, function: Callable[[Any], K]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> _Accessor[K]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> K: ...
    def __get__(self, instance: object | None, owner: type) -> K | _Accessor[K]:
        return self if instance is None else self.function(instance)


def _node(self: Any) -> ConfigInfo:
    """Give the node of a configuration, or of the one that an instance was built from."""
    node = node_of(self)
    if node is None:
        node = node_of(vars(self).get("__xpmconfig__"))
    if node is None:
        name = type(self).__qualname__
        raise ConfigTypeError(f"this {name} is an instance: write {name}.C(...) ({place_text()})")
    return node


def _job(self: Any) -> Any:
    """Give the job of a submitted task, or of the task that this is an output of."""
    node = _node(self)
    if node.task is not None:
        job = info(node.task).job
        if job is not None:
            return job
    raise ConfigError(
        f"this {node.cls.__qualname__} has no job: it has not been submitted ({place_text()})"
    )


def _find_site(cls: type, frame: FrameType | None) -> Site | None:
    """Find the ``class`` statement of a class.

    The frame that executes it is the nearest one whose code holds the code of the class's body. Our
    own frames, a user's ``__init_subclass__``, metaclasses and decorators in between do not. The
    hidden function around a ``class G[T]`` does: its line is that of the statement.
    """
    first: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if any(
            isinstance(const, CodeType) and const.co_qualname == cls.__qualname__
            for const in code.co_consts
        ):
            return Site(code.co_filename, frame.f_lineno, code)
        if first is None and code.co_name not in ("__init_subclass__", "__new__"):
            first = frame
        frame = frame.f_back
    return None if first is None else Site(first.f_code.co_filename, first.f_lineno, None)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Config:
    """A typed description: derive from it, and declare parameters by annotations.

    Examples
    --------
    >>> class Model(Config):
    ...     hidden: Param[int]
    ...     dropout: Param[float] = 0.1
    >>> Model.C(hidden=64).hidden
    64
    """

    __xpm_config__: ClassVar[bool] = True

    C: ClassVar[_MakesConfigs] = _MakesConfigs()
    XPMConfig: ClassVar[_MakesConfigs] = C
    XPMValue: ClassVar[_ValueClass] = _ValueClass()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_names(cls)
        for name in RESERVED & vars(cls).keys():
            if name in ("C", "submit") and "__xpm_config__" not in vars(cls):
                raise ConfigTypeError(f"{cls.__qualname__}: the name {name!r} is reserved")
        type.__setattr__(cls, "__xpm_site__", _find_site(cls, sys._getframe(1)))

    def __init__(self, *args: Any, **values: Any) -> None:
        if args or values:
            name = type(self).__qualname__
            given = ", ".join(
                [*map(shorten, args), *(f"{k}={shorten(v)}" for k, v in values.items())]
            )
            raise ConfigTypeError(
                f"write {name}.C({given}) to make a configuration ({place_text()})"
            )
        super().__init__()

    # -- identity

    def __identifier__(self) -> Identifier:
        """Give the identifier, in the current experiment's namespace.

        Raises
        ------
        NoExperimentError
            If a class of a notebook takes part and no experiment is open.
        """
        return identify(_node(self).config, doors.submitter.namespace())

    # -- deriving

    def copy(self) -> Any:
        """Give a copy that can be changed: same values, tags kept, not submitted."""
        return copyconfig(_node(self).config)

    def __or__(self, changes: Mapping[str, Any]) -> Any:
        if not isinstance(changes, Mapping) or node_of(self) is None:
            return NotImplemented
        return derive(self, changes)

    def __matmul__(self, inner: Any) -> Any:
        if node_of(self) is None or node_of(inner) is None:
            return NotImplemented
        return _plug(info(self), inner)

    # -- tags

    def tag(self, name: str, value: Any) -> Any:
        """Put a tag on this configuration and return it."""
        node = _node(self)
        node.own_tags[name] = value, user_place()
        return node.config

    def tags(self) -> dict[str, Any]:
        """Give all tags, those of nested configurations included."""
        return tags_of(_node(self).config)

    # -- freezing and building

    def seal(self, context: DirectoryContext | None = None) -> Any:
        """Freeze this configuration with all below it, and return it."""
        config = _node(self).config
        seal(config, None if context is None else context.path)
        return config

    def instance(
        self,
        context: DirectoryContext | None = None,
        *,
        objects: dict[Any, Any] | None = None,
        keep: bool = True,
    ) -> Any:
        """Build the live object here, without a job.

        Parameters
        ----------
        context : DirectoryContext, optional
            Where generated paths lie.
        objects : dict, optional
            Objects built by earlier calls, so that shared configurations share their objects.
        keep : bool
            Add what is built to `objects`.
        """
        config = _node(self).config
        validate(config)
        seal(config, None if context is None else context.path)
        known = {} if objects is None else objects
        return build_instance(config, objects=known if keep else dict(known))

    @_Accessor
    def xpmconfig(self) -> Any:
        """The configuration that an instance was built from."""
        return _node(self).config

    # -- the job

    @_Accessor
    def job(self) -> Any:
        """The job of a submitted task, or of the task that this is an output of."""
        return _job(self)

    @_Accessor
    def state(self) -> Any:
        """The state of the job."""
        return _job(self).state

    @_Accessor
    def jobpath(self) -> Any:
        """The job's directory."""
        return _job(self).path

    def stdout(self) -> Any:
        """Give the path of the job's standard output."""
        return _job(self).stdout()

    def stderr(self) -> Any:
        """Give the path of the job's standard error."""
        return _job(self).stderr()

    def wait(self, timeout_s: float | None = None) -> Any:
        """Wait for the job to end."""
        return _job(self).wait(timeout_s)

    def result(self) -> Any:
        """Give what ``execute`` returned; waits for the job."""
        return _job(self).result()

    def metrics(self) -> Any:
        """Give the metrics that the job logged."""
        return _job(self).metrics()

    def on_completed(self, callback: Callable[[], Any]) -> Any:
        """Have a function called when the job ends well, also when it already has."""
        return _job(self).on_completed(callback)

    def on_state(self, callback: Callable[[Any], Any]) -> Any:
        """Have a function called with each change of the job."""
        return _job(self).on_state(callback)

    def __await__(self) -> Generator[Any, Any, Any]:
        return cast("Generator[Any, Any, Any]", _job(self).__await__())

    # -- display

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return None if node_of(self) is None else doors.renderer(self)


class Task(Config):
    """A configuration that can be executed: define ``execute(self)``, and submit it.

    Examples
    --------
    >>> class Learn(Task):
    ...     lr: Param[float]
    ...
    ...     def execute(self):
    ...         return 1 - self.lr
    >>> Learn.C(lr=0.1).submit()  # doctest: +SKIP
    """

    __xpm_config__ = True
    __xpm_task__: ClassVar[bool] = True

    def submit(
        self,
        *,
        launcher: Any = None,
        run_mode: Any = None,
        init_tasks: Sequence[Any] = (),
        max_retries: int | None = None,
        transient: Any = None,
    ) -> Any:
        """Hand the task over to the current experiment, and return at once.

        Parameters
        ----------
        launcher : Launcher, optional
            How the job is started; by default as the experiment says.
        run_mode : RunMode, optional
            By default as the experiment says.
        init_tasks : sequence of LightweightTask
            Executed in the job before the task, in order; part of the identifier.
        max_retries : int, optional
            How often the job may be started again after a time limit.
        transient : optional
            Whether the job may be left out when nothing needs it.

        Returns
        -------
        Any
            What ``task_outputs`` gives, by default the task itself.

        Raises
        ------
        NoExperimentError
            If no experiment is open.
        ConfigError
            If a value is missing or cannot be used.
        """
        return doors.submitter.submit(
            _node(self).config,
            launcher=launcher,
            run_mode=run_mode,
            init_tasks=tuple(init_tasks),
            max_retries=max_retries,
            transient=transient,
        )


class LightweightTask(Config):
    """Something a job executes before its task, given as one of ``submit(init_tasks=[…])``."""

    __xpm_config__ = True
    __xpm_light__: ClassVar[bool] = True


class InstanceConfig(Config):
    """A configuration of which two objects with equal parameters are told apart."""

    __xpm_config__ = True
    __xpm_numbered__: ClassVar[bool] = True


# -- functions on configurations


def setmeta(config: K, meta: bool | None) -> K:
    """Make a configuration count as `Meta` (True) or as a parameter (False) where it is used.

    Returns the configuration.
    """
    return cast(K, set_meta(config, meta))


def tags(config: Any) -> dict[str, Any]:
    """Give all tags of a configuration, those of nested ones included."""
    return tags_of(_node(config).config)


def sealed_set(*configs: K) -> set[K]:
    """Seal configurations, and give the set of them."""
    for config in configs:
        seal(config)
    return set(configs)


def copyconfig(config: K, **changes: Any) -> K:
    """Copy a configuration, with other values for some parameters.

    Nested configurations are shared with the original. Generated values and the marks of a
    submission are dropped, tags are kept.
    """
    node = info(config)
    new = cast(Any, object.__new__(config_class(node.cls)))
    copied = ConfigInfo(new, node.schema, {})
    new.__dict__["__xpm__"] = copied
    copied.place = user_place()
    for name, value in node.values.items():
        if node.schema.fields[name].generator is None:
            copied.values[name] = _same_containers(value)
    copied.own_tags = {k: v for k, v in node.own_tags.items() if k not in changes}
    copied.meta = node.meta
    for name, value in changes.items():
        put(copied, name, value)
    return cast(K, new)


def _same_containers(value: Any) -> Any:
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(_same_containers, value))
    if isinstance(value, dict):
        return {key: _same_containers(item) for key, item in value.items()}
    return value


def derive(config: Any, changes: Mapping[str, Any]) -> Any:
    """Copy a configuration with changes given by dotted paths: ``{"opt.lr": 1e-3}``."""
    own: dict[str, Any] = {}
    deeper: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, dot, rest = path.partition(".")
        if dot:
            deeper.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    node = info(config)
    for name, inner in deeper.items():
        if name not in node.schema.fields:
            raise unknown_name(node.cls, name)
        base = own.get(name, node.values.get(name))
        if node_of(base) is None:
            raise ConfigError(
                f"{node.cls.__qualname__}.{name} is {shorten(base)}, which has no parameters"
                f" ({place_text()})"
            )
        if info(base).task is not None:
            raise ConfigError(
                f"{node.cls.__qualname__}.{name} comes from a submitted task: change that task and"
                f" submit it, then give its output ({place_text()})"
            )
        own[name] = derive(base, inner)
    return copyconfig(config, **own)


def _deep_copy(root: ConfigInfo, memo: dict[int, Any]) -> Any:
    from xpm_nb.core.graph import walk_nodes

    new: dict[ConfigInfo, Any] = {}
    for node in walk_nodes(root):
        marked = node.task is not None and node is not root
        new[node] = node.config if marked else copyconfig(node.config)
    for node, config in new.items():
        if config is not node.config:
            values = info(config).values
            for name, value in values.items():
                values[name] = _replaced(value, new)
    memo[id(root.config)] = new[root]
    return new[root]


def _replaced(value: Any, new: Mapping[ConfigInfo, Any]) -> Any:
    node = node_of(value)
    if node is not None:
        return new.get(node, value)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, new) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, new) for key, item in value.items()}
    return value


def _plug(outer: ConfigInfo, inner: Any) -> Any:
    """Set the one parameter of a configuration that takes another one."""
    fitting = []
    for name, spec in outer.schema.fields.items():
        from xpm_nb.core.fields import alternatives

        for form in alternatives(spec.form):
            if form[0] == "config" and spec.kind != "constant":
                try:
                    accept(form[1], inner)
                except ValueError:
                    continue
                fitting.append(name)
                break
    name = outer.cls.__qualname__
    if len(fitting) != 1:
        what = "none" if not fitting else f"several ({', '.join(fitting)})"
        raise ConfigError(
            f"{name} @ {info(inner).cls.__qualname__}: one parameter of {name} must take it, there"
            f" are {what} ({place_text()})"
        )
    put(outer, fitting[0], inner)
    return outer.config


def grid(base: Any, /, **axes: Any) -> list[Any]:
    """Make a configuration for each combination of values, tagged with what varies.

    Parameters
    ----------
    base : type or config
        A class (``Learn`` or ``Learn.C``) or a configuration to derive from.
    **axes
        A list, tuple or range varies; anything else is the same for all. Two underscores go into a
        nested configuration: ``model__hidden=[32, 64]``.

    Returns
    -------
    list of configs
        The last axis varies fastest.

    Examples
    --------
    >>> grid(Learn, lr=[1e-3, 1e-4], model__hidden=[32, 64])  # doctest: +SKIP
    """
    varying = {name: list(v) for name, v in axes.items() if isinstance(v, (list, tuple, range))}
    fixed = {name: value for name, value in axes.items() if name not in varying}
    made = []
    for values in itertools.product(*varying.values()):
        chosen = dict(zip(varying, values, strict=True))
        config = _from_axes(base, fixed | chosen)
        for name, value in chosen.items():
            info(config).own_tags[name.replace("__", ".")] = value, user_place()
        made.append(config)
    return made


def _from_axes(base: Any, values: Mapping[str, Any]) -> Any:
    if node_of(base) is not None:
        return derive(base, {name.replace("__", "."): value for name, value in values.items()})
    cls = base.__dict__.get("__xpm_class__", base)
    own: dict[str, Any] = {}
    deeper: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, dot, rest = path.partition("__")
        if dot and name in schema_of(cls).fields:
            deeper.setdefault(name, {})[rest] = value
        else:
            own[path] = value
    for name, inner in deeper.items():
        spec = schema_of(cls).fields[name]
        form = spec.form
        start = own.get(name, spec.default if spec.has_default else None)
        if node_of(start) is None and form[0] == "config":
            start = form[1]
        own[name] = _from_axes(start, inner)
    return config_class(cls)(**own)


# -- text


def text_of(config: Any, *, limit: int = 160) -> str:
    """Give the text of a configuration: ``Learn(lr=0.001, model=CNN(hidden=64)) [1f3a9c02]``."""
    node = info(config)
    text = _text(node, 4)
    if len(text) > limit:
        text = f"{text[: limit - 2]}…)"
    try:
        return f"{text} [{identify(config, doors.submitter.namespace()).short}]"
    except (ConfigError, UnsetError, NoExperimentError):
        return text


def _text(node: ConfigInfo, depth: int) -> str:
    """Write a node down to some depth (so that the recursion is shallow)."""
    name = node.cls.__name__
    if depth == 0:
        return f"{name}(…)" if node.values else f"{name}()"
    shown = []
    for spec in node.schema.fields.values():
        if spec.name in node.values and spec.generator is None:
            shown.append(f"{spec.name}={_value_text(node.values[spec.name], depth)}")
    return f"{name}({', '.join(shown)})"


def _value_text(value: Any, depth: int) -> str:
    inner = node_of(value)
    if inner is not None:
        return _text(inner, depth - 1)
    if isinstance(value, (list, tuple)) and depth:
        items = [_value_text(item, depth - 1) for item in itertools.islice(value, 8)]
        more = ["…"] if len(value) > 8 else []
        left, right = ("[", "]") if isinstance(value, list) else ("(", ")")
        return f"{left}{', '.join(items + more)}{right}"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, (set, dict)):
        return shorten(value, 60) if not any(map(is_config, _flat(value))) else "{…}"
    return shorten(value, 60)


def _flat(value: Iterable[Any]) -> list[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else list(value)
