"""Audit records as events of OCSF: valid by the published schema of the pinned version, and read back without a loss."""

import io
import ipaddress
import json

import jsonschema_rs
import pytest
from google.protobuf import json_format
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from authz.config.settings import AuditFormat, AuditTerms
from authz.core.decision import Decision, Facts
from authz.core.identity.principal import Caller, TokenRejected, Unverified
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.ocsf import VERSION
from authz.edge.telemetry.response_record import ResponseFacts
from authz.tools.audit_reader import read_records
from tests.support.core import principal
from tests.support.records import REFUSED

CLASS, PROFILES = "api_activity", ["ai_operation", "security_control"]
ALICE = Caller.of(principal("files:read", teams=["a"]), "demo")
FACTS = Facts(decision_id="id-1", policy="abc", at=1_700_000_000.257, status=403, source="192.0.2.1")
ALLOWED = Facts(decision_id="id-2", policy="abc", at=1_700_000_000.0, status=0, source="2001:db8::1")
NOWHERE = Facts(decision_id="id-3", policy="abc", at=0.0, status=401, source="")
REJECTED = TokenRejected(
    reason=Reason.WRONG_AUDIENCE,
    detail="the audience is another",
    unverified=Unverified(iss="x", aud="y", azp="z"),
)


def item(kind, **parts):
    return Decision(server="demo", caller=ALICE, item=Item(kind, "name"), **parts)


DECIDED = {
    "nobody": (Decision(reason=Reason.UNKNOWN_ENDPOINT), NOWHERE),
    "a token": (Decision(reason=Reason.WRONG_AUDIENCE, server="demo", rejection=REJECTED), FACTS),
    "a call": (
        item(Kind.TOOL, reason=Reason.NO_RULE, method="tools/call", rule="readers", version="2025-06-18"),
        FACTS,
    ),
    "a list": (
        Decision(
            reason=Reason.ALLOWED,
            allowed=True,
            server="demo",
            caller=ALICE,
            method="tools/list",
            rewrite=True,
            shadows=("next", "candidate"),
        ),
        ALLOWED,
    ),
    "a stream": (
        Decision(reason=Reason.TOO_MANY_STREAMS, server="demo", caller=ALICE, method="GET"),
        FACTS,
    ),
    "a strange method": (Decision(reason=Reason.UNKNOWN_METHOD, server="demo", method="unknown"), FACTS),
    "the service": (Decision(reason=Reason.INTERNAL), NOWHERE),
    **{
        f"a {kind}": (item(kind, reason=Reason.DENIED_BY_RULE, method="tools/call", rule="no"), FACTS)
        for kind in Kind
    },
}


def lines(*decided, response=None, **terms):
    """Return what an audit log writes of decisions."""
    stream = io.BytesIO()
    log = AuditLog(stream)
    log.terms = AuditTerms(**terms)
    for decision, facts in decided:
        log.write(decision, facts, 0.0034567)
    if response is not None:
        log.write_response(response)
    log.close()
    return stream.getvalue().splitlines()


def events(*decided, **parts):
    return [json.loads(line) for line in lines(*decided, format=AuditFormat.OCSF, **parts)]


@pytest.fixture(scope="module")
def published():
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))
    return jsonschema_rs.Draft202012Validator(schema.get_class_schema(class_name=CLASS, profiles=PROFILES))


@pytest.mark.parametrize("decided", DECIDED.values(), ids=DECIDED)
def test_the_event_of_any_decision_is_valid_by_the_published_schema(published, decided):
    (event,) = events(decided, claims=(("teams",),))

    assert [] == [f"{error.instance_path}: {error.message}" for error in published.iter_errors(event)]
    assert (VERSION, PROFILES, 6003) == (
        event["metadata"]["version"],
        event["metadata"]["profiles"],
        event["class_uid"],
    )
    assert event["class_uid"] * 100 + event["activity_id"] == event["type_uid"]
    if "ip" in event["src_endpoint"]:
        assert ipaddress.ip_address(event["src_endpoint"]["ip"])


@pytest.mark.parametrize(("response", "action"), [("refused", "Denied"), ("challenged", "Modified")])
def test_the_event_of_a_response_is_valid_and_belongs_to_its_decision(published, response, action):
    facts = ResponseFacts(
        **{name: getattr(REFUSED, name) for name in REFUSED.__struct_fields__} | {"response": response}
    )
    (event,) = events(response=facts)

    assert [] == [error.message for error in published.iter_errors(event)]
    assert ("id-2", "not_json", action, 502) == (
        event["metadata"]["correlation_uid"],
        event["status_code"],
        event["action"],
        event["api"]["response"]["code"],
    )


def test_the_check_against_the_schema_finds_an_event_that_is_none(published):
    (event,) = events(DECIDED["a call"])

    assert published.is_valid(event)
    assert not published.is_valid({**event, "actor": {}})
    assert not published.is_valid({**event, "tool": "echo"})


def test_a_denied_call_says_who_was_denied_what_by_which_rule_and_why():
    (event,) = events(DECIDED["a call"])

    assert {
        "action": "Denied",
        "status": "Failure",
        "severity": "Medium",
        "status_code": "no_rule",
        "activity_name": "tools/call",
        "resources": [{"name": "name", "type": "tool"}],
        "authorizations": [{"decision": "deny", "policy": {"uid": "abc", "name": "readers"}}],
        "message": "deny tools/call name (no_rule)",
    }.items() <= event.items()
    assert ("auth0|alice", "client-1") == (event["actor"]["user"]["uid"], event["actor"]["app_uid"])
    assert ("Tool", {"name": "demo"}) == (
        event["message_context"]["ai_role"],
        event["message_context"]["service"],
    )


@pytest.mark.parametrize("decided", DECIDED.values(), ids=DECIDED)
def test_an_event_is_read_back_as_the_record_that_the_other_format_holds(tmp_path, decided):
    file = tmp_path / "audit.jsonl"
    terms = {"claims": (("teams",),)}
    file.write_bytes(
        b"\n".join(
            (*lines(decided, **terms), *lines(decided, format=AuditFormat.OCSF, response=REFUSED, **terms))
        )
    )
    plain, event = read_records(str(file))

    assert json_format.MessageToDict(plain) == json_format.MessageToDict(event)


@pytest.mark.parametrize("format_", list(AuditFormat))
def test_a_subject_is_hashed_in_either_format_and_the_key_says_whose_it_is(tmp_path, format_):
    (line,) = lines(DECIDED["a call"], format=format_, subject_key=b"k" * 32)
    (again,) = lines(DECIDED["a call"], format=format_, subject_key=b"k" * 32)
    (other,) = lines(DECIDED["a call"], format=format_, subject_key=b"o" * 32)

    assert b"alice" not in line
    assert (True, False) == (line == again, line == other)
