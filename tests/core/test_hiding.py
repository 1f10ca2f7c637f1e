"""If any rule of a server hides, a hidden name and one that no rule knows are answered alike, to the byte."""

import pytest

from authz.core.denial import render_denial
from authz.core.mcp.item import Kind
from authz.core.policy.rule import DenialStyle
from tests.support.core import LEGACY, MODERN, check, message, mirrored, modern, post, rule, server, snapshot

NAMES = {
    Kind.TOOL: ("tools/call", "name", "admin_x", "other_x"),
    Kind.PROMPT: ("prompts/get", "name", "admin_x", "other_x"),
    Kind.RESOURCE: ("resources/read", "uri", "db:///secret/x", "db:///nobody/x"),
    Kind.TASK: ("tasks/get", "taskId", "admin_x", "other_x"),
}
SELECTED = {
    Kind.TOOL: ("admin_*",),
    Kind.PROMPT: ("admin_*",),
    Kind.RESOURCE: ("db:///secret/*",),
    Kind.TASK: ("admin_*",),
}
OPEN = dict.fromkeys(Kind, ("open",))
HOW_HIDDEN = {
    "by a deny": {"effect": "deny"},
    "for want of a scope": {"effect": "allow", "scopes": ["x"]},
    "for want of a role": {"effect": "allow", "roles": ["x"]},
    "by a condition": {"effect": "allow", "when": "false"},
    "by a deny that fails": {"effect": "deny", "when": "jwt.missing == 1"},
}


def answer(target, kind, name, version):
    method, key, *_ = NAMES[kind]
    body = (modern if version == MODERN else message)(method, {key: name})
    request = post(body, mirrored(method, name) if version == MODERN else {"mcp-protocol-version": LEGACY})
    decision = check(request, snapshot(target))
    assert not decision.allowed
    given = render_denial(decision, target, request, "0" * 16)
    return given.status, given.headers, given.body.replace(name.encode(), b"NAME")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("parts", HOW_HIDDEN.values(), ids=HOW_HIDDEN.keys())
@pytest.mark.parametrize("version", [LEGACY, MODERN])
@pytest.mark.parametrize("own_style", [None, DenialStyle.HTTP])
@pytest.mark.parametrize("style", DenialStyle)
@pytest.mark.requirement("protocol.hide", "security.hidden-is-unknown")
def test_a_hidden_name_is_answered_as_one_that_no_rule_knows(kind, parts, version, own_style, style):
    target = server(
        rule(names=OPEN),
        rule(names=SELECTED, name="hiding", hide=True, denial=own_style, **parts),
        denial=style,
    )
    _, _, hidden, unknown = NAMES[kind]

    assert answer(target, kind, unknown, version) == answer(target, kind, hidden, version)
    assert (
        b"Unknown" in answer(target, kind, hidden, version)[2]
        or b"not found" in answer(target, kind, hidden, version)[2]
    )


def test_a_uri_that_could_be_a_hidden_one_is_unknown_too():
    target = server(
        rule(names={Kind.RESOURCE: ("db:///*",)}, name="wide", scopes=["more"]),
        rule(names={Kind.RESOURCE: ("db:///*",)}, name="open"),
        rule("deny", names={Kind.RESOURCE: ("db:///secret/*",)}, name="hiding", hide=True),
    )

    assert answer(target, Kind.RESOURCE, "db:///secret/x", LEGACY) == answer(
        target, Kind.RESOURCE, "db:///Secret/x", LEGACY
    )


def test_a_spelling_that_is_refused_whatever_the_rules_say_is_refused_alike():
    target = server(rule("deny", names={Kind.RESOURCE: ("db:///secret/*",)}, hide=True))

    assert (400, 400) == tuple(
        answer(target, Kind.RESOURCE, uri, LEGACY)[0] for uri in ("db:///%73ecret/x", "db:///%6Eobody/x")
    )


def test_where_no_rule_hides_a_denial_says_its_reason():
    target = server(rule("deny", "admin_*"))

    assert b"no_rule" in answer(target, Kind.TOOL, "other", LEGACY)[2]
    assert b"denied_by_rule" in answer(target, Kind.TOOL, "admin_x", LEGACY)[2]


def test_a_shadow_rule_hides_nothing():
    target = server(rule("deny", "admin_*", hide=True, shadow=True))

    assert b"no_rule" in answer(target, Kind.TOOL, "other", LEGACY)[2]


def test_a_rule_that_does_not_hide_still_asks_for_scope():
    target = server(rule("allow", "more", scopes=["x"]), rule("deny", "admin_*", hide=True, name="hiding"))

    assert (403, True) == (
        (given := answer(target, Kind.TOOL, "more", MODERN))[0],
        "www-authenticate" in dict(given[1]),
    )
