"""The audit log as a file: appended to, and begun anew when somebody renames it."""

import json
import stat

import pytest

from authz.edge.telemetry.audit_file import AuditFile
from authz.edge.telemetry.line_writer import LineWriter
from tests.support.commands import spawn
from tests.support.policy_files import NATIVE
from tests.support.serving import INLINE, KEYS, Served, ask
from tests.support.waiting import eventually


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def lines(path):
    file = AuditFile(str(path))
    yield LineWriter(file)
    file.close()


def test_only_its_owner_and_group_may_read_it(lines, path):
    assert 0 == stat.S_IMODE(path.stat().st_mode) & 0o137


def test_a_renamed_file_is_left_and_a_new_one_begun(lines, path):
    lines.write(b"1\n")
    path.rename(path.with_suffix(".1"))
    lines.write(b"2\n3\n")

    assert ("1\n", "2\n3\n") == (path.with_suffix(".1").read_text(), path.read_text())


def test_while_no_new_one_can_be_begun_the_renamed_one_is_written_on(lines, path, tmp_path):
    path.rename(tmp_path / "old")
    path.mkdir()
    lost = lines.write(b"1\n")
    path.rmdir()
    lines.write(b"2\n")

    assert (0, "1\n", "2\n") == (lost, (tmp_path / "old").read_text(), path.read_text())


@pytest.mark.parametrize(("before", "after"), [("", "1\n"), ("0\n", "0\n1\n"), ('{"a', '{"a\n1\n')])
def test_a_record_begins_on_a_line_of_its_own_whatever_the_file_holds(path, before, after):
    path.write_text(before)
    file = AuditFile(str(path))
    LineWriter(file).write(b"1\n")
    file.close()

    assert after == path.read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_writes_on_through_a_rotation(tmp_path, workers):
    path = tmp_path / "records.jsonl"
    rotated = tmp_path / "records.jsonl.1"
    with Served(tmp_path, "--grace", "0", "--audit", str(path), workers=workers) as service:
        ask(service.grpc, connections=4)
        assert eventually(lambda: 4 == path.read_bytes().count(b"\n"))
        path.rename(rotated)
        ask(service.grpc, connections=4)
        assert eventually(lambda: path.exists() and 4 == path.read_bytes().count(b"\n"))
        printed = service.audit.read_bytes()

    assert (4, b"") == (rotated.read_bytes().count(b"\n"), printed)


def test_a_file_that_cannot_be_written_ends_the_start_with_the_cause(tmp_path):
    (tmp_path / "policy.yaml").write_text(INLINE)
    missing = tmp_path / "missing" / "audit.jsonl"
    ended = spawn("serve", "-c", tmp_path / "policy.yaml", "--audit", missing)

    assert 2 == ended.status
    assert "--audit" in ended.err
    assert f"{missing} cannot be written: No such file or directory" in ended.err


@pytest.mark.parametrize("workers", [1, 2])
def test_the_policy_names_the_file_and_the_format(tmp_path, workers):
    (tmp_path / "keys.json").write_text(KEYS)
    text = NATIVE.replace("servers:", "    jwks_file: keys.json\nservers:")
    text += "audit: {file: named.jsonl, format: ocsf}\n"
    with Served(tmp_path, "--grace", "0", workers=workers, text=text) as service:
        ask(service.grpc, connections=1)
        assert eventually(lambda: (tmp_path / "named.jsonl").read_bytes().endswith(b"\n"))
        printed = service.audit.read_bytes()
    (event,) = map(json.loads, (tmp_path / "named.jsonl").read_text().splitlines())

    assert (6003, "missing_token", b"") == (event["class_uid"], event["status_code"], printed)


def test_flags_have_the_last_word_about_file_and_format(tmp_path):
    flagged = tmp_path / "flagged.jsonl"
    flags = ("--audit", str(flagged), "--audit-format", "ocsf")
    with Served(tmp_path, "--grace", "0", *flags, workers=1) as service:
        ask(service.grpc, connections=1)
        assert eventually(lambda: flagged.read_bytes().endswith(b"\n"))

    assert 6003 == json.loads(flagged.read_text())["class_uid"]
