"""What one worker decides with: settings, keys, remembered tokens, figures."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from authz.config.settings import Settings
from authz.core.decision import Decision
from authz.core.engine import Walk, check
from authz.core.request import HttpRequest
from authz.core.server import Server
from authz.edge.audit import AuditLog
from authz.edge.handover import Reader, Reads, unpack
from authz.edge.keystore import KeyStore
from authz.edge.metrics import KeyFigures, Metrics
from authz.edge.tokens import Tokens


class Service:
    """One worker's state; everything in it is this process's own."""

    def __init__(self, settings: Settings, audit: AuditLog) -> None:
        """Prepare to decide by these settings; `audit` takes a record of every decision."""
        self.settings = settings
        self.audit = audit
        self.metrics = Metrics(settings.tools, KeyFigures(self._key_figures))
        self.metrics.policy(settings.digest)
        self.keys = KeyStore(settings.keys, observer=self.metrics, on_change=self._forget)
        self.tokens = Tokens(self.keys, self.metrics, size=settings.tokens, clock=time.time)
        self.servers: Mapping[str, Server] = {server.name: server for server in settings.directory.servers}
        self.reads = {name: Reads.of(server.policy) for name, server in self.servers.items()}

    def check(self, request: HttpRequest, deadline: float) -> Decision:
        """Decide about a request.

        Args:
            request: the request.
            deadline: moment on the performance counter after which a yes is a no.
        """
        settings = self.settings
        walk = Walk(
            directory=settings.directory,
            identify=self.tokens.identify,
            late=lambda: time.perf_counter() >= deadline,
            max_body=settings.max_body,
            limits=settings.limits,
        )
        return check(request, walk)

    async def look_for_key(self, decision: Decision, deadline: float) -> bool:
        """Look for the key that a refused token names, as long as the decision may still take.

        Returns:
            Whether it is at hand now.
        """
        if decision.wanted_key is None:
            return False
        issuer, kid = decision.wanted_key
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.perf_counter()):
                return await asyncio.shield(self.keys.refetch(issuer, kid))
        return False

    def reader(self, metadata: Mapping[str, object]) -> Reader | None:
        """Give who reads a response, from what a Check handed over; None when that is not known."""
        return unpack(metadata, self.servers, time.time())

    def ready(self) -> list[str]:
        """Name what keeps the service from deciding: issuers without keys."""
        return self.keys.without_keys()

    def _forget(self) -> None:
        self.tokens.clear()

    def _key_figures(self) -> list[tuple[str, int, float]]:
        rows = []
        for issuer in self.settings.keys:
            keys = self.keys.keys(issuer)
            rows.append((issuer, 0 if keys is None else len(keys.keys), self.keys.age(issuer)))
        return rows
