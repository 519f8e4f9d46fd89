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
    assert a.value("count.result()") == b.value("count.result()")
