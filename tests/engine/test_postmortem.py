"""Frames that were kept, opened in pdb."""

from __future__ import annotations

import builtins
import json

import pytest

from xpm_nb.core.kept import frames_view
from xpm_nb.engine import postmortem
from xpm_nb.engine.postmortem import Frames
from xpm_nb.errors import ConfigError
from xpm_nb.runtime import frames

SOURCE = """
import math

def inner(x, items):
    half = x / 2
    return items[x]

def outer(n):
    label = "n=%d" % n
    try:
        return inner(n, [1, 2, 3])
    except IndexError as error:
        raise ValueError(label) from error
"""


def failure(path) -> Frames:
    path.write_text(SOURCE)
    space = {"__name__": "somewhere"}
    exec(compile(SOURCE, str(path), "exec"), space)
    try:
        space["outer"](7)
    except ValueError as error:
        data = frames.describe(error, error.__traceback__.tb_next)
    return Frames(frames_view("Learn", "ab" * 32, json.loads(json.dumps(data))))


def talk(monkeypatch, capsys, act, *commands) -> str:
    left = iter(commands)
    monkeypatch.setattr(builtins, "input", lambda prompt="": next(left))
    act()
    return capsys.readouterr().out


def test_pdb_sees_the_frames(tmp_path, monkeypatch, capsys):
    kept = failure(tmp_path / "code.py")
    commands = ("where", "p n", "p label", "p n + 1", "list", "longlist", "p inner", "p math", "q")
    said = talk(monkeypatch, capsys, lambda: postmortem.debug(kept), *commands)
    assert "ValueError: n=7" in said
    assert f"{tmp_path}/code.py(13)outer()" in said
    assert "'n=7'" in said
    assert "\n8\n" in said
    assert "-> " in said
    assert "<function inner>" in said


def test_up_and_down_and_the_cause(tmp_path):
    kept = failure(tmp_path / "code.py")
    error, trace = kept.traceback()
    assert (type(error).__name__, str(error)) == ("ValueError", "n=7")
    assert type(error.__cause__).__name__ == "IndexError"
    cause = error.__cause__.__traceback__
    assert cause.tb_frame.f_code.co_name == "outer"
    assert cause.tb_next.tb_frame.f_code.co_name == "inner"
    assert cause.tb_next.tb_lineno == 6
    assert cause.tb_next.tb_frame.f_locals["half"] == 3.5
    assert cause.tb_next.tb_next is None
    assert trace.tb_frame.f_globals["__name__"] == "somewhere"


def test_pdb_goes_to_what_an_error_came_from(tmp_path, monkeypatch, capsys):
    kept = failure(tmp_path / "code.py")
    commands = ("exceptions", "exceptions 0", "p half", "exceptions 1", "p label")
    beyond = ("exceptions 2", "exceptions", "q")
    said = talk(monkeypatch, capsys, lambda: postmortem.debug(kept), *commands, *beyond)
    first = "IndexError: list index out of range"
    assert said.startswith(f"{first}   (exceptions 0 goes to its frames)\nValueError: n=7\n")
    assert f"\n    0 {first}\n>   1 ValueError: n=7\n" in said
    assert f"{tmp_path}/code.py(6)inner()" in said
    assert "\n3.5\n" in said
    assert "\n'n=7'\n" in said
    assert "\n*** there are the exceptions 0 to 1\n" in said


def test_lines_are_those_of_the_time(tmp_path, monkeypatch, capsys):
    kept = failure(tmp_path / "code.py")
    (tmp_path / "code.py").write_text("# all new\n" * 40)
    said = talk(monkeypatch, capsys, lambda: postmortem.debug(kept), "list", "q")
    assert "raise ValueError(label) from error" in said
    assert "code.py (as it was)(13)outer()" in said
    assert "all new" not in said


def test_without_anybody_to_ask(tmp_path, monkeypatch):
    kept = failure(tmp_path / "code.py")

    def nobody(prompt=""):
        raise NotImplementedError("no frontend")

    monkeypatch.setattr(builtins, "input", nobody)
    with pytest.raises(ConfigError, match=r"job\.frames"):
        postmortem.debug(kept)


def test_frames_by_number_and_values_by_name(tmp_path):
    kept = failure(tmp_path / "code.py")
    assert kept["n"] == "7"
    assert kept[-1].function == "outer"
    assert (len(kept), bool(kept)) == (1, True)
    with pytest.raises(KeyError):
        kept["nothing"]


def test_nothing_was_kept():
    empty = Frames(frames_view("Learn", "ab", None))
    assert not empty
    with pytest.raises(ConfigError, match="Learn: no frames were kept"):
        empty.traceback()


@pytest.mark.parametrize("name", ["<lambda>", "<listcomp>", "def", "é", "a b", "__next_frame__"])
def test_names_of_all_kinds(name):
    frame = {"file": "<x>", "line": 3, "function": f"f.<locals>.{name}", "definition": 9}
    frame |= {"values": [["x", "<thing>"], [".0", "iter"], ["def", "1"], ["x y", "2"]]}
    frame |= {"globals": [["f", "<f>"], ["class", "3"]]}
    data = {"errors": [{"kind": "a.B", "message": "m", "module": "c", "frames": [frame] * 60}]}
    _, trace = Frames(frames_view("Learn", "ab", data)).traceback()
    assert trace.tb_frame.f_code.co_name == name
    assert repr(trace.tb_frame.f_locals["x"]) == "<thing>"
    assert trace.tb_lineno == 3


@pytest.mark.parametrize(
    "broken",
    [
        {"line": 2**70, "definition": 2**70, "first": 2**40},
        {"line": -1, "first": -5},
        {"file": "a\0b", "function": "a\0b"},
        {"file": "\ud800", "function": "\ud800", "lines": ["\ud800", "\0"]},
        {"file": "/dev/zero"},
        {"values": [["__next_frame__", "1"], ["__debug__", "1"], ["x", "1"], ["x", "2"]]},
        {"globals": [["__builtins__", "1"], ["__next_frame__", "2"], ["g", "3"]]},
    ],
)
def test_whatever_was_written_there_is_a_traceback(broken):
    frame = {"file": "<x>", "line": 3, "function": "g", "first": 2, "lines": ["a", "b"]} | broken
    data = {"errors": [{"kind": "\ud800 \0", "message": "\ud800", "frames": [frame]}]}
    error, trace = Frames(frames_view("Learn", "ab", data)).traceback()
    assert type(error).__name__ == "? \ufffd"
    assert trace.tb_lineno >= 1
