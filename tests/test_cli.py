"""The command line: a listing read from the disk alone, and the demo as a stranger runs it."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from xpm_nb import cli
from xpm_nb.core.states import FailureReason, TransientMode
from xpm_nb.engine import handing
from xpm_nb.store import locks, records, told
from xpm_nb.store.layout import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "it's a <workspace>").create()


def hexa(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_job(workspace, text, *, tags=None, started=None):
    paths = workspace.job("circles.pi", hexa(text)).create()
    record = records.JobRecord("circles.pi", hexa(text), "pi", "Pi", tags=tags or {})
    records.write_job(paths, record)
    if started is not None:
        process = records.ProcessRecord(1, 1, "boot", "host", started=started)
        records.write_process(paths, process)
    return paths


def make_run(workspace, name, jobs):
    run = workspace.experiment("circles").create_run(name)
    for paths, tags in jobs:
        records.add_run_job(run, records.RunJob(paths.relative, "Pi", tags))


@pytest.fixture
def circles(workspace):
    done, failed = make_job(workspace, "done", started=100.0), make_job(workspace, "failed")
    records.write_times(done, 100.0, 161.0)
    records.write_done(done)
    records.write_failed(failed, FailureReason.FAILED, 1, "ValueError: no \x1b[31msuch\nluck")
    running, waiting = make_job(workspace, "running"), make_job(workspace, "waiting")
    other = make_job(workspace, "other", tags={"seed": 3})
    records.write_done(other)
    make_run(workspace, "20260101-000000", [(other, {})])
    rows = [(done, {"points": 100}), (failed, {}), (running, {}), (waiting, {}), (done, {})]
    make_run(workspace, "20260102-000000", rows)
    make_run(workspace, "20260103-000000", [])
    lock = locks.try_lock(running)
    yield workspace
    lock.release()


def test_ls_tells_what_the_directories_tell(circles, capsys):
    assert cli.main(["ls", str(circles.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"workspace {circles.root}"
    assert lines[2] == "circles: 3 runs, 4 jobs (1 done, 1 error, 1 running, 1 ready)"
    assert lines[3].split() == f"✓ done Pi [{hexa('done')[:8]}] 1 min 01 s".split()
    assert lines[4].split() == f"✗ error Pi [{hexa('failed')[:8]}]".split()
    assert lines[5].strip() == "failed: ValueError: no \\x1b[31msuch\\nluck"
    assert lines[6].split()[1] == "running"
    assert lines[7].split()[1] == "ready"
    assert lines[9] == "in no experiment's latest run: 1 job (1 done)"
    assert lines[10].split()[-1] == "seed=3"


def test_ls_tells_what_is_left_out_from_what_will_run(workspace, capsys):
    """A transient job runs only if one needs it that has not begun."""
    rows = []

    def add(text, *needs, transient=TransientMode.NONE):
        paths = make_job(workspace, text)
        keys = tuple(needed.key for needed in needs)
        record = records.read_job(paths)._replace(dependencies=keys, transient=transient.value)
        records.write_job(paths, record)
        rows.append(records.RunJob(paths.relative, text, transient=transient.value))
        return paths

    first = add("first", transient=TransientMode.REMOVE)
    removed = add("removed", first, transient=TransientMode.REMOVE)
    records.write_done(add("last", removed))
    load = add("load", transient=TransientMode.TRANSIENT)
    add("train", load)
    run = workspace.experiment("circles").create_run("1")
    for row in rows:
        records.add_run_job(run, row)
    assert cli.main(["ls", str(workspace.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[3:]] == [
        ["unscheduled", "first"],
        ["unscheduled", "removed"],
        ["done", "last"],
        ["ready", "load"],
        ["waiting", "train"],
    ]


def test_ls_of_the_default_workspace(circles, capsys, monkeypatch):
    monkeypatch.setenv("XPM_WORKSPACE", str(circles.root))
    assert cli.main(["ls"]) == 0
    assert "circles" in capsys.readouterr().out


def test_ls_of_nothing(tmp_path, capsys):
    assert cli.main(["ls", str(tmp_path)]) == 2
    assert "there is no workspace" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "stop"])
def test_an_experiment_that_is_not_there(circles, tmp_path, capsys, verb):
    assert cli.main([verb, "circles", str(tmp_path / "nowhere")]) == 2
    assert f"there is no workspace in {tmp_path / 'nowhere'}\n" in capsys.readouterr().err
    assert cli.main([verb, "other", str(circles.root)]) == 2
    assert "has no experiment 'other': it has circles\n" in capsys.readouterr().err


def test_help_is_written_as_it_is_typed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["stop", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "xp.detach(), %xpm detach or xpm-nb run started" in said


def test_ls_of_a_damaged_job(circles, capsys):
    paths = circles.job("circles.pi", hexa("failed"))
    paths.failed.write_text("{oops")
    assert cli.main(["ls", str(circles.root)]) == 0
    assert "is damaged" in capsys.readouterr().out


def test_no_verb_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2


def test_missing_extras_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        cli, "find_spec", lambda name: None if name in ("sklearn", "nbclient") else True
    )
    assert cli.main(["demo", "--dir", str(tmp_path / "demo")]) == 2
    message = capsys.readouterr().err
    assert "nbclient, scikit-learn" in message
    assert "pip install 'xpm-nb[lab,examples]'" in message
    assert not (tmp_path / "demo").exists()


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--dir", str(tmp_path / "file" / "demo")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_lab_opens_a_copy(tmp_path, monkeypatch):
    calls = []

    def run(command, check):
        calls.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(cli.subprocess, "run", run)
    assert cli.main(["demo", "--lab", "--dir", str(tmp_path)]) == 7
    path = tmp_path / cli.NOTEBOOK
    assert calls == [[sys.executable, "-m", "jupyterlab", str(path)]]
    assert path.read_bytes() == cli.shipped_notebook()
    path.write_text("mine")
    cli.main(["demo", "--lab", "--dir", str(tmp_path)])
    assert path.read_text() == "mine"


def test_reuse_is_counted_by_start_times(workspace):
    began = time.time()
    old, new = (make_job(workspace, "a", started=1.0), make_job(workspace, "b", started=began + 1))
    for paths in (old, new):
        records.write_done(paths)
    make_run(workspace, "1", [(old, {})])
    assert cli._reuse_text(workspace, began) == "all 1 job reused, no process started\n"
    make_run(workspace, "2", [(old, {}), (new, {})])
    assert cli._reuse_text(workspace, began) == "2 jobs: 1 started, 1 reused\n"


def run_demo(folder, *arguments):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("XPM_")}
    return subprocess.run(
        [sys.executable, "-m", "xpm_nb.cli", "demo", *arguments],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(cli.Path(cli.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_the_demo_twice(tmp_path):
    first = run_demo(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    assert "jobs: " in first.stdout
    assert "14 jobs: 14 started, 0 reused" in first.stdout
    table = re.findall(r"^.* done +(?:\* )?0\.\d\d$", first.stdout, re.MULTILINE)
    assert len(table) == 12
    page = (tmp_path / "xpm-demo" / "01_first_experiment.html").read_text()
    assert "<table" in page
    notebook = nbformat.read(tmp_path / "xpm-demo" / cli.NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))

    texts = [o.data.get("text/plain") for c in code for o in c.outputs if "data" in o]
    assert "12 of 12 runs finished" in texts
    assert "widgets" not in notebook.metadata
    assert "vnd.jupyter.widget" not in page

    second = run_demo(tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "all 14 jobs reused, no process started" in second.stdout
    assert re.findall(r"^.* done +(?:\* )?0\.\d\d$", second.stdout, re.MULTILINE) == table


@pytest.mark.slow
def test_a_failing_cell_is_told(tmp_path):
    folder = tmp_path / "xpm-demo"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, folder / cli.NOTEBOOK)
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "a cell failed: ZeroDivisionError: division by zero" in done.stderr
    assert (folder / "01_first_experiment.html").exists()


@pytest.mark.slow
def test_an_interrupted_demo_says_so_and_leaves_no_kernel(tmp_path):
    folder = tmp_path / "xpm-demo"
    folder.mkdir()
    sleep = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(1000)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sleep)])
    nbformat.write(notebook, folder / cli.NOTEBOOK)
    command = [sys.executable, "-m", "xpm_nb.cli", "demo"]
    environ = os.environ | {"PYTHONPATH": str(cli.Path(cli.__file__).parent.parent)}
    demo = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    demo.send_signal(signal.SIGINT)
    _, said = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert said == "interrupted; jobs that were started go on\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


@pytest.fixture
def chains(tmp_path, monkeypatch):
    """An experiment whose kernel is gone; one of three jobs fails if told to."""
    code = """
