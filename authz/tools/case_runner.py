"""Runs cases against a policy, through the engine that decides for Envoy or the judgement that filters lists.

Only the token is not real: its claims are judged as those of a verified token. A case becomes a legacy request, the
form in which no header has to repeat what the body says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.core.decision import Decision
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item
from authz.core.mcp.methods import METHODS, USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Verdict
from authz.core.policy.rule import Rule
from authz.core.reasons import TABLE, Group, Reason
from authz.core.servers import Server
from authz.tools.cases import Case, check_servers
from authz.tools.requests import decide, post, server_named, use
from authz.tools.synthetic_caller import caller_of

_BY_RULE = frozenset({Reason.ALLOWED, Reason.DENIED_BY_RULE, Reason.RULE_ERROR})
_DENIALS = frozenset({Group.POLICY, Group.TOKEN})
"""What `deny` stands for. A request refused for its form was not denied: the case itself is wrong."""

_Contexts = tuple[tuple[EvaluationContext, Item], ...]


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """One answer of the policy.

    Attributes:
        reason: the reason, from the closed list.
        rule: the rule that decided or came closest, empty when no rule is about the item.
        shadows: shadow rules that would change the answer if they were applied.
    """

    reason: Reason
    rule: str = ""
    shadows: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether the rule decided; otherwise it only came closest."""
        return bool(self.rule) and self.reason in _BY_RULE

    def __str__(self) -> str:
        return f"{self.reason} by {self.rule}" if self.rule else str(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The result of one case.

    Attributes:
        case: the case.
        server: where it ran.
        expected: what the case expects.
        seen: what the policy answered, in the same words.
        passed: whether the two agree.
        why: reason and rule; for a list, those of each item that is wrongly listed or missing.
        verdicts: every answer of the policy.
        contexts: what conditions were evaluated against, for a second opinion; none where the token is rejected.
    """

    case: Case
    server: Server
    expected: str
    seen: str
    passed: bool
    why: str
    verdicts: tuple[CaseVerdict, ...]
    contexts: _Contexts


def run(cases: Sequence[Case], settings: Settings, now: float) -> list[CaseResult]:
    """Run cases against a policy.

    Args:
        cases: the cases.
        settings: the policy.
        now: seconds since the epoch, at which claims are judged.

    Raises:
        ConfigError: a case names a server that does not exist, or names none of several.
    """
    servers = {server.name: server for server in settings.directory.servers}
    check_servers(cases, servers, several=len(servers) > 1)
    placed = [(case, server_named(servers, case.server)) for case in cases]
    return [_run(case, server, settings, now) for case, server in placed if server is not None]


def evaluated(
    results: Iterable[CaseResult],
) -> Iterator[tuple[str, tuple[Rule, ...], EvaluationContext, Item]]:
    """Yield, for each answer, the case's name, the server's rules, and what the rules were evaluated against."""
    for result in results:
        for context, item in result.contexts:
            yield result.case.name, result.server.policy.rules, context, item


def _run(case: Case, server: Server, settings: Settings, now: float) -> CaseResult:
    caller = caller_of(case.claims, server, now)
    if case.item is None:
        return _list(case, server, caller)
    return _call(case, case.item, server, caller, settings)


def _call(
    case: Case, item: Item, server: Server, caller: Caller | TokenRejected, settings: Settings
) -> CaseResult:
    request = post(server, use(item, case.args), case.headers)
    decision = decide(settings, request, caller)
    verdict = CaseVerdict(decision.reason, decision.rule, decision.shadows)
    contexts: _Contexts = ()
    if isinstance(caller, Caller) and TABLE[decision.reason].group is Group.POLICY:
        arguments = dict(case.args) if METHODS[USES[item.kind]].arguments else {}
        contexts = ((EvaluationContext(caller, request, decision.method, arguments), item),)
    return CaseResult(
        case=case,
        server=server,
        expected=case.expect,
        seen=_word(decision, case.expect),
        passed=_as_expected(decision, case.expect),
        why=f"{verdict}: {caller.detail}" if isinstance(caller, TokenRejected) else str(verdict),
        verdicts=(verdict,),
        contexts=contexts,
    )


def _as_expected(decision: Decision, expect: str) -> bool:
    if expect == "allow":
        return decision.allowed
    if expect == "deny":
        return not decision.allowed and TABLE[decision.reason].group in _DENIALS
    return decision.reason.value == expect


def _word(decision: Decision, expect: str) -> str:
    """Return the decision in the words of the expectation: allow and deny, or the reason."""
    if decision.allowed:
        return "allow"
    is_denial = TABLE[decision.reason].group in _DENIALS
    return "deny" if expect in {"allow", "deny"} and is_denial else str(decision.reason)


def _list(case: Case, server: Server, caller: Caller | TokenRejected) -> CaseResult:
    contexts: _Contexts = ()
    listed: list[Item] = []
    if isinstance(caller, TokenRejected):
        verdicts = [CaseVerdict(caller.reason)] * len(case.catalogue)
    else:
        request = post(server, b"", case.headers)
        contexts = tuple(
            (EvaluationContext(caller, request, USES[item.kind], None), item) for item in case.catalogue
        )
        answers = [server.judge(context, item) for context, item in contexts]
        verdicts = list(map(_case_verdict, answers))
        listed = [
            item
            for (_, item), answer in zip(contexts, answers, strict=True)
            if server.lists_item(item, answer)
        ]
    judged = list(zip(case.catalogue, verdicts, strict=True))
    wrong = set(listed) ^ set(case.visible)
    return CaseResult(
        case=case,
        server=server,
        expected=_names([item for item in case.catalogue if item in case.visible]),
        seen=_names(listed),
        passed=not wrong,
        why=", ".join(f"{item.name}: {verdict}" for item, verdict in judged if item in wrong),
        verdicts=tuple(verdicts),
        contexts=contexts,
    )


def _case_verdict(verdict: Verdict) -> CaseVerdict:
    return CaseVerdict(verdict.reason, verdict.rule.name if verdict.rule is not None else "", verdict.shadows)


def _names(items: Sequence[Item]) -> str:
    return ", ".join(item.name for item in items) or "nothing"
