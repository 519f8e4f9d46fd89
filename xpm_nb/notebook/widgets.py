"""The widgets: a view goes out, a request comes in. No logic here, and nothing without anywidget.

Their JavaScript is a few ordinary modules in ``static/js``, joined into the one text that anywidget
takes. Everything comes with the package: no network, no build step.

Rule 1: what a front-end sends never changes a trait: it is a request, checked by `protocol.read`.
Rule 2: an exception must not leave a handler: ipywidgets would print it into some cell.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import anywidget
import traitlets

log = logging.getLogger("xpm_nb")

STATIC = resources.files("xpm_nb") / "notebook" / "static"
PANEL: tuple[str, ...] = ("twin", "format", "dom", "packed", "store", "graph", "timeline", "curves")
PANEL += ("results", "jobs", "failure", "drawer", "panel")
FORM: tuple[str, ...] = ("twin", "format", "dom", "config")

_IMPORT = re.compile(
    r"^import\s*\{([^}]*)\}\s*from\s*[\"']\./[\w-]+\.js[\"'];?[ \t]*$", re.MULTILINE
)
_EXPORT = re.compile(r"^export\s+((?:async\s+)?(?:function\*?|class|const|let)\s+(\w+))", re.M)
_DEFAULT = re.compile(r"^export\s+default\s+", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*//.*\n|^[ \t]*/\*(?:(?!\*/)[\s\S])*\*/[ \t]*\n", re.MULTILINE)


# -- joining modules ----------------------------------------------------------------------------


@cache
def esm(*names: str) -> str:
    """Join modules of ``static/js`` into one, in this order; the last one's default is given.

    Each stands in a function of its own and gives what it exports, so that only exported names
    have to differ. Comments on lines of their own are left out. What the last one exports by
    default is wrapped (`twin.js`): it brings its style, the text ``sheet`` that whoever joins puts
    before it, and hides the static twin of a live display while it has a view.
    """
    parts = [
        _plain(name, (STATIC / "js" / f"{name}.js").read_text(encoding="utf-8")) for name in names
    ]
    return "\n".join([*parts, f"export default dressed({_default_of(names[-1])}, sheet);\n"])


def _default_of(name: str) -> str:
    return f"default_{name}"


def _plain(name: str, source: str) -> str:
    text = _COMMENT.sub("", _IMPORT.sub(_without_aliases, source))
    exported = [match[2] for match in _EXPORT.finditer(text)]
    text = _EXPORT.sub(r"\1", text)
    if _DEFAULT.search(text):
        exported.append(_default_of(name))
        text = _DEFAULT.sub(f"const {_default_of(name)} = ", text, count=1)
    if re.search(r"^(?:import|export)\b", text, re.MULTILINE):
        raise ValueError(f"{name}.js imports or exports in a way that cannot be joined")
    given = ", ".join(exported)
    body = re.sub(r"\n\s*", "\n", text).strip("\n")
    return f"const {{ {given} }} = (() => {{\n{body}\nreturn {{ {given} }};\n}})();\n"


def _without_aliases(found: re.Match[str]) -> str:
    return found[0] if re.search(r"\bas\b", found[1]) else ""


@cache
def css(*names: str) -> str:
    """Join style sheets of ``static``, without comments and needless space."""
    text = "\n".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in names)
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()


@cache
def packed(modules: tuple[str, ...], sheets: tuple[str, ...]) -> str:
    """Give the one module that anywidget takes: all of ours with their style, compressed.

    Where a notebook is saved with the state of its widgets, this is in it once for each widget: as
    plain text it would be the larger part of the notebook.
    """
    source = f"const sheet = {json.dumps(css(*sheets))};\n{esm(*modules)}"
    source += f"//# sourceURL=xpm_nb/{modules[-1]}.js\n"  # what tools for developers call it
    data = base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()
    return _LOADER.replace("DATA", data)


_LOADER = """\
const bytes = Uint8Array.from(atob("DATA"), (char) => char.charCodeAt(0));
const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
const source = await new Response(stream).text();
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const module = await import(url);
URL.revokeObjectURL(url);
export default module.default;
"""


# -- the widgets --------------------------------------------------------------------------------

Handler = Callable[[Any], None]


class Display(anywidget.AnyWidget):
    """A widget that is told things in messages, and whose front-end may ask for some.

    Parameters
    ----------
    uid : str
        Names it in the page: the static twin carries the same.
    handler : callable
        Gets each message of the front-end, in whatever thread; must be quick.
    source : Experiment or Form
        What it shows.
    lock : context manager
        Held while anything is sent, so that nothing older comes after what is newer.
    """

    uid = traitlets.Unicode().tag(sync=True)
    _esm = traitlets.Unicode().tag(sync=True)

    def __init__(self, uid: str, handler: Handler, source: Any, lock: Any, **traits: Any) -> None:
        self.source = source
        self._handler = handler
        self._lock = lock
        super().__init__(uid=uid, **traits)
        _answer_at_once(self.comm)

    def _handle_msg(self, msg: Mapping[str, Any]) -> None:
        """Take a message of a front-end, in the place of what ipywidgets does with one."""
        try:
            data = msg["content"]["data"]
            if data["method"] == "request_state":
                with self._lock:
                    self.send_state()
            elif data["method"] == "custom":
                self._handler(data["content"])
        except Exception:  # a border: see Rule 2
            log.warning("cannot deal with a message of a front-end", exc_info=True)

    def __repr__(self) -> str:
        """Give the text of what it shows, for a terminal."""
        shown = getattr(self, "source", None)
        return repr(getattr(shown, "config", shown))

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take nothing over from a front-end: it asks in messages."""


def _answer_at_once(comm: Any) -> None:
    """Let messages be handled while a cell runs, in ipykernel 7.4 too.

    A front-end sends them to a subshell of the kernel. ipykernel 7.4 hands them to the shell that
    last published on the comm instead, which is the main one for everything that a thread of ours
    sends: a click would wait for the end of the cell. Giving the shell that the front-end chose is
    what ipykernel 7.1 to 7.3 do. The attribute is private; the tests in a browser tell if it moves.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


class Panel(Display):
    """The panel of an experiment.

    Parameters
    ----------
    snapshot : callable
        Gives what there is to see now, whenever a front-end asks for the state.
    """

    snapshot = traitlets.Dict().tag(sync=True, to_json=lambda _value, widget: widget.look())

    def __init__(
        self, uid: str, handler: Handler, source: Any, lock: Any, look: Callable[[], dict[str, Any]]
    ) -> None:
        self.look = look
        super().__init__(uid, handler, source, lock)

    @traitlets.default("_esm")
    def _panel_esm(self) -> str:
        return packed(PANEL, ("xpm", "panel", "tabs"))


class FormWidget(Display):
    """A config as a tree, and as a form.

    Parameters
    ----------
    view : dict
        What there is to see.
    """

    view = traitlets.Dict().tag(sync=True)

    @property
    def config(self) -> Any:
        """The edited config: a copy of the one that was displayed."""
        return self.source.config

    @traitlets.default("_esm")
    def _form_esm(self) -> str:
        return packed(FORM, ("xpm", "form"))
