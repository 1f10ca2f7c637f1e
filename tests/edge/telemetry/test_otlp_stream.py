"""The audit log as logs of a collector: each line a body, unchanged, with what one filters by beside it."""

import json
import threading

import pytest

from authz.config.settings import AuditFormat, AuditTerms
from authz.core.decision import Decision, Facts
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.otlp_stream import OtlpLogStream
from authz.edge.telemetry.response_record import ResponseFacts
from authz.proto import otlp_pb2
from tests.support.otlp import otlp_endpoint, values
from tests.support.policy_files import NATIVE
from tests.support.records import REFUSED
from tests.support.serving import Served, ask
from tests.support.waiting import DEADLINE, eventually

FACTS = Facts(decision_id="id-1", policy="p", at=1_700_000_000.123, status=403, source="")
DENIED = Decision(
    reason=Reason.MISSING_ROLE,
    server="demo",
    rule="deleters",
    method="tools/call",
    item=Item(Kind.TOOL, "delete_file"),
)
ALLOWED = Decision(allowed=True, reason=Reason.ALLOWED, server="demo", method="tools/list")


@pytest.fixture
def collector():
    with otlp_endpoint() as kept:
        yield kept


@pytest.fixture
def stream(collector):
    made = OtlpLogStream(f"{collector.url}/v1/logs", {})
    yield made
    made.close()


def written(stream, *records, **terms):
    """Write records, and return how many were dropped."""
    dropped = []
    log = AuditLog(stream)
    log.terms, log.on_drop = AuditTerms(**terms), lambda: dropped.append(1)
    for record in records:
        if isinstance(record, ResponseFacts):
            log.write_response(record)
        else:
            log.write(record, FACTS, 0.001)
    log.close()
    return len(dropped)


def test_a_record_is_the_body_as_it_would_stand_in_a_file_and_has_the_names_of_spans_beside_it(
    collector, stream
):
    assert 0 == written(stream, DENIED)

    (record,) = collector.records()
    body = json.loads(record.body.string_value)
    assert ("deny", "missing_role", "delete_file") == (body["decision"], body["reason"], body["tool"])
    assert {
        "mcp_authz.decision": "deny",
        "mcp_authz.reason": "missing_role",
        "mcp_authz.rule": "deleters",
        "mcp_authz.server": "demo",
        "mcp_authz.policy": "p",
        "mcp_authz.decision_id": "id-1",
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "delete_file",
        "http.response.status_code": 403,
    } == values(record.attributes)
    assert ("mcp_authz.decision", 1_700_000_000_123_000_000) == (record.event_name, record.time_unix_nano)


@pytest.mark.parametrize(
    ("record", "severity", "name"),
    [
        (DENIED, "WARN", "mcp_authz.decision"),
        (ALLOWED, "INFO", "mcp_authz.decision"),
        (REFUSED, "WARN", "mcp_authz.response"),
    ],
    ids=["denial", "allow", "response"],
)
@pytest.mark.parametrize("form", AuditFormat)
def test_what_was_refused_is_a_warning_in_either_format(collector, stream, form, record, severity, name):
    written(stream, record, format=form)

    (sent,) = collector.records()
    assert (severity, name) == (sent.severity_text, sent.event_name)
    assert (REFUSED if record is REFUSED else FACTS).decision_id == values(sent.attributes)[
        "mcp_authz.decision_id"
    ]


def test_what_something_else_wrote_between_the_records_passes_as_it_is(collector, stream):
    stream.write(memoryview(b"no json \xff\n\n"))

    assert ["no json \ufffd"] == [record.body.string_value for record in collector.records()]


def test_records_wait_for_a_collector_that_is_away_and_none_is_lost(collector, stream):
    collector.status = 503
    log = AuditLog(stream)
    log.write(DENIED, FACTS, 0.0)
    assert eventually(lambda: 2 <= len(collector.headers))
    collector.status = 200
    log.write(ALLOWED, FACTS, 0.0)
    log.close()

    assert ["deny", "allow"] == [
        values(each.attributes)["mcp_authz.decision"] for each in collector.records()
    ]


@pytest.mark.parametrize("how", ["refused", "rejected"])
def test_records_that_the_collector_does_not_take_are_counted_as_dropped(collector, stream, how):
    if how == "refused":
        collector.status = 400
    else:
        collector.answer = otlp_pb2.Answer(partial_success=otlp_pb2.Rejected(count=1)).SerializeToString()

    assert 2 == written(stream, DENIED, ALLOWED)


def test_a_stream_that_is_closed_waits_for_nobody(collector, stream):
    collector.status = 429
    ended = []

    def write():
        try:
            stream.write(memoryview(b'{"time":"2026-01-01T00:00:00.000Z","decision":"deny"}\n'))
        except OSError:
            ended.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    assert eventually(lambda: collector.headers)
    stream.close()
    thread.join(DEADLINE)

    assert [True] == ended


@pytest.mark.parametrize(("workers", "place"), [(1, "flag"), (2, "policy")])
def test_a_service_sends_its_records_to_a_collector_and_writes_none_to_stdout(
    tmp_path, collector, workers, place
):
    options = ("--audit", collector.url) if place == "flag" else ()
    text = NATIVE if place == "flag" else f"{NATIVE}audit: {{otlp: '{collector.url}'}}\n"
    with Served(tmp_path, "--grace", "0", *options, workers=workers, text=text) as service:
        ask(service.grpc, connections=3)
        assert eventually(lambda: 3 == len(collector.records()))
        service.stop()

        assert [] == service.records()
    assert {"missing_token"} == {values(each.attributes)["mcp_authz.reason"] for each in collector.records()}
