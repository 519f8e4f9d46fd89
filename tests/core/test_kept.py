from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xpm_nb.core.kept import frames_view

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
