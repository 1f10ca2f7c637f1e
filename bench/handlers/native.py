"""A handler that parses the Check and always answers OK, on the service's native gRPC server.

What the service costs on top of it is the cost of deciding; what `bare` costs on top of it is the cost of an event loop.
"""
# ruff: noqa: E402 - see the first call

import asyncio
import signal
import sys
from typing import Any

from authz.edge.grpc.preload import poll_own_sockets

poll_own_sockets()  # as `serve` does, before gRPC is loaded

from envoy.service.auth.v3 import external_auth_pb2

from authz.edge.envoy.ext_authz import SERVICE
from authz.edge.grpc.health import Health
from authz.edge.grpc.native import NativeServer
from authz.edge.grpc.transport import Call, Services

_pb: Any = external_auth_pb2


async def _check(message: bytes, _call: Call) -> bytes:
    _pb.CheckRequest.FromString(message)
    response = _pb.CheckResponse()
    response.status.code = 0
    answer: bytes = response.SerializeToString()
    return answer


async def serve(address: str) -> None:
    """Serve at `unix:/path` or `host:port` until SIGTERM."""
    health = Health()
    services = Services(unary={f"/{SERVICE}/Check": _check, **health.unary}, streams=health.streams)
    server = NativeServer(services)
    server.bind(address)
    await server.start()
    health.say(serving=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
