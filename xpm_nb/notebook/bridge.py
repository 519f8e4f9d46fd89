"""From the engine to the screen: the bundles of our objects, and the thread ``xpm-publisher``.

A live display is two outputs of a cell: the view of a widget, and below it its twin, a static
picture with a display id. While the view lives it hides its twin (``static/js/twin.js``); in a
saved notebook, on GitHub, in an exported page and after a restart the twin is what there is. (A
page that was loaded anew knows no display ids: its twins are of the time when it was loaded.)

Rule 1: a cell draws, the thread only brings up to date what a cell has drawn (by the display's id,
which front-ends find in whatever cell it stands). The thread prints nothing.
Rule 2: a view is taken and sent under one lock, so an older picture never replaces a newer one.
Rule 3: the last picture of a `wait` is drawn by the cell that waits. Headless runs apply updates
only while a cell runs, so nothing that matters may come after it.

With ``XPM_NB_DETERMINISTIC=1`` (for ``pytest --nbval``, which ignores updates) nothing is brought
up to date: `wait` draws one picture at its end, without times and paths, of the jobs of this run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from xpm_nb.core import config as configs
from xpm_nb.core import doors, views
from xpm_nb.core.config import Config
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop
from xpm_nb.engine.experiment import Experiment, current_namespace
from xpm_nb.errors import ConfigTypeError
from xpm_nb.notebook import html
from xpm_nb.notebook.forms import Form
from xpm_nb.notebook.live import NEVER, Live, LiveTable, Send, picture_of

PERIOD_S = 0.2  # between two looks at what changed, at least
LOG_LINES = 20
MAX_FORMS = 100  # that are alive; the first ones go, and leave their pictures
MAX_TABLES = 20

_STOPPED = "the waiting has ended, the jobs go on"

Bundle = dict[str, str]

log = logging.getLogger("xpm_nb")


def deterministic() -> bool:
    """Tell whether displays leave out what differs between two runs of one notebook."""
    return os.environ.get("XPM_NB_DETERMINISTIC") == "1"


# -- bundles ------------------------------------------------------------------------------------


def render(thing: Any) -> Bundle:
    """Give the mime bundle of a config, job, experiment or table; never raises.

    This is what stands behind the core's door `renderer`.
    """
    try:
        return _bundle(thing)
    except Exception as error:  # a border: a display that raises takes the cell's output with it
        log.exception("cannot display a %s", type(thing).__name__)
        title, message = (
            f"cannot display {type(thing).__name__}",
            f"{type(error).__name__}: {error}",
        )
        return {
            "text/plain": html.problem_text(title, message),
            "text/html": html.problem_html(title, message),
        }


def _bundle(thing: Any) -> Bundle:
    stable = deterministic()
    if configs.is_config(thing):
        return html.bundle(views.describe(thing, doors.submitter.namespace()), stable=stable)
    view = thing.view()
    if isinstance(view, views.ExperimentView):
        return html.brief(view) if stable else picture_of(thing, view.jobs)
    tail = ""
    if isinstance(view, views.JobView) and view.state in (JobState.RUNNING, JobState.ERROR):
        tail = "" if stable else thing.log(n=LOG_LINES)
    drift, framed = "", False
    if isinstance(view, views.JobView) and not stable:
        drift = str(thing.drift()) if view.state is JobState.DONE else ""
        framed = view.state is JobState.ERROR and bool(thing.frames)
    return html.bundle(view, log=tail, now=time.time(), stable=stable, drift=drift, framed=framed)


# -- where we are -------------------------------------------------------------------------------


def _shell() -> Any:
    """Give the interactive shell of this process, None if there is none."""
    from IPython.core.getipython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call, unused-ignore]


def _is_kernel(shell: Any) -> bool:
    """Tell whether a front-end shows our output; a terminal could only print each update."""
    return getattr(shell, "kernel", None) is not None


def _in_cell() -> bool:
    """Tell whether this is the thread in which cells run."""
    return threading.current_thread() is threading.main_thread()


def _send(bundle: Mapping[str, Any], display_id: str = "", *, update: bool = False) -> None:
    from IPython.display import publish_display_data

    transient = {"display_id": display_id} if display_id else None
    publish_display_data(dict(bundle), transient=transient, update=update)  # type: ignore[no-untyped-call, unused-ignore]


def _view_of(model: Any) -> dict[str, Any]:
    """Give the bundle of a widget's view, with nothing else: its static twin is the next output."""
    reference = {"version_major": 2, "version_minor": 0, "model_id": model.model_id}
    # The empty page is for those who know no widgets: they would say so instead of showing nothing.
    return {"application/vnd.jupyter.widget-view+json": reference, "text/html": ""}


