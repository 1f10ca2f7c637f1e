"""The section `claims`: names, paths, and what is probably meant as a path."""

import pytest

from tests.support.policy_files import NATIVE, problems, settings, warnings

ISSUER = "    issuer: https://issuer.example/\n"


def with_claims(text, rules=""):
    return NATIVE.replace(ISSUER, f"{ISSUER}    claims: {text}\n") + rules


def terms(text, rules=""):
    (server,) = settings(with_claims(text, rules)).directory.servers
    return server.issuers["https://issuer.example/"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{roles: roles}", ("roles",)),
        ("{roles: [realm_access, roles]}", ("realm_access", "roles")),
        ('{roles: ["https://example.com/roles"]}', ("https://example.com/roles",)),
        ("{roles: [resource_access, my-client, roles]}", ("resource_access", "my-client", "roles")),
    ],
)
def test_a_claim_is_a_name_and_a_list_is_a_path(text, path):
    assert path == terms(text).roles_claim


@pytest.mark.parametrize(
    "text", ["[]", "{a: b}", "5", '[a, ""]', '""', "[a, [b]]", "[a, b, c, d, e, f, g, h, i]"]
)
def test_what_is_neither_a_name_nor_a_path_is_refused_in_one_sentence(text):
    assert [
        (
            "FILE:4: issuers.main.claims.roles: "
            "a claim is a name, or the list of names that lead to it, as in [realm_access, roles]"
        )
    ] == [line.replace(".roles[0]", ".roles") for line in problems(with_claims(f"{{roles: {text}}}"))]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("realm_access.roles", "[realm_access, roles]"),
        ("resource_access.my-client.roles", "[resource_access, my-client, roles]"),
    ],
)
@pytest.mark.parametrize("key", ["scopes", "roles", "groups", "client", "subject", "audience"])
def test_a_name_with_dots_that_is_no_url_is_a_warning_with_the_path_it_could_be(key, name, path):
    assert [
        (
            f"FILE:4: issuers.main.claims.{key}: {name} is one claim, whose name has dots"
            f" (for a claim within another write {path})"
        )
    ] == warnings(with_claims(f"{{{key}: {name}}}"))


@pytest.mark.parametrize(
    "text",
    ["https://example.com/roles", "urn:example.com:roles", "example.com/roles", "roles", '"cognito:groups"'],
)
def test_a_url_with_dots_is_a_name_like_any_other(text):
    assert [] == warnings(with_claims(f"{{roles: {text}}}"))


@pytest.mark.parametrize(
    ("rules", "read"),
    [
        ("", False),
        ("        groups: [/platform/sre]\n", True),
        ("        when: '\"/platform/sre\" in groups'\n", True),
        ("        args: size(groups) > 0\n", True),
        ("        when: size(roles) > 0\n", False),
    ],
)
def test_groups_are_read_where_a_rule_of_the_server_asks_for_them(rules, read):
    assert (("groups",) if read else None) == terms("{}", rules).groups_claim


def test_a_required_claim_with_dots_is_a_warning_because_it_cannot_be_a_path():
    text = NATIVE.replace(
        ISSUER, f"{ISSUER}    required_claims: {{ext.tenant: acme, 'https://a.example/b': null}}\n"
    )

    assert [
        (
            "FILE:4: issuers.main.required_claims.ext.tenant: ext.tenant is one claim, whose name has dots"
            " (only claims of the token itself are required here; ask for others in a rule's when)"
        )
    ] == warnings(text)
