import pytest
from msgspec import DecodeError, Raw

from authz.core.wire.width import TooWideError, check_items, check_members


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
