"""Reads decisions from events of API Activity (OCSF), as `edge.telemetry.ocsf` writes them, back into records.

The names on the left are `DecisionRecord`'s, and the event's places are those of the writer; a test holds that nothing is
lost on the way.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

_CLASS = 6003


class _Kind(msgspec.Struct):
    class_uid: int = 0


class _Entity(msgspec.Struct, frozen=True):
    uid: str = ""
    name: str = ""
    type: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    log_name: str
    correlation_uid: str = ""


class _Actor(msgspec.Struct, frozen=True):
    user: _Entity = _Entity()
    idp: _Entity = _Entity()
    app_uid: str = ""


class _Response(msgspec.Struct, frozen=True):
    code: int = 0


class _Api(msgspec.Struct, frozen=True):
    operation: str
    service: _Entity = _Entity()
    response: _Response = _Response()
    version: str = ""


class _Authorization(msgspec.Struct, frozen=True):
    decision: str
    policy: _Entity = _Entity()


class _Endpoint(msgspec.Struct, frozen=True):
    ip: str = ""


class _Event(msgspec.Struct, frozen=True):
    activity_id: int
    time: int
    metadata: _Metadata
    status_code: str
    api: _Api
    actor: _Actor = _Actor()
    authorizations: list[_Authorization] = []
    resources: list[_Entity] = []
    src_endpoint: _Endpoint = _Endpoint()
    status_detail: str = ""
    unmapped: dict[str, Any] = {}


_DECODE = msgspec.json.Decoder(_Event).decode
_KIND = msgspec.json.Decoder(_Kind).decode


def is_event(line: bytes) -> bool:
    """Return whether a line is an event of API Activity, and not a record of our own."""
    if b'"class_uid"' not in line:
        return False
    try:
        return _KIND(line).class_uid == _CLASS
    except msgspec.MsgspecError:
        return False


def read_event(line: bytes) -> dict[str, Any] | None:
    """Return the fields of the decision that an event is of; None for a response's.

    Raises:
        ValueError: the line is not such an event.
    """
    try:
        event = _DECODE(line)
        at = datetime.fromtimestamp(event.time // 1000, UTC)
    except (msgspec.MsgspecError, OverflowError, OSError) as error:
        raise ValueError(type(error).__name__) from None
    if event.metadata.log_name != "decision":
        return None
    if not event.authorizations:
        msg = "an event without a decision"
        raise ValueError(msg)
    decided, api, actor = event.authorizations[0], event.api, event.actor
    return {
        "time": f"{at:%Y-%m-%dT%H:%M:%S}.{event.time % 1000:03d}Z",
        "decision_id": event.metadata.correlation_uid,
        "decision": decided.decision,
        "reason": event.status_code,
        "rule": decided.policy.name,
        "policy": decided.policy.uid,
        "server": api.service.name,
        "method": api.operation if event.activity_id else "",
        "sub": actor.user.uid,
        "client": actor.app_uid,
        "issuer": actor.idp.uid,
        "version": api.version,
        "status": api.response.code,
        "source": event.src_endpoint.ip,
        "detail": event.status_detail,
        **{each.type: each.name for each in event.resources},
        **event.unmapped,
    }
