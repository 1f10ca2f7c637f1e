"""The rules for HTTP itself, checked before anything in a request is read.

A POST needs one JSON content type, no content coding and a whole body; GET and DELETE have no body. An origin must be
listed. A header that two readers could take differently may occur only once, and no other may look like it.
"""

from collections.abc import Mapping

from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.header_names import all_ascii, misleading
from authz.core.mcp.methods import HTTP_METHODS
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.servers import Server

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
"""Headers that two readers could take differently if they are repeated, with the reason for refusing them."""


def check_transport(request: HttpRequest, server: Server, max_body: int) -> Reason | None:
    """Return the first rule of HTTP that a request to a server breaks; None if it breaks none.

    Args:
        request: the request.
        server: the server that it addresses.
        max_body: largest body in bytes.
    """
    if request.repeated:
        for header, reason in SINGLE_HEADERS.items():
            if header in request.repeated:
                return reason
    headers = request.headers
    if not all_ascii(headers) or misleading(headers, server.policy.read_headers):
        return Reason.HEADER_MISMATCH
    return _check_headers(request, server) or _check_body(request, max_body)


def _check_headers(request: HttpRequest, server: Server) -> Reason | None:
    headers = request.headers
    if not server.accepts_origin(headers.get("origin")):
        return Reason.BAD_ORIGIN
    if request.method in HTTP_METHODS:
        return None
    if request.method != "POST":
        return Reason.METHOD_NOT_ALLOWED
    if not _is_json(headers.get("content-type", "")):
        return Reason.BAD_CONTENT_TYPE
    coding = headers.get("content-encoding")
    return None if coding is None or coding.strip().lower() == "identity" else Reason.BAD_ENCODING


def _check_body(request: HttpRequest, max_body: int) -> Reason | None:
    declared = request.headers.get("content-length")
    whole = request.body_complete and (declared is None or declared == str(len(request.body)))
    if request.method in HTTP_METHODS:
        return None if whole and not request.body else Reason.BAD_MESSAGE
    if len(request.body) > max_body:
        return Reason.BODY_TOO_LARGE
    return None if whole else Reason.PARTIAL_BODY


_JSON = "application/json"


def _is_json(content_type: str) -> bool:
    """Return whether the media type is application/json, with no charset but UTF-8 (RFC 8259 section 8.1)."""
    if content_type == _JSON:  # what nearly every client sends; the rest of this costs as much as the token
        return True
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [
        value for name, _, value in (part.partition("=") for part in parameters) if name.strip() == "charset"
    ]
    return media_type == _JSON and all(value.strip(' "') == "utf-8" for value in charsets)
