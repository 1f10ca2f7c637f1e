"""An explained decision, or the places in a list, on a terminal; the caller also as plain values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from authz.core.decision import Decision
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item
from authz.core.policy.condition import ConditionName
from authz.core.policy.explain import Change, ConditionResult, RuleResult
from authz.core.policy.policy import Verdict
from authz.core.reasons import TABLE, Reason
from authz.tools.explanation import DecisionExplanation
from authz.tools.terminal import plain, table

_ASKED = {
    ConditionName.ROLES: "one of roles",
    ConditionName.ANY_SCOPES: "one of scopes",
    ConditionName.ARGUMENTS: "types of arguments",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks.

    Attributes:
        caller: the caller, or why there is none.
        how: how that is known, a sentence.
    """

    caller: Caller | TokenRejected
    how: str


def caller_json(who: Who) -> dict[str, Any]:
    """Give the caller as plain values."""
    if isinstance(who.caller, TokenRejected):
        return {"caller": None, "how": who.how}
    found = who.caller.principal
    said = {"issuer": found.issuer, "subject": found.subject, "client": found.client}
    return {"caller": {**said, "scopes": found.scopes, "roles": found.roles}, "how": who.how}


def places_json(decision: Decision, places: Sequence[tuple[Item, Verdict]]) -> dict[str, Any]:
    """Give the places in a list as plain values, with the reason of the list itself."""
    items = [
        {
            "kind": item.kind.value,
            "name": item.name,
            "listed": verdict.reason is Reason.ALLOWED,
            "reason": verdict.reason.value,
            "rule": verdict.rule.name if verdict.rule else "",
        }
        for item, verdict in places
    ]
    return {"reason": decision.reason.value, "items": items}


def show_places(decision: Decision, server: str, who: Who, places: Sequence[tuple[Item, Verdict]]) -> None:
    """Print what came of a list at a server, and each item's place in it."""
    _lines([f"{decision.reason} for a list at {server}", *_caller_lines(who)])
    cells = [
        (
            item.kind,
            item.name,
            "yes" if verdict.reason is Reason.ALLOWED else "no",
            verdict.reason,
            verdict.rule.name if verdict.rule else "-",
        )
        for item, verdict in places
    ]
    table(("kind", "name", "listed", "reason", "rule"), cells)


def show_account(found: DecisionExplanation, who: Who) -> None:
    """Print a decision, the rules that were considered, and what would have to change."""
    decision, explanation = found.decision, found.explanation
    word = "ALLOW" if decision.allowed else "DENY"
    what = f"{decision.item.kind} {decision.item.name}" if decision.item else decision.method or "request"
    by = f" by {decision.rule}" if decision.rule else ""
    text = TABLE[decision.reason].text
    said = f": {text}" if text else ""
    head = (plain(f"{word}  {what} at {decision.server}"), plain(f"reason  {decision.reason}{by}{said}"))
    _lines([*head, *_caller_lines(who)])
    if explanation is None:
        return
    _lines([f"listed  {'yes' if explanation.listed else 'no'}"])
    headings = ("", "rule", "effect", "says", "part", "value", "asks", "missing")
    table(headings, [row for seen in explanation.rules for row in _rows(seen)])
    if explanation.changes:
        _lines(
            ["for an allow, all of these:", *(plain(f"- {_sentence(each)}") for each in explanation.changes)]
        )
    if decision.shadows:
        _lines([plain(f"with shadow rules applied the answer would differ: {', '.join(decision.shadows)}")])


def _caller_lines(who: Who) -> list[str]:
    if isinstance(who.caller, TokenRejected):
        return [f"caller  none: {who.caller.detail}", f"        {who.how}"]
    found = who.caller.principal
    grants = f"scopes: {' '.join(found.scopes) or '-'}; roles: {' '.join(found.roles) or '-'}"
    return [
        plain(f"caller  {found.subject or '-'}, client {found.client or '-'}; {grants}"),
        f"        {who.how}",
    ]


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _rows(seen: RuleResult) -> list[tuple[str, ...]]:
    """Give a rule's rows: one for each part, one for a rule that asks nothing."""
    effect = f"{seen.rule.effect} (shadow)" if seen.rule.shadow else str(seen.rule.effect)
    head = ("->" if seen.decided else "", seen.rule.name, effect, str(seen.outcome))
    cells = [
        (
            str(part.part),
            part.truth.value if part.truth else "-",
            ", ".join(part.wanted),
            ", ".join(part.missing),
        )
        for part in seen.parts
    ]
    blank = ("", "", "", "")
    return [(*(blank if index else head), *cell) for index, cell in enumerate(cells or [blank])]


def _sentence(change: Change) -> str:
    if change.rule is None:
        return "an allow rule must select it"
    if not change.parts:
        return f"{change.rule.name} must be removed or select something else"
    parts = "; ".join(map(_asked, change.parts))
    return f"{change.rule.name} must {'hold' if change.hold else 'not hold, in one of its parts'}: {parts}"


def _asked(seen: ConditionResult) -> str:
    return f"{_ASKED.get(seen.part, seen.part.value)} {', '.join(seen.missing or seen.wanted)}"
