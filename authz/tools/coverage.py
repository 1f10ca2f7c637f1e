"""Which rules the cases exercise.

A rule is covered when it decided a case: an allow allowed, a deny or a require denied. Coming closest to allowing does
not count, because no case has seen it allow; a shadow rule counts where it would have decided.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.tools.case_runner import CaseResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleUse:
    """How often a rule mattered.

    Attributes:
        server: the server's name.
        rule: the rule's name.
        effect: allow, deny or require.
        decided: answers that it decided.
        closest: denials in which it was the allow that came closest.
    """

    server: str
    rule: str
    effect: str
    decided: int
    closest: int

    @property
    def covered(self) -> bool:
        """Whether it decided a case."""
        return self.decided > 0


def coverage(settings: Settings, results: Iterable[CaseResult]) -> list[RuleUse]:
    """Count for every rule of every server, in the file's order."""
    decided: Counter[tuple[str, str]] = Counter()
    closest: Counter[tuple[str, str]] = Counter()
    for result in results:
        for verdict in result.verdicts:
            (decided if verdict.decided else closest)[result.server.name, verdict.rule] += 1
            decided.update((result.server.name, name) for name in verdict.shadows)
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
    """Return the share of rules that are covered, 0 to 100; 100 if there are no rules."""
    return 100.0 * sum(use.covered for use in uses) / len(uses) if uses else 100.0
