import json

import pytest

from authz.demo.issuer.app import IssuerServer
from tests.support.commands import command
from tests.support.policy_files import NATIVE, POLICY

GOOD = NATIVE
DOUBTFUL = NATIVE + "        when: jwt.scope.contains('a')\n"
BAD = NATIVE + "        when: args.n == 1\n        scope: [a]\n"
WRONG = NATIVE.replace("[main]", "[nobody]") + "        when: args.n == 1\n"
WARNING = (
    "servers.files.rules[0].when: tests a scope as a substring of scope, so other scopes that contain it match too"
    ' (write "a" in scopes)'
)


@pytest.fixture
def check(tmp_path):
    def run(text, *options, **environment):
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        return file, command("check", file, *options, environment=environment)

    return run


@pytest.mark.parametrize(
    ("text", "options", "status"),
    [
        (GOOD, [], 0),
        (GOOD, ["--strict"], 0),
        (GOOD, ["--json", "--strict"], 0),
        (DOUBTFUL, [], 0),
        (DOUBTFUL, ["--json"], 0),
        (DOUBTFUL, ["--strict"], 1),
        (DOUBTFUL, ["--strict", "--json"], 1),
        (BAD, [], 2),
        (BAD, ["--strict"], 2),
        (BAD, ["--json"], 2),
        ("", [], 2),
        ("a: [", [], 2),
        (POLICY, ["--strict"], 0),
        (POLICY + "  mode: x\n", [], 2),
    ],
)
def test_the_status_is_0_when_clean_1_for_warnings_when_strict_2_for_errors(check, text, options, status):
    assert status == check(text, *options)[1].status


def test_a_good_file_is_said_to_be_good_with_what_it_holds(check):
    file, ended = check(GOOD)

    assert ended.out.startswith(f"{file}: good: 1 server(s), 1 rules, policy ")
    assert not ended.err


def test_a_warning_goes_to_stdout_with_file_line_key_and_cure(check):
    file, ended = check(DOUBTFUL)

    assert f"warning: {file}:11: {WARNING}\n" == ended.out
    assert not ended.err


def test_every_error_goes_to_stderr_on_a_line_of_its_own(check):
    file, ended = check(WRONG)

    assert [
        (
            f"error: {file}:11: servers.files.rules[0].when: reads args, which only `args` may"
            " (line 1, column 1 of the expression)"
        ),
        f"error: {file}:8: servers.files.issuers[0]: there is no issuer nobody (known: main)",
    ] == ended.err.splitlines()
    assert not ended.out


def test_findings_can_be_had_as_json(check):
    file, ended = check(BAD, "--json")

    assert [
        {
            "severity": "error",
            "file": str(file),
            "line": 12,
            "key": "servers.files.rules[0].scope",
            "message": "unknown key",
            "cure": "did you mean scopes?",
        }
    ] == json.loads(ended.out)
    assert not ended.err


def test_a_warning_in_json_says_that_it_is_one(check):
    _, ended = check(DOUBTFUL, "--json")

    assert [("warning", 11)] == [(found["severity"], found["line"]) for found in json.loads(ended.out)]


def test_a_clean_file_in_json_is_an_empty_list(check):
    assert [] == json.loads(check(GOOD, "--json")[1].out)


def test_variables_come_from_the_environment(check):
    text = GOOD.replace("issuer.example", "${TENANT}")
    file, unset = check(text)

    assert 0 == check(text, TENANT="issuer.example")[1].status
    assert (
        f"error: {file}:3: issuers.main.issuer: the environment variable TENANT is not set"
        " (set it, for example: export TENANT=…)\n"
    ) == unset.err


def test_the_value_of_a_variable_is_never_repeated(check):
    _, ended = check(GOOD.replace("https://issuer.example/", "${SECRET}"), SECRET="hunter2 hunter2")

    assert 2 == ended.status
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--jwks", "x"],
            "error: --jwks: an absolute URL is needed, as in https://example.com/mcp (give it as ISSUER=URL)",
        ),
        (
            ["--jwks", "=https://x/"],
            "error: --jwks: an absolute URL is needed, as in https://example.com/mcp (give it as ISSUER=URL)",
        ),
        (
            ["--jwks", "https://x/=https://y/"],
            "error: --jwks: no provider is https://x/ (write the issuer as the document does, slash included)",
        ),
        (
            ["--resource", "mcp"],
            "error: --resource: an absolute URL is needed, as in https://example.com/mcp",
        ),
        (
            ["--resource", "https://h/a/../b"],
            "error: --resource: a plain absolute path is needed, as in /mcp",
        ),
    ],
)
def test_an_option_that_cannot_be_is_an_error_that_names_it(check, options, expected):
    _, ended = check(POLICY, *options)

    assert (2, f"{expected}\n") == (ended.status, ended.err)


def test_a_file_that_is_not_there_is_an_error_without_a_traceback(tmp_path):
    file = tmp_path / "none.yaml"
    ended = command("check", file)

    assert (2, f"error: {file}: cannot be read: No such file or directory\n") == (ended.status, ended.err)


@pytest.mark.parametrize("name", ["check", "serve", "envoy", "demo"])
def test_the_help_of_each_command_shows_an_example(name):
    ended = command(name, "--help")

    assert 0 == ended.status
    assert f"Example: mcp-authz {name}" in ended.out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check"], ["check", "--nonsense", "x"], ["envoy"]])
def test_a_wrong_command_line_ends_with_usage_and_status_2(arguments):
    ended = command(*arguments)

    assert 2 == ended.status
    assert "Usage:" in ended.out + ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("issuer", "status", "said"),
    [("{url}", 0, "1 usable"), ("{url}/other", 1, "-> check issuer, to the final slash")],
)
def test_online_the_issuers_are_asked_and_one_that_cannot_be_used_ends_with_1(tmp_path, issuer, status, said):
    with IssuerServer() as served:
        url = issuer.format(url=served.url)
        file = tmp_path / "policy.yaml"
        file.write_text(NATIVE.replace("https://issuer.example/", url), encoding="utf-8")
        ended, data = (command("check", str(file), "--online", *more) for more in ((), ("--json",)))

    assert (status, status) == (ended.status, data.status)
    assert said in ended.out
    assert ("good" in ended.out) is (status == 0)
    assert {"severity", "issuer", "about", "state", "says", "cure"} == set(json.loads(data.out)[0])
