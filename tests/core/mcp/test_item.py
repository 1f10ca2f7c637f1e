"""Which things a request can name at all."""

import pytest

from authz.core.mcp.item import Item, Kind, is_nameable

ROUNDS = 8


def encoded(text, times):
    """Percent-encode a letter of a URI, and its percent sign again and again."""
    return f"file:///public/%{'25' * (times - 1)}{ord(text):02X}"


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_is_named_by_an_empty_name(kind):
    assert False is is_nameable(Item(kind, ""))


@pytest.mark.parametrize("times", [ROUNDS, ROUNDS + 1, 3 * ROUNDS])
def test_a_uri_that_is_still_encoded_after_eight_rounds_is_refused_whatever_it_hides(times):
    """How often a server decodes is not known, so what was not seen in the clear is taken for the worst."""
    assert False is is_nameable(Item(Kind.RESOURCE, encoded("a", times)))


@pytest.mark.parametrize("times", range(1, ROUNDS))
def test_a_dot_segment_is_found_under_every_round_of_encoding(times):
    hidden = encoded(".", times).removeprefix("file:///public/")

    assert False is is_nameable(Item(Kind.RESOURCE, f"file:///public/{hidden}{hidden}/secret"))


@pytest.mark.parametrize(
    "uri",
    [
        *(f"file:///public{left}..{right}secret" for left in "/\\?#;" for right in "/\\?#;"),
        "file:///public/./secret",
        "file:///public/..",
        "..",
        "file:///public/a\nb",
        "file:///public/%0a",
        "file:///public/\u202ea",
    ],
)
def test_a_dot_segment_behind_any_separator_and_a_control_character_are_refused(uri):
    assert False is is_nameable(Item(Kind.RESOURCE, uri))


@pytest.mark.parametrize(
    "uri",
    [
        "file:///public/a",
        "file:///public/a.txt",
        "file:///public/...",
        "file:///public/.git",
        "db:///a?x=1.5",
    ],
)
def test_a_plain_uri_is_nameable(uri):
    assert True is is_nameable(Item(Kind.RESOURCE, uri))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.RESOURCE])
def test_only_a_resource_is_named_by_a_uri(kind):
    assert True is is_nameable(Item(kind, "../a"))
