"""The table of commands: each is there, each is found by its name, and one does not load another."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest

from authz import __version__
from tests.support.commands import Ended, command
from tests.support.waiting import DEADLINE

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = [
    "demo",
    "serve",
    "envoy",
    "doctor",
    "check",
    "test",
    "explain",
    "diff",
    "replay",
    "stats",
    "token",
    "import",
    "schema",
]


def loaded_by(name):
    """Give the modules of a process that showed a command's help."""
    code = (
        f"import sys, authz.cli; sys.argv = ['mcp-authz', {name!r}, '--help']\n"
        "try: authz.cli.main()\n"
        "except SystemExit: print('loaded', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    return set(done.stdout.rpartition("loaded ")[2].split())


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


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_names_no_type_of_python(name):
    assert [] == re.findall(r"<\w+(?: \w+)?>", command(*[name] * bool(name), "--help").out)


def test_the_version_is_the_distributions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert Ended(0, f"mcp-authz {project['version']}\n", "") == command("--version")


def test_an_unknown_command_ends_with_the_one_that_was_meant():
    ended = command("serv")

    assert 2 == ended.status
    assert "Did you mean 'serve'?" in ended.err


OF_SERVE = ("import_guard", "policy_file", "serve", "serve_flags", "task_settings", "tracing_settings")


def test_who_serves_holds_no_other_command_and_none_of_their_tools():
    loaded = loaded_by("serve")
    others = ("authz.tools", "authz.oauth", "authz.render", "authz.demo", "typer", "rich")
    own = ("", *(f".{name}" for name in OF_SERVE))

    assert "authz.edge.http.app" not in loaded
    assert {f"authz.cli{name}" for name in own} == {name for name in loaded if name.startswith("authz.cli")}
    assert [] == [name for name in loaded if name.startswith(others)]


def test_the_service_is_not_loaded_to_check_a_file():
    loaded = loaded_by("check")

    assert "authz.tools.case_runner" in loaded
    assert [] == [name for name in loaded if name.startswith(("authz.edge", "grpc"))]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "the following arguments are required: -c/--config"),
        (["-c", "policy.yaml", "--workers", "0"], "argument --workers: 0 is not between 1 and "),
        (["-c", "policy.yaml", "--workers", "two"], "argument --workers: invalid number value: 'two'"),
        (["-c", "policy.yaml", "--grace", "nan"], "argument --grace: nan is not between 0 and 300"),
        (["-c", "policy.yaml", "--work", "2"], "unrecognized arguments: --work 2"),
    ],
)
def test_a_wrong_flag_of_serve_is_named_and_ends_it_with_status_2(flags, said):
    ended = command("serve", *flags)

    assert 2 == ended.status
    assert f"mcp-authz serve: error: {said}" in ended.err


def test_serve_takes_the_same_flags_wherever_it_stands():
    ended = command("--", "serve", "--workers", "0")

    assert (2, True) == (ended.status, "0 is not between 1 and" in ended.err)


@pytest.fixture
def no_typer():
    with patch.dict(sys.modules, {"typer": None, "authz.cli.commands": None}):
        del sys.modules["authz.cli.commands"]
        yield


@pytest.mark.usefixtures("no_typer")
def test_without_the_packages_of_other_commands_they_end_with_what_is_missing():
    ended = command("check", "policy.yaml")

    assert (2, "") == (ended.status, ended.out)
    assert "mcp-authz: this installation only serves" in ended.err


@pytest.mark.usefixtures("no_typer")
def test_an_installation_that_only_serves_also_shows_its_version():
    assert Ended(0, f"mcp-authz {__version__}\n", "") == command("--version")
