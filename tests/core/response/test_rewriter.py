import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authz.core.mcp.item import Kind
from authz.core.response.commands import (
    BadGateway,
    Body,
    Challenge,
    Headers,
    Judged,
    Release,
    ResponseOutcome,
    Stop,
    expired,
    refusal,
)
from authz.core.response.filter_result import Cause, Count
from authz.core.response.held import HeldBytes
from authz.core.response.judgement import ResponseTerms
from authz.core.response.list_filter import FilterBounds
from authz.core.response.rewriter import _CHOSEN, ResponseHead, Rewriter
from authz.core.wire.sse import MAX_LINES

LIST = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"},{"name":"hidden"}]}}'
CUT = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"}]}}'
OTHER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
TRIMMED = Judged(ResponseOutcome.TRIMMED, (Count(kind=Kind.TOOL, kept=1, trimmed=1),))
PASSED, REFUSED = Judged(ResponseOutcome.PASSED), Judged(ResponseOutcome.REFUSED)
READING = ResponseTerms(visible=lambda item: item.name != "hidden")
SSE = ResponseHead(status=200, content_type="text/event-stream")
JSON = ResponseHead(status=200, content_type="application/json")


def rewritten(head, *chunks, reading=READING):
    rewriter = Rewriter(reading)
    steps = [list(rewriter.headers(head, bodyless=False))]
    steps += [list(rewriter.chunk(chunk)) for chunk in chunks]
    return [*steps, list(rewriter.end())]


def flat(steps):
    return [action for step in steps for action in step]


def body(steps):
    return b"".join(action.data for action in flat(steps) if isinstance(action, Body))


request_ids = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text()


@given(request_ids)
def test_a_refusal_is_one_line_of_a_json_rpc_internal_error_with_the_requests_id(request_id):
    error = json.loads(refusal(request_id))

    assert ("2.0", request_id, -32603) == (error["jsonrpc"], error["id"], error["error"]["code"])
    assert [refusal(request_id)] == refusal(request_id).splitlines()


def test_json_is_held_with_its_headers_until_the_whole_body_was_judged():
    assert [
        [],
        [],
        [],
        [TRIMMED, Headers(length=len(CUT), rewritten=True), Body(CUT)],
    ] == rewritten(JSON, LIST[:30], LIST[30:])


def test_json_without_a_list_passes_as_it_is():
    assert [PASSED, Headers(length=len(OTHER), rewritten=False), Body(OTHER)] == flat(rewritten(JSON, OTHER))


def test_a_list_of_which_nothing_is_cut_counts_as_unchanged():
    unchanged = Judged(ResponseOutcome.UNCHANGED, (Count(kind=Kind.TOOL, kept=1, trimmed=0),))

    assert [unchanged, Headers(length=len(CUT), rewritten=False), Body(CUT)] == flat(rewritten(JSON, CUT))


