"""Classes of instances that are other classes than those that were declared."""

from __future__ import annotations

import pytest

from xpm_nb.core.config import Config, Task, classes_of
from xpm_nb.core.fields import Param
from xpm_nb.errors import ConfigTypeError


class Module:
    """Stands in for nn.Module: it must be initialized before anything is set."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "_parts", {})

    def __setattr__(self, name, value):
        self._parts[name] = value
        object.__setattr__(self, name, value)


class Model(Config):
    hidden: Param[int]


class Sub(Model):
    layers: Param[int] = 1


@Model.value_class()
class ModelValue(Model, Module):
    def forward(self):
        return self.hidden * 2


class Learn(Task):
    model: Param[Model]

    def execute(self):
        return self.model.forward()


def test_instances_are_of_the_value_class():
    made = Model.C(hidden=3)
    value = made.instance()
    assert type(value) is ModelValue is Model.XPMValue is Model.C.XPMValue
    assert (value.forward(), value._parts["hidden"]) == (6, 3)
    assert value.xpmconfig is made
    assert Learn.C(model=made).model is made
    assert ModelValue.XPMValue is ModelValue
    assert Sub.XPMValue is Sub  # a value class is of one class only
    assert type(Sub.C(hidden=1).instance()) is Sub


def test_a_value_class_is_no_part_of_the_identifier():
    class Plain(Config):
        __xpmid__ = "of.values"
        hidden: Param[int]

    before = Plain.C(hidden=3).__identifier__()

    @Plain.value_class()
    class _Value(Plain):
        pass

    assert Plain.C(hidden=3).__identifier__() == before


def test_a_job_needs_the_value_class_too():
    assert classes_of(Learn.C(model=Model.C(hidden=1))) == [Model, ModelValue, Learn]


def test_what_cannot_be_a_value_class():
    with pytest.raises(ConfigTypeError, match=r"Other is no value class of Model: derive.*Model"):

        @Model.value_class()
        class Other(Config):
            pass

    with pytest.raises(ConfigTypeError, match=r"a value class of Sub .* ModelValue.* of Model"):

        @Sub.value_class()
        class SubValue(Sub):
            pass

    for wrong in (Model, Model.C, 3):
        with pytest.raises(ConfigTypeError, match="is no value class of Model"):
            Model.value_class()(wrong)
    with pytest.raises(ConfigTypeError, match=r"write @Model.value_class\(\)"):

        @Model.value_class
        class Forgotten(Model):
            pass


def test_value_classes_of_a_hierarchy_and_of_a_cell_run_again():
    class A(Config):
        pass

    class B(A):
        pass

    @A.value_class()
    class VA(A):
        pass

    @B.value_class()
    class VB(B, VA):
        pass

    assert type(B.C().instance()) is VB

    @A.value_class()
    class Again(A):
        pass

    assert type(A.C().instance()) is Again


def test_a_parameter_of_that_name_wins():
    class Odd(Config):
        value_class: Param[int]

    assert Odd.C(value_class=3).instance().value_class == 3
