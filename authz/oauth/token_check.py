"""Whether the service would take a token: its own settings, its own key fetching, its own verification, run once."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from authz.config.settings import Settings
from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import TokenRejected
from authz.core.identity.token import bearer, verify
from authz.edge.jwks.store import KeyStore, Schedule
from authz.oauth.inspect_token import UnreadableError, read

TAKEN = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerdict:
    """What one server makes of a token.

    Attributes:
        server: the server's name in the file.
        reason: `accepted`, or the word of the closed list.
        detail: why, for the operator; empty when accepted.
        scopes: what rules would see as `scopes`.
        roles: what rules would see as `roles`.
    """

    server: str
    reason: str
    detail: str = ""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class _Quiet:
    """Takes the key store's figures, which nobody reads here."""

    def fetched(self, issuer: str, outcome: str) -> None:
        """Drop a figure."""

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Drop figures."""


async def judge(settings: Settings, token: str, now: float) -> list[TokenVerdict]:
    """Verify a token as each server of the file would; `now` is seconds since the epoch.

    Only the keys of the issuer that the token names are fetched, and only if the file trusts it.
    """
    keys = await _keys(settings, token)
    given = bearer(f"Bearer {token}")
    verdicts = []
    for server in settings.directory.servers:
        trusts = {issuer: (trust, keys.get(issuer)) for issuer, trust in server.issuers.items()}
        found = given if isinstance(given, TokenRejected) else verify(given, trusts, now)
        if isinstance(found, TokenRejected):
            verdict = TokenVerdict(server=server.name, reason=found.reason, detail=found.detail)
        else:
            verdict = TokenVerdict(
                server=server.name, reason=TAKEN, scopes=tuple(found.scopes), roles=tuple(found.roles)
            )
        verdicts.append(verdict)
    return verdicts


async def _keys(settings: Settings, token: str) -> Mapping[str, KeySet | None]:
    try:
        issuer = read(token).claims.get("iss")
    except UnreadableError:
        return {}
    if not isinstance(issuer, str) or issuer not in settings.keys:
        return {}
    store = KeyStore(
        {issuer: settings.keys[issuer]},
        observer=_Quiet(),
        schedule=Schedule(**asdict(settings.fetching)),
        insecure_hosts=settings.insecure_hosts,
        ca_file=settings.ca_file,
    )
    try:
        await store.refetch(issuer, None)
        return {issuer: store.keys(issuer)}
    finally:
        await store.close()


def verdicts(settings: Settings, token: str, now: float) -> list[TokenVerdict]:
    """Run `judge` to its end."""
    return asyncio.run(judge(settings, token, now))
