"""What a service is and holds at the moment: its build, its process, the rules in force, open streams, questions to issuers."""

import platform
from collections.abc import Callable, Iterable

from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authz import __version__
from authz.config.settings import Settings
from authz.edge.jwks.problem import IntrospectionFigures


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


class IntrospectionGauges(Collector):
    """Reads what goes on with issuers that are asked about tokens when metrics are asked for."""

    def __init__(self, read: Callable[[], Iterable[IntrospectionFigures]]) -> None:
        """Read the figures from `read`."""
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return both gauges; they have no samples where no issuer is asked."""
        questions = GaugeMetricFamily(
            "mcp_authz_introspection_questions",
            "Questions to an issuer about tokens that are not answered yet.",
            labels=["issuer", "state"],
        )
        remembered = GaugeMetricFamily(
            "mcp_authz_introspection_remembered",
            "Tokens that are remembered as an issuer answered about them.",
            labels=["issuer", "state"],
        )
        for each in self._read():
            questions.add_metric([each.issuer, "under_way"], each.under_way)
            questions.add_metric([each.issuer, "waiting"], each.waiting)
            remembered.add_metric([each.issuer, "active"], each.active)
            remembered.add_metric([each.issuer, "inactive"], each.inactive)
        return [questions, remembered]
