"""Prometheus metrics; names and labels are what dashboards and alerts rely on.

Every label has a bounded set of values, so that no sender can make the tables grow: methods are those of the method table,
tools those that a rule names, or the pattern by which a rule names them (`quote_*`), and anything else is `_other`. Servers, rules, tools and issuers are the policy's, and those of
earlier policies stay until the process ends.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authz.core.decision import Decision
from authz.core.identity.jwks import Skip
from authz.core.mcp.item import Kind
from authz.core.mcp.methods import HTTP_METHODS, METHODS
from authz.core.policy.lock import LockOutcome
from authz.core.policy.rule import Pattern
from authz.core.response.filter_result import Cause
from authz.core.wire.bounded_cache import BoundedCache
from authz.edge.telemetry.counters import SAMPLED, Counters, DurationHistogram, StageSampler
from authz.edge.telemetry.envoy_gauges import EnvoyGauges

OTHER = "_other"
_BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
_KNOWN_METHODS = METHODS.keys() | HTTP_METHODS.keys() | {"response", ""}


_LABELS = 1024
"""Names of tools whose pattern is remembered."""


def _pattern(named: Iterable[str], name: str) -> str:
    patterns = (text for text in named if "*" in text)
    fitting = (text for text in patterns if Pattern(tuple(text.split("*"))).matches(name))
    return max(fitting, key=lambda text: (len(text), text), default=OTHER)


class KeyGauges(Collector):
    """Reads the key store when metrics are asked for."""

    def __init__(self, read: Callable[[], Iterable[tuple[str, int, float]]]) -> None:
        """Read (issuer, usable keys, seconds since confirmed) from `read`."""
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return both gauges."""
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


