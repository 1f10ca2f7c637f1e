"""The very first request through an Envoy is a list: with its rewriter it is trimmed, and nobody has to ask again.

Each needs a service that has seen nothing yet, so a start of its own, which takes some seconds.
"""

import asyncio
import json

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.running import another_gateway, metrics
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, message

pytestmark = pytest.mark.envoy

LIST = message("tools/list")
SEEN = ["echo", "get_user_info"]


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize(("grpc_server", "workers"), [("native", 1), ("native", 3), ("aio", 1)])
def test_a_first_list_is_answered_and_trimmed(stack, grpc_server, workers):
    edit = (lambda text: f"workers: {workers}\n{text}") if workers > 1 else None
    gateway = another_gateway(stack, f"first-{grpc_server}-{workers}", edit=edit, grpc_server=grpc_server)
    gateway.start()
    answers = [ask(gateway.ports.envoy, stack.token(), LIST) for _ in range(8)]

    assert [200] * 8 == [answer.status for answer in answers]
    assert all(
        SEEN == [tool["name"] for tool in json.loads(each.body)["result"]["tools"]] for each in answers
    )


def test_a_refusal_that_shows_the_rewriter_is_the_same_as_any_other(stack):
    gateway = another_gateway(stack, "first-refusal")
    gateway.start()
    refusals = [ask(gateway.ports.envoy, None, LIST) for _ in range(2)]
    errors = [refusal.error for refusal in refusals]
    for refusal, error in zip(refusals, errors, strict=True):
        error["data"].pop("decision_id")
        refusal.headers.pop("date")

    assert [401, 401] == [refusal.status for refusal in refusals]
    assert refusals[0].headers == refusals[1].headers
    assert "resource_metadata" in refusals[0].headers["www-authenticate"]
    assert errors[0] == errors[1]
    assert 1.0 == metrics(gateway)['mcp_authz_rewrites_begun_total{server="demo"}']


@pytest.mark.requirement("security.no-list-without-rewriter")
@pytest.mark.parametrize("mode", ["auto", "2026-07-28"])
def test_a_client_of_the_official_sdk_lists_as_the_first_one_to_come(stack, mode):
    gateway = another_gateway(stack, f"first-client-{mode}")
    gateway.start()

    async def list_tools():
        async with (
            httpx2.AsyncClient(
                headers={"authorization": f"Bearer {stack.token()}"}, trust_env=False, timeout=DEADLINE
            ) as http,
            Client(streamable_http_client(gateway.url, http_client=http), mode=mode) as client,
        ):
            return [tool.name for tool in (await client.list_tools()).tools]

    assert SEEN == asyncio.run(asyncio.wait_for(list_tools(), 2 * DEADLINE))
