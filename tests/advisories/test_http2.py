"""The same attacks over HTTP/2 without TLS, which Envoy's listener also speaks."""

import socket

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.support.running import arrived
from tests.support.waiting import DEADLINE
from tests.support.wire import call, headers, receive, request

pytestmark = pytest.mark.envoy

BODY = call("system_status")
EVIL = "mallory"


def _h2(port: int, lines: list[tuple[str, str]], body: bytes) -> tuple[str, bytes]:
    """One HTTP/2 request with prior knowledge; status "" for a reset."""
    connection = H2Connection(
        H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    connection.initiate_connection()
    connection.send_headers(1, lines)
    connection.send_data(1, body, end_stream=True)
    status, got = "", b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as sock:
        sock.sendall(connection.data_to_send())
        while data := sock.recv(65536):
            for event in connection.receive_data(data):
                match event:
                    case ResponseReceived():
                        status = dict(event.headers)[b":status"].decode()
                    case DataReceived():
                        got += event.data
                    case StreamEnded() | StreamReset():
                        return status, got
            sock.sendall(connection.data_to_send())
    return status, got


def _pseudo(port: int, token: str, **changes: str) -> list[tuple[str, str]]:
    lines = headers(port, token, BODY)
    pseudo = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/mcp",
        ":authority": lines.pop("host"),
        **changes,
    }
    return [*pseudo.items(), *lines.items()]


def test_http_2_without_tls_is_judged_like_http_1(stack, port, admin):
    seen = arrived(stack, lambda: _h2(port, _pseudo(port, admin), BODY))
    refused = arrived(stack, lambda: _h2(port, _pseudo(port, stack.token()), BODY))

    assert (["system_status"], []) == ([a.tool for a in seen], refused)


H2_REFUSED = {
    "Authorization twice": ({}, [("authorization", "Bearer x")]),
    "Mcp-Name twice": ({}, [("mcp-name", "system_status")]),
    "Host beside :authority": ({":authority": "evil.example"}, []),
    "path of another": ({":path": "/mcp#f"}, []),
    "line end in a header": ({}, [("x-a", "b\r\nx-mcp-subject: mallory")]),
    "Transfer-Encoding": ({}, [("transfer-encoding", "chunked")]),
    "name in capitals": ({}, [("X-Mcp-Subject", EVIL)]),
    "length that is wrong": ({}, [("content-length", "3")]),
}


@pytest.mark.parametrize(("changes", "more"), H2_REFUSED.values(), ids=H2_REFUSED.keys())
def test_nothing_of_a_refused_http_2_request_arrives(stack, port, admin, changes, more):
    answers = []
    lines = [*_pseudo(port, admin, **changes), *more]

    assert [] == arrived(stack, lambda: answers.append(_h2(port, lines, BODY)))
    assert not answers[0][0].startswith("2")


def test_an_upgrade_to_http_2_does_not_smuggle_a_second_request(stack, port, admin):
    change = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"}
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(request(port, admin, BODY, change={**change, "mcp-name": "echo"}))
        answer = receive(connection)

    assert 101 != answer.status
    assert not 200 <= answer.status < 300
