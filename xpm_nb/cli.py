"""The command ``xpm-nb``: a demo to begin with, and a plain listing of a workspace.

What only the demo needs (nbclient, nbconvert, JupyterLab) comes with the extras ``lab`` and
``examples`` and is imported when it is used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from xpm_nb.core.states import JobState, TransientMode
from xpm_nb.core.views import JobView
from xpm_nb.engine.settings import workspace_root
from xpm_nb.errors import ConfigError, RecordError, XpmError
from xpm_nb.notebook import html
from xpm_nb.store import locks, records, told
from xpm_nb.store.layout import ExperimentPaths, JobPaths, Workspace

NOTEBOOK = "01_first_experiment.ipynb"
TABLE_TAG = "results"  # of the cell whose output is printed at the end
CELL_TIMEOUT_S = 600
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
NEEDED = {  # module -> what pip calls it
    "nbclient": "nbclient",
    "nbconvert": "nbconvert",
    "ipykernel": "ipykernel",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "pandas": "pandas",
}
INSTALL = "pip install 'xpm-nb[lab,examples]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; give the exit code (2: it cannot be done as asked)."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except XpmError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted; jobs that were started go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `xpm-nb ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xpm-nb", description="Run experiments from notebooks: jobs that run once."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    demo = verbs.add_parser(
        "demo",
        help="execute the first example notebook and show its results",
        description="Copy the first example notebook into a folder, execute it without a browser, "
        "and print its table of results. A second time, every job is found done.",
    )
    demo.add_argument("--dir", default="xpm-demo", help="where to (default: ./xpm-demo)")
    demo.add_argument("--lab", action="store_true", help="open the notebook in JupyterLab instead")
    demo.set_defaults(run=_demo)
    listing = verbs.add_parser("ls", help="list the experiments and jobs of a workspace")
    listing.add_argument(
        "workspace", nargs="?", help="default: $XPM_WORKSPACE, else ./xpm-workspace"
    )
    listing.set_defaults(run=_ls)
    running = verbs.add_parser(
        "run",
        help="go on with an experiment, without notebook or kernel",
        description="Start what waits in an experiment, in order, and follow it to its end; a line "
        "for each change. Exit code 1 if a job is in error then. Ctrl-C ends the following, "
        "and no job that runs.",
    )
    running.add_argument("experiment", help="its name")
    _workspace_of(running)
    running.add_argument("--slots", type=int, help="how many jobs run at once")
    running.set_defaults(run=_run)
    stopping = verbs.add_parser(
        "stop",
        help="end the process that goes on with an experiment",
        description="End the process that xp.detach(), %xpm detach or xpm-nb run started. Jobs "
        "that run go on; what waits is started by the next that opens the experiment.",
    )
    stopping.add_argument("experiment", help="its name")
    _workspace_of(stopping)
    stopping.set_defaults(run=_stop)
    return parser


def _workspace_of(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("workspace", nargs="?", help="default: $XPM_WORKSPACE, else ./xpm-workspace")


def _fail(message: str, code: int = 2) -> int:
    print(f"xpm-nb: {message}", file=sys.stderr)
    return code


# -- demo ---------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    needed = dict.fromkeys(("jupyterlab",), "jupyterlab") if options.lab else {}
    missing = [name for module, name in (NEEDED | needed).items() if find_spec(module) is None]
    if missing:
        return _fail(f"the demo needs {', '.join(missing)}: {INSTALL}")
    directory = Path(options.dir).expanduser().absolute()
    try:
        path = _copy_notebook(directory)
    except OSError as error:
        return _fail(f"cannot write {directory}: {error.strerror or error}")
    if options.lab:
        return subprocess.run(
            [sys.executable, "-m", "jupyterlab", str(path)], check=False
        ).returncode
    return _execute(path, Workspace(directory / "xpm-workspace"))


def shipped_notebook() -> bytes:
    """Give the example notebook: from the installed package, or beside it in the repository."""
    package = Path(__file__).parent
    inside = package / "notebooks" / NOTEBOOK
    return (inside if inside.exists() else package.parent / "notebooks" / NOTEBOOK).read_bytes()


def _copy_notebook(directory: Path) -> Path:
    """Put the notebook into the folder, unless one is there: it may have been edited."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NOTEBOOK
    if not path.exists():
        path.write_bytes(shipped_notebook())
    return path


