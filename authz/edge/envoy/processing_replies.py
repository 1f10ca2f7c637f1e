"""Our replies to Envoy's messages about a response, as bytes (`envoy.service.ext_proc.v3.ProcessingResponse`).

Most headers are sent on as they came, and most of the others differ in their length alone. So those replies are kept.
Whatever decides about the headers says that the answer was judged: Envoy lets no other pass.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2
from envoy.type.v3 import http_status_pb2

from authz.core.identity.session import HEADER as SESSION
from authz.core.request import RequestId
from authz.core.response.commands import JUDGED, JUDGED_BY, Headers, refusal
from authz.core.wire.bounded_cache import BoundedCache
from authz.edge.envoy.received import CHALLENGES, LENGTH

PIECE = 64 * 1024
"""Most bytes of the body in one message."""
_pb: Any = external_processor_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_BAD_GATEWAY: Any = http_status_pb2.BadGateway


def headers_reply(
    change: Headers | None,
    *,
    length: str = "",
    validators: Sequence[str] = (),
    session: str | None = None,
    challenge: str | None = None,
) -> bytes:
    """Send the headers on, changed or not.

    Args:
        change: what to do about the length; None changes nothing.
        length: the length in the server's headers, empty for none; it is not set again.
        validators: names of the headers to remove when the body is rewritten.
        session: the session id to send in place of the server's; None where it has none.
        challenge: the challenge to send in place of the server's, empty for none; None leaves the headers alone.
    """
    if change is not None and not (change.rewritten or change.decoded) and str(change.length) == length:
        change = None
    if session is not None or challenge is not None:
        return _headers_reply(change, validators, session, challenge)
    key = (change, *validators)
    return _HEADERS.get(key) or _HEADERS.put(key, _headers_reply(change, validators, None, None))


_HEADERS: BoundedCache[tuple[object, ...], bytes] = BoundedCache(256)
"""Replies by what they change. A server chooses its lengths, so it can push others out; each is short, and soon made again."""


def _headers_reply(
    change: Headers | None, validators: Sequence[str], session: str | None, challenge: str | None
) -> bytes:
    reply = _judged()
    reply.response_headers.SetInParent()
    mutation = reply.response_headers.response.header_mutation
    if change and change.length is None:
        mutation.remove_headers.append(LENGTH)
    elif change:
        _set(mutation, LENGTH, str(change.length))
    if change and change.rewritten:
        mutation.remove_headers.extend(validators)
    if change and change.decoded:
        mutation.remove_headers.append("content-encoding")
    if session is not None:
        _set(mutation, SESSION, session)
    if challenge is not None:
        mutation.remove_headers.extend(CHALLENGES[1:] if challenge else CHALLENGES)
    if challenge:
        _set(mutation, CHALLENGES[0], challenge)
    return _bytes(reply)


def _judged() -> Any:
    """Return a reply that says of the answer that it was judged, and nothing else."""
    reply = _pb.ProcessingResponse()
    reply.dynamic_metadata.get_or_create_struct(JUDGED_BY)[JUDGED] = True
    return reply


def _bytes(reply: Any) -> bytes:
    return bytes(reply.SerializeToString())


def _set(mutation: Any, name: str, value: str) -> None:
    option = mutation.set_headers.add(append_action=_OVERWRITE)
    option.header.key, option.header.raw_value = name, value.encode()


def pieces(data: bytes | bytearray, *, last: bool = False) -> Iterator[bytes]:
    """Send bytes of the body, in messages of bounded size, the last of which may end it; nothing for none."""
    if last and not data:
        yield END
    for start in range(0, len(data), PIECE):
        end = start + PIECE
        yield body_reply(bytes(data[start:end]), last=last and end >= len(data))


def body_reply(data: bytes, *, last: bool) -> bytes:
    """Send one piece of the body (`StreamedBodyResponse`); the last one ends it."""
    reply = _pb.ProcessingResponse()
    streamed = reply.response_body.response.body_mutation.streamed_response
    streamed.body, streamed.end_of_stream = data, last
    return _bytes(reply)


def _trailers_reply() -> bytes:
    reply = _pb.ProcessingResponse()
    reply.response_trailers.SetInParent()
    return _bytes(reply)


END = body_reply(b"", last=True)
"""Ends the body."""
TRAILERS = _trailers_reply()
"""Sends the trailers on, unchanged."""


def bad_gateway(request_id: RequestId) -> bytes:
    """Send status 502 and a JSON-RPC error with the request's id in place of the whole response."""
    reply = _judged()
    immediate = reply.immediate_response
    immediate.status.code = _BAD_GATEWAY
    immediate.body, immediate.details = refusal(request_id), "mcp_authz_response_refused"
    _set(immediate.headers, "content-type", "application/json")
    return _bytes(reply)


def waved(kind: str, message: Any, *, echo: bool) -> bytes:
    """Send a message of the request on, unchanged.

    Args:
        kind: the message's name in `ProcessingRequest`, which is its answer's in `ProcessingResponse`.
        message: the message itself.
        echo: whether bodies come in the mode in which what is not sent back is dropped.
    """
    reply = _pb.ProcessingResponse()
    getattr(reply, kind).SetInParent()
    if kind == "request_body" and echo:
        streamed = reply.request_body.response.body_mutation.streamed_response
        streamed.body, streamed.end_of_stream = message.body, message.end_of_stream
    return _bytes(reply)
