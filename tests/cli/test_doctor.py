"""`mcp-authz doctor` as a command: what it reads, prints and writes, and how it ends."""

import json

import pytest

from authz.doctor.page import page
from tests.support.chains import EXAMPLES_DIR
from tests.support.commands import command
from tests.support.policy_files import NATIVE, POLICY
from tests.support.yaml_text import read_yaml

OURS = (EXAMPLES_DIR / "standalone.yaml").read_text("utf-8")
OPEN = OURS.replace("failure_mode_allow: false", "failure_mode_allow: true", 1)
LINE = 1 + OPEN[: OPEN.index("failure_mode_allow: true")].count("\n")
HEADLINE = "error: authz-fail-open: ext_authz lets requests pass when the service does not answer (failure_mode_allow is true)"
SETTINGS = NATIVE.replace(
    "https://mcp.example/mcp\n", "https://mcp.example/mcp\n    upstream: http://127.0.0.1:8080/mcp\n", 1
)


@pytest.fixture
def doctor(tmp_path):
    def run(text, *options):
        file = tmp_path / "envoy.yaml"
        file.write_text(text) if isinstance(text, str) else file.write_bytes(text)
        return file, command("doctor", file, *options)

    return run


def test_a_clean_file_is_said_to_be_clean_with_what_was_looked_at(doctor):
    file, ended = doctor(OURS)

    assert (0, "") == (ended.status, ended.err)
    assert f"{file}: looked at listener mcp: " in ended.out
    assert f"{file}: looked at 6 cluster(s)\n{file}: clean\n" in ended.out


def test_a_finding_is_told_with_file_line_path_risk_and_the_lines_that_close_it(doctor):
    file, ended = doctor(OPEN)
    first, at, risk, cure, lines, *_ = ended.out.splitlines()

    assert (1, "") == (ended.status, ended.err)
    assert f"{file}:{LINE}: {HEADLINE}" == first
    assert at.startswith(
        "    at   static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[1]"
    )
    said = "An attacker who makes the service slow or unreachable can call every tool without a token."
    assert f"    risk {said}" == risk
    assert ("    cure", "      failure_mode_allow: false") == (cure, lines)
    assert f"{file}: not clean: 1 error(s)" == ended.out.splitlines()[-1]


def test_findings_can_be_had_as_json(doctor):
    file, ended = doctor(OPEN, "--json")
    said = json.loads(ended.out)
    (finding,) = said["findings"]

    assert (1, str(file), False) == (ended.status, said["file"], said["clean"])
    assert ("error", "authz-fail-open", LINE, True) == tuple(
        finding[key] for key in ("severity", "id", "line", "fixable")
    )
    assert {"failure_mode_allow": False} == read_yaml(finding["cure"])
    assert {"path", "message", "detail", "risk"} < finding.keys()


def test_a_hint_does_not_change_the_status(doctor):
    file, ended = doctor(OURS.replace("request_timeout: 30s", "request_timeout: 0s"))

    assert 0 == ended.status
    assert "hint: slow-requests" in ended.out
    assert f"{file}: clean: 1 hint(s)" in ended.out


def test_a_finding_can_be_ignored_by_its_id_and_by_a_word_of_it(doctor):
    statuses = [
        doctor(OPEN, "--ignore", ignored)[1].status
        for ignored in ("authz-fail-open", "authz-fail-open:true", "authz-fail-open:false", "authz-shadow")
    ]

    assert [0, 0, 1, 1] == statuses


def test_fix_writes_the_corrected_file_and_says_on_stderr_what_it_closed(doctor):
    file, ended = doctor(OPEN, "--fix")

    assert (0, f"closed {file}:{LINE}: {HEADLINE}\n") == (ended.status, ended.err)
    assert read_yaml(OURS) == read_yaml(ended.out)


def test_fix_names_what_a_person_must_do_and_ends_with_1(doctor):
    file, ended = doctor(OPEN.replace("cluster_name: authz}", "cluster_name: nobody}"), "--fix")

    assert 1 == ended.status
    assert [f"closed {file}", f"left   {file}"] == [line.partition(":")[0] for line in ended.err.splitlines()]
    assert "cluster-unknown" in ended.err.splitlines()[1]


def test_fix_keeps_comments_with_what_they_stood_beside(doctor):
    text = OPEN.replace("failure_mode_allow: true", "failure_mode_allow: true   # for Monday's roll-out")
    _, ended = doctor(text, "--fix")

    lines = [line.strip() for line in ended.out.splitlines()]
    assert "failure_mode_allow: false" == lines[lines.index("# for Monday's roll-out") + 1]
    assert sum(line.startswith("#") for line in lines) >= sum(
        line.strip().startswith("#") for line in OPEN.splitlines()
    )


@pytest.mark.parametrize("text", [OURS, "# mine\n" + OURS, json.dumps(read_yaml(OURS))])
def test_fix_leaves_a_file_as_it_is_in_which_nothing_is_to_be_closed(doctor, text):
    assert text == doctor(text, "--fix")[1].out


def test_fix_can_write_to_a_file(doctor, tmp_path):
    out = tmp_path / "fixed.yaml"
    _, ended = doctor(OPEN, "--fix", "-o", out)

    assert (0, "") == (ended.status, ended.out)
    assert 0 == command("doctor", out).status