@pytest.mark.parametrize(
    "label",
    [
        "application/json",
        "Application/JSON",
        "application/json ; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_json_is_judged_under_any_2xx_status_and_any_spelling(label, status):
    assert [TRIMMED, Headers(length=len(CUT), rewritten=True), Body(CUT)] == flat(
        rewritten(ResponseHead(status=status, content_type=label), LIST)
    )


@pytest.mark.parametrize(
    "head",
    [
        ResponseHead(status=200),
        ResponseHead(status=200, content_type="text/plain"),
        ResponseHead(status=200, content_type="text/json"),
        ResponseHead(status=201, content_type="application/x-ndjson"),
        ResponseHead(status=200, content_type="application/json,text/event-stream"),
        ResponseHead(status=200, content_type="application/json; charset=utf-16"),
        ResponseHead(status=200, content_type="text/event-stream; Charset = 'utf-7'"),
        ResponseHead(status=200, content_type="application/json", content_encoding="zstd"),
        ResponseHead(status=200, content_type="text/event-stream", content_encoding="identity, br"),
    ],
    ids=str,
)
@pytest.mark.requirement("protocol.unjudgeable-list")
def test_a_body_that_cannot_be_judged_is_refused_at_its_first_byte(head):
    assert [[], [], [REFUSED, BadGateway()], [], []] == rewritten(head, b"", b"{", LIST)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_empty_body_is_harmless_under_any_label(status):
    assert [PASSED, Headers(length=0, rewritten=False)] == flat(
        rewritten(ResponseHead(status=status, content_encoding="gzip"), b"")
    )


def test_the_identity_coding_is_none():
    assert (
        TRIMMED
        == flat(
            rewritten(
                ResponseHead(status=200, content_type="application/json", content_encoding="Identity"), LIST
            )
        )[0]
    )


@pytest.mark.parametrize(
    "head",
    [SSE, JSON, ResponseHead(status=202), ResponseHead(status=503, content_type="text/plain")],
    ids=str,
)
def test_a_response_without_a_body_is_released_at_once_and_nothing_follows(head):
    rewriter = Rewriter(READING)

    assert [PASSED, Release()] == list(rewriter.headers(head, bodyless=True))
    assert [] == [*rewriter.chunk(LIST), *rewriter.end()]


NO_MESSAGE = ["", "text/plain", "text/plain; charset=utf-16", "text/html", "application/octet-stream"]
"""Labels that say that a body is no message, and none."""


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
@pytest.mark.parametrize("label", NO_MESSAGE)
def test_a_page_of_another_status_passes_as_it_comes(status, label):
    assert [
        [],
        [],
        [PASSED, Headers(length=None, rewritten=False), Body(b" <html>")],
        [],
        [Body(b"{")],
        [],
    ] == rewritten(ResponseHead(status=status, content_type=label), b" ", b"<html>", b"", b"{")


@pytest.mark.parametrize("label", NO_MESSAGE)
@pytest.mark.parametrize("chunks", [[LIST], [b"\n", b"", b" " + LIST], [LIST[:9], LIST[9:]]], ids=len)
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_a_list_under_an_error_status_is_judged_whatever_its_label(label, chunks):
    assert CUT == body(rewritten(ResponseHead(status=500, content_type=label), *chunks))


@pytest.mark.parametrize("label", NO_MESSAGE)
@pytest.mark.parametrize(
    "disguised",
    [
        b"[" + LIST + b"]",
        b"\xef\xbb\xbf" + LIST[:-1],
        LIST.decode().encode("utf-16"),
        LIST.decode().encode("utf-16-be"),
        LIST.decode().encode("utf-32"),
    ],
)
@pytest.mark.requirement("protocol.unjudgeable-list")
def test_what_begins_as_json_does_is_refused_if_it_cannot_be_judged_whatever_its_label(label, disguised):
    assert [REFUSED, BadGateway()] == flat(
        rewritten(ResponseHead(status=500, content_type=label), disguised[:3], disguised[3:])
    )


def test_a_body_that_is_labelled_as_json_is_refused_if_it_is_none_under_any_status():
    head = ResponseHead(status=500, content_type="application/problem+json")

    assert [REFUSED, BadGateway()] == flat(rewritten(head, b"error {}"))


@pytest.mark.parametrize("charset", ["utf8", "utf-8", "UTF8"])
def test_utf_8_has_two_names(charset):
    head = ResponseHead(status=200, content_type=f"application/json; charset={charset}")

    assert CUT == body(rewritten(head, LIST))


def test_what_is_held_of_a_stream_is_released_when_it_ends_though_its_end_never_comes():
    held = HeldBytes()
    rewriter = Rewriter(replace(READING, held=held))
    assert flat([rewriter.headers(SSE, bodyless=False)])
    assert ([], True) == (list(rewriter.chunk(b"data: {")), held.total > 0)

    assert Stop() in list(rewriter.expire())
    assert 0 == held.total


@pytest.mark.parametrize(
    "over", [Rewriter.close, lambda rewriter: list(rewriter.end())], ids=["closed", "ended"]
)
def test_nothing_is_held_of_a_response_that_is_over_and_nothing_follows(over):
    held = HeldBytes()
    rewriter = Rewriter(replace(READING, held=held))
    assert [] == [*rewriter.headers(JSON, bodyless=False), *rewriter.chunk(LIST)]
    assert len(LIST) == held.total
    over(rewriter)

    assert ([], 0) == (list(rewriter.chunk(LIST)), held.total)
    assert [] == [*rewriter.expire(), *rewriter.end()]


@pytest.mark.parametrize("coding", [" identity ", "Identity", " "])
def test_a_coding_is_read_without_regard_to_case_and_space(coding):
    head = ResponseHead(status=200, content_type="application/json", content_encoding=coding)

    assert CUT == body(rewritten(head, LIST))


@pytest.mark.parametrize(("label", "remembered"), [("text/" + "x" * 100, True), ("text/" + "x" * 200, False)])
def test_only_short_labels_are_remembered(label, remembered):
    head = ResponseHead(status=200, content_type=label, content_encoding="identity")

    assert [REFUSED, BadGateway()] == flat(rewritten(head, LIST))
    assert remembered is (_CHOSEN.get((True, label, "identity")) is not None)


def test_a_label_and_a_coding_are_remembered_only_if_both_together_are_short():
    label, coding = "text/" + "x" * 100, "y" * 100

    assert [REFUSED, BadGateway()] == flat(
        rewritten(ResponseHead(status=200, content_type=label, content_encoding=coding), LIST)
    )
    assert _CHOSEN.get((True, label, coding)) is None


@pytest.mark.parametrize("label", NO_MESSAGE)
@pytest.mark.parametrize("chunk", [LIST, b" " * 20])
def test_what_could_be_a_list_is_held_within_its_bounds_whatever_its_label(label, chunk):
    bounds = FilterBounds(bytes=len(chunk))
    reading = ResponseTerms(visible=READING.visible, bounds=bounds)
    head = ResponseHead(status=500, content_type=label)

    assert [REFUSED, BadGateway()] == flat(rewritten(head, chunk, b" ", reading=reading))


@pytest.mark.parametrize(("coding", "expected"), [("gzip", CUT), ("br", b"")])
@pytest.mark.requirement("protocol.unjudgeable-list")
def test_a_coding_hides_no_list_under_an_error_status(coding, expected):
    head = ResponseHead(status=500, content_type="text/plain", content_encoding=coding)

    assert expected == body(rewritten(head, gzip.compress(LIST)))


@pytest.mark.parametrize("status", [300, 301, 305, 399, 401, 407])
def test_a_redirect_and_a_challenge_are_refused_with_their_headers(status):
    head = ResponseHead(status=status, content_type="application/json")

    assert [[REFUSED, BadGateway()], [], []] == rewritten(head, LIST)
    assert [REFUSED, BadGateway()] == list(Rewriter(READING).headers(head, bodyless=True))


def our_own(status):
    return f"Bearer of the gateway, {status}"


OURS = ResponseTerms(visible=READING.visible, challenge=our_own)


@pytest.mark.parametrize(("status", "challenged"), [(401, True), (401, False), (403, True)])
@pytest.mark.parametrize("bodyless", [True, False])
def test_a_challenge_to_a_caller_whose_token_the_server_got_gives_way_to_the_gateways(
    status, challenged, bodyless
):
    head = ResponseHead(status=status, content_type="text/html", challenged=challenged)
    commands = list(Rewriter(OURS).headers(head, bodyless=bodyless))

    released = [PASSED, Release()] if bodyless else []
    assert [Judged(ResponseOutcome.CHALLENGED), Challenge(our_own(status)), *released] == commands


@pytest.mark.parametrize(
    ("status", "challenged", "expected"),
    [
        (200, True, [Challenge("")]),
        (404, True, [Challenge("")]),
        (403, False, []),
        (404, False, []),
        (407, True, [REFUSED, BadGateway()]),
    ],
)
@pytest.mark.parametrize("reading", [READING, OURS], ids=["without the token", "with the token"])
def test_a_challenge_under_another_status_is_taken_away_and_a_proxys_refused(
    status, challenged, expected, reading
):
    head = ResponseHead(status=status, content_type="application/json", challenged=challenged)

    assert expected == list(Rewriter(reading).headers(head, bodyless=False))


OWN_DENIALS = [
    (
        401,
        b'{"jsonrpc":"2.0","id":1,"error":{"code":50100,"message":"no","data":{"reason":"missing_token"}}}',
    ),
    (403, b'{"jsonrpc":"2.0","id":1,"error":{"code":40300,"message":"no"}}'),
    (200, b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"no"}],"isError":true}}'),
    (503, b'{"jsonrpc":"2.0","id":null,"error":{"code":50300,"message":"no"}}'),
]


