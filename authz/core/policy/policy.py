"""The rules of one server and what they say about an item: one function for a call and for its place in a list.

Theory.

* Order never matters. A deny that holds, or whose evaluation fails, denies. Then every require must hold. Then one
  allow that holds allows. Otherwise the item is denied, with the reason of the allow that came closest.
* "Closest" is how far an allow's conditions held in the order `when`, roles, args, scopes. So `missing_scope` is
  given only where nothing but scopes is missing: a step-up challenge that could not help is never sent.
* Visibility is the same judgement without arguments: an allow's `args` is then taken as satisfiable, a deny with
  `args` does not apply. Hence what is callable with some arguments is listed, and what no arguments can open
  is not.
* A judgement looks only at the rules that can be about the item (see `index`); which they are is remembered for each
  name, in a bounded table.
* A shadow rule is left out of the judgement. Where one could speak, the judgement is made a second time with it, and
  a different answer names the rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from authz.core.mcp.item import Item
from authz.core.policy.condition import ALLOW_ORDER, DENY_ORDER, Condition, conditions
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import CALLER_NAMES, Truth
from authz.core.policy.index import Index
from authz.core.policy.rule import Effect, Rule
from authz.core.reasons import Reason

_REMEMBERED_NAMES = 16_384
"""Names whose rules are remembered, more than any catalogue has that is listed in one piece."""
_REMEMBERED_VERDICTS, _REMEMBERED_CHARS = 256, 256
"""Verdicts kept for one caller, and the longest name of an item in one; which items there are is the caller's choice."""


class Verdict(msgspec.Struct, frozen=True):
    """What the rules say about one item.

    Attributes:
        reason: `Reason.ALLOWED`, or why not.
        rule: the rule that decided or came closest, None when no rule is about the item.
        scopes: when more scope would help, all that the operation needs.
        shadows: names of shadow rules under which the answer would differ.
    """

    reason: Reason
    rule: Rule | None = None
    scopes: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()


_Key = TypeVar("_Key")

Tried = tuple[Rule, tuple[Condition, ...]]
"""A rule with the conditions it has, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """The rules that can be about one name, by effect; names about which the same rules are share one.

    Attributes:
        denies: rules that deny.
        requires: rules that must hold.
        allows: rules that allow.
        with_shadows: the same and the shadow rules, None when there are none.
        alike: whether the verdict follows from the caller alone, so that it is the same for all names.
        lasting: whether it follows from the caller, the item and the method.
    """

    denies: tuple[Tried, ...]
    requires: tuple[Tried, ...]
    allows: tuple[Tried, ...]
    with_shadows: "_Candidates | None" = None
    alike: bool = False
    lasting: bool = False


def _sorted_out(rules: Iterable[Rule]) -> _Candidates:
    """Sort rules by effect, each with its conditions in the order in which they are tried."""
    tried: dict[Effect, list[Tried]] = {effect: [] for effect in Effect}
    for rule in rules:
        order = DENY_ORDER if rule.effect is Effect.DENY else ALLOW_ORDER
        tried[rule.effect].append((rule, conditions(rule, order)))
    return _Candidates(tuple(tried[Effect.DENY]), tuple(tried[Effect.REQUIRE]), tuple(tried[Effect.ALLOW]))


def _candidates(rules: Iterable[Rule]) -> _Candidates:
    listed = list(rules)
    applied = [rule for rule in listed if not rule.shadow]
    shadowed = _sorted_out(listed) if len(applied) < len(listed) else None
    alike, lasting = (
        all(_reads_only(names, rule) for rule in listed) for names in (CALLER_NAMES, _LASTING_NAMES)
    )
    return replace(_sorted_out(applied), with_shadows=shadowed, alike=alike, lasting=lasting)


_LASTING_NAMES = CALLER_NAMES | {"mcp"}


def _reads_only(names: frozenset[str], rule: Rule) -> bool:
    """Tell whether a rule reads no arguments, and of what conditions can read nothing but these names."""
    on_call = rule.args is not None or rule.arguments is not None
    return not on_call and (rule.when is None or rule.when.reads <= names)


def _put(table: dict[_Key, _Candidates], key: _Key, value: _Candidates) -> None:
    """Remember something in a table that holds so much at most; what came first goes first."""
    if len(table) >= _REMEMBERED_NAMES:
        del table[next(iter(table))]
    table[key] = value


@dataclass(slots=True, eq=False)
class Policy:
    """The rules of one server, indexed.

    Attributes:
        rules: every rule.
        open_when_empty: whether a policy without any rule allows everything (agentgateway) or nothing (native).
    """

    rules: tuple[Rule, ...]
    open_when_empty: bool = False
    _index: Index = field(init=False, repr=False)
    _remembered: dict[Item, _Candidates] = field(init=False, repr=False)
    _sets: dict[tuple[Rule, ...], _Candidates] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the rules by the names they select."""
        self._index = Index(self.rules)
        self._remembered, self._sets = {}, {}

    def judge(self, occasion: EvaluationContext, item: Item) -> Verdict:
        """Decide about one item: a call when the occasion has arguments, a place in a list when it has none."""
        candidates = self._remembered.get(item) or self._candidates(item)
        if not candidates.lasting:
            return self._weigh(candidates, occasion, item)
        known = occasion.caller.verdicts
        key = candidates if candidates.alike else (self, item, occasion.method)
        verdict = known.get(key)
        if not isinstance(verdict, Verdict):
            verdict = self._weigh(candidates, occasion, item)
            if len(known) < _REMEMBERED_VERDICTS and len(item.name) <= _REMEMBERED_CHARS:
                known[key] = verdict
        return verdict

    def _weigh(self, candidates: _Candidates, occasion: EvaluationContext, item: Item) -> Verdict:
        verdict = self._apply(candidates, occasion, item)
        if candidates.with_shadows is None:
            return verdict
        other = self._apply(candidates.with_shadows, occasion, item)
        if (other.reason is Reason.ALLOWED) == (verdict.reason is Reason.ALLOWED):
            return verdict
        names = (other.rule.name,) if other.rule is not None else ()
        return Verdict(verdict.reason, verdict.rule, verdict.scopes, names)

    def about(self, item: Item) -> tuple[Rule, ...]:
        """Give every rule that can be about an item, shadow rules too: denies, then requires, then allows."""
        found = self._candidates(item)
        found = found.with_shadows or found
        return tuple(rule for rule, _ in (*found.denies, *found.requires, *found.allows))

    def _candidates(self, item: Item) -> _Candidates:
        found = self._remembered.get(item)
        if found is None:
            found = self._sorted(self._index.about(item))
            if len(item.name) <= _REMEMBERED_CHARS:
                _put(self._remembered, item, found)
        return found

    def _sorted(self, rules: tuple[Rule, ...]) -> _Candidates:
        """Sort rules out; names about which the same rules are share the outcome."""
        found = self._sets.get(rules)
        if found is None:
            found = _candidates(rules)
            _put(self._sets, rules, found)
        return found

    def _apply(self, candidates: _Candidates, occasion: EvaluationContext, item: Item) -> Verdict:
        denied = _denied(candidates.denies, occasion, item)
        if denied is not None:
            return denied
        for rule, asked in candidates.requires:
            if _lacking(rule, asked, occasion, item) is not None:
                return Verdict(Reason.DENIED_BY_RULE, rule)
        if not self.rules and self.open_when_empty:
            return Verdict(Reason.ALLOWED)
        return _best_allow(candidates.allows, occasion, item)


