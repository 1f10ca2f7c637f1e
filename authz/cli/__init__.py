"""The command line: one module a command, imported when its command runs."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

from authz.config.problems import ConfigError

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "authz.cli.demo:demo",
        "serve": "authz.cli.serve:serve",
        "envoy": "authz.cli.envoy:envoy",
        "doctor": "authz.cli.doctor:doctor",
        "check": "authz.cli.check:check",
        "test": "authz.cli.test:run_cases",
        "explain": "authz.cli.explain:explain",
        "diff": "authz.cli.diff:diff",
        "replay": "authz.cli.replay:replay",
        "stats": "authz.cli.stats:stats",
        "token": "authz.cli.token:token",
        "import": "authz.cli.importing:import_",
        "schema": "authz.cli.schema:schema",
    }
)
"""Name to function, in the order of the help."""
_LEAN = frozenset({"serve"})
"""Commands that run for long and draw nothing."""


class _Commands(Mapping[str, Any]):
    """The commands of the table, each made when it is looked up: a serving process does not hold what others need."""

    def __getitem__(self, name: str) -> Any:
        if name in _LEAN:
            importlib.import_module("authz.cli.lean")
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        one.command(name)(resolve_name(_COMMANDS[name]))
        return typer.main.get_command(one)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(TyperGroup):
    """A group whose commands are those of the table."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Mapping[str, Any] = _Commands()  # type: ignore[assignment]  # read, never added to


app = typer.Typer(
    cls=_Group,
    name="mcp-authz",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Per-tool authorization for MCP servers behind Envoy."""


def main() -> None:
    """Run a command; a user's mistake ends with its problems on stderr and status 2, never with a traceback."""
    try:
        app()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
