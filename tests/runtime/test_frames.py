"""What is kept of values, whatever they do when they are looked at."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from xpm_nb.runtime import frames, texts


def kept(act, *args):
    """Describe the failure of a function, as JSON gives it back."""
    try:
        act(*args)
    except BaseException as error:
        trace = error.__traceback__.tb_next
        return json.loads(json.dumps(frames.describe(error, trace)))["errors"]
    raise AssertionError("it does not fail")


def fail_with(value):
    raise ValueError("as it should")


def text_of(value) -> str:
    (error,) = kept(fail_with, value)
    ((name, text),) = error["frames"][-1]["values"]
    assert name == "value"
    return text


class Raises:
    def __repr__(self):
        raise RuntimeError("no")


class Exits:
    def __repr__(self):
        sys.exit(3)


class Endless:
    def __repr__(self):
        while True:
            pass


class Stubborn:
    def __repr__(self):
        for _ in range(4):
            try:
                time.sleep(60)
            except BaseException:
                continue
        return "gave in"


class Deep:
    def __repr__(self):
        return repr(Deep())


class Large:
    def __repr__(self):
        return "x" * 10_000_000


class Plain:
    def __init__(self, **values):
        vars(self).update(values)


class NoDict:
    __slots__ = ()

    def __getattribute__(self, name):
        raise KeyError(name)


class Point(NamedTuple):
    x: int
    token: str


@dataclass
class Data:
    rows: list
    hidden: int = field(default=1, repr=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Raises(), "<Raises: looking at it raised RuntimeError>"),
        (Exits(), "<Exits: looking at it raised SystemExit>"),
        (Deep(), "<Deep: looking at it raised RecursionError>"),
        (NoDict(), "<NoDict: looking at it raised KeyError>"),
        (10**5000, "<int of 16610 bits>"),
        (None, "None"),
        (float("nan"), "nan"),
        ([1, [2, [3, [4]]]], "[1, [2, [3, […]]]]"),
        ((1,), "(1,)"),
        (set(), "set({})"),
        ({"a": 1}, "{'a': 1}"),
        (deque([1]), "collections.deque([1])"),
        (Plain(a=1, _b="x"), "Plain(a=1, _b='x')"),
        (Data([1]), "Data(rows=[1])"),
        (Point(1, "canary"), "Point(x=1, token=***)"),
        (OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (os.path, "<module posixpath>"),
        (Plain, "<class tests.runtime.test_frames.Plain>"),
        (frames.describe, "<function describe>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts(value, text):
    # Names of classes without the module of this test, and what collections has of its own.
    said = text_of(value).replace("tests.runtime.test_frames.", "").replace("collections.", "")
    assert said == text.replace("tests.runtime.test_frames.", "").replace("collections.", "")


def test_of_the_environment_nothing_is_kept(monkeypatch):
    monkeypatch.setenv("HARMLESS", "canary")
    assert text_of(os.environ) == f"<environ of {len(os.environ)} variables>"


@pytest.mark.parametrize("value", [Counter(a=1), defaultdict(int, b=2), frozenset([3])])
def test_other_containers_are_told_with_their_kind_and_content(value):
    assert any(sign in text_of(value) for sign in "123")
    assert type(value).__name__ in text_of(value)


def test_large_values_have_short_texts():
    huge = list(range(10**6))
    for value in (huge, dict.fromkeys(huge), set(huge), "x" * 10**7, b"x" * 10**7, Large()):
        assert len(text_of(value)) <= texts.MAX_CHARS
    assert text_of(huge).endswith("(1000000 items)]")
    assert text_of("x" * 10**7).endswith("(10000000 characters)")
    many = np.zeros(20).tolist()
    many.append(many)
    assert len(text_of(many)) <= texts.MAX_CHARS


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Endless, Stubborn])
def test_a_value_that_does_not_come_back_is_left_alone(kind):
    former = signal.getsignal(signal.SIGALRM)
    timer = signal.setitimer(signal.ITIMER_REAL, 500)
    text = text_of(kind())
    assert "took too long" in text or text == "gave in"
    assert signal.getsignal(signal.SIGALRM) is former
    left, again = signal.setitimer(signal.ITIMER_REAL, *timer)
    assert 490 < left <= 500, "the timer of others goes on"
    assert again == 0


@pytest.mark.slow
def test_there_is_a_limit_for_all_together(monkeypatch):
    monkeypatch.setattr("xpm_nb.runtime.texts.ALL_S", 0.3)
    monkeypatch.setattr("xpm_nb.runtime.texts.VALUE_S", 0.1)

    def many(a, b, c, d, e, f):
        raise ValueError

    (error,) = kept(many, *(Endless() for _ in range(6)))
    texts = [text for name, text in error["frames"][-1]["values"] if len(name) == 1]
    assert sum("took too long>" in text for text in texts) == 6
    assert any("the others" in text for text in texts)


def test_in_another_thread_nothing_is_asked_that_could_not_be_interrupted():
    found = []
    thread = threading.Thread(target=lambda: found.append(text_of(Endless())))
    thread.start()
    thread.join()
    assert found[0].endswith("Endless>")


def test_arrays_are_told_by_their_shape_and_a_few_figures():
    array = np.arange(12.0).reshape(3, 4)
    assert text_of(array) == (
        "<ndarray float64 (3, 4), from 0 to 11, mean 5.5: [0, 1, 2, 3, 4, 5, 6, 7, …]>"
    )
    array[0, 0] = np.nan
    assert "from 1 to 11, mean 6, 1 NaN" in text_of(array)
    assert text_of(np.zeros((0, 3))) == "<ndarray float64 (0, 3)>"
    assert text_of(np.array(["a"])) == "<ndarray <U1 (1,): [a]>"
    assert text_of(np.array([Raises()])) == "<ndarray object (1,)>"
    assert text_of(np.float64(1.5)) in ("np.float64(1.5)", "1.5")


def test_tables_are_told_by_their_columns():
    import pandas as pd

    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert text_of(table).startswith("<DataFrame (2, 2): a int64, b ")
    assert text_of(table["a"]) == "<Series 'a' int64 (2,)>"


def test_secrets_are_not_kept_wherever_they_turn_up():
    def login(user, password, options):
        api_token = "canary-2"
        again, url = password, "https://me:canary-3@host/"
        assert again, url
        raise PermissionError(f"{user} {password} {api_token}")

    found = kept(login, "ann", "canary-1", {"api_key": "canary-4", "n": 3})
    assert "canary" not in json.dumps(found)
    values = dict(found[0]["frames"][-1]["values"])
    assert values["password"] == "***"
    assert values["user"] == "'ann'"
    assert values["options"] == "{'api_key': ***, 'n': 3}"


def test_counts_and_arrays_of_tokens_are_no_secrets():
    def count(max_tokens, tokens, token_ids):
        raise ValueError

    values = dict(kept(count, 7, np.arange(2), [1, 2])[0]["frames"][-1]["values"])
    assert "***" not in values.values()


def test_a_chain_of_errors_and_a_deep_stack():
    def deep(n):
        if n == 0:
            try:
                {}["missing"]
            except KeyError as error:
                raise ValueError("bottom") from error
        deep(n - 1)

    raised, cause = kept(deep, 200)
    assert (raised["kind"], raised["link"]) == ("ValueError", "")
    assert (cause["kind"], cause["link"]) == ("KeyError", "cause")
    assert len(raised["frames"]) == frames.MAX_FRAMES
    assert raised["left_out"] == 201 - frames.MAX_FRAMES
    assert dict(raised["frames"][0]["values"])["n"] == "200"
    assert dict(raised["frames"][-1]["values"])["n"] == "0"


def test_all_of_it_has_a_limit_in_size(monkeypatch):
    monkeypatch.setattr("xpm_nb.runtime.texts.ALL_CHARS", 3000)

    def deep(n, text):
        if n == 0:
            raise ValueError
        deep(n - 1, text)

    found = kept(deep, 30, "x" * 280)
    texts = [dict(frame["values"])["text"] for frame in found[0]["frames"]]
    assert sum(map(len, texts)) < 3000 + 90 * 40
    assert texts[-1].startswith("'xxx"), "the innermost frame is told first"
    assert "too much" in texts[0]


def test_lines_are_those_of_the_function():
    (error,) = kept(fail_with, 1)
    frame = error["frames"][-1]
    assert frame["lines"] == ["def fail_with(value):", '    raise ValueError("as it should")']
    assert frame["first"] + 1 == frame["line"]
