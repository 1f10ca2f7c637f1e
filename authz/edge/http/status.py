"""What a service tells about itself over HTTP, whether one process decides or several."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
from prometheus_client.core import Metric

from authz.config.settings import Settings


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker is.

    Attributes:
        ready: every issuer has a usable key, and the worker is not ending.
        draining: it was told to end.
        policy: digest of the policy in force.
        issuers_without_keys: those none of whose tokens can be verified.
        reload_problem: why the policy file could not be used, "" when it is good.
    """

    ready: bool
    draining: bool
    policy: str
    issuers_without_keys: list[str]
    reload_problem: str


class ServiceStatus(Protocol):
    """What the HTTP port asks."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    async def metrics(self) -> Iterable[Metric]:
        """Every metric of the service."""

    async def condition(self) -> WorkerStatus:
        """How the service is as a whole."""


def overall(conditions: Sequence[WorkerStatus], *, draining: bool) -> WorkerStatus:
    """Give the condition of a service from those of its workers that take connections.

    It is ready when there is one and all of them are: a worker that is down gets no connection, but one that is up and
    cannot verify tokens would refuse good ones.
    """
    policies = dict.fromkeys(condition.policy for condition in conditions)
    missing = {issuer for condition in conditions for issuer in condition.issuers_without_keys}
    return WorkerStatus(
        ready=bool(conditions) and all(condition.ready for condition in conditions) and not draining,
        draining=draining,
        policy=", ".join(policies),
        issuers_without_keys=sorted(missing),
        reload_problem=next((found.reload_problem for found in conditions if found.reload_problem), ""),
    )
