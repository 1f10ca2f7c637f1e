"""What is said about names of resources that guard less than they seem to."""

import pytest

from tests.support.policy_files import NATIVE, warnings


def found(*rules):
    text = NATIVE.replace("allow: {tools: [echo]}", "\n      - ".join(rules))
    return [line.split(": ", 1)[1] for line in warnings(text)]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("db:///%73ecret/*", "write db:///secret/*"),
        ("DB:///x", "write db:///x"),
        ("https://Example.com/*", "write https://example.com/*"),
        ("https://User@Example.com:443/*", "write https://User@example.com:443/*"),
        ("db:///caf%c3%a9/*", "write db:///caf%C3%A9/*"),
        ("file:///a/../b", "leave out dot segments, backslashes, escaped separators and what is not UTF-8"),
        ("file:///a%2Fb/*", "leave out dot segments, backslashes, escaped separators and what is not UTF-8"),
        ("file:///caf%E9", "leave out dot segments, backslashes, escaped separators and what is not UTF-8"),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_name_that_is_no_canonical_uri_is_reported_with_the_canonical_one(effect, name, cure):
    expected = f"servers.files.rules[0].{effect}.resources: {name} is not a canonical URI, so no resource has this name ({cure})"

    assert [expected] == found(f"{effect}: {{resources: ['{name}']}}")


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "file:///*",
        "file:///a%20b/*",
        "db:///{table}/*",
        "urn:isbn:*",
        "*.md",
        "greeting://Alice",
        "ui://*",
    ],
)
def test_an_ordinary_name_is_not_reported(name):
    assert [] == found(f"allow: {{resources: ['{name}']}}")


@pytest.mark.parametrize(
    ("allow", "deny", "only"),
    [
        ("db:///*", "db:///secret/*", "db:///NAME/*"),
        ("*", "db:///secret/*", "db:///NAME/*"),
        ("db:///*", "db:///secret", "db:///NAME"),
        ("file:///data/*", "file:///data/private/keys/*", "file:///data/private/NAME/*"),
        ("file:///*", "file:///*.key", "file:///NAME"),
    ],
)
def test_a_deny_beside_a_wider_allow_is_reported_with_the_form_that_only_allows(allow, deny, only):
    (line,) = found(f"allow: {{resources: ['{allow}']}}", f"deny: {{resources: ['{deny}']}}")

    assert line.startswith(
        f"servers.files.rules[1].deny.resources: denies {deny} beside the wider {allow} of rule-1"
    )
    assert f'allow: {{resources: ["{only}"]}} for each NAME' in line


@pytest.mark.parametrize(
    "rules",
    [
        ("allow: {resources: ['db:///a/*']}", "deny: {resources: ['db:///b/*']}"),
        ("allow: {tools: ['*']}", "deny: {resources: ['db:///b/*']}"),
        ("allow: {resources: ['db:///*']}", "deny: {resources: ['db:///b/*']}\n        shadow: true"),
        ("allow: {resources: ['db:///*']}", "deny: {resources: ['*']}\n        roles: [guest]"),
        ("allow: {resources: ['db:///*']}", "deny: {tools: ['*_secret']}"),
    ],
)
def test_a_deny_that_no_wider_allow_stands_beside_is_not_reported(rules):
    assert [] == found(*rules)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("deny: {resources: ['*']}\n        when: mcp.resource.uri.startsWith('db:///secret/')", True),
        ("deny: {tools: ['*_x']}\n        when: mcp.tool.name == 'a_x'", False),
        ("allow: {resources: ['db:///a/*']}\n        when: mcp.resource.uri.startsWith('db:///a/b')", False),
    ],
)
def test_a_deny_that_compares_a_uri_in_an_expression_is_reported(rule, expected):
    reported = [line for line in found(rule) if "compares mcp.resource as text" in line]

    assert expected is bool(reported)
    assert all(line.startswith("servers.files.rules[0].when: ") for line in reported)
