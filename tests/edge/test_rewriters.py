"""What a process does before it refuses a list for want of a rewriter: a knock, and a moment for its siblings' word."""

import asyncio

import pytest
from msgspec.structs import replace

from authz.core.decision import Decision
from authz.core.reasons import Reason
from authz.edge.rewriters import Rewriters
from tests.support import core
from tests.support.waiting import DEADLINE

SUBJECT = "ann"


async def found(rewriters, listener):
    search = rewriters.find(replace(core.call(), listener=lambda: listener, scheme="http"), SUBJECT)
    return None if search is None else await asyncio.wait_for(search, DEADLINE)


def test_who_can_be_asked_from_elsewhere_connects_to_nobody():
    assert asyncio.run(found(Rewriters(alone=False), "127.0.0.1:10000")) is None


@pytest.mark.parametrize("has_rewriter", [True, False])
def test_a_knock_shows_whether_there_is_a_rewriter(has_rewriter):
    async def scenario():
        rewriters, knocks = Rewriters(alone=True), []

        async def envoy(reader, writer):
            knocks.append(await reader.readuntil(b"\r\n\r\n"))
            if has_rewriter:
                rewriters.presence.came(address, "")
            writer.write(b"HTTP/1.1 415 Unsupported Media Type\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(envoy, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await found(rewriters, address), len(knocks), rewriters.refuses(address, SUBJECT)

    assert (has_rewriter, 1, not has_rewriter) == asyncio.run(scenario())


@pytest.mark.parametrize("word", [True, False])
def test_siblings_are_listened_to(word):
    async def scenario():
        rewriters = Rewriters(alone=False)

        async def wait(listener, subject):
            return word and (listener, subject) == ("10.0.0.1:80", SUBJECT)

        rewriters.wait_for_word = wait
        return await found(rewriters, "10.0.0.1:80")

    assert word is asyncio.run(scenario())


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (Decision(reason=Reason.REWRITER_MISSING, method="tools/list"), True),
        (Decision(reason=Reason.REWRITER_MISSING, method="GET"), False),
        (Decision(reason=Reason.MISSING_TOKEN, method="tools/list"), False),
        (Decision(reason=Reason.NO_RULE, method="tools/call"), False),
    ],
)
def test_only_what_comes_at_once_and_is_not_a_strangers_counts(decision, told):
    now = 1000.0
    rewriters = Rewriters(alone=True)
    rewriters.presence.clock = lambda: now
    for _ in range(2):
        rewriters.asked(decision, "10.0.0.1:80")
    now += 10

    assert told is bool(rewriters.presence.missing_at())
