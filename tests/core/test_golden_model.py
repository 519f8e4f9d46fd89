"""What experimaestro 2.7.0 gave for what was renamed, generic, or has a value class.

Each was read off by running it on these very definitions.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import pytest

from xpm_nb import Config, Param, Task, deprecate, field, stop_tags, tag

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")

T = TypeVar("T")


class New(Config):
    __xpmid__ = "vec.new"
    values: Param[list[int]]
    note: Param[str] = field(default="n")


@deprecate
class Renamed(New):
    __xpmid__ = "vec.renamed"


@deprecate
class Wider(New):
    extra: Param[int]


@deprecate(New)
class Old(Config):
    __xpmid__ = "vec.old"
    value: Param[int]

    def __convert__(self):
        return New.C(values=[self.value])


@deprecate(Old)
class Oldest(Config):
    __xpmid__ = "vec.oldest"
    v: Param[int]

    def __convert__(self):
        return Old.C(value=self.v)


@deprecate(New, replace=True)
class Gone(Config):
    __xpmid__ = "vec.gone"
    value: Param[int]

    def __convert__(self):
        return New.C(values=[self.value])


class Learn(Config):
    __xpmid__ = "vec.learn"
    losses: Param[list[int]] = field(default_factory=list)

    @deprecate
    def loss(self, value):
        self.losses.append(value)


class Holder(Config):
    __xpmid__ = "vec.any"
    inner: Param[Config]


class Box(Config, Generic[T]):
    __xpmid__ = "vec.box"
    x: Param[T]


class FloatBox(Box[float]):
    __xpmid__ = "vec.floatbox"


class Two(Config, Generic[T]):
    __xpmid__ = "vec.two.boxes"
    a: Param[Box[T]]
    b: Param[Box[T]]


class Make(Task):
    __xpmid__ = "vec.make"
    n: Param[int]

    def execute(self):
        pass

    def task_outputs(self, dep):
        return dep(Old.C(value=self.n))


class Model(Config):
    __xpmid__ = "vec.model"
    x: Param[int]


@Model.value_class()
class ModelValue(Model):
    pass


EXPECTED = {
    "renamed": "e8ccdeb5cbaaa03eb96a9b609ac58459bc1fdec400bb7ea3b8a37a209845fa20",
    "wider": "d424daba36599508a9db41d486cd006e3a4b7e4f8ab111c763ea3fcb78591c2d",
    "old": "e8ccdeb5cbaaa03eb96a9b609ac58459bc1fdec400bb7ea3b8a37a209845fa20",
    "oldest": "e8ccdeb5cbaaa03eb96a9b609ac58459bc1fdec400bb7ea3b8a37a209845fa20",
    "gone": "e8ccdeb5cbaaa03eb96a9b609ac58459bc1fdec400bb7ea3b8a37a209845fa20",
    "held": "e325e4970c40ae2bce40d865525c9b82f42f3f2d58f4025a17299d188f48fc97",
    "loss": "b06f185c2edfe503fff482e2aed12b5381f26e5d7c0f944e87b45c4f5fb49df1",
    "box": "a3585195640ef128cf48184fa7eece589fbd9be354a0265953d7f767c972ab5f",
    "floatbox": "ab54e6e199e8be95370cbcde7d44d5ff3e3c463c0e72e7dc342e3671484b2c4b",
    "boxes": "1984b4d13c0401cf02a3170f64a7ba02b6671471a0875d92a496197468aae0f8",
    "stopped": "207b39ca00d3520004deb7cf48fe4d0d02a2a30bd5c9249294f14dc3f302ddeb",
    "value class": "a9638b73f99e13b96d9ce255486371045ef9fd71bcf4da107b0b629b0976a9c8",
    "output": "e8ccdeb5cbaaa03eb96a9b609ac58459bc1fdec400bb7ea3b8a37a209845fa20",
    "task": "631591f80498074bc25ea344021740c75f141eb80c6446211f7d4082705a96aa",
}


def build():
    return {
        "renamed": Renamed.C(values=[1]),
        "wider": Wider.C(values=[1], extra=2),
        "old": Old.C(value=1),
        "oldest": Oldest.C(v=1),
        "gone": Gone.C(value=1),
        "held": Holder.C(inner=Oldest.C(v=2)),
        "loss": Learn.C(loss=3),
        "box": Box.C(x=1),
        "floatbox": FloatBox.C(x=1),
        "boxes": Two.C(a=Box.C(x="a"), b=Box.C(x="b")),
        "stopped": Holder.C(inner=stop_tags(Model.C(x=tag(1)))),
        "value class": Model.C(x=1),
        "output": Make.C(n=1).submit(),
        "task": Make.C(n=1),
    }


def test_identifiers_are_equal(submitter):
    assert {name: made.__identifier__().hex() for name, made in build().items()} == EXPECTED


def test_and_when_they_are_sealed(submitter):
    for name, made in build().items():
        assert made.seal().__identifier__().hex() == EXPECTED[name]
