"""One decision as the record that the audit log and Envoy's dynamic metadata carry (protos/decision.proto)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from authz.core.decision import Decision, Facts, clip
from authz.core.identity.hashed_subject import hashed_subject

_MAX_CLAIMS = 4096
"""Most characters of claims in one record."""


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
    claims: Mapping[str, Any] | None = None
    detail: str = ""
    unverified: Mapping[str, str] = {}


def make_record(
    decision: Decision,
    facts: Facts,
    seconds: float,
    named: Sequence[tuple[str, ...]] = (),
    subject_key: bytes = b"",
) -> Record:
    """Return the record of a decision.

    Args:
        decision: what was decided.
        facts: about whom, and when.
        seconds: how long it took.
        named: paths of the caller's claims that the record holds.
        subject_key: key under which it holds the caller's subject; empty for the subject itself.
    """
    principal = decision.principal
    item = {} if decision.item is None else {decision.item.kind.value: clip(decision.item.name)}
    return Record(
        time=format_time(facts.at),
        decision_id=facts.decision_id,
        decision=decision.verdict,
        reason=decision.reason.value,
        rule=decision.rule,
        server=decision.server,
        method=clip(decision.method),
        sub="" if principal is None else clip(hashed_subject(principal.subject, subject_key)),
        client="" if principal is None else clip(principal.client),
        issuer="" if principal is None else principal.issuer,
        version=clip(decision.version),
        policy=facts.policy,
        rewrite=decision.rewrite,
        status=facts.status,
        duration_us=int(seconds * 1e6),
        shadows=decision.shadows,
        source=facts.source,
        claims=None if principal is None or not named else _claims(principal.claims, named),
        detail="" if decision.rejection is None else decision.rejection.detail,
        unverified=_unverified(decision),
        **item,
    )


def _claims(claims: Mapping[str, Any], named: Sequence[tuple[str, ...]]) -> Mapping[str, Any] | None:
    """Return the claims at some paths; None if they are too large for a record, or hold what would forge its line."""
    found: dict[str, Any] = {}
    for path in named:
        value, place = claims, found
        for name in path[:-1]:
            value, place = _member(value, name), place.setdefault(name, {})
        place[path[-1]] = _member(value, path[-1])
    text = msgspec.json.encode(found).decode()
    return found if len(text) <= _MAX_CLAIMS and text.isprintable() else None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _unverified(decision: Decision) -> dict[str, str]:
    """Return what a refused token says of itself: marked so, since anybody can write it."""
    said = None if decision.rejection is None else decision.rejection.unverified
    texts = {} if said is None else {"iss": said.iss, "aud": said.aud, "azp": said.azp}
    return {name: clip(text) for name, text in texts.items() if text}


def format_time(at: float) -> str:
    """Format a time as RFC 3339 does, in UTC with milliseconds."""
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
