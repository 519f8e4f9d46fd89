"""Texts that would do something if they were not taken as text; and each place they could be in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" onfocus="alert(1)" autofocus="',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "javascript:alert(1)",
    "<style>@import 'http://evil'</style>",
    "</style><script>alert(1)</script>",
    "</title></textarea></pre><script>alert(1)</script>",
    "<body onload=alert(1)>",
    "<math><mtext></mtext><script>alert(1)</script></math>",
    "<!--<script>alert(1)</script>-->",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<object data='javascript:alert(1)'>",
    "<embed src=evil.swf>",
    "<form action=javascript:alert(1)><button>go",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=//evil/>",
    "<link rel=stylesheet href=//evil>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`${alert(1)}`",
    "\\u003cscript\\u003ealert(1)",
    "&lt;script&gt;&#60;script&#62;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "a\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\x1b[31m<b>\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
    "\u202e<gpj.exe>\u2066\u2069",
    "\ud83d<script>\ude00\udc00",
    "\ufeff\u200b<\u017fcript>\u2028alert(1)\u2029",
    "]]>'\"`=<>\r\n\t<tr></table><script>alert(1)</script>",
    "x" * 100_000 + "<script>",
    "<" * 5_000,
]


def places(view: Any, kind: type) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Give each leaf of a type in a view: its path, and how to put something else there.

    Fields that a view gets later are found by themselves.
    """
    if type(view) is kind:
        yield "", lambda value: value
    elif is_dataclass(view):
        for field in fields(view):
            if field.init:
                for path, put in places(getattr(view, field.name), kind):
                    yield (
                        f".{field.name}{path}",
                        lambda value, name=field.name, put=put: replace(view, **{name: put(value)}),
                    )
    elif isinstance(view, tuple):
        for i, item in enumerate(view):
            for path, put in places(item, kind):
                yield f"[{i}]{path}", lambda value, i=i, put=put: _with(view, i, put(value))


def everywhere(view: Any, kind: type, value: Any) -> Any:
    """Put one value into every leaf of a type."""
    if type(view) is kind:
        return value
    if is_dataclass(view):
        changes = {
            f.name: everywhere(getattr(view, f.name), kind, value) for f in fields(view) if f.init
        }
        return replace(view, **changes)
    if isinstance(view, tuple):
        return _like(view, (everywhere(item, kind, value) for item in view))
    return view


def _with(items: tuple, i: int, item: Any) -> tuple:
    return _like(items, (*items[:i], item, *items[i + 1 :]))


def _like(items: tuple, changed: Any) -> tuple:
    made = tuple(changed)
    return type(items)(*made) if hasattr(items, "_fields") else made
