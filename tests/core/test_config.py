from __future__ import annotations

import copy
import gc
import inspect
import os
import pickle
import subprocess
import sys
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from xpm_nb.core import config, doors
from xpm_nb.core.config import (
    Config,
    DirectoryContext,
    InstanceConfig,
    LightweightTask,
    Task,
    copyconfig,
    grid,
    info,
    is_config,
    sealed_set,
    setmeta,
    site,
    stop_tags,
    tag,
    tags,
    tagspath,
)
from xpm_nb.core.fields import Constant, Meta, Param, PathGenerator, field
from xpm_nb.core.nodes import ConfigInfo
from xpm_nb.errors import (
    ConfigError,
    ConfigTypeError,
    FrozenError,
    NoExperimentError,
    NoJobError,
    UnsetError,
)

HERE = __file__


class Model(Config):
    hidden: Param[int]
    drop: Param[float] = 0.1


class Learn(Task):
    lr: Param[float]
    model: Param[Model]
    version: Constant[int] = 1
    out: Meta[Path] = field(default_factory=PathGenerator("out.pt"))

    def execute(self):
        return self.lr


def learn(**changes):
    return Learn.C(**{"lr": 0.1, "model": Model.C(hidden=3)} | changes)


def line():
    return sys._getframe(1).f_lineno


# -- making and setting


def test_what_a_configuration_is():
    made = Learn.C(lr=1, model=Model.C(hidden="3"))
    assert (made.lr, made.model.hidden, made.version) == (1.0, 3, 1)
    assert isinstance(made, Learn)
    assert issubclass(Learn.C, Task.C)
    assert Learn.XPMConfig is Learn.C is made.C
    assert Learn.XPMValue is Learn
    assert is_config(made)
    assert not is_config(Learn)
    assert not is_config(made.instance())
    assert config.declared_class(made) is Learn
    assert type(info(made)) is ConfigInfo is type(made.__xpm__)
    assert Learn.C.__qualname__ == "Learn.C"
    assert Learn.C.lr.type_text == "float"


def test_wrong_values_name_class_parameter_value_and_place():
    with pytest.raises(
        ConfigError, match=rf"^Learn\.lr: float wanted, not 'abc' \(str\); .*{HERE}:{line() + 2}\)$"
    ):
        Learn.C(lr="abc")
    made = learn()
    with pytest.raises(ConfigError, match=rf"type tests.core.test_config.learn, {HERE}:"):
        made.model = 3


def test_unknown_names():
    with pytest.raises(
        ConfigError, match=r"Learn has no parameter 'mdoel'; did you mean 'model'\?"
    ):
        learn(mdoel=3)
    with pytest.raises(ConfigError, match=r"no parameter 'x'; there are: hidden, drop"):
        Model.C(hidden=1).x = 3


def test_keywords_only():
    with pytest.raises(ConfigTypeError, match=r"Model\.C takes keywords only: hidden=…, drop=…"):
        Model.C(3)
    with pytest.raises(TypeError, match=r"write Model\.C\(hidden=3\) to make a configuration"):
        Model(hidden=3)


def test_what_may_not_be_set():
    made = learn()
    for name, value in {"version": 2, "out": "/x", "lr": None}.items():
        with pytest.raises(FrozenError, match=f"Learn.{name}"):
            setattr(made, name, value)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del made.lr
    made.seal()
    for name, value in {"lr": 1, "model": Model.C(hidden=1)}.items():
        with pytest.raises(AttributeError, match="sealed"):
            setattr(made, name, value)
    with pytest.raises(AttributeError, match="sealed"):
        made.model.hidden = 4


def test_a_task_as_a_value_must_have_been_submitted(submitter):
    class Evaluate(Task):
        learner: Param[Learn]

    with pytest.raises(ValueError, match=r"must have been submitted: Learn\.C\(\.\.\.\)\.submit"):
        Evaluate.C(learner=learn())
    assert Evaluate.C(learner=learn().submit()).learner.lr == 0.1


