"""The state of one worker: policy, keys and metrics, and how a new policy replaces the old one.

Checks and rewriters run in the server's thread, everything else here in the event loop's. What one thread changes, the
other only reads or replaces as a whole (see `snapshots`).
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import Any

import structlog
from msgspec import structs

from authz.config.addresses import is_local
from authz.config.settings import Settings
from authz.core.authentication import Authenticator
from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot
from authz.core.identity.jwks import KeySet
from authz.core.identity.principal import TokenRejected
from authz.core.identity.session import MIN_KEY, Sessions
from authz.core.policy.lock import Lock
from authz.core.reasons import Reason
from authz.core.response.context import KnownCallers, ResponseContext
from authz.core.response.held import HeldBytes
from authz.core.response.list_filter import FilterBounds
from authz.core.response.streams import OpenStreams
from authz.core.servers import Server
from authz.edge.envoy.denied_response import answer_denial
from authz.edge.envoy.ext_authz import Checker
from authz.edge.envoy.ext_proc import Processor
from authz.edge.envoy.response_readers import Watch
from authz.edge.grpc.socket_path import SocketPath
from authz.edge.heap import release
from authz.edge.jwks.introspector import Introspector
from authz.edge.jwks.problem import IntrospectionFigures, KeyProblem
from authz.edge.jwks.store import KeyStore, Schedule
from authz.edge.lock_watch import LockWatch
from authz.edge.rewriters import Rewriters
from authz.edge.snapshots import Snapshots
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.denial_ring import DenialRing
from authz.edge.telemetry.envoy_gauges import EnvoyGauges
from authz.edge.telemetry.metrics import KeyGauges, LockGauge, Metrics
from authz.edge.telemetry.service_gauges import IntrospectionGauges, ServiceGauges
from authz.edge.tracing.start import start_tracing
from authz.edge.tracing.work import StartSpan, untraced

_SHARE_FOR_KEYS = 0.8
"""Part of a decision's time that the search for an unknown key may take; the rest is for deciding and answering."""
_LOG = structlog.get_logger("authz.policy")


