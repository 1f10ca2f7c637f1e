"""Where a request stands in somebody's trace: the header `traceparent` of W3C Trace Context, level 1.

Envoy sends it with every gRPC call, for a span of the call; a client may send one with its HTTP request, and one in `_meta`
of its MCP message. One that is not well-formed is ignored, as the recommendation asks: a new trace begins.
"""

import re
from typing import NamedTuple

import msgspec

NAME = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_UNUSABLE = "ff"
_FIRST = "00"
_MAX_MESSAGE = 65_536
"""Largest message that is opened for a `traceparent` in it."""


class SpanParent(NamedTuple):
    """A span of somebody's trace.

    Attributes:
        trace_id: of the trace.
        span_id: of the span.
        sampled: whether its trace is recorded.
    """

    trace_id: int
    span_id: int
    sampled: bool


def read(text: str) -> SpanParent | None:
    """Return the span that a `traceparent` names; None if it is malformed. A later version may have more at its end."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == _UNUSABLE or (version == _FIRST and more) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return SpanParent(int(trace, 16), int(span, 16), bool(int(flags, 16) & 1))


class _Meta(msgspec.Struct):
    traceparent: str = ""


class _Params(msgspec.Struct):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


class _Message(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


_DECODE = msgspec.json.Decoder(_Message).decode
_MENTION = b'"traceparent"'


def of_message(body: bytes) -> SpanParent | None:
    """Return the span that an MCP message names in `params._meta` (SEP-414); None if there is none."""
    if len(body) > _MAX_MESSAGE or _MENTION not in body:
        return None
    try:
        return read(_DECODE(body).params.meta.traceparent)
    except (msgspec.MsgspecError, RecursionError):
        return None
