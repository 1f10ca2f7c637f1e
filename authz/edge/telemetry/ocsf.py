"""An audit record as an event of the Open Cybersecurity Schema Framework: API Activity (class 6003).

The version is pinned, because a consumer's parser is, too. The profiles are `ai_operation`, for whom a tool serves, and
`security_control`, for what was decided. What the schema has no place for stands under `unmapped`, by the names of
`DecisionRecord`; `tools.ocsf_reader` makes records of events again, without a loss.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from authz import __version__
from authz.core.mcp.item import Kind
from authz.core.mcp.methods import METHODS
from authz.core.reasons import TABLE, Group, Reason
from authz.edge.telemetry.decision_record import Record
from authz.edge.telemetry.response_record import ResponseRecord

VERSION = "1.8.0"
_CLASS = 6003
_CATEGORY = 6
_PRODUCT = {"name": "mcp-authz", "vendor_name": "mcp-authz", "version": __version__}
_PROFILES = ["ai_operation", "security_control"]
_UNKNOWN, _READ, _OTHER = 0, 2, 99
_READS = frozenset({"resources/read", "prompts/get"})
_TOOL_ROLE = {"ai_role_id": 3, "ai_role": "Tool"}
_INFORMATIONAL = (1, "Informational")
_SEVERITIES: Mapping[Group, tuple[int, str]] = MappingProxyType(
    {
        Group.TOKEN: (2, "Low"),
        Group.REQUEST: (2, "Low"),
        Group.POLICY: (3, "Medium"),
        Group.SERVICE: (4, "High"),
    }
)
"""How severe a denial is, by what its reason is about; a scanner without a token is the common case."""
_KEPT = ("rewrite", "shadows", "claims", "unverified")
_ALLOWED = {"action_id": 1, "action": "Allowed", "disposition_id": 1, "disposition": "Allowed"}
_DENIED = {"action_id": 2, "action": "Denied", "disposition_id": 2, "disposition": "Blocked"}
_CHALLENGED = {"action_id": 4, "action": "Modified", "disposition_id": 99, "disposition": "Challenged"}
_SUCCESS = {"status_id": 1, "status": "Success"}
_FAILURE = {"status_id": 2, "status": "Failure"}


def decision_event(record: Record) -> dict[str, Any]:
    """Return the event of a decision."""
    allowed = record.decision == "allow"
    kind, name = next(
        ((kind.value, text) for kind in Kind if (text := getattr(record, kind.value))), ("", "")
    )
    severity = _INFORMATIONAL if allowed else _SEVERITIES[TABLE[Reason(record.reason)].group]
    event = _common(record, "decision", severity)
    event |= (_ALLOWED | _SUCCESS) if allowed else (_DENIED | _FAILURE)
    event |= {
        "message": " ".join(filter(None, (record.decision, record.method, name, f"({record.reason})"))),
        "status_code": record.reason,
        "actor": _actor(record),
        "src_endpoint": {"ip": record.source} if record.source else {"name": "unknown"},
        "authorizations": [{"decision": record.decision, "policy": _policy(record)}],
        "duration": record.duration_us // 1000,
        "unmapped": {"duration_us": record.duration_us} | _unmapped(record),
    }
    if record.detail:
        event["status_detail"] = record.detail
    if record.version:
        event["api"]["version"] = record.version
    if record.status:
        event["api"]["response"] = {"code": record.status, "error": record.reason}
    if name:
        event["resources"] = [{"name": name, "type": kind}]
    if record.server or record.client:
        event["message_context"] = _context(record, Kind.TOOL.value == kind)
    return event


def response_event(record: ResponseRecord) -> dict[str, Any]:
    """Return the event of a response that did not pass as the server sent it."""
    event = _common(record, "response", _SEVERITIES[Group.POLICY])
    event |= (_DENIED if record.response == "refused" else _CHALLENGED) | _FAILURE
    event["api"]["response"] = {"code": record.status, "error": record.cause}
    return event | {
        "message": f"response to {record.method or 'a request'} {record.response} ({record.cause})",
        "status_code": record.cause,
        "status_detail": record.response,
        "actor": {"app_name": record.server or "unknown"},
        "src_endpoint": {"svc_name": record.server or "unknown"},
        "unmapped": {"upstream_status": record.upstream_status},
    }


def _common(record: Record | ResponseRecord, log: str, severity: tuple[int, str]) -> dict[str, Any]:
    """Return what every event of the class must have."""
    activity, what = _activity(record.method)
    api: dict[str, Any] = {"operation": record.method or "unknown"}
    if record.server:
        api["service"] = {"name": record.server}
    return {
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "category_uid": _CATEGORY,
        "category_name": "Application Activity",
        "activity_id": activity,
        "activity_name": what,
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"API Activity: {what}",
        "severity_id": severity[0],
        "severity": severity[1],
        "time": _milliseconds(record.time),
        "metadata": {
            "version": VERSION,
            "product": _PRODUCT,
            "profiles": _PROFILES,
            "log_name": log,
            "uid": record.decision_id if log == "decision" else f"{record.decision_id}-{log}",
            "correlation_uid": record.decision_id,
        },
        "api": api,
    }


def _activity(method: str) -> tuple[int, str]:
    """Return the number and the name of an activity; a call may create, read or delete, and only its server knows."""
    if not method:
        return _UNKNOWN, "Unknown"
    row = METHODS.get(method)
    reads = method in _READS or (row is not None and row.lists and not row.may_stream)
    return (_READ, "Read") if reads else (_OTHER, method)


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _actor(record: Record) -> dict[str, Any]:
    actor: dict[str, Any] = {}
    if record.sub:
        actor["user"] = {"uid": record.sub}
    if record.client:
        actor["app_uid"] = record.client
    if record.issuer:
        actor["idp"] = {"uid": record.issuer}
    if not record.sub and not record.client:
        actor["user"] = {"name": "unknown", "type_id": _UNKNOWN}
    return actor


def _policy(record: Record) -> dict[str, str]:
    return {"uid": record.policy} | ({"name": record.rule} if record.rule else {})


def _context(record: Record, is_tool: bool) -> dict[str, Any]:
    context: dict[str, Any] = dict(_TOOL_ROLE) if is_tool else {"ai_role_id": _UNKNOWN, "ai_role": "Unknown"}
    if record.server:
        context["service"] = {"name": record.server}
    if record.client:
        context["application"] = {"uid": record.client}
    return context


def _unmapped(record: Record) -> dict[str, Any]:
    return {name: value for name in _KEPT if (value := getattr(record, name))}
