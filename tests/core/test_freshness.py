"""What makes a result stale, and what does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.freshness import BADGES, Making, Stale, Verdict, judge

A = Making("a" * 64, {"Learn.x": "1"}, {"t/1": "m1"})
texts = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
digests = st.dictionaries(st.text(max_size=3), st.text(min_size=1, max_size=3), max_size=2)
makings = st.builds(Making, st.text("ab", min_size=1, max_size=2), texts, texts, digests)


def now(**changes):
    return A._replace(**changes, inputs={})


def test_each_reason():
    assert judge(A, now(), {}) == Verdict(None, A.mark)
    assert judge(A, None, {"t/1": "m1"}).stale is None
    assert judge(A, now(fingerprint="b" * 64), {}).stale is Stale.CODE
    assert judge(A, now(left_out={"Learn.x": "2"}), {}).stale is Stale.DEFAULT
    assert judge(A, now(left_out={}), {}).stale is Stale.DEFAULT
    assert judge(A, now(), {"t/1": "m2"}).stale is Stale.INPUT
    assert judge(A, None, {"t/1": "m2"}).stale is Stale.INPUT
    assert judge(A, now(fingerprint="b"), {"t/1": "m2"}).stale is Stale.CODE


def test_modules_that_only_the_run_could_tell_of():
    made = A._replace(loaded={"/a.py": "1", "/b.py": "2"})
    assert judge(made, now(), {}) == Verdict(None, made.mark)
    changed = judge(made, now(), {}, (), {"/a.py": "3"})
    assert changed.stale is Stale.CODE
    assert changed.mark not in (made.mark, A.mark)
    assert judge(made, None, {}, (), {"/a.py": ""}) == Verdict(Stale.UNKNOWN, made.mark)
    accepted = [made._replace(loaded={"/a.py": "3", "/b.py": "2"})]
    assert judge(made, now(), {}, accepted, {"/a.py": "3"}).kept
    assert judge(made, now(), {}, accepted, {"/a.py": "4"}).stale is Stale.CODE


def test_what_is_not_known_is_never_fresh():
    for made, then in ((Making(), None), (Making(), now()), (A, Making())):
        assert judge(made, then, {}).stale is Stale.UNKNOWN


def test_what_was_accepted_is_fresh_until_the_next_change():
    accepted = now(fingerprint="b")._replace(inputs=A.inputs)
    assert judge(A, now(fingerprint="b"), {}, [accepted]) == Verdict(None, A.mark, kept=True)
    assert judge(A, now(fingerprint="c"), {}, [accepted]).stale is Stale.CODE
    assert judge(A, now(fingerprint="b"), {"t/1": "m2"}, [accepted]).stale is Stale.CODE
    assert judge(Making(), now(fingerprint="b"), {}, [now(fingerprint="b")]).kept


@given(makings)
def test_nothing_changed_is_fresh(made):
    assert judge(made, made._replace(inputs={}), made.inputs) == Verdict(None, made.mark)


@given(makings, makings)
def test_the_mark_tells_whether_anything_changed(made, then):
    verdict = judge(made, then, then.inputs)
    assert (verdict.stale is None) == (verdict.mark == made.mark)
    assert (made.mark == then.mark) == (made == then)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_a_damaged_record_says_nothing(said):
    record = {"fingerprint": said, "left_out": said, "inputs": said}
    making = Making.of(record)
    assert isinstance(making.fingerprint, str)
    assert all(isinstance(v, str) for v in (*making.left_out.values(), *making.inputs.values()))


def test_each_reason_has_a_badge():
    assert set(BADGES) == {stale.value for stale in Stale}


def test_what_was_made_anew_after_it_was_disowned_is_another_input():
    again = A._replace(disowned=1)
    assert again.mark != A.mark
    assert Making.of({"disowned": 2}).disowned == 2
    assert Making.of({"disowned": "two"}).disowned == 0
    assert judge(again, now(), {"t/1": "m1"}) == Verdict(None, again.mark)
    other = now(fingerprint="b")
    assert judge(again, other, {}, [other._replace(inputs=A.inputs)]).kept
