"""``%xpm``, and what the engine and the core are told about the cells of this session.

`install` is called once a session, by the package's ``__init__`` as soon as something is used in
IPython, or by ``%load_ext xpm_nb``; it starts nothing. Each verb parses its words and makes one
call; what the call gives is the value of the magic, so ``rows = %xpm jobs`` works and the cell
displays it.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import inspect
import os
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from xpm_nb.core import config as configs
from xpm_nb.core import drawing
from xpm_nb.core.freshness import Stale
from xpm_nb.core.states import JobState
from xpm_nb.core.views import GraphView, JobView
from xpm_nb.engine import callbacks, experiment, host, offers, opening, rehearsal, waiting
from xpm_nb.engine.job import Job
from xpm_nb.engine.jobs import Jobs
from xpm_nb.engine.settings import Settings, workspace_root
from xpm_nb.errors import ConfigError, XpmError
from xpm_nb.notebook import bridge, capture, completion, html
from xpm_nb.notebook.history import Cells, executed_cells
from xpm_nb.store.layout import Workspace

LOG_LINES = 40


# -- the cells of this session -------------------------------------------------------------------

_cells: Cells | None = None


def place(filename: str, lineno: int) -> str:
    """Write a place in words, a cell by its number; stands behind the core's door `place`."""
    shell = get_ipython()
    known = Cells(shell) if _cells is None and shell is not None else _cells
    return f"{filename}:{lineno}" if known is None else known.place(filename, lineno)


def notebook_name() -> str:
    """Name the notebook if anything says so: a variable, VS Code, Jupyter's server; else empty."""
    shell = get_ipython()
    known = shell.user_ns if shell is not None else {}
    return str(
        os.environ.get("XPM_NOTEBOOK")
        or known.get("__vsc_ipynb_file__")
        or os.environ.get("JPY_SESSION_NAME")
        or ""
    )


# -- coming and going --------------------------------------------------------------------------


def install(shell: Any) -> None:
    """Tell core and engine about the cells of a session, and IPython how to draw an experiment.

    Calling it again changes nothing.
    """
    global _cells
    if _cells is not None and _cells.shell is shell:
        return
    _cells = Cells(shell)
    shell.events.register("pre_run_cell", _cells.before)
    callbacks.fill(_cells.cell_of, capture.capturing)
    host.cells_source = _cells.executed
    host.executed_cells = partial(executed_cells, shell)
    host.notebook_name = notebook_name
    host.on_wait = bridge.watch
    rehearsal.opens_pdb = True
    waiting.while_waiting = bridge.calm
    bridge.install(shell)
    if not Settings.initialized():  # with the shell as parent, it reads IPython's configuration
        Settings.instance(parent=shell)


def load_ipython_extension(shell: Any) -> None:
    """Do what ``%load_ext xpm_nb`` asks for: `install`, and the magic ``%xpm``."""
    install(shell)
    shell.register_magics(XpmMagics)
    if complete not in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.append(complete)
    if experiment.current() is None and not bridge.deterministic():
        for line in offers.offers(Workspace(workspace_root()), notebook_name()):
            print(line)  # noqa: T201 - a line of the cell that asked for it


def unload_ipython_extension(shell: Any) -> None:
    """Take back what `load_ipython_extension` did. Nothing that runs is stopped."""
    global _cells
    if _cells is not None:
        shell.events.unregister("pre_run_cell", _cells.before)
        _cells = None
    callbacks.fill(None)
    host.cells_source = host.executed_cells = None
    host.notebook_name = host.on_wait = None
    rehearsal.opens_pdb = False
    waiting.while_waiting = contextlib.nullcontext
    bridge.uninstall(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("xpm", None)
    if complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete)


# -- what verbs give ----------------------------------------------------------------------------


class Page(str):
    """A text that is displayed as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return html.clean_log(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": html.log_html(self)}


class Help(Page):
    """A text that is read from its beginning."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": html.text_html(self)}


class Graph:
    """What needs what in an experiment, drawn as it is when it is displayed."""

    def __init__(self, experiment: Any, by: str = "auto") -> None:
        self._experiment, self._by = experiment, by

    def view(self) -> GraphView:
        """Lay it out."""
        return drawing.graph(self._experiment.view().jobs, by=self._by)

    def __repr__(self) -> str:
        return html.graph_text(self.view())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return bridge.render(self)


# -- the magic ----------------------------------------------------------------------------------


