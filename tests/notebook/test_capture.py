"""What one thread says is taken, all else goes where it always goes."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import sys
import threading

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import clear_output, display
from traitlets.config import Config

from xpm_nb.core.views import Said
from xpm_nb.notebook import capture
from xpm_nb.notebook.capture import capturing, said_of


class Stream(io.StringIO):
    """As the streams of a kernel: its class is Python's."""

    def write(self, text):
        return super().write(text)


@pytest.fixture(params=[Stream, io.StringIO])
def put(request, monkeypatch):
    """Put streams in the place of those of `sys`, of a class that can be changed or that cannot."""

    def put(*made):  # in the test itself: pytest puts its own there before that
        out, err = made or (request.param(), request.param())
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(capture, "_streams", {"out": out, "err": err})
        return out

    return put


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    options = Config()
    options.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=options)
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def told(items):
    """The items, with what was printed in a row as one."""
    out = []
    for kind, text, image in items:
        if out and out[-1][0] == kind in ("out", "err"):
            out[-1] = (kind, out[-1][1] + text)
        else:
            out.append((kind, text, image) if image else (kind, text))
    return out


def in_a_thread(function):
    """Call something in another thread, to its end."""
    errors = []

    def call():
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    if errors:
        raise errors[0]


def test_one_thread_is_heard_and_others_are_not_disturbed(put):
    screen = put()
    items = []
    before = vars(type(screen)).get("write"), sys.stdout

    def callback():
        with capturing(items.append):
            print("one", end="")
            print("two", file=sys.stderr)
            in_a_thread(lambda: print("of its own thread"))
            assert sys.stdout.write("three") == 5
            sys.stdout.writelines(["four", "five"])
            with pytest.raises(TypeError):
                sys.stdout.write(b"bytes")
        print("after")

    in_a_thread(callback)
    assert told(items)[:2] == [("out", "one"), ("err", "two\n")]
    assert told(items)[2][1].startswith("three")
    assert screen.getvalue().startswith("of its own thread\n")
    assert screen.getvalue().endswith("after\n")
    assert (vars(type(screen)).get("write"), sys.stdout) == before


def test_cells_print_while_a_callback_runs(put):
    screen = put()
    items, begun, gate = [], threading.Event(), threading.Event()

    def callback():
        with capturing(items.append):
            print("begun")
            begun.set()
            gate.wait(30)
            print("over")

    thread = threading.Thread(target=callback)
    thread.start()
    assert begun.wait(30)
    print("mine")
    gate.set()
    thread.join(30)
    assert screen.getvalue() == "mine\n"
    assert told(items) == [("out", "begun\nover\n")]


def test_a_redirection_of_the_callbacks_own_is_its_own(put):
    screen = put()
    items, text = [], io.StringIO()
    with capturing(items.append):
        with contextlib.redirect_stdout(text):
            print("kept")
        print("said")
    assert (text.getvalue(), told(items), screen.getvalue()) == (
        "kept\n",
        [("out", "said\n")],
        "",
    )


def test_whoever_kept_a_stream_is_heard(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Stream())
    log = logging.getLogger("of.somebody")
    handler = logging.StreamHandler()
    log.addHandler(handler)
    items = []
    with capturing(items.append):
        log.warning("careful")
    log.removeHandler(handler)
    assert told(items) == [("err", "careful\n")]
    assert sys.stderr.getvalue() == ""


def test_a_redirection_that_ends_meanwhile_lets_nothing_out(monkeypatch):
    real = Stream()
    monkeypatch.setattr(sys, "stdout", real)
    monkeypatch.setattr(capture, "_streams", {"out": real, "err": sys.stderr})
    items, captured = [], io.StringIO()
    sys.stdout = captured
    with capturing(items.append):
        print("a")
        sys.stdout = real
        print("b")
    assert told(items) == [("out", "a\nb\n")]
    assert (real.getvalue(), captured.getvalue()) == ("", "")
    print("c")
    assert real.getvalue() == "c\n"


def test_a_redirection_that_outlives_the_callback_harms_nobody(put):
    screen = put()
    items = []
    with capturing(items.append):
        other = contextlib.redirect_stdout(io.StringIO())
        other.__enter__()
    other.__exit__(None, None, None)  # this may put back what stood there meanwhile
    print("mine")
    with capturing(items.append):
        print("again")
    print("mine")
    assert screen.getvalue() == "mine\nmine\n"
    assert told(items) == [("out", "again\n")]


