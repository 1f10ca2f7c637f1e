"""`mcp-authz learn`: what was recorded is allowed again, and nothing else."""

import json

import pytest
import yaml

from tests.support.commands import command

POLICY = """\
issuers:
  main:
    issuer: ${ISSUER}
    audiences: [https://mcp.example/mcp]
    claims: {roles: roles}
servers:
  files:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - allow: {tools: ["get_*", echo], prompts: ["*"]}
      - name: readers
        allow: {tools: [list_files, stat]}
        scopes: [files:read]
      - name: more-readers
        allow: {tools: ["read_*"]}
        scopes: [files:read]
      - name: admins
        allow: {tools: [wipe]}
        roles: [admin]
      - name: nothing-secret
        deny: {tools: ["*_secret"]}
"""
ENVIRONMENT = {"ISSUER": "https://issuer.example/"}
USES = [
    ("rule-1", {"tool": "get_time"}, "ann"),
    ("rule-1", {"prompt": "hello"}, "ann"),
    ("readers", {"tool": "list_files"}, "ben"),
    ("more-readers", {"tool": "read_file"}, "ben"),
]


def record(rule, item, sub, *, decision="allow", reason="allowed"):
    method = "prompts/get" if "prompt" in item else "tools/call"
    written = {
        "decision": decision,
        "reason": reason,
        "server": "files",
        "rule": rule,
        "method": method,
        "sub": sub,
    }
    return json.dumps({**written, "issuer": ENVIRONMENT["ISSUER"], "decision_id": "x", **item})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    refused = record(
        "nothing-secret", {"tool": "get_secret"}, "ann", decision="deny", reason="denied_by_rule"
    )
    (tmp_path / "audit.jsonl").write_text("\n".join([*(record(*use) for use in USES), refused]))
    return tmp_path


def learned(folder):
    policy, audit, out = (folder / name for name in ("policy.yaml", "audit.jsonl", "smaller.yaml"))
    ended = command("learn", "-c", policy, audit, "-o", out, environment=ENVIRONMENT)
    assert 0 == ended.status, ended.err
    return out, ended.err


def test_rules_keep_the_names_that_were_used_and_those_that_ask_the_same_are_one(folder):
    out, _ = learned(folder)
    rules = yaml.safe_load(out.read_text())["servers"]["files"]["rules"]

    assert [
        {"name": "rule-1", "allow": {"tools": ["get_time"], "prompts": ["hello"]}},
        {"name": "readers", "allow": {"tools": ["list_files", "read_file"]}, "scopes": ["files:read"]},
        {"name": "nothing-secret", "deny": {"tools": ["*_secret"]}},
    ] == rules


def test_what_was_never_used_is_named(folder):
    _, told = learned(folder)

    assert "never used: files, rule admins\n" in told
    assert "never used: files, rule rule-1: echo\n" in told
    assert "never used: files, rule readers: stat\n" in told
    assert "4 allows read" in told


def test_variables_stay_variables(folder):
    assert "issuer: ${ISSUER}" in learned(folder)[0].read_text().replace('"', "")


def test_a_replay_of_the_records_allows_all_of_them_again(folder):
    out, _ = learned(folder)
    claims = [f'{sub}={{"scope": "files:read"}}' for sub in ("ann", "ben")]
    flags = [part for claim in claims for part in ("--claims-for", claim)]
    ended = command("replay", "-c", out, folder / "audit.jsonl", *flags, environment=ENVIRONMENT)

    assert 0 == ended.status, ended.out + ended.err


@pytest.mark.parametrize(
    ("tool", "scope"), [("get_date", ""), ("stat", "files:read"), ("wipe", "files:read"), ("echo", "")]
)
def test_what_was_not_recorded_is_refused(folder, tool, scope):
    out, _ = learned(folder)
    claims = json.dumps({"sub": "x", "scope": scope, "roles": ["admin"]})
    ended = command("explain", "-c", out, "--claims", claims, "--tool", tool, environment=ENVIRONMENT)

    assert 3 == ended.status, ended.out


def test_a_learned_policy_is_good(folder):
    ended = command("check", learned(folder)[0], "--strict", environment=ENVIRONMENT)

    assert 0 == ended.status, ended.out + ended.err


def test_a_rule_that_the_policy_does_not_have_is_told(folder):
    audit = folder / "audit.jsonl"
    audit.write_text(audit.read_text() + "\n" + record("gone", {"tool": "x"}, "ann"))

    assert "not explained by this policy: files, rule gone\n" in learned(folder)[1]


def test_records_without_an_allow_and_other_forms_of_policy_are_refused(folder):
    (folder / "empty.jsonl").write_text("")
    empty = command("learn", "-c", folder / "policy.yaml", folder / "empty.jsonl", environment=ENVIRONMENT)

    assert 2 == empty.status
    assert "holds no allow of a tool, prompt, resource or task" in empty.err


def test_names_of_a_list_that_define_names_are_told_as_well(folder):
    policy = folder / "policy.yaml"
    named = POLICY.replace("tools: [list_files, stat]", "tools: looks")
    policy.write_text(f"define: {{looks: [list_files, stat]}}\n{named}")

    assert "never used: files, rule readers: stat\n" in learned(folder)[1]


def test_the_policy_itself_is_not_overwritten(folder):
    policy = folder / "policy.yaml"
    ended = command("learn", "-c", policy, folder / "audit.jsonl", "-o", policy, environment=ENVIRONMENT)

    assert (2, POLICY) == (ended.status, policy.read_text())
    assert f"--out: {policy} is the policy itself (name another file" in ended.err
