"""The summary of a service's metrics for `mcp-authz stats` and the console: what was counted, by the labels that are shown."""

import math

import msgspec

from authz.edge.http.console.samples import Samples, SampleSums, quantile

_STAGES = ("parse", "token", "policy", "respond")
"""In the order in which a Check passes them."""


class Decisions(msgspec.Struct, frozen=True):
    """Decisions of one kind."""

    server: str
    decision: str
    reason: str
    rule: str
    count: float


class Tool(msgspec.Struct, frozen=True):
    """Calls of one tool, or of those that a rule names by a pattern; `_other` means all tools that no rule names."""

    server: str
    tool: str
    allowed: float
    denied: float


class TimingSummary(msgspec.Struct, frozen=True):
    """How long something took, in seconds; None if nothing was timed."""

    name: str
    count: float
    mean: float | None
    p50: float | None
    p99: float | None


class IssuerSummary(msgspec.Struct, frozen=True):
    """An issuer's keys; the age in seconds, None if they were never fetched."""

    issuer: str
    keys: float
    age: float | None
    fetched: float
    failed: float
    skipped: float


class Introspections(msgspec.Struct, frozen=True, kw_only=True):
    """Questions to an issuer about tokens."""

    issuer: str
    active: float
    inactive: float
    failed: float
    refused: float
    under_way: float
    waiting: float
    remembered: float


class Items(msgspec.Struct, frozen=True):
    """Items of lists of one kind."""

    server: str
    kind: str
    kept: float
    trimmed: float


class Shadow(msgspec.Struct, frozen=True):
    """Decisions that a shadow rule would have made differently."""

    server: str
    rule: str
    count: float


class Workers(msgspec.Struct, frozen=True):
    """The worker processes."""

    configured: float
    up: float
    restarts: float


class RuleName(msgspec.Struct, frozen=True):
    """A rule."""

    server: str
    rule: str
    effect: str


class IssuerDenials(msgspec.Struct, frozen=True):
    """Denials of callers whose token named one issuer."""

    issuer: str
    reason: str
    count: float


class MetricsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole summary.

    Attributes:
        policies: digests of the policies in force; more than one while workers disagree.
        checks: time of a Check, by server.
        stages: time of its stages, for a sample of Checks.
        problems: what is wrong with the Envoys that ask, by the words of `Sign`.
        untrimmed: listeners of Envoy whose lists nobody trims.
        envoys: versions of the Envoys that ask.
        unused: rules in force that have decided no request since the service started.
        denials: denials by issuer.
        introspections: questions to issuers about tokens, for each issuer that is asked.
        streams: streams under way, by server.
        versions: versions of the service.
        loaded: when the policy was put in force, in seconds since the epoch; None if the service does not say.
        hit_rate: share of the token look-ups that hit the cache, None if there were none.
    """

    policies: list[str]
    workers: Workers | None
    decisions: list[Decisions]
    tools: list[Tool]
    checks: list[TimingSummary]
    stages: list[TimingSummary]
    token_cache: dict[str, float]
    hit_rate: float | None
    issuers: list[IssuerSummary]
    lists: list[Items]
    rewrites: dict[str, float]
    reloads: dict[str, float]
    shadows: list[Shadow]
    audit_dropped: float
    problems: list[str] = []
    untrimmed: list[str] = []
    envoys: list[str] = []
    unused: list[RuleName] = []
    denials: list[IssuerDenials] = []
    introspections: list[Introspections] = []
    streams: dict[str, float] = {}
    versions: list[str] = []
    loaded: float | None = None


def summarize(samples: Samples) -> MetricsSummary:
    """Return the summary of samples."""
    read = SampleSums(samples)
    cache = read.by("token_cache_total", "outcome")
    looked_up = sum(cache.values())
    return MetricsSummary(
        policies=sorted(read.by("policy_info", "hash")),
        workers=_workers(read),
        decisions=_decisions(read),
        tools=_tools(read),
        checks=[
            _timing(read, "check_seconds", "server", name)
            for name in read.by("check_seconds_count", "server")
        ],
        stages=[
            _timing(read, "stage_seconds", "stage", name)
            for name in sorted(read.by("stage_seconds_count", "stage"), key=_stage_order)
        ],
        token_cache=cache,
        hit_rate=cache.get("hit", 0.0) / looked_up if looked_up else None,
        issuers=_issuers(read),
        lists=_lists(read),
        rewrites=read.by("rewrites_total", "outcome"),
        reloads=read.by("policy_reloads_total", "outcome"),
        shadows=[
            Shadow(server, rule, count)
            for (server, rule), count in read.sums("shadow_disagreements_total", "server", "rule").items()
        ],
        audit_dropped=sum(read.sums("audit_dropped_total").values()),
        problems=[name for name, present in read.by("envoy_problem", "problem").items() if present],
        untrimmed=sorted(read.by("rewriter_missing", "listener")),
        envoys=sorted(read.by("envoy_info", "version")),
        unused=_unused(read),
        denials=[
            IssuerDenials(issuer, reason, count)
            for (issuer, reason), count in read.sums("issuer_denials_total", "issuer", "reason").items()
            if count
        ],
        introspections=_introspections(read),
        streams=read.by("streams_open", "server"),
        versions=sorted(read.by("build_info", "version")),
        loaded=sum(read.sums("policy_loaded_timestamp_seconds").values()) or None,
    )


def _timing(read: SampleSums, name: str, label: str, value: str) -> TimingSummary:
    """Return the timing that a histogram has for one value of a label."""
    buckets = read.buckets(name, label, value)
    count = read.by(f"{name}_count", label).get(value, 0.0)
    total = read.by(f"{name}_sum", label).get(value, 0.0)
    mean = total / count if count else None
    return TimingSummary(value, count, mean, quantile(buckets, 0.5), quantile(buckets, 0.99))


def _stage_order(stage: str) -> tuple[int, str]:
    return (_STAGES.index(stage) if stage in _STAGES else len(_STAGES), stage)


def _workers(read: SampleSums) -> Workers | None:
    states = read.by("workers", "state")
    if not states:
        return None
    restarts = sum(read.sums("worker_restarts_total").values())
    return Workers(states.get("configured", 0.0), states.get("up", 0.0), restarts)


def _decisions(read: SampleSums) -> list[Decisions]:
    rows = read.sums("decisions_total", "server", "decision", "reason", "rule")
    return [
        Decisions(server, decision, reason, rule, count)
        for (server, decision, reason, rule), count in rows.items()
        if count
    ]


def _unused(read: SampleSums) -> list[RuleName]:
    used = {key for key, count in read.sums("decisions_total", "server", "rule").items() if count}
    used |= {key for key, count in read.sums("shadow_disagreements_total", "server", "rule").items() if count}
    rules = sorted(read.sums("rule_info", "server", "rule", "effect"))
    return [RuleName(*names) for names in rules if names[:2] not in used]


def _tools(read: SampleSums) -> list[Tool]:
    rows = read.sums("tool_decisions_total", "server", "tool", "decision")
    names = dict.fromkeys((server, tool) for (server, tool, _), count in rows.items() if count)
    return [Tool(*name, rows.get((*name, "allow"), 0.0), rows.get((*name, "deny"), 0.0)) for name in names]


def _issuers(read: SampleSums) -> list[IssuerSummary]:
    keys, ages = read.by("jwks_keys", "issuer"), read.by("jwks_age_seconds", "issuer")
    fetches, skipped = read.sums("jwks_fetches_total", "issuer", "outcome"), read.by("jwks_skipped", "issuer")
    return [
        IssuerSummary(
            issuer,
            count,
            _finite(ages.get(issuer, math.inf)),
            fetches.get((issuer, "ok"), 0.0),
            fetches.get((issuer, "failed"), 0.0),
            skipped.get(issuer, 0.0),
        )
        for issuer, count in keys.items()
    ]


def _introspections(read: SampleSums) -> list[Introspections]:
    counts = read.sums("introspections_total", "issuer", "outcome")
    under_way = read.sums("introspection_questions", "issuer", "state")
    remembered = read.by("introspection_remembered", "issuer")
    return [
        Introspections(
            issuer=issuer,
            active=counts.get((issuer, "active"), 0.0),
            inactive=counts.get((issuer, "inactive"), 0.0),
            failed=counts.get((issuer, "failed"), 0.0),
            refused=counts.get((issuer, "refused"), 0.0),
            under_way=under_way.get((issuer, "under_way"), 0.0),
            waiting=under_way.get((issuer, "waiting"), 0.0),
            remembered=remembered.get(issuer, 0.0),
        )
        for issuer in sorted({issuer for issuer, _ in (*counts, *under_way)})
    ]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _lists(read: SampleSums) -> list[Items]:
    rows = read.sums("list_items_total", "server", "kind", "outcome")
    names = dict.fromkeys((server, kind) for server, kind, _ in rows)
    return [Items(*name, rows.get((*name, "kept"), 0.0), rows.get((*name, "trimmed"), 0.0)) for name in names]
