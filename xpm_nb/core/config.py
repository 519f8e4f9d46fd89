"""The classes that users derive from, and what can be done with a configuration.

``class K(Config)`` declares parameters; ``K.C(...)`` makes a *configuration*: an object of a class
``K.C``, made on first use, that derives from K (so that ``isinstance(K.C(...), K)`` holds) and
holds nothing but its `ConfigInfo`. Plain objects of K are *instances*: they exist inside jobs.

Rule 1: `Config` has no metaclass, and ``K.C`` stands before K in the order of look-up with as
little as possible: making, setting, comparing. All accessors (`copy`, `job`, `wait`, …) are
ordinary attributes of the base classes, so that a user's parameters, methods and base classes win
over them.
Rule 2: no function of this package calls those accessors on a user's object; they go the other way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from types import CodeType, FrameType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    overload,
)

from xpm_nb.core import doors
from xpm_nb.core.derive import copyconfig, deep_copy, derive, grid, plug, sealed_set, text_of
from xpm_nb.core.fields import (
    RESERVED,
    FieldSpec,
    Schema,
    check_names,
    field,
    local_names,
)
from xpm_nb.core.fields import schema as schema_of
from xpm_nb.core.forms import MISSING
from xpm_nb.core.generics import pins
from xpm_nb.core.graph import (
    add_dependencies,
    added_dependencies,
    build_instance,
    check_paths,
    classes_of,
    defaults_now,
    dependencies,
    do_later,
    early_output,
    generated_paths,
    identify,
    left_out,
    mark_submitted,
    output,
    own_classes,
    prepare,
    seal,
    set_init_tasks,
    set_meta,
    set_value_class,
    shared_places,
    stop_tags,
    tag,
    tags_of,
    tagspath,
    to_prepare,
    validate,
    value_class,
    walk,
)
from xpm_nb.core.identifier import HASHING, Identifier, digest_of
from xpm_nb.core.names import (
    Site,
    kept,
    local_name,
    needs_namespace,
    place_text,
    shorten,
    site,
    type_name,
    user_place,
)
from xpm_nb.core.nodes import (
    MUTABLE,
    TRAVELS,
    ConfigInfo,
    bind_variables,
    declared_class,
    fill_defaults,
    info,
    is_config,
    node_of,
    prepare_schema,
    put,
    same,
    same_containers,
    warn_deprecated,
)
from xpm_nb.errors import (
    ConfigTypeError,
    FrozenError,
    NoJobError,
    UnsetError,
)

__all__ = [
    "Config",
    "ConfigInfo",
    "DirectoryContext",
    "InstanceConfig",
    "LightweightTask",
    "Prepare",
    "ResumableTask",
    "RunMode",
    "Site",
    "Task",
    "add_dependencies",
    "added_dependencies",
    "build_instance",
    "check_paths",
    "classes_of",
    "copyconfig",
    "declared_class",
    "defaults_now",
    "dependencies",
    "do_later",
    "early_output",
    "generated_paths",
    "grid",
    "identify",
    "info",
    "is_config",
    "left_out",
    "local_name",
    "mark_submitted",
    "method_of",
    "needs_namespace",
    "output",
    "own_classes",
    "prepare",
    "same",
    "schema_of",
    "seal",
    "sealed_set",
    "set_init_tasks",
    "setmeta",
    "shared_places",
    "site",
    "stop_tags",
    "tag",
    "tags",
    "tags_of",
    "tagspath",
    "to_prepare",
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
            value = node.values[self.spec.name]
        except KeyError:
            raise UnsetError(node.unset_message(self.spec)) from None
        # What is sealed cannot be changed through a list that was read from it.
        return same_containers(value) if node.sealed and type(value) in MUTABLE else value


class _Signature:
    """The keywords of ``K.C``, for help and completion."""

    def __get__(self, config: object, owner: type[Configuration]) -> Any:
        if config is not None:
            return None
        from inspect import Parameter, Signature  # slow to import, and only people ask

        parameters = []
        for spec in owner.__xpm_schema__.fields.values():
            if spec.kind != "constant" and spec.generator is None:
                default = default_text(spec)
                parameters.append(
                    Parameter(
                        spec.name,
                        Parameter.KEYWORD_ONLY,
                        default=Parameter.empty if default is None else default,
                        annotation=Words(spec.type_text),
                    )
                )
        return Signature(parameters, return_annotation=Words(owner.__xpm_class__.__qualname__))


class _Documentation:
    """The docstring of ``K.C``: that of K, and what is known of its parameters."""

    def __get__(self, config: object, owner: type[Configuration]) -> str | None:
        cls, fields = owner.__xpm_class__, owner.__xpm_schema__.fields
        lines = []
        for spec in fields.values():
            default = None if spec.generator is not None else default_text(spec)
            more = "" if default is None else f", default {default}"
            lines.append(f"{spec.name} : {spec.values_text}{more}")
            lines += [f"    {line}".rstrip() for line in spec.help_text.splitlines()]
        if not lines:
            return cls.__doc__
        from inspect import cleandoc  # slow to import, and only people ask

        own = [] if cls.__doc__ is None else [cleandoc(cls.__doc__), ""]
        return "\n".join([*own, "Parameters", "----------", *lines])


class Words(str):
    """Text that is shown as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def default_text(spec: FieldSpec) -> Words | None:
    """Write the default of a parameter; None if it is required."""
    if spec.required:
        return None
    if spec.factory is not None:
        return Words("…")
    return Words("None" if spec.default is MISSING else shorten(spec.default, 40))


