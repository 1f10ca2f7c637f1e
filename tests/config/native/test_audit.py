"""The section `audit`: what records hold, how they are written, and the key that hides who called."""

import pytest

from authz.config.load import load
from authz.config.problems import ConfigError
from authz.config.settings import AuditFormat, AuditTerms
from tests.support.policy_files import NATIVE

KEY = "q3kV9uWmZ7tR1xC5bN8yL2pA6sD4fG0h"


def loaded(folder, section, key=KEY):
    (folder / "audit.key").write_text(f"{key}\n")
    file = folder / "policy.yaml"
    file.write_text(f"{NATIVE}audit: {section}\n")
    return load(str(file), environment={}).audit


def refused(folder, section, key=KEY):
    with pytest.raises(ConfigError) as caught:
        loaded(folder, section, key)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_the_section_records_are_plain_and_go_to_stdout(tmp_path):
    assert AuditTerms() == loaded(tmp_path, "{}")
    assert ("", AuditFormat.JSON, b"") == (
        AuditTerms().file,
        AuditTerms().format,
        AuditTerms().subject_key,
    )


def test_file_and_key_stand_beside_the_policy(tmp_path):
    section = "{format: ocsf, file: log/audit.jsonl, subject_key_file: audit.key, claims: [groups]}"

    assert AuditTerms(
        claims=(("groups",),),
        format=AuditFormat.OCSF,
        file=str(tmp_path / "log" / "audit.jsonl"),
        subject_key=KEY.encode(),
    ) == loaded(tmp_path, section)


@pytest.mark.parametrize(
    ("section", "key", "expected"),
    [
        (
            "{subject_key_file: none.key}",
            KEY,
            (
                "policy.yaml:11: audit.subject_key_file: no key can be read from none.key: No such file or directory"
                " (make one with: openssl rand -base64 32)"
            ),
        ),
        (
            "{subject_key_file: audit.key}",
            "changeme",
            (
                "policy.yaml:11: audit.subject_key_file: no key can be read from audit.key: a key has at least 32 characters"
                " (make one with: openssl rand -base64 32)"
            ),
        ),
        (
            "{subject_key_file: audit.key, claims: [groups, sub]}",
            KEY,
            "policy.yaml:11: audit.claims: names sub, which subject_key_file hides (leave one of them out)",
        ),
    ],
)
def test_a_key_that_hides_nobody_is_refused(tmp_path, section, key, expected):
    assert [expected] == refused(tmp_path, section, key)


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path):
    (problem,) = refused(tmp_path, "{format: cef}")

    assert "policy.yaml:11: audit.format: " in problem
    assert "'json' or 'ocsf'" in problem


def test_records_go_to_a_collector_that_the_file_names(tmp_path):
    assert "http://collector:4318" == loaded(tmp_path, "{otlp: 'http://collector:4318'}").otlp


def test_records_go_to_one_place(tmp_path):
    (problem,) = refused(tmp_path, "{otlp: 'http://collector:4318', file: audit.jsonl}")

    assert (
        "policy.yaml:11: audit.otlp: the records go to audit.file already (leave one of them out)" == problem
    )