def test_instances_say_that_they_are_none():
    instance = Model.C(hidden=1).instance()
    assert instance.xpmconfig.hidden == 1
    with pytest.raises(ConfigTypeError, match=r"this Learn is an instance: write Learn\.C"):
        Learn().submit()
    with pytest.raises(ConfigError, match="no configuration"):
        info(instance)


# -- the user's names win


def test_names_of_the_user_win_over_accessors(submitter):
    class Mine(Task):
        job: Param[str]
        state: Param[int]
        copy: Param[int] = 1

        def wait(self):
            return "mine"

        def tags(self):
            return "mine too"

        def execute(self):
            pass

    made = Mine.C(job="j", state=2).submit()
    assert (made.job, made.state, made.copy, made.wait(), made.tags()) == (
        "j", 2, 1, "mine", "mine too",
    )  # fmt: skip
    assert made.__xpm__.job.state == "state"
    assert tags(made) == {}
    assert (made | {"state": 5}).state == 5
    with pytest.raises(UnsetError):
        Mine.C(state=1).job  # noqa: B018
    instance = Mine.C(job="j", state=2).instance()
    instance.jobpath = 3
    assert (instance.job, instance.jobpath) == ("j", 3)


class Module:
    """Behaves as torch's: keeps sub-modules, has its own init and set, no super().__init__."""

    def __init__(self):
        self.__dict__["parts"] = {}
        self.__dict__["made"] = True

    def __setattr__(self, name, value):
        if isinstance(value, Module):
            self.__dict__["parts"][name] = value
        else:
            self.__dict__[name] = value

    def __getattr__(self, name):
        parts = self.__dict__.get("parts", {})
        if name in parts:
            return parts[name]
        raise AttributeError(name)

    def __call__(self, x):
        return x

    def train(self):
        return "training"


class Net(Config, Module):
    width: Param[int]
    inner: Param[Net | None] = None


class Other(Module, Config):
    width: Param[int]


@pytest.mark.parametrize("cls", [Net, Other])
def test_a_base_class_with_its_own_ways(cls):
    made = cls.C(width=3)
    assert made.width == 3
    with pytest.raises(UnsetError):
        cls.C().width  # noqa: B018
    with pytest.raises(ConfigError, match="no parameter 'x'"):
        made.x = 3
    with pytest.raises(AttributeError):
        made.nothing  # noqa: B018
    instance = made.instance()
    assert (instance.width, instance.made, instance.train(), instance(4)) == (
        3,
        True,
        "training",
        4,
    )
    instance.anything = 5
    assert instance.xpmconfig is made


def test_instances_go_through_the_bases_set():
    instance = Net.C(width=1, inner=Net.C(width=2)).instance()
    assert list(instance.parts) == ["inner"]
    assert instance.inner.width == 2
    assert Net.C(width=1).instance().inner is None

    class Deeper(Net):
        inner = None

    assert Deeper.C(width=1, inner=Net.C(width=2)).instance().inner.width == 2


def test_abstract_classes_and_metaclasses():
    class Base(Config, ABC):
        n: Param[int] = 1

        @abstractmethod
        def run(self): ...

    class Real(Base):
        def run(self):
            return self.n

    assert Real.C(n=2).instance().run() == 2
    assert isinstance(Real.C(), Base)
    with pytest.raises(TypeError, match="abstract"):
        Base.C()


def test_a_users_init_subclass_never_sees_our_classes():
    seen = []

    class Registered(Config):
        def __init_subclass__(cls, *, name="", **kw):
            super().__init_subclass__(**kw)
            seen.append((cls.__name__, name))

    class A(Registered, name="a"):
        x: Param[int] = 1

    A.C(x=2)
    Registered.C()
    assert seen == [("A", "a")]


def test_an_own_init_is_called_without_arguments():
    class Own(Config):
        x: Param[int]

        def __init__(self):
            super().__init__()
            self.cache = []

        def __post_init__(self):
            self.double = 2 * self.x

    made = Own.C(x=3).instance()
    assert (made.cache, made.double) == ([], 6)


# -- equality, hash, text


