"""What was decided about one request, for whom and when; and how a sender's text is reported.

The audit log is written by a thread of its own, from these values, so that a Check knows nothing of the record's form.
"""

import msgspec

from authz.core.identity.principal import Caller, Principal, TokenRejected
from authz.core.identity.session import ABSENT, SessionHeader
from authz.core.mcp.item import Item
from authz.core.policy.rule import DenialStyle, Misfit
from authz.core.reasons import Reason
from authz.core.request import UNCHANGED, HeaderChanges, RequestId


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a check: a denial unless built otherwise, and only the engine builds it otherwise.

    Attributes:
        reason: why; `Reason.ALLOWED` exactly when `allowed`.
        allowed: whether the request may go upstream.
        server: the configured server that was addressed, empty when none was.
        method: the MCP method, or the HTTP method where there is no message; empty when unknown.
        item: the thing asked for, when the method names one.
        rule: name of the rule that decided, empty when none did.
        caller: who asks, once the token was verified.
        request_id: the JSON-RPC id to answer with; None if there is none or it is unknown.
        version: the MCP protocol version that the request declares, empty when it declares none.
        rewrite: whether the response must pass the rewriter: it can hold a list, begin a session or stay open, or shows
            whether there is a rewriter.
        session: what becomes of the session id on its way upstream.
        event: what becomes of the id of the last event on its way upstream (`Last-Event-ID`).
        headers: what becomes of the client's other headers on their way upstream.
        scopes: for a denial that more scope would cure, every scope the operation needs.
        shadows: names of shadow rules that would have decided otherwise.
        denial: how a denial by policy is answered.
        as_result: whether the request is answered with a tool's result, so that a denial can be one.
        hide: whether a denial by policy looks like an unknown name.
        code: the JSON-RPC code where it is not the reason's own.
        misfit: where a call's arguments leave the schema in the lock, if it is denied for that.
        rejection: why the token was not accepted, if it was not.
    """

    reason: Reason = Reason.INTERNAL
    allowed: bool = False
    server: str = ""
    method: str = ""
    item: Item | None = None
    rule: str = ""
    caller: Caller | None = None
    request_id: RequestId = None
    version: str = ""
    rewrite: bool = False
    session: SessionHeader = ABSENT
    event: SessionHeader = ABSENT
    headers: HeaderChanges = UNCHANGED
    scopes: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    denial: DenialStyle = DenialStyle.AUTO
    as_result: bool = False
    hide: bool = False
    code: int | None = None
    misfit: Misfit | None = None
    rejection: TokenRejected | None = None

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself."""
        if self.allowed != (self.reason is Reason.ALLOWED):
            msg = "a decision is allowed exactly when its reason is"
            raise ValueError(msg)

    @property
    def principal(self) -> Principal | None:
        """The caller's identity, once the token was verified."""
        return None if self.caller is None else self.caller.principal

    @property
    def verdict(self) -> str:
        """The word for the decision in records, metadata and metrics."""
        return "allow" if self.allowed else "deny"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a record contains besides the decision.

    Attributes:
        decision_id: identifies the decision.
        policy: digest of the policy that decided.
        at: when, in seconds since the epoch.
        status: HTTP status of a denial, 0 for an allowed request.
        source: the peer's address.
    """

    decision_id: str
    policy: str
    at: float
    status: int
    source: str


_MAX_TEXT = 512
"""Longest text from a sender, in characters: a record stays small whatever a request names."""
_UNSAFE = dict.fromkeys(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        0x061C,
        0x200E,
        0x200F,
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    ],
    "\N{REPLACEMENT CHARACTER}",
)
"""Control characters, line and paragraph separators, and bidirectional marks: with them a sender could forge a line of the
log, or make a reader see another one."""


def clip(text: str) -> str:
    """Return a sender's text, shortened and without the characters that would forge or reorder a line of the log."""
    text = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
    return text if text.isascii() and text.isprintable() else text.translate(_UNSAFE)
