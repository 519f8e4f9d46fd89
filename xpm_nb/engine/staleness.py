"""Which results are stale: what directories say, compared with the code that there is now.

Rule 1: a result is judged when it is met, when it ends, and when somebody asks; what needs it is
judged after it. Nothing here starts, changes or waits for a job.
Rule 2: what is not known is never fresh.
"""

from __future__ import annotations

import difflib
import getpass
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from xpm_nb.code import loaded
from xpm_nb.core.freshness import Making, Stale, Verdict, judge
from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine.entries import Entry
from xpm_nb.errors import ConfigError, RecordError, StaleError, XpmError
from xpm_nb.store import attempts, records
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Code, JobRecord, Loaded

POLICIES = ("warn", "rerun", "error", "ignore")
CHANGED = (Stale.CODE, Stale.DEFAULT, Stale.INPUT)

WORDS = {
    Stale.CODE: "its code has changed",
    Stale.DEFAULT: "a default has changed",
    Stale.INPUT: "an input has changed",
    Stale.UNKNOWN: "its code is not known",
}


def check_policy(policy: Any, where: str) -> str:
    """Give a policy, if it is one.

    Raises
    ------
    ConfigError
        Naming the policies.
    """
    if isinstance(policy, str) and policy in POLICIES:
        return policy
    near = difflib.get_close_matches(str(policy), POLICIES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"{where}: {policy!r} is none of {', '.join(map(repr, POLICIES))}{hint}")


def making(code: Code | None) -> Making | None:
    """Give what a task would be made from now, but for its inputs; None if that was not asked."""
    return None if code is None else Making(code.fingerprint, code.left_out)


def assess(
    paths: JobPaths,
    record: JobRecord | None,
    now: Making | None,
    mark_of: Callable[[str], str | None],
    changed: str = "",
    found: Sequence[Loaded] = (),
) -> Verdict:
    """Judge the result of a job that is done.

    Parameters
    ----------
    paths, record
        The job, and what was submitted; a record that cannot be read is None.
    now
        See `judge`.
    mark_of
        Gives the present mark of a job that it needs, by key; None if it is not known.
    changed
        Files that changed while it started: nobody knows which code it ran.
    found
        Modules that only its run could tell of.
    """
    made = _made(record, changed, found)
    inputs = {key: mark for key in made.inputs if (mark := mark_of(key)) is not None}
    present = loaded.present(found)
    verdict = judge(made, now, inputs, loaded=present)
    if verdict.stale is not None and paths.kept.exists():
        with suppress(RecordError):
            rows = records.read_kept(paths)
            kept = [Making(k.fingerprint, k.left_out, k.inputs, k.loaded) for k in rows]
            verdict = judge(made, now, inputs, kept, present)
    return verdict


def made(entry: Entry) -> Making:
    """Give what a job's result was made from, as far as this kernel knows."""
    return _made(entry.record, entry.changed, entry.found)


def _made(record: JobRecord | None, changed: str, found: Sequence[Loaded]) -> Making:
    making = Making.of({} if record is None or changed else record.code)
    return making._replace(loaded={one.path: one.digest for one in found})


def of_entry(entry: Entry, entry_of: Callable[[JobPaths], Entry]) -> Verdict:
    """Judge the result of a job that is done, as this kernel knows it."""
    return judge_for(entry, entry.now, entry_of)


def spread(
    some: Iterable[Entry],
    entry_of: Callable[[JobPaths], Entry],
    users: Callable[[Entry], Iterable[Entry]],
) -> list[Entry]:
    """Judge jobs, and what needs those whose judgement changes; give the jobs that it changed for.

    Jobs that are not done are nothing yet: what needs them is judged when they are.
    """
    changed: dict[str, Entry] = {}
    pending = deque(some)
    while pending:
        entry = pending.popleft()
        before = entry.facts.stale, entry.mark
        if entry.view.state is JobState.DONE:
            verdict = of_entry(entry, entry_of)
            ignored = entry.policy == "ignore"  # also for what was made from it
            entry.mark = made(entry).mark if ignored else verdict.mark
            quiet = verdict.stale is None or ignored
            entry.facts.stale = "" if quiet or verdict.stale is None else verdict.stale.value
        else:
            entry.facts.stale = ""
        if (entry.facts.stale, entry.mark) != before:
            changed[entry.id] = entry
            pending += users(entry)
    return list(changed.values())


def policy_of(cls: type, default: str) -> str:
    """Give what becomes of stale results of a task: what its class says, or else the default.

    Raises
    ------
    ConfigError
        The class says something that is no policy.
    """
    said = getattr(cls, "__stale__", None)
    return default if said is None else check_policy(said, f"{cls.__qualname__}.__stale__")


