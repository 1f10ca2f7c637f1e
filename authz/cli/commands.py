"""The table of commands; one module a command, imported when its command is asked for."""

from collections.abc import Iterator, Mapping
from functools import partial
from inspect import cleandoc
from pkgutil import resolve_name
from textwrap import wrap
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from authz.cli import VERSION

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
        "audit": "authz.cli.audit:audit",
        "stats": "authz.cli.stats:stats",
        "token": "authz.cli.token:token",
        "init": "authz.cli.init:init",
        "learn": "authz.cli.learn:learn",
        "lock": "authz.cli.lock:lock",
        "import": "authz.cli.importing:import_",
        "schema": "authz.cli.schema:schema",
    }
)
"""Name to function, in the order of the help."""
_FORWARD = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Passes the flags of `serve` on as they are, to its own parser."""


def _without_types(parameters: list[Any]) -> list[Any]:
    """Leave Python's types out of the help: a flag takes no value, and an argument has its metavar."""
    for parameter in parameters:
        if isinstance(parameter, TyperArgument):
            parameter.display_type_rich = lambda **_: ""  # type: ignore[method-assign]
            parameter._usage_display_name = partial(_metavar, parameter)  # type: ignore[method-assign]  # noqa: SLF001 - typer offers no other way
        elif parameter.is_flag:
            parameter.metavar = ""
    return parameters


def _metavar(parameter: TyperArgument) -> str:
    """Return how the usage line names an argument: in brackets if it may be left out."""
    name = parameter.metavar or ""
    return name if parameter.required else f"[{name}]"


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph of a docstring; the help wraps them to the terminal's width."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))


class _Command(TyperCommand):
    """A command whose help shows metavars and no types."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as click calls it
        """Write the help's text without a break in `mcp-authz`."""
        indent = " " * 2
        for paragraph in (self.help or "").split("\n\n"):
            lines = wrap(
                paragraph,
                formatter.width,
                initial_indent=indent,
                subsequent_indent=indent,
                break_on_hyphens=False,
            )
            formatter.write("\n".join(["", *lines, ""]))


class _Commands(Mapping[str, Any]):
    """The commands of the table, each made when it is looked up, so that one does not load what another needs."""

    def __getitem__(self, name: str) -> Any:
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        function = resolve_name(_COMMANDS[name])
        given = _FORWARD if name == "serve" else None
        text = _unwrapped(function.__doc__)
        short = text.partition("\n\n")[0]
        one.command(name, cls=_Command, help=text, short_help=short, context_settings=given)(function)
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

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    name="mcp-authz",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Per-tool authorization for MCP servers behind Envoy."""


def serve(context: typer.Context) -> None:
    """Run the service that Envoy asks: gRPC (ext_authz, ext_proc, health) and HTTP (metadata, metrics, health, console)."""
    from authz.cli.serve import serve as run  # noqa: PLC0415 - `main` runs it without this module; here it is listed

    run(context.args)