def _current() -> Any:
    """Give the current experiment."""
    found = experiment.current()
    if found is None:
        raise UsageError("no experiment is open: %xpm start NAME")
    return found


def _parse(verb: Any, line: str) -> Any:
    """Parse the words after a verb; IPython's own splitting would leave quotes in."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: {line}") from None
    try:
        return verb.parser.parse_args(words)
    except UsageError as error:
        raise UsageError(f"{error}; usage: {_usage(verb)}") from None


def _usage(verb: Any) -> str:
    return " ".join(verb.parser.format_usage().split()).removeprefix(":: ")


def _count(text: str) -> int:
    """Read a whole number from 1 on (argparse shows what it raises)."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return number


def _seconds(text: str) -> float:
    """Read a number of seconds from 0 on."""
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number


def _state(text: str) -> JobState:
    """Read a state."""
    return JobState(_one_of("state", text, [state.value for state in JobState]))


def _one_of(kind: str, text: str, known: Sequence[str]) -> str:
    """Give a word that is known; of another one, say what was meant perhaps."""
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known[:12]) or 'none'}"
    raise UsageError(f"no {kind} is called {text!r}: {hint}")


def _job(current: Any, text: str) -> Job:
    """Give a job by the first digits of its identifier, or by its name in ``xp.jobs``."""
    if "_" in text:
        try:
            found = getattr(current.jobs, text)
        except AttributeError as error:
            raise ConfigError(str(error)) from None
        if isinstance(found, Job):
            return found
    job: Job = current[text]
    return job


def _select(
    current: Any,
    state: JobState | None = None,
    task: str | None = None,
    tags: Iterable[str] = (),
) -> Jobs:
    """Give the jobs in a state, of a task, with certain tags."""
    jobs: Jobs = current.jobs
    views = [job.view() for job in jobs]
    if task is not None:
        _one_of("task", task, completion.tasks(views))
    wanted = [_tag(text, views) for text in tags]
    return Jobs(
        job
        for job, view in zip(jobs, views, strict=True)
        if (state is None or view.state is state)
        and (task is None or view.task == task)
        and all(tag in view.tags for tag in wanted)
    )


def _tag(text: str, views: Sequence[JobView]) -> tuple[str, str]:
    """Read ``name=value``, of which there must be a job."""
    name, equals, value = text.partition("=")
    known = completion.tags(views)
    _one_of("tag", name, list(dict.fromkeys(name for name, _ in known)))
    if not equals:
        raise UsageError(f"--tag {name}: write {name}=VALUE")
    return name, _one_of(f"value of {name}", value, [v for n, v in known if n == name])


# What a verb that acts takes, and on which jobs it acts where they are not named one by one.
_IDS = argument("ids", nargs="*", metavar="ID", help="first digits of identifiers")
_ALL = argument("--all", action="store_true", help="all jobs of this experiment")
_STATE = argument("--state", type=_state, metavar="STATE", help="only jobs in this state")
_TASK = argument("--task", metavar="TASK", help="only jobs of this task")
_TAG = argument(
    "--tag", action="append", default=[], metavar="NAME=VALUE", help="only jobs with this tag"
)


def _act(verb: Any, line: str, fits: Callable[[JobState], bool]) -> Any:
    """Do what a verb says to the jobs that a line names; give the job, or the jobs if many may be.

    Of jobs that are not named one by one, those that fit are taken.
    """
    given = _parse(verb, line)
    current = _current()
    name = verb.__name__
    chosen = given.all or given.state is not None or given.task is not None
    if bool(given.ids) == bool(chosen):
        raise UsageError(f"give identifiers, or --all, --state or --task; usage: {_usage(verb)}")
    if given.ids:
        jobs = Jobs(dict.fromkeys(_job(current, text) for text in given.ids))
        if len(given.ids) == 1:  # of one, the job itself says what is in the way
            getattr(jobs[0], name)()
            return jobs[0]
    else:
        found = _select(current, given.state, given.task)
        jobs = Jobs(job for job in found if fits(job.state))
    if jobs:  # with none, the engine would take all
        getattr(current, name)(*jobs)
    return jobs


