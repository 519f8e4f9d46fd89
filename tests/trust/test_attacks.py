"""Twelve attacks that happened to others, each against the real thing.

1 a path made of a name · 2 a deletion that escapes · 3 a socket anybody may use · 4 a message that
nobody checks · 5 a file that is executed when it is looked at · 6 a safe loader that falls back to
an unsafe one · 7, 8 script in a display (see also ``notebook/test_hostile`` and
``browser/test_hostile``) · 9, 10 secrets in what is kept · 11 links where we are about to write ·
12 code of the current folder, and shell text in names.
"""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.conftest import Lab
from tests.notebook import test_hostile
from tests.trust import session
from tests.trust.conftest import HOME, Place, image

pytestmark = pytest.mark.slow

PACKAGE = HOME / "xpm_nb"
WHOLE = "import sys; from tests.trust.session import whole; whole(sys.argv[1])"
LOOK = "import sys; from tests.trust.session import look; look(sys.argv[1])"

KINDS = {
    *("experiment", "namespace", "token", "saved", "loaded", "tag", "job", "text", "path"),
    *("cache", "partial", "type"),
}
NAMES = [
    *(
        "..",
        ".",
        "",
        "../x",
        "../../precious/file",
        "a/../../x",
        "%2e%2e",
        "%2e%2e%2fx",
        "%252e%252e",
    ),
    *("..\\x", "C:\\x", "a\x00b", "/etc/xpm", "//x", "~", "~root", "~/x", "x" * 300, "é" * 200),
    *(
        "\u202egpj.x",
        "\ud800",
        "a\nb",
        "a\rb",
        "\x1b[31m",
        "$(touch x)",
        "`touch x`",
        "'; touch x; '",
    ),
    *(
        '"; touch x; "',
        "-rf",
        "--help",
        "*",
        "?",
        "|touch x",
        "> x",
        "&& touch x",
        ".experimaestro",
    ),
    *(
        "token.json",
        "jobs",
        "params.json",
        "__pycache__",
        "<script>",
        "CON",
        "a b",
        "…",
        "../" * 60,
    ),
    *(
        "x/" * 200,
        "..%c0%af",
        "\uff0e\uff0e\uff0fx",
        "file:///etc/x",
        "\u2024\u2024/x",
        "learn.done",
        "{0}",
        "%s",
    ),
]

# -- 1: a path made of a name -------------------------------------------------------------------

NAMING = """
import itertools, json, sys
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.trust.session import hostile
workspace, names, kinds, precious = sys.argv[1], *map(json.loads, sys.argv[2:4]), sys.argv[4]
names = [*names, precious + "/file", precious]
for kind, name in itertools.product(kinds, names):
    hostile(workspace, kind, name)

parts = st.sampled_from(["..", ".", "/", "\\\\", "%2e", "\\0", "~", "a", "x" * 90, "\\u202e", "é", " "])
texts = st.text(max_size=40) | st.lists(parts, max_size=12).map("".join)

@settings(
    database=None,
    deadline=None,
    max_examples=int(sys.argv[5]),
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(kinds), texts)
def anything(kind, name):
    hostile(workspace, kind, name)

anything()
print("ended")
"""


def test_1_no_name_leads_out_of_the_workspace(place):
    import json

    names = json.dumps(NAMES), json.dumps(sorted(KINDS))
    said = place.run(NAMING, place.workspace, *names, place.precious, 200)
    assert said.endswith("ended\n")
    place.unharmed()


def test_1_the_guard_sees_what_is_written_elsewhere(place):
    """Otherwise the tests of this file could not fail."""
    acts = [
        "open(p, 'w').close()",
        "os.close(os.open(p, os.O_WRONLY | os.O_CREAT))",
        "os.rename(inside, p)",
        "os.mkdir(p)",
        "os.symlink('a', p)",
        "os.remove(there)",
        "Path(link, 'new').write_text('')",
    ]
    code = (
        "import os, sys; from pathlib import Path; p, there, inside, link = sys.argv[2:]\n"
        "exec(sys.argv[1])"
    )
    place.workspace.mkdir()
    for number, act in enumerate(acts):
        (place.workspace / "a").write_text("")
        (place.precious / "there").write_text("")
        (place.workspace / f"link{number}").symlink_to(place.precious)
        paths = place.precious / f"new{number}", place.precious / "there", place.workspace / "a"
        place.run(code, act, *paths, place.workspace / f"link{number}")
        assert len(place.log.read_text().splitlines()) == number + 1, act


