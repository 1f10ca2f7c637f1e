"""A stream of events: how much of it is done between two pauses, and what is held of it."""

import pytest
from msgspec.structs import replace

from authz.core.response.commands import Body, Headers, Pause, ResponseOutcome, Stop
from authz.core.response.event_stream import EventStream
from authz.core.response.filter_result import Cause
from authz.core.response.held import HeldBytes
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds

TERMS = ResponseTerms(visible=lambda item: item.name != "hidden")
RESULT = b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
WORD = b"data: x\n\n"


def opened(**terms):
    held = HeldBytes()
    reader = EventStream(replace(TERMS, held=held, **terms), held.open(""))
    assert [Headers(length=None, rewritten=True)] == list(reader.open())
    return reader, held


def body(commands):
    return b"".join(each.data for each in commands if isinstance(each, Body))


@pytest.mark.parametrize(
    ("event", "count", "pauses"),
    [(WORD, 512, 0), (WORD, 513, 1), (WORD, 1_026, 2), (RESULT, 128, 0), (RESULT, 129, 1), (RESULT, 258, 2)],
)
def test_the_thread_is_given_back_after_512_events_of_which_one_that_is_judged_counts_for_four(
    event, count, pauses
):
    reader, _ = opened()
    commands = list(reader.chunk(event * count))

    assert pauses == sum(isinstance(each, Pause) for each in commands)
    assert event * count == body(commands)


@pytest.mark.parametrize(
    ("bounds", "limit", "cause"), [(64, 1 << 20, Cause.TOO_LARGE), (1 << 20, 64, Cause.NO_ROOM)]
)
def test_a_stream_that_cannot_be_held_ends_and_is_held_no_longer(bounds, limit, cause):
    held = HeldBytes(limit=limit)
    reader = EventStream(replace(TERMS, held=held, bounds=FilterBounds(bytes=bounds)), held.open(""))
    assert ([], True) == (list(reader.chunk(b"data: {")), held.total > 0)
    judged, *_, last = reader.chunk(b"x" * 100)

    assert (ResponseOutcome.REFUSED, cause, Stop()) == (judged.outcome, judged.cause, last)
    assert 0 == held.total


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (RESULT, RESULT),
        (b"event: message\r\n" + RESULT, b"event: message\r\n" + RESULT),
        (b'data:{"jsonrpc":"2.0",\ndata:"id":1,"result":{}}\n\n',) * 2,
        (WORD, WORD),
        (b"event: {}\n" + WORD, b""),
    ],
)
def test_an_event_of_which_nothing_goes_is_sent_as_it_was_written_unless_it_hides_a_brace(event, sent):
    reader, _ = opened()

    assert sent == body(reader.chunk(event))


@pytest.mark.parametrize("first", [b"id: 7\n" + WORD, b"id: 7\n\n", WORD])
def test_a_stream_is_resumable_once_an_event_of_it_had_an_id(first):
    reader, _ = opened(request_id=1)
    list(reader.chunk(first))
    list(reader.chunk(WORD))

    ended = body(reader.expire())

    assert (first is WORD) is (ended != b"")


@pytest.mark.parametrize("event", [b"id: 7\n\n", b"id: 7\n" + WORD, b"id: 7", b"\n", b"\n\n\n"])
def test_no_piece_of_a_stream_is_empty_also_where_an_id_is_taken_off(event):
    reader, _ = opened(bind_event=lambda _event: None)
    commands = [*reader.chunk(event), *reader.end()]

    assert b"7" not in body(commands)
    assert all(each.data for each in commands if isinstance(each, Body))
