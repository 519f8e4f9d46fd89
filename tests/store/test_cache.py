"""What configurations keep between jobs, with real processes where two want the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from xpm_nb.core.config import Config
from xpm_nb.core.fields import Param
from xpm_nb.errors import ConfigError, NoExperimentError, WorkspaceError
from xpm_nb.store import cache
from xpm_nb.store.layout import Workspace

HEX = "ab" * 32


class Terms(Config):
    __xpmid__ = "Store.Terms"
    n: Param[int] = 1


@pytest.fixture
def paths(tmp_path):
    return Workspace(tmp_path).create().cache("m.terms", HEX)


def test_what_is_made_ready_is_made_ready_once(paths):
    done = []
    with pytest.raises(ValueError, match="no"):
        cache.prepare(paths, lambda: int("no"))
    assert not cache.is_prepared(paths)
    assert cache.prepare(paths, lambda: done.append(1)) is True
    assert cache.is_prepared(paths)
    assert cache.prepare(paths, lambda: done.append(2)) is False
    assert done == [1]


@pytest.fixture
def spawn(tmp_path):
    """Start Python code with `paths`; it says lines, and ends with the test."""
    started = []

    def start(code):
        head = (
            "import os, sys\nfrom xpm_nb.store import cache\n"
            "from xpm_nb.store.layout import Workspace\n"
            f"paths = Workspace({str(tmp_path)!r}).cache('m.terms', {HEX!r})\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "."},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def test_where_it_lies(tmp_path):
    with cache.of_config(Workspace(tmp_path), None, Terms.C(n=2), "terms.npy") as path:
        path.write_text("x")
    identifier = Terms.C(n=2).__identifier__().hex()
    assert path == tmp_path / "config" / "store.terms" / identifier / "terms.npy"
    assert sorted(p.name for p in path.parent.iterdir()) == [".experimaestro", "terms.npy"]
    local = type("Local", (Config,), {"__module__": "__main__"})
    with cache.of_config(Workspace(tmp_path), "exp", local.C(), "a") as path:
        assert path.parent.parent == tmp_path / "config" / "exp.local"
    with (
        pytest.raises(NoExperimentError),
        cache.of_config(Workspace(tmp_path), None, local.C(), "a"),
    ):
        raise AssertionError


def test_what_was_computed_is_found_again(paths):
    with cache.hold(paths, "x") as path:
        assert not path.exists()
        path.write_text("1")
    with cache.hold(paths, "x") as again:
        assert again == path
        assert path.read_text() == "1"
    with cache.hold(paths, "y") as other:
        assert other.name == "y"


def test_what_was_left_half_written_is_put_aside(paths):
    for text in ("half", "another half"):
        with contextlib.suppress(ZeroDivisionError), cache.hold(paths, "x") as path:
            path.write_text(text)
            raise ZeroDivisionError
    with cache.hold(paths, "x") as path:
        assert not path.exists()
        assert paths.broken("x").read_text() == "another half"
        path.mkdir()
        (path / "whole").touch()
    with pytest.raises(ZeroDivisionError), cache.hold(paths, "x") as path:
        raise ZeroDivisionError  # it was whole before, and nothing says that it is not now
    with cache.hold(paths, "x") as path:
        assert (path / "whole").exists()


def test_a_half_written_folder_is_put_aside(paths):
    for name in ("one", "two"):
        with contextlib.suppress(ZeroDivisionError), cache.hold(paths, "x") as path:
            path.mkdir()
            (path / name).touch()
            raise ZeroDivisionError
    with cache.hold(paths, "x") as path:
        assert not path.exists()
    assert [p.name for p in paths.broken("x").iterdir()] == ["two"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b", "x" * 300, ".experimaestro"])
def test_names_that_cannot_be(paths, name):
    with pytest.raises(ConfigError, match="cannot be a cache's name"), cache.hold(paths, name):
        raise AssertionError


def test_a_link_that_leads_out(paths, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paths.path.parent.mkdir(parents=True)
    paths.path.symlink_to(elsewhere)
    with pytest.raises(WorkspaceError, match="leads out of"), cache.hold(paths, "x"):
        raise AssertionError
    assert not list(elsewhere.iterdir())


def test_asking_for_what_is_being_computed_is_an_error_and_not_an_endless_wait(paths):
    with cache.hold(paths, "x"):
        again = cache.hold(paths, "x")
        with pytest.raises(ConfigError, match=r"'x' of m\.terms is needed to compute itself"):
            again.__enter__()
        with cache.hold(paths, "y"):
            pass
    with cache.hold(paths, "x"):
        pass


def test_threads_wait_for_each_other(paths):
    inside, go, order = threading.Event(), threading.Event(), []

    def compute(number):
        with cache.hold(paths, "x") as path:
            inside.set()
            assert go.wait(30)
            order.append((number, path.exists()))
            path.touch()

    threads = [threading.Thread(target=compute, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    assert inside.wait(30)
    assert order == []
    go.set()
    for thread in threads:
        thread.join(30)
    assert [there for _number, there in order] == [False, True, True, True]


@pytest.mark.slow
def test_two_processes_compute_once(paths, spawn):
    code = """
    with cache.hold(paths, "x") as path:
        print("in", path.exists(), flush=True)
        sys.stdin.readline()
        path.write_text("1")
    print("out", flush=True)
    """
    first = spawn(code)
    assert first.stdout.readline() == b"in False\n"
    second = spawn(code)
    first.stdin.write(b"\n")
    first.stdin.flush()
    assert first.stdout.readline() == b"out\n"
    assert second.stdout.readline() == b"in True\n"


@pytest.mark.slow
def test_a_killed_process_leaves_no_lock_and_no_half_file(paths, spawn):
    process = spawn("""
    with cache.hold(paths, "x") as path:
        path.write_text("half")
        print("in", flush=True)
        sys.stdin.readline()
    """)
    assert process.stdout.readline() == b"in\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with cache.hold(paths, "x") as path:
        assert not path.exists()
    assert paths.broken("x").read_text() == "half"


@pytest.mark.slow
def test_waiting_can_be_interrupted(paths, spawn):
    with cache.hold(paths, "x"):
        process = spawn("""
        import signal
        def once(*_):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, once)
        try:
            print("waits", flush=True)
            with cache.hold(paths, "x"):
                print("in", flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """)
        assert process.stdout.readline() == b"waits\n"
        while process.poll() is None:  # it may not wait yet, and may then not have been told
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        assert process.stdout.read().startswith(b"interrupted\n")


@pytest.mark.slow
def test_a_process_forked_meanwhile_does_not_keep_the_lock(paths):
    read, write = os.pipe()
    with cache.hold(paths, "x"):
        pid = os.fork()
        if pid == 0:
            os.read(read, 1)
            os._exit(0)
    try:
        with cache.hold(paths, "x"):
            pass
    finally:
        os.write(write, b"x")
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
