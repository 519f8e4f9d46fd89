from __future__ import annotations

import copy
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pytest

from xpm_nb.core import config, graph, serial, views
from xpm_nb.core.config import Config, LightweightTask, Task, info, sealed_set, walk
from xpm_nb.core.fields import Meta, Param, PathGenerator, field
from xpm_nb.core.identifier import Identifier
from xpm_nb.errors import ConfigError, ConfigTypeError, UnsetError


class Data(Config):
    n: Param[int] = 0
    path: Meta[Path | None] = None


class Split(Task):
    seed: Param[int]
    file: Meta[Path] = field(default_factory=PathGenerator("split.npz"))

    def task_outputs(self, dep):
        return dep(Data.C(n=self.seed, path=self.file))

    def execute(self):
        pass


class Model(Config):
    data: Param[Data | None] = None
    scratch: Meta[Path] = field(default_factory=PathGenerator("scratch"))


class Learn(Task):
    data: Param[Data | None] = None
    model: Param[Model | None] = None
    listed: Param[list[Data]] = field(default=[])
    named: Param[dict[str, Data]] = field(default={})
    file: Meta[Path | None] = None
    weights: Meta[Path] = field(default_factory=PathGenerator("w.pt"))

    def execute(self):
        pass


class Load(LightweightTask):
    path: Meta[Path | None] = None
    data: Param[Data | None] = None

    def execute(self):
        pass


class Link(Config):
    next: Param[Link | None] = None
    n: Param[int] = 0


class Two(Config):
    a: Param[Two | None] = None
    b: Param[Two | None] = None


# -- walking


def test_walk_gives_each_once_children_first(submitter):
    shared = Data.C(n=1)
    model = Model.C(data=shared)
    task = Learn.C(data=shared, model=model, listed=[shared, Data.C(n=2)], named={"x": shared})
    load = Load.C(data=shared)
    assert walk(task) == [shared, model, task.listed[1], task]
    task.submit(init_tasks=[load])
    assert [type(c) for c in walk(task)] == [Data.C, Model.C, Data.C, Load.C, Learn.C]
    out = Split.C(seed=1).submit()
    assert walk(Learn.C(data=out))[0] is out
    assert [type(c) for c in walk(out, producers=True)] == [Split.C, Data.C]


def test_classes_of_a_task():
    class Color(Enum):
        RED = 1

    class Deep(Config):
        color: Param[dict[str, list[Color]]]

    class Top(Task):
        deep: Param[Deep]
        plain: Param[Any] = None

    task = Top.C(deep=Deep.C(color={"a": [Color.RED]}))
    assert config.classes_of(task) == [Deep, Color, Top]


# -- sealing and paths


def test_where_generated_paths_lie():
    class Holder(Config):
        models: Param[dict[str, list[Model]]]
        pair: Param[tuple[Model, ...]] = ()
        chosen: Param[set[Model]] = field(default=set())
        here: Meta[Path] = field(default_factory=PathGenerator(""))

    shared = Model.C()
    models = {"a/b": [Model.C(), shared], "..": [Model.C()], "a b": [Model.C(), Model.C()]}
    made = Holder.C(models=models, pair=[shared, Model.C()], chosen=sealed_set(Model.C()))
    root = PurePosixPath("/job")
    config.seal(made, root)
    assert made.here == root
    paths = [m.scratch for key in ("a/b", "..", "a b") for m in made.models[key]]
    assert [str(path.relative_to("/job/out/models")) for path in paths] == [
        "a/b/0/scratch", "a/b/1/scratch", "0/scratch", "a/b/0-2/scratch", "a/b/1-2/scratch",
    ]  # fmt: skip
    assert str(made.pair[1].scratch) == "/job/out/pair/1/scratch"
    assert str(next(iter(made.chosen)).scratch) == "/job/out/chosen/0/scratch"
    assert len(set(config.generated_paths(made).values())) == 8
    config.seal(made, PurePosixPath("/other"))
    assert made.here == root


def test_sealing_first_and_giving_a_place_later(submitter):
    made = Learn.C(model=Model.C()).seal()
    with pytest.raises(UnsetError):
        made.weights  # noqa: B018
    made.submit()
    assert made.weights == info(made).root / "w.pt"
    assert made.model.scratch == info(made).root / "out/model/scratch"


def test_factories_of_metas_may_make_configurations():
    class Late(Config):
        model: Meta[Model] = field(default_factory=Model.C)

    made = Late.C()
    made.seal()
    assert info(made.model).sealed


