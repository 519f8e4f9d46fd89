"""Which results of an experiment are stale, and why a task's result is reused or not.

Nothing here starts or ends a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple

from xpm_nb.code import loaded, same
from xpm_nb.core import config as configs
from xpm_nb.core import serial
from xpm_nb.core.freshness import Making, Stale
from xpm_nb.core.states import JobState
from xpm_nb.engine import host, outlook, staleness, submission
from xpm_nb.engine.codes import Codes, named
from xpm_nb.engine.contents import Contents
from xpm_nb.engine.entries import Entry
from xpm_nb.engine.job import Job
from xpm_nb.engine.jobs import Jobs
from xpm_nb.engine.looking import note_found
from xpm_nb.engine.messages import JudgeJobs
from xpm_nb.engine.why import Case, Why, explain, nearest
from xpm_nb.errors import ConfigError, RecordError, XpmError
from xpm_nb.store import records
from xpm_nb.store.classes import Find
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Code

MAX_REASONS = 2  # of why it is not known whether results are stale, that are told
MAX_ASKED = 100  # of these results that are asked why
SYNC_S = 1.0  # how long a look at the jobs waits for the scheduler, at most


class Looked(NamedTuple):
    """What was looked at since a cell began: its code stays what it is until the next one.

    Attributes
    ----------
    executed : int
        How many cells were executed.
    entries : set of str
        `Entry.id` of the jobs.
    codes : dict
        The present code of results, by what they were made from.
    """

    executed: int
    entries: set[str]
    codes: dict[tuple[str, str], Code | None]


class Judging(Contents):
    """The part of `Experiment` that knows with which code results were made."""

    _codes: Codes
    _looked: Looked

    def stale(self, *, unknown: bool = False) -> Jobs:
        """Look which results are stale, with the code as it is now, and give their jobs.

        A result is stale if its code, a default that its identifier leaves out, or one of its
        inputs is not what it was made with. Of results whose classes are not defined here, only
        inputs are looked at. Nothing is run: `rerun` takes what this gives.

        Parameters
        ----------
        unknown : bool
            Give those, too, of which nobody can tell, as code is not known. Without it, the note
            of what is given says how many there are, and why.
        """
        jobs = self.jobs
        self.judge(jobs)
        wanted = staleness.CHANGED + ((Stale.UNKNOWN,) if unknown else ())
        values = {stale.value for stale in wanted}
        found = Jobs(job for job in jobs if job.view().stale in values)
        return found if unknown else found.noted(self._not_known(jobs))

    def _not_known(self, jobs: Iterable[Job]) -> str:
        """Say of how many results nobody can tell whether they are stale, and why."""
        left = [job for job in jobs if job.view().stale == Stale.UNKNOWN.value]
        if not left:
            return ""
        reasons: dict[str, list[str]] = {}
        for job in left[:MAX_ASKED]:
            reason = ", ".join(explain(self._case_of(job)._replace(drift="")).details)
            reasons.setdefault(reason, []).append(job.entry.name)
        some = [
            f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
            for reason, names in list(reasons.items())[:MAX_REASONS]
        ]
        more = ["…"] if len(reasons) > MAX_REASONS or len(left) > MAX_ASKED else []
        whose = "1 result" if len(left) == 1 else f"{len(left)} results"
        return (
            f"left out: {whose} of which nobody can tell ({'; '.join([*some, *more])}); "
            "stale(unknown=True) gives these, too"
        )

    def judge(self, jobs: Iterable[Job]) -> None:
        """Look whether results are stale, with the code as it is now; their views say so then.

        What they were made from is looked at with them, however indirectly they need it.
        """
        self._loop.sync(SYNC_S)  # what ended just now is known then
        some = self._with_needs((job.entry for job in jobs if not job.dry), set())
        self._loop.post(JudgeJobs(tuple(self._with_code(some, {}))))
        self._loop.sync(SYNC_S)

    def _judge_needs(self, needs: Iterable[Job], *, wait: bool) -> None:
        """Look whether the results that a task is about to use are stale.

        Each is looked at once while a cell is executed: thousands of tasks may use the same.

        Parameters
        ----------
        needs : iterable of Job
            What the task uses.
        wait : bool
            Until their views say so; otherwise they say so before the task is taken in.
        """
        cells = host.compiled()
        executed = 0 if cells is None else len(cells[1])
        if executed != self._looked.executed:
            self._looked = Looked(executed, set(), {})
        some = self._with_needs((job.entry for job in needs), self._looked.entries)
        if wanted := tuple(self._with_code(some, self._looked.codes)):
            self._loop.post(JudgeJobs(wanted))
            if wait:
                self._loop.sync(SYNC_S)

    def _with_needs(self, some: Iterable[Entry], seen: set[str]) -> list[Entry]:
        """Give jobs and what they need, however indirectly, but for those that were seen before."""
        found, pending = [], list(some)
        while pending:
            entry = pending.pop()
            if entry.id not in seen:
                seen.add(entry.id)
                found.append(entry)
                pending += self._needs(entry)
        return found

    def _needs(self, entry: Entry) -> list[Entry]:
        """Give what a job needs directly."""
        found = []
        for key in entry.facts.dependencies:
            with suppress(XpmError):  # a damaged record names no job
                found.append(self._loop.entry(entry.paths.sibling(key)))
        return found

    def _with_code(
        self, some: Iterable[Entry], found: dict[tuple[str, str], Code | None]
    ) -> Iterator[tuple[Entry, Code | None]]:
        """Give those of some jobs that are done, with the code that they would have now.

        What is found is kept, for jobs that were made from the same.
        """
        for entry in some:
            if entry.view.state is JobState.DONE:
                made = staleness.made(entry)
                mark = made.fingerprint, str(made.left_out)
                if mark not in found:
                    found[mark] = self._now(entry)[1]
                yield entry, found[mark]

    def _accept(self, jobs: Iterable[Job], there: Mapping[str, Making], reason: str) -> int:
        """Accept fresh results for code that is the same in another place; see `Accept`."""
        done = [job for job in jobs if job.view().state is JobState.DONE]
        self.judge(done)
        return sum(
            not staleness.accept(job.entry, self._loop.entry, there[job.entry.paths.key], reason)
            for job in done
        )

    def _now(self, entry: Entry) -> tuple[Any, Code | None]:
        """Give the code that a job would have now; None where its classes are not here."""
        before = code_of(entry.paths)
        return (None, None) if before is None else self._codes.now(before, host.executed_cells)

    def class_finder(self, entry: Entry) -> Find:
        """Give what finds the classes of cells that are as they were when a result was made.

        By their names: an enum in a result is then that of the notebook."""

        @cache
        def unchanged() -> frozenset[str]:
            then, now = code_of(entry.paths), self._now(entry)[1]
            return frozenset() if then is None or now is None else same.names(then, now)

        def find(name: str) -> type | None:
            return named("__main__", name) if name.partition(".")[0] in unchanged() else None

        return find

    # -- why ------------------------------------------------------------------------------

    def why(self, what: Any) -> Why:
        """Say why the result of a task is reused, or why not.

        Of a result: which part of its code, which default or input has changed, with old and new
        source beside each other. Of a task without one: the nearest earlier job, and the parameters
        that differ; or that it failed before, or runs.

        Parameters
        ----------
        what : task, job, number, or text
            A text is the beginning of an identifier. A task need not be submitted.

        Raises
        ------
        ConfigError
            For what names no job, or is no task.
        """
        if configs.is_config(what) and submission.job_of(configs.info(what).task or what) is None:
            if not outlook.is_task(what):
                raise ConfigError(f"{what!r:.60} is no task: it has no result")
            return Why(explain(self._case(what)))
        job = self[what]
        if job.dry and job.config is not None:
            return Why(explain(self._case(job.config)))
        self.judge([job])
        return Why(explain(self._case_of(job)))

    def _case_of(self, job: Job) -> Case:
        entry, view = job.entry, job.view()
        code = self._now(entry)[1]
        if code is None and job.latest is not None:
            code = self._codes.of(job.latest, host.executed_cells)
        fate = outlook.fate_of(entry.paths, view, asked=entry.waits())
        case = Case(
            view.task,
            view.identifier,
            "elsewhere" if view.elsewhere and fate.kind == "running" else fate.kind,
            entry.policy,
            now=code,
            failure=view.message.strip().partition("\n")[0],
            reason=view.reason,
            drift=view.drift,
        )
        return self._with_result(case, entry) if fate.kind == "computed" else case

    def _case(self, task: Any) -> Case:
        paths = outlook.place_of(task, self.workspace, self.namespace)
        name = configs.local_name(configs.info(task).cls)
        with suppress(ConfigError):  # what it needs was not submitted: nothing of it is stale
            self.judge(submission.needed_jobs(task))
        fate, view = self._outlook_of(paths)
        elsewhere = fate.kind == "running" and (view is None or view.elsewhere)
        code = self._codes.of(task, host.executed_cells)
        policy = staleness.policy_of(configs.info(task).cls, self.stale_policy)
        kind = "elsewhere" if elsewhere else fate.kind
        case = Case(name, paths.identifier, kind, policy, now=code)
        if kind == "computed":
            return self._with_result(case, self._looked_at(paths, code))
        if kind == "failed":
            with suppress(RecordError):
                failure = records.read_failed(paths)
                text = "" if failure is None else failure.message.strip().partition("\n")[0]
                reason = None if failure is None else failure.reason
                case = case._replace(failure=text, reason=reason)
        elif kind == "new":
            outline = serial.outline(task, self.namespace)
            found = nearest(self.workspace, paths.type_name, paths.identifier, outline)
            case = case._replace(nearest=found)
        return case

    def _with_result(self, case: Case, entry: Entry) -> Case:
        """Add what is known of a result to a case."""
        made = staleness.made(entry)
        # What is shown beside the answer has to be what the answer is about.
        here = staleness.making(case.now) or entry.now
        verdict = staleness.judge_for(entry, here, self._loop.entry)
        now = here or made
        kept = [one for one in records.read_kept(entry.paths) if one.fingerprint == now.fingerprint]
        return case._replace(
            verdict=verdict,
            made=made,
            then=code_of(entry.paths),
            inputs=tuple(self._stale_inputs(entry, made)),
            kept=kept[-1] if kept else None,
            changed=entry.changed,
            found=records.read_met(entry.paths, texts=True)[1] if entry.found else (),
            present=loaded.present(entry.found),
            texts=loaded.texts(entry.found),
            doubt=entry.facts.doubt,
        )

    def _stale_inputs(self, entry: Entry, made: Making) -> list[str]:
        found = []
        mark_of = partial(staleness.mark_of, entry, entry_of=self._loop.entry)
        for key, mark in made.inputs.items():
            if (now := mark_of(key)) is not None and now != mark:
                needed = self._loop.entry(entry.paths.sibling(key))
                done = needed.view.state is JobState.DONE
                words = {kind.value: text for kind, text in staleness.WORDS.items()}
                other = "it was computed anew" if done else "its result was disowned"
                found.append(f"{needed.name}: {words.get(needed.facts.stale, other)}")
        return found

    def _judged(self, fate: outlook.Fate, paths: JobPaths, task: Any) -> outlook.Fate:
        policy = staleness.policy_of(configs.info(task).cls, self.stale_policy)
        if policy == "ignore":
            return fate
        entry = self._looked_at(paths, self._codes.of(task, host.executed_cells))
        stale = staleness.of_entry(entry, self._loop.entry).stale
        return fate if stale is None else outlook.with_stale(fate, stale.value, policy)

    def _looked_at(self, paths: JobPaths, code: Code | None) -> Entry:
        """Give what a directory says of a job that is done, to be judged with some code."""
        entry = Entry(paths, dry=True)
        with suppress(RecordError):
            entry.record = records.read_job(paths)
            note_found(entry)
        entry.now = staleness.making(code)
        return entry


def code_of(paths: JobPaths) -> Code | None:
    """Read the code that a job's directory names; None if there is none that can be understood."""
    try:
        return records.read_code(paths)
    except RecordError:
        return None
