"""Claims of the callers in audit records: a record names a caller by `sub`, and a persona says what the token says.

A record's issuer and client are facts about the same token. They complete a persona; a persona that contradicts them
describes another token, and the caller's claims stay unknown.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from authz.config.problems import mistake
from authz.core.identity.claims import claim_at
from authz.core.identity.issuer import ClaimPath, IssuerTerms
from authz.core.policy.rule import Rule
from authz.core.servers import Server
from authz.tools.audit_reader import Record
from authz.tools.claim_paths import put
from authz.tools.option_values import json_object

Claims = Mapping[str, Any]
_FLAG = "--claims-for"
_ABSENT: Any = object()


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
    """Return the claims of the token behind a record; None if no persona fits, or several do.

    A record holds those claims that the policy file named at the time (`audit.claims`). They are enough if the server's
    rules read no others. Otherwise a persona must say the rest, and it must not contradict the record.
    """
    held = json_format.MessageToDict(record.claims) if record.HasField("claims") else {}
    terms = None if server is None else server.issuers.get(record.issuer)
    if held and server is not None and terms is not None and _suffices(held, terms, server):
        subject = put(_present(held), terms.subject_claim, record.sub) if record.sub else _present(held)
        completed = _completed(record, server, subject)
        if completed is not None:
            return completed
    fitting = [
        completed
        for claims in known.get(record.sub, ())
        if _agrees(claims, held) and (completed := _completed(record, server, claims)) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def _suffices(held: Mapping[str, Any], terms: IssuerTerms, server: Server) -> bool:
    """Return whether a record holds every claim that the server reads, null for those that the token lacked."""
    read, rules = server.policy.claims_read, server.policy.rules
    if read is None:
        return False
    by_rule: dict[str, list[ClaimPath | None]] = {
        "scopes": [terms.scopes_claim, terms.permissions_claim],
        "any_scopes": [terms.scopes_claim, terms.permissions_claim],
        "roles": [terms.roles_claim],
        "groups": [terms.groups_claim],
    }
    needed: set[ClaimPath] = {(name,) for name in (*read, *terms.required_claims)}
    for what, paths in by_rule.items():
        if any(_asks(rule, what) for rule in rules):
            needed |= {path for path in paths if path is not None}
    known = {terms.subject_claim, ("iss",), ("aud",), ("exp",)}
    return all(claim_at(dict(held), path, _ABSENT) is not _ABSENT for path in needed - known)


def _asks(rule: Rule, what: str) -> bool:
    """Return whether a rule asks for scopes, roles or groups, by its key or in an expression."""
    expressions = (each for each in (rule.when, rule.args) if each is not None)
    return bool(getattr(rule, what)) or any(what in each.reads for each in expressions)


def _present(held: Any) -> Any:
    """Return claims without those that the token lacked, and whole numbers as such: a record's numbers are doubles."""
    if isinstance(held, dict):
        return {name: _present(value) for name, value in held.items() if value is not None}
    if isinstance(held, list):
        return [_present(each) for each in held]
    return int(held) if isinstance(held, float) and held.is_integer() else held


def _agrees(claims: Claims, held: Mapping[str, Any]) -> bool:
    """Return whether a persona says of each recorded claim what the record does."""
    return all(name not in claims or claims[name] == value for name, value in _present(held).items())


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
