"""Answers questions about a policy; where it cannot know the answer, it says so.

A question from a case or a command line is complete and goes through the engine. One from an audit record lacks
arguments, headers and the host, so `partial_policy.bounds` answers it: what depends on them is `UNKNOWN`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.config.settings import Settings
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import HTTP_METHODS, METHODS, USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Policy, Verdict
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.tools.partial_policy import bounds
from authz.tools.requests import decide, post, server_named, use
from authz.tools.synthetic_caller import caller_of, names_an_issuer

RESPONSE = "response"
"""The method that records give a client's answer to a server's request."""
NO_CLAIMS = "no claims are known for this caller"
"""Why an answer is unknown if nothing says what the caller's token holds."""
_SEVERAL_ITEMS = frozenset({"subscriptions/listen"})


class Answer(StrEnum):
    """Whether a caller gets what it asks for."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy answers.

    Attributes:
        answer: the answer.
        reason: the reason, from the closed list, or why the answer is unknown.
        rule: the rule that decided or came closest, empty for none.
    """

    answer: Answer
    reason: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing that a caller wants to do.

    Attributes:
        who: the caller's name in tables.
        server: the server's name, empty for the only one.
        method: the MCP method, or the HTTP method of a request without a message.
        item: what the method names, None for nothing.
        claims: what the caller's token says; None if unknown.
        arguments: the call's arguments; None if unknown.
        headers: the request's headers; None if unknown.
        source: the peer's address.
        listed: whether the question is about the item's place in a list; `arguments` then mean nothing.
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


class Evaluator:
    """Answers questions by one policy file."""

    def __init__(self, settings: Settings, now: float) -> None:
        """Answer by `settings`, at `now` in seconds since the epoch."""
        self._settings = settings
        self._now = now
        self._servers = {server.name: server for server in settings.directory.servers}
        self._bounds: dict[tuple[str, frozenset[str]], tuple[Policy, Policy]] = {}

    def evaluate(self, question: Question) -> Evaluation:
        """Answer one question."""
        server = server_named(self._servers, question.server)
        if server is None:
            return _denied(Reason.UNKNOWN_ENDPOINT)
        if question.claims is None:
            return _unknown(NO_CLAIMS)
        if not names_an_issuer(question.claims, server):
            return _unknown("its claims name no iss, and the server trusts several issuers")
        caller = caller_of(question.claims, server, self._now)
        if isinstance(caller, TokenRejected):
            return _denied(caller.reason)
        return self._by_policy(question, server, caller)

    def _by_policy(self, question: Question, server: Server, caller: Caller) -> Evaluation:
        item = question.item
        if item is None:
            return _without_item(question.method, server)
        if question.listed:
            request = post(server, b"", question.headers, question.source)
            place = EvaluationContext(caller, request, USES[item.kind], None)
            verdict = server.judge(place, item)
            return _evaluation(verdict, listed=server.lists_item(item, verdict))
        if question.arguments is not None and question.headers is not None:
            return self._by_engine(question, item, server, caller)
        return self._within_bounds(question, item, server, caller)

    def _by_engine(self, question: Question, item: Item, server: Server, caller: Caller) -> Evaluation:
        body = use(item, question.arguments)
        decision = decide(self._settings, post(server, body, question.headers, question.source), caller)
        answer = Answer.ALLOW if decision.allowed else Answer.DENY
        return Evaluation(answer=answer, reason=decision.reason, rule=decision.rule)

    def _within_bounds(self, question: Question, item: Item, server: Server, caller: Caller) -> Evaluation:
        row = METHODS.get(question.method)
        if row is None or row.extract_items is None:
            return _denied(Reason.UNKNOWN_METHOD)
        unknown = frozenset({"request", "args"} if row.arguments else {"request"})
        request = post(server, b"", source=question.source)
        context = EvaluationContext(caller, request, question.method, {})
        strict, lenient = (
            _evaluation(policy.judge(context, item)) for policy in self._bounded(server, unknown)
        )
        refused = None if server.lock is None else server.lock.refusal(item, lambda _key: False)
        if refused is not None and lenient.answer is Answer.ALLOW:
            return _denied(refused)
        checked = server.lock is not None and server.lock.arguments is not None and item.kind is Kind.TOOL
        if strict.answer is not lenient.answer or (checked and strict.answer is Answer.ALLOW):
            return _unknown("depends on arguments or headers, which records do not hold")
        if strict.answer is Answer.ALLOW and question.method in _SEVERAL_ITEMS:
            return _unknown("may name several items, of which records hold one")
        return lenient

    def _bounded(self, server: Server, unknown: frozenset[str]) -> tuple[Policy, Policy]:
        place = (server.name, unknown)
        if place not in self._bounds:
            self._bounds[place] = bounds(server.policy, unknown)
        return self._bounds[place]


def _unknown(reason: str) -> Evaluation:
    return Evaluation(answer=Answer.UNKNOWN, reason=reason)


def _denied(reason: Reason) -> Evaluation:
    return Evaluation(answer=Answer.DENY, reason=reason)


def _evaluation(verdict: Verdict, *, listed: bool | None = None) -> Evaluation:
    holds = verdict.reason is Reason.ALLOWED if listed is None else listed
    answer = Answer.ALLOW if holds else Answer.DENY
    rule = verdict.rule.name if verdict.rule is not None else ""
    return Evaluation(answer=answer, reason=verdict.reason, rule=rule)


def _without_item(method: str, server: Server) -> Evaluation:
    """Answer for a method that names nothing: a valid token is enough if the method is known."""
    if method in METHODS or method in HTTP_METHODS or method in server.methods or method == RESPONSE:
        return Evaluation(answer=Answer.ALLOW, reason=Reason.ALLOWED)
    return _denied(Reason.UNKNOWN_METHOD)
