"""A config as HTML and text: identifier, tags, what it needs, its parameters as a tree."""

from __future__ import annotations

from xpm_nb.core.freshness import badges
from xpm_nb.core.views import ConfigView, ParamView
from xpm_nb.notebook.markup import Html, clean, el, foot, join, long_title, page, table
from xpm_nb.notebook.words import identifier_code, plural, short, state_mark, tag_list

MAX_DEPTH = 8  # of nested configs
MAX_PARAMS = 60  # of one config


def config_html(view: ConfigView, *, stable: bool = False, uid: str = "", fate: str = "") -> str:
    """Show a config: identifier, tags, what it needs, and its parameters as a tree.

    Parameters
    ----------
    view : ConfigView
        The config.
    stable : bool
        Leave out what differs between two runs of one notebook: its job's state, paths.
    uid : str
        The live display that this one stands in for.
    fate : str
        What would become of it if it were submitted now, in words.
    """
    parts: list[object] = [el("p", *_config_head(view, stable), cls="xpm-head")]
    if fate and not stable:
        parts.append(el("p", clean(fate, 200), cls="xpm-head"))
    if view.tags:
        parts.append(el("p", "tags: ", tag_list(view.tags), cls="xpm-head"))
    if view.dependencies:
        needs = [
            join([clean(name, 80), " ", identifier_code(identifier)])
            for name, identifier in view.dependencies[:MAX_PARAMS]
        ]
        parts.append(el("p", "needs: ", join(needs, ", "), cls="xpm-head"))
    parts.append(_params(view, MAX_DEPTH, stable))
    return page("config", *parts, uid=uid)


def _config_head(view: ConfigView, stable: bool) -> list[object]:
    head: list[object] = [el("strong", el("bdi", clean(view.name, 80))), " "]
    if view.identifier:
        head.append(identifier_code(view.identifier))
    if view.state is not None and view.state.final and not stable:  # others would soon be wrong
        head += [" ", state_mark(view.state)]
        if words := badges(view.stale, view.drift):
            head += [" ", el("span", ", ".join(words), cls="xpm-dim")]
    head += [" ", el("span", clean(view.type_name, 120), cls="xpm-dim xpm-type")]
    if not view.identifier:  # at the end: why there is none is a sentence
        head += [" ", identifier_code("", view.note)]
    return head


def _params(view: ConfigView, depth: int, stable: bool) -> Html:
    if view.shared:
        return foot("shown above")
    if not view.params:
        return foot("no parameters")
    rows = [_param_row(param, depth, stable) for param in view.params[:MAX_PARAMS]]
    rest = len(view.params) - len(rows)
    more = foot(f"… and {plural(rest, 'more parameter')}") if rest > 0 else ""
    head = ("parameter", "value", "") if depth == MAX_DEPTH else ()
    return join([table(head, rows), more])


def _param_row(param: ParamView, depth: int, stable: bool) -> Html:
    about = param.type if not param.help else f"{param.type}: {param.help}"
    text = _value_text(param, stable)
    value: Html = el(
        "code",
        clean(text, 400, lines=True),
        title=None if stable else long_title(param.text, len(text)),
    )
    if param.config is not None:
        value = _nested(param.config, depth - 1, stable)
    return el(
        "tr",
        el("td", clean(param.name, 80), title=about or None),
        el("td", value, cls="xpm-wrap"),
        el("td", _param_note(param), cls="xpm-dim"),
        cls="xpm-default" if param.default else None,
    )


def _value_text(param: ParamView, stable: bool) -> str:
    if "Path" not in param.type or not param.text:
        return param.text
    if stable:
        return "(path)"
    return param.text if len(param.text) <= 60 else "…/" + param.text.rpartition("/")[2]


def _param_note(param: ParamView) -> str:
    words = []
    if param.kind != "param":
        words.append(param.kind)
    if param.default and param.kind != "constant":
        words.append("default")
    if not param.hashed and param.kind == "param" and not param.default:
        words.append("not in the identifier")
    if param.error:
        words.append(f"✗ {clean(param.error, 300)}")
    return ", ".join(words)


def _nested(view: ConfigView, depth: int, stable: bool) -> Html:
    title = join([clean(view.name, 80), " ", identifier_code(view.identifier, view.note)])
    if view.shared:
        return join([title, el("span", " shown above", cls="xpm-dim")])
    if not view.params:
        return title
    if depth <= 0:
        return join([title, el("span", " … deeper levels left out", cls="xpm-dim")])
    # The first level is open: what a reader wants at once; the rest waits for a click.
    opened = "" if depth == MAX_DEPTH - 1 and len(view.params) <= 12 else None
    return el("details", el("summary", title), _params(view, depth, stable), open=opened)


def config_text(view: ConfigView, *, stable: bool = False) -> str:
    """Write a config in one line: ``Learn(lr=0.1, model=CNN(n=2)) [1f3a9c02]``.

    Metas, constants and what is at its default are left out: it is to be recognised.
    """
    mark = f" [{short(view.identifier)}]" if view.identifier else ""
    if (words := badges(view.stale, view.drift)) and not stable:
        mark += f" ({', '.join(words)})"
    return clean(_call_text(view, 3, stable), 400) + mark


def _call_text(view: ConfigView, depth: int, stable: bool) -> str:
    if view.shared or (depth <= 0 and view.params):
        return f"{clean(view.name, 80)}(…)"
    given: dict[str, list[str]] = {}  # the items of a container have a row each
    for param in view.params:
        if param.kind == "param" and not param.default:
            text = clean(_value_text(param, stable), 60)
            if param.config is not None:
                text = _call_text(param.config, depth - 1, stable)
            name, bracket, _ = param.name.partition("[")
            given.setdefault(clean(name, 60) + bracket, []).append(text)
    words = [
        f"{name}{', '.join(texts[:12])}]".replace("[", "=[", 1)
        if name.endswith("[")
        else f"{name}={texts[0]}"
        for name, texts in list(given.items())[:12]
    ]
    return f"{clean(view.name, 80)}({', '.join([*words, *(['…'] if len(given) > 12 else [])])})"