import os, sys, time
from xpm_nb import Param, Task, start
class Step(Task):
    n: Param[int]
    def execute(self):
        assert self.n != 3, "three"
        while self.n > 3 and not os.path.exists(f"{os.environ['XPM_TEST_GATE']}-{self.n}"):
            time.sleep(0.01)
xp = start("steps", workspace=sys.argv[1], slots=1)
xp._loop.post(__import__("xpm_nb.engine.messages").engine.messages.SetSlots(0))
for n in map(int, sys.argv[2:]):
    Step.C(n=n).submit()
assert xp._loop.sync(60)
os._exit(0)
"""
    root = tmp_path / "ws"
    monkeypatch.setenv("XPM_TEST_GATE", str(tmp_path / "gate"))

    def make(*numbers):
        script = tmp_path / "steps.py"
        script.write_text(code)
        subprocess.run([sys.executable, str(script), str(root), *map(str, numbers)], check=True)
        return root

    return make


def command(*words):
    return [sys.executable, "-m", "xpm_nb.cli", *map(str, words)]


@pytest.mark.slow
def test_run_goes_on_without_a_kernel(chains):
    root = chains(1, 2)
    done = subprocess.run(command("run", "steps", root), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("steps: ")
    assert lines[-1] == "steps: 2 done"
    assert sum("✓ done" in line for line in lines) == 2
    again = subprocess.run(command("run", "steps", root), capture_output=True, text=True)
    assert again.stdout.splitlines() == ["steps: 2 done"] * 2


@pytest.mark.slow
def test_run_says_failures(chains):
    done = subprocess.run(
        command("run", "steps", chains(2, 3), "--slots", 1), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "steps: 1 done, 1 error"
    assert "three" in done.stdout


@pytest.fixture
def follow(chains, tmp_path):
    """Has three jobs, which end when told, run one after the other; gives who follows them."""
    root, begun = chains(4, 5, 6), []

    def begin(*words):
        process = subprocess.Popen(
            [*words, "run", "steps", str(root), "--slots", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        while "running" not in (line := process.stdout.readline()):
            assert line, process.communicate()
        return process

    yield begin
    open_gates(tmp_path)
    for process in begun:
        process.kill()
        process.communicate()
    while any(locks.held(paths) for paths in Workspace(root).jobs()):
        time.sleep(0.01)


def open_gates(tmp_path):
    for number in (4, 5, 6):
        (tmp_path / f"gate-{number}").touch()


def goes_on_with(root):
    done = subprocess.run(command("run", "steps", root), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "steps: 3 done", done
    return [len(list(paths.attempts.glob("*"))) for paths in Workspace(root).jobs()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_when_asked_and_jobs_go_on(follow, tmp_path, number):
    root, follower = tmp_path / "ws", follow(*command())
    follower.send_signal(number)
    _, said = follower.communicate(timeout=60)
    assert follower.returncode == 130
    assert said == (
        "no longer followed: 1 running, 2 ready. Jobs that run go on; "
        f"{cli._myself()} run steps {root} starts what waits\n"
    )
    running = [paths for paths in Workspace(root).jobs() if locks.held(paths)]
    assert len(running) == 1, "it goes on, and no other was started"
    assert told.finisher(Workspace(root).experiment("steps").detached) is None
    open_gates(tmp_path)
    assert goes_on_with(root) == [0, 0, 0], "none was run again"


STUCK = """
import sys, threading
from xpm_nb import cli
from xpm_nb.engine import loop
def stop(self):
    print("stuck", flush=True)
    threading.Event().wait()
