"""The audit log as logs of an OpenTelemetry collector.

Rules of this module:

* It is a stream of whole lines, as a file is one. Each line becomes the body of one log record, unchanged, so that what reads
  audit files reads the bodies too; what one filters by stands beside it as attributes, under the names that spans have.
* Attributes never name the caller. The body does, as the line does.
* A collector that is away is asked until it takes the records, and the writer waits. It is then the audit log's queue that
  fills, and it counts what it drops, as with any slow reader.
* Records that a collector takes and rejects cannot be told apart from the others of their batch, so the batch counts as lost.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec
import structlog

from authz.edge.otlp.resource import Value, any_value, key_values, own_resource, own_scope
from authz.edge.otlp.sender import OtlpAwayError, OtlpError, OtlpSender
from authz.edge.otlp.variables import CURE, Signal
from authz.edge.tracing.attributes import ITEM_ATTRIBUTES
from authz.proto import otlp_pb2 as pb

_LOG = structlog.get_logger("authz.audit")
_DECODE = msgspec.json.Decoder(dict[str, Any]).decode
_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "decision": "mcp_authz.decision",
        "reason": "mcp_authz.reason",
        "rule": "mcp_authz.rule",
        "server": "mcp_authz.server",
        "policy": "mcp_authz.policy",
        "decision_id": "mcp_authz.decision_id",
        "response": "mcp_authz.response",
        "cause": "mcp_authz.cause",
        "method": "mcp.method.name",
        "version": "mcp.protocol.version",
        **{kind.value: name for kind, name in ITEM_ATTRIBUTES.items()},
        "status": "http.response.status_code",
    }
)
"""Fields of a record, and what they are called beside it."""
_INFO, _WARN = (9, "INFO"), (13, "WARN")
_MILLISECOND = 1_000_000
_FAILURE = 2
"""`status_id` of an OCSF event."""


class OtlpLogStream:
    """A stream of audit records to a collector; used by one thread at a time."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        """Prepare to send to a URL, which ends in `/v1/logs`; `environment` has OpenTelemetry's variables.

        Raises:
            OSError: a certificate that they name cannot be read.
        """
        self._sender = OtlpSender(url, Signal.LOGS, environment)
        self._resource, self._scope = own_resource(environment), own_scope()
        self._is_away = False
        for problem in self._sender.problems:
            _LOG.warning("audit records", problem=problem)

    def write(self, data: memoryview, /) -> int:
        """Send whole lines, and return how many bytes; wait for a collector that is away.

        Raises:
            OSError: they were not taken, and will not be.
        """
        request = self._request([_record(line) for line in bytes(data).splitlines() if line])
        while True:
            try:
                rejected = self._sender.send(request)
            except OtlpAwayError as error:
                self._note_away(str(error))
                self._sender.pause()
                if self._sender.is_closed:
                    raise OSError from None
            except OtlpError as error:
                self._lose(str(error))
            else:
                self._is_away = False
                if rejected:
                    self._lose("it rejected some of them")
                return len(data)

    def close(self) -> None:
        """Abandon what is under way."""
        self._sender.close()

    def _request(self, records: list[pb.LogRecord]) -> bytes:
        scoped = pb.ScopeLogs(scope=self._scope, log_records=records)
        resource = pb.ResourceLogs(resource=self._resource, scope_logs=[scoped])
        return pb.LogsRequest(resource_logs=[resource]).SerializeToString()

    def _note_away(self, problem: str) -> None:
        if not self._is_away:  # told once, and not for each attempt
            _LOG.error("audit records wait", collector=self._sender.where, problem=problem, cure=CURE)
        self._is_away = True

    def _lose(self, problem: str) -> NoReturn:
        _LOG.error("audit records are lost", collector=self._sender.where, problem=problem, cure=CURE)
        raise OSError(problem)


def _record(line: bytes) -> pb.LogRecord:
    """Return the log record of a line of the audit log."""
    try:
        said = _DECODE(line)
    except msgspec.DecodeError:  # written to standard output by something else
        return pb.LogRecord(body=any_value(line.decode(errors="replace")))
    is_event = "class_uid" in said
    number, text = _severity(said)
    at = int(said["time"]) * _MILLISECOND if is_event else _nanoseconds(said["time"])
    return pb.LogRecord(
        time_unix_nano=at,
        observed_time_unix_nano=at,
        severity_number=number,
        severity_text=text,
        body=any_value(line.decode()),
        attributes=key_values(_event_attributes(said) if is_event else _attributes(said)),
        event_name="mcp_authz.response" if _is_response(said) else "mcp_authz.decision",
    )


def _is_response(said: Mapping[str, Any]) -> bool:
    return "response" in said or said.get("metadata", {}).get("log_name") == "response"


def _severity(said: Mapping[str, Any]) -> tuple[int, str]:
    """Return a warning for what was denied or refused; nothing of the service is wrong then."""
    refused = said.get("decision") == "deny" or "response" in said or said.get("status_id") == _FAILURE
    return _WARN if refused else _INFO


def _attributes(said: Mapping[str, Any]) -> dict[str, Value]:
    return {name: said[key] for key, name in _ATTRIBUTES.items() if key in said}


def _event_attributes(said: Mapping[str, Any]) -> dict[str, Value]:
    """Return what leads from an event of OCSF to spans; the event itself has the rest, under its own names."""
    return {"mcp_authz.decision_id": said["metadata"]["correlation_uid"]}


def _nanoseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000) * _MILLISECOND
