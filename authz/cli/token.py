"""`mcp-authz token`: get an access token by OAuth's device flow, or decode one."""

import contextlib
import json
import sys
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from authz.cli.options import Jwks
from authz.cli.policy_file import read_settings
from authz.edge.telemetry.service_log import configure
from authz.oauth import device
from authz.oauth.endpoints import discover
from authz.oauth.exchange import OAuthFailure, check_url, http_client, printable_line
from authz.oauth.inspect_token import TokenInspection, UnreadableError, decode
from authz.oauth.token_check import ACCEPTED, TokenVerdict, check_token
from authz.tools.terminal import say, table

_INTERRUPTED = 130
_MAX_STDIN = 1_048_576
_TIMES = ("exp", "iat", "nbf", "auth_time")
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def token(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    issuer: Annotated[str, typer.Option("--issuer", metavar="URL", help="The issuer's identifier.")] = "",
    client_id: Annotated[
        str,
        typer.Option(
            "--client-id", metavar="ID", help="The id of a native client that may use the device flow."
        ),
    ] = "",
    audience: Annotated[
        str,
        typer.Option(
            "--audience", metavar="AUDIENCE", help="The identifier of the API that the token is for."
        ),
    ] = "",
    scope: Annotated[
        str,
        typer.Option("--scope", metavar="SCOPES", help="Scopes to request, separated by spaces, in quotes."),
    ] = "",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the link in a browser.")] = False,
    decode: Annotated[
        str,
        typer.Option(
            "--decode",
            metavar="TOKEN",
            help="Show this token's header and claims; - reads stdin.",
        ),
    ] = "",
    config: Annotated[
        str,
        typer.Option(
            "-c", "--config", metavar="FILE", help="With --decode, check the token against this policy file."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --decode, print JSON.")] = False,
    jwks: Jwks = None,
) -> None:
    """Get an access token, or decode one.

    Shows a link and a code on stderr, waits until you have logged in, and prints only the token to stdout.
    With --decode, it requests nothing: it shows a token's header and claims without verifying them. With -c as well, it
    says for each server in the policy file whether the server would accept the token, and why.
    Exit status: 0 done, 1 no token was issued or no server accepts it, 2 a file or option is unusable.

    Example: mcp-authz token --issuer https://TENANT.auth0.com/ --client-id ID --audience https://mcp-oauth-demo
    """
    try:
        if decode:
            _decode(_stdin() if decode == "-" else decode, config, jwks, as_json)
        else:
            _require({"--issuer": issuer, "--client-id": client_id, "--audience": audience})
            request = device.TokenRequest(client=client_id, audience=audience, scope=scope)
            typer.echo(obtain(issuer, request, open_browser))
    except (OAuthFailure, UnreadableError) as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say("interrupted", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def _require(options: dict[str, str]) -> None:
    missing = [name for name, value in options.items() if not value]
    if missing:
        say(f"missing {', '.join(missing)} (or pass --decode TOKEN)", err=True)
        raise typer.Exit(2)


def obtain(issuer: str, request: device.TokenRequest, open_browser: bool) -> str:
    """Return an access token, once the user has logged in.

    Raises:
        OAuthFailure: there is none.
    """
    check_url(issuer, "--issuer")
    with http_client(issuer) as http:
        endpoints = discover(http, issuer)
        code = device.request_code(http, endpoints, request)
        _prompt(code, open_browser)
        with _progress(code):
            clock = device.PollClock(now=time.monotonic, sleep=time.sleep)
            answer = device.poll_token(http, endpoints, request, code, clock)
    _warn(request, answer)
    return str(answer["access_token"])


def _prompt(code: device.DeviceCode, open_browser: bool) -> None:
    link = code.verification_uri_complete or code.verification_uri
    say(f"To log in, open  {link}\nand confirm the code  {code.user_code}", err=True)
    if open_browser and not webbrowser.open(link):
        say("no browser could be opened; open the link yourself", err=True)


@contextlib.contextmanager
def _progress(code: device.DeviceCode) -> Iterator[None]:
    """Show a spinner while waiting, but only on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(f"waiting for your answer, at most {code.lifetime / 60:.0f} minutes"):
        yield


def _warn(request: device.TokenRequest, answer: dict[str, Any]) -> None:
    """Print on stderr how the token differs from what was requested."""
    if str(answer["access_token"]).count(".") != 2:
        say(
            "note: the token is not a signed JWT; does the issuer know the API of --audience?",
            err=True,
        )
    granted = printable_line(answer.get("scope")).split()
    lacking = [scope for scope in request.scope.split() if granted and scope not in granted]
    if lacking:
        say(f"note: not granted: {' '.join(lacking)}", err=True)


def _stdin() -> str:
    return sys.stdin.read(_MAX_STDIN).strip()


def _decode(token: str, config: str, jwks: list[str] | None, as_json: bool) -> None:
    now = time.time()
    verdicts = _check(token, config, jwks, now) if config else []
    try:
        inspection: TokenInspection | None = decode(token)
        problem = ""
    except UnreadableError as error:
        if not verdicts:
            raise
        inspection, problem = None, str(error)
    if as_json:
        shown = asdict(inspection) if inspection else {"problem": problem}
        typer.echo(
            json.dumps(
                {**shown, **({"verdicts": [verdict.as_data() for verdict in verdicts]} if config else {})}
            )
        )
    else:
        _show(inspection, problem, verdicts, now)
    if verdicts and all(verdict.reason != ACCEPTED for verdict in verdicts):
        raise typer.Exit(1)


def _check(token: str, config: str, jwks: list[str] | None, now: float) -> list[TokenVerdict]:
    configure(sys.stderr, "warning")
    return check_token(read_settings(config, "", jwks), token, now)


def _show(inspection: TokenInspection | None, problem: str, verdicts: list[TokenVerdict], now: float) -> None:
    if inspection is None:
        say(problem)
    else:
        _show_members("header, not verified", inspection.header, now)
        _show_members("claims, not verified", inspection.claims, now)
    for verdict in verdicts:
        detail = f": {verdict.detail}" if verdict.detail else ""
        say(f"server {verdict.server}: {verdict.reason}{detail}")
        if verdict.reason == ACCEPTED:
            scopes, roles = " ".join(verdict.scopes), " ".join(verdict.roles)
            say(f"  scopes: {printable_line(scopes) or '-'}    roles: {printable_line(roles) or '-'}")


def _show_members(title: str, members: dict[str, Any], now: float) -> None:
    say(title)
    rows = [
        (name, json.dumps(value, ensure_ascii=False), _moment(value, now) if name in _TIMES else "")
        for name, value in members.items()
    ]
    table(("name", "value", ""), rows)


def _moment(value: Any, now: float) -> str:
    """Return a NumericDate (RFC 7519 section 2) as a readable time and its distance from now."""
    try:
        moment = datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "not a time"
    seconds = float(value) - now
    size, unit = next((size, unit) for size, unit in _UNITS if abs(seconds) >= 2 * size or size == 1)
    distance = f"{abs(seconds) / size:.0f} {unit}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {f'in {distance}' if seconds > 0 else f'{distance} ago'}"
