"""Whatever a file looks like, an edit does to its text what it would do to its values, and can be taken out again."""

import copy
import re

import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from authz.config.problems import ConfigError
from authz.merge.marks import without_merged
from authz.merge.yaml_text import YamlText

WORDS = st.sampled_from(["a", "b", "name", "k k", "x: y", "# no", "- z", "", "two\nlines\n", "ü", "'q'", "*"])
KEYS = WORDS.filter(lambda word: word and "\n" not in word)
SCALARS = WORDS | st.booleans() | st.none() | st.integers(-5, 5) | st.just(1.5)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, TREES, min_size=1, max_size=4)


def places(value, path=()):
    """The paths of all collections in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict | list) and value:
        yield path, isinstance(value, dict)
    for key, item in items:
        yield from places(item, (*path, key))


@st.composite
def edited(draw):
    """A document as text, an edit, and the values that follow from it."""
    tree = draw(DOCUMENTS)
    text = yaml.safe_dump(
        tree,
        sort_keys=False,
        default_flow_style=draw(st.sampled_from([False, None, True])),
        indent=draw(st.sampled_from([2, 4])),
        allow_unicode=True,
    )
    lines = text.splitlines(keepends=True)
    if draw(st.booleans()) and not text.startswith(("{", "[")):
        lines = [line for each in lines for line in ((["# note\n"] if each[:1].isalpha() else []) + [each])]
    commented = "".join(lines)
    if yaml.safe_load(commented) == tree:
        text = commented
    path, is_mapping = draw(st.sampled_from(list(places(tree))))
    expected, value = copy.deepcopy(tree), draw(TREES)
    target = expected
    for step in path:
        target = target[step]
    if is_mapping:
        key = draw(KEYS)
        target[key] = value
        return text, expected, ("put", (*path, key), value)
    at = draw(st.integers(0, len(target)))
    target.insert(at, value)
    return text, expected, ("insert", path, at, [value])


@given(edited())
@settings(max_examples=60)
def test_an_edit_of_any_text_is_that_of_its_values_and_can_be_taken_out(drawn):
    text, expected, (name, *arguments) = drawn
    assume(yaml.safe_load(text) is not None)
    out = YamlText(text, "f", yaml.safe_load(text))
    try:
        getattr(out, name)(*arguments)
        new = out.write()
    except ConfigError:
        assert re.search(r"(?m)^ *- +-", text)  # what it refuses
        return

    assert expected == yaml.safe_load(new)
    assert text == without_merged(new, "f")
