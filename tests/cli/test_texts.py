"""Every text that a command prints, at 80 and at 120 columns and in a pipe."""

import json

import pytest

from authz.cli.commands import _COMMANDS
from tests.support.commands import command, spawn

WIDTHS = (80, 120)
POLICY = """\
issuers:
  auth0: {issuer: https://tenant.example/, audiences: [https://mcp.example/a-server-with-a-long-name]}
servers:
  demo:
    resource: http://localhost:10000/mcp
    upstream: http://127.0.0.1:8080/mcp
    issuers: [auth0]
    rules:
      - allow: {tools: [echo, a_tool_with_quite_a_long_name, another_tool_with_a_name_that_is_long]}
      - name: delete-files-of-the-inbox
        allow: {tools: [delete_file]}
        scopes: [files:delete]
        roles: [admin]
        args: args.filename.startsWith("/inbox/") && !args.filename.contains("..")
tests:
  personas: {a: {sub: somebody-with-a-long-subject@tenant.example}}
  cases:
    - {name: echo, persona: a, server: demo, tool: echo, expect: allow}
    - name: a case with a long name that says in many words what it is about
      persona: a
      server: demo
      tool: delete_file
      args: {filename: /inbox/x}
      expect: allow
"""
CLAIMS = json.dumps({"sub": "somebody-with-a-long-subject", "scope": "files:delete"})


@pytest.fixture
def files(tmp_path):
    for name, text in (("p", POLICY), ("q", POLICY.replace("a_tool_with_quite_a_long_name, ", ""))):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def _arguments(folder):
    p, q = folder / "p.yaml", folder / "q.yaml"
    call = ["--tool", "delete_file", "--args", '{"filename": "/inbox/x"}', "--claims", CLAIMS]
    return {
        "test": ["test", p],
        "diff": ["diff", p, q, "--cases", p],
        "explain": ["explain", "-c", p, *call],
        "list": ["explain", "-c", p, "--claims", CLAIMS],
    }


TABLES = ("test", "diff", "explain", "list")


def lines(text):
    return [line.rstrip() for line in text.splitlines()]


def too_wide(text, width):
    """Lines that do not fit although they could be broken between two words."""
    return [line for line in lines(text) if len(line) > width and " " in line.strip()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["", *_COMMANDS])
def test_a_help_fits_and_speaks_no_python(name, width):
    argv = [name, "--help"] if name else ["--help"]
    ended = command(*argv, environment={"COLUMNS": str(width)})

    assert (0, []) == (ended.status, too_wide(ended.out, width))
    assert [] == [
        word
        for word in ("<", "{FILE", "{ENVOY", "BOOLEAN", "python -m")
        if word in ended.out.split("Options")[0]
    ]
    assert "<bool>" not in ended.out
    assert f"mcp-authz {name}".strip() in ended.out
    if name:
        assert "Example: mcp-authz" in " ".join(ended.out.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_an_output_fits(files, name, width):
    ended = command(*_arguments(files)[name], environment={"COLUMNS": str(width)})

    assert "" == ended.err
    assert [] == too_wide(ended.out, width)
    assert [] == [mark for mark in "┃│━" if mark in ended.out]


@pytest.mark.parametrize("name", ["test", "diff"])
def test_an_output_in_a_pipe_is_plain(files, name):
    ended = spawn(*_arguments(files)[name], environment={"TERM": "xterm-256color"})

    assert ended.out
    assert "\x1b" not in ended.out
    assert [] == too_wide(ended.out, 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [b", "close the list that begins with ["),
        ("a:\n\tb: 1\n", "indent with spaces, not tabs"),
        ("a: b: c\n", "quote a text that holds a colon and a space"),
        ("a: 'b\n", "close the quote that is open"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_with_a_cure(tmp_path, text, expected):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    ended = command("check", file)

    assert 2 == ended.status
    assert f"{file}:" in ended.err
    assert expected in ended.err


def test_a_token_of_an_unknown_issuer_is_explained_by_what_it_says_and_what_is_accepted(files):
    token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUvIn0.AAAA"
    ended = command("explain", "-c", files / "p.yaml", "--token", token, "--tool", "echo")

    assert 3 == ended.status
    assert (
        "issuer 'https://other.example/' (not verified); accepted here: https://tenant.example/" in ended.out
    )
