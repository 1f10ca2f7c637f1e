"""Spans in OTLP's form: in whose trace each is, and whether its parent is in this process."""

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from authz.core.decision import Decision, Facts
from authz.core.reasons import Reason
from authz.edge.tracing.otlp import SpanEncoder
from authz.edge.tracing.spans import CheckSpan, CheckSteps, WorkSpan
from authz.edge.tracing.traceparent import SpanParent
from authz.proto import otlp_pb2
from tests.support.otlp import values

PARENT = SpanParent(7, 8, sampled=True)
SAMPLED, PARENT_IS_KNOWN, PARENT_IS_REMOTE = 0x1, 0x100, 0x200


def encoded(span, environment=None):
    return SpanEncoder(authorization=False, environment=environment or {}).encode([span])


def exported(span):
    ((scope,),) = (
        each.scope_spans for each in otlp_pb2.TraceRequest.FromString(encoded(span)).resource_spans
    )
    (made,) = scope.spans
    return made


def ids(span):
    return tuple(int.from_bytes(each) for each in (span.trace_id, span.span_id, span.parent_span_id))


def check(parent, steps):
    return CheckSpan(
        parent=parent,
        links=(),
        steps=steps,
        decision=Decision(reason=Reason.NO_RULE),
        facts=Facts(decision_id="d", policy="p", at=10.0, status=403, source=""),
        seconds=0.25,
        session="",
    )


def work(parent, *, server=False):
    return WorkSpan(name="work", parent=parent, start=0, end=1, server=server)


@pytest.mark.parametrize(
    ("span", "remote"),
    [
        (check(PARENT, None), True),
        (check(PARENT, CheckSteps(PARENT, 9, print)), True),
        (work(PARENT, server=True), True),
        (work(PARENT), False),
    ],
    ids=["denial", "sampled Check", "rewrite", "work of a Check"],
)
def test_only_the_work_of_a_check_has_its_parent_in_this_process(span, remote):
    made = exported(span)

    assert (7, 8) == ids(made)[::2]
    assert SAMPLED | PARENT_IS_KNOWN | (PARENT_IS_REMOTE if remote else 0) == made.flags


def test_a_check_that_began_a_trace_for_its_work_stays_in_it_under_the_id_that_its_work_names():
    steps = CheckSteps(None, 9, print)
    trace = steps.trace_id()

    assert (trace, 9, 0) == ids(exported(check(None, steps)))


def test_a_check_that_was_sampled_here_is_part_of_the_clients_trace():
    assert (7, 9, 8) == ids(exported(check(PARENT, CheckSteps(None, 9, print))))


@pytest.mark.parametrize("steps", [None, CheckSteps(None, 9, print)], ids=["denial", "sampled"])
def test_a_check_without_a_parent_begins_a_trace(steps):
    trace, own, parent = ids(exported(check(None, steps)))

    assert 0 == parent
    assert 0 not in {trace, own}


def test_failed_work_says_why_and_has_the_kind_of_what_asks_somebody_else():
    work_span = WorkSpan(
        name="fetch keys",
        parent=None,
        start=1,
        end=2,
        client=True,
        attributes={"n": 1, "yes": True},
        failed=True,
        problem="x",
    )
    made = exported(work_span)

    assert ("fetch keys", otlp_pb2.Span.CLIENT, 1, 2) == (
        made.name,
        made.kind,
        made.start_time_unix_nano,
        made.end_time_unix_nano,
    )
    assert (otlp_pb2.Status.ERROR, "x") == (made.status.code, made.status.message)
    assert {"n": 1, "yes": True} == values(made.attributes)


def test_others_read_the_same_in_the_bytes():
    """The declarations of xds-protos are the official ones, in an older form that names a scope otherwise."""
    own = exported(check(PARENT, CheckSteps(PARENT, 9, print)))
    body = encoded(check(PARENT, CheckSteps(PARENT, 9, print)), {"OTEL_SERVICE_NAME": "gateway"})
    (resource,) = trace_service_pb2.ExportTraceServiceRequest.FromString(body).resource_spans
    (scope,) = resource.instrumentation_library_spans
    (span,) = scope.spans

    assert "gateway" == values(resource.resource.attributes)["service.name"]
    assert "mcp-authz" == scope.instrumentation_library.name
    assert (own.trace_id, own.span_id, own.parent_span_id) == (
        span.trace_id,
        span.span_id,
        span.parent_span_id,
    )
    assert (own.name, "SPAN_KIND_SERVER", "STATUS_CODE_ERROR", Reason.NO_RULE.value) == (
        span.name,
        span.SpanKind.Name(span.kind),
        span.status.StatusCode.Name(span.status.code),
        span.status.message,
    )
    assert values(own.attributes) == values(span.attributes)
    assert span.start_time_unix_nano < span.end_time_unix_nano


@pytest.mark.parametrize(
    ("variables", "name", "more"),
    [
        ({}, "mcp-authz", None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=a%20b, service.name=x,odd"}, "x", "a b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=b,service.name=x", "OTEL_SERVICE_NAME": "y"}, "y", "b"),
    ],
)
def test_the_variables_have_the_last_word_about_the_services_name(variables, name, more):
    (resource,) = otlp_pb2.TraceRequest.FromString(encoded(work(None), variables)).resource_spans
    said = values(resource.resource.attributes)

    assert (name, more) == (said["service.name"], said.get("team"))
