"""A workspace of another user is looked at; nothing is written there, and nothing of it runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.trust.conftest import Place, image
from xpm_nb.errors import WorkspaceError
from xpm_nb.store import layout, locks
from xpm_nb.store.layout import Workspace, check_ours, stranger

WHOLE = "import sys; from tests.trust.session import whole; whole(sys.argv[1])"
WAITING = """
import sys
from pathlib import Path
from tests.trust.session import whole
whole(sys.argv[1])
(failed,) = Path(sys.argv[1]).glob("jobs/*/*/learn.failed")
for name in ("process.json", "outcome.json", "error.txt"):
    failed.parent.joinpath(".experimaestro", name).unlink()
failed.unlink()  # and so it seems to wait, and would be started by whoever opens the experiment
"""

VISIT = """
import os, sys, warnings
from tests.trust.session import Learn, look
from xpm_nb import XpmError, RunMode, start
mine, theirs, user = sys.argv[1:]
look(mine)  # imports what there is to import
os.setgid(int(user)); os.setuid(int(user))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    xp = start("tour", workspace=theirs)
print([str(one.message) for one in told])
jobs = list(xp.jobs)
print(len(jobs))
refused = []
acts = {
    "submit": lambda: Learn.C(x=50).submit(run_mode=RunMode.NORMAL),
    "saved": lambda: xp.resultspath,
    "keep": lambda: Learn.C(x=51).keep(),
    "disown": lambda: jobs[-1].disown("bad") if hasattr(jobs[-1], "disown") else check(),
    "prepare": lambda: start("other", workspace=theirs).submit(Learn.C(), run_mode="normal"),
}
for name, act in acts.items():
    try:
        act()
    except (XpmError, OSError) as error:
        refused.append(name)
print("not refused:", sorted(set(acts) - set(refused)))
for job in jobs:
    for act in (job.rerun, job.retry, job.cancel):
        try:
            act()
        except (XpmError, OSError):
            pass
xp.save(Learn.C(), "new")  # a dry run writes nothing
xp.token("new", 2)
garbage = xp.gc()
try:
    garbage.delete()
except (XpmError, OSError):
    pass
xp.wait(20)
print(jobs[0].state.value)
look(theirs)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("open_to_all", [False, True])
def test_a_workspace_of_another_user_is_only_looked_at(open_to_all):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        place = Place(folder)
        place.log.touch()
        place.log.chmod(0o666)
        mine = place.workspace / "mine"
        theirs = place.workspace / "theirs"
        place.run(WHOLE, mine)
        place.run(WAITING, theirs)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, 12345, 12345)
            if open_to_all:
                path.chmod(0o777 if path.is_dir() else 0o666)
        before = image(theirs)
        place.log.write_text("")
        said = place.run(VISIT, mine, theirs, 23456).splitlines()
        note = "belongs to the user number 12345: it is only looked at"
        assert any(note in line for line in said)
        assert "3" in said
        assert "not refused: []" in said, [line for line in said if "not refused" in line]
        assert image(theirs) == before
        assert place.log.read_text() == ""
    finally:
        shutil.rmtree(folder)


def test_who_a_workspace_belongs_to(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "ws").create()
    job = workspace.job("m.learn", "ab" * 32).create()
    assert stranger(workspace.root) == ""
    assert stranger(tmp_path / "none") == ""
    owner = os.stat(tmp_path).st_uid
    monkeypatch.setattr(layout.os, "geteuid", lambda: owner + 1)
    name = stranger(workspace.root)
    assert name
    for act in (
        workspace.create,
        lambda: check_ours(workspace.root),
        lambda: locks.try_lock(job),
        job.create,
    ):
        with pytest.raises(WorkspaceError, match=f"belongs to the user {name}: it can be looked"):
            act()
    monkeypatch.setattr(layout.os, "geteuid", lambda: 0)
    assert stranger(workspace.root) == ""
