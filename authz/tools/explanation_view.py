"""Shows an explained decision, or the entries of a list, on a terminal."""

from collections.abc import Iterable, Sequence

import typer

from authz.core.decision import Decision
from authz.core.identity.principal import TokenRejected
from authz.core.policy.condition import ConditionName
from authz.core.policy.explain import Change, ConditionResult, RuleResult
from authz.core.reasons import TABLE
from authz.tools.explanation import DecisionExplanation, DescribedCaller, ListEntry
from authz.tools.terminal import plain, table, wrapped

_ASKED = {
    ConditionName.ISSUERS: "one of issuers",
    ConditionName.ROLES: "one of roles",
    ConditionName.GROUPS: "one of groups",
    ConditionName.ANY_SCOPES: "one of scopes",
    ConditionName.ARGUMENTS: "types of arguments",
    ConditionName.LOCKED: "arguments as locked",
}
_BLANK = ("", "", "", "")


def show_entries(decision: Decision, server: str, who: DescribedCaller, entries: Sequence[ListEntry]) -> None:
    """Print the decision about a list at a server, and whether each item is in it."""
    _echo([f"{decision.reason} for a list at {server}", *_caller_lines(who)])
    cells = [
        (
            item.kind,
            item.name,
            "yes" if listed else "no",
            verdict.reason,
            verdict.rule.name if verdict.rule else "-",
        )
        for item, verdict, listed in entries
    ]
    table(("kind", "name", "listed", "reason", "rule"), cells)


def show_explanation(found: DecisionExplanation, who: DescribedCaller) -> None:
    """Print a decision, the rules that were considered, and what would have to change."""
    explanation = found.explanation
    _echo([*_heading(found.decision), *_caller_lines(who)])
    if explanation is None:
        return
    if explanation.item != found.decision.item:
        _echo([plain(f"by      its expansion {explanation.item.name}")])
    _echo([f"listed  {'yes' if explanation.listed else 'no'}"])
    headings = ("", "rule", "effect", "says", "part", "value", "asks", "missing")
    table(headings, [row for seen in explanation.rules for row in _rows(seen)])
    if explanation.changes:
        changes = (plain(f"- {_sentence(each)}") for each in explanation.changes)
        _echo(["for an allow, all of these:", *changes])
    if found.decision.shadows:
        shadows = ", ".join(found.decision.shadows)
        _echo([plain(f"with shadow rules applied the answer would differ: {shadows}")])


def _heading(decision: Decision) -> list[str]:
    word = "ALLOW" if decision.allowed else "DENY"
    what = f"{decision.item.kind} {decision.item.name}" if decision.item else decision.method or "request"
    by = f" by {decision.rule}" if decision.rule else ""
    text = TABLE[decision.reason].text
    reason = f"{decision.reason}{by}: {text}" if text else f"{decision.reason}{by}"
    return [plain(f"{word}  {what} at {decision.server}"), plain(f"reason  {reason}")]


def _caller_lines(who: DescribedCaller) -> list[str]:
    more = [plain(f"        {line}") for line in (who.how, *who.notes)]
    if isinstance(who.caller, TokenRejected):
        return [f"caller  none: {who.caller.detail}", *more]
    found = who.caller.principal
    grants = f"scopes: {' '.join(found.scopes) or '-'}; roles: {' '.join(found.roles) or '-'}"
    if found.groups:
        grants += f"; groups: {' '.join(found.groups)}"
    return [plain(f"caller  {found.subject or '-'}, client {found.client or '-'}; {grants}"), *more]


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(wrapped(line))


def _rows(seen: RuleResult) -> list[tuple[str, ...]]:
    """Return a rule's rows: one for each condition, and one for a rule without conditions."""
    effect = f"{seen.rule.effect} (shadow)" if seen.rule.shadow else str(seen.rule.effect)
    head = ("->" if seen.decided else "", seen.rule.name, effect, str(seen.outcome))
    cells = [
        (
            str(part.part),
            part.truth.value if part.truth else "-",
            ", ".join(part.wanted),
            ", ".join(part.missing) or part.failure,
        )
        for part in seen.parts
    ]
    return [(*(_BLANK if index else head), *cell) for index, cell in enumerate(cells or [_BLANK])]


def _sentence(change: Change) -> str:
    if change.rule is None:
        return "an allow rule must select it"
    if not change.parts:
        return f"{change.rule.name} must be removed or select something else"
    parts = "; ".join(map(_asked, change.parts))
    if change.fails:
        return f"{change.rule.name} denies because it cannot be evaluated: {parts}"
    return f"{change.rule.name} must {'hold' if change.hold else 'not hold, in one of its parts'}: {parts}"


def _asked(seen: ConditionResult) -> str:
    asked = f"{_ASKED.get(seen.part, seen.part.value)} {', '.join(seen.missing or seen.wanted)}"
    return f"{asked} ({seen.failure})" if seen.failure else asked
