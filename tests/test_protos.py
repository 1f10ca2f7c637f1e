"""The decision record is one contract: the generated code is what the generator makes, and records parse as it says."""

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format

from authz.core.decision import Decision, Facts
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Kind
from authz.core.mcp.methods import USES
from authz.core.reasons import Reason
from authz.core.request import Limits
from authz.edge.telemetry.decision_record import Record, make_record
from authz.proto.decision_pb2 import DecisionRecord
from tests.support.core import check, message, post, principal, rule, server, snapshot
from tests.support.waiting import DEADLINE

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ["decision_pb2.py", "decision_pb2.pyi", "otlp_pb2.py", "otlp_pb2.pyi"]
SAMPLES = {str: "text", bool: True, int: 7, tuple[str, ...]: ("one", "two")}
SAMPLES[Mapping[str, Any] | None] = {"groups": ["a"], "level": None}
SAMPLES[Mapping[str, str]] = {"iss": "text"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the generator makes now."""
    out = tmp_path_factory.mktemp("proto")
    subprocess.run(
        [sys.executable, str(ROOT / "protos" / "generate.py"), str(out)], check=True, timeout=DEADLINE
    )
    return out


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_code_is_what_the_generator_makes_now(made, name):
    assert (made / name).read_text() == (ROOT / "authz" / "proto" / name).read_text()


def test_the_generator_makes_nothing_else(made):
    assert GENERATED == sorted(path.name for path in made.iterdir())
    assert {*GENERATED, "__init__.py"} == {path.name for path in (ROOT / "authz" / "proto").glob("*.py*")}


def test_the_distribution_asks_for_a_protobuf_that_can_run_what_is_generated():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (floor,) = [each[10:] for each in project["project"]["dependencies"] if each.startswith("protobuf>=")]
    made_for = {
        line.rpartition(" ")[2]
        for name in GENERATED
        for line in (ROOT / "authz" / "proto" / name).read_text().splitlines()
        if line.startswith("# Protobuf Python Version: ")
    }

    assert {floor} == made_for


def parsed(record):
    """Parse a record's JSON line; an unknown field is an error."""
    return json_format.Parse(msgspec.json.encode(record), DecisionRecord(), ignore_unknown_fields=False)


def test_a_record_and_its_message_have_the_same_fields_in_the_same_order():
    assert list(Record.__struct_fields__) == [field.name for field in DecisionRecord.DESCRIPTOR.fields]


def test_a_record_with_every_field_set_parses_and_loses_nothing():
    values = {field.name: SAMPLES[field.type] for field in msgspec.structs.fields(Record)}
    record = Record(**values)
    message = parsed(record)

    assert len(values) == len(message.ListFields())
    assert msgspec.json.decode(msgspec.json.encode(record)) == json_format.MessageToDict(
        message, preserving_proto_field_name=True
    )


def refused_item(kind):
    """A denial about a long name, for a caller whose token holds a secret claim."""
    caller = principal("files:read", secret="s3cret")
    rules = [
        rule("allow", names={kind: ("*",)}, scopes=["more"]),
        rule("allow", names={kind: ("*",)}, shadow=True),
    ]
    context = snapshot(
        server(*rules),
        identify=lambda target, _: Caller.of(caller, target.name),
        limits=Limits(name=5000),
        max_body=1 << 16,
    )
    name = "n" * 5000
    return check(post(message(USES[kind], {"name": name, "uri": name, "taskId": name})), context)


DECISIONS = [
    Decision(),
    Decision(reason=Reason.MISSING_TOKEN, server="demo"),
    Decision(reason=Reason.ALLOWED, allowed=True, server="demo", method="tools/list", rewrite=True),
    *map(refused_item, Kind),
]


@pytest.mark.parametrize("decision", DECISIONS)
def test_the_record_of_any_decision_parses_and_says_what_was_decided(decision):
    record = make_record(
        decision,
        Facts(decision_id="id-1", policy="p", at=1790000000.1234, status=403, source="192.0.2.1"),
        0.0015,
    )
    message = parsed(record)

    assert ("allow" if decision.allowed else "deny", str(decision.reason)) == (
        message.decision,
        message.reason,
    )
    assert ("2026-09-21T14:13:20.123Z", 1500, decision.rewrite) == (
        message.time,
        message.duration_us,
        message.rewrite,
    )
    named = {kind: len(getattr(message, kind)) for kind in Kind if getattr(message, kind)}
    assert ({} if decision.item is None else {decision.item.kind: 513}) == named


@pytest.mark.parametrize("decision", DECISIONS)
def test_no_record_holds_a_claim_beyond_the_callers_identity(decision):
    record = make_record(decision, Facts(decision_id="id-1", policy="p", at=0, status=0, source=""), 0.0)

    assert b"s3cret" not in msgspec.json.encode(record)
    assert b"files:read" not in msgspec.json.encode(record)


CLAIMS = {"teams": ["a"], "realm_access": {"roles": ["r"], "more": 1}, "email": "a@b.example", "level": 3}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), None),
        ((("teams",),), {"teams": ["a"]}),
        ((("realm_access", "roles"), ("absent",)), {"realm_access": {"roles": ["r"]}, "absent": None}),
        ((("teams", "deep"), ("level",)), {"teams": {"deep": None}, "level": 3}),
    ],
)
def test_a_record_holds_the_named_claims_and_no_other(named, expected):
    decision = Decision(reason=Reason.NO_RULE, server="demo", caller=Caller.of(principal(**CLAIMS), "demo"))
    record = make_record(decision, Facts(decision_id="i", policy="p", at=0, status=0, source=""), 0, named)

    assert expected == record.claims
    assert "a@b.example" not in msgspec.json.encode(record).decode()
    assert (expected is not None) == parsed(record).HasField("claims")


@pytest.mark.parametrize("value", ["x" * 5000, "line\u2028break", "\u202e"])
def test_claims_that_are_too_large_or_would_forge_a_line_are_left_out(value):
    decision = Decision(reason=Reason.NO_RULE, caller=Caller.of(principal(team=value), "demo"))
    record = make_record(
        decision, Facts(decision_id="i", policy="p", at=0, status=0, source=""), 0, (("team",),)
    )

    assert record.claims is None
