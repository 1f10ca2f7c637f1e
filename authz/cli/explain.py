"""`mcp-authz explain`: one decision, every rule that was considered, and what would have to change."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
import typer

from authz.cli.options import File, Jwks, read_settings
from authz.config.settings import Settings
from authz.core.claims import principal
from authz.core.condition import Part
from authz.core.explain import Change, PartSeen, RuleSeen
from authz.core.item import Item, Kind
from authz.core.jws import read_compact, read_object
from authz.core.occasion import Caller
from authz.core.reasons import TABLE, Reason
from authz.core.refused import Refused
from authz.core.server import Server
from authz.edge.logs import configure
from authz.oauth.verdict import TAKEN, verdicts
from authz.tools.asking import decide, post, use
from authz.tools.callers import ClaimsRefused, added, caller_of
from authz.tools.explaining import Account, account, as_json, places
from authz.tools.inputs import headers_of, json_object, mistake, read_bytes, server_of
from authz.tools.text import plain, table

_DENIED = 3
_ARGS = "--args"
_CLAIMS = "--claims"
_JWKS = "--jwks"
_TOOL = "--tool"
_MAX_INPUT = 16 * 1024 * 1024
_LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Who:
    """Who asks, and how that is known, for the output."""

    caller: Caller | Refused
    how: str


def explain(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    config: File,
    server: Annotated[
        str, typer.Option("--server", metavar="NAME", help="Which server; default the only one.")
    ] = "",
    claims: Annotated[
        str, typer.Option("--claims", metavar="JSON", help="What the caller's token says; not verified.")
    ] = "",
    token: Annotated[
        str, typer.Option("--token", metavar="T", help="The caller's token, verified; - reads it from stdin.")
    ] = "",
    tool: Annotated[str, typer.Option("--tool", metavar="NAME", help="The tool called.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", metavar="NAME", help="The prompt got.")] = "",
    resource: Annotated[str, typer.Option("--resource", metavar="URI", help="The resource read.")] = "",
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="The call's arguments.")] = "",
    request: Annotated[
        str, typer.Option("--request", metavar="FILE", help="A JSON-RPC body; - reads it from stdin.")
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="K=V", help="A header of the request.")
    ] = None,
    as_data: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    jwks: Jwks = None,
) -> None:
    """Explain one decision; without an item, what of the items that the rules name is listed.

    Every rule that can be about the item is shown with each of its parts and the part's value, then what would have to
    change for an allow. No argument's value is shown. Exit status: 0 allow, 3 deny, 2 for a mistake in what was given.

    Example: mcp-authz explain -c policy.yaml --claims '{"sub": "alice", "scope": "files:read"}' --tool delete_file
    """
    settings = read_settings(config, "", jwks)
    target = server_of(settings, server)
    named = {Kind.TOOL: tool, Kind.PROMPT: prompt, Kind.RESOURCE: resource}
    body = _body({kind: name for kind, name in named.items() if name}, args, request)
    headers = headers_of(header or [])
    who = _who(settings, target, claims, token, jwks)
    if body is None:
        _list(settings, target, who, headers, as_data)
        return
    found = account(settings, target, post(target, body, headers), who.caller)
    if as_data:
        typer.echo(json.dumps({**_caller_json(who), **as_json(found)}))
    else:
        _show(found, who)
    if not found.decision.allowed:
        raise typer.Exit(_DENIED)


def _body(named: Mapping[Kind, str], args: str, request: str) -> bytes | None:
    """Give the request's body, None when no item is asked about."""
    if len(named) + bool(request) > 1:
        raise mistake(_TOOL, "--tool, --prompt, --resource and --request exclude each other", "give one")
    if args and not named.keys() & {Kind.TOOL, Kind.PROMPT}:
        raise mistake(_ARGS, "only calls of tools and prompts have arguments", "give --tool or --prompt")
    if request:
        return read_bytes(request)
    arguments = json_object("--args", args) if args else None
    return next((use(Item(kind, name), arguments) for kind, name in named.items()), None)


def _who(settings: Settings, server: Server, claims: str, token: str, jwks: list[str] | None) -> _Who:
    if claims and token:
        raise mistake(_CLAIMS, "--claims and --token exclude each other", "give one")
    if jwks and not token:
        raise mistake(_JWKS, "no key is needed without --token")
    if token:
        text = sys.stdin.read(_MAX_INPUT).strip() if token == "-" else token
        return _Who(caller=_verified(settings, server, text), how="token checked with its issuer's keys")
    if not claims:
        refused = Refused(reason=Reason.MISSING_TOKEN, detail="neither --claims nor --token was given")
        return _Who(caller=refused, how="no token")
    given = json_object("--claims", claims)
    names = ", ".join(added(given, server))
    how = "claims as given: no signature was verified" + (f"; added: {names}" if names else "")
    try:
        return _Who(caller=caller_of(given, server, time.time()), how=how)
    except ClaimsRefused as error:
        return _Who(caller=error.refused, how=how)