@pytest.mark.parametrize(("status", "denial"), OWN_DENIALS)
@pytest.mark.parametrize("challenged", [True, False])
def test_a_denial_of_the_service_passes_to_the_byte_with_its_own_challenge(status, denial, challenged):
    head = ResponseHead(status=status, content_type="application/json", challenged=challenged)
    own = replace(READING, visible=None, own=True)
    steps = flat(rewritten(head, denial, reading=own))

    assert denial == body([steps])
    assert not any(isinstance(action, BadGateway | Challenge) for action in steps)
    assert LIST not in body(rewritten(head, LIST, reading=own))


ERRORS = [400, 404, 499, 500, 503]


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("label", ["application/json", "APPLICATION/Problem+JSON; charset=utf-8"])
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_a_list_in_json_is_judged_under_any_status(status, label):
    assert CUT == body(rewritten(ResponseHead(status=status, content_type=label), LIST))


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_a_list_in_an_event_is_judged_under_any_status(status):
    head = ResponseHead(status=status, content_type="text/event-stream")

    assert b"data: " + CUT + b"\n\n" == body(rewritten(head, b"data: " + LIST + b"\n\n"))


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    "error",
    [
        b"",
        b"Session not found",
        b'"not found"',
        b'{"detail":"Not Found"}',
        b'{"error":"invalid_request","error_description":"no"}',
        b'{"type":"about:blank","title":"Not Found","status":404}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Bad Request"}}',
    ],
)
def test_the_json_of_an_error_status_passes_as_it_is_if_it_is_no_message(status, error):
    assert error == body(rewritten(ResponseHead(status=status, content_type="application/json"), error))


