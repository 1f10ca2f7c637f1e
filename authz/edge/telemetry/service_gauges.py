"""What a service is and holds at the moment: its build, its process, the rules in force, open streams."""

import platform
from collections.abc import Callable, Iterable

from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authz import __version__
from authz.config.settings import Settings


class ServiceGauges(Collector):
    """Reads all of it when metrics are asked for."""

    def __init__(
        self, settings: Callable[[], Settings], streams: Callable[[], Iterable[tuple[str, int]]]
    ) -> None:
        """Read the settings in force from `settings`, and (server, open streams) from `streams`."""
        self._settings, self._streams = settings, streams
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """Return the gauges, and the counters of the process."""
        build = GaugeMetricFamily(
            "mcp_authz_build_info", "The version that runs.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        rules = GaugeMetricFamily(
            "mcp_authz_rule_info", "The rules in force.", labels=["server", "rule", "effect"]
        )
        streams = GaugeMetricFamily(
            "mcp_authz_streams_open", "Streams of a server that are under way.", labels=["server"]
        )
        held = dict(self._streams())
        for server in self._settings().directory.servers:
            streams.add_metric([server.name], held.get(server.name, 0))
            for rule in server.policy.rules:
                effect = f"{rule.effect.value}{' (shadow)' if rule.shadow else ''}"
                rules.add_metric([server.name, rule.name, effect], 1)
        return [build, rules, streams, *self._process.collect()]
