"""Decorators of methods."""

from __future__ import annotations

import copy
import pickle
from contextlib import contextmanager

import pytest

from xpm_nb.core import doors
from xpm_nb.core.config import Config
from xpm_nb.core.fields import Param
from xpm_nb.core.methods import cache, initializer
from xpm_nb.errors import ConfigTypeError, NoExperimentError


class Model(Config):
    n: Param[int]

    @initializer
    def initialize(self, add=0):
        """Make the layers."""
        self.calls = getattr(self, "calls", 0) + 1
        self.layers = [0] * (self.n + add)
        return len(self.layers)

    @initializer
    def other(self):
        return None


class Deep(Model):
    @initializer
    def initialize(self, add=0):
        return super().initialize(add + 1) * 10


def test_an_initializer_runs_once_and_gives_the_first_result():
    model = Model.C(n=2).instance()
    assert model.initialize(add=1) == 3
    assert model.initialize(5) == 3
    assert (model.calls, len(model.layers)) == (1, 3)
    assert model.other() is None
    assert model.other() is None
    assert Model.C(n=2).instance().initialize() == 2  # each object has its own
    assert Model.initialize.__doc__ == "Make the layers."
    assert Model.initialize.__name__ == "initialize"


def test_one_that_failed_runs_again():
    class Fragile(Config):
        @initializer
        def initialize(self):
            self.tried = getattr(self, "tried", 0) + 1
            if self.tried == 1:
                raise ValueError("not yet")
            return self.tried

    made = Fragile.C().instance()
    with pytest.raises(ValueError, match="not yet"):
        made.initialize()
    assert made.initialize() == made.initialize() == 2


def test_a_parents_initializer_is_another_one():
    deep = Deep.C(n=2).instance()
    assert deep.initialize() == deep.initialize() == 30
    assert deep.calls == 1


def test_a_copy_knows_what_was_done_and_goes_on_by_itself():
    model = Model.C(n=1).instance()
    before = copy.copy(model)
    assert model.initialize() == 1
    assert before.initialize(add=1) == 2
    for same in (copy.copy(model), pickle.loads(pickle.dumps(model))):
        assert same.initialize(add=5) == 1


def test_a_configuration_cannot_be_initialized():
    with pytest.raises(ConfigTypeError, match=r"Model.initialize\(\) .* write .instance\(\) first"):
        Model.C(n=1).initialize()


class Terms(Config):
    n: Param[int]

    @cache("terms.txt")
    def load(self, path, times=1):
        """Give the terms."""
        return f"{path}: {self.n * times}"


@pytest.fixture
def cached(monkeypatch):
    """A door that says who asked."""
    asked = []

    @contextmanager
    def hold(made, name):
        asked.append((made, name))
        yield f"/cache/{name}"
        asked.append("released")

    monkeypatch.setattr(doors, "cache_path", hold)
    return asked


def test_a_cache_gives_the_method_a_path_and_holds_it(cached):
    made = Terms.C(n=2)
    assert made.instance().load(times=3) == "/cache/terms.txt: 6"
    assert cached == [(made, "terms.txt"), "released"]
    assert made.load(4) == "/cache/terms.txt: 8"  # a configuration will do: it has the values
    assert Terms.load.__doc__ == "Give the terms."


def test_caches_that_cannot_be(monkeypatch):
    monkeypatch.setattr(doors, "cache_path", doors.no_cache)
    with pytest.raises(NoExperimentError, match=r"Terms has nowhere to keep 'terms.txt'.*start\("):
        Terms.C(n=1).load()
    with pytest.raises(ConfigTypeError, match=r"write @cache\(\"name\"\)"):

        @cache
        def load(self, path):
            pass

    with pytest.raises(ConfigTypeError, match=r"Terms.load.*has no configuration"):
        Terms().load()
