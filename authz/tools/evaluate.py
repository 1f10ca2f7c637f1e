"""Questions to a policy that somebody asked once, and what a policy file answers; where it cannot tell, it says so.

A question from a case or a command line is complete and goes through the whole walk. One from an audit record lacks
arguments, headers and the host, so it is answered within `bounds`: what depends on them is `UNKNOWN`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.config.settings import Settings
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item
from authz.core.mcp.methods import HTTP_METHODS, METHODS, USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Policy, Verdict
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.tools.partial_policy import bounds
from authz.tools.requests import decide, post, server_named, use
from authz.tools.synthetic_caller import ClaimsRefused, caller_of, names_an_issuer

RESPONSE = "response"
"""What records call a client's answer to a server's request."""


class Word(StrEnum):
    """The outcomes."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy says.

    Attributes:
        word: the outcome.
        reason: a word of the closed list of reasons, or why it is not known.
        rule: the rule that decided or came closest, empty for none.
    """

    word: Word
    reason: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing that somebody wants to do.

    Attributes:
        who: what the caller is called in tables.
        server: the server's name, empty for the only one.
        method: the MCP method, or the HTTP method of a request without a message.
        item: what it names, None for nothing.
        claims: what the caller's token says; None when that is not known.
        arguments: of the call; None when they are not known.
        headers: of the request; None when they are not known.
        source: the peer's address.
        listed: whether it is the item's place in a list that is asked about; `arguments` then mean nothing.
    """

    who: str
    server: str
    method: str
    item: Item | None
    claims: Mapping[str, Any] | None
    arguments: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    source: str = ""
    listed: bool = False


class Judge:
    """Answers questions by one policy file."""

    def __init__(self, settings: Settings, now: float) -> None:
        """Answer by `settings`, at `now` in seconds since the epoch."""
        self._settings = settings
        self._now = now
        self._servers = {server.name: server for server in settings.directory.servers}
        self._bounds: dict[tuple[str, frozenset[str]], tuple[Policy, Policy]] = {}

    def answer(self, question: Question) -> Evaluation:
        """Answer one question."""
        server = server_named(self._servers, question.server)
        if server is None:
            return Evaluation(word=Word.DENY, reason=Reason.UNKNOWN_ENDPOINT)
        if question.claims is None:
            return _unknown("no claims are known for this caller")
        if not names_an_issuer(question.claims, server):
            return _unknown("its claims name no iss, and the server trusts several issuers")
        try:
            caller = caller_of(question.claims, server, self._now)
        except ClaimsRefused as error:
            return Evaluation(word=Word.DENY, reason=error.refused.reason)
        return self._judged(question, server, caller)

    def _judged(self, question: Question, server: Server, caller: Caller) -> Evaluation:
        if question.item is None:
            return _plain(question.method, server)
        if question.listed:
            request = post(server, b"", question.headers, question.source)
            occasion = EvaluationContext(caller, request, USES[question.item.kind], None)
            return _known(server.policy.judge(occasion, question.item))
        if question.arguments is not None and question.headers is not None:
            return self._complete(question, question.item, server, caller)
        return self._within_bounds(question, question.item, server, caller)

    def _complete(self, question: Question, item: Item, server: Server, caller: Caller) -> Evaluation:
        body = use(item, question.arguments)
        decision = decide(self._settings, post(server, body, question.headers, question.source), caller)
        word = Word.ALLOW if decision.allowed else Word.DENY
        return Evaluation(word=word, reason=decision.reason, rule=decision.rule)

    def _within_bounds(self, question: Question, item: Item, server: Server, caller: Caller) -> Evaluation:
        row = METHODS.get(question.method)
        if row is None or row.extract_items is None:
            return Evaluation(word=Word.DENY, reason=Reason.UNKNOWN_METHOD)
        unknown = frozenset({"request", "args"} if row.arguments else {"request"})
        request = post(server, b"", source=question.source)
        occasion = EvaluationContext(caller, request, question.method, {})
        strict, lenient = (policy.judge(occasion, item) for policy in self._bounded(server, unknown))
        if (strict.reason is Reason.ALLOWED) != (lenient.reason is Reason.ALLOWED):
            return _unknown("depends on arguments or headers, which records do not hold")
        if strict.reason is Reason.ALLOWED and question.method in _SEVERAL:
            return _unknown("may name several items, of which records hold one")
        return _known(lenient)

    def _bounded(self, server: Server, unknown: frozenset[str]) -> tuple[Policy, Policy]:
        place = (server.name, unknown)
        if place not in self._bounds:
            self._bounds[place] = bounds(server.policy, unknown)
        return self._bounds[place]


_SEVERAL = frozenset({"subscriptions/listen"})


def _unknown(reason: str) -> Evaluation:
    return Evaluation(word=Word.UNKNOWN, reason=reason)


def _known(verdict: Verdict) -> Evaluation:
    word = Word.ALLOW if verdict.reason is Reason.ALLOWED else Word.DENY
    return Evaluation(
        word=word, reason=verdict.reason, rule=verdict.rule.name if verdict.rule is not None else ""
    )


def _plain(method: str, server: Server) -> Evaluation:
    """Answer for a method that names nothing: a valid token is enough where the method is known."""
    known = method in METHODS or method in HTTP_METHODS or method in server.methods or method == RESPONSE
    if known:
        return Evaluation(word=Word.ALLOW, reason=Reason.ALLOWED)
    return Evaluation(word=Word.DENY, reason=Reason.UNKNOWN_METHOD)
