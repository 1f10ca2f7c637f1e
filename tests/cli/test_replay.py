"""`mcp-authz replay`: recorded decisions against a policy file, without a guess."""

import io
import json
import sys

import pytest

from authz.core.decision import Facts
from authz.core.identity.principal import Caller, Principal
from authz.core.reasons import TABLE, Group, Reason
from authz.edge.telemetry.decision_record import make_record
from authz.tools.requests import decide, post, use
from tests.support.commands import command
from tests.support.core import tool
from tests.support.operators import POLICY, write
from tests.support.policy_files import settings

ALICE = 'alice={"scope": "files:read"}'
ROOT = 'root={"scope": "files:delete", "roles": ["admin"]}'


def replayed(folder, records, *options, status=0, policy=POLICY):
    file, log = write(folder, "policy.yaml", policy), write(folder, "audit.jsonl", records)
    ended = command("replay", "-c", file, log, "--json", *options)

    assert status == ended.status
    return json.loads(ended.out)


def counts(said):
    return {name: said[name] for name in ("compared", "same", "different", "undecidable")}


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ({"tool": "echo", "sub": "alice"}, "same"),
        ({"tool": "list_files", "sub": "alice"}, "same"),
        ({"tool": "delete_file", "sub": "alice"}, "different"),  # denied whatever the arguments
        ({"tool": "gone", "sub": "alice"}, "different"),
        ({"tool": "gone", "sub": "alice", "decision": "deny", "reason": "no_rule"}, "same"),
        ({"tool": "echo", "sub": "alice", "decision": "deny", "reason": "no_rule"}, "different"),
        ({"tool": "delete_file", "sub": "root"}, "undecidable"),  # depends on the arguments
        ({"tool": "deploy", "sub": "root"}, "undecidable"),  # depends on a header
        ({"tool": "deploy", "sub": "alice"}, "different"),  # denied whatever the header
        ({"tool": "echo", "sub": "stranger"}, "undecidable"),
        ({"tool": "echo", "sub": "alice", "issuer": "https://other.example/"}, "different"),
        ({"tool": "echo", "sub": "alice", "server": "gone"}, "different"),
        ({"sub": "alice", "method": "tools/list"}, "same"),
        ({"sub": "alice", "method": "GET"}, "same"),
        ({"sub": "alice", "method": "response"}, "same"),
        ({"sub": "alice", "method": "vendor/x"}, "different"),
        # may have named more URIs than the one in the record
        ({"resource": "file:///a", "method": "subscriptions/listen", "sub": "alice"}, "undecidable"),
        ({"resource": "file:///b", "method": "subscriptions/listen", "sub": "alice"}, "different"),
        ({"resource": "file:///a", "method": "resources/read", "sub": "alice"}, "same"),
        ({"prompt": "echo", "method": "prompts/get", "sub": "alice"}, "different"),
    ],
)
def test_a_record_is_the_same_different_or_undecidable(tmp_path, record, outcome):
    status = {"same": 0, "different": 1, "undecidable": 2}[outcome]
    said = replayed(tmp_path, [record], "--claims-for", ALICE, "--claims-for", ROOT, status=status)

    assert 1 == said[outcome]
    assert 1 == said["same"] + said["different"] + said["undecidable"]


@pytest.mark.parametrize(
    "reason", [each for each in Reason if TABLE[each].group is not Group.POLICY], ids=str
)
def test_what_no_rule_decided_is_left_out_and_counted_by_reason(tmp_path, reason):
    records = [{"decision": "deny", "reason": reason, "method": ""}, {"tool": "echo", "sub": "alice"}]
    said = replayed(tmp_path, records, "--claims-for", ALICE)

    assert ({reason: 1}, 1) == (said["left_out"], said["same"])


def test_a_name_of_which_a_record_holds_only_the_beginning_is_left_out(tmp_path):
    records = [{"tool": "e" * 512 + "…", "sub": "alice"}, {"tool": "echo", "sub": "alice"}]

    assert {"name cut in the record": 1} == replayed(tmp_path, records, "--claims-for", ALICE)["left_out"]


def test_callers_without_known_claims_are_named_and_counted_not_guessed(tmp_path):
    file = write(tmp_path, "policy.yaml", POLICY)
    log = write(tmp_path, "audit.jsonl", [{"tool": "echo", "sub": who} for who in ("bob", "alice", "bob")])
    ended = command("replay", "-c", file, log, "--claims-for", ALICE)

    assert [
        "1 compared: 1 same, 0 different",
        "2 undecidable: no claims are known for this caller: bob (2)",
    ] == ended.out.splitlines()


def test_nothing_to_compare_is_no_sameness(tmp_path):
    file, log = (
        write(tmp_path, "policy.yaml", POLICY),
        write(tmp_path, "audit.jsonl", [{"tool": "echo", "sub": "b"}]),
    )
    ended = command("replay", "-c", file, log)

    assert (2, "nothing could be compared") == (ended.status, ended.err.splitlines()[-1])