# -- outputs and dependencies


def test_outputs_and_what_needs_them(submitter):
    split = Split.C(seed=3)
    out = split.submit()
    assert (type(out), out.n, info(out).task) == (Data.C, 3, split)
    assert out.path == info(split).root / "split.npz"
    task = Learn.C(data=out)
    assert config.dependencies(task) == [split]
    assert config.dependencies(split) == []
    assert task.__identifier__() != Learn.C(data=Data.C(n=3)).__identifier__()
    task.submit()
    assert config.dependencies(task) == [split]


@pytest.mark.parametrize("where", ["data", "listed", "named", "model", "init"])
def test_dependencies_are_found_everywhere(submitter, where):
    out = Split.C(seed=3).submit()
    init = []
    if where == "init":
        task, init = Learn.C(), [Load.C(data=out)]
    else:
        value = {"data": out, "listed": [out], "named": {"k": out}}.get(where, Model.C(data=out))
        task = Learn.C(**{where: value})
    task.submit(init_tasks=init)
    assert config.dependencies(task) == [info(out).task]


def test_dependencies_are_distinct_and_in_order(submitter):
    outs = [Split.C(seed=i).submit() for i in range(4)]
    task = Learn.C(data=outs[2], listed=[outs[0], outs[2], outs[3]], named={"a": outs[1]})
    assert [t.seed for t in config.dependencies(task)] == [2, 0, 3, 1]

    class Chain(Task):
        before: Param[Task]

    chain = Chain.C(before=Chain.C(before=Learn.C(data=outs[0]).submit()).submit())
    assert len(config.dependencies(chain)) == 1


def test_an_output_that_loads_is_an_init_task(submitter):
    class Train(Task):
        data: Param[Data]

        def task_outputs(self, dep):
            return dep(Load.C(path=self.jobpath, data=self.data))

    data = Data.C(n=1)
    load = Train.C(data=data).submit()
    task = Learn.C(data=data)
    task.submit(init_tasks=[load])
    assert config.dependencies(task) == [info(load).task]


def test_marking_own_parameters(submitter):
    class Sample(Task):
        data: Param[Data]

        def task_outputs(self, dep):
            assert dep(self) is self
            return dep(self.data), dep(self.data)

    data = Data.C(n=5)
    holder = Model.C(data=data)
    sample = Sample.C(data=data)
    holder.seal()
    before = config.identify(holder, "exp")
    first, second = sample.submit()
    assert first is second is data
    assert config.identify(holder, "exp") != before  # the digests kept so far are not used
    assert sample.__identifier__() == Sample.C(data=Data.C(n=5)).__identifier__()
    with pytest.raises(ConfigError, match=r"already an output of .*Sample"):
        Sample.C(data=data).submit()


def test_equal_tasks_may_mark_the_same_output(submitter):
    made = {}

    class Cached(Task):
        seed: Param[int]

        def task_outputs(self, dep):
            return dep(made.setdefault("out", Data.C(n=1)))

    first = Cached.C(seed=1).submit()
    again = Cached.C(seed=1)
    assert again.submit() is first
    assert info(first).task is again
    with pytest.raises(ConfigError, match="already an output"):
        Cached.C(seed=2).submit()


def test_what_cannot_be_marked(submitter):
    class Bad(Task):
        other: Param[Any] = None

        def task_outputs(self, dep):
            return dep(self.other)

    for value in (3, [Data.C()], None):
        with pytest.raises(ConfigTypeError, match=r"dep\(\) takes a configuration"):
            Bad.C(other=value).submit()

    class Worse(Task):
        def task_outputs(self, dep):
            return dep(Split.C(seed=1))

    with pytest.raises(ConfigError, match="a task of its own: submit it"):
        Worse.C().submit()


# -- the trap: paths without a mark


def test_a_path_of_another_job_needs_a_mark(submitter):
    split = Split.C(seed=1)
    split.submit()
    for value in ({"file": split.file}, {"data": Data.C(path=split.file / "deeper")}):
        with pytest.raises(ConfigError, match=r"(?s)Learn holds paths that Split generates.*split"
                           r"\.npz.*dep\(SomeConfig.*init_tasks="):  # fmt: skip
            Learn.C(**value).submit()
    out = info(split)
    assert out.task is split
    marked = graph.output(split)
    Learn.C(file=split.file, data=marked).submit()  # it waits for it, and the identifier says so
    Learn.C(file=Path("/data/other")).submit()
    split.submit()