def test_equality():
    assert learn() == learn()
    assert learn() != learn(lr=0.2)
    assert learn() != 3
    assert Model.C(hidden=1) != Model.C()
    assert learn(lr=0.0) != learn(lr=-0.0)
    assert learn(lr=float("nan")) == learn(lr=float("nan"))

    class Sub(Model):
        pass

    assert Sub.C(hidden=1) != Model.C(hidden=1)

    class Held(Config):
        note: Meta[str] = ""
        items: Param[list[Model]] = field(default=[])
        named: Param[dict[str, Model]] = field(default={})
        chosen: Param[set[Model]] = field(default=set())
        pair: Param[tuple[int, ...]] = ()

    one, two = Model.C(hidden=1), Model.C(hidden=2)
    assert Held.C(items=[one, one]) == Held.C(items=[Model.C(hidden=1), one])
    assert Held.C(items=[one, two]) != Held.C(items=[two, one])
    assert Held.C(named={"a": one, "b": two}) == Held.C(named={"b": two, "a": one})
    assert Held.C(named={"a": one}) != Held.C(named={"a": two})
    assert Held.C(note="x") != Held.C()
    sets = sealed_set(Model.C(hidden=1), two.copy()), sealed_set(Model.C(hidden=2), one.copy())
    assert Held.C(chosen=sets[0]) == Held.C(chosen=sets[1])
    assert Held.C(items=[one, setmeta(two.copy(), True)]) != Held.C(items=[one, two.copy()])
    assert Held.C(pair=(1, 2)) != Held.C(pair=(1, 3))
    assert Held.C(pair=(1,)) != Held.C(pair=(1, 1))


def test_instance_configs_are_told_apart():
    class Inst(InstanceConfig):
        x: Param[int] = 0

    class Pair(Config):
        p: Param[Inst]
        q: Param[Inst]

    a, b = Inst.C(), Inst.C()
    assert Pair.C(p=a, q=b) == Pair.C(p=b, q=a)
    assert Pair.C(p=a, q=a) != Pair.C(p=a, q=b)
    assert Pair.C(p=a, q=b) != Pair.C(p=a, q=a)
    assert Pair.C(p=a, q=a) == Pair.C(p=b, q=b)


def test_loops_can_be_compared():
    class Ring(Config):
        next: Param[Ring | None] = None
        n: Param[int] = 0

    def ring(*numbers):
        nodes = [Ring.C(n=n) for n in numbers]
        for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            node.next = after
        return nodes[0]

    assert ring(1, 2) == ring(1, 2)
    assert ring(1, 2) != ring(1, 3)
    assert ring(1, 1) == ring(1)
    one, other = ring(1, 2), ring(1, 2)
    for made in one, other:
        made.seal()
    assert hash(one) == hash(other)


def test_hash_only_when_sealed():
    made = Model.C(hidden=1)
    with pytest.raises(TypeError, match=r"seal\(\) it first"):
        hash(made)
    made.seal()
    other = Model.C(hidden=1).seal()
    assert hash(made) == hash(other)
    assert len({made, other, Model.C(hidden=2).seal()}) == 2
    assert len(sealed_set(Model.C(hidden=1), Model.C(hidden=1))) == 1


def test_the_hash_of_a_task_does_not_change_when_it_is_submitted(submitter):
    made = learn().seal()
    before = hash(made)
    made.submit()
    assert hash(made) == before
    submitter.space = "other"
    assert hash(made) == before


def test_text():
    assert repr(Model.C(hidden=64)).startswith("Model(hidden=64, drop=0.1) [")
    assert repr(learn()) == (
        f"Learn(lr=0.1, model=Model(hidden=3, drop=0.1), version=1) [{learn().__identifier__().short}]"
    )
    assert repr(Model.C()) == "Model(drop=0.1)"

    class Long(Config):
        text: Param[str]
        items: Param[list[Model]] = field(default=[])

    made = Long.C(text="x" * 1000, items=[Model.C(hidden=i) for i in range(100)])
    assert len(repr(made)) < 200
    assert "…" in repr(made)


def test_a_deep_or_looping_configuration_has_a_short_text():
    class Ring(Config):
        next: Param[Ring | None] = None

    made = Ring.C()
    made.next = made
    assert repr(made).startswith("Ring(next=Ring(next=Ring(next=Ring(next=Ring(…)))))")


# -- identifiers and namespaces


