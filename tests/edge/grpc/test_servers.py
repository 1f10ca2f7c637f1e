"""What both gRPC servers promise in `transport`, through grpcio's own client."""

import asyncio
import gc
import random
import threading
from contextlib import asynccontextmanager, suppress
from inspect import CORO_CLOSED, getcoroutinestate

import grpc
import pytest
import structlog

from authz.edge.grpc.aio import AioCall
from authz.edge.grpc.native_call import NativeCall
from authz.edge.grpc.transport import WOKEN, CallCancelled, RpcAbort, Services
from tests.support.rpc import server_of, serving
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")
U, S = "/t.S/Unary", "/t.S/Stream"
SECRET = "a-value-of-a-client"


async def echo(message, _call):
    return message


async def echo_all(call):
    while (message := await call.read()) is not None:
        await call.write(message)


class Client:
    """What a client calls, and the server."""

    def __init__(self, server, channel):
        self.server = server
        self.unary, self.stream = channel.unary_unary(U), channel.stream_stream(S)
        self.several, self.other = channel.stream_unary(U), channel.unary_unary("/t.S/Other")


@asynccontextmanager
async def client(unary=echo, stream=echo_all, **services):
    async with (
        serving(unary={U: unary}, streams={S: stream}, **services) as (server, port),
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


def test_a_handler_that_fails_ends_its_call_and_no_other_and_tells_no_value(caplog):
    async def fails(message, _call):
        if message != b"good":
            raise ValueError(message)
        return message

    async def scenario(c):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await c.unary(SECRET.encode())
        return caught.value.code(), caught.value.details(), await c.unary(b"good")

    with structlog.testing.capture_logs() as logs:
        assert (grpc.StatusCode.INTERNAL, "", b"good") == play(scenario, unary=fails)
    assert SECRET not in caplog.text  # grpcio's own log
    assert [{"event": "call failed", "error": "ValueError", "log_level": "error"}] == logs


@pytest.mark.parametrize("when", ["before anything", "after a message"])
def test_a_stream_whose_handler_fails_ends_with_an_error(when):
    async def fails(call):
        if when == "after a message":
            await call.write(b"one")
        raise RuntimeError(SECRET)

    async def scenario(c):
        call = c.stream()
        if when == "after a message":
            assert await call.read() == b"one"
        return await call.code()

    assert grpc.StatusCode.INTERNAL == play(scenario, stream=fails)


@pytest.mark.parametrize(
    ("name", "expected"), [("traceparent", b"here"), ("tracestate", b"None"), ("", b"None")]
)
def test_a_handler_reads_the_metadata_that_it_asked_for_and_no_other(name, expected):
    async def said(_message, call):
        return str(call.metadata).encode()

    async def said_last(call):
        return str(call.metadata).encode()

    async def scenario(c):
        sent = (("x-request-id", "7"), ("traceparent", "here"))
        return await c.unary(b"", metadata=sent), [each async for each in c.stream(metadata=sent)]

    assert (expected, [expected]) == play(scenario, unary=said, stream=said_last, metadata=name)


def test_what_the_handler_of_a_stream_returns_is_its_last_message():
    async def says(call):
        await call.write(b"one" * 100_000)
        return b"last"

    async def scenario(c):
        return [message async for message in c.stream()]

    assert [b"one" * 100_000, b"last"] == play(scenario, stream=says)


def test_a_handler_may_end_its_call_with_a_status():
    async def aborts(_message, _call):
        raise RpcAbort(grpc.StatusCode.NOT_FOUND)

    assert grpc.StatusCode.NOT_FOUND == play(lambda c: code_of(c.unary(b"")), unary=aborts)


def test_a_call_without_its_message_is_refused():
    assert grpc.StatusCode.INTERNAL == play(lambda c: code_of(c.several(iter([]))))


def test_a_message_beyond_the_limit_is_refused_and_the_next_one_is_answered():
    async def run():
        options = [("grpc.max_receive_message_length", 100)]
        async with (
            serving(unary={U: echo}, options=options) as (_, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            call = channel.unary_unary(U)
            return await code_of(call(b"x" * 101)), await call(b"x" * 100)

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, b"x" * 100) == asyncio.run(asyncio.wait_for(run(), DEADLINE))


def test_a_stream_carries_messages_of_any_size_in_order():
    messages = [b"x" * size for size in (0, 1, 5, 70_000, 1_000_000, 3)]

    async def scenario(c):
        return [message async for message in c.stream(iter(messages))]

    assert messages == play(scenario)


def test_after_the_last_message_only_wake_ups_are_read():
    async def handler(call):
        seen = [await call.read(), await call.read()]
        call.wake_after(0.01)
        seen += [await call.read()]
        call.wake_after(0.01)
        seen += [await call.read()]
        await call.write(repr(seen).encode())

    async def scenario(c):
        return [message async for message in c.stream(iter([b"one"]))]

    assert [repr([b"one", None, WOKEN, WOKEN]).encode()] == play(scenario, stream=handler)


def test_a_wake_up_comes_before_the_message_that_is_waited_for_and_loses_none():
    async def handler(call):
        call.wake_after(0.0)
        seen = [await call.read()]
        await call.write(b"woken")
        seen += [await call.read(), await call.read()]
        await call.write(repr(seen).encode())

    async def scenario(c):
        call = c.stream()
        first = await call.read()
        await call.write(b"one")
        await call.done_writing()
        return first, await call.read()

    assert (b"woken", repr([WOKEN, b"one", None]).encode()) == play(scenario, stream=handler)


def test_a_message_that_comes_while_nobody_reads_is_kept():
    """The handler asked for it, was woken instead, and waits for the loop while it comes."""
    came = threading.Event()

    async def handler(call):
        call.wake_after(0.0)
        seen = [await call.read()]
        await call.write(b"asked")
        await call.run_in_loop(asyncio.to_thread(came.wait, DEADLINE))
        await call.run_in_loop(asyncio.sleep(0.05))  # gRPC has it by now, or has it soon: either is right
        seen += [await call.read()]
        await call.write(repr(seen).encode())

    async def scenario(c):
        call = c.stream()
        await call.read()
        await call.write(b"one")
        came.set()
        return await call.read()

    assert repr([WOKEN, b"one"]).encode() == play(scenario, stream=handler)


def test_any_thread_may_wake_a_handler():
    calls = []

    async def handler(call):
        calls.append(call)
        await call.write(b"here")
        await call.write(repr(await call.read()).encode())

    async def scenario(c):
        call = c.stream()
        await call.read()
        await asyncio.to_thread(calls[0].wake)
        return await call.read()

    assert repr(WOKEN).encode() == play(scenario, stream=handler)


async def _asks(call, work):
    try:
        return repr(await call.run_in_loop(work)).encode()
    except ValueError as error:
        return repr(error).encode()


@pytest.mark.parametrize("raises", [False, True])
def test_what_is_run_in_the_loop_runs_there_and_its_result_comes_back(grpc_server, raises):
    threads = []

    async def work():
        await asyncio.sleep(0)
        threads.append(threading.current_thread())
        if raises:
            raise ValueError(7)
        return 7

    async def handler(_message, call):
        threads.append(threading.current_thread())
        answer = await _asks(call, work())
        threads.append(threading.current_thread())
        return answer

    answer = play(lambda c: c.unary(b""), unary=handler)
    before, during, after = threads
    assert (repr(ValueError(7) if raises else 7).encode(), threading.main_thread()) == (answer, during)
    assert before is after
    assert (grpc_server == "native") == (before is not during)


class Left:
    """A handler that notes how it is left."""

    def __init__(self, wait):
        self.wait, self.entered, self.how = wait, threading.Event(), []
        self.left = threading.Event()

    async def _handle(self, call):
        self.entered.set()
        try:
            await self.wait(call)
        except CallCancelled:
            self.how.append("gone")
            raise
        finally:
            self.left.set()

    async def stream(self, call):
        await self._handle(call)

    async def unary(self, _message, call):
        await self._handle(call)
        return b""


async def write_for_ever(call):
    while True:
        await call.write(b"x" * 1_000_000)


WAITS = {
    "read": lambda call: call.read(),
    "write": write_for_ever,
    "loop": lambda call: call.run_in_loop(asyncio.sleep(10 * DEADLINE)),
}


@pytest.mark.parametrize(
    ("where", "kind", "how"),
    [
        ("write", "stream", [["gone"]]),
        ("loop", "stream", [["gone"]]),
        ("loop", "unary", [["gone"]]),
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


def test_what_is_run_in_the_loop_is_cancelled_when_the_client_has_gone():
    cancelled, entered = asyncio.Event(), asyncio.Event()

    async def work():
        entered.set()
        try:
            await asyncio.sleep(10 * DEADLINE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def handler(_message, call):
        await call.run_in_loop(work())
        return b""

    async def scenario(c):
        call = c.unary(b"")
        await entered.wait()
        await gone(call)
        return await cancelled.wait()

    assert play(scenario, unary=handler)


def test_work_in_the_loop_that_somebody_else_cancels_fails_the_call_as_any_error_does():
    async def cancelled():
        raise asyncio.CancelledError

    async def handler(_message, call):
        await call.run_in_loop(cancelled())
        return b""

    with structlog.testing.capture_logs() as logs:
        assert grpc.StatusCode.INTERNAL == play(lambda c: code_of(c.unary(b"")), unary=handler)
    assert [{"event": "call failed", "error": "CancelledError", "log_level": "error"}] == logs


def test_a_handler_that_waits_again_when_told_that_its_client_has_gone_is_closed():
    handlers, begun = [], threading.Event()

    async def stubborn(call):
        try:
            await call.read()
        except CallCancelled:
            await call.read()

    async def stream(call):
        handlers.append(stubborn(call))
        begun.set()
        await handlers[0]

    async def scenario(c):
        call = c.stream()
        await asyncio.to_thread(begun.wait, DEADLINE)
        await gone(call)
        await c.server.stop(0)
        return getcoroutinestate(handlers[0])

    assert CORO_CLOSED == play(scenario, stream=stream)


def calls_kept():
    """The calls that anything still holds, a timer for example."""
    return [kept for kept in gc.get_objects() if isinstance(kept, NativeCall | AioCall)]


def test_a_call_that_has_ended_leaves_nothing_behind():
    async def slow_timer(call):
        call.wake_after(1000.0)
        await echo_all(call)

    async def scenario(c):
        for _ in range(300):
            await c.unary(b"")
            assert [message async for message in c.stream(iter([b"one"]))] == [b"one"]
        cut = c.stream()
        await cut.write(b"one")
        await cut.read()
        await gone(cut)
        await c.unary(b"")
        while [call for call in calls_kept() if call not in before]:  # noqa: ASYNC110 - another thread lets go
            await asyncio.sleep(0.01)

    before = calls_kept()
    play(scenario, stream=slow_timer)  # which ends only when nothing is kept


def test_whatever_clients_do_and_leave_undone_the_server_goes_on_and_ends():
    async def work(message, call):
        await call.run_in_loop(asyncio.sleep(float(message)))
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


def test_a_wake_up_after_the_end_does_nothing():
    calls = []

    async def handler(call):
        calls.append(call)

    async def scenario(c):
        assert await c.stream().code() == grpc.StatusCode.OK
        calls[0].wake()
        before = await c.unary(b"still here")
        await c.server.stop(0)
        calls[0].wake()
        return before

    assert b"still here" == play(scenario, stream=handler)


def test_one_that_was_never_called_stops_at_once_and_may_be_told_twice():
    async def scenario(c):
        await c.server.stop(DEADLINE)
        await c.server.stop(0)
        return c.server.ended.is_set()

    assert play(scenario)


def test_an_address_in_use_is_told():
    alone = [("grpc.so_reuseport", 0)]

    async def run():
        first, second = (server_of(Services(unary={}, streams={}), alone) for _ in range(2))
        return second.bind(f"127.0.0.1:{first.bind('127.0.0.1:0')}")

    assert 0 == asyncio.run(run())


class Held:
    """Handlers whose calls last until they are let go, and the names of the calls that were refused."""

    def __init__(self):
        self.entered, self.let_go, self.refused = asyncio.Queue(), asyncio.Event(), []

    async def _wait(self):
        await self.entered.put(None)
        await self.let_go.wait()

    async def unary(self, message, call):
        if message == b"wait":
            await call.run_in_loop(self._wait())
        return message

    async def stream(self, call):
        await call.run_in_loop(self._wait())

    @asynccontextmanager
    async def served(self, limit):
        terms = {"limit": limit, "refused": self.refused.append}
        async with (
            serving(unary={U: self.unary}, streams={S: self.stream}, **terms) as (server, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Client(server, channel)

    async def begin(self, call, times):
        """Begin calls; returns them once the server has them."""
        calls = [call() for _ in range(times)]
        for _ in calls:
            await self.entered.get()
        return calls


def held(limit, scenario):
    """Play a scenario with calls that last, where `limit` may be under way; returns what it does, and who was refused."""

    async def run():
        handlers = Held()
        async with handlers.served(limit) as client:
            return await scenario(handlers, client), handlers.refused

    return asyncio.run(asyncio.wait_for(run(), DEADLINE))


@pytest.mark.requirement("security.overload-denies")
def test_calls_beyond_the_limit_are_refused_at_once_and_counted_until_others_have_ended():
    async def scenario(handlers, c):
        calls = await handlers.begin(lambda: c.unary(b"wait"), 3)
        refused = [await code_of(c.unary(b"one more")) for _ in range(2)]
        handlers.let_go.set()
        answers = await asyncio.gather(*calls)
        return refused, answers, await answered(c)

    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    result, refused = held(3, scenario)
    assert ([exhausted] * 2, [b"wait"] * 3, b"next") == result
    assert [U, U] == refused[:2]


def test_streams_that_use_up_their_share_take_nothing_from_other_methods():
    async def scenario(handlers, c):
        await handlers.begin(c.stream, 3)
        return await c.stream().code(), await c.unary(b"a Check")

    assert ((grpc.StatusCode.RESOURCE_EXHAUSTED, b"a Check"), [S]) == held(3, scenario)


async def answered(client):
    """Call until a call is admitted: the server may note the end of one after the next has come."""
    while True:
        with suppress(grpc.aio.AioRpcError):
            return await client.unary(b"next")


@pytest.mark.parametrize("how", ["cancelled", "too large", "without a message"])
def test_a_call_that_ends_badly_leaves_its_place_to_another(how):
    async def end_one(handlers, c):
        if how == "cancelled":
            (call,) = await handlers.begin(lambda: c.unary(b"wait"), 1)
            await gone(call)
        elif how == "too large":
            await code_of(c.unary(b"x" * (5 << 20)))
        else:
            await code_of(c.several(iter([])))
        await answered(c)

    async def scenario(handlers, c):
        for _ in range(5):
            await end_one(handlers, c)
        return await answered(c)

    assert b"next" == held(1, scenario)[0]


def test_a_handler_that_pauses_lets_other_calls_be_served_meanwhile():
    served = 0

    async def works(call):
        await call.read()
        while served < 20:  # it would never end if nobody else were served
            await call.pause()
        await call.write(b"done")

    async def counts(message, _call):
        nonlocal served
        served += 1
        return message

    async def scenario(c):
        call = c.stream()
        await call.write(b"go")
        for _ in range(20):
            await c.unary(b"")
        return await call.read()

    assert b"done" == play(scenario, unary=counts, stream=works)


def test_a_handler_that_pauses_is_told_that_its_client_is_gone():
    ended = asyncio.Event()

    async def works(call):
        await call.read()
        try:
            await call.write(b"begun")  # the client may have read it, and be gone, before this returns
            while True:
                await call.pause()
        finally:
            ended.set()

    async def scenario(c):
        call = c.stream()
        await call.write(b"go")
        await call.read()
        await gone(call)
        while not ended.is_set():
            await c.unary(b"")
        return True

    assert play(scenario, stream=works)


def test_messages_and_wake_ups_that_come_during_a_pause_are_kept():
    async def works(call):
        first = await call.read()
        call.wake()
        for _ in range(50):
            await call.pause()
        await call.write(b"woken" if await call.read() is WOKEN else b"?")
        await call.write(first + await call.read())

    async def scenario(c):
        call = c.stream()
        await call.write(b"a")
        await call.write(b"b")
        return [await call.read(), await call.read()]

    assert [b"woken", b"ab"] == play(scenario, stream=works)
