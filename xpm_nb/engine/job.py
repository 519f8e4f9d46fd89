"""The handle on one job that users hold.

A `Job` keeps nothing: it reads the last view of its `Entry`, and posts messages to the loop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors
from xpm_nb.core.freshness import badges
from xpm_nb.core.states import FailureReason, JobState
from xpm_nb.core.views import CurveView, JobView
from xpm_nb.engine import listening, looking, reading, staleness, story, waiting
from xpm_nb.engine.afterwards import Afterwards
from xpm_nb.engine.attributes import attribute
from xpm_nb.engine.entries import Asked, Entry
from xpm_nb.engine.loop import Loop
from xpm_nb.engine.messages import CancelJobs, JudgeJobs, MissResult, RerunJobs, RetryJobs
from xpm_nb.engine.reading import Files, tail
from xpm_nb.engine.source import Source
from xpm_nb.engine.waiting import VIEWS_S, flush, seconds, settled, wait_for
from xpm_nb.errors import ConfigError, JobError, NoResultError, RecordError
from xpm_nb.launchers.base import Launcher
from xpm_nb.store import files, records, results
from xpm_nb.store.layout import numbered

TAIL_LINES = 20  # of each log, where a failure is told
READ_AGAIN = 10  # how often a result may be replaced while somebody asks for it


class Job(Afterwards):
    """One task with one set of parameters, in one workspace.

    Two handles are equal when they are on the same directory.
    """

    __xpm_dependency__ = "job"  # it may be given to ``task.add_dependencies``

    def __init__(
        self,
        entry: Entry,
        loop: Loop,
        *,
        experiment: Any = None,
        look: Callable[[], JobView] | None = None,
    ) -> None:
        self._entry = entry
        self._loop = loop
        self._experiment = experiment
        self._config: Any = None
        self._latest: Any = None
        self._launcher: Launcher | None = None
        self._look = look

    def adopt(self, config: Any, launcher: Launcher) -> None:
        """Take note of a submission in this kernel (for experiments)."""
        if self._config is None:
            self._config = config
        self._latest = config
        self._launcher = launcher

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other._entry.id == self._entry.id

    def __hash__(self) -> int:
        return hash(self._entry.id)

    def __repr__(self) -> str:
        view = self.view()
        words = ", ".join([view.state.value, *badges(view.stale, view.drift)])
        return f"Job({view.task} {view.identifier[:8]} {words})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return doors.renderer(self)

    # -- what it is -----------------------------------------------------------------------

    @property
    def identifier(self) -> str:
        """The identifier, 64 hexadecimal digits."""
        return self._entry.paths.identifier

    @property
    def name(self) -> str:
        """The last dotted part of the type name: the stem of the file names."""
        return self._entry.paths.name

    @property
    def type(self) -> str:
        """The type name."""
        return self._entry.paths.type_name

    @property
    def key(self) -> str:
        """``<type name>/<identifier>``."""
        return self._entry.paths.key

    @property
    def path(self) -> Path:
        """The job's directory."""
        return self._entry.paths.path

    @property
    def config(self) -> Any:
        """The task, None if it was submitted by another kernel."""
        return self._config

    @property
    def latest(self) -> Any:
        """The task as it was last submitted by this kernel, which is what is run again."""
        return self._latest

    @property
    def environ(self) -> dict[str, str]:
        """Variables set for the job, on top of the inherited ones."""
        record = self._record()
        return {} if record is None else dict(record.environ)

    @property
    def launcher(self) -> Launcher | None:
        """What starts it, with what submit hooks made of its options."""
        return self._entry.launcher or self._launcher

    @property
    def given_launcher(self) -> Launcher | None:
        """The launcher of its submission by this kernel, None if another kernel did that."""
        return self._launcher

    @property
    def dry(self) -> bool:
        """Whether it was only looked at (a dry run)."""
        return self._entry.dry

    @property
    def experiment(self) -> Any:
        """The experiment through which it was found, None if there is none."""
        return self._experiment

    @property
    def entry(self) -> Entry:
        """What the engine knows of it."""
        return self._entry

    @property
    def dependencies(self) -> tuple[Job, ...]:
        """The jobs that must be done first."""
        paths = self._entry.paths
        found = [self._loop.entry(paths.sibling(key)) for key in self.view().dependencies]
        waiting.meet(found, self._loop)
        return tuple(Job(one, self._loop, experiment=self._experiment) for one in found)

    @property
    def retry_count(self) -> int:
        """How often it was run before the present attempt."""
        return self.view().attempt - 1

    # -- how it is ------------------------------------------------------------------------

    @property
    def state(self) -> JobState:
        """The state."""
        return self._entry.view.state

    def view(self) -> JobView:
        """Give a frozen copy of all that is known.

        Straight after a submission that says also what is to be thought of a result with the code
        as it is now: for that it may wait for the scheduler.
        """
        if self._entry.pending and self._entry.view.state is JobState.DONE:
            self._loop.sync(VIEWS_S)
        return self._entry.view if self._look is None else self._look()

    def stdout(self) -> Path:
        """Give the path of what it printed."""
        return self._entry.paths.stdout

    def stderr(self) -> Path:
        """Give the path of what it printed on the error stream."""
        return self._entry.paths.stderr

    def log(self, n: int = 40) -> str:
        """Give the last lines of what it printed, 5,000 at most; the error stream comes last."""
        parts = {path: tail(path, n) for path in (self.stdout(), self.stderr())}
        texts = [(path, text) for path, text in parts.items() if text]
        if len(texts) == 1:
            return texts[0][1]
        return "\n".join(f"--- {path.name}\n{text}" for path, text in texts)

    def log_size(self) -> int:
        """Give how many bytes it printed, on both streams: a change tells that there is more."""
        return reading.size(self.stdout(), self.stderr())

    def metrics(self) -> dict[str, float]:
        """Give the latest value of each metric."""
        return dict(self.view().metrics)

    def curves(
        self, names: Iterable[str] | None = None, points: int = 200
    ) -> tuple[CurveView, ...]:
        """Give the course of metrics, by default of all.

        Parameters
        ----------
        names : iterable of str, optional
            Those that are wanted; what the job has not reported is left out.
        points : int
            How many points of each, at most: the first, the last, and of each stretch in between
            the lowest and the highest are kept. Their ``x`` is the step that was reported, or else
            their number from 0 on. Figures that are not finite are left out.
        """
        view = self.view()
        label = " ".join(f"{name}={value}" for name, value in view.tags) or view.identifier[:8]
        wanted = (names,) if isinstance(names, str) else names
        found = self._entry.curves.points(wanted, max(4, points))
        return tuple(CurveView(view.key, label, name, some) for name, some in found.items() if some)

    @attribute
    def files(self) -> Files:
        """The files of its directory: ``job.files["model.npz"]``."""
        return Files(self._entry.paths)

    @property
    def attempts(self) -> tuple[Path, ...]:
        """The directories of its earlier attempts, the first one first."""
        return tuple(numbered(self._entry.paths.attempts))

    def params(self) -> dict[str, Any]:
        """Give what its ``params.json`` holds, {} if there is none that can be read."""
        try:
            return records.read_params(self._entry.paths) or {}
        except RecordError:
            return {}

    def source(self) -> Source:
        """Give the code that it ran (or would run), and what has changed in the cells since.

        Raises
        ------
        RecordError
            Its script is missing.
        """
        self._loop.sync(VIEWS_S)  # what was submitted just now is being written
        return Source(self._entry.paths, self.view())

    def story(self) -> story.Story:
        """Tell what happened to it, from the files of its directory; printed as text.

        With its earlier attempts, how each ended, and who holds its lock now.
        """
        return story.tell(self._entry.paths)

    # -- waiting --------------------------------------------------------------------------

    def wait(self, timeout_s: float | None = None) -> JobState:
        """Wait until it has ended and its callbacks were called, and give the state.

        Interrupting stops the waiting only.
        """
        timeout_s = seconds(timeout_s)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with waiting.while_waiting():
            if wait_for([self._entry], self._loop, timeout_s):
                flush(deadline)
                self._loop.sync(VIEWS_S)  # what callbacks said is in the view now
        return self.state

    def __await__(self) -> Generator[Any, None, JobState]:
        with waiting.while_waiting():
            yield from settled([self._entry], self._loop).__await__()
        return self.state

    def result(self) -> Any:
        """Give what ``execute`` returned; waits for the end.

        Its classes of cells are those of the notebook, if they are as they were when it was made,
        and else those of then. Of a job that another kernel runs again meanwhile, that is waited
        for.

        Raises
        ------
        JobError
            It ended in error: with its traceback, its last lines, and where its logs are. Or it was
            done, and its result was disowned or deleted since.
        RecordError
            What is kept of its result cannot be read.
        """
        experiment, entry = self._experiment, self._entry
        find = None if experiment is None else experiment.class_finder(entry)
        for _ in range(READ_AGAIN):
            if (view := self._ended()).state is not JobState.DONE:
                raise error_of(view, entry)
            try:
                return results.load_result(entry.paths, find)
            except NoResultError:  # what we know of it is old
                entry.expect()
                self._loop.post(MissResult(entry))
        raise JobError(
            f"{entry.name} is run again all the time: its result was replaced {READ_AGAIN} "
            "times while it was asked for",
            identifier=self.identifier,
        )

    def _ended(self) -> JobView:
        """Wait for the end, and give how it is then."""
        while True:
            with waiting.while_waiting():
                wait_for([self._entry], self._loop, None)
                flush(None)
            view = self._entry.view
            if view.state.idle:
                return view
            self._loop.sync(VIEWS_S)  # meanwhile another attempt has begun

    def error(self) -> JobError:
        """Describe how it ended badly."""
        return error_of(self.view(), self._entry)

    # -- acting ---------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask it to end; what needs it will not run."""
        self._loop.post(CancelJobs((self._entry,)))

    def retry(self) -> Job:
        """Run it again if it is in error, after what it needs, before what needed it.

        With the code of now, as `rerun` does.

        Raises
        ------
        ConfigError
            It is done.
        """
        if self.state is JobState.DONE:
            raise ConfigError(f"{self._entry.name} is done: rerun() runs it again all the same")
        if self._experiment is not None:
            self._experiment.retry(self)
        else:
            self._entry.expect()
            self._loop.post(RetryJobs((self._entry,)))
        return self

    def rerun(self) -> Job:
        """Run it again, also when it is done; what needs it is not run again.

        It runs with the code of its classes as it is in this kernel now; where that is not here, a
        warning says so, and it runs with that in its directory. What it left goes to its
        `attempts`.

        Raises
        ------
        ConfigError
            It is under way, or something is in the way: the message says what.
        """
        self._loop.sync(VIEWS_S)  # it may have been submitted just now, only to be joined
        if not (self._entry.over() or self.dry):
            view = self._entry.view
            if view.state is JobState.UNSCHEDULED and not self._entry.pending:
                raise ConfigError(
                    f"{self._entry.name} does not wait to run ({view.message or view.state.value}):"
                    " submit its task, without transient=, to run it"
                )
            raise ConfigError(
                f"{self._entry.name} has not ended: wait for that, or cancel() it, and then "
                "rerun() it"
            )
        if self._experiment is not None:
            self._experiment.rerun(self)
        else:
            run_again([self], self._loop, {})
        return self

    def keep(self, reason: str = "") -> Job:
        """Accept its result for the code, defaults and inputs that there are now.

        Who accepted it, when and why is kept in its directory. When something changes once more, it
        is stale again.

        Raises
        ------
        ConfigError
            It has no result, is not stale, or its present code is not known.
        """
        if self.state is not JobState.DONE:
            raise ConfigError(f"{self._entry.name} has no result to keep: it is {self.state.value}")
        if self._experiment is not None:
            self._experiment.judge([self])
        if not staleness.keep(self._entry, self._loop.entry, reason):
            raise ConfigError(f"{self._entry.name} is not stale: there is nothing to accept")
        self._loop.post(JudgeJobs(((self._entry, None),)))
        self._loop.sync(VIEWS_S)
        return self

    def why(self) -> Any:
        """Say why its result is reused, or why not: what has changed since; see `Experiment.why`.

        Raises
        ------
        ConfigError
            It belongs to no experiment of this kernel.
        """
        if self._experiment is None:
            raise ConfigError(f"{self._entry.name} is in no experiment that is open")
        return self._experiment.why(self)

    def on_completed(self, callback: Callable[[], object]) -> None:
        """Have a function called when the job ends well, also when it already has.

        It is called with no argument in the callbacks' thread, once. The same function of the same
        cell, registered when the cell is run again, takes the former's place.
        """
        listening.check_callable("on_completed", callback)
        register = listening.register_of(self._entry, self._loop)
        register.on_completed(callback, self._experiment)
        if self._entry.view.state is JobState.DONE:
            listening.call_due(self._entry, self._loop, register)

    def on_state(self, callback: Callable[[JobView], object]) -> None:
        """Have a function called with a `JobView` at each change of state."""
        listening.check_callable("on_state", callback)
        listening.register_of(self._entry, self._loop).on_state(callback, self._experiment)

    def watch_output(
        self, method: Callable[..., object] | str, callback: Callable[[Any], object]
    ) -> None:
        """Have a function called with each output that the running task reports.

        See `Task.watch_output`.

        Raises
        ------
        ConfigError
            The task was not submitted by this kernel, which has no class to make outputs with.
        """
        listening.check_callable("watch_output", callback)
        if self._latest is None:
            raise ConfigError(
                f"nothing here makes outputs of {self._entry.name}: submit its task in this kernel"
                " (what is done or runs is not run again), and watch that"
            )
        name = configs.method_of(self._latest, method)
        register = listening.register_of(self._entry, self._loop)
        register.on_output(name, callback, self._latest, self._experiment)
        listening.outputs_due(self._entry, self._loop, register)

    def _record(self) -> records.JobRecord | None:
        if self._entry.record is not None:
            return self._entry.record
        try:
            return records.read_job(self._entry.paths)
        except RecordError:
            return None


