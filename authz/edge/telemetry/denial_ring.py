"""The last denials, kept in memory for the console, with what explains them later.

Rules of this module:

* The audit log's thread adds, after it has made the record; the request path does nothing for this.
* A place is kept for each group of reasons, so that a flood of requests without a token pushes out no denial by a rule.
* Neither token nor arguments nor headers are kept. The caller's verified claims are, so that conditions about them can be
  judged again; they stay in this process and are shown nowhere.
"""

from collections import deque
from typing import NamedTuple

from authz.core.decision import Decision, clip
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item
from authz.core.reasons import TABLE, Group
from authz.edge.http.memory import Denial
from authz.edge.telemetry.decision_record import Record

KEPT = 50
"""Denials of one group of reasons that are kept."""


class KeptDenial(NamedTuple):
    """A denial, the caller and the item of it, to be judged again."""

    denial: Denial
    caller: Caller | None
    item: Item | None


class DenialRing:
    """The last denials of one process."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keep at most `kept` denials of each group of reasons."""
        self._kept: dict[Group, deque[KeptDenial]] = {group: deque(maxlen=kept) for group in Group}

    def add(self, record: Record, decision: Decision) -> None:
        """Keep a denial; ignore an allow. From the audit log's thread only."""
        if decision.allowed:
            return
        kind, name = ("", "") if decision.item is None else (decision.item.kind.value, decision.item.name)
        denial = Denial(
            time=record.time,
            decision_id=record.decision_id,
            reason=record.reason,
            rule=record.rule,
            server=record.server,
            method=record.method,
            kind=kind,
            name=clip(name),
            sub=record.sub,
            client=record.client,
            issuer=record.issuer,
            source=record.source,
            policy=record.policy,
            detail=record.detail,
        )
        self._kept[TABLE[decision.reason].group].append(KeptDenial(denial, decision.caller, decision.item))

    def latest(self) -> list[Denial]:
        """Return the denials that are kept, the latest first."""
        found = [kept.denial for group in self._kept.values() for kept in group.copy()]
        return sorted(found, key=lambda denial: denial.time, reverse=True)

    def find(self, decision_id: str) -> KeptDenial | None:
        """Return a denial by its id, None if it is not kept (any more)."""
        kept = (each for group in self._kept.values() for each in group.copy())
        return next((each for each in kept if each.denial.decision_id == decision_id), None)
