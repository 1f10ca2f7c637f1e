import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.commands import command
from tests.support.policy_files import NATIVE, POLICY

ROOT = Path(__file__).resolve().parents[2]
DEMO = {
    "DEMO_GRPC": "127.0.0.1:1",
    "DEMO_HTTP": "127.0.0.1:2",
    "DEMO_ISSUER": "http://127.0.0.1:3/",
    "DEMO_AUDIENCE": "api",
    "DEMO_RESOURCE": "http://127.0.0.1:4/mcp",
    "DEMO_UPSTREAM": "http://127.0.0.1:5/mcp",
}
AUTH0 = {"AUTH0_DOMAIN": "tenant.example", "API_IDENTIFIER": "api"}
GOOD = "  - {name: good, claims: {sub: hunter2}, tool: echo, expect: allow}\n"
BAD = "  - {name: bad, claims: {sub: hunter2}, tool: other, args: {a: hunter3}, expect: allow}\n"
LOOSE = "      - {name: loose, allow: {tools: [loose]}, args: '!(\"a\" in args.l)'}\n"
STRING = "  - {name: a string, claims: {}, tool: loose, args: {l: hunter2}, expect: args_not_allowed}\n"


@pytest.fixture
def test(tmp_path):
    """Run the command on a policy and cases beside it."""

    def run(policy, cases, *options):
        file, beside = tmp_path / "policy.yaml", tmp_path / "cases.yaml"
        file.write_text(policy, encoding="utf-8")
        beside.write_text(f"cases:\n{cases}", encoding="utf-8")
        return command("test", file, beside, *options)

    return run


@pytest.mark.parametrize(
    ("policy", "cases", "variables"),
    [
        ("authz/demo/policy.yaml", "authz/demo/cases.yaml", DEMO),
        ("k8s/walkthrough/agentgateway-policy.yaml", "k8s/walkthrough/cases.yaml", AUTH0),
        ("authz/demo/agentgateway-policy.yaml", "k8s/walkthrough/cases.yaml", AUTH0),
    ],
)
def test_the_shipped_policies_pass_their_cases_which_put_every_rule_to_use_and_no_opinion_differs(
    policy, cases, variables
):
    ended = command(
        "test", ROOT / policy, ROOT / cases, "--min-coverage", 100, "--strict", environment=variables
    )

    assert (0, "") == (ended.status, ended.err)
    assert "second opinion" not in ended.out


def test_passing_cases_end_with_status_0_and_a_count(test):
    ended = test(NATIVE, GOOD)

    assert (0, "1 of 1 cases passed\n1 of 1 rules decided a case (100 %)\n") == (ended.status, ended.out)


def test_a_failing_case_ends_with_status_1_and_says_what_was_expected_seen_and_why_and_no_value(test):
    ended = test(NATIVE, GOOD + BAD)

    assert 1 == ended.status
    (row,) = [line for line in ended.out.splitlines() if " bad " in line]
    assert ["3", "bad", "allow", "deny", "no_rule"] == row.split()
    assert "1 of 2 cases passed" in ended.out
    assert "hunter" not in ended.out + ended.err


@pytest.mark.parametrize(("minimum", "status"), [(50, 0), (51, 1)])
def test_coverage_below_the_minimum_fails_and_the_rules_are_named(test, minimum, status):
    ended = test(NATIVE + LOOSE, GOOD, "--min-coverage", minimum)

    assert status == ended.status
    assert "1 of 2 rules decided a case (50 %)\n  never decided: files: loose (allow)\n" in ended.out
    assert ("coverage 50 % is below 51 %\n" if status else "") == ended.err


