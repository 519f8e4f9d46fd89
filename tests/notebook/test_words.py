"""Small words: durations that are left, and text that fits a place."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.notebook.words import duration_text, fit, left_text, width


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "a few seconds left"),
        (9.9, "a few seconds left"),
        (12.0, "about 10 s left"),
        (46.0, "about 50 s left"),
        (58.0, "about 1 min left"),
        (190.0, "about 3 min left"),
        (3_600.0, "about 1 h left"),
        (9_000.0, "about 2 h left"),
        (3 * 86_400.0, "about 3 days left"),
        (1e12, "more than 10 days left"),
        (math.inf, "more than 10 days left"),
        (math.nan, "more than 10 days left"),
    ],
)
def test_what_is_left_is_said_no_more_precisely_than_one_can_know(seconds, text):
    assert left_text(seconds) == text


@pytest.mark.parametrize("seconds", [math.inf, -math.inf, math.nan])
def test_what_is_no_duration(seconds):
    assert duration_text(seconds) == "?"


@given(st.text(), st.integers(1, 60))
def test_text_fits_and_is_cut_only_if_it_must_be(text, columns):
    cut = fit(text, columns)
    assert width(cut) <= max(columns, 1)
    if width(text) <= columns:
        assert cut == text
    else:
        assert cut.endswith("…")
        assert text.startswith(cut[:-1])