class LockGauge(Collector):
    """Counts changed items when metrics are asked for."""

    def __init__(self, read: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Read (server, locked items that were last seen changed) from `read`."""
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return the gauge."""
        changed = GaugeMetricFamily(
            "mcp_authz_lock_changed_items",
            "Items of a server that were last seen in another form than the lock approves.",
            labels=["server"],
        )
        for server, count in self._read():
            changed.add_metric([server], count)
        return [changed]


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(
        self,
        keys: KeyGauges | None = None,
        locks: LockGauge | None = None,
        envoys: EnvoyGauges | None = None,
        service: Collector | None = None,
        introspection: Collector | None = None,
    ) -> None:
        """Register every metric.

        Args:
            keys: reads the key store.
            locks: what was seen changed.
            envoys: what is known of the Envoys that ask.
            service: what the service is and holds (`ServiceGauges`).
            introspection: what goes on with issuers that are asked about tokens (`IntrospectionGauges`).
        """
        self.registry = CollectorRegistry()
        self._envoys = envoys or EnvoyGauges(list)
        self._named: Mapping[str, frozenset[str]] = {}
        self._labels: BoundedCache[tuple[str, str], str] = BoundedCache(_LABELS)
        read = (keys, locks, service, introspection, self._envoys)
        for collector in (*read, *self._counters(), *self._histograms()):
            if collector is not None:
                self.registry.register(collector)
        registry = self.registry
        self._skipped = Gauge(
            "mcp_authz_jwks_skipped",
            "Keys of an issuer's set that are not used, by reason.",
            ["issuer", "why"],
            registry=registry,
        )
        self._policy = Gauge("mcp_authz_policy_info", "The policy in force.", ["hash"], registry=registry)
        self._loaded = Gauge(
            "mcp_authz_policy_loaded_timestamp_seconds",
            "When the policy in force was put in force, in seconds since the epoch.",
            registry=registry,
        )
        # The audit log's thread adds to this one, so it is of the kind that locks.
        self._dropped = Counter(
            "mcp_authz_audit_dropped", "Audit records that were not written.", registry=registry
        )

        # The threads that trace add to this one.
        self._spans = Counter(
            "mcp_authz_spans", "Spans, by what became of them.", ["outcome"], registry=registry
        )

    def traced(self, outcome: str, count: int) -> None:
        """Count spans by what became of them: `exported`, `failed` (the collector took them not) or `dropped`."""
        self._spans.labels(outcome).inc(count)

    def _counters(self) -> tuple[Counters, ...]:
        decided = ("server", "method", "rule", "decision", "reason")
        self._decisions = Counters("mcp_authz_decisions", "Decisions by rule and reason.", decided)
        tool = ("server", "tool", "decision")
        self._tools = Counters("mcp_authz_tool_decisions", "Decisions by tool named in the policy.", tool)
        refused = "Denials of callers whose token named an issuer of the policy."
        self._by_issuer = Counters("mcp_authz_issuer_denials", refused, ("issuer", "reason"))
        disagreed = "Decisions that a shadow rule would have made differently."
        self._shadows = Counters("mcp_authz_shadow_disagreements", disagreed, ("server", "rule"))
        item = ("server", "kind", "outcome")
        self._items = Counters("mcp_authz_list_items", "Items of lists, kept or trimmed.", item)
        self._rewrites = Counters(
            "mcp_authz_rewrites", "Messages that passed through the rewriter.", ("outcome",)
        )
        self._cache = Counters("mcp_authz_token_cache", "Look-ups of verified tokens.", ("outcome",))
        self._fetches = Counters("mcp_authz_jwks_fetches", "Fetches of key sets.", ("issuer", "outcome"))
        asked = "Questions to issuers about tokens, by what came of them."
        self._introspections = Counters("mcp_authz_introspections", asked, ("issuer", "outcome"))
        self._reloads = Counters("mcp_authz_policy_reloads", "Reloads of the policy file.", ("outcome",))
        beyond = "gRPC calls refused because too many of their method were under way."
        self._calls_refused = Counters("mcp_authz_calls_refused", beyond, ("rpc",))
        refused = "Responses and messages of MCP servers that were refused, by cause."
        self._responses_refused = Counters("mcp_authz_responses_refused", refused, ("server", "cause"))
        compared = "Items of lists that were compared with the lock."
        self._locked = Counters("mcp_authz_lock", compared, ("server", "outcome"))
        decisions = (self._decisions, self._tools, self._by_issuer, self._shadows)
        figures = (self._items, self._rewrites, self._cache, self._fetches, self._reloads)
        of_envoy = self._of_envoy()
        refused_too = (self._introspections, self._locked, self._calls_refused, self._responses_refused)
        return (*decisions, *figures, *refused_too, *of_envoy)

    def _of_envoy(self) -> tuple[Counters, ...]:
        asked = "Answers for which a Check asked for the rewriter."
        self._asked = Counters("mcp_authz_rewrites_asked", asked, ("server",))
        came = "Responses that Envoy handed to the rewriter."
        self._came = Counters("mcp_authz_rewrites_begun", came, ("server",))
        withheld = "Requests whose body Envoy did not hand over as it goes upstream, by cause."
        self._withheld = Counters("mcp_authz_bodies_withheld", withheld, ("cause",))
        return self._asked, self._came, self._withheld

    def _histograms(self) -> tuple[DurationHistogram, ...]:
        self._check = DurationHistogram(
            "mcp_authz_check_seconds", "Time of one Check.", ("server",), _BUCKETS
        )
        sampled = f"Time of one stage of a Check; one Check in {SAMPLED} is timed."
        self._stages = DurationHistogram("mcp_authz_stage_seconds", sampled, ("stage",), _BUCKETS)
        self.time_stages = StageSampler(self.staged).begin
        return self._check, self._stages

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count one decision."""
        word = decision.verdict
        method = decision.method if decision.method in _KNOWN_METHODS else OTHER
        server, item = decision.server, decision.item
        self._decisions.add((server, method, decision.rule, word, decision.reason._value_))
        if item is not None and item.kind is Kind.TOOL:
            named = item.name in self._named.get(server, ())
            self._tools.add((server, item.name if named else self._label(server, item.name), word))
        if not decision.allowed:
            self._denied(decision)
        for rule in decision.shadows:
            self._shadows.add((server, rule))
        self._check.add((server,), seconds)

    def _denied(self, decision: Decision) -> None:
        """Count a denial by issuer: the policy's, as the token was accepted, or as its `iss` selected it."""
        found = decision.principal or decision.rejection
        if found is not None and found.issuer:
            self._by_issuer.add((found.issuer, decision.reason._value_))

    def _label(self, server: str, name: str) -> str:
        """Return the longest pattern of a rule that a tool's name fits, `_other` if it fits none."""
        key = (server, name)
        return self._labels.get(key) or self._labels.put(key, _pattern(self._named.get(server, ()), name))

    def staged(self, stage: str, seconds: float) -> None:
        """Count the time of one stage: parse, token, policy or respond."""
        self._stages.add((stage,), seconds)

    def listed(self, server: str, kind: Kind, kept: int, trimmed: int) -> None:
        """Count the items of one list."""
        self._items.add((server, kind.value, "kept"), kept)
        self._items.add((server, kind.value, "trimmed"), trimmed)

    def compared(self, server: str, outcome: LockOutcome, number: int) -> None:
        """Count items of a list that were compared with the lock."""
        self._locked.add((server, outcome.value), number)

    def rewriter_asked(self, server: str) -> None:
        """Count one answer for which a Check asked for the rewriter."""
        self._asked.add((server,))

    def rewriter_came(self, server: str) -> None:
        """Count one response that Envoy handed to the rewriter, whatever became of it."""
        self._came.add((server,))

    def body_withheld(self, cause: str) -> None:
        """Count one request whose body Envoy did not hand over as it is: `not_raw`, `partial` or `absent`."""
        self._withheld.add((cause,))

    def envoy_seen(self, version: tuple[int, ...]) -> None:
        """Note the version of an Envoy that asks."""
        self._envoys.note(".".join(map(str, version)))

    def rewritten(self, outcome: str) -> None:
        """Count one message that passed through the rewriter."""
        self._rewrites.add((str(outcome),))

    def response_refused(self, server: str, cause: Cause) -> None:
        """Count one response, or one message of it, that was refused."""
        self._responses_refused.add((server, cause.value))

    def remembered(self, outcome: str) -> None:
        """Count one look-up in the token cache."""
        self._cache.add((outcome,))

    def fetched(self, issuer: str, outcome: str) -> None:
        """Count one fetch of a key set."""
        self._fetches.add((issuer, outcome))

    def introspected(self, issuer: str, outcome: str) -> None:
        """Count one question about a token: `active`, `inactive`, `failed`, or `refused` for want of room."""
        self._introspections.add((issuer, outcome))

    def skipped(self, issuer: str, counts: Mapping[str, int]) -> None:
        """Set how many keys of an issuer's set are not used, by reason; zero for a reason that is not given."""
        for why in Skip:
            self._skipped.labels(issuer, why.value).set(counts.get(why.value, 0))

    def call_refused(self, name: str) -> None:
        """Count one gRPC call of a method, `/package.Service/Method`, that was refused because too many were under way."""
        self._calls_refused.add((name,))

    def dropped(self) -> None:
        """Count one audit record that was not written; from any thread."""
        self._dropped.inc()

    def reloaded(self, outcome: str) -> None:
        """Count one reload, outcome `ok` or `failed`."""
        self._reloads.add((outcome,))

    def policy(self, digest: str, tools: Mapping[str, frozenset[str]]) -> None:
        """Set the policy in force, and the tools of each server that are counted by name because a rule names them."""
        self._named, self._labels = tools, BoundedCache(_LABELS)
        self._policy.clear()
        self._policy.labels(digest).set(1)
        self._loaded.set_to_current_time()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
