"""What is to be done with an HTTP response: the actions of `rewriter.Rewriter`, to be carried out in order."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import msgspec

from authz.core.reasons import TABLE, Reason
from authz.core.request import RequestId
from authz.core.response.filter_result import Cause, Count

JUDGED_BY, JUDGED = "mcp-rewrite", "judged"
"""Namespace and key of the dynamic metadata by which Envoy knows that an answer was judged, and lets it pass
(`authz.render.unjudged`). Neither a client nor a server can set dynamic metadata."""


class ResponseOutcome(StrEnum):
    """What became of one message, or of a response that is not judged. The value is the word used in metrics."""

    TRIMMED = "trimmed"
    UNCHANGED = "unchanged"
    PASSED = "passed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CHALLENGED = "challenged"


@dataclass(frozen=True, slots=True)
class Release:
    """Send the headers as they are; there is no body."""


class Headers(msgspec.Struct, frozen=True, kw_only=True):
    """Send the headers.

    Attributes:
        length: the content-length to set; None: remove it.
        rewritten: whether digests and entity tags of the original body no longer hold.
        decoded: whether the body has no content coding any more.
    """

    length: int | None
    rewritten: bool
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """Take the server's challenges out of the headers, and put this one in their place; empty for none."""

    text: str


class Body(msgspec.Struct, frozen=True):
    """Send these bytes of the body; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BadGateway:
    """Send status 502 with `refusal` as JSON in place of the whole response. Nothing follows."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the body here. Nothing follows, whatever the server still sends."""


@dataclass(frozen=True, slots=True)
class Judged:
    """For the records: what became of one message, the items of its lists, and why it was refused.

    Two are equal if the same became of the message, whatever the cause.
    """

    outcome: ResponseOutcome
    counts: tuple[Count, ...] = ()
    cause: Cause | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Let others have the thread for a moment, then go on."""


PAUSE = Pause()
Command: TypeAlias = Challenge | Release | Headers | Body | BadGateway | Stop | Judged | Pause
Commands: TypeAlias = Iterable[Command]
"""Commands in order, to be taken once; an empty tuple where there are none, which costs nothing to find out."""


def refusal(request_id: RequestId) -> bytes:
    """Return the JSON-RPC error that takes the place of something refused (JSON-RPC 2.0, section 5.1: internal error).

    Args:
        request_id: id of the request that is answered; None when it is not known.

    Returns:
        The message: ASCII, on one line.
    """
    return _REFUSAL % json.dumps(request_id).encode()


_REFUSAL = (
    b'{"jsonrpc":"2.0","id":%b,'
    b'"error":{"code":-32603,"message":"the response of the MCP server could not be checked"}}'
)


def expired(request_id: RequestId) -> bytes:
    """Return the JSON-RPC error that ends a stream whose caller's token expired.

    Args:
        request_id: id of the request that is answered; None when it is not known.

    Returns:
        The message: ASCII, on one line.
    """
    row, reason = TABLE[Reason.EXPIRED_TOKEN], Reason.EXPIRED_TOKEN.value
    error = {"code": row.code, "message": row.text, "data": {"reason": reason}}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}, separators=(",", ":")).encode()
