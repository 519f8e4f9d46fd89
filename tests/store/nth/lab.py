"""Tries a scenario with the n-th call failing, for each n, until it needs no more calls.

    python lab.py SCENARIO [STEP [FIRST]]

This process has imported all, and has no thread: each try is a fork of it, and so is the one that
opens the workspace afterwards, as a new kernel would. STEP 1 tries each n. What is broken is
printed, and how many calls and tries there were, as a line of JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import faults
from steps import Step

from xpm_nb.core.plan import Plan
from xpm_nb.core.states import JobState
from xpm_nb.engine import callbacks, provenance
from xpm_nb.engine.opening import start
from xpm_nb.errors import RecordError, XpmError
from xpm_nb.store import locks, records, results, trial
from xpm_nb.store.layout import Workspace, writer_of

PATIENCE_S = 60.0
Plan.checked = True
provenance.environment = lambda notebook: {"format": 1}


def opened(root):
    return start("nth", workspace=root, slots=2)


def run(xp, x):
    """Submit, and wait for an end, whatever it is."""
    task = Step.C(x=x)
    xp.submit(task)
    return task.job.wait(PATIENCE_S), task


# -- scenarios: what is there before, and what is tried -----------------------------------------


def nothing(root):
    """An empty place."""


def two_done(root):
    xp = opened(root)
    for x in (1, 2):
        assert run(xp, x)[0] is JobState.DONE


def submit(root):
    state, _ = run(opened(root), 1)
    say(f"state {state.value}")


def rerun(root):
    xp = opened(root)
    _, task = run(xp, 1)
    task.job.rerun()
    say(f"state {task.job.wait(PATIENCE_S).value}")


def collect(root):
    xp = opened(root)
    found = xp.gc(unreferenced=True, orphans=True, older_than=0)
    say(f"deleted {len(found.delete())}")


def leave_one(root):
    """Two jobs are done, and the list of one run only names the second."""
    two_done(root)
    workspace = Workspace(root)
    for run_ in workspace.experiment("nth").runs():
        shutil.rmtree(run_.path)
    run(opened(root), 2)


def keep(root):
    xp = opened(root)
    _, task = run(xp, 1)
    task.job.keep("fine")


def disown(root):
    xp = opened(root)
    _, task = run(xp, 1)
    task.job.disown("wrong")


SCENARIOS = {  # name: before, act, whether it is in the job that calls fail
    "submit": (nothing, submit, False),
    "finish": (nothing, submit, True),
    "rerun": (two_done, rerun, False),
    "finish_again": (two_done, rerun, True),
    "collect": (leave_one, collect, False),
    "keep": (two_done, keep, False),
    "disown": (two_done, disown, False),
}


# -- one try ------------------------------------------------------------------------------------

_said: list[str] = []


def say(text):
    _said.append(text)


def forked(act, *args):
    """Do something in a process of its own; give what it said, and how it ended."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        code = 1
        try:
            os.setsid()
            faulthandler.dump_traceback_later(PATIENCE_S + 20, exit=True)
            act(*args)
            code = 0
        except (XpmError, OSError, TimeoutError) as error:
            say(f"told {type(error).__name__}: {error}")
            code = 0 if not isinstance(error, TimeoutError) else 3
        except BaseException:
            say(f"strange {traceback.format_exc()}")
        # As at the end of an interpreter: what the other thread writes is written first.
        callbacks.current().flush(PATIENCE_S, chores=True)
        os.write(write, "\n".join(_said).encode()[-60000:])
        os._exit(code)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return text, os.waitstatus_to_exitcode(status)


def breaking(root, act, kind, n, note, in_job):
    if in_job:
        os.environ["XPM_TEST_FAULT"] = f"{kind}:{n}:{note}"
    else:
        faults.install(kind, n, note)
    act(root)


def whole(root, kind, note):
    """Nothing on the disk is half written, before anybody mends it."""
    workspace = Workspace(root)
    for paths in workspace.jobs():
        for read in (
            records.read_job,
            records.read_params,
            records.read_failed,
            records.read_process,
            records.read_pid,
            records.read_code,
            records.read_times,
        ):
            try:
                read(paths)
            except RecordError as error:
                say(f"half: {error}")
        if records.is_done(paths) and results.load_result(paths) not in (2, 4):
            say(f"a marker without its result: {paths.key}")
    if kind != "exit" and "unlink" not in note:
        for path in Path(root).rglob(".writing-*"):
            if writer_of(path.name) is not None:
                say(f"left over: {path.relative_to(root)}")


