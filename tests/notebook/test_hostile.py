"""Whatever stands in a view: the display is inert, valid and small."""

from __future__ import annotations

import math
import re

import pytest

from tests.notebook import nasties, samples
from tests.notebook.reading import bare, drawings, strictly
from xpm_nb.notebook import html, svg

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    *("table", "thead", "tbody", "tr", "td", "th", "div", "p", "strong", "bdi", "code", "span"),
    *("details", "summary", "pre", "progress", "img"),
}
DRAWN = {SVG + tag for tag in ("svg", "style", "g", "rect", "path", "circle", "text", "tspan")}
ATTRIBUTES = {
    *("class", "title", "scope", "colspan", "open", "value", "max", "style", "role", "aria-label"),
    *("data-xpm", "alt", "src", "width", "height", "tabindex"),
}
STROKES = {
    *("class", "width", "height", "viewBox", "x", "y", "rx", "r", "cx", "cy", "d", "transform"),
    *("fill", "stroke", "stroke-width", "stroke-linejoin", "stroke-dasharray"),
    *("font-family", "font-size", "font-weight", "text-anchor"),
}
# What may stand in an attribute that acts on the page, wherever it comes from.
VALUES = {
    "style": re.compile(r"width:[0-9.]+%|text-align:left"),
    "src": re.compile(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+"),
    "d": re.compile(r"[MLHVCZmlhvcz0-9 .-]+"),
    "transform": re.compile(r"(?:translate\(-?[0-9.]+ -?[0-9.]+\)|scale\(0\.5\)| )+"),
    "class": re.compile(r"xpm[a-z0-9 -]*|[pdbg]"),
    **{
        name: re.compile(r"-?[0-9.]+|100%")
        for name in ("width", "height", "x", "y", "rx", "r", "cx", "cy", "font-size")
    },
    **{name: re.compile(r"none|currentColor|#[0-9a-f]{6}") for name in ("fill", "stroke")},
}
# Not to be seen, or acting on the text around them.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

CALLS = {
    "log": lambda text: html.bundle(samples.FAILED, log=text),
    "log alone": lambda text: {"text/html": html.log_html(text, text), "text/plain": "a"},
    "fate": lambda text: html.bundle(samples.TRAIN, fate=text),
    "uid": lambda text: html.bundle(samples.SWEEP, uid=text),
    "back": lambda text: html.bundle(samples.SWEEP, back=text),
    "titles": lambda text: {
        "text/html": html.graph_html(samples.GRAPH, text) + html.curves_html(samples.CURVES, text),
        "text/plain": html.jobs_text(samples.SWEEP.jobs, text),
    },
    "problem": lambda text: {
        "text/html": html.problem_html(text, text, text),
        "text/plain": html.problem_text(text, text),
    },
}
PLACES = {
    f"{name}{path}": (lambda text, put=put, draw=draw: draw(put(text)))
    for name, (view, draw) in samples.DISPLAYS.items()
    for path, put in nasties.places(view, str)
} | CALLS
WHOLE = {
    name: (lambda text, view=view, draw=draw: draw(nasties.everywhere(view, str, text)))
    for name, (view, draw) in samples.DISPLAYS.items()
}


# Each place gets what breaks out of a text, an attribute, a style, a table, and what is just long;
# all places together get everything.
SOME = [nasties.HOSTILE[i] for i in (1, 3, 5, 12, 13, 34, 35, 37, 39, 40)]


def check(bundle: dict[str, str]) -> None:
    """Fail if a display could do anything but be looked at."""
    for text in bundle.values():
        text.encode("utf-8")  # no half of a surrogate pair
        assert not ACTING.search(text)
    page = bundle["text/html"]
    assert len(page) < 120_000
    assert page.count(f"<style>{html.style()}</style>") == page.count("<style")
    content = bare(page)
    assert "<style" not in content
    for node in strictly(content).findall("body//*"):
        look_at(node, ALLOWED, ATTRIBUTES)
    for drawing in drawings(content):
        assert {node.text for node in drawing.iter(f"{SVG}style")} <= {str(svg._style())}
        for node in drawing.iter():
            look_at(node, DRAWN, STROKES)


def look_at(node, tags: set[str], attributes: set[str]) -> None:
    assert node.tag in tags
    assert set(node.attrib) <= attributes
    for name, value in node.attrib.items():
        assert name not in VALUES or VALUES[name].fullmatch(value), (name, value)


@pytest.mark.parametrize("place", PLACES)
def test_hostile_text_stays_text(place):
    for text in SOME:
        check(PLACES[place](text))


@pytest.mark.parametrize("text", nasties.HOSTILE, ids=range(len(nasties.HOSTILE)))
@pytest.mark.parametrize("name", WHOLE)
def test_hostile_text_everywhere_at_once(name, text):
    check(WHOLE[name](text))


def test_there_are_many():
    assert len(nasties.HOSTILE) >= 40
    assert len(PLACES) > 150


NUMBERS = [0.0, -0.0, -1.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", samples.DISPLAYS)
def test_any_number_can_be_drawn(name, number):
    view, draw = samples.DISPLAYS[name]
    for changed in (
        nasties.everywhere(view, float, number),
        *(put(number) for _, put in nasties.places(view, float)),
    ):
        check(draw(changed))  # which lets no nan and no inf into a coordinate


@pytest.mark.parametrize(
    "image",
    [
        "http://evil/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        'data:image/png;base64,AAAA" onerror="alert(1)',
        "data:image/png,<svg onload=alert(1)>",
        "data:image/png;base64," + "A" * 500_000,
    ],
)
def test_what_is_no_image_is_not_put_into_the_page(image):
    job = samples.job(said=(samples.Said("display", "a plot", image),))
    page = html.bundle(job)["text/html"]
    assert "<img" not in page
    assert "a plot (an image" in page


def test_images_of_many_callbacks_are_few_in_a_saved_picture():
    image = "data:image/png;base64," + "A" * 40_000
    jobs = tuple(
        samples.job(text=str(i), said=(samples.Said("display", "a plot", image),) * 3)
        for i in range(30)
    )
    page = html.bundle(samples.replace(samples.SWEEP, jobs=jobs))["text/html"]
    assert page.count("<img") == 2
    assert page.count("a plot (an image of 30 kB, not kept here)") == 88
    assert len(page) < 120_000
