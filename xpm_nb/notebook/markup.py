"""The ground of the static displays: text made harmless, elements, and the page around them.

Rule 1: a piece of text is markup only if it is an `Html`; `el` escapes everything else, so nothing
that came from a user, a log or a path can become a tag or an attribute.
Rule 2: no script, no link, nothing that is loaded from elsewhere; styles carry colours and
spacing, never meaning.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

MAX_TEXT = 160  # characters of one value
MAX_MESSAGE = 600
MAX_LOG = 20_000

# Characters that would act on the text around them, or not show at all: control characters (but
# for tab and newline), marks of direction, invisible separators, half surrogate pairs, tag letters.
_INERT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[@-Z\\-_])")


class Html(str):
    """Text that is markup already; whatever is not gets escaped."""

    __slots__ = ()


def clean(text: object, limit: int = MAX_TEXT, *, lines: bool = False) -> str:
    """Make text harmless to look at: invisible and directing characters shown as escapes, cut.

    Parameters
    ----------
    text : object
        Anything; what is not text goes through `str`.
    limit : int
        Characters of the input that are kept; an ellipsis says that there were more.
    lines : bool
        Keep line ends and tabs; otherwise they are shown as escapes too.
    """
    raw = text if isinstance(text, str) else str(text)
    cut = raw if len(raw) <= limit else raw[: max(limit - 1, 0)]
    shown = _INERT.sub(lambda match: _escape_sequence(match[0]), cut)
    if not lines:
        shown = shown.replace("\n", "\\n").replace("\t", "\\t")
    return shown if cut is raw else shown + "…"


def clean_log(text: str, limit: int = MAX_LOG) -> str:
    """Make the end of a log readable: no colour codes, a rewritten line only in its last form."""
    tail = text[-limit:]
    plain = _ANSI.sub("", tail).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    body = clean("\n".join(lines).strip("\n"), limit, lines=True)
    return body if len(tail) == len(text) else "…\n" + body


def el(tag: str, *children: object, **attributes: str | None) -> Html:
    """Make an element; children and attributes that are not `Html` are escaped.

    `cls` stands for ``class``, an underscore in a name for a hyphen, None for no attribute.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is not None:
            key = "class" if name == "cls" else name.replace("_", "-")
            if not isinstance(value, Html):
                value = _html.escape(clean(value, 400), quote=True)
            parts.append(f'{key}="{value}"')
    return Html(f"<{' '.join(parts)}>{join(children)}</{tag}>")


def void(tag: str, **attributes: str | None) -> Html:
    """Make an element that has no content and no end tag, such as an image."""
    return Html(str(el(tag, **attributes)).removesuffix(f"</{tag}>"))


def join(children: Iterable[object], between: str = "") -> Html:
    """Put pieces of markup and text after each other, escaping what is not `Html`."""
    return Html(
        between.join(
            c if isinstance(c, Html) else _html.escape(clean(c, MAX_MESSAGE, lines=True))
            for c in children
        )
    )


def body(text: str) -> Html:
    """Escape a long text that is cleaned and cut already."""
    return Html(_html.escape(text))


def _escape_sequence(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@cache
def style() -> str:
    """Give the style sheet (``static/xpm.css``), without comments and needless space."""
    sheet = resources.files("xpm_nb.notebook").joinpath("static/xpm.css").read_text("utf-8")
    plain = re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)
    return re.sub(r"(:) +|\s*([{};,>])\s*", r"\1\2", plain).replace(";}", "}").strip()


def page(kind: str, *parts: object, uid: str = "") -> str:
    """Put a display together: the style sheet, then its parts.

    `uid` names the live display that this one stands in for (as ``data-xpm``), which hides it.
    """
    style_sheet = Html(f"<style>{style()}</style>")
    content = join((part for part in parts if part), "\n")
    # What may be wider than its place, and holds nothing else to stop at, can be scrolled by keys.
    stop = "0" if "<table" in content and "<details" not in content else None
    names = f"xpm xpm-{kind}"
    return str(el("div", style_sheet, content, cls=names, data_xpm=uid or None, tabindex=stop))


def table(head: Sequence[object], rows: Iterable[Html], numeric: Sequence[bool] = ()) -> Html:
    """Make a table of ready rows; columns that are `numeric` have their heads at the right."""
    cells = [
        el("th", name, scope="col", cls="xpm-num" if any(numeric[i : i + 1]) else None)
        if name
        else el("td")  # a head without a word would be read out as one
        for i, name in enumerate(head)
    ]
    top = join([el("thead", el("tr", *cells)), "\n"]) if head else ""
    return el("table", top, el("tbody", join(rows, "\n")), cls="xpm-table")


def long_title(text: str, limit: int) -> str | None:
    """Give a text as the title of what shows only its beginning; None if it shows all."""
    return text if len(text) > limit else None


def foot(*parts: object) -> Html:
    """Make a line below a table."""
    return el("p", *parts, cls="xpm-foot")


def log_block(text: str) -> Html:
    """Show the end of a log; the element inside lets the style begin at its end."""
    return el("pre", el("span", body(clean_log(text))), cls="xpm-log", tabindex="0")
