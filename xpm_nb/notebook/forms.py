"""A config on the screen: shown as a tree, edited in a form, submitted, and followed.

What is edited is a copy: the config that was displayed stays as it is. A sealed config (one that
was submitted, or is part of one) is shown itself and cannot be edited.

Rule 1: as for `notebook.live`: everything under the publisher's lock, but for `Form.hear`.
Rule 2: a task is submitted in the callbacks' thread, as anything that calls a user's code.
"""

from __future__ import annotations

import copy
import logging
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from xpm_nb.core import config as configs
from xpm_nb.core import editing, views
from xpm_nb.core.views import ConfigView, ParamView
from xpm_nb.engine import callbacks, experiment, opening
from xpm_nb.errors import ConfigError, FrozenError, XpmError
from xpm_nb.notebook import html, protocol
from xpm_nb.notebook.live import (
    MAX_WAITING,
    NEVER,
    PICTURE_BYTES_S,
    PICTURE_S,
    Pace,
    Send,
)
from xpm_nb.notebook.protocol import Json, Request, plain

log = logging.getLogger("xpm_nb")

FATE_S = 0.2  # between two looks at what would become of a task, at least


class Form:
    """A config that a cell has displayed, with its widget.

    Parameters
    ----------
    config : config
        What is shown.
    wake : callable
        Tells the publisher that there is something to do; from any thread.
    lock : context manager
        The publisher's.

    Attributes
    ----------
    config : config
        The edited copy; the config itself where it is sealed.
    widget : FormWidget
        Its widget.

    Raises
    ------
    ImportError
        Widgets cannot be made.
    """

    def __init__(self, config: Any, wake: Callable[[], None], lock: Any) -> None:
        from xpm_nb.notebook import widgets  # only where there is a kernel

        self.original = config
        self.uid = uuid.uuid4().hex
        self.display_id = f"xpm-{self.uid}"
        self.drawn = False
        self.dropped = 0  # messages that were none
        self._wake = wake
        self._inbox: deque[tuple[Request, str]] = deque()
        self._answers: deque[Json] = deque()
        self._errors: dict[str, str] = {}
        self._key = ""  # of the job that the task has, or would have
        self._around: Any = None  # the experiment that was current
        self._pace = Pace(FATE_S)
        self._picture = Pace(PICTURE_S, PICTURE_BYTES_S)
        self._dirty = False
        self._stale = False
        self._sent: dict[str, str] | None = None
        self._shown: ConfigView | None = None
        self._fate = ""
        self.config = self._fresh()
        self.widget = widgets.FormWidget(self.uid, self.hear, self, lock, view=self.look())

    def close(self) -> None:
        """Take the widget away."""
        self.widget.close()

    def _fresh(self) -> Any:
        """Give what is to be edited: a copy with everything in it, or what is sealed as it is."""
        if configs.info(self.original).sealed:
            return self.original
        return copy.deepcopy(self.original)

    # -- looking --------------------------------------------------------------------------

    def look(self) -> Json:
        """Describe the config as it is now, for the widget."""
        xp = self._around = experiment.current()
        namespace = None if xp is None else xp.namespace
        sealed = configs.info(self.config).sealed
        view = views.describe(self.config, namespace, editable=not sealed, errors=self._errors)
        task = issubclass(configs.info(self.config).cls, configs.Task)
        fate = opening.fate(self.config)
        self._key = f"{view.type_name}/{view.identifier}" if task else ""
        self._shown, self._fate = view, fate.text
        return {
            "config": plain(view),
            "editable": any(_fields(view)),
            "fate": protocol.text(fate.text),
            "fate_kind": fate.kind,
            "task": task,
            "experiment": "" if xp is None else protocol.text(xp.name),
            "explain": _explain(view),
        }

    def _refresh(self) -> None:
        """Show what is to be seen now, if that is something else."""
        began = time.monotonic()
        self._dirty = False
        seen = self.look()
        if seen != self.widget.view:
            self._stale = True
            self.widget.view = seen
        self._pace.done(began)

    def picture(self, send: Send, *, again: bool = False) -> None:
        """Send the static picture, if it is another than last time, or again."""
        began = time.monotonic()
        assert self._shown is not None
        bundle = html.bundle(self._shown, uid=self.uid, fate=self._fate)
        if again or bundle != self._sent:
            send(bundle, not again)
        self._sent, self._stale = bundle, False
        self._picture.done(began, len(bundle["text/html"]))

    # -- what happened --------------------------------------------------------------------

    def touch(self, keys: Iterable[str] | None) -> None:
        """Take note of jobs that changed; None for any, and for the config itself."""
        if keys is None or self._key in keys:
            self._dirty = True

    def tick(self, send: Send) -> float:
        """Tell what there is to tell now; give when to come again, at the latest."""
        now = time.monotonic()
        if self._around is not experiment.current():
            self._dirty = True
        if self._dirty and now >= self._pace.due:
            self._refresh()
        if self._stale and self.drawn and now >= self._picture.due:
            self.picture(send)
        due = self._pace.due if self._dirty else NEVER
        return min(due, self._picture.due) if self._stale and self.drawn else due

    # -- from the front-end ---------------------------------------------------------------

    def hear(self, content: Any) -> None:
        """Take a message of a front-end; in any thread."""
        request = protocol.read(content, protocol.FORM)
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
            except Exception as error:  # a border: one message must not end the thread
                log.exception("cannot carry out %s", request.do)
                note = f"{type(error).__name__}: {error}"
            if note is not None:
                self._answers.append(protocol.ack(request, note))
        if self._answers:
            self._refresh()
        while self._answers:
            self.widget.send(self._answers.popleft())

    def _carry_out(self, request: Request, late: str) -> str | None:
        """Do what is asked; give why nothing was done, None if that is not known yet."""
        match request.do:
            case "set":
                return self._set(request)
            case "reset":
                self._errors.clear()
                self.config = self._fresh()
                return ""
        refused = late or self._refusal()
        if not refused:
            callbacks.current().put(partial(self._submit, request, self.config))
            return None
        return refused

    def _set(self, request: Request) -> str:
        shown = self._shown
        if shown is None or request.path not in _fields(shown):
            return f"there is no field {request.path or '(without a name)'}"
        try:
            editing.edit(self.config, request.path, request.value)
        except (ConfigError, FrozenError) as error:
            self._errors[request.path] = _beside(str(error))
        except Exception as error:  # a border: a user's conversion
            self._errors[request.path] = f"{type(error).__name__}: {error}"
        else:
            self._errors.pop(request.path, None)
        return ""

    def _refusal(self) -> str:
        """Say why the task cannot be submitted."""
        if not issubclass(configs.info(self.config).cls, configs.Task):
            return "this is no task: it cannot be run"
        if experiment.current() is None:
            return 'no experiment is open: start("name") opens one'
        if self._errors:
            return f"{', '.join(self._errors)}: to be put right first"
        return ""

    def _submit(self, request: Request, config: Any) -> None:
        """In the callbacks' thread: submit the task, and have it said how that went."""
        note = ""
        try:
            opening.submit(config)
        except XpmError as error:
            note = str(error)
        except Exception as error:  # a border: the user's own methods are called
            log.exception("cannot submit what was edited")
            note = f"{type(error).__name__}: {error}"
        self._answers.append(protocol.ack(request, note))
        self._wake()


