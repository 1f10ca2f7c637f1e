"""The issuers' keys: fetched in the background, kept through outages, refetched when a token names an unknown key.

Rules of this module:

* A request never waits for a scheduled fetch. It may wait, within its own deadline, for the one refetch that an
  unknown `kid` causes; that is at most one per issuer and cool-down, whatever the number of requests and names.
* A fetch that fails in any way changes nothing. Keys that were not confirmed for `stale_for` are dropped: from then
  on the issuer's tokens are `keys_unavailable`, which is the service's trouble (503) and not the caller's (401).
* An empty or unusable set counts as a failure: an issuer without keys signs nothing.
* A published `KeySet` is never changed, only replaced.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import structlog

from authz.config.addresses import is_loopback
from authz.config.settings import IssuerKeys
from authz.core.keys import KeySet, KeySetError, read_key_set
from authz.core.strictjson import StrictJSONError, loads
from authz.edge.fetch import FetchError, fetch

_LOG = structlog.get_logger("authz.keys")
_WELL_KNOWN = (".well-known/openid-configuration", ".well-known/oauth-authorization-server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When and how keys are fetched; all in seconds unless named otherwise.

    Attributes:
        min_age: shortest time between scheduled fetches, whatever Cache-Control says.
        max_age: longest.
        default_age: where Cache-Control says nothing.
        cooldown: shortest time between fetches that unknown key names cause.
        retry: first pause after a failure; doubled with each further one up to `min_age`.
        stale_for: how long keys live that could not be confirmed.
        timeout: for one document.
        max_bytes: size of one document.
    """

    min_age: float = 60.0
    max_age: float = 600.0
    default_age: float = 300.0
    cooldown: float = 30.0
    retry: float = 1.0
    stale_for: float = 86_400.0
    timeout: float = 5.0
    max_bytes: int = 262_144


class Observer(Protocol):
    """Takes the figures of the key store."""

    def fetched(self, issuer: str, outcome: str) -> None:
        """Count one fetch, outcome `ok` or `failed`."""


