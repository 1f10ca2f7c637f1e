import pytest

from authz.config.problems import ConfigError
from authz.tools.case_runner import evaluated, run
from authz.tools.cases import read_cases
from tests.support.policy_files import NATIVE, lines, settings

NOW = 1_800_000_000.0
POLICY = (
    NATIVE
    + """\
      - name: readers
        allow: {tools: [list_files], prompts: ["*"], resources: ["file:///public/*"], tasks: ["*"]}
        scopes: [files:read]
      - name: deleters
        allow: {tools: [delete_file]}
        roles: [admin]
        args: args.filename.startsWith("/inbox/")
      - name: no-secrets
        deny: {tools: ["*_secret"]}
      - name: canary
        deny: {tools: [echo]}
        when: '"x-env" in request.headers'
        shadow: true
"""
)


def tried(tmp_path, *cases, policy=POLICY):
    """Try cases written in YAML's flow style; the first keys are added."""
    rows = [f"  - {{name: case {number}, {case}}}\n" for number, case in enumerate(cases)]
    file = tmp_path / "cases.yaml"
    file.write_text("cases:\n" + "".join(rows), encoding="utf-8")
    loaded = settings(policy)
    return loaded, run(read_cases(str(file), {}).cases, loaded, NOW)


REACHABLE = POLICY.replace("    rules:", "    lists: reachable\n    rules:", 1)


def test_a_case_about_a_list_follows_the_servers_setting_for_lists(tmp_path):
    case = "claims: {}, catalogue: [echo, list_files, delete_file, a_secret], visible: [echo, list_files]"
    (callable_only,), (reachable,) = (tried(tmp_path, case, policy=text)[1] for text in (POLICY, REACHABLE))

    assert [False, True] == [callable_only.passed, reachable.passed]


READER, ADMIN = "claims: {scope: 'files:read x'}", "claims: {roles: [admin]}"
TRIALS = [
    ("claims: {}, tool: echo, expect: allow", True, "allow", "allowed by rule-1"),
    ("claims: {}, tool: echo, expect: deny", False, "allow", "allowed by rule-1"),
    ("claims: {}, tool: list_files, expect: deny", True, "deny", "missing_scope by readers"),
    (
        "claims: {}, tool: list_files, expect: missing_scope",
        True,
        "missing_scope",
        "missing_scope by readers",
    ),
    (
        "claims: {}, tool: list_files, expect: missing_role",
        False,
        "missing_scope",
        "missing_scope by readers",
    ),
    ("claims: {}, tool: list_files, expect: allow", False, "deny", "missing_scope by readers"),
    (f"{READER}, tool: list_files, expect: allow", True, "allow", "allowed by readers"),
    (f"{READER}, prompt: p, expect: allow", True, "allow", "allowed by readers"),
    (f"{READER}, resource: 'file:///public/a', expect: allow", True, "allow", "allowed by readers"),
    (f"{READER}, resource: 'file:///private/a', expect: no_rule", True, "no_rule", "no_rule"),
    (f"{READER}, task: t1, expect: allow", True, "allow", "allowed by readers"),
    (
        f"{ADMIN}, tool: delete_file, args: {{filename: /inbox/a}}, expect: allow",
        True,
        "allow",
        "allowed by deleters",
    ),
    (
        f"{ADMIN}, tool: delete_file, args: {{filename: /etc/a}}, expect: args_not_allowed",
        True,
        "args_not_allowed",
        "args_not_allowed by deleters",
    ),
    (
        f"{ADMIN}, tool: a_secret, expect: denied_by_rule",
        True,
        "denied_by_rule",
        "denied_by_rule by no-secrets",
    ),
    (
        "claims: {exp: 1}, tool: echo, expect: expired_token",
        True,
        "expired_token",
        "expired_token: exp has passed",
    ),
    ("claims: {scope: 5}, tool: echo, expect: deny", True, "deny", None),
    ("claims: {aud: other}, tool: echo, expect: wrong_audience", True, "wrong_audience", None),
    ("claims: {iss: other}, tool: echo, expect: unknown_issuer", True, "unknown_issuer", None),
    (
        "claims: {}, tool: echo, headers: {content-type: text/plain}, expect: deny",
        False,
        "bad_content_type",
        "bad_content_type",
    ),
    ("claims: {scope: 'files:read x'}, template: 'file:///{path*}', expect: allow", True, "allow", None),
    ("claims: {}, template: 'file:///private/{path*}', expect: no_rule", True, "no_rule", "no_rule"),
    ("claims: {}, resource: 'file:///{path*}', expect: no_rule", True, "no_rule", "no_rule"),
    ("claims: {}, tool: echo, args: {__proto__: 1, a: 1, A: 2}, expect: allow", True, "allow", None),
]


