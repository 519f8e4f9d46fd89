"""One experiment on the screen: its panel, what that is told and asks, and its static twin.

Rule 1: everything here happens under the publisher's lock, in its thread or, when a cell draws or
ends a wait, in the cell; but for `Live.hear`, which takes a message of a front-end in whatever
thread that comes, checks it and leaves it to be dealt with.
Rule 2: what is not asked for by a watching view is not computed, and nothing is computed or sent
more often than its cost and size allow.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from xpm_nb.core import drawing, estimate, kept, views
from xpm_nb.core.config import RunMode
from xpm_nb.core.states import JobState
from xpm_nb.core.views import CurveView, ExperimentView, JobView, TableView
from xpm_nb.engine.usage import Sampler
from xpm_nb.errors import XpmError
from xpm_nb.notebook import html, protocol
from xpm_nb.notebook.protocol import Feed, Json, Request, Watch, plain, short_id

ETA_S = 5.0
USAGE_S = 2.0
WATCH_S = 0.5  # between two tellings of what a view watches, at least
WATCH_BYTES_S = 100_000
SNAPSHOT_S = 1.0
SNAPSHOT_BYTES_S = 200_000
PICTURE_S = 5.0  # between two static pictures, at least, where a panel hides them
PICTURE_BYTES_S = 2_000
PERIOD_S = 0.5  # and where there is none
CLOCK_S = 2.0  # and at most while jobs run, for the times in it
SHARE = 0.05  # of a processor's time that any one of these may take
ASIDE_SHARE = 0.003  # and what nobody asks for
MAX_WAITING = 1_000  # messages of front-ends
MAX_VIEWS = 16
MAX_CURVES = 8  # jobs whose curves a picture has
CURVE_POINTS = 40  # of each
MAX_NODES = 200  # of a graph by job
MAX_LINE = 4_000  # characters of a line of a log
# What is told of where a job failed.
FRAMES = {"frames": 12, "around": 4, "values": 40, "chars": 300, "all_chars": 60_000}

NEVER = math.inf

T = TypeVar("T")

log = logging.getLogger("xpm_nb")


class Pace:
    """When something may be done again: as its period, its size and its cost allow."""

    def __init__(
        self, period_s: float, bytes_s: float = math.inf, share: float | None = None
    ) -> None:
        self.period_s = period_s
        self.bytes_s = bytes_s
        self.share = share  # of a processor's time; None: `SHARE`
        self.due = 0.0  # on the clock of `time.monotonic`

    def done(self, began: float, size: int = 0) -> None:
        """Take note that it was done just now, since when, and how many bytes that made."""
        now = time.monotonic()
        pause = max(self.period_s, size / self.bytes_s, (now - began) / (self.share or SHARE))
        self.due = now + pause


Send = Callable[[dict[str, str], bool], None]  # a bundle, and whether it is an update
Wanted = tuple[str, str]  # a kind, and of what: a job, a way to draw the graph, a tag


def wanted(watch: Watch) -> dict[Wanted, Any]:
    """List what a view wants, in the order in which it is told, each with how much of it."""
    found: dict[Wanted, Any] = {}
    if watch.log:
        found["log", watch.log[: protocol.DIGITS]] = watch.lines
    if watch.detail:
        found["detail", watch.detail[: protocol.DIGITS]] = None
    if watch.curves:
        found["curves", ""] = tuple(job[: protocol.DIGITS] for job in watch.curves)
    if watch.graph:
        found["graph", watch.graph] = None
    if watch.table:
        found["table", watch.over] = None
    return found


def together(views: Iterable[Mapping[Wanted, Any]]) -> dict[Wanted, Any]:
    """Say what several views want: of each thing as much as the one that wants most.

    All views hear what one of them is told, so that each must get at least what it wants.
    """
    found: dict[Wanted, Any] = {}
    for wants in views:
        for want, much in wants.items():
            known = found.get(want)
            if want[0] == "log":
                found[want] = max(known or 0, much)
            elif want[0] == "curves":
                found[want] = tuple(dict.fromkeys((known or ()) + much))[-protocol.MAX_CURVES :]
            else:
                found[want] = None
    return found


class _Watched:
    """One thing that views want kept up to date."""

    def __init__(self) -> None:
        self.pace = Pace(WATCH_S, WATCH_BYTES_S)
        self.much: Any = None
        self.dirty = True
        self.sent: Json | None = None
        self.seen: Any = None  # what it was made from, where that is cheaper to look at

    def again(self) -> None:
        """Have it told now, also if it has not changed."""
        self.dirty, self.sent, self.seen, self.pace.due = True, None, None, 0.0


class Live:
    """An experiment that cells have drawn.

    Parameters
    ----------
    experiment : Experiment
        What is shown.
    wake : callable
        Tells the publisher that there is something to do; from any thread.
    lock : context manager
        The publisher's: held while what is to be sent is put together.
    """

    def __init__(self, experiment: Any, wake: Callable[[], None], lock: Any) -> None:
        self.experiment = experiment
        self.uid = uuid.uuid4().hex
        self.display_id = f"xpm-{self.uid}"
        self.feed = Feed(time.time())
        self.panel: Any = None
        self.dropped = 0  # messages that were none
        self.drawn = False
        self._wake, self._lock = wake, lock
        self._inbox: deque[tuple[Request, str]] = deque()
        self._acts: deque[tuple[Any, ...]] = deque(maxlen=256)
        self._views: dict[str, dict[Wanted, Any]] = {}
        self._watched: dict[Wanted, _Watched] = {}
        self._tables: dict[str, Any] = {}  # by the tag they are over
        self._needed_by: tuple[int, dict[str, list[str]]] = (-1, {})
        self._snapshot = Pace(SNAPSHOT_S, SNAPSHOT_BYTES_S)
        self._estimate = Pace(ETA_S, share=ASIDE_SHARE)
        self._sampler, self._usage = Sampler(), Pace(USAGE_S, share=ASIDE_SHARE)
        self._used: dict[str, list[Any]] = {}  # by job, as it was told
        self._picture = Pace(PERIOD_S)
        self._about: Json = {}  # slots and time left, as they were told
        self._eta: float | None = None
        self._resync = False
        self._state_seq = -1  # up to where the model's state is
        self._sent: dict[str, str] | None = None  # the picture
        self._stale = True
        self._was_finished = False

    # -- drawing --------------------------------------------------------------------------

    def open(self) -> None:
        """Make the panel, where widgets can be made; again, if somebody has closed it."""
        if self.panel is not None and self.panel.comm is not None:
            return
        self.panel = None
        self.feed.take(self.experiment.view().jobs)
        self.feed.renew()
        self._about = self._describe()
        try:
            from xpm_nb.notebook import widgets

            self.panel = widgets.Panel(self.uid, self.hear, self.experiment, self._lock, self._look)
        except Exception:  # a border: not there, or not here; the picture serves
            log.info("no live panel", exc_info=True)
        else:
            self._picture = Pace(PICTURE_S, PICTURE_BYTES_S)

    def close(self) -> None:
        """Take the panel away."""
        panel, self.panel = self.panel, None
        if panel is not None:
            panel.close()

    def _look(self) -> Json:
        """Give the state of the model, whenever a front-end asks for it."""
        with self._lock:
            return self._snapshot_now()

    def _snapshot_now(self) -> Json:
        xp = self.experiment
        about = {
            "name": protocol.text(xp.name),
            "workspace": protocol.text(str(xp.workspace.root)),
            "back": protocol.text(xp.way_back),
            "dry": xp.run_mode is RunMode.DRY_RUN,
        }
        return self.feed.packed(time.time(), **about, **self._about)

    def picture(self, send: Send, *, again: bool = False) -> None:
        """Send the static picture, if it is another than last time, or again."""
        began = time.monotonic()
        eta = self._about.get("eta")
        bundle = picture_of(self.experiment, self.feed.views(), uid=self.uid, eta=eta)
        if again or bundle != self._sent:
            send(bundle, not again)
        self._sent, self._stale = bundle, False
        self._picture.done(began, len(bundle["text/html"]))

    # -- what happened --------------------------------------------------------------------

    def touch(self, keys: Iterable[str] | None) -> None:
        """Take note of jobs that changed; None for any."""
        structure = self.feed.structure
        seen = self.experiment.view().jobs if keys is None else self.experiment.peek(keys)
        self.feed.take(seen)
        if self.feed.pending:
            self._stale = True
        touched = {view.key for view in seen}
        for (kind, what), watched in self._watched.items():
            if kind == "graph":
                changed = self.feed.structure != structure
            elif kind == "table":
                changed = bool(touched)
            elif kind == "curves":
                changed = any(self.feed.key(job) in touched for job in watched.much)
            else:
                changed = self.feed.key(what) in touched
            watched.dirty = watched.dirty or changed

    # -- from the front-end ---------------------------------------------------------------

    def hear(self, content: Any) -> None:
        """Take a message of a front-end; in any thread."""
        request = protocol.read(content)
        if request is None or len(self._inbox) >= MAX_WAITING:
            self.dropped += 1
            return
        self._inbox.append((request, protocol.too_late(request, time.time())))
        self._wake()

    def answer(self) -> None:
        """Deal with the messages that came."""
        while self._inbox:
            request, late = self._inbox.popleft()
            try:
                note = self._carry_out(request, late)
            except XpmError as error:
                note = str(error)
            except Exception as error:  # a border: one message must not end the thread
                log.exception("cannot carry out %s", request.do)
                note = f"{type(error).__name__}: {error}"
            self._tell(protocol.ack(request, note))

    def _carry_out(self, request: Request, late: str) -> str:
        """Do what is asked; give why nothing was done."""
        match request.do:
            case "cancel" | "retry" | "rerun":
                return late or self._act(request)
            case "watch":
                self._watch(request.view, request.watch)
            case "resync":
                self._resync = True
            case "diff":
                left, right = (self._job(job) for job in request.jobs)
                self._tell({"t": "diff", "diff": plain(self.experiment.diff(left, right).view())})
        return ""

    def _act(self, request: Request) -> str:
        mark = (request.id, request.at, request.do, hash(request.jobs))
        if mark in self._acts:
            return "came twice"
        self._acts.append(mark)
        able = [job for job in self._jobs(request.jobs) if _ABLE[request.do](job.state)]
        if not able:
            return f"nothing to {request.do}"
        getattr(self.experiment, request.do)(*able)
        return ""

    def _job(self, job_id: str) -> Any:
        for job in self._jobs([job_id]):
            return job
        raise XpmError(f"{self.experiment.name!r} has no job {job_id}")

    def _jobs(self, job_ids: Iterable[str]) -> tuple[Any, ...]:
        """Give jobs by what stands for them in messages; of unknown ones there are none."""
        keys = (self.feed.key(job_id) for job_id in job_ids)
        found: tuple[Any, ...] = self.experiment.find(key for key in keys if key is not None)
        return found

    def _watch(self, view: str, watch: Watch) -> None:
        """Keep up to date what a view wants, and tell it at once what it did not want before."""
        before = self._views.pop(view, None)
        now = wanted(watch)
        if now:
            self._views[view] = now  # the latest last
        while len(self._views) > MAX_VIEWS:  # of pages that are gone
            del self._views[next(iter(self._views))]
        if before is None:
            self._tell(self.feed.greeting(time.time()))
        alive = together(self._views.values())
        self._watched = {want: self._watched.get(want, _Watched()) for want in alive}
        for want, watched in self._watched.items():
            if watched.much != alive[want] or (want in now and want not in (before or {})):
                watched.again()
            watched.much = alive[want]

    # -- telling --------------------------------------------------------------------------

    def _tell(self, message: Json) -> None:
        if self.panel is not None:
            self.panel.send(message)

    def tick(self, send: Send) -> float:
        """Tell what there is to tell now; give when to come again, at the latest."""
        due = [NEVER]
        if self.panel is not None:
            due.append(self._tick_panel())
            due += [self._tick_watched(want, it) for want, it in self._watched.items()]
        if self.drawn:
            due.append(self._tick_picture(send))
        self._was_finished = self.feed.finished
        return min(due)

    def _tick_panel(self) -> float:
        now = time.monotonic()
        feed = self.feed
        more = self._news(now)
        if feed.broken or self._resync:
            if now < self._snapshot.due:
                return self._snapshot.due
            self._send_state()
        elif feed.pending or more:
            self._tell(feed.change(time.time(), **more))
        if feed.finished:
            return self._keep_state()
        return min(self._estimate.due, self._usage.due if feed.running else NEVER)

    def _keep_state(self) -> float:
        """Send the end: the state is saved with the notebook. So is what comes after the end."""
        if self._state_seq == self.feed.seq:
            return NEVER
        if self._was_finished and time.monotonic() < self._snapshot.due:
            return self._snapshot.due
        self._send_state()
        return NEVER

    def _news(self, now: float) -> Json:
        """Say what is new of the whole."""
        if now >= self._estimate.due or (self.feed.finished and not self._was_finished):
            self._eta = _or_none(self._left)
            self._estimate.done(now)
        about = self._describe()
        news = {name: value for name, value in about.items() if self._about.get(name) != value}
        self._about = about
        if self.feed.running and now >= self._usage.due:
            used = _or_none(self._sample)
            self._usage.done(now)
            if used:
                news["u"] = used
        return news

    def _left(self) -> float | None:
        # What is left out for now does not begin by itself.
        views = [view for view in self.feed.views() if view.state is not JobState.UNSCHEDULED]
        return estimate.eta(views, self.experiment.slots, time.time())

    def _sample(self) -> Json:
        """Say what running jobs use, where that has changed."""
        jobs = self.experiment.find(self.feed.running)
        used = {
            key: [round(usage.cpu, 2), round(usage.memory_mb)]
            for key, usage in self._sampler.sample(jobs).items()
        }
        before, self._used = self._used, used
        numbers = self.feed.numbers
        return {str(numbers[key]): new for key, new in used.items() if before.get(key) != new}

    def _describe(self) -> Json:
        left = None if self._eta is None else protocol.number(self._eta, 3)
        return {"slots": self.experiment.slots, "eta": left}

    def _send_state(self) -> None:
        began = time.monotonic()
        self.feed.renew()
        self._resync = False
        self._state_seq = self.feed.seq
        self.panel.send_state("snapshot")
        self._snapshot.done(began, 60 * len(self.feed.numbers))

    def _tick_watched(self, want: Wanted, watched: _Watched) -> float:
        follow = want[0] == "log" and self._running(want[1])
        now = time.monotonic()
        if not (watched.dirty or follow):
            return NEVER
        if now >= watched.pace.due:
            watched.dirty = False
            message = self._made(want, watched)
            if message is not None and message != watched.sent:
                self._tell(message)
                watched.sent = message
            watched.pace.done(now, _size(message))
        return watched.pace.due if watched.dirty or follow else NEVER

    def _made(self, want: Wanted, watched: _Watched) -> Json | None:
        kind, what = want
        make: dict[str, Callable[[str, _Watched], Json | None]] = {
            "log": self._log,
            "detail": self._detail,
            "curves": self._curves,
            "graph": self._graph,
            "table": self._table,
        }
        return _or_none(lambda: make[kind](what, watched))

    def _tick_picture(self, send: Send) -> float:
        now = time.monotonic()
        running = self.panel is None and bool(self.feed.running)
        ended = self.feed.finished and not self._was_finished
        if not (self._stale or running or ended):
            return NEVER
        clock = max(CLOCK_S, self._picture.period_s) - self._picture.period_s
        due = self._picture.due + (0.0 if self._stale else clock)
        if ended or now >= due:
            self.picture(send)
            due = self._picture.due + clock
        return due if self._stale or running else NEVER

    def settle(self, send: Send) -> None:
        """Bring everything up to date from the cell that waited: nothing may come after it."""
        self.touch(None)
        if self.panel is not None:
            news = self._news(time.monotonic())
            if self.feed.pending or news:
                self._tell(self.feed.change(time.time(), **news))
            self._send_state()
        if self.drawn:
            self.picture(send)
        self._was_finished = self.feed.finished

    # -- what views watch -----------------------------------------------------------------

    def _running(self, job_id: str) -> bool:
        view = self.feed.view(self.feed.key(job_id) or "")
        return view is not None and view.state.under_way

    def _log(self, job_id: str, watched: _Watched) -> Json | None:
        job, lines = self._job(job_id), watched.much
        size = job.log_size()
        if watched.seen == (size, job.state):
            return None
        watched.seen = size, job.state
        text = job.log(lines)
        few = text.count("\n") + 1 < lines
        if few and len(text) < size:  # very long ones: by its bytes the log is not at its begin
            text = job.log(protocol.MAX_LINES)
        text = "\n".join(map(_short_line, text.split("\n")))
        return {
            "t": "log",
            "job": job_id,
            "text": protocol.text(text),
            "lines": lines,
            "more": not few and lines < protocol.MAX_LINES,
            "size": size,
        }

    def _detail(self, job_id: str, _watched: _Watched) -> Json | None:
        job = self._job(job_id)
        view: JobView = job.view()
        if job.config is not None:
            config = views.describe(job.config, self.experiment.namespace)
        else:
            config = views.describe_params(job.params())
        return {
            "t": "detail",
            "job": job_id,
            "config": plain(config),
            "needs": [short_id(key) for key in view.dependencies],
            "needed_by": self._needing(view.key),
            "attempts": view.attempt,
            "frames": self._frames(job, view),
            "path": protocol.text(view.path),
            "message": protocol.text(view.message),
            "said": [[plain(part) for part in said] for said in view.said],
            "tags": plain(view.tags),
            "unknown": [protocol.text(name, protocol.MAX_NAME) for name in view.unknown],
            "drift": protocol.text(view.drift, protocol.MAX_MESSAGE),
            "times": {
                "submitted": view.submitted,
                "started": view.started,
                "ended": view.ended,
            },
        }

    def _frames(self, job: Any, view: JobView) -> list[Any]:
        if view.state is not JobState.ERROR:
            return []
        found = _or_none(lambda: kept.shortened(job.frames.view(), **FRAMES))
        return [] if found is None else [plain(error) for error in found.errors if error.frames]

    def _needing(self, key: str) -> list[str]:
        if self._needed_by[0] != self.feed.structure:
            found: dict[str, list[str]] = {}
            for view in self.feed.views():
                for needed in view.dependencies:
                    found.setdefault(short_id(needed), []).append(short_id(view.key))
            self._needed_by = self.feed.structure, found
        return self._needed_by[1].get(short_id(key), [])

    def _curves(self, _all: str, watched: _Watched) -> Json | None:
        found = []
        for job in self._jobs(watched.much):
            for curve in job.curves():
                points = [[protocol.number(x, 9), protocol.number(y)] for x, y in curve.points]
                key = short_id(job.key)
                found.append({**plain(replace(curve, points=())), "key": key, "points": points})
        return {"t": "curves", "curves": found}

    def _graph(self, by: str, watched: _Watched) -> Json | None:
        if watched.seen == self.feed.structure:
            return None
        watched.seen = self.feed.structure
        view = plain(drawing.graph(self.feed.views(), by=by, max_nodes=MAX_NODES))
        if view["by"] == "job":
            for node in view["nodes"]:
                node["key"] = short_id(node["key"])
        return {"t": "graph", "graph": view, "by": by}

    def _table(self, over: str, _watched: _Watched) -> Json | None:
        try:
            if over not in self._tables:
                self._tables[over] = self.experiment.table(over=over or None)
            view = self._tables[over].view()
        except XpmError as error:  # there is no such tag any more
            view = TableView((), (), (), caption=str(error))
        table = plain(view)
        table["keys"] = [short_id(key) for key in view.keys]
        return {"t": "table", "table": table, "over": over or None}


class LiveTable:
    """A table of results that a cell has displayed: rows fill in while jobs finish.

    Parameters
    ----------
    table : LiveTable
        Of the engine.
    """

    def __init__(self, table: Any) -> None:
        self.table = table
        self.uid = uuid.uuid4().hex
        self.display_id = f"xpm-{self.uid}"
        self.finished = False
        self._pace = Pace(PERIOD_S, PICTURE_BYTES_S)
        self._dirty = False
        self._sent: dict[str, str] | None = None

    def answer(self) -> None:
        """Nobody asks a table anything."""

    def touch(self, keys: Iterable[str] | None) -> None:
        """Take note of jobs that changed."""
        self._dirty = self._dirty or keys is None or bool(self.table.experiment.peek(keys))

    def draw(self, send: Send, *, again: bool = False) -> None:
        """Send the table as it is now, if it is another than last time, or again."""
        began = time.monotonic()
        self._dirty = False
        self.finished = self.table.finished
        bundle = html.bundle(self.table.view(), uid=self.uid)
        if again or bundle != self._sent:
            send(bundle, not again)
        self._sent = bundle
        self._pace.done(began, len(bundle["text/html"]))

    def tick(self, send: Send) -> float:
        """Send what there is to send now; give when to come again, at the latest."""
        if self._dirty and (time.monotonic() >= self._pace.due or self.table.finished):
            self.draw(send)
        return self._pace.due if self._dirty else NEVER


_ABLE: Mapping[str, Callable[[JobState], bool]] = {
    "cancel": lambda state: not state.final,
    "retry": lambda state: state is JobState.ERROR,
    "rerun": lambda state: state is JobState.DONE,
}


def _or_none(make: Callable[[], T]) -> T | None:
    """Give what a function gives, None if it raises: one part must not take the others along."""
    try:
        return make()
    except Exception:  # a border: a damaged file, a mistake of ours
        log.exception("a part of a panel cannot be made")
        return None


def _short_line(line: str) -> str:
    """Cut a line of a log that nobody would read to its end."""
    if len(line) <= MAX_LINE:
        return line
    end = line[-MAX_LINE:]
    if "\r" in end:  # a bar that was drawn again and again: the last time counts
        return end.partition("\r")[2]
    return f"{line[:MAX_LINE]}… ({len(line)} characters)"


def _size(message: Json | None) -> int:
    """Say about how many bytes a message has: texts are what makes one long."""
    if message is None:
        return 0
    return len(message["text"]) if message.get("t") == "log" else len(repr(message))


def picture_of(
    experiment: Any, jobs: Sequence[JobView], *, uid: str = "", eta: float | None = None
) -> dict[str, str]:
    """Make the static picture of an experiment: its table, graph, curves and way back.

    Parameters
    ----------
    experiment : Experiment
        What is shown.
    jobs : sequence of JobView
        Its jobs.
    uid : str
        The live display that this one stands in for.
    eta : float, optional
        The seconds that are left.
    """
    view = ExperimentView(
        name=experiment.name,
        workspace=str(experiment.workspace.root),
        namespace=experiment.namespace,
        jobs=tuple(jobs),
        slots=experiment.slots,
    )
    return html.bundle(
        view,
        now=time.time(),
        uid=uid,
        back=experiment.way_back,
        eta=eta,
        graph=drawing.graph(view.jobs) if any(job.dependencies for job in jobs) else None,
        curves=_some_curves(experiment, jobs),
    )


def _some_curves(experiment: Any, views: Sequence[JobView]) -> tuple[CurveView, ...]:
    """Give the curves of the first jobs that have some."""
    wanted = [view.key for view in islice((v for v in views if v.metrics), MAX_CURVES)]
    curves = [curve for job in experiment.find(wanted) for curve in job.curves(points=CURVE_POINTS)]
    return tuple(curve for curve in curves if len(curve.points) > 1)
