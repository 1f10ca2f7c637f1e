"""The gateway of the demo: how its two processes are started, and which lines of the service are its records."""

import json

import pytest

from authz.demo.gateway import NATIVE, Gateway, Ports
from authz.demo.processes import Supervisor

DENIED = {"decision": "deny", "decision_id": "a1"}
ALLOWED = {"decision": "allow", "decision_id": "a2"}
LOGGED = {"event": "serving", "level": "info"}


@pytest.fixture
def gateway(tmp_path):
    """A gateway that is not started, whose logs are in a folder of the test."""
    supervisor = Supervisor()
    supervisor.logs = tmp_path
    return Gateway(
        name="native",
        policy=NATIVE,
        environment={"NAME": "value"},
        upstream="http://127.0.0.1:8080/mcp",
        ports=Ports(envoy=10000, admin=10001, http=9002),
        supervisor=supervisor,
        jwks={"https://issuer.example/": "https://issuer.example/keys"},
        grace=1.5,
    )


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("", []),
        (f"{json.dumps(LOGGED)}\n{json.dumps(DENIED)}\n{json.dumps(ALLOWED)}\n", [DENIED, ALLOWED]),
        (f"{json.dumps(LOGGED)}{json.dumps(DENIED)}\n", [DENIED]),
        (f'{json.dumps(DENIED)}\n{{"decision_id": "hal', [DENIED]),
        (f"a traceback\n[1]\n{json.dumps(ALLOWED)}\n", [ALLOWED]),
    ],
    ids=["nothing yet", "a log and two records", "both in one line", "half a record", "other text"],
)
def test_records_are_the_decisions_among_the_lines_of_the_service(gateway, tmp_path, text, records):
    (tmp_path / "native-service.log").write_text(text, encoding="utf-8")

    assert records == gateway.records()


def test_the_service_is_started_on_a_unix_socket_with_its_keys_and_its_grace(gateway, tmp_path):
    command = [str(part) for part in gateway.service().argv]

    assert ["serve", "-c", str(NATIVE), "--grpc", f"unix:{tmp_path / 'native.sock'}"] == command[3:8]
    assert ["--http", "127.0.0.1:9002", "--grace", "1.5"] == command[8:12]
    assert ["--grpc-server", "auto"] == command[12:14]
    assert ["--jwks", "https://issuer.example/=https://issuer.example/keys"] == command[14:]
    assert {"NAME": "value"} == gateway.service().env


def test_the_addresses_are_those_of_its_ports(gateway):
    assert ("http://localhost:10000/mcp", "http://127.0.0.1:9002") == (gateway.url, gateway.http)
    assert ("native-service", "native-envoy") == (gateway.service_name, gateway.envoy_name)
