"""A client that hangs up while its token's key is looked for is no failure of the service."""

import asyncio

import grpc
import pytest
import structlog

from authz.edge.envoy.ext_authz import SERVICE
from tests.support import tokens
from tests.support.rpc import serving
from tests.support.services import check_request, service
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")
STRANGE = f"Bearer {tokens.token(kid='unknown')}"
"""Its key is unknown before its time is looked at."""


class Lookup:
    """A look for a key that lasts until the call is over."""

    def __init__(self):
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, _decision, _began):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def hung_up(running):
    """Ask, hang up in the middle, then ask a second time with a token that is allowed to nothing; returns the log."""
    running.may_find_key, running.look_for_key = lambda _: True, Lookup()
    async with (
        serving(unary=running.checker().unary) as (server, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        check = channel.unary_unary(f"/{SERVICE}/Check")
        call = check(check_request("POST", b"{}", authorization=STRANGE))
        await running.look_for_key.begun.wait()
        call.cancel()
        await running.look_for_key.ended.wait()
        await check(check_request("POST", b"{}"))
        await server.stop(0)


def test_it_makes_no_decision_and_no_error_and_the_look_is_cancelled():
    with service() as running, structlog.testing.capture_logs() as logs:
        asyncio.run(asyncio.wait_for(hung_up(running), DEADLINE))
        metrics = running.metrics.render().decode()

    counted = [line for line in metrics.splitlines() if line.startswith("mcp_authz_decisions_total")]
    assert ["bad_message"] == [line.partition('reason="')[2].partition('"')[0] for line in counted]
    assert [] == [entry for entry in logs if entry["log_level"] in {"error", "critical"}]