def run_again(
    jobs: Iterable[Job], loop: Loop, asked: Mapping[str, Asked | None]
) -> tuple[Job, ...]:
    """Have jobs run again that are over (for experiments), and give them.

    Parameters
    ----------
    jobs : iterable of Job
        What is under way is left alone.
    loop : Loop
        Theirs.
    asked : mapping
        For the identifier of an entry, what is to be run; else what its directory holds.

    Raises
    ------
    ConfigError
        Something is in the way of one of them; none is run again then.
    """
    over = [job for job in dict.fromkeys(jobs) if job.dry or job.entry.over()]
    ids, uses = {job.entry.id for job in over}, looking.Uses(loop.under_way(), loop.entry)
    free: set[str] = set()
    for job in over:
        entry, text = job.entry, ""
        if entry.dry:
            text = "it was only looked at, in a dry run: submit it"
        elif asked.get(entry.id) is None and not entry.paths.script.is_file():
            text = f"nothing says what it runs: delete {entry.paths.done} and submit it again"
        elif job.state is JobState.DONE:
            text = uses.obstacle(entry, ids) or loop.readers.running(entry.paths, free)
        if text:
            raise ConfigError(f"{entry.name} cannot be run again: {text}")
    for job in over:
        job.entry.expect()
    loop.post(RerunJobs(tuple((job.entry, asked.get(job.entry.id)) for job in over)))
    return tuple(over)