def _beside(error: str) -> str:
    """Say what is wrong beside a field: it is seen there which one it is, and where."""
    text = re.sub(r" \((type [^()]*, )?in the form\)$", "", error)
    text = re.sub(r"^.* cannot be None: (.*) is required; .*$", r"\1 wanted, not nothing", text)
    text = re.sub(r"^[\w.<>]+: (?=.* wanted, not )", "", text, flags=re.DOTALL)
    return re.sub(r" \(\w+\); input should .*$", "", text, flags=re.DOTALL)


def _fields(view: ConfigView, before: str = "") -> Iterator[str]:
    """Give the paths of what can be edited."""
    for param in view.params:
        if param.input:
            yield before + param.name
        if param.config is not None:
            yield from _fields(param.config, f"{before}{param.name}.")


def _explain(view: ConfigView) -> Json:
    """Say which parameters went into the identifier, and why others did not."""
    inside: dict[str, None] = {}
    outside: dict[str, str] = {}
    for param in view.params:
        name = protocol.text(param.name.partition("[")[0], protocol.MAX_NAME)
        if param.hashed:
            inside[name] = None
        else:
            outside.setdefault(name, _why_not(param))
    return {"in": list(inside), "out": [[n, why] for n, why in outside.items() if n not in inside]}


def _why_not(param: ParamView) -> str:
    if param.kind != "param":
        return _WHY.get(param.kind, param.kind)
    if param.default:
        return "at its default"
    if "Path" in param.type:
        return "a path"
    return "set aside as meta" if param.config is not None else "left out"


_WHY: Mapping[str, str] = {"meta": "meta", "datapath": "a path to data"}
