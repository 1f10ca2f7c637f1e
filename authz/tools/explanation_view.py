"""Shows an explained decision, or the entries of a list, on a terminal."""

from collections.abc import Iterable, Sequence

from authz.core.decision import Decision
from authz.core.identity.principal import TokenRejected
from authz.tools.explanation import DecisionExplanation, DescribedCaller, ListEntry, reason_text
from authz.tools.explanation_text import rule_rows, sentence
from authz.tools.terminal import plain, say, table


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
    table(headings, [row for seen in explanation.rules for row in rule_rows(seen)])
    if explanation.changes:
        changes = (plain(f"- {sentence(each)}") for each in explanation.changes)
        _echo(["for an allow, all of these:", *changes])
    if found.decision.shadows:
        shadows = ", ".join(found.decision.shadows)
        _echo([plain(f"with shadow rules applied the answer would differ: {shadows}")])


def _heading(decision: Decision) -> list[str]:
    word = "ALLOW" if decision.allowed else "DENY"
    what = f"{decision.item.kind} {decision.item.name}" if decision.item else decision.method or "request"
    by = f" by {decision.rule}" if decision.rule else ""
    text = reason_text(decision)
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
        say(line, indent=8)
