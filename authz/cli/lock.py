"""`mcp-authz lock`: write down what a server offers, so that it can be approved, and show what changed since."""

import getpass
import json
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from authz.cli.options import ServerToken, bearer_token
from authz.cli.policy_file import checked, read_settings
from authz.cli.token import obtain
from authz.config.addresses import check_http_url
from authz.config.files import write_text
from authz.config.lock_file import LockedItem, LockFile, read_lock
from authz.config.problems import mistake
from authz.oauth.device import TokenRequest
from authz.oauth.exchange import OAuthFailure
from authz.tools.catalogue import catalogues
from authz.tools.conversation import CatalogueError
from authz.tools.lock.compare import Difference, DifferenceKind, compare
from authz.tools.lock.document import locked_items, render_lock, visible
from authz.tools.lock.suspicions import Suspicion, suspicions
from authz.tools.terminal import Style, say, table

_SERVER = "--server"
_SIGNS = {DifferenceKind.ADDED: "+", DifferenceKind.REMOVED: "-", DifferenceKind.CHANGED: "~"}
_STYLES = {"+": Style.ADDED, "-": Style.REMOVED, "@": Style.PLACE}


def lock(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    server: Annotated[
        str,
        typer.Option("--server", metavar="URL", help="The MCP server's endpoint, behind or without Envoy."),
    ] = "",
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The lock file.")] = "tools.lock",
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; show what changed since the file was made.")
    ] = False,
    token: ServerToken = "",
    issuer: Annotated[
        str, typer.Option("--issuer", metavar="URL", help="Log in at this issuer (device flow) for a token.")
    ] = "",
    client_id: Annotated[
        str, typer.Option("--client-id", metavar="ID", help="With --issuer: the client's id.")
    ] = "",
    audience: Annotated[
        str,
        typer.Option("--audience", metavar="AUDIENCE", help="With --issuer: the API that the token is for."),
    ] = "",
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPES", help="With --issuer: scopes to request, in quotes.")
    ] = "",
    config: Annotated[
        str,
        typer.Option(
            "-c",
            "--config",
            metavar="FILE",
            help="Policy file: also warn of names that its other servers have.",
        ),
    ] = "",
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write down everything that a server offers: tools, prompts, resources and templates.

    The file is for review and for `servers.NAME.lock`: what it approves is what is served. Both eras of the protocol and
    all pages are asked, and what a reviewer should look at is named. With --diff, nothing is written. A lock holds what
    the token may see, so take one that sees everything.
    Exit status: 0 written or unchanged, 1 changed (--diff), 2 no answer, or a file or an option is unusable.

    Example: mcp-authz lock --server http://127.0.0.1:8080/mcp -o tools.lock
    """
    before = read_lock(out) if diff else None
    url = server or (before.server if before is not None else "")
    if not url:
        raise mistake(_SERVER, "missing", "give the URL of the MCP server")
    checked(_SERVER, url, check_http_url, "give the URL of the MCP server")
    try:
        request = TokenRequest(client=client_id, audience=audience, scope=scope)
        bearer = obtain(issuer, request, open_browser=False) if issuer else bearer_token(token)
        found = catalogues(url, bearer, _progress)
        items = locked_items(found)
    except (CatalogueError, OAuthFailure) as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None
    doubts = suspicions(items, _elsewhere(config, out))
    if before is not None:
        differences = compare(before.items, items)
        _show_differences(differences, doubts, as_data)
        raise typer.Exit(1 if differences else 0)
    made = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": _who(),
        "eras": [catalogue.era for catalogue in found],
    }
    write_text(out, render_lock(LockFile(server=url, made=made, items=items)))
    _show_written(out, items, doubts, as_data)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        say(f"asking {text}", err=True)


def _who() -> str:
    name = ""
    with suppress(OSError, KeyError):  # no user database in a container
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


def _elsewhere(config: str, out: str) -> dict[str, Sequence[LockedItem]]:
    """Return the locked items of the policy's servers, without those of the lock that is being made."""
    if not config:
        return {}
    locks = read_settings(config, "", None).locks
    own = Path(out).resolve()
    return {name: read_lock(file).items for name, file in locks.items() if Path(file).resolve() != own}


def _show_written(out: str, items: Sequence[LockedItem], doubts: Sequence[Suspicion], as_data: bool) -> None:
    counts: dict[str, int] = {}
    for item in items:
        counts[item.section] = counts.get(item.section, 0) + 1
    if as_data:
        typer.echo(json.dumps({"file": out, "items": counts, "look_at": list(map(asdict, doubts))}))
        return
    said = ", ".join(f"{count} {section}" for section, count in counts.items()) or "nothing"
    say(f"{out}: {said}")
    _show_doubts(doubts)
    say("Next: review the file, commit it, and name it as `lock: {file: FILE}` of the server in the policy.")


def _show_doubts(doubts: Sequence[Suspicion]) -> None:
    if doubts:
        say("\nLook at these before you approve them:")
        table(("list", "name", "what"), ((doubt.section, doubt.name, doubt.what) for doubt in doubts))


def _show_differences(differences: Sequence[Difference], doubts: Sequence[Suspicion], as_data: bool) -> None:
    names = {(difference.section, difference.name) for difference in differences}
    fresh = [doubt for doubt in doubts if (doubt.section, doubt.name) in names]
    if as_data:
        found = {"changes": list(map(asdict, differences)), "look_at": list(map(asdict, fresh))}
        typer.echo(json.dumps(found))
        return
    if not differences:
        say("nothing changed since the lock was made")
        return
    for difference in differences:
        era = f" ({difference.era})" if difference.era else ""
        words = f": {'; '.join(difference.words)}" if difference.words else ""
        head = f"{_SIGNS[difference.change]} {difference.section} {difference.name}{era} {difference.change}{words}"
        say(visible(head), style=Style.BOLD)
        for line in difference.lines[2:]:  # after the two lines that name the sides
            say(f"    {visible(line)}", indent=6, style=_STYLES.get(line[:1], Style.PLAIN))
    _show_doubts(fresh)