def test_a_share_that_is_not_whole_is_not_called_whole(test):
    many = [f"tool-{number}" for number in range(300)]
    rules = "".join(f"      - {{name: {name}, allow: {{tools: [{name}]}}}}\n" for name in many)
    cases = "".join(
        f"  - {{name: {name}, claims: {{sub: a}}, tool: {name}, expect: allow}}\n" for name in many
    )

    ended = test(NATIVE + rules + LOOSE, GOOD + cases, "--min-coverage", 100)

    assert (1, "coverage 99 % is below 100 %\n") == (ended.status, ended.err)
    assert "301 of 302 rules decided a case (99 %)\n" in ended.out


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
def test_where_the_second_opinion_differs_is_reported_and_fails_only_when_strict(test, options, status):
    ended = test(NATIVE + LOOSE, STRING, *options)

    assert status == ended.status
    assert (
        "  second opinion differs: a string: cel-cpp says error, cel-python says true of rule loose:"
        ' !("a" in args.l)\n'
    ) in ended.out
    assert "hunter" not in ended.out


def test_json_holds_every_case_the_coverage_and_the_differences(test):
    ended = test(NATIVE + LOOSE, GOOD + BAD + STRING, "--json")
    told = json.loads(ended.out)

    assert (1, 2, 1) == (ended.status, told["passed"], told["failed"])
    assert [("good", True, "allowed by rule-1"), ("bad", False, "no_rule")] == [
        (case["name"], case["passed"], case["why"]) for case in told["cases"][:2]
    ]
    assert (50.0, ["rule-1", "loose"]) == (
        told["coverage"]["percent"],
        [rule["rule"] for rule in told["coverage"]["rules"]],
    )
    assert [("loose", "error", "true")] == [
        (found["rule"], found["first"], found["second"]) for found in told["second_opinion"]["disagreements"]
    ]


def test_junit_is_written_to_the_file(test, tmp_path):
    out = tmp_path / "out.xml"
    ended = test(NATIVE, GOOD + BAD, "--junit", out)

    assert 1 == ended.status
    assert {"tests": "2", "failures": "1"}.items() <= ET.fromstring(
        out.read_text(encoding="utf-8")
    ).attrib.items()


def test_cases_in_the_policy_and_beside_it_both_count(test):
    policy = f"{NATIVE}tests:\n  cases:\n" + "".join(f"  {line}\n" for line in GOOD.splitlines())

    assert "2 of 2 cases passed" in test(policy, GOOD.replace("good", "as good")).out


@pytest.mark.parametrize("policy", [NATIVE, POLICY])
def test_without_a_case_nothing_has_passed(tmp_path, policy):
    file = tmp_path / "policy.yaml"
    file.write_text(policy, encoding="utf-8")
    ended = command("test", file)

    assert (2, "") == (ended.status, ended.out)
    assert (
        f"{file}: holds no cases (write tests: into the policy file, or give a file of cases)\n" == ended.err
    )


@pytest.mark.parametrize(
    ("policy", "cases", "says"),
    [
        (NATIVE, "  - {name: n}\n", "exactly one of persona and claims"),
        (NATIVE.replace("echo", "echo]]"), GOOD, "not valid YAML"),
        (NATIVE, GOOD.replace("claims", "server: x, claims"), "there is no server x"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_status_2(test, policy, cases, says):
    ended = test(policy, cases)

    assert (2, "") == (ended.status, ended.out)
    assert says in ended.err


def test_a_report_that_cannot_be_written_ends_with_status_2(test, tmp_path):
    ended = test(NATIVE, GOOD, "--junit", tmp_path / "none" / "out.xml")

    assert 2 == ended.status
    assert "out.xml: cannot be written: No such file or directory" in ended.err


def test_check_warns_of_a_difference_over_the_file_s_own_cases_at_the_case_s_line(tmp_path):
    cases = "".join(f"  {line}\n" for line in (GOOD + STRING).splitlines())
    file = tmp_path / "policy.yaml"
    file.write_text(f"{NATIVE}{LOOSE}tests:\n  cases:\n{cases}", encoding="utf-8")
    ended = command("check", file, "--strict")

    assert 1 == ended.status
    assert (
        f"warning: {file}:15: a string: cel-cpp says error, cel-python says true of rule loose" in ended.out
    )
    assert "hunter" not in ended.out
