"""``%xpm``, and what the engine and the core are told about the cells of this session.

`install` is called once a session, by the package's ``__init__`` as soon as something is used in
IPython, or by ``%load_ext xpm_nb``; it starts nothing. Each verb parses its words and makes one
call; what the call gives is the value of the magic, so ``rows = %xpm jobs`` works and the cell
displays it.
"""

from __future__ import annotations

import difflib
import inspect
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from xpm_nb.core.states import JobState
from xpm_nb.core.views import JobView
from xpm_nb.engine import callbacks, experiment
from xpm_nb.engine.settings import Settings
from xpm_nb.errors import XpmError
from xpm_nb.notebook import bridge, html

LOG_LINES = 40
_EXPERIMENT = ("xpm_nb.engine.experiment", "Experiment")


# -- cells --------------------------------------------------------------------------------------


class Cells(Mapping[str, int]):
    """The cells of this session: for the file name of a cell's code, its last execution's number.

    ipykernel names a cell's file by a hash of its text and of the process, IPython by text and
    number: the shell's compiler knows which is which in both.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._known: Mapping[str, int] = shell.compile._filename_map
        self._nested: dict[str, int] = {}  # what a cell magic runs has a file name of its own
        self._ids: dict[int, str] = {}  # execution number -> the front-end's id of the cell

    def __getitem__(self, filename: str) -> int:
        number = self._nested.get(filename)
        return self._known[filename] if number is None else number

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def now(self) -> int:
        """The number of the latest cell, which is the one that runs if one does.

        The shell's own counter does not tell: it is raised after a cell up to IPython 8, before it
        from 9 on.
        """
        return len(self.shell.history_manager.input_hist_raw) - 1

    def before(self, info: Any) -> None:
        """Take note of the cell that is about to run (IPython's event ``pre_run_cell``)."""
        if not info.store_history:  # a magic such as %%capture runs the rest of its cell
            self._nested[self._filename(info)] = self.now
            return
        if self._nested:
            self._nested.pop(self._filename(info), None)
        if getattr(info, "cell_id", None):  # None in headless runs
            self._ids[self.now + 1] = info.cell_id

    def _filename(self, info: Any) -> str:
        text = getattr(info, "transformed_cell", None) or info.raw_cell
        return str(
            self.shell.compile.get_code_name(info.raw_cell, text, self.shell.execution_count)
        )

    def place(self, filename: str, lineno: int) -> str:
        """Write a place in words: ``In[7], line 2``."""
        number = self.get(filename)
        return f"{filename}:{lineno}" if number is None else f"In[{number}], line {lineno}"

    def cell_of(self, filename: str) -> tuple[str, int]:
        """Give what stays the same when a cell is run again, and the number of this execution."""
        number = self.get(filename)
        cell_id = None if number is None else self._ids.get(number)
        return cell_id or filename, self.now

    def executed(self) -> list[tuple[int, str]]:
        """Give number and text of all cells that were executed, as they were typed."""
        texts: Sequence[str] = self.shell.history_manager.input_hist_raw
        return [(number, text) for number, text in enumerate(texts) if number and text.strip()]


_cells: Cells | None = None


def cells() -> Cells | None:
    """Give the cells of this session, None outside IPython."""
    return _cells


def notebook_name() -> str:
    """Name the notebook if anything says so: a variable, VS Code, Jupyter's server; else empty."""
    shell = get_ipython()  # type: ignore[no-untyped-call, unused-ignore]
    known = shell.user_ns if shell is not None else {}
    return str(
        os.environ.get("XPM_NOTEBOOK")
        or known.get("__vsc_ipynb_file__")
        or os.environ.get("JPY_SESSION_NAME")
        or ""
    )


# -- coming and going ---------------------------------------------------------------------------


def install(shell: Any) -> None:
    """Tell core and engine about the cells of a session, and IPython how to draw an experiment.

    Calling it again changes nothing.
    """
    global _cells
    if _cells is not None and _cells.shell is shell:
        return
    _cells = Cells(shell)
    shell.events.register("pre_run_cell", _cells.before)
    callbacks.fill(_cells.cell_of)
    experiment.cells_source = _cells.executed
    experiment.on_wait = bridge.watch
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_EXPERIMENT, bridge.show)
    Settings.instance(parent=shell) if not Settings.initialized() else None


