"""The messages of an ext_proc stream: what is read of Envoy's, and our replies (`envoy.service.ext_proc.v3`)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2
from envoy.type.v3 import http_status_pb2

from authz.core.identity.session import HEADER as SESSION
from authz.core.request import RequestId
from authz.core.response.commands import Headers, refusal
from authz.core.response.rewriter import ResponseHead

CHALLENGES = ("www-authenticate", "proxy-authenticate")
"""Headers by which a server or a proxy asks for credentials."""
VALIDATORS = ("etag", "content-digest", "digest")
"""Headers about the original bytes (RFC 9110 8.8.3, RFC 9530)."""

_DECODE_ID = msgspec.json.Decoder(RequestId).decode
PIECE = 64 * 1024
"""Most bytes of the body in one message."""
_pb: Any = external_processor_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_BAD_GATEWAY: Any = http_status_pb2.BadGateway


def field_values(headers: Any) -> dict[str, str]:
    """Return header values by lower-case name; those of a repeated header joined with ","."""
    values: dict[str, list[str]] = {}
    for header in headers.headers:
        value = header.raw_value.decode("latin-1") or header.value
        values.setdefault(header.key.lower(), []).append(value)
    return {name: ",".join(copies) for name, copies in values.items()}


def texts(metadata: Any) -> dict[str, str]:
    """Return the texts of a `google.protobuf.Struct`; what is no text is left out."""
    fields = metadata.fields.items()
    return {name: value.string_value for name, value in fields if value.WhichOneof("kind") == "string_value"}


REQUEST_ID = "request_id"
"""The text of ext_authz's metadata that is the JSON of the request's id, where the Check asked for no rewriting."""


def read_request_id(metadata: Mapping[str, str]) -> RequestId:
    """Return the id that a Check left in its metadata; None for none."""
    try:
        found: RequestId = _DECODE_ID(metadata.get(REQUEST_ID, "null"))
    except msgspec.DecodeError:
        return None
    return found


def read_head(values: Mapping[str, str]) -> ResponseHead:
    """Return what the rewriter needs of a response's headers.

    Raises:
        KeyError: there is no status.
        ValueError: the status is not a number.
    """
    return ResponseHead(
        status=int(values[":status"]),
        content_type=values.get("content-type", ""),
        content_encoding=values.get("content-encoding", ""),
        challenged=any(name in values for name in CHALLENGES),
    )


def headers_reply(
    change: Headers | None,
    validators: Iterable[str],
    session: str | None = None,
    challenge: str | None = None,
) -> Any:
    """Send the headers on, changed or not.

    Args:
        change: what to do about the length; None changes nothing.
        validators: names of the headers to remove when the body is rewritten.
        session: the session id to send in place of the server's; None where it has none.
        challenge: the challenge to send in place of the server's, empty for none; None leaves the headers alone.
    """
    reply = _pb.ProcessingResponse()
    reply.response_headers.SetInParent()
    mutation = reply.response_headers.response.header_mutation
    if change and change.length is None:
        mutation.remove_headers.append("content-length")
    elif change:
        _set(mutation, "content-length", str(change.length))
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
    return reply


def _set(mutation: Any, name: str, value: str) -> None:
    option = mutation.set_headers.add(append_action=_OVERWRITE)
    option.header.key, option.header.raw_value = name, value.encode()


def pieces(data: bytes | bytearray) -> Iterator[Any]:
    """Send bytes of the body, in messages of bounded size; nothing for none."""
    for start in range(0, len(data), PIECE):
        yield body_reply(bytes(data[start : start + PIECE]), last=False)


def body_reply(data: bytes, *, last: bool) -> Any:
    """Send one piece of the body (`StreamedBodyResponse`); the last one ends it."""
    reply = _pb.ProcessingResponse()
    streamed = reply.response_body.response.body_mutation.streamed_response
    streamed.body, streamed.end_of_stream = data, last
    return reply


def trailers_reply() -> Any:
    """Send the trailers on, unchanged."""
    reply = _pb.ProcessingResponse()
    reply.response_trailers.SetInParent()
    return reply


def bad_gateway(request_id: RequestId) -> Any:
    """Send status 502 and a JSON-RPC error with the request's id in place of the whole response."""
    reply = _pb.ProcessingResponse()
    immediate = reply.immediate_response
    immediate.status.code = _BAD_GATEWAY
    immediate.body, immediate.details = refusal(request_id), "mcp_authz_response_refused"
    _set(immediate.headers, "content-type", "application/json")
    return reply


def waved(kind: str, message: Any, *, echo: bool) -> Any:
    """Send a message of the request on, unchanged.

    Args:
        kind: the message's name in `ProcessingRequest`, which is its answer's in `ProcessingResponse`.
        message: it.
        echo: whether bodies come in the mode in which what is not sent back is dropped.
    """
    reply = _pb.ProcessingResponse()
    getattr(reply, kind).SetInParent()
    if kind == "request_body" and echo:
        streamed = reply.request_body.response.body_mutation.streamed_response
        streamed.body, streamed.end_of_stream = message.body, message.end_of_stream
    return reply
