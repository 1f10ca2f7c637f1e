"""The table of commands; one module a command, imported when its command is asked for."""

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "authz.cli.demo:demo",
        "serve": "authz.cli.commands:serve",
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
_FORWARD = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Passes the flags of `serve` on as they are, to its own parser."""


class _Commands(Mapping[str, Any]):
    """The commands of the table, each made when it is looked up, so that one does not load what another needs."""

    def __getitem__(self, name: str) -> Any:
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        one.command(name, context_settings=_FORWARD if name == "serve" else None)(
            resolve_name(_COMMANDS[name])
        )
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


def serve(context: typer.Context) -> None:
    """Decide for Envoy: gRPC (ext_authz, ext_proc, health) and HTTP (metadata, metrics, health, console)."""
    from authz.cli.serve import serve as run  # noqa: PLC0415 - `main` runs it without this module; here it is listed

    run(context.args)
