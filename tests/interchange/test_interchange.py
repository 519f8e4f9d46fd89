"""One workspace, two tools: what one has done, the other finds done."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.interchange.conftest import OURS, THEIRS

pytestmark = pytest.mark.slow

ALL = ["breaks", "plain 0.5", "prepare 1", "read 1", "use 1"]
STATES = (
    "from xpm_nb import start\n"
    "xp = start('five', workspace=ws)\n"
    "xp.wait()\n"
    "print(json.dumps({j.view().task: [j.state.value, j.view().reused, j.view().elsewhere]"
    " for j in xp.jobs}))\n"
)


def until(predicate, timeout_s=60):
    """Wait for something that happens in another process: the only way is to look again."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)
    return value


def untouched(jobs):
    """Tell by what one could see that a job was run, or prepared, again."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino)
        for name, job in jobs.items()
        if name != "breaks"
        for path in (*job.glob("*.done"), *job.glob("*.out"), *job.glob("prepared.txt"))
    }


def test_the_modules_differ_in_one_line(table):
    texts = [(table.path / t / "five_tasks.py").read_text().split("\n") for t in (OURS, THEIRS)]
    assert [a.startswith("from xpm_nb") for a, b in zip(*texts, strict=True) if a != b] == [True]


@pytest.mark.parametrize(("first", "second"), [(THEIRS, OURS), (OURS, THEIRS)])
def test_the_four_that_are_done_are_found_and_the_failed_one_is_run_again(table, first, second):
    identifiers = table.run_all(first, BREAK="1")
    assert sorted(table.said()) == ALL
    jobs = table.jobs()
    assert {name: path.name for name, path in jobs.items()} == identifiers
    done = {name for name, path in jobs.items() if (path / f"{name}.done").exists()}
    assert done == {"plain", "prepare", "read", "use"}
    assert (jobs["breaks"] / "breaks.failed").exists()
    before = untouched(jobs)
    assert len(before) == 9
    table.referee.unlink()

    assert table.run_all(second) == identifiers
    assert table.said() == ["breaks"]
    assert table.jobs() == jobs
    assert untouched(jobs) == before
    assert (jobs["breaks"] / "breaks.done").exists()
    assert not (jobs["breaks"] / "breaks.failed").exists()

    table.referee.unlink()
    for tool in (first, second):
        assert table.run_all(tool) == identifiers
    assert table.said() == []


def test_a_workspace_of_theirs_is_opened_here_and_says_how_its_jobs_are(table):
    table.run_all(THEIRS, BREAK="1")
    shown = table.run(OURS, "five.run_all(ws)\n" + STATES, BREAK="1")
    assert {task: state for task, (state, _, _) in shown.items()} == {
        "Prepare": "done", "Read": "done", "Use": "done", "Plain": "done", "Breaks": "error",
    }  # fmt: skip
    assert [task for task, (_, reused, _) in shown.items() if not reused] == ["Breaks"]


def test_their_parameters_are_loaded_also_when_the_workspace_was_moved(table):
    identifiers = table.run_all(THEIRS)
    table.workspace.rename(table.path / "moved")
    table.workspace = table.path / "moved"
    use, read = (str(table.jobs()[name]) for name in ("use", "read"))
    assert json.loads((Path(use) / "params.json").read_text())["version"] == 3
    code = f"""
from xpm_nb import from_task_dir
use, read = from_task_dir({use!r}), from_task_dir({read!r}, as_instance=True)
(loader,) = use.__xpm__.init_tasks
assert loader.model is use.model
assert type(read) is five.Read
print(json.dumps([
    use.__identifier__().hex(), use.model.hidden, use.sizes, use.named["a"].hidden,
    read.bundle.path.read_text(), str(loader.bundle.path), use.copy().__identifier__().hex(),
]))
"""
    told = table.run(OURS, code)
    assert told[:5] == [identifiers["use"], 5, [1, 2], 4, "1"]
    assert told[5] == str(table.jobs()["prepare"] / "prepared.txt")
    assert told[6] != identifiers["use"]  # a copy has no init tasks


def test_a_task_that_was_loaded_is_its_job_when_it_is_submitted(table):
    table.run_all(THEIRS)
    table.referee.unlink()
    code = f"""
from xpm_nb import from_task_dir, start
xp = start("loaded", workspace=ws)
plain = from_task_dir({str(table.jobs()["plain"])!r})
plain.submit()
print(json.dumps([plain.job.wait().value, str(plain.job.path)]))
"""
    assert table.run(OURS, code) == ["done", str(table.jobs()["plain"])]
    assert table.said() == []


@pytest.mark.parametrize("killed", [False, True], ids=["", "its scheduler killed"])
def test_a_job_that_they_run_is_seen_as_running_and_not_started(table, killed):
    theirs = table.start(THEIRS, "five.run_gate(ws)")
    until(lambda: table.said() == ["start one"])
    if killed:
        theirs.kill()
    # Who has it is told a moment after the state.
    code = """
import time
from xpm_nb import start
xp = start("gate", workspace=ws)
job = five.Gate.C(name="one").submit().job
while not job.view().message and job.state.value not in ("done", "error"): time.sleep(0.01)
first = [job.state.value, job.view().elsewhere, "experimaestro" in job.view().message]
Path(five.os.environ["GATE"]).touch()
print(json.dumps([*first, job.wait(60).value]))
"""
    # The gate is opened by the one who must not have started it.
    assert table.run(OURS, code) == ["running", True, True, "done"]
    assert table.said() == ["start one", "end one"]
    if not killed:
        theirs.communicate(timeout=60)
        assert theirs.returncode == 0


@pytest.mark.parametrize(("first", "second"), [(THEIRS, OURS), (OURS, THEIRS)])
def test_what_one_saves_the_other_loads(table, first, second):
    data = table.path / "data.txt"
    data.write_text("words")
    table.run(first, f"five.save_both(Path({str(table.path / 'saved')!r}), Path({str(data)!r}))")
    data.unlink()
    shutil.move(table.path / "saved", table.path / "given")
    code = f"print(json.dumps(five.load_both(Path({str(table.path / 'given')!r}))))"
    for tool in (first, second):
        assert table.run(tool, code) == "é [1.5, inf] words"


def test_parameters_of_version_2(table):
    """As experimaestro 1.8.9 wrote them: whole paths, tags at the top, other identifiers."""
    sample = json.loads(Path(__file__).with_name("params_version_2.json").read_text())
    job = table.workspace / "jobs" / "five_tasks.use" / sample["objects"][-1]["identifier"]
    job.mkdir(parents=True)
    (job / "params.json").write_text(json.dumps(sample))
    code = f"""
from xpm_nb import from_task_dir
use = from_task_dir({str(job)!r})
(loader,) = use.__xpm__.init_tasks
assert loader.model is use.model
print(json.dumps([
    use.__identifier__().hex(), use.model.hidden, use.named["a"].hidden, use.tags(),
    str(loader.bundle.path),
]))
"""
    *told, path = table.run(OURS, code)
    assert told == [job.name, 5, 4, {"x": 0.5}]
    assert path.startswith(f"{table.workspace}/jobs/five_tasks.prepare/")
    assert path.endswith("/prepared.txt")