@pytest.mark.parametrize(
    "disguised",
    [
        LIST[LIST.index(b'{"tools') : -1],
        LIST.replace(b'"result"', b'"Result"'),
        LIST[LIST.index(b'{"tools') : -1].replace(b"tools", b"Tools"),
        b"[" + LIST + b"]",
        LIST[:-1],
        b'{"detail":1,"detail":2}',
        LIST.replace(b'"id":1', b'"id":1,"error":{}'),
        LIST.replace(b'"id":1', b'"method":"x"'),
    ],
)
def test_what_could_be_read_as_a_list_is_refused_under_an_error_status(disguised):
    assert [REFUSED, BadGateway()] == flat(
        rewritten(ResponseHead(status=404, content_type="application/json"), disguised)
    )


def cause_of(head, *chunks, reading=READING):
    return [action.cause for action in flat(rewritten(head, *chunks, reading=reading)) if action == REFUSED]


NO_ROOM = ResponseTerms(visible=READING.visible, held=HeldBytes(20))
FEW = ResponseTerms(visible=READING.visible, bounds=FilterBounds(items=2))
MANY = b'{"result":{"tools":[' + b'{"name":"a","title":"b"},' * 2 + b'{"name":"a"}]}}'


@pytest.mark.parametrize(
    ("cause", "head", "chunk", "reading"),
    [
        (Cause.UNREADABLE, ResponseHead(status=200, content_type="text/html"), b"x", READING),
        (Cause.TOO_LARGE, JSON, LIST, ResponseTerms(visible=None, bounds=FilterBounds(bytes=9))),
        (Cause.TOO_LARGE, SSE, LIST, ResponseTerms(visible=None, bounds=FilterBounds(bytes=9))),
        (Cause.TOO_LARGE, SSE, b"x\n" * MAX_LINES, READING),
        (Cause.TOO_MANY_ITEMS, JSON, MANY, FEW),
        (Cause.NOT_JSON, JSON, LIST[:-1], READING),
        (Cause.AMBIGUOUS, JSON, LIST.replace(b'"id":1', b'"id":1,"id":1'), READING),
        (Cause.AMBIGUOUS, SSE, b": {\n\n", READING),
        (Cause.UNKNOWN_READER, JSON, LIST, ResponseTerms(visible=None)),
        (Cause.NO_ROOM, JSON, LIST, NO_ROOM),
        (Cause.NO_ROOM, SSE, b"data: " + LIST, NO_ROOM),
    ],
)
@pytest.mark.requirement("security.bounded-bytes")
def test_a_refusal_says_its_cause(cause, head, chunk, reading):
    assert [cause] == cause_of(head, chunk, reading=reading)


