"""The parts of a rule that can hold or not, each with its test and with the reason when it is what an allow lacks.

One table serves judging (the first part that does not hold decides) and explaining (every part is shown).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from authz.core.mcp.item import Item
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import Truth
from authz.core.policy.rule import Rule
from authz.core.reasons import Reason


class ConditionName(StrEnum):
    """A part of a rule, by its key in the policy file."""

    ISSUERS = "issuers"
    WHEN = "when"
    ROLES = "roles"
    GROUPS = "groups"
    ARGUMENTS = "arguments"
    LOCKED = "locked"
    ARGS = "args"
    SCOPES = "scopes"
    ANY_SCOPES = "any_scopes"


@dataclass(frozen=True, slots=True)
class Condition:
    """How one part is tested.

    Attributes:
        given: whether a rule has the part.
        truth: whether it holds; asked only of rules that have it.
        lacking: the reason when it is what an allow lacks.
        on_call: whether it is about a call's arguments, and so has no value in a list.
    """

    given: Callable[[Rule], bool]
    truth: Callable[[Rule, EvaluationContext, Item], Truth]
    lacking: Reason
    on_call: bool = False


def _truth(holds: bool) -> Truth:
    return Truth.TRUE if holds else Truth.FALSE


def _when(rule: Rule, context: EvaluationContext, item: Item) -> Truth:
    return Truth.TRUE if rule.when is None else context.truth(rule.when, item)


def _args(rule: Rule, context: EvaluationContext, item: Item) -> Truth:
    return Truth.TRUE if rule.args is None else context.truth(rule.args, item)


def _arguments(rule: Rule, context: EvaluationContext, _: Item) -> Truth:
    """Arguments of other types than declared are an error: an allow does not hold then, and a deny does."""
    return Truth.TRUE if rule.arguments is None or context.fits(rule.arguments) else Truth.ERROR


def _locked(rule: Rule, context: EvaluationContext, item: Item) -> Truth:
    """Arguments outside the locked schema are an error, like those of other types than declared."""
    unfit = context.arguments is None or (
        rule.locked is not None and rule.locked.misfit(item, context.arguments) is not None
    )
    return Truth.ERROR if unfit else Truth.TRUE


CONDITIONS: Mapping[ConditionName, Condition] = MappingProxyType(
    {
        ConditionName.ISSUERS: Condition(
            lambda rule: bool(rule.issuers),
            lambda rule, context, _: _truth(context.caller.issuer in rule.issuers),
            Reason.NO_RULE,
        ),
        ConditionName.WHEN: Condition(lambda rule: rule.when is not None, _when, Reason.NO_RULE),
        ConditionName.ROLES: Condition(
            lambda rule: bool(rule.roles),
            lambda rule, context, _: _truth(not rule.roles.isdisjoint(context.caller.roles)),
            Reason.MISSING_ROLE,
        ),
        ConditionName.GROUPS: Condition(
            lambda rule: rule.groups is not None,
            lambda rule, context, _: _truth(
                rule.groups is not None and rule.groups.hold(context.caller.groups)
            ),
            Reason.MISSING_ROLE,
        ),
        ConditionName.ARGUMENTS: Condition(
            lambda rule: rule.arguments is not None,
            _arguments,
            Reason.ARGS_NOT_ALLOWED,
            on_call=True,
        ),
        ConditionName.LOCKED: Condition(
            lambda rule: rule.locked is not None, _locked, Reason.ARGS_NOT_ALLOWED, on_call=True
        ),
        ConditionName.ARGS: Condition(
            lambda rule: rule.args is not None, _args, Reason.ARGS_NOT_ALLOWED, on_call=True
        ),
        ConditionName.SCOPES: Condition(
            lambda rule: bool(rule.scopes),
            lambda rule, context, _: _truth(rule.scopes <= context.caller.scopes),
            Reason.MISSING_SCOPE,
        ),
        ConditionName.ANY_SCOPES: Condition(
            lambda rule: bool(rule.any_scopes),
            lambda rule, context, _: _truth(not rule.any_scopes.isdisjoint(context.caller.scopes)),
            Reason.MISSING_SCOPE,
        ),
    },
)

ALLOW_ORDER = tuple(ConditionName)
"""The order in which an allow's parts are tried; scopes last, so that nothing else is missing where they are."""

DENY_ORDER = (
    ConditionName.ISSUERS,
    ConditionName.ROLES,
    ConditionName.GROUPS,
    ConditionName.SCOPES,
    ConditionName.ANY_SCOPES,
    ConditionName.WHEN,
    ConditionName.ARGUMENTS,
    ConditionName.LOCKED,
    ConditionName.ARGS,
)
"""The order for a deny: parts that cannot fail come first, so an error never denies a caller whom the deny is not about."""


def conditions(rule: Rule, order: tuple[ConditionName, ...]) -> tuple[Condition, ...]:
    """Return the conditions that a rule has, in an order."""
    return tuple(CONDITIONS[part] for part in order if CONDITIONS[part].given(rule))