@pytest.mark.parametrize(
    ("rule", "records"),
    [
        ("scopes: [files:read]", "let records hold what the rules read (audit: {claims: [scope]}), or "),
        ('when: "has(jwt.pager)"', "let records hold what the rules read (audit: {claims: [pager]}), or "),
        ("when: size(jwt) > 3", ""),
    ],
)
def test_callers_without_known_claims_are_told_with_where_claims_can_come_from(tmp_path, rule, records):
    policy = POLICY.partition("      - name: readers")[0] + f"        {rule}\n"
    log = write(tmp_path, "audit.jsonl", [{"tool": "echo", "sub": "bob"}])
    ended = command("replay", "-c", write(tmp_path, "policy.yaml", policy), log)

    cure = f"to compare more of demo: {records}describe the callers with --cases or --claims-for"
    assert [cure, "nothing could be compared"] == ended.err.splitlines()


def test_rules_that_read_no_claims_need_none(tmp_path):
    policy = POLICY.partition("      - name: readers")[0]

    assert 1 == replayed(tmp_path, [{"tool": "echo", "sub": "bob"}], policy=policy)["same"]


def test_personas_of_a_file_of_cases_say_who_is_who(tmp_path):
    personas = write(tmp_path, "cases.yaml", "personas:\n  reader: {sub: alice, scope: files:read}\n")

    said = replayed(tmp_path, [{"tool": "list_files", "sub": "alice"}], "--cases", personas)

    assert {"compared": 1, "same": 1, "different": 0, "undecidable": 0} == counts(said)


@pytest.mark.parametrize(
    ("claims", "record", "undecidable"),
    [
        ('{"azp": "c1"}', {"client": "c1"}, 0),
        ('{"azp": "c1"}', {"client": "c2"}, 1),
        ('{"client_id": "c1"}', {"client": "c1"}, 0),
        ('{"client_id": "c1"}', {"client": "c2"}, 1),
        ('{"iss": "https://other.example/"}', {}, 1),
        ("{}", {"client": "c2"}, 0),
    ],
)
def test_claims_that_contradict_a_record_are_not_those_of_its_caller(tmp_path, claims, record, undecidable):
    records = [{"tool": "echo", "sub": "alice", **record}, {"tool": "echo", "sub": "bob"}]
    said = replayed(tmp_path, records, "--claims-for", f"alice={claims}", "--claims-for", "bob={}")

    assert undecidable == said["undecidable"]


def test_two_personas_that_both_fit_a_record_leave_it_undecided(tmp_path):
    text = "personas:\n  a: {sub: alice, scope: files:read}\n  b: {sub: alice}\n"
    said = replayed(
        tmp_path,
        [{"tool": "list_files", "sub": "alice"}],
        "--cases",
        write(tmp_path, "c.yaml", text),
        status=2,
    )

    assert 1 == said["undecidable"]


def test_the_client_that_a_record_names_is_what_rules_see(tmp_path):
    policy = POLICY.replace(
        'allow: {tools: [echo], resources: ["file:///a"]}',
        "allow: {tools: [echo]}\n        when: client == 'good'",
    )
    records = [{"tool": "echo", "sub": "alice", "client": client} for client in ("good", "bad")]
    said = replayed(tmp_path, records, "--claims-for", ALICE, status=1, policy=policy)

    assert {"compared": 2, "same": 1, "different": 1, "undecidable": 0} == counts(said)


def test_the_peer_that_a_record_names_is_what_rules_see(tmp_path):
    policy = POLICY.replace("scopes: [files:read]", "when: source.address == '192.0.2.1'")
    records = [{"tool": "list_files", "sub": "alice", "source": f"192.0.2.{at}"} for at in (1, 2)]
    said = replayed(tmp_path, records, "--claims-for", ALICE, status=1, policy=policy)

    assert {"compared": 2, "same": 1, "different": 1, "undecidable": 0} == counts(said)


def test_equal_questions_are_one_row_with_a_count(tmp_path):
    records = [{"tool": "gone", "sub": "alice", "decision_id": str(at)} for at in range(3)]
    (row,) = replayed(tmp_path, records, "--claims-for", ALICE, status=1)["differences"]

    assert (3, "alice", {"kind": "tool", "name": "gone"}) == (row["times"], row["who"], row["item"])
    assert ({"decision": "allow", "reason": "allowed", "rule": ""}, "no_rule") == (
        row["old"],
        row["new"]["reason"],
    )


