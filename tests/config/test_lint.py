import pytest

from authz.config.lint import substring_tests
from tests.support.policy_files import NATIVE, POLICY, warnings

SAYS = "tests a scope as a substring of {}, so that other scopes with these letters pass too (write {} in scopes)"

FOUND = [
    ('jwt.scope.contains("files:read")', [(1, 4, 'write "files:read" in scopes')]),
    ('jwt["scope"].contains("a")', [(1, 4, 'write "a" in scopes')]),
    ("jwt.scope.contains('a')", [(1, 4, 'write "a" in scopes')]),
    ("jwt.scope.contains(client)", [(1, 4, "write … in scopes")]),
    ('!(true &&\n  jwt.scope.contains("a"))', [(2, 6, 'write "a" in scopes')]),
    (
        'jwt.scope.contains("b") || jwt.scp.contains("a")',
        [(1, 4, 'write "b" in scopes'), (1, 31, 'write "a" in scopes')],
    ),
    ('roles.exists(r, jwt.scope.contains(r + "x"))', [(1, 20, "write … in scopes")]),
    ('"files:read" in scopes', []),
    ('scopes.contains("files:read")', []),
    ('jwt.other.contains("a")', []),
    ('jwt.scope == "a"', []),
    ('client.contains("a")', []),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_a_scope_that_is_looked_for_inside_a_string_is_found_and_the_safe_form_is_shown(text, expected):
    found = substring_tests(text, {"scope", "scp"})

    assert expected == [(finding.line, finding.column, finding.cure) for finding in found]


def test_a_native_file_warns_at_the_expression_s_line_for_the_claim_of_the_server_s_issuer():
    text = NATIVE.replace("    audiences", "    claims: {scopes: scp}\n    audiences", 1)
    text += "        when: |\n          true &&\n          jwt.scp.contains('a')\n"
    text += "        args: jwt.scope.contains('b') || jwt.scp.contains('c')\n"

    when, args = SAYS.format("scp", '"a"'), SAYS.format("scp", '"c"')

    assert [
        f"FILE:14: servers.files.rules[0].when: {when}",
        f"FILE:15: servers.files.rules[0].args: {args}",
    ] == warnings(text)


def test_an_agentgateway_policy_warns_at_the_expression_s_line():
    text = POLICY + "            - jwt.scope.contains('a')\n            - jwt.scp.contains('b')\n"
    where = "spec.backend.mcp.authorization.policy.matchExpressions[1]"
    says = SAYS.format("scope", '"a"')

    assert [f"FILE:19: {where}: {says}"] == warnings(text)
