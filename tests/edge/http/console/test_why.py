"""Why a kept denial came: by the policy in force, from what is still known of it."""

import msgspec
import pytest

from authz.core.decision import Decision, Facts
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.http.console.why import NOT_KEPT, explain_denial
from authz.edge.http.memory import WorkerMemory, together
from authz.edge.telemetry.decision_record import make_record
from authz.edge.telemetry.denial_ring import KEPT, DenialRing
from tests.support.policy_files import NATIVE, principal, settings

TEXT = (
    NATIVE
    + """\
      - allow: {tools: [delete_file]}
        name: deleters
        scopes: [files:delete]
"""
)
SECRET = "secret-value"


def kept(reason=Reason.MISSING_SCOPE, *, item="delete_file", rule="deleters", who=None, ring=None, number=1):
    """Give a ring to which a denial was added."""
    who = who or principal("files:read", claim=SECRET)
    decision = Decision(
        reason=reason,
        server="files",
        method="tools/call",
        item=Item(Kind.TOOL, item) if item else None,
        rule=rule,
        caller=Caller.of(who, "files", issuer="main"),
    )
    ring = ring or DenialRing()
    facts = Facts(decision_id=f"d-{number}", policy="old", at=1e9 + number, status=403, source="10.0.0.1")
    ring.add(make_record(decision, facts, 0.1), decision)
    return ring


def test_a_denial_is_explained_with_what_has_to_change_and_what_the_caller_sees():
    why = explain_denial(kept().find("d-1"), settings(TEXT))

    assert ["deleters must hold: scopes files:delete"] == why.changes
    assert (
        "->",
        "deleters",
        "allow",
        "does not hold",
        "scopes",
        "false",
        "files:delete",
        "files:delete",
    ) in why.rules
    assert [
        ("tool", "delete_file", "no", "missing_scope", "deleters"),
        ("tool", "echo", "yes", "allowed"),
    ] == [
        why.lists[0],
        why.lists[1][:4],
    ]
    assert ("scopes", "files:read") in why.grants
    assert (
        "In force is another policy than the one that decided. It says missing_scope by deleters." == why.now
    )


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", []),
        ('        args: args.path != ""\n', [NOT_KEPT]),
        ("        arguments: {path: string}\n", [NOT_KEPT]),
    ],
)
def test_it_is_said_when_arguments_would_have_to_be_known(extra, expected):
    assert expected == explain_denial(kept().find("d-1"), settings(TEXT + extra)).notes


def test_a_policy_that_would_allow_it_now_says_so():
    now = settings(TEXT.replace("[files:delete]", "[files:read]"))

    assert explain_denial(kept().find("d-1"), now).now.endswith("It says allowed by deleters.")


def test_a_server_that_is_gone_is_named():
    gone = settings(NATIVE.replace("  files:", "  other:"))

    assert "The policy in force has no server files." == explain_denial(kept().find("d-1"), gone).now


def test_no_claim_leaves_the_process():
    ring = kept()
    memory = WorkerMemory(denials=ring.latest(), why=explain_denial(ring.find("d-1"), settings(TEXT)))

    assert SECRET.encode() not in msgspec.msgpack.encode(memory)


def test_a_flood_of_one_group_pushes_out_no_denial_of_another_and_allows_are_not_kept():
    ring = kept()
    for number in range(2, 3 * KEPT):
        kept(Reason.BAD_JSON, item="", rule="", ring=ring, number=number)
    allowed = Decision(reason=Reason.ALLOWED, allowed=True)
    ring.add(
        make_record(allowed, Facts(decision_id="x", policy="", at=2e9, status=0, source=""), 0.1), allowed
    )

    found = ring.latest()

    assert (KEPT + 1, "d-1") == (len(found), found[-1].decision_id)
    assert ring.find("x") is None


def test_several_workers_memories_are_one_the_latest_first():
    one, two = (WorkerMemory(denials=kept(number=number).latest()) for number in (1, 2))

    assert ["d-2", "d-1"] == [each.decision_id for each in together([one, two]).denials]


def test_a_refused_token_keeps_the_fixed_sentence_that_says_why():
    refused = TokenRejected(reason=Reason.BAD_CLAIMS, detail="aud is missing")
    decision = Decision(reason=Reason.BAD_CLAIMS, server="files", rejection=refused)
    ring = DenialRing()
    facts = Facts(decision_id="d-1", policy="old", at=1e9, status=401, source="")
    ring.add(make_record(decision, facts, 0.1), decision)

    assert "aud is missing" == explain_denial(ring.find("d-1"), settings(TEXT)).denial.detail
