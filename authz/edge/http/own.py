"""What one worker tells about itself."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from authz.config.settings import Settings
from authz.edge.http.status import WorkerStatus
from authz.edge.service import Service
from authz.edge.shutdown import ShutdownSignal


class WorkerReport:
    """The outlook of a process that decides."""

    def __init__(self, service: Service, ending: ShutdownSignal | None = None) -> None:
        """Tell about `service`; it is draining once `ending` has begun."""
        self._service = service
        self._ending = ending

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._service.settings

    async def metrics(self) -> Iterable[Metric]:
        """Every metric of this worker."""
        return self._service.metrics.registry.collect()

    async def condition(self) -> WorkerStatus:
        """How this worker is."""
        missing = self._service.without_keys()
        draining = self._ending is not None and self._ending.begun.is_set()
        return WorkerStatus(
            ready=not missing and not draining,
            draining=draining,
            policy=self.settings.digest,
            issuers_without_keys=missing,
            reload_problem=self._service.problem,
        )
