"""What the native server's thread and the event loop's do at the same time; the other server has no thread of its own."""

import asyncio
import dataclasses
import json

import grpc
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz.edge.envoy.ext_authz import SERVICE
from tests.support import core as policies
from tests.support.rpc import serving
from tests.support.services import check_request, service
from tests.support.waiting import DEADLINE

CALLERS, CALLS = 30, 1500


async def _disturbed(running, over):
    """Do all that the event loop does to what Checks use, until it is over; counts how often."""
    times = 0
    settings = running.settings
    while not over.is_set():
        times += 1
        await running.apply(dataclasses.replace(settings, digest=f"policy-{times % 7}"))
        running.snapshots.current.authenticator.clear()
        running.metrics.render()
        # A loop that never waits keeps the interpreter's lock from the server's thread, up to 5 ms each time.
        await asyncio.sleep(0.0001)
    return times


def test_checks_are_decided_alike_while_policies_change_tokens_are_forgotten_and_metrics_are_read():
    content = json.dumps(
        policies.message("tools/call", id=1, params={"name": "echo", "arguments": {}})
    ).encode()
    requests = [check_request("POST", content, number=number) for number in range(CALLERS)]

    async def run():
        with service() as running:
            async with (
                serving(unary=running.checker().unary) as (_, port),
                grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            ):
                call, over = channel.unary_unary(f"/{SERVICE}/Check"), asyncio.Event()
                disturbing = asyncio.create_task(_disturbed(running, over))
                answers = [
                    answer
                    for start in range(0, CALLS, 50)
                    for answer in await asyncio.gather(
                        *(call(requests[number % CALLERS]) for number in range(start, start + 50))
                    )
                ]
                over.set()
                times = await disturbing
            return answers, times, running.metrics.render().decode()

    answers, times, metrics = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    reasons = {
        auth_pb.CheckResponse.FromString(answer).dynamic_metadata.fields["reason"].string_value
        for answer in answers
    }
    assert ({"allowed"}, CALLS) == (reasons, len(answers))
    counts = [
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("mcp_authz_decisions_total")
    ]
    assert [float(CALLS)] == counts
    assert times > 10