def _execute(path: Path, workspace: Workspace) -> int:
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    print(f"executing {_near(path)}", flush=True)
    began = time.time()
    failure = ""
    try:
        if not asyncio.run(_run_cells(notebook, path.parent, workspace)):
            raise KeyboardInterrupt
    except CellExecutionError as error:
        failure = f"a cell failed: {error.ename}: {error.evalue}"
    except (DeadKernelError, TimeoutError) as error:
        failure = f"the kernel did not finish: {error}"
    _freeze_widgets(notebook)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    page = path.with_suffix(".html")
    page.write_text(_web_page(notebook), "utf-8")
    if not failure:
        print(f"\n{_table_of(notebook)}\n")
        print(_reuse_text(workspace, began))
    print(f"executed notebook  {_near(path)}")
    print(f"as a web page      {_near(page)}")
    print(f"jobs and results   {_near(workspace.root)}")
    if failure:
        return _fail(failure, 1)
    where = (
        ""
        if path.parent == Path.cwd() / "xpm-demo"
        else f" --dir {shlex.quote(_near(path.parent))}"
    )
    print(f"\nto play with it    {_myself()} demo --lab{where}")
    return 0


def _myself() -> str:
    """Name this command as it can be typed here."""
    called = Path(sys.argv[0])
    if called.name != "xpm-nb" or shutil.which("xpm-nb") == str(called):
        return "xpm-nb"
    return shlex.quote(_near(called.absolute()))


def _near(path: Path) -> str:
    """Write a path as short as it can be from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


async def _run_cells(notebook: Any, directory: Path, workspace: Workspace) -> bool:
    """Execute all cells in a kernel of this Python, telling how far it is; False if interrupted."""
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    cells = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    status = _Status(workspace, len(cells), time.time())

    def begin(cell: Any, cell_index: int) -> None:
        status.cell = cells.index(cell_index) + 1 if cell_index in cells else status.cell

    mine, interrupted = asyncio.current_task(), asyncio.Event()
    assert mine is not None

    def interrupt() -> None:
        interrupted.set()
        mine.cancel()

    def listen(notebook: Any) -> None:  # nbclient's own handler ends the kernel and goes on
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        kernel_manager_class=_kernel_manager(),
        resources={"metadata": {"path": str(directory)}},
        on_cell_start=begin,
        on_notebook_start=listen,
    )
    environ = {k: v for k, v in os.environ.items() if k != "XPM_NB_DETERMINISTIC"}
    environ |= {"XPM_WORKSPACE": str(workspace.root), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    telling = asyncio.create_task(status.tell())
    try:
        with tempfile.TemporaryFile("w+", errors="replace") as said:  # what the kernel has to say
            try:
                await client.async_execute(env=environ, stderr=said)
            except (DeadKernelError, asyncio.CancelledError):  # nbclient mixes them up
                if not interrupted.is_set():
                    said.seek(0)
                    print(said.read()[-2000:], file=sys.stderr)
                    raise
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError, XpmError, OSError):
            await telling
        status.end()
    return not interrupted.is_set()


def _kernel_manager() -> type:
    """Make a class of kernels that run this very Python, whatever "python3" is elsewhere."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):  # type: ignore[misc, unused-ignore]
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name=kernel_name, language="python")

    class Manager(AsyncKernelManager):  # type: ignore[misc, unused-ignore]
        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            return ThisPython(parent=self)

    return Manager


