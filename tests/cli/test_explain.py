"""`mcp-authz explain`: what an operator is told of one decision."""

import io
import json
import sys

import pytest

from authz.core import engine
from tests.support import policy_files, tokens
from tests.support.commands import command
from tests.support.core import modern
from tests.support.operators import POLICY, write

SECRET = "argument-value-4711"


@pytest.fixture
def file(tmp_path):
    return write(tmp_path, "policy.yaml", POLICY)


def explained(file, *options, claims=None, status=0):
    """Run the command with --json; gives what it says."""
    who = [] if claims is None else ["--claims", json.dumps(claims)]
    ended = command("explain", "-c", file, "--json", *who, *options)

    assert (status, "") == (ended.status, ended.err)
    return json.loads(ended.out)


def refused(file, *options):
    """Run the command where it must refuse; gives its only line."""
    ended = command("explain", "-c", file, *options)

    assert (2, "") == (ended.status, ended.out)
    assert "Traceback" not in ended.err
    return ended.err.strip()


@pytest.mark.parametrize(
    ("claims", "options", "status", "reason", "rule"),
    [
        ({}, ["--tool", "echo"], 0, "allowed", "everyone"),
        ({}, ["--tool", "list_files"], 3, "missing_scope", "readers"),
        ({"scope": "files:read"}, ["--tool", "list_files"], 0, "allowed", "readers"),
        ({"permissions": ["files:read"]}, ["--tool", "list_files"], 3, "missing_scope", "readers"),
        ({"scope": "xfiles:read"}, ["--tool", "list_files"], 3, "missing_scope", "readers"),
        ({}, ["--tool", "unheard_of"], 3, "no_rule", ""),
        ({}, ["--prompt", "echo"], 3, "no_rule", ""),
        ({}, ["--resource", "file:///echo"], 3, "no_rule", ""),
        (
            {"roles": ["admin"]},
            ["--tool", "deploy", "--header", "X-Environment=dev"],
            0,
            "allowed",
            "deployers",
        ),
        (
            {"roles": ["admin"]},
            ["--tool", "deploy", "--header", "X-Environment=prod"],
            3,
            "denied_by_rule",
            "in-production",
        ),
        ({"roles": ["admin"]}, ["--tool", "deploy"], 3, "rule_error", "in-production"),
        (
            {"scope": "files:delete", "roles": ["admin"]},
            ["--tool", "delete_file", "--args", '{"filename": "/inbox/a"}'],
            0,
            "allowed",
            "deleters",
        ),
        (
            {"scope": "files:delete", "roles": ["admin"]},
            ["--tool", "delete_file", "--args", '{"filename": "/etc/a"}'],
            3,
            "args_not_allowed",
            "deleters",
        ),
        ({"iss": "https://other.example/"}, ["--tool", "echo"], 3, "unknown_issuer", ""),
        ({"aud": "https://other.example/"}, ["--tool", "echo"], 3, "wrong_audience", ""),
        ({"exp": 1}, ["--tool", "echo"], 3, "expired_token", ""),
        ({"roles": 7}, ["--tool", "echo"], 3, "bad_claims", ""),
        ({"nonce": "n"}, ["--tool", "echo"], 3, "bad_claims", ""),
    ],
)
def test_the_decision_is_the_services_own_and_so_is_the_exit_status(
    file, claims, options, status, reason, rule
):
    said = explained(file, *options, claims=claims, status=status)

    assert (reason, rule) == (said["reason"], said["rule"])
    assert ("allow" if status == 0 else "deny") == said["decision"]


def test_a_denial_names_every_part_and_all_that_is_missing(file):
    options = ["--tool", "delete_file", "--args", '{"filename": "/etc/a"}']
    said = explained(file, *options, claims={"scope": "files:read"}, status=3)
    text = 'args.filename.startsWith("/inbox/")'
    parts = [
        {"part": "roles", "value": "false", "wanted": ["admin"], "missing": ["admin"], "failure": ""},
        {"part": "args", "value": "false", "wanted": [text], "missing": [], "failure": ""},
        {
            "part": "scopes",
            "value": "false",
            "wanted": ["files:delete"],
            "missing": ["files:delete"],
            "failure": "",
        },
    ]
    rule = {
        "rule": "deleters",
        "effect": "allow",
        "shadow": False,
        "outcome": "does not hold",
        "decided": True,
    }

    assert [{**rule, "parts": parts}] == said["rules"]
    assert [{"rule": "deleters", "must": "hold", "parts": parts}] == said["changes"]


