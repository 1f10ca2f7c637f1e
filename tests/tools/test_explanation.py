import json

import pytest

from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.tools.explanation import (
    DescribedCaller,
    as_json,
    caller_json,
    entries_json,
    explain_request,
    list_entries,
)
from authz.tools.explanation_view import show_entries, show_explanation
from authz.tools.requests import decide, post, use
from tests.support.core import principal
from tests.support.policy_files import NATIVE, settings

POLICY = (
    NATIVE
    + """\
      - {name: readers, allow: {tools: [list_files], prompts: [hello]}, scopes: [files:read], args: args.n == 42}
"""
)
SETTINGS = settings(POLICY)
(SERVER,) = SETTINGS.directory.servers
CALLER = Caller.of(principal("other:scope", roles=("user",)), SERVER.name)
REJECTED = TokenRejected(reason=Reason.EXPIRED_TOKEN, detail="the token has expired")


def explained(name, who=CALLER, arguments=None):
    return explain_request(SETTINGS, SERVER, post(SERVER, use(Item(Kind.TOOL, name), arguments)), who)


def test_an_allow_is_explained_by_the_rule_that_decided():
    found = as_json(explained("echo"))

    assert ("allow", "allowed", "rule-1", True) == tuple(
        found[key] for key in ("decision", "reason", "rule", "listed")
    )
    assert [("rule-1", True)] == [(rule["rule"], rule["decided"]) for rule in found["rules"]]
    assert [] == found["changes"]


def test_a_denial_shows_every_condition_and_what_would_have_to_change():
    found = as_json(explained("list_files", arguments={"n": 1}))

    assert ("deny", "readers") == (found["decision"], found["rule"])
    assert {("args", "false"), ("scopes", "false")} == {
        (part["part"], part["value"]) for part in found["rules"][0]["parts"]
    }
    (change,) = found["changes"]
    assert ("readers", "hold", ["args", "scopes"]) == (
        change["rule"],
        change["must"],
        [part["part"] for part in change["parts"]],
    )


def test_a_decision_that_did_not_come_to_the_rules_has_no_explanation():
    found = explained("echo", REJECTED)

    assert found.explanation is None
    assert ("expired_token", "the token has expired", []) == tuple(
        as_json(found)[key] for key in ("reason", "detail", "rules")
    )


def test_a_list_holds_every_item_that_rules_name_in_order_of_kind_and_name():
    entries = list_entries(SERVER, CALLER, {})
    found = entries_json(decide(SETTINGS, post(SERVER, use(Item(Kind.TOOL, "echo"))), CALLER), entries)

    assert [("tool", "echo", True), ("tool", "list_files", False), ("prompt", "hello", False)] == [
        (row["kind"], row["name"], row["listed"]) for row in found["items"]
    ]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (DescribedCaller(caller=REJECTED, how="no token"), {"caller": None, "how": "no token", "notes": []}),
        (
            DescribedCaller(caller=CALLER, how="given"),
            {
                "caller": {
                    "issuer": CALLER.principal.issuer,
                    "subject": "auth0|alice",
                    "client": "client-1",
                    "scopes": ["other:scope"],
                    "roles": ["user"],
                    "groups": [],
                },
                "how": "given",
                "notes": [],
            },
        ),
    ],
)
def test_a_caller_is_described_in_plain_values(who, expected):
    assert expected == json.loads(json.dumps(caller_json(who)))


def test_people_read_the_decision_the_conditions_and_the_change(capsys):
    show_explanation(
        explained("list_files", arguments={"n": 1234567}), DescribedCaller(caller=CALLER, how="given")
    )
    said = capsys.readouterr().out

    assert said.startswith("DENY  tool list_files at files\nreason  args_not_allowed by readers")
    assert "- readers must hold: args args.n == 42; scopes files:read\n" in said
    assert "1234567" not in said


def test_people_read_what_is_listed(capsys):
    decision = decide(SETTINGS, post(SERVER, use(Item(Kind.TOOL, "echo"))), CALLER)
    show_entries(
        decision, "files", DescribedCaller(caller=CALLER, how="given"), list_entries(SERVER, CALLER, {})
    )
    lines = capsys.readouterr().out.splitlines()

    assert "allowed for a list at files" == lines[0]
    assert ["tool", "echo", "yes", "allowed", "rule-1"] in [line.split() for line in lines]