def test_a_write_that_somebody_put_on_the_stream_and_takes_away_again(monkeypatch):
    """As IPython does for each cell, to keep what it printed."""
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    items, kept = [], []

    def tee():
        original = stream.write
        stream.write = lambda text: (text and kept.append(text), original(text))[1]
        return lambda: setattr(stream, "write", original)

    end = tee()  # a cell before, …
    with capturing(items.append):
        print("a", end="")
        end()
        print("b", end="")
        end = tee()  # … one that begins, …
        print("c", end="")
        in_a_thread(lambda: print("d", end=""))
    print("e", end="")
    end()  # … and ends later
    for _ in range(3000):  # and so on for a long time: nothing piles up
        with capturing(items.append):
            tee()()
    print("f", end="")
    assert (told(items), stream.getvalue(), kept) == ([("out", "abc")], "def", ["d", "e"])


def test_two_threads_that_are_heard_at_the_same_time(put):
    screen = put()
    first, second = [], []
    inner, outer = threading.Event(), threading.Event()

    def one():
        with capturing(first.append):
            print("1")
            inner.set()
            outer.wait(30)
        print("after 1")

    thread = threading.Thread(target=one)
    with capturing(second.append):
        thread.start()
        assert inner.wait(30)
        print("2")
        outer.set()
        thread.join(30)
        with capturing(first.append):
            print("3")
        print("4")
    assert (told(first), told(second)) == ([("out", "1\n3\n")], [("out", "2\n4\n")])
    assert screen.getvalue() == "after 1\n"


def test_no_streams_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(capture, "_streams", {"out": None, "err": None})
    with capturing([].append):
        print("nobody hears it")
    assert sys.stdout is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_a_forked_child_says_is_not_ours(tmp_path, monkeypatch):
    path = tmp_path / "out.txt"
    with path.open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        items = []
        with capturing(items.append):
            print("a")
            pid = os.fork()
            if pid == 0:
                print("of the child", flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            print("b")
    assert told(items) == [("out", "a\nb\n")]
    assert path.read_text() == "of the child\n"


# -- displays ---------------------------------------------------------------------------------


def test_displays_of_a_shell(shell, put):
    screen = put()
    items = []
    shell.display_pub.publish({"text/plain": "of a cell"}, transient={"display_id": "cell"})
    with capturing(items.append):
        print("before")
        display({"text/plain": "shown", "text/html": "<b>shown</b>"}, raw=True)
        mine = display("first", display_id=True)
        mine.update("second")
        clear_output()
        print("after")
        clear_output(wait=True)
        clear_output(wait=True)
        print("last")
    assert told(items) == [
        ("out", "before\n"),
        ("display", "shown"),
        ("display", "'first'"),
        ("display", "'second'"),
        ("clear", ""),
        ("out", "after\n"),
        ("clear", ""),
        ("out", "last\n"),
    ]
    display("of another cell")
    assert "of a cell" in screen.getvalue()
    assert "of another cell" in screen.getvalue()
    assert "shown" not in screen.getvalue()
    assert not {"publish", "clear_output"} & set(vars(shell.display_pub))


PNG = base64.b64encode(b"\x89PNG").decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"text/plain": "a"}, ("a", "")),
        ({"text/plain": "a", "image/png": b"\x89PNG"}, ("a", f"data:image/png;base64,{PNG}")),
        ({"image/png": f"{PNG[:3]}\n{PNG[3:]}\n"}, ("", f"data:image/png;base64,{PNG}")),
        ({"text/plain": "a", "image/jpeg": '"><script>'}, ("a", "")),
        (
            {"text/plain": "a", "image/svg+xml": "<svg/>"},
            ("a", "data:image/svg+xml;base64,PHN2Zy8+"),
        ),
        (
            {"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "# a"},
            ("# a", ""),
        ),
        (
            {"text/plain": "<IPython.core.display.HTML object>"},
            ("<IPython.core.display.HTML object>", ""),
        ),
        ({"text/html": "<b>a</b>"}, ("text/html", "")),
        ({}, ("", "")),
    ],
)
def test_what_is_shown_of_a_bundle(data, said):
    assert said_of(data) == Said("display", *said)
