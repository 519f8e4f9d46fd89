"""Read a static display as somebody does who has no style sheet, or no eyes for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import html5lib

_SVG = "{http://www.w3.org/2000/svg}"
_BLOCKS = {"p", "tr", "pre", "summary", "div", "table", "title", "desc", "text"}


def parse(page: str) -> Any:
    """Parse a display into a tree, as a browser does."""
    return html5lib.parse(page, namespaceHTMLElements=False)


def strictly(page: str) -> Any:
    """Parse a display into a tree; raise if the markup is not what the standard asks for."""
    document = f"<!DOCTYPE html><html><head><title>a</title></head><body>{page}</body></html>"
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(document)


def drawings(page: str) -> list[Any]:
    """Give the SVG documents that a display shows as images, as trees of XML."""
    found = []
    for node in parse(page).iter("img"):
        head, _, data = node.attrib["src"].partition(",")
        if head == "data:image/svg+xml;base64":
            found.append(ElementTree.fromstring(base64.b64decode(data, validate=True)))
    return found


def words(node: Any) -> str:
    return " ".join(" ".join(node.itertext()).split())


def rows_of(page: str) -> list[list[str]]:
    return [[words(cell) for cell in row] for row in parse(page).iter("tr")]


def bare(page: str) -> str:
    """Take the style sheet out."""
    return re.sub("<style>.*?</style>", "", page, flags=re.S)


def without_style(page: str) -> str:
    return words(parse(bare(page)))


def read(page: str) -> str:
    """Give the lines that are read: one for each block, cells divided by ``|``."""
    text = "".join(_pieces(parse(bare(page)).find("body")))
    lines = (" ".join(line.split()).strip("| ") for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _pieces(node: Any) -> Iterator[str]:
    tag = node.tag.removeprefix(_SVG) if isinstance(node.tag, str) else ""
    # A newline in the source is space; one that is kept, or a block's end, makes a line.
    yield "\n" if tag in _BLOCKS else ""
    yield _own(node.text, tag)
    if tag == "img":
        yield f"[image: {node.attrib['alt']}]"
    for child in node:
        yield from _pieces(child)
        yield _own(child.tail, tag)
    yield " | " if tag in ("td", "th") else "\n" if tag in _BLOCKS else ""


def _own(text: str | None, tag: str) -> str:
    return (text or "") if tag in ("pre", "span", "desc") else (text or "").replace("\n", " ")
