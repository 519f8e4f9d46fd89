"""Which figure is the best, and what several come to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.engine.figures import Spread, best_rows, better, check_best, spread, way_of
from xpm_nb.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *[(n, "min") for n in ("loss", "val_loss", "trainLoss", "test/error", "RMSE", "log_loss")],
        *[(n, "min") for n in ("mean_squared_error", "fit time", "perplexity", "error_rate")],
        *[(n, "max") for n in ("accuracy", "test accuracy", "val_acc", "f1", "f1_score", "F1")],
        *[(n, "max") for n in ("AUC", "r2", "R2_score", "reward/mean", "neg_mean_squared_error")],
        ("negative log likelihood", "min"),
        *[(n, None) for n in ("pi", "", "points", "epoch", "score_time", "classy", "timestamps")],
    ],
)
def test_names_tell_which_is_better(name, way):
    assert better(name) == way


def test_what_was_said_counts_more_than_the_name():
    assert way_of("loss", None) == "min"
    assert way_of("loss", "max") == "max"
    assert way_of("loss", False) is None
    assert way_of("loss", {"pi": "max"}) == "min"
    assert way_of("pi", {"pi": "max"}) == "max"
    assert way_of("loss", {"loss": None}) is None


@pytest.mark.parametrize("best", ["least", 3, True, {"loss": "low"}, {"pi": "max"}, ["min"]])
def test_what_cannot_be_the_best(best):
    with pytest.raises(ConfigError, match="best"):
        check_best(best, ["loss"])


def test_what_can_be_the_best():
    for best in ("min", "max", None, False, {}, {"loss": "max"}, {"loss": None}):
        check_best(best, ["loss"])
    check_best({"anything": "min"}, [])


def test_the_best_rows():
    assert best_rows([1, 3.5, 2], "max") == [1]
    assert best_rows([1, 3, 1, None], "min") == [0, 2], "as good as each other"
    assert best_rows([2, 2, 2], "max") == [], "none stands out"
    assert best_rows([2], "max") == best_rows([], "max") == []
    assert best_rows([1, math.nan, "7", None, True, 0], "max") == [0]
    assert best_rows([1, 2], None) == []
    assert best_rows([Spread(1, 9, 2), Spread(3, None, 1), None], "min") == [0]


@given(st.lists(st.floats() | st.integers() | st.none() | st.booleans()), st.data())
def test_nothing_is_better_than_the_best(values, data):
    way = data.draw(st.sampled_from(["min", "max"]))
    best = best_rows(values, way)
    numbers = [x for x in values if type(x) in (int, float) and not math.isnan(x)]
    if not best:
        assert len(set(numbers)) < 2
    for row in best:
        assert all(values[row] <= x if way == "min" else values[row] >= x for x in numbers)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ([0.92, 0.94, 0.93], "0.930 ± 0.010 (3)"),
        ([0.5], "0.5 (1)"),
        ([0.5, 0.5], "0.5 ± 0 (2)"),
        ([1234.0, 1250.0], "1242 ± 11 (2)"),
        ([1e-9, 3e-9], "2e-09 ± 1.4e-09 (2)"),
        ([1e12, 3e12], "2e+12 ± 1.4e+12 (2)"),
        ([1.0, math.inf], "inf ± nan (2)"),
        ([math.nan], "nan (1)"),
        ([10**400], "inf (1)"),
    ],
)
def test_the_text_of_a_spread(figures, text):
    assert str(spread(figures)) == text


def test_a_spread_with_decimals():
    assert spread([0.92, 0.94, 0.93]).text(2) == "0.93 ± 0.01 (3)"
    assert spread([0.92]).text(1) == "0.9 (1)"


def test_what_is_no_number_does_not_count():
    assert spread([None, "a", True]) is None
    assert spread([None, 2, "a"]) == Spread(2, None, 1)


@given(st.lists(st.floats(allow_nan=False) | st.integers(), min_size=1))
def test_a_spread_is_always_something(figures):
    found = spread(figures)
    assert found.n == len(figures)
    assert (found.std is None) is (len(figures) == 1)
    assert str(found).endswith(f"({len(figures)})")
    if all(abs(x) < 1e300 for x in figures):
        assert min(figures) <= found.mean * (1 + 1e-9) + 1e-300 or math.isclose(
            found.mean, min(figures)
        )
        assert found.std is None or found.std >= 0
