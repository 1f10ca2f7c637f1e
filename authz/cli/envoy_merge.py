"""`mcp-authz envoy --merge`: reads a bootstrap, writes it with the rendered parts in it, and says what that changes."""

import sys

import typer

from authz.config.files import read_text, write_text
from authz.config.problems import ConfigError
from authz.config.settings import Settings
from authz.render.model import Chain


def write_merged(
    existing: str, out: str, chain: Chain, settings: Settings, *, listener: str, isolate: bool
) -> None:
    """Merge and print; without a file to write, the result is on stdout and the table on stderr."""
    from authz.merge.merge import merge  # noqa: PLC0415 - costs most of a second
    from authz.merge.target import choices  # noqa: PLC0415 - as above
    from authz.tools.terminal import say, table  # noqa: PLC0415 - as above

    try:
        text = read_text(existing)
        listener = listener or _asked(choices(text, existing, settings) if _at_a_terminal() else [])
        merged = merge(text, existing, chain, settings, listener=listener, isolate=isolate)
    except ConfigError as error:
        for problem in error.problems:
            say(f"error: {problem}", err=True)
        raise typer.Exit(2) from None
    rows = [(each.what, each.before, each.now) for each in merged.effects]
    if out:
        write_text(out, merged.text)
    else:
        sys.stdout.write(merged.text)
    table(("what changes", "before", "now"), rows, err=not out)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _asked(names: list[str]) -> str:
    """Ask for one of several names; empty if there is nothing to choose."""
    if not names:
        return ""
    kind = typer.prompt(
        f"Several connection managers serve the policy's hosts ({', '.join(names)}). Which one", err=True
    )
    return str(kind)
