"""Explains one request: the engine decides, and the rules behind the decision are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.config.settings import Settings
from authz.core.decision import Decision
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.explain import Change, ConditionResult, Explanation, RuleResult, explain
from authz.core.policy.policy import Verdict
from authz.core.reasons import TABLE, Group
from authz.core.request import HttpRequest
from authz.core.servers import Server
from authz.tools.requests import decide, message_of, post


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedCaller:
    """The caller that a command line describes.

    Attributes:
        caller: the caller, or why there is none.
        how: how that is known, a sentence.
        notes: what the policy reads and the caller's token does not have.
    """

    caller: Caller | TokenRejected
    how: str
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionExplanation:
    """A decision and its grounds.

    Attributes:
        decision: the engine's decision.
        explanation: of the item that decided; None if the decision did not come to the rules.
    """

    decision: Decision
    explanation: Explanation | None


def explain_request(
    settings: Settings, server: Server, request: HttpRequest, who: Caller | TokenRejected
) -> DecisionExplanation:
    """Decide a request and explain the decision."""
    decision = decide(settings, request, who)
    message = message_of(settings, request, server)
    by_rules = TABLE[decision.reason].group is Group.POLICY
    if not by_rules or decision.item is None or message is None or isinstance(who, TokenRejected):
        return DecisionExplanation(decision=decision, explanation=None)
    context = EvaluationContext(who, request, message.method, message.arguments)
    return DecisionExplanation(
        decision=decision,
        explanation=explain(server.policy, context, decision.item, server.lists_item, server.judge),
    )


ListEntry = tuple[Item, Verdict, bool]
"""An item, the verdict on its place in a list, and whether it is listed."""


def list_entries(server: Server, caller: Caller, headers: Mapping[str, str]) -> list[ListEntry]:
    """Judge the place in a list of every item that rules name in full, in order of kind and name."""
    request = post(server, b"", headers)
    named = {
        Item(kind, name)
        for rule in server.policy.rules
        for kind, names in rule.selector.exact.items()
        for name in names
    }
    order = list(Kind)
    ordered = sorted(named, key=lambda item: (order.index(item.kind), item.name))
    places = [EvaluationContext(caller, request, USES[item.kind], None) for item in ordered]
    verdicts = [server.judge(place, item) for place, item in zip(places, ordered, strict=True)]
    return [
        (item, verdict, server.lists_item(item, verdict))
        for item, verdict in zip(ordered, verdicts, strict=True)
    ]


def caller_json(who: DescribedCaller) -> dict[str, Any]:
    """Return the caller as plain values."""
    if isinstance(who.caller, TokenRejected):
        return {"caller": None, "how": who.how, "notes": list(who.notes)}
    found = who.caller.principal
    caller = {
        "issuer": found.issuer,
        "subject": found.subject,
        "client": found.client,
        "scopes": found.scopes,
        "roles": found.roles,
        "groups": found.groups,
    }
    return {"caller": caller, "how": who.how, "notes": list(who.notes)}


def entries_json(decision: Decision, entries: list[ListEntry]) -> dict[str, Any]:
    """Return the entries of a list as plain values, with the reason of the list itself."""
    items = [
        {
            "kind": item.kind.value,
            "name": item.name,
            "listed": listed,
            "reason": verdict.reason.value,
            "rule": verdict.rule.name if verdict.rule else "",
        }
        for item, verdict, listed in entries
    ]
    return {"reason": decision.reason.value, "items": items}


def as_json(found: DecisionExplanation) -> dict[str, Any]:
    """Return an explanation as plain values."""
    decision, explanation = found.decision, found.explanation
    item = decision.item
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason.value,
        "detail": decision.rejection.detail if decision.rejection else reason_text(decision),
        "rule": decision.rule,
        "server": decision.server,
        "method": decision.method,
        "item": {"kind": item.kind.value, "name": item.name} if item else None,
        "judged": explanation.item.name if explanation and explanation.item != item else None,
        "scopes": list(decision.scopes),
        "shadows": list(decision.shadows),
        "listed": explanation.listed if explanation else None,
        "rules": [_rule(seen) for seen in explanation.rules] if explanation else [],
        "changes": [_change(change) for change in explanation.changes] if explanation else [],
    }


def reason_text(decision: Decision) -> str:
    """Return the reason in words, and where the arguments leave the schema in the lock, if that is it."""
    text = TABLE[decision.reason].text
    return text if decision.misfit is None else f"{text}: {decision.misfit}"


def _rule(seen: RuleResult) -> dict[str, Any]:
    return {
        "rule": seen.rule.name,
        "effect": seen.rule.effect.value,
        "shadow": seen.rule.shadow,
        "outcome": seen.outcome.value,
        "decided": seen.decided,
        "parts": list(map(_part, seen.parts)),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "rule": change.rule.name if change.rule else None,
        "must": "hold" if change.hold else "be evaluated" if change.fails else "not hold",
        "parts": list(map(_part, change.parts)),
    }


def _part(seen: ConditionResult) -> dict[str, Any]:
    return {
        "part": seen.part.value,
        "value": seen.truth.value if seen.truth else None,
        "wanted": list(seen.wanted),
        "missing": list(seen.missing),
        "failure": seen.failure,
    }