loop.Loop.stop = stop
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_who_interrupts_run_twice_ends_it_at_once(follow, tmp_path):
    """The first Ctrl-C has the scheduler end what it is at; the second waits for nothing."""
    follower = follow(sys.executable, "-c", STUCK)
    follower.send_signal(signal.SIGINT)
    while "stuck" not in (line := follower.stdout.readline()):
        assert line, follower.communicate()
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=60)
    assert (follower.returncode, said) == (-signal.SIGINT, "")
    open_gates(tmp_path)
    assert goes_on_with(tmp_path / "ws") == [0, 0, 0]


@pytest.mark.slow
def test_stop_ends_who_goes_on_with_an_experiment(follow, tmp_path):
    root, follower = tmp_path / "ws", follow(*command())
    second = subprocess.Popen(
        command("run", "steps", root), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = second.stdout.readline()
    assert line == f"process {follower.pid} goes on with steps: it is only followed here\n"
    stopped = subprocess.run(command("stop", "steps", root), capture_output=True, text=True)
    assert stopped.returncode == 0, stopped
    assert stopped.stdout == (
        f"process {follower.pid} was ended; jobs that run go on, and "
        f"{cli._myself()} run steps {root} starts what waits, if no kernel does\n"
    )
    assert follower.wait(timeout=60) == 130
    again = subprocess.run(command("stop", "steps", root), capture_output=True, text=True)
    assert again.stdout == "no process goes on with steps without a kernel\n"
    open_gates(tmp_path)
    out, _ = second.communicate(timeout=60)
    assert out.splitlines()[-1] == "steps: 3 done", "who followed it took over"
    assert goes_on_with(root) == [0, 0, 0]


@pytest.mark.slow
def test_stop_says_who_does_not_end(follow, tmp_path, monkeypatch, capsys):
    follower = follow(*command())
    follower.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(handing.Detached.stop, "__defaults__", (0.1,))
    assert cli.main(["stop", "steps", str(tmp_path / "ws")]) == 1
    said = capsys.readouterr().err
    assert f"process {follower.pid} was asked to end" in said
    assert f"kill -9 {follower.pid}" in said
    follower.send_signal(signal.SIGCONT)
    assert follower.wait(timeout=60) == 130


def test_run_and_stop_of_what_is_not_there(circles, capsys):
    assert cli.main(["run", "circle", str(circles.root)]) == 2
    assert "did you mean circles?" in capsys.readouterr().err
    assert cli.main(["stop", "circles", str(circles.root)]) == 0
    assert "no process goes on with circles" in capsys.readouterr().out
    assert cli.main(["run", "circles", str(circles.root), "--slots", "0"]) == 2
