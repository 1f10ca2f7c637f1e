"""The service's own faces: gRPC health and reflection on its socket, and its HTTP port."""

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.running import another_gateway, socket_of
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module", params=["native", "aio"])
def gateway(stack, request):
    """A gateway whose service uses one of the gRPC servers."""
    gateway = another_gateway(stack, f"served-by-{request.param}", grpc_server=request.param)
    gateway.start()
    return gateway


@pytest.fixture
def channel(gateway):
    with grpc.insecure_channel(f"unix:{socket_of(gateway)}") as channel:
        yield channel


def _get(gateway, path: str) -> httpx.Response:
    return httpx.get(f"{gateway.http}{path}", trust_env=False, timeout=DEADLINE)


def test_health_says_serving(channel):
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)

    assert health_pb2.HealthCheckResponse.SERVING == answer.status


def test_reflection_names_every_service(channel):
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=DEADLINE)

    assert {
        "envoy.service.auth.v3.Authorization",
        "envoy.service.ext_proc.v3.ExternalProcessor",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    } == {service.name for service in answer.list_services_response.service}


def test_reflection_describes_the_check(channel):
    asked = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="envoy.service.auth.v3.Authorization"
    )
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=DEADLINE)

    assert any(b"CheckRequest" in file for file in answer.file_descriptor_response.file_descriptor_proto)


def test_nobody_else_on_the_machine_may_connect_to_the_socket(gateway):
    assert 0 == socket_of(gateway).stat().st_mode & 0o007


def test_liveness_answers(gateway):
    assert 200 == _get(gateway, "/healthz").status_code


def test_readiness_holds_and_names_the_policy(gateway):
    answer = _get(gateway, "/readyz")

    assert (200, True) == (answer.status_code, answer.json()["ready"])
    assert f'hash="{answer.json()["policy"]}"' in _get(gateway, "/metrics").text


def test_metrics_are_prometheus_text(gateway):
    assert _get(gateway, "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_the_metadata_document_is_served_through_envoy(stack, gateway, path):
    url = f"http://127.0.0.1:{gateway.ports.envoy}/.well-known/oauth-protected-resource{path}"
    host = {"host": f"localhost:{gateway.ports.envoy}"}
    document = httpx.get(url, headers=host, trust_env=False, timeout=DEADLINE).json()

    assert gateway.url == document["resource"]
    assert [stack.issuer] == document["authorization_servers"]
    assert ["header"] == document["bearer_methods_supported"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/healthz", "/.well-known/oauth-protected-resource/../../metrics"]
)
def test_nothing_else_of_the_http_port_is_reachable_through_envoy(gateway, path):
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        url = httpx.URL(f"http://localhost:{gateway.ports.envoy}", raw_path=path.encode())

        assert 403 == client.get(url).status_code