# -- 2: a deletion that escapes -----------------------------------------------------------------

DELETING = """
import os, sys
from pathlib import Path
from xpm_nb.store import attempts, records, removal, locks
from xpm_nb.store.layout import Workspace
from xpm_nb.errors import XpmError
root, precious, act, when, event = sys.argv[1:]
job = Workspace(root).create().job("m.learn", "ab" * 32).create()
for name in ("learn.out", "file", "params.json"):
    (job.path / name).write_text("x")
(job.path / "deep").mkdir(); (job.path / "deep" / "file").write_text("x")
records.write_done(job)
lock = locks.try_lock(job)
swapped, count = [], 0

def swap():
    swapped.append(True)
    os.rename(job.path, job.path.with_name("away"))
    os.symlink(precious, job.path)

def hook(name, args):
    global count
    if name == event and not swapped:
        count += 1
        if count == int(when):
            swap()

if when == "0":
    swap()
else:
    sys.addaudithook(hook)
try:
    {"archive": attempts.archive_attempt, "remove": removal.remove_files}[act](job)
except (XpmError, OSError) as error:
    print("refused", error)
print("swapped" if swapped else "never")
"""


@pytest.mark.parametrize("act", ["archive", "remove"])
def test_2_a_job_that_becomes_a_link_is_no_way_out(tmp_path, act):
    """Before anything is looked at, and before each listing, renaming or removing after that."""
    when, event, swaps = 0, "os.listdir", 0
    events = iter(["os.rename", "os.remove", "os.rmdir", "os.scandir"])
    while event is not None:
        place = Place(tmp_path / f"{event}-{when}")
        (place.precious / ".experimaestro").mkdir()
        (place.precious / ".experimaestro" / "progress.jsonl").write_text("precious")
        (place.precious / "learn.done").write_text("precious")
        before = image(place.precious)
        said = place.run(DELETING, place.workspace, place.precious, act, when, event)
        assert image(place.precious) == before, (event, when, said)
        if said.endswith("never\n"):
            event, when = next(events, None), 1
        else:
            swaps += 1
            when += 1
    assert swaps >= 4


# -- 3: a socket anybody may use ----------------------------------------------------------------


def listening(pid: int) -> set[tuple]:
    process = psutil.Process(pid)
    connections = process.net_connections(kind="all")
    return {(c.family, c.laddr) for c in connections if c.status in ("LISTEN", "NONE") and c.laddr}


def test_3_nothing_listens(lab):
    kernel = lab.kernel(load=False)
    kernel.run("1")
    before = listening(kernel.pid)
    kernel.run(
        "%load_ext xpm_nb\nfrom xpm_nb import *\nimport os, time\nxp = start('ears')\n"
        "class Wait(Task):\n    gate: Param[str]\n    def execute(self):\n"
        "        while not os.path.exists(self.gate): time.sleep(0.01)\n"
    )
    gate = lab.path / "gate"
    kernel.run(f"job = Wait.C(gate={str(gate)!r}).submit().job\nxp\nxp.plan()\n")
    lab.wait_for(lambda: list(lab.workspace.glob("jobs/*/*/*.pid")))
    pid = kernel.value("__import__('json').load(open(next(job.path.glob('*.pid'))))['pid']")
    assert listening(pid) == set()
    gate.touch()
    kernel.run("xp.wait()\nxp.table()\nxp.close()")
    assert listening(kernel.pid) <= before


# -- 4: a message that nobody checks ------------------------------------------------------------


def test_4_there_is_one_table_of_messages_and_the_pages_know_no_other():
    import re

    from xpm_nb.notebook import protocol

    known = set(protocol.PANEL) | set(protocol.FORM)
    assert known == {
        *("cancel", "retry", "rerun", "watch", "diff", "resync", "ping"),
        *("set", "submit", "reset"),
    }, "a new message needs a check of each of its parts, and a place here"
    sources = (PACKAGE / "notebook" / "static" / "js").glob("*.js")
    asked = {word for path in sources for word in re.findall(r'\bdo: "(\w+)"', path.read_text())}
    assert asked
    assert asked <= known


