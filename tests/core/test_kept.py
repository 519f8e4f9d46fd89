from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.kept import ErrorView, FramesView, FrameView, frames_view, shortened

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["errors", "frames", "kind", "line", "lines", "values", "file", "first", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_stands_there_gives_a_view(data):
    view = frames_view("Learn", "ab", data if isinstance(data, dict) else {"errors": data})
    for error in view.errors:
        assert error.said
        for frame in error.frames:
            assert isinstance(frame.text, str)


def test_the_line_of_a_frame_is_found_among_its_lines():
    frame = {"file": "a.py", "line": 12, "function": "f", "first": 11, "lines": ["a", "  b", "c"]}
    frame |= {"values": [["x", "1"], ["broken"]]}
    view = frames_view(
        "Learn", "ab", {"errors": [{"kind": "E", "message": "m", "frames": [frame]}]}
    )
    (found,) = view.errors[0].frames
    assert (found.text, found.values, view.errors[0].said) == ("b", (("x", "1"),), "E: m")


def deep(frames: int) -> FramesView:
    """A failure of so many frames, with long lines and many values."""
    made = tuple(
        FrameView(
            "/tmp/a.py",
            line=50 + n,
            function=f"f{n}",
            first=1,
            lines=tuple(f"{number:>4} " + "x" * 400 for number in range(1, 101)),
            values=tuple((f"v{i}", "y" * 400) for i in range(100)),
            globals=(("g", "1"),),
        )
        for n in range(frames)
    )
    return FramesView(
        "Learn", "ab", (ErrorView("ValueError", "z" * 2000, left_out=3, frames=made),)
    )


def test_what_is_sent_is_cut_and_the_innermost_stays():
    view = shortened(deep(30), frames=10, around=2, values=40, chars=100, all_chars=6_000)
    (error,) = view.errors
    assert [frame.function for frame in error.frames] == [f"f{n}" for n in range(20, 30)]
    assert error.left_out == 3 + 20
    assert len(error.message) == 200
    inner = error.frames[-1]
    assert (inner.line, inner.first, len(inner.lines)) == (79, 77, 5)
    assert inner.text.startswith("79 ")
    assert all(len(line) == 100 and line.endswith("…") for line in inner.lines)
    assert len(inner.values) == 40
    assert inner.globals == ()
    texts = [text for frame in error.frames for pair in frame.values for text in pair]
    assert 5_800 < sum(map(len, texts)) <= 6_000
    assert error.frames[0].values == ()


def test_what_is_short_stays_as_it_is():
    small = FramesView("A", "b", (ErrorView("E", "m", frames=(FrameView("a.py", 1, "f"),)),))
    assert shortened(small, frames=5, around=2, values=5, chars=50, all_chars=100) == small
    odd = FramesView(
        "A", "b", (ErrorView("E", "m", frames=(FrameView("a.py", 9, "f", lines=("x",)),)),)
    )
    (frame,) = shortened(odd, frames=5, around=2, values=5, chars=9, all_chars=9).errors[0].frames
    assert frame.lines == ()
