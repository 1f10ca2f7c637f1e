"""The gRPC server and its calls, through grpcio's own client."""

import asyncio
import gc
import random
import threading
from contextlib import asynccontextmanager
from inspect import CORO_CLOSED, getcoroutinestate
from types import SimpleNamespace

import grpc
import pytest
import structlog
from grpc._cython import cygrpc

from authz.edge.grpc.native import RpcServer
from authz.edge.grpc.rpc import NUDGED, Gone, Refuse, Rpc
from tests.support.rpc import serving
from tests.support.waiting import DEADLINE

U, S = "/t.S/Unary", "/t.S/Stream"
SECRET = "a-value-of-a-client"


async def echo(message, _rpc):
    return message


async def echo_all(rpc):
    while (message := await rpc.read()) is not None:
        await rpc.write(message)


class Client:
    """What a client calls, and the server."""

    def __init__(self, server, channel):
        self.server = server
        self.unary, self.stream = channel.unary_unary(U), channel.stream_stream(S)
        self.several, self.other = channel.stream_unary(U), channel.unary_unary("/t.S/Other")


@asynccontextmanager
async def client(unary=echo, stream=echo_all):
    async with (
        serving(unary={U: unary}, streams={S: stream}) as (server, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Client(server, channel)


def play(scenario, **handlers):
    """Play a scenario with a client of these handlers."""

    async def run():
        async with client(**handlers) as connected:
            return await scenario(connected)

    return asyncio.run(asyncio.wait_for(run(), DEADLINE))


async def code_of(call):
    """With which status a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def gone(call):
    """Cancel a call."""
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read() if hasattr(call, "read") else await call


def test_many_calls_at_once_are_each_answered_with_their_own_answer():
    async def scenario(c):
        return await asyncio.gather(*(c.unary(str(number).encode()) for number in range(500)))

    assert [str(number).encode() for number in range(500)] == play(scenario)


def test_a_method_that_is_not_served_is_unimplemented():
    assert grpc.StatusCode.UNIMPLEMENTED == play(lambda c: code_of(c.other(b"")))


def test_a_handler_that_fails_ends_its_call_and_no_other_and_tells_no_value():
    async def fails(message, _rpc):
        if message != b"good":
            raise ValueError(message)
        return message

    async def scenario(c):
        return await code_of(c.unary(SECRET.encode())), await c.unary(b"good")

    with structlog.testing.capture_logs() as logs:
        assert (grpc.StatusCode.INTERNAL, b"good") == play(scenario, unary=fails)
    assert [{"event": "call failed", "error": "ValueError", "log_level": "error"}] == logs


@pytest.mark.parametrize("when", ["before anything", "after a message"])
def test_a_stream_whose_handler_fails_ends_with_an_error(when):
    async def fails(rpc):
        if when == "after a message":
            await rpc.write(b"one")
        raise RuntimeError(SECRET)

    async def scenario(c):
        call = c.stream()
        if when == "after a message":
            assert await call.read() == b"one"
        return await call.code()

    assert grpc.StatusCode.INTERNAL == play(scenario, stream=fails)


def test_a_handler_may_refuse():
    async def refuses(_message, _rpc):
        raise Refuse(grpc.StatusCode.NOT_FOUND)

    assert grpc.StatusCode.NOT_FOUND == play(lambda c: code_of(c.unary(b"")), unary=refuses)


def test_a_call_without_its_message_is_refused():
    assert grpc.StatusCode.INTERNAL == play(lambda c: code_of(c.several(iter([]))))


def test_a_message_beyond_the_limit_is_refused_and_the_next_one_is_answered():
    async def run():
        server = RpcServer(unary={U: echo}, streams={}, options=[("grpc.max_receive_message_length", 100)])
        port = server.bind("127.0.0.1:0")
        server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(U)
            seen = await code_of(call(b"x" * 101)), await call(b"x" * 100)
        await server.stop(0)
        return seen

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, b"x" * 100) == asyncio.run(asyncio.wait_for(run(), DEADLINE))


def test_a_stream_carries_messages_of_any_size_in_order():
    messages = [b"x" * size for size in (0, 1, 5, 70_000, 1_000_000, 3)]

    async def scenario(c):
        return [message async for message in c.stream(iter(messages))]

    assert messages == play(scenario)


def test_after_the_last_message_only_nudges_are_read():
    async def handler(rpc):
        seen = [await rpc.read(), await rpc.read()]
        rpc.nudge_after(0.01)
        seen += [await rpc.read()]
        rpc.nudge_after(0.01)
        seen += [await rpc.read()]
        await rpc.write(repr(seen).encode())

    async def scenario(c):
        return [message async for message in c.stream(iter([b"one"]))]

    assert [repr([b"one", None, NUDGED, NUDGED]).encode()] == play(scenario, stream=handler)


def test_a_nudge_comes_before_the_message_that_is_waited_for_and_loses_none():
    async def handler(rpc):
        rpc.nudge_after(0.0)
        seen = [await rpc.read()]
        await rpc.write(b"nudged")
        seen += [await rpc.read(), await rpc.read()]
        await rpc.write(repr(seen).encode())

    async def scenario(c):
        call = c.stream()
        first = await call.read()
        await call.write(b"one")
        await call.done_writing()
        return first, await call.read()

    assert (b"nudged", repr([NUDGED, b"one", None]).encode()) == play(scenario, stream=handler)


def test_a_message_that_comes_while_nobody_reads_is_kept():
    """The handler asked for it, was nudged instead, and waits elsewhere while it comes."""
    came = threading.Event()

    async def handler(rpc):
        rpc.nudge_after(0.0)
        seen = [await rpc.read()]
        await rpc.write(b"asked")
        await rpc.elsewhere(asyncio.to_thread(came.wait, DEADLINE))
        await rpc.elsewhere(asyncio.sleep(0.05))  # gRPC has it by now, or has it soon: either is right
        seen += [await rpc.read()]
        await rpc.write(repr(seen).encode())

    async def scenario(c):
        call = c.stream()
        await call.read()
        await call.write(b"one")
        came.set()
        return await call.read()

    assert repr([NUDGED, b"one"]).encode() == play(scenario, stream=handler)


def test_any_thread_may_nudge():
    rpcs = []

    async def handler(rpc):
        rpcs.append(rpc)
        await rpc.write(b"here")
        await rpc.write(repr(await rpc.read()).encode())

    async def scenario(c):
        call = c.stream()
        await call.read()
        await asyncio.to_thread(rpcs[0].nudge)
        return await call.read()

    assert repr(NUDGED).encode() == play(scenario, stream=handler)


async def _asks(rpc, work):
    try:
        return repr(await rpc.elsewhere(work)).encode()
    except ValueError as error:
        return repr(error).encode()


@pytest.mark.parametrize("raises", [False, True])
def test_what_is_done_elsewhere_runs_on_the_event_loop_and_comes_back(raises):
    threads = []

    async def work():
        await asyncio.sleep(0)
        threads.append(threading.current_thread())
        if raises:
            raise ValueError(7)
        return 7

    async def handler(_message, rpc):
        threads.append(threading.current_thread())
        answer = await _asks(rpc, work())
        threads.append(threading.current_thread())
        return answer

    answer = play(lambda c: c.unary(b""), unary=handler)
    before, during, after = threads
    assert (repr(ValueError(7) if raises else 7).encode(), threading.main_thread()) == (answer, during)
    assert before is after is not during


class Left:
    """A handler that notes how it is left."""

    def __init__(self, wait):
        self.wait, self.entered, self.how = wait, threading.Event(), []
        self.left = threading.Event()

    async def _handle(self, rpc):
        self.entered.set()
        try:
            await self.wait(rpc)
        except Gone:
            self.how.append("gone")
            raise
        finally:
            self.left.set()

    async def stream(self, rpc):
        await self._handle(rpc)

    async def unary(self, _message, rpc):
        await self._handle(rpc)
        return b""


async def write_for_ever(rpc):
    while True:
        await rpc.write(b"x" * 1_000_000)


WAITS = {
    "read": lambda rpc: rpc.read(),
    "write": write_for_ever,
    "elsewhere": lambda rpc: rpc.elsewhere(asyncio.sleep(10 * DEADLINE)),
}


@pytest.mark.parametrize(
    ("where", "kind", "how"),
    [
        ("write", "stream", [["gone"]]),
        ("elsewhere", "stream", [["gone"]]),
        ("elsewhere", "unary", [["gone"]]),
        ("read", "stream", [["gone"], []]),  # or that no message comes any more: gRPC may say that first
    ],
)
def test_a_handler_whose_client_has_gone_is_told_where_it_waits(where, kind, how):
    handler = Left(WAITS[where])

    async def scenario(c):
        call = c.stream() if kind == "stream" else c.unary(b"")
        await asyncio.to_thread(handler.entered.wait, DEADLINE)
        await gone(call)
        return await asyncio.to_thread(handler.left.wait, DEADLINE), await c.server.stop(0)

    assert (True, None) == play(scenario, **{kind: getattr(handler, kind)})
    assert handler.how in how


def test_what_is_done_elsewhere_is_called_off_when_the_client_has_gone():
    cancelled, entered = asyncio.Event(), asyncio.Event()

    async def work():
        entered.set()
        try:
            await asyncio.sleep(10 * DEADLINE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def handler(_message, rpc):
        await rpc.elsewhere(work())
        return b""

    async def scenario(c):
        call = c.unary(b"")
        await entered.wait()
        await gone(call)
        return await cancelled.wait()

    assert play(scenario, unary=handler)


def test_a_handler_that_waits_again_when_told_that_its_client_has_gone_is_closed():
    handlers, begun = [], threading.Event()

    async def stubborn(rpc):
        try:
            await rpc.read()
        except Gone:
            await rpc.read()

    async def stream(rpc):
        handlers.append(stubborn(rpc))
        begun.set()
        await handlers[0]

    async def scenario(c):
        call = c.stream()
        await asyncio.to_thread(begun.wait, DEADLINE)
        await gone(call)
        await c.server.stop(0)
        return getcoroutinestate(handlers[0])

    assert CORO_CLOSED == play(scenario, stream=stream)


def calls_of(server):
    """The calls of a server that anything still holds."""
    return [kept for kept in gc.get_objects() if isinstance(kept, Rpc) and kept._home is server]


def test_a_call_that_has_ended_leaves_nothing_behind():
    async def slow_timer(rpc):
        rpc.nudge_after(1000.0)
        await echo_all(rpc)

    async def scenario(c):
        for _ in range(300):
            await c.unary(b"")
            assert [message async for message in c.stream(iter([b"one"]))] == [b"one"]
        cut = c.stream()
        await cut.write(b"one")
        await cut.read()
        await gone(cut)
        await c.unary(b"")
        while calls_of(c.server):  # noqa: ASYNC110 - another thread lets go
            await asyncio.sleep(0.01)
        return len(c.server.timers)

    assert 150 > play(scenario, stream=slow_timer)


def test_whatever_clients_do_and_leave_undone_the_server_goes_on_and_ends():
    async def work(message, rpc):
        await rpc.elsewhere(asyncio.sleep(float(message)))
        return message

    async def one(c, dice):
        call = c.stream() if dice.random() < 0.5 else c.unary(str(dice.random() * 0.02).encode())
        if dice.random() < 0.7:
            await asyncio.sleep(dice.random() * 0.02)
            call.cancel()
            return
        if hasattr(call, "write"):
            for _ in range(dice.randrange(5)):
                await call.write(b"x" * dice.randrange(100_000))
                await call.read()
            await call.done_writing()
            assert await call.code() == grpc.StatusCode.OK
        else:
            await call

    async def scenario(c):
        dice = random.Random(7)
        await asyncio.gather(*(one(c, dice) for _ in range(400)))
        answer = await c.unary(b"0")
        await c.server.stop(0)
        return answer, c.server.ended.is_set()

    assert (b"0", True) == play(scenario, unary=work)


def test_a_nudge_after_the_end_does_nothing():
    rpcs = []

    async def handler(rpc):
        rpcs.append(rpc)

    async def scenario(c):
        assert await c.stream().code() == grpc.StatusCode.OK
        rpcs[0].nudge()
        before = await c.unary(b"still here")
        await c.server.stop(0)
        rpcs[0].nudge()
        return before

    assert b"still here" == play(scenario, stream=handler)


def test_one_that_was_never_called_stops_at_once_and_may_be_told_twice():
    async def scenario(c):
        await c.server.stop(DEADLINE)
        await c.server.stop(0)
        return c.server.ended.is_set()

    assert play(scenario)


def test_one_whose_core_fails_says_that_it_has_ended():
    class Broken:
        def wait(self):
            raise RuntimeError(SECRET)

    async def run():
        server = RpcServer(unary={}, streams={})
        server.timers = Broken()
        server.bind("127.0.0.1:0")
        with structlog.testing.capture_logs() as logs:
            server.start()
            await server.ended.wait()
        await server.stop(0)
        return logs

    logs = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert [{"event": "gRPC failed", "error": "RuntimeError", "log_level": "critical"}] == logs


def test_an_address_in_use_is_told():
    alone = [("grpc.so_reuseport", 0)]

    async def run():
        first, second = (RpcServer(unary={}, streams={}, options=alone) for _ in range(2))
        return second.bind(f"127.0.0.1:{first.bind('127.0.0.1:0')}")

    assert 0 == asyncio.run(run())


NAMES = {
    "CompletionQueue": ("poll", "shutdown"),
    "Server": (
        "add_http2_port",
        "cancel_all_calls",
        "destroy",
        "register_completion_queue",
        "request_call",
        "shutdown",
        "start",
    ),
    "ReceiveMessageOperation": ("message",),
    "ReceiveCloseOnServerOperation": ("cancelled",),
    "SendInitialMetadataOperation": (),
    "SendMessageOperation": (),
    "SendStatusFromServerOperation": (),
    "CompletionType": ("queue_shutdown",),
}


@pytest.mark.parametrize("name", NAMES)
def test_grpcio_has_what_the_server_stands_on(name):
    """These are not public: a version of grpcio that renames one fails here first, and says which."""
    found = getattr(cygrpc, name)
    assert [] == [member for member in NAMES[name] if not hasattr(found, member)]


def test_a_call_is_over_only_when_its_handler_has_left_it():
    """Else a last step of the handler could reach a queue that was closed meanwhile. gRPC's call is a stand-in here."""
    order, told = [], []

    class Call:
        def start_server_batch(self, operations, tell):
            told.append(tell)

    async def handler(rpc):
        try:
            await rpc.read()
        finally:
            order.append("left")

    home = SimpleNamespace(over=lambda: order.append("over"))
    Rpc(home, Call()).serve_stream(handler)
    closed = told[0]
    closed(SimpleNamespace(batch_operations=[SimpleNamespace(cancelled=lambda: True)]))

    assert ["left", "over"] == order
