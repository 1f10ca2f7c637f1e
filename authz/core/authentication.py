"""Verified tokens, remembered: a token is verified once, not once per request.

Rules of this module:

* Remembering changes no answer. An entry is used only where verifying once more would give the same: for the same
  server, while the token is valid, and with the very key set that it was verified with. Losing its keys, or their
  replacement, thus ends an entry without anybody having to tell this table.
* Only a verified token makes an entry, so that a flood of bad ones neither grows the table nor pushes good ones out.
* The table holds a digest, never the token, and so many entries at most; the least recently used goes first.
* One thread asks. Another may have everything forgotten meanwhile, so that gives a new table and leaves the old one.

An entry also keeps values of the policy's conditions on the caller, so the table dies with the policy.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import TokenRejected
from authz.core.identity.token import bearer, life, verify
from authz.core.policy.context import Caller
from authz.core.servers import Server


class KeySource(Protocol):
    """Where an issuer's keys are."""

    def keys(self, issuer: str) -> KeySet | None:
        """Give the keys, None while there are none; the same object as long as they do not change."""


class TokenCacheObserver(Protocol):
    """Takes the figures of the cache."""

    def remembered(self, outcome: str) -> None:
        """Count one look-up, outcome `hit`, `miss` or `refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One verified token.

    Attributes:
        caller: what it says.
        issuer: whose token it is.
        keys: what it was verified with; compared by identity.
        starts: first moment at which it is accepted, in seconds since the epoch.
        ends: first moment at which it no longer is.
    """

    caller: Caller
    issuer: str
    keys: KeySet | None
    starts: float
    ends: float


class Authenticator:
    """Gives the caller behind an Authorization header; `identify` is the engine's `Identify`."""

    def __init__(
        self, keys: KeySource, observer: TokenCacheObserver, *, size: int, clock: Callable[[], float]
    ) -> None:
        """Remember at most `size` tokens; `clock` gives seconds since the epoch."""
        self._keys = keys
        self._observer = observer
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[tuple[bytes, str], _Entry] = OrderedDict()

    def __len__(self) -> int:
        """Count the remembered tokens."""
        return len(self._entries)

    def clear(self) -> None:
        """Forget every token, which only saves memory: what no longer holds is not used in any case."""
        self._entries = OrderedDict()

    def identify(self, server: Server, authorization: str | None) -> Caller | TokenRejected:
        """Give the caller at a server, verifying the token unless it is remembered."""
        place = (hashlib.sha256((authorization or "").encode()).digest(), server.name)
        now = self._clock()
        entries = self._entries
        entry = entries.get(place)
        if entry is not None:
            if self._keys.keys(entry.issuer) is entry.keys and entry.starts <= now < entry.ends:
                entries.move_to_end(place)
                self._observer.remembered("hit")
                return entry.caller
            del entries[place]
        verified = self._identified(server, authorization, now)
        if isinstance(verified, TokenRejected):
            self._observer.remembered("refused")
            return verified
        self._observer.remembered("miss")
        entries[place] = verified
        if len(entries) > self._size:
            entries.popitem(last=False)
        return verified.caller

    def _identified(self, server: Server, authorization: str | None, now: float) -> _Entry | TokenRejected:
        token = bearer(authorization)
        return token if isinstance(token, TokenRejected) else self._verify(server, token, now)

    def _verify(self, server: Server, token: str, now: float) -> _Entry | TokenRejected:
        trusts = {issuer: (trust, self._keys.keys(issuer)) for issuer, trust in server.trusts.items()}
        principal = verify(token, trusts, now)
        if isinstance(principal, TokenRejected):
            return principal
        trust, keys = trusts[principal.issuer]
        starts, ends = life(principal, trust)
        return _Entry(
            caller=Caller.of(principal, server.name, ends),
            issuer=principal.issuer,
            keys=keys,
            starts=starts,
            ends=ends,
        )
