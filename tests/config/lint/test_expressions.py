from itertools import product

import pytest

from authz.config.lint.expressions import substring_tests, unguarded_reads
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from tests.support.policy_files import NATIVE, POLICY, principal, reason, settings, warnings

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

    assert expected == len(warnings(text))


SHADOWED = "can never allow: everything it names is denied to everyone by {}"
REDUNDANT = "changes nothing: {} selects the same names and has no conditions"
SCOPED, GUESTS, SHADOW = "\n        scopes: [s]", "\n        roles: [guest]", "\n        shadow: true"
RULES = [
    (["allow: {tools: [a]}", "deny: {tools: [a]}"], [(0, SHADOWED.format("rule-2"))]),
    (
        ["allow: {tools: [a, b]}", "deny: {tools: [a]}", "deny: {tools: ['b*']}"],
        [(0, SHADOWED.format("rule-2, rule-3"))],
    ),
    (["allow: {tools: [a, b]}", "deny: {tools: [a]}"], []),
    (["allow: {tools: [a]}", "deny: {prompts: [a]}"], []),
    (["allow: {tools: [a]}", "deny: {tools: [a]}" + GUESTS], []),
    (["allow: {tools: [a]}", "deny: {tools: [a]}" + SHADOW], []),
    (["allow: {tools: [a]}" + SHADOW, "deny: {tools: [a]}"], []),
    (["allow: {tools: ['*']}", "allow: {tools: [a]}" + SCOPED], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: [a]}" + SCOPED, "allow: {tools: ['*']}"], [(0, REDUNDANT.format("rule-2"))]),
    (["allow: {tools: ['a_*']}", "allow: {tools: ['a_*_b', a_b]}"], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: ['a_*_b']}", "allow: {tools: ['a_*']}"], [(0, REDUNDANT.format("rule-2"))]),
    (["allow: {tools: ['*_b']}", "allow: {tools: ['a_*']}"], []),
    (["allow: {tools: [a]}", "allow: {tools: [a]}"], [(1, REDUNDANT.format("rule-1"))]),
    (["deny: {tools: ['a*']}", "deny: {tools: [ab]}" + GUESTS], [(1, REDUNDANT.format("rule-1"))]),
    (["allow: {tools: [a]}", "allow: {tools: [a, b]}" + SCOPED], []),
]


@pytest.mark.parametrize(("rules", "expected"), RULES)
def test_a_rule_that_can_never_matter_is_named_with_the_rule_that_makes_it_so(rules, expected):
    text = NATIVE.replace("allow: {tools: [echo]}", "\n      - ".join(rules))

    found = [line.split(": ", 1)[1] for line in warnings(text)]

    cure = "remove it, or narrow the other"
    assert [f"servers.files.rules[{index}]: {message} ({cure})" for index, message in expected] == found


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


ALLOWS, DENIES = "allows", "denies"
NEVER = [
    ("allow: {tools: [a]}", 'mcp.tool.name == "b"', ALLOWS),
    ("allow: {tools: ['a*']}", 'mcp.tool.name in ["b", "c"] && "x" in roles', ALLOWS),
    ("allow: {prompts: [a]}", 'mcp.tool.name == "a"', ALLOWS),
    ("allow: {resources: ['file:///*']}", 'mcp.resource.uri == "https://a"', ALLOWS),
    ("allow: {tasks: [a]}", 'mcp.task.id == "b"', ALLOWS),
    ("allow: {tools: [a]}", "false", ALLOWS),
    ("allow: {tools: [a]}", "1 / 0 == 1", ALLOWS),
    ("deny: {tools: [a]}", 'mcp.tool.name == "b"', DENIES),
    ("deny: {tools: [a]}", "1 > 2", DENIES),
    ("deny: {tools: [a]}", "1 / 0 == 1", None),
    ("deny: {prompts: [a]}", 'mcp.tool.name == "a"', None),
    ("deny: {tools: [a], prompts: [a]}", 'mcp.tool.name == "b"', None),
    ("allow: {tools: ['a*']}", 'mcp.tool.name == "ab"', None),
    ("allow: {tools: [a], prompts: [a]}", 'mcp.tool.name == "a"', None),
    ("allow: {tools: [a]}", 'mcp.tool.name == "b" || "x" in roles', None),
    ("allow: {tools: [a]}", "size(roles) >= 0", None),
]
EVERYTHING = "allow: {tools: ['*'], prompts: ['*'], resources: ['*'], tasks: ['*']}"
NAMES = ("a", "ab", "b", "c", "file:///a", "https://a")


def with_rule(rule, when):
    """Write a file with one allow, or with one deny beside an allow of everything."""
    others = [EVERYTHING] if rule.startswith("deny") else []
    rules = "\n      - ".join([f"{rule}\n        when: '{when}'", *others])
    return NATIVE.replace("allow: {tools: [echo]}", rules)


def does_something(text):
    """Tell whether any item of any kind is judged otherwise than it would be without the file's first rule."""
    loaded, without = settings(text), Reason.ALLOWED if EVERYTHING in text else Reason.NO_RULE
    items = [Item(kind, name) for kind, name in product(Kind, NAMES)]
    return any(
        reason(loaded, principal(roles=roles), item, arguments={}) is not without
        for item, roles in product(items, ((), ("x",)))
    )


@pytest.mark.parametrize(("rule", "when", "does"), NEVER)
def test_a_condition_that_never_holds_for_what_its_rule_names_is_found_and_the_rule_does_nothing(
    rule, when, does
):
    text = with_rule(rule, when)

    says = (
        f"can never hold for what the rule names, so the rule never {does} (correct it, or remove the rule)"
    )
    assert ([f"FILE:11: servers.files.rules[0].when: {says}"] if does else []) == warnings(text)
    assert (does is None) is does_something(text)


def test_an_args_condition_that_never_holds_is_found_too():
    (found,) = warnings(NATIVE + "        args: mcp.tool.name == 'b' && args.x == 1\n")

    assert found.startswith("FILE:11: servers.files.rules[0].args: can never hold")
