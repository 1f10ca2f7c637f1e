"""What one worker decides with, and how a new policy takes the place of the old one.

A `PolicySnapshot` is everything that follows from one policy file; it is never changed. A reload makes a new one and swaps a
single reference, so a Check finishes under the state it began with. Checks and rewriters run in the server's thread, all
else here in the event loop's: what one of them changes the other replaces whole, or only reads.

The rewriter of a list's response runs later, in a call of its own: it finds the policy of its Check by digest among the
last few states.

Where the file names a candidate, every request is decided once more by it, after the decision is made. That the two
disagree is noted among the decision's shadows; nothing else of the decision, and nothing that a client sees, changes.
"""

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict

import structlog
from msgspec import structs

from authz.config.settings import Settings
from authz.core.authentication import Authenticator
from authz.core.decision import Decision
from authz.core.engine import Admit, Identify, Walk, check
from authz.core.identity.principal import TokenRejected
from authz.core.identity.session import MIN_KEY, Sessions
from authz.core.policy.context import Caller
from authz.core.request import HttpRequest
from authz.core.response.context import KEY, ResponseContext, VisibilityInputs, pack, unpack
from authz.core.servers import Server
from authz.edge.envoy.check_response import metadata
from authz.edge.jwks.store import KeyStore, Schedule
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.metrics import KeyGauges, Metrics
from authz.edge.telemetry.stage_timer import UNTIMED, Stages

CANDIDATE = "candidate"
"""What records and metrics call the candidate, in the place of a shadow rule's name."""

_REMEMBERED_STATES = 4
_SHARE_FOR_KEYS = 0.8
"""Part of a decision's time that the look for an unknown key may take; the rest is for deciding and answering."""
_LOG = structlog.get_logger("authz.policy")


class PolicySnapshot:
    """What follows from one policy file."""

    def __init__(
        self,
        settings: Settings,
        tokens: Authenticator,
        sessions: Sessions,
        candidate_tokens: Authenticator | None = None,
    ) -> None:
        """Prepare to decide by these settings; a candidate's terms of trust are its own, so are its tokens."""
        self.settings = settings
        self.tokens = tokens
        self.sessions = sessions
        self._candidate_tokens = candidate_tokens
        self.servers: Mapping[str, Server] = {server.name: server for server in settings.directory.servers}
        self._reads = {name: VisibilityInputs.of(server.policy) for name, server in self.servers.items()}

    def check(self, request: HttpRequest, began: float, stages: Stages = UNTIMED) -> Decision:
        """Decide about a request that arrived at this moment of the performance counter."""
        deadline = began + self.settings.check_seconds

        identify = self.tokens.identify if stages is UNTIMED else self._timed(stages)
        admit = self.sessions.admit
        walk = _walk(self.settings, identify, admit, lambda: time.perf_counter() >= deadline)
        made = check(request, walk)
        candidate, tokens = self.settings.candidate, self._candidate_tokens
        if candidate is None or tokens is None or walk.late():
            return made
        return _compared(made, request, _walk(candidate, tokens.identify, admit, lambda: False))

    def _timed(self, stages: Stages) -> Identify:
        def identify(server: Server, authorization: str | None) -> Caller | TokenRejected:
            caller = self.tokens.identify(server, authorization)
            stages.mark("token")
            return caller

        return identify

    def forget(self) -> None:
        """Forget every verified token."""
        self.tokens.clear()
        if self._candidate_tokens is not None:
            self._candidate_tokens.clear()

    def baggage(self, decision: Decision, request: HttpRequest) -> bytes:
        """Give what the rewriter needs, as metadata to append to an answer; nothing where it does not run."""
        caller = decision.caller
        if not decision.rewrite or caller is None:
            return b""
        reads, request_id = self._reads[decision.server], decision.request_id
        text = pack(caller.principal, request, reads, request_id=request_id, ends=caller.ends)
        return metadata(KEY, text)


def _walk(settings: Settings, identify: Identify, admit: Admit, late: Callable[[], bool]) -> Walk:
    return Walk(
        directory=settings.directory,
        identify=identify,
        late=late,
        max_body=settings.max_body,
        limits=settings.limits,
        admit=admit,
        every_answer=settings.every_answer,
    )


