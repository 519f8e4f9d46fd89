"""The look at what tests leave: each kind is seen and named, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]

LEFT = """
import fcntl, os, signal, socket, subprocess, sys, tempfile, threading, time
from pathlib import Path
import pytest

kept = []

def test_thread():
    threading.Thread(target=threading.Event().wait, name="one-of-ours", daemon=True).start()

def test_child():
    kept.append(subprocess.Popen(["sleep", "1000"]))

def test_zombie():
    kept.append(os.posix_spawn("/bin/true", ["true"], {}))

@pytest.mark.slow
def test_grandchild():
    code = (
        "import subprocess as s; print(s.Popen(['sleep', '999'], stdout=s.DEVNULL).pid)"
    )
    kept.append(int(subprocess.check_output([sys.executable, "-W", "ignore", "-c", code])))

def test_file(tmp_path):
    kept.append((tmp_path / "a file").open("w"))

def test_pipe():
    kept.append(os.pipe())

def test_listener():
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_locked_descriptor(tmp_path):
    kept.append((tmp_path / "locked").open("w"))
    fcntl.flock(kept[-1], fcntl.LOCK_EX)

def test_lock_on_a_file_of_the_module(opened):
    fcntl.flock(opened, fcntl.LOCK_EX)

@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with (tmp_path_factory.mktemp("x") / "opened").open("w") as file:
        yield file

def test_temporary_file():
    kept.append(tempfile.mkdtemp(prefix="forgotten"))

def test_file_with_a_name_of_eight_letters():
    Path(tempfile.gettempdir(), "abcd_123").write_text("not a try")

def test_cwd(tmp_path):
    os.chdir(tmp_path)

def test_umask():
    os.umask(0o077)

def test_new_variable():
    os.environ["NEW_ONE"] = "x"

def test_variable_that_is_gone():
    del os.environ["NEW_ONE"]

def test_import_path():
    sys.path.append("/somewhere")

def test_signal():
    signal.signal(signal.SIGUSR1, lambda *_: None)

def test_hook():
    sys.excepthook = lambda *_: None

def test_of_which_teardown_fails(broken):
    os.environ["ANOTHER_ONE"] = "x"

@pytest.fixture
def broken():
    yield
    raise ValueError("of its own")

def test_last():
    for one in kept:
        if isinstance(one, subprocess.Popen):
            one.kill()
            one.wait()
        elif isinstance(one, int):
            os.kill(one, signal.SIGKILL)
            if one == kept[1]:
                os.waitpid(one, 0)
"""

SAID = {
    "thread": ["thread one-of-ours, in ", "threading.py:", " wait"],
    "child": ["process ", ": sleep 1000"],
    "zombie": ["process ", "ended, and nobody waited for it"],
    "grandchild": ["process ", ": sleep 999"],
    "file": ["descriptor ", "/a file"],
    "pipe": ["descriptor ", "pipe:["],
    "listener": ["descriptor ", "socket:[", "] listening at ('127.0.0.1', "],
    "locked_descriptor": ["descriptor ", "/locked, locked", "lock ", "FLOCK ADVISORY WRITE"],
    "lock_on_a_file_of_the_module": ["lock ", "FLOCK ADVISORY WRITE"],
    "temporary_file": ["temporary file ", "/forgotten"],
    "file_with_a_name_of_eight_letters": ["temporary file ", "/abcd_123"],
    "cwd": ["cwd: ", "before, now ", "test_cwd0"],
    "umask": ["umask: '0022' before, now '0077'"],
    "new_variable": ["variable NEW_ONE: not there before, now 'x'"],
    "variable_that_is_gone": ["variable NEW_ONE: 'x' before, now not there"],
    "import_path": ["import path: ", "'/somewhere')"],
    "signal": ["handler of signal SIGUSR1: ", "before, now <function"],
    "hook": ["hook excepthook: ", "before, now <function"],
    "of_which_teardown_fails": ["of its own", "variable ANOTHER_ONE: not there before, now 'x'"],
}

CLEAN = """
import os, subprocess, sys, tempfile, threading, time
import pytest

@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="worker")
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OF_THE_MODULE", "x")
        patch.delenv("TO_BE_DELETED")
        patch.chdir(tmp_path_factory.mktemp("place"))
        yield thread
    stop.set()

def test_first(worker):
    assert worker.is_alive()