class _Status:
    """One line that says which cell runs and how the jobs are, rewritten on a terminal."""

    def __init__(self, workspace: Workspace, cells: int, began: float) -> None:
        self.cell = 0
        self._began = began
        self._workspace = workspace
        self._cells = cells
        self._said = ""
        self._rewrite = sys.stdout.isatty()

    async def tell(self) -> None:
        while True:
            self._say(self._text())
            await asyncio.sleep(0.3 if self._rewrite else 1.0)

    def end(self) -> None:
        self._say(self._text())
        if self._rewrite:
            print(flush=True)

    def _text(self) -> str:
        jobs = [job.state for job in _jobs_since(self._workspace, self._began)]
        counts = {state.value: jobs.count(state) for state in JobState}
        told = f"; {html.plural(len(jobs), 'job')}: {html.counts_text(counts)}" if jobs else ""
        if not self.cell:
            return "  starting a kernel"
        return f"  cell {self.cell} of {self._cells}{told}"

    def _say(self, text: str) -> None:
        if text == self._said:
            return
        self._said = text
        if self._rewrite:
            width = shutil.get_terminal_size().columns
            print("\r\x1b[K" + text[: width - 1], end="", flush=True)
        else:
            print(text, flush=True)


def _freeze_widgets(notebook: Any) -> None:
    """Put the last text of each widget in its place.

    Without a kernel a notebook can only say that the widget is lost, and a page made of it would
    need the network to draw it.
    """
    stored = notebook.metadata.pop("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown = output.get("data", {}).pop(WIDGET_VIEW, None)
            if shown is not None:
                value = stored.get(shown["model_id"], {}).get("state", {}).get("value")
                if isinstance(value, str):
                    output.data["text/plain"] = value


def _web_page(notebook: Any) -> str:
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    return str(body)


def _table_of(notebook: Any) -> str:
    """Give the text of the table of results, which stands below the cell with its tag."""
    texts = [
        output.data["text/plain"]
        for cell in notebook.cells
        if TABLE_TAG in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ())
        if "text/plain" in output.get("data", {})
    ]
    return str(texts[-1]) if texts else "(the notebook has no cell tagged 'results')"


def _jobs_since(workspace: Workspace, began: float) -> list[_Row]:
    """List the jobs of the experiments that have a run from then on: those of the notebook."""
    return [
        job
        for experiment in workspace.experiments()
        if (runs := experiment.runs()) and runs[-1].path.stat().st_mtime >= began - 1.0
        for job in _latest(experiment)
    ]


def _reuse_text(workspace: Workspace, began: float) -> str:
    jobs = _jobs_since(workspace, began)
    started = sum(1 for job in jobs if (job.launched or 0.0) >= began)
    if jobs and not started:
        return f"all {html.plural(len(jobs), 'job')} reused, no process started\n"
    reused = len(jobs) - started
    return f"{html.plural(len(jobs), 'job')}: {started} started, {reused} reused\n"


# -- run, stop ----------------------------------------------------------------------------------


def _known(options: argparse.Namespace) -> ExperimentPaths:
    """Give the experiment that is named; raises `ConfigError` where there is none."""
    workspace = Workspace(workspace_root(options.workspace))
    found = workspace.experiment(options.experiment)
    if not workspace.jobs_dir.is_dir():
        raise ConfigError(_no_workspace(workspace))
    if not found.runs():
        names = [experiment.name for experiment in workspace.experiments()]
        near = difflib.get_close_matches(found.name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}"
        raise ConfigError(f"{workspace.root} has no experiment {found.name!r}: {hint}")
    return found


def _run(options: argparse.Namespace) -> int:
    from xpm_nb.engine import detached  # the engine, which listings do without

    if options.slots is not None and options.slots < 1:
        return _fail(f"--slots is a number from 1 on, not {options.slots}")
    place = _known(options)
    detached.ends_when_asked()
    with detached.finishing(place.detached) as other:
        if other is not None:
            print(f"process {other.pid} goes on with {place.name}: it is only followed here")
        starter = _call_of("run", options) if other is None else f"process {other.pid}"
        try:
            return _follow(place, options.slots, starter)
        except KeyboardInterrupt:  # before there was anything to say
            detached.let_go()
            raise


