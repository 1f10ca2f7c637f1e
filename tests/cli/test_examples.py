"""The examples of docs/commands.md, run: what a command prints and how it ends is what the page shows."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import command

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ENVIRONMENT = {
    "COLUMNS": "110",
    "AUTH0_DOMAIN": "YOUR_TENANT.us.auth0.com",
    "API_IDENTIFIER": "https://mcp-oauth-demo",
}
RUN = re.compile(r"```console\n\$ (mcp-authz .*?[^\\])\n(.*?)\$ echo \$\?\n(\d+)\n```", re.DOTALL)
EXAMPLES = RUN.findall(PAGE)


def block(text, kind, first_words):
    """Give the fenced block that begins with some words."""
    found = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    return next(each for each in found if each.startswith(first_words))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Go into a folder with the files that the page names."""
    policy = block((ROOT / "README.md").read_text(encoding="utf-8"), "yaml", "issuers:")
    kubernetes = ROOT / "authz" / "demo" / "agentgateway-policy.yaml"
    files = {
        "policy.yaml": policy,
        "next.yaml": policy.replace("scopes: [files:read]", "roles: [admin]"),
        "agentgateway-policy.yaml": kubernetes.read_text(encoding="utf-8"),
        "routes.yaml": block(PAGE, "yaml", "name: gateway"),
        "cases.yaml": block(PAGE, "yaml", "personas:"),
        "audit.jsonl": block(PAGE, "json", "{"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_page_has_an_example_of_each_command_that_needs_no_network():
    shown = {line.split()[1] for line, _, _ in EXAMPLES}

    assert {"check", "doctor", "test", "explain", "diff", "replay", "import", "envoy", "learn"} == shown


@pytest.mark.parametrize(("line", "output", "status"), EXAMPLES)
def test_an_example_prints_and_ends_as_the_page_shows(folder, line, output, status):
    ended = command(*shlex.split(line.replace("\\\n", ""))[1:], environment=ENVIRONMENT)

    assert output == "".join(f"{each.rstrip()}\n" for each in (ended.err + ended.out).splitlines())
    assert int(status) == ended.status