@pytest.mark.parametrize("bad", [b"[" + LIST + b"]", LIST[:-1], b"\xef\xbb\xbf" + LIST, b"x"])
def test_json_that_is_refused_is_replaced(bad):
    assert [REFUSED, BadGateway()] == flat(rewritten(JSON, bad))


def test_json_beyond_the_bound_is_replaced_as_soon_as_it_is():
    reading = ResponseTerms(visible=READING.visible, bounds=FilterBounds(bytes=len(LIST)))

    assert TRIMMED == flat(rewritten(JSON, LIST, reading=reading))[0]
    assert [[], [], [REFUSED, BadGateway()], [], []] == rewritten(JSON, LIST, b" ", LIST, reading=reading)


@pytest.mark.parametrize("head", [JSON, SSE], ids=["json", "sse"])
def test_without_a_verdict_on_who_reads_no_list_passes_and_all_else_does(head):
    nobody = ResponseTerms(visible=None)
    frame = (lambda data: b"data: " + data + b"\n\n") if head is SSE else (lambda data: data)

    assert b"shown" not in body(rewritten(head, frame(LIST), reading=nobody))
    assert REFUSED in flat(rewritten(head, frame(LIST), reading=nobody))
    assert frame(OTHER) == body(rewritten(head, frame(OTHER), reading=nobody))


def test_the_time_to_live_is_lowered():
    timed = b'{"id":1,"result":{"tools":[],"cacheScope":"private","ttlMs":%d}}'

    assert timed % 5 == body(
        rewritten(JSON, timed % 9, reading=ResponseTerms(visible=READING.visible, ttl_ms=5))
    )


@pytest.mark.requirement("protocol.events-pass")
def test_events_pass_one_by_one_each_judged_by_itself():
    progress = b'id: 1\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress"}\r\n\r\n'

    assert [
        [Headers(length=None, rewritten=True)],
        [PASSED, Body(progress), Body(b": ping\n")],
        [Body(b"\n")],
        [],
        [TRIMMED, Body(b"id: 2\nevent: message\ndata: " + CUT + b"\n\n"), Body(b"id: 3\r\ndata: \r\n\r\n")],
        [],
    ] == rewritten(
        SSE,
        progress + b": ping\n",
        b"\n",
        b"id: 2\nevent: message\ndata: " + LIST[:20],
        LIST[20:] + b"\n\nid: 3\r\ndata: \r\n\r\n",
    )


def test_a_list_over_several_data_lines_is_trimmed():
    lines = LIST.replace(b",", b",\r\ndata:").replace(b"id", b"id")

    assert b"data: " + CUT + b"\r\n\r\n" == body(rewritten(SSE, b"data:" + lines + b"\r\n\r\n"))


def test_an_event_without_an_opening_brace_passes_whatever_it_says():
    stream = b"event: endpoint\ndata: /messages?session=1\n\ndata: [DONE]\n\nfoo: bar\n\n"

    assert stream == body(rewritten(SSE, stream))


def test_a_refused_event_is_replaced_where_it_stood_and_the_next_is_judged():
    steps = rewritten(SSE, b"id: 1\ndata: [" + LIST + b"]\nretry: 5\n\ndata: " + LIST + b"\n\n")

    assert [
        Headers(length=None, rewritten=True),
        REFUSED,
        Body(b"id: 1\ndata: " + refusal(None) + b"\nretry: 5\n\n"),
        TRIMMED,
        Body(b"data: " + CUT + b"\n\n"),
    ] == flat(steps)


