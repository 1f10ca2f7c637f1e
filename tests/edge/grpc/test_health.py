import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.edge.grpc.health import Health
from tests.support.rpc import serving
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("grpc_server")
_Response = health_pb2.HealthCheckResponse
SERVING, NOT_SERVING, UNKNOWN = _Response.SERVING, _Response.NOT_SERVING, _Response.SERVICE_UNKNOWN


def asked(scenario):
    """Play a scenario with a client of a service that is not serving yet."""

    async def run():
        health = Health()
        async with (
            serving(unary=health.unary, streams=health.streams) as (_, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            return await scenario(health, health_pb2_grpc.HealthStub(channel))

    return asyncio.run(asyncio.wait_for(run(), DEADLINE))


@pytest.mark.parametrize(("serving", "status"), [(False, NOT_SERVING), (True, SERVING)])
def test_check_says_what_was_said_last(serving, status):
    async def scenario(health, stub):
        health.say(serving=not serving)
        health.say(serving=serving)
        return (await stub.Check(health_pb2.HealthCheckRequest())).status

    assert status == asked(scenario)


@pytest.mark.skipif(
    not hasattr(health_pb2, "HealthListRequest"), reason="this grpcio-health-checking has no List"
)
@pytest.mark.parametrize(("serving", "status"), [(False, NOT_SERVING), (True, SERVING)])
def test_list_says_what_was_said_last_of_the_one_service_there_is(serving, status):
    async def scenario(health, stub):
        health.say(serving=serving)
        listed = await stub.List(health_pb2.HealthListRequest())
        return {name: answer.status for name, answer in listed.statuses.items()}

    assert {"": status} == asked(scenario)


def test_it_is_not_serving_before_anything_is_said():
    async def scenario(_health, stub):
        return (await stub.Check(health_pb2.HealthCheckRequest())).status

    assert NOT_SERVING == asked(scenario)


def test_no_other_service_has_a_health():
    async def scenario(_health, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        watched = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        return caught.value.code(), (await watched.read()).status

    assert (grpc.StatusCode.NOT_FOUND, UNKNOWN) == asked(scenario)


def test_who_watches_is_told_every_change_and_no_repetition():
    async def scenario(health, stub):
        watched = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        seen = [[(await call.read()).status] for call in watched]
        for said, changes in ((True, True), (True, False), (False, True)):
            health.say(serving=said)
            for call, statuses in zip(watched, seen, strict=True):
                if changes:
                    statuses.append((await call.read()).status)
        for call in watched:
            call.cancel()
        return seen

    assert [[NOT_SERVING, SERVING, NOT_SERVING]] * 2 == asked(scenario)
