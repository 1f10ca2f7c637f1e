"""Addresses, endpoints and chains: what is read, and what is refused before Envoy could misread it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.render.address import Address
from authz.render.model import METADATA_PATH, Chain, Endpoint, bare_host

ENDPOINT = Endpoint(name="demo", hosts=("*",), path="/mcp", upstream_host="127.0.0.1", upstream_port=8080)
CHAIN = Chain(
    endpoints=(ENDPOINT,),
    listen=Address.parse(":10000"),
    service=Address.parse("127.0.0.1:9001"),
    http=Address.parse("127.0.0.1:9002"),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9001", Address(host="127.0.0.1", port=9001)),
        ("mcp-authz.internal:1", Address(host="mcp-authz.internal", port=1)),
        ("[::1]:65535", Address(host="::1", port=65535)),
        (":10000", Address(port=10000)),
        ("unix:/run/a.sock", Address(path="/run/a.sock")),
    ],
)
def test_an_address_is_read(text, address):
    assert address == Address.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9001",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host: 1",
        "a b:1",
        "::1:80",
        "unix:",
        "unix:a",
        "h:1\n",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"port|path|expected"):
        Address.parse(text)


def test_an_address_is_of_one_kind():
    with pytest.raises(ValueError, match="not both"):
        Address(path="/a", port=1)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text):
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert bool(address.path) != bool(address.port)


@pytest.mark.parametrize(
    ("host", "is_name"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("", False),
        ("localhost", True),
        ("a.example", True),
        ("256.1.1.1", True),
    ],
)
def test_only_names_are_looked_up(host, is_name):
    assert is_name is Address(host=host, port=1).is_name


@pytest.mark.parametrize(
    ("host", "bare"),
    [
        ("A.Example:80", "a.example"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("*", "*"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_is_compared_in_lower_case_without_its_port(host, bare):
    assert bare == bare_host(host)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a/b"},
        {"hosts": ()},
        {"hosts": ("*.example.com",)},
        {"hosts": ("a.example/x",)},
        {"hosts": ("",)},
        {"path": ""},
        {"path": "mcp"},
        {"path": "/mcp?a=b"},
        {"path": "/mcp#a"},
        {"path": "/a//b"},
        {"path": "/a/../b"},
        {"path": "/a/./b"},
        {"path": "/%6dcp"},
        {"path": "/mcp;a"},
        {"path": "/a\nb"},
        {"path": METADATA_PATH},
        {"path": METADATA_PATH + "/mcp"},
        {"upstream_path": "inner"},
        {"upstream_host": ""},
        {"upstream_port": 0},
        {"origins": ("localhost:6274",)},
        {"origins": ("http://localhost:6274/",)},
        {"origins": ("http://a.example, http://b.example",)},
        {"cors_allow_headers": "a\nb"},
        {"cors_expose_headers": ""},
    ],
)
def test_an_endpoint_that_could_not_be_routed_exactly_is_refused(change):
    with pytest.raises(ValueError, match=r"endpoint|port"):
        dataclasses.replace(ENDPOINT, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"endpoints": ()},
        {"endpoints": (ENDPOINT, ENDPOINT)},
        {"endpoints": (ENDPOINT, dataclasses.replace(ENDPOINT, name="other"))},
        {
            "endpoints": (
                dataclasses.replace(ENDPOINT, hosts=("a.example:1",)),
                dataclasses.replace(ENDPOINT, name="other", hosts=("A.example:2",)),
            )
        },
        {"max_request_bytes": 0},
        {"max_request_bytes": 1 << 32},
        {"check_timeout": 0},
        {"check_timeout": float("nan")},
    ],
)
def test_a_chain_that_envoy_would_reject_or_route_ambiguously_is_refused(change):
    with pytest.raises(ValueError, match=r"endpoint|max_request_bytes|check_timeout"):
        dataclasses.replace(CHAIN, **change)
