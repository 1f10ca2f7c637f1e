"""The words of an explanation: its rules as rows of text, and what has to change as sentences."""

from authz.core.policy.condition import ConditionName
from authz.core.policy.explain import Change, ConditionResult, RuleResult

_ASKED = {
    ConditionName.ISSUERS: "one of issuers",
    ConditionName.ROLES: "one of roles",
    ConditionName.GROUPS: "one of groups",
    ConditionName.ANY_SCOPES: "one of scopes",
    ConditionName.ARGUMENTS: "declared arguments",
    ConditionName.LOCKED: "arguments as locked",
}
_BLANK = ("", "", "", "")


def rule_rows(seen: RuleResult) -> list[tuple[str, ...]]:
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


def sentence(change: Change) -> str:
    """Return what has to change for an allow, in words."""
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
