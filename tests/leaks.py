"""Every test leaves things as it found them: a pytest plugin that looks, and names what was left.

What is there after a test and its own fixtures, and was not there before, is an error of its
teardown. What a fixture of a wider scope makes may stay until that fixture ends, and is looked for
then. Nothing is waited for unless something is left; then for its end, up to `LIMIT_S`: the
threads and processes that a test has told to end need a moment.

=================  ===============================================================================
kind               what is looked at
=================  ===============================================================================
thread             threads of Python
process            children, also ended ones that nobody waited for; in slow tests also what they
                   started in turn, such as jobs (found by its temporary folder, see below)
descriptor         files, pipes, sockets (also who listens), locks
lock               locks of this process, by whichever descriptor
temporary file     what is in `tempfile.gettempdir()`, which is a folder of the session's own
cwd, umask, …      the working directory, the environment, the import path, signal handlers, hooks
                   of `sys`, the limit of open files
=================  ===============================================================================

``--no-leaks`` leaves it out.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

LIMIT_S = 60.0  # how long something that is about to end may take, on a machine that is busy
PAUSE_S = 0.01  # between two looks at what nobody tells us the end of

# What libraries open once and keep is opened before the first test, if they are used at all: what
# has that done, by the name of the module.
KEPT: dict[str, Callable[[Any], object]] = {
    "jupyter_core.utils": lambda core: core.ensure_event_loop(),  # of jupyter_client's calls
    "zmq": lambda zmq: zmq.Frame(b"", copy=False),  # the thread that lets go of large messages
}

OTHERS = {signal.SIGALRM, signal.SIGKILL, signal.SIGSTOP}  # the first is pytest-timeout's


class Key(NamedTuple):
    """Something that a test can leave: a thread by its number, a variable by its name."""

    kind: str
    name: int | str = ""


State = dict[Key, Any]

PROBE = re.compile(r"[a-z0-9_]{8}")

# What has a value at any time; the others are there or not.
VALUES = {"cwd", "umask", "variable", "import path", "handler of signal", "hook", "open files"}


# -- what there is ------------------------------------------------------------------------------


def look(*, processes: bool) -> State:
    """See everything that a test could leave."""
    state: State = {}
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            state[Key("thread", thread.native_id or 0)] = thread.name
    state |= descriptors() | locks() | temporary_files() | values()
    if processes or has_children():
        state |= family()
    return state


def descriptors() -> State:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing
            found[Key("descriptor", int(name))] = os.readlink(f"/proc/self/fd/{name}")
    return found


def locks() -> State:
    mine = str(os.getpid())
    with open("/proc/locks") as file:
        lines = [line.split() for line in file]
    return {
        Key("lock", words[-3]): " ".join(words[1:4])
        for words in lines
        if "->" not in words and words[-4] == mine
    }


def temporary_files() -> State:
    folder = tempfile.gettempdir()
    if folder != os.environ.get("TMPDIR"):  # not ours: others use it
        return {}
    # Node, which drives the browser, writes its own cache there when it ends.
    found = [name for name in os.listdir(folder) if name != "node-compile-cache"]
    return {Key("temporary file", name): folder for name in found if not is_probe(folder, name)}


def is_probe(folder: str, name: str) -> bool:
    """Tell whether Python has tried here whether it can write, and was killed in the middle.

    The first `tempfile.gettempdir()` of a process writes four bytes into a file whose name is eight
    letters, and deletes it. What is killed at random is killed there, too, once in a while.
    """
    if not PROBE.fullmatch(name):
        return False
    try:
        return Path(folder, name).read_bytes() in (b"", b"blat")
    except OSError:  # gone by now, or a folder
        return False


def values() -> State:
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = "(a folder that is not there any more)"
    with open("/proc/self/status") as file:
        umask = next((line.split()[1] for line in file if line.startswith("Umask:")), "")
    found: State = {
        Key("cwd"): cwd,
        Key("umask"): umask,
        Key("import path"): tuple(sys.path),
        Key("open files"): resource.getrlimit(resource.RLIMIT_NOFILE),
        Key("hook", "excepthook"): sys.excepthook,
        Key("hook", "displayhook"): sys.displayhook,
        Key("hook", "breakpointhook"): sys.breakpointhook,
    }
    found |= {Key("variable", k): v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    for number in signal.valid_signals() - OTHERS:
        found[Key("handler of signal", number)] = signal.getsignal(number)
    return found


def has_children() -> bool:
    """Tell whether there is a child, dead or alive; waits for none."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def family() -> State:
    """Give our children, and the processes of our session that have other parents by now."""
    mark, mine = os.fsencode(f"\0TMPDIR={tempfile.gettempdir()}\0"), os.getpid()
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{name}"
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            stat = Path(folder, "stat").read_text().rpartition(")")[2].split()
            if int(name) == mine or (int(stat[1]) != mine and mark not in environment(folder)):
                continue
            words = Path(folder, "cmdline").read_bytes().split(b"\0")
            said = os.fsdecode(b" ".join(words)) or "ended, and nobody waited for it"
            found[Key("process", int(name))] = said.strip()
    return found


def environment(folder: str) -> bytes:
    return b"\0" + Path(folder, "environ").read_bytes()


# -- what is left -------------------------------------------------------------------------------


def changed(before: State, after: State) -> State:
    """Give what is new or has another value; None for a value that is not there any more."""
    keys = {*after, *(key for key in before if key.kind in VALUES)}
    return {key: after.get(key) for key in keys if after.get(key) != before.get(key)}