def test_a_transitive_dependency_is_one(submitter):
    split = Split.C(seed=1)
    middle = Learn.C(data=split.submit())
    middle.submit()

    class Last(Task):
        before: Param[Learn]
        file: Meta[Path]

    Last.C(before=middle, file=split.file).submit()


def test_an_output_that_was_not_marked(submitter):
    class Forgot(Task):
        file: Meta[Path] = field(default_factory=PathGenerator("x"))

        def task_outputs(self, dep):
            return {"data": [Data.C(path=self.file)]}

    with pytest.raises(ConfigError, match=r"Forgot\.task_outputs holds paths"):
        Forgot.C().submit()

    class Nested(Forgot):
        def task_outputs(self, dep):
            return dep(Model.C(data=Data.C(path=self.file))), self.file

    Nested.C().submit()  # below what is marked, and plain paths


def test_a_shared_part_whose_paths_another_job_got(submitter):
    model = Model.C()
    Learn.C(model=model).submit()
    with pytest.raises(ConfigError, match=r"\$\.model\.scratch = "):
        Learn.C(model=model, data=Data.C(n=1)).submit()
    Learn.C(model=model.copy(), data=Data.C(n=1)).submit()


# -- submitting


def test_submitting_an_object_twice_is_as_once(submitter):
    task = Learn.C(data=Data.C(n=1))
    loads = [Load.C(data=Data.C(n=2))]
    first = task.submit(init_tasks=loads)
    assert task.submit(init_tasks=[Load.C(data=Data.C(n=2))]) is first is task
    for other in ([], [Load.C(data=Data.C(n=3))], [*loads, Load.C()]):
        with pytest.raises(ConfigError, match=r"was submitted with init_tasks=\[Load.*copy\(\) it"):
            task.submit(init_tasks=other)
    assert info(task).submitted


def test_nothing_is_fixed_when_a_submission_fails(submitter):
    task = Learn.C(model=Model.C())
    task.model = Model.C(data=Data.C(path="/x"))
    bad = Learn.C()
    info(bad).values["data"] = 3j
    with pytest.raises(ConfigError, match=r"^Learn: \$\.data: a value of type complex"):
        bad.submit()
    assert not info(bad).submitted
    missing = Split.C()
    with pytest.raises(ConfigError, match=r"Split\.seed has no value"):
        missing.submit()
    missing.seed = 1
    missing.submit()


def test_mark_submitted_fixes_the_identifier():
    task = Split.C(seed=1)
    fixed = Identifier(bytes(32))
    config.mark_submitted(task, job="job", identifier=fixed, namespace="x")
    assert config.identify(task, "y") == fixed
    assert info(task).namespace == "x"
    assert config.output(task).n == 1 if info(task).root else True


# -- size


def test_a_diamond_of_20_levels_is_linear(monkeypatch):
    calls = []
    entries = graph.ConfigInfo.entries
    monkeypatch.setattr(
        graph.ConfigInfo, "entries", lambda self, keep: calls.append(self) or entries(self, keep)
    )
    made = Two.C()
    for _ in range(20):
        made = Two.C(a=Two.C(a=made), b=made)
    config.identify(made, None)
    assert len(calls) == len(set(calls)) == 41
    calls.clear()
    made.seal()
    assert config.identify(made, None) == config.identify(made, None)
    assert len(calls) == 41
    for act in (config.validate, walk, config.tags_of, config.dependencies, repr, hash,
                copy.deepcopy, lambda c: c.instance(), lambda c: views.describe(c, None),
                lambda c: serial.dump(c, namespace=None)):  # fmt: skip
        act(made)
    assert made == copy.deepcopy(made)


@pytest.fixture(scope="module")
def chain():
    made = Link.C()
    for number in range(5000):
        made = Link.C(next=made, n=number)
    return made


@pytest.mark.slow
def test_a_chain_of_5000(chain):
    config.validate(chain)
    unsealed = config.identify(chain, None)
    other = copy.deepcopy(chain)
    assert chain == other
    config.seal(chain, PurePosixPath("/x"))
    assert config.identify(chain, None) == unsealed
    assert len(walk(chain)) == 5001
    assert hash(chain) == hash(other.seal())
    document = serial.dump(chain, namespace=None)
    loaded = serial.load(document, resolve=lambda *_name: Link)
    assert loaded[-1] == chain
    instance = chain.instance()
    depth = 0
    while instance.next is not None:
        instance, depth = instance.next, depth + 1
    assert depth == 5000
    assert views.describe(chain, None).identifier == unsealed.hex()
    assert len(repr(chain)) < 200
    assert config.tags_of(chain) == {}
    assert (chain | {"n": 3}).n == 3


