"""The official client and server talk through a real Envoy while a call runs, in both eras."""

import asyncio
import contextlib

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CreateMessageResult, ElicitResult, ResourceUpdatedNotification, TextContent

from authz.demo.ports import free_port
from tests.support.running import another_gateway
from tests.support.talking_server import STEPS, talking_server
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.envoy

ERAS = ["legacy", "2026-07-28"]
MINE, THEIRS = "file:///public/a", "file:///public-not/b"


@pytest.fixture(scope="module")
def upstream():
    with talking_server(free_port()) as bare:
        yield bare


@pytest.fixture(scope="module")
def url(stack, upstream):
    """Where a caller may interview, touch and read what is public."""
    gateway = another_gateway(
        stack,
        "talking",
        upstream=upstream,
        edit=lambda text: text.replace(
            "tools: [echo, get_user_info]}", 'tools: [interview, touch], resources: ["file:///public/*"]}'
        ),
    )
    gateway.start()
    return f"http://localhost:{gateway.ports.envoy}/mcp"


async def _user(_context, _params):
    return ElicitResult(action="accept", content={"name": "Jane"})


async def _model(_context, _params):
    content = TextContent(type="text", text="fine")
    return CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")


@contextlib.asynccontextmanager
async def session(url, token, era, **callbacks):
    async with (
        asyncio.timeout(DEADLINE),
        httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=DEADLINE
        ) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode=era,
            elicitation_callback=_user,
            sampling_callback=_model,
            **callbacks,
        ) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ERAS)
def test_a_call_asks_the_user_and_the_model_and_reports_its_progress(stack, url, era):
    async def go():
        steps = []

        async def progress(step, _total, _message):
            steps.append(step)

        async with session(url, stack.token(), era) as client:
            result = await client.call_tool("interview", {}, progress_callback=progress)
        return result.content[0].text, steps

    assert ("Jane: fine", [float(step + 1) for step in range(STEPS)]) == asyncio.run(go())


@pytest.mark.parametrize("era", ERAS)
def test_a_denial_in_the_middle_does_not_end_the_conversation(stack, url, era):
    async def go():
        async with session(url, stack.token(), era) as client:
            denied = await client.call_tool("secret", {})
            result = await client.call_tool("interview", {})
            tools = await client.list_tools()
        assert denied.is_error
        return denied.meta["reason"], result.content[0].text, [tool.name for tool in tools.tools]

    assert ("no_rule", "Jane: fine", ["interview", "touch"]) == asyncio.run(go())


def test_who_listens_hears_of_what_was_asked_for_while_other_calls_run(stack, url):
    async def go():
        async with (
            session(url, stack.token(), "2026-07-28") as client,
            client.listen(resource_subscriptions=[MINE], tools_list_changed=True) as news,
        ):
            await client.call_tool("touch", {"uris": [THEIRS, MINE]})
            event = await anext(aiter(news))
        return news.honored.resource_subscriptions, event.uri

    assert ([MINE], MINE) == asyncio.run(go())


def test_who_asks_to_hear_of_what_may_not_be_read_is_denied(stack, url):
    async def go():
        async with session(url, stack.token(), "2026-07-28") as client:
            with pytest.raises(MCPError) as denied:
                async with client.listen(resource_subscriptions=[MINE, THEIRS]):
                    pass
        return denied.value.error.data["reason"]

    assert "no_rule" == asyncio.run(go())


def test_the_stream_of_a_session_does_not_tell_of_what_may_not_be_read(stack, upstream, url):
    """The server tells every session of every change; the one that may be read is the last."""

    async def told(place):
        heard, done = [], asyncio.Event()

        async def hear(message):
            if isinstance(message, ResourceUpdatedNotification):
                heard.append(message.params.uri)
                if message.params.uri == MINE:
                    done.set()

        async with session(place, stack.token(), "legacy", message_handler=hear) as client:
            await client.call_tool("touch", {"uris": [THEIRS, MINE]})
            await done.wait()
        return heard

    assert [[THEIRS, MINE], [MINE]] == [asyncio.run(told(place)) for place in (upstream, url)]
