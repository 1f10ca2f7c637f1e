"""Rules that differ between two policy files, and whether a comparison asked anything that they are about.

A comparison that asks about other things says "same" of two files that are not. A changed rule counts as touched when,
for some question, its old or its new form applies by itself: an allow allows, a deny denies. A question about a place in
a list does not touch a rule about arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from authz.config.settings import Settings
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Rule
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.tools.evaluate import Question
from authz.tools.requests import post, server_named
from authz.tools.synthetic_caller import caller_of, names_an_issuer

_APPLIES = {
    Effect.ALLOW: frozenset({Reason.ALLOWED}),
    Effect.DENY: frozenset({Reason.DENIED_BY_RULE, Reason.RULE_ERROR}),
    Effect.REQUIRE: frozenset({Reason.DENIED_BY_RULE}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One rule that differs.

    Attributes:
        server: the server's name.
        name: the rule's.
        what: `changed`, `added` or `removed`.
        forms: its old and its new form, as far as there are.
    """

    server: str
    name: str
    what: str
    forms: tuple[tuple[int, Rule], ...]


def changed_rules(old: Settings, new: Settings) -> list[RuleChange]:
    """Return the rules that differ, in the order of the old file and then of the new one."""
    sides = tuple({each.name: each for each in side.directory.servers} for side in (old, new))
    found: list[RuleChange] = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        found += _of_server(name, *(_rules(side.get(name)) for side in sides))
    return found


def _rules(server: Server | None) -> tuple[Rule, ...]:
    return () if server is None else server.policy.rules


def _of_server(server: str, old: tuple[Rule, ...], new: tuple[Rule, ...]) -> Iterator[RuleChange]:
    kept = {_form(rule) for rule in old} & {_form(rule) for rule in new}
    before = {rule.name: rule for rule in old if _form(rule) not in kept}
    after = {rule.name: rule for rule in new if _form(rule) not in kept}
    for name in dict.fromkeys([*before, *after]):
        forms = tuple((side, rules[name]) for side, rules in enumerate((before, after)) if name in rules)
        what = "changed" if len(forms) > 1 else "removed" if name in before else "added"
        yield RuleChange(server=server, name=name, what=what, forms=forms)


def _form(rule: Rule) -> tuple[Any, ...]:
    """Return all of a rule but its name, in a form that can be compared."""
    kinds = sorted({*rule.selector.exact, *rule.selector.patterns})
    selected = tuple(
        (
            kind,
            tuple(sorted(rule.selector.exact.get(kind, ()))),
            tuple(sorted("*".join(each.parts) for each in rule.selector.patterns.get(kind, ()))),
        )
        for kind in kinds
    )
    texts = tuple(None if each is None else each.text for each in (rule.when, rule.args))
    arguments = (
        None
        if rule.arguments is None
        else (
            tuple(sorted((name, str(each)) for name, each in rule.arguments.types.items())),
            rule.arguments.extra,
        )
    )
    words = tuple(tuple(sorted(each)) for each in (rule.scopes, rule.any_scopes, rule.roles, rule.issuers))
    groups = None if rule.groups is None else tuple(sorted(rule.groups.names))
    return rule.effect, selected, words, groups, texts, arguments, rule.shadow, rule.denial, rule.hide


class Touched:
    """Watches the questions of a comparison, and knows which changed rules none of them was about."""

    def __init__(self, sides: tuple[Settings, Settings], now: float) -> None:
        """Watch for the rules that differ between two files."""
        self._sides = tuple({each.name: each for each in side.directory.servers} for side in sides)
        self._now = now
        self._open = changed_rules(*sides)

    def see(self, question: Question) -> None:
        """Take note of a question."""
        self._open = [change for change in self._open if not self._is_about(question, change)]

    @property
    def untouched(self) -> list[RuleChange]:
        """The changed rules that no question was about."""
        return self._open

    def _is_about(self, question: Question, change: RuleChange) -> bool:
        return any(
            self._applies(question, rule, self._sides[side], change.server) for side, rule in change.forms
        )

    def _applies(self, question: Question, rule: Rule, servers: dict[str, Server], name: str) -> bool:
        item, server = question.item, server_named(servers, question.server)
        if item is None or server is None or server.name != name or not rule.selector.selects(item):
            return False
        caller = self._caller(question, server)
        on_call = rule.args is not None or rule.arguments is not None
        if caller is None or (on_call and (question.listed or question.arguments is None)):
            return False
        arguments = None if question.listed else question.arguments or {}
        request = post(server, b"", question.headers or {}, question.source)
        context = EvaluationContext(caller, request, USES[item.kind], arguments)
        reason = Policy((replace(rule, shadow=False),)).judge(context, item).reason
        return reason in _APPLIES[rule.effect]

    def _caller(self, question: Question, server: Server) -> Caller | None:
        if question.claims is None or not names_an_issuer(question.claims, server):
            return None
        caller = caller_of(question.claims, server, self._now)
        return None if isinstance(caller, TokenRejected) else caller