def _follow(place: ExperimentPaths, slots: int | None, starter: str) -> int:
    """Follow an experiment to its end, or to Ctrl-C: then say who starts what waits."""
    from xpm_nb.engine import detached, opening

    xp = opening.start(place.name, workspace=place.workspace, slots=slots, provenance=False)
    following = detached.Following(xp, _say)
    try:
        print(f"{place.name}: {html.counts_text(following.counts) or 'no jobs'}", flush=True)
        following.run()
    except KeyboardInterrupt:
        detached.let_go()
        counts = html.counts_text(following.counts)
        print(
            f"no longer followed: {counts}. Jobs that run go on; {starter} starts what waits",
            file=sys.stderr,
        )
        return 130
    print(f"{place.name}: {html.counts_text(following.counts)}")
    return 0 if following.good else 1


def _call_of(verb: str, options: argparse.Namespace) -> str:
    """Write a call of this command for the experiment that is named, as it can be typed here."""
    words = [verb, options.experiment, *([options.workspace] if options.workspace else [])]
    return f"{_myself()} {shlex.join(words)}"


def _say(view: JobView) -> None:
    """Print a change of a job."""
    tags = " ".join(f"{html.clean(k, 40)}={html.clean(v, 40)}" for k, v in view.tags)
    parts = (html.state_text(view.state), html.clean(view.task, 60), f"[{view.identifier[:8]}]")
    print("  {:<13} {} {}".format(*parts) + f"  {tags} {html.clean(view.message, 300)}".rstrip())
    sys.stdout.flush()


def _stop(options: argparse.Namespace) -> int:
    from xpm_nb.engine import handing

    place = _known(options).detached
    process = told.finisher(place)
    if process is None:
        print(f"no process goes on with {options.experiment} without a kernel")
        return 0
    if not handing.Detached(options.experiment, process, place.log).stop():
        return _fail(
            f"process {process.pid} was asked to end {handing.STOP_S:g} s ago, and lives: it ends "
            f"when it has done what it is at, or at once by kill -9 {process.pid}",
            1,
        )
    print(
        f"process {process.pid} was ended; jobs that run go on, and {_call_of('run', options)} "
        "starts what waits, if no kernel does"
    )
    return 0


# -- ls -----------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """What a listing says of a job: what its directory tells, no engine needed."""

    paths: JobPaths
    task: str
    tags: dict[str, Any]
    state: JobState
    why: str
    launched: float | None
    seconds: float | None
    needs: tuple[str, ...] = ()  # keys, of one that has not begun


def _row(paths: JobPaths, task: str, tags: dict[str, Any]) -> _Row:
    state, why, launched, seconds = JobState.WAITING, "", None, None
    try:
        outcome = records.read_outcome(paths)
        process = records.read_process(paths)
        times = records.read_times(paths)
    except RecordError as error:
        return _Row(paths, task, tags, JobState.ERROR, str(error), None, None)
    launched = process.started if process is not None else None
    if outcome == "done":
        state = JobState.DONE
    elif outcome is not None:
        state, why = JobState.ERROR, f"{outcome.reason.value}: {outcome.message}"
    elif paths.lock.exists() and locks.held(paths):
        state = JobState.RUNNING
    if outcome is not None and times.started is not None and times.ended is not None:
        seconds = max(0.0, times.ended - times.started)
    return _Row(paths, task, tags, state, why, launched, seconds)


