"""``%xpm``, and what the engine and the core are told about the cells of this session.

`install` is called once a session, by the package's ``__init__`` as soon as something is used in
IPython, or by ``%load_ext xpm_nb``; it starts nothing. Each verb parses its words and makes one
call; what the call gives is the value of the magic, so ``rows = %xpm jobs`` works and the cell
displays it.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import callbacks, experiment
from xpm_nb.engine.settings import Settings
from xpm_nb.errors import XpmError
from xpm_nb.notebook import bridge, capture, html
from xpm_nb.notebook.history import Cells, executed_cells

LOG_LINES = 40
_EXPERIMENT = ("xpm_nb.engine.experiment", "Experiment")


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
    experiment.cells_source = _cells.executed
    experiment.executed_cells = partial(executed_cells, shell)
    experiment.notebook_name = notebook_name
    experiment.on_wait = bridge.watch
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_EXPERIMENT, bridge.show)
    if not Settings.initialized():  # with the shell as parent, it reads IPython's configuration
        Settings.instance(parent=shell)


def load_ipython_extension(shell: Any) -> None:
    """Do what ``%load_ext xpm_nb`` asks for: `install`, and the magic ``%xpm``."""
    install(shell)
    shell.register_magics(XpmMagics)
    if complete not in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.append(complete)


def unload_ipython_extension(shell: Any) -> None:
    """Take back what `load_ipython_extension` did. Nothing that runs is stopped."""
    global _cells
    if _cells is not None:
        shell.events.unregister("pre_run_cell", _cells.before)
        _cells = None
    callbacks.fill(None)
    experiment.cells_source = experiment.executed_cells = None
    experiment.notebook_name = experiment.on_wait = None
    shell.display_formatter.ipython_display_formatter.pop(".".join(_EXPERIMENT), None)
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


class JobRows(tuple[Any, ...]):
    """Some jobs, displayed as a table."""

    __slots__ = ()

    def _views(self) -> list[JobView]:
        return [job.view() for job in self]

    def __repr__(self) -> str:
        return html.jobs_text(self._views())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        views, stable = self._views(), bridge.deterministic()
        return {
            "text/plain": html.jobs_text(views),
            "text/html": html.jobs_html(views, stable=stable),
        }


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
        usage = " ".join(verb.parser.format_usage().split()).removeprefix(":: ")
        raise UsageError(f"{error}; usage: {usage}") from None


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


@magics_class
class XpmMagics(Magics):
    """The magic ``%xpm``."""

    @line_cell_magic
    def xpm(self, line: str, cell: str | None = None) -> Any:
        """Run experiments: ``%xpm VERB …``; ``%xpm help VERB`` tells more.

        ::

            %xpm start NAME [--workspace DIR] [--slots N]   open an experiment, or open it again
            %xpm status                                     the current experiment
            %xpm jobs [--state STATE]                       its jobs
            %xpm wait [--timeout S]                         wait until they have ended
            %xpm log ID [-n LINES]                          the end of a job's output
            %xpm cancel ID                                  end a job
            %xpm retry ID                                   run a job again that ended in error
            %xpm help [VERB]                                this, or what a verb takes

        ID stands for the first digits of a job's identifier. Each verb gives its object:
        ``rows = %xpm jobs``.
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
        return experiment.start(given.name, workspace=given.workspace, slots=given.slots)

    @magic_arguments("xpm status")
    def status(self, line: str) -> Any:
        """Show the current experiment with its jobs."""
        _parse(self.status, line)
        return _current()

    @magic_arguments("xpm jobs")
    @argument("--state", choices=[state.value for state in JobState], help="only those")
    def jobs(self, line: str) -> JobRows:
        """List the jobs of the current experiment."""
        given = _parse(self.jobs, line)
        wanted = None if given.state is None else JobState(given.state)
        jobs = _current().jobs
        return JobRows(job for job in jobs if wanted is None or job.state is wanted)

    @magic_arguments("xpm wait")
    @argument("--timeout", type=_seconds, metavar="S", help="seconds, at most")
    def wait(self, line: str) -> Any:
        """Wait until all jobs of the current experiment have ended. Interrupting ends no job."""
        given = _parse(self.wait, line)
        current = _current()
        current.wait(timeout_s=given.timeout)
        return current

    @magic_arguments("xpm log")
    @argument("id", help="first digits of the job's identifier")
    @argument("-n", type=_count, default=LOG_LINES, help=f"how many lines (default {LOG_LINES})")
    def log(self, line: str) -> Page:
        """Show the end of a job's output."""
        given = _parse(self.log, line)
        return Page(_current()[given.id].log(n=given.n))

    @magic_arguments("xpm cancel")
    @argument("id", help="first digits of the job's identifier")
    def cancel(self, line: str) -> Any:
        """Ask a job to end; what depends on it will not run."""
        job = _current()[_parse(self.cancel, line).id]
        job.cancel()
        return job

    @magic_arguments("xpm retry")
    @argument("id", help="first digits of the job's identifier")
    def retry(self, line: str) -> Any:
        """Run a job again that ended in error, with what it needs."""
        job = _current()[_parse(self.retry, line).id]
        job.retry()
        return job

    @magic_arguments("xpm help")
    @argument("verb", nargs="?", help="tell what this verb takes")
    def help(self, line: str) -> Page:
        """Tell what the verbs are, or what one of them takes."""
        verb = _parse(self.help, line).verb
        if verb is None:
            text = inspect.cleandoc(XpmMagics.xpm.__doc__ or "")
            return Page(text.replace("\n::\n", "").replace("``", ""))
        method = self._verb(verb)
        usage: str = method.parser.format_help()  # type: ignore[attr-defined]
        return Page(usage.removeprefix("::\n\n").strip())


VERBS = ("start", "status", "jobs", "wait", "log", "cancel", "retry", "help")
_ASK = ("-h", "--help", "?")


@context_matcher(identifier="xpm.magic")
def complete(context: CompletionContext) -> dict[str, Any]:
    """Complete what stands after ``%xpm``: verbs, identifiers, states."""
    before = context.line_with_cursor[: context.cursor_position]
    head, found, rest = before.rpartition("%xpm ")
    if not found or head.strip()[-1:] not in ("", "="):
        return {"completions": [], "suppress": False}
    words = [*rest.split(), *([""] if not rest or rest[-1].isspace() else [])]
    options = _options(words) if len(words) > 1 else VERBS
    return {
        "completions": [
            SimpleCompletion(option, type="param")
            for option in options
            if option.startswith(words[-1])
        ],
        "suppress": True,
    }


def _options(words: list[str]) -> list[str] | tuple[str, ...]:
    if words[0] == "help":
        return VERBS
    if words[0] == "jobs" and words[-2] == "--state":
        return [state.value for state in JobState]
    current = experiment.current()
    if words[0] in ("log", "cancel", "retry") and current is not None:
        return [job.identifier[:8] for job in current.jobs]
    return []
