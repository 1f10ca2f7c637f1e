"""No request and no response costs more steps than its limits allow, however long, deep, wide, foreign or escaped it is."""

import json
import sys

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.decision import Decision
from authz.core.request import Limits
from authz.core.response import message_opener
from authz.core.response.filter_result import Cause, Untouched
from authz.core.response.item_reader import MAX_ITEMS, SLICE_ITEMS
from authz.core.response.list_filter import FilterBounds, filter_in_slices, trim
from tests.support.core import changed, check, good_token, message, post, rule, server, snapshot
from tests.support.work import counted

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

LIMITS = Limits(nodes=2000, keys=1000, normalised=128)
RULES = (
    rule("allow", "echo", args='args.a.path != "/b" && size(args) > 0', name="reading"),
    rule("deny", "echo", args="args.b.exists(x, x == 1)", name="walking"),
)
TARGET = changed(snapshot(server(*RULES)), limits=LIMITS, max_body=1_048_576)
STEPS = 12 * LIMITS.nodes
"""More than any request may cost: a few calls for each value that the limits let through."""

UNITS = st.sampled_from(
    ["a", "%", "%25", "\ufdfa", "\u0345\u0315", "\\", '"', "{", "[,:", "é", "\0", "\r\n", "\U0001f600"]
)
SIZES = st.sampled_from([0, 1, 40, 900, 20_000])
LONG = st.builds(lambda unit, size: (unit * size)[:20_000], UNITS, SIZES)
SCALARS = LONG | st.sampled_from([1, 2**53 + 1, 2**64, 0.1, True, None, int("9" * 400)])


def wide(value, key, size):
    """Give objects and lists of a size, with keys that begin alike."""
    return {"keys": {f"{key[:60]}{n}": value for n in range(size)}, "list": [value] * size}


def deep(value, depth):
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ARGUMENTS = st.one_of(
    st.builds(wide, SCALARS, LONG, st.sampled_from([0, 9, 400, 1500, 9000])),
    st.builds(
        lambda value, depth, size: {"a": [deep(value, depth)] * size}, SCALARS, st.integers(0, 90), SIZES
    ),
    st.builds(lambda key, size: {f"{key[:40]}{n}": 1 for n in range(size)}, LONG, SIZES),
    st.dictionaries(LONG, SCALARS, max_size=5),
)
MESSAGES = st.one_of(
    ARGUMENTS.map(lambda given: message("tools/call", {"name": "echo", "arguments": {"b": [], **given}})),
    ARGUMENTS.map(lambda given: message("ping", given)),
    ARGUMENTS.map(lambda given: {**message("ping"), **given}),
    LONG.map(lambda uri: message("resources/read", {"uri": uri})),
)
BODIES = st.builds(
    lambda sent, compact, escaped: json.dumps(
        sent, separators=(",", ":") if compact else None, ensure_ascii=escaped
    ).encode("utf-8", "replace"),
    MESSAGES,
    st.booleans(),
    st.booleans(),
) | st.builds(
    lambda unit, size: unit.encode() * size, UNITS | st.sampled_from(["[", '{"a":', "1", " ", "1e5,"]), SIZES
)


@UNHURRIED
@given(body=BODIES)
def test_a_request_costs_no_more_steps_than_its_limits_allow(body):
    good_token()
    check(post(message("ping")), TARGET)  # verifies the token
    request = post(body)
    decision, steps = counted(lambda: check(request, TARGET))

    assert isinstance(decision, Decision)
    assert STEPS > steps


BYTES = 4_400_000
"""Size of a response that is large enough to have its values counted."""
RESULT = b'{"id":1,"result":{"structuredContent":'
TOOLS = b'{"id":1,"result":{"tools":['


