"""Every check on one file."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from authz.config.settings import Settings
from authz.doctor.inventory import Inventory, take_inventory
from authz.doctor.model import CheckCase, Finding, Hit, Severity
from authz.doctor.node import Node
from authz.doctor.registry import ALL
from authz.doctor.source import Source

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was examined, and what was found.

    Attributes:
        source: the file.
        inventory: what is in it.
        findings: the worst first, then by line.
    """

    source: Source
    inventory: Inventory
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing worse than hints was found."""
        return all(finding.check.severity is Severity.HINT for finding in self.findings)


def diagnose(source: Source, settings: Settings | None = None, ignored: Collection[str] = ()) -> Diagnosis:
    """Run every check on a file.

    Args:
        source: the file.
        settings: the policy's, to compare limits, deadlines, origins and paths with.
        ignored: findings to leave out: a check's id, or id:TEXT for those whose detail contains the text.
    """
    inventory = take_inventory(Node(source.tree))
    case = CheckCase(inventory, settings, source.repeated, source.more)
    found = [Finding(check, hit) for check in ALL for hit in check.find(case) if _says(inventory, hit)]
    if source.kubernetes:  # the paths are those of what the documents become
        found = [Finding(each.check, replace(each.hit, edits=())) for each in found]
    kept = [finding for finding in found if not any(_is(finding, each) for each in ignored)]
    kept.sort(key=lambda each: (_ORDER.index(each.check.severity), source.line(each.hit.node.path)))
    return Diagnosis(source, inventory, tuple(kept))


def _says(inventory: Inventory, hit: Hit) -> bool:
    """Whether a hit is about something that the file says, not about what a part of a message leaves open."""
    path = hit.node.path
    return hit.node.present or not any(path[: len(each)] == each for each in inventory.partial)


def _is(finding: Finding, ignored: str) -> bool:
    id_, _, text = ignored.partition(":")
    return finding.check.id == id_ and text in finding.hit.detail
