"""What a policy would say at worst and at best, when part of the circumstances is not known.

An audit record holds neither arguments nor headers. A rule whose condition reads them could hold or not. Two policies
bound the answer: under the strict one every such condition is taken to turn out against the caller, under the lenient
one for the caller. Where both agree the answer is known; where they differ it is not, and is never guessed. Both are
ordinary policies, judged by `Policy.judge`.
"""

from dataclasses import replace

from authz.core.policy.expression import Expression
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Rule


def bounds(policy: Policy, unknown: frozenset[str]) -> tuple[Policy, Policy]:
    """Give the strict and the lenient policy.

    Args:
        policy: as configured.
        unknown: top-level names of expressions whose values are not known, of `args` and `request`.
    """
    # A policy that is left without rules here is not one that was written without any.
    is_open = policy.open_when_empty and not policy.rules
    sides = (_strict, _lenient)
    strict, lenient = (
        tuple(rule for rule in (side(rule, unknown) for rule in policy.rules) if rule is not None)
        for side in sides
    )
    return Policy(strict, is_open), Policy(lenient, is_open)


def _strict(rule: Rule, unknown: frozenset[str]) -> Rule | None:
    if not _depends(rule, unknown):
        return rule
    if rule.effect is Effect.ALLOW:
        return None
    if rule.effect is Effect.DENY:
        return _without(rule, unknown)
    nothing: frozenset[str] = frozenset()
    # What may fail to hold denies whatever else holds.
    return replace(
        rule,
        effect=Effect.DENY,
        when=None,
        args=None,
        arguments=None,
        scopes=nothing,
        any_scopes=nothing,
        roles=nothing,
    )


def _lenient(rule: Rule, unknown: frozenset[str]) -> Rule | None:
    if not _depends(rule, unknown):
        return rule
    return None if rule.effect is Effect.DENY else _without(rule, unknown)


def _depends(rule: Rule, unknown: frozenset[str]) -> bool:
    declared = rule.arguments is not None and "args" in unknown
    return declared or _reads(rule.when, unknown) or _reads(rule.args, unknown)


def _reads(expression: Expression | None, unknown: frozenset[str]) -> bool:
    return expression is not None and not expression.reads.isdisjoint(unknown)


def _without(rule: Rule, unknown: frozenset[str]) -> Rule:
    """Leave out the parts whose value is not known."""
    return replace(
        rule,
        when=None if _reads(rule.when, unknown) else rule.when,
        args=None if _reads(rule.args, unknown) else rule.args,
        arguments=None if "args" in unknown else rule.arguments,
    )
