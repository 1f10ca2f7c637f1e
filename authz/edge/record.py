"""One decision as the record that the audit log and Envoy's dynamic metadata carry (protos/decision.proto)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from authz.core.decision import Decision
from authz.core.item import Kind

_MAX_TEXT = 512
"""Characters of a name that a sender chose; a record stays small whatever was asked for."""

ITEM_KEYS: Mapping[Kind, str] = MappingProxyType({kind: kind.value for kind in Kind})
"""Under which key a record names the item."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The fields of `DecisionRecord`, in its JSON mapping with original field names."""

    time: str
    decision_id: str
    decision: str
    reason: str
    rule: str = ""
    server: str = ""
    method: str = ""
    tool: str = ""
    prompt: str = ""
    resource: str = ""
    task: str = ""
    sub: str = ""
    client: str = ""
    issuer: str = ""
    version: str = ""
    policy: str = ""
    rewrite: bool = False
    status: int = 0
    duration_us: int = 0
    shadows: tuple[str, ...] = ()
    source: str = ""


def make_record(
    decision: Decision,
    *,
    decision_id: str,
    policy: str,
    at: float,
    seconds: float,
    status: int,
    source: str,
) -> Record:
    """Describe a decision.

    Args:
        decision: what was decided.
        decision_id: its name.
        policy: digest of the policy that decided.
        at: when, in seconds since the epoch.
        seconds: how long it took.
        status: HTTP status of a denial's answer, 0 for an allowed request.
        source: the peer's address.
    """
    principal = decision.principal
    item = {} if decision.item is None else {ITEM_KEYS[decision.item.kind]: clip(decision.item.name)}
    return Record(
        time=datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        decision_id=decision_id,
        decision="allow" if decision.allowed else "deny",
        reason=decision.reason.value,
        rule=decision.rule,
        server=decision.server,
        method=clip(decision.method),
        sub="" if principal is None else clip(principal.subject),
        client="" if principal is None else clip(principal.client),
        issuer="" if principal is None else principal.issuer,
        version=clip(decision.version),
        policy=policy,
        rewrite=decision.rewrite,
        status=status,
        duration_us=int(seconds * 1e6),
        shadows=decision.shadows,
        source=source,
        **item,
    )


def clip(text: str) -> str:
    """Shorten a text that a sender chose."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
