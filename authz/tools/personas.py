"""Claims of the callers in audit records: a record names a caller by `sub`, and a persona says what the token says.

A record's issuer and client are facts about the same token. They complete a persona; a persona that contradicts them
describes another token, and the caller's claims stay unknown.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from authz.config.problems import mistake
from authz.core.identity.claims import claim_at
from authz.core.identity.issuer import ClaimPath
from authz.core.servers import Server
from authz.tools.audit_reader import Record
from authz.tools.claim_paths import put
from authz.tools.option_values import json_object

Claims = Mapping[str, Any]
_FLAG = "--claims-for"


def by_subject(personas: Mapping[str, Claims], given: Iterable[str]) -> dict[str, list[Claims]]:
    """Index personas by `sub`.

    Args:
        personas: name to claims; no record can name one without `sub`.
        given: entries SUB=JSON, which replace personas with the same `sub`.

    Raises:
        ConfigError: an entry has another form.
    """
    found: dict[str, list[Claims]] = {}
    for claims in personas.values():
        if isinstance(claims.get("sub"), str):
            found.setdefault(claims["sub"], []).append(claims)
    for entry in given:
        subject, _, text = entry.partition("={")
        if not text:
            raise mistake(_FLAG, "not of the form SUB=JSON")
        found[subject] = [{**json_object(_FLAG, "{" + text), "sub": subject}]
    return found


def claims_of(record: Record, server: Server | None, known: Mapping[str, list[Claims]]) -> Claims | None:
    """Return the claims of the token behind a record; None if no persona fits, or several do."""
    fitting = [
        completed
        for claims in known.get(record.sub, ())
        if (completed := _completed(record, server, claims)) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def _completed(record: Record, server: Server | None, claims: Claims) -> Claims | None:
    terms = server.issuers.get(record.issuer) if server is not None else None
    client_claim = _client_claim(claims, terms.client_claim if terms is not None else None)
    facts = {
        path: value for path, value in {("iss",): record.issuer, client_claim: record.client}.items() if value
    }
    whole = dict(claims)
    for path, value in facts.items():
        if claim_at(whole, path, value) != value:
            return None
        whole = put(whole, path, value)
    return whole


def _client_claim(claims: Claims, configured: ClaimPath | None) -> ClaimPath:
    """Return the path of the claim that holds the client, as `authz.core.identity.claims` reads it."""
    return configured or (("client_id",) if "client_id" in claims and "azp" not in claims else ("azp",))