@dataclass(slots=True, eq=False)
class _Source:
    """One issuer's keys and what is known about getting them."""

    where: IssuerKeys
    keys: KeySet | None = None
    confirmed: float = 0.0
    refetched: float = float("-inf")
    failures: int = 0
    age: float = 0.0
    problem: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeyStore:
    """Keeps the keys of every issuer; one event loop's own."""

    def __init__(
        self,
        sources: Mapping[str, IssuerKeys],
        *,
        observer: Observer,
        schedule: Schedule | None = None,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is fetched before `start`.

        Args:
            sources: where each issuer's keys come from, by `iss`.
            observer: takes the figures.
            schedule: the bounds; the defaults when None.
            client: an HTTP client that follows no redirects; one of its own when None.
            clock: seconds, monotonic.
            on_change: called after a key set was replaced, so that verified tokens can be dropped.
        """
        self._schedule = schedule or Schedule()
        self._observer = observer
        self._clock = clock
        self._on_change = on_change
        self._client = client or httpx.AsyncClient(follow_redirects=False, timeout=self._schedule.timeout)
        self._sources = {issuer: _Source(where) for issuer, where in sources.items()}
        self._tasks: list[asyncio.Task[None]] = []
        for source in self._sources.values():
            if source.where.inline:
                self._accept(source, read_key_set(source.where.inline), None)

    async def start(self) -> None:
        """Begin to fetch; returns at once."""
        fetched = [source for source in self._sources.values() if not source.where.inline]
        self._tasks = [asyncio.create_task(self._run(source)) for source in fetched]

    async def close(self) -> None:
        """Stop fetching."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    def keys(self, issuer: str) -> KeySet | None:
        """Give an issuer's keys; None while there are none, or none that is fresh enough to be believed."""
        source = self._sources.get(issuer)
        if source is None or source.keys is None:
            return None
        if source.where.inline or self._clock() - source.confirmed <= self._schedule.stale_for:
            return source.keys
        return None

    def age(self, issuer: str) -> float:
        """Give the seconds since an issuer's keys were last confirmed; infinite when they never were."""
        source = self._sources[issuer]
        return float("inf") if source.keys is None else self._clock() - source.confirmed

    def without_keys(self) -> list[str]:
        """Name the issuers none of whose tokens can be verified now."""
        return [issuer for issuer in self._sources if self.keys(issuer) is None]

    async def refetch(self, issuer: str, kid: str | None) -> bool:
        """Look once more for a key that a token named.

        Returns:
            Whether the issuer's set holds the key now. Within the cool-down nothing is fetched.
        """
        source = self._sources.get(issuer)
        if source is None or source.where.inline:
            return False
        async with source.lock:
            if self._find(source, kid):
                return True
            now = self._clock()
            if now - source.refetched < self._schedule.cooldown:
                return False
            source.refetched = now
            await self._fetch(source)
        return self._find(source, kid)

    @staticmethod
    def _find(source: _Source, kid: str | None) -> bool:
        return source.keys is not None and source.keys.find(kid) is not None

    async def _run(self, source: _Source) -> None:
        while True:
            async with source.lock:
                await self._fetch(source)
            await asyncio.sleep(self._pause(source))

    def _pause(self, source: _Source) -> float:
        schedule = self._schedule
        if source.failures:
            return min(schedule.retry * 2.0 ** min(source.failures - 1, 16), schedule.min_age)
        # Jitter keeps replicas that started together from asking together.
        return source.age * random.uniform(0.8, 1.0)  # noqa: S311 - no secret depends on it

    async def _fetch(self, source: _Source) -> None:
        issuer = source.where.issuer
        try:
            url = source.where.jwks_uri or await self._discover(issuer)
            fetched = await fetch(
                self._client,
                url,
                max_bytes=self._schedule.max_bytes,
                seconds=self._schedule.timeout,
            )
            keys = _usable(fetched.body)
        except (FetchError, KeySetError) as error:
            source.failures += 1
            source.problem = str(error)
            self._observer.fetched(issuer, "failed")
            _LOG.warning("keys not fetched", issuer=issuer, problem=source.problem, failures=source.failures)
            return
        self._accept(source, keys, fetched.max_age)
        self._observer.fetched(issuer, "ok")

    def _accept(self, source: _Source, keys: KeySet, max_age: int | None) -> None:
        schedule = self._schedule
        changed = keys != source.keys
        source.age = min(
            max(schedule.default_age if max_age is None else max_age, schedule.min_age), schedule.max_age
        )
        source.keys, source.confirmed, source.failures, source.problem = keys, self._clock(), 0, ""
        if changed:
            _LOG.info(
                "keys replaced", issuer=source.where.issuer, usable=len(keys.keys), skipped=len(keys.skipped)
            )
            self._on_change()

    async def _discover(self, issuer: str) -> str:
        """Ask the issuer's metadata for its key set (OpenID Connect Discovery section 4, RFC 8414 section 3)."""
        problem = FetchError("no metadata document")
        for suffix in _WELL_KNOWN:
            url = f"{issuer.rstrip('/')}/{suffix}"
            try:
                fetched = await fetch(
                    self._client,
                    url,
                    max_bytes=self._schedule.max_bytes,
                    seconds=self._schedule.timeout,
                )
                return _jwks_uri(fetched.body, issuer)
            except FetchError as error:
                problem = error
        raise problem


def _usable(body: bytes) -> KeySet:
    keys = read_key_set(body)
    if not keys.keys:
        msg = "no usable key in the set"
        raise FetchError(msg)
    return keys


def _jwks_uri(body: bytes, issuer: str) -> str:
    """Read `jwks_uri` from a metadata document that must speak for exactly this issuer."""
    try:
        document = loads(body)
    except StrictJSONError:
        document = None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        msg = "the metadata document is not this issuer's"
        raise FetchError(msg)
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not (url.startswith("https://") or is_loopback(url)):
        msg = "the metadata document names no https jwks_uri"
        raise FetchError(msg)
    return url
