"""Why the result of a task is reused, or why not: in a sentence, with what it comes from.

`explain` puts what was found out into words; who finds it out is `Experiment.why`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from xpm_nb.core import codetree, compare, doors
from xpm_nb.core.freshness import Making, Stale, Verdict
from xpm_nb.core.states import FailureReason
from xpm_nb.core.views import DiffView, WhyView
from xpm_nb.core.written import Written
from xpm_nb.errors import RecordError
from xpm_nb.store import records
from xpm_nb.store.layout import JobPaths, Workspace
from xpm_nb.store.records import Code, CodePart, Kept, Loaded

LOOKED_AT = 200  # earlier jobs among which the nearest is looked for, the latest ones


# How a job ended that is in error; in all other ways "it failed before".
_ENDED: dict[FailureReason | None, str] = {
    FailureReason.DISOWNED: "its result was disowned",
    FailureReason.CANCELLED: "it was cancelled",
    FailureReason.TIMEOUT: "it reached its time limit",
    FailureReason.DEPENDENCY: "what it needs is in error",
    FailureReason.LOST: "its process is gone",
    FailureReason.REJECTED: "it could not be started",
}


class Why:
    """Why the result of a task is reused, or why not; displayed by a cell, printed as text.

    Attributes
    ----------
    answer : str
        The reason, in a sentence.
    """

    __slots__ = ("_view", "answer")

    def __init__(self, view: WhyView) -> None:
        self._view = view
        self.answer = view.answer

    def view(self) -> WhyView:
        """Give the frozen copy for displays."""
        return self._view

    def __repr__(self) -> str:
        return f"Why({self._view.task} {self._view.identifier[:8]}: {self.answer})"

    def __str__(self) -> str:
        return str(doors.renderer(self)["text/plain"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)


class Nearest(NamedTuple):
    """The earlier job of a type whose parameters differ least."""

    identifier: str
    diff: DiffView
    then_hashed: tuple[str, ...]  # parameters that were in its identifier, and have their default


class Case(NamedTuple):
    """What was found out of a task.

    Attributes
    ----------
    kind : str
        What would become of it: see `outlook.Fate`; "elsewhere" if another kernel runs it.
    verdict : Verdict or None
        Of a result.
    made : Making
        What the result was made from.
    then, now : Code or None
        The code that made it, and that of now.
    inputs : tuple[str, ...]
        Names of the jobs that it needs and whose result is not what it was made from.
    reason : FailureReason or None
        In which way it ended, if it is in error.
    failure : str
        Why it is in error.
    found, present, texts
        Modules that only its run could tell of, and their digests and texts as they are now, by
        path.
    doubt : str
        Why a result is not to be trusted, though its code is that of now.
    drift : str
        How its environment differs from the present one.
    """

    task: str
    identifier: str
    kind: str
    policy: str = "warn"
    verdict: Verdict | None = None
    made: Making = Making()
    then: Code | None = None
    now: Code | None = None
    inputs: tuple[str, ...] = ()
    failure: str = ""
    reason: FailureReason | None = None
    kept: Kept | None = None
    nearest: Nearest | None = None
    changed: str = ""
    found: tuple[Loaded, ...] = ()
    present: Mapping[str, str] = MappingProxyType({})
    texts: Mapping[str, str] = MappingProxyType({})
    doubt: str = ""
    drift: str = ""


def explain(case: Case) -> WhyView:
    """Put into words what was found out of a task."""
    answer, details = _said(case)
    if case.kind == "computed" and case.drift:
        details = [*details, f"its environment has changed, which is no reason: {case.drift}"]
    then = () if case.then is None else case.then.parts
    now = () if case.now is None else case.now.parts
    if then and now:
        counted = {part.name for part in now if part.kind == "module"}
        here = [
            (one, case.present.get(one.path, "")) for one in case.found if one.name not in counted
        ]
        then = (*then, *(_part(one, one.digest, one.text) for one in case.found))
        # Without what it said then, what it says now would look as if all of it were new.
        texts = [case.texts.get(one.path, "") if one.text else "" for one, _ in here]
        pairs = zip(here, texts, strict=True)
        now = (*now, *(_part(one, digest, text) for (one, digest), text in pairs if digest))
    roots = frozenset() if case.now is None else frozenset(_names(case.now.roots))
    show = case.kind == "computed" and bool(now)
    # Of what is pickled there is no source: its bytes differ, and tell nobody anything.
    written = not (case.then and case.then.unknown) and not (case.now and case.now.unknown)
    rows = codetree.tree(now, then or now, roots) if show else []
    if case.verdict is not None and case.verdict.stale is Stale.CODE and not details:
        details = [] if any(row.mark for row in rows) else _unmarked(case)
    return WhyView(
        task=case.task,
        identifier=case.identifier,
        answer=answer,
        details=tuple(details),
        nearest=None if case.nearest is None else case.nearest.diff,
        code=tuple(rows),
        changes=tuple(codetree.changes(now, then)) if show and then and written else (),
    )


def _part(one: Loaded, digest: str, text: str) -> CodePart:
    """Write a module that only the run could tell of as a part."""
    return CodePart("module", one.name, one.path, text, digest)


def _names(roots: Sequence[str]) -> list[str]:
    return [root.lstrip("-").partition(":")[2].partition(".")[0] for root in roots]


def _said(case: Case) -> tuple[str, list[str]]:
    match case.kind:
        case "computed":
            return _of_result(case)
        case "elsewhere":
            return "not started: another kernel runs it", []
        case "running":
            return "not started again: it runs", []
        case "waiting":
            return "not started yet: it waits for other jobs or a free slot", []
        case "failed":
            ended = _ENDED.get(case.reason, "it failed before")
            text = f"not reused: {ended}, and runs again when it is submitted"
            return text, [case.failure] if case.failure and case.failure != "cancelled" else []
    return _of_new(case)


def _of_result(case: Case) -> tuple[str, list[str]]:
    verdict = case.verdict
    stale = None if verdict is None else verdict.stale
    if case.kept is not None and verdict is not None and verdict.kept:
        by = f" by {case.kept.by}" if case.kept.by else ""
        why = [f"the reason given: {case.kept.reason}"] if case.kept.reason else []
        return f"reused: it was accepted{by} for what has changed", why
    if stale is None and case.doubt:
        return "reused, but what it was made from is not to be trusted: rerun()", [case.doubt]
    if stale is None:
        return "reused: it is done, and nothing that it was made from has changed", []
    again = case.policy == "rerun" and stale is not Stale.UNKNOWN
    start = "not reused, but run again" if again else "reused, but stale"
    match stale:
        case Stale.CODE:
            return f"{start}: its code has changed", [
                *_futures(case),
                *(
                    f"{one.name} ({one.path}) has changed: it was imported while the task ran"
                    for one in case.found
                    if case.present.get(one.path) not in (one.digest, "")
                ),
            ]
        case Stale.DEFAULT:
            now = {} if case.now is None else case.now.left_out
            details = [
                f"{name} was {then}, and is {now.get(name, '(not left out)')} now"
                for name, then in case.made.left_out.items()
                if now.get(name) != then
            ]
            details += [
                f"{name} is {value} now, and was not left out"
                for name, value in now.items()
                if name not in case.made.left_out
            ]
            names = ", ".join(dict.fromkeys(line.partition(" ")[0] for line in details))
            return (
                f"{start}: because the default of {names} was left out of the identifier",
                details,
            )
        case Stale.INPUT:
            doubt = [case.doubt] if case.doubt else []
            return f"{start}: what it needs has changed", [*case.inputs, *doubt]
    return "reused, but it is not known whether that is right: code is not known", _unknown(case)


def _futures(case: Case) -> list[str]:
    """Say under which features of ``__future__`` only one of the two was compiled."""
    if case.then is None or case.now is None:
        return []
    then, now = set(case.then.futures), set(case.now.futures)
    line = "`from __future__ import {}` {}"
    return [
        *(line.format(name, "holds for its cells now, and did not then") for name in now - then),
        *(line.format(name, "held for its cells then, and does not now") for name in then - now),
    ]


def _unmarked(case: Case) -> list[str]:
    """Say what has changed where no piece of code is another one."""
    if case.then is None or not case.then.parts:
        return ["what it was is not known any more: the record of its code cannot be read"]
    then = {part.name for part in case.then.parts if part.kind == "module"}
    now = [] if case.now is None else [p.name for p in case.now.parts if p.kind == "module"]
    return [
        f"{one.name} ({one.path}) was found by its run only, and belongs to its code now"
        for one in case.found
        if one.name in now and one.name not in then
    ] or ["the pieces of its code are put together in another way"]


def _unknown(case: Case) -> list[str]:
    if case.changed:
        of_itself = [] if case.then is None else [case.then.unknown]
        return [
            *(f"the code that made it: {reason}" for reason in of_itself if reason),
            f"while it started, these files changed: {case.changed}",
        ]
    if not case.made.fingerprint:
        reason = "" if case.then is None else case.then.unknown
        return [f"the code that made it: {reason or 'nothing says what it was'}"]
    gone = [one for one in case.found if not case.present.get(one.path)]
    if gone:
        return [f"{one.path}, imported while the task ran, cannot be read now" for one in gone]
    reason = "" if case.now is None else case.now.unknown
    return [f"the code of now: {reason or 'its classes are not defined here'}"]


def _of_new(case: Case) -> tuple[str, list[str]]:
    near = case.nearest
    if near is None:
        return f"not reused: there is no earlier job of {case.task}", []
    if near.then_hashed and not any(row.hashed for row in near.diff.rows):
        names = ", ".join(near.then_hashed)
        return (
            f"not reused: because the default of {names} was left out of the identifier",
            [f"job {near.identifier[:8]} has the same values, which were no default then"],
        )
    return "not reused: no job has these parameters", [f"the nearest is job {near.identifier[:8]}"]


def nearest(
    workspace: Workspace, type_name: str, besides: str, outline: Mapping[str, Any]
) -> Nearest | None:
    """Find the earlier job of a type whose parameters differ least; of several, the latest.

    Parameters
    ----------
    workspace, type_name
        Where to look.
    besides : str
        The identifier of the task itself.
    outline : mapping
        Its parameters, as a params.json holds them.
    """
    best: tuple[tuple[int, float, str], Nearest] | None = None
    for submitted, paths in _earlier(workspace, type_name, besides):
        try:
            params = records.read_params(paths)
        except RecordError:
            continue
        if params is None:
            continue
        diff = compare.diff(params, outline)
        rank = sum(row.hashed for row in diff.rows), -submitted, paths.identifier
        if best is None or rank < best[0]:
            best = rank, Nearest(paths.identifier, diff, _then_hashed(params, outline))
    return None if best is None else best[1]


def _earlier(workspace: Workspace, type_name: str, besides: str) -> list[tuple[float, JobPaths]]:
    found = []
    for paths in workspace.jobs(type_name):
        if paths.identifier != besides:
            try:
                record = records.read_job(paths)
            except RecordError:
                record = None
            found.append((0.0 if record is None else record.submitted, paths))
    found.sort(key=lambda pair: (-pair[0], pair[1].identifier))
    return found[:LOOKED_AT]


def _then_hashed(params: Mapping[str, Any], outline: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the parameters of a task that counted then, and do not now."""
    then, now = Written(params), Written(outline)
    if then.root is None or now.root is None:
        return ()
    names = then.fields(then.root).keys() & now.fields(now.root).keys()
    return tuple(
        sorted(
            name
            for name in names
            if then.mark(then.root, name).hashed and not now.mark(now.root, name).hashed
        )
    )
