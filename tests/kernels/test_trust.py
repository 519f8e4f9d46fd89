"""Results that are taken back, and what nobody needs, in real kernels."""

from __future__ import annotations

import json
import os
import sys

import pytest

pytestmark = pytest.mark.slow

CELL = """
class Made(Config):
    path: Meta[Path]

class Make(Task):
    n: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("made.txt"))

    def task_outputs(self, dep):
        return dep(Made.C(path=self.out))

    def execute(self):
        self.out.write_text(str(self.n))

class Use(Task):
    made: Param[Made]
    n: Param[int] = 0
    gate: Meta[str] = ""

    def execute(self):
        if self.gate == "fail":
            raise ValueError("as asked")
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        return int(self.made.path.read_text())
"""
SUBMIT = "make = Make.C(n=1); made = make.submit(); use = Use.C(made=made).submit()"


def test_a_disowned_result_is_not_reused_and_its_history_is_kept(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('trust')")
    kernel.run(CELL)
    kernel.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    assert kernel.fails("make.job.disown('')").error.startswith("ConfigError")
    kernel.run("make.job.disown('bad data')")
    state = "[make.state.value, make.job.view().reason.value, use.state.value]"
    assert kernel.value(state) == ["error", "disowned", "done"]
    assert "bad data" in kernel.value("make.job.view().message")
    assert kernel.value("use.job.view().message").startswith("bad input: Make ")
    assert kernel.value("[n.reason for n in make.job.disowned]") == ["bad data"]
    assert kernel.fails("make.job.disown('twice')").error.startswith("ConfigError")
    page = kernel.run("xp.jobs").displays[0]
    for text in (page["text/plain"], page["text/html"]):
        assert "disowned" in text
        assert "bad input" in text
    assert "bad input: Make" in kernel.value("xp._repr_mimebundle_()['text/plain']")
    assert "was disowned (bad data)" in kernel.value("str(use.why())")
    assert kernel.value("use.job.view().stale") == "input", "though there is no other result yet"
    kernel.kill()

    other = lab.kernel()
    other.run("xp = start('trust')")
    other.run(CELL)
    reasons = "sorted(j.view().reason.value if j.view().reason else '' for j in xp.jobs)"
    assert other.value(reasons) == ["", "disowned"], "it is not run by itself"
    other.run("more = Use.C(made=Make.C(n=2).submit()).submit()")
    other.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    assert other.value("[make.state.value, make.job.view().attempt]") == ["done", 2]
    assert other.value("(make.job.attempts[0] / 'made.txt').read_text()") == "1"
    assert other.value("len(make.job.attempts)") == 1
    assert other.value("use.job.view().message").startswith("bad input"), "it was made before"
    assert other.value("use.job.view().stale") == "input"
    assert other.value("[job.view().task for job in xp.stale()]") == ["Use"]
    assert other.value("xp.plan(use).counts['stale']") == 1
    assert other.value("xp.plan(make, use, more).counts") == {
        **dict.fromkeys(["running", "waiting", "failed", "blocked", "new"], 0),
        "computed": 3,
        "stale": 1,
    }
    said = other.value("str(use.why())")
    assert "what it needs has changed" in said
    assert "was disowned (bad data)" in said
    assert other.value("'stale: input changed' in str(xp.table())") is True
    other.run("use.job.rerun(); use.wait(60)")
    assert other.value("[use.job.view().stale, len(xp.stale())]") == ["", 0]
    assert other.value("[use.result(), use.job.view().message]") == [1, ""]
    assert other.value("more.result()") == 2


@pytest.mark.parametrize("policy", ["rerun", "error", "ignore"])
def test_what_was_made_from_a_disowned_result_is_stale_for_every_policy(lab, policy):
    kernel = lab.kernel()
    kernel.run("xp = start('trust')")
    kernel.run(CELL)
    kernel.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    kernel.run("make.job.disown('bad data')")
    kernel.kill()
    other = lab.kernel()
    other.run(f"xp = start('trust', stale='{policy}')")
    other.run(CELL)
    if policy == "error":
        other.run("make = Make.C(n=1); made = make.submit()")
        assert "an input has changed" in other.fails("Use.C(made=made).submit()").error
        other.run("xp.wait(timeout_s=60)")
        assert "an input has changed" in other.fails("Use.C(made=made).submit()").error
        return
    other.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    again = 2 if policy == "rerun" else 1
    assert other.value("[make.job.view().attempt, use.job.view().attempt]") == [2, again]
    assert other.value("[use.job.view().stale, len(xp.stale())]") == ["", 0]
    other.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    assert other.value("[make.job.view().attempt, use.job.view().attempt]") == [2, again]


def test_what_waits_for_a_disowned_result_does_not_run(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('trust', slots=1); gate = os.path.abspath('gate')")
    kernel.run(CELL)
    kernel.run("made = Make.C(n=1).submit(); xp.wait(timeout_s=60)")
    kernel.run("first = Use.C(made=Make.C(n=2).submit(), gate=gate).submit()")
    kernel.run("while first.state.value != 'running': time.sleep(0.01)")
    kernel.run("second = Use.C(made=made).submit()")
    kernel.run("xp.jobs[0].disown('bad data')")
    assert kernel.value("[second.state.value, second.job.view().reason.value]") == [
        "error", "dependency",
    ]  # fmt: skip
    error = kernel.fails("first.job.dependencies[0].disown('it is read now')").error
    assert "may read its files" in error
    (lab.path / "gate").touch()
    kernel.run("xp.retry(); xp.wait(timeout_s=60)")
    assert kernel.value("[first.result(), second.result()]") == [2, 1]


def test_garbage_is_shown_first_and_what_runs_elsewhere_stays(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('tour'); gate = os.path.abspath('gate')")
    kernel.run(CELL)
    kernel.run("made = Make.C(n=1).submit(); xp.wait(timeout_s=60)")
    other = lab.kernel()
    other.run("xp = start('elsewhere', namespace='tour'); gate = os.path.abspath('gate')")
    other.run(CELL)
    other.run("use = Use.C(made=Make.C(n=1).submit(), gate=gate).submit()")
    other.run("wait = Use.C(made=Make.C(n=9).submit(), gate='').submit()")
    other.run("while use.state.value != 'running': time.sleep(0.01)")
    other.run("bad = Use.C(made=Make.C(n=3).submit(), gate='fail').submit()")
    other.run("bad.wait(60)")
    assert kernel.value("len(xp.gc())") == 1, "the one that failed"
    answer = kernel.run("%xpm gc --failed")
    assert "nothing is deleted yet" in answer.result
    assert "failed" in answer.result
    assert kernel.value("len(xp.gc(failed=True, older_than='30d'))") == 0
    before = len(list(lab.workspace.glob("jobs/*/*")))
    assert "deleted 1 thing" in kernel.run("%xpm gc --yes").result
    assert len(list(lab.workspace.glob("jobs/*/*"))) == before - 1
    (lab.path / "gate").touch()
    other.run("use.wait(60)")
    assert other.value("[use.result(), wait.result()]") == [1, 9]
    other.run("again = Use.C(made=Make.C(n=3).submit()).submit(); again.wait(60)")
    assert other.value("again.result()") == 3, "what was deleted is made anew"
    kernel.run("xp.close()")
    third = lab.kernel()
    third.run("xp = start('elsewhere'); xp.wait(timeout_s=60)")
    assert third.value("sorted({j.state.value for j in xp.jobs})") == ["done"]
    assert "write 30d" in third.fails("%xpm gc --older-than soon").stderr
    assert os.path.isdir(lab.workspace / "jobs")


COMPARED = """
from xpm_nb.engine import callbacks, loop
loop.current().sync(10); callbacks.current().flush(30, chores=True); loop.current().sync(10)
"""


def test_a_result_of_another_environment_says_so_in_every_text(lab):
    kernel = lab.kernel()
    kernel.run("xp = start('trust')")
    kernel.run(CELL)
    kernel.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    kernel.run(COMPARED)
    assert kernel.value("[job.view().drift for job in xp.jobs]") == ["", ""]
    kernel.run("xp.close()")  # what is noted of the run is written then
    kernel.kill()
    (noted,) = lab.path.rglob("environment.json")
    before = json.loads(noted.read_text())
    noted.write_text(json.dumps(before | {"python": "3.1.4"}))
    again = lab.kernel()
    again.run("xp = start('trust')")
    again.run(CELL)
    again.run(f"{SUBMIT}; xp.wait(timeout_s=60)")
    again.run(COMPARED)
    now = ".".join(map(str, sys.version_info[:3]))
    how = f"Python 3.1.4 then, {now} now"
    assert again.value("[job.view().drift for job in xp.jobs]") == [how, how]
    for shown in ("xp.jobs", "xp.table()", "use.job"):
        for text in again.run(shown).displays[0].values():
            assert "environment changed" in text or how in text, shown
    assert f"2 results: environment changed ({how})" in again.value(
        "xp._repr_mimebundle_()['text/plain']"
    )
    assert "environment changed" in again.value("repr(use.job)")
    assert f"which is no reason: {how}" in again.value("str(use.why())")
    assert len(lab.started()) == 2, "nothing has run again"
