"""The walk: one request to one decision, top to bottom.

    1 endpoint   host and path select the server; the transport's own rules (origin, content type, encoding, length)
    2 token      Authorization -> caller
    3 JSON       bytes -> value         } `message.read_message`
    4 message    value -> one message   }
    5 policy     every item the message names must be allowed
    6 deadline   a yes that comes too late is a no

Each step gives what the next one needs or the denial that ends the walk. A denial is the value that everything
starts with; `_decide` is the only place where anything else can be built.
"""

from collections.abc import Callable, Mapping

import msgspec

from authz.core.decision import Decision
from authz.core.envelope import peek_id
from authz.core.item import Item
from authz.core.limits import Limits
from authz.core.message import Message, Rejected, read_message
from authz.core.methods import HTTP_METHODS
from authz.core.occasion import Caller, Occasion
from authz.core.policy import Verdict
from authz.core.principal import ANONYMOUS
from authz.core.reasons import Reason
from authz.core.refused import Refused
from authz.core.request import HttpRequest
from authz.core.server import Directory, Server
from authz.core.versions import is_known

Identify = Callable[[Server, str | None], Caller | Refused]
"""Turns an Authorization header value into the caller at a server; the edge keeps verified tokens behind it."""

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
    "mcp-session-id": Reason.SESSION_MISMATCH,
    "last-event-id": Reason.BAD_MESSAGE,
}
"""Headers that two readers could take differently when they are repeated, with the reason for refusing them."""

_PEEK_BYTES = 16384
"""Largest body that is parsed for its id before the caller is known."""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """What every request is decided with.

    Attributes:
        directory: the protected servers with their policies.
        identify: gives the caller behind an Authorization header.
        late: tells whether the time for this decision has run out.
        max_body: largest body in bytes.
        limits: bounds on what a message may hold.
    """

    directory: Directory
    identify: Identify
    late: Callable[[], bool]
    max_body: int
    limits: Limits


def check(request: HttpRequest, walk: Walk) -> Decision:
    """Decide about one request.

    Args:
        request: as Envoy handed it over.
        walk: what to decide with.

    Returns:
        The decision; for every input there is one, and unless every step agreed it is a denial.
    """
    server, flaw = _addressed(request, walk.directory)
    if server is None:
        return Decision(reason=Reason.UNKNOWN_ENDPOINT)
    flaw = _repeated(request) or flaw or _body_flaw(request, walk.max_body)
    if flaw is not None:
        return Decision(reason=flaw, server=server.name, version=_declared(request))
    caller = walk.identify(server, request.headers.get("authorization"))
    if isinstance(caller, Refused):
        if caller.reason not in server.anonymous:
            return _refused(request, server, caller, walk.limits)
        caller = Caller.of(ANONYMOUS, server.name)
    message = _read(request, server, walk.limits)
    if isinstance(message, Rejected):
        return _rejected(message, server, caller)
    verdict, item = _judge(request, server, caller, message, walk.limits)
    if verdict.reason is Reason.ALLOWED and walk.late():
        verdict = Verdict(Reason.DEADLINE)
    return _decide(request, server, caller, message, verdict, item)


def _declared(request: HttpRequest) -> str:
    return request.headers.get("mcp-protocol-version", "")


def _addressed(request: HttpRequest, directory: Directory) -> tuple[Server | None, Reason | None]:
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


def _repeated(request: HttpRequest) -> Reason | None:
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


def _body_flaw(request: HttpRequest, max_body: int) -> Reason | None:
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


def _read(request: HttpRequest, server: Server, limits: Limits) -> Message | Rejected:
    row = HTTP_METHODS.get(request.method)
    if row is None:
        return read_message(request, opened=server.methods, limits=limits)
    version = _declared(request)
    if not is_known(version):
        return Rejected(reason=Reason.UNSUPPORTED_VERSION, method=request.method, version=version)
    return Message(
        method=request.method,
        row=row,
        request_id=None,
        items=(),
        arguments={},
        version=version,
    )


def _judge(
    request: HttpRequest, server: Server, caller: Caller, message: Message, limits: Limits
) -> tuple[Verdict, Item | None]:
    """Judge every item the message names; the first that is not allowed is the answer, else the last."""
    verdict, item = _NAMES_NOTHING, None
    occasion = Occasion(caller, request, message.method, message.arguments, limits.args)
    for item in message.items:
        verdict = server.policy.judge(occasion, item)
        if verdict.reason is not Reason.ALLOWED:
            break
    return verdict, item


_NAMES_NOTHING = Verdict(Reason.ALLOWED)
"""What policy says of a method that names nothing: a valid token was enough."""


def _decide(
    request: HttpRequest,
    server: Server,
    caller: Caller,
    message: Message,
    verdict: Verdict,
    item: Item | None,
) -> Decision:
    """Build the decision; the one place in which an allow is made."""
    allowed = verdict.reason is Reason.ALLOWED
    rule = verdict.rule
    return Decision(
        reason=verdict.reason,
        allowed=allowed,
        server=server.name,
        method=message.method or _RESPONSE,
        item=item,
        rule=rule.name if rule is not None else "",
        caller=caller,
        request_id=message.request_id,
        version=message.version,
        rewrite=allowed and _can_hold_list(request, message),
        scopes=verdict.scopes,
        shadows=verdict.shadows,
        denial=(rule.denial if rule is not None else None) or server.denial,
        hide=server.hide if rule is None or rule.hide is None else rule.hide,
    )


def _can_hold_list(request: HttpRequest, message: Message) -> bool:
    """Tell whether the response can hold a list.

    In a legacy session any answer can: a server finds the stream for an answer by the request's id, so two requests
    under one id, of which one asks for a list, can get each other's answers.
    """
    in_session = message.request_id is not None and "mcp-session-id" in request.headers
    return message.row.lists or in_session


_RESPONSE = "response"
"""What records call a client's answer to a server's request, which has no method."""


def _rejected(rejected: Rejected, server: Server, caller: Caller) -> Decision:
    return Decision(
        reason=rejected.reason,
        server=server.name,
        method=rejected.method,
        caller=caller,
        request_id=rejected.request_id,
        version=rejected.version,
        code=rejected.code,
    )


def _refused(request: HttpRequest, server: Server, refused: Refused, limits: Limits) -> Decision:
    """Deny for the token's sake, with the request's id where a small body shows one."""
    small = 0 < len(request.body) <= _PEEK_BYTES
    return Decision(
        reason=refused.reason,
        server=server.name,
        request_id=peek_id(request.body, limits) if small else None,
        version=_declared(request),
        scopes=server.scopes,
        refused=refused,
    )
