import pytest

from authz.config.lint.expressions import substring_tests, unguarded_reads
from tests.support.policy_files import NATIVE, POLICY, warnings

SAYS = "tests a scope as a substring of {}, so other scopes that contain it match too (write {} in scopes)"
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
    ('jwt.scope.startsWith("files:")', [(1, 4, 'write "files:" in scopes')]),
    ('jwt.scope.endsWith(":read")', [(1, 4, 'write ":read" in scopes')]),
    ('jwt.scope.matches("(^| )a( |$)")', [(1, 4, "write … in scopes")]),
    ('matches(jwt.scope, "a")', [(1, 12, "write … in scopes")]),
    ('jwt.other.matches("a") || client.startsWith(jwt.scope)', []),
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


UNASKED = [
    ('jwt.department == "sales"', ['jwt["department"]']),
    ('jwt["department"] == "sales"', ['jwt["department"]']),
    ('has(jwt.department) && jwt.department == "sales"', []),
    ('"department" in jwt && jwt.department == "sales"', []),
    ('request.headers["x-env"] == "prod"', ['request.headers["x-env"]']),
    ('"x-env" in request.headers && request.headers["x-env"] == "prod"', []),
    ('has(request.headers.x) && request.headers["x"] == "prod"', []),
    ("has(jwt.a) && jwt.b == 1 && jwt.b == jwt.a", ['jwt["b"]']),
    ('"a" in request.headers && jwt.a == 1', ['jwt["a"]']),
    ('jwt.iss == "x" || jwt.exp > 1 || "x" in jwt.aud', []),
    ('"admin" in roles && request.path == "/mcp"', []),
]


@pytest.mark.parametrize(("text", "expected"), UNASKED)
def test_a_claim_or_header_that_is_read_without_asking_whether_it_is_there_is_found(text, expected):
    found = unguarded_reads(text)

    assert [f"denies every caller without {name}" for name in expected] == [
        finding.message.partition(",")[0] for finding in found
    ]


def test_a_deny_over_data_that_can_be_missing_warns_at_its_line_and_an_allow_or_a_shadow_does_not():
    text = NATIVE + (
        "      - deny: {tools: [b]}\n        when: |\n          true &&\n          jwt.x == 1\n"
        "      - allow: {tools: [c]}\n        when: jwt.x == 1\n"
        "      - deny: {tools: [d]}\n        when: jwt.x == 1\n        shadow: true\n"
    )

    says = 'denies every caller without jwt["x"], because a deny that cannot be evaluated denies'
    cure = 'if that is not intended, begin with "x" in jwt &&'
    assert [f"FILE:14: servers.files.rules[1].when: {says} ({cure})"] == warnings(text)


@pytest.mark.parametrize(("action", "expected"), [("Deny", 1), ("Allow", 0), ("Require", 0)])
def test_an_agentgateway_deny_over_data_that_can_be_missing_warns(action, expected):
    text = POLICY.replace("action: Allow", f"action: {action}").replace(
        'mcp.tool.name == "echo"', "jwt.x == 1"
    )

    assert expected == sum("matchExpressions" in warning for warning in warnings(text))


def test_a_server_without_rules_is_a_warning_at_its_rules():
    text = NATIVE.replace("rules:\n      - allow: {tools: [echo]}", "rules: []")

    says = "no rule, so no tool, prompt, resource or task can be used (allow something)"
    assert [f"FILE:9: servers.files.rules: {says}"] == warnings(text)


@pytest.mark.parametrize(("count", "expected"), [(1000, 0), (1001, 1)])
def test_more_than_a_thousand_patterns_without_text_at_either_end_are_a_warning(count, expected):
    loose = ", ".join(f"'*t{number}_*'" for number in range(count))
    names = ", ".join([loose, *(f"'t{number}_*'" for number in range(2000))])
    found = warnings(NATIVE.replace("[echo]", f"[{names}]"))

    assert expected == len(found)
    assert all("servers.files.rules: 1001 names begin and end with *" in line for line in found)
