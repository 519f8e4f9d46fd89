"""The referee of chaos runs, with histories written by hand: it must see what is bad."""

from __future__ import annotations

from tests.chaos.referee import judge


def start(run, process=None, *, living=(), marked=False, unmet=()):
    more = {} if process else {"marked": marked, "unmet": list(unmet)}
    return {
        "what": "start",
        "run": run,
        "process": process or run,
        "living": list(living),
        **more,
    }


def beat(run, process=None):
    return {"what": "beat", "run": run, "process": process or run}


def end(run, value):
    return {"what": "end", "run": run, "process": run, "value": value}


def seen(value):
    return {"what": "seen", "value": value}


def kill(process):
    return {"what": "kill", "process": process}


def final(value=None, output=None):
    done = value is not None
    return {"what": "final", "done": done, "value": value, "output": output or value}


def judged(*rows):
    return judge({"ab" * 32: rows})


GOOD = [start("a"), beat("a"), end("a", "v"), seen("v"), final("v")]


def test_a_good_run():
    verdict = judged(*GOOD)
    assert verdict.complaints == []
    assert (verdict.jobs, verdict.runs, verdict.killed, verdict.done) == (1, 1, 0, 1)


def test_what_was_killed_may_start_again():
    rows = [start("a"), beat("a"), kill("a"), *[r | {} for r in GOOD]]
    again = [start("b"), start("b", "c"), beat("b", "c"), end("b", "v"), seen("v"), final("v")]
    verdict = judged(*rows[:3], *again)
    assert verdict.complaints == []
    assert (verdict.runs, verdict.killed) == (2, 1)
    # Also at its very end, when its marker was not there yet.
    assert judged(start("a"), end("a", "u"), kill("a"), *again).complaints == []
    assert judged(start("a"), kill("a"), end("a", "u"), *again).complaints == []


def test_a_process_that_the_run_forked_may_work_after_its_end():
    rows = [start("a"), start("a", "c"), end("a", "v"), seen("v"), beat("a", "c"), final("v")]
    assert judged(*rows).complaints == []


def test_one_works_after_another_has_begun():
    rows = [start("a"), start("b"), beat("a"), beat("b"), kill("a"), end("b", "v"), final("v")]
    verdict = judged(*rows)
    assert len(verdict.overlaps) == 1
    assert "a was at work after b had begun" in verdict.overlaps[0]


def test_a_forked_process_of_a_dead_run_works_after_another_has_begun():
    rows = [start("a"), start("a", "c"), kill("a"), start("b"), beat("a", "c"), end("b", "v")]
    verdict = judged(*rows, final("v"))
    assert len(verdict.overlaps) == 1


def test_one_lives_when_another_begins():
    rows = [start("a"), kill("a"), start("b", living=["a"]), end("b", "v"), seen("v"), final("v")]
    verdict = judged(*rows)
    assert len(verdict.complaints) == len(verdict.overlaps) == 1


def test_a_run_after_success():
    rest = [end("b", "v"), final("v")]
    for rows in (
        [start("a"), end("a", "v"), seen("v"), start("b"), *rest],
        [start("a"), end("a", "v"), kill("a"), start("b", marked=True), *rest],
        [start("a"), end("a", "v"), start("b"), *rest],  # nobody killed it before its marker
    ):
        verdict = judged(*rows)
        assert len(verdict.complaints) == len(verdict.again) == 1


def test_a_result_that_is_lost():
    verdict = judged(*GOOD[:-1], final())
    assert len(verdict.lost) == len(verdict.unended) == 1


def test_a_result_that_is_replaced():
    rows = [start("a"), end("a", "u"), kill("a"), seen("u"), start("b"), end("b", "v"), final("v")]
    verdict = judged(*rows)
    assert [text for text in verdict.lost if "replaced: u, v" in text]
    assert verdict.again


def test_a_result_that_nobody_made():
    assert "made by nobody" in judged(*GOOD[:2], seen("x"), final("x")).lost[0]


def test_a_file_of_another_run_than_the_result():
    assert "its file holds u" in judged(*GOOD[:-1], final("v", "u")).lost[0]


def test_a_run_before_what_it_needs():
    verdict = judged(start("a", unmet=["cd"]), *GOOD[1:])
    assert len(verdict.complaints) == len(verdict.early) == 1


def test_a_job_that_never_ends():
    assert judged(start("a"), beat("a"), kill("a"), final()).unended
    verdict = judged()
    assert verdict.unended
    assert verdict.lost  # nobody looked