def test_claims_on_the_command_line_are_said_to_be_unverified_and_what_was_added_is_named(file):
    claims = {"sub": "alice", "scope": "files:read", "aud": "https://mcp.example/mcp"}
    said = explained(file, "--tool", "echo", claims=claims)

    assert "claims as given: no signature was verified; added: iss, exp" == said["how"]
    assert ("alice", ["files:read"]) == (said["caller"]["subject"], said["caller"]["scopes"])


def test_without_claims_and_token_the_decision_is_that_of_a_request_without_a_token(file):
    said = explained(file, "--tool", "echo", status=3)

    assert ("missing_token", None) == (said["reason"], said["caller"])


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_value_of_an_argument_is_shown(file, form):
    claims, args = json.dumps({"scope": "files:delete", "roles": ["admin"]}), json.dumps({"filename": SECRET})
    ended = command("explain", "-c", file, "--claims", claims, "--tool", "delete_file", "--args", args, *form)

    assert (3, False) == (ended.status, SECRET in ended.out + ended.err)


def test_people_get_a_table_of_rules_and_a_sentence_for_what_must_change(file):
    ended = command("explain", "-c", file, "--claims", '{"sub": "alice"}', "--tool", "delete_file")

    assert 3 == ended.status
    assert [
        "DENY  tool delete_file at demo",
        "reason  missing_role by deleters: the caller lacks a role or group that this needs",
    ] == (ended.out.splitlines()[:2])
    assert "no signature was verified" in ended.out
    assert (
        '- deleters must hold: one of roles admin; args args.filename.startsWith("/inbox/") (no such key: filename); scopes files:delete'
        in ended.out.splitlines()
    )


def test_a_name_that_could_steer_a_terminal_is_shown_in_ascii(file):
    ended = command("explain", "-c", file, "--claims", "{}", "--tool", "[red]\x1b[2J\u202e")

    assert "DENY  tool [red]\\u001b[2J\\u202e at demo" == ended.out.splitlines()[0]


def test_without_an_item_what_rules_name_is_shown_as_it_would_be_listed(file):
    said = explained(file, claims={"scope": "files:delete", "roles": ["admin"]})

    named = {"delete_file": True, "deploy": False, "echo": True, "file:///a": True, "list_files": False}

    assert named == {item["name"]: item["listed"] for item in said["items"]}


def test_a_list_for_a_token_that_is_refused_is_status_3_and_shows_no_item(file):
    said = explained(file, claims={"exp": 1}, status=3)

    assert ("expired_token", []) == (said["reason"], said["items"])


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason", "named"),
    [
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}},
            {},
            0,
            "allowed",
            "echo",
        ),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], {}, 3, "batch", None),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping"}, {}, 0, "allowed", None),
        ({"jsonrpc": "2.0", "id": 1, "method": "no/such"}, {}, 3, "unknown_method", None),
        ("{", {}, 3, "bad_json", None),
        (modern("tools/call", {"name": "echo"}), {}, 3, "header_mismatch", None),
        (
            modern("tools/call", {"name": "echo"}),
            {"mcp-method": "tools/call", "mcp-name": "echo", "mcp-protocol-version": "2026-07-28"},
            0,
            "allowed",
            "echo",
        ),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"origin": "http://evil.example"},
            3,
            "bad_origin",
            None,
        ),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"content-type": "text/plain"},
            3,
            "bad_content_type",
            None,
        ),
    ],
)
def test_a_whole_request_goes_through_the_whole_walk(file, tmp_path, body, headers, status, reason, named):
    request = write(tmp_path, "body.json", body if isinstance(body, str) else json.dumps(body))
    options = [word for name, value in headers.items() for word in ("--header", f"{name}={value}")]
    said = explained(file, "--request", request, *options, claims={}, status=status)

    assert (reason, named) == (said["reason"], said["item"] and said["item"]["name"])


def test_a_request_may_come_on_stdin(file, monkeypatch):
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))

    assert "everyone" == explained(file, "--request", "-", claims={})["rule"]


