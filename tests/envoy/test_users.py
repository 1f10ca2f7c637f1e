"""Many users at once: nobody sees what is another's."""

import asyncio
import json

import pytest

from tests.support.running import tokens_of
from tests.support.waiting import DEADLINE
from tests.support.wire import call, message, request

pytestmark = pytest.mark.envoy

USERS = 100
KINDS = [
    ({}, ["echo", "get_user_info"]),
    ({"scope": "files:read"}, ["echo", "get_user_info", "list_files"]),
    ({"roles": ["admin"]}, ["echo", "get_user_info", "system_status"]),
    (
        {"scope": "files:read files:delete", "roles": ["admin"]},
        ["echo", "get_user_info", "list_files", "delete_file", "system_status"],
    ),
]


async def _together(port: int, tokens: list[str], body: bytes) -> list[dict]:
    """Send one request for each token, all written before any answer is read; gives the answers' JSON.

    What a busy machine answered too late (503) is asked again.
    """
    answers: dict[str, tuple[bytes, dict]] = {}
    async with asyncio.timeout(DEADLINE):
        while waiting := [each for each in tokens if b" 503 " in answers.get(each, LATE)[0]]:
            answers |= dict(zip(waiting, await _ask(port, waiting, body), strict=True))
    return [answers[token][1] for token in tokens]


LATE = (b"HTTP/1.1 503 ", {})


async def _ask(port: int, tokens: list[str], body: bytes) -> list[tuple[bytes, dict]]:
    links = [await asyncio.open_connection("127.0.0.1", port) for _ in tokens]
    for (_, writer), token in zip(links, tokens, strict=True):
        writer.write(request(port, token, body, more=[("connection", "close")]))
    answers = await asyncio.gather(*(reader.read() for reader, _ in links))
    for _, writer in links:
        writer.close()
        await writer.wait_closed()
    parts = [answer.partition(b"\r\n\r\n") for answer in answers]
    return [(head.partition(b"\r\n")[0], json.loads(content)) for head, _, content in parts]


@pytest.fixture(scope="module")
def tokens(stack):
    return tokens_of(stack, [{"sub": f"user-{n}", **KINDS[n % len(KINDS)][0]} for n in range(USERS)])


def test_a_hundred_users_with_the_same_ids_each_see_their_own_list(port, tokens):
    lists = asyncio.run(_together(port, tokens, message("tools/list", request_id=1)))

    assert [KINDS[number % len(KINDS)][1] for number in range(USERS)] == [
        [tool["name"] for tool in answer["result"]["tools"]] for answer in lists
    ]


def test_a_hundred_users_with_the_same_ids_each_get_the_answer_to_their_own_call(port, tokens):
    answers = asyncio.run(_together(port, tokens, call("get_user_info")))

    assert [f"user-{number}" for number in range(USERS)] == [
        answer["result"]["structuredContent"]["subject"] for answer in answers
    ]
