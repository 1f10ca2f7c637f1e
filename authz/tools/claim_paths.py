"""Claims by their path: a claim put at its place, and what a token has where the policy looks for another."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from authz.core.identity.claims import claim_at
from authz.core.identity.issuer import ClaimPath, IssuerTerms
from authz.core.policy.rule import Rule

_MAX_DEPTH = 4
_NO_GRANTS = frozenset({"aud", "amr"})
"""Lists of strings that grant nothing."""


def put(claims: Mapping[str, Any], path: ClaimPath, value: Any) -> dict[str, Any]:
    """Return the claims with a value at a path; objects on the way are made or copied."""
    first, *rest = path
    if not rest:
        return {**claims, first: value}
    below = claims.get(first)
    return {**claims, first: put(below if isinstance(below, Mapping) else {}, tuple(rest), value)}


def word_lists(claims: Mapping[str, Any], above: ClaimPath = ()) -> Iterator[ClaimPath]:
    """Yield the paths of all claims that are lists of strings, those of the token itself first."""
    inner: list[tuple[ClaimPath, Mapping[str, Any]]] = []
    for name, value in claims.items():
        path = (*above, name)
        if isinstance(value, Mapping) and len(path) < _MAX_DEPTH:
            inner.append((path, value))
        elif _is_words(value) and name not in _NO_GRANTS:
            yield path
    for path, below in inner:
        yield from word_lists(below, path)


def absent_claims(claims: Mapping[str, Any], terms: IssuerTerms, rules: Iterable[Rule]) -> list[str]:
    """Name the claims that rules ask for and a token lacks, and those in which it has words; no value is named."""
    asked = {"audience"}.union(*map(_asked, rules))
    read = {
        "scopes": terms.scopes_claim,
        "roles": terms.roles_claim,
        "groups": terms.groups_claim,
        "audience": terms.audience_claim,
    }
    lacking = [
        f"{written(path)} ({key})"
        for key, path in read.items()
        if path is not None and key in asked and claim_at(dict(claims), path) is None
    ]
    if not lacking:
        return []
    found = ", ".join(map(written, word_lists(claims))) or "none"
    return [f"not in the token: {', '.join(lacking)}; lists of words there: {found}"]


def _asked(rule: Rule) -> set[str]:
    read = {name for part in (rule.when, rule.args) if part is not None for name in part.reads}
    given = {
        "scopes": bool(rule.scopes or rule.any_scopes),
        "roles": bool(rule.roles),
        "groups": rule.groups is not None,
    }
    return {key for key, has in given.items() if has or key in read}


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def written(path: ClaimPath) -> str:
    """Return a path as a policy file has it."""
    return path[0] if len(path) == 1 else f"[{', '.join(path)}]"
