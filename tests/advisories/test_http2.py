"""The same attacks over HTTP/2 without TLS, which Envoy's listener also speaks."""

import socket

import pytest

from tests.support.http2 import h2_headers, h2_request
from tests.support.running import arrived
from tests.support.waiting import DEADLINE
from tests.support.wire import call, receive, request

pytestmark = pytest.mark.envoy

BODY = call("system_status")
EVIL = "mallory"


def test_http_2_without_tls_is_judged_like_http_1(stack, port, admin):
    seen = arrived(stack, lambda: h2_request(port, h2_headers(port, admin, BODY), BODY))
    refused = arrived(stack, lambda: h2_request(port, h2_headers(port, stack.token(), BODY), BODY))

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
    lines = [*h2_headers(port, admin, BODY, **changes), *more]

    assert [] == arrived(stack, lambda: answers.append(h2_request(port, lines, BODY)))
    assert not answers[0][0].startswith("2")


def test_an_upgrade_to_http_2_does_not_smuggle_a_second_request(stack, port, admin):
    change = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"}
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(request(port, admin, BODY, change={**change, "mcp-name": "echo"}))
        answer = receive(connection)

    assert 101 != answer.status
    assert not 200 <= answer.status < 300
