"""The issuers' key sets: fetched in the background, kept through outages, refetched when a token names an unknown key.

Rules of this module:

* At most one fetch per issuer is in flight, and everyone who needs one waits for it. Only a token that names an unknown key
  makes a request wait, and the caller's deadline bounds that.
* Senders choose `kid`. So tokens cause at most one fetch per issuer and cool-down, whatever the number of requests and key
  ids; and a key id that such a fetch did not return is not looked up again for a while. An attacker can delay a key
  rotation by at most one cool-down, because his next attempt fetches the new key for everyone.
* A fetch that fails in any way changes nothing, and is retried after pauses that double. Keys that were not confirmed
  for `stale_for` are not used any more: from then on the issuer's tokens are `keys_unavailable`, which is a failure of the
  service (503) and not of the caller (401).
* An empty or unusable set counts as a failed fetch: it would otherwise lock everyone out for the mistake of a moment.
* A published `KeySet` never changes. It is replaced if, and only if, a key in it was: another key id, other algorithms or
  other material. So a cache of verified tokens can compare sets by identity.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from authz.config.settings import Fetching, IssuerKeys
from authz.core.identity.jwks import KeySet, KeySetError, read_key_set
from authz.edge.jwks.fetcher import Fetcher, FetchError
from authz.edge.jwks.problem import KeyProblem, moment
from authz.edge.tracing.work import StartSpan, WorkInProgress, untraced

_MAX_DOUBLINGS = 16
_LOG = structlog.get_logger("authz.keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Fetching):
    """When keys are fetched again: the configured bounds, and a jitter that keeps replicas from fetching together.

    Attributes:
        jitter: largest share of a pause that is subtracted from it at random.
    """

    jitter: float = 0.2

    def age(self, max_age: int | None) -> float:
        """Return the seconds to the next scheduled fetch, given Cache-Control's max-age or None."""
        return min(max(self.default_age if max_age is None else max_age, self.min_age), self.max_age)

    def pause(self, age: float, failures: int) -> float:
        """Return the seconds to wait now.

        Args:
            age: as `age` returned it for the last successful fetch.
            failures: number of fetches that failed since.
        """
        whole = age
        if failures:
            whole = min(self.retry * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), self.min_age)
        return whole * random.uniform(1 - self.jitter, 1)  # noqa: S311 - no secret depends on it


class KeyObserver(Protocol):
    """Counts what the key store does."""

    def fetched(self, issuer: str, outcome: str) -> None:
        """Count one fetch, outcome `ok` or `failed`."""

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Set how many keys of the issuer's set are not used, by reason."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Source:
    """One issuer's keys and the state of fetching them.

    Attributes:
        confirmed: when `keys` were last fetched.
        asked: when a token last caused a fetch.
        failures: fetches that failed since the last successful one.
        age: seconds from one scheduled fetch to the next.
        flight: the last fetch; at most one is not done.
        problem: why the last fetch failed; None if it did not.
        missed: when each key id was looked up without success, oldest first. It holds `Schedule.max_unknown` ids, and the
            oldest is evicted; only a fetch adds one, so a sender can add one per cool-down.
    """

    where: IssuerKeys
    keys: KeySet | None = None
    confirmed: float = float("-inf")
    asked: float = float("-inf")
    failures: int = 0
    age: float = 0.0
    flight: asyncio.Task[None] | None = None
    problem: KeyProblem | None = None
    missed: dict[str | None, float] = field(default_factory=dict)


