"""Objects opened one level at a time, however they are written."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.wire.raw_json import (
    UnfitError,
    closed,
    name_at,
    open_each,
    open_items,
    open_members,
    open_object,
    read_members,
    refuse_imitations,
    text,
)

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
VALUES = st.sampled_from(
    ["1", "1.50", '"x"', '"\\u0041"', "null", "[1, 2]", '{"a":1,"a":2}', "{}", "-0", '"é"']
)
KEYS = st.sampled_from(["name", "n", "", "é", "😀", "a\\b", 'q"', "\b", "\x1f", "\x7f", "/", "K"])


def spelled(key, how):
    """One way to write a key: plain, every character escaped, or as few as may be."""
    if how == 0:
        return json.dumps(key, ensure_ascii=False)
    if how == 1:
        units = key.encode("utf-16-be")
        return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)) + '"'
    return json.dumps(key).replace("/", "\\/")


@st.composite
def objects(draw):
    """An object's text, its keys in order, and the texts of its values."""
    members = draw(st.lists(st.tuples(KEYS, st.integers(0, 2), VALUES), max_size=5))
    space = [draw(SPACE) for _ in range(4 * len(members) + 1)]
    parts, place = [], iter(space)
    for key, how, value in members:
        parts.append(next(place) + spelled(key, how) + next(place) + ":" + next(place) + value + next(place))
    return "{" + (",".join(parts) or next(place)) + "}", [(key, value) for key, _, value in members]


def read(members):
    return [(key, bytes(raw).decode()) for key, raw in members.items()]


@given(objects())
def test_an_object_opens_to_its_members_as_written_unless_a_key_occurs_twice(made):
    text, members = made
    if len(dict(members)) < len(members):
        with pytest.raises(UnfitError):
            open_members(text.encode())
    else:
        assert members == read(open_members(text.encode()))


@given(st.lists(objects(), max_size=4), SPACE)
def test_a_list_opens_as_each_of_its_objects_would_and_each_is_kept_as_written(made, space):
    text = f"[{space}" + f"{space},".join(text for text, _ in made) + f"{space}]"
    if any(len(dict(members)) < len(members) for _, members in made):
        with pytest.raises(UnfitError):
            open_each(msgspec.Raw(text.encode()))
        return
    opened = open_each(msgspec.Raw(text.encode()))
    assert [members for _, members in made] == [read(members) for _, members in opened]
    assert [text for text, _ in made] == [msgspec.json.encode(written).decode() for written, _ in opened]


@pytest.mark.parametrize("text", ["{}", "1", '"x"', "[1]", "[{}, []]", "[{},", "", "null"])
def test_what_is_no_list_of_objects_is_refused(text):
    with pytest.raises(msgspec.DecodeError):
        open_each(msgspec.Raw(text.encode()))


@pytest.mark.parametrize(
    ("document", "certain"),
    [
        ("{}", True),
        ('{"a":1}', True),
        ('{"é":[1, 2],"😀":"x"}', True),
        ('{"a":1,"b":{"a":1,"a":2}}', True),
        ("{ }", False),
        ('{"a": 1}', False),
        ('{"a":1 }', False),
        ('{"\\u0061":1}', False),
        ('{"a":1,"a":1}', False),
        ('{"a":1,"a":2,"bc":3}', False),
    ],
)
def test_that_no_key_occurs_twice_is_certain_at_once_only_of_what_is_written_shortly(document, certain):
    assert (json.loads(document).keys(), certain) == (
        read_members(document.encode())[0].keys(),
        read_members(document.encode())[1],
    )


@pytest.mark.parametrize(
    "document", ['{"Name":1}', '{"name":1,"NAME":2}', '{"a":1,"constructor":2}', '{"na\\u0000":1}']
)
def test_an_object_with_a_key_that_imitates_a_judged_one_is_not_opened(document):
    assert {"name"} == open_object(b'{"name":1}', frozenset({"name"})).keys()
    assert {"other"} == open_object(b'{"other":1}', frozenset({"name"})).keys()
    with pytest.raises(UnfitError) as caught:
        open_object(document.encode(), frozenset({"name"}))

    assert "a key imitates one that is judged" == str(caught.value)
    refuse_imitations(["other"], frozenset({"name"}))


def test_what_is_refused_is_told_in_words_of_ours():
    with pytest.raises(UnfitError, match=r"^a key occurs twice in one object$"):
        open_members(b'{"a":1,"a":2}')
    with pytest.raises(UnfitError, match=r"^what should be judged has no name$"):
        name_at({}, "name")


def test_a_name_is_a_text_and_nothing_else():
    members = open_members(b'{"name":"\\u0061","n":1,"none":null}')

    assert "a" == name_at(members, "name") == text(members["name"])
    for key in ("n", "none"):
        with pytest.raises(msgspec.DecodeError):
            name_at(members, key)


def test_an_object_is_written_again_with_each_member_as_it_was():
    members = open_members(b'{"b" : 1.50, "a":[1, 2]}')

    assert b'{"b":1.50,"a":[1, 2]}' == bytes(closed(members))
    assert [b"1", b"{ }"] == [bytes(item) for item in open_items(msgspec.Raw(b"[1, { }]"))]
