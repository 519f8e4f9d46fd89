"""Other users write in a workspace that is open to them: nothing of theirs runs as its owner.

Real users: the owner is one, who attacks is another, and root changes rights between the acts.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.trust.conftest import Place
from tests.trust.test_attacks import WHOLE, Bomb
from tests.trust.test_strangers import WAITING

OWNER, OTHER = 12345, 23456  # numbers that have no name, with luck

RESULTS = """
import sys, warnings
from xpm_nb import XpmError, start
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    xp = start("tour", workspace=sys.argv[1])
print("told:", [str(one.message) for one in told])
for job in xp.jobs:
    if job.state.value == "done":
        try:
            print("result:", job.result())
        except XpmError as error:
            print("refused:", error)
"""
OPEN = """
import sys
from xpm_nb import start
xp = start("tour", workspace=sys.argv[1])
xp.wait(60)
print([(job.state.value, job.view().message) for job in xp.jobs])
"""
RUN = """
import sys
from xpm_nb import cli
print("exit code", cli.main(["run", "tour", sys.argv[1]]))
from xpm_nb import start
print([job.story() for job in start("tour", workspace=sys.argv[1]).jobs])
"""
AGAIN = """
import sys
from tests.trust.session import Learn
from xpm_nb import start
start("tour", workspace=sys.argv[1])
task = Learn.C(x=3, fail=True)
task.submit()
task.job.wait(60)
print(task.job.view().message)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users"),
]


class Shared:
    """A workspace of `OWNER`, and those who come to it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.root = place.workspace / "w"
        self.fuse = place.cwd / "fired"
        place.path.chmod(0o755)
        place.cwd.chmod(0o777)
        place.workspace.mkdir()
        place.workspace.chmod(0o777)
        place.log.touch()
        place.log.chmod(0o666)

    def run(self, code: str, *, user: int = OWNER, **env: str) -> str:
        """Run code as a user, who reads all files (our Python may lie where only root looks)."""
        right = "+dac_read_search"
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        become += [f"--inh-caps={right}", f"--ambient-caps={right}", "--"]
        done = subprocess.run(
            [*become, sys.executable, "-c", code, self.root],
            cwd=self.place.cwd,
            env=self.place.environment(HOME=str(self.place.cwd), **env),
            capture_output=True,
            text=True,
            timeout=300,
            umask=0,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
        return done.stdout + done.stderr

    def opened(self) -> None:
        """Let everybody write, as a version did that left this to the umask."""
        for path in (self.root, *self.root.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)

    def closed(self) -> None:
        """Let only owners write, whoever they are."""
        for path in (self.root, *self.root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def forge(self, path: Path, data: bytes) -> None:
        """Put a file of `OTHER` in the place of another."""
        if path.exists():
            path.unlink()
        path.write_bytes(data)
        os.chown(path, OTHER, OTHER)


@pytest.fixture
def shared():
    folder = Path(tempfile.mkdtemp())
    try:
        shared = Shared(Place(folder))
        try:
            shared.run("import xpm_nb")
        except (AssertionError, FileNotFoundError) as error:
            pytest.skip(f"root cannot become other users here: {error}")
        yield shared
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["the file", "the directory", "only the rights"])
def test_no_pickle_of_another_user_is_loaded(shared, how):
    shared.run(WHOLE)
    (pickled,) = shared.root.glob("jobs/*/*/.experimaestro/result.pickle")
    job = pickled.parents[1]
    bomb = pickle.dumps(Bomb(shared.fuse))
    text = f"belongs to the user number {OTHER}"
    if how == "the file":
        shared.forge(pickled, bomb)
    elif how == "only the rights":
        shared.opened()
        pickled.write_bytes(bomb)  # in the owner's own file
        text = "other users could write"
    else:
        shared.forge(pickled, bomb)
        for path in (job, *job.rglob("*")):
            os.chown(path, OTHER, OTHER)
    said = shared.run(RESULTS)
    assert "result: {'accuracy': 1}" in said  # JSON executes nothing
    assert text in said
    assert "refused: " in said
    assert f"delete {job}/learn.done and submit it again" in said
    assert not shared.fuse.exists()


@pytest.mark.parametrize(
    ("what", "by"),
    [("script", RUN), ("script", OPEN), ("params", OPEN), ("record", OPEN), ("the rights", OPEN)],
    ids=["script, xpm-nb run", "script", "params", "record", "only the rights"],
)
def test_no_waiting_job_runs_what_another_user_wrote(shared, what, by):
    shared.run(WAITING)
    scripts = shared.root.glob("jobs/*/*/learn.py")
    (job,) = [path.parent for path in scripts if not path.with_suffix(".done").exists()]
    names = {"params": "params.json", "record": ".experimaestro/job.json"}
    file = job / names.get(what, "learn.py")
    text = file.read_text()
    if file.suffix == ".py":
        text = f"open({str(shared.fuse)!r}, 'w')\n{text}"
    if what == "the rights":
        shared.opened()
        file.write_text(text)
        expected = f"other users could write {job} (its rights are 0777): it is not executed"
    else:
        shared.forge(file, text.encode())
        expected = f"{file} belongs to the user number {OTHER}: it is not executed"
    said = shared.run(by)
    assert f"{expected}; submit the task again" in said
    assert not shared.fuse.exists()
    assert "ValueError: on purpose" in shared.run(AGAIN)  # it ran, as its owner wrote it
    assert not shared.fuse.exists()
    for path in (job, job / ".experimaestro", job / "learn.py", job / "params.json"):
        found = path.stat()
        assert found.st_uid == OWNER
        assert not found.st_mode & 0o022


def test_no_job_is_started_in_a_directory_of_another_user(shared):
    shared.run(WAITING)
    (shared.root / "jobs").chmod(0o777)
    for path in shared.root.glob("jobs/*/*"):
        if not (path / "learn.done").exists():
            os.chown(path, OTHER, OTHER)
            path.chmod(0o777)
    said = shared.run(AGAIN)
    assert f"belongs to the user number {OTHER}: it is not executed; move that directory" in said
    assert f"other users can replace jobs in the workspace {shared.root}" in said


def test_root_executes_nothing_of_the_user_whose_workspace_it_opens(shared):
    shared.run(WHOLE)
    (pickled,) = shared.root.glob("jobs/*/*/.experimaestro/result.pickle")
    said = shared.run(RESULTS, user=0)
    assert f"belongs to the user number {OWNER}, and this is root" in said
    assert "refused: " in said
    assert "{'a': <class 'object'>}" in shared.run(
        RESULTS, user=0, XPM_TRUSTED_USERS=f"{OWNER}, {OTHER}"
    )
    pickled.write_bytes(pickle.dumps(Bomb(shared.fuse)))
    shared.run(RESULTS, user=0)
    assert not shared.fuse.exists()
    assert "ValueError: on purpose" in shared.run(AGAIN.replace("x=3", "x=4"), user=0)
    shared.run(RESULTS, user=0, XPM_TRUSTED_USERS=str(OWNER))
    assert shared.fuse.exists()  # the bomb is one
