"""Cases against a policy: each one goes through the walk that decides for Envoy, or the judgement that trims lists.

Only the token is not real: its claims are, and they are judged as a verified token's would be. A case is a legacy
request, the form in which no header has to repeat what the body says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.core.decision import Decision
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item
from authz.core.mcp.methods import METHODS, USES
from authz.core.policy.context import EvaluationContext
from authz.core.policy.rule import Rule
from authz.core.reasons import TABLE, Group, Reason
from authz.core.servers import Server
from authz.tools.cases import Case, check_servers
from authz.tools.requests import decide, post, server_named, use
from authz.tools.synthetic_caller import ClaimsRefused, caller_of

_DECIDED = frozenset({Reason.ALLOWED, Reason.DENIED_BY_RULE, Reason.RULE_ERROR})
_DENIALS = frozenset({Group.POLICY, Group.TOKEN})
"""What `deny` stands for: a request that is refused for its form was not denied, the case is wrong."""

_Occasions = tuple[tuple[EvaluationContext, Item], ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What one judgement said.

    Attributes:
        reason: the word of the closed list.
        rule: name of the rule that decided or came closest, empty when none is about the item.
        shadows: shadow rules under which the answer would differ.
    """

    reason: Reason
    rule: str = ""
    shadows: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether the rule decided; else it only came closest."""
        return bool(self.rule) and self.reason in _DECIDED

    def __str__(self) -> str:
        return f"{self.reason} by {self.rule}" if self.rule else str(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What came of one case.

    Attributes:
        case: the case.
        server: where it was tried.
        expected: what the case says.
        seen: what the policy says, in the same words.
        passed: whether the two agree.
        why: reason and rule, or for a list those of each name that is wrongly shown or missing.
        said: every judgement that was made.
        occasions: what conditions were evaluated against, for a second opinion; none where the token is refused.
    """

    case: Case
    server: Server
    expected: str
    seen: str
    passed: bool
    why: str
    said: tuple[Said, ...]
    occasions: _Occasions


def run(cases: Sequence[Case], settings: Settings, now: float) -> list[CaseResult]:
    """Try cases against a policy.

    Args:
        cases: what to try.
        settings: the policy.
        now: seconds since the epoch, from which claims are judged.

    Raises:
        ConfigError: a case is about a server that there is not.
    """
    servers = {server.name: server for server in settings.directory.servers}
    check_servers(cases, servers, several=len(servers) > 1)
    placed = [(case, server_named(servers, case.server)) for case in cases]
    return [_try(case, server, settings, now) for case, server in placed if server is not None]


def asked(trials: Iterable[CaseResult]) -> Iterator[tuple[str, tuple[Rule, ...], EvaluationContext, Item]]:
    """Give what `secondopinion.compare` asks about: for each judgement the case's name, the rules and the occasion."""
    for trial in trials:
        for occasion, item in trial.occasions:
            yield trial.case.name, trial.server.policy.rules, occasion, item


def _try(case: Case, server: Server, settings: Settings, now: float) -> CaseResult:
    try:
        caller: Caller | TokenRejected = caller_of(case.claims, server, now)
    except ClaimsRefused as error:
        caller = error.refused
    if case.item is None:
        return _list(case, server, caller)
    return _call(case, case.item, server, caller, settings)


def _call(
    case: Case, item: Item, server: Server, caller: Caller | TokenRejected, settings: Settings
) -> CaseResult:
    request = post(server, use(item, case.args), case.headers)
    decision = decide(settings, request, caller)
    said = Said(decision.reason, decision.rule, decision.shadows)
    occasions: _Occasions = ()
    if isinstance(caller, Caller) and TABLE[decision.reason].group is Group.POLICY:
        occasions = ((EvaluationContext(caller, request, decision.method, _arguments(case, item)), item),)
    return CaseResult(
        case=case,
        server=server,
        expected=case.expect,
        seen=_word(decision, case.expect),
        passed=_as_expected(decision, case.expect),
        why=f"{said}: {caller.detail}" if isinstance(caller, TokenRejected) else str(said),
        said=(said,),
        occasions=occasions,
    )


def _arguments(case: Case, item: Item) -> dict[str, object]:
    """Give the arguments that rules see."""
    return dict(case.args) if METHODS[USES[item.kind]].arguments else {}


def _as_expected(decision: Decision, expect: str) -> bool:
    if expect == "allow":
        return decision.allowed
    if expect == "deny":
        return not decision.allowed and TABLE[decision.reason].group in _DENIALS
    return decision.reason.value == expect


def _word(decision: Decision, expect: str) -> str:
    """Say what was seen in the words of what was expected: allow and deny, or the reason."""
    if decision.allowed:
        return "allow"
    is_denial = TABLE[decision.reason].group in _DENIALS
    return "deny" if expect in {"allow", "deny"} and is_denial else str(decision.reason)


def _list(case: Case, server: Server, caller: Caller | TokenRejected) -> CaseResult:
    occasions: _Occasions = ()
    shown: list[Item] = []
    if isinstance(caller, TokenRejected):
        said = [Said(caller.reason)] * len(case.catalogue)
    else:
        request = post(server, b"", case.headers)
        occasions = tuple(
            (EvaluationContext(caller, request, USES[item.kind], None), item) for item in case.catalogue
        )
        said = [_visible(server, occasion, item) for occasion, item in occasions]
        shown = [
            item for item, what in zip(case.catalogue, said, strict=True) if what.reason is Reason.ALLOWED
        ]
    wrong = set(shown) ^ set(case.visible)
    why = [f"{item.name}: {what}" for item, what in zip(case.catalogue, said, strict=True) if item in wrong]
    return CaseResult(
        case=case,
        server=server,
        expected=_names([item for item in case.catalogue if item in case.visible]),
        seen=_names(shown),
        passed=not wrong,
        why=", ".join(why),
        said=tuple(said),
        occasions=occasions,
    )


def _visible(server: Server, occasion: EvaluationContext, item: Item) -> Said:
    verdict = server.policy.judge(occasion, item)
    return Said(verdict.reason, verdict.rule.name if verdict.rule is not None else "", verdict.shadows)


def _names(items: Sequence[Item]) -> str:
    return ", ".join(item.name for item in items) or "nothing"
