"""A knock at Envoy's listener: what is sent, how often, and that nothing of the answer or of its want does harm."""

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from authz.edge.envoy.knock import AGENT, PAUSE, SECONDS, Knocker
from tests.support import core
from tests.support.certificates import Authority
from tests.support.clock import ManualClock
from tests.support.waiting import DEADLINE

ANSWER = b"HTTP/1.1 415 Unsupported Media Type\r\ncontent-length: 0\r\n\r\n"


class Listener:
    """A listener that keeps what it is sent."""

    def __init__(self, answer=ANSWER):
        self.answer, self.heads, self.answers = answer, [], asyncio.Event()
        self.answers.set()

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await self.answers.wait()
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(answer=ANSWER, tls=None):
    listener = Listener(answer)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield listener, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def at(listener, **fields):
    return replace(core.call(), listener=lambda: listener, scheme="http", **fields)


def play(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), DEADLINE))


def test_a_knock_names_host_and_path_and_carries_nothing_else_of_the_request():
    async def scenario():
        async with listening() as (listener, address):
            await Knocker().knock(at(address, host="mcp.example", path="/mcp?token=secret"))
            return listener.heads

    assert play(scenario) == [
        f"POST /mcp HTTP/1.1\r\nhost: mcp.example\r\nuser-agent: {AGENT}\r\n"
        "content-type: application/x-mcp-authz-knock\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
    ]


def test_a_listener_with_tls_is_knocked_at_over_tls_whoever_signed_its_certificate(tmp_path):
    pair = Authority(tmp_path).certify("envoy", "mcp.example")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.cert, pair.key)

    async def scenario():
        async with listening(tls=tls) as (listener, address):
            await Knocker().knock(replace(at(address, host="mcp.example:443"), scheme="https"))
            return len(listener.heads)

    assert 1 == play(scenario)


def test_lists_that_come_meanwhile_share_a_knock_and_for_a_while_there_is_no_other():
    async def scenario():
        clock, counts = ManualClock(), []
        async with listening() as (listener, address):
            knocker = Knocker(clock)
            await asyncio.gather(*(knocker.knock(at(address)) for _ in range(20)))
            counts.append(len(listener.heads))
            clock.now += PAUSE - 0.1
            await knocker.knock(at(address))
            counts.append(len(listener.heads))
            clock.now += 0.1
            await knocker.knock(at(address))
            return [*counts, len(listener.heads)]

    assert [1, 1, 2] == play(scenario)


def test_a_list_whose_client_hangs_up_leaves_the_knock_to_the_others():
    async def scenario():
        async with listening() as (listener, address):
            listener.answers.clear()
            knocker = Knocker()
            first, second = [asyncio.create_task(knocker.knock(at(address))) for _ in range(2)]
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            listener.answers.set()
            await second
            return len(listener.heads)

    assert 1 == play(scenario)


@pytest.mark.parametrize("answer", [b"", b"x" * 100_000, b"\r\n\r\n"])
def test_whatever_is_answered_the_list_goes_on(answer):
    async def scenario():
        async with listening(answer) as (listener, address):
            await Knocker().knock(at(address))
            return len(listener.heads)

    assert 1 == play(scenario)


def test_a_listener_that_does_not_answer_holds_a_list_for_a_moment_only():
    async def scenario():
        async with listening() as (listener, address):
            listener.answers.clear()
            began = asyncio.get_running_loop().time()
            await Knocker().knock(at(address))
            seconds = asyncio.get_running_loop().time() - began
            listener.answers.set()
            return seconds

    assert SECONDS * 0.9 <= play(scenario) < DEADLINE


@pytest.mark.parametrize(
    ("listener", "fields"),
    [
        ("unix:/run/envoy.sock", {}),
        ("internal:mcp", {}),
        ("127.0.0.1:1", {}),
        ("", {}),
        ("{}", {"host": "mcp.example\r\nx-mcp: 1"}),
        ("{}", {"path": "/mcp HTTP/1.1\r\n"}),
        ("{}", {"host": "mcp.exämple"}),
    ],
)
def test_where_it_cannot_knock_nothing_is_sent_and_nothing_fails(listener, fields):
    async def scenario():
        async with listening() as (heard, address):
            await Knocker().knock(at(listener.format(address), **fields))
            return heard.heads

    assert [] == play(scenario)