class Configuration:
    """What the classes ``K.C`` put before the user's class."""

    __xpm_class__: ClassVar[type]
    __xpm_schema__: ClassVar[Schema]
    __xpm__: ConfigInfo
    __signature__ = _Signature()

    def __init_subclass__(cls, **_keywords: Any) -> None:
        # Neither our own nor the user's __init_subclass__ takes K.C for a class of the user's.
        if "__xpm_class__" not in vars(cls):
            raise ConfigTypeError(f"{cls.__qualname__}: derive from the class, not from its .C")

    def __new__(cls, /, *args: Any, **values: Any) -> Any:
        made = object.__new__(cls)
        mark = cls.__xpm_schema__.deprecated
        if mark is None or not mark.replace:
            return made
        cls.__init__(made, *args, **values)  # Python does not: what follows is no `cls`
        old = info(made)
        new = old.standing_for()
        new.own_tags = {**old.own_tags, **new.own_tags}
        return new.config

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
        others: list[str] = []  # old names, whose methods may use what has a default
        for name, value in values.items():
            spec = fields.get(name)
            if spec is None:
                others.append(name)
            elif type(value) is spec.exact and spec.generator is None and spec.kind != "constant":
                store[name] = value
            else:
                put(node, name, value)
        if found.made:
            fill_defaults(node)
        for name in others:
            put(node, name, values[name])
        if found.deprecated is not None:
            warn_deprecated(node)

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

    def __reduce_ex__(self, _protocol: Any) -> Any:
        # By way of the user's class: cloudpickle cannot put a K.C together.
        node = info(self)
        return _blank, (node.cls,), {name: getattr(node, name) for name in TRAVELS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        node = info(self)
        for name, value in state.items():
            setattr(node, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deep_copy(info(self), memo)


def _blank(cls: type) -> Any:
    """Make a configuration that is filled by ``__setstate__``."""
    config: Any = object.__new__(config_class(cls))
    config.__dict__["__xpm__"] = ConfigInfo(config, schema_of(cls), {})
    return config


def _names(found: Schema) -> str:
    return ", ".join(f"{name}=…" for name in found.fields) or "there are none"


def config_class(cls: type) -> type:
    """Give the class ``K.C`` of a class K (made on first use)."""
    memory = kept(cls)
    found = memory.made
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
            "__doc__": _Documentation(),
            "__xpm_class__": cls,
            "__xpm_schema__": schema,
        }
        found = type(cls)(f"{cls.__name__}.C", (*parents, cls), body)
        memory.made = found
    return cast(type, found)


class _MakesConfigs:
    """``K.C``: a class attribute that depends on the class it is read from."""

    def __get__(self, instance: object, owner: type[K]) -> type[K]:
        if instance is not None and owner.__dict__.get("__xpm_class__") is not None:
            owner = owner.__dict__["__xpm_class__"]
        return config_class(owner)


class _Applied:
    """``K[int].C``: makes configurations whose type variables are known beforehand."""

    def __init__(self, cls: type, arguments: tuple[Any, ...]) -> None:
        self._cls, self._arguments = cls, arguments

    def __call__(self, *args: Any, **values: Any) -> Any:
        made: Any = config_class(self._cls)(*args, **values)
        node = info(made)
        node.pins = pins(node.cls, self._arguments)
        bind_variables(node)
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(config_class(self._cls), name)


class _ValueClass:
    """``K.XPMValue``: the class of instances."""

    def __get__(self, instance: object, owner: type[K]) -> type[K]:
        return cast("type[K]", value_class(owner.__dict__.get("__xpm_class__", owner)))


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
        node = node_of(getattr(self, "__dict__", {}).get("__xpmconfig__"))
    if node is None and not isinstance(self, Config):
        return info(self)  # which says what it is
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
    raise NoJobError(
        f"this {node.cls.__qualname__} has no job: it has not been submitted ({place_text()})"
    )


def _with_job(self: Any, act: Callable[[Any], object]) -> None:
    """Do something with the job; with that of a task to be submitted, when there is one."""
    node = _node(self)
    if node.job is None and hasattr(node.cls, "__xpm_task__"):
        node.later.append(act)
    else:
        act(_job(self))


def _note_site(cls: type, frame: FrameType | None) -> None:
    """Note where the ``class`` statement of a class is.

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
            type.__setattr__(cls, "__xpm_site__", Site(code.co_filename, frame.f_lineno, code))
            if "<locals>" in cls.__qualname__:  # what its annotations name is out of reach later
                type.__setattr__(cls, "__xpm_locals__", local_names(cls, frame.f_locals))
            return
        if first is None and code.co_name not in ("__init_subclass__", "__new__"):
            first = frame
        frame = frame.f_back
    if first is not None:
        site = Site(first.f_code.co_filename, first.f_lineno, None)
        type.__setattr__(cls, "__xpm_site__", site)


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
        _note_site(cls, sys._getframe(1))

    if not TYPE_CHECKING:  # type checkers know what Generic does

        def __class_getitem__(cls, arguments: Any) -> Any:
            try:
                alias = super().__class_getitem__(arguments)
            except AttributeError:
                raise ConfigTypeError(
                    f"{cls.__qualname__} is not generic: write `class {cls.__name__}(Config,"
                    f" Generic[T])` ({place_text()})"
                ) from None
            made = _Applied(cls, get_args(alias))
            vars(alias).update(C=made, XPMConfig=made)  # a generic alias asks its class otherwise
            return alias

    def __init__(self, /, *args: Any, **values: Any) -> None:
        if args or values:
            name = type(self).__qualname__
            given = ", ".join(
                [*map(shorten, args), *(f"{k}={shorten(v)}" for k, v in values.items())]
            )
            raise ConfigTypeError(
                f"write {name}.C({given}) to make a configuration ({place_text()})"
            )
        super().__init__()

    @classmethod
    def value_class(cls, *given: Any) -> Callable[[type[K]], type[K]]:
        """Register the class that instances are of, where it is not the class itself.

        It keeps what describes a model apart from what it is made of: the one is quickly imported,
        the other may derive from ``nn.Module``.

        Examples
        --------
        >>> @Model.value_class()  # doctest: +SKIP
        ... class ModelValue(Model, nn.Module):
        ...     def forward(self, x): ...
        """
        declared: type = cls.__dict__.get("__xpm_class__", cls)
        if given:
            name = declared.__qualname__
            raise ConfigTypeError(f"write @{name}.value_class() over the class ({place_text()})")

        def register(value: type[K]) -> type[K]:
            set_value_class(declared, value)
            return value

        return register

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
        return plug(info(self), inner)

    def __sub__(self, other: Any) -> Any:
        """Give where two configurations differ: shown as a table, empty if nowhere."""
        if node_of(self) is None or node_of(other) is None:
            return NotImplemented
        return doors.comparer(self, other)

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

    def source(self) -> Any:
        """Give the code that the job ran, and what has changed in the cells since."""
        return _job(self).source()

    def on_completed(self, callback: Callable[[], Any]) -> None:
        """Have a function called, with no argument, when the job ends well.

        Also when it already has, and when the task is yet to be submitted. What the same function
        of the same cell had called before is replaced when the cell is run again.
        """
        _with_job(self, lambda job: job.on_completed(callback))

    def on_state(self, callback: Callable[[Any], Any]) -> None:
        """Have a function called with a view of the job at each change of its state."""
        _with_job(self, lambda job: job.on_state(callback))

    def __await__(self) -> Generator[Any, Any, Any]:
        return cast("Generator[Any, Any, Any]", _job(self).__await__())

    # -- display

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return None if node_of(self) is None else doors.renderer(self)

    def _display_(self) -> Any:
        """Give what marimo is to display."""
        return repr(self) if node_of(self) is None else doors.widget(self)


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

    def why(self) -> Any:
        """Say why its result is reused, or why not: what has changed; see `Experiment.why`."""
        return doors.explainer(_node(self).config)

    def rerun_here(self) -> Any:
        """Execute the submitted task in this process, for debugging; see `Job.rerun_here`."""
        return _job(self).rerun_here()

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
        transient : TransientMode, optional
            Whether the job may be left out as long as nothing needs it.

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
        if is_config(init_tasks):
            raise ConfigTypeError(f"init_tasks is a list: write init_tasks=[…] ({place_text()})")
        return doors.submitter.submit(
            _node(self).config,
            launcher=launcher,
            run_mode=run_mode,
            init_tasks=tuple(init_tasks),
            max_retries=max_retries,
            transient=transient,
        )

    def add_dependencies(self, *dependencies: Any) -> Any:
        """Have the task wait for more than what it holds, and give it back; before it is submitted.

        Nothing of this is part of the identifier.

        Parameters
        ----------
        *dependencies
            Submitted tasks or outputs of such, which must be done first; what
            ``xp.token("gpu", 2).dependency(1)`` gives, which the job holds while it runs.

        Raises
        ------
        ConfigError
            If something was not submitted, or the task has been.
        ConfigTypeError
            If something can be no dependency.
        """
        config = _node(self).config
        add_dependencies(config, dependencies)
        return config

    def watch_output(
        self, method: Callable[..., Any] | str, callback: Callable[[Any], Any]
    ) -> None:
        """Have a function called with each output that the running task reports.

        Also with what was reported before: in the order of the reports, each once. The callbacks'
        thread calls it, and it may submit tasks; those that take the output need not wait for this
        task to end.

        Parameters
        ----------
        method : method
            What the task gives to `register_task_output`: ``task.checkpoint``.
        callback : callable
            Gets what the method returns, here in the notebook.

        Examples
        --------
        >>> learn.watch_output(  # doctest: +SKIP
        ...     learn.checkpoint, lambda found: Evaluate.C(checkpoint=found).submit()
        ... )
        """
        name = method_of(self, method)
        _with_job(self, lambda job: job.watch_output(name, callback))

    def register_task_output(self, method: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Report an output while the task runs, for those who watch it.

        Does nothing outside a job. A task that is run again without its files (one that is not
        resumable) reports anew.

        Parameters
        ----------
        method : method
            One of the task, ``def checkpoint(self, dep, step)``, that is called in the notebook to
            give the output: ``return dep(Checkpoint.C(step=step, path=self.jobpath / …))``.
        *args, **options
            What it gets behind `dep`; values that JSON can hold.

        Raises
        ------
        RecordError
            JSON does not give a value back as it is.

        Examples
        --------
        >>> def execute(self):  # doctest: +SKIP
        ...     for step in range(10):
        ...         self.train(step)
        ...         self.register_task_output(self.checkpoint, step)
        """
        name, node = method_of(self, method), node_of(self)
        if node is not None:
            raise ConfigTypeError(
                f"register_task_output() is for execute(), and this {node.cls.__qualname__} is a"
                f" configuration: the notebook calls watch_output() ({place_text()})"
            )
        if "__taskdir__" in vars(self):
            doors.reporter(name, args, options)


def method_of(task: Any, method: Any) -> str:
    """Name a method of a task."""
    node = node_of(task)
    cls = type(task) if node is None else node.cls
    name = method if isinstance(method, str) else getattr(method, "__name__", "")
    if not callable(getattr(cls, name, None)) or not (isinstance(method, str) or callable(method)):
        raise ConfigTypeError(
            f"an output of {cls.__qualname__} is named by one of its methods, not by"
            f" {shorten(method)} ({place_text()})"
        )
    return name


class ResumableTask(Task):
    """A task that goes on where an earlier attempt ended, from files that it saved itself.

    When it ends by its time limit it is run again at once, up to ``max_retries`` times, in the same
    directory: what it wrote there stays; logs and records of the earlier attempt are moved to
    ``.experimaestro/attempts/<n>/``. At the limit it gets a `TaskCancelled`; better it looks at
    `remaining_time` and raises `GracefulTimeout` before.

    Examples
    --------
    >>> class Learn(ResumableTask):
    ...     epochs: Param[int]
    ...     saved: Meta[Path] = field(default_factory=PathGenerator("epoch.txt"))
    ...
    ...     def execute(self):
    ...         begun = int(self.saved.read_text()) if self.saved.exists() else 0
    ...         for epoch in range(begun, self.epochs):
    ...             learn(epoch)
    ...             self.saved.write_text(str(epoch + 1))
    >>> Learn.C(epochs=9).submit(launcher=LocalLauncher(time_min=30))  # doctest: +SKIP
    """

    __xpm_config__ = True
    __xpm_resumable__: ClassVar[bool] = True

    def remaining_time(self) -> float | None:
        """Give how many seconds of the job's time limit are left, 0.0 if it is over.

        None without a limit, and outside a job.
        """
        return doors.remaining_time()


class Prepare(Config):
    """A configuration that is made ready before the tasks that refer to it: define `prepare`.

    Its ``prepare(self)`` is called once for each identifier in a workspace, in a thread of the
    kernel, when the first task that holds it somewhere is submitted. The tasks wait for it; if it
    raises they end in error. A job that is started without that kernel, or that is transient, calls
    it itself.

    Examples
    --------
    >>> class Corpus(Prepare):
    ...     name: Param[str]
    ...
    ...     def prepare(self):
    ...         download(self.name)
    """

    __xpm_config__ = True
    __xpm_prepare__: ClassVar[bool] = True

    def prepare(self) -> object:
        """Make ready what the tasks need; what it returns is not kept."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method prepare(self)")


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
