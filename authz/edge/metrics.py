"""Prometheus metrics; names and labels are what dashboards and alerts rely on.

Every label has a bounded set of values: methods are those of the table, tools those that a rule names, and whatever a
sender made up is `_other`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authz.core.decision import Decision
from authz.core.item import Kind
from authz.core.keys import Skip
from authz.core.methods import HTTP_METHODS, METHODS
from authz.edge.record import verdict

OTHER = "_other"
_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
_KNOWN_METHODS = METHODS.keys() | HTTP_METHODS.keys() | {"response", ""}


class KeyFigures(Collector):
    """Reads the key store when metrics are asked for."""

    def __init__(self, read: Callable[[], Iterable[tuple[str, int, float]]]) -> None:
        """Take (issuer, usable keys, seconds since confirmed) from `read`."""
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Give both gauges."""
        count = GaugeMetricFamily("mcp_authz_jwks_keys", "Usable keys of an issuer.", labels=["issuer"])
        age = GaugeMetricFamily(
            "mcp_authz_jwks_age_seconds",
            "Seconds since an issuer's keys were confirmed.",
            labels=["issuer"],
        )
        for issuer, keys, seconds in self._read():
            count.add_metric([issuer], keys)
            age.add_metric([issuer], seconds)
        return [count, age]


class Metrics:
    """The service's metrics in a registry of their own."""

    def __init__(self, keys: KeyFigures | None = None) -> None:
        """Read the key store's figures from `keys` when metrics are asked for."""
        self.registry = CollectorRegistry()
        self._named: Mapping[str, frozenset[str]] = {}
        self._children: dict[tuple[int, tuple[str, ...]], Any] = {}
        if keys is not None:
            self.registry.register(keys)
        make, registry = Counter, self.registry
        self._decisions = make(
            "mcp_authz_decisions",
            "Decisions by rule and reason.",
            ["server", "method", "rule", "decision", "reason"],
            registry=registry,
        )
        self._tools = make(
            "mcp_authz_tool_decisions",
            "Decisions by tool named in the policy.",
            ["server", "tool", "decision"],
            registry=registry,
        )
        self._shadows = make(
            "mcp_authz_shadow_disagreements",
            "Decisions that a shadow rule would have made otherwise.",
            ["server", "rule"],
            registry=registry,
        )
        self._check = Histogram(
            "mcp_authz_check_seconds",
            "Time of one Check.",
            ["server"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self._items = make(
            "mcp_authz_list_items",
            "Items of lists, kept or trimmed.",
            ["server", "kind", "outcome"],
            registry=registry,
        )
        self._rewrites = make(
            "mcp_authz_rewrites",
            "Messages that went through the rewriter.",
            ["outcome"],
            registry=registry,
        )
        self._cache = make(
            "mcp_authz_token_cache", "Look-ups of verified tokens.", ["outcome"], registry=registry
        )
        self._fetches = make(
            "mcp_authz_jwks_fetches",
            "Fetches of key sets.",
            ["issuer", "outcome"],
            registry=registry,
        )
        self._skipped = Gauge(
            "mcp_authz_jwks_skipped",
            "Keys of an issuer's set that are not used, by why.",
            ["issuer", "why"],
            registry=registry,
        )
        self._dropped = make(
            "mcp_authz_audit_dropped", "Audit records that were not written.", registry=registry
        )
        self._policy = Gauge("mcp_authz_policy_info", "The policy in force.", ["hash"], registry=registry)
        self._reloads = make(
            "mcp_authz_policy_reloads", "Reloads of the policy file.", ["outcome"], registry=registry
        )

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count one decision."""
        said = verdict(decision)
        method = decision.method if decision.method in _KNOWN_METHODS else OTHER
        server, reason = decision.server, decision.reason.value
        self._child(self._decisions, (server, method, decision.rule, said, reason)).inc()
        item = decision.item
        if item is not None and item.kind is Kind.TOOL:
            named = item.name in self._named.get(server, ())
            self._child(self._tools, (server, item.name if named else OTHER, said)).inc()
        for rule in decision.shadows:
            self._child(self._shadows, (server, rule)).inc()
        self._child(self._check, (server,)).observe(seconds)

    def _child(self, metric: Any, labels: tuple[str, ...]) -> Any:
        """Give a metric's child; looked up once, because finding it by its labels costs more than counting."""
        key = (id(metric), labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def listed(self, server: str, kind: Kind, kept: int, trimmed: int) -> None:
        """Count the items of one list."""
        self._items.labels(server, kind.value, "kept").inc(kept)
        self._items.labels(server, kind.value, "trimmed").inc(trimmed)

    def rewritten(self, outcome: str) -> None:
        """Count one message that went through the rewriter."""
        self._rewrites.labels(str(outcome)).inc()

    def remembered(self, outcome: str) -> None:
        """Count one look-up of a verified token."""
        self._child(self._cache, (outcome,)).inc()

    def fetched(self, issuer: str, outcome: str) -> None:
        """Count one fetch of keys."""
        self._fetches.labels(issuer, outcome).inc()

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Set how many keys of an issuer's set are not used, by why; a `why` that is not named is none."""
        for why in Skip:
            self._skipped.labels(issuer, why.value).set(counts.get(why.value, 0))

    def dropped(self) -> None:
        """Count one audit record that was not written."""
        self._dropped.inc()

    def reloaded(self, outcome: str) -> None:
        """Count one reload, outcome `ok` or `failed`."""
        self._reloads.labels(outcome).inc()

    def policy(self, digest: str, tools: Mapping[str, frozenset[str]]) -> None:
        """Name the policy in force, and the tools by server that are counted apart because its rules name them."""
        self._named = tools
        self._policy.clear()
        self._policy.labels(digest).set(1)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
