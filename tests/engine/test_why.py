"""Why a result is reused, or why not: the texts of all situations, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpm_nb.code.canonical import digest
from xpm_nb.core import compare
from xpm_nb.core.freshness import Making, Stale, Verdict
from xpm_nb.core.states import FailureReason
from xpm_nb.engine.why import Case, Nearest, Why, explain
from xpm_nb.store.records import Code, CodePart, Kept, Loaded

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "why.txt"
IDENTIFIER = "1f3a9c02" + "0" * 56

HELPER = 'def helper(x):\n    """Doubles."""\n    y = x\n    return 2 * y\n'


def part(name, source, where, uses=(), kind="cell"):
    stamp = (1, 2) if kind == "module" else ()
    return CodePart(kind, name, where, source, digest(source), uses, stamp)


def code(helper=HELPER, module="WORD = 1\n", **more):
    parts = (
        part("tools", "import tools\n", "In[1], line 1", (3,)),
        part("helper", helper, "In[2], line 1"),
        part("Learn", "class Learn(Task): ...\n", "In[3], line 1", (0, 1)),
        part("tools", module, "/home/me/project/tools.py", (), "module"),
    )
    return Code("f" * 64, parts=parts, roots=("__main__:Learn",), **more)


def params(lr, marks=""):
    fields = {"lr": lr, "model": "cnn"}
    return {
        "objects": [
            {
                "id": 1,
                "module": "__main__",
                "type": "Learn",
                "typename": "x.learn",
                "identifier": ("a" if lr == 0.1 else "b") * 64,
                "fields": fields,
                "marks": {"lr": marks} if marks else {},
            }
        ]
    }


def near(then, now, hashed=()):
    return Nearest("a" * 64, compare.diff(then, now), hashed)


def case(kind="computed", stale=None, **more):
    verdict = Verdict(stale, "m", more.pop("accepted", False))
    base = Case("Learn", IDENTIFIER, kind, verdict=verdict, made=Making("f" * 64))
    return base._replace(then=code(), now=code())._replace(**more)


EDITED = HELPER.replace("2 * y", "3 * y")

CASES = {
    "reused": case(),
    "its code has changed": case(
        stale=Stale.CODE, now=code(EDITED, "WORD = 1\nNEW = <b>\n".replace("<b>", "'<b>'"))
    ),
    "its cells ran after an import of the future": case(
        stale=Stale.CODE, now=code(futures=("annotations",))
    ),
    "it runs again, as the policy says": case(stale=Stale.CODE, now=code(EDITED), policy="rerun"),
    "a default has changed": case(
        stale=Stale.DEFAULT,
        made=Making("f" * 64, {"Learn.x": "1"}),
        now=code(left_out={"Learn.x": "2"}),
    ),
    "an input has changed": case(
        stale=Stale.INPUT, inputs=("Train 99aa88bb: its code has changed",)
    ),
    "its code is not known": case(
        stale=Stale.UNKNOWN,
        now=Code(unknown="tools.py is no Python: '(' was never closed (line 1)"),
    ),
    "nothing says which code made it": case(stale=Stale.UNKNOWN, then=None, made=Making()),
    "it was accepted": case(
        accepted=True, now=code(EDITED), kept=Kept("g" * 64, reason="only faster", by="ada")
    ),
    "what it was made from was disowned": case(
        doubt="bad input: Train 99aa88bb was disowned (bad data)"
    ),
    "it failed before": case("failed", failure="ValueError: no data"),
    "it was disowned": case(
        "failed", reason=FailureReason.DISOWNED, failure="disowned by ada: bad data"
    ),
    "it was cancelled": case("failed", reason=FailureReason.CANCELLED, failure="cancelled"),
    "another kernel runs it": case("elsewhere"),
    "it runs": case("running"),
    "there is no earlier job": case("new"),
    "no job has these parameters": case("new", nearest=near(params(0.1), params(0.2))),
    "its default was left out": case(
        "new", nearest=near(params(0.1), params(0.1, "default unhashed"), ("lr",))
    ),
}


def text_of(name):
    return str(Why(explain(CASES[name])))


def test_of_what_is_pickled_no_bytes_are_compared():
    then, now = code(), code(EDITED)._replace(unknown="Learn is pickled: its source is unknown")
    view = explain(case(stale=Stale.UNKNOWN, then=then, now=now))
    assert view.changes == ()
    assert "its source is unknown" in str(Why(view))
    assert explain(case(stale=Stale.CODE, then=then, now=code(EDITED))).changes


def test_the_texts():
    found = "\n\n".join(f"=== {name}\n{text_of(name)}" for name in CASES) + "\n"
    if not GOLDEN.exists():  # made by deleting it
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_the_page_says_the_same_and_is_harmless(name):
    why = Why(explain(CASES[name]))
    page = why._repr_mimebundle_()["text/html"]
    assert "<script" not in page
    assert "<b>" not in page
    answer = page.split("</style>")[1]
    assert why.answer.split("(")[0].replace("'", "&#x27;") in answer
    assert repr(why) == f"Why(Learn 1f3a9c02: {why.answer})"


def test_another_environment_is_told_and_no_reason():
    view = explain(case(drift="numpy 1.26.4 then, 2.0.1 now"))
    assert view.answer.startswith("reused: ")
    assert view.details[-1].endswith("which is no reason: numpy 1.26.4 then, 2.0.1 now")
    assert "numpy" not in str(Why(explain(case("new", drift="numpy 1 then, 2 now"))))


def test_what_is_stale_is_never_without_a_reason():
    assert not explain(case(stale=Stale.CODE, now=code(EDITED))).details
    details = explain(case(stale=Stale.CODE, then=None)).details
    assert details == ("what it was is not known any more: the record of its code cannot be read",)
    met = Loaded("tools", "/home/me/project/tools.py", "0")
    before = code()._replace(parts=code().parts[1:3])
    told = explain(case(stale=Stale.CODE, then=before, found=(met,)))
    assert [(row.name, row.mark) for row in told.code if row.mark] == [("tools", "changed")]
    same = met._replace(digest=digest("WORD = 1\n"))
    there = {same.path: same.digest}
    told = explain(case(stale=Stale.CODE, then=before, found=(same,), present=there))
    assert {row.mark for row in told.code} == {""}
    assert told.details == (
        "tools (/home/me/project/tools.py) was found by its run only, and belongs to its code now",
    )
