"""How a gRPC server ends: what is said, answered, finished and cut, in this order."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.config.settings import Drain
from authz.edge.grpc.health import Health
from authz.edge.shutdown import ShutdownSignal, drain
from tests.support.rpc import serving
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")
LONG = 1000.0
_NOT_SERVING, _SERVING = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING


class Served:
    """A server whose one call lasts until it is told to answer."""

    def __init__(self):
        self.answer, self.entered, self.shutdown = asyncio.Event(), asyncio.Event(), ShutdownSignal()
        self.health = Health()

    async def _call(self, _message, call):
        return await call.run_in_loop(self._answered())

    async def _answered(self):
        self.entered.set()
        await self.answer.wait()
        return b"done"

    async def _stream(self, call):
        """Answer each message, for as long as the other side likes, as a processor does."""
        while (message := await call.read()) is not None:
            await call.write(message)

    @asynccontextmanager
    async def running(self, terms):
        unary, streams = {"/t.S/M": self._call, **self.health.unary}, {"/t.S/Stream": self._stream}
        async with serving(unary=unary, streams=streams) as (server, port):
            self.health.say(serving=True)
            self.drained = asyncio.create_task(self._drain(server, terms))
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                self.call = channel.unary_unary("/t.S/M")
                self.stream = channel.stream_stream("/t.S/Stream")
                self.stub = health_pb2_grpc.HealthStub(channel)
                yield self
            self.shutdown.request()
            self.shutdown.request()
            await asyncio.wait_for(self.drained, DEADLINE)

    async def _drain(self, server, terms):
        await self.shutdown.begun.wait()
        await drain(server, self.health, self.shutdown, terms)

    async def status(self, seconds=DEADLINE):
        answer = await self.stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        return answer.status

    async def under_way(self):
        """Begin a call; gives it once the server has it."""
        self.entered.clear()
        call = self.call(b"")
        await asyncio.wait_for(self.entered.wait(), DEADLINE)
        return call

    async def ended(self):
        await asyncio.wait_for(asyncio.shield(self.drained), DEADLINE)


def run(terms, scenario):
    """Play a scenario on a server that drains on these terms."""

    async def go():
        async with Served().running(terms) as served:
            return await scenario(served)

    return asyncio.run(go())


async def status_becomes(served, wanted):
    async with asyncio.timeout(DEADLINE):
        while await served.status() != wanted:  # noqa: ASYNC110 - it is for the server to change
            await asyncio.sleep(0.01)


async def refused(served):
    """Call until a call does not begin any more; with which code depends on the moment.

    One that arrives in the moment in which grpc.aio stops is neither begun nor refused: it runs into its own deadline.
    """
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await served.status(DEADLINE / 12)
            except grpc.aio.AioRpcError:
                return


def test_in_the_grace_health_says_not_serving_and_calls_are_answered():
    async def scenario(served):
        served.answer.set()
        before = await served.status()
        served.shutdown.request()
        await status_becomes(served, _NOT_SERVING)
        return before, await served.call(b"", timeout=DEADLINE), served.drained.done()

    assert (_SERVING, b"done", False) == run(Drain(grace=LONG, limit=LONG), scenario)


def test_after_the_grace_a_call_under_way_is_finished_and_no_other_begins():
    async def scenario(served):
        call = await served.under_way()
        served.shutdown.request()
        await refused(served)
        served.answer.set()
        answered = await asyncio.wait_for(call, DEADLINE)
        await served.ended()
        return answered

    assert b"done" == run(Drain(grace=0.0, limit=LONG), scenario)


def test_a_call_that_outlasts_the_limit_is_cut():
    async def scenario(served):
        call = await served.under_way()
        served.shutdown.request()
        await served.ended()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

    run(Drain(grace=0.0, limit=0.05), scenario)


def test_a_stream_under_way_goes_on_when_no_call_begins_any_more():
    async def scenario(served):
        stream = served.stream()
        await stream.write(b"one")
        first = await stream.read()
        served.shutdown.request()
        await refused(served)
        await stream.write(b"two")
        return first, await stream.read()

    assert (b"one", b"two") == run(Drain(grace=0.0, limit=LONG), scenario)


def test_a_stream_that_outlasts_the_limit_is_cut():
    async def scenario(served):
        stream = served.stream()
        await stream.write(b"one")
        await stream.read()
        served.shutdown.request()
        await served.ended()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await stream.read()

    run(Drain(grace=0.0, limit=0.05), scenario)


@pytest.mark.parametrize("terms", [Drain(grace=LONG, limit=LONG), Drain(grace=0.0, limit=LONG)])
def test_the_second_word_ends_grace_and_limit(terms):
    async def scenario(served):
        call = await served.under_way()
        served.shutdown.request()
        await asyncio.sleep(0)
        served.shutdown.request()
        await served.ended()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

    run(terms, scenario)


def test_one_that_leaves_others_behind_says_nothing_and_finishes_its_calls():
    async def scenario(served):
        call = await served.under_way()
        served.shutdown.request(quietly=True)
        said = served.health.serving
        served.answer.set()
        answered = await asyncio.wait_for(call, DEADLINE)
        await served.ended()
        return said, answered

    assert (True, b"done") == run(Drain(grace=LONG, limit=LONG), scenario)
