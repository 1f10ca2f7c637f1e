"""The YAML writer: what is read back is what was written, and comments change nothing."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authz.render.yaml_writer import emit

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.sampled_from(
        [
            "yes",
            "no",
            "1e3",
            "0x1",
            "1:30",
            "2026-01-01",
            "~",
            "null",
            "=",
            "<<",
            "#",
            "- a",
            "a: b",
            "*",
            "&a",
            "\u2028",
        ]
    )
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=100), inner, max_size=4),
    max_leaves=20,
)
MAPPINGS = st.dictionaries(st.text(max_size=100), TREES, max_size=4)


def paths(value, here=()):
    """Every path in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*here, key)
        yield from paths(item, (*here, key))


@given(MAPPINGS, st.integers(1, 120))
def test_a_tree_is_read_back_as_it_was_written(tree, width):
    assert tree == yaml.safe_load(emit(tree, width=width))


@given(MAPPINGS, st.integers(20, 120), st.data())
def test_comments_anywhere_leave_the_tree_as_it_is(tree, width, data):
    places = list(paths(tree))
    chosen = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    text = emit(tree, dict.fromkeys(chosen, "why: because - of\nthis #1"), width=width)

    assert tree == yaml.safe_load(text)
    assert len(chosen) <= text.count("# why:")


def test_a_small_collection_stands_on_one_line_and_a_commented_one_does_not():
    tree = {"a": {"b": [1, "x y"]}, "c": [{"d": {"e": True}}]}
    comments = {("c", 0, "d"): "first", ("c", 0, "d", "e"): "second"}
    expected = 'a: {b: [1, "x y"]}\nc:\n# first\n- d:\n    # second\n    e: true\n'

    assert expected == emit(tree, comments)


@pytest.mark.parametrize(
    "text", ["0.5s", "mcp", "/dev/stdout", "127.0.0.1", "type.googleapis.com/a.B", "http://a:1"]
)
def test_harmless_strings_are_bare(text):
    assert f"k: {text}\n" == emit({"k": text})


@pytest.mark.parametrize("text", ["*", "600", "true", "null", "a b", "%REQ(X)%", "", "1.5", "2.0", "Off"])
def test_other_strings_are_quoted(text):
    assert f'k: "{text}"\n' == emit({"k": text})
