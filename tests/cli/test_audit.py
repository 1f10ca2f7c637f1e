"""`mcp-authz audit`: what a file of records says, grouped by rule and reason."""

import json
import subprocess
from datetime import UTC, datetime

import pytest

from authz.config.problems import ConfigError
from authz.core.identity.hashed_subject import hashed_subject
from authz.tools.audit_query import MOST_NAMES, OTHERS, AuditFilter, group, since
from authz.tools.audit_reader import read_records
from tests.support.commands import command
from tests.support.operators import write
from tests.support.waiting import DEADLINE

KEY = "q3kV9uWmZ7tR1xC5bN8yL2pA6sD4fG0h"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def record(number, reason="missing_scope", **parts):
    decision = "allow" if reason == "allowed" else "deny"
    at = f"2026-01-31T{number:02d}:00:00.000Z"
    return {"time": at, "decision_id": f"d{number}", "decision": decision, "reason": reason, **parts}


RECORDS = [
    record(1, rule="deleters", server="files", tool="delete_file", sub="ann", client="cli"),
    record(2, rule="deleters", server="files", tool="delete_file", sub="bob", client="cli"),
    record(3, rule="deleters", server="files", tool="purge", sub="ann", client="web"),
    record(4, "no_rule", server="files", tool="drop", sub="ann", client="web"),
    record(5, "allowed", rule="readers", server="files", tool="echo", sub="ann", client="cli"),
    record(6, "missing_token", server="files", method="GET"),
]


@pytest.fixture
def file(tmp_path):
    return write(tmp_path, "audit.jsonl", RECORDS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            [],
            [
                ("missing_scope", "deleters", 3),
                ("allowed", "readers", 1),
                ("missing_token", "", 1),
                ("no_rule", "", 1),
            ],
        ),
        (["--denied", "--sub", "ann"], [("missing_scope", "deleters", 2), ("no_rule", "", 1)]),
        (["--tool", "purge"], [("missing_scope", "deleters", 1)]),
        (["--client", "web", "--reason", "no_rule"], [("no_rule", "", 1)]),
        (["--rule", "readers"], [("allowed", "readers", 1)]),
        (["--since", "2026-01-31T05:00:00Z"], [("allowed", "readers", 1), ("missing_token", "", 1)]),
        (["--since", "2026-01-31T07:00:00+02:00", "--denied"], [("missing_token", "", 1)]),
    ],
)
def test_the_records_that_are_meant_are_counted_by_rule_and_reason(file, options, expected):
    ended = command("audit", file, "--json", *options)

    assert 0 == ended.status
    assert expected == [(row["reason"], row["rule"], row["count"]) for row in json.loads(ended.out)]


def test_a_group_says_who_asked_for_what_and_when_last(file):
    (row,) = json.loads(command("audit", file, "--json", "--reason", "missing_scope").out)

    assert ({"ann": 2, "bob": 1}, {"delete_file": 2, "purge": 1}) == (row["callers"], row["names"])
    assert ("2026-01-31T01:00:00.000Z", "2026-01-31T03:00:00.000Z", "d3") == (
        row["first"],
        row["last"],
        row["decision_id"],
    )


def test_people_get_a_table_of_80_columns(file):
    ended = command("audit", file, "--denied", environment={"COLUMNS": "80"})

    assert (0, "") == (ended.status, ended.err)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "deleters" in ended.out
    assert "purge" in ended.out


def test_no_record_that_is_meant_is_an_exit_status_of_its_own(file):
    ended = command("audit", file, "--sub", "nobody")

    assert (1, "no record matches\n") == (ended.status, ended.err)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", "2026-01-31T11:00:00.000Z"),
        ("90s", "2026-01-31T11:58:30.000Z"),
        ("2d", "2026-01-29T12:00:00.000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
    ],
)
def test_a_span_counts_back_from_now(text, expected):
    assert expected == since(text, NOW, "--since")


@pytest.mark.parametrize("text", ["1w", "h", "-1h", "yesterday", "9" * 9 + "d", "999999d"])
def test_what_is_neither_a_span_nor_a_time_is_refused_with_the_cure(text):
    with pytest.raises(ConfigError, match="90s, 30m, 1h, 2d"):
        since(text, NOW, "--since")


def test_names_that_senders_made_up_do_not_fill_the_memory(tmp_path):
    (one,) = read_records(write(tmp_path, "audit.jsonl", [record(1, tool="a")]))

    def flood():
        for number in range(MOST_NAMES + 5):
            one.tool = f"t{number}"
            yield one

    (found,) = group(flood(), AuditFilter())

    assert (MOST_NAMES + 1, 5) == (len(found.names), found.names[OTHERS])


def test_a_hashed_caller_is_found_by_name_with_the_key(tmp_path):
    key = tmp_path / "audit.key"
    key.write_text(KEY)
    who = hashed_subject("ann", KEY.encode())
    file = write(
        tmp_path, "hashed.jsonl", [record(1, sub=who, tool="drop"), record(2, sub="ann", tool="echo")]
    )
    ended = command("audit", file, "--sub", "ann", "--subject-key", key, "--json")

    assert [({who: 1}, {"drop": 1})] == [(each["callers"], each["names"]) for each in json.loads(ended.out)]


def test_a_key_that_cannot_be_read_is_named_by_its_flag(tmp_path, file):
    ended = command("audit", file, "--sub", "ann", "--subject-key", tmp_path / "none")

    assert 2 == ended.status
    assert (
        f"--subject-key: no key can be read from {tmp_path / 'none'}: No such file or directory" in ended.err
    )


def test_the_hash_of_a_caller_is_what_openssl_makes_with_the_same_key():
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", KEY],
        input=b"ann",
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )

    assert f"hmac:{made.stdout.split()[-1].decode()[:16]}" == hashed_subject("ann", KEY.encode())


def test_at_80_columns_neither_a_reason_nor_a_time_is_cut(tmp_path):
    parts = {"rule": "deleters", "server": "demo", "tool": "notifications/initialized", "sub": "alice"}
    file = write(tmp_path, "audit.jsonl", [record(1, "args_not_allowed", **parts)])
    out = command("audit", file, environment={"COLUMNS": "80"}).out

    assert {"args_not_allowed", "2026-01-31", "01:00:00Z"} <= set(out.split())
    assert 80 >= max(map(len, out.splitlines()))
