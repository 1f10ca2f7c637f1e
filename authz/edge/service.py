"""What one worker decides with, and how a new policy takes the place of the old one.

A `PolicySnapshot` is everything that follows from one policy file; it never changes. A reload makes a new one and swaps
a single reference, so a Check finishes under the snapshot it began with. Checks and rewriters run in the server's
thread, everything else here in the event loop's. What one thread changes, the other only reads or replaces as a whole.

The rewriter of a list's response runs later, in a call of its own: it finds the policy of its Check by digest among the
last few snapshots.

Where the file names a candidate, every request is decided once more by it, after the decision is made. A disagreement
is noted among the decision's shadows; nothing else of the decision, and nothing that a client sees, changes.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import structlog
from msgspec import structs

from authz.config.settings import Settings
from authz.core.authentication import Authenticator
from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot, check
from authz.core.identity.session import MIN_KEY, Sessions
from authz.core.request import NEVER, Deadline, HttpRequest
from authz.core.response.context import ResponseContext
from authz.edge.jwks.store import KeyStore, Schedule
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.metrics import KeyGauges, Metrics

CANDIDATE = "candidate"
"""What records and metrics call the candidate, in the place of a shadow rule's name."""

_KEPT_SNAPSHOTS = 4
_SHARE_FOR_KEYS = 0.8
"""Part of a decision's time that the search for an unknown key may take; the rest is for deciding and answering."""
_LOG = structlog.get_logger("authz.policy")


def decide(
    request: HttpRequest, snapshot: PolicySnapshot, began: float, mark: Callable[[str], None]
) -> Decision:
    """Decide about a request that arrived at `began`, a moment of the performance counter."""
    now, deadline = time.time(), Deadline(began + snapshot.check_seconds, time.perf_counter)
    decision = check(request, snapshot, now, deadline, mark)
    if snapshot.candidate is None or deadline.passed():
        return decision
    return _note_candidate(decision, request, snapshot.candidate, now)


def _note_candidate(made: Decision, request: HttpRequest, candidate: PolicySnapshot, now: float) -> Decision:
    """Note on a decision whether a candidate would have decided otherwise; one that fails would have denied."""
    try:
        would_allow = check(request, candidate, now, NEVER).allowed
    except Exception as error:  # noqa: BLE001 - whatever a candidate does, the decision is made
        would_allow = False
        _LOG.error("candidate failed", error=type(error).__name__)
    if would_allow == made.allowed:
        return made
    return structs.replace(made, shadows=(*made.shadows, CANDIDATE))