@pytest.mark.parametrize(("case", "passed", "seen", "why"), TRIALS)
def test_a_call_is_decided_as_the_service_would_and_compared(tmp_path, case, passed, seen, why):
    _, (trial,) = tried(tmp_path, case)

    assert (passed, seen) == (trial.passed, trial.seen)
    assert why is None or why == trial.why


ALL = "catalogue: [echo, list_files, delete_file, a_secret]"
LISTS = [
    (f"claims: {{}}, {ALL}, visible: [echo]", True, "echo", ""),
    (f"{READER}, {ALL}, visible: [list_files, echo]", True, "echo, list_files", ""),
    (f"{ADMIN}, {ALL}, visible: [echo]", False, "echo, delete_file", "delete_file: allowed by deleters"),
    (
        f"claims: {{}}, {ALL}, visible: [echo, list_files]",
        False,
        "echo",
        "list_files: missing_scope by readers",
    ),
    (f"claims: {{exp: 1}}, {ALL}, visible: []", True, "nothing", ""),
    ("claims: {exp: 1}, catalogue: [echo], visible: [echo]", False, "nothing", "echo: expired_token"),
    (
        f"{READER}, kind: resource, catalogue: ['file:///public/a'], visible: ['file:///public/a']",
        True,
        None,
        "",
    ),
    (
        f"{READER}, kind: template, catalogue: ['file:///{{path*}}', 'db:///{{id}}'], visible: ['file:///{{path*}}']",
        True,
        "file:///{path*}",
        "",
    ),
]


@pytest.mark.parametrize(("case", "passed", "seen", "why"), LISTS)
def test_a_list_shows_what_could_be_called_and_each_wrong_name_is_explained(
    tmp_path, case, passed, seen, why
):
    _, (trial,) = tried(tmp_path, case)

    assert (passed, why) == (trial.passed, trial.why)
    assert seen is None or seen == trial.seen


TWO = POLICY.replace(
    "servers:\n", "servers:\n  other: {resource: 'https://other.example/mcp', issuers: [main]}\n"
)


def test_with_several_servers_a_case_says_which(tmp_path):
    _, (trial,) = tried(tmp_path, "server: files, claims: {}, tool: echo, expect: allow", policy=TWO)

    assert trial.passed


@pytest.mark.parametrize(
    ("server", "says"), [("", "which server?"), ("server: none, ", "there is no server none")]
)
def test_a_case_about_no_server_is_an_error_at_its_line(tmp_path, server, says):
    with pytest.raises(ConfigError) as caught:
        tried(tmp_path, f"{server}claims: {{}}, tool: echo, expect: allow", policy=TWO)

    assert [f"FILE:2: case 0: {says} (give server: one of other, files)"] == lines(caught.value.problems)


def test_a_second_opinion_is_asked_of_judgements_and_not_of_refused_tokens(tmp_path):
    _, trials = tried(
        tmp_path,
        "claims: {}, tool: echo, expect: allow",
        "claims: {exp: 1}, tool: echo, expect: deny",
        f"{ADMIN}, catalogue: [a, b], visible: []",
    )

    assert [("case 0", {}), ("case 2", None), ("case 2", None)] == [
        (case, context.arguments) for case, _, context, _ in evaluated(trials)
    ]