# -- what stays up to date ----------------------------------------------------------------------


class _Shown(Protocol):
    """What is on the screen and stays up to date: an experiment, a config, a table."""

    display_id: str

    def answer(self) -> None:
        """Deal with the messages that came."""

    def touch(self, keys: Iterable[str] | None) -> None:
        """Take note of jobs that changed; None for any."""

    def tick(self, send: Send) -> float:
        """Send what there is to send now; give when to come again, at the latest."""
        ...


class Publisher:
    """Keeps what cells have drawn up to date, from a thread of its own."""

    def __init__(self) -> None:
        # Whoever puts together what is sent holds it. A thread may come back to it: a model that
        # is made or sent asks for its state.
        self._lock = threading.RLock()
        self._lives: dict[int, Live] = {}  # by id: an experiment lives as long as its kernel
        self._forms: list[tuple[Form, str, int]] = []  # with the cell that made it, and when
        self._tables: list[LiveTable] = []
        self._cell: tuple[int, int] | None = None  # which experiment was drawn by which cell last
        self._keys: set[str] = set()  # of jobs that changed
        self._all = False  # or any may have
        self._soon = False  # the thread is to look at them
        self._guard = threading.Lock()  # of these three
        self._asked = False  # there are messages of front-ends
        self._due = NEVER  # when something has to be looked at even if nothing happens
        self._wake = threading.Event()
        self._hears = False  # of jobs, from the loop
        self._thread: threading.Thread | None = None
        self._stopping = False

    # -- in cells -------------------------------------------------------------------------

    def live(self, experiment: Any) -> Live:
        """Give what shows an experiment, made at the first call; with its panel where there may be.

        The lock is held.
        """
        found = self._lives.get(id(experiment))
        if found is None:
            found = self._lives[id(experiment)] = Live(experiment, self._ask, self._lock)
            self._listen()  # before it looks: what changes from then on is heard
        if found.panel is None or found.panel.comm is None:
            found.open()
        return found

    def draw(self, experiment: Any, shell: Any) -> None:
        """Draw an experiment in the cell that runs, once a cell, and keep it up to date."""
        with self._lock:
            live = self.live(experiment)
            live.touch(None)
            here = (shell.execution_count, id(experiment))
            again = self._cell != here
            if again and live.panel is not None:
                _send(_view_of(live.panel))
            live.picture(partial(_send_picture, live.display_id), again=again)
            live.drawn = True
            self._cell = here
        self._start(shell)

    def settle(self, experiment: Any) -> None:
        """Bring what shows an experiment up to date now, from the cell that drew it."""
        with self._lock:
            live = self._lives[id(experiment)]
            live.settle(partial(_send_picture, live.display_id))

    def drawn(self, experiment: Any, shell: Any) -> bool:
        """Tell whether the cell that runs has drawn this experiment."""
        return self._cell == (shell.execution_count, id(experiment))

    def note(self, experiment: Any, shell: Any) -> None:
        """Take note that the cell that runs has drawn an experiment by other means."""
        self._cell = (shell.execution_count, id(experiment))

    def panel(self, experiment: Any, shell: Any) -> Any:
        """Give the panel of an experiment, kept up to date, None where there can be none."""
        with self._lock:
            panel = self.live(experiment).panel
        self._start(shell)
        return panel

    def form(self, config: Any, shell: Any) -> Form:
        """Make what shows a config; the forms that an earlier run of this cell made are closed.

        Raises
        ------
        ImportError
            Widgets cannot be made.
        """
        cell, count = _cell_id(shell), getattr(shell, "execution_count", 0)
        with self._lock:
            made = Form(config, self._ask, self._lock)
            over = [
                form for form, where, when in self._forms if cell and where == cell and when < count
            ]
            over += [form for form, _, _ in self._forms if form not in over][: -MAX_FORMS + 1]
            self._forms = [item for item in self._forms if item[0] not in over]
            self._forms.append((made, cell, count))
            for form in over:
                form.close()
        self._start(shell)
        return made

    def draw_form(self, form: Form) -> None:
        """Draw a config in the cell that runs, and keep it up to date."""
        with self._lock:
            _send(_view_of(form.widget))
            form.picture(partial(_send_picture, form.display_id), again=True)
            form.drawn = True

    def draw_table(self, table: Any, shell: Any) -> None:
        """Draw a table in the cell that runs, and keep it up to date until it is finished."""
        with self._lock:
            shown = LiveTable(table)
            shown.draw(partial(_send_picture, shown.display_id), again=True)
            self._tables = [it for it in self._tables if not it.finished][-MAX_TABLES:]
            self._tables.append(shown)
        self._start(shell)

    # -- from other threads ---------------------------------------------------------------

    def touch(self, keys: Iterable[str] | None) -> None:
        """Take note that jobs changed, None for any; from any thread, at once."""
        with self._guard:
            if keys is None:
                self._all = True
            else:
                self._keys.update(keys)
            soon, self._soon = self._soon, True
        if not soon:  # else the thread knows that it has to look soon
            self._wake.set()

    def _ask(self) -> None:
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """End the thread, as the end of the process would: what is on the screen stays as it is."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    # -- the thread -----------------------------------------------------------------------

    def _start(self, shell: Any = None) -> None:
        """Have the thread look at what is new; it may be asleep until something happens."""
        if self._thread is None and hasattr(shell, "events"):
            shell.events.register("post_run_cell", self._after_cell)
        self._listen()
        if self._thread is None or not self._thread.is_alive():  # not alive after a fork
            self._thread = threading.Thread(target=self._run, name="xpm-publisher", daemon=True)
            self._thread.start()
        self.touch(())

    def _listen(self) -> None:
        """Hear of jobs, as soon as there may be some: the first look makes the loop."""
        with self._guard:
            if self._hears or not (self._lives or current_namespace() is not None):
                return
            self._hears = True
        loop.current().subscribe(self.touch)

    def _after_cell(self, _result: Any) -> None:
        """Look at everything: not all that a cell does is told by the loop."""
        try:
            self._listen()
            self.touch(None)
        except Exception:  # a border: IPython would show it in the cell
            log.exception("the publisher cannot look after a cell")

    def _run(self) -> None:
        last = 0.0
        while not self._stopping:
            soonest = last + PERIOD_S
            wanted = soonest if self._soon else max(soonest, self._due)
            self._wake.wait(None if wanted == NEVER else max(0.0, wanted - time.monotonic()))
            self._wake.clear()
            if self._asked:
                self._asked = False
                self._each(lambda shown: shown.answer())
                self._due = 0.0
            now = time.monotonic()
            if now >= soonest and (self._soon or now >= self._due):
                last = now
                self._tick()

    def _tick(self) -> None:
        with self._guard:
            keys, self._keys = self._keys, set()
            everything, self._all, self._soon = self._all, False, False
        if everything or keys:
            self._each(lambda shown: shown.touch(None if everything else keys))
        self._due = NEVER
        for due in self._each(lambda shown: shown.tick(partial(_send_picture, shown.display_id))):
            self._due = min(self._due, due)

    def _each(self, act: Callable[[_Shown], Any]) -> list[Any]:
        """Do something with everything that is shown; one that fails does not keep the others."""
        with self._lock:
            all_of_them: list[_Shown] = [
                *self._lives.values(),
                *(form for form, _, _ in self._forms),
                *(table for table in self._tables if not table.finished),
            ]
        found = []
        for shown in all_of_them:
            try:
                with self._lock:
                    found.append(act(shown))
            except Exception:  # a border: the front-end may be gone
                log.exception("cannot bring %s up to date", shown)
        return found


def _send_picture(display_id: str, bundle: Bundle, update: bool) -> None:
    _send(bundle, display_id, update=update)


def _cell_id(shell: Any) -> str:
    """Give the front-end's name of the cell that runs, empty where it gives none."""
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    return str(((parent or {}).get("metadata") or {}).get("cellId") or "")


