"""Two kernels: one asks for results all the time, and the other runs jobs again and disowns them."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELL = """
class Count(Task):
    n: Param[int]

    def execute(self):
        with open({log!r}, "a") as file:
            file.write("x")
        return {{"runs": os.path.getsize({log!r})}}

xp = start("a", namespace="n", slots=2)
count = Count.C(n=1).submit()
xp.wait(60)
"""

ASK = """
seen = []
Path({begun!r}).touch()
while not os.path.exists({over!r}):
    try:
        found = count.job.result()
    except JobError as error:
        found = str(error).partition("\\n")[0]
        Path({told!r}).touch()
    if found not in seen:
        seen.append(found)
    time.sleep(0.001)
"""


def test_a_result_is_one_that_was_there_or_an_error_that_says_what_happened(lab):
    log, begun, told, over = (str(lab.path / name) for name in ("log", "begun", "told", "over"))
    a, b = lab.kernel(), lab.kernel()
    for kernel in (a, b):
        kernel.run(CELL.format(log=log))
    asking = a.send(ASK.format(begun=begun, told=told, over=over))
    b.run(f"while not os.path.exists({begun!r}): time.sleep(0.01)")
    for _ in range(3):
        b.run("count.job.rerun(); xp.wait(60)")
    b.run("count.job.disown('bad data')")
    b.run(f"while not os.path.exists({told!r}): time.sleep(0.01)")
    b.run("count.job.retry(); xp.wait(60)")
    b.run(f"Path({over!r}).touch()")
    assert a.answer(asking).status == "ok"
    seen = a.value("seen")
    errors = [one for one in seen if isinstance(one, str)]
    assert all(" ended in error (disowned): disowned by " in one for one in errors), errors
    assert errors
    runs = [one["runs"] for one in seen if one not in errors]  # None is no result of this task
    assert runs == sorted(runs)
    assert set(runs) <= {1, 2, 3, 4, 5}
    a.run("while count.state.value != 'done': time.sleep(0.01)")  # it hears of it
    assert a.value("count.result()") == b.value("count.result()")


HELD = """
class Step(Task):
    n: Param[int]
    gate: Meta[str] = ""

    def execute(self):
        with open({log!r}, "a") as file:
            file.write(f"{{self.n}}\\n")
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        return os.getcwd()

gate = {gate!r}
begin = lambda: start("a", namespace="n", slots=1)
"""
MOVED = "it was moved or deleted while it was open, and another one is in its place; put it back"


@pytest.mark.parametrize("by", ["the kernel", "a process without a kernel"])
def test_nobody_goes_on_in_another_workspace_at_the_same_place(lab, by):
    log, gate = lab.path / "steps", lab.path / "gate"
    here, away = lab.workspace, lab.workspace.with_name("moved away")
    a, b = lab.kernel(), lab.kernel()
    for kernel in (a, b):
        kernel.run(HELD.format(log=str(log), gate=str(gate)))
    a.run(
        "xp = begin(); first = Step.C(n=0).submit(); first.wait(60)\n"
        "held, late = Step.C(n=1, gate=gate).submit(), Step.C(n=2).submit()"
    )
    lab.wait_for(lambda: log.exists() and log.read_text() == "0\n1\n")
    if by != "the kernel":
        a.run("finisher = xp.detach()")
        lab.wait_for(lambda: "running" in a.value("finisher.log.read_text()"))
    here.rename(away)
    b.run("xp = begin(); mine = Step.C(n=0).submit(); mine.wait(60)")
    gate.touch()
    if by == "the kernel":
        a.run("xp.wait(60)")
        for task in ("held", "late", "first"):
            assert (
                " is not there any more: it was moved or deleted"
                in a.fails(f"{task}.result()").error
            )
        assert MOVED in a.fails("Step.C(n=0).submit().result()").error
    else:
        a.run("while finisher.running: time.sleep(0.02)")
        said = (away / "experiments" / "a" / "detached" / "log.txt").read_text()
        assert MOVED in said
    assert log.read_text() == "0\n1\n0\n"
    names = {path.name for path in here.glob("jobs/*/*")}
    assert len(names) == 1, "nothing of the other workspace's is made there"
    assert b.value("mine.result()") == str(next(here.glob("jobs/*/*")))
