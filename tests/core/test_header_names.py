"""Names that a server may read as a guarded one are refused or removed, all others pass; judged values are ASCII."""

import pytest

from authz.core.reasons import Reason
from authz.core.transport import IDENTITY_HEADERS, JUDGED, SET, fold, misleading, respelled
from tests.support.core import LEGACY, check, message, own_session, post, rule, server, snapshot

SEPARATORS = "!#$%&'*+.^`|~"
"""Characters of a field name (RFC 9110 section 5.6.2) that are no letter, no digit, no hyphen and no underscore."""
PING = message("ping")


def decided(*rules, **headers):
    return check(post(PING, headers), snapshot(server(*rules)))


def named(name, value="mallory"):
    return {name: value}


@pytest.mark.parametrize("name", sorted(SET | JUDGED))
def test_a_guarded_name_in_its_own_spelling_is_not_taken_for_another(name):
    assert name == fold(name)
    assert (False, []) == (misleading({name: ""}, frozenset()), respelled([name]))


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("name", sorted(SET))
def test_another_spelling_of_a_name_that_is_set_is_to_be_removed(name, separator):
    spellings = [name.replace("-", separator), name.replace("-", separator, 1)]

    assert spellings == respelled([*spellings, name])
    assert decided(**named(spellings[0])).allowed


@pytest.mark.parametrize(
    "name", sorted(SET | JUDGED - {"authorization", "cookie", "host", "origin", "forwarded"})
)
def test_a_guarded_name_with_underscores_is_refused(name):
    for spelling in (name.replace("-", "_"), name.replace("-", "_", 1), "_".join(name.rsplit("-", 1))):
        assert Reason.HEADER_MISMATCH is decided(**named(spelling)).reason, spelling


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    "name", ["mcp-name", "content-type", "x-forwarded-for", "mcp-param-id", "x-envoy-retry-on"]
)
def test_another_spelling_of_a_name_that_is_judged_is_refused(name, separator):
    assert Reason.HEADER_MISMATCH is decided(**named(name.replace("-", separator))).reason


@pytest.mark.parametrize(
    "name",
    [
        "x-mcp-readonly",
        "x-mcp-toolsets",
        "x_mcp_readonly",
        "mcp-param-user_id",
        "mcp-param-a.b",
        "user_agent2",
        "x_y",
    ],
)
def test_every_other_name_passes(name):
    assert decided(**named(name)).allowed
    assert [] == respelled([name])


def test_two_parameters_that_a_server_may_read_as_one_are_refused():
    both = {"mcp-param-user_id": "1", "mcp-param-user-id": "2"}

    assert Reason.HEADER_MISMATCH is check(post(PING, both), snapshot(server())).reason


@pytest.mark.parametrize("condition", ["when", "args"])
def test_another_spelling_of_a_header_that_a_rule_reads_is_refused(condition):
    reading = rule("allow", "echo", **{condition: 'request.headers["x-tenant"] == "a"'})

    assert Reason.HEADER_MISMATCH is decided(reading, **named("x_tenant")).reason
    assert decided(**named("x_tenant")).allowed


def test_where_a_rule_may_read_any_header_no_two_may_be_one():
    reading = rule("allow", "echo", when='request.headers.exists(name, name == "x")')
    both = {"x-tenant": "a", "x_tenant": "b"}

    assert Reason.HEADER_MISMATCH is check(post(PING, both), snapshot(server(reading))).reason
    assert decided(reading, **named("x_tenant")).allowed


@pytest.mark.parametrize(
    "name",
    ["mcp-name", "mcp-method", "mcp-protocol-version", "mcp-session-id", "last-event-id", "mcp-param-city"],
)
@pytest.mark.parametrize("value", ["pub_\u00ff", "pub_\ufffd", "\u00fcber"])
def test_a_judged_value_that_is_not_ascii_is_refused(name, value):
    assert Reason.HEADER_MISMATCH is decided(**named(name, value)).reason


def test_a_value_that_nobody_judges_may_be_anything():
    headers = {"x-user": "J\u00fcrgen", "mcp-protocol-version": LEGACY, "mcp-session-id": own_session()}

    assert check(post(PING, headers), snapshot(server())).allowed


def test_the_identity_headers_are_among_those_that_are_set():
    assert SET.issuperset(IDENTITY_HEADERS)