def test_a_class_of_the_notebook_needs_a_namespace(submitter):
    cell = type("Cell", (Config,), {"__module__": "__main__", "__qualname__": "Cell"})
    submitter.space = None
    with pytest.raises(NoExperimentError, match="Cell is defined in the notebook"):
        cell.C().__identifier__()
    assert repr(cell.C()) == "Cell()"
    submitter.space = "a"
    first = cell.C().__identifier__()
    assert first == config.identify(cell.C(), "a") != config.identify(cell.C(), "b")
    assert repr(cell.C()) == f"Cell() [{first.short}]"
    assert config.type_name(cell, "Exp") == "exp.cell"
    assert config.needs_namespace(cell)
    assert not config.needs_namespace(Model)
    sealed = cell.C().seal()
    assert config.identify(sealed, "b") != config.identify(sealed, "a") == first


def test_type_names():
    class Named(Config):
        __xpmid__ = "My.Name"

    class Derived(Named):
        pass

    class ByMethod(Config):
        @classmethod
        def __xpmid__(cls):
            return f"by.{cls.__name__}"

    class Below(ByMethod):
        pass

    assert config.type_name(Named, None) == "my.name"
    assert config.type_name(Derived, None).endswith("test_type_names.<locals>.derived")
    assert config.type_name(Below, None) == "by.below"
    assert config.type_name(Model, None) == "tests.core.test_config.model"
    assert config.local_name(Model) == "Model"


def test_identifiers_of_notebook_classes_depend_on_experiment_class_and_values_only(submitter):
    def define():
        inner = type("In", (Config,), {
            "__module__": "__main__", "__qualname__": "In", "__annotations__": {"x": Param[int]},
        })  # fmt: skip
        return type("Out", (Task,), {
            "__module__": "__main__", "__qualname__": "Out",
            "__annotations__": {"i": Param[inner], "y": Param[int]},
        }), inner  # fmt: skip

    found = set()
    for order in range(3):
        out, inner = define()
        for space in ("a", "b", "a") if order != 1 else ("b", "a"):
            submitter.space = space
            task = out.C(y=2, i=inner.C(x=1))
            if order == 2:
                task.seal()
                config.identify(task, "other")
            found.add((space, task.submit().__identifier__().hex()))
    assert len(found) == 2


def test_a_submitted_task_keeps_its_identifier(submitter):
    cell = type("Cell", (Task,), {"__module__": "__main__", "__qualname__": "Cell"})
    task = cell.C().submit()
    first = task.__identifier__()
    submitter.space = "other"
    assert task.__identifier__() == first == config.identify(task, None)
    assert cell.C().__identifier__() != first


# -- the class statement


def test_site():
    assert site(Model).filename == HERE
    assert site(Model).lineno == inspect.getsourcelines(Model)[1]
    assert site(Model).code.co_name == "<module>"

    class Base(Config):
        def __init_subclass__(cls, **kw):
            super().__init_subclass__(**kw)

    class Below(Base, ABC):
        here = line()

    assert (site(Below).lineno, site(Below).code.co_name) == (Below.here - 1, "test_site")
    made = type("Made", (Base,), {})
    here = line()
    assert (site(made).lineno, site(made).code, site(made).filename) == (here - 1, None, HERE)
    assert "test_config" in repr(site(Model))


def test_no_frame_is_kept():
    class Big:
        pass

    def define():
        big = Big()

        class Inner(Config):
            x: Param[int] = id(big) and 1

        Inner.C()
        return Inner

    kept = define()
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is Big]
    assert kept.C().x == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="class G[T] is of Python 3.12")
def test_site_of_a_generic_class():
    space = {"Config": Config, "__name__": "generic"}
    exec(compile("\n\nclass G[T](Config):\n    pass\n", "<cell>", "exec"), space)
    assert (site(space["G"]).filename, site(space["G"]).lineno) == ("<cell>", 3)


def test_help_and_completion():
    assert str(inspect.signature(Learn.C)) == "(*, lr: float, model: Model) -> Learn"
    assert str(inspect.signature(Model.C)) == "(*, hidden: int, drop: float = 0.1) -> Model"
    assert inspect.signature(type("P", (Config,), {}).C).parameters == {}