class Service:
    """One worker's state; it shares none of it with another process.

    Attributes:
        denials: the last ones, for the console; None if there is no console.
        tracer: traces what is done; None if nobody asked for that.
        rewriters: whether Envoys trim the lists for which they were told to.
        socket: the path of the Unix socket at which this worker listens; None for a TCP port.
    """

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
        self.rewriters = Rewriters(alone=is_local(settings.grpc))
        self.streams = OpenStreams(settings.stream_shares, time.monotonic)
        self.metrics = Metrics(
            KeyGauges(self._key_figures),
            LockGauge(self._changed_items),
            EnvoyGauges(self.rewriters.presence.missing_at),
            ServiceGauges(lambda: self.settings, self.streams.by_server),
            IntrospectionGauges(self._introspection_figures),
        )
        self.tracer = start_tracing(settings.tracing, self.metrics.traced)
        audit.on_drop = self.metrics.dropped
        audit.terms = settings.audit
        self.denials = DenialRing() if settings.console else None
        if self.denials is not None:
            audit.on_denial = self.denials.add
        self.keys = self._key_store(settings)
        self.introspector = self._introspector(settings)
        self.problem = ""
        self.socket: SocketPath | None = None
        self.settings = settings
        self.locks = LockWatch(self.metrics.compared)
        self.locks.put_in_force(settings.digest, _locks(settings))
        self.snapshots = Snapshots(self._snapshot(settings))
        self._callers = KnownCallers()
        self.metrics.policy(settings.digest, settings.tools)

    def checker(self) -> Checker:
        """Return the handler of Checks that decides by this service."""
        checker = Checker(
            self.snapshots,
            find_key=self.find_key,
            deny=answer_denial,
            write=self.audit.write,
            count=self.metrics.decided,
            time_stages=self.metrics.time_stages,
            asked=self._asked,
            withheld=self.metrics.body_withheld,
        )
        checker.trace = self.tracer
        checker.find_rewriter = self.rewriters.find
        return checker

    @property
    def span(self) -> StartSpan:
        """What shows work in the background."""
        return untraced if self.tracer is None else self.tracer.work

    def processor(self) -> Processor:
        """Return the handler of responses, bounded as the settings say that are in force now."""
        settings = self.settings
        return Processor(
            resolve=self.response_context,
            observe=self.metrics,
            bounds=FilterBounds(
                bytes=settings.max_list, items=settings.list_items, values=settings.list_values
            ),
            held=HeldBytes(settings.held),
            streams=self.streams,
            came=self.rewriters.presence.came,
            watch=Watch(self._server_named, self.audit.write_response),
            trace=None if self.tracer is None else self.tracer.response,
        )

    def _server_named(self, metadata: Mapping[str, str]) -> Server | None:
        """Return the server that a Check's metadata names, under the policy that decided."""
        return self.snapshots.find(metadata.get("policy", "")).servers.get(metadata.get("server", ""))

    def _asked(self, decision: Decision, listener: str) -> None:
        self.metrics.rewriter_asked(decision.server)
        self.rewriters.asked(decision, listener)

    async def apply(self, settings: Settings) -> None:
        """Put other settings in force; addresses stay as they are."""
        if self.settings.session_keys and not settings.session_keys:
            _LOG.warning("the policy names no session key any more, so one of this process is used")
        former = self._replace_introspector(settings)
        if _key_terms(settings) != _key_terms(self.settings):
            old, self.keys = self.keys, self._key_store(settings)
            self.keys.adopt(old)
            await self.keys.start()
            self._put_in_force(settings)
            await old.close()
        else:
            self._put_in_force(settings)
        if former is not None:
            await former.close()
        self.metrics.reloaded("ok")

    async def close(self) -> None:
        """Ask no issuer for anything any more."""
        await self.introspector.close()
        await self.keys.close()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)

    def _replace_introspector(self, settings: Settings) -> Introspector | None:
        """Begin to ask as other settings say; return what asked until now, None if nothing changes."""
        if _introspection_terms(settings) == _introspection_terms(self.settings):
            return None
        former, self.introspector = self.introspector, self._introspector(settings)
        return former

    def reload_failed(self, problem: str) -> None:
        """Note why a policy file could not be used, "" once it can."""
        self.problem = problem
        if problem:
            self.metrics.reloaded("failed")

    def find_key(self, rejection: TokenRejected, began: float) -> Coroutine[Any, Any, bool] | None:
        """Search for what a rejected token wants, as long as the decision may still take.

        Args:
            rejection: why the token was rejected: its issuer has no key with its key id, or has not said whether it is
                active.
            began: when the request arrived, a moment of the performance counter.

        Returns:
            The search, to run in the event loop; it returns whether the key, or the answer, is there now. None if a search
            would be in vain, so that a flood of unknown key ids costs no fetch.
        """
        if rejection.question:
            deadline = began + self.settings.check_seconds * _SHARE_FOR_KEYS
            return self._ask(rejection, deadline)
        if rejection.reason is not Reason.UNKNOWN_KEY or not self.keys.may_refetch(
            rejection.issuer, rejection.kid
        ):
            return None
        deadline = began + self.settings.check_seconds * _SHARE_FOR_KEYS
        return self._search(rejection, deadline)

    async def _search(self, rejection: TokenRejected, deadline: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await self.keys.refetch(rejection.issuer, rejection.kid)
        return False

    async def _ask(self, rejection: TokenRejected, deadline: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await self.introspector.ask(rejection.issuer, rejection.question)
        return False

    def response_context(self, metadata: Mapping[str, str]) -> ResponseContext | None:
        """Return who reads a response, from what its Check left in dynamic metadata; None if that is not known."""
        current = self.snapshots.current
        decided_by = self.snapshots.find(metadata.get("policy", ""))
        return ResponseContext.decode(
            metadata,
            self._callers.find(metadata, decided_by.servers),
            time.time(),
            longest_name=decided_by.limits.name,
            sessions=current.sessions,
            grace=current.stream_grace,
            changed=self.locks.sightings.changed,
            recognition=self.locks.recognition,
        )

    def socket_problem(self) -> str:
        """Return what became of the Unix socket, "" while it is this process's own."""
        return "" if self.socket is None else self.socket.lost()

    def key_problems(self) -> list[KeyProblem]:
        """Return what keeps tokens from being judged, by issuer."""
        return [*self.keys.problems(), *self.introspector.problems()]

    def without_keys(self) -> list[str]:
        """Name the issuers none of whose tokens can be verified now."""
        return self.keys.without_keys()

    def _put_in_force(self, settings: Settings) -> None:
        self.settings = settings
        self.audit.terms = settings.audit
        self.streams.shares = settings.stream_shares
        self.locks.put_in_force(settings.digest, _locks(settings))
        dropped = self.snapshots.put_in_force(self._snapshot(settings))
        self._callers = KnownCallers()  # those known until now hold their servers' rules
        release(dropped)
        self.metrics.policy(settings.digest, settings.tools)

    def _snapshot(self, settings: Settings) -> PolicySnapshot:
        candidate = settings.candidate
        return structs.replace(
            self._without_candidate(settings, self.metrics.remembered),
            # A candidate has its own terms for issuers, so its own cache; its look-ups are not counted.
            admit_stream=self.streams.admit,
            refuses_lists=self.rewriters.refuses,
            wants_rewriter=self.rewriters.wants,
            candidate=None
            if candidate is None
            else self._without_candidate(candidate, lambda _outcome: None),
        )

    def _without_candidate(self, settings: Settings, count: Callable[[str], None]) -> PolicySnapshot:
        keys = settings.session_keys or (self._session_key,)
        return PolicySnapshot(
            digest=settings.digest,
            directory=settings.directory,
            authenticator=Authenticator(
                self.keys.keys, count, size=settings.tokens, find_answer=self.introspector.answer
            ),
            sessions=Sessions(keys, longest=settings.limits.name),
            limits=settings.limits,
            max_body=settings.max_body,
            check_seconds=settings.check_seconds,
            stream_grace=settings.stream_grace,
            rewrite_every_answer=settings.every_answer,
            changed=self.locks.sightings.changed,
        )

    def _key_store(self, settings: Settings) -> KeyStore:
        store = KeyStore(
            settings.keys,
            observer=self.metrics,
            schedule=Schedule(**asdict(settings.fetching)),
            authorities=settings.authorities,
            insecure_hosts=settings.insecure_hosts,
            on_change=self._forget,
        )
        store.span = self.span
        return store

    def _introspector(self, settings: Settings) -> Introspector:
        return Introspector(
            settings.introspections,
            size=settings.tokens,
            observer=self.metrics,
            find_keys=self._keys_of,
            span=self.span,
            insecure_hosts=settings.insecure_hosts,
            authorities=settings.authorities,
        )

    def _keys_of(self, issuer: str) -> KeySet | None:
        """Return an issuer's keys from the store in force, which a reload replaces."""
        return self.keys.keys(issuer)

    def _forget(self) -> None:
        for snapshot in (self.snapshots.current, self.snapshots.current.candidate):
            if snapshot is not None and isinstance(snapshot.authenticator, Authenticator):
                snapshot.authenticator.clear()

    def _changed_items(self) -> list[tuple[str, int]]:
        """Return how many locked items of each server were last seen changed."""
        return [(name, self.locks.count_changed(name, lock)) for name, lock in _locks(self.settings).items()]

    def _introspection_figures(self) -> list[IntrospectionFigures]:
        """Return what goes on with issuers that are asked, by the introspector in force, which a reload replaces."""
        return self.introspector.figures()

    def _key_figures(self) -> list[tuple[str, int, float]]:
        rows = []
        for issuer in self.settings.keys:
            keys = self.keys.keys(issuer)
            rows.append((issuer, 0 if keys is None else len(keys.keys), self.keys.age(issuer)))
        return rows


def _locks(settings: Settings) -> dict[str, Lock]:
    servers = settings.directory.servers
    return {server.name: server.lock for server in servers if server.lock is not None}


def _introspection_terms(settings: Settings) -> tuple[object, ...]:
    """Return what the introspector is made from."""
    return (settings.introspections, settings.insecure_hosts, settings.authorities, settings.tokens)


def _key_terms(settings: Settings) -> tuple[object, ...]:
    """Return what the key store is made from."""
    return (settings.keys, settings.insecure_hosts, settings.fetching, settings.authorities)
