"""The walk: one request to one decision, top to bottom.

    1 endpoint   host and path select the server; the transport's own rules (origin, content type, encoding, length)
    2 token      Authorization -> caller
    3 JSON       bytes -> value         } `message.read_message`
    4 message    value -> one message   }
    5 session    a legacy session id must be the caller's own; it goes upstream as the server minted it
    6 policy     every item the message names must be allowed
    7 deadline   a yes that comes too late is a no

Each step gives what the next one needs or the denial that ends the walk. A denial is the value that everything
starts with; `_decide` is the only place where anything else can be built.
"""

from collections.abc import Callable

import msgspec

from authz.core.decision import Decision
from authz.core.identity.principal import ANONYMOUS, TokenRejected
from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.item import Item
from authz.core.mcp.message import Message, MessageRejected, peek_id, read_message
from authz.core.mcp.methods import HTTP_METHODS, is_known, is_modern
from authz.core.policy.context import Caller, EvaluationContext
from authz.core.policy.policy import Verdict
from authz.core.policy.rule import DenialStyle, Rule
from authz.core.reasons import Reason
from authz.core.request import HttpRequest, Limits
from authz.core.servers import Directory, Server
from authz.core.transport import addressed, body_flaw, repeated_flaw

Identify = Callable[[Server, str | None], Caller | TokenRejected]
"""Turns an Authorization header value into the caller at a server; the edge keeps verified tokens behind it."""

Admit = Callable[[Caller, str], str | None]
"""Turns the session id that a caller sent into the server's own; None when it is not the caller's (`core.identity.session`)."""


def _nobodys(_caller: Caller, _sent: str) -> None:
    """Admit no session id."""


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
        admit: gives the server's id for a session id; without it every session id is refused.
        every_answer: whether the answer to every request passes the rewriter, so that none outlives its token.
    """

    directory: Directory
    identify: Identify
    late: Callable[[], bool]
    max_body: int
    limits: Limits
    admit: Admit = _nobodys
    every_answer: bool = False


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
    if isinstance(caller, TokenRejected):
        if caller.reason not in server.anonymous:
            return _refused(request, server, caller, walk.limits)
        caller = Caller.of(ANONYMOUS, server.name)
    message = _read(request, server, walk.limits)
    if isinstance(message, MessageRejected):
        return _rejected(message, server, caller)
    session = _session(request, message, caller, walk.admit)
    if isinstance(session, MessageRejected):
        return _rejected(session, server, caller)
    verdict, item = _judge(request, server, caller, message, walk.limits)
    if verdict.reason is Reason.ALLOWED and walk.late():
        verdict = Verdict(Reason.DEADLINE)
    rewrite = _is_rewritten(message, session, walk)
    return _decide(server, caller, message, verdict, item, session=session, rewrite=rewrite)


def _declared(request: HttpRequest) -> str:
    return request.headers.get("mcp-protocol-version", "")


def _read(request: HttpRequest, server: Server, limits: Limits) -> Message | MessageRejected:
    row = HTTP_METHODS.get(request.method)
    if row is None:
        return read_message(request, opened=server.methods, limits=limits)
    version = _declared(request)
    if not is_known(version):
        return MessageRejected(reason=Reason.UNSUPPORTED_VERSION, method=request.method, version=version)
    return Message(
        method=request.method,
        row=row,
        request_id=None,
        items=(),
        arguments={},
        version=version,
    )


def _session(
    request: HttpRequest, message: Message, caller: Caller, admit: Admit
) -> str | MessageRejected | None:
    """Give the session id that goes upstream: None for none, empty for one that must not go.

    In the modern era the header means nothing (2026-07-28, Transports), so it is taken off and not judged. A server of
    both eras must not see it either way.
    """
    sent = request.headers.get(SESSION)
    if sent is None:
        return None
    if is_modern(message.version):
        return ""
    return admit(caller, sent) or MessageRejected(
        reason=Reason.SESSION_MISMATCH,
        request_id=message.request_id,
        method=message.method or _RESPONSE,
        version=message.version,
    )


def _judge(
    request: HttpRequest, server: Server, caller: Caller, message: Message, limits: Limits
) -> tuple[Verdict, Item | None]:
    """Judge every item the message names; the first that is not allowed is the answer, else the last."""
    verdict, item = _NAMES_NOTHING, None
    occasion = EvaluationContext(caller, request, message.method, message.arguments, limits.args)
    for item in message.items:
        verdict = server.policy.judge(occasion, item)
        if verdict.reason is not Reason.ALLOWED:
            break
    return verdict, item


_NAMES_NOTHING = Verdict(Reason.ALLOWED)
"""What policy says of a method that names nothing: a valid token was enough."""


def _decide(
    server: Server,
    caller: Caller,
    message: Message,
    verdict: Verdict,
    item: Item | None,
    *,
    session: str | None,
    rewrite: bool,
) -> Decision:
    """Build the decision; the one place in which an allow is made."""
    allowed = verdict.reason is Reason.ALLOWED
    rule = verdict.rule
    denial, hide = _manner(server, rule)
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
        rewrite=allowed and rewrite,
        session=session if allowed else None,
        scopes=verdict.scopes,
        shadows=verdict.shadows,
        denial=denial,
        hide=hide,
    )


def _manner(server: Server, rule: Rule | None) -> tuple[DenialStyle, bool]:
    """Say how a denial is answered, and whether it is hidden; a rule's own say goes before its server's.

    But what only the server hides is answered as the server answers: a rule's own manner would tell that there is one.
    """
    if rule is None or (rule.hide is None and server.hide):
        return server.denial, server.hide
    return rule.denial or server.denial, bool(rule.hide)


def _is_rewritten(message: Message, session: str | None, walk: Walk) -> bool:
    """Tell whether the response must pass the rewriter.

    In a legacy session any answer can hold a list: a server finds the stream for an answer by the request's id, so two
    requests under one id, of which one asks for a list, can get each other's answers. A client's own response gets none.
    """
    row = message.row
    if row.lists or row.opens or row.stays:
        return True
    answered = message.request_id is not None and message.method != ""
    return answered and (bool(session) or walk.every_answer)


_RESPONSE = "response"
"""What records call a client's answer to a server's request, which has no method."""


def _rejected(rejected: MessageRejected, server: Server, caller: Caller) -> Decision:
    return Decision(
        reason=rejected.reason,
        server=server.name,
        method=rejected.method,
        caller=caller,
        request_id=rejected.request_id,
        version=rejected.version,
        code=rejected.code,
    )


def _refused(request: HttpRequest, server: Server, refused: TokenRejected, limits: Limits) -> Decision:
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
