"""A cache holds what was put last, and no more than its size."""

import pytest

from authz.core.wire.bounded_cache import BoundedCache


@pytest.mark.parametrize(
    ("size", "put", "held"),
    [
        (0, "ab", ""),
        (1, "ab", "b"),
        (2, "abc", "bc"),
        (2, "aab", "ab"),
        (3, "abca", "abc"),
        (3, "abcad", "bcd"),
    ],
)
def test_the_oldest_entry_is_dropped_when_there_is_no_room(size, put, held):
    cache = BoundedCache(size)
    for key in put:
        cache.put(key, key.upper())

    assert dict(zip(held, held.upper(), strict=True)) == cache


def test_a_full_cache_of_any_size_drops_a_sixteenth_at_once_and_never_outgrows_its_size():
    cache = BoundedCache(1600)
    sizes = [len(cache) for key in range(5000) if cache.put(key, True)]

    assert 1600 == max(sizes)
    assert 1600 - 100 == min(sizes[1600:])
    assert list(cache) == list(range(5000 - len(cache), 5000))


def test_a_value_that_is_put_again_takes_no_room_and_replaces_the_old_one():
    cache = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 1)

    assert 2 == cache.put("a", 2)
    assert {"a": 2, "b": 1} == cache


def test_a_read_changes_nothing_so_that_another_thread_may_read():
    cache = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 1)
    assert 1 == cache.get("a")
    cache.put("c", 1)

    assert ["b", "c"] == list(cache)