_publisher = Publisher()


def current() -> Publisher:
    """Give the one of this process."""
    return _publisher


def use(publisher: Publisher) -> Publisher:
    """Put another in the place of the one of this process (tests do), and give the former."""
    global _publisher
    former, _publisher = _publisher, publisher
    return former


def _after_fork() -> None:
    # The thread is not in the child, the front-end is the parent's, and so may the lock be.
    global _publisher
    _publisher = Publisher()


os.register_at_fork(after_in_child=_after_fork)


def show(experiment: Any) -> None:
    """Display an experiment that is the value of a cell; IPython calls this instead of a bundle."""
    shell = _shell()
    if _in_cell() and _publisher.drawn(experiment, shell):
        return  # by `wait()` in this very cell
    if _alive(shell):
        _publisher.draw(experiment, shell)
    else:
        _send(render(experiment))


def _alive(shell: Any) -> bool:
    """Tell whether what is displayed now can stay up to date."""
    return not deterministic() and _is_kernel(shell) and _in_cell()


def show_config(config: Any) -> None:
    """Display a config that is the value of a cell.

    Raises
    ------
    NotImplementedError
        IPython's word for "in the ordinary way": its bundle.
    """
    cls, shell = type(config), _shell()
    if hasattr(cls, "_ipython_display_"):  # the user's own: ours would stand before it
        config._ipython_display_()
        return
    ours = cls._repr_mimebundle_ is Config._repr_mimebundle_
    if not (ours and configs.is_config(config) and _alive(shell)):
        raise NotImplementedError
    try:
        form = _publisher.form(config, shell)
    except ImportError as error:  # no widgets here
        log.info("no form", exc_info=True)
        raise NotImplementedError from error
    _publisher.draw_form(form)


