"""Every check on one file."""

from collections.abc import Collection
from dataclasses import dataclass

from authz.config.settings import Settings
from authz.doctor.inventory import Inventory, look
from authz.doctor.model import CheckCase, Finding, Severity
from authz.doctor.node import Node
from authz.doctor.registry import ALL
from authz.doctor.source import Source

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was looked at, and what was found.

    Attributes:
        source: the file.
        survey: what is in it.
        findings: the worst first, then by line.
    """

    source: Source
    survey: Inventory
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing but hints was found."""
        return all(finding.check.severity is Severity.HINT for finding in self.findings)


def diagnose(source: Source, settings: Settings | None = None, ignored: Collection[str] = ()) -> Diagnosis:
    """Look at a file with every check.

    Args:
        source: the file.
        settings: the policy's, to compare limits, deadlines, origins and paths with.
        ignored: findings to leave out: a check's id, or id:TEXT for those whose detail contains the text.
    """
    survey = look(Node(source.tree))
    case = CheckCase(survey, settings, source.repeated, source.more)
    found = [Finding(check, hit) for check in ALL for hit in check.find(case)]
    kept = [finding for finding in found if not any(_is(finding, each) for each in ignored)]
    kept.sort(key=lambda each: (_ORDER.index(each.check.severity), source.line(each.hit.node.path)))
    return Diagnosis(source, survey, tuple(kept))


def _is(finding: Finding, ignored: str) -> bool:
    id_, _, text = ignored.partition(":")
    return finding.check.id == id_ and text in finding.hit.detail
