"""Two issuers of one server, and rules that take the word of both."""

import pytest

from tests.support.policy_files import problems, settings, warnings

TWO = """\
issuers:
  staff: {issuer: "https://staff.example/", audiences: [https://mcp.example/mcp]}
  guests: {issuer: "https://guests.example/", audiences: [https://mcp.example/mcp]}
servers:
  files:
    resource: https://mcp.example/mcp
    issuers: [staff, guests]
    rules:
      - allow: {tools: [echo]}
"""
CURE = "name whose word counts: issuers: [staff]; name all of them if that is meant"


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (["roles: [admin]"], ["roles: each of staff, guests can grant admin"]),
        (["roles: [admin, owner]"], ["roles: each of staff, guests can grant admin or owner"]),
        (["groups: [/ops/*]"], ["groups: each of staff, guests can grant /ops/*"]),
        (["roles: [admin]", "issuers: [staff]"], []),
        (["roles: [admin]", "issuers: [staff, guests]"], []),
        (["roles: [admin]", "when: issuer == 'staff'"], []),
        (["roles: [admin]", "when: jwt.iss == 'https://staff.example/'"], []),
        (["roles: [admin]", "shadow: true"], []),
        (["scopes: [a]"], []),
    ],
)
def test_a_role_that_two_issuers_can_grant_is_a_warning_unless_the_rule_says_whose_word_counts(parts, found):
    text = TWO + "".join(f"        {part}\n" for part in parts)

    assert [f"FILE:10: servers.files.rules[0].{line} ({CURE})" for line in found] == warnings(text)


def test_a_deny_by_role_is_meant_for_all_issuers():
    assert [] == warnings(TWO + "      - {deny: {tools: [x]}, roles: [intern]}\n")


def test_one_issuer_needs_no_name_in_a_rule():
    assert (
        []
        == warnings(TWO.replace("[staff, guests]\n    rules", "[staff]\n    rules") + "        roles: [a]\n")[
            1:
        ]
    )


def test_a_rule_for_an_issuer_that_the_server_does_not_trust_is_refused():
    assert [
        "FILE:10: servers.files.rules[0].issuers[1]: this server does not trust nobody (known here: staff, guests)"
    ] == problems(TWO + "        issuers: [staff, nobody]\n")


def test_the_rule_knows_the_name_of_the_issuer_in_the_file():
    (server,) = settings(TWO + "        issuers: [staff]\n").directory.servers

    assert {"https://staff.example/": "staff", "https://guests.example/": "guests"} == {
        issuer: terms.name for issuer, terms in server.issuers.items()
    }
    assert frozenset({"staff"}) == server.policy.rules[0].issuers
