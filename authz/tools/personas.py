"""Claims of the callers in audit records: a record names a caller by `sub`, and a persona says what the token says.

A record's issuer and client are facts about the same token. They complete a persona; a persona that contradicts them
describes another token, and the caller's claims stay unknown.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from authz.config.problems import mistake
from authz.core.identity.claims import claim_at
from authz.core.identity.hashed_subject import is_hashed
from authz.core.identity.issuer import ClaimPath, IssuerTerms
from authz.core.policy.rule import Rule
from authz.core.servers import Server
from authz.tools.audit_reader import Record
from authz.tools.claim_paths import put, written
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
    rules read no others, and so are none if the rules read none. Otherwise a persona must say the rest, and it must not contradict the record.
    """
    held = json_format.MessageToDict(record.claims) if record.HasField("claims") else {}
    terms = None if server is None else server.issuers.get(record.issuer)
    named = bool(record.sub) and not is_hashed(record.sub)
    alone = held or record.sub not in known
    if alone and server is not None and terms is not None and _suffices(held, terms, server, named=named):
        subject = put(_present(held), terms.subject_claim, record.sub) if named else _present(held)
        completed = _completed(record, server, subject)
        if completed is not None:
            return completed
    fitting = [
        completed
        for claims in known.get(record.sub, ())
        if _agrees(claims, held) and (completed := _completed(record, server, claims)) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def claims_to_record(server: Server) -> list[str] | None:
    """Name the claims that records must hold so that no persona is needed, as `audit.claims` has them; None for any."""
    paths: set[ClaimPath] = set()
    for terms in server.issuers.values():
        needed = _needed(terms, server)
        if needed is None:
            return None
        paths |= needed - {terms.subject_claim}
    return sorted(map(written, paths))


def _suffices(held: Mapping[str, Any], terms: IssuerTerms, server: Server, *, named: bool) -> bool:
    """Return whether a record holds every claim that the server reads, null for those that the token lacked.

    Args:
        held: the claims of the record.
        terms: those of its issuer.
        server: the server.
        named: whether the record says who called, and not only a hash of it.
    """
    needed = _needed(terms, server)
    if needed is None:
        return False
    known = {terms.subject_claim} if named else set()
    return all(claim_at(dict(held), path, _ABSENT) is not _ABSENT for path in needed - known)


def _needed(terms: IssuerTerms, server: Server) -> set[ClaimPath] | None:
    """Return the claims that a server reads of an issuer's tokens, but for those that every record has; None for any."""
    read, rules = server.policy.claims_read, server.policy.rules
    if read is None:
        return None
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
    return needed - {("iss",), ("aud",), ("exp",)}


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
