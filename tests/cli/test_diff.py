"""`mcp-authz diff`: who gains and who loses what."""

import json

import pytest

from tests.support.commands import command
from tests.support.operators import POLICY, write

CHANGED = POLICY.replace("scopes: [files:read]", "scopes: [files:list]").replace("[echo]", "[echo, ping]")
CASES = """\
personas:
  reader: {sub: alice, scope: "files:read"}
  lister: {sub: bob, scope: "files:list"}
cases: []
"""
ADMIN = """\
cases:
  - name: an admin deletes in the inbox
    claims: {scope: "files:delete", roles: [admin]}
    tool: delete_file
    args: {filename: FILE}
    expect: allow
"""


def compared(folder, old, new, *options, status):
    ended = command(
        "diff", write(folder, "old.yaml", old), write(folder, "new.yaml", new), "--json", *options
    )

    assert status == ended.status
    return json.loads(ended.out)


def changes(said):
    return {
        (row["who"], row["item"]["name"], f"{row['old']['decision']} -> {row['new']['decision']}")
        for row in said["differences"]
    }


def test_every_persona_is_asked_about_every_tool_that_either_file_names(tmp_path):
    cases = write(tmp_path, "cases.yaml", CASES)
    said = compared(tmp_path, POLICY, CHANGED, "--cases", cases, status=1)
    expected = {
        ("reader", "list_files", "allow -> deny"),
        ("lister", "list_files", "deny -> allow"),
        ("reader", "ping", "deny -> allow"),
        ("lister", "ping", "deny -> allow"),
    }

    assert expected == changes(said)
    assert (10, 6) == (said["compared"], said["same"])


def test_a_file_is_the_same_as_itself(tmp_path):
    said = compared(tmp_path, POLICY, POLICY, "--cases", write(tmp_path, "c.yaml", CASES), status=0)

    assert ([], 0, 8) == (said["differences"], said["undecidable"], said["same"])


@pytest.mark.parametrize(("name", "status"), [("/inbox/a", 0), ("/outbox/a", 1)])
def test_a_case_is_put_to_both_files_with_its_arguments(tmp_path, name, status):
    wider = POLICY.replace('startsWith("/inbox/")', 'endsWith("a")')
    cases = write(tmp_path, "cases.yaml", ADMIN.replace("FILE", name))

    assert status == len(compared(tmp_path, POLICY, wider, "--cases", cases, status=status)["differences"])


def test_a_denial_for_another_reason_is_no_difference(tmp_path):
    other = POLICY.replace("scopes: [files:read]", "roles: [reader]")
    cases = write(tmp_path, "c.yaml", "personas: {nobody: {sub: n}}\ncases: []\n")

    assert 0 == compared(tmp_path, POLICY, other, "--cases", cases, status=0)["different"]


def test_records_are_asked_again_of_both_files(tmp_path):
    log = write(
        tmp_path, "audit.jsonl", [{"tool": "list_files", "sub": who} for who in ("alice", "carol", "alice")]
    )
    cases = write(tmp_path, "cases.yaml", CASES)
    said = compared(tmp_path, POLICY, CHANGED, "--records", log, "--cases", cases, status=1)
    (row,) = said["differences"]

    assert {("alice", "list_files", "allow -> deny")} == changes(said)
    assert (2, "readers", "missing_scope") == (row["times"], row["old"]["rule"], row["new"]["reason"])
    assert ["carol"] == [each["who"] for each in said["unknown"]]


def test_what_was_recorded_does_not_decide_the_old_side(tmp_path):
    log = write(
        tmp_path, "audit.jsonl", [{"tool": "echo", "sub": "a", "decision": "deny", "reason": "no_rule"}]
    )
    said = compared(tmp_path, POLICY, POLICY, "--records", log, "--claims-for", "a={}", status=0)

    assert 1 == said["same"]


def test_people_get_a_table_of_who_gains_and_who_loses(tmp_path):
    files = write(tmp_path, "old.yaml", POLICY), write(tmp_path, "new.yaml", CHANGED)
    ended = command("diff", *files, "--cases", write(tmp_path, "c.yaml", CASES))
    rows = [line.split() for line in ended.out.splitlines()]

    assert 1 == ended.status
    assert ["lister", "demo", "tool", "list_files", "(list)", "gains"] in [row[:6] for row in rows]
    assert ["reader", "demo", "tool", "list_files", "(list)", "loses"] in [row[:6] for row in rows]
    assert "10 compared: 6 same, 4 different" in ended.out.splitlines()