def _denied(rules: tuple[Tried, ...], occasion: EvaluationContext, item: Item) -> Verdict | None:
    """Give the denial by a rule that holds, else by one that failed; one that holds wins wherever it stands."""
    failed: Verdict | None = None
    for rule, asked in rules:
        holds = _deny_holds(rule, asked, occasion, item)
        if holds is Truth.TRUE:
            return Verdict(Reason.DENIED_BY_RULE, rule)
        if holds is Truth.ERROR and failed is None:
            failed = Verdict(Reason.RULE_ERROR, rule)
    return failed


def _best_allow(rules: tuple[Tried, ...], occasion: EvaluationContext, item: Item) -> Verdict:
    """Give the first allow that holds, else the closest one's reason, independent of the rules' order."""
    missed: list[tuple[int, Rule, Reason]] = []
    for rule, asked in rules:
        reason = _lacking(rule, asked, occasion, item)
        if reason is None:
            return Verdict(Reason.ALLOWED, rule)
        missed.append((-_CLOSENESS.index(reason), rule, reason))
    if not missed:
        return Verdict(Reason.NO_RULE)
    _, rule, reason = min(
        missed, key=lambda miss: (miss[0], sorted(_needed(miss[1], occasion.caller.scopes)), miss[1].name)
    )
    held = occasion.caller.scopes
    return Verdict(reason, rule, _needed(rule, held) if reason is Reason.MISSING_SCOPE else ())


_CLOSENESS = (Reason.NO_RULE, Reason.MISSING_ROLE, Reason.ARGS_NOT_ALLOWED, Reason.MISSING_SCOPE)


def _lacking(
    rule: Rule, asked: tuple[Condition, ...], occasion: EvaluationContext, item: Item
) -> Reason | None:
    """Say what the first condition that does not hold is lacking; None when all hold."""
    in_list = occasion.arguments is None
    for condition in asked:
        if not (condition.on_call and in_list) and condition.truth(rule, occasion, item) is not Truth.TRUE:
            return condition.lacking
    return None


def _deny_holds(rule: Rule, asked: tuple[Condition, ...], occasion: EvaluationContext, item: Item) -> Truth:
    """Say whether a deny applies: the first condition that does not hold, or fails, is the answer."""
    if occasion.arguments is None and any(condition.on_call for condition in asked):
        return Truth.FALSE
    for condition in asked:
        truth = condition.truth(rule, occasion, item)
        if truth is not Truth.TRUE:
            return truth
    return Truth.TRUE


def _needed(rule: Rule, held: frozenset[str]) -> tuple[str, ...]:
    """Give every scope the rule needs; of alternatives one that is held, else the first by name: a challenge is one set."""
    alternatives = rule.any_scopes if rule.any_scopes.isdisjoint(rule.scopes) else frozenset[str]()
    return tuple(sorted(rule.scopes | set(sorted(alternatives & held or alternatives)[:1])))
