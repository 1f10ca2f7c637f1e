"""Attacks that were found to work. Each test says what should be; its mark goes when that is so, and fails the run if it stays."""

import pytest

from authz.core.denial import render_denial
from authz.core.mcp.item import Kind
from authz.core.reasons import Reason
from authz.core.wire import strict_json as strictjson
from tests.support.core import call, check, message, own_session, post, rule, server, snapshot

MEBIBYTE = 1 << 20


@pytest.mark.requirement("protocol.lists-by-shape")
def test_every_response_that_a_session_can_divert_a_list_into_is_judged():
    """The Python SDK sends a legacy answer to whichever POST of the session last used its id."""
    headers = {"mcp-session-id": own_session(), "authorization": call().headers["authorization"]}
    request = call(headers={**headers, "content-type": "application/json"})

    assert check(request, snapshot(server(rule("allow", "echo")))).rewrite


def test_a_long_key_of_combining_characters_is_refused_before_it_is_normalised():
    """Normalising a run of combining characters takes time in its square: minutes for a mebibyte."""
    arguments = {"a" + "\u0315\u0316" * 240: 1, "b": 2}
    reading = snapshot(server(rule("allow", "echo", args="args.b == 2")), max_body=MEBIBYTE)

    assert Reason.ARGS_NOT_ALLOWED is check(call("echo", arguments), reading).reason


def test_numbers_with_exponents_are_not_left_to_the_reader_that_is_slow_with_them():
    data = b"[" + b",".join([b"1.7e308"] * 125_000) + b"]"

    assert strictjson._is_doubtful(data)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///public/../secret",
        "file:///public/%2e%2e/secret",
        "file:///public/..%2Fsecret",
        "file:///public/..\\secret",
        "file:///public/./../secret",
        "file:///public/..",
    ],
)
def test_a_uri_does_not_climb_out_of_its_pattern(uri):
    target = snapshot(server(rule(names={Kind.RESOURCE: ("file:///public/*",)})))

    assert not check(post(message("resources/read", {"uri": uri})), target).allowed


@pytest.mark.parametrize("host", ["[x", "[::1", "a]", "[]", "[zz]:80"])
def test_a_denial_is_answered_whatever_the_host_looks_like(host):
    target = server(hosts=frozenset({"*"}), resource="")
    request = post(message("ping"), {"authorization": ...}, host=host)

    assert 401 == render_denial(check(request, snapshot(target)), target, request, "0" * 16).status


@pytest.mark.parametrize("type_", [[], {}])
def test_a_reference_of_no_type_is_a_bad_message(type_):
    request = post(message("completion/complete", {"ref": {"type": type_}}))

    assert Reason.BAD_MESSAGE is check(request, snapshot(server())).reason
