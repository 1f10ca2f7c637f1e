"""The client and the MCP server of a trace: the official SDK, which makes spans of its own, in programs of their own.

    python -m tests.support.traced_peers server COLLECTOR PORT
    python -m tests.support.traced_peers client COLLECTOR URL TOKEN SECRET

The client lists the tools, calls one that it may and one that it may not, with SECRET in the arguments.
"""

import sys
from collections.abc import Sequence

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from authz.demo import mcp_server
from authz.demo.client import call
from authz.proto import otlp_pb2 as pb


class _Exporter(SpanExporter):
    """Sends what the tests read of a span. OpenTelemetry's own exporter cannot be installed beside xds-protos."""

    def __init__(self, collector: str, name: str) -> None:
        self._url = f"{collector}/v1/traces"
        named = pb.KeyValue(key="service.name", value=pb.AnyValue(string_value=name))
        self._resource = pb.Resource(attributes=[named])

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        made = [_message(span) for span in spans]
        resource = pb.ResourceSpans(resource=self._resource, scope_spans=[pb.ScopeSpans(spans=made)])
        httpx2.post(self._url, content=pb.TraceRequest(resource_spans=[resource]).SerializeToString())
        return SpanExportResult.SUCCESS


def _message(span: ReadableSpan) -> pb.Span:
    return pb.Span(
        trace_id=span.context.trace_id.to_bytes(16),
        span_id=span.context.span_id.to_bytes(8),
        parent_span_id=b"" if span.parent is None else span.parent.span_id.to_bytes(8),
        name=span.name,
    )


def _trace(collector: str, name: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_Exporter(collector, name)))
    trace.set_tracer_provider(provider)


async def _propagated(request: httpx2.Request) -> None:
    """Send the context as an instrumented HTTP client does."""
    inject(request.headers)


async def _ask(url: str, token: str, secret: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    hooks = {"request": [_propagated]}
    tracer = trace.get_tracer("tests")
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=20.0, event_hooks=hooks) as http:
        with tracer.start_as_current_span("agent"):
            async with Client(streamable_http_client(url, http_client=http), mode="2026-07-28") as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                allowed = await call(client, "echo", {"message": secret})
                denied = await call(client, "delete_file", {"filename": secret})
    sys.stdout.write(f"{','.join(sorted(names))} {allowed} {denied}\n")


def main() -> None:
    role, collector, *rest = sys.argv[1:]
    _trace(collector, role)
    if role == "server":
        mcp_server.main(["--port", rest[0]])
    else:
        anyio.run(_ask, *rest)


if __name__ == "__main__":
    main()