def finished(root):
    """The values of results that are somewhere with their markers: in place, or put away."""
    found = set()
    for marker in Path(root).rglob("*.done"):
        for path in (marker.parent / "result.json", marker.parent / ".experimaestro/result.json"):
            if path.exists():
                found.add(json.loads(path.read_text())["value"])
    return found


def reopened(root):
    """A new kernel opens it: what was finished is there, the rest is run, nothing is locked."""
    xp = opened(root)
    str(xp.jobs), xp.table(), xp.gc(orphans=True, older_than=0).delete()
    for x in (1, 2):
        state, task = run(xp, x)
        if state is not JobState.DONE:
            say(f"job {x} is {state.value} after all: {task.job.message}")
        elif task.result() != 2 * x:
            say(f"job {x} gave {task.result()}")
    for paths in Workspace(root).jobs():
        deadline = time.monotonic() + 20
        while locks.held(paths):
            if time.monotonic() > deadline:
                say(f"{paths.key} is locked")
                break
            time.sleep(0.01)
    shares = Workspace(root).shares_lock
    if shares.exists():
        with locks.try_exclusive(shares) as ours:
            if not ours:
                say("the shares are locked")


def tried(home, template, name, kind, n):
    """Give what is broken after one try, and the call that failed ("" if there are fewer)."""
    _, act, in_job = SCENARIOS[name]
    place = Path(tempfile.mkdtemp(prefix="try-", dir=home))
    root, note, log = place / "ws", place / "note", place / "log"
    if template is not None:
        shutil.copytree(template, root, symlinks=True)
    kept = finished(root)
    os.environ["XPM_TEST_LOG"] = str(log)
    said, code = forked(breaking, root, act, kind, n, str(note), in_job)
    fired = note.read_text().strip() if note.exists() else ""
    bad = []
    if "strange" in said or code not in ((0, 86) if kind == "exit" else (0,)):
        bad.append(f"it ended with {code}: {said}")
    wait_for_jobs(root)
    now = finished(root)
    if name != "collect" and kind != "exit" and kept - now:
        bad.append(f"finished results are lost: {kept - now}")
    if "state done" in said and 2 not in now:
        bad.append("it was said to be done, and is not")
    told, code = forked(whole, root, kind, fired)
    bad += [told] if told or code else []
    runs = log.read_text().split() if log.exists() else []
    told, code = forked(reopened, root)
    bad += [f"reopened ({code}): {told}"] if told or code else []
    if name != "collect" and kept - finished(root):  # what was being moved away is together again
        bad.append(f"finished results are lost: {kept - finished(root)}")
    after = log.read_text().split() if log.exists() else []
    for x in {v // 2 for v in now}:
        done_in_place = name not in ("rerun", "finish_again", "disown", "collect")
        if done_in_place and str(x) in after[len(runs) :]:
            bad.append(f"job {x} was finished, and ran again")
    if not bad:
        shutil.rmtree(place)
    return [f"{kind} {n} ({fired}) in {place}: {text}" for text in bad], fired


def wait_for_jobs(root):
    """Jobs go on when who started them is gone."""
    for paths in Workspace(root).jobs():
        deadline = time.monotonic() + PATIENCE_S
        while paths.lock.exists() and locks.held(paths) and time.monotonic() < deadline:
            time.sleep(0.005)


def main(name, step=1, first=1):
    home = Path(tempfile.mkdtemp(prefix="nth-"))
    os.environ["XPM_TEST_LOG"] = str(home / "log")
    before, _, _ = SCENARIOS[name]
    assert not trial.trouble(Workspace(home).create())
    template = None
    if before is not nothing:
        template = home / "template"
        said, code = forked(before, template)
        assert code == 0, said
        wait_for_jobs(template)
    bad, calls, count = [], 0, 0
    for kind in faults.KINDS:
        n = first
        while True:
            found, fired = tried(home, template, name, kind, n)
            count += 1
            bad += found
            if not fired:
                break
            calls, n = max(calls, n), n + step
    if not bad:
        shutil.rmtree(home)
    print(json.dumps({"scenario": name, "calls": calls, "tries": count, "bad": bad}))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(sys.argv[1], *map(int, sys.argv[2:]))
