"""How a CheckRequest is read: headers that may stand once, and values that hold a comma of their own."""

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as pb

from authz.core.transport import SINGLE_HEADERS, all_ascii
from authz.edge.envoy.ext_authz import read_request

FREE_TEXT = {"mcp-name", "last-event-id"}


def read(headers, listed=()):
    message = pb.CheckRequest()
    http = message.attributes.request.http
    http.method, http.host, http.path = "POST", "mcp.example", "/mcp"
    http.headers.update(headers)
    for name, value in listed:
        http.header_map.headers.add(key=name, raw_value=value)
    return read_request(message)


@pytest.mark.parametrize("name", sorted(SINGLE_HEADERS))
def test_a_comma_in_a_header_that_may_stand_once_is_a_repetition_unless_its_value_is_free_text(name):
    assert (set() if name in FREE_TEXT else {name}) == read({name: "a,b"}).repeated


@pytest.mark.parametrize("name", sorted(SINGLE_HEADERS))
def test_a_header_that_is_listed_twice_is_a_repetition(name):
    request = read({}, [(name, b"a"), (name.upper(), b"b")])

    assert (True, "a,b") == (name in request.repeated, request.headers[name])


@pytest.mark.parametrize("name", ["mcp-name", "mcp-param-city"])
def test_bytes_of_a_listed_header_that_are_not_utf_8_are_seen(name):
    request = read({}, [(name, b"pub_\xff")])

    assert "pub_\u00ff" == request.headers[name]
    assert not all_ascii(request.headers)
