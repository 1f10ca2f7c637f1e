"""Asks audit records: which of them, and how often each rule decided for each reason."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from authz.config.problems import mistake
from authz.tools.audit_reader import Record

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,6})([smhd])")
MOST_NAMES = 10_000
"""Callers, and names of items, that are told apart in one group; more are counted with the rest, so memory is bounded."""
OTHERS = "(others)"
_NAMES = ("tool", "prompt", "resource", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records are meant; an empty text or False means any.

    Attributes:
        denied: only denials.
        sub: the caller.
        client: the OAuth client.
        tool: the tool.
        server: the server.
        reason: the reason.
        rule: the rule.
        since: earliest time as records have it, empty for any.
    """

    denied: bool = False
    sub: str = ""
    client: str = ""
    tool: str = ""
    server: str = ""
    reason: str = ""
    rule: str = ""
    since: str = ""

    def takes(self, record: Record) -> bool:
        """Return whether a record is meant."""
        if self.denied and record.decision != "deny":
            return False
        if record.time < self.since:
            return False
        asked = ("sub", "client", "tool", "server", "reason", "rule")
        return all(getattr(self, name) in {"", getattr(record, name)} for name in asked)


@dataclass(slots=True, kw_only=True)
class AuditGroup:
    """Records with the same server, decision, reason and rule."""

    server: str
    decision: str
    reason: str
    rule: str
    count: int = 0
    first: str = ""
    last: str = ""
    decision_id: str = ""
    callers: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.count += 1
        self.first = min(self.first or record.time, record.time)
        if record.time >= self.last:
            self.last, self.decision_id = record.time, record.decision_id
        _count(self.callers, record.sub or record.client or "-")
        named = next((text for name in _NAMES if (text := getattr(record, name))), record.method or "-")
        _count(self.names, named)


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHERS] += 1


def group(records: Iterable[Record], wanted: AuditFilter) -> list[AuditGroup]:
    """Return the groups of the records that are meant, the largest first."""
    found: dict[tuple[str, str, str, str], AuditGroup] = {}
    for record in records:
        if wanted.takes(record):
            key = (record.server, record.decision, record.reason, record.rule)
            if key not in found:
                server, decision, reason, rule = key
                found[key] = AuditGroup(server=server, decision=decision, reason=reason, rule=rule)
            found[key].add(record)
    return sorted(found.values(), key=lambda each: (-each.count, each.server, each.reason, each.rule))


def as_json(found: AuditGroup) -> dict[str, Any]:
    """Return a group as plain values."""
    counters = {"callers": dict(found.callers.most_common()), "names": dict(found.names.most_common())}
    plain = ("server", "decision", "reason", "rule", "count", "first", "last", "decision_id")
    return {name: getattr(found, name) for name in plain} | counters


def since(text: str, now: datetime, option: str) -> str:
    """Return the earliest time that is meant, as records have it: `90s`, `30m`, `1h`, `2d` before now, or a time (RFC 3339).

    Raises:
        ConfigError: it is neither.
    """
    try:
        span = _SPAN.fullmatch(text)
        at = (
            datetime.fromisoformat(text)
            if span is None
            else now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        )
    except (ValueError, OverflowError):
        raise mistake(
            option, f"{text} is no span and no time", "write 90s, 30m, 1h, 2d or 2026-01-31T12:00:00Z"
        ) from None
    return _time(at if at.tzinfo else at.replace(tzinfo=UTC))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
