import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import DecodeError, Raw

from authz.core.wire import width
from authz.core.wire.raw_json import UnfitError
from authz.core.wire.slices import whole
from authz.core.wire.width import (
    TooWideError,
    check_items,
    check_members,
    check_text,
    check_values,
    open_in_slices,
)


def items(count, item=b'{"name":"a","b":1,"c":2}'):
    return Raw(b"[" + b",".join([item] * count) + b"]")


@pytest.mark.requirement("security.bounded-items")
def test_a_list_may_have_as_many_items_as_the_limit_and_not_one_more():
    check_items(items(5), 5)

    with pytest.raises(TooWideError):
        check_items(items(6), 5)


def test_the_commas_inside_of_items_are_not_items():
    check_items(items(2, b'{"name":"a,b,c","x":[1,2,3,4]}'), 3)


def test_a_list_is_counted_no_further_than_to_the_first_item_that_is_too_many():
    with pytest.raises(TooWideError):
        check_items(Raw(bytes(items(6))[:-1] + b", and what follows is no JSON"), 5)


def test_a_list_that_may_be_too_long_must_be_one_of_objects():
    with pytest.raises(DecodeError):
        check_items(Raw(b"[1,2,3,4]"), 2)


@pytest.mark.parametrize("wide", ["result", "tools", "content", "structuredContent", "inputSchema", "_meta"])
def test_members_that_may_be_wide_do_not_count(wide):
    check_members(b'{"a":1,"%b":[1,2,3,4,5,6]}' % wide.encode(), 3)


@pytest.mark.parametrize(
    "wide",
    [
        b'{"a":1,"b":2,"c":3,"d":4}',
        b'{"a":1,"other":[1,2,3]}',
        b'{"result":[1,2,3],"result":[1]}',
    ],
)
@pytest.mark.requirement("security.bounded-items")
def test_an_object_that_could_have_too_many_members_is_refused(wide):
    with pytest.raises(TooWideError):
        check_members(wide, 3)


def test_what_is_too_wide_says_so():
    assert "the message holds too many values" == str(TooWideError())


def test_a_list_with_as_many_commas_as_the_limit_is_counted():
    with pytest.raises(TooWideError):
        check_items(items(3, b"{}"), 2)


@pytest.fixture
def small(monkeypatch):
    """Sizes at which a document of a few bytes is a long one."""

    def use(window=7, short=0, long_window=5, large=16):
        sizes = {"_WINDOW": window, "_SHORT": short, "_LONG_WINDOW": long_window, "LARGE": large}
        for name, size in sizes.items():
            monkeypatch.setattr(width, name, size)

    use()
    return use


def counted_values(document):
    """Give the least limit under which a document passes."""
    limit = 0
    while True:
        try:
            list(check_values(document, limit))
        except TooWideError:
            limit += 1
        else:
            return limit


COUNTED = [
    (b"1", 1),
    (b"[]", 2),
    (b"[1,2,3]", 4),
    (b'{"a":1,"b":[2,{"c":3}]}', 6),
    (b"[[[[[[[[[[]]]]]]]]]]", 11),
    (b"[" + b"1," * 50 + b"1]", 52),
    (b'["[,{[,{[,{[,{[,{"]', 2),
    (b'["[,{\\"[,{\\"","[,{"]', 3),
    (b'["\\\\","[,{"]', 3),
    (b'["\\\\\\"[,{"]', 3),
    (b'["abc\\\\\\\\","[,{,","\\",,,"]', 5),
]
"""Documents, and how many values they are counted as: three escapes in one window are one more."""


@pytest.mark.parametrize(("document", "values"), COUNTED)
def test_values_are_counted_outside_of_texts(small, document, values):
    small(window=1000)

    assert values == counted_values(document)


@pytest.mark.parametrize("window", range(4, 12))
@pytest.mark.parametrize(
    "text", ['"', "\\", '\\"', 'a\\"b', '\\\\"', "[,{", 'X"', 'XX"[,{', '",[{"', "x" * 9 + "\\" * 3 + '"[,{']
)
def test_where_a_window_ends_does_not_matter(small, monkeypatch, window, text):
    monkeypatch.setattr(width, "_ESCAPES", 1000)
    small(window=window)
    for before in range(window + 1):
        document = json.dumps(["x" * before, text, [1, {"k": text}], "[,{"]).encode()

        assert 8 == counted_values(document)


