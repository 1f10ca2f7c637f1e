"""Why a policy allows or denies one item, and what would have to change.

Rules of this file:

* The verdict is `Policy.judge`'s own. What one rule says by itself is the verdict of a policy of that rule alone, and
  what the allows say without the denies is the verdict of a policy of the allows alone. There is no second opinion.
* Every part of every candidate is shown, also those that judging never reaches. A part that is about arguments has no
  value for a place in a list.
* Nothing here holds the value of an argument or of a claim: names, the rule's own words, and outcomes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from authz.core.mcp.item import Item, Template
from authz.core.mcp.methods import USES
from authz.core.policy.condition import ALLOW_ORDER, CONDITIONS, ConditionName
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import Expression, Truth
from authz.core.policy.failure import failure
from authz.core.policy.policy import Policy, Verdict
from authz.core.policy.rule import Arguments, Effect, Groups, Rule
from authz.core.reasons import Reason


class RuleOutcome(StrEnum):
    """What one rule by itself says of an item."""

    ALLOWS = "allows"
    DENIES = "denies"
    FAILS = "fails"
    SILENT = "does not apply"
    LACKING = "does not hold"
    HOLDS = "holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionResult:
    """One part of a rule.

    Attributes:
        part: which one.
        truth: its value, None where it has none: a part about arguments, for a place in a list.
        wanted: what the rule asks: words, an expression, or `name: type` of arguments.
        missing: which of these words, or names of arguments, it is for want of which the part does not hold.
        failure: why an expression could not be evaluated, empty if it could.
    """

    part: ConditionName
    truth: Truth | None
    wanted: tuple[str, ...]
    missing: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """One candidate.

    Attributes:
        rule: the rule.
        outcome: what it says by itself, also when it is a shadow rule and is not applied.
        decided: whether the verdict names it, as the rule that decided or that came closest.
        parts: its parts, in the order in which an allow's are tried.
    """

    rule: Rule
    outcome: RuleOutcome
    decided: bool
    parts: tuple[ConditionResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that stands between the caller and an allow; all of them have to change.

    Attributes:
        rule: the rule it is about, None where a rule that allows the item is missing.
        hold: whether the parts must come to hold (all of them) or to not hold (one of them).
        fails: whether the rule denies because these parts cannot be evaluated; then nobody knows whether they hold.
        parts: the parts; none for a deny that asks nothing, which only an edit of the policy can change.
    """

    rule: Rule | None
    hold: bool
    fails: bool = False
    parts: tuple[ConditionResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything about one verdict.

    Attributes:
        item: what the rules are asked about: of a template, the expansion that decides.
        verdict: what the policy says.
        listed: whether the item is in the lists that this caller gets.
        rules: every rule that can be about the item, shadow rules too.
        changes: what would have to change for an allow, empty exactly when it is one.
    """

    item: Item
    verdict: Verdict
    listed: bool
    rules: tuple[RuleResult, ...]
    changes: tuple[Change, ...]


def _is_allowed(_item: Item, verdict: Verdict) -> bool:
    return verdict.reason is Reason.ALLOWED


def explain(
    policy: Policy,
    context: EvaluationContext,
    item: Item,
    lists_item: Callable[[Item, Verdict], bool] = _is_allowed,
    judge: Callable[[EvaluationContext, Item], Verdict] | None = None,
) -> Explanation:
    """Explain what a policy says about an item: a call when the context has arguments, else a place in a list.

    Args:
        policy: the policy.
        context: what it is asked in.
        item: what it is asked about.
        lists_item: whether an item is listed, by the verdict on its place in a list.
        judge: gives the verdict of more than the rules, such as a lock; None for the policy's own.
    """
    if isinstance(item, Template):
        item = policy.judge_template(context, item)[1]
    judge = judge or policy.judge
    verdict = judge(context, item)
    listing = EvaluationContext(context.caller, context.request, USES[item.kind], None)
    rules = tuple(_seen(rule, context, item, verdict) for rule in policy.about(item))
    allowed = verdict.reason is Reason.ALLOWED
    return Explanation(
        item=item,
        verdict=verdict,
        listed=lists_item(item, judge(listing, item)),
        rules=rules,
        changes=()
        if allowed
        else _changes(policy, [seen for seen in rules if not seen.rule.shadow], context, item),
    )


def _seen(rule: Rule, context: EvaluationContext, item: Item, verdict: Verdict) -> RuleResult:
    parts = [part for part in ALLOW_ORDER if CONDITIONS[part].given(rule)]
    return RuleResult(
        rule=rule,
        outcome=_outcome(rule, context, item),
        decided=rule is verdict.rule,
        parts=tuple(_part(part, rule, context, item) for part in parts),
    )


_OUTCOMES: Mapping[Effect, Mapping[Reason, RuleOutcome]] = {
    Effect.ALLOW: {Reason.ALLOWED: RuleOutcome.ALLOWS},
    Effect.DENY: {Reason.DENIED_BY_RULE: RuleOutcome.DENIES, Reason.RULE_ERROR: RuleOutcome.FAILS},
    Effect.REQUIRE: {Reason.DENIED_BY_RULE: RuleOutcome.LACKING},
}
_OTHERWISE = {
    Effect.ALLOW: RuleOutcome.LACKING,
    Effect.DENY: RuleOutcome.SILENT,
    Effect.REQUIRE: RuleOutcome.HOLDS,
}


def _outcome(rule: Rule, context: EvaluationContext, item: Item) -> RuleOutcome:
    reason = Policy((replace(rule, shadow=False),)).judge(context, item).reason
    return _OUTCOMES[rule.effect].get(reason, _OTHERWISE[rule.effect])


def _part(part: ConditionName, rule: Rule, context: EvaluationContext, item: Item) -> ConditionResult:
    condition = CONDITIONS[part]
    unasked = condition.on_call and context.arguments is None
    truth = None if unasked else condition.truth(rule, context, item)
    missing = () if truth in {None, Truth.TRUE} else _missing(part, rule, context, item)
    value = getattr(rule, part.value)
    why = failure(value, context, item) if truth is Truth.ERROR and isinstance(value, Expression) else ""
    return ConditionResult(part=part, truth=truth, wanted=_wanted(part, rule), missing=missing, failure=why)


def _wanted(part: ConditionName, rule: Rule) -> tuple[str, ...]:
    value = getattr(rule, part.value)
    if isinstance(value, frozenset):
        return tuple(sorted(value))
    if isinstance(value, Arguments):
        return tuple(f"{name}: {type_}" for name, type_ in value.types.items())
    if isinstance(value, Groups):
        return value.names
    return (value.text,)


def _missing(part: ConditionName, rule: Rule, context: EvaluationContext, item: Item) -> tuple[str, ...]:
    """Return what a part that does not hold is lacking; nothing is lacking by name where an expression is not true."""
    match part:
        case ConditionName.SCOPES:
            return tuple(sorted(rule.scopes - context.caller.scopes))
        case ConditionName.ANY_SCOPES | ConditionName.ROLES | ConditionName.GROUPS | ConditionName.ISSUERS:
            return _wanted(part, rule)
        case ConditionName.LOCKED:
            misfit = None if rule.locked is None else rule.locked.misfit(item, context.arguments or {})
            return () if misfit is None else (str(misfit),)
        case ConditionName.ARGUMENTS:
            return _unfit(rule.arguments, context.arguments or {})
        case _:
            return ()


def _unfit(declared: Arguments | None, arguments: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of arguments that are absent, of another type than declared, or not declared."""
    if declared is None:
        return ()
    wrong = [name for name, type_ in declared.types.items() if not Arguments({name: type_}).fit(arguments)]
    extra = () if declared.extra else sorted(arguments.keys() - declared.types.keys())
    return (*wrong, *extra)


_SPEAKS_AGAINST = frozenset({RuleOutcome.DENIES, RuleOutcome.FAILS})


def _changes(
    policy: Policy, seen: list[RuleResult], context: EvaluationContext, item: Item
) -> tuple[Change, ...]:
    """Return what stands between a caller who is denied and an allow, from the rules that are applied."""
    denies = [_to_give_way(each) for each in seen if each.outcome in _SPEAKS_AGAINST]
    requires = [
        _to_hold(each)
        for each in seen
        if each.rule.effect is Effect.REQUIRE and each.outcome is RuleOutcome.LACKING
    ]
    allow = () if policy.is_open else _allow_needed(seen, context, item)
    return (*denies, *requires, *allow)


def _to_give_way(seen: RuleResult) -> Change:
    if seen.outcome is RuleOutcome.DENIES:
        return Change(rule=seen.rule, hold=False, parts=seen.parts)
    failed = tuple(part for part in seen.parts if part.truth is Truth.ERROR)
    return Change(rule=seen.rule, hold=False, fails=True, parts=failed)


def _allow_needed(seen: Iterable[RuleResult], context: EvaluationContext, item: Item) -> tuple[Change, ...]:
    """Return what the closest allow still needs; nothing when one holds."""
    allows = {each.rule: each for each in seen if each.rule.effect is Effect.ALLOW}
    verdict = Policy(tuple(allows)).judge(context, item)
    if verdict.reason is Reason.ALLOWED:
        return ()
    return (Change(rule=None, hold=True) if verdict.rule is None else _to_hold(allows[verdict.rule]),)


def _to_hold(seen: RuleResult) -> Change:
    unheld = tuple(part for part in seen.parts if part.truth in {Truth.FALSE, Truth.ERROR})
    return Change(rule=seen.rule, hold=True, parts=unheld)
