"""Finds rules that take the word of every issuer of a server for a role or a group.

A role is a text that an issuer writes. Where a server trusts two issuers, the one that is meant for guests can call a
guest `admin`, and a rule that asks for `admin` cannot tell.
"""

from collections.abc import Iterator, Mapping, Sequence

from authz.config.yaml_document import Path
from authz.core.identity.issuer import IssuerTerms
from authz.core.policy.rule import Effect, Rule

_GRANTS = ("roles", "groups")


def trusting_findings(
    rules: Sequence[Rule], issuers: Mapping[str, IssuerTerms]
) -> Iterator[tuple[Path, str, str]]:
    """Yield what two issuers of one server can grant alike.

    Args:
        rules: the server's rules, in the file's order.
        issuers: the server's issuers.

    Yields:
        The key below the rules, the finding, and the cure.
    """
    names = [terms.name for terms in issuers.values()]
    if len(names) <= 1:
        return
    for index, rule in enumerate(rules):
        if rule.shadow or rule.effect is not Effect.ALLOW or _tells_issuers_apart(rule):
            continue
        for grant in _GRANTS:
            words = _words(rule, grant)
            if words:
                message = f"each of {', '.join(names)} can grant {' or '.join(words)}"
                cure = f"name whose word counts: issuers: [{names[0]}]; name all of them if that is meant"
                yield (index, grant), message, cure


def _words(rule: Rule, grant: str) -> tuple[str, ...]:
    if grant == "groups":
        return () if rule.groups is None else rule.groups.names
    return tuple(sorted(rule.roles))


def _tells_issuers_apart(rule: Rule) -> bool:
    read = [part for part in (rule.when, rule.args) if part is not None]
    return bool(rule.issuers) or any("issuer" in part.reads or "iss" in (part.claims or ()) for part in read)
