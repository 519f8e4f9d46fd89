"""What a job needs stays there while anybody needs it, whichever kernel that is in."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELL = """
class Make(Task):
    n: Param[int]
    out: Meta[Path] = field(default_factory=PathGenerator("made.txt"))
    gate: Meta[str] = ""

    def execute(self):
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        self.out.write_text(str(self.n))

class Use(Task):
    made: Param[Make]
    n: Param[int] = 0
    gate: Meta[str] = ""

    def execute(self):
        first = self.made.out.read_text()
        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        return [first, self.made.out.read_text()]
"""
REMOVE = "transient=TransientMode.REMOVE"


@pytest.fixture
def two(lab):
    """Two kernels with an experiment each, a and b, on one workspace."""
    kernels = [lab.kernel(), lab.kernel()]
    for kernel, name in zip(kernels, "ab", strict=True):
        kernel.run(CELL)
        kernel.run(f"xp = start({name!r}, namespace='n', slots=2)\nmake = Make.C(n=1)")
    return kernels


def until(kernel, condition):
    kernel.run(f"while not ({condition}): time.sleep(0.02)", timeout_s=60)


def test_a_result_that_somebody_wants_to_keep_is_not_removed_for_another(lab, two):
    a, b = two
    a.run("make.submit(); xp.wait(60)")
    b.run(f"make.submit({REMOVE}); use = Use.C(made=make).submit(); xp.wait(60)")
    assert b.value("[make.state.value, use.result()]") == ["done", ["1", "1"]]
    assert "its files stay: it was run without" in b.value("make.job.view().message")
    a.run("use = Use.C(made=make, n=1).submit(); xp.wait(60)")
    assert a.value("use.result()") == ["1", "1"]
    gate = lab.path / "gate"
    for kernel in two:
        kernel.run(f"two = Make.C(n=2, gate={str(gate)!r})")
    b.run(f"two.submit({REMOVE}); use = Use.C(made=two, n=2).submit()")
    until(b, "two.state.value == 'running'")
    a.run("two.submit()")
    until(a, "two.state.value == 'running'")
    gate.touch()
    b.run("xp.wait(60)")
    a.run("two.job.wait(60)")
    assert b.value("two.state.value") == "done"
    assert "the experiment 'a' asked for it" in b.value("two.job.view().message")
    assert a.value("two.out.read_text()") == "2"
    assert max(lab.started().values()) == 1, lab.started()


def test_files_are_removed_when_the_last_of_two_kernels_needs_them_no_more(lab, two):
    a, b = two
    gate = lab.path / "gate"
    for kernel, n in ((a, 1), (b, 2)):
        kernel.run(f"make.submit({REMOVE}); first = Use.C(made=make, n={n}, gate={str(gate)!r})")
    b.run("first.submit()")
    until(b, "first.state.value == 'running'")
    a.run("second = Use.C(made=make, n=3).submit(); xp.wait(60)")
    assert a.value("[second.state.value, make.state.value]") == ["done", "done"]
    assert "(of b) runs and may read them" in a.value("make.job.view().message")
    gate.touch()
    b.run("xp.wait(60)")
    assert b.value("first.result()") == ["1", "1"]
    until(b, "make.state.value == 'unscheduled'")
    assert b.value("make.out.exists()") is False
    until(a, "make.state.value == 'unscheduled'")  # it hears of it
    for kernel in two:
        assert "its files were removed" in kernel.value("make.job.view().message")
        story = kernel.value("str(make.job.story())").splitlines()
        assert "all that needed them in 'a', 'b' is done" in story[-1]
        assert story[-2].endswith(" done")
    a.run("third = Use.C(made=make, n=4).submit(); xp.wait(60)")  # it is made again
    assert a.value("third.result()") == ["1", "1"]


def test_what_runs_in_another_kernel_keeps_its_inputs(lab, two):
    a, b = two
    gate = lab.path / "gate"
    a.run("make.submit(); xp.wait(60)")
    b.run(f"make.submit(); use = Use.C(made=make, gate={str(gate)!r}).submit()")
    until(b, "use.state.value == 'running'")
    for act in ("disown('bad')", "rerun()"):
        said = a.fails(f"make.job.{act}").error
        assert said.startswith("ConfigError: Make ")
        assert "(of b) runs and may read its files: wait for that, or cancel it" in said
    gate.touch()
    assert b.value("use.result()") == ["1", "1"]
    a.run("make.job.rerun(); xp.wait(60)")
    assert a.value("[make.state.value, make.job.view().attempt]") == ["done", 2]


def test_what_waits_in_another_kernel_does_not_begin_with_a_disowned_result(lab, two):
    a, b = two
    gate = lab.path / "gate"
    a.run("make.submit(); xp.wait(60)")
    b.run("xp.slots = 1; other = Make.C(n=2); other.submit(); other.job.wait(60); make.submit()")
    b.run(f"busy = Use.C(made=other, gate={str(gate)!r}).submit()")
    b.run("waits = [Use.C(made=make, n=n).submit() for n in range(3)]")
    until(b, "busy.state.value == 'running'")
    a.run("make.job.disown('bad data')")
    until(b, "all(use.state.value == 'error' for use in waits)")
    message = b.value("waits[0].job.view().message")
    assert message.startswith("needs make ")
    assert message.endswith(": bad data")
    assert b.value("make.job.view().reason.value") == "disowned"
    story = a.value("str(make.job.story())")
    assert (story.count("disowned"), "attempt 2" in story) == (1, False), story
    gate.touch()
    b.run("busy.job.wait(60)")
    a.run("make.submit(); xp.wait(60)")
    b.run("xp.retry(); xp.wait(60)")
    assert b.value("[use.state.value for use in waits]") == ["done"] * 3