class Service:
    """One worker's state; everything in it is this process's own."""

    def __init__(self, settings: Settings, audit: AuditLog, *, session_key: bytes | None = None) -> None:
        """Prepare to decide by these settings.

        Args:
            settings: what the policy file says.
            audit: takes a record of every decision.
            session_key: what binds session ids while the file names no key; a new random one if None. Processes that
                answer for one another need the same one.
        """
        self.audit = audit
        self._session_key = secrets.token_bytes(MIN_KEY) if session_key is None else session_key
        self.metrics = Metrics(KeyGauges(self._key_figures))
        audit.on_drop = self.metrics.dropped
        self.keys = self._key_store(settings)
        self._kept: dict[str, PolicySnapshot] = {}
        self.problem = ""
        self._put_in_force(settings)

    async def apply(self, settings: Settings) -> None:
        """Put other settings in force; addresses stay as they are."""
        if self.settings.session_keys and not settings.session_keys:
            _LOG.warning("the policy names no session key any more, so one of this process is used")
        if _key_terms(settings) != _key_terms(self.settings):
            old, self.keys = self.keys, self._key_store(settings)
            self.keys.adopt(old)
            await self.keys.start()
            self._put_in_force(settings)
            await old.close()
        else:
            self._put_in_force(settings)
        self.metrics.reloaded("ok")

    def reload_failed(self, problem: str) -> None:
        """Note why a policy file could not be used, "" once it can."""
        self.problem = problem
        if problem:
            self.metrics.reloaded("failed")

    def may_find_key(self, decision: Decision) -> bool:
        """Return whether a search for the key that a rejected token names could find it now; for any thread."""
        rejection = decision.rejection
        return rejection is not None and self.keys.may_refetch(rejection.issuer, rejection.kid)

    async def find_key(self, decision: Decision, began: float) -> bool:
        """Search for the key that a rejected token names, as long as the decision may still take.

        Returns:
            Whether the key is there now.
        """
        rejection = decision.rejection
        if rejection is None:
            return False
        deadline = began + self.settings.check_seconds * _SHARE_FOR_KEYS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await self.keys.refetch(rejection.issuer, rejection.kid)
        return False

    def response_context(self, metadata: Mapping[str, str]) -> ResponseContext | None:
        """Return who reads a response, from what its Check left in dynamic metadata; None if that is not known."""
        current = self.snapshot
        decided_by = self._kept.get(metadata.get("policy", ""), current)
        return ResponseContext.decode(
            metadata,
            decided_by.servers,
            time.time(),
            longest_name=decided_by.limits.name,
            sessions=current.sessions,
            grace=current.stream_grace,
        )

    def without_keys(self) -> list[str]:
        """Name the issuers none of whose tokens can be verified now."""
        return self.keys.without_keys()

    def _put_in_force(self, settings: Settings) -> None:
        snapshot = self._snapshot(settings)
        # Another thread reads the kept ones, so they are replaced and never changed.
        kept = {digest: old for digest, old in self._kept.items() if digest != snapshot.digest}
        newest = list(kept.items())[-(_KEPT_SNAPSHOTS - 1) :]
        self._kept = {**dict(newest), snapshot.digest: snapshot}
        self.settings, self.snapshot = settings, snapshot
        self.metrics.policy(settings.digest, settings.tools)

    def _snapshot(self, settings: Settings) -> PolicySnapshot:
        candidate = settings.candidate
        return structs.replace(
            self._without_candidate(settings, self.metrics.remembered),
            # A candidate has its own terms for issuers, so its own cache; its look-ups are not counted.
            candidate=None
            if candidate is None
            else self._without_candidate(candidate, lambda _outcome: None),
        )

    def _without_candidate(self, settings: Settings, count: Callable[[str], None]) -> PolicySnapshot:
        keys = settings.session_keys or (self._session_key,)
        return PolicySnapshot(
            digest=settings.digest,
            directory=settings.directory,
            authenticator=Authenticator(self.keys.keys, count, size=settings.tokens),
            sessions=Sessions(keys, longest=settings.limits.name),
            limits=settings.limits,
            max_body=settings.max_body,
            check_seconds=settings.check_seconds,
            stream_grace=settings.stream_grace,
            rewrite_every_answer=settings.every_answer,
        )

    def _key_store(self, settings: Settings) -> KeyStore:
        return KeyStore(
            settings.keys,
            observer=self.metrics,
            schedule=Schedule(**asdict(settings.fetching)),
            ca_file=settings.ca_file,
            insecure_hosts=settings.insecure_hosts,
            on_change=self._forget,
        )

    def _forget(self) -> None:
        for snapshot in (self.snapshot, self.snapshot.candidate):
            if snapshot is not None and isinstance(snapshot.authenticator, Authenticator):
                snapshot.authenticator.clear()

    def _key_figures(self) -> list[tuple[str, int, float]]:
        rows = []
        for issuer in self.settings.keys:
            keys = self.keys.keys(issuer)
            rows.append((issuer, 0 if keys is None else len(keys.keys), self.keys.age(issuer)))
        return rows


def _key_terms(settings: Settings) -> tuple[object, ...]:
    """Return what the key store is made from; the authorities count by content."""
    authorities = settings.read.get(settings.ca_file or "")
    return (settings.keys, settings.insecure_hosts, settings.fetching, settings.ca_file, authorities)
