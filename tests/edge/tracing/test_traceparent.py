"""Where a request stands in a trace: what is read of `traceparent`, in a call, a header and a message."""

import json

import pytest

from authz.edge.tracing.traceparent import SpanParent, of_message, read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
FOUND = SpanParent(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, FOUND),
        (f"00-{TRACE}-{SPAN}-00", FOUND._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-02", FOUND._replace(sampled=False)),
        (f"00-{TRACE}-{SPAN}-ff", FOUND),
        (f"cc-{TRACE}-{SPAN}-01", FOUND),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", FOUND),
        *(
            (text, None)
            for text in (
                "",
                f"00-{TRACE}-{SPAN}",
                f"{GOOD}-more",
                f"{GOOD} ",
                f"{GOOD}\n",
                f"ff-{TRACE}-{SPAN}-01",
                f"0-{TRACE}-{SPAN}-01",
                f"00-{'0' * 32}-{SPAN}-01",
                f"00-{TRACE}-{'0' * 16}-01",
                f"00-{TRACE.upper()}-{SPAN}-01",
                f"00-{TRACE[1:]}-{SPAN}-01",
                f"00-{TRACE}-{SPAN}-1",
                f"{GOOD},{GOOD}",
            )
        ),
    ],
)
def test_a_traceparent_is_read_as_the_recommendation_says_and_ignored_if_malformed(text, expected):
    assert expected == read(text)


def body(params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (body({"_meta": {"traceparent": GOOD, "x": [1]}, "arguments": {}}), FOUND),
        (body({"_meta": {"traceparent": "nonsense"}}), None),
        (body({"_meta": {"traceparent": 7}}), None),
        (body({"arguments": {"traceparent": GOOD}}), None),
        (body({"arguments": {"_meta": {"traceparent": GOOD}}}), None),
        (body([{"_meta": {"traceparent": GOOD}}]), None),
        (body({"_meta": {"traceparent": GOOD}, "arguments": "x" * 70_000}), None),
        (b'{"traceparent"', None),
        (b"[" * 5000 + b'"traceparent"', None),
        (b"", None),
    ],
)
def test_a_message_names_a_span_in_its_meta_and_nowhere_else(message, expected):
    assert expected == of_message(message)
