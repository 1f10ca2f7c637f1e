"""What the native server does that no other has: names that are not public, a loop of its own, a thread of its own."""

import asyncio
import time
from types import SimpleNamespace

import grpc
import pytest
import structlog

from authz.edge.grpc import native as native_module
from authz.edge.grpc.native import NAMES, NativeServer, missing
from authz.edge.grpc.native_call import NativeCall
from authz.edge.grpc.timers import Timers
from authz.edge.grpc.transport import Services
from tests.support.rpc import serving, using
from tests.support.waiting import DEADLINE

M = "/t.S/M"
SECRET = "a-value-of-a-client"


@pytest.fixture(autouse=True, scope="module")
def native():
    with using("native"):
        yield


def played(scenario, **handlers):
    """Play a scenario with a server of one method and a channel to it; returns what it does, and the log."""

    async def run():
        async with (
            serving(**{kind: {M: handler} for kind, handler in handlers.items()}) as (server, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            return await scenario(channel, server)

    with structlog.testing.capture_logs() as logs:
        return asyncio.run(asyncio.wait_for(run(), DEADLINE)), logs


def test_this_grpcio_has_what_the_server_stands_on():
    assert [] == missing()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_missing_is_told_with_its_members(name):
    core = SimpleNamespace(
        **{
            other: SimpleNamespace(**dict.fromkeys(members))
            for other, members in NAMES.items()
            if other != name
        }
    )

    assert [name, *(f"{name}.{member}" for member in NAMES[name])] == missing(core)


def test_between_two_slices_of_long_work_it_looks_for_events_and_never_waits_for_one(monkeypatch):
    """Expected: each look's deadline is past by more than the millisecond to which gRPC's core rounds it up."""
    over = []

    class Queue(native_module.cygrpc.CompletionQueue):
        def poll(self, deadline=None):
            over.append(0.0 if deadline is None else time.time() - deadline)
            return super().poll(deadline)

    async def works(call):
        await call.read()
        before = len(over)
        for _ in range(20):
            await call.pause()
        return str(min(over[before:]) > 0.001 and len(over) - before >= 20).encode()

    async def scenario(channel, _server):
        call = channel.stream_stream(M)()
        await call.write(b"go")
        return await call.read()

    monkeypatch.setattr(native_module.cygrpc, "CompletionQueue", Queue)

    assert (b"True", []) == played(scenario, streams=works)


async def sleeps():
    await asyncio.sleep(0)


async def awaits_a_future():
    await LOOPS[0].create_future()  # one that is done before it is awaited would not be waited for


LOOPS = []
FOREIGN = {"a sleep of nothing": sleeps, "a future of the event loop": awaits_a_future}


@pytest.mark.parametrize("kind", ["unary", "streams"])
@pytest.mark.parametrize("awaited", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_handler_that_awaits_what_is_not_its_calls_fails_at_once_and_is_released(kind, awaited):
    left = []

    async def unary(_message, _call):
        try:
            await awaited()
        finally:
            left.append("left")
        return b""

    async def stream(call):
        await unary(await call.read(), call)

    async def scenario(channel, server):
        LOOPS[:] = [asyncio.get_running_loop()]
        call = channel.unary_unary(M)(b"") if kind == "unary" else channel.stream_stream(M)(iter([b""]))
        code = await call.code()
        await server.stop(DEADLINE)
        return code, server.ended.is_set()

    ended, logs = played(scenario, **{kind: unary if kind == "unary" else stream})
    assert ((grpc.StatusCode.INTERNAL, True), ["left"]) == (ended, left)
    assert [{"event": "call failed", "error": "ForeignAwait", "log_level": "error"}] == logs


def test_a_handler_that_does_not_let_go_when_it_awaited_wrongly_fails_too():
    async def stubborn(_message, call):
        try:
            await asyncio.sleep(0)
        finally:
            await call.read()
        return b""

    async def scenario(channel, _server):
        return await channel.unary_unary(M)(b"").code()

    code, logs = played(scenario, unary=stubborn)
    assert (grpc.StatusCode.INTERNAL, ["RuntimeError"]) == (code, [entry["error"] for entry in logs])


def test_one_whose_core_fails_says_that_it_has_ended():
    class Broken:
        def wait(self):
            raise RuntimeError(SECRET)

    async def run():
        server = NativeServer(Services(unary={}, streams={}))
        server.timers = Broken()
        server.bind("127.0.0.1:0")
        with structlog.testing.capture_logs() as logs:
            await server.start()
            await server.ended.wait()
        await server.stop(0)
        return logs

    logs = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert [{"event": "gRPC failed", "error": "RuntimeError", "log_level": "critical"}] == logs


def test_a_call_is_done_only_when_its_handler_has_left_it():
    """Else a last step of the handler could reach a queue that was closed meanwhile. gRPC's call is a stand-in here."""
    order, told = [], []

    class Call:
        def start_server_batch(self, operations, tell):
            told.append(tell)

    async def handler(call):
        try:
            await call.pause()
        finally:
            order.append("left")

    host = SimpleNamespace(
        operations=SimpleNamespace(receive_close=lambda _: None),
        timers=Timers(),
        turns=SimpleNamespace(wait=lambda _resume: None),
        on_call_done=lambda _: order.append("done"),
    )
    NativeCall(host, Call(), None).serve_stream(handler)
    closed = told[0]
    closed(SimpleNamespace(batch_operations=[SimpleNamespace(cancelled=lambda: True)]))

    assert ["left", "done"] == order