def test_second(worker, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_TEST", "x")
    with tempfile.NamedTemporaryFile(), open("a file", "w"):
        subprocess.run(["true"])

def test_thread_that_takes_its_time_to_end():
    threading.Thread(target=time.sleep, args=[0.3]).start()

@pytest.mark.slow
def test_process_that_takes_its_time_to_end():
    code = "import subprocess; subprocess.Popen(['sleep', '0.3'])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code])

def test_cycle_that_holds_a_file(tmp_path):
    cycle = [os.fdopen(os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR), closefd=True)]
    cycle.append(cycle)

def test_process_that_is_killed_while_it_looks_where_temporary_files_go():
    code = "import os, tempfile; os.unlink = lambda _: os.kill(os.getpid(), 9); tempfile.gettempdir()"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert any(len(name) == 8 for name in os.listdir(tempfile.gettempdir()))

@pytest.mark.skip
def test_skipped():
    pass
"""

WIDE = """
import os, tempfile, threading
import pytest

@pytest.fixture(scope="module", params=[1, 2])
def worker(request):
    threading.Thread(target=threading.Event().wait, name=f"worker-{request.param}", daemon=True).start()
    os.environ["OF_THE_MODULE"] = str(request.param)

def test_first(worker):
    pass

def test_second(worker):
    pass

def test_third():
    tempfile.mkdtemp(prefix="by-the-last")
"""


class Run:
    """A run of pytest in a process of its own."""

    def __init__(self, folder: Path, text: str, *options: str, limit_s: float) -> None:
        (folder / "conftest.py").write_text(f"from tests import leaks\nleaks.LIMIT_S = {limit_s}\n")
        (folder / "test_it.py").write_text(text)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST"))}
        more = {
            "PYTHONPATH": str(ROOT),
            "TO_BE_DELETED": "x",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        self.done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.leaks", "-p", "no:cacheprovider"),
                *("-W", "ignore::pytest.PytestUnraisableExceptionWarning"),
                *(f"--basetemp={folder / 'base'}", f"--junitxml={folder / 'said.xml'}", *options),
            ],
            cwd=folder,
            env=kept | more,
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
        )
        self.errors: dict[str, str] = {}
        for case in ElementTree.parse(folder / "said.xml").iter("testcase"):
            name = case.attrib["name"].removeprefix("test_")
            self.errors[name] = "".join(
                e.text or "" for e in (*case.iter("error"), *case.iter("failure"))
            )


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("left"), LEFT, limit_s=0.05)


@pytest.mark.parametrize("name", SAID)
def test_what_is_left_is_an_error_that_names_it(left, name):
    for words in SAID[name]:
        assert words in left.errors[name]


def test_each_test_is_told_of_what_it_left_itself(left):
    assert list(left.errors) == [*SAID, "last"]
    assert left.errors["last"] == ""
    for name in ("umask", "hook", "new_variable", "thread", "grandchild", "temporary_file"):
        assert left.errors[name].count("\n  ") == 1, left.errors[name]


def test_what_is_as_it_was_is_no_error(tmp_path):
    run = Run(tmp_path, CLEAN, limit_s=60)
    assert set(run.errors.values()) == {""}, run.errors
    assert run.done.returncode == 0, run.done.stdout


def test_what_a_fixture_of_a_module_leaves_is_told_at_its_end(tmp_path):
    run = Run(tmp_path, WIDE, limit_s=0.05)
    owner = ", of the module fixture worker"
    assert [name for name, text in run.errors.items() if text] == ["first[2]", "third"]
    said = run.errors["first[2]"]  # where pytest ends the fixture of the first parameter
    assert "thread worker-1, in " in said
    assert said.count(owner) == 1
    said = run.errors["third"]
    assert "thread worker-2, in " in said
    assert "/by-the-last" in said
    assert f"variable OF_THE_MODULE: '1' before, now '2'{owner}" in said
    assert said.count(owner) == 2


def test_it_can_be_left_out(tmp_path):
    text = 'def test_it():\n    import os\n    os.environ["NEW_ONE"] = "x"\n'
    assert Run(tmp_path, text, limit_s=0.05).done.returncode == 1
    run = Run(tmp_path, text, "--no-leaks", limit_s=0.05)
    assert run.done.returncode == 0, run.done.stdout
