"""Old classes and old names of parameters that stand for new ones."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core import config, serial
from xpm_nb.core.config import Config, Task, grid, info, setmeta, tag
from xpm_nb.core.deprecated import deprecate
from xpm_nb.core.fields import Meta, Param, field
from xpm_nb.core.identifier import HASHING
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")


class Base(Config):
    base: Param[int] = 1


class Loss(Base):
    __xpmid__ = "of.Loss"
    values: Param[list[int]]
    note: Meta[str] = ""


@deprecate
class Renamed(Loss):
    __xpmid__ = "of.no.use"


@deprecate(Loss)
class Older(Config):
    value: Param[int]

    def __convert__(self):
        return Loss.C(values=[self.value])


@deprecate(Older)
class Oldest(Config):
    v: Param[int]

    def __convert__(self):
        return Older.C(value=self.v)


@deprecate(Loss, replace=True)
class Gone(Config):
    """It is gone."""

    value: Param[int]
    more: Param[int] = 2

    def __convert__(self):
        return Loss.C(values=[self.value, self.more])


class Learn(Config):
    losses: Param[list[int]] = field(default_factory=list)
    rate: Param[float] = 0.1

    @deprecate
    def loss(self, value):
        """It was one."""
        assert not self.losses
        self.losses.append(value)


class Holder(Config):
    inner: Param[Config]


class NewTask(Task):
    values: Param[list[int]]

    def execute(self):
        return "new"


@deprecate(NewTask)
class OldTask(Task):
    value: Param[int]

    def __convert__(self):
        return NewTask.C(values=[self.value])

    def execute(self):
        return "old"


def identifier(made):
    return config.identify(made, "exp").hex()


# -- classes


def test_a_class_that_was_renamed():
    old, new = Renamed.C(values=[1]), Loss.C(values=[1])
    assert identifier(old) == identifier(new)
    assert identifier(Holder.C(inner=old)) == identifier(Holder.C(inner=new))
    assert config.type_name(Renamed, None) == "of.loss"
    assert type(old.instance()) is Renamed
    assert isinstance(old, Loss)


def test_a_renamed_class_that_converts():
    @deprecate
    class Once(Loss):
        value: Param[int]

        def __convert__(self):
            return Loss.C(values=[self.value])

    assert identifier(Once.C(values=[], value=3)) == identifier(Loss.C(values=[3]))


def test_a_class_that_became_another():
    old, new = Older.C(value=1), Loss.C(values=[1])
    assert identifier(old) == identifier(new)
    assert identifier(Oldest.C(v=1)) == identifier(new)
    assert identifier(Holder.C(inner=old)) == identifier(Holder.C(inner=new))
    assert identifier(Older.C(value=2)) != identifier(new)
    assert config.type_name(Oldest, None) == "of.loss"
    assert type(old.instance()) is Older  # and its own code is what runs
    assert old != new
    old = old.copy()
    old.value = 4
    assert identifier(old) == identifier(Loss.C(values=[4]))
    old.seal()
    assert identifier(old) == identifier(Loss.C(values=[4]))
    assert hash(old) == hash(Loss.C(values=[4]).seal())
    assert identifier(Holder.C(inner=setmeta(Older.C(value=1), True))) != identifier(
        Holder.C(inner=new)
    )


@given(st.integers(), st.booleans())
def test_in_any_order_of_sealing_the_identifier_is_that_of_the_new(value, first):
    old = Oldest.C(v=value)
    outer = Holder.C(inner=old)
    if first:
        outer.seal()
    assert identifier(old) == identifier(Loss.C(values=[value]))
    outer.seal()
    assert identifier(outer) == identifier(Holder.C(inner=Loss.C(values=[value])))
    assert config.identify(old, HASHING) == config.identify(Loss.C(values=[value]), HASHING)


def test_copies_and_files_keep_it():
    old = Older.C(value=3)
    for again in (old.copy(), copy.deepcopy(old), pickle.loads(pickle.dumps(old))):
        assert identifier(again) == identifier(old)
    document = serial.dump(old, namespace=None)
    written = document["objects"][-1]
    assert (written["typename"], written["type"]) == ("of.loss", "Older")
    assert "unhashed" not in str(written.get("marks", ""))  # its own parameter does count
    back = serial.load(document, resolve=lambda m, q, t: Older)[-1]
    assert identifier(back) == identifier(old)
    assert back.value == 3


def test_a_class_that_is_replaced_at_once():
    made = Gone.C(value=tag(1))
    assert type(made) is Loss.C
    assert made.values == [1, 2]
    assert made.tags() == {"value": 1}
    made.values = [5]
    assert [c.values for c in grid(Gone, value=[1, 2])] == [[1, 2], [2, 2]]
    with pytest.raises(ConfigError, match="did you mean 'value'"):
        Gone.C(valu=1)


def test_a_task_that_became_another_lies_where_that_one_lies(submitter):
    old, new = OldTask.C(value=1).submit(), NewTask.C(values=[1]).submit()
    assert old.jobpath == new.jobpath
    assert "newtask" in str(old.jobpath)
    assert old.instance().execute() == "old"


def test_as_an_output_it_counts_as_what_it_became(submitter):
    class Make(Task):
        n: Param[int]

        def task_outputs(self, dep):
            return dep(Older.C(value=self.n))

    made = Make.C(n=1).submit()
    assert identifier(made) == identifier(Loss.C(values=[1]))  # as 2.x defines it
    assert config.dependencies(Holder.C(inner=made)) == [info(made).task]


def test_a_warning_for_each_line_that_makes_one():
    with pytest.warns(FutureWarning, match=r"Older is deprecated: write Loss\.C\(") as caught:
        Older.C(value=1)
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning, match=r"Learn\.loss is deprecated: Learn has the param"):
        Learn.C(loss=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Loss.C(values=[1])


def test_declarations_that_cannot_be_meant():
    with pytest.raises(ConfigTypeError, match=r"Odd.*one parent.*are none.*@deprecate\(New\)"):

        @deprecate
        class Odd(Config):
            pass

    with pytest.raises(ConfigTypeError, match=r"Two.*one parent.*are Loss, Learn"):

        @deprecate
        class Two(Loss, Learn):
            pass

    with pytest.raises(ConfigTypeError, match=r"Silent.*def __convert__\(self\)"):

        @deprecate(Loss)
        class Silent(Config):
            pass

    with pytest.raises(ConfigTypeError, match="takes a config class or a method, not 3"):
        deprecate(3)
    with pytest.raises(ConfigTypeError, match=r"@deprecate.* goes over a config class, not 3"):
        deprecate(Loss)(3)
    with pytest.raises(ConfigTypeError, match="itself"):
        deprecate(Loss)(Loss)


def test_conversions_that_go_wrong():
    @deprecate(Loss)
    class Lost(Config):
        what: Param[int]

        def __convert__(self):
            return [None, Learn.C()][self.what] if self.what < 2 else 1 // 0

    with pytest.raises(ConfigError, match=r"Lost.__convert__ gave None.* a Loss is needed"):
        identifier(Lost.C(what=0))
    with pytest.raises(ConfigError, match=r"Lost.__convert__ gave Learn\("):
        identifier(Lost.C(what=1))
    with pytest.raises(ConfigError, match=r"Lost.__convert__: ZeroDivisionError: integer"):
        identifier(Lost.C(what=3))
    assert repr(Lost.C(what=3)) == "Lost(what=3)"


def test_a_class_of_a_cell_that_is_run_again():
    space = {"Config": Config, "Param": Param, "deprecate": deprecate, "__name__": "__main__"}
    new = "class New(Config):\n    x: Param[int]\n"
    for text in (new, "@deprecate\nclass Old(New):\n    pass\n") * 2:
        exec(compile(text, "<cell>", "exec", dont_inherit=True), space)
        if "Old" in space:
            assert config.type_name(space["Old"], "exp") == "exp.new"
    both = (
        f"{new}@deprecate(New)\nclass Old(Config):\n    def __convert__(self): return New.C(x=1)\n"
    )
    exec(compile(both, "<cell>", "exec", dont_inherit=True), space)
    assert identifier(space["Old"].C()) == identifier(space["New"].C(x=1))


# -- parameters


def test_an_old_name_of_a_parameter():
    made = Learn.C(loss=3, rate=0.5)
    assert (made.losses, made.rate) == ([3], 0.5)
    assert identifier(made) == identifier(Learn.C(losses=[3], rate=0.5))
    made = Learn.C()
    made.loss = 4
    assert made.losses == [4]
    assert (Learn.C() | {"loss": 5}).losses == [5]
    assert Learn.C(loss=tag(3)).tags() == {"loss": 3}
    with pytest.raises(AssertionError):
        Learn.C(loss=3, losses=[1])
    assert not hasattr(made, "loss")
    with pytest.raises(AttributeError, match=r"Learn\.loss is deprecated: it can only be set"):
        made.loss  # noqa: B018
    assert Learn.loss.__doc__ == "It was one."
    made.seal()
    with pytest.raises(FrozenError, match="is sealed"):
        made.loss = 3
    with pytest.raises(ConfigError, match="no parameter 'los'"):
        Learn.C(los=3)


def test_an_old_name_in_a_subclass():
    class Sub(Learn):
        deep: Param[int] = 1

    assert Sub.C(loss=3, deep=2).losses == [3]