TEXTS = st.text('aX"\\[,{', max_size=12)


@given(st.lists(TEXTS, max_size=6), st.integers(2, 9))
@example(['"'], 2)
def test_a_list_of_texts_has_as_many_values_whatever_is_in_them_and_wherever_it_is_cut(texts, window):
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"_WINDOW": window, "_SHORT": 0, "_LONG_WINDOW": 3, "_ESCAPES": 1000}.items():
            patch.setattr(width, name, size)

        assert 1 + max(1, len(texts)) == counted_values(json.dumps(texts).encode())


def test_only_a_document_beyond_a_size_is_counted(small):
    document = b"[1,2,3,4]"
    small(short=len(document))
    list(check_values(document, 1))
    small(short=len(document) - 1)

    with pytest.raises(TooWideError):
        list(check_values(document, 1))


def test_the_thread_is_given_back_after_each_window(small):
    """Counted first with what stands in texts, and then, if that is too much, without."""
    small(window=10, long_window=20)

    assert 5 == len(list(check_values(b" " * 100, 1)))
    assert 5 + 10 == len(list(check_values(b'"' + b"," * 98 + b'"', 2)))


def test_many_escapes_outside_and_inside_of_texts_cost_as_values_do(small):
    small(window=1000, long_window=1000)

    assert 32 == counted_values(b'["' + b"\\n" * 90 + b'"]')


def pauses_and_members(document, limit=10):
    """Give how often the thread was given back, and what was opened."""
    opening, pauses = open_in_slices(document, limit), 0
    while True:
        try:
            next(opening)
        except StopIteration as done:
            return pauses, done.value
        pauses += 1


SPACED, COMPACT = b'{"a" :1}', b'{"a":1}'


@pytest.mark.parametrize(
    ("document", "limit", "large", "pauses"),
    [
        (COMPACT, 1, len(COMPACT) + 1, 0),
        (COMPACT, 1, len(COMPACT), 1),
        (SPACED, 1, len(SPACED) + 1, 0),
        (SPACED, 1, len(SPACED), 2),
        (b'{"a":1,"result":[1,2],"tools":[3,4]}', 3, 1, 4),
        (b'{"a":1,"result":[1,2],"tools":[3,4]}', 3, 100, 0),
    ],
)
def test_the_thread_is_given_back_between_two_looks_at_a_large_object(small, document, limit, large, pauses):
    small(large=large)

    assert (pauses, json.loads(document).keys()) == (
        pauses_and_members(document, limit)[0],
        pauses_and_members(document, limit)[1].keys(),
    )


@pytest.mark.parametrize("document", [b'{"a":1,"a":2}', b'{"a":1, "a":1}', b'{"a":1,"\\u0061":1}'])
def test_an_object_in_which_a_key_occurs_twice_is_not_opened(document):
    with pytest.raises(UnfitError):
        whole(open_in_slices(document, 10))


def test_an_object_is_opened_with_as_many_members_as_the_limit():
    assert {"a", "b"} == whole(open_in_slices(b'{"a":1,"b":2}', 2)).keys()
    with pytest.raises(TooWideError):
        whole(open_in_slices(b'{"a":1,"b":2,"c":3}', 2))


@pytest.mark.parametrize("large", range(1, 12))
def test_a_text_is_utf_8_wherever_it_is_cut_and_anything_else_is_refused(small, large):
    small(large=large)
    text = "aé€😀b".encode()

    assert (len(text) - 1) // large == len(list(check_text(text)))
    for bad in (text[:-2], b"\xff" + text, text + b"\xc3", text + b"\xed\xa0\x80", text + b"\xc0\xaf"):
        with pytest.raises(UnicodeDecodeError):
            list(check_text(bad))


def test_a_text_in_ascii_is_looked_at_once(small):
    small(large=1)

    assert [] == list(check_text(b"abc"))
