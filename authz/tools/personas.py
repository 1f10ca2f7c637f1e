"""Whose claims are known: records name a caller by `sub`, and somebody else has to say what that caller's token says.

A record's issuer and client are facts about the same token, so a description is completed by them, and one that
contradicts them is of another token: the caller's claims are then not known.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from authz.config.problems import ConfigError, Problem
from authz.core.servers import Server
from authz.tools.arguments import json_object
from authz.tools.audit_reader import Record

Claims = Mapping[str, Any]
_FLAG = "--claims-for"


def by_subject(personas: Mapping[str, Claims], given: Iterable[str]) -> dict[str, list[Claims]]:
    """Index descriptions by `sub`.

    Args:
        personas: name to claims; those without `sub` are nobody whom a record could name.
        given: entries SUB=JSON, which win over a persona with the same `sub`.

    Raises:
        ConfigError: an entry is not of that form.
    """
    found: dict[str, list[Claims]] = {}
    for claims in personas.values():
        if isinstance(claims.get("sub"), str):
            found.setdefault(claims["sub"], []).append(claims)
    for entry in given:
        subject, _, text = entry.partition("={")
        if not text:
            raise ConfigError([Problem(file=_FLAG, message="not of the form SUB=JSON")])
        found[subject] = [{**json_object(_FLAG, "{" + text), "sub": subject}]
    return found


def claims_of(record: Record, server: Server | None, known: Mapping[str, list[Claims]]) -> Claims | None:
    """Give what the token behind a record said; None when that is not known, or when several descriptions fit."""
    fitting = [
        completed
        for claims in known.get(record.sub, ())
        if (completed := _completed(record, server, claims)) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def _completed(record: Record, server: Server | None, claims: Claims) -> Claims | None:
    trust = server.issuers.get(record.issuer) if server is not None else None
    client_claim = _client_claim(claims, trust.client_claim if trust is not None else None)
    facts = {"iss": record.issuer, client_claim: record.client}
    facts = {name: value for name, value in facts.items() if value}
    if any(claims.get(name, value) != value for name, value in facts.items()):
        return None
    return {**claims, **facts}


def _client_claim(claims: Claims, configured: str | None) -> str:
    """Name the claim that says the client, as `authz.core.identity.claims` reads it."""
    return configured or ("client_id" if "client_id" in claims and "azp" not in claims else "azp")