def test_4_no_message_is_read_elsewhere():
    """Messages come in by one method, and front-ends set no trait."""
    homes = {"widgets": 0, "live": 0, "forms": 0}
    for path in (PACKAGE / "notebook").glob("*.py"):
        text = path.read_text()
        for name in ("on_msg", "observe(", "_handle_msg", "protocol.read("):
            if name in text:
                assert path.stem in homes, path
    widgets = (PACKAGE / "notebook" / "widgets.py").read_text()
    assert "def set_state" in widgets


# -- 5: a file that is executed when it is looked at ----------------------------------------------


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self):
        return Path.touch, (self.fuse,)


def test_5_looking_executes_nothing_that_a_workspace_holds(place):
    place.run(WHOLE, place.workspace)
    place.log.unlink(missing_ok=True)  # the session itself may pickle
    kept = place.path.parent / "kept"
    shutil.copytree(place.workspace, kept, symlinks=True)
    fuse = place.path / "cwd" / "fired"
    pickled = pickle.dumps(Bomb(fuse))
    python = f"open({str(fuse)!r}, 'w')\n".encode()
    files = sorted(p.relative_to(kept) for p in kept.rglob("*") if p.is_file())
    assert len(files) > 40
    bombs = {"pickle": pickled, "python": python, "nothing": b"", "broken": b'{"a": ['}
    bombs["deep"] = b"[" * 100_000
    seen = set()
    for file in files:
        kind = (file.parts[0], file.suffix, file.name)  # one of each is enough
        if kind in seen:
            continue
        seen.add(kind)
        for number, data in enumerate(bombs.values()):
            target = place.path / "ws" / f"{len(seen)}-{number}"
            shutil.copytree(kept, target, symlinks=True)
            (target / file).write_bytes(data)
    every = place.path / "ws" / "all"
    shutil.copytree(kept, every, symlinks=True)
    for file in files:
        (every / file).write_bytes(pickled)
    code = (
        "import os, sys; from tests.trust.session import look\n"
        "for name in sorted(os.listdir(sys.argv[1])):\n"
        "    path = os.path.join(sys.argv[1], name)\n"
        "    if name[0] in '0123456789a': look(path)\n"
    )
    shutil.rmtree(kept)
    place.run(code, place.workspace)
    place.unharmed()


def test_5_only_the_result_of_an_own_job_unpickles(place):
    """And so does the guard see it."""
    place.run(WHOLE, place.workspace)
    place.log.unlink(missing_ok=True)
    code = "from xpm_nb import start\nxp = start('tour', workspace={!r})\n"
    code += "print([j.result() for j in xp.jobs if j.state.value == 'done'])"
    said = place.run(code.format(str(place.workspace)))
    assert "{'a': <class 'object'>}" in said
    assert "pickle" in place.log.read_text()


# -- 6: a safe loader that falls back to an unsafe one ------------------------------------------


def test_6_no_loader_loads_again():
    """Nothing is unpickled but in two places, and no handler of an exception loads.

    (The third reads a compiled module that Python itself would load next.)
    """
    loaders = {"load", "loads", "Unpickler", "literal_eval", "parse", "load_result"}
    unpickling = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("loads", "load", "Unpickler"):
                owner = getattr(node.value, "id", "")
                if owner in ("pickle", "cloudpickle", "marshal", "torch", "dill", "joblib"):
                    unpickling.add(path.relative_to(PACKAGE).as_posix())
            if isinstance(node, ast.ExceptHandler):
                called = {
                    getattr(call.func, "attr", getattr(call.func, "id", ""))
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                }
                assert not called & loaders, (path, node.lineno)
    assert unpickling == {"store/classes.py", "code/pickled.py", "code/modules.py"}


def test_6_a_damaged_result_is_not_looked_for_elsewhere(tmp_path):
    from xpm_nb.errors import RecordError
    from xpm_nb.store import records, results
    from xpm_nb.store.layout import Workspace

    job = Workspace(tmp_path / "ws").create().job("m.learn", "ab" * 32).create()
    records.write_done(job)
    job.result_json.write_text("{")
    job.result_pickle.write_bytes(pickle.dumps(Bomb(tmp_path / "fired")))
    with pytest.raises(RecordError, match=r"result\.json is damaged"):
        results.load_result(job)
    assert not (tmp_path / "fired").exists()
    job.result_json.unlink()
    job.result_pickle.write_bytes(b"\x80\x04garbage")
    with pytest.raises(RecordError, match=r"result\.pickle cannot be loaded"):
        results.load_result(job)


