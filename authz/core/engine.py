"""One request to one decision, in numbered steps.

    1 transport        host and path select the server; origin, content type, encoding, length
    2 authentication   Authorization -> caller
    3 wire             bytes -> strict JSON
    4 mcp              JSON -> one message and the items it names
    5 session          the ids of a legacy session and of a stream's last event must be the caller's own
    6 policy           the rules must allow every item that the message names
                       for a stream there must be room in the shares of its caller and its server
                       for a list there must be a rewriter that trims it
    7 deadline         an allow that comes too late is a denial

Each step returns what the next one needs, or the denial that ends the check. Every decision starts
as a denial; `_decide` is the only place that can build anything else.
"""

from collections.abc import Callable, Mapping

import msgspec

from authz.core.authentication import Authenticator, KnownCaller
from authz.core.decision import Decision
from authz.core.identity.principal import ANONYMOUS, Caller, Principal, TokenRejected
from authz.core.identity.session import HEADER as SESSION
from authz.core.identity.session import (
    NO_IDS,
    BoundIds,
    Replace,
    Sessions,
    UnboundSessions,
)
from authz.core.mcp.envelope import peek_id
from authz.core.mcp.item import Item
from authz.core.mcp.message import Message, MessageRejected, read_message
from authz.core.mcp.methods import HTTP_METHODS, is_known, is_modern
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Verdict
from authz.core.reasons import Reason
from authz.core.request import Deadline, HeaderChanges, HttpRequest, Limits, RequestId
from authz.core.servers import Changed, Directory, Server, nothing_changed
from authz.core.transport import LAST_EVENT_ID, check_transport


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
        admit_stream: says whether a caller may open one more stream at a server, and counts on it if so.
        changed: says whether a locked item was last seen changed.
        refuses_lists: says whether a list for a subject must not pass the Envoy at an address, because it is not sure that
            it would be trimmed.
        wants_rewriter: says whether a refusal should ask for the rewriter there, to find out.
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
    admit_stream: Callable[[Principal, str], bool] = lambda _caller, _server: True
    changed: Changed = nothing_changed
    refuses_lists: Callable[[str, str], bool] = lambda _listener, _subject: False
    wants_rewriter: Callable[[str, str], bool] = lambda _listener, _subject: False
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
    headers = check_transport(request, server, snapshot.max_body)
    if isinstance(headers, Reason):
        return Decision(
            reason=headers,
            server=server.name,
            request_id=_peek(request, snapshot.limits),
            version=_declared_version(request),
        )
    caller = snapshot.authenticator.authenticate(server, request.headers.get("authorization"), now)
    mark("token")
    if isinstance(caller, TokenRejected):
        if caller.reason not in server.anonymous:
            return _reject_token(request, server, caller, snapshot.limits)
        caller = Caller.of(ANONYMOUS, server.name)
    message = _read(request, server, snapshot.limits)
    if isinstance(message, MessageRejected):
        return _reject_message(message, server, caller)
    bound = _admit_ids(request, message, caller, snapshot.sessions)
    if bound is None:
        return _reject_session(message, server, caller)
    verdict, item = _judge(request, server, caller, message, snapshot)
    if verdict.reason is Reason.ALLOWED and is_late(deadline):
        verdict = Verdict(Reason.DEADLINE)
    return _decide(server, caller, message, verdict, item, bound, headers, snapshot)


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


def _admit_ids(
    request: HttpRequest, message: Message, caller: Caller, sessions: Sessions | UnboundSessions
) -> BoundIds | None:
    """Return what becomes of the ids of the session and of a stream's last event; None if one is not the caller's own.

    The modern era ignores both headers (2026-07-28, Transports). An empty event id stands for none.
    """
    session, event = request.headers.get(SESSION), request.headers.get(LAST_EVENT_ID) or None
    if session is None and event is None:
        return NO_IDS
    if is_modern(message.version):
        return BoundIds.removed(session, event)
    return BoundIds.admitted(session, event, caller, sessions)


def _judge(
    request: HttpRequest, server: Server, caller: Caller, message: Message, snapshot: PolicySnapshot
) -> tuple[Verdict, Item | None]:
    """Judge every item that the message names, then whether there is room for a stream; the first denial decides."""
    verdict, item = _NAMES_NOTHING, None
    context = EvaluationContext(
        caller, request, message.method, message.arguments, snapshot.limits.args, message.budget
    )
    for item in message.items:
        verdict = server.judge(context, item, snapshot.changed)
        if verdict.reason is not Reason.ALLOWED:
            return verdict, item
    row = message.row
    names_others = row.lists or row.may_stream  # a stream can redeliver a list
    if names_others and _untrimmed(request, server, caller, snapshot):
        verdict = Verdict(Reason.REWRITER_MISSING)
    elif row.may_stream and not snapshot.admit_stream(caller.principal, server.name):
        verdict = Verdict(Reason.TOO_MANY_STREAMS)
    elif row.shows_rewriter and _untrimmed(request, server, caller, snapshot):
        verdict = _SHOWS_REWRITER
    return verdict, item


