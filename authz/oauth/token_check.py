"""Check a token as the service would: with the same settings, the same key fetching and the same verification."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from authz.config.settings import Settings
from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import TokenRejected
from authz.core.identity.token import bearer, verify
from authz.core.servers import Server
from authz.edge.jwks.store import KeyStore, Schedule
from authz.oauth.inspect_token import UnreadableError, decode

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerdict:
    """The result of checking a token for one server.

    Attributes:
        server: the server's name in the file.
        reason: `accepted`, or a reason of the closed list.
        detail: why the token is rejected, for the operator; empty if it is accepted.
        scopes: the `scopes` that rules would see.
        roles: the `roles` that rules would see.
    """

    server: str
    reason: str
    detail: str = ""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class _NoMetrics:
    """An observer of the key store that drops everything, because no one reads metrics here."""

    def fetched(self, issuer: str, outcome: str) -> None:
        """Drop the result of a fetch."""

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Drop the counts of skipped keys."""


async def verify_for_servers(settings: Settings, token: str, now: float) -> list[TokenVerdict]:
    """Verify a token as each server of the file would; `now` is seconds since the epoch.

    Only the keys of the issuer that the token names are fetched, and only if the file trusts that issuer.
    """
    keys = await _fetch_keys(settings, token)
    return [_verify(server, keys, token, now) for server in settings.directory.servers]


def _verify(server: Server, keys: Mapping[str, KeySet | None], token: str, now: float) -> TokenVerdict:
    given = bearer(f"Bearer {token}")
    trusts = {issuer: (terms, keys.get(issuer)) for issuer, terms in server.issuers.items()}
    found = given if isinstance(given, TokenRejected) else verify(given, trusts, now)
    if isinstance(found, TokenRejected):
        return TokenVerdict(server=server.name, reason=found.reason, detail=found.detail)
    return TokenVerdict(
        server=server.name, reason=ACCEPTED, scopes=tuple(found.scopes), roles=tuple(found.roles)
    )


async def _fetch_keys(settings: Settings, token: str) -> Mapping[str, KeySet | None]:
    try:
        issuer = decode(token).claims.get("iss")
    except UnreadableError:
        return {}
    if not isinstance(issuer, str) or issuer not in settings.keys:
        return {}
    store = KeyStore(
        {issuer: settings.keys[issuer]},
        observer=_NoMetrics(),
        schedule=Schedule(**asdict(settings.fetching)),
        insecure_hosts=settings.insecure_hosts,
        authorities=settings.authorities,
    )
    try:
        await store.refetch(issuer, None)
        return {issuer: store.keys(issuer)}
    finally:
        await store.close()


def check_token(settings: Settings, token: str, now: float) -> list[TokenVerdict]:
    """Run `verify_for_servers` in an event loop of its own."""
    return asyncio.run(verify_for_servers(settings, token, now))
