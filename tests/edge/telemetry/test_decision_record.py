"""The record of a decision: what it names, and what of a sender's text it keeps."""

import json
from dataclasses import replace

import msgspec
import pytest

from authz.core.decision import Decision, Facts
from authz.core.identity.principal import Caller, TokenRejected, Unverified
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.telemetry.decision_record import make_record
from tests.support.core import principal

FACTS = Facts(decision_id="id-1", policy="p", at=1_700_000_000.25, status=403, source="192.0.2.1")
MAX = 512


def recorded(*, seconds=0.0, facts=FACTS, **parts):
    """Return the JSON object of a decision's record."""
    decision = Decision(**{"reason": Reason.NO_RULE, **parts})
    return json.loads(msgspec.json.encode(make_record(decision, facts, seconds)))


def test_a_denial_without_a_caller_says_only_what_is_known():
    assert {
        "time": "2023-11-14T22:13:20.250Z",
        "decision_id": "id-1",
        "decision": "deny",
        "reason": "missing_token",
        "policy": "p",
        "status": 403,
        "duration_us": 1500,
        "source": "192.0.2.1",
    } == recorded(reason=Reason.MISSING_TOKEN, seconds=0.0015)


@pytest.mark.requirement("security.records-name-the-caller")
def test_a_caller_is_named_by_subject_client_and_issuer_and_by_no_other_claim():
    caller = Caller.of(principal("files:read", roles=("admin",), secret="s3cret"), "demo")
    record = recorded(caller=caller)

    assert ("auth0|alice", "client-1", caller.principal.issuer) == (
        record["sub"],
        record["client"],
        record["issuer"],
    )
    assert not {"files:read", "admin", "s3cret"} & set(json.dumps(record).replace('"', " ").split())


@pytest.mark.parametrize("kind", list(Kind))
def test_an_item_is_named_under_its_kind(kind):
    record = recorded(item=Item(kind, "name"))

    assert {kind.value: "name"} == {key: record[key] for key in map(str, Kind) if key in record}


def test_shadow_rules_that_disagree_are_named():
    assert ["one", "two"] == recorded(shadows=("one", "two"))["shadows"]


@pytest.mark.parametrize(("reason", "word"), [(Reason.ALLOWED, "allow"), (Reason.NO_RULE, "deny")])
def test_a_decision_is_one_of_two_words(reason, word):
    assert word == Decision(reason=reason, allowed=reason is Reason.ALLOWED).verdict


@pytest.mark.parametrize("field", ["method", "version"])
def test_a_senders_text_is_clipped_wherever_it_stands(field):
    assert "x" * MAX + "…" == recorded(**{field: "x" * 9000})[field]


def test_an_items_name_and_the_callers_subject_and_client_are_clipped():
    who = replace(principal(), subject="s" * 9000, client="c" * 9000)
    record = recorded(item=Item(Kind.TOOL, "t" * 9000), caller=Caller.of(who, "demo"))

    assert [letter * MAX + "…" for letter in "tsc"] == [record[key] for key in ("tool", "sub", "client")]


@pytest.mark.parametrize("character", ["\n", "\x1b", "\x85", "\u202e", "\u2066", "\u200f", "\u2028"])
def test_no_field_that_a_sender_fills_keeps_such_a_character(character):
    name = f"a{character}b"
    who = Caller.of(replace(principal(), subject=name, client=name), "demo")
    records = [recorded(item=Item(kind, name), caller=who, method=name, version=name) for kind in Kind]

    for kind, record in zip(Kind, records, strict=True):
        fields = (str(kind), "sub", "client", "method", "version")
        assert ["a\ufffdb"] * 5 == [record[key] for key in fields]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (951_782_399.9996, "2000-02-28T23:59:59.999Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_the_time_is_rfc_3339_in_utc_with_milliseconds_cut_off(at, expected):
    facts = Facts(decision_id="", policy="", at=at, status=0, source="")

    assert expected == recorded(facts=facts)["time"]


def test_a_refused_tokens_record_has_the_sentence_and_what_the_token_says_marked_as_unverified():
    said = Unverified(iss="https://other/", aud="a\u202eb", azp="")
    rejected = TokenRejected(reason=Reason.WRONG_AUDIENCE, detail="the sentence", unverified=said)
    record = recorded(reason=Reason.WRONG_AUDIENCE, rejection=rejected)

    assert "the sentence" == record["detail"]
    assert {"iss": "https://other/", "aud": "a\ufffdb"} == record["unverified"]
