"""The code that a job ran, with colours, and what has changed since."""

from __future__ import annotations

from xpm_nb.core.views import SourceView
from xpm_nb.notebook.markup import MAX_MESSAGE, MAX_TEXT, Html, body, clean, el, foot, join, page
from xpm_nb.notebook.words import identifier_code, plural

MAX_SOURCE = 60_000  # characters of one part
MAX_CHANGES = 600  # lines

# Kinds of words, as Pygments tells them: those of the front-end's own editor, where it says.
_COLOURS = {
    "Comment": ("comment", "#59636e", "#9198a1"),
    "Keyword": ("keyword", "#007020", "#7ee787"),
    "Operator.Word": ("keyword", "#007020", "#7ee787"),
    "Literal.String": ("string", "#a5300a", "#e0a070"),
    "Literal.Number": ("number", "#0550ae", "#79c0ff"),
    "Name.Function": ("def", "#0000c0", "#79c0ff"),
    "Name.Class": ("def", "#0000c0", "#79c0ff"),
    "Name.Decorator": ("meta", "#7a28a0", "#d2a8ff"),
}
_STYLES = {
    kind: f"color:var(--jp-mirror-editor-{name}-color,light-dark({light},{dark}))"
    for kind, (name, light, dark) in _COLOURS.items()
}


def source_html(view: SourceView) -> str:
    """Show the code of a job, cell by cell, and below it the changes since."""
    name = el("strong", el("bdi", clean(view.task, 80)))
    head = el("p", name, " ", identifier_code(view.identifier), " as it ran", cls="xpm-head")
    parts: list[object] = [head]
    if view.unknown:
        parts.append(el("p", f"source unknown: {clean(', '.join(view.unknown))}", cls="xpm-foot"))
    for place, text in view.parts:
        parts += [
            el("p", el("code", clean(place, MAX_TEXT)), cls="xpm-foot"),
            _code(highlighted(text)),
        ]
    if view.changes:
        shown = view.changes[:MAX_CHANGES]
        lines = join((_changed(line, n < 2) for n, line in enumerate(shown)), "\n")
        parts.append(el("details", el("summary", clean(view.note)), _code(lines), open=""))
        if len(view.changes) > len(shown):
            parts.append(foot(f"… and {plural(len(view.changes) - len(shown), 'more line')}"))
    elif view.note:
        parts.append(foot(clean(view.note, MAX_MESSAGE)))
    return page("source", *parts)


def _code(lines: Html) -> Html:
    """Show lines from their beginning: words right below a ``pre`` would be those of a log."""
    return el("pre", el("code", lines), cls="xpm-log", tabindex="0")


def highlighted(text: str) -> Html:
    """Colour Python code."""
    from pygments.lexers import PythonLexer  # slow to import, and only for this

    shown = clean(text.rstrip("\n"), MAX_SOURCE, lines=True)
    words: list[object] = []
    for kind, word in PythonLexer(stripnl=False, ensurenl=False).get_tokens(shown):
        style = _style(str(kind).removeprefix("Token."))
        words.append(body(word) if style is None else el("span", body(word), style=style))
    return join(words)


def _style(kind: str) -> str | None:
    while kind:
        if kind in _STYLES:
            return _STYLES[kind]
        kind = kind.rpartition(".")[0]
    return None


def _changed(line: str, head: bool) -> Html:
    shown = body(clean(line, MAX_MESSAGE, lines=True))
    if head or line.startswith("@@"):
        return el("span", shown, cls="xpm-dim")
    name = {"+": "xpm-new", "-": "xpm-gone"}.get(line[:1])
    return shown if name is None else el("span", shown, cls=name)


def source_text(view: SourceView) -> str:
    """Write the code of a job, and the changes since."""
    blocks = [f"# --- {clean(name)}\n{_plain(text)}" for name, text in view.parts]
    text = "\n\n".join(blocks)
    if view.changes:
        lines = [clean(line, MAX_MESSAGE, lines=True) for line in view.changes[:MAX_CHANGES]]
        text += f"\n\n# --- {view.note}\n" + "\n".join(lines)
    return text


def _plain(text: str) -> str:
    return clean(text.rstrip("\n"), MAX_SOURCE, lines=True)