def test_records_may_come_on_stdin_with_fields_of_later_versions(tmp_path, monkeypatch):
    line = {
        "decision": "allow",
        "reason": "allowed",
        "server": "demo",
        "method": "tools/call",
        "tool": "echo",
    }
    stream = io.TextIOWrapper(io.BytesIO(json.dumps({**line, "sub": "alice", "new_field": 1}).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    ended = command("replay", "-c", write(tmp_path, "p.yaml", POLICY), "-", "--claims-for", ALICE)

    assert (0, "1 compared: 1 same, 0 different\n") == (ended.status, ended.out)


def test_what_the_service_records_is_read_back_and_is_the_same(tmp_path):
    policy = settings(POLICY)
    (server,) = policy.directory.servers
    who = Principal(
        issuer="https://issuer.example/",
        subject="alice",
        client="",
        scopes=("files:read",),
        roles=(),
        claims={},
        expires=4e9,
    )
    facts = Facts(decision_id="d", policy="p", at=1.0, status=0, source="192.0.2.1")
    records = [
        make_record(decide(policy, post(server, use(tool(name))), Caller.of(who, server.name)), facts, 0.1)
        for name in ("echo", "list_files", "gone")
    ]
    fields = [{name: getattr(each, name) for name in each.__struct_fields__} for each in records]

    assert ["allow", "allow", "deny"] == [each.decision for each in records]
    assert 3 == replayed(tmp_path, fields, "--claims-for", ALICE)["same"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{}", 1),
        ("\n[]", 2),
        ('{"decision": "maybe", "reason": "allowed"}', 1),
        ('{"decision": "allow", "reason": "because"}', 1),
        ('{"decision": "allow", "reason": "allowed", "tool": 7}', 1),
        ("serving on port 9001", 1),
        ("[" * 10_000, 1),
    ],
)
def test_a_line_that_is_no_record_is_named_and_not_repeated(tmp_path, text, line):
    log = write(tmp_path, "audit.jsonl", text)
    ended = command("replay", "-c", write(tmp_path, "p.yaml", POLICY), log)
    cure = "keep only the lines that mcp-authz serve wrote to its audit log"

    assert (2, f"{log}:{line}: not a decision record ({cure})\n") == (ended.status, ended.err)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--claims-for", "alice"], "--claims-for: not of the form SUB=JSON\n"),
        (["--claims-for", 'alice={"secret-4711'], "--claims-for: not strict JSON: not JSON"),
        (["--cases", "no-such-file"], "no-such-file: cannot be read"),
    ],
)
def test_a_mistake_is_a_line_at_its_option(tmp_path, options, problem):
    log = write(tmp_path, "audit.jsonl", [{"tool": "echo"}])
    ended = command("replay", "-c", write(tmp_path, "p.yaml", POLICY), log, *options)

    assert (2, "", True) == (ended.status, ended.out, ended.err.startswith(problem))
    assert "secret-4711" not in ended.err


def test_a_log_that_is_not_there_is_a_line(tmp_path):
    ended = command("replay", "-c", write(tmp_path, "p.yaml", POLICY), "no-such-log")

    assert (2, "no-such-log: cannot be read: No such file or directory\n") == (ended.status, ended.err)


def test_help_shows_an_example():
    assert "Example: mcp-authz replay" in command("replay", "--help").out


NAMED = POLICY + "audit: {claims: [scope, roles]}\n"


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        ({"scope": "files:read", "roles": None}, "same"),
        ({"scope": "files:read"}, "undecidable"),  # roles are not known
        ({"scope": None, "roles": None}, "different"),
        ({}, "undecidable"),
    ],
)
def test_recorded_claims_decide_where_they_are_all_that_the_rules_read(tmp_path, claims, outcome):
    record = {"tool": "list_files", "sub": "alice", "claims": claims}
    status = {"same": 0, "different": 1, "undecidable": 2}[outcome]

    assert 1 == counts(replayed(tmp_path, [record], status=status, policy=NAMED))[outcome]


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ({"sub": "alice", "claims": {"pager": "1"}}, "same"),
        ({"sub": "hmac:ee47639d913ec235", "claims": {"pager": "1"}}, "undecidable"),
        ({"sub": "hmac:ee47639d913ec235", "claims": {"sub": "alice"}}, "same"),
    ],
)
def test_a_hash_is_not_taken_for_the_subject_that_a_rule_reads(tmp_path, record, outcome):
    rule = """        when: jwt.sub == "alice"\n"""
    policy = POLICY.partition("      - name: readers")[0] + rule
    status = {"same": 0, "undecidable": 2}[outcome]

    assert (
        1 == counts(replayed(tmp_path, [{"tool": "echo", **record}], status=status, policy=policy))[outcome]
    )


def test_a_persona_that_contradicts_recorded_claims_does_not_describe_the_caller(tmp_path):
    record = {"tool": "list_files", "sub": "alice", "claims": {"scope": "files:write"}}

    assert 1 == replayed(tmp_path, [record], "--claims-for", ALICE, status=2)["undecidable"]


LOCKED = """\
lock: 1
tools:
  - {name: echo, annotations: {readOnlyHint: true}}
  - {name: wipe}
"""


@pytest.mark.parametrize(
    ("tool", "outcome"), [("echo", "same"), ("wipe", "different"), ("gone", "different")]
)
def test_a_rule_by_annotation_is_replayed_by_what_the_lock_says(tmp_path, tool, outcome):
    write(tmp_path, "tools.lock", LOCKED)
    rule = "    lock: {file: tools.lock}\n    rules:\n      - allow: {tools: {readOnly: true}}\n"
    policy = POLICY.partition("    rules:")[0] + rule
    status = {"same": 0, "different": 1}[outcome]
    said = replayed(
        tmp_path, [{"tool": tool, "sub": "alice"}], "--claims-for", ALICE, status=status, policy=policy
    )

    assert 1 == said[outcome]
