"""A workspace that an earlier day wrote is opened, shown, found again and used, as it is."""

from __future__ import annotations

import shutil

import pytest

from tests.golden import make_workspace as made

pytestmark = pytest.mark.slow

# What `make_workspace.digest` gave when it was written. A format that is changed gets a workspace
# of its own; these lines, and the files that they stand for, never change.
WRITTEN = {"workspace-1": "96cd8c5fdc32269c92719e76179c3684e4e1eac3b164737473e4460f179c8465"}


@pytest.fixture(params=sorted(WRITTEN))
def written(request, lab):
    shutil.copytree(made.GOLDEN / request.param, lab.workspace, symlinks=True)
    return request.param


def test_nobody_has_edited_it(written, lab):
    assert made.digest(made.GOLDEN / written) == WRITTEN[written]
    assert made.digest(lab.workspace) == WRITTEN[written]


NAMED = "{' '.join(map(str, [j.name, *dict(j.view().tags).values()])): j for j in xp.jobs}"
FOUND = {
    "break": "error",
    "learn 0.25": "done",
    "learn 0.5": "done",
    "learn 0.75": "error",
    "report 0.25": "done",
    "shared 16": "done",
}


def test_it_is_opened_and_shown_without_its_classes(written, lab):
    kernel = lab.kernel()
    kernel.run("xp = start('golden')")
    kernel.run(f"jobs = {NAMED}; learn = jobs['learn 0.25']")
    assert kernel.value("{name: job.state.value for name, job in jobs.items()}") == FOUND
    for shown in ("xp", "xp.jobs", "xp.table()", "xp.stale()"):
        answer = kernel.run(shown)
        assert answer.displays
    html = kernel.run("xp.jobs").displays[-1]["text/html"]
    for word in ("0.25", "disowned", "list index out of range"):
        assert word in html
    looked = kernel.run("learn.inspect()").result
    for word in ("lr=0.25", "loss 0.0833333", "weights.txt"):
        assert word in looked
    assert kernel.value("learn.metrics()") == {"loss": 0.25 / 3}
    assert kernel.value("jobs['break'].frames[-1].function") == "Break.execute"
    assert kernel.value("jobs['learn 0.75'].disowned[0].reason") == "wrong data"
    assert "wrong data" in kernel.run("print(jobs['learn 0.75'].story())").stdout
    assert "no cell defines it" in kernel.fails("xp.load('golden', 'model')").error
    assert not lab.started()


def test_what_is_done_is_used_and_no_process_started(written, lab):
    kernel = lab.kernel()
    kernel.run("xp = start('golden')")
    kernel.run(made.CLASSES)
    kernel.run(made.SUBMITS.replace("(0.25, 0.5, 0.75)", "(0.25, 0.5)"))
    kernel.run("states = [t.job.wait(60).value for t in (*learns, report, shared)]")
    assert kernel.value("states") == ["done"] * 4
    assert kernel.value("learns[1].result()") == {"accuracy": 0.5}
    assert kernel.value("report.result()") == "0.25"
    assert kernel.value("shared.result()") == [16, 2]
    assert kernel.value("xp.load('golden', 'model').hidden") == 32
    assert not lab.started()


def test_what_failed_is_run_again(written, lab):
    kernel = lab.kernel()
    kernel.run("xp = start('golden')")
    kernel.run(made.CLASSES)
    kernel.run("learn = Learn.C(lr=0.75); learn.submit(); learn.job.wait(60)")
    assert kernel.value("learn.result()") == {"accuracy": 0.25}
    assert list(lab.started().values()) == [1]
    assert kernel.value("learn.job.disowned[0].reason") == "wrong data"
