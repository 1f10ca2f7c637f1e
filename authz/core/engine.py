"""One request to one decision, in numbered steps.

    1 transport        host and path select the server; origin, content type, encoding, length
    2 authentication   Authorization -> caller
    3 wire             bytes -> strict JSON
    4 mcp              JSON -> one message and the items it names
    5 session          the id of a legacy session must be the caller's own
    6 policy           the rules must allow every item that the message names
    7 deadline         an allow that comes too late is a denial

Each step returns what the next one needs, or the denial that ends the check. Every decision starts
as a denial; `_decide` is the only place that can build anything else.
"""

from collections.abc import Callable, Mapping

import msgspec

from authz.core.authentication import Authenticator, KnownCaller
from authz.core.decision import Decision
from authz.core.identity.principal import ANONYMOUS, Caller, TokenRejected
from authz.core.identity.session import (
    ABSENT,
    REMOVE,
    Replace,
    SessionHeader,
    Sessions,
    UnboundSessions,
)
from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.item import Item
from authz.core.mcp.message import Message, MessageRejected, peek_id, read_message
from authz.core.mcp.methods import HTTP_METHODS, is_known, is_modern
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Verdict
from authz.core.policy.rule import DenialStyle, Rule
from authz.core.reasons import Reason
from authz.core.request import Deadline, HttpRequest, Limits
from authz.core.servers import Directory, Server
from authz.core.transport import check_transport


class PolicySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides requests under one policy file; a reload makes a new one.

    Attributes:
        digest: names the policy in records.
        directory: the protected servers with their rules.
        authenticator: authenticates callers.
        sessions: binds session ids to callers.
        limits: bounds on what a message may hold.
        max_body: largest body in bytes.
        check_seconds: time for one decision.
        stream_grace: seconds for which a response may stay open after its caller's token has expired.
        rewrite_every_answer: whether the answer to every request passes the rewriter, so that none outlives its token.
        candidate: the snapshot whose decisions are compared with these and never applied; None for none.
    """

    digest: str
    directory: Directory
    authenticator: Authenticator | KnownCaller
    sessions: Sessions | UnboundSessions
    limits: Limits
    max_body: int
    check_seconds: float
    stream_grace: float
    rewrite_every_answer: bool = False
    candidate: "PolicySnapshot | None" = None

    @property
    def servers(self) -> Mapping[str, Server]:
        """The protected servers by name."""
        return self.directory.by_name


def check(
    request: HttpRequest,
    snapshot: PolicySnapshot,
    now: float,
    deadline: Deadline,
    mark: Callable[[str], None] = lambda _step: None,
) -> Decision:
    """Decide about one request.

    Args:
        request: the request as Envoy handed it over.
        snapshot: what to decide with.
        now: seconds since the epoch, for the validity of tokens.
        deadline: moment after which an allow is too late.
        mark: called when the step `token` is done, so that steps can be timed.

    Returns:
        The decision. There is one for every input, and unless every step agrees it is a denial.
    """
    server = snapshot.directory.match(request.host, request.path)
    if server is None:
        return Decision(reason=Reason.UNKNOWN_ENDPOINT)
    broken = check_transport(request, server, snapshot.max_body)
    if broken is not None:
        return Decision(reason=broken, server=server.name, version=_declared_version(request))
    caller = snapshot.authenticator.authenticate(server, request.headers.get("authorization"), now)
    mark("token")
    if isinstance(caller, TokenRejected):
        if caller.reason not in server.anonymous:
            return _reject_token(request, server, caller, snapshot.limits)
        caller = Caller.of(ANONYMOUS, server.name)
    message = _read(request, server, snapshot.limits)
    if isinstance(message, MessageRejected):
        return _reject_message(message, server, caller)
    session = _check_session(request, message, caller, snapshot)
    if isinstance(session, MessageRejected):
        return _reject_message(session, server, caller)
    verdict, item = _judge(request, server, caller, message, snapshot.limits)
    if verdict.reason is Reason.ALLOWED and is_late(deadline):
        verdict = Verdict(Reason.DEADLINE)
    rewrite = _must_rewrite(message, session, snapshot)
    return _decide(server, caller, message, verdict, item, session=session, rewrite=rewrite)


def is_late(deadline: Deadline) -> bool:
    """Return whether a deadline has passed."""
    return deadline.clock() >= deadline.at


def _declared_version(request: HttpRequest) -> str:
    return request.headers.get("mcp-protocol-version", "")


def _read(request: HttpRequest, server: Server, limits: Limits) -> Message | MessageRejected:
    row = HTTP_METHODS.get(request.method)
    if row is None:
        return read_message(request, opened=server.methods, limits=limits)
    version = _declared_version(request)
    if not is_known(version):
        return MessageRejected(reason=Reason.UNSUPPORTED_VERSION, method=request.method, version=version)
    return Message(method=request.method, row=row, request_id=None, items=(), arguments={}, version=version)


def _check_session(
    request: HttpRequest, message: Message, caller: Caller, snapshot: PolicySnapshot
) -> SessionHeader | MessageRejected:
    """Return what becomes of the session id on its way upstream.

    The modern era ignores the header (2026-07-28, Transports). It is removed and not judged, because a server of both
    eras must not see an id that nobody verified.
    """
    sent = request.headers.get(SESSION)
    if sent is None:
        return ABSENT
    if is_modern(message.version):
        return REMOVE
    own = snapshot.sessions.admit(caller, sent)
    if own is not None:
        return Replace(own, sent)
    return MessageRejected(
        reason=Reason.SESSION_MISMATCH,
        request_id=message.request_id,
        method=message.method or _RESPONSE,
        version=message.version,
    )


def _judge(
    request: HttpRequest, server: Server, caller: Caller, message: Message, limits: Limits
) -> tuple[Verdict, Item | None]:
    """Judge every item that the message names; the first that is not allowed decides, else the last."""
    verdict, item = _NAMES_NOTHING, None
    context = EvaluationContext(caller, request, message.method, message.arguments, limits.args)
    for item in message.items:
        verdict = server.policy.judge(context, item)
        if verdict.reason is not Reason.ALLOWED:
            break
    return verdict, item


_NAMES_NOTHING = Verdict(Reason.ALLOWED)
"""The verdict about a method that names nothing: a valid token is enough."""


def _decide(
    server: Server,
    caller: Caller,
    message: Message,
    verdict: Verdict,
    item: Item | None,
    *,
    session: SessionHeader,
    rewrite: bool,
) -> Decision:
    """Build the decision; the one place that makes an allow."""
    allowed = verdict.reason is Reason.ALLOWED
    rule = verdict.rule
    denial, hide = _denial_style(server, rule)
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
        session=session if allowed else ABSENT,
        scopes=verdict.scopes,
        shadows=verdict.shadows,
        denial=denial,
        hide=hide,
    )


def _denial_style(server: Server, rule: Rule | None) -> tuple[DenialStyle, bool]:
    """Return how a denial is answered, and whether it is hidden; the rule's setting overrides the server's.

    A denial that only the server hides uses the server's `denial` setting, because a rule-specific answer would reveal
    that a rule exists.
    """
    if rule is None or (rule.hide is None and server.hide):
        return server.denial, server.hide
    return rule.denial or server.denial, bool(rule.hide)


def _must_rewrite(message: Message, session: SessionHeader, snapshot: PolicySnapshot) -> bool:
    """Return whether the response must pass the rewriter.

    In a legacy session any answer can hold a list: a server finds the stream for an answer by the request's id, so two
    requests with the same id, one of which asks for a list, can get each other's answers. A client's own response is
    not answered.
    """
    method = message.row
    if method.lists or method.starts_session or method.may_stream:
        return True
    answered = message.request_id is not None and message.method != ""
    return answered and (isinstance(session, Replace) or snapshot.rewrite_every_answer)


_RESPONSE = "response"
"""The method that records show for a client's response to a server's request, which has none."""


def _reject_message(rejected: MessageRejected, server: Server, caller: Caller) -> Decision:
    return Decision(
        reason=rejected.reason,
        server=server.name,
        method=rejected.method,
        caller=caller,
        request_id=rejected.request_id,
        version=rejected.version,
        code=rejected.code,
    )


_PEEK_BYTES = 16384
"""Largest body that is parsed for its id before the caller is authenticated."""


def _reject_token(request: HttpRequest, server: Server, rejection: TokenRejected, limits: Limits) -> Decision:
    """Deny because of the token, with the request's id if a small body shows one."""
    small = 0 < len(request.body) <= _PEEK_BYTES
    return Decision(
        reason=rejection.reason,
        server=server.name,
        request_id=peek_id(request.body, limits) if small else None,
        version=_declared_version(request),
        scopes=server.scopes,
        rejection=rejection,
    )
