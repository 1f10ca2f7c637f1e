"""The walk: one request to one decision, top to bottom.

    1 endpoint   host and path select the server; the transport's own rules (origin, content type, encoding, length)
    2 token      Authorization -> caller
    3 JSON       bytes -> value         } `message.read_message`
    4 message    value -> one message   }
    5 policy     every item the message names must be allowed
    6 deadline   a yes that comes too late is a no

Each step gives what the next one needs or the denial that ends the walk. A denial is the value that everything
starts with; `_allow` is the only place where anything else can be built.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import structs

from authz.core.decision import Decision
from authz.core.endpoint import addressed, body_flaw, repeated_flaw
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
    server, flaw = addressed(request, walk.directory)
    if server is None:
        return Decision(reason=Reason.UNKNOWN_ENDPOINT)
    flaw = repeated_flaw(request) or flaw or body_flaw(request, walk.max_body)
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
    decision = _decided(request, server, caller, message, walk.limits)
    if decision.allowed and walk.late():
        return _denied(server, caller, message, Verdict(Reason.DEADLINE), decision.item)
    return decision


def _declared(request: HttpRequest) -> str:
    return request.headers.get("mcp-protocol-version", "")


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


def _decided(
    request: HttpRequest, server: Server, caller: Caller, message: Message, limits: Limits
) -> Decision:
    """Decide by policy. What every like request of a caller is allowed is decided once, and found again."""
    rewrite = _can_hold_list(request, message)
    like = message.method, message.items, message.version, rewrite
    decision: Decision | None = caller.decided.get(like)
    if decision is None:
        verdict, item = _judge(request, server, caller, message, limits)
        if verdict.reason is not Reason.ALLOWED:
            return _denied(server, caller, message, verdict, item)
        decision = _shared(server, caller, verdict, item, like)
    if rewrite:  # a response that is refused later is answered with the request's own id
        return structs.replace(decision, request_id=message.request_id)
    return decision


def _judge(
    request: HttpRequest, server: Server, caller: Caller, message: Message, limits: Limits
) -> tuple[Verdict, Item | None]:
    """Judge every item the message names; the first that is not allowed is the answer, else the last."""
    verdict, item, steady = _NAMES_NOTHING, None, True
    occasion = Occasion(caller, request, message.method, message.arguments, limits.args)
    for item in message.items:
        verdict = server.policy.judge(occasion, item)
        steady = steady and verdict.steady
        if verdict.reason is not Reason.ALLOWED:
            break
    return (verdict if steady is verdict.steady else replace(verdict, steady=steady)), item


_NAMES_NOTHING = Verdict(Reason.ALLOWED, steady=True)
"""What policy says of a method that names nothing: a valid token was enough."""

_Like = tuple[str, tuple[Item, ...], str, bool]
"""What like requests of a caller have in common: method, items, version, and whether the response can hold a list."""

_SHARED, _SHARED_CHARS = 256, 512
"""Decisions kept for one caller, and how many characters the names in one may have; senders choose them."""


def _shared(server: Server, caller: Caller, verdict: Verdict, item: Item | None, like: _Like) -> Decision:
    """Give the allow that like requests share, as long as there is room to keep it."""
    decided, alike = caller.decided, (like, verdict.rule, verdict.shadows)
    decision: Decision | None = decided.get(alike)
    if decision is not None:
        return decision
    _, items, version, _ = like
    room = len(decided) < _SHARED and len(version) + sum(len(each.name) for each in items) <= _SHARED_CHARS
    decision = _allow(server, caller, verdict, item, like, kept={} if room else None)
    if room:
        decided[alike] = decision
        if verdict.steady:
            decided[like] = decision
    return decision


def _allow(
    server: Server,
    caller: Caller,
    verdict: Verdict,
    item: Item | None,
    like: _Like,
    kept: dict[object, Any] | None,
) -> Decision:
    """Build an allow; the one place in which this is done."""
    method, _, version, rewrite = like
    return Decision(
        reason=verdict.reason,
        allowed=verdict.reason is Reason.ALLOWED,
        server=server.name,
        method=method or _RESPONSE,
        item=item,
        rule=verdict.rule.name if verdict.rule is not None else "",
        caller=caller,
        version=version,
        rewrite=rewrite,
        shadows=verdict.shadows,
        kept=kept,
    )


def _denied(
    server: Server, caller: Caller, message: Message, verdict: Verdict, item: Item | None
) -> Decision:
    """Build a denial by policy, or for lack of time.

    What only the server hides is answered as the server answers: a rule's own manner would tell that there is one.
    """
    rule = verdict.rule
    own_hide = None if rule is None else rule.hide
    hide = server.hide if own_hide is None else own_hide
    own_denial = None if rule is None or (hide and own_hide is None) else rule.denial
    return Decision(
        reason=verdict.reason,
        server=server.name,
        method=message.method or _RESPONSE,
        item=item,
        rule=rule.name if rule is not None else "",
        caller=caller,
        request_id=message.request_id,
        version=message.version,
        scopes=verdict.scopes,
        shadows=verdict.shadows,
        denial=own_denial or server.denial,
        hide=hide,
    )


def _can_hold_list(request: HttpRequest, message: Message) -> bool:
    """Tell whether the response can hold a list.

    In a legacy session any answer can: a server finds the stream for an answer by the request's id, so two requests
    under one id, of which one asks for a list, can get each other's answers. A client's own response gets none.
    """
    answered = message.request_id is not None and message.method != ""
    in_session = answered and "mcp-session-id" in request.headers
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