def test_json_is_read_with_its_lines_and_written_back_as_json(doctor):
    _, told = doctor(json.dumps(read_yaml(OPEN), indent=1), "--json")
    _, fixed = doctor(json.dumps(read_yaml(OPEN)), "--fix")

    assert json.loads(told.out)["findings"][0]["line"] > 10
    assert read_yaml(OURS) == json.loads(fixed.out)


LIMITS = "limits: {body_bytes: 2097152, check_ms: 2000}\n"


def test_with_a_policy_its_limits_are_compared_and_written(doctor, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(LIMITS + SETTINGS)
    _, told = doctor(OURS, "-c", policy, "--json")
    _, fixed = doctor(OURS, "-c", policy, "--fix", "-o", tmp_path / "fixed.yaml")
    found = {finding["id"]: finding for finding in json.loads(told.out)["findings"]}

    assert {"authz-body-limit", "authz-timeout", "authz-retry"} == found.keys()
    assert "max_request_bytes: 2097152\n" == found["authz-body-limit"]["cure"]
    assert (0, 0) == (fixed.status, command("doctor", tmp_path / "fixed.yaml", "-c", policy).status)


@pytest.mark.parametrize("text", [SETTINGS, LIMITS + SETTINGS])
def test_what_is_rendered_for_a_policy_is_clean_with_it(doctor, tmp_path, text):
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    for part in ("bootstrap", "filters"):
        rendered = command("envoy", "-c", policy, "--part", part, "--listen", "127.0.0.1:10000").out
        file, ended = doctor(rendered, "-c", policy)

        assert (0, f"{file}: clean\n") == (ended.status, "".join(ended.out.splitlines(keepends=True)[-1:]))


def test_what_is_rendered_for_an_agentgateway_policy_is_clean_with_it(doctor, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        POLICY
        + "---\napiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayBackend\nmetadata: {name: a}\n"
        "spec: {mcp: {targets: [{name: tools, static: {host: mcp.internal, port: 8081}}]}}\n"
    )
    rendered = command("envoy", "-c", policy, "--listen", "127.0.0.1:10000").out

    assert 0 == doctor(rendered, "-c", policy)[1].status


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES_DIR.glob("*.yaml")))
def test_every_file_that_is_kept_under_envoy_is_clean(name):
    ended = command("doctor", EXAMPLES_DIR / name)

    assert (0, True) == (ended.status, f"{name}: clean" in ended.out)


UNREADABLE = [
    ("", ": empty"),
    ("- a\n", ": a mapping is needed at the top"),
    ("just words\n", ": a mapping is needed at the top"),
    (SETTINGS, ": not an Envoy configuration"),
    ("a: b: c\n", ":1: not valid YAML"),
    ("a:\n  - [\n", "not valid YAML"),
    ('{"a": [1,}', "not valid YAML"),
    (b"\xff\xfe\x00", ": not UTF-8"),
    ("a: \x01\n", ":1: a character that YAML forbids"),
    ("[" * 5000, "nested deeper than 120 levels"),
    ("a:\n" + "- " * 5000 + "b\n", "nested deeper than 120 levels"),
    (
        "a: &a [x, x]\nb: &b [*a, *a]\n"
        + "".join(
            f"k{n}: &k{n} [*{'b' if not n else f'k{n - 1}'}, *{'b' if not n else f'k{n - 1}'}]\n"
            for n in range(22)
        ),
        "more than 500000 values",
    ),
]


@pytest.mark.parametrize(("text", "expected"), UNREADABLE)
def test_what_cannot_be_read_ends_with_2_and_one_line_that_says_why(doctor, text, expected):
    file, ended = doctor(text)

    assert (2, "", 1) == (ended.status, ended.out, len(ended.err.splitlines()))
    assert ended.err.startswith(f"error: {file}")
    assert expected in ended.err


def test_a_file_that_is_not_there_ends_with_2(tmp_path):
    ended = command("doctor", tmp_path / "none.yaml")

    assert (2, f"error: {tmp_path}/none.yaml: cannot be read: No such file or directory\n") == (
        ended.status,
        ended.err,
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ignore", "nonsense"], "error: --ignore: no finding has the id nonsense"),
        (["-c", "/none.yaml"], "error: /none.yaml: cannot be read"),
        (["--fix", "-o", "/none/x.yaml"], "error: /none/x.yaml: cannot be written"),
    ],
)
def test_an_option_that_cannot_be_used_ends_with_2_and_names_it(doctor, options, expected):
    _, ended = doctor(OPEN, *options)

    assert 2 == ended.status
    assert ended.err.startswith(expected)


def test_a_config_dump_is_not_corrected_because_nobody_can_load_it(doctor):
    _, ended = doctor('{"configs": []}', "--fix")

    assert (2, "") == (ended.status, ended.out)
    assert "Envoy cannot load a config_dump" in ended.err


def test_words_of_a_file_cannot_steer_the_terminal(doctor):
    _, ended = doctor(OPEN.replace("name: mcp\n", 'name: "\\e[2J\\n"\n', 1))

    assert "\x1b" not in ended.out


def test_the_help_has_an_example():
    assert "Example: mcp-authz doctor envoy.yaml -c policy.yaml" in command("doctor", "--help").out


def test_the_page_of_findings_is_current():
    kept = (EXAMPLES_DIR.parent / "docs" / "doctor.md").read_text("utf-8")

    assert page() == kept, "write it anew: python -m authz.doctor.page > docs/doctor.md"
