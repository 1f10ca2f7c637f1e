"""`mcp-authz token`: get an access token by OAuth's device flow, or see what one says."""

import contextlib
import json
import sys
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from authz.cli.options import Jwks
from authz.cli.policy_file import read_settings
from authz.edge.telemetry.service_log import configure
from authz.oauth import device
from authz.oauth.endpoints import discover
from authz.oauth.exchange import OAuthFailure, check_url, client, words
from authz.oauth.inspect_token import TokenInspection, UnreadableError, read
from authz.oauth.token_check import TAKEN, TokenVerdict, verdicts

_INTERRUPTED = 130
_MAX_STDIN = 1_048_576
_TIMES = ("exp", "iat", "nbf", "auth_time")


def token(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="The issuer identifier.")] = "",
    client_id: Annotated[
        str, typer.Option("--client-id", metavar="ID", help="A native client that may use the device flow.")
    ] = "",
    audience: Annotated[
        str, typer.Option("--audience", metavar="A", help="The API that the token is for.")
    ] = "",
    scope: Annotated[
        str, typer.Option("--scope", help="Scopes to ask for, separated by spaces, in quotes.")
    ] = "",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the link in a browser.")] = False,
    decode: Annotated[
        str,
        typer.Option("--decode", metavar="TOKEN", help="Show what this token says; - reads it from stdin."),
    ] = "",
    config: Annotated[
        str,
        typer.Option("-c", "--config", metavar="FILE", help="With --decode: would this policy file take it?"),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --decode: as JSON.")] = False,
    jwks: Jwks = None,
) -> None:
    """Get an access token: shows a link and a code on stderr, waits, and prints only the token on stdout.

    With --decode nothing is asked for: the token's header and claims are shown, unverified, and with -c whether and
    why each server of the file would take it. Exit status: 0, or 1 for no token, or one that no server takes.

    Example: mcp-authz token --issuer https://TENANT.auth0.com/ --client-id ID --audience https://mcp-oauth-demo
    """
    try:
        if decode:
            _decode(_stdin() if decode == "-" else decode, config, jwks, as_json)
        else:
            _require({"--issuer": issuer, "--client-id": client_id, "--audience": audience})
            asked = device.Asked(client=client_id, audience=audience, scope=scope)
            typer.echo(_obtain(issuer, asked, open_browser))
    except (OAuthFailure, UnreadableError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _require(options: dict[str, str]) -> None:
    missing = [name for name, value in options.items() if not value]
    if missing:
        typer.echo(f"missing {', '.join(missing)} (or give --decode TOKEN)", err=True)
        raise typer.Exit(2)


def _obtain(issuer: str, asked: device.Asked, open_browser: bool) -> str:
    check_url(issuer, "--issuer")
    with client(issuer) as http:
        endpoints = discover(http, issuer)
        code = device.begin(http, endpoints, asked)
        _prompt(code, open_browser)
        with _progress(code):
            how = device.Time(now=time.monotonic, sleep=time.sleep)
            answer = device.wait(http, endpoints, asked, code, how)
    _remark(asked, answer)
    return str(answer["access_token"])


def _prompt(code: device.Code, open_browser: bool) -> None:
    link = code.complete or code.where
    typer.echo(f"To log in, open  {link}\nand confirm the code  {code.user_code}", err=True)
    if open_browser and not webbrowser.open(link):
        typer.echo("no browser could be opened; open the link yourself", err=True)


@contextlib.contextmanager
def _progress(code: device.Code) -> Iterator[None]:
    """Show a sign of life while waiting, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(f"waiting for your answer, at most {code.lifetime / 60:.0f} minutes"):
        yield


def _remark(asked: device.Asked, answer: dict[str, Any]) -> None:
    """Say on stderr what will surprise whoever uses the token."""
    if str(answer["access_token"]).count(".") != 2:
        typer.echo(
            "note: the token is no signed JWT; does the issuer know the API of --audience?",
            err=True,
        )
    granted = words(answer.get("scope")).split()
    lacking = [scope for scope in asked.scope.split() if granted and scope not in granted]
    if lacking:
        typer.echo(f"note: not granted: {' '.join(lacking)}", err=True)


def _stdin() -> str:
    return sys.stdin.read(_MAX_STDIN).strip()


def _decode(text: str, config: str, jwks: list[str] | None, as_json: bool) -> None:
    now = time.time()
    found = _judge(text, config, jwks, now) if config else []
    try:
        reading: TokenInspection | None = read(text)
        problem = ""
    except UnreadableError as error:
        if not found:
            raise
        reading, problem = None, str(error)
    if as_json:
        said = asdict(reading) if reading else {"problem": problem}
        typer.echo(json.dumps({**said, **({"verdicts": list(map(asdict, found))} if config else {})}))
    else:
        _show(reading, problem, found, now)
    if found and all(verdict.reason != TAKEN for verdict in found):
        raise typer.Exit(1)


def _judge(text: str, config: str, jwks: list[str] | None, now: float) -> list[TokenVerdict]:
    configure(sys.stderr)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    return verdicts(read_settings(config, "", jwks), text, now)


def _show(reading: TokenInspection | None, problem: str, found: list[TokenVerdict], now: float) -> None:
    console = Console()
    if reading is None:
        typer.echo(problem)
    else:
        console.print(_table("header, not verified", reading.header, now))
        console.print(_table("claims, not verified", reading.claims, now))
    for verdict in found:
        detail = f": {verdict.detail}" if verdict.detail else ""
        typer.echo(f"server {verdict.server}: {verdict.reason}{detail}")
        if verdict.reason == TAKEN:
            scopes, roles = " ".join(verdict.scopes), " ".join(verdict.roles)
            typer.echo(f"  scopes: {words(scopes) or '-'}    roles: {words(roles) or '-'}")


def _table(title: str, members: dict[str, Any], now: float) -> Table:
    table = Table("name", "value", "", title=title, title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    for name, value in members.items():
        # As JSON, whose ASCII form has no character that could steer a terminal.
        shown = (json.dumps(name)[1:-1], json.dumps(value), _moment(value, now) if name in _TIMES else "")
        table.add_row(*map(Text, shown))
    return table


def _moment(value: Any, now: float) -> str:
    """Give a NumericDate (RFC 7519 section 2) as a time of day and its distance from now."""
    try:
        moment = datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "not a time"
    minutes = (float(value) - now) / 60
    distance = f"in {minutes:.0f} min" if minutes > 0 else f"{-minutes:.0f} min ago"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {distance}"