# -- 7, 8: script in a display ------------------------------------------------------------------

SHOWN = """
import sys
from tests.trust.session import Learn
from xpm_nb import start
from xpm_nb.core import doors
evil = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
xp = start("shown", workspace=sys.argv[1])
task = Learn.C(x=3, fail=True).tag("t", evil)
task.submit()
xp.wait()
job = task.job
job.stdout().write_text(evil)
job.path.joinpath("learn.failed").write_text('{"format": 1, "reason": "failed", "message": "%s"}' % evil)
xp.close()
xp = start("shown", workspace=sys.argv[1])
import json
print("BUNDLES" + json.dumps([doors.renderer(xp), doors.renderer(xp.jobs[0])]))
"""


def test_7_what_jobs_say_and_where_they_are_stays_text(place):
    """Also the name of a directory; that of a file is nobody's choice but ours."""
    import json

    place.workspace.mkdir()
    root = place.workspace / "<img src=x onerror=alert(1)>"
    said = place.run(SHOWN, root)
    for bundle in json.loads(said.partition("BUNDLES")[2]):
        test_hostile.check({k: v for k, v in bundle.items() if k.startswith("text/")})
        assert "<script" not in bundle["text/html"]
    place.unharmed()


# -- 9, 10: secrets in what is kept -------------------------------------------------------------


def everything(folder: Path) -> bytes:
    parts = [os.fsencode(p) + b"\n" for p in folder.rglob("*")]
    return b"".join([*parts, *(p.read_bytes() for p in folder.rglob("*") if p.is_file())])