def _verified(settings: Settings, server: Server, token: str) -> Caller | Refused:
    """Verify a token as the service would, and read its claims as the service does."""
    configure(sys.stderr)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    found = next(each for each in verdicts(settings, token, time.time()) if each.server == server.name)
    if found.reason != TAKEN:
        return Refused(reason=Reason(found.reason), detail=found.detail)
    jws = read_compact(token)
    claims = None if isinstance(jws, Refused) else read_object(jws.payload)
    if claims is None:  # cannot be: the same bytes were accepted
        return Refused(reason=Reason.INTERNAL, detail="the token changed while it was read")
    return Caller.of(principal(claims, server.trusts[str(claims["iss"])]), server.name)


def _caller_json(who: _Who) -> dict[str, Any]:
    if isinstance(who.caller, Refused):
        return {"caller": None, "how": who.how}
    found = who.caller.principal
    said = {"issuer": found.issuer, "subject": found.subject, "client": found.client}
    return {"caller": {**said, "scopes": found.scopes, "roles": found.roles}, "how": who.how}


def _caller_lines(who: _Who) -> list[str]:
    if isinstance(who.caller, Refused):
        return [f"caller  none: {who.caller.detail}", f"        {who.how}"]
    found = who.caller.principal
    grants = f"scopes: {' '.join(found.scopes) or '-'}; roles: {' '.join(found.roles) or '-'}"
    return [
        plain(f"caller  {found.subject or '-'}, client {found.client or '-'}; {grants}"),
        f"        {who.how}",
    ]


def _list(settings: Settings, server: Server, who: _Who, headers: Mapping[str, str], as_data: bool) -> None:
    """Show what is listed; the list itself goes through the walk first."""
    decision = decide(settings, post(server, _LIST, headers), who.caller)
    rows = [] if isinstance(who.caller, Refused) else places(server, who.caller, headers)
    rows = rows if decision.allowed else []
    if as_data:
        items = [
            {
                "kind": item.kind.value,
                "name": item.name,
                "listed": verdict.reason is Reason.ALLOWED,
                "reason": verdict.reason.value,
                "rule": verdict.rule.name if verdict.rule else "",
            }
            for item, verdict in rows
        ]
        typer.echo(json.dumps({**_caller_json(who), "reason": decision.reason.value, "items": items}))
    else:
        _lines([f"{decision.reason} for a list at {server.name}", *_caller_lines(who)])
        cells = [
            (
                item.kind,
                item.name,
                "yes" if verdict.reason is Reason.ALLOWED else "no",
                verdict.reason,
                verdict.rule.name if verdict.rule else "-",
            )
            for item, verdict in rows
        ]
        table(("kind", "name", "listed", "reason", "rule"), cells)
    if not decision.allowed:
        raise typer.Exit(_DENIED)


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _show(found: Account, who: _Who) -> None:
    decision, explanation = found.decision, found.explanation
    word = "ALLOW" if decision.allowed else "DENY"
    what = f"{decision.item.kind} {decision.item.name}" if decision.item else decision.method or "request"
    by = f" by {decision.rule}" if decision.rule else ""
    text = TABLE[decision.reason].text
    said = f": {text}" if text else ""
    head = (plain(f"{word}  {what} at {decision.server}"), plain(f"reason  {decision.reason}{by}{said}"))
    _lines([*head, *_caller_lines(who)])
    if explanation is None:
        return
    _lines([f"listed  {'yes' if explanation.listed else 'no'}"])
    headings = ("", "rule", "effect", "says", "part", "value", "asks", "missing")
    table(headings, [row for seen in explanation.rules for row in _rows(seen)])
    if explanation.changes:
        _lines(
            ["for an allow, all of these:", *(plain(f"- {_sentence(each)}") for each in explanation.changes)]
        )
    if decision.shadows:
        _lines([plain(f"with shadow rules applied the answer would differ: {', '.join(decision.shadows)}")])


def _rows(seen: RuleSeen) -> list[tuple[str, ...]]:
    """Give a rule's rows: one for each part, one for a rule that asks nothing."""
    effect = f"{seen.rule.effect} (shadow)" if seen.rule.shadow else str(seen.rule.effect)
    head = ("->" if seen.decided else "", seen.rule.name, effect, str(seen.outcome))
    cells = [
        (
            str(part.part),
            part.truth.value if part.truth else "-",
            ", ".join(part.wanted),
            ", ".join(part.missing),
        )
        for part in seen.parts
    ]
    blank = ("", "", "", "")
    return [(*(blank if index else head), *cell) for index, cell in enumerate(cells or [blank])]


def _sentence(change: Change) -> str:
    if change.rule is None:
        return "an allow rule must select it"
    if not change.parts:
        return f"{change.rule.name} must be removed or select something else"
    parts = "; ".join(map(_asked, change.parts))
    return f"{change.rule.name} must {'hold' if change.hold else 'not hold, in one of its parts'}: {parts}"


_ASKED = {Part.ROLES: "one of roles", Part.ANY_SCOPES: "one of scopes", Part.ARGUMENTS: "types of arguments"}


def _asked(seen: PartSeen) -> str:
    return f"{_ASKED.get(seen.part, seen.part.value)} {', '.join(seen.missing or seen.wanted)}"
