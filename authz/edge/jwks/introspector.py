"""Asks issuers whether opaque tokens are active (RFC 7662), and keeps what they said for a while.

Rules of this module:

* It runs on the event loop. The server's thread only looks up answers; a Check whose token has none waits here, as long as
  its deadline allows, and the question goes on without it.
* One question per token is under way, however many calls wait for it. Of one issuer, `concurrent` questions are under way
  and `waiting` wait; a token beyond that is not asked about, and its call is refused as one that nobody could decide (503).
  So a flood of made-up tokens costs the issuer and this process a bounded number of requests at once.
* An active answer is used until the token's `exp`, and no longer than `cache_seconds`: a revocation is noticed that late.
  A negative one is used for `negative_seconds`. They are kept apart, so that made-up tokens push out no good one.
* A question that fails says nothing about the token. Nothing is remembered, and the call is refused with 503, never 401.
* Where answers must be signed, any other is a failure (RFC 9701): its signature, type, issuer, audience and time are
  checked with the issuer's published keys.
* Tokens are kept as digests. A token goes to its issuer's endpoint and nowhere else, into no log and no error.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from authz.config.settings import Introspection
from authz.core.identity.jwks import KeySet
from authz.core.identity.jws import check_signature, read_compact, read_object
from authz.core.identity.principal import TokenRejected
from authz.core.identity.token import TokenAnswer
from authz.core.wire.bounded_cache import BoundedCache
from authz.edge.jwks.client_proof import proof_in_form, proof_in_headers
from authz.edge.jwks.documents import Documents, FetchError
from authz.edge.jwks.problem import INTROSPECTION_FAILED, IntrospectionFigures, KeyProblem, moment
from authz.edge.tracing.work import StartSpan, WorkInProgress, untraced

_LOG = structlog.get_logger("authz.introspection")
_MAX_BYTES = 65_536
_NEGATIVE = 4096
"""Tokens of one issuer that are remembered as not active."""
_LEAST_SECONDS = 1.0
"""An answer is good for at least the call that waited for it, whatever the clocks say."""
_SIGNED_TYPE = "token-introspection+jwt"
_JWT, _JSON = f"application/{_SIGNED_TYPE}", "application/json"
_LEEWAY = 60.0


class IntrospectionObserver(Protocol):
    """Counts questions."""

    def introspected(self, issuer: str, outcome: str) -> None:
        """Count one question, outcome `active`, `inactive`, `failed` or `refused` (there were too many)."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Asked:
    """One issuer that is asked, and what it said.

    Attributes:
        active: what it said about tokens, by digest.
        inactive: tokens that are not active, by digest.
        asking: questions, under way or waiting for their turn, by digest.
        turns: how many may be under way at once.
        problem: why the last question failed, None if it did not.
    """

    how: Introspection
    active: BoundedCache[bytes, TokenAnswer]
    inactive: BoundedCache[bytes, TokenAnswer]
    turns: asyncio.Semaphore
    asking: dict[bytes, asyncio.Task[None]] = field(default_factory=dict)
    problem: KeyProblem | None = None


