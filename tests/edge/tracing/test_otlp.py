"""Spans in the form of OpenTelemetry's SDK: in whose trace each is, and whether its parent is in this process."""

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from authz.core.decision import Decision, Facts
from authz.core.reasons import Reason
from authz.edge.tracing.otlp import OtlpCollector
from authz.edge.tracing.spans import CheckSpan, CheckSteps, WorkSpan
from authz.edge.tracing.traceparent import SpanParent

PARENT = SpanParent(7, 8, sampled=True)


class Exporter:
    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans += spans
        return SpanExportResult.SUCCESS


def exported(span):
    exporter = Exporter()
    assert OtlpCollector("http://127.0.0.1:4318/v1/traces", exporter=exporter).send([span])
    (made,) = exporter.spans
    return made


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

    assert (7, 8, remote) == (made.parent.trace_id, made.parent.span_id, made.parent.is_remote)
    assert 7 == made.context.trace_id


def test_a_check_that_began_a_trace_for_its_work_stays_in_it_under_the_id_that_its_work_names():
    steps = CheckSteps(None, 9, print)
    trace = steps.trace_id()

    own = exported(check(None, steps)).context

    assert (trace, 9) == (own.trace_id, own.span_id)


def test_a_check_that_was_sampled_here_is_part_of_the_clients_trace():
    own = exported(check(PARENT, CheckSteps(None, 9, print))).context

    assert (7, 9) == (own.trace_id, own.span_id)


@pytest.mark.parametrize("steps", [None, CheckSteps(None, 9, print)], ids=["denial", "sampled"])
def test_a_check_without_a_parent_begins_a_trace(steps):
    made = exported(check(None, steps))

    assert made.parent is None
    assert made.context.trace_id