def _compared(made: Decision, request: HttpRequest, walk: Walk) -> Decision:
    """Note on a decision whether a candidate would have decided otherwise; one that fails would have denied."""
    try:
        would_allow = check(request, walk).allowed
    except Exception as error:  # noqa: BLE001 - whatever a candidate does, the decision is made
        would_allow = False
        _LOG.error("candidate failed", error=type(error).__name__)
    if would_allow == made.allowed:
        return made
    return structs.replace(made, shadows=(*made.shadows, CANDIDATE))


class _Unobserved:
    """Takes the figures of the candidate's tokens, which are nobody's traffic."""

    def remembered(self, outcome: str) -> None:
        """Count nothing."""


class Service:
    """One worker's state; everything in it is this process's own."""

    def __init__(self, settings: Settings, audit: AuditLog, *, session_key: bytes | None = None) -> None:
        """Prepare to decide by these settings.

        Args:
            settings: what the policy file says.
            audit: takes a record of every decision.
            session_key: what binds session ids while the file names no key; a new random one when None. Processes that
                answer for one another need the same.
        """
        self.audit = audit
        self._session_key = secrets.token_bytes(MIN_KEY) if session_key is None else session_key
        self.metrics = Metrics(KeyGauges(self._key_figures))
        audit.on_drop = self.metrics.dropped
        self.keys = self._key_store(settings)
        self._states: OrderedDict[str, PolicySnapshot] = OrderedDict()
        self.problem = ""
        self._put_in_force(settings)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.state.settings

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
        """Tell whether a look for the key that a refused token names could find it now; any thread may ask."""
        refused = decision.refused
        return refused is not None and self.keys.may_refetch(refused.issuer, refused.kid)

    async def look_for_key(self, decision: Decision, began: float) -> bool:
        """Look for the key that a refused token names, as long as the decision may still take.

        Returns:
            Whether it is at hand now.
        """
        refused = decision.refused
        if refused is None:
            return False
        deadline = began + self.settings.check_seconds * _SHARE_FOR_KEYS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await self.keys.refetch(refused.issuer, refused.kid)
        return False

    def reader(self, metadata_: Mapping[str, str]) -> ResponseContext | None:
        """Give who reads a response, from what a Check handed over; None when that is not known."""
        state = self._states.get(metadata_.get("policy", ""), self.state)
        now = self.state
        return unpack(
            metadata_,
            state.servers,
            time.time(),
            sessions=now.sessions,
            longest=state.settings.limits.name,
            grace=now.settings.stream_grace,
        )

    def without_keys(self) -> list[str]:
        """Name the issuers none of whose tokens can be verified now."""
        return self.keys.without_keys()

    def _put_in_force(self, settings: Settings) -> None:
        tokens = Authenticator(self.keys, self.metrics, size=settings.tokens, clock=time.time)
        others = Authenticator(self.keys, _Unobserved(), size=settings.tokens, clock=time.time)
        sessions = Sessions(settings.session_keys or (self._session_key,), longest=settings.limits.name)
        self.state = PolicySnapshot(settings, tokens, sessions, others if settings.candidate else None)
        self._states[settings.digest] = self.state
        self._states.move_to_end(settings.digest)
        while len(self._states) > _REMEMBERED_STATES:
            self._states.popitem(last=False)
        self.metrics.policy(settings.digest, settings.tools)

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
        self.state.forget()

    def _key_figures(self) -> list[tuple[str, int, float]]:
        rows = []
        for issuer in self.settings.keys:
            keys = self.keys.keys(issuer)
            rows.append((issuer, 0 if keys is None else len(keys.keys), self.keys.age(issuer)))
        return rows


def _key_terms(settings: Settings) -> tuple[object, ...]:
    """Give what the key store is made from; the authorities count by content."""
    authorities = settings.read.get(settings.ca_file or "")
    return (settings.keys, settings.insecure_hosts, settings.fetching, settings.ca_file, authorities)
