"""A handler that reads nothing and always answers OK, on the service's own gRPC server.

What the service costs on top of it is what deciding costs; what `aio` costs on top of it is the event loop's share.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from authz.cli.serve import POLLING

os.environ.setdefault(*POLLING)  # as `serve` does, before gRPC is loaded

from envoy.service.auth.v3 import external_auth_pb2

from authz.edge.envoy.ext_authz import SERVICE
from authz.edge.grpc.health import Health
from authz.edge.grpc.native import RpcServer
from authz.edge.grpc.rpc import Rpc

_pb: Any = external_auth_pb2


async def _check(message: bytes, _rpc: Rpc) -> bytes:
    _pb.CheckRequest.FromString(message)
    response = _pb.CheckResponse()
    response.status.code = 0
    answer: bytes = response.SerializeToString()
    return answer


async def serve(address: str) -> None:
    """Serve at `unix:/path` or `host:port` until SIGTERM."""
    health = Health()
    server = RpcServer(unary={f"/{SERVICE}/Check": _check, **health.unary}, streams=health.streams)
    server.bind(address)
    server.start()
    health.say(serving=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
