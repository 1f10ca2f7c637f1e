"""Spans in OTLP's form, and the collector that takes them.

The messages are made here and not by OpenTelemetry's SDK: its tracer would make objects on the request path, and its exporter
cannot be installed beside the library of Envoy's messages (see protos/otlp.proto).
"""

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any

from authz.edge.otlp.resource import Value, key_values, own_resource, own_scope
from authz.edge.otlp.sender import OtlpError, OtlpSender
from authz.edge.otlp.variables import Signal
from authz.edge.tracing.attributes import check_attributes, span_name
from authz.edge.tracing.export import NotTakenError
from authz.edge.tracing.spans import CheckSpan, CheckSteps, Span, WorkSpan
from authz.edge.tracing.traceparent import SpanParent
from authz.proto import otlp_pb2 as pb

_SECOND = 1_000_000_000
_SAMPLED, _KNOWN, _REMOTE = 1, 0x100, 0x200
"""Flags of a span: of W3C, that it is sampled; that it is known where the parent is; that it is in another process."""
_UNSET = pb.Status()


class OtlpCollector:
    """A collector that takes OTLP over HTTP (an `export.Collector`)."""

    def __init__(
        self, endpoint: str, *, authorization: bool = False, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Send to a URL, which ends in `/v1/traces`; nothing is connected yet.

        Args:
            endpoint: the URL.
            authorization: whether spans have the drafted attributes for decisions about agents.
            environment: OpenTelemetry's variables.

        Raises:
            OSError: a certificate that they name cannot be read.
        """
        self._sender = OtlpSender(endpoint, Signal.TRACES, environment)
        self.where, self.problems = self._sender.where, self._sender.problems
        self._encoder = SpanEncoder(authorization=authorization, environment=environment)

    def send(self, spans: Sequence[Span]) -> int:
        """Send some; return how many were taken."""
        try:
            rejected = self._sender.send(self._encoder.encode(spans))
        except OtlpError as error:
            raise NotTakenError(str(error)) from None
        return max(0, len(spans) - rejected)

    def close(self) -> None:
        """Abandon what is under way."""
        self._sender.close()


class SpanEncoder:
    """Makes export requests of spans."""

    def __init__(self, *, authorization: bool, environment: Mapping[str, str]) -> None:
        """Encode, with the drafted attributes for decisions about agents or without; `environment` names the service."""
        self._authorization = authorization
        self._resource, self._scope = own_resource(environment), own_scope()

    def encode(self, spans: Sequence[Span]) -> bytes:
        """Return the request that exports some spans."""
        made = [self._check(span) if isinstance(span, CheckSpan) else _work(span) for span in spans]
        scoped = pb.ScopeSpans(scope=self._scope, spans=made)
        resource = pb.ResourceSpans(resource=self._resource, scope_spans=[scoped])
        return pb.TraceRequest(resource_spans=[resource]).SerializeToString()

    def _check(self, span: CheckSpan) -> pb.Span:
        steps, parent, decision = span.steps, span.parent, span.decision
        took = int(span.seconds * _SECOND)
        if steps is None:
            own, start = _own(parent), int(span.facts.at * _SECOND) - took
        else:
            own, start = (
                SpanParent(steps.own_trace or _trace(parent), steps.span_id, sampled=True),
                steps.start,
            )
        failed = pb.Status(code=pb.Status.ERROR, message=decision.reason.value)
        return _span(
            span_name(decision.method),
            own,
            parent,
            (start, start + took),
            is_remote=True,
            kind=pb.Span.SERVER,
            attributes=check_attributes(span, authorization=self._authorization),
            events=() if steps is None else _events(steps),
            links=[_link(link) for link in span.links],
            status=_UNSET if decision.allowed else failed,
        )


def _work(span: WorkSpan) -> pb.Span:
    kind = pb.Span.CLIENT if span.client else pb.Span.SERVER if span.server else pb.Span.INTERNAL
    return _span(
        span.name,
        _own(span.parent),
        span.parent,
        (span.start, span.end),
        # What answers somebody else is part of the asker's span; other work of a Check, in this process.
        is_remote=span.server,
        kind=kind,
        attributes=span.attributes,
        status=pb.Status(code=pb.Status.ERROR, message=span.problem) if span.failed else _UNSET,
    )


def _span(
    name: str,
    own: SpanParent,
    parent: SpanParent | None,
    times: tuple[int, int],
    *,
    is_remote: bool,
    attributes: Mapping[str, Value],
    **parts: Any,
) -> pb.Span:
    trace, span_id = _ids(own)
    return pb.Span(
        trace_id=trace,
        span_id=span_id,
        parent_span_id=b"" if parent is None else _ids(parent)[1],
        name=name,
        start_time_unix_nano=times[0],
        end_time_unix_nano=max(times),
        attributes=key_values(attributes),
        flags=_SAMPLED | _KNOWN | (_REMOTE if parent is not None and is_remote else 0),
        **parts,
    )


def _link(span: SpanParent) -> pb.Span.Link:
    trace, span_id = _ids(span)
    return pb.Span.Link(trace_id=trace, span_id=span_id, flags=_KNOWN | _REMOTE | span.sampled)


def _events(steps: CheckSteps) -> list[Mapping[str, Any]]:
    """Return an event for the end of each step. They are no spans: each would cost as much as the Check's own."""
    start, began = steps.start, steps.began
    return [{"name": name, "time_unix_nano": start + int((at - began) * _SECOND)} for name, at in steps.ends]


def _own(parent: SpanParent | None) -> SpanParent:
    """Return a new span, in its parent's trace or in one of its own."""
    return SpanParent(_trace(parent), random.getrandbits(64) or 1, sampled=True)


def _trace(parent: SpanParent | None) -> int:
    return (random.getrandbits(128) or 1) if parent is None else parent.trace_id


def _ids(span: SpanParent) -> tuple[bytes, bytes]:
    """Return the ids of a trace and of a span as OTLP has them."""
    return span.trace_id.to_bytes(16), span.span_id.to_bytes(8)