KUBERNETES = policy_files.POLICY.replace(
    "remote: {url: https://issuer.example/jwks.json}", "inline: 'KEYS'"
).replace('"echo"', '"echo" && jwt.scope.contains("files:read")')


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        (lambda: tokens.token(fresh()), 0, "allowed"),
        (lambda: tokens.token(fresh(scope="other")), 3, "no_rule"),
        (lambda: tokens.token(fresh(exp=1)), 3, "expired_token"),
        (lambda: tokens.token(fresh())[:-8] + "AAAAAAAA", 3, "bad_signature"),
        (lambda: "not-a-token", 3, "malformed_token"),
    ],
)
@pytest.mark.parametrize("on_stdin", [False, True])
def test_a_token_is_verified_with_its_issuers_keys(tmp_path, monkeypatch, token, status, reason, on_stdin):
    keys = json.dumps({"keys": [tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")]})
    file = write(tmp_path, "policy.yaml", KUBERNETES.replace("KEYS", keys))
    text = token()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{text}\n"))
    ended = command("explain", "-c", file, "--json", "--token", "-" if on_stdin else text, "--tool", "echo")
    said = json.loads(ended.out)

    assert (status, reason) == (ended.status, said["reason"])
    assert "token checked with its issuer's keys" == said["how"]
    assert text.rpartition(".")[2] not in ended.out + ended.err


def fresh(**changes):
    return (
        tokens.claims(exp=4_000_000_000, iat=1_000_000_000, **changes)
        if "exp" not in changes
        else (tokens.claims(**changes))
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--server", "other"], "--server: there is no such server (one of: demo)"),
        (
            ["--claims", '{"sub": "secret-4711"'],
            "--claims: not strict JSON: not JSON (put the whole object in single quotes)",
        ),
        (
            ["--claims", '{"a": 1, "a": 2}'],
            "--claims: not strict JSON: duplicate key (put the whole object in single quotes)",
        ),
        (["--claims", "[]"], "--claims: a JSON object is needed"),
        (["--claims", "{}", "--token", "t"], "--claims: --claims and --token exclude each other (give one)"),
        (
            ["--tool", "a", "--prompt", "b"],
            "--tool: --tool, --prompt, --resource, --template and --request exclude each other (give one)",
        ),
        (
            ["--args", "{}"],
            "--args: only calls of tools and prompts have arguments (give --tool or --prompt)",
        ),
        (
            ["--tool", "a", "--args", "secret-4711"],
            "--args: not strict JSON: not JSON (put the whole object in single quotes)",
        ),
        (["--header", "secret-4711"], "--header: not of the form NAME=VALUE"),
        (
            ["--header", "Authorization=secret-4711"],
            "--header: authorization is a credential, which no rule sees (give --token)",
        ),
        (["--request", "no-such-file"], "no-such-file: cannot be read: No such file or directory"),
        (
            ["--jwks", "a=https://b.example/"],
            "--jwks: is for documents of agentgateway (write jwks_uri into the file)",
        ),
    ],
)
def test_a_mistake_is_a_line_that_names_the_option_and_repeats_no_secret(file, options, line):
    assert line == refused(file, *options)


def test_help_shows_an_example():
    assert "Example: mcp-authz explain" in command("explain", "--help").out


def test_the_decision_shown_is_made_by_the_engine(file, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "authz.tools.requests.check", lambda *given: asked.append(given) or engine.check(*given)
    )
    explained(file, "--tool", "echo", claims={})

    assert ["/mcp"] == [request.path for request, *_ in asked]


TEMPLATES = POLICY.replace(
    "    rules:\n", "    rules:\n      - allow: {resources: ['file:///public/*']}\n", 1
)


def test_a_template_is_explained_by_the_expansion_that_decides(tmp_path):
    file = write(tmp_path, "policy.yaml", TEMPLATES)
    said = explained(file, "--template", "file:///{path*}", claims={})
    ended = command("explain", "-c", file, "--claims", "{}", "--template", "file:///{path*}")

    assert ("completion/complete", "file:///{path*}", "file:///public/x", True) == (
        said["method"],
        said["item"]["name"],
        said["judged"],
        said["listed"],
    )
    assert "by      its expansion file:///public/x" in ended.out.splitlines()
    assert "no_rule" == explained(file, "--template", "db:///{row}", claims={}, status=3)["reason"]


def test_a_schema_is_shown_as_the_file_has_it_and_what_does_not_fit_is_asked_for(tmp_path):
    rule = """
      - name: writers
        allow: {tools: [write_file]}
        arguments: {lines: {type: integer, minimum: 1, maximum: 1000}}
"""
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.partition("    rules:")[0] + "    rules:" + rule)
    args = ("--tool", "write_file", "--args", '{"lines": 0}')
    out = command("explain", "-c", file, "--claims", '{"sub": "a"}', *args).out

    assert 'lines: {"type": "integer", "minimum": 1, "maximum": 1000}' in out
    assert "- writers must hold: declared arguments lines\n" in out
