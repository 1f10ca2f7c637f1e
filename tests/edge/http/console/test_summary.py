import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authz.core.decision import Decision
from authz.core.mcp.item import Kind
from authz.core.reasons import Reason
from authz.edge.http.console.samples import difference, samples_of
from authz.edge.http.console.summary import (
    Decisions,
    IssuerSummary,
    Items,
    Shadow,
    summarize,
)
from authz.edge.http.console.tables import age, duration, sections
from authz.edge.jwks.problem import IntrospectionFigures, KeyProblem
from authz.edge.telemetry.metrics import KeyGauges, Metrics
from authz.edge.telemetry.service_gauges import IntrospectionGauges, ServiceGauges
from tests.support.policy_files import NATIVE, settings

URL = "https://issuer.example/"


def busy(denials=3, seconds=0.0002):
    """Return metrics of a service that has seen this and that."""
    metrics = Metrics(KeyGauges(lambda: [(URL, 2, 30.0), ("https://new.example/", 0, math.inf)]))
    metrics.policy("abc", {"demo": frozenset({"echo"})})
    for _ in range(denials):
        metrics.decided(Decision(reason=Reason.MISSING_TOKEN, server="demo"), seconds)
    metrics.decided(Decision(reason=Reason.NO_RULE, server="demo", shadows=("later",)), seconds)
    for stage in ("respond", "token", "token", "parse"):
        metrics.staged(stage, 0.00002)
    metrics.listed("demo", Kind.TOOL, 3, 2)
    for outcome in ("hit", "hit", "hit", "miss"):
        metrics.remembered(outcome)
    metrics.fetched(URL, "ok")
    metrics.fetched(URL, "failed")
    metrics.reloaded("failed")
    metrics.rewritten("trimmed")
    metrics.dropped()
    return metrics


def read(metrics):
    """Read metrics as they come over HTTP."""
    return samples_of(text_string_to_metric_families(metrics.render().decode()))


def test_every_figure_is_found_in_what_the_service_exposes():
    found = summarize(read(busy()))

    assert ["abc"] == found.policies
    assert [
        Decisions("demo", "deny", "missing_token", "", 3.0),
        Decisions("demo", "deny", "no_rule", "", 1.0),
    ] == found.decisions
    assert [("demo", 4.0)] == [(timing.name, timing.count) for timing in found.checks]
    assert [("parse", 1.0), ("token", 2.0), ("respond", 1.0)] == [
        (timing.name, timing.count) for timing in found.stages
    ]
    assert ({"hit": 3.0, "miss": 1.0}, 0.75) == (found.token_cache, found.hit_rate)
    assert [
        IssuerSummary(URL, 2, 30.0, 1, 1, 0),
        IssuerSummary("https://new.example/", 0, None, 0, 0, 0),
    ] == found.issuers
    assert [Items("demo", "tool", 3, 2)] == found.lists
    assert [Shadow("demo", "later", 1)] == found.shadows
    assert ({"trimmed": 1.0}, {"failed": 1.0}, 1.0) == (found.rewrites, found.reloads, found.audit_dropped)


def test_what_comes_from_the_process_itself_reads_as_what_comes_over_http():
    metrics = busy()

    assert summarize(read(metrics)) == summarize(samples_of(metrics.registry.collect()))


def test_between_two_readings_the_difference_counts_and_a_gauge_is_as_it_is():
    before, now = read(busy(denials=3)), read(busy(denials=10, seconds=0.02))
    found = summarize(difference(now, before))

    assert [("missing_token", 7.0)] == [(row.reason, row.count) for row in found.decisions]
    assert 7.0 == found.checks[0].count
    assert 2 == found.issuers[0].keys


def test_a_counter_that_fell_began_anew():
    before, now = read(busy(denials=10)), read(busy(denials=2))
    (row,) = summarize(difference(now, before)).decisions

    assert ("missing_token", 2.0) == (row.reason, row.count)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "never"),
        (0.4, "0 s ago"),
        (119, "119 s ago"),
        (600, "10 min ago"),
        (90_000, "25 h ago"),
        (200_000, "2 d ago"),
    ],
)
def test_an_age_is_written_in_its_unit(seconds, expected):
    assert expected == age(seconds)


@pytest.mark.parametrize(("seconds", "expected"), [(None, "-"), (0.00012, "0.12 ms"), (0.0421, "42.10 ms")])
def test_a_short_time_is_written_in_its_unit(seconds, expected):
    assert expected == duration(seconds)


def test_tables_show_counts_and_rates():
    found = summarize(read(busy()))
    counts = {section.title: section for section in sections(found)}
    rates = {section.title: section for section in sections(found, 2.0)}

    assert ("demo", "deny", "missing_token", "-", "3") == counts["decisions"].rows[0]
    assert ("demo", "deny", "missing_token", "-", "1.5") == rates["decisions"].rows[0]
    assert ("tokens remembered", "75.0% (hit 3, miss 1)") in counts["service"].rows
    assert "tools" not in counts


def test_an_issuer_that_is_asked_about_tokens_has_a_row_with_its_last_problem():
    figures = IntrospectionFigures(issuer=URL, under_way=3, waiting=2, active=5, inactive=1)
    metrics = Metrics(introspection=IntrospectionGauges(lambda: [figures]))
    for outcome, count in (("active", 4), ("inactive", 2), ("failed", 1), ("refused", 9)):
        for _ in range(count):
            metrics.introspected(URL, outcome)
    problems = [
        KeyProblem(issuer=URL, url="https://i/introspect", cause="introspection failed: status 401"),
        KeyProblem(issuer=URL, url="https://i/jwks", cause="status 404"),
    ]
    found = {section.title: section for section in sections(summarize(read(metrics)), problems=problems)}
    table = found["introspection (questions to issuers about tokens)"]

    assert (
        "issuer",
        "asked",
        "under way",
        "remembered",
        "failed",
        "refused",
        "last problem",
    ) == table.headings
    assert [(URL, "7", "3 (and 2 waiting)", "6", "1", "9", "status 401")] == table.rows


def test_where_no_issuer_is_asked_there_is_no_such_table():
    titles = [section.title for section in sections(summarize(read(busy())))]

    assert [] == [title for title in titles if title.startswith("introspection")]


def test_workers_that_disagree_are_mentioned():
    metrics = busy()
    metrics._policy.labels("def").set(1)
    (service, *_) = sections(summarize(read(metrics)))

    assert ("policy", "abc, def") == service.rows[0]
    assert "disagree" in service.rows[1][1]


def test_a_rule_that_decided_or_would_have_is_used_and_the_others_are_not():
    rules = "".join(f"      - allow: {{tools: [t{name}]}}\n        name: {name}\n" for name in "abc")
    gauges = ServiceGauges(lambda: settings(NATIVE + rules), list)
    metrics = Metrics(service=gauges)
    metrics.decided(Decision(reason=Reason.NO_RULE, server="files", rule="a", shadows=("b",)), 0.1)
    metrics.decided(Decision(reason=Reason.NO_RULE, server="other", rule="c"), 0.1)

    assert [("files", "c"), ("files", "rule-1")] == [
        (rule.server, rule.rule) for rule in summarize(read(metrics)).unused
    ]
