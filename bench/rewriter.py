"""The rewriter alone: from Envoy's messages about a list to the bytes of the answers to them, half of the list cut.

The metadata is what a real Check of the list's request left. gRPC is not there; reading and writing its messages is.
"""

import asyncio
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2

from authz.config.settings import Settings
from authz.core.servers import Directory
from authz.edge.envoy.ext_proc import Processor
from authz.edge.envoy.response_readers import NAMESPACE
from authz.edge.service import Service
from bench.catalogue import document
from bench.list_variants import LIST_VARIANTS, requests_for, verified
from bench.stages import NO_CALL, service_for, settings_of
from bench.workload import Mint, check_request

_auth: Any = external_auth_pb2
_proc: Any = external_processor_pb2
_FULL_DUPLEX: Any = processing_mode_pb2.ProcessingMode.FULL_DUPLEX_STREAMED
_PIECE = 1 << 16
"""Bytes of a body that Envoy hands over at a time, about."""
_MIN_LISTS = 3


def measure(policy: Path, sizes: tuple[int, ...], seconds: float) -> list[dict[str, Any]]:
    """Measure lists of each size, about `seconds` each; return rows for the JSON document."""
    mint = Mint()
    settings = _without_envoy(settings_of(mint, policy))
    with service_for(settings) as service:
        processor = service.processor()
        return [asyncio.run(_rewritten(service, processor, mint, size, seconds)) for size in sizes]


def _without_envoy(settings: Settings) -> Settings:
    """Return settings by which lists pass although no Envoy has shown its rewriter."""
    servers = [replace(server, needs_rewriter=False) for server in settings.directory.servers]
    return replace(settings, directory=Directory(tuple(servers)))


async def _rewritten(
    service: Service, processor: Processor, mint: Mint, size: int, seconds: float
) -> dict[str, Any]:
    variant, body = LIST_VARIANTS[-1], document(size)
    request = requests_for(mint, size, variant)[0]
    answer = await service.checker().check(check_request(request), NO_CALL)
    messages = _messages(_auth.CheckResponse.FromString(answer).dynamic_metadata, body)
    tracemalloc.start()
    rewritten = await _process(processor, messages)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    verified(b"HTTP/1.1 200 OK\r\n\r\n" + rewritten, size, variant)
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while len(taken) < _MIN_LISTS or time.perf_counter() < ends:
        began = time.process_time()
        await _process(processor, messages)
        taken.append(time.process_time() - began)
    return {"tools": size, "bytes": len(body), "us": median(taken) * 1e6, "peak_bytes": peak}


def _messages(metadata: Any, body: bytes) -> list[bytes]:
    """Return what Envoy sends about a response, serialised."""
    head = _proc.ProcessingRequest()
    head.protocol_config.response_body_mode = _FULL_DUPLEX
    head.metadata_context.filter_metadata[NAMESPACE].CopyFrom(metadata)
    for name, value in ((":status", b"200"), ("content-type", b"application/json")):
        head.response_headers.headers.headers.add(key=name, raw_value=value)
    messages = [head]
    for at in range(0, len(body), _PIECE):
        messages.append(_proc.ProcessingRequest())
        messages[-1].response_body.body = body[at : at + _PIECE]
    messages[-1].response_body.end_of_stream = True
    return [message.SerializeToString() for message in messages]


async def _process(processor: Processor, messages: list[bytes]) -> bytes:
    """Let the rewriter process a response; return the body that it lets pass."""
    exchange = _Exchange(messages)
    last = await processor.process(exchange)
    written = exchange.written if last is None else [*exchange.written, last]
    replies = map(_proc.ProcessingResponse.FromString, written)
    return b"".join(
        reply.response_body.response.body_mutation.streamed_response.body
        for reply in replies
        if reply.HasField("response_body")
    )


class _Exchange:
    """A call without gRPC."""

    def __init__(self, messages: list[bytes]) -> None:
        self.written: list[bytes] = []
        self._messages = iter(messages)

    async def read(self) -> bytes | None:
        return next(self._messages, None)

    async def write(self, message: bytes) -> None:
        self.written.append(message)

    async def pause(self) -> None:
        """Give way to nobody: there is one call."""

    def wake_after(self, seconds: float) -> None:
        """Ignore the timer: time stands still here."""
