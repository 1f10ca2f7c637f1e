"""The rules of one server and what they say about an item: one function for a call and for its place in a list.

Theory.

* Order never matters. A deny that holds, or whose evaluation fails, denies. Then every require must hold. Then one
  allow that holds allows. Otherwise the item is denied, with the reason of the allow that came closest.
* "Closest" is how far an allow's conditions held in the order issuers, `when`, roles, groups, args, scopes. So
  `missing_scope` is given only where nothing but scopes is missing: a step-up challenge that could not help is never
  sent.
* Visibility is the same judgement without arguments: an allow's `args` is then taken as satisfiable, a deny with
  `args` does not apply. Hence what is callable with some arguments is listed, and what no arguments can open
  is not.
* A judgement looks only at the rules that can be about the item (see `index`), and the list of these is cached by name.
* A resource that may be used is denied all the same if its URI could be taken for one that other rules are about
  (see `index`).
* Shadow rules are left out of the judgement. If one could apply, a second judgement includes it, and if the answers
  differ, the decision names the rule.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec

from authz.core.mcp.item import Item, Kind, Template
from authz.core.policy.condition import Condition
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import Truth
from authz.core.policy.index import Candidates, Index, OrderedConditions, Readings, group
from authz.core.policy.rule import Effect, Misfit, Rule
from authz.core.reasons import Reason
from authz.core.wire.bounded_cache import BoundedCache

_CACHED_NAMES = 16_384
"""Names whose rules are cached: more than any catalogue has that is listed in one piece."""
_CACHED_CHARS = 256
"""Longest name that is cached; callers choose the names they ask for."""


class Verdict(msgspec.Struct, frozen=True):
    """What the rules say about one item.

    Attributes:
        reason: `Reason.ALLOWED`, or why not.
        rule: the rule that decided or came closest, None when no rule is about the item.
        scopes: when more scope would help, all that the operation needs.
        shadows: names of shadow rules under which the answer would differ.
        misfit: where a call's arguments leave the schema in the lock, if that is why.
    """

    reason: Reason
    rule: Rule | None = None
    scopes: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    misfit: Misfit | None = None


@dataclass(frozen=True, slots=True)
class VisibilityInputs:
    """The claims and headers that decide about lists under a policy; None if its rules can read all of them."""

    claims: frozenset[str] | None
    headers: frozenset[str] | None

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "VisibilityInputs":
        """Collect what the conditions read that decide about lists."""
        read = [rule.when for rule in rules if rule.when is not None]
        return cls(
            claims=_union(condition.claims for condition in read),
            headers=_union(condition.headers for condition in read),
        )


def _read_headers(rules: Iterable[Rule]) -> frozenset[str] | None:
    conditions = [part for rule in rules for part in (rule.when, rule.args) if part is not None]
    return _union(each.headers for each in conditions)


def _union(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    whole: set[str] = set()
    for part in sets:
        if part is None:
            return None
        whole |= part
    return frozenset(whole)


class TemplateRules(Protocol):
    """Rules as `templates.Templates` reads them, which is no business of calls."""

    def judge(self, text: str, judge: Callable[[Item], Verdict]) -> tuple[Verdict, Item]:
        """Return the verdict on a template, and the resource that it is about, as `judge` judges resources."""


@dataclass(slots=True, eq=False)
class Policy:
    """The rules of one server, indexed.

    Attributes:
        rules: every rule.
        templates: judges URI templates by the same rules.
        open_without_allows: whether a policy that allows nothing by a rule allows what no rule denies (agentgateway: a
            list of what is denied), or nothing (native).
        is_open: whether that is so of these rules.
        visibility_inputs: what decides about lists.
        read_headers: names of the headers that conditions read; None if they can read all of them.
        hides: whether a denial by some rule looks like an unknown name, whatever the server's own setting.
        rules_by_item: the rules about items that were judged lately; to be read only.
    """

    rules: tuple[Rule, ...]
    open_without_allows: bool = False
    templates: TemplateRules | None = field(default=None, repr=False)
    is_open: bool = field(init=False)
    visibility_inputs: VisibilityInputs = field(init=False, repr=False)
    read_headers: frozenset[str] | None = field(init=False, repr=False)
    hides: bool = field(init=False, repr=False)
    rules_by_item: BoundedCache[Item, Candidates] = field(init=False, repr=False)
    _index: Index = field(init=False, repr=False)
    _readings: Readings = field(init=False, repr=False)
    _by_rules: BoundedCache[tuple[bool, tuple[Rule, ...]], Candidates] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the rules by the names they select."""
        self.visibility_inputs = VisibilityInputs.of(self.rules)
        self.read_headers = _read_headers(self.rules)
        applied = (rule for rule in self.rules if not rule.shadow)
        self.is_open = self.open_without_allows and all(rule.effect is not Effect.ALLOW for rule in applied)
        self.hides = any(rule.hide and not rule.shadow for rule in self.rules)
        self._index = Index(self.rules)
        self._readings = Readings(self.rules)
        self.rules_by_item, self._by_rules = BoundedCache(_CACHED_NAMES), BoundedCache(_CACHED_NAMES)

    @property
    def claims_read(self) -> frozenset[str] | None:
        """The claims that expressions of the rules read; None if they can read all of them."""
        conditions = [part for rule in self.rules for part in (rule.when, rule.args) if part is not None]
        return _union(each.claims for each in conditions)

    def judge(self, context: EvaluationContext, item: Item) -> Verdict:
        """Decide about one item: a call if the context has arguments, a place in a list if it has none."""
        candidates = self.rules_by_item.get(item)
        if candidates is None:
            if isinstance(item, Template):
                return self.judge_template(context, item)[0]
            candidates = self._find(item)
        if not candidates.cacheable_by_item:
            return self._evaluate_with_shadows(candidates, context, item)
        key = candidates if candidates.cacheable_by_caller else (self, item, context.method)
        cache = context.caller.cache.verdicts
        verdict: Verdict | None = cache.get(key)
        if verdict is None:
            verdict = self._evaluate_with_shadows(candidates, context, item)
            if len(item.name) <= _CACHED_CHARS:
                cache.put(key, verdict)
        return verdict

    def judge_template(self, context: EvaluationContext, item: Template) -> tuple[Verdict, Item]:
        """Return the verdict on a template, and the resource that it is about; without `templates` it is a mere text."""
        itself = Item(Kind.RESOURCE, item.name)
        if self.templates is None:
            return self.judge(context, itself), itself
        return self.templates.judge(item.name, partial(self.judge, context))

    def about(self, item: Item) -> tuple[Rule, ...]:
        """Return every rule that can be about an item, shadow rules too: denies, then requires, then allows."""
        found = self._find(item)
        found = found.with_shadows or found
        return tuple(rule for rule, _ in (*found.denies, *found.requires, *found.allows))

    def _evaluate_with_shadows(
        self, candidates: Candidates, context: EvaluationContext, item: Item
    ) -> Verdict:
        verdict = self._evaluate(candidates, context, item)
        if candidates.with_shadows is None:
            return verdict
        other = self._evaluate(candidates.with_shadows, context, item)
        if (other.reason is Reason.ALLOWED) == (verdict.reason is Reason.ALLOWED):
            return verdict
        names = (other.rule.name,) if other.rule is not None else ()
        return Verdict(verdict.reason, verdict.rule, verdict.scopes, names)

    def _find(self, item: Item) -> Candidates:
        found = self.rules_by_item.get(item)
        if found is None:
            rules = self._index.about(item)
            ambiguous = item.kind is Kind.RESOURCE and self._readings.is_ambiguous(item.name, rules)
            key = ambiguous, rules
            found = self._by_rules.get(key) or self._by_rules.put(key, group(rules, ambiguous=ambiguous))
            if len(item.name) <= _CACHED_CHARS:
                self.rules_by_item.put(item, found)
        return found

    def _evaluate(self, candidates: Candidates, context: EvaluationContext, item: Item) -> Verdict:
        denied = _denied(candidates.denies, context, item)
        if denied is not None:
            return denied
        for rule, ordered in candidates.requires:
            if _lacking(rule, ordered, context, item) is not None:
                return Verdict(Reason.DENIED_BY_RULE, rule)
        verdict = Verdict(Reason.ALLOWED) if self.is_open else _best_allow(candidates.allows, context, item)
        return _AMBIGUOUS if candidates.ambiguous and verdict.reason is Reason.ALLOWED else verdict


