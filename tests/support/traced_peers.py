"""The client and the MCP server of a trace: the official SDK, which makes spans of its own, in programs of their own.

    python -m tests.support.traced_peers server COLLECTOR PORT
    python -m tests.support.traced_peers client COLLECTOR URL TOKEN SECRET

The client lists the tools, calls one that it may and one that it may not, with SECRET in the arguments.
"""

import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from authz.demo import mcp_server
from authz.demo.client import call


def _trace(collector: str, name: str) -> None:
    provider = TracerProvider(resource=Resource({"service.name": name}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector}/v1/traces")))
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