def test_reload_or_redefinition():
    """Matched by type name and schema, in both directions."""

    def define(kind=Param[int], more=()):
        body = {"__annotations__": {"n": kind, **dict(more)}, "__qualname__": "Cell"}
        return type("Cell", (Config,), {"__module__": "__main__", **body})

    old, new, other = define(), define(), define(Param[str], [("m", Param[int])])
    for one, two in ((old, new), (new, old)):
        holder = type("Holder", (Config,), {"__annotations__": {"x": Param[list[one]]}})
        given = two.C(n=1)
        assert holder.C(x=[given]).x == [given]
        assert holder.C(x=[given]).x[0] is given
        with pytest.raises(ConfigError, match=r"Cell was defined twice.*\(m, n\).*test_config"):
            holder.C(x=[other.C(n="1", m=1)])
        below = type("Below", (two,), {"__module__": "__main__"})
        assert holder.C(x=[below.C(n=1)])
    unlike = type("Cell", (Config,), {"__module__": "elsewhere", "__qualname__": "Cell"})
    with pytest.raises(ConfigError, match="a Cell is needed"):
        type("H", (Config,), {"__annotations__": {"x": Param[old]}}).C(x=unlike.C())


# -- copies


def test_copies(submitter):
    made = learn().tag("name", 1)
    made.submit()
    again = made.copy()
    assert again == learn()
    assert again.model is made.model
    assert tags(again) == {"name": 1}
    again.lr = 3
    assert info(again).task is None
    with pytest.raises(UnsetError):
        again.out  # noqa: B018
    assert copyconfig(made, lr=7).lr == 7.0
    assert copy.copy(made) == learn()
    assert copy.copy(made) is not made


def test_deep_copies(submitter):
    class Evaluate(Task):
        learner: Param[Learn]
        models: Param[list[Model]]

    model = Model.C(hidden=1)
    made = Evaluate.C(learner=learn().submit(), models=[model, model])
    deep = copy.deepcopy(made)
    assert deep == made
    assert deep.learner is made.learner  # a submitted task stays what it is
    assert deep.models[0] is deep.models[1] is not model


# -- jobs


def test_accessors_of_the_job(submitter):
    class Out(Config):
        path: Meta[Path]

    class Make(Task):
        def task_outputs(self, dep):
            return dep(Out.C(path=self.jobpath / "x"))

    made = Make.C()
    assert not hasattr(made, "job")
    for name in ("job", "state", "jobpath"):
        with pytest.raises(NoJobError, match="has not been submitted"):
            getattr(made, name)
    with pytest.raises(ConfigError, match="has no job"):
        made.wait()
    out = made.submit()
    assert out.job is made.job is info(made).job
    assert (out.state, made.jobpath, made.stdout()) == (
        "state",
        out.path.parent,
        made.jobpath / "out",
    )
    assert (made.wait(), made.wait(3), made.result()) == ("waited None", "waited 3", 42)
    assert list(out.__await__()) == ["awaited"]


def test_display():
    assert learn()._repr_mimebundle_() == {"text/plain": repr(learn())}
    doors.fill(renderer=lambda config: {"text/html": "<b>"})
    assert learn()._repr_mimebundle_(include=None, exclude=None) == {"text/html": "<b>"}
    assert learn().instance(DirectoryContext("/x"))._repr_mimebundle_() is None


def test_lightweight_tasks(submitter):
    class Load(LightweightTask):
        model: Param[Model]

        def execute(self):
            pass

    model = Model.C(hidden=1)
    plain, other = learn(model=model), learn(model=model)
    with_load = other.submit(init_tasks=[Load.C(model=model)])
    assert plain.submit().__identifier__() != with_load.__identifier__()
    with pytest.raises(ConfigTypeError, match="is no LightweightTask"):
        learn().submit(init_tasks=[Model.C(hidden=1)])


# -- instances


