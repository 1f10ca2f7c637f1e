"""What a service reports about itself over HTTP, whether one process decides or several."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec
from prometheus_client.core import Metric

from authz.config.settings import Settings
from authz.edge.http.memory import Why, WorkerMemory
from authz.edge.jwks.problem import KeyProblem, each_once
from authz.edge.shutdown import ShutdownSignal

if TYPE_CHECKING:  # a supervisor uses this module, and must not load what decides
    from authz.edge.service import Service
    from authz.edge.telemetry.denial_ring import KeptDenial


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one worker; with its defaults, of one that cannot be asked.

    Attributes:
        ready: every issuer has a usable key, the worker is not ending, and its Unix socket is its own.
        draining: it was told to end.
        policy: digest of the policy in force.
        issuers_without_keys: issuers none of whose tokens can be verified.
        key_problems: why an issuer's keys could not be fetched, or why it did not answer about a token.
        reload_problem: why the policy file could not be used, "" if it could.
        socket_problem: what became of the Unix socket, "" while it is the worker's own.
    """

    ready: bool
    draining: bool = False
    policy: str = ""
    issuers_without_keys: list[str] = []
    key_problems: list[KeyProblem] = []
    reload_problem: str = ""
    socket_problem: str = ""


class ServiceStatus(Protocol):
    """What the HTTP port asks the service for."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    async def metrics(self) -> Iterable[Metric]:
        """Return every metric of the service."""

    async def status(self) -> WorkerStatus:
        """Return the status of the service as a whole."""

    async def recall(self, why: str = "") -> WorkerMemory:
        """Return what the service remembers, and why the denial of this id came."""


class WorkerReport:
    """The `ServiceStatus` of a process that decides."""

    def __init__(self, service: "Service", shutdown: ShutdownSignal | None = None) -> None:
        """Report about `service`, which is draining once `shutdown` has begun."""
        self._service = service
        self._shutdown = shutdown

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._service.settings

    async def metrics(self) -> Iterable[Metric]:
        """Return every metric of this worker."""
        return self._service.metrics.registry.collect()

    async def status(self) -> WorkerStatus:
        """Return the status of this worker."""
        missing, lost = self._service.without_keys(), self._service.socket_problem()
        draining = self._shutdown is not None and self._shutdown.begun.is_set()
        return WorkerStatus(
            ready=not missing and not draining and not lost,
            draining=draining,
            policy=self.settings.digest,
            issuers_without_keys=missing,
            key_problems=self._service.key_problems(),
            reload_problem=self._service.problem,
            socket_problem=lost,
        )

    async def recall(self, why: str = "") -> WorkerMemory:
        """Return what this worker remembers."""
        service, ring = self._service, self._service.denials
        if ring is None:
            return WorkerMemory()
        found = ring.find(why) if why else None
        return WorkerMemory(
            denials=ring.latest(),
            changed=service.locks.changed_items(self.settings),
            why=None if found is None else _explain(found, service),
        )


def _explain(found: "KeptDenial", service: "Service") -> Why:
    from authz.edge.http.console.why import explain_denial  # noqa: PLC0415 - loaded on the first question

    return explain_denial(found, service.settings, service.locks.sightings.changed)


def overall(statuses: Sequence[WorkerStatus], *, draining: bool) -> WorkerStatus:
    """Return the status of a service, given those of its workers that take connections.

    It is ready if there is at least one and all of them are: a worker that is down gets no connection, but one that is up
    and cannot verify tokens would refuse valid ones.
    """
    policies = dict.fromkeys(status.policy for status in statuses)
    missing = {issuer for status in statuses for issuer in status.issuers_without_keys}
    return WorkerStatus(
        ready=bool(statuses) and all(status.ready for status in statuses) and not draining,
        draining=draining,
        policy=", ".join(policies),
        issuers_without_keys=sorted(missing),
        key_problems=each_once(problem for status in statuses for problem in status.key_problems),
        reload_problem=_first(status.reload_problem for status in statuses),
        socket_problem=_first(status.socket_problem for status in statuses),
    )


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
