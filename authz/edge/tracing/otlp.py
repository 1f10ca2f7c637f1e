"""Spans as OpenTelemetry's SDK has them, sent by its exporter: OTLP over HTTP, in protobuf.

The only module that imports the SDK, which is an extra of the distribution. Of the SDK it uses what describes a span and what
sends it, and not its tracer: that would make objects on the request path. The exporter reads the usual variables for
headers, certificates, timeout and compression (OTEL_EXPORTER_OTLP_HEADERS and so on).
"""

import logging
import os
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from authz import __version__
from authz.edge.tracing.attributes import check_attributes, span_name
from authz.edge.tracing.spans import CheckSpan, CheckSteps, Span, WorkSpan
from authz.edge.tracing.traceparent import SpanParent

_SECOND = 1_000_000_000
_SCOPE = InstrumentationScope("mcp-authz", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


def _without_secrets(endpoint: str) -> str:
    """Return a URL for the log: neither a password nor a query."""
    url = urlsplit(endpoint)
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


class OtlpCollector:
    """A collector that takes OTLP over HTTP (an `export.Collector`)."""

    def __init__(
        self, endpoint: str, *, authorization: bool = False, exporter: SpanExporter | None = None
    ) -> None:
        """Send to a URL, which ends in `/v1/traces`; nothing is connected yet.

        Args:
            endpoint: the URL.
            authorization: whether spans have the drafted attributes for decisions about agents.
            exporter: sends in the place of the SDK's own.
        """
        _quieten()
        self.where = _without_secrets(endpoint)
        self._authorization = authorization
        self._exporter = exporter or OTLPSpanExporter(endpoint=endpoint)
        self._resource = _resource()

    def send(self, spans: Sequence[Span]) -> bool:
        """Send some; return whether they were taken."""
        made = [self._check(span) if isinstance(span, CheckSpan) else self._work(span) for span in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Abandon what is under way."""
        self._exporter.shutdown()

    def _check(self, span: CheckSpan) -> ReadableSpan:
        steps, parent, decision = span.steps, span.parent, span.decision
        took = int(span.seconds * _SECOND)
        if steps is None:
            own, start = _own(parent), int(span.facts.at * _SECOND) - took
        else:
            trace, start = steps.own_trace or _trace(parent), steps.start
            own = _context(SpanParent(trace, steps.span_id, sampled=True))
        return self._span(
            span_name(decision.method),
            own,
            None if parent is None else _context(parent, remote=True),
            (start, start + took),
            kind=SpanKind.SERVER,
            attributes=check_attributes(span, authorization=self._authorization),
            events=() if steps is None else tuple(_events(steps)),
            links=tuple(Link(_context(link, remote=True)) for link in span.links),
            status=_UNSET if decision.allowed else Status(StatusCode.ERROR, decision.reason.value),
        )

    def _work(self, span: WorkSpan) -> ReadableSpan:
        kind = SpanKind.CLIENT if span.client else SpanKind.SERVER if span.server else SpanKind.INTERNAL
        return self._span(
            span.name,
            _own(span.parent),
            # What answers somebody else is part of the asker's span; other work of a Check, in this process.
            None if span.parent is None else _context(span.parent, remote=span.server),
            (span.start, span.end),
            kind=kind,
            attributes=span.attributes,
            status=Status(StatusCode.ERROR, span.problem) if span.failed else _UNSET,
        )

    def _span(
        self,
        name: str,
        own: SpanContext,
        parent: SpanContext | None,
        times: tuple[int, int],
        **parts: Any,
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=own,
            parent=parent,
            resource=self._resource,
            start_time=times[0],
            end_time=max(times),
            instrumentation_scope=_SCOPE,
            **parts,
        )


def _events(steps: CheckSteps) -> Iterator[Event]:
    """Return an event for the end of each step. They are no spans: each would cost as much as the Check's own."""
    for name, ended in steps.ends:
        yield Event(name, timestamp=steps.start + int((ended - steps.began) * _SECOND))


def _own(parent: SpanParent | None) -> SpanContext:
    """Return a new span's context, in its parent's trace or in one of its own."""
    return _context(SpanParent(_trace(parent), random.getrandbits(64) or 1, sampled=True))


def _trace(parent: SpanParent | None) -> int:
    return (random.getrandbits(128) or 1) if parent is None else parent.trace_id


def _context(span: SpanParent, *, remote: bool = False) -> SpanContext:
    flags = _SAMPLED if span.sampled else TraceFlags(TraceFlags.DEFAULT)
    return SpanContext(span.trace_id, span.span_id, remote, flags)


def _resource() -> Resource:
    """Return what names this process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    own = {
        "service.name": "mcp-authz",
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }
    return Resource(own).merge(OTELResourceDetector().detect())


def _quieten() -> None:
    """Keep the SDK's log lines, which are no JSON, from stderr: the queue tells of a collector that takes nothing."""
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