def test_a_server_that_is_gone_is_a_loss(tmp_path):
    log = write(tmp_path, "audit.jsonl", [{"tool": "echo", "sub": "a"}])
    renamed = POLICY.replace("  demo:", "  other:")
    said = compared(tmp_path, POLICY, renamed, "--records", log, "--claims-for", "a={}", status=1)

    assert ["unknown_endpoint"] == [row["new"]["reason"] for row in said["differences"]]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "--records: there is nothing to compare (give --records or --cases, or write tests: into OLD)"),
        (["--cases", "no-such-file"], "no-such-file: cannot be read: No such file or directory"),
        (["--records", "no-such-file"], "no-such-file: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_a_line(tmp_path, options, problem):
    files = write(tmp_path, "old.yaml", POLICY), write(tmp_path, "new.yaml", POLICY)
    ended = command("diff", *files, *options)

    assert (2, "", f"{problem}\n") == (ended.status, ended.out, ended.err)


def test_a_case_about_a_server_that_neither_file_has_is_a_problem_at_its_line(tmp_path):
    cases = write(
        tmp_path, "c.yaml", ADMIN.replace("FILE", "x").replace("    tool:", "    server: gone\n    tool:")
    )
    files = write(tmp_path, "old.yaml", POLICY), write(tmp_path, "new.yaml", POLICY)
    ended = command("diff", *files, "--cases", cases)
    message = "an admin deletes in the inbox: there is no server gone (give server: one of demo)"

    assert (2, f"{cases}:2: {message}\n") == (ended.status, ended.err)


def test_help_shows_an_example():
    assert "Example: mcp-authz diff" in command("diff", "--help").out


OWN = """\
tests:
  personas:
    reader: {sub: alice, scope: "files:read"}
  cases:
    - {name: a reader lists, persona: reader, tool: list_files, expect: allow}
"""


def test_the_tests_of_the_old_file_are_asked_without_an_option(tmp_path):
    said = compared(tmp_path, POLICY + OWN, CHANGED, status=1)

    assert {("reader", "list_files", "allow -> deny"), ("reader", "ping", "deny -> allow")} == changes(said)


def test_what_is_lost_for_a_call_and_in_a_list_is_one_row(tmp_path):
    files = write(tmp_path, "old.yaml", POLICY + OWN), write(tmp_path, "new.yaml", CHANGED)
    ended = command("diff", *files)
    rows = [line.split()[:6] for line in ended.out.splitlines() if " list_files " in line]

    assert [["reader", "demo", "tool", "list_files", "loses", "allow"]] == rows


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
def test_a_rule_that_changed_and_that_nothing_asked_about_is_named_and_is_not_the_same(
    tmp_path, options, status
):
    narrower = POLICY.replace('startsWith("/inbox/")', 'startsWith("/inbox/mine/")')
    cases = write(tmp_path, "cases.yaml", CASES)
    said = compared(tmp_path, POLICY, narrower, "--cases", cases, *options, status=status)
    files = write(tmp_path, "old.yaml", POLICY), write(tmp_path, "new.yaml", narrower)
    lines = command("diff", *files, "--cases", cases).out.splitlines()

    assert [{"server": "demo", "rule": "deleters", "what": "changed"}] == said["untouched"]
    assert "not the same: rule deleters of demo was changed, and no question was about it" in lines


def test_a_rule_that_some_question_is_about_is_not_named(tmp_path):
    narrower = POLICY.replace('startsWith("/inbox/")', 'startsWith("/inbox/mine/")')
    cases = write(tmp_path, "cases.yaml", ADMIN.replace("FILE", "/inbox/mine/a"))

    assert [] == compared(tmp_path, POLICY, narrower, "--cases", cases, "--strict", status=0)["untouched"]


@pytest.mark.parametrize(("old", "new", "what"), [("", "deny", "added"), ("deny", "", "removed")])
def test_a_rule_on_one_side_alone_is_named_too(tmp_path, old, new, what):
    rule = "      - {name: ban, deny: {tools: ['x_*']}}\n"
    texts = [POLICY + rule if side else POLICY for side in (old, new)]
    cases = write(tmp_path, "cases.yaml", CASES)

    assert [{"server": "demo", "rule": "ban", "what": what}] == compared(
        tmp_path, *texts, "--cases", cases, status=0
    )["untouched"]