class Introspector:
    """What issuers said about tokens; used by one event loop, except where any thread may ask."""

    def __init__(
        self,
        issuers: Mapping[str, Introspection],
        *,
        size: int,
        observer: IntrospectionObserver,
        find_keys: Callable[[str], KeySet | None],
        insecure_hosts: frozenset[str] = frozenset(),
        authorities: str | None = None,
        clock: Callable[[], float] = time.time,
        span: StartSpan = untraced,
    ) -> None:
        """Prepare to ask; nothing is connected yet.

        Args:
            issuers: how each issuer is asked, by `iss`.
            size: active tokens of one issuer that are remembered.
            observer: counts questions.
            find_keys: returns the keys of an issuer, for signed answers.
            insecure_hosts: as `Documents` takes it.
            authorities: as `Documents` takes it.
            clock: seconds since the epoch.
            span: shows a question.
        """
        self._span = span
        self._observer, self._find_keys, self._clock = observer, find_keys, clock
        self._issuers = {
            issuer: _Asked(
                how=how,
                active=BoundedCache(size),
                inactive=BoundedCache(_NEGATIVE),
                turns=asyncio.Semaphore(how.concurrent),
            )
            for issuer, how in issuers.items()
        }
        self._documents = (
            Documents(max_bytes=_MAX_BYTES, insecure_hosts=insecure_hosts, authorities=authorities)
            if issuers
            else None
        )

    async def close(self) -> None:
        """Cancel what is being asked."""
        tasks = [task for asked in self._issuers.values() for task in asked.asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._documents is not None:
            await self._documents.close()

    def answer(self, issuer: str, token: str) -> TokenAnswer | None:
        """Return what an issuer said about a token; None if it was not asked, or too long ago. Any thread may ask."""
        asked = self._issuers.get(issuer)
        if asked is None:
            return None
        digest = _digest(token)
        found = asked.active.get(digest) or asked.inactive.get(digest)
        return found if found is not None and self._clock() < found.until else None

    def figures(self) -> list[IntrospectionFigures]:
        """Return what is under way and what is remembered, for each issuer that is asked."""
        return [
            IntrospectionFigures(
                issuer=issuer,
                under_way=min(len(asked.asking), asked.how.concurrent),
                waiting=max(len(asked.asking) - asked.how.concurrent, 0),
                active=len(asked.active),
                inactive=len(asked.inactive),
            )
            for issuer, asked in self._issuers.items()
        ]

    def problems(self) -> list[KeyProblem]:
        """Return why the last question to an issuer failed, for each of which it did."""
        return [asked.problem for asked in self._issuers.values() if asked.problem is not None]

    async def ask(self, issuer: str, token: str) -> bool:
        """Ask an issuer about a token, or wait for the answer that others wait for. It may be cancelled.

        Returns:
            Whether there is an answer now.
        """
        asked = self._issuers.get(issuer)
        if asked is None:
            return False
        digest = _digest(token)
        if self.answer(issuer, token) is None:
            question = asked.asking.get(digest) or self._begin(asked, digest, token)
            if question is None:
                return False
            await asyncio.wait([question])
        return self.answer(issuer, token) is not None

    def _begin(self, asked: _Asked, digest: bytes, token: str) -> asyncio.Task[None] | None:
        """Begin to ask; None if too many questions wait already."""
        if len(asked.asking) >= asked.how.concurrent + asked.how.waiting:
            self._observer.introspected(asked.how.issuer, "refused")
            return None
        question = asyncio.create_task(self._ask(asked, digest, token))
        asked.asking[digest] = question
        question.add_done_callback(lambda _: asked.asking.pop(digest, None))
        return question

    async def _ask(self, asked: _Asked, digest: bytes, token: str) -> None:
        named = {"mcp_authz.issuer": asked.how.issuer, "url.full": asked.how.endpoint}
        async with asked.turns:
            with self._span("introspect", named) as work:
                await self._ask_shown(asked, digest, token, work)

    async def _ask_shown(self, asked: _Asked, digest: bytes, token: str, work: WorkInProgress) -> None:
        how = asked.how
        try:
            async with asyncio.timeout(how.timeout):
                said = await self._said(how, token)
        except (FetchError, TimeoutError) as error:
            self._failed(asked, work, str(error) or f"no answer within {how.timeout} s")
        except Exception as error:  # noqa: BLE001 - no answer of an issuer may end more than its question
            self._failed(asked, work, type(error).__name__)
        else:
            self._remember(asked, digest, said)

    def _failed(self, asked: _Asked, work: WorkInProgress, cause: str) -> None:
        work.failed(cause)
        self._observer.introspected(asked.how.issuer, "failed")
        issuer, url, before = asked.how.issuer, asked.how.endpoint, asked.problem
        told = f"{INTROSPECTION_FAILED}: {cause}"
        if before is None or told != before.cause:  # once for each cause, and not once for each token
            _LOG.warning("token not introspected", issuer=issuer, url=url, problem=cause)
        since = moment() if before is None else before.since
        asked.problem = KeyProblem(issuer=issuer, url=url, cause=told, since=since)

    def _remember(self, asked: _Asked, digest: bytes, said: Mapping[str, Any]) -> None:
        asked.problem = None
        now, how = self._clock(), asked.how
        if said["active"] is not True:
            asked.active.pop(digest, None)
            until = now + max(how.negative_seconds, _LEAST_SECONDS)
            asked.inactive.put(digest, TokenAnswer(claims=None, until=until))
            self._observer.introspected(how.issuer, "inactive")
            return
        expires = said.get("exp")
        until = now + how.cache_seconds
        if isinstance(expires, int | float) and not isinstance(expires, bool):
            until = min(until, expires)
        asked.inactive.pop(digest, None)
        claims = {name: value for name, value in said.items() if name != "active"}
        asked.active.put(digest, TokenAnswer(claims=claims, until=max(until, now + _LEAST_SECONDS)))
        self._observer.introspected(how.issuer, "active")

    async def _said(self, how: Introspection, token: str) -> Mapping[str, Any]:
        """Return what an issuer says about a token, with `active`.

        Raises:
            FetchError: it says nothing that can be relied on.
        """
        if self._documents is None:
            raise FetchError(_CLOSED)
        form = {"token": token, "token_type_hint": "access_token", **proof_in_form(how, self._clock())}
        headers = {"accept": _JWT if how.signed else _JSON, **proof_in_headers(how)}
        answer = await self._documents.post(how.endpoint, headers, form)
        if how.signed:
            said = self._verified(how, answer.body.decode("latin-1")) if answer.media_type == _JWT else None
        else:
            said = read_object(answer.body) if answer.media_type == _JSON else None
        if said is None or not isinstance(said.get("active"), bool):
            raise FetchError(_UNSIGNED if how.signed else _NO_ANSWER, url=how.endpoint)
        return said

    def _verified(self, how: Introspection, text: str) -> Mapping[str, Any] | None:
        """Return what a signed answer says (RFC 9701 section 5); None if it is not the issuer's, for us, and of now.

        Raises:
            FetchError: nobody can tell, because the issuer's keys are not at hand.
        """
        jws = read_compact(text)
        if isinstance(jws, TokenRejected) or jws.header.typ not in {_SIGNED_TYPE, _JWT}:
            return None
        keys = self._find_keys(how.issuer)
        if keys is None:
            raise FetchError(_NO_KEYS, url=how.endpoint)
        if check_signature(jws, keys, how.algorithms) is not None:
            return None
        claims = read_object(jws.payload) or {}
        audience, issued = claims.get("aud"), claims.get("iat")
        for_us = how.client_id in audience if isinstance(audience, list) else audience == how.client_id
        of_now = isinstance(issued, int | float) and abs(self._clock() - issued) <= _LEEWAY
        said = claims.get("token_introspection")
        good = claims.get("iss") == how.issuer and for_us and of_now and isinstance(said, dict)
        return said if good and isinstance(said, dict) else None


_CLOSED = "there is no issuer to ask"
_NO_ANSWER = "the answer is no JSON object that says whether the token is active"
_NO_KEYS = "the answer is signed, and the issuer's keys are not at hand"
_UNSIGNED = "the answer is not signed by the issuer, for this client, now"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