DISGUISES = {
    "in a comment": b": " + LIST + b"\n\n",
    "in another case": b"Data: " + LIST + b"\n\n",
    "after a space": b" data: " + LIST + b"\n\n",
    "after a later byte order mark": b": x\n\n\xef\xbb\xbfdata: " + LIST + b"\n\n",
    "after a line separator": b"data: [\xe2\x80\xa8data: " + LIST + b"\xe2\x80\xa8\xe2\x80\xa8]\n\n",
    "after a form feed in a comment": b": x\x0cdata: " + LIST + b"\n\n",
    "in an id": b"id: " + LIST + b"\ndata: {}\n\n",
    "in an event's name": b"event: " + LIST + b"\ndata: " + OTHER + b"\n\n",
    "with a byte order mark in the data": b"data: \xef\xbb\xbf" + LIST + b"\n\n",
    "beside another message": b"data: " + OTHER + b"\ndata: " + LIST + b"\n\n",
    "in a notification": b'data: {"method":"x","result":' + LIST[LIST.index(b'{"tools') :] + b"\n\n",
    "in a batch": b"data: [" + LIST + b"]\n\n",
    "in JSON cut short": b"data: " + LIST[:-1] + b"\n\n",
    "at the end of the stream": b"data: [" + LIST + b"]",
    "at the end, unfinished": b"data: " + LIST[:-3],
    "as an unknown last line": b"dat: " + LIST,
}


@pytest.mark.parametrize("stream", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize(
    "split", [lambda s: [s], lambda s: [s[i : i + 1] for i in range(len(s))]], ids=["whole", "bytewise"]
)
def test_a_list_in_disguise_does_not_pass(stream, split):
    steps = rewritten(SSE, *split(stream))

    assert b"hidden" not in body(steps)
    assert REFUSED in flat(steps)


def test_a_list_at_the_end_of_the_stream_is_judged_though_no_blank_line_ends_it():
    assert b"data: " + CUT == body(rewritten(SSE, b"data: " + LIST))


def test_an_event_beyond_the_bound_ends_the_stream_and_nothing_of_it_or_after_it_passes():
    reading = ResponseTerms(visible=READING.visible, bounds=FilterBounds(bytes=60))
    first = b"data: " + OTHER + b"\n\n"

    assert [
        [Headers(length=None, rewritten=True)],
        [PASSED, Body(first), REFUSED, Stop()],
        [],
        [],
    ] == rewritten(SSE, first + b"data: " + LIST, b"\n\ndata: {}\n\n", reading=reading)


UPDATED = b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"%b"}}'


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (b"id: 7\nevent: message\ndata: " + UPDATED % b"hidden" + b"\n\n", b"id: 7\nevent: message\n\n"),
        (b"data: " + UPDATED % b"hidden" + b"\r\n\r\n", b"\r\n"),
        (b"data: " + UPDATED % b"hidden", b"\n"),
        (b"id: 7\ndata: " + UPDATED % b"shown" + b"\n\n", b"id: 7\ndata: " + UPDATED % b"shown" + b"\n\n"),
    ],
)
@pytest.mark.requirement("protocol.notifications")
def test_a_notification_of_what_its_reader_may_not_see_keeps_its_id_and_says_nothing(event, sent):
    rest = b"data: " + LIST + b"\n\n" if event.endswith(b"\n\n") else b""

    assert sent + rest.replace(LIST, CUT) == body(rewritten(SSE, event + rest))


def test_a_json_body_that_is_such_a_notification_is_refused():
    withheld = Judged(ResponseOutcome.TRIMMED)

    assert [withheld, BadGateway()] == flat(rewritten(JSON, UPDATED % b"hidden"))


def test_without_a_verdict_on_who_reads_no_such_notification_passes():
    stream = b"data: " + UPDATED % b"shown" + b"\n\n"

    assert b"\n" == body(rewritten(SSE, stream, reading=ResponseTerms(visible=None)))


def test_chunks_before_the_headers_are_dropped():
    rewriter = Rewriter(READING)

    assert [] == [*rewriter.chunk(LIST), *rewriter.end()]


BETWEEN = LIST.index(b"[")
"""Between two tokens: a fragment that comes in there breaks the JSON, and renames no member."""

fragments = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        LIST,
        OTHER,
        LIST[:BETWEEN],
        LIST[BETWEEN:],
        b": ",
        b"id: 1",
        b"[",
        b"]",
        b"\xef\xbb\xbf",
    ]
)


@given(st.lists(st.lists(fragments, max_size=5).map(b"".join), max_size=8))
def test_no_stream_of_events_carries_the_hidden_item_through(chunks):
    for head in (SSE, JSON):
        assert b"hidden" not in body(rewritten(head, *chunks))


