"""Check a token as the service would: with the same settings, the same key fetching and the same verification."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from authz.config.settings import Settings
from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.identity.token import (
    TokenAnswer,
    bearer,
    issuer_to_ask,
    judge_answer,
    not_yet_asked,
    verify,
)
from authz.core.servers import Server
from authz.edge.jwks.introspector import Introspector
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
        principal: whom the token names, if it is accepted.
    """

    server: str
    reason: str
    detail: str = ""
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    principal: Principal | None = field(default=None, repr=False)

    def as_data(self) -> dict[str, Any]:
        """Return what is told of it, as plain values."""
        told = ("server", "reason", "detail", "scopes", "roles")
        return {name: getattr(self, name) for name in told}


class _NoMetrics:
    """An observer of the key store that drops everything, because no one reads metrics here."""

    def fetched(self, issuer: str, outcome: str) -> None:
        """Drop the result of a fetch."""

    def introspected(self, issuer: str, outcome: str) -> None:
        """Drop what came of a question."""

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Drop the counts of skipped keys."""


async def verify_for_servers(settings: Settings, token: str, now: float) -> list[TokenVerdict]:
    """Verify a token as each server of the file would; `now` is seconds since the epoch.

    Only the keys of the issuer that the token names are fetched, and only if the file trusts that issuer. Where a server's
    issuer has to be asked about the token, it is asked.
    """
    keys = await _fetch_keys(settings, token)
    return [
        _verdict(server, await identify(settings, server, keys, token, now))
        for server in settings.directory.servers
    ]


async def identify(
    settings: Settings, server: Server, keys: Mapping[str, KeySet | None], token: str, now: float
) -> Principal | TokenRejected:
    """Return whom a token names at a server, or why it is not accepted."""
    given = bearer(f"Bearer {token}")
    if isinstance(given, TokenRejected):
        return given
    asked = issuer_to_ask(given, server.issuers.values())
    if asked is not None:
        answer = await _ask(settings, asked.issuer, keys, given)
        return not_yet_asked(given, asked) if answer is None else judge_answer(answer, asked, now)
    trusts = {issuer: (terms, keys.get(issuer)) for issuer, terms in server.issuers.items()}
    return verify(given, trusts, now)


async def _ask(
    settings: Settings, issuer: str, keys: Mapping[str, KeySet | None], token: str
) -> TokenAnswer | None:
    introspector = Introspector(
        {issuer: settings.introspections[issuer]},
        size=1,
        observer=_NoMetrics(),
        find_keys=keys.get,
        insecure_hosts=settings.insecure_hosts,
        authorities=settings.authorities,
    )
    try:
        await introspector.ask(issuer, token)
        return introspector.answer(issuer, token)
    finally:
        await introspector.close()


def _verdict(server: Server, found: Principal | TokenRejected) -> TokenVerdict:
    if isinstance(found, TokenRejected):
        return TokenVerdict(server=server.name, reason=found.reason, detail=found.detail)
    return TokenVerdict(
        server=server.name,
        reason=ACCEPTED,
        scopes=tuple(found.scopes),
        roles=tuple(found.roles),
        principal=found,
    )


async def _fetch_keys(settings: Settings, token: str) -> Mapping[str, KeySet | None]:
    """Fetch the keys of the issuer that the token names, or of the one that signs its answers about it."""
    try:
        issuer = decode(token).claims.get("iss")
    except UnreadableError:
        issuer = next((each for each, how in settings.introspections.items() if how.signed), None)
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
