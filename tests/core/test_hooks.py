import pytest

from xpm_nb.core.config import Config, Task
from xpm_nb.core.fields import Param
from xpm_nb.core.hooks import SubmitHook, hooks_of, submit_hook_decorator
from xpm_nb.errors import ConfigError, ConfigTypeError


class Wants(SubmitHook):
    def __init__(self, what):
        self.what = what

    def spec(self):
        return self.what

    def process(self, job, launcher):
        job.append(self.what)


class Also(Wants):
    pass


@submit_hook_decorator
def asks(job, launcher, what, *, loud=False):
    """Ask for something."""
    job.append(what.upper() if loud else what)


def processed(*classes):
    said = []
    for hook, _ in hooks_of(classes):
        hook.process(said, None)
    return said


def test_a_hook_leaves_the_class_as_it_is():
    class Model(Config):
        hidden: Param[int]

    assert Wants("a")(Model) is Model
    assert Model.C(hidden=1).hidden == 1


def test_hooks_come_in_the_order_in_which_they_were_put_on_parents_first():
    @Wants("b")
    @Wants("a")
    class Parent(Config):
        pass

    @Wants("c")
    class Child(Parent):
        pass

    assert processed(Child) == ["a", "b", "c"]
    assert processed(Parent) == ["a", "b"]


def test_equal_hooks_count_once_and_are_told_apart_by_class_and_spec():
    @Wants(1)
    class One(Config):
        pass

    @Wants(1)
    @Also(1)
    @Wants(2)
    class Two(Config):
        pass

    assert processed(One, Two) == [1, 2, 1]
    assert [cls for _, cls in hooks_of([One, Two])] == [One, Two, Two]


def test_a_function_becomes_a_hook_with_its_arguments():
    @asks("x", loud=True)
    @asks("x")
    class One(Config):
        pass

    @asks("x")
    class Two(Config):
        pass

    assert processed(Two, One) == ["x", "X"]
    assert asks.__doc__ == "Ask for something."


def test_a_hook_over_the_configurations_class_goes_to_the_class():
    class One(Config):
        pass

    Wants("a")(One.C)
    assert processed(One) == ["a"]


@pytest.mark.parametrize("wrong", [3, int, lambda self: None])
def test_a_hook_goes_over_config_classes_only(wrong):
    with pytest.raises(ConfigTypeError, match=r"@Wants\(…\) goes over a config class"):
        Wants(1)(wrong)


@pytest.mark.parametrize("wrong", ["x", Wants])
def test_the_decorator_goes_over_functions_only(wrong):
    with pytest.raises(ConfigTypeError, match="goes over a function"):
        submit_hook_decorator(wrong)


def test_a_hook_without_process_cannot_be_made():
    class Half(SubmitHook):
        def spec(self):
            return 1

    with pytest.raises(TypeError, match="process"):
        Half()


def test_what_cannot_be_hashed_names_hook_and_class():
    @Wants(["a"])
    class One(Task):
        def execute(self): ...

    @asks({})
    class Two(Task):
        def execute(self): ...

    with pytest.raises(ConfigError, match=r"hook Wants of .*One raised in its spec\(\): TypeError"):
        hooks_of([One])
    with pytest.raises(ConfigError, match=r"hook asks of .*Two raised in its spec\(\): TypeError"):
        hooks_of([Two])


def test_hooks_are_no_part_of_the_identifier():
    class Plain(Config):
        __xpmid__ = "t.model"
        hidden: Param[int]

    @Wants(1)
    class Hooked(Config):
        __xpmid__ = "t.model"
        hidden: Param[int]

    a, b = Plain.C(hidden=1), Hooked.C(hidden=1)
    assert a.__identifier__() == b.__identifier__()
