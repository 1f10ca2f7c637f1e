"""The command line.

`serve` is read by argparse alone and every other command by typer, so that a container that only serves needs neither
typer nor what comes with it.
"""

import importlib
import sys
from collections.abc import Sequence

from authz import __version__
from authz.config.problems import ConfigError

VERSION = f"mcp-authz {__version__}"
_ONLY_SERVES = (
    "mcp-authz: this installation only serves; the packages that other commands need are not installed"
)


def main() -> None:
    """Run a command; a user's mistake ends with its problems on stderr and status 2, never with a traceback."""
    try:
        _run(sys.argv[1:])
    except ConfigError as error:
        _say(str(error))
        sys.exit(2)


def _say(text: str) -> None:
    """Print to stderr; a service that runs never needs the module."""
    importlib.import_module("authz.tools.terminal").say(text, err=True)


def _serve(arguments: Sequence[str]) -> None:
    """Serve; what is wrong at the start is marked as an error, because warnings of the policy stand beside it."""
    try:
        importlib.import_module("authz.cli.serve").serve(arguments)
    except ConfigError as error:
        _say("\n".join(f"error: {problem}" for problem in error.problems))
        sys.exit(2)


def _run(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["serve"]:
        importlib.import_module("authz.cli.import_guard")
        _serve(arguments[1:])
        return
    try:
        commands = importlib.import_module("authz.cli.commands")
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        if arguments[:1] == ["--version"]:
            sys.stdout.write(f"{VERSION}\n")
            return
        _say(_ONLY_SERVES)
        sys.exit(2)
    commands.app(prog_name="mcp-authz")