def filled(start, unit, end):
    return start + unit * ((BYTES - len(start) - len(end)) // len(unit)) + end


LARGE_RESPONSES = {
    "numbers": filled(RESULT + b"[1", b",1", b"]}}"),
    "numbers and a space": filled(RESULT + b" [1", b",12345678", b"] } }"),
    "lists in lists": filled(RESULT + b"[1", b"," + b"[" * 40 + b"]" * 40, b"]}}"),
    "members": filled(RESULT + b'{"a":1', b',"a":1', b"}}}"),
    "members of a result": filled(b'{"result":{"tools":[]', b',"a":1', b"}}"),
    "members of a message": filled(b'{"result":{"tools":[]}', b',"a":1', b"}"),
    "escapes": filled(RESULT + b'"', b'\\"', b'"}}'),
    "text": filled(RESULT + b'"', b"x", b'"}}'),
    "text beyond ASCII": filled(RESULT + b'"', "é".encode(), b'"}}'),
    "tiny items": filled(TOOLS + b'{"name":"a"}', b',{"name":"a"}', b"]}}"),
    "small items": filled(TOOLS + b'{"name":"a"}', b',{"name":"a","title":"%b"}' % (b"x" * 250), b"]}}"),
    "items with spaces": filled(
        TOOLS + b'{"name":"a"}', b', {"name" : "a", "x" : "%b"}' % (b"x" * 600), b"]}}"
    ),
    "interfaces": filled(
        TOOLS + b'{"name":"a"}',
        b',{"name":"a","_meta":{"ui":{"resourceUri":"ui://a"},"x":"%b"}}' % (b"x" * 600),
        b"]}}",
    ),
    "one large item": filled(TOOLS + b'{"name":"a","x":[1', b",12345678", b"]}]}}"),
    "two large items": filled(
        TOOLS + b'{"name":"a","inputSchema":{}},{"name":"a","inputSchema":[1', b",12345678", b"]}]}}"
    ),
    "an error": filled(b'{"id":1,"error":{"data":[1', b",12345678", b"]}}"),
    "no JSON": b"," * BYTES,
    "quotes": (b'{"' + b'"' * BYTES)[:BYTES],
}
PIECE = 2 * MAX_ITEMS + 60 * SLICE_ITEMS
"""More than any piece may cost: counting the items of a list up to its limit, or judging a slice of it."""


def pieces_of(document, *, error_status=False):
    """Return for each piece of the work on a response how many functions it called, and how often it decoded."""
    pieces, calls, decoded = [], 0, 0

    def profile(_frame, event, called):
        nonlocal calls, decoded
        calls += event in {"call", "c_call"}
        decoded += event == "c_call" and isinstance(called.__self__, msgspec.json.Decoder)

    work = filter_in_slices(
        document, lambda _: True, ttl_ms=None, bounds=FilterBounds(bytes=BYTES), error_status=error_status
    )
    while True:
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            next(work)
        except StopIteration:
            return [*pieces, (calls, decoded)]
        finally:
            sys.setprofile(before)
        pieces, calls, decoded = [*pieces, (calls, decoded)], 0, 0


@pytest.mark.parametrize("error_status", [False, True])
@pytest.mark.parametrize("document", LARGE_RESPONSES.values(), ids=LARGE_RESPONSES)
@pytest.mark.requirement("security.bounded-items")
def test_no_piece_of_the_work_on_a_large_response_has_many_steps(document, error_status):
    pieces = pieces_of(document, error_status=error_status)

    assert len(pieces) > 2
    assert PIECE > max(calls for calls, _ in pieces)


@pytest.mark.parametrize(
    "name", ["numbers and a space", "members", "text", "escapes", "text beyond ASCII", "an error"]
)
@pytest.mark.requirement("security.bounded-items")
def test_between_two_pauses_a_large_response_without_a_list_is_decoded_once_at_most(name):
    assert max(decoded for _, decoded in pieces_of(LARGE_RESPONSES[name])) <= 1


@pytest.mark.parametrize("unit", [b",1", b",[]", b",{}", b',""', b',"a":1', b"[", b'{"a":'])
@pytest.mark.requirement("security.bounded-items")
def test_a_message_of_too_many_values_is_refused_before_it_is_read(monkeypatch, unit):
    monkeypatch.setattr(message_opener, "take_out", None)
    document = filled(RESULT + b"[1", unit, b"]}}")

    verdict, calls = counted(
        lambda: trim(document, bool, ttl_ms=None, bounds=FilterBounds(bytes=BYTES, values=70_000))
    )

    assert Cause.TOO_MANY_ITEMS is verdict.cause
    assert calls < 400


@pytest.mark.parametrize("escape", [b"", b"\\\\", b'\\"', b"\\\\\\\\", b'\\\\\\"', b"\\n"])
@pytest.mark.parametrize("length", [1, 20_000])
@pytest.mark.requirement("security.bounded-items")
def test_what_stands_in_a_text_is_no_value_wherever_a_window_ends(escape, length):
    text = b'"' + b"[,{" * length + escape + b'"'
    count = BYTES // (len(text) + 1)
    document = RESULT + b"[" + b",".join([text] * count) + b"]}}"
    bounds = FilterBounds(bytes=2 * BYTES, values=2 * count + count * escape.count(b"\\") // 3 + 100)

    assert Untouched() == trim(document, bool, ttl_ms=None, bounds=bounds)
