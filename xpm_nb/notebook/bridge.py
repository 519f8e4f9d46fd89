"""From the engine to the screen: the bundles of our objects, and the thread ``xpm-publisher``.

Rule 1: a cell draws, the thread only brings up to date what a cell has drawn (by the display's id,
which front-ends find in whatever cell it stands). The thread prints nothing.
Rule 2: a view is taken and sent under one lock, so an older picture never replaces a newer one.
Rule 3: the last picture of a `wait` is drawn by the cell that waits. Headless runs apply updates
only while a cell runs, so nothing that matters may come after it.

With ``XPM_NB_DETERMINISTIC=1`` (for ``pytest --nbval``, which ignores updates) nothing is brought
up to date: `wait` draws one picture at its end, without times and paths, of the jobs of this run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors, views
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop
from xpm_nb.notebook import html

PERIOD_S = 0.5  # between two refreshes, at least
CLOCK_S = 2.0  # and at most while jobs run, for the times in the table
LOG_LINES = 20

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
    if isinstance(view, views.ExperimentView) and stable:
        return html.brief(view)
    tail = ""
    if isinstance(view, views.JobView) and view.state in (JobState.RUNNING, JobState.ERROR):
        tail = "" if stable else thing.log(n=LOG_LINES)
    return html.bundle(view, log=tail, now=time.time(), stable=stable)


# -- pictures that stay up to date --------------------------------------------------------------


def _shell() -> Any:
    """Give the interactive shell of this process, None if there is none."""
    from IPython.core.getipython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call, unused-ignore]


def _is_kernel(shell: Any) -> bool:
    """Tell whether a front-end shows our output; a terminal could only print each update."""
    return getattr(shell, "kernel", None) is not None


def _send(bundle: Bundle, display_id: str = "", *, update: bool = False) -> None:
    from IPython.display import publish_display_data

    transient = {"display_id": display_id} if display_id else None
    publish_display_data(bundle, transient=transient, update=update)  # type: ignore[no-untyped-call, unused-ignore]


@dataclass(slots=True)
class _Picture:
    """An experiment that cells have drawn, all under one display id."""

    experiment: Any
    display_id: str
    sent: Bundle | None = None
    finished: bool = False


class Publisher:
    """Keeps the pictures of experiments up to date from a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: dict[int, _Picture] = {}  # by id: an experiment lives as long as its kernel
        self._cell: tuple[int, int] | None = None  # which experiment was drawn by which cell last
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def draw(self, experiment: Any, shell: Any) -> None:
        """Draw an experiment in the cell that runs, once a cell, and keep it up to date."""
        with self._lock:
            picture = self._pictures.get(id(experiment))
            if picture is None:
                picture = _Picture(experiment, f"xpm-{uuid.uuid4().hex}")
                self._pictures[id(experiment)] = picture
            here = (shell.execution_count, id(experiment))
            self._refresh(picture, again=self._cell != here)
            self._cell = here
        self._start()
        self._wake.set()  # the thread may be asleep until something happens: there is more to do

    def settle(self, experiment: Any) -> None:
        """Bring a picture up to date now, from the cell that drew it."""
        with self._lock:
            self._refresh(self._pictures[id(experiment)])

    def drawn(self, experiment: Any, shell: Any) -> bool:
        """Tell whether the cell that runs has drawn this experiment."""
        return self._cell == (shell.execution_count, id(experiment))

    def note(self, experiment: Any, shell: Any) -> None:
        """Take note that the cell that runs has drawn an experiment by other means."""
        self._cell = (shell.execution_count, id(experiment))

    def _refresh(self, picture: _Picture, *, again: bool = False) -> None:
        """Send what there is to see, if it is another thing than last time. The lock is held."""
        view = picture.experiment.view()
        bundle = html.bundle(view, now=time.time())
        if again:
            _send(bundle, picture.display_id)
        elif bundle != picture.sent:
            _send(bundle, picture.display_id, update=True)
        picture.sent, picture.finished = bundle, view.finished

    def _start(self) -> None:
        if self._thread is None:
            loop.current().subscribe(lambda keys: self._wake.set())
        if self._thread is None or not self._thread.is_alive():  # not alive after a fork
            self._thread = threading.Thread(target=self._run, name="xpm-publisher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                running = any(not picture.finished for picture in self._pictures.values())
            self._wake.wait(CLOCK_S if running else None)
            self._wake.clear()
            with self._lock:
                pictures = list(self._pictures.values())
            for picture in pictures:
                try:
                    with self._lock:
                        self._refresh(picture)
                except Exception:  # a border: the front-end may be gone
                    log.exception("cannot bring %s up to date", picture.experiment)
            time.sleep(PERIOD_S)


_publisher = Publisher()


def current() -> Publisher:
    """Give the one of this process."""
    return _publisher


def show(experiment: Any) -> None:
    """Display an experiment that is the value of a cell; IPython calls this instead of a bundle."""
    shell = _shell()
    if _publisher.drawn(experiment, shell):
        return  # by `wait()` in this very cell
    if deterministic() or not _is_kernel(shell):
        _send(render(experiment))
    else:
        _publisher.draw(experiment, shell)


@contextlib.contextmanager
def watch(experiment: Any) -> Iterator[None]:
    """Draw an experiment in the cell that waits for it, and its end when the wait is over."""
    shell = _shell()
    if shell is None or threading.current_thread() is not threading.main_thread():
        yield
    elif deterministic() or not _is_kernel(shell):
        try:
            yield
        finally:
            _send(_last_picture(experiment))
            _publisher.note(experiment, shell)
    else:
        _publisher.draw(experiment, shell)
        try:
            yield
        finally:
            _publisher.settle(experiment)


def _last_picture(experiment: Any) -> Bundle:
    view = experiment.view()
    if not deterministic():
        return html.bundle(view, now=time.time())
    # A notebook that is run again finds the jobs of its first run: they come later in this one too.
    return html.bundle(
        replace(view, jobs=tuple(job for job in view.jobs if not job.earlier)), stable=True
    )
