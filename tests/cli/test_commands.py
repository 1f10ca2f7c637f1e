"""The table of commands: each is there, each is found by its name, and one does not load another."""

import subprocess
import sys

import pytest

from tests.support.commands import command
from tests.support.waiting import DEADLINE

COMMANDS = [
    "demo",
    "serve",
    "envoy",
    "check",
    "test",
    "explain",
    "diff",
    "replay",
    "token",
    "import",
    "schema",
]


def loaded_by(name):
    """Give the modules of a process that looked a command up as the command line does."""
    code = f"import sys, authz.cli; authz.cli._Commands()[{name!r}]; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    return set(done.stdout.split())


def test_the_help_lists_every_command_in_order():
    ended = command("--help")
    first_words = [line.strip("│ ").split(" ")[0] for line in ended.out.partition("Commands")[2].splitlines()]

    assert 0 == ended.status
    assert COMMANDS == [word for word in first_words if word in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name):
    ended = command(name, "--help")

    assert 0 == ended.status
    assert f"mcp-authz {name} [OPTIONS]" in ended.out


def test_an_unknown_command_ends_with_the_one_that_was_meant():
    ended = command("serv")

    assert 2 == ended.status
    assert "Did you mean 'serve'?" in ended.err


def test_who_serves_holds_no_other_command_and_none_of_their_tools():
    loaded = loaded_by("serve")
    others = ("authz.tools", "authz.oauth", "authz.render", "authz.demo", "typer.rich_utils")

    assert "authz.edge.http.app" not in loaded
    assert {"authz.cli", "authz.cli.lean", "authz.cli.options", "authz.cli.serve", "authz.cli.serving"} == {
        name for name in loaded if name.startswith("authz.cli")
    }
    assert [] == [name for name in loaded if name.startswith(others)]


def test_the_service_is_not_loaded_to_check_a_file():
    loaded = loaded_by("check")

    assert "authz.tools.case_runner" in loaded
    assert [] == [name for name in loaded if name.startswith(("authz.edge", "grpc"))]
