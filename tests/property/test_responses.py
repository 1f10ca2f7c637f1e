"""What a server may send: the cost is linear in its bytes, and chunks and slices change nothing.

Cost is counted in calls of functions, so the bounds hold on every machine.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.core.response.commands import Body, Pause
from authz.core.response.filter_result import Trimmed
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds, filter_in_slices, trim
from authz.core.response.rewriter import ResponseHead, Rewriter
from authz.core.wire.sse import Parser
from tests.support.work import counted

SSE = ResponseHead(status=200, content_type="text/event-stream")
CALLS_FOR_EACH_ITEM = 60
CALLS_FOR_EACH_EVENT = 120
SLICE = 1500
"""Most items between two pauses."""


def visible(item):
    return "hidden" not in item.name


lines = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b":\n",
        b": ping\r\n",
        b"id: 1\n",
        b"data\n",
        b"data:\r",
        b"data: x\n",
        b'data: {"jsonrpc":"2.0","method":"x"}\n',
        b'data: {"id":1,"result":{"tools":[{"name":"hidden"},{"name":"a"}]}}\n\n',
        b"\xef\xbb\xbf",
        b"unfinished",
    ]
)
streams = st.lists(st.tuples(lines, st.integers(1, 40)), max_size=25).map(
    lambda parts: b"".join(line * count for line, count in parts)
)


def chunks_of(stream, borders):
    cuts = sorted({border % (len(stream) + 1) for border in borders})
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def sent(stream, borders):
    rewriter = Rewriter(ResponseTerms(visible=visible))
    actions = list(rewriter.headers(SSE, bodyless=False))
    for chunk in chunks_of(stream, borders):
        actions += rewriter.chunk(chunk)
    actions += rewriter.end()
    return b"".join(action.data for action in actions if isinstance(action, Body))


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
def test_the_bytes_of_all_events_are_the_stream_however_it_is_cut(stream, borders):
    parser = Parser(max_bytes=1_000_000)
    events = [event for chunk in chunks_of(stream, borders) for event in parser.feed(chunk)]
    last = parser.close()

    assert stream == b"".join(event.raw for event in [*events, *([last] if last else [])])


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
def test_what_is_sent_of_a_stream_does_not_depend_on_how_it_is_cut(stream, borders):
    assert sent(stream, []) == sent(stream, borders)
    assert b"hidden" not in sent(stream, borders)


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r", b": c\n", b":\r\n\n"])
@pytest.mark.parametrize("size", [1, 17, 4096])
@pytest.mark.requirement("security.bounded-bytes")
def test_blank_lines_and_comments_cost_by_the_chunk_and_not_by_the_line(line, size):
    stream = line * (400 * size)
    chunks = [stream[start : start + size * len(line)] for start in range(0, len(stream), size * len(line))]

    def run():
        parser = Parser(max_bytes=1000)
        return sum(len(parser.feed(chunk)) for chunk in chunks)

    pieces, calls = counted(run)

    assert pieces <= 2 * len(chunks)
    assert calls <= 60 * len(chunks)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 50))
@pytest.mark.requirement("security.bounded-bytes")
def test_the_cost_of_events_is_linear_in_their_number(count, size):
    stream = b'data: {"jsonrpc":"2.0","method":"x"}\n\n' * count
    borders = range(0, len(stream), size * 40)

    _, calls = counted(lambda: sent(stream, borders))

    assert calls <= CALLS_FOR_EACH_EVENT * (count + len(borders)) + 200


names = st.sampled_from(["a", "hidden", "hidden é", "b" * 30])
spaces = st.sampled_from(["", " ", "\n\t"])


@st.composite
def lists(draw):
    """A list of tiny items, more of them than one slice has."""
    pattern = draw(st.lists(st.tuples(names, spaces, st.booleans()), min_size=1, max_size=7))
    repeated = pattern * draw(st.integers(1, 3000 // len(pattern)))
    gap = draw(spaces)
    members = {True: ',"_meta":{}', False: ""}
    written = [f'{{"name":{space}{json.dumps(name)}{members[meta]}}}' for name, space, meta in repeated]
    return [name for name, _, _ in repeated], (
        '{"id":1,"result":{"tools":[' + f"{gap},".join(written) + ']},"jsonrpc":"2.0"}'
    ).encode()


def in_slices(document):
    """Return the result, and how many items were looked at between two pauses."""
    seen, most = 0, []

    def look(item):
        nonlocal seen
        seen += 1
        return visible(item)

    work = filter_in_slices(document, look, ttl_ms=None)
    while True:
        try:
            next(work)
            most.append(seen)
            seen = 0
        except StopIteration as done:
            return done.value, max([*most, seen])


@settings(deadline=None, max_examples=40)
@given(lists())
@pytest.mark.requirement("security.bounded-items")
def test_a_list_in_slices_is_the_list_that_its_reader_may_see(case):
    given_names, document = case
    result, most = in_slices(document)

    kept = [item["name"] for item in json.loads(result.document)["result"]["tools"]]
    assert [name for name in given_names if "hidden" not in name] == kept
    assert (len(kept), len(given_names)) == (
        result.counts[0].kept,
        sum((result.counts[0].kept, result.counts[0].trimmed)),
    )
    assert result == trim(document, visible, ttl_ms=None)
    assert most <= SLICE


@settings(deadline=None, max_examples=20)
@given(lists())
def test_the_cost_of_a_list_is_linear_in_its_items(case):
    given_names, document = case

    result, calls = counted(lambda: trim(document, visible, ttl_ms=None))

    assert isinstance(result, Trimmed)
    assert calls <= CALLS_FOR_EACH_ITEM * len(given_names) + 300


WIDE = {
    "items": b'{"result":{"tools":[' + b'{"name":"a"},' * 60_000 + b'{"name":"a"}]}}',
    "no items": b'{"result":{"tools":[' + b"1," * 60_000 + b"1]}}",
    "members of a message": b'{"result":{"tools":[]}' + b',"a":1' * 60_000 + b"}",
    "members of a result": b'{"result":{"tools":[]' + b',"a":1' * 60_000 + b"}}",
    "members of an item": b'{"result":{"tools":[{"name":"a"' + b',"a":1' * 60_000 + b"}]}}",
    "members of an interface": b'{"result":{"tools":[{"name":"a","_meta":{"ui":{"b":1'
    + b',"a":1' * 60_000
    + b"}}}]}}",
    "files of a skill": b'{"result":{"skills":[{"uri":"a","resources":[1' + b",1" * 60_000 + b"]}]}}",
    "a subscription": b'{"method":"notifications/subscriptions/acknowledged","params":{"notifications":'
    b'{"taskIds":["a"' + b',"a"' * 60_000 + b"]}}}",
}


@pytest.mark.parametrize("document", WIDE.values(), ids=WIDE)
@pytest.mark.requirement("security.bounded-items")
def test_what_is_too_wide_is_refused_before_it_is_opened(document):
    result, calls = counted(lambda: trim(document, visible, ttl_ms=None, bounds=FilterBounds(items=20_000)))

    assert not isinstance(result, Trimmed)
    assert calls < 1000


def test_many_events_in_one_chunk_are_judged_with_pauses_among_them():
    rewriter = Rewriter(ResponseTerms(visible=visible))
    list(rewriter.headers(SSE, bodyless=False))
    actions = list(rewriter.chunk(b"data: {}\n\n" * 5121))

    assert 40 == sum(isinstance(action, Pause) for action in actions)