def _untrimmed(request: HttpRequest, server: Server, caller: Caller, snapshot: PolicySnapshot) -> bool:
    """Return whether it is not sure that a list for this caller would be trimmed."""
    return server.needs_rewriter and snapshot.refuses_lists(request.listener(), caller.principal.subject)


def probes(decision: Decision, request: HttpRequest, snapshot: PolicySnapshot) -> bool:
    """Return whether a denial asks for the rewriter, so that the service learns if it is there: Envoy runs it here too."""
    if decision.reason is Reason.REWRITER_MISSING:
        return True
    server = snapshot.servers.get(decision.server)
    if server is None or not server.needs_rewriter:
        return False
    subject = "" if decision.principal is None else decision.principal.subject
    return snapshot.wants_rewriter(request.listener(), subject)


_NAMES_NOTHING = Verdict(Reason.ALLOWED)
"""The verdict about a method that names nothing: a valid token is enough."""
_SHOWS_REWRITER = Verdict(Reason.ALLOWED)
"""The same, where the answer goes to the rewriter to see if there is one."""


def _decide(
    server: Server,
    caller: Caller,
    message: Message,
    verdict: Verdict,
    item: Item | None,
    bound: BoundIds,
    headers: HeaderChanges,
    snapshot: PolicySnapshot,
) -> Decision:
    """Build the decision; the one place that makes an allow."""
    rule = verdict.rule
    if verdict.reason is Reason.ALLOWED:
        return Decision(
            reason=Reason.ALLOWED,
            allowed=True,
            server=server.name,
            method=message.method or _RESPONSE,
            item=item,
            rule="" if rule is None else rule.name,
            caller=caller,
            request_id=message.request_id,
            version=message.version,
            rewrite=verdict is _SHOWS_REWRITER or _must_rewrite(message, bound, server, snapshot),
            session=bound.session,
            event=bound.event,
            headers=headers,
            shadows=verdict.shadows,
        )
    denial, hide = server.denial_style(rule)
    return Decision(
        reason=verdict.reason,
        server=server.name,
        method=message.method or _RESPONSE,
        item=item,
        rule="" if rule is None else rule.name,
        caller=caller,
        request_id=message.request_id,
        version=message.version,
        scopes=verdict.scopes,
        misfit=verdict.misfit,
        shadows=verdict.shadows,
        denial=denial,
        as_result=message.method == _CALL and not message.task,
        hide=hide,
    )


def _must_rewrite(message: Message, bound: BoundIds, server: Server, snapshot: PolicySnapshot) -> bool:
    """Return whether the response must pass the rewriter.

    In a legacy session any answer can hold a list: a server finds the stream for an answer by the request's id, so two
    requests with the same id, one of which asks for a list, can get each other's answers. An operator may accept that
    (`answers: lists`); a request that resumes a stream is read all the same, because it can redeliver a list. A client's
    own response is not answered.
    """
    method = message.row
    if method.lists or method.starts_session or method.may_stream:
        return True
    if message.request_id is None or not message.method:
        return False
    in_session = server.reads_sessions and isinstance(bound.session, Replace)
    return in_session or snapshot.rewrite_every_answer or isinstance(bound.event, Replace)


_CALL = "tools/call"
_RESPONSE = "response"
"""The method that records show for a client's response to a server's request, which has none."""


def _reject_session(message: Message, server: Server, caller: Caller) -> Decision:
    """Deny because an id is another's; that of an event, too, with the 404 at which a client begins a new session.

    The client could not resume this stream whatever it tried.
    """
    return Decision(
        reason=Reason.SESSION_MISMATCH,
        server=server.name,
        method=message.method or _RESPONSE,
        caller=caller,
        request_id=message.request_id,
        version=message.version,
    )


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


_PEEK_BYTES = 65_536
"""Largest body that is opened for its id before the caller is authenticated."""


def _peek(request: HttpRequest, limits: Limits) -> RequestId:
    """Return the id of a request that is refused before its body is read, if a moderate body shows one."""
    return peek_id(request.body, limits) if 0 < len(request.body) <= _PEEK_BYTES else None


def _reject_token(request: HttpRequest, server: Server, rejection: TokenRejected, limits: Limits) -> Decision:
    return Decision(
        reason=rejection.reason,
        server=server.name,
        request_id=_peek(request, limits),
        version=_declared_version(request),
        scopes=server.scopes,
        rejection=rejection,
    )