def _latest(experiment: ExperimentPaths) -> list[_Row]:
    """List the jobs of an experiment's last run that submitted any, each once."""
    for run in reversed(experiment.runs()):
        lines = {line.job: line for line in records.read_run_jobs(run)}
        if lines:
            workspace = Workspace(experiment.workspace)
            rows: dict[str, _Row] = {}
            spare = set()
            for job, line in lines.items():  # what a job needs was submitted before it
                row = _row(workspace.job_at(job), line.task, dict(line.tags))
                rows[row.paths.key] = _judged(row, rows)
                if records.transient_mode(line) is not TransientMode.NONE:
                    spare.add(row.paths.key)
            return _with_left_out(list(rows.values()), spare)
    return []


def _judged(row: _Row, known: Mapping[str, _Row]) -> _Row:
    """Say what a job that has not begun waits for: a slot, other jobs, or nothing any more."""
    if row.state is not JobState.WAITING:
        return row
    try:
        record = records.read_job(row.paths)
    except RecordError as error:
        return row._replace(state=JobState.ERROR, why=str(error))
    row = row._replace(needs=() if record is None else tuple(record.dependencies))
    needs = [known[key] for key in row.needs if key in known]
    bad = next((need for need in needs if need.state is JobState.ERROR), None)
    if bad is not None:
        short = html.short(bad.paths.identifier)
        return row._replace(state=JobState.ERROR, why=f"dependency: needs {bad.task} {short}")
    ready = all(need.state is JobState.DONE for need in needs)
    return row._replace(state=JobState.READY) if ready else row


def _with_left_out(rows: Sequence[_Row], spare: Collection[str]) -> list[_Row]:
    """Say which of the jobs that may be left out are: nothing that has not begun needs them."""
    found, needed = [], set[str]()
    for row in reversed(rows):
        begins = row.state in (JobState.WAITING, JobState.READY)
        if begins and row.paths.key in spare and row.paths.key not in needed:
            row = row._replace(state=JobState.UNSCHEDULED)
        elif begins:
            needed.update(row.needs)
        found.append(row)
    return found[::-1]


def _ls(options: argparse.Namespace) -> int:
    workspace = Workspace(workspace_root(options.workspace))
    if not workspace.jobs_dir.is_dir():
        return _fail(_no_workspace(workspace))
    print(f"workspace {workspace.root}")
    seen: set[JobPaths] = set()
    for experiment in workspace.experiments():
        rows = _latest(experiment)
        seen.update(row.paths for row in rows)
        runs = html.plural(len(experiment.runs()), "run")
        print(f"\n{experiment.name}: {runs}, {_jobs_text(rows)}")
        for line in _lines(rows):
            print(line)
    others = [_other(paths) for paths in workspace.jobs() if paths not in seen]
    if others:
        print(f"\nin no experiment's latest run: {_jobs_text(others)}")
        for line in _lines(others):
            print(line)
    return 0


def _no_workspace(workspace: Workspace) -> str:
    return f"there is no workspace in {workspace.root}"


def _other(paths: JobPaths) -> _Row:
    with contextlib.suppress(RecordError):
        record = records.read_job(paths)
        if record is not None:
            return _row(paths, record.task, dict(record.tags))
    return _row(paths, paths.type_name.rpartition(".")[2], {})


def _jobs_text(rows: Sequence[_Row]) -> str:
    counts = {state.value: 0 for state in JobState}
    for row in rows:
        counts[row.state.value] += 1
    told = html.counts_text(counts)
    return html.plural(len(rows), "job") + (f" ({told})" if told else "")


def _lines(rows: Sequence[_Row]) -> Iterator[str]:
    width = max((len(row.task) for row in rows), default=0)
    for row in rows:
        tags = " ".join(f"{html.clean(k, 40)}={html.clean(v, 40)}" for k, v in row.tags.items())
        time_text = "" if row.seconds is None else html.duration_text(row.seconds)
        mark = html.state_text(row.state)
        task = html.clean(row.task, 60)
        parts = f"  {mark:<13} {task:<{width}} [{row.paths.identifier[:8]}] {time_text:>12}  {tags}"
        yield parts.rstrip()
        if row.why:
            yield "      " + html.clean(row.why, 300)


if __name__ == "__main__":
    sys.exit(main())