def test_instance_of_a_graph():
    class Held(Config):
        items: Param[list[Model]]
        named: Param[dict[str, Model]]
        either: Param[tuple[Model, ...]]

        def __post_init__(self):
            self.seen = [item.hidden for item in self.items]

    model = Model.C(hidden=1)
    made = Held.C(items=[model, Model.C(hidden=2)], named={"k": model}, either=[model])
    instance = made.instance()
    assert instance.items[0] is instance.named["k"] is instance.either[0]
    assert type(instance.items[0]) is Model
    assert instance.seen == [1, 2]
    assert instance.xpmconfig is made
    assert instance.__identifier__() == made.__identifier__()
    objects = {}
    first = model.instance(objects=objects)
    assert made.instance(objects=objects).items[0] is first
    assert Model.C(hidden=3).instance(objects=objects, keep=False) not in objects.values()


def test_instances_of_a_loop():
    class Ring(Config):
        next: Param[Ring | None] = None

    a = Ring.C()
    a.next = Ring.C(next=a)
    made = a.instance()
    assert made.next.next is made
    assert made.next is not made


def test_generated_paths(tmp_path):
    made = learn().seal()
    with pytest.raises(UnsetError, match=r"Learn\.out: its path is generated .*DirectoryContext"):
        made.out  # noqa: B018
    assert made.instance(DirectoryContext(tmp_path)).out == tmp_path / "out.pt"
    assert made.out == tmp_path / "out.pt"
    assert learn() == made


def test_containers_that_change():
    class Held(Config):
        items: Param[list[int]]

    given = [1]
    made = Held.C(items=given)
    given.append(2)
    assert made.items == [1]
    made.items.append("3")
    assert made.instance().items == [1, 3]
    assert made.items == [1, 3]
    made.items.append(4)
    assert made.items == [1, 3]
    other = Held.C(items=[])
    other.items.append("x")
    with pytest.raises(ConfigError, match=r"at \$\.items\[0\]: 'x'"):
        other.instance()


def test_what_is_no_configuration():
    class Inner(Config):
        x: Param[int]

    for give in (config.tags, config.tagspath, config.copyconfig):
        with pytest.raises(ConfigError, match=r"5 is no configuration; .* derived from Config"):
            give(5)
    with pytest.raises(ConfigError, match=r"is no configuration; .* by .*Inner\.C\(\.\.\.\)"):
        config.copyconfig(Inner)


def test_validation():
    calls = []

    class Inner(Config):
        x: Param[int]

        def __validate__(self):
            calls.append("inner")
            if self.x < 0:
                raise ValueError("x must not be negative")

    class Outer(Config):
        inner: Param[Inner]

        def __validate__(self):
            calls.append("outer")

    Outer.C(inner=Inner.C(x=1)).instance()
    assert calls == ["inner", "outer"]
    with pytest.raises(ValueError, match="not be negative") as raised:
        Outer.C(inner=Inner.C(x=-1)).instance()
    (note,) = raised.value.__notes__
    assert "Inner(x=-1)" in note
    assert "at $.inner of" in note
    with pytest.raises(ValueError, match="not be negative") as raised:
        Inner.C(x=-1).instance()
    assert not hasattr(raised.value, "__notes__"), "the traceback says it"
    with pytest.raises(
        ConfigError, match=rf"Inner\.x has no value: x: int is required .*at \$\.inner\.x \({HERE}"
    ):
        Outer.C(inner=Inner.C()).instance()


# -- marks


def test_setmeta():
    class Held(Config):
        model: Param[Model | None] = None

    model = Model.C(hidden=1)
    held = Held.C(model=model).__identifier__()
    assert setmeta(model, True) is model
    assert Held.C(model=model).__identifier__() == Held.C().__identifier__() != held
    model.seal()
    assert setmeta(model, True) is model
    with pytest.raises(FrozenError, match="is sealed"):
        setmeta(model, False)


