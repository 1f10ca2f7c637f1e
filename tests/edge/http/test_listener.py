"""The HTTP port and the sockets it is made of."""

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from authz.edge.http.listener import BindError, HttpPort, bind, listen
from tests.support.waiting import DEADLINE

ANY = "127.0.0.1:0"


def address(bound):
    return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("shared", [True, False])
def test_an_address_in_use_is_named_with_what_wanted_it_and_the_cause(shared):
    with listen(ANY) as holder:
        taken = address(holder)
        with pytest.raises(BindError) as raised:
            bind(taken, "gRPC", shared=shared)

    assert f"gRPC cannot listen on {taken}: Address already in use" == str(raised.value)


def test_sockets_that_share_a_port_may_all_have_it():
    with bind(ANY, "gRPC", shared=True) as first, bind(address(first), "gRPC", shared=True) as second:
        assert first.getsockname() == second.getsockname()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_address_in_brackets_is_ipv6():
    with bind("[::1]:0", "HTTP") as bound:
        assert socket.AF_INET6 == bound.family


def test_a_port_that_never_served_is_free_once_it_has_ended():
    async def run():
        port = HttpPort(ANY)
        taken = address(port._socket)
        await port.end()
        return taken

    with listen(asyncio.run(run())):
        pass


def test_a_response_in_flight_is_finished_before_the_port_closes():
    async def run():
        entered, go = asyncio.Event(), asyncio.Event()

        async def slow(_):
            entered.set()
            await go.wait()
            return PlainTextResponse("done")

        port = HttpPort(ANY)
        taken = address(port._socket)
        port.begin(Starlette(routes=[Route("/", slow)]))
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
            response = asyncio.create_task(client.get(f"http://{taken}/"))
            await entered.wait()
            ending = asyncio.create_task(port.end())
            await asyncio.sleep(0)
            go.set()
            text = (await response).text
            await ending
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*taken.split(":"))
        return text

    assert "done" == asyncio.run(asyncio.wait_for(run(), DEADLINE))
