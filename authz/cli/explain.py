"""`mcp-authz explain`: one decision, every rule that was considered, and what would have to change."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from authz.cli.options import File, Jwks
from authz.cli.policy_file import read_settings
from authz.config.problems import mistake
from authz.config.settings import Settings
from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jws import read_compact, read_object
from authz.core.identity.principal import Caller, TokenRejected, Unverified
from authz.core.mcp.item import Item, Kind, Template
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.edge.telemetry.service_log import configure
from authz.oauth.token_check import check_token
from authz.tools.claim_paths import absent_claims
from authz.tools.explanation import (
    DescribedCaller,
    as_json,
    caller_json,
    entries_json,
    explain_request,
    list_entries,
)
from authz.tools.explanation_view import show_entries, show_explanation
from authz.tools.option_values import headers_of, json_object, read_bytes, server_of
from authz.tools.requests import decide, post, use
from authz.tools.synthetic_caller import added, caller_of, completed, terms_for

_DENIED = 3
_ARGS = "--args"
_CLAIMS = "--claims"
_JWKS = "--jwks"
_TOOL = "--tool"
_MAX_INPUT = 16 * 1024 * 1024
_LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


def explain(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    config: File,
    server: Annotated[
        str, typer.Option("--server", metavar="NAME", help="The server; needed if there are several.")
    ] = "",
    claims: Annotated[
        str,
        typer.Option(
            "--claims", metavar="JSON", help="The claims of the caller's token; no signature is checked."
        ),
    ] = "",
    token: Annotated[
        str,
        typer.Option(
            "--token", metavar="TOKEN", help="The caller's token, which is verified; - reads stdin."
        ),
    ] = "",
    tool: Annotated[str, typer.Option("--tool", metavar="NAME", help="The tool to call.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", metavar="NAME", help="The prompt to get.")] = "",
    resource: Annotated[str, typer.Option("--resource", metavar="URI", help="The resource to read.")] = "",
    template: Annotated[
        str, typer.Option("--template", metavar="TEMPLATE", help="The URI template to complete.")
    ] = "",
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="The call's arguments.")] = "",
    request: Annotated[
        str,
        typer.Option(
            "--request", metavar="FILE", help="A file with the JSON-RPC body of a request; - reads stdin."
        ),
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="A request header; repeatable.")
    ] = None,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    jwks: Jwks = None,
) -> None:
    """Explain one decision: the rules that were considered, and what would have to change for an allow.

    Shows every rule that applies to the item, with the value of each condition. Without --tool, --prompt, --resource, --template or
    --request, it shows which of the items named in rules the caller sees in lists. Argument values are never shown.
    Exit status: 0 allowed, 3 denied, 2 a file or option is unusable.

    Example: mcp-authz explain -c policy.yaml --claims '{"sub": "alice", "scope": "files:read"}' --tool delete_file
    """
    settings = read_settings(config, "", jwks)
    target = server_of(settings, server)
    named = [
        Item(Kind.TOOL, tool),
        Item(Kind.PROMPT, prompt),
        Item(Kind.RESOURCE, resource),
        Template(Kind.RESOURCE, template),
    ]
    body = _body([item for item in named if item.name], args, request)
    headers = headers_of(header or [])
    who = _who(settings, target, claims, token, jwks)
    if body is None:
        _list(settings, target, who, headers, as_data)
        return
    found = explain_request(settings, target, post(target, body, headers), who.caller)
    if as_data:
        typer.echo(json.dumps({**caller_json(who), **as_json(found)}))
    else:
        show_explanation(found, who)
    if not found.decision.allowed:
        raise typer.Exit(_DENIED)


def _body(named: list[Item], args: str, request: str) -> bytes | None:
    """Return the request's body, or None if there is no item to ask about."""
    if len(named) + bool(request) > 1:
        raise mistake(
            _TOOL, "--tool, --prompt, --resource, --template and --request exclude each other", "give one"
        )
    if args and not any(item.kind in {Kind.TOOL, Kind.PROMPT} for item in named):
        raise mistake(_ARGS, "only calls of tools and prompts have arguments", "give --tool or --prompt")
    if request:
        return read_bytes(request)
    arguments = json_object("--args", args) if args else None
    return next((use(item, arguments) for item in named), None)


def _who(
    settings: Settings, server: Server, claims: str, token: str, jwks: list[str] | None
) -> DescribedCaller:
    if claims and token:
        raise mistake(_CLAIMS, "--claims and --token exclude each other", "give one")
    if jwks and not token:
        raise mistake(_JWKS, "without --token, no key is needed")
    if token:
        text = sys.stdin.read(_MAX_INPUT).strip() if token == "-" else token
        return _verified(settings, server, text)
    if not claims:
        refused = TokenRejected(reason=Reason.MISSING_TOKEN, detail="neither --claims nor --token was given")
        return DescribedCaller(caller=refused, how="no token")
    given = json_object("--claims", claims)
    names = ", ".join(added(given, server))
    how = "claims as given: no signature was verified" + (f"; added: {names}" if names else "")
    now = time.time()
    terms = terms_for(given, server)
    notes = [] if terms is None else _notes(completed(given, terms, now), terms, server)
    return DescribedCaller(caller=caller_of(given, server, now), how=how, notes=notes)


_CHECKED = "token checked with its issuer's keys"


def _verified(settings: Settings, server: Server, token: str) -> DescribedCaller:
    """Verify a token and read its claims as the service does."""
    configure(sys.stderr, "warning")
    now = time.time()
    found = next(each for each in check_token(settings, token, now) if each.server == server.name)
    if found.principal is None:
        refused = TokenRejected(reason=Reason(found.reason), detail=found.detail)
        jws = read_compact(token)
        claims = None if isinstance(jws, TokenRejected) else read_object(jws.payload)
        terms = None if claims is None else terms_for(claims, server)
        notes = [] if claims is None or terms is None else _notes(claims, terms, server)
        how = _unknown_issuer(claims, server) if refused.reason is Reason.UNKNOWN_ISSUER else _CHECKED
        return DescribedCaller(caller=refused, how=how, notes=notes)
    who, terms = found.principal, server.issuers[found.principal.issuer]
    caller = Caller.of(who, server.name, issuer=terms.name)
    return DescribedCaller(caller=caller, how=_CHECKED, notes=_notes(who.claims, terms, server))


def _unknown_issuer(claims: Mapping[str, Any] | None, server: Server) -> str:
    """Say whose token it is, which nobody has verified, and whose are accepted: mostly they differ by a slash."""
    said = Unverified.of(claims or {}).iss
    return f"the token names the issuer {said!r} (not verified); accepted here: {', '.join(server.issuers)}"


def _notes(claims: Mapping[str, Any], terms: IssuerTerms, server: Server) -> list[str]:
    return absent_claims(claims, terms, server.policy.rules)


def _list(
    settings: Settings, server: Server, who: DescribedCaller, headers: Mapping[str, str], as_data: bool
) -> None:
    """Show what is listed, after the engine has decided the list request itself."""
    decision = decide(settings, post(server, _LIST, headers), who.caller)
    rows = []
    if decision.allowed and isinstance(who.caller, Caller):
        rows = list_entries(server, who.caller, headers)
    if as_data:
        typer.echo(json.dumps({**caller_json(who), **entries_json(decision, rows)}))
    else:
        show_entries(decision, server.name, who, rows)
    if not decision.allowed:
        raise typer.Exit(_DENIED)