def test_tags(submitter):
    made = learn(lr=tag(0.5), model=Model.C(hidden=tag(3)).tag("deep", "x")).tag("top", 1)
    assert made.lr == 0.5
    assert made.tags() == tags(made) == {"lr": 0.5, "top": 1, "hidden": 3, "deep": "x"}
    assert made.__identifier__() == learn(lr=0.5).__identifier__()
    with pytest.raises(ConfigError, match=r"goes around the whole value: items=tag\("):
        type("L", (Config,), {"__annotations__": {"items": Param[list[int]]}}).C(items=[tag(1)])

    class Evaluate(Task):
        learner: Param[Learn]

    assert Evaluate.C(learner=made.submit()).tags()["lr"] == 0.5
    clash = learn(model=Model.C(hidden=1).tag("k", 2)).tag("k", 1)
    first = line() - 1
    with pytest.warns(UserWarning, match=rf"tag 'k' of Learn has two values: 1 \({HERE}:{first}\)"):
        assert clash.tags() == {"k": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(model=Model.C(hidden=1).tag("k", 1)).tag("k", 1).tags()


def test_stopped_tags_stay_below(submitter):
    model = Model.C(hidden=tag(3))
    made = learn(model=stop_tags(model), lr=tag(0.5))
    assert made.model is model
    assert made.tags() == {"lr": 0.5}
    assert model.tags() == {"hidden": 3}
    assert made.__identifier__() == learn(model=Model.C(hidden=3), lr=0.5).__identifier__()
    for value in (stop_tags(tag(0.5)), tag(stop_tags(0.5))):
        assert learn(lr=value).tags() == {"lr": 0.5}  # what is stopped are the tags below
    assert learn(lr=stop_tags(0.5)).lr == 0.5
    assert repr(stop_tags(stop_tags(1))) == "stop_tags(1)"

    class Pair(Config):
        a: Param[Model]
        b: Param[Model]
        more: Param[list[Model]] = field(default=[])

    assert Pair.C(a=stop_tags(model), b=model).tags() == {"hidden": 3}  # there is another way
    assert Pair.C(a=stop_tags(model), b=Model.C(hidden=1), more=stop_tags([model])).tags() == {}
    with pytest.raises(ConfigError, match=r"goes around the whole value: more=stop_tags\("):
        Pair.C(a=model, b=model, more=[stop_tags(model)])


def test_stopped_tags_and_changes(submitter):
    made = learn(model=stop_tags(Model.C(hidden=tag(3))))
    for again in (made.copy(), copy.deepcopy(made), made | {"lr": 0.7}, pickled(made)):
        assert again.tags() == {}
    assert copyconfig(made, model=Model.C(hidden=tag(4))).tags() == {"hidden": 4}
    made.model = Model.C(hidden=tag(5))
    assert made.tags() == {"hidden": 5}
    made.lr = tag(0.5)
    assert made.tags() == {"hidden": 5, "lr": 0.5}
    made.lr = tag(1)
    assert repr(made.tags()["lr"]) == "1"  # as it was written, whatever became of the value


def pickled(made):
    return pickle.loads(pickle.dumps(made))


def test_tags_as_a_path():
    made = learn(lr=tag(0.001), model=Model.C(hidden=tag(3))).tag("B", "a/b c").tag("k/y", None)
    assert tagspath(made) == "B=a-b c_hidden=3_k-y=None_lr=0.001"
    assert tagspath(learn()) == ""


# -- typing


@pytest.mark.slow
def test_mypy_knows_the_keywords(tmp_path):
    (tmp_path / "used.py").write_text(
        "from xpm_nb import Config, Meta, Param, PathGenerator, field\n"
        "from pathlib import Path\n"
        "class Model(Config):\n"
        "    n: Param[int]\n"
        "    p: Meta[Path] = field(default_factory=PathGenerator('p'))\n"
        "class Deep(Model):\n"
        "    m: Param[Model | None] = None\n"
        "made = Deep.C(n=1, m=Model.C(n=2))\n"
        "reveal_type(made)\n"
        "reveal_type(made.m)\n"
        "Deep.C(n='x')\n"
        "Deep.C(k=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "used.py"],
        cwd=tmp_path, capture_output=True, text=True,
        env={"MYPYPATH": str(Path(config.__file__).parents[2]), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    text = done.stdout
    assert 'Revealed type is "used.Deep"' in text
    assert 'Revealed type is "used.Model | None"' in text
    assert 'Argument "n" to "Deep" has incompatible type "str"; expected "int"' in text
    assert 'Unexpected keyword argument "k" for "Deep"' in text


def test_parameters_may_be_called_as_our_own_arguments_are():
    class Odd(Config):
        cls: Param[int] = 0
        self: Param[int] = 0
        config: Param[int] = 0
        base: Param[int] = 0
        args: Param[int] = 0
        values: Param[int] = 0

    config = Odd.C(cls=1, self=2, config=3, base=4, args=5, values=6)
    assert (config.cls, config.self, config.config, config.base) == (1, 2, 3, 4)
    assert (config | {"config": 7, "self": 8}).config == 7
    assert [c.cls for c in grid(Odd, cls=[1, 2], base=[3])] == [1, 2]
    with pytest.raises(ConfigTypeError, match=r"write .*Odd\.C\(cls=1, self=2\)"):
        Odd(cls=1, self=2)


PICKLED = """
import cloudpickle, pickle, sys
from xpm_nb.core.config import Config, Task, info
from xpm_nb.core.fields import Meta, Param, PathGenerator, field

class Model(Config):
    width: Param[int] = field(default=3, ignore_default=True)

class Wide(Model):
    pass

class Learn(Task):
    model: Param[Model]
    models: Param[dict[str, list[Model]]] = field(default={})
    file: Meta[object | None] = None
    def execute(self):
        return self

model = Wide.C(width=4)
config = Learn.C(model=model, models={"a": [model]})
config.tag("x", 1)
made = Learn.C
code = Learn.__xpm_site__.code
instance = config.instance()
data = cloudpickle.dumps([instance, config, Learn])
again, config_, cls = pickle.loads(data)  # here, classes stay what they are
assert cls is Learn and Learn.C is made and config_ == config and type(config_) is made
assert code is not None and Learn.__xpm_site__.code is code
sys.stdout.buffer.write(data)
"""


@pytest.mark.slow
def test_instances_and_configurations_go_to_another_process():
    data = subprocess.run([sys.executable, "-c", PICKLED], stdout=subprocess.PIPE, check=True)
    instance, config_, cls = pickle.loads(data.stdout)
    assert type(instance) is cls
    assert instance.model.width == 4
    assert instance.models["a"][0] is instance.model
    assert config_ == instance.xpmconfig
    assert config_.model is config_.models["a"][0]
    assert info(config_).sealed
    assert tags(config_) == {"x": 1}
    assert cls.C(model=config_.model).models == {}
    assert repr(config_).startswith("Learn(model=Wide(width=4)")
    with pytest.raises(ConfigError, match="has no parameter"):
        cls.C(modle=1)


def test_configurations_can_be_pickled(submitter):
    config_ = Pickled.C(n=1)
    config_.next = config_
    again = pickle.loads(pickle.dumps(config_))
    assert again.next is again
    assert again.n == 1
    again.n = 2
    task = Sum.C(a=1).submit()
    assert str(pickle.loads(pickle.dumps(task)).__identifier__()) == str(task.__identifier__())
    assert copy.deepcopy(config_).n == 1


class Pickled(Config):
    n: Param[int]
    next: Param[Pickled | None] = None


class Sum(Task):
    a: Param[int]

    def execute(self):
        return self.a


class Forgot(Config):
    a: int
    b = Param[int]
    c: Param[int] = 1


def test_messages_on_parameters_that_are_none():
    with pytest.raises(
        ConfigError, match=r"`a: int` is a plain annotation: write `a: Param\[int\]`"
    ):
        Forgot.C(a=1)
    with pytest.raises(ConfigError, match=r"write `b: Param\["):
        Forgot.C(b=1)
    with pytest.raises(FrozenError, match=r"write Param\[int \| None\] to allow None"):
        Forgot.C(c=None)
    with pytest.raises(AttributeError, match=r"'Forgot\.C' object has no attribute 'foo'"):
        Forgot.C().foo  # noqa: B018


def test_many_ambiguous_tags_are_one_warning():
    made = learn(model=Model.C(hidden=1).tag("k", 2).tag("j", 2)).tag("k", 1).tag("j", 1)
    with pytest.warns(UserWarning, match="as are 1 more of its tags' values") as caught:
        assert made.tags() == {"k": 1, "j": 1}
    assert len(caught) == 1
