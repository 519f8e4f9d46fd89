"""How tasks come into an experiment: everything that may raise, and then a message to the loop.

Submitting never waits. Whatever can be wrong with a task is told in the user's cell.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xpm_nb.code.carrier import Carried
from xpm_nb.core import config as configs
from xpm_nb.core import rebuild
from xpm_nb.core.config import RunMode
from xpm_nb.core.names import warn
from xpm_nb.core.states import JobState
from xpm_nb.engine import host, preparing, staleness, submission, tokens
from xpm_nb.engine.contents import Item
from xpm_nb.engine.entries import Asked, Entry, Preparation
from xpm_nb.engine.job import Job
from xpm_nb.engine.judging import Judging, code_of
from xpm_nb.engine.listening import inside
from xpm_nb.engine.looking import Found, look
from xpm_nb.engine.messages import JudgeJobs, LeaveJobs, OpenJobs, SubmitJob
from xpm_nb.engine.namesakes import Namesakes
from xpm_nb.engine.options import launcher_of, run_mode_of, transient_of, whole
from xpm_nb.engine.provenance import Run
from xpm_nb.errors import ConfigError, NoExperimentError, RecordError
from xpm_nb.launchers.base import Launcher
from xpm_nb.store import records, saved
from xpm_nb.store.layout import JobPaths
from xpm_nb.store.records import Code, JobRecord, ProcessRecord, RunJob

OPEN_S = 2.0  # how long opening waits for the states of earlier jobs, at most
_LIVE = (JobState.WAITING, JobState.READY, JobState.SCHEDULED, JobState.RUNNING)


class Intake(Judging):
    """The part of `Experiment` that takes tasks, and puts together what jobs are run with.

    Attributes
    ----------
    launcher, run_mode, closed
        See `Experiment`.
    """

    launcher: Launcher
    run_mode: RunMode
    durable: bool
    closed: bool
    _submissions: list[Item]  # every one, for blocks
    _environ: dict[str, str]
    _namesakes: Namesakes
    _run: Run

    def submit(
        self,
        task: Any,
        *,
        launcher: Any = None,
        run_mode: Any = None,
        init_tasks: Sequence[Any] = (),
        max_retries: int | None = None,
        transient: Any = None,
    ) -> Any:
        """Hand a task over, and give what its ``task_outputs`` gives; returns at once.

        A task that was submitted before with the same values is joined: what is done or runs is not
        run again, what is in error is.

        Parameters
        ----------
        task : task
            What to run.
        launcher : Launcher, optional
            How it is started; by default as the experiment says.
        run_mode : RunMode, optional
            By default as the experiment says.
        init_tasks : sequence of LightweightTask
            Executed in the job before the task; part of the identifier.
        max_retries : int, optional
            How often it may be started again after a time limit.
        transient : TransientMode, optional
            Whether it may be left out as long as no job that is not transient needs it, and whether
            its files go when all that needed them is done; by default neither.

        Raises
        ------
        ConfigError
            For a missing or impossible value, a difference from an earlier submission of the same
            object, or a submit hook that raised.
        CarrierError
            For code of cells that cannot be carried into a job.
        NoExperimentError
            If the experiment is closed.
        StaleError
            The result is there, other code made it, and that is to be an error.
        """
        mode = self._mode(run_mode)
        token = inside.set(self)  # what the task's own methods ask for is asked of this one
        try:
            options = submission.Options(
                launcher=launcher_of(launcher) or self.launcher,
                namespace=self.namespace,
                experiment=self.name,
                environ=dict(self._environ),
                submitted=time.time(),
                max_retries=whole("max_retries", max_retries),
                transient=transient_of(transient),
                durable=self.durable,
            )
            return self._submit(task, launcher, mode, init_tasks, options)
        finally:
            inside.reset(token)

    def _mode(self, run_mode: Any) -> RunMode:
        if self.closed:
            raise NoExperimentError(
                f"the experiment {self.name!r} is closed: open it again with start({self.name!r})"
            )
        mode = self.run_mode if run_mode is None else run_mode_of(run_mode)
        if mode is not RunMode.DRY_RUN and self.run_mode is RunMode.DRY_RUN:
            self.workspace.create()  # which a dry run did not
        return mode

    def _submit(
        self,
        task: Any,
        launcher: Launcher | None,
        mode: RunMode,
        init_tasks: Sequence[Any],
        options: submission.Options,
    ) -> Any:
        before = submission.job_of(task)
        cls = configs.declared_class(task)
        if not issubclass(cls, configs.Task):
            raise ConfigError(f"{cls.__qualname__} is no task: it derives from Config, not Task")
        init_tasks = init_tasks or submission.loaded_init_tasks(task)
        for made in submission.loaded(task, init_tasks):
            self._join(made, cls.__qualname__)
        identifier = configs.prepare(task, self.namespace, init_tasks)
        if before is None:
            type_name = configs.type_name(cls, self.namespace)
            paths = self.workspace.job(type_name, identifier.hex())
        else:
            options = submission.again(before, launcher, self.workspace, options)
            paths = before.entry.paths
        needs = submission.needed_jobs(task)
        tokens.check_totals(task, self.workspace)
        dry = mode is RunMode.DRY_RUN
        given = options.launcher  # before submit hooks change it
        options = submission.settled(task, Entry(paths), self._loop, needs, options, hooks=not dry)
        record = submission.record_of(task, paths, needs, options)
        entry = _dry_entry(paths, record) if dry else self._loop.entry(paths, record)
        policy = staleness.policy_of(cls, self.stale_policy)
        runs = not dry and mode is not RunMode.PREPARE
        self._judge_needs(needs, wait=policy == "error")
        carried, code = self._code_of(task, entry, policy, needs, runs=runs)
        options = replace(options, stale=policy)
        item = self._item(entry, task, given)
        assert item.job is not None
        configs.mark_submitted(
            task,
            job=item.job,
            identifier=identifier,
            namespace=self.namespace,
            root=paths.path,
            shared=submission.sharing(paths, self.namespace),
        )
        try:
            output = configs.output(task)
            damaged = bool(entry.facts.damage)
            asked = submission.asked(task, paths, record, carried, options, code, damaged=damaged)
            if not dry:
                asked = replace(asked, preparations=self._preparations_of(task, entry))
                configs.do_later(task, item.job)  # before its first change of state
        except BaseException:
            if before is None:  # nobody may wait for a job that was not handed over
                configs.info(task).job = None
            raise
        self._hand_over(item, asked, mode)
        if not dry:
            self._namesakes.check(configs.classes_of(task))
        return output

    def _code_of(
        self, task: Any, entry: Entry, policy: str, needs: Iterable[Job], *, runs: bool
    ) -> tuple[Any, Code | None]:
        """Read the code of a task: what is carried into its job, and what results are judged by.

        What is done, under way or only looked at does not run: nothing is carried then.
        """
        live = entry.view.state in _LIVE
        done = records.is_done(entry.paths) and not live
        if runs and not (done or live):
            text = self._codes.carrier.carry(task, host.executed_cells)
            code = self._codes.of(task, host.executed_cells)
            if policy == "error":
                name = configs.local_name(configs.declared_class(task))
                staleness.refuse_needs(name, (job.view() for job in needs))
            return text, code
        if policy == "ignore":
            return None, None
        carried, code = self._codes.both(task, host.executed_cells)
        if carried is not None and (done or live):  # a reuse misleads as much as a run
            submission.tell_doubts(carried)
        if done and policy == "error":
            staleness.refuse(entry, code, self._loop.entry)
        return carried if done and policy == "rerun" else None, code

    def _join(self, task: Any, by: str) -> None:
        """Find the job of a task that was loaded from a file, with what it made."""
        identifier = configs.identify(task, self.namespace)
        paths = self.workspace.job(configs.info(task).typename, identifier.hex())
        if not paths.path.is_dir():
            raise ConfigError(
                f"{by} needs what {paths.name} {paths.identifier[:8]} made, which is no job of"
                f" {self.workspace.root}: submit that task first"
            )
        entry = self._loop.entry(paths)
        if records.is_done(paths):
            self._look_at([entry])
        with self._lock:
            item = self._items.get(entry.id) or self._earlier.get(entry.id)
        namespace = submission.loaded_namespace(task)
        configs.mark_submitted(
            task,
            job=(item and item.job) or self._job(Item(entry, {}, 0.0, "")),
            identifier=identifier,
            namespace=namespace,
            root=paths.path,
            shared=submission.sharing(paths, namespace or self.namespace),
        )

    def _job(self, item: Item) -> Job:
        return Job(item.entry, self._loop, experiment=self, look=item.view)

    def _look_at(self, found: Sequence[Entry], starter: ProcessRecord | None = None) -> None:
        """Have the loop find out how jobs are; it is left to a starter to start them."""
        if found:
            ready = threading.Event()
            if starter is not None:
                self._loop.post(LeaveJobs(tuple(found), starter))
            self._loop.post(OpenJobs(tuple(found), ready))
            if not self._loop.in_thread():
                ready.wait(OPEN_S)

    def _preparations_of(self, task: Any, entry: Entry) -> tuple[Preparation, ...]:
        return preparing.preparations_of(
            task,
            entry,
            self._loop,
            owner=self,
            workspace=self.workspace,
            namespace=self.namespace,
        )

    def _item(self, entry: Entry, task: Any, launcher: Launcher) -> Item:
        """Give what this experiment knows of a job, or what it will."""
        with self._lock:
            item = self._items.get(entry.id) or self._earlier.get(entry.id)
        if item is None or item.entry is not entry:  # it may have been a dry run
            item = Item(entry, {}, 0.0, "")
            item.job = self._job(item)
        assert item.job is not None
        item.job.adopt(task, launcher)
        return item

    def _hand_over(self, item: Item, asked: Asked, mode: RunMode) -> None:
        """Take the job in, and post it."""
        entry, record = item.entry, asked.record
        with self._lock:
            known = self._items.get(entry.id) is item
            # What is submitted again without tags keeps those it has.
            before = item.tags if known else {}
            tags = record.tags or before
            listed = known and item.listed == record.transient and tags == item.tags
            item.listed = record.transient if mode is RunMode.NORMAL else item.listed
            again = known and entry.view.state is not JobState.ERROR
            item.update(tags, item.submitted if again else record.submitted)
            self._earlier.pop(entry.id, None)
            self._items[entry.id] = item
            self._submissions.append(item)
        if lost := [name for name, value in before.items() if tags.get(name) != value]:
            warn(
                f"a job of {record.task} is submitted again in this run with other tags "
                f"({', '.join(lost)}): it has one row, with the tags of its latest submission"
            )
        if mode is RunMode.DRY_RUN:
            return
        row = RunJob(
            job=entry.paths.relative,
            task=record.task,
            tags=tags,
            submitted=record.submitted,
            launcher=record.launcher,
            transient=record.transient,
        )
        # What is not to be run is not listed: opening the experiment again would run it.
        new = mode is RunMode.NORMAL and not listed
        note = partial(self._run.add, row) if new else self._run.keep_cells
        entry.expect()
        generate, prepare = mode is RunMode.GENERATE_ONLY, mode is RunMode.PREPARE
        self._loop.post(SubmitJob(entry, asked, generate=generate, prepare=prepare, listed=note))

    def _afresh(self, jobs: Iterable[Job]) -> tuple[dict[str, Asked | None], list[str]]:
        """Put together what jobs are run again with, by `Entry.id`: with the code as it is now.

        Where that is not here, it is None: what the directory holds. The texts say so.
        """
        found: dict[str, Asked | None] = {}
        without: dict[str, list[str]] = {}  # for each reason, names
        for job in jobs:
            if not job.entry.over() or job.dry:
                continue
            carried, code = self._code_again(job)
            found[job.entry.id] = None if carried is None else self._anew(job, carried, code)
            if carried is None and (code is not None or _of_cells(job.entry.paths)):
                reason = "its classes are not defined here" if code is None else code.unknown
                without.setdefault(reason, []).append(job.entry.name)
            if carried is None:  # what it comes to is judged by the code that there is
                self._loop.post(JudgeJobs(((job.entry, code),)))
        texts = []
        for reason, names in without.items():
            who = f"{names[0]} and {len(names) - 1} more run" if names[1:] else f"{names[0]} runs"
            texts.append(f"{who} again with the code of before: {reason}")
        return found, texts

    def _anew(self, job: Job, carried: Carried, code: Code | None) -> Asked | None:
        owner = job.experiment or self  # whose namespace and environment it has
        options = submission.Options(
            launcher=job.given_launcher or owner.launcher,
            namespace=owner.namespace,
            experiment=owner.name,
            environ=dict(owner._environ),
            submitted=time.time(),
            stale=job.entry.policy,
            durable=owner.durable,
        )
        if job.latest is None:
            return submission.renewed(job, options, carried, code)
        asked = submission.afresh(job, self._loop, options, carried, code)
        return replace(asked, preparations=owner._preparations_of(job.latest, job.entry))

    def _code_again(self, job: Job) -> tuple[Carried | None, Code | None]:
        """Give the code of now to run a job again with.

        It is that of its classes as they are called now; where they are not here, have other
        parameters, or cannot be carried, that of its task as it was last submitted here.
        """
        carried, code = self._now(job.entry)
        if carried is not None and (text := _misfit(job.entry.paths)):
            carried, code = None, Code(unknown=text)
        if carried is None and job.latest is not None:
            carried, code = self._codes.both(job.latest, host.executed_cells)
        if carried is not None:
            submission.tell_doubts(carried)
        return carried, code


def _misfit(paths: JobPaths) -> str:
    """Say why the present classes cannot take the parameters of a job, "" if they can."""
    try:
        return rebuild.misfit(saved.from_task_dir(paths.path, partial_loading=True))
    except (RecordError, ConfigError) as error:
        return str(error)


def _of_cells(paths: JobPaths) -> bool:
    """Tell whether the script of a job may hold code of cells: other code it imports as it is."""
    code = code_of(paths)
    return code is None or any(root.lstrip("-").startswith("__main__:") for root in code.roots)


def _dry_entry(paths: JobPaths, record: JobRecord) -> Entry:
    """Make an entry that no scheduler knows, of a job that is looked at and not run."""
    entry = Entry(paths, dry=True)
    entry.note_record(record)
    found, _ = look(entry)
    done = found is Found.DONE
    entry.freeze(JobState.DONE if done else JobState.UNSCHEDULED, None, "")
    entry.settle(True)
    return entry
