"""Logs, curves and files of a job's directory."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.engine import reading
from xpm_nb.engine.job import Job
from xpm_nb.engine.reading import Curves, Files, Series, tail
from xpm_nb.errors import MissingFileError

# -- logs -------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=9)), st.integers(1, 9))
def test_a_tail_is_the_last_lines(tmp_path_factory, lines, n):
    path = tmp_path_factory.getbasetemp() / "a.log"
    text = "\n".join([*lines, "end"])
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert tail(path, n).split("\n")[-1] == "end"
    assert len(tail(path, n).split("\n")) == min(n, len(lines) + 1)


def test_the_tail_of_a_large_file_has_whole_lines_and_as_many_as_asked(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("".join(f"{n:0100}\n" for n in range(50_000)))
    for n in (1, 40, 5000):
        rows = tail(path, n).split("\n")
        assert rows == [f"{i:0100}" for i in range(50_000 - n, 50_000)]
    assert len(tail(path, 10**9).split("\n")) == 5000
    assert tail(path, 0) == tail(path, -1) == tail(tmp_path / "none", 5) == ""
    path.write_bytes(b"x" * 10_000_000)
    assert len(tail(path, 40)) == 64 * 1024
    assert len(tail(path, 5000)) <= 2 * 1024 * 1024


# -- curves -----------------------------------------------------------------------------------

points = st.lists(
    st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), min_size=1, max_size=300
)


@given(points, st.integers(1, 20), st.integers(4, 60))
def test_what_a_series_keeps(some, buckets, limit):
    series = Series(buckets)
    for point in some:
        series.add(*point)
    kept = series.points(limit)
    assert len(kept) <= limit
    assert series.count == len(some)
    rest = iter(some)
    assert all(any(point == other for other in rest) for point in kept), "in their order"
    assert (kept[0], kept[-1]) == (some[0], some[-1])
    heights = [y for _, y in some]
    assert min(y for _, y in kept) == min(heights)
    assert max(y for _, y in kept) == max(heights)
    if len(some) <= min(limit, 2 * buckets):
        assert list(kept) == some


def test_a_long_series_is_small_and_even():
    series = Series(64)
    for n in range(100_000):
        series.add(n, math.sin(n))
    assert sum(map(len, series._buckets)) <= 4 * 129
    xs = [x for x, _ in series.points(200)]
    assert max(b - a for a, b in pairwise(xs)) < 100_000 / 25


def row(step, **metrics):
    return json.dumps({"time": 1.0, "step": step, "metrics": metrics}) + "\n"


def test_curves_are_read_on_and_begin_again_with_another_attempt(tmp_path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    assert curves.points(None, 200) == {}
    path.write_text(row(1, loss=2.0) + row(3, loss=1.0, other=5) + '{"metrics": {"loss"')
    assert curves.points(None, 200) == {"loss": ((1, 2), (3, 1)), "other": ((3, 5),)}
    with path.open("a") as file:
        file.write(': 0.5}, "step": 4}\n')
    assert curves.points(["loss", "none"], 200) == {"loss": ((1, 2), (3, 1), (4, 0.5))}
    os.rename(path, tmp_path / "earlier")
    assert curves.points(None, 200) == {}
    path.write_text("".join(row(n, loss=n) for n in range(100)))
    assert len(curves.points(None, 200)["loss"]) == 100


def test_what_is_no_figure_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    nasty = [math.nan, math.inf, -math.inf, "1", None, True, [1], 10**400, 3]
    path.write_text(
        "".join(row(None, a=value) for value in nasty)
        + row(math.nan, b=1)
        + row(True, b=2)
        + "[1]\nnull\n{}\n"
        + '{"metrics": 3}\n{"metrics": {"b": 7}, "step": {}}\n'
        + '{"metrics": {"b": 8}, "step": 1e999}\n\x00\n'
    )
    found = Curves(path).points(None, 200)
    assert found == {"a": ((0, 3),), "b": ((0, 1), (1, 2), (2, 7), (3, 8))}


def test_a_file_larger_than_one_look(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_CHUNK_BYTES", 100)
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(row(n, loss=n) for n in range(500)))
    assert len(Curves(path).points(None, 1000)["loss"]) == 500


def test_the_curves_of_a_job(desk):
    entry = desk.submit("a")
    job = Job(entry, desk.loop)
    desk.sync()
    with entry.paths.metrics.open("a") as file:
        file.writelines(row(n, loss=n % 7, acc=1) for n in range(1000))
    loss, acc = job.curves()
    assert (loss.key, loss.label, loss.metric, acc.metric) == (job.key, "n=a", "loss", "acc")
    assert len(loss.points) <= 200
    assert loss.points[-1] == (999.0, 999 % 7)
    assert job.curves("acc", points=10) == job.curves(["acc"], points=10)
    assert len(job.curves("acc", points=10)[0].points) <= 10


# -- files ------------------------------------------------------------------------------------


@pytest.fixture
def place(desk):
    paths = desk.paths("a").create()
    for name in ("digits.npz", "a.b", "a_b", "2 x.txt", "class", "_own", "sub/deep/x.csv"):
        path = paths.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1500)
    (paths.private / "lock").write_bytes(b"")
    (paths.path / "alias").symlink_to("digits.npz")
    (paths.path / "secret").symlink_to("/etc/passwd")
    (paths.path / "inner").symlink_to(".experimaestro/lock")
    (paths.path / "up").symlink_to("..")
    (paths.path / "round").symlink_to(".")
    (paths.path / "dead").symlink_to("nothing")
    return paths


def test_the_files_of_a_job(place):
    files = Files(place)
    names = ["2 x.txt", "_own", "a.b", "a_b", "alias", "class", "digits.npz", "sub/deep/x.csv"]
    assert list(files) == names
    assert files["digits.npz"] == place.path / "digits.npz"
    assert files["sub/deep"].is_dir()
    assert files.get("none") is None
    assert "sub/deep/x.csv" in files
    assert len(files["sub/deep/x.csv"].read_bytes()) == 1500
    with pytest.raises(
        MissingFileError, match=r"'digits\.np'; did you mean 'digits\.npz'\?"
    ) as caught:
        files["digits.np"]
    assert isinstance(caught.value, KeyError)


NO_WAYS = ["", ".", "..", "/etc/passwd", "../x", "sub/../../x", "sub//deep", "a\0b", 3]
OTHERS = ["secret", "inner", "up", "up/a", "dead", ".experimaestro", "round/.experimaestro/lock"]


@pytest.mark.parametrize("name", NO_WAYS + OTHERS)
def test_no_way_out_of_the_directory(place, name):
    assert name not in Files(place)
    with pytest.raises(MissingFileError):
        Files(place)[name]


def test_files_at_hand(place):
    files = Files(place)
    assert files.digits_npz == files["digits.npz"]
    assert files._2_x_txt == files["2 x.txt"]
    assert files.class_ == files["class"]
    assert files.sub_deep_x_csv == files["sub/deep/x.csv"]
    assert {"digits_npz", "_2_x_txt", "keys"} <= set(dir(files))
    assert "a_b" not in dir(files), "it could be two"
    for name in ("a_b", "none", "_repr_html_", "_ipython_display_"):
        assert not hasattr(files, name)
    assert "digits.npz" in files._ipython_key_completions_()
    assert list(copy.copy(files)) == list(pickle.loads(pickle.dumps(files))) == list(files)


def test_files_as_text(place):
    (place.path / "rtl\u202e\x1b[31m").write_bytes(b"")
    (place.path / os.fsdecode(b"bad\xff")).write_bytes(b"")
    text = Files(place)._repr_mimebundle_()["text/plain"]
    assert text.startswith(f"{len(Files(place))} files in {place.path}")
    assert re.search(r"\n  digits\.npz +1\.5 kB\n", text)
    assert r"rtl\u202e\x1b[31m" in text
    assert r"bad\udcff" in text
    text.encode()
    assert repr(Files(place.sibling(place.key))) == text


def test_files_of_no_directory(desk):
    files = Files(desk.paths("nobody"))
    assert not files
    assert list(files) == []
    assert repr(files).startswith("0 files in ")


def test_a_job_has_all_of_these(desk):
    job = Job(desk.submit("a"), desk.loop)
    desk.sync()
    assert job.params() == {"objects": []}
    assert job.attempts == ()
    assert job.log_size() == 0
    job.stdout().write_text("one\n")
    job.stderr().write_text("two\n")
    assert job.log_size() == 8
    assert job.log(1) == f"--- {job.stdout().name}\none\n--- {job.stderr().name}\ntwo"
    assert {"params.json", "a.py", "a.out"} <= set(job.files)
    (job.path / "params.json").write_text("{")
    assert job.params() == {}
    (job.path / "params.json").unlink()
    assert job.params() == {}
