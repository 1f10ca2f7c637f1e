"""A body that is held to its end: what it holds, when the thread is given back, and what of an unlabelled body passes."""

import json

import pytest
from msgspec.structs import replace

from authz.core.response.commands import BadGateway, Body, Headers, Judged, Pause, ResponseOutcome, Stop
from authz.core.response.held import HeldBytes
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds
from authz.core.response.whole_body import ErrorBody, OtherBody, WholeBody

TERMS = ResponseTerms(visible=lambda item: not item.name.startswith("hidden"))


def listed(count, **more):
    names = [name for at in range(count) for name in (f"shown{at}", f"hidden{at}")]
    tools = [{"name": name, **more} for name in names]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}, separators=(",", ":")).encode()


def ended(body, *, kind=WholeBody):
    held = HeldBytes()
    reader = kind(replace(TERMS, held=held), held.open(""))
    assert [] == list(reader.chunk(body))
    return list(reader.end())


def test_a_body_is_judged_in_slices_if_it_is_long_and_in_one_step_if_it_is_short():
    short, long = listed(20), listed(1_500, description="x" * 60)

    assert (True, False) == (len(short) < 65_536 < len(long), Pause() in ended(short))
    assert Pause() in ended(long)


@pytest.mark.parametrize("count", [20, 1_500])
def test_of_a_long_body_as_of_a_short_one_nothing_hidden_is_sent(count):
    commands = [each for each in ended(listed(count, description="x" * 60)) if each != Pause()]
    judged, headers, body = commands
    names = [tool["name"] for tool in json.loads(body.data)["result"]["tools"]]

    assert [f"shown{at}" for at in range(count)] == names
    assert (ResponseOutcome.TRIMMED, Headers(length=len(body.data), rewritten=True)) == (
        judged.outcome,
        headers,
    )


def test_a_body_that_is_refused_for_its_size_is_held_no_longer():
    held = HeldBytes()
    reader = WholeBody(replace(TERMS, held=held, bounds=FilterBounds(bytes=8)), held.open(""))
    assert ([], 8) == (list(reader.chunk(b"[1,2,3,4")), held.total)

    assert BadGateway() in list(reader.chunk(b"]"))
    assert 0 == held.total


def test_a_body_for_which_there_is_no_room_is_refused_and_held_no_longer():
    held = HeldBytes(limit=16)
    reader = WholeBody(replace(TERMS, held=held), held.open(""))
    assert ([], 8) == (list(reader.chunk(b"[1,2,3,4")), held.total)

    assert BadGateway() in list(reader.chunk(b",5,6,7,8]"))
    assert 0 == held.total


PAGES = [b"<html>", b"not found", b"X{}", b"  \r\n<html>"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_does_not_begin_as_json_passes_as_it_comes_and_is_not_held(page):
    held = HeldBytes()
    reader = OtherBody(replace(TERMS, held=held), held.open(""))
    blank = len(page) - len(page.lstrip())

    assert [] == list(reader.chunk(page[:blank]))
    passed = [Judged(ResponseOutcome.PASSED), Headers(length=None, rewritten=False), Body(page)]
    assert passed == list(reader.chunk(page[blank:]))
    assert 0 == held.total
    assert [Body(b"{}")] == list(reader.chunk(b"{}"))
    assert [Judged(ResponseOutcome.EXPIRED), Stop()] == list(reader.expire())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_what_begins_as_json_does_is_held_to_its_end_however_it_is_cut(size):
    held = HeldBytes()
    reader = OtherBody(replace(TERMS, held=held), held.open(""))
    body = b" \n" + listed(2)
    steps = [list(reader.chunk(body[at : at + size])) for at in range(0, len(body), size)]

    assert [] == [command for step in steps for command in step]
    assert (len(body), []) == (held.total, list(reader.expire()))
    assert b"hidden" not in b"".join(each.data for each in reader.end() if isinstance(each, Body))


@pytest.mark.parametrize("kind", [WholeBody, ErrorBody])
def test_a_body_that_is_held_goes_on_when_its_callers_token_expires(kind):
    held = HeldBytes()
    reader = kind(replace(TERMS, held=held), held.open(""))
    assert [] == list(reader.chunk(listed(1)))

    assert [] == list(reader.expire())
    assert ResponseOutcome.TRIMMED is next(iter(reader.end())).outcome
