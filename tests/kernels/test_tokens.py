"""Tokens counted across kernels: never too many holders, whatever dies, and everybody's turn comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.kernels.conftest import rehearse

pytestmark = pytest.mark.slow

# The referee: each job says when it begins and ends, and if it finds others there. That a process
# was started says the `sitecustomize` of these tests, long before our code.
TURN = """
def say(text):
    fd = os.open(os.environ["XPM_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, f"{text}\\n".encode())
    os.close(fd)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def others():
    # What processes hold that were started for a job and have not ended.
    rows = [line.split() for line in open(os.environ["XPM_TEST_LOG"])]
    ended = {pid for word, _, pid, *_ in rows if word == "end"}
    units = {pid: int(units) for word, _, pid, units in rows if word == "begin"}
    started = {line.split()[1] for line in open(os.environ["XPM_TEST_REFEREE"])}
    return sum(units.get(pid, 1) for pid in started - ended - {str(os.getpid())} if lives(pid))


class Turn(Task):
    n: Param[int]
    units: Meta[int] = 1
    total: Meta[int] = 1
    pause: Meta[float] = 0.03
    gate: Meta[str] = ""  # it keeps its units until this file exists

    def execute(self):
        say(f"begin {self.n} {os.getpid()} {self.units}")
        if others() + self.units > self.total:
            say(f"overlap {self.n} {os.getpid()} {self.units}")
        time.sleep(self.pause)
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        say(f"end {self.n} {os.getpid()} {self.units}")
"""
OPEN = """
xp = start({name!r}, workspace={workspace!r}, slots=3, namespace="turns")
token = xp.token("turn", {total})
"""
SUBMIT = "tasks = [token(1, Turn.C(n=n)).submit() for n in range({first}, {last})]"


def begin(lab, name, total=1):
    kernel = lab.kernel()
    kernel.run(OPEN.format(name=name, workspace=str(lab.workspace), total=total))
    kernel.run(TURN)
    return kernel


def rows(lab, word):
    return [line.split() for line in lab.said() if line.startswith(f"{word} ")]


def overlaps_in_the_log(lab):
    """Judged once more from outside: who began before the one before ended, or was killed."""
    live, found = None, []
    for word, n, pid, *_ in (line.split() for line in lab.said()):
        if word == "begin":
            if live is not None and live not in lab.killed:
                found.append((live, n))
            live = pid
        elif word == "end" and pid == live:
            live = None
    return found


def test_two_kernels_share_one_token_and_one_of_them_and_some_jobs_are_killed(lab):
    lab.killed = set()
    first, second = begin(lab, "first"), begin(lab, "second")
    first.run(SUBMIT.format(first=0, last=25))
    second.run(SUBMIT.format(first=25, last=50))
    dead = 0
    while dead < 3:  # jobs die in the middle of their turn, or shortly before or after
        seen = len(rows(lab, "begin"))
        lab.wait_for(lambda: len(rows(lab, "begin")) > seen)  # noqa: B023
        _, _, pid, _ = rows(lab, "begin")[-1]
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
            lab.killed.add(pid)
            dead += 1
    lab.wait_for(lambda: len(rows(lab, "end")) >= 12)
    second.kill()
    rows_say = "print([j.view().message for j in xp.jobs])"
    lab.wait_for(lambda: "waits for token 'turn': " in first.run(rows_say).stdout)
    first.run("xp.wait(timeout_s=120)", timeout_s=150)
    first.run(f"other = start('second', workspace={str(lab.workspace)!r}, namespace='turns')")
    first.run("other.wait(timeout_s=120)", timeout_s=150)
    states = first.value("[j.state.value for j in (*xp.jobs, *other.jobs)]")
    assert Counter(states).keys() <= {"done", "error"}, states
    assert len(states) == 50
    assert states.count("error") <= 3
    first.run("xp.retry(); other.retry(); xp.wait(timeout_s=60); other.wait(timeout_s=60)")
    assert first.value("[j.state.value for j in (*xp.jobs, *other.jobs)]") == ["done"] * 50
    assert not rows(lab, "overlap")
    assert not overlaps_in_the_log(lab)
    assert len({n for _, n, *_ in rows(lab, "end")}) == 50


def test_of_two_units_some_jobs_need_one_and_some_both(lab):
    first, second = begin(lab, "first", 2), begin(lab, "second", 2)
    code = (
        "tasks = [token(n % 3 // 2 + 1, Turn.C(n=n, units=n % 3 // 2 + 1, total=2)).submit()"
        " for n in range({}, {})]"
    )
    first.run(code.format(0, 12))
    second.run(code.format(12, 24))
    for kernel in (first, second):
        kernel.run("xp.wait(timeout_s=120)", timeout_s=150)
        assert kernel.value("[j.state.value for j in xp.jobs]") == ["done"] * 12
    assert not rows(lab, "overlap")
    assert Counter(units for *_, units in rows(lab, "end")) == {"1": 16, "2": 8}


def test_a_token_is_honoured_by_a_kernel_that_only_finds_the_jobs(lab):
    kernel = begin(lab, "first")
    kernel.run("tasks = [token(1, Turn.C(n=n, pause=0.2)).submit() for n in range(4)]")
    lab.wait_for(lambda: rows(lab, "begin"))
    kernel.kill()
    other = lab.kernel()
    other.run(f"xp = start('first', workspace={str(lab.workspace)!r}, slots=4)")
    other.run("xp.wait(timeout_s=60)")
    assert other.value("[j.state.value for j in xp.jobs]") == ["done"] * 4
    assert not rows(lab, "overlap")


PARTIAL = """
training = param_group("training")


class Learn(Task):
    lr: Param[float]
    steps: Param[int] = field(groups=[training])
    shared = partial(exclude_groups=[training])
    path: Meta[Path] = field(default_factory=PathGenerator("weights.txt", partial=shared))

    def execute(self):
        before = self.path.read_text() if self.path.exists() else ""
        time.sleep(0.1)  # two at once would lose what the other wrote
        self.path.write_text(before + f"{self.steps};")
        return str(self.__maintaskdir__)
"""


def test_tasks_of_two_kernels_that_share_a_directory_take_turns(lab):
    kernels = []
    for name in ("first", "second"):
        kernel = lab.kernel()
        kernel.run(
            f"xp = start({name!r}, workspace={str(lab.workspace)!r}, namespace='n', slots=4)"
        )
        kernel.run(PARTIAL)
        kernels.append(kernel)
    first, second = kernels
    first.run("a = [Learn.C(lr=0.1, steps=n).submit() for n in range(4)]")
    second.run("a = [Learn.C(lr=0.1, steps=n).submit() for n in range(4, 8)]")
    for kernel in kernels:
        kernel.run("xp.wait(timeout_s=60)")
    text = first.value("a[0].path.read_text()")
    assert sorted(text.split(";")[:-1]) == sorted(map(str, range(8)))
    assert first.value("a[0].result() == str(a[0].path.parent)") is True
    assert first.value("Learn.C(lr=0.2, steps=1).submit().path.parent != a[0].path.parent") is True
    rehearse(Path(str(first.value("str(a[0].job.path)"))))
    assert first.value("a[0].path.read_text()") == text, "a rehearsal has a directory of its own"
    (mine,) = lab.workspace.glob("jobs/*/*/.experimaestro/by-hand/1/partials/*/*/*/weights.txt")
    assert mine.read_text() == "0;"


def test_by_hand_a_job_takes_its_share_or_says_who_has_it(lab):
    kernel = begin(lab, "first")
    kernel.run("a, b = (token(1, Turn.C(n=n, pause=600 - 600 * n)).submit() for n in range(2))")
    lab.wait_for(lambda: rows(lab, "begin"))
    script = next(Path(str(kernel.value("str(b.job.path)"))).glob("*.py"))

    def by_hand():
        command = [sys.executable, str(script)]
        return subprocess.run(command, env=lab.env, capture_output=True, text=True, check=False)

    done = by_hand()
    assert done.returncode == 75
    assert "needs token 'turn', which is not to be had now (turns.turn/" in done.stderr
    kernel.kill()
    _, _, pid, _ = rows(lab, "begin")[0]
    os.kill(int(pid), signal.SIGKILL)
    lab.wait_for(lambda: by_hand().returncode == 0)
    assert next(n for _, n, *_ in rows(lab, "end")) == "1"
    assert not rows(lab, "overlap")