class KeyStore:
    """The keys of every issuer; used by one event loop, except where any thread may ask.

    Attributes:
        span: shows each fetch.
    """

    def __init__(
        self,
        sources: Mapping[str, IssuerKeys],
        *,
        observer: KeyObserver,
        schedule: Schedule | None = None,
        insecure_hosts: frozenset[str] = frozenset(),
        authorities: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; keys given in the policy file are available now, and others are fetched after `start`.

        Args:
            sources: where each issuer's keys come from, by `iss`.
            observer: counts fetches and unused keys.
            schedule: the bounds; None for the defaults.
            insecure_hosts: as `Fetcher` takes it.
            authorities: as `Fetcher` takes it.
            clock: seconds, monotonic.
            sleep: waits that many seconds between scheduled fetches.
            on_change: called after a fetched key set replaced another, so that verified tokens can be dropped.

        Raises:
            KeySetError: keys given in the file are not a JWK Set or none of them is usable.
            ssl.SSLError: `authorities` is no certificate.
        """
        plan = self._schedule = schedule or Schedule()
        self._observer, self._on_change = observer, on_change
        self.span: StartSpan = untraced
        self._clock, self._sleep = clock, sleep
        self._fetcher = Fetcher(
            seconds=plan.timeout,
            max_bytes=plan.max_bytes,
            insecure_hosts=insecure_hosts,
            authorities=authorities,
        )
        self._sources = {issuer: _Source(where=where) for issuer, where in sources.items()}
        self._loops: list[asyncio.Task[None]] = []
        self._closed = False
        for source in self._sources.values():
            if source.where.inline:
                source.keys = self._usable(source, source.where.inline)

    def adopt(self, other: "KeyStore") -> None:
        """Take over another store's keys, for issuers whose keys come from the same place."""
        for issuer, source in self._sources.items():
            theirs = other._sources.get(issuer)  # noqa: SLF001 - another of the same class
            if theirs is not None and theirs.where == source.where:
                source.keys, source.confirmed, source.age = theirs.keys, theirs.confirmed, theirs.age

    async def start(self) -> None:
        """Begin to fetch; return at once."""
        fetched = [source for source in self._sources.values() if not source.where.inline]
        self._loops = [asyncio.create_task(self._run(source)) for source in fetched]

    async def close(self) -> None:
        """Stop fetching, for good."""
        self._closed = True
        flights = [source.flight for source in self._sources.values() if source.flight is not None]
        tasks = [*self._loops, *flights]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._fetcher.close()

    def keys(self, issuer: str) -> KeySet | None:
        """Return an issuer's keys, or None if no keys are cached or the cached ones are stale.

        The same object is returned for as long as the issuer's usable keys do not change.
        """
        source = self._sources.get(issuer)
        if source is None:
            return None
        fresh = source.where.inline or self._clock() - source.confirmed <= self._schedule.stale_for
        return source.keys if fresh else None

    def age(self, issuer: str) -> float:
        """Return the seconds since an issuer's keys were fetched: infinite if they never were, 0 for keys in the policy file."""
        source = self._sources[issuer]
        return 0.0 if source.where.inline else self._clock() - source.confirmed

    def problems(self) -> list[KeyProblem]:
        """Return why the last fetch of an issuer's keys failed, for each of which it did."""
        return [source.problem for source in self._sources.values() if source.problem is not None]

    def without_keys(self) -> list[str]:
        """Return the issuers none of whose tokens can be verified now."""
        return [issuer for issuer in self._sources if self.keys(issuer) is None]

    def may_refetch(self, issuer: str, kid: str | None) -> bool:
        """Return whether `refetch` could find a key now. It changes nothing, so any thread may ask."""
        source = self._sources.get(issuer)
        if source is None or source.where.inline:
            return False
        may_fetch = _in_flight(source) or self._cooled_down(source)
        return self._holds(source, kid) or (may_fetch and not self._recently_missed(source, kid))

    async def refetch(self, issuer: str, kid: str | None) -> bool:
        """Look once more for a key that a token named. It may be cancelled: the fetch goes on for others.

        Returns:
            Whether the issuer's set has the key now. Within the cool-down nothing is fetched.
        """
        source = self._sources.get(issuer)
        if source is None or source.where.inline:
            return False
        while not self._holds(source, kid):
            joined = _in_flight(source)
            if self._recently_missed(source, kid) or not (joined or self._may_ask(source)):
                return False
            await self._flight(source)
            if not joined:
                return self._holds(source, kid) or self._remember_miss(source, kid)
        return True

    def _holds(self, source: _Source, kid: str | None) -> bool:
        keys = self.keys(source.where.issuer)
        return keys is not None and keys.find(kid) is not None

    def _recently_missed(self, source: _Source, kid: str | None) -> bool:
        return self._clock() - source.missed.get(kid, float("-inf")) < self._schedule.unknown_for

    def _may_ask(self, source: _Source) -> bool:
        """Return whether a token may cause a fetch now, and if so start the cool-down."""
        if not self._cooled_down(source):
            return False
        source.asked = self._clock()
        return True

    def _cooled_down(self, source: _Source) -> bool:
        return not self._closed and self._clock() - source.asked >= self._schedule.cooldown

    def _remember_miss(self, source: _Source, kid: str | None) -> Literal[False]:
        """Remember a key id that a fetch did not return. A fetch that failed proves nothing about key ids."""
        if not source.failures:
            source.missed.pop(kid, None)
            source.missed[kid] = self._clock()
            if len(source.missed) > self._schedule.max_unknown:
                del source.missed[next(iter(source.missed))]
        return False

    async def _flight(self, source: _Source) -> None:
        """Wait for the fetch in flight, or for a new one; a caller that stops waiting does not cancel it."""
        if source.flight is None or source.flight.done():
            source.flight = asyncio.create_task(self._fetch(source))
        await asyncio.wait([source.flight])

    async def _run(self, source: _Source) -> None:
        while True:
            await self._flight(source)
            await self._sleep(self._schedule.pause(source.age, source.failures))

    async def _fetch(self, source: _Source) -> None:
        named = {"mcp_authz.issuer": source.where.issuer, "url.full": source.where.jwks_uri}
        with self.span("fetch keys", named) as work:
            await self._fetch_shown(source, work)

    async def _fetch_shown(self, source: _Source, work: WorkInProgress) -> None:
        try:
            fetched = await self._fetcher.key_set(source.where)
            keys = self._usable(source, fetched.body)
        except (FetchError, KeySetError) as error:
            self._fail(source, str(error), getattr(error, "url", "") or source.where.jwks_uri)
            work.failed(str(error))
        except Exception as error:  # noqa: BLE001 - no document of an issuer may end the fetching for good
            self._fail(source, type(error).__name__, source.where.jwks_uri)
            work.failed(type(error).__name__)
        else:
            self._accept(source, keys, fetched.max_age)

    def _usable(self, source: _Source, document: bytes) -> KeySet:
        keys = read_key_set(document)
        counts = Counter(why.value for _, why in keys.skipped)
        self._observer.skipped(source.where.issuer, counts)
        if not keys.keys:
            msg = "no usable key in the set"
            raise KeySetError(msg)
        return keys

    def _fail(self, source: _Source, cause: str, url: str) -> None:
        source.failures += 1
        issuer = source.where.issuer
        since = source.problem.since if source.problem is not None else moment()
        source.problem = KeyProblem(issuer=issuer, url=url, cause=cause, since=since)
        self._observer.fetched(issuer, "failed")
        _LOG.warning("keys not fetched", issuer=issuer, url=url, problem=cause, failures=source.failures)

    def _accept(self, source: _Source, keys: KeySet, max_age: int | None) -> None:
        issuer = source.where.issuer
        source.age = self._schedule.age(max_age)
        source.confirmed, source.failures, source.problem = self._clock(), 0, None
        self._observer.fetched(issuer, "ok")
        if source.keys is None or keys.keys != source.keys.keys:
            source.keys = keys
            source.missed.clear()
            _LOG.info("keys replaced", issuer=issuer, usable=len(keys.keys), skipped=len(keys.skipped))
            self._on_change()


def _in_flight(source: _Source) -> bool:
    return source.flight is not None and not source.flight.done()
