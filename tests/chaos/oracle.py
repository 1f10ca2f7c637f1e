"""The right answers: the engine alone, without gRPC, Envoy, workers or caches that outlive a policy."""

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from authz.config.settings import Settings
from authz.core.authentication import Authenticator
from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot, check
from authz.core.identity.jwks import KeySet
from authz.core.identity.session import Sessions
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import USES
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import NEVER, HttpRequest
from tests.chaos.policies import PROMPTS, RESOURCES, TOOLS
from tests.chaos.timeline import Timeline

OFFERED: Mapping[str, tuple[Kind, tuple[str, ...]]] = {
    "tools/list": (Kind.TOOL, TOOLS),
    "prompts/list": (Kind.PROMPT, PROMPTS),
    "resources/list": (Kind.RESOURCE, RESOURCES),
}
"""What each MCP server has, by the method that lists it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer that is right.

    Attributes:
        allowed: whether the request passes.
        reason: why.
        names: what a list shows; None for what is no list.
    """

    allowed: bool
    reason: Reason
    names: tuple[str, ...] | None = None


class Oracle:
    """Answers by whatever was in force in a period: policies, key sets and offsets of the service's clock."""

    def __init__(self, settings: Settings, keys: KeySet) -> None:
        """Begin with the policy and the keys of the start, and the true time."""
        self.policies = Timeline(settings)
        self.keys = Timeline(keys)
        self.clock = Timeline(0.0)
        self._snapshots: dict[tuple[str, int], PolicySnapshot] = {}

    def verdicts(self, request: HttpRequest, since: float, until: float) -> set[Verdict]:
        """Return every answer that is right for a request sent and answered in a period."""
        return {
            self._verdict(request, snapshot, time.time() + offset)
            for snapshot, offset in self._worlds(since, until)
        }

    def may_see(self, request: HttpRequest, item: Item, since: float, until: float) -> bool:
        """Return whether the sender may have been told of an item in a period."""
        worlds = self._worlds(since, until)
        return any(_sees(request, item, snapshot, time.time() + offset) for snapshot, offset in worlds)

    def forget(self, before: float) -> None:
        """Drop what ended before a moment."""
        for timeline in (self.policies, self.keys, self.clock):
            timeline.forget(before)

    def _worlds(self, since: float, until: float) -> Iterable[tuple[PolicySnapshot, float]]:
        parts = (timeline.between(since, until) for timeline in (self.policies, self.keys, self.clock))
        return (
            (self._snapshot(settings, keys), offset) for settings, keys, offset in itertools.product(*parts)
        )

    def _snapshot(self, settings: Settings, keys: KeySet) -> PolicySnapshot:
        known = self._snapshots.get((settings.digest, id(keys)))
        if known is None:
            known = self._snapshots[settings.digest, id(keys)] = snapshot_of(settings, keys)
        return known

    def _verdict(self, request: HttpRequest, snapshot: PolicySnapshot, now: float) -> Verdict:
        decision = check(request, snapshot, now, NEVER)
        names = _visible(request, decision, snapshot) if decision.method in OFFERED else None
        return Verdict(decision.allowed, decision.reason, names)


def snapshot_of(settings: Settings, keys: KeySet) -> PolicySnapshot:
    """Return what the engine decides with under a policy, for an issuer with these keys."""
    return PolicySnapshot(
        digest=settings.digest,
        directory=settings.directory,
        authenticator=Authenticator(lambda _issuer: keys, lambda _outcome: None, size=1000),
        sessions=Sessions(settings.session_keys),
        limits=settings.limits,
        max_body=settings.max_body,
        check_seconds=settings.check_seconds,
        stream_grace=settings.stream_grace,
    )


def _visible(request: HttpRequest, decision: Decision, snapshot: PolicySnapshot) -> tuple[str, ...] | None:
    if not decision.allowed:
        return None
    kind, names = OFFERED[decision.method]
    return tuple(name for name in names if _judged(request, decision, Item(kind, name), snapshot))


def _sees(request: HttpRequest, item: Item, snapshot: PolicySnapshot, now: float) -> bool:
    decision = check(request, snapshot, now, NEVER)
    return decision.allowed and _judged(request, decision, item, snapshot)


def _judged(request: HttpRequest, decision: Decision, item: Item, snapshot: PolicySnapshot) -> bool:
    assert decision.caller is not None
    context: Any = EvaluationContext(decision.caller, request, USES[item.kind], None)
    return snapshot.servers[decision.server].policy.judge(context, item).reason is Reason.ALLOWED
