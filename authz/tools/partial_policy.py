"""What a policy would answer at worst and at best, when part of the request is unknown.

An audit record holds neither arguments nor headers, so a condition that reads them could hold or not. Two policies
bound the answer: the strict one takes every such condition to turn out against the caller, the lenient one for the
caller. Where both agree, the answer is known; where they differ, it is unknown and never guessed. Both are ordinary
policies, judged by `Policy.judge`.
"""

from dataclasses import replace

from authz.core.policy.expression import Expression
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Rule
from authz.core.policy.templates import Templates


def bounds(policy: Policy, unknown: frozenset[str]) -> tuple[Policy, Policy]:
    """Return the strict and the lenient policy.

    Args:
        policy: as configured.
        unknown: which of `args` and `request`, the names an expression reads, have no known value.
    """
    # A policy whose allows were all removed here must not count as one that was written without any: that one is open.
    strict, lenient = (
        tuple(rule for rule in (side(rule, unknown) for rule in policy.rules) if rule is not None)
        for side in (_strict, _lenient)
    )
    return (
        Policy(strict, policy.is_open, templates=Templates(strict)),
        Policy(lenient, policy.is_open, templates=Templates(lenient)),
    )


def _strict(rule: Rule, unknown: frozenset[str]) -> Rule | None:
    if not _depends(rule, unknown):
        return rule
    if rule.effect is Effect.ALLOW:
        return None
    if rule.effect is Effect.DENY:
        return _without(rule, unknown)
    # A require that may fail to hold denies, whatever its other conditions are.
    return Rule(name=rule.name, effect=Effect.DENY, selector=rule.selector, shadow=rule.shadow)


def _lenient(rule: Rule, unknown: frozenset[str]) -> Rule | None:
    if not _depends(rule, unknown):
        return rule
    return None if rule.effect is Effect.DENY else _without(rule, unknown)


def _depends(rule: Rule, unknown: frozenset[str]) -> bool:
    declared = (rule.arguments is not None or rule.locked is not None) and "args" in unknown
    return declared or _reads(rule.when, unknown) or _reads(rule.args, unknown)


def _reads(expression: Expression | None, unknown: frozenset[str]) -> bool:
    return expression is not None and not expression.reads.isdisjoint(unknown)


def _without(rule: Rule, unknown: frozenset[str]) -> Rule:
    """Return the rule without the conditions whose value is unknown."""
    return replace(
        rule,
        when=None if _reads(rule.when, unknown) else rule.when,
        args=None if _reads(rule.args, unknown) else rule.args,
        arguments=None if "args" in unknown else rule.arguments,
        locked=None if "args" in unknown else rule.locked,
    )