def answered(*chunks, request_id=7, **options):
    """The body that the one with this request receives."""
    reading = ResponseTerms(visible=READING.visible, request_id=request_id, **options)
    return body(rewritten(SSE, *chunks, reading=reading))


@pytest.mark.parametrize("request_id", [7, "7", 0, "", 2**63 - 1, "\n\ndata: {}\n\n"])
def test_a_refused_event_answers_the_request_by_its_id(request_id):
    error = refusal(request_id)

    assert b"id: 1\ndata: " + error + b"\n\n" == answered(
        b"id: 1\ndata: [" + LIST + b"]\n\n", request_id=request_id
    )
    assert request_id == json.loads(error)["id"]


def test_events_that_pass_do_not_get_the_requests_id():
    assert b"data: " + CUT + b"\n\ndata: " + OTHER + b"\n\n" == answered(
        b"data: " + LIST + b"\n\ndata: " + OTHER + b"\n\n"
    )


def test_an_event_beyond_the_bound_answers_the_request_before_the_stream_ends():
    reading = ResponseTerms(visible=READING.visible, bounds=FilterBounds(bytes=60), request_id=7)

    assert [
        [Headers(length=None, rewritten=True)],
        [Body(b": ping\n"), REFUSED, Body(b"data: " + refusal(7) + b"\n\n"), Stop()],
        [],
        [],
    ] == rewritten(SSE, b": ping\ndata: " + LIST, b"\n\n", reading=reading)


@pytest.mark.requirement("protocol.comments")
def test_an_event_that_hides_a_brace_beside_its_data_is_dropped_and_the_request_answered():
    assert b"data: " + refusal(7) + b"\n\n" == answered(b"id: {}\ndata: " + OTHER + b"\n\n")


@pytest.mark.parametrize("stream", [b": {}\n\n", b"Data: {}\n\n", b"event: {\n\n"])
def test_an_event_that_no_client_reads_is_dropped_without_an_answer(stream):
    assert b"{" not in answered(stream)


def test_an_event_cut_short_by_the_end_of_the_stream_answers_the_request_in_a_complete_event():
    assert b"data: " + refusal(7) + b"\n\n" == answered(b"data: " + LIST[:-3])


def test_an_event_without_an_id_to_answer_is_replaced_all_the_same():
    assert b"data: " + refusal(None) + b"\n\n" == answered(b"data: []{\n\n", request_id=None)


EXPIRED = Judged(ResponseOutcome.EXPIRED)
ASKED = ResponseTerms(visible=READING.visible, request_id=7)


def ended(head, *chunks, reading=ASKED):
    """What is done when the caller's token expires after these chunks, and when more comes after that."""
    rewriter = Rewriter(reading)
    list(rewriter.headers(head, bodyless=False))
    for chunk in chunks:
        list(rewriter.chunk(chunk))
    last = list(rewriter.expire())
    return last, [*rewriter.chunk(b"data: x\n\n"), *rewriter.end(), *rewriter.expire()]


@pytest.mark.parametrize("chunks", [(), (b": ping\n\n",), (b"data: 1\n\ndata: half",)])
def test_an_expired_stream_ends_with_an_answer_and_nothing_follows(chunks):
    answer = Body(b"data: " + expired(7) + b"\n\n")

    assert ([EXPIRED, answer, Stop()], []) == ended(SSE, *chunks)
    assert ([EXPIRED, Stop()], []) == ended(SSE, *chunks, reading=READING)


@pytest.mark.parametrize("event", [b"id: 1\ndata: x\n\n", b"data: x\r\nid:1\r\n\r\n", b"event: e\rid:\r\r"])
def test_an_expired_stream_whose_events_have_ids_ends_without_an_answer(event):
    assert ([EXPIRED, Stop()], []) == ended(SSE, event)


def test_an_error_of_the_server_that_is_still_being_sent_ends():
    assert ([EXPIRED, Stop()], []) == ended(ResponseHead(status=500, content_type="text/plain"), b"x")


def test_a_body_that_is_held_goes_on():
    rewriter = Rewriter(ASKED)
    steps = [*rewriter.headers(JSON, bodyless=False), *rewriter.chunk(LIST[:9]), *rewriter.expire()]

    assert [] == steps
    assert CUT == body([list(rewriter.chunk(LIST[9:])), list(rewriter.end())])