_AMBIGUOUS = Verdict(Reason.AMBIGUOUS_URI)


def _denied(rules: tuple[OrderedConditions, ...], context: EvaluationContext, item: Item) -> Verdict | None:
    """Return the denial by a rule that holds, else by one that failed, else None; their order does not matter."""
    failed: Verdict | None = None
    for rule, ordered in rules:
        holds = _deny_holds(rule, ordered, context, item)
        if holds is Truth.TRUE:
            return Verdict(Reason.DENIED_BY_RULE, rule)
        if holds is Truth.ERROR and failed is None:
            failed = Verdict(Reason.RULE_ERROR, rule)
    return failed


def _best_allow(rules: tuple[OrderedConditions, ...], context: EvaluationContext, item: Item) -> Verdict:
    """Return the first allow that holds, else the reason of the closest one; the order of rules does not matter."""
    missed: list[tuple[int, Rule, Reason]] = []
    for rule, ordered in rules:
        reason = _lacking(rule, ordered, context, item)
        if reason is None:
            return Verdict(Reason.ALLOWED, rule)
        missed.append((-_CLOSENESS.index(reason), rule, reason))
    if not missed:
        return Verdict(Reason.NO_RULE)
    _, rule, reason = min(
        missed, key=lambda miss: (miss[0], sorted(_needed(miss[1], context.caller.scopes)), miss[1].name)
    )
    held = context.caller.scopes
    return Verdict(reason, rule, _needed(rule, held) if reason is Reason.MISSING_SCOPE else ())


_CLOSENESS = (Reason.NO_RULE, Reason.MISSING_ROLE, Reason.ARGS_NOT_ALLOWED, Reason.MISSING_SCOPE)


def _lacking(
    rule: Rule, ordered: tuple[Condition, ...], context: EvaluationContext, item: Item
) -> Reason | None:
    """Return the reason that belongs to the first condition that does not hold; None if all hold."""
    in_list = context.arguments is None
    for condition in ordered:
        if not (condition.on_call and in_list) and condition.truth(rule, context, item) is not Truth.TRUE:
            return condition.lacking
    return None


def _deny_holds(rule: Rule, ordered: tuple[Condition, ...], context: EvaluationContext, item: Item) -> Truth:
    """Return whether a deny applies: the first condition that does not hold, or fails, is the answer."""
    if context.arguments is None and any(condition.on_call for condition in ordered):
        return Truth.FALSE
    for condition in ordered:
        truth = condition.truth(rule, context, item)
        if truth is not Truth.TRUE:
            return truth
    return Truth.TRUE


def _needed(rule: Rule, held: frozenset[str]) -> tuple[str, ...]:
    """Return every scope the rule needs; of alternatives one that is held, else the first by name: a challenge is one set."""
    alternatives = rule.any_scopes if rule.any_scopes.isdisjoint(rule.scopes) else frozenset[str]()
    return tuple(sorted(rule.scopes | set(sorted(alternatives & held or alternatives)[:1])))
