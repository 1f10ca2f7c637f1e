import asyncio
import math
import socket

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from authz.edge.http.status import WorkerStatus
from authz.edge.workers.ipc import MAX_BYTES, Ask, End, Report, Started, Task, WorkerChannel
from tests.support.waiting import DEADLINE

TASK = Task(
    config="policy.yaml",
    resource="https://mcp.example/mcp",
    jwks=["main=keys.json"],
    allow_anonymous=True,
    grpc="unix:/run/authz.sock",
    http="",
    grace=0.5,
    session_keys=["key"],
    shared=True,
    hold=10.0,
    session_key=bytes(range(32)),
)
STATUS = WorkerStatus(ready=False, draining=True, policy="a", issuers_without_keys=["https://i/"])


def talk(scenario):
    """Run a scenario with a channel and the plain socket at its other end."""

    async def run():
        ours, theirs = socket.socketpair()
        channel = await WorkerChannel.open(ours)
        with theirs:
            try:
                return await asyncio.wait_for(scenario(channel, theirs), DEADLINE)
            finally:
                await channel.aclose()

    return asyncio.run(run())


def crossed(*messages):
    """Send messages over a pair of channels and return those that arrive."""

    async def scenario(channel, theirs):
        other = await WorkerChannel.open(theirs.dup())
        for message in messages:
            channel.send(message)
        arrived = [await other.receive() for _ in messages]
        await other.aclose()
        return arrived

    return talk(scenario)


def received(data):
    """Return what a channel makes of bytes and an end."""

    async def scenario(channel, theirs):
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return await channel.receive()

    return talk(scenario)


def framed(data):
    return len(data).to_bytes(4) + data


def test_messages_arrive_as_they_were_sent_and_in_order():
    messages = [TASK, Started(), Started("no such file"), Ask(), End()]

    assert messages == crossed(*messages)


def test_a_report_carries_status_and_metrics_with_every_kind_of_number():
    counter = CounterMetricFamily("mcp_authz_decisions", "Decisions.", labels=["server"])
    counter.add_metric(["demo"], 3)
    age = GaugeMetricFamily("mcp_authz_jwks_age_seconds", "Age.", labels=["issuer"])
    age.add_metric(["https://i/"], math.inf)
    (report,) = crossed(Report(STATUS, [counter, age]))

    assert STATUS == report.status
    assert [counter, age] == report.metrics


def test_a_message_longer_than_a_socket_takes_at_once_arrives_whole():
    assert [Started("x" * 1_000_000)] == crossed(Started("x" * 1_000_000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        framed(b"\x81\xa4type\xa3Ask")[:-1],
        framed(b"\xc1"),
        framed(b"\x81\xa4type\xa4Rest"),
        framed(b"\x83\xa4type\xa6Report\xa6status\x81\xa5ready\xc3\xa7metrics\x91\x01"),
        (MAX_BYTES + 1).to_bytes(4),
    ],
    ids=[
        "nothing",
        "half a length",
        "half a message",
        "no msgpack",
        "no such message",
        "no metric",
        "too long",
    ],
)
def test_an_end_and_what_is_no_message_end_the_channel(data):
    assert None is received(data)


def test_to_send_to_one_that_is_gone_changes_nothing():
    async def scenario(channel, theirs):
        theirs.close()
        for _ in range(3):
            channel.send(Ask())
        return await channel.receive()

    assert None is talk(scenario)