def refuse(entry: Entry, code: Code | None, entry_of: Callable[[JobPaths], Entry]) -> None:
    """Raise for a job that is done and stale.

    Raises
    ------
    StaleError
        Saying what has changed and what can be done.
    """
    record = entry.record
    with suppress(RecordError):
        record = record or records.read_job(entry.paths)
    verdict = assess(
        entry.paths,
        record,
        making(code),
        partial(mark_of, entry, entry_of=entry_of),
        entry.changed,
        entry.found,
    )
    if verdict.stale is None:
        return
    who = f"{record.task if record else entry.paths.name} {entry.paths.identifier[:8]}"
    raise StaleError(
        f"{who} has a result, but {WORDS[verdict.stale]} since (stale='error'): run it again with "
        "stale='rerun', or accept it with job.keep(\"why\") (%xpm keep "
        f"{entry.paths.identifier[:8]})"
    )


def refuse_needs(who: str, needs: Iterable[JobView]) -> None:
    """Raise for a task that is about to use a result that is stale.

    Raises
    ------
    StaleError
        Naming the result, what has changed and what can be done.
    """
    words = {kind.value: WORDS[kind] for kind in CHANGED}
    for view in needs:
        if view.stale in words:
            number = view.identifier[:8]
            raise StaleError(
                f"{who} needs the result of {view.task} {number}, but {words[view.stale]} since "
                f"(stale='error'): submit that first, with stale='rerun', or accept it with "
                f'job.keep("why") (%xpm keep {number})'
            )


def keep(entry: Entry, entry_of: Callable[[JobPaths], Entry], reason: str) -> bool:
    """Accept a result for the code, defaults and inputs there are now; False if it is not stale.

    Raises
    ------
    ConfigError
        The present code is not known: there is nothing that it could be accepted for.
    """
    verdict = of_entry(entry, entry_of)
    if verdict.stale is None:
        return False
    before = made(entry)
    now = entry.now or before
    if not now.fingerprint:
        raise ConfigError(
            f"{entry.name} cannot be kept for code that is not known: define its classes, submit it"
        )
    _note_kept(entry, now, entry_of, reason)
    return True


def accept(entry: Entry, entry_of: Callable[[JobPaths], Entry], there: Making, reason: str) -> bool:
    """Accept a fresh result for code that is known to be the same in another place.

    Parameters
    ----------
    entry
        A job that is done, and was judged with the code as it is now.
    entry_of
        Gives what is known of another job.
    there
        What it would be made from at the other place, but for its inputs.
    reason
        Kept with it.

    Returns
    -------
    bool
        False if it is not fresh, or the code there is not known: it stays what it is.
    """
    if of_entry(entry, entry_of).stale is not None or not there.fingerprint:
        return False
    if judge_for(entry, there, entry_of).stale is not None:
        _note_kept(entry, there, entry_of, reason)
    return True


def judge_for(entry: Entry, now: Making | None, entry_of: Callable[[JobPaths], Entry]) -> Verdict:
    """Judge the result of a job that is done, with code that somebody may have elsewhere."""
    look = partial(mark_of, entry, entry_of=entry_of)
    return assess(entry.paths, entry.record, now, look, entry.changed, entry.found)


def _note_kept(
    entry: Entry, now: Making, entry_of: Callable[[JobPaths], Entry], reason: str
) -> None:
    before = made(entry).inputs
    inputs = {key: mark_of(entry, key, entry_of) or mark for key, mark in before.items()}
    try:
        by = getpass.getuser()
    except (KeyError, OSError, ImportError):  # nobody that the system knows
        by = ""
    kept = records.Kept(
        now.fingerprint,
        now.left_out,
        inputs,
        loaded.present(entry.found),
        reason,
        by,
        os.uname().nodename,
        time.time(),
    )
    records.add_kept(entry.paths, kept)


def mark_of(entry: Entry, key: str, entry_of: Callable[[JobPaths], Entry]) -> str | None:
    """Give the present mark of what a job needs; None if it is not known.

    Of a result that was taken back it is that of the next one: whatever was made from it is not
    what would be computed now, whether there is another one already or not.
    """
    with suppress(XpmError):  # a damaged record names no job
        needed = entry_of(entry.paths.sibling(key))
        if needed.view.state is not JobState.DONE and (
            times := len(attempts.disowned(needed.paths))
        ):
            record = needed.record or records.read_job(needed.paths)
            return _made(record, "", ())._replace(disowned=times).mark
        return needed.mark or None
    return None
