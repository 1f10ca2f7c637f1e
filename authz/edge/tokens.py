"""Verified tokens, remembered: a token is verified once, not once per request.

An entry is made only for a token that was verified, so a flood of bad ones neither grows the table nor pushes good
ones out. It is keyed by the token's digest, never the token, and dies with the token, with its issuer's keys, and
with the policy, whose conditions on the caller it keeps the values of.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from authz.core.keys import KeySet
from authz.core.occasion import Caller
from authz.core.principal import Principal
from authz.core.server import Server
from authz.core.token import Refused, Trust, bearer, verify


class Keys(Protocol):
    """Where an issuer's keys are."""

    def keys(self, issuer: str) -> KeySet | None:
        """Give the keys, None while there are none."""


class Observer(Protocol):
    """Takes the figures of the cache."""

    def remembered(self, outcome: str) -> None:
        """Count one look-up, outcome `hit`, `miss` or `refused`."""


class Tokens:
    """Gives the caller behind an Authorization header; `identify` is the engine's `Identify`."""

    def __init__(self, keys: Keys, observer: Observer, *, size: int, clock: Callable[[], float]) -> None:
        """Remember at most `size` tokens; `clock` gives seconds since the epoch."""
        self._keys = keys
        self._observer = observer
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[tuple[bytes, str], tuple[Caller, float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the remembered tokens."""
        return len(self._entries)

    def clear(self) -> None:
        """Forget every token, as after a change of keys."""
        self._entries.clear()

    def identify(self, server: Server, authorization: str | None) -> Caller | Refused:
        """Give the caller at a server, verifying the token unless it is remembered."""
        token = bearer(authorization)
        if isinstance(token, Refused):
            self._observer.remembered("refused")
            return token
        now = self._clock()
        place = (hashlib.sha256(token.encode()).digest(), server.name)
        caller = self._recall(place, now)
        if caller is not None:
            self._observer.remembered("hit")
            return caller
        trusts = {issuer: (trust, self._keys.keys(issuer)) for issuer, trust in server.trusts.items()}
        principal = verify(token, trusts, now)
        if isinstance(principal, Refused):
            self._observer.remembered("refused")
            return principal
        self._observer.remembered("miss")
        caller = Caller.of(principal, server.name)
        self._remember(place, caller, _end(principal, server.trusts[principal.issuer]))
        return caller

    def _recall(self, place: tuple[bytes, str], now: float) -> Caller | None:
        entry = self._entries.get(place)
        if entry is None:
            return None
        caller, end = entry
        if now >= end or self._keys.keys(caller.principal.issuer) is None:
            del self._entries[place]
            return None
        self._entries.move_to_end(place)
        return caller

    def _remember(self, place: tuple[bytes, str], caller: Caller, end: float) -> None:
        self._entries[place] = (caller, end)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _end(principal: Principal, trust: Trust) -> float:
    """Give the moment from which the token would no longer be accepted."""
    end = principal.expires + trust.leeway
    issued = principal.claims.get("iat")
    if trust.max_token_age is not None and isinstance(issued, int | float):
        end = min(end, issued + trust.max_token_age + trust.leeway)
    return end
