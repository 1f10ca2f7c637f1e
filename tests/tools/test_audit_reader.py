import json

import pytest

from authz.config.problems import ConfigError
from authz.core.reasons import Group
from authz.tools.audit_reader import group_of, read_records

GOOD = {"decision": "deny", "reason": "no_rule", "tool": "echo"}


def read(folder, *lines):
    file = folder / "audit.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return list(read_records(str(file)))


def test_records_are_read_in_order_and_blank_lines_are_skipped(tmp_path):
    records = read(tmp_path, json.dumps(GOOD), "", json.dumps({**GOOD, "tool": "other"}))

    assert ["echo", "other"] == [record.tool for record in records]


def test_fields_of_later_versions_are_ignored(tmp_path):
    (record,) = read(tmp_path, json.dumps({**GOOD, "later": 1}))

    assert "no_rule" == record.reason


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "70707",
        "hunter2",
        *(json.dumps({**GOOD, **bad}) for bad in ({"decision": "maybe"}, {"reason": "whim"})),
    ],
)
def test_a_line_that_is_not_a_record_is_named_by_number_and_not_repeated(tmp_path, line):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, json.dumps(GOOD), line)

    (problem,) = caught.value.problems
    assert (2, "not a decision record") == (problem.line, problem.message)
    assert line not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none: cannot be read: No such file or directory"):
        list(read_records(str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("reason", "group"),
    [("no_rule", Group.POLICY), ("allowed", Group.POLICY), ("expired_token", Group.TOKEN)],
)
def test_a_record_belongs_to_the_group_of_its_reason(tmp_path, reason, group):
    (record,) = read(tmp_path, json.dumps({**GOOD, "reason": reason}))

    assert group is group_of(record)