class Holder(Task):
    a: Param[Any] = None
    items: Param[list[Any]] = field(default=[])

    def execute(self):
        pass


def test_values_that_hold_themselves(submitter):
    items: list[Any] = []
    items.append(items)
    table: dict[str, Any] = {}
    table["k"] = [table]
    for value in (items, table, (items,)):
        with pytest.raises(ConfigError, match=r"Holder\.a: .* holds itself.*test_graph\.py:\d+"):
            Holder.C(a=value)
    with pytest.raises(ConfigError, match=r"Holder\.items: the list holds itself"):
        Holder.C(items=items)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConfigError, match=r"Holder\.a: the list is nested too deeply"):
        Holder.C(a=deep)
    later = Holder.C(a=[])
    later.a.append(later.a)
    with pytest.raises(ConfigError, match=r"Holder\.a: the list holds itself"):
        later.submit()
    shared = [1]
    assert Holder.C(a=[shared, shared]).a == [[1], [1]]


class Chained(Task):
    n: Param[int]
    before: Param[Any] = None
    file: Meta[Path] = field(default_factory=PathGenerator("file"))
    looked_at: ClassVar[list[int]] = []

    def __validate__(self):
        self.looked_at.append(self.n)

    def execute(self):
        pass


def _chain(length):
    link = None
    for n in range(length):
        link = Chained.C(n=n, before=[link]).submit()
    return link


def test_a_submission_looks_at_what_is_new_only(submitter, monkeypatch):
    monkeypatch.setattr(Chained, "looked_at", [])
    last = _chain(20)
    assert Chained.looked_at == list(range(20))
    visited = []
    monkeypatch.setattr(graph, "_paths", lambda node: visited.append(node) or [])
    new = Chained.C(n=20, before=last).submit()
    assert visited == [info(new)]
    assert graph.classes_of(new) == [Chained]


def test_what_was_written_before_is_written_the_same_way(submitter):
    last = _chain(5)
    documents = []
    for fresh in (False, True):
        for link in walk(last):
            if fresh:
                for node in map(info, walk(last)):
                    node.written = node.below = None
            places = {"workspace": PurePosixPath("/ws"), "job": info(link).root}
            documents.append(serial.dump(link, namespace="exp", **places))
    assert documents[:5] == documents[5:]
    assert documents[9]["objects"][0] is serial.dump(last, namespace="exp", **places)["objects"][0]
    last.tag("late", 1)
    assert "tags" in serial.dump(last, namespace="exp")["objects"][-1]
    elsewhere = serial.dump(last, namespace="exp", workspace=PurePosixPath("/other"))
    assert elsewhere["objects"][0]["fields"]["file"]["value"].startswith("/ws/jobs")
    beside = serial.dump(Chained.C(n=9, before=[Chained.C(n=8).submit(), last]), namespace="exp")
    assert [item["id"] for item in beside["objects"]] == list(range(1, 8))


class Bodiless(Task):
    pass


class Waiting(Task):
    async def execute(self):
        pass


class Yielding(Task):
    def execute(self):
        yield 1


class Streaming(Task):
    async def execute(self):
        yield 1


class BodilessInit(LightweightTask):
    pass


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (Bodiless, r"Bodiless has no execute: write"),
        (Waiting, r"Waiting\.execute is a coroutine function: a job would never run"),
        (Yielding, r"Yielding\.execute is a generator: a job would never run"),
        (Streaming, r"Streaming\.execute is an asynchronous generator"),
    ],
)
def test_tasks_that_no_job_could_execute(submitter, monkeypatch, cls, why):
    monkeypatch.delattr(Task, "execute")
    with pytest.raises(ConfigTypeError, match=why):
        cls.C().submit()
    assert not submitter.submitted


def test_init_tasks_that_no_job_could_execute(submitter, monkeypatch):
    monkeypatch.delattr(LightweightTask, "execute")
    with pytest.raises(ConfigTypeError, match="BodilessInit has no execute"):
        Chained.C(n=1).submit(init_tasks=[BodilessInit.C()])
