"""Which rules the cases put to use.

A rule is covered when it decided a case: an allow allowed, a deny or a require denied. That it only came closest to
allowing does not count, because then nobody has seen it allow; a shadow rule counts where it would have decided.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.tools.case_runner import CaseResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """How often a rule was the reason of something.

    Attributes:
        server: the server's name.
        rule: the rule's name.
        effect: allow, deny or require.
        decided: judgements that it decided.
        closest: denials in which it was the allow that came closest.
    """

    server: str
    rule: str
    effect: str
    decided: int
    closest: int

    @property
    def covered(self) -> bool:
        """Whether a case has seen it decide."""
        return self.decided > 0


def coverage(settings: Settings, trials: Iterable[CaseResult]) -> list[RuleUse]:
    """Count, for every rule of every server, in the file's order."""
    decided: Counter[tuple[str, str]] = Counter()
    closest: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        for said in trial.said:
            (decided if said.decided else closest)[trial.server.name, said.rule] += 1
            decided.update((trial.server.name, name) for name in said.shadows)
    return [
        RuleUse(
            server=server.name,
            rule=rule.name,
            effect=str(rule.effect),
            decided=decided[server.name, rule.name],
            closest=closest[server.name, rule.name],
        )
        for server in settings.directory.servers
        for rule in server.policy.rules
    ]


def percent(uses: list[RuleUse]) -> float:
    """Give the share of rules that are covered, 0 to 100; of no rules it is 100."""
    return 100.0 * sum(use.covered for use in uses) / len(uses) if uses else 100.0
