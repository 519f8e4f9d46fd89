"""Arrays and generators of random numbers: what they come to."""

from __future__ import annotations

import random

import numpy as np
import pytest

from xpm_nb.code import numbers
from xpm_nb.code.equal import same_value


class Loud:
    def __repr__(self):
        raise AssertionError("code of an object was run")


MAKE = {
    "an array": lambda n: np.arange(n),
    "an array of texts": lambda n: np.array([str(n)]),
    "Python's": lambda n: random.Random(n),
    "a generator": lambda n: np.random.default_rng(n),
    "one with an array in its state": lambda n: np.random.Generator(np.random.MT19937(n)),
    "an old one": lambda n: np.random.RandomState(n),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_the_state_tells_one_from_another(make):
    assert same_value(numbers.state_of(make(3)), numbers.state_of(make(3)))
    assert not same_value(numbers.state_of(make(3)), numbers.state_of(make(4)))
    assert numbers.digest(make(3)) == numbers.digest(make(3)) != numbers.digest(make(4))


def test_what_has_no_digest():
    assert numbers.digest([1]) == numbers.digest(np.array([Loud()])) == ""
    assert numbers.state_of([1]) is None


def test_which_calls_begin_at_the_same_number():
    assert numbers.is_seeded(random.Random)
    assert numbers.is_seeded(np.random.default_rng)
    assert not numbers.is_seeded(np.zeros)


def test_what_is_too_large_to_be_compared():
    assert numbers.is_large(np.zeros(numbers.LARGE // 8 + 1))
    assert not numbers.is_large(np.zeros(numbers.LARGE // 8))
    assert not numbers.is_large([0] * 10)
