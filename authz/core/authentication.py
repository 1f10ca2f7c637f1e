"""From an Authorization header to the caller: a token is verified once, not once per request.

Rules of this module:

* The cache changes no answer. An entry is used only where verifying again would give the same: at the same server,
  while the token is valid, and with the very key set that verified it. If the issuer's keys are lost or replaced, its
  entries end by themselves.
* Only a verified token makes an entry, so a flood of bad ones neither grows the cache nor pushes good entries out. The
  same holds for headers: the tokens of an issuer share theirs, and one that was verified need not be read again.
* The cache holds a digest, never the token.
* One thread authenticates. Another may call `clear` meanwhile, so that makes a new cache and leaves the old one.

A token that its issuer was asked about is cached as long as the answer holds, and the answers are kept elsewhere.

An entry also holds answers of the policy about the caller, so the cache is dropped with the policy.
"""

import hashlib
from collections.abc import Callable

import msgspec

from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jwks import KeySet
from authz.core.identity.jws import JoseHeader
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.token import (
    TokenAnswer,
    bearer,
    issuer_to_ask,
    judge_answer,
    not_yet_asked,
    validity,
    verify,
)
from authz.core.servers import Server
from authz.core.wire.bounded_cache import BoundedCache

FindKeys = Callable[[str], KeySet | None]
"""From an issuer to its keys, None if there are none; the same object as long as the keys do not change."""
FindAnswer = Callable[[str, str], TokenAnswer | None]
"""From an issuer and a token to what the issuer said of it, None if it has not been asked or the answer is too old."""

_HEADERS = 256
"""Number of verified JOSE headers that are cached."""


class _Verified(msgspec.Struct, frozen=True, kw_only=True):
    """One verified token.

    Attributes:
        caller: the caller it names.
        issuer: the issuer of the token.
        keys: the key set that verified it; compared by identity.
        starts: first moment at which it is accepted, in seconds since the epoch.
        ends: first moment at which it no longer is.
    """

    caller: Caller
    issuer: str
    keys: KeySet | None
    starts: float
    ends: float


class Authenticator:
    """Authenticates callers, and caches the tokens it verified."""

    def __init__(
        self,
        find_keys: FindKeys,
        count: Callable[[str], None],
        *,
        size: int,
        find_answer: FindAnswer = lambda _issuer, _token: None,
    ) -> None:
        """Cache at most `size` tokens, and tell `count` of each look-up: `hit`, `miss` or `refused`."""
        self._find_keys, self._find_answer = find_keys, find_answer
        self._count = count
        self._size = size
        self._headers: BoundedCache[str, JoseHeader] = BoundedCache(_HEADERS)
        self._verified: BoundedCache[tuple[bytes, str], _Verified] = BoundedCache(size)

    def __len__(self) -> int:
        """Return the number of cached tokens."""
        return len(self._verified)

    def clear(self) -> None:
        """Drop every cached token. This only saves memory: an entry that no longer holds is not used in any case."""
        self._verified = BoundedCache(self._size)

    def authenticate(self, server: Server, authorization: str | None, now: float) -> Caller | TokenRejected:
        """Return the caller at a server, or why the token is not accepted; verify the token unless it is cached."""
        key = (hashlib.sha256((authorization or "").encode()).digest(), server.name)
        cache = self._verified
        entry = cache.get(key)
        if entry is not None:
            if self._find_keys(entry.issuer) is entry.keys and entry.starts <= now < entry.ends:
                self._count("hit")
                return entry.caller
            del cache[key]
        verified = self._verify(server, authorization, now)
        if isinstance(verified, TokenRejected):
            if not verified.question:
                self._count("refused")
            return verified
        self._count("miss")
        return cache.put(key, verified).caller

    def _verify(self, server: Server, authorization: str | None, now: float) -> _Verified | TokenRejected:
        token = bearer(authorization)
        if isinstance(token, TokenRejected):
            return token
        asked = issuer_to_ask(token, server.issuers.values())
        if asked is not None:
            return self._by_answer(server, token, asked, now)
        issuers = {issuer: (terms, self._find_keys(issuer)) for issuer, terms in server.issuers.items()}
        principal = verify(token, issuers, now, self._headers)
        if isinstance(principal, TokenRejected):
            return principal
        terms, keys = issuers[principal.issuer]
        starts, ends = validity(principal, terms)
        caller = Caller.of(principal, server.name, ends, issuer=terms.name)
        return _Verified(caller=caller, issuer=principal.issuer, keys=keys, starts=starts, ends=ends)

    def _by_answer(
        self, server: Server, token: str, terms: IssuerTerms, now: float
    ) -> _Verified | TokenRejected:
        """Judge a token by what its issuer said of it, as long as that holds."""
        answer = self._find_answer(terms.issuer, token)
        if answer is None:
            return not_yet_asked(token, terms)
        principal = judge_answer(answer, terms, now)
        if isinstance(principal, TokenRejected):
            return principal
        says_when = answer.claims is not None and "exp" in answer.claims
        starts, ends = validity(principal, terms)
        caller = Caller.of(principal, server.name, ends if says_when else None, issuer=terms.name)
        keys = self._find_keys(terms.issuer)
        return _Verified(
            caller=caller, issuer=terms.issuer, keys=keys, starts=starts, ends=min(ends, answer.until)
        )


class KnownCaller:
    """Answers with one caller, or one rejection: for questions about a policy that bring no token to verify."""

    def __init__(self, caller: Caller | TokenRejected) -> None:
        """Answer with `caller`."""
        self._caller = caller

    def authenticate(
        self, _server: Server, _authorization: str | None, _now: float
    ) -> Caller | TokenRejected:
        """Return the caller."""
        return self._caller