def load(shell: Any) -> None:
    """Do what ``%load_ext xpm_nb`` asks for: `install`, and the magic ``%xpm``."""
    install(shell)
    shell.register_magics(XpmMagics)


def unload(shell: Any) -> None:
    """Take back what `load` did. Nothing that runs is stopped."""
    global _cells
    if _cells is not None:
        shell.events.unregister("pre_run_cell", _cells.before)
        _cells = None
    callbacks.fill(None)
    experiment.cells_source = None
    experiment.on_wait = None
    shell.display_formatter.ipython_display_formatter.pop(".".join(_EXPERIMENT), None)
    shell.magics_manager.magics["line"].pop("xpm", None)


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


def _find(prefix: str) -> Any:
    """Find a job of the current experiment by the first digits of its identifier."""
    jobs = list(_current().jobs)
    found = [job for job in jobs if job.identifier.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(job.identifier[: len(prefix) + 4] for job in found[:6])
        raise UsageError(f"{prefix} stands for {len(found)} jobs: {names}")
    near = difflib.get_close_matches(prefix, [job.identifier[: len(prefix)] for job in jobs], 1, 0)
    hint = next((job for job in jobs if near and job.identifier.startswith(near[0])), None)
    more = f"; did you mean {hint.identifier[:8]} ({hint.view().task})?" if hint else ""
    raise UsageError(f"no job of {_current().name!r} begins with {prefix!r}{more}")


def _parse(verb: Any, line: str) -> Any:
    """Parse the words after a verb; IPython's own splitting would leave quotes in."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error}: {line}") from None
    return verb.parser.parse_args(words)


@magics_class
class XpmMagics(Magics):
    """The magic ``%xpm``."""

    @line_magic
    def xpm(self, line: str) -> Any:
        """Run experiments: ``%xpm VERB …``; ``%xpm help VERB`` tells more.

        ::

            %xpm start NAME [--workspace DIR] [--slots N]   open an experiment, or open it again
            %xpm status                                     the current experiment
            %xpm jobs [--state STATE]                       its jobs
            %xpm wait [--timeout S]                         wait until they have ended
            %xpm log ID [-n LINES]                          the end of a job's output
            %xpm cancel ID                                  end a job
            %xpm help [VERB]                                this, or what a verb takes

        ID stands for the first digits of a job's identifier. Each verb gives its object:
        ``rows = %xpm jobs``.
        """
        words = line.strip()
        verb, _, rest = words.partition(" ")
        if not verb:
            return self.help("")
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
    @argument("--slots", "-s", type=int, help="how many local jobs run at once")
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
    @argument("--timeout", type=float, metavar="S", help="seconds, at most")
    def wait(self, line: str) -> Any:
        """Wait until all jobs of the current experiment have ended. Interrupting ends no job."""
        given = _parse(self.wait, line)
        current = _current()
        current.wait(timeout_s=given.timeout)
        return current

    @magic_arguments("xpm log")
    @argument("id", help="first digits of the job's identifier")
    @argument("-n", type=int, default=LOG_LINES, help=f"how many lines (default {LOG_LINES})")
    def log(self, line: str) -> Page:
        """Show the end of a job's output."""
        given = _parse(self.log, line)
        return Page(_find(given.id).log(n=given.n))

    @magic_arguments("xpm cancel")
    @argument("id", help="first digits of the job's identifier")
    def cancel(self, line: str) -> Any:
        """Ask a job to end; what depends on it will not run."""
        job = _find(_parse(self.cancel, line).id)
        job.cancel()
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
        return Page(method.parser.format_help())  # type: ignore[attr-defined]


VERBS = ("start", "status", "jobs", "wait", "log", "cancel", "help")
