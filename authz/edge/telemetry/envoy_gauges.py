"""What is known of the Envoys that ask: their versions, and which of them trim no lists."""

import time
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_FORGET_SECONDS = 900.0
_MOST_VERSIONS = 16


class EnvoyGauges(Collector):
    """Reads the presence of rewriters when metrics are asked for, and remembers versions."""

    def __init__(
        self, missing_at: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the listeners without a rewriter from `missing_at`."""
        self._missing_at, self._clock = missing_at, clock
        self._versions: dict[str, float] = {}

    def note(self, version: str) -> None:
        """Note the version of an Envoy that asks now."""
        if version in self._versions or len(self._versions) < _MOST_VERSIONS:
            self._versions[version] = self._clock()

    def collect(self) -> Iterable[Metric]:
        """Return both gauges."""
        info = GaugeMetricFamily("mcp_authz_envoy_info", "Versions of Envoy that ask.", labels=["version"])
        for version, seen in self._versions.copy().items():
            if seen + _FORGET_SECONDS > self._clock():
                info.add_metric([version], 1)
        text = "Listeners of Envoy whose lists nobody trims."
        missing = GaugeMetricFamily("mcp_authz_rewriter_missing", text, labels=["listener"])
        for listener in self._missing_at():
            missing.add_metric([listener], 1)
        return [info, missing]
