"""What a Check leaves for the rewriter: only what visibility depends on, under keys that Envoy carries."""

import json

import pytest

from authz.core.identity.principal import Caller
from authz.core.policy.policy import VisibilityInputs
from authz.core.response.caller_metadata import KEY, LISTENER, decode_caller, encode_caller, read_of
from tests.support import core

ASKED = core.post(core.message("tools/list"), {"x-team": "red", "x-other": "1"})


def left(claims, headers):
    inputs = VisibilityInputs(claims=claims, headers=headers)
    caller = Caller.of(core.principal(team="red", level=3), "demo")
    return json.loads(encode_caller(caller, ASKED, inputs))


def test_the_keys_are_those_that_a_check_of_another_version_leaves():
    assert ("caller", "listener") == (KEY, LISTENER)


@pytest.mark.parametrize(
    ("names", "claims"),
    [
        (frozenset(), {}),
        (frozenset({"team"}), {"team": "red"}),
        (frozenset({"team", "absent"}), {"team": "red"}),
        (None, {"sub": "auth0|alice", "team": "red", "level": 3}),
    ],
)
def test_only_claims_that_rules_read_are_left(names, claims):
    assert claims == left(names, frozenset())["claims"]


@pytest.mark.parametrize(
    ("names", "headers"),
    [(frozenset(), {}), (frozenset({"x-team", "absent"}), {"x-team": "red"})],
)
def test_only_headers_that_rules_read_are_left(names, headers):
    assert headers == left(frozenset(), names)["headers"]


def test_all_headers_are_left_but_the_token_where_rules_can_read_all():
    headers = left(frozenset(), None)["headers"]

    assert {"x-team": "red", "x-other": "1"}.items() <= headers.items()
    assert "authorization" not in headers


def test_what_a_check_left_out_is_empty():
    text = left(frozenset(), frozenset())
    found = decode_caller(json.dumps({key: text[key] for key in text.keys() - {"source", "holder"}}))

    assert ("", "", (), None) == (found.source, found.holder, found.groups, found.ends)


def test_a_text_is_kept_for_what_of_a_request_it_depends_on():
    read = VisibilityInputs(claims=frozenset(), headers=frozenset({"x-team"}))
    seen = read_of(ASKED, read)

    assert (ASKED.scheme, ASKED.host, ASKED.path, ASKED.source, "x-team", "red") == seen
    assert (None, "") == tuple(
        read_of(core.post(core.message("tools/list"), headers), read)[-1] for headers in ({}, {"x-team": ""})
    )
    assert read_of(ASKED, VisibilityInputs(claims=frozenset(), headers=None)) is None
