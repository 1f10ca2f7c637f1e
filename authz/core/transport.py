"""Which server a request addresses, and what HTTP itself must be like before anything in it is read.

Host and path select the server; anything else is denied. A POST needs one JSON content type, no content coding and a
whole body; GET and DELETE have none. An origin must be listed. What follows from a request's shape alone is worked out
once for each shape.
"""

from collections.abc import Mapping

from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.methods import HTTP_METHODS
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.servers import Directory, Server

SINGLE_HEADERS: Mapping[str, Reason] = {
    "authorization": Reason.MALFORMED_TOKEN,
    "content-type": Reason.BAD_CONTENT_TYPE,
    "content-encoding": Reason.BAD_ENCODING,
    "content-length": Reason.BAD_MESSAGE,
    "host": Reason.UNKNOWN_ENDPOINT,
    ":authority": Reason.UNKNOWN_ENDPOINT,
    "origin": Reason.BAD_ORIGIN,
    "mcp-method": Reason.HEADER_MISMATCH,
    "mcp-name": Reason.HEADER_MISMATCH,
    "mcp-protocol-version": Reason.HEADER_MISMATCH,
    SESSION: Reason.SESSION_MISMATCH,
    "last-event-id": Reason.BAD_MESSAGE,
}
"""Headers that two readers could take differently when they are repeated, with the reason for refusing them."""


def addressed(request: HttpRequest, directory: Directory) -> tuple[Server | None, Reason | None]:
    """Select the server, and say what is wrong with the transport apart from the body; worked out once for each shape."""
    header = request.headers.get
    shape = (
        request.method,
        request.host,
        request.path,
        header("origin"),
        header("content-type"),
        header("content-encoding"),
    )
    known = directory.shapes.get(shape)
    if known is None:
        server = directory.select(request.host, request.path)
        known = server, None if server is None else _shape_flaw(request, server)
        if len(directory.shapes) < _REMEMBERED_SHAPES and sum(map(len, filter(None, shape))) < _SHAPE_CHARS:
            directory.shapes[shape] = known
    return known


_REMEMBERED_SHAPES, _SHAPE_CHARS = 1024, 1024
"""How many shapes of requests are remembered, and how long one may be; senders choose them."""


def repeated_flaw(request: HttpRequest) -> Reason | None:
    """Give the reason for refusing a header that stands twice; None when none does."""
    if request.repeated:
        for header, reason in SINGLE_HEADERS.items():
            if header in request.repeated:
                return reason
    return None


def _shape_flaw(request: HttpRequest, server: Server) -> Reason | None:
    headers = request.headers
    if not server.accepts_origin(headers.get("origin")):
        return Reason.BAD_ORIGIN
    if request.method in HTTP_METHODS:
        return None
    if request.method != "POST":
        return Reason.UNKNOWN_METHOD
    if not _is_json(headers.get("content-type", "")):
        return Reason.BAD_CONTENT_TYPE
    identity = headers.get("content-encoding", "identity").strip().lower() == "identity"
    return None if identity else Reason.BAD_ENCODING


def body_flaw(request: HttpRequest, max_body: int) -> Reason | None:
    """Say what is wrong with the body as such: there though none may be, cut, too large; None when nothing is."""
    declared = request.headers.get("content-length")
    whole = request.body_complete and (declared is None or declared == str(len(request.body)))
    if request.method in HTTP_METHODS:
        return None if whole and not request.body else Reason.BAD_MESSAGE
    if len(request.body) > max_body:
        return Reason.BODY_TOO_LARGE
    return None if whole else Reason.PARTIAL_BODY


def _is_json(content_type: str) -> bool:
    """Tell whether the media type is application/json, with no charset but UTF-8 (RFC 8259 section 8.1)."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [
        value for name, _, value in (part.partition("=") for part in parameters) if name.strip() == "charset"
    ]
    return media_type == "application/json" and all(value.strip(' "') == "utf-8" for value in charsets)
