import json
from pathlib import Path

import pytest

from tests.support.commands import command
from tests.support.policy_files import POLICY

ROOT = Path(__file__).resolve().parents[2]
SEED = ROOT / "k8s" / "walkthrough" / "agentgateway-policy.yaml"
RESOURCE = "http://localhost:10000/mcp"


def test_variables_stay_variables():
    ended = command("import", SEED, "--resource", RESOURCE)

    assert 0 == ended.status
    assert "issuer: https://${AUTH0_DOMAIN}/\n" in ended.out
    assert "audiences: ['${API_IDENTIFIER}']\n" in ended.out


def test_warnings_go_to_stderr_and_say_how_to_be_rid_of_them():
    ended = command("import", SEED)

    assert [
        "warning: resource is a guess, http://localhost/mcp: metadata and challenges name it (give --resource)",
    ] == ended.err.splitlines()[:1]
    assert 2 == ended.err.count("(--fix-scopes compares whole words)")
    assert "" == command("import", SEED, "--fix-scopes", "--resource", RESOURCE).err


def test_text_and_warnings_can_be_had_as_json():
    plain, ended = command("import", SEED), command("import", SEED, "--json")
    said = json.loads(ended.out)

    assert (0, "") == (ended.status, ended.err)
    assert {"text", "warnings"} == said.keys()
    assert plain.out == said["text"]
    assert plain.err.splitlines() == [f"warning: {warning}" for warning in said["warnings"]]


def test_upstream_and_resource_are_those_of_the_command_line():
    out = command("import", SEED, "--resource", RESOURCE, "--upstream", "http://10.0.0.1:8080/mcp").out

    assert f"    resource: {RESOURCE}\n    upstream: http://10.0.0.1:8080/mcp\n" in out


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ([], "a: [", "FILE:1: not valid YAML"),
        ([], "", "FILE: holds no documents"),
        (
            [],
            POLICY.replace("action: Allow", "action: Maybe"),
            "FILE:15: spec.backend.mcp.authorization.action: unknown action",
        ),
        (["--resource", "x"], POLICY, "--resource: an absolute URL is needed"),
        (["--upstream", "x"], POLICY, "--upstream: an absolute URL is needed"),
    ],
)
def test_what_cannot_be_imported_is_an_error_with_its_place_and_nothing_is_written(
    tmp_path, options, text, expected
):
    file = tmp_path / "k8s.yaml"
    file.write_text(text)
    ended = command("import", file, *options)

    assert (2, "") == (ended.status, ended.out)
    assert ended.err.replace(str(file), "FILE").startswith(expected)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    ended = command("import", tmp_path / "none.yaml")

    assert (2, f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n") == (
        ended.status,
        ended.err,
    )
