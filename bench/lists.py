"""Lists of tools by size: the same list untrimmed, looked through with nothing to cut, and with every second tool cut.

All three come through one Envoy, one list at a time, from a server that has its lists ready (see `catalogue`), and from
one on the official SDK. Untrimmed is the listener of the
bare handler, which lets every response pass; the others are the service's, for callers who may use all tools and for
callers who may use half of them. What the rewriter itself costs is measured a second time in this process, from Envoy's
messages to the answers to them, without gRPC.
"""

import asyncio
import dataclasses
import json
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2

from authz.edge.audit import AuditLog
from authz.edge.ext_authz import Checker
from authz.edge.ext_proc import NAMESPACE, Processor
from authz.edge.service import Service
from bench import sdk_catalogue
from bench.catalogue import HEADER, SIZES, document, name_of
from bench.client import Client, body_of, status_of
from bench.stack import ENVOY, POLICY, SERVICE, Stack, running
from bench.stages import settings_of
from bench.workload import CALLERS, Mint, check_request, list_request

_auth: Any = external_auth_pb2
_proc: Any = external_processor_pb2
_PIECE = 1 << 16
"""Bytes of a body that Envoy hands over at a time, about."""
_MIN_LISTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way for a list to go.

    Attributes:
        name: what the table calls it.
        backend: whose listener.
        scope: what the callers' tokens have.
        share: the part of the tools that arrives.
    """

    name: str
    backend: str
    scope: str
    share: float


WAYS = (
    Way(name="untrimmed", backend="bare", scope="every:tool", share=1.0),
    Way(name="nothing to cut", backend=SERVICE, scope="every:tool", share=1.0),
    Way(name="half cut", backend=SERVICE, scope="profile", share=0.5),
)


def policy_text() -> str:
    """Give the policy: every second tool is everybody's, and all of them are for the scope `every:tool`."""
    head = POLICY.read_text("utf-8").partition("    rules:\n")[0]
    names = ", ".join(name_of(number) for number in range(0, SIZES[-1], 2))
    return (
        head.replace("http://127.0.0.1:9/mcp", "${BENCH_UPSTREAM}")
        + f"    rules:\n      - allow: {{tools: [{names}]}}\n"
        + '      - allow: {tools: ["*"]}\n        scopes: [every:tool]\n'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One way at one size, once.

    Attributes:
        tools: how many the server has.
        bytes: of the body that arrived.
        way: its name.
        round: number of the round.
        ms: median time of a list, in milliseconds.
        service_us: CPU microseconds a list of the backend.
        envoy_us: CPU microseconds a list of Envoy.
    """

    tools: int
    bytes: int
    way: str
    round: int
    ms: float
    service_us: float
    envoy_us: float


def measure(seconds: float, rounds: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Measure; give everything as it goes into the JSON document.

    Args:
        seconds: about how long one sample may take; a sample is at least a few lists.
        rounds: how often every way is measured at every size.
        sizes: numbers of tools, of `catalogue.SIZES`.
    """
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "lists.yaml"
        policy.write_text(policy_text(), "utf-8")
        ready, peaks = _through(policy, "bench.catalogue", sizes, seconds, rounds)
        made, others = _through(policy, "bench.sdk_catalogue", (sdk_catalogue.SIZE,), seconds, rounds)
        alone = in_process(policy, sizes, seconds)
    return {
        "rows": rows(ready, peaks),
        "sdk": rows(made, others),
        "rewriter": alone,
        "samples": [dataclasses.asdict(sample) for sample in (*ready, *made)],
    }


def _through(
    policy: Path, upstream: str, sizes: tuple[int, ...], seconds: float, rounds: int
) -> tuple[list[Taken], dict[tuple[int, str], int]]:
    """Give the samples of lists of a server, and the backend's peak memory in KiB by size and way."""
    with running({}, policy=policy, upstream=upstream, populations=()) as stack:
        peaks = {(size, way.name): _peak(stack, size, way) for size in sizes for way in WAYS}
        return list(_samples(stack, sizes, seconds, rounds)), peaks


def _samples(stack: Stack, sizes: tuple[int, ...], seconds: float, rounds: int) -> Iterator[Taken]:
    for number in range(rounds):
        turned = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
        for size in sizes:
            for way in turned:
                yield _sample(stack, size, way, number, seconds)


def _sample(stack: Stack, size: int, way: Way, number: int, seconds: float) -> Taken:
    requests = requests_for(stack.mint, size, way)
    with Client(stack.backends[way.backend].port) as client:
        expected = _verified(client.ask(requests[0]), size, way)
        before, began = _cpu(stack, way), time.perf_counter()
        times: list[float] = []
        while len(times) < _MIN_LISTS or time.perf_counter() < began + seconds:
            asked = time.perf_counter()
            answer = client.ask(requests[len(times) % len(requests)])
            times.append(time.perf_counter() - asked)
            if abs(len(body_of(answer)) - expected) > len("9" * 8):  # ids differ in length
                _verified(answer, size, way)
        used = [after - earlier for earlier, after in zip(before, _cpu(stack, way), strict=True)]
    return Taken(
        tools=size,
        bytes=expected,
        way=way.name,
        round=number,
        ms=median(times) * 1e3,
        service_us=used[0] / len(times) * 1e6,
        envoy_us=used[1] / len(times) * 1e6,
    )


def _cpu(stack: Stack, way: Way) -> tuple[float, float]:
    return stack.cpu(way.backend), stack.cpu(ENVOY)


def requests_for(mint: Mint, size: int, way: Way) -> list[bytes]:
    """Make a list request of each caller."""
    grants = {"scope": way.scope, "https://mcp.example.com/roles": ["staff"]}
    header = f"{HEADER}: {size}\r\n"
    return [list_request(n, mint.token(way.name, n, grants), header) for n in range(CALLERS)]


def _verified(answer: bytes, size: int, way: Way) -> int:
    """Give the length of a list's body, which must hold exactly the tools that it should."""
    body = body_of(answer)
    names = [tool["name"] for tool in json.loads(body)["result"]["tools"]] if status_of(answer) == 200 else []
    step = round(1 / way.share)
    if names != [name_of(number) for number in range(0, size, step)]:
        msg = f"{way.name}: expected every tool in {step} of {size}, got {len(names)}: {answer[:300]!r}"
        raise RuntimeError(msg)
    return len(body)


def _peak(stack: Stack, size: int, way: Way) -> int:
    """Give the most memory in KiB that the backend had while it looked through such lists, one at a time."""
    stack.forget_peak(way.backend)
    with Client(stack.backends[way.backend].port) as client:
        for request in requests_for(stack.mint, size, way)[:_MIN_LISTS]:
            client.ask(request)
    return stack.status(way.backend)["VmHWM"]


def rows(taken: list[Taken], peaks: dict[tuple[int, str], int]) -> list[dict[str, Any]]:
    """Summarise: medians over rounds, and ratios to the untrimmed list of the same size and round."""
    groups: dict[tuple[int, str], dict[int, Taken]] = {}
    for sample in taken:
        groups.setdefault((sample.tools, sample.way), {})[sample.round] = sample
    return [_row(group, groups[key[0], WAYS[0].name], peaks[key]) for key, group in groups.items()]


def _row(group: dict[int, Taken], untrimmed: dict[int, Taken], peak: int) -> dict[str, Any]:
    first = next(iter(group.values()))
    ratios = [sample.ms / untrimmed[number].ms for number, sample in group.items()]
    return {
        "tools": first.tools,
        "bytes": first.bytes,
        "way": first.way,
        "ms": median(sample.ms for sample in group.values()),
        "service_us": median(sample.service_us for sample in group.values()),
        "envoy_us": median(sample.envoy_us for sample in group.values()),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
        "peak_kib": peak,
    }


def in_process(policy: Path, sizes: tuple[int, ...], seconds: float) -> list[dict[str, Any]]:
    """Time the rewriter alone, half of each list cut, and the memory that one list takes in it."""
    mint = Mint()
    settings = settings_of(mint, policy)
    with Path("/dev/null").open("wb") as nowhere:
        audit = AuditLog(nowhere)
        try:
            service = Service(settings, audit)
            processor = Processor(
                resolve=service.reader, observe=service.metrics, max_bytes=settings.max_list
            )
            return [asyncio.run(_rewriter(service, processor, mint, size, seconds)) for size in sizes]
        finally:
            audit.close()


async def _rewriter(
    service: Service, processor: Processor, mint: Mint, size: int, seconds: float
) -> dict[str, Any]:
    way, body = WAYS[-1], document(size)
    request = requests_for(mint, size, way)[0]
    answer = await Checker(service).check(_auth.CheckRequest.FromString(check_request(request)), None)
    messages = _messages(_auth.CheckResponse.FromString(answer).dynamic_metadata, body)
    tracemalloc.start()
    rewritten = await _process(processor, messages)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    _verified(b"HTTP/1.1 200 OK\r\n\r\n" + rewritten, size, way)
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while len(taken) < _MIN_LISTS or time.perf_counter() < ends:
        began = time.process_time()
        await _process(processor, messages)
        taken.append(time.process_time() - began)
    return {"tools": size, "bytes": len(body), "us": median(taken) * 1e6, "peak_bytes": peak}


def _messages(metadata: Any, body: bytes) -> list[bytes]:
    """Give what Envoy sends about a response, serialised."""
    head = _proc.ProcessingRequest()
    head.metadata_context.filter_metadata[NAMESPACE].CopyFrom(metadata)
    fields = ((":status", b"200"), ("content-type", b"application/json"))
    for name, value in fields:
        head.response_headers.headers.headers.add(key=name, raw_value=value)
    pieces = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
    chunks = []
    for number, piece in enumerate(pieces, 1):
        chunk = _proc.ProcessingRequest()
        chunk.response_body.body, chunk.response_body.end_of_stream = piece, number == len(pieces)
        chunks.append(chunk)
    return [message.SerializeToString() for message in (head, *chunks)]


async def _process(processor: Processor, messages: list[bytes]) -> bytes:
    """Let the rewriter look through a response; give the body that it lets pass."""

    async def sent() -> AsyncIterator[Any]:
        for message in messages:
            yield _proc.ProcessingRequest.FromString(message)

    parts: list[bytes] = []
    async for reply in processor.process(sent(), None):
        reply.SerializeToString()  # as gRPC does before it sends
        if reply.HasField("response_body"):
            parts.append(reply.response_body.response.body_mutation.streamed_response.body)
    return b"".join(parts)
