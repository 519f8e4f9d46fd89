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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import doors, views
from xpm_nb.core.states import JobState
from xpm_nb.engine import loop
from xpm_nb.notebook import html
from xpm_nb.notebook.live import NEVER, Live

PERIOD_S = 0.2  # between two looks at what changed, at least
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
    return {"application/vnd.jupyter.widget-view+json": reference}


# -- what stays up to date ----------------------------------------------------------------------


class Publisher:
    """Keeps what cells have drawn up to date, from a thread of its own."""

    def __init__(self) -> None:
        # Whoever puts together what is sent holds it. A thread may come back to it: a model that
        # is made or sent asks for its state.
        self._lock = threading.RLock()
        self._lives: dict[int, Live] = {}  # by id: an experiment lives as long as its kernel
        self._cell: tuple[int, int] | None = None  # which experiment was drawn by which cell last
        self._keys: set[str] = set()  # of jobs that changed
        self._all = False  # or any may have
        self._guard = threading.Lock()  # of these two
        self._asked = False  # there are messages of front-ends
        self._due = NEVER  # when something has to be looked at even if nothing happens
        self._soon = False  # the thread is to look at them
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    # -- in cells -------------------------------------------------------------------------

    def live(self, experiment: Any) -> Live:
        """Give what shows an experiment, made at the first call; with its panel where there may be.

        The lock is held.
        """
        found = self._lives.get(id(experiment))
        if found is None:
            found = self._lives[id(experiment)] = Live(experiment, self._ask, self._lock)
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
        self._start()
        self.touch(())  # the thread may be asleep until something happens: there is more to do

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

    def widget(self, experiment: Any) -> Any:
        """Give the panel of an experiment, kept up to date, None where there can be none."""
        with self._lock:
            panel = self.live(experiment).panel
        self._start()
        self.touch(())
        return panel

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

    # -- the thread -----------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            loop.current().subscribe(self.touch)
        if self._thread is None or not self._thread.is_alive():  # not alive after a fork
            self._thread = threading.Thread(target=self._run, name="xpm-publisher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        last = 0.0
        while True:
            soonest = last + PERIOD_S
            wanted = soonest if self._soon else max(soonest, self._due)
            self._wake.wait(None if wanted == NEVER else max(0.0, wanted - time.monotonic()))
            self._wake.clear()
            if self._asked:
                self._asked = False
                self._each(Live.answer)
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
            self._each(lambda live: live.touch(None if everything else keys))
        self._due = NEVER
        for due in self._each(lambda live: live.tick(partial(_send_picture, live.display_id))):
            self._due = min(self._due, due)

    def _each(self, act: Callable[[Live], Any]) -> list[Any]:
        """Do something with everything that is shown; one that fails does not keep the others."""
        with self._lock:
            lives = list(self._lives.values())
        found = []
        for live in lives:
            try:
                with self._lock:
                    found.append(act(live))
            except Exception:  # a border: the front-end may be gone
                log.exception("cannot bring %s up to date", live.experiment)
        return found


def _send_picture(display_id: str, bundle: Bundle, update: bool) -> None:
    _send(bundle, display_id, update=update)


_publisher = Publisher()


def current() -> Publisher:
    """Give the one of this process."""
    return _publisher


def show(experiment: Any) -> None:
    """Display an experiment that is the value of a cell; IPython calls this instead of a bundle."""
    shell = _shell()
    if _publisher.drawn(experiment, shell) and _in_cell():
        return  # by `wait()` in this very cell
    if deterministic() or not _is_kernel(shell) or not _in_cell():
        _send(render(experiment))
    else:
        _publisher.draw(experiment, shell)


@contextlib.contextmanager
def watch(experiment: Any) -> Iterator[None]:
    """Draw an experiment in the cell that waits for it, and its end when the wait is over."""
    shell = _shell()
    if shell is None or not _in_cell():
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
