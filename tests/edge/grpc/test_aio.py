"""What is particular to the server on grpc.aio."""

import asyncio

import structlog

from authz.edge.grpc.aio import AioServer
from authz.edge.grpc.transport import Services
from tests.support.wire import DEADLINE

SECRET = "a-value-of-a-client"
NOTHING = Services(unary={}, streams={})


def played(scenario):
    """Play a scenario with a server that serves nothing; returns whether it has ended, and the log."""

    async def run():
        server = AioServer(NOTHING)
        await scenario(server)
        await server.ended.wait()

    with structlog.testing.capture_logs() as logs:
        asyncio.run(asyncio.wait_for(run(), DEADLINE))
    return logs


def test_one_whose_grpc_fails_says_that_it_has_ended_and_tells_no_value(monkeypatch):
    async def scenario(server):
        async def fail():
            raise RuntimeError(SECRET)

        monkeypatch.setattr(server._server, "wait_for_termination", fail)
        await server.start()
        await server.ended.wait()
        await server.stop(0)

    logs = played(scenario)
    assert [{"event": "gRPC failed", "error": "RuntimeError", "log_level": "critical"}] == logs


def test_one_that_was_never_started_stops_at_once():
    assert [] == played(lambda server: server.stop(DEADLINE))