def await_end(left: State, until: float) -> None:
    """Wait for the end of one thing that is left, or a moment."""
    for key in left:
        if key.kind == "thread":
            for thread in threading.enumerate():
                if thread.native_id == key.name:
                    thread.join(max(0.0, until - time.monotonic()))
                    return
        elif key.kind == "process":
            with contextlib.suppress(OSError):
                ended = select.poll()
                descriptor = os.pidfd_open(int(key.name))
                ended.register(descriptor, select.POLLIN)
                waited = ended.poll(max(0.0, until - time.monotonic()) * 1000)
                os.close(descriptor)
                if waited and not Path(f"/proc/{key.name}").exists():
                    return
    time.sleep(max(0.0, min(PAUSE_S, until - time.monotonic())))


def settled(before: State, *, processes: bool) -> tuple[State, State]:
    """Give what is there, once what ends by itself has ended, and what of it is left."""
    now = look(processes=processes)
    left = changed(before, now)
    if not left:
        return now, left
    until = time.monotonic() + LIMIT_S
    if any(key.kind in ("descriptor", "temporary file") for key in left):
        gc.collect()  # it may be held by nobody but itself
    while (left := changed(before, now := look(processes=processes))) and time.monotonic() < until:
        await_end(left, until)
    return now, left


# -- how it is told -----------------------------------------------------------------------------


def told(key: Key, before: Any, now: Any) -> str:
    """Name one thing that is left."""
    if key.kind in VALUES:
        name = signal.Signals(key.name).name if isinstance(key.name, int) else key.name
        return f"{key.kind} {name}: {shown(before)} before, now {shown(now)}".replace(" :", ":")
    if key.kind == "thread":
        return f"thread {now}, {place(int(key.name))}"
    if key.kind == "descriptor":
        return f"descriptor {key.name}: {opened(int(key.name), now)}"
    if key.kind == "temporary file":
        return f"temporary file {now}/{key.name}"
    return f"{key.kind} {key.name}: {now}"


def shown(value: Any) -> str:
    return "not there" if value is None else repr(value)


def place(number: int) -> str:
    """Say where a thread is."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.native_id == number and thread.ident in frames:
            where = traceback.extract_stack(frames[thread.ident])[-4:]
            return "in " + " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in where)
    return "which has just ended"


def opened(number: int, target: str) -> str:
    """Say what a descriptor is of, and whether it has a lock."""
    with contextlib.suppress(OSError):
        if target.startswith("socket:"):
            with socket.socket(fileno=os.dup(number)) as end:
                listens = end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                target += f" {'listening ' if listens else ''}at {end.getsockname()!r}"
        elif "\nlock:" in Path(f"/proc/self/fdinfo/{number}").read_text():
            target += ", locked"
    return target


# -- the plugin ---------------------------------------------------------------------------------


class Made(NamedTuple):
    """What a fixture made: how it was before, and how it is since."""

    fixture: str
    before: State
    since: State


class Check:
    """Knows what is there, and whose it is."""

    def __init__(self) -> None:
        self.known: State = {}
        self.made: dict[object, Made] = {}  # by fixtures of wider scopes that have not ended
        self.ended: list[Made] = []  # by those that have, since the last report
        self.slow = False

    def pytest_collection_finish(self) -> None:
        for module, use in KEPT.items():
            if found := sys.modules.get(module):
                use(found)
        self.known = look(processes=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.slow = item.get_closest_marker("slow") is not None

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        before = look(processes=True)
        result = yield
        found = changed(before, look(processes=True))
        for other in self.made.values():  # that it asked for itself
            found = {key: value for key, value in found.items() if key not in other.since}
        if found:
            name = f"the {fixturedef.scope} fixture {fixturedef.argname}"
            self.made[fixturedef] = Made(name, {key: before.get(key) for key in found}, found)
            self.known |= found
        return result

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        if made := self.made.pop(fixturedef, None):
            self.known |= made.before
            self.ended.append(made)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        try:
            result = yield
        except BaseException as error:
            if said := self.report():
                error.add_note(said)
            raise
        if said := self.report():
            pytest.fail(said, pytrace=False)
        return result

    def report(self) -> str:
        """Say what is left, if anything, and take it as given from then on."""
        processes = self.slow or bool(self.ended)
        before = self.known
        self.known, left = settled(before, processes=processes)
        if not processes:
            self.known |= {key: name for key, name in before.items() if key.kind == "process"}
        ended, self.ended = self.ended, []
        lines = []
        for key in sorted(left, key=str):
            owners = [f", of {made.fixture}" for made in ended if made.since.get(key) == left[key]]
            lines.append(f"\n  {told(key, before.get(key), left[key])}{''.join(owners[:1])}")
        return f"left behind:{''.join(lines)}" if lines else ""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-leaks", action="store_true", help="let tests leave what they like")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--no-leaks") and sys.platform == "linux":
        config.pluginmanager.register(Check(), "leak check")
        config.add_cleanup(own_temporary_folder())


def own_temporary_folder() -> Callable[[], None]:
    """Have temporary files in a folder of ours, also those of processes that tests start.

    As the real one it is open to all: tests become other users. Gives what ends this.
    """
    former, patch = tempfile.gettempdir(), pytest.MonkeyPatch()
    folder = tempfile.mkdtemp(prefix="xpm-tests-")
    os.chmod(folder, 0o1777)
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ:  # `tmp_path` stays where it is
        patch.setenv("PYTEST_DEBUG_TEMPROOT", former)
    patch.setenv("TMPDIR", folder)
    patch.setattr(tempfile, "tempdir", folder)

    def end() -> None:
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)

    return end
