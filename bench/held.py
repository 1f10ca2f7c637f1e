"""`python -m bench.held`: the memory of one worker that is sent more unfinished answers than it may hold.

Thirty responses of 15 MiB of JSON are begun on two servers, without Envoy, and none is ended: what the budget has no room
for is refused, the rest is held. Then all of them are ended, so that what is held is judged. The figures are the kernel's:
resident memory before, while all of it is held, and the most of the whole run, beside the limit of the manifest.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2

from authz.edge.envoy.response_readers import NAMESPACE
from bench.load import METHOD
from bench.stack import POLICY, SERVICE, RunningStack, running
from bench.workload import FULL, check_request, list_request

_auth: Any = external_auth_pb2
_proc: Any = external_processor_pb2
_FULL_DUPLEX: Any = processing_mode_pb2.ProcessingMode.FULL_DUPLEX_STREAMED
_PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
_PATHS = ("/mcp", "/other")
ANSWERS, MIB = 30, 1_048_576
_BYTES = 15 * MIB
_PIECE = 1 << 16
LIMIT_MIB = 512
"""What the manifest lets the container have (k8s/base/gateway.yaml)."""
BODIES = {
    "tools of 800 bytes": (
        '{"name":"t%d","description":"' + "x" * 770 + '"}',
        '{"id":1,"result":{"tools":[',
        "]}}",
    ),
    "many members": ('"k%d":1', '{"id":1,"result":{"tools":[],"more":{', "}}}"),
    "numbers": ("%d", '{"id":1,"result":{"structuredContent":[', "]}}"),
}
"""What the answers are made of: an element, and what stands around all of them."""


def policy_text() -> str:
    """Return the bench policy with a second server like the first."""
    head, found, server = POLICY.read_text("utf-8").partition(
        "  bench:\n    resource: https://mcp.example.com/mcp\n"
    )
    return f"{head}{found}{server}  other:\n    resource: https://mcp.example.com/other\n{server}"


def body(name: str, size: int) -> bytes:
    """Return a document of about `size` bytes."""
    element, start, end = BODIES[name]
    count = size // (len(element % 1_000_000) + 1)
    return (start + ",".join(element % number for number in range(count)) + end).encode()


def _pieces(metadata: Any, document: bytes) -> Iterator[Any]:
    head = _proc.ProcessingRequest()
    head.protocol_config.response_body_mode = _FULL_DUPLEX
    head.metadata_context.filter_metadata[NAMESPACE].CopyFrom(metadata)
    for name, value in ((":status", b"200"), ("content-type", b"application/json")):
        head.response_headers.headers.headers.add(key=name, raw_value=value)
    yield head
    for at in range(0, len(document), _PIECE):
        message = _proc.ProcessingRequest()
        message.response_body.body = document[at : at + _PIECE]
        yield message


async def _metadata(stack: RunningStack, channel: grpc.aio.Channel, path: str) -> Any:
    request = _auth.CheckRequest.FromString(
        check_request(list_request(1, stack.mint.token("held", 1, FULL), ""))
    )
    request.attributes.request.http.path = path
    answer = await channel.unary_unary(METHOD)(request.SerializeToString())
    return _auth.CheckResponse.FromString(answer).dynamic_metadata


async def _measured(stack: RunningStack, document: bytes) -> dict[str, int]:
    rss = [stack.memory(SERVICE)["VmRSS"]]
    stack.reset_peak(SERVICE)
    async with grpc.aio.insecure_channel(stack.backends[SERVICE].service) as channel:
        calls = []
        for number in range(ANSWERS):
            metadata = await _metadata(stack, channel, _PATHS[number % len(_PATHS)])
            call = channel.stream_stream(_PROCESS)()
            try:
                for message in _pieces(metadata, document):
                    await call.write(message.SerializeToString())
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                continue  # refused, and the stream ended
            calls.append(call)
        rss.append(stack.memory(SERVICE)["VmRSS"])
        answered = await asyncio.gather(*map(_ended, calls))
    return {
        "before": rss[0] // 1024,
        "held": rss[1] // 1024,
        "peak": stack.memory(SERVICE)["VmHWM"] // 1024,
        "judged": sum(answered),
    }


async def _ended(call: Any) -> bool:
    """End a response; return whether it was judged and passed, and not refused before."""
    last = _proc.ProcessingRequest()
    last.response_body.end_of_stream = True
    try:
        await call.write(last.SerializeToString())
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    kinds = {_proc.ProcessingResponse.FromString(reply).WhichOneof("response") async for reply in call}
    return "immediate_response" not in kinds


def main() -> None:
    """Print the table."""
    print(f"{ANSWERS} answers of {_BYTES // MIB} MiB, one worker, MiB; the manifest allows {LIMIT_MIB}")
    print("| made of | before | all held | most | judged |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "held.yaml"
        policy.write_text(policy_text(), "utf-8")
        for name in sys.argv[1:] or BODIES:
            with running({}, envoy=False, policy=policy, populations=()) as stack:
                found = asyncio.run(_measured(stack, body(name, _BYTES)))
            print(f"| {name} | {found['before']} | {found['held']} | {found['peak']} | {found['judged']} |")


if __name__ == "__main__":
    main()
