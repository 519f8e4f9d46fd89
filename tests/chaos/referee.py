"""Judges a chaos run by its histories: a pure function, which never saw the run.

The promise has three parts: a job never runs twice at the same time; what it has finished is never
lost, silently replaced or made again; what was killed may start again. And all jobs end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass
class Verdict:
    """What broke the promise, a line for each; and what was seen on the way.

    Attributes
    ----------
    overlaps : list of str
        Two runs of one job at the same time, processes that they forked included.
    again : list of str
        Runs after success.
    lost : list of str
        Results that were there, and are not any more, or are others.
    early : list of str
        Runs before what they need was done.
    unended : list of str
        Jobs that are not done after all.
    """

    overlaps: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    jobs: int = 0
    runs: int = 0
    killed: int = 0
    done: int = 0

    @property
    def complaints(self) -> list[str]:
        """Everything that broke the promise."""
        return [*self.overlaps, *self.again, *self.lost, *self.early, *self.unended]


def judge(histories: Mapping[str, Sequence[Row]]) -> Verdict:
    """Judge a run by the histories of its jobs (see `witness` for the lines)."""
    verdict = Verdict(jobs=len(histories))
    for job, rows in histories.items():
        name = job[:8]
        starts = [row for row in rows if row["what"] == "start" and row["run"] == row["process"]]
        verdict.runs += len(starts)
        verdict.killed += len(_killed(rows) & {row["run"] for row in starts})
        verdict.overlaps += [f"{name}: {text}" for text in _overlaps(rows)]
        verdict.again += [f"{name}: {text}" for text in _again(rows)]
        verdict.lost += [f"{name}: {text}" for text in _lost(rows)]
        for row in starts:
            if row["unmet"]:
                verdict.early.append(f"{name}: ran before {', '.join(row['unmet'])} was done")
        if any(row["what"] == "final" and row["done"] for row in rows):
            verdict.done += 1
        else:
            verdict.unended.append(f"{name}: never done")
    return verdict


def _killed(rows: Iterable[Row]) -> set[str]:
    return {row["process"] for row in rows if row["what"] == "kill"}


def _overlaps(rows: Iterable[Row]) -> list[str]:
    """Pairs of runs of which one was at work after the other had begun and before it ended."""
    found: dict[tuple[str, str], str] = {}
    latest = ""  # the run that began last
    begun: list[str] = []
    for row in rows:
        if row["what"] not in ("start", "beat", "end"):
            continue
        run = row["run"]
        if run not in begun:
            begun.append(run)
            latest = run
        elif run != latest:  # it works, and another has begun since
            pair = (run, latest)
            found.setdefault(pair, f"{run} was at work after {latest} had begun")
        for other in row.get("living", ()):
            pair = (other, run)
            found.setdefault(pair, f"{other} lived when {row['process']} of {run} began")
    return list(found.values())


def _again(rows: Iterable[Row]) -> Iterator[str]:
    """Runs that began although another had succeeded."""
    rows = list(rows)
    killed = _killed(rows)
    seen, finished = False, ""
    for row in rows:
        if row["what"] == "seen":
            seen = True
        elif row["what"] == "end" and row["run"] == row["process"]:
            finished = "" if row["run"] in killed else row["run"]
        elif row["what"] == "start" and row["run"] == row["process"]:
            if row["marked"] or seen:
                yield f"{row['run']} began after success"
            elif finished:
                yield f"{row['run']} began after {finished} had finished, which nobody killed"


def _lost(rows: Iterable[Row]) -> Iterator[str]:
    """Results that were seen and are others in the end, or were never made."""
    rows = list(rows)
    seen = [row["value"] for row in rows if row["what"] == "seen"]
    made = {row["value"] for row in rows if row["what"] == "end"}
    finals = [row for row in rows if row["what"] == "final"]
    if not finals:
        yield "nobody looked in the end"
        return
    final = finals[-1]
    if seen and not final["done"]:
        yield f"the result {seen[0]} was there, and is not any more"
    values = [*seen, final["value"]] if final["done"] else seen
    for value in dict.fromkeys(values):
        if value not in made:
            yield f"the result {value} was made by nobody"
    if len(set(values)) > 1:
        yield f"its result was replaced: {', '.join(dict.fromkeys(values))}"
    if final["done"] and final["output"] != final["value"]:
        yield f"its file holds {final['output']}, its result is {final['value']}"