# -- errors -----------------------------------------------------------------------------------


def error_of(view: JobView, entry: Entry) -> JobError:
    """Describe a job that ended badly, or did not run: what, why, last lines, where to look."""
    who = f"{view.task} {view.identifier[:8]}"
    if view.state is not JobState.ERROR:
        text = f"{who} has no result: it is {view.state.value}"
        if view.state is JobState.DONE:
            text = f"{who} has no error: it is done"
        return JobError(text, identifier=view.identifier)
    reason = view.reason or FailureReason.FAILED
    parts = [f"{who} ended in error ({reason.value}): {view.message}"]
    if reason is not FailureReason.DEPENDENCY:
        parts += _evidence(entry)
    else:  # of what was to be made ready before it
        parts += [f"\n{said.text}" for said in view.said if said.kind == "error"]
    return JobError("\n".join(parts), identifier=view.identifier, reason=reason.value)


def _evidence(entry: Entry) -> Iterator[str]:
    """Give what helps to see why: the traceback, the last lines of the logs, their paths."""
    paths = entry.paths
    with contextlib.suppress(RecordError):
        trace = files.read_text(paths.error)
        yield from [f"\n{trace.strip()}"] if trace else []
    logs = {path: tail(path, TAIL_LINES) for path in (paths.stdout, paths.stderr)}
    for path, text in logs.items():
        if text and not (paths.error.exists() and path == paths.stderr):
            yield f"\nLast lines of {path.name}:\n{text}"
    yield "\nIts logs:\n" + "\n".join(f"  {path}" for path in logs)
