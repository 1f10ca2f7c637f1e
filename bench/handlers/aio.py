"""The reference: a Check handler that parses the Check and always answers OK, on `grpc.aio` as its users have it.

Its cost is what gRPC in Python costs by its public interface; it uses nothing of the service.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop
from envoy.service.auth.v3 import external_auth_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

_pb: Any = external_auth_pb2


async def _check(_request: Any, _context: Any) -> Any:
    response = _pb.CheckResponse()
    response.status.code = 0
    return response


async def serve(address: str) -> None:
    """Serve at `unix:/path` or `host:port` until SIGTERM."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    method = grpc.unary_unary_rpc_method_handler(
        _check,
        request_deserializer=_pb.CheckRequest.FromString,
        response_serializer=_pb.CheckResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method})
    server.add_generic_rpc_handlers((service,))
    readiness = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(readiness, server)
    await readiness.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
