from __future__ import annotations

import pytest

from xpm_nb.core.config import Config, Task, grid, info, tags
from xpm_nb.core.fields import Constant, Meta, Param, field
from xpm_nb.errors import ConfigError, ConfigTypeError, FrozenError


class Opt(Config):
    lr: Param[float]
    wd: Param[float] = 0.0


class Model(Config):
    hidden: Param[int]
    layers: Param[int] = 2


class Learn(Task):
    opt: Param[Opt]
    model: Param[Model]
    epochs: Param[int] = 1
    note: Meta[str] = ""
    version: Constant[int] = 1


def learn():
    return Learn.C(opt=Opt.C(lr=0.1), model=Model.C(hidden=3))


def test_changes_by_dotted_paths():
    base = learn()
    made = base | {"opt.lr": 0.5, "opt.wd": 1, "epochs": 7}
    assert (made.opt.lr, made.opt.wd, made.epochs) == (0.5, 1.0, 7)
    assert made.model is base.model
    assert base == learn()
    assert (base | {}) == base
    assert (base | {"opt": Opt.C(lr=3), "opt.wd": 2}).opt == Opt.C(lr=3, wd=2)
    base.seal()
    assert (base | {"opt.lr": 2}).opt.lr == 2.0


def test_changes_that_cannot_be_made(submitter):
    base = learn()
    with pytest.raises(ConfigError, match=r"no parameter 'optt'; did you mean 'opt'"):
        base | {"optt.lr": 1}
    with pytest.raises(ConfigError, match=r"Opt has no parameter 'lrr'; did you mean 'lr'"):
        base | {"opt.lrr": 1}
    with pytest.raises(ConfigError, match=r"Learn\.epochs is 1, which has no parameters"):
        base | {"epochs.x": 1}
    with pytest.raises(FrozenError, match="Constant"):
        base | {"version": 2}
    with pytest.raises(TypeError):
        base | 3

    class Evaluate(Task):
        learner: Param[Learn]

    evaluate = Evaluate.C(learner=learn().submit())
    with pytest.raises(ConfigError, match="comes from a submitted task"):
        evaluate | {"learner.epochs": 2}


def test_plugging():
    outer = Learn.C()
    opt = Opt.C(lr=1)
    assert (outer @ opt) is outer
    assert outer.opt is opt
    with pytest.raises(ValueError, match="there are none"):
        outer @ learn()

    class Many(Config):
        a: Param[Opt]
        b: Param[Opt | None] = None

    with pytest.raises(ValueError, match=r"there are several \(a, b\)"):
        Many.C() @ opt


def test_grid():
    made = grid(Learn, opt=Opt.C(lr=1), model__hidden=[1, 2], epochs=(3, 4), note="all")
    assert [(c.model.hidden, c.epochs, c.note) for c in made] == [
        (1, 3, "all"), (1, 4, "all"), (2, 3, "all"), (2, 4, "all"),
    ]  # fmt: skip
    assert tags(made[1]) == {"model.hidden": 1, "epochs": 4}
    assert len({c.__identifier__() for c in made}) == 4
    base = learn()
    varied = grid(base, opt__lr=[0.1, 0.2])
    assert [c.opt.lr for c in varied] == [0.1, 0.2]
    assert varied[0] == base
    assert grid(Learn.C, epochs=[1])[0].epochs == 1
    assert len(grid(Learn)) == 1
    assert [c.epochs for c in grid(Learn, epochs=range(3))] == [0, 1, 2]
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        grid(Learn, epoch=[1])
    with pytest.raises(ConfigError, match="did you mean 'hidden'"):
        grid(Learn, model__hiden=[1])


def test_a_grid_of_a_parameter_that_is_a_list_takes_a_list_of_lists():
    class Sized(Config):
        sizes: Param[list[int]]
        deep: Param[list[list[int]]] = field(default_factory=list)

    made = grid(Sized, sizes=[[1, 2], [3], []])
    assert [c.sizes for c in made] == [[1, 2], [3], []]
    with pytest.raises(ConfigError, match=r"one value of list\[int\].*write sizes=\[\[1, 2\]\]"):
        grid(Sized, sizes=[1, 2])
    with pytest.raises(ConfigError, match=r"write sizes=\[\[\]\]"):
        grid(Sized, sizes=[])
    with pytest.raises(ConfigError, match=r"write deep=\[\[\[1\], \[2\]\]\]"):
        grid(Sized, sizes=[[1]], deep=[[1], [2]])
    assert grid(Sized, sizes=[[1]], deep=[[[1], [2]]])[0].deep == [[1], [2]]
    assert grid(Learn, epochs=[]) == []


@pytest.mark.parametrize("base", [5, "Learn", None, [1]])
def test_a_grid_of_nothing(base):
    with pytest.raises(ConfigTypeError, match="takes a class of a config or task, or a config"):
        grid(base, epochs=[1])
    with pytest.raises(ConfigTypeError, match="int is no class of a config"):
        grid(int, epochs=[1])


def test_grid_into_a_default():
    class Default(Config):
        model: Param[Model] = field(default=Model.C(hidden=9))

    made = grid(Default, model__layers=[1, 2])
    assert [(c.model.hidden, c.model.layers) for c in made] == [(9, 1), (9, 2)]
    assert Default.C().model.layers == 2


def test_grid_into_what_a_factory_makes_and_into_what_may_be_missing():
    class Made(Config):
        model: Param[Model] = field(default_factory=lambda: Model.C(hidden=9))
        maybe: Param[Opt | None]
        either: Param[Opt | Model | None]
        number: Param[int] = 0

    made = grid(Made, model__layers=[1, 2], maybe__lr=[0.5])
    assert [(c.model.hidden, c.model.layers, c.maybe.lr) for c in made] == [
        (9, 1, 0.5),
        (9, 2, 0.5),
    ]
    assert made[0].either is None
    with pytest.raises(ConfigError, match=r"either is one of several configurations; give the one"):
        grid(Made, either__lr=[1])
    assert grid(Made, either=Opt.C(lr=1), either__lr=[2])[0].either.lr == 2
    with pytest.raises(
        ConfigError, match=r"grid\(.*Made, number__x=…\): number is no configuration"
    ):
        grid(Made, number__x=[1])


def test_a_changed_value_loses_its_tag():
    base = learn().tag("epochs", 1).tag("other", 2)
    assert info(base | {"epochs": 3}).tags == {"other": 2}