def test_9_10_no_secret_is_kept_or_told(lab):
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://me:canary-remote@host.invalid/x.git"],
        ["commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run([*git, *words], cwd=lab.path, check=True)
    kernel = lab.kernel(AWS_SECRET_ACCESS_KEY="canary-env", HF_TOKEN="canary-token")
    kernel.run("api_key = 'canary-cell'\n%env GITHUB_TOKEN=canary-magic")
    gate = lab.path / "gate"
    kernel.run(
        "xp = start('secrets')\nclass Wait(Task):\n    gate: Param[str]\n    def execute(self):\n"
        "        assert os.environ['AWS_SECRET_ACCESS_KEY']\n"
        "        while not os.path.exists(self.gate): time.sleep(0.01)\n"
        "        if 'bad' in self.gate: raise ValueError('no')\n"
        f"jobs = [Wait.C(gate=g).submit().job for g in ({str(gate)!r}, {str(gate) + 'bad'!r})]\nxp"
    )
    lab.wait_for(lambda: list(lab.workspace.glob("jobs/*/*/*.pid")))
    for process in psutil.Process(kernel.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended meanwhile
            assert "canary" not in " ".join(process.cmdline())
    gate.touch()
    gate.with_name("gatebad").touch()
    shown = kernel.run(
        "xp.wait(); display(xp); print(*[j.story() for j in jobs], sep='\\n'); xp.close()"
    )
    kernel.run("xp = start('secrets')\nxp")
    told = f"{shown.stdout}{shown.displays}{shown.comms}{shown.updates}"
    assert "attempt 1" in told
    assert "canary" not in told
    assert list(lab.workspace.glob("experiments/secrets/xpm_nb/*/cells.ipynb"))
    assert b"canary" not in everything(lab.workspace)


# -- 11: links where we are about to write ------------------------------------------------------

RETRIED = """
import sys
from tests.trust.session import whole
try:
    whole(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def planted(tmp_path: Path, what: str, names: list[str], count: int = 8) -> None:
    """Plant links to something precious, some at a time, and have a session."""
    for number in range(0, len(names), count):
        place = Place(tmp_path / f"{what}-{number}")
        for name in names[number : number + count]:
            path = place.workspace / name
            if any(parent.is_symlink() for parent in path.parents):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            target = place.precious / ("deep" if what == "folder" else "file")
            path.symlink_to(target if what != "nowhere" else place.precious / "new")
        place.run(RETRIED, place.workspace)
        place.unharmed()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files and folders that a session makes, of each kind one; runs are named by time."""
    first = Place(tmp_path_factory.mktemp("first"))
    first.run(WHOLE, first.workspace)
    files, folders = {}, {}
    for path in sorted(first.workspace.rglob("*")):
        name = path.relative_to(first.workspace)
        own = path.name in ("out.txt", "shared.txt")  # what the task itself writes
        if not own and "xpm_nb" not in name.parts:
            kind = (name.parts[0], len(name.parts), path.name if path.is_file() else "")
            (files if path.is_file() else folders).setdefault(kind, str(name))
    assert len(files) > 20
    return list(files.values()), [*folders.values(), "experiments/tour/xpm_nb"]


# Their rights are the user's matter.
BY_THE_USER = {"out.txt", "shared.txt", "kept.txt", "note.txt"}


@pytest.mark.parametrize("what", ["file", "nowhere", "folder"])
def test_11_links_planted_at_each_path_that_we_make(tmp_path, made, what):
    files, folders = made
    planted(tmp_path, what, folders if what == "folder" else files, 1 if what == "folder" else 4)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_11_what_is_made_follows_the_umask_and_is_never_for_others_to_write(place, umask):
    place.run(WHOLE, place.workspace, umask=umask)
    made = [place.workspace, *place.workspace.rglob("*")]
    assert len(made) > 40
    for path in made:
        mode = path.lstat().st_mode & 0o777
        assert not mode & umask, path
        if path.name not in BY_THE_USER:
            assert not mode & 0o022, path
        if path.is_file():
            assert not mode & 0o111, f"{path} is no program"


# -- 12: code of the current folder, and shell text in names ------------------------------------

EVIL = "open({!r}, 'a').write(__file__ + '\\n')\n"


def test_12_no_code_of_the_current_folder_or_the_jobs_is_picked_up(place):
    fired = place.precious.parent / "fired"
    shadowed = ["json", "sitecustomize", "usercustomize", "os", "random", "pathlib", "struct"]
    place.run(WHOLE, place.workspace)
    place.log.unlink(missing_ok=True)
    for folder in (place.cwd, *place.workspace.glob("jobs/*/*")):
        for name in shadowed:
            (folder / f"{name}.py").write_text(EVIL.format(str(fired)))
    code = (
        "import sys, json, os, random, pathlib, struct; from xpm_nb import start\n"
        "sys.path.insert(0, '')\n"  # as a kernel has it, once it has started
        "xp = start('tour', workspace=sys.argv[1])\n"
        "xp.rerun(*xp.jobs)\nxp.wait()\nprint([j.state.value for j in xp.jobs])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, place.workspace],
        cwd=place.cwd,
        env=place.environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "['done', 'done', 'error']\n", done.stdout + done.stderr
    assert not fired.exists(), fired.read_text()


SHELL = """
import sys
from tests.trust.session import Named
from xpm_nb import start
name, workspace = sys.argv[1:]
xp = start("shell", workspace=workspace)
task = Named.C(text=name).tag("name", name)
task.submit()
xp.wait()
assert task.job.state.value == "done", task.job.log()
assert task.job.name == name.rpartition(".")[2].lower(), task.job.name
assert task.job.result() == name
print(task.job.path)
"""


@pytest.mark.parametrize(
    "name", ["$(touch x)", "`touch x`", "a'b; touch x; 'c", 'a"b; touch x; "c', "-x", "a b", "é*?"]
)
def test_12_no_name_is_taken_for_a_command(place, name):
    path = Path(place.run(SHELL, name, place.workspace, XPM_NAME=name).rstrip("\n"))
    place.unharmed()
    (script,) = path.glob("*.py")
    done = subprocess.run(
        [sys.executable, script],
        cwd=place.cwd,
        env=place.environment(XPM_NAME=name),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    place.unharmed()
    assert not list(place.workspace.rglob("x"))


def test_12_newlines_and_quotes_go_through_scripts_as_values(place):
    said = place.run(
        "import sys\nfrom tests.trust.session import hostile\n"
        "print([hostile(sys.argv[1], 'type', n) for n in ('a\\nb', 'a\\rb')])\n"
        "print(repr(hostile(sys.argv[1], 'text', 'a\\n\\'\\'\\'b\"\"\"$(touch x)')))",
        place.workspace,
    )
    assert said.count("holds the character") == 2
    assert said.splitlines()[-1] == "''"
    place.unharmed()


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    for kernel in lab.kernels:
        kernel.stop()
    lab.end_jobs()


@given(st.data())
def test_the_session_knows_each_kind(data):
    """A kind that is misspelt would be a test of nothing."""
    assert data.draw(st.sampled_from(sorted(KINDS))) in (HOME / session.__file__).read_text()