@magics_class
class XpmMagics(Magics):
    """The magic ``%xpm``."""

    @line_cell_magic
    def xpm(self, line: str, cell: str | None = None) -> Any:
        """Run experiments: %xpm VERB …; %xpm help VERB tells more.

            %xpm start NAME [--workspace DIR] [--slots N]   open an experiment, or open it again
            %xpm status                                     the current experiment
            %xpm plan [TASK…]                               what would become of tasks, or becomes
            %xpm jobs [--state S] [--task T] [--tag N=V]    its jobs
            %xpm graph [--by job|task]                      what needs what
            %xpm table [METRIC…] [--over TAG] [--task T]    its results
            %xpm diff A B                                   where two jobs differ
            %xpm wait [--timeout S]                         wait until they have ended
            %xpm detach                                     have them go on without this kernel
            %xpm log ID [-n LINES]                          the end of a job's output
            %xpm source ID [--insert]                       the code that a job ran
            %xpm export DIR                                 write its tasks as a package
            %xpm why ID|TASK                                why a result is reused, or why not
            %xpm stale                                      results that other code made
            %xpm keep ID… [--reason TEXT]                   accept results for the present code
            %xpm debug ID                                   pdb at the failure of a job
            %xpm cancel ID…                                 end jobs
            %xpm retry ID…                                  run jobs again that ended in error
            %xpm rerun ID…                                  run jobs again, also those that are done
            %xpm gc [--failed] [--older-than AGE] [--yes]   what nobody needs; --yes deletes it
            %xpm help [VERB]                                this, or what a verb takes

        ID stands for the first digits of a job's identifier; instead of it, the verbs that act on
        jobs take --all, --state STATE and --task TASK. Each verb gives its object:
        rows = %xpm jobs.
        """
        if cell is not None:
            raise UsageError("%%xpm takes no cell: write %xpm VERB on a line of its own")
        words = line.strip().rstrip(";")
        verb, _, rest = words.partition(" ")
        if not verb or verb in _ASK:
            return self.help("")
        if rest.strip() in _ASK:
            return self.help(verb)
        try:
            return self._verb(verb)(rest)
        except XpmError as error:
            raise UsageError(str(error)) from error

    def _verb(self, verb: str) -> Callable[[str], Any]:
        if verb in VERBS:
            found: Callable[[str], Any] = getattr(self, verb)
            return found
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        raise UsageError(f"%xpm has no verb {verb!r}: {hint}")

    @magic_arguments("xpm start")
    @argument("name", help="name of the experiment")
    @argument("--workspace", "-w", help="directory of all jobs")
    @argument("--slots", "-s", type=_count, help="how many local jobs run at once")
    def start(self, line: str) -> Any:
        """Open an experiment, or open it again: from now on, submitted tasks go to it."""
        given = _parse(self.start, line)
        return opening.start(given.name, workspace=given.workspace, slots=given.slots)

    @magic_arguments("xpm status")
    def status(self, line: str) -> Any:
        """Show the current experiment with its jobs."""
        _parse(self.status, line)
        return _current()

    @magic_arguments("xpm plan")
    @argument("tasks", nargs="*", metavar="TASK", help="variables with tasks, or lists of them")
    def plan(self, line: str) -> Any:
        """Tell what would become of tasks if they were submitted; of this run's jobs by default."""
        given = _parse(self.plan, line)
        return _current().plan(*(self._variable(name) for name in given.tasks))

    @magic_arguments("xpm jobs")
    @_STATE
    @_TASK
    @_TAG
    def jobs(self, line: str) -> Jobs:
        """List the jobs of the current experiment."""
        given = _parse(self.jobs, line)
        return _select(_current(), given.state, given.task, given.tag)

    @magic_arguments("xpm graph")
    @argument("--by", choices=("job", "task"), default="auto", help="a box for each job, or task")
    def graph(self, line: str) -> Graph:
        """Draw what needs what; many jobs are drawn by task."""
        given = _parse(self.graph, line)
        return Graph(_current(), given.by)

    @magic_arguments("xpm table")
    @argument("metrics", nargs="*", metavar="METRIC", help="which figures; by default all")
    @argument("--over", action="append", metavar="TAG", help="one row for all values of this tag")
    @_TASK
    def table(self, line: str) -> Any:
        """Show the results; the rows of jobs that run fill in by themselves."""
        given = _parse(self.table, line)
        current = _current()
        views = [job.view() for job in current.jobs]
        if given.task is not None:
            _one_of("task", given.task, completion.tasks(views))
        for name in given.over or ():
            _one_of("tag", name, list(dict.fromkeys(name for name, _ in completion.tags(views))))
        return current.table(*given.metrics, task=given.task, over=given.over)

    @magic_arguments("xpm diff")
    @argument("a", metavar="A", help="first digits of an identifier, or a variable with a config")
    @argument("b", metavar="B", help="the same")
    def diff(self, line: str) -> Any:
        """Show where two jobs, tasks or configs differ in their parameters."""
        given = _parse(self.diff, line)
        current = _current()
        return current.diff(*(self._job_or_config(current, text) for text in (given.a, given.b)))

    @magic_arguments("xpm wait")
    @argument("--timeout", type=_seconds, metavar="S", help="seconds, at most")
    def wait(self, line: str) -> Any:
        """Wait until all jobs of the current experiment have ended. Interrupting ends no job."""
        given = _parse(self.wait, line)
        current = _current()
        current.wait(timeout_s=given.timeout)
        return current

    @magic_arguments("xpm detach")
    def detach(self, line: str) -> Page:
        """Have a process of its own start what waits, so that this kernel may end."""
        _parse(self.detach, line)
        return Page(_current().detach())

    @magic_arguments("xpm log")
    @argument("id", help="first digits of the job's identifier")
    @argument("-n", type=_count, default=LOG_LINES, help=f"how many lines (default {LOG_LINES})")
    def log(self, line: str) -> Page:
        """Show the end of a job's output."""
        given = _parse(self.log, line)
        return Page(_job(_current(), given.id).log(n=given.n))

    @magic_arguments("xpm source")
    @argument("id", help="first digits of the job's identifier")
    @argument("--insert", action="store_true", help="put it into a new cell below, too")
    def source(self, line: str) -> Any:
        """Show the code that a job ran, and what has changed in the cells since."""
        given = _parse(self.source, line)
        found = _job(_current(), given.id).source()
        if given.insert and self.shell is not None:
            self.shell.set_next_input(found.cell)
            return None
        return found

    @magic_arguments("xpm export")
    @argument("directory", metavar="DIR", help="where to; made if it is not there")
    def export(self, line: str) -> Any:
        """Write the tasks of this kernel as a package, with a run.py that submits them."""
        given = _parse(self.export, line)
        return _current().export(given.directory)

    @magic_arguments("xpm debug")
    @argument("id", help="first digits of the job's identifier")
    def debug(self, line: str) -> None:
        """Open what a failed job kept of its frames in pdb; its values are texts."""
        _job(_current(), _parse(self.debug, line).id).debug()

    @magic_arguments("xpm cancel")
    @_IDS
    @_ALL
    @_STATE
    @_TASK
    def cancel(self, line: str) -> Any:
        """Ask jobs to end; what depends on them will not run."""
        return _act(self.cancel, line, lambda state: not state.final)

    @magic_arguments("xpm retry")
    @_IDS
    @_ALL
    @_STATE
    @_TASK
    def retry(self, line: str) -> Any:
        """Run jobs again that ended in error, with what they need."""
        return _act(self.retry, line, lambda state: state is JobState.ERROR)

    @magic_arguments("xpm rerun")
    @_IDS
    @_ALL
    @_STATE
    @_TASK
    @argument("--stale", action="store_true", help="all jobs whose results are stale")
    @argument("--unknown", action="store_true", help="all of which nobody can tell if they are")
    def rerun(self, line: str) -> Any:
        """Run jobs again that are over, also those that are done; what needs them is not."""
        given = _parse(self.rerun, line)
        if not (given.stale or given.unknown):
            return _act(self.rerun, line, lambda state: state.final)
        if given.ids or given.all:
            raise UsageError("--stale and --unknown say which jobs: give no others")
        current = _current()
        chosen = set(_select(current, given.state, given.task))
        found = current.stale(unknown=given.unknown)
        unknown = Stale.UNKNOWN.value
        jobs = Jobs(
            job for job in found if job in chosen and (given.stale or job.view().stale == unknown)
        )
        if jobs:
            current.rerun(*jobs)
        if found.note:
            print(f"{found.note}, and %xpm rerun --unknown runs them again")  # noqa: T201 - the cell's
        return jobs

    @magic_arguments("xpm why")
    @argument("what", metavar="ID|TASK", help="first digits, or a variable with a task")
    def why(self, line: str) -> Any:
        """Tell why the result of a task is reused, or why not: what has changed since."""
        current = _current()
        return current.why(self._job_or_config(current, _parse(self.why, line).what))

    @magic_arguments("xpm stale")
    @argument("--unknown", action="store_true", help="also those of which nobody can tell")
    def stale(self, line: str) -> Jobs:
        """List the jobs whose results other code, defaults or inputs made than there are now."""
        found: Jobs = _current().stale(unknown=_parse(self.stale, line).unknown)
        return found

    @magic_arguments("xpm keep")
    @argument("ids", nargs="+", metavar="ID", help="first digits of identifiers")
    @argument("--reason", "-r", default="", metavar="TEXT", help="why the change does not matter")
    def keep(self, line: str) -> Any:
        """Accept results for the code, defaults and inputs that there are now."""
        given = _parse(self.keep, line)
        current = _current()
        jobs = Jobs(dict.fromkeys(_job(current, text) for text in given.ids))
        for job in jobs:
            job.keep(given.reason)
        return jobs[0] if len(jobs) == 1 else jobs

    @magic_arguments("xpm gc")
    @argument("--failed", action="store_true", help="jobs that ended in error")
    @argument("--stale", action="store_true", help="done jobs whose code has changed")
    @argument("--unreferenced", action="store_true", help="jobs that no experiment refers to")
    @argument("--orphans", action="store_true", help="what belongs to no job, and old attempts")
    @argument("--older-than", metavar="AGE", help="only what did not change for 30d, 12h, 2w")
    @argument("--yes", action="store_true", help="delete it")
    def gc(self, line: str) -> Any:
        """Show what of the workspace nobody needs, by size; --yes deletes it."""
        given = _parse(self.gc, line)
        found = _current().gc(
            failed=given.failed,
            stale=given.stale,
            unreferenced=given.unreferenced,
            orphans=given.orphans,
            older_than=given.older_than,
        )
        return found.delete() if given.yes else found

    @magic_arguments("xpm help")
    @argument("verb", nargs="?", help="tell what this verb takes")
    def help(self, line: str) -> Help:
        """Tell what the verbs are, or what one of them takes."""
        verb = _parse(self.help, line).verb
        if verb is None:
            text = inspect.cleandoc(XpmMagics.xpm.__doc__ or "")
            return Help(re.sub(r"^    (?=%xpm )", "", text, flags=re.M))
        method = self._verb(verb)
        usage: str = method.parser.format_help()  # type: ignore[attr-defined]
        return Help(usage.removeprefix("::\n\n").strip())

    def _variables(self) -> dict[str, Any]:
        return {} if self.shell is None else self.shell.user_ns

    def _variable(self, name: str) -> Any:
        """Give the value of a variable of the user's."""
        known = self._variables()
        shown = [key for key in known if not key.startswith("_")]
        return known[name] if name in known else known[_one_of("variable", name, shown)]

    def _job_or_config(self, current: Any, text: str) -> Any:
        """Give a job by its digits, name or only task; or a config by the name of a variable."""
        value = self._variables().get(text)
        try:
            return _job(current, text)
        except XpmError:
            if isinstance(value, Job) or configs.is_config(value):
                return value
            of_task = [job for job in current.jobs if job.view().task == text]
            if len(of_task) == 1:
                return of_task[0]
            if of_task:
                some = ", ".join(job.identifier[:8] for job in of_task[:5])
                more = f" and {len(of_task) - 5} more" if len(of_task) > 5 else ""
                raise ConfigError(
                    f"{current.name!r} has {len(of_task)} jobs of {text}: say which of {some}{more}"
                ) from None
            raise


VERBS = (
    *("start", "status", "plan", "jobs", "graph", "table", "diff", "wait", "log", "detach"),
    *("source", "export", "why", "stale", "keep", "cancel", "retry", "rerun", "help"),
    *("debug", "gc"),
)
_ASK = ("-h", "--help", "?")


@context_matcher(identifier="xpm.magic")
def complete(context: CompletionContext) -> dict[str, Any]:
    """Complete what stands after ``%xpm``: verbs, options, identifiers, tags, names."""
    before = context.line_with_cursor[: context.cursor_position]
    head, found, rest = before.rpartition("%xpm ")
    if not found or head.strip()[-1:] not in ("", "="):
        return {"completions": [], "suppress": False}
    words = [*rest.split(), *([""] if not rest or rest[-1].isspace() else [])]
    parsers = {verb: getattr(XpmMagics, verb).parser for verb in VERBS}
    shell = get_ipython()
    known = {} if shell is None else shell.user_ns
    offers = completion.offers(words, parsers, experiment.current(), known)
    return {
        "completions": [SimpleCompletion(offer.text, type=offer.about) for offer in offers],
        "matched_fragment": words[-1],
        "suppress": True,
        "ordered": True,
    }
