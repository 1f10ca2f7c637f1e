"""The record of a response that did not pass as the server sent it (protos/decision.proto, `ResponseRecord`)."""

import msgspec

from authz.edge.telemetry.decision_record import format_time


class ResponseRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The fields of `ResponseRecord`, in its JSON mapping with original field names."""

    time: str
    decision_id: str = ""
    response: str
    cause: str
    server: str = ""
    method: str = ""
    upstream_status: int = 0
    status: int = 0


class ResponseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a response.

    Attributes:
        at: when, in seconds since the epoch.
        decision_id: the decision that let the request through.
        response: `refused`, or `challenged` where the gateway's challenge took the place of the server's.
        cause: why, a word of the closed list.
        server: the server's name.
        method: MCP method, or HTTP method of a request without a message.
        upstream_status: the server's HTTP status.
        status: the HTTP status that the client got.
    """

    at: float
    decision_id: str
    response: str
    cause: str
    server: str
    method: str
    upstream_status: int
    status: int


def make_response_record(facts: ResponseFacts) -> ResponseRecord:
    """Return the record of a response."""
    return ResponseRecord(
        time=format_time(facts.at),
        **{name: getattr(facts, name) for name in ResponseFacts.__struct_fields__ if name != "at"},
    )