def show_widget(shown: Any) -> None:
    """Display a widget of ours that is the value of a cell, with its static twin.

    Raises
    ------
    NotImplementedError
        As `show_config` does.
    """
    shell = _shell()
    if shown.comm is None:  # closed
        raise NotImplementedError
    form = isinstance(shown.source, Form)
    if not _alive(shell):
        _send(render(shown.source.config if form else shown.source))
    elif form:
        _publisher.draw_form(shown.source)
    else:
        _publisher.draw(shown.source, shell)


def show_table(table: Any) -> None:
    """Display a table that is the value of a cell.

    Raises
    ------
    NotImplementedError
        As `show_config` does; also for what is finished.
    """
    shell = _shell()
    if not _alive(shell) or table.finished:
        raise NotImplementedError
    _publisher.draw_table(table, shell)


# What IPython displays by a call: (module, class) and the call.
DISPLAYS: Sequence[tuple[str, str, Callable[[Any], None]]] = (
    ("xpm_nb.engine.experiment", "Experiment", show),
    ("xpm_nb.core.config", "Config", show_config),
    ("xpm_nb.engine.results", "LiveTable", show_table),
    ("xpm_nb.notebook.widgets", "Display", show_widget),
)


def install(shell: Any) -> None:
    """Have IPython display our objects alive."""
    for module, name, function in DISPLAYS:
        shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, function)


def uninstall(shell: Any) -> None:
    """Take back what `install` did; what is displayed stays up to date."""
    for module, name, _ in DISPLAYS:
        shell.display_formatter.ipython_display_formatter.pop(f"{module}.{name}", None)


class Picture:
    """An object as a picture, for front-ends that take no widget."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return render(self._thing)

    def _mime_(self) -> tuple[str, str]:
        return "text/html", render(self._thing)["text/html"]


def widget(thing: Any) -> Any:
    """Give the live widget of an experiment or a config.

    That of an experiment is its panel, one for all its displays. That of a config is a form, a new
    one at each call, whose ``config`` is what was edited: a copy, ``thing`` stays as it is.

    Parameters
    ----------
    thing : Experiment or config
        What is shown.

    Returns
    -------
    anywidget.AnyWidget
        For ``display``, ``mo.ui.anywidget`` or a layout of ipywidgets.

    Raises
    ------
    ConfigTypeError
        For anything else.
    """
    shell = _shell() if "IPython" in sys.modules else None
    if isinstance(thing, Experiment):
        found = _publisher.panel(thing, shell)
        if found is None:
            raise ImportError("the panel needs anywidget: pip install anywidget")
        return found
    if configs.is_config(thing):
        return _publisher.form(thing, shell).widget
    raise ConfigTypeError(f"widget() takes an experiment or a config, not {thing!r:.60}")


def display_of(thing: Any) -> Any:
    """Give what shows an experiment or a config: its widget, or a picture where there is none."""
    try:
        return widget(thing)
    except Exception:  # a border: a display that raises takes the cell's output with it
        log.info("no widget", exc_info=True)
        return Picture(thing)


@contextlib.contextmanager
def watch(experiment: Any) -> Iterator[None]:
    """Draw an experiment in the cell that waits for it, and its end when the wait is over."""
    shell = _shell()
    if shell is None or not _in_cell():
        yield
    elif deterministic() or not _is_kernel(shell):
        try:
            with calm():
                yield
        finally:
            _send(_last_picture(experiment))
            _publisher.note(experiment, shell)
    else:
        with calm():
            _publisher.draw(experiment, shell)
            try:
                yield
            finally:
                _publisher.settle(experiment)


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Let whoever interrupts a wait read what that did, and not in which of our lines it was."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError) as error:  # the second one: an `await`
        shown = [f"{type(error).__name__}: {_STOPPED}"]
        vars(error)["_render_traceback_"] = lambda: shown  # IPython asks how it is to be shown
        raise


def _last_picture(experiment: Any) -> Bundle:
    view = experiment.view()
    if not deterministic():
        return picture_of(experiment, view.jobs)
    # A notebook that is run again finds the jobs of its first run: they come later in this one too.
    return html.bundle(
        replace(view, jobs=tuple(job for job in view.jobs if not job.earlier)), stable=True
    )
