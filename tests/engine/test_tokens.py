"""Tokens, hand-made dependencies and shared directories, from the experiment to the launch."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from xpm_nb import Config, Meta, Param, PathGenerator, SubParam, Task, Token, field
from xpm_nb.core.config import RunMode
from xpm_nb.core.fields import param_group, partial
from xpm_nb.core.states import JobState
from xpm_nb.engine.opening import start
from xpm_nb.errors import ConfigError, ConfigTypeError
from xpm_nb.store import locks, records, tokens
from xpm_nb.store.tokens import Need


class Step(Task):
    n: Param[int] = 0

    def execute(self):
        pass


training = param_group("training")


class Train(Task):
    lr: Param[float]
    epochs: Param[int] = field(groups=[training])
    model = partial(exclude_groups=[training])
    weights: Meta[Path] = field(default_factory=PathGenerator("weights.pt", partial=model))
    log: Meta[Path] = field(default_factory=PathGenerator("log.txt"))

    def execute(self):
        pass


class Longer(Task):
    lr: Param[float]
    epochs: SubParam[int]
    seed: SubParam[int] = 0

    def execute(self):
        pass


class Store(Config):
    size: Param[int] = 1
    whole = partial(exclude_all=True)
    path: Meta[Path] = field(default_factory=PathGenerator("store", partial=whole))


class Fill(Task):
    store: Param[Store]
    n: Param[int]

    def execute(self):
        pass


class Weights(Config):
    path: Meta[Path]


class Unmarked(Train):
    def task_outputs(self, dep):
        return Weights.C(path=self.weights)


def message(task):
    return task.job.view().message


def told(xp, task, *words):
    """Wait until the row of a job says something: it is told a few times a second."""
    deadline = time.monotonic() + 10
    while not all(word in message(task) for word in words):
        assert time.monotonic() < deadline, message(task)
        xp._loop.sync(10)
        time.sleep(0.01)
    return message(task)


# -- tokens ------------------------------------------------------------------------------------


def test_jobs_wait_for_a_token_and_say_for_what_and_for_whom(xp, fake):
    token = xp.token("gpu", 1)
    a, b, c = (token(1, Step.C(n=n)).submit() for n in range(3))
    free = Step.C(n=9).submit()
    fake.wait_for(2)
    assert [h.paths.key for h in fake.handles] == [a.job.key, free.job.key]
    xp._loop.sync(10)
    assert b.job.state is c.job.state is JobState.READY
    text = f"waits for token 'gpu': Step {a.job.identifier[:8]} has it"
    assert told(xp, b, text) == told(xp, c, text) == text
    fake.finish(a.job.key)
    fake.wait_for(3)
    xp._loop.sync(10)
    assert b.job.state is JobState.RUNNING
    assert message(b) == ""
    fake.finish(b.job.key)
    fake.wait_for(4)
    fake.vanish(c.job.key)
    fake.finish(free.job.key)
    xp.wait(timeout_s=10)
    assert [t.job.state.value for t in (a, b, c)] == ["done", "done", "error"]


def test_of_two_some_need_one_and_some_both(xp, fake):
    token = xp.token("gpu", 2)
    assert repr(token) == "Token('gpu', 2)"
    assert isinstance(token, Token)
    a = token(1, Step.C(n=0)).submit()
    b = Step.C(n=1)
    assert b.add_dependencies(token.dependency(1), token.dependency(1)) is b
    c = token(1, Step.C(n=2))
    d = token(2, Step.C(n=3)).submit()
    b.submit(), c.submit()
    fake.wait_for(1)
    xp._loop.sync(10)
    assert [h.paths.key for h in fake.handles] == [a.job.key], "d is the first who waits"
    assert told(xp, d, " has 1").startswith("waits for 2 of 2 of token 'gpu': Step ")
    fake.finish(a.job.key)
    fake.wait_for(2)
    assert fake.handles[1].paths.key == d.job.key


def test_a_token_changes_neither_identifier_nor_parameters(xp, fake):
    plain, counted = Step.C(n=1), xp.token("gpu", 1)(1, Step.C(n=1))
    assert plain.__identifier__() == counted.__identifier__()
    counted.submit()
    fake.wait_for(1)
    paths = counted.job.entry.paths
    assert records.read_job(paths).tokens == {"gpu": 1}
    assert "gpu" not in paths.params.read_text()


def test_a_new_kernel_honours_what_the_record_says(xp, fake, new_kernel):
    token = xp.token("gpu", 1)
    a, b = (token(1, Step.C(n=n)).submit() for n in range(2))
    fake.wait_for(1)
    new_kernel()
    again = start("tour", launcher=fake, slots=2)
    again._loop.sync(10)
    assert [job.state.value for job in again.jobs] == ["running", "ready"]
    assert len(fake.handles) == 1
    fake.finish(a.job.key)
    fake.wait_for(2)
    assert fake.handles[1].paths.key == b.job.key


def test_another_holder_is_asked_about_again(xp, fake):
    """A job of another kernel has it: here, a lock that the test holds."""
    token = xp.token("gpu", 1)
    other = xp.workspace.job("x.other", "0" * 64).create()
    lock = locks.try_lock(other)
    assert tokens.take(other, [Need("gpu", 1)], since=0.0, now=0.0) is None
    a = token(1, Step.C(n=1)).submit()
    xp._loop.sync(10)
    assert a.job.state is JobState.READY
    assert fake.handles == []
    lock.release()
    fake.wait_for(1)
    assert fake.handles[0].paths.key == a.job.key


def test_cancelling_a_job_that_waits_for_a_token_lets_the_next_one_go(xp, fake):
    token = xp.token("gpu", 1)
    a, b, c = (token(1, Step.C(n=n)).submit() for n in range(3))
    fake.wait_for(1)
    xp.cancel(b.job)
    assert b.job.wait(10) is JobState.ERROR
    fake.finish(a.job.key)
    fake.wait_for(2)
    assert fake.handles[1].paths.key == c.job.key
    assert b.job.wait(10) is JobState.ERROR


def test_a_launcher_that_fails_keeps_no_share(xp, fake):
    token = xp.token("gpu", 1)
    fake.refuse = True
    a = token(1, Step.C(n=0)).submit()
    assert a.job.wait(10) is JobState.ERROR
    fake.refuse = False
    b = token(1, Step.C(n=1)).submit()
    fake.wait_for(1)
    assert fake.handles[0].paths.key == b.job.key


def test_the_newest_number_counts(xp, fake):
    token = xp.token("gpu", 2)
    a = token(2, Step.C(n=0)).submit()
    b = token(2, Step.C(n=1)).submit()
    fake.wait_for(1)
    with pytest.warns(UserWarning, match="token 'gpu' had 2 units, and from now on 1"):
        less = xp.token("gpu", 1)
    assert token.total == less.total == 1
    with pytest.raises(ConfigError, match=r"Step asks for 2 of token 'gpu', of which there are 1"):
        token(2, Step.C(n=2)).submit()
    fake.finish(a.job.key)
    fake.wait_for(2)  # it asked for two, and there is one: it gets all there is
    assert fake.handles[1].paths.key == b.job.key
    c = less(1, Step.C(n=3)).submit()
    xp._loop.sync(10)
    assert len(fake.handles) == 2
    with pytest.warns(UserWarning, match="had 1 units, and from now on 3"):
        xp.token("gpu", 3)
    fake.wait_for(3)
    assert fake.handles[2].paths.key == c.job.key
    xp.token("gpu", 3)  # nothing to be said


def test_what_cannot_be_a_token(xp, tmp_path, fake):
    for count in (0, -1, 1.5, "2", True, None):
        with pytest.raises(ConfigError, match="token 'gpu': a whole number from 1 on"):
            xp.token("gpu", count)
    for name in ("a/b", "", ".."):
        with pytest.raises(ConfigError, match="token's name"):
            xp.token(name, 1)
    token = xp.token("gpu", 1)
    with pytest.raises(ConfigError, match="whole number"):
        token.dependency(0)
    elsewhere = start("other", workspace=tmp_path / "elsewhere", launcher=fake)
    with pytest.raises(ConfigError, match="counts in the workspace"):
        elsewhere.submit(token(1, Step.C(n=1)))


def test_a_damaged_token_is_the_failure_of_who_needs_it(xp, fake):
    token = xp.token("gpu", 1)
    one = token(1, Step.C(n=1)).submit()
    fake.wait_for(1)
    two = token(1, Step.C(n=2)).submit()
    three = Step.C(n=3).submit()
    xp._loop.sync(10)
    xp.workspace.token("gpu").write_text("{")
    fake.finish(one.job.key)
    assert two.job.wait(10) is JobState.ERROR
    assert "token.json is damaged" in message(two)
    fake.wait_for(2)
    assert fake.handles[1].paths.key == three.job.key


def test_a_dry_run_writes_no_token(new_kernel, fake, tmp_path):
    xp = start("dry", launcher=fake, run_mode=RunMode.DRY_RUN, workspace=tmp_path / "dry")
    task = xp.token("gpu", 2)(1, Step.C(n=1)).submit()
    assert task.job.dry
    assert not (tmp_path / "dry").exists()
    with pytest.raises(ConfigError, match="asks for 3"):
        xp.token("gpu", 2)(3, Step.C(n=2)).submit()


# -- hand-made dependencies --------------------------------------------------------------------


def test_a_task_waits_for_what_it_was_told_to(xp, fake):
    a = Step.C(n=1).submit()
    b = Step.C(n=2)
    same = b.__identifier__()
    b.add_dependencies(a)
    b.submit()
    assert b.__identifier__() == same
    fake.wait_for(1)
    xp._loop.sync(10)
    assert b.job.state is JobState.WAITING
    assert b.job.dependencies == (a.job,)
    fake.finish(a.job.key)
    fake.wait_for(2)


def test_a_job_can_be_waited_for_and_failure_goes_on(xp, fake):
    a = Step.C(n=1).submit()
    b = Step.C(n=2)
    b.add_dependencies(a.job, a)
    b.submit()
    assert len(b.job.dependencies) == 1
    fake.wait_for(1)
    fake.fail(a.job.key)
    assert b.job.wait(10) is JobState.ERROR
    assert "which is in error" in message(b)


def test_what_can_be_no_dependency(xp, fake):
    task = Step.C(n=1)
    with pytest.raises(ConfigError, match="was not submitted"):
        task.add_dependencies(Step.C(n=2))
    with pytest.raises(ConfigTypeError, match="can be no dependency"):
        task.add_dependencies("gpu")
    token = xp.token("gpu", 2)
    token(1, task).submit()
    token(1, task)  # the same cell again
    with pytest.raises(ConfigError, match=r"was submitted already: add dependencies before"):
        token(2, task)
    copied = task.copy()
    copied.add_dependencies(token.dependency(2))


# -- directories that tasks share --------------------------------------------------------------


def test_similar_tasks_share_a_directory_one_at_a_time(xp, fake):
    a, b = (Train.C(lr=0.1, epochs=n).submit() for n in (1, 2))
    c = Train.C(lr=0.2, epochs=1).submit()
    fake.wait_for(2)
    xp._loop.sync(10)
    assert a.weights == b.weights != c.weights
    assert a.log != b.log
    identifier = a.__xpm__.get_partial_identifier(Train.model).hex()
    assert a.__xpm__.get_partial_identifier("model").hex() == identifier
    type_name = a.job.type
    root = xp.workspace.root
    assert a.weights == root / "partials" / type_name / "model" / identifier / "weights.pt"
    assert [h.paths.key for h in fake.handles] == [a.job.key, c.job.key]
    text = told(xp, b, f"Train {a.job.identifier[:8]} has it")
    assert text.startswith(f"waits for the directory partials/{type_name}/model/")
    fake.finish(a.job.key)
    fake.wait_for(3)
    text = a.job.entry.paths.params.read_text()
    assert str(root) not in text, "relative to the workspace"
    assert f'"partials/{type_name}/model/{identifier}/weights.pt", "base": "workspace"' in text


def test_sub_parameters_leave_the_main_identifier_alone(xp, fake):
    a, b = Longer.C(lr=0.1, epochs=1), Longer.C(lr=0.1, epochs=2, seed=3)
    assert a.__identifier__() != b.__identifier__()
    a.submit(), b.submit()
    main = a.__xpm__.get_partial_identifier("main")
    assert main == b.__xpm__.get_partial_identifier("main")
    assert main != Longer.C(lr=0.2, epochs=1).__xpm__.get_partial_identifier("main")
    fake.wait_for(1)
    record = records.read_job(a.job.entry.paths)
    assert record.main == f"partials/{a.job.type}/main/{main.hex()}"
    assert record.partials == (record.main,)
    xp._loop.sync(10)
    assert b.job.state is JobState.READY
    with pytest.raises(ConfigError, match="no partial 'mian'; did you mean 'main'"):
        a.__xpm__.get_partial_identifier("mian")


def test_a_nested_config_may_have_a_directory_of_its_own(xp, fake):
    a, b = (Fill.C(store=Store.C(), n=n).submit() for n in (1, 2))
    other = Fill.C(store=Store.C(size=2), n=1).submit()
    assert a.store.path == b.store.path == other.store.path
    assert a.store.path.parent.parent.name == "whole"
    fake.wait_for(1)
    xp._loop.sync(10)
    assert [t.job.state.value for t in (a, b, other)] == ["running", "ready", "ready"]


def test_a_path_of_a_shared_directory_is_an_output_like_others(xp):
    with pytest.raises(ConfigError, match=r"nothing that is marked as its output"):
        Unmarked.C(lr=0.1, epochs=1).submit()
    done = Train.C(lr=0.1, epochs=1).submit()

    class Use(Task):
        found: Param[Weights]

        def execute(self):
            pass

    with pytest.raises(ConfigError, match="Train generates"):
        Use.C(found=Weights.C(path=done.weights)).submit()


def test_groups_are_groups():
    with pytest.raises(ConfigTypeError, match="takes groups made by param_group, not a str"):
        partial(exclude_groups=["training"])
    with pytest.raises(ConfigTypeError, match="a parameter of the class has that name"):
        partial(include_groups=[field(default=1)])
    with pytest.raises(ConfigTypeError, match=r"field\(groups=…\) takes groups"):
        field(groups=["x"])
    assert partial(exclude_groups=training).exclude == {training}


def test_a_partial_is_an_attribute_of_a_class(xp):
    class Loose(Task):
        path: Meta[Path] = field(default_factory=PathGenerator("x", partial=partial()))

        def execute(self):
            pass

    with pytest.raises(ConfigError, match="write it as an attribute of the class"):
        Loose.C().submit()
