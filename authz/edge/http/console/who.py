"""Who sees what: the lists of a caller with given claims, by the policy in force."""

import time
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from authz.config.settings import Settings
from authz.core.identity.principal import TokenRejected
from authz.core.servers import Server
from authz.edge.http.console.markup import paragraph, section, table
from authz.edge.http.console.why import entries
from authz.tools.synthetic_caller import added, caller_of

LISTS = ("kind", "name", "listed", "reason", "rule")
_MOST_CLAIMS = 16_384
_EXAMPLE = '{"sub": "alice", "scope": "files:read"}'


def who_sees_what(settings: Settings, asked: Mapping[str, str]) -> str:
    """Return the form and, once it is sent, what the caller sees."""
    servers = {server.name: server for server in settings.directory.servers}
    server = servers.get(asked.get("server", ""))
    form = _form(settings, servers, asked)
    answer = "" if server is None else _answer(server, settings, asked)
    hint = paragraph("Claims are taken as given: no token is asked for, and none should be entered.")
    return section("Who sees what", hint + form + answer, name="who")


def _answer(server: Server, settings: Settings, asked: Mapping[str, str]) -> str:
    persona = settings.personas.get(asked.get("persona", ""))
    claims = dict(persona) if persona is not None else _claims(asked.get("claims", ""))
    if claims is None:
        return paragraph(f"The claims are not a JSON object, or longer than {_MOST_CLAIMS:,} characters.")
    caller = caller_of(claims, server, time.time())
    if isinstance(caller, TokenRejected):
        return paragraph(f"No lists: a token with these claims is refused: {caller.detail}.")
    rows = entries(server, caller)
    assumed = ", ".join(added(claims, server))
    told = paragraph(f"Added to the claims: {assumed}.") if assumed else ""
    if not rows:
        return told + paragraph("No rule names an item in full, so there is nothing to show.")
    return told + table(f"What this caller sees at {server.name}", LISTS, rows)


def _claims(text: str) -> dict[str, Any] | None:
    if len(text) > _MOST_CLAIMS:
        return None
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def _form(settings: Settings, servers: Mapping[str, Server], asked: Mapping[str, str]) -> str:
    personas = ""
    if settings.personas:
        names = ["", *settings.personas]
        personas = (
            f'<label for="persona">Persona of the policy\'s tests</label>'
            f'<select id="persona" name="persona">{_options(names, asked.get("persona", ""))}</select>'
        )
    claims = asked.get("claims", _EXAMPLE)[:_MOST_CLAIMS]
    return (
        '<form method="get"><input type="hidden" name="view" value="who">'
        '<label for="server">Server</label>'
        f'<select id="server" name="server">{_options(list(servers), asked.get("server", ""))}</select>'
        f"{personas}"
        f'<label for="claims">Claims{" (if no persona is chosen)" if personas else ""}</label>'
        f'<textarea id="claims" name="claims" rows="4" spellcheck="false">{escape(claims)}</textarea>'
        "<button>Show the lists</button></form>"
    )


def _options(names: list[str], chosen: str) -> str:
    return "".join(
        f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>{escape(name) or "none"}</option>'
        for name in names
    )
