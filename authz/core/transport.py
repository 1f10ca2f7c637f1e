"""The rules for HTTP itself, checked before anything in a request is read.

A POST needs one JSON content type, no content coding and a whole body; GET and DELETE have no body. An origin must be
listed. A header that two readers could take differently may occur only once, and no other may look like it.

Rules of this module:

* CGI-style servers fold names (RFC 3875 section 4.1.18): `X_Mcp_Subject` and `X-Mcp-Subject` are one variable there, and
  some fold every character that is neither a letter nor a digit. A field name may hold fifteen such characters (RFC 9110
  section 5.6.2), so names are compared with all of them folded to a hyphen.
* Another spelling of a name that the service sets is removed. One with an underscore is refused instead: it is the
  spelling that servers do fold, no honest client sends it, and a refusal leaves a record.
* Another spelling of a name that is judged is refused: the server might read it instead of what was judged.
* Every other name passes as it is, whatever is in it. Servers declare parameters such as `user_id`, which come as
  `Mcp-Param-user_id`.
* A judged value is ASCII, because servers disagree on the charset of anything else. Bytes that are not UTF-8 show only
  where Envoy hands headers over as a list (`encode_raw_headers`); in its map `!` stands for each. So a judged value with
  `!` goes upstream as it was judged, whatever bytes came.
"""

import re
from collections.abc import Iterable, Mapping

from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.methods import HTTP_METHODS
from authz.core.reasons import Reason
from authz.core.request import UNCHANGED, HeaderChanges, HttpRequest
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


def check_transport(request: HttpRequest, server: Server, max_body: int) -> Reason | HeaderChanges:
    """Return the first rule of HTTP that a request to a server breaks, or what becomes of its headers if it breaks none.

    Args:
        request: the request.
        server: the server that it addresses.
        max_body: largest body in bytes.
    """
    if request.repeated:
        for header, reason in SINGLE_HEADERS.items():
            if header in request.repeated:
                return reason
    changes = _judge_headers(request.headers, server.policy.read_headers)
    if changes is None:
        return Reason.HEADER_MISMATCH
    return _check_headers(request, server) or _check_body(request, max_body) or changes


def _judge_headers(headers: Mapping[str, str], read: frozenset[str] | None) -> HeaderChanges | None:
    """Return what becomes of headers; None if a server could read one of them as another."""
    values = "".join(
        headers.values()
    )  # one look at all of them, because nearly no request has anything to find
    if values.isascii() and "!" not in values and not unusual(headers):
        return UNCHANGED
    if not all_ascii(headers) or misleading(headers, read):
        return None
    return header_changes(headers)


def header_changes(headers: Mapping[str, str]) -> HeaderChanges:
    """Return what becomes of headers that mislead no server."""
    return HeaderChanges(removed=tuple(respelled(headers)), replaced=_unclear(headers))


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


# Names of headers that a server may read as one of those that are set or judged here.

IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")
"""Headers by which an allowed request carries the caller's identity upstream."""
SESSION_ID = "mcp-session-id"
LAST_EVENT_ID = "last-event-id"
PARAMETER_PREFIX = "mcp-param-"
OVERRIDES = (
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
)
"""Headers by which some frameworks override the path or method of a request."""

SET = frozenset({*IDENTITY_HEADERS, SESSION_ID, LAST_EVENT_ID})
"""Names that the service sets on the way upstream."""
ASCII_VALUES = ("mcp-method", "mcp-name", "mcp-protocol-version", SESSION_ID, LAST_EVENT_ID)
"""Headers whose value must be ASCII; `PARAMETER_PREFIX` begins the names of others."""
JUDGED = (
    frozenset(ASCII_VALUES)
    | {"authorization", "cookie", "host", "origin", "forwarded"}
    | {"content-type", "content-encoding", "content-length", "transfer-encoding", "accept-encoding"}
    | {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"}
    | {*OVERRIDES}
) - SET
"""Names that the service or Envoy judges, sets or removes, in the spelling in which it does."""
_REPEATING = ("mcp-method", "mcp-name")
"""Headers that repeat a part of the body, which may be any text; the other judged values are few, or replaced."""
_JUDGED_PREFIXES = (PARAMETER_PREFIX, "x-envoy-")

_USUAL = b"abcdefghijklmnopqrstuvwxyz0123456789:-\n"
_unusual = re.compile(r"[^a-z0-9\n:-]").search
_not_alphanumeric = re.compile(r"[^a-z0-9]")


def fold(name: str) -> str:
    """Return a header's name as a server that folds names most may read it."""
    return _not_alphanumeric.sub("-", name.lower())


def unusual(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that folding would change; one look at all names, because there is rarely one."""
    joined = "\n".join(names)
    if not joined.encode("ascii", "replace").translate(None, _USUAL):  # a third of what the search costs
        return ()
    return tuple(filter(_unusual, joined.split("\n")))


def respelled(names: Iterable[str]) -> list[str]:
    """Return the names that are another spelling of one that the service sets."""
    return [name for name in unusual(names) if fold(name) in SET]


def misleading(headers: Mapping[str, str], read: frozenset[str] | None) -> bool:
    """Return whether a server may read one header of a request as another that is judged.

    Args:
        headers: the request's headers by lower-case name.
        read: names of the headers that rules read; None if they can read all of them.
    """
    names = unusual(headers)
    return bool(names) and (
        any(_misleads(name, headers, read) for name in names) or _collide(name for name in headers)
    )


def _misleads(name: str, headers: Mapping[str, str], read: frozenset[str] | None) -> bool:
    folded = fold(name)
    if folded in SET:
        return "_" in name
    if folded in JUDGED or any(folded.startswith(p) and not name.startswith(p) for p in _JUDGED_PREFIXES):
        return True
    return folded in (headers if read is None else read)


def _collide(names: Iterable[str]) -> bool:
    """Return whether two parameters are one to a server that folds names."""
    parameters = [fold(name) for name in names if name.startswith(PARAMETER_PREFIX)]
    return len(set(parameters)) < len(parameters)


def all_ascii(headers: Mapping[str, str]) -> bool:
    """Return whether no judged value holds anything but ASCII."""
    return all(
        value.isascii()
        for name, value in headers.items()
        if name in ASCII_VALUES or name.startswith(PARAMETER_PREFIX)
    )


def _unclear(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the judged values that may stand for other bytes than came, and that nothing else replaces or pins."""
    return {
        name: value
        for name, value in headers.items()
        if "!" in value and (name in _REPEATING or name.startswith(PARAMETER_PREFIX))
    }
