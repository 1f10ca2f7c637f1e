"""What the Check of a request leaves for the rewriter of its response: who called, and what visibility depends on.

The rewriter runs in another gRPC call, perhaps in another process, and sees no request. No client can set dynamic
metadata. It is one JSON text under one key, because Envoy's metadata would turn every integer into a double, and holds only those
claims and headers that the server's rules read. The request's id stands beside it, so the text of a caller stays the same
from call to call, and both sides can remember what they made of it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from authz.core.identity.principal import Caller
from authz.core.policy.context import visible_headers
from authz.core.policy.policy import VisibilityInputs
from authz.core.request import HttpRequest, RequestId

KEY = "caller"
"""The key of the dynamic metadata that holds the context."""
REQUEST_ID = "request_id"
"""The key of the dynamic metadata that holds the JSON of the request's id."""
SUBJECT = "sub"
"""The key of the dynamic metadata that holds the caller's subject, clipped."""
POOL = "pool"
"""The key of the dynamic metadata that names the pool of connections to the rewriter, where a response has one of its own."""
LISTS, STREAMS_POOL = "lists", "streams"
"""The pools."""
LISTENER = "listener"
"""The key of the dynamic metadata that holds the address of Envoy at which the request arrived."""


class CallerMetadata(msgspec.Struct, omit_defaults=True):
    """The JSON of a context; field names are short because Envoy sends it with every chunk."""

    iss: str
    sub: str
    client: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    exp: float
    claims: dict[str, Any]
    scheme: str
    host: str
    path: str
    headers: dict[str, str]
    source: str = ""
    holder: str = ""
    groups: tuple[str, ...] = ()
    ends: float | None = None


_DECODE = msgspec.json.Decoder(CallerMetadata).decode
_DECODE_ID = msgspec.json.Decoder(RequestId).decode
_ENCODE = msgspec.json.Encoder().encode


def encode_caller(caller: Caller, request: HttpRequest, inputs: VisibilityInputs) -> str:
    """Return the text that the Check leaves for the rewriter.

    Args:
        caller: who asks.
        request: the request.
        inputs: the claims and headers that are written.
    """
    principal = caller.principal
    return _ENCODE(
        CallerMetadata(
            iss=principal.issuer,
            sub=principal.subject,
            client=principal.client,
            scopes=principal.scopes,
            roles=principal.roles,
            exp=principal.expires,
            claims=_only(principal.claims, inputs.claims),
            scheme=request.scheme,
            host=request.host,
            path=request.path,
            headers=_only(visible_headers(request), inputs.headers),
            source=request.source,
            holder=principal.holder,
            groups=principal.groups,
            ends=caller.ends,
        ),
    ).decode()


def decode_caller(text: str) -> CallerMetadata | None:
    """Return what a Check left as this text; None for any other text."""
    try:
        return _DECODE(text)
    except msgspec.DecodeError:
        return None


def read_request_id(metadata: Mapping[str, str]) -> RequestId:
    """Return the id that a Check left in its metadata; None for none."""
    try:
        found: RequestId = _DECODE_ID(metadata.get(REQUEST_ID, "null"))
    except msgspec.DecodeError:
        return None
    return found


def read_of(request: HttpRequest, inputs: VisibilityInputs) -> tuple[str | None, ...] | None:
    """Return what of a request the text of its caller depends on; None if that is any header.

    A header that is absent is not one that is empty: a condition can ask for it, and fails without it.
    """
    if inputs.headers is None:
        return None
    headers = [part for name in inputs.headers for part in (name, request.headers.get(name))]
    return (request.scheme, request.host, request.path, request.source, *headers)


def _only(values: Mapping[str, Any], names: frozenset[str] | None) -> dict[str, Any]:
    return dict(values) if names is None else {name: values[name] for name in names if name in values}
