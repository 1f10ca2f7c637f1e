"""The metrics of one process; no sender can add a label."""

import math

import pytest

from authz import __version__
from authz.core.decision import Decision
from authz.core.identity.jwks import Skip
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.edge.telemetry.metrics import OTHER, KeyGauges, Metrics
from authz.edge.telemetry.service_gauges import ServiceGauges
from tests.support.policy_files import NATIVE, principal, settings

ISSUER = "https://issuer.example/"


@pytest.fixture
def metrics():
    metrics = Metrics(KeyGauges(lambda: [(ISSUER, 2, math.inf)]))
    metrics.policy("digest", {"demo": frozenset({"echo"})})
    return metrics


def samples(metrics, name):
    """Return labels to value of the samples of one name."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def denied(**parts):
    return Decision(**{"reason": Reason.NO_RULE, "server": "demo", "method": "tools/call", **parts})


def test_a_decision_is_counted_by_server_method_rule_and_reason(metrics):
    for _ in range(2):
        metrics.decided(denied(rule="readers"), 0.0)
    metrics.decided(denied(reason=Reason.ALLOWED, allowed=True), 0.0)

    assert {
        ("demo", "tools/call", "readers", "deny", "no_rule"): 2,
        ("demo", "tools/call", "", "allow", "allowed"): 1,
    } == samples(metrics, "mcp_authz_decisions_total")


@pytest.mark.parametrize(
    ("method", "label"),
    [("tools/list", "tools/list"), ("", ""), ("response", "response"), ("made/up", OTHER), ("x" * 99, OTHER)],
)
def test_a_method_that_a_sender_made_up_is_other(metrics, method, label):
    metrics.decided(denied(method=method), 0.0)

    assert [label] == [labels[1] for labels in samples(metrics, "mcp_authz_decisions_total")]


@pytest.mark.parametrize(
    ("server", "tool", "label"), [("demo", "echo", "echo"), ("demo", "made-up", OTHER), ("", "echo", OTHER)]
)
def test_a_tool_is_named_only_if_a_rule_of_its_server_names_it(metrics, server, tool, label):
    metrics.decided(denied(server=server, item=Item(Kind.TOOL, tool)), 0.0)

    assert {(server, label, "deny"): 1} == samples(metrics, "mcp_authz_tool_decisions_total")


@pytest.mark.parametrize("item", [None, *(Item(kind, "echo") for kind in Kind if kind is not Kind.TOOL)])
def test_what_is_no_tool_counts_as_none(metrics, item):
    metrics.decided(denied(item=item), 0.0)

    assert {} == samples(metrics, "mcp_authz_tool_decisions_total")


def test_senders_who_make_up_names_add_no_label(metrics):
    for number in range(1000):
        metrics.decided(denied(method=f"m{number}", item=Item(Kind.TOOL, f"t{number}")), 0.0)

    assert {("demo", OTHER, "", "deny", "no_rule"): 1000} == samples(metrics, "mcp_authz_decisions_total")
    assert {("demo", OTHER, "deny"): 1000} == samples(metrics, "mcp_authz_tool_decisions_total")


def test_each_shadow_rule_that_disagrees_is_counted(metrics):
    metrics.decided(denied(shadows=("one", "two")), 0.0)
    metrics.decided(denied(shadows=("one",)), 0.0)

    assert {("demo", "one"): 2, ("demo", "two"): 1} == samples(
        metrics, "mcp_authz_shadow_disagreements_total"
    )


def test_the_time_of_a_check_is_a_histogram_by_server(metrics):
    metrics.decided(denied(), 0.002)

    assert ({("demo",): 1}, {("demo",): 0.002}) == (
        samples(metrics, "mcp_authz_check_seconds_count"),
        samples(metrics, "mcp_authz_check_seconds_sum"),
    )


def test_items_of_a_list_are_counted_as_kept_and_trimmed(metrics):
    metrics.listed("demo", Kind.PROMPT, 3, 0)

    assert {("demo", "prompt", "kept"): 3, ("demo", "prompt", "trimmed"): 0} == samples(
        metrics, "mcp_authz_list_items_total"
    )


@pytest.mark.parametrize(
    ("count", "name", "labels"),
    [
        (lambda metrics: metrics.rewritten("trimmed"), "mcp_authz_rewrites_total", ("trimmed",)),
        (lambda metrics: metrics.remembered("hit"), "mcp_authz_token_cache_total", ("hit",)),
        (lambda metrics: metrics.fetched(ISSUER, "ok"), "mcp_authz_jwks_fetches_total", (ISSUER, "ok")),
        (lambda metrics: metrics.reloaded("failed"), "mcp_authz_policy_reloads_total", ("failed",)),
        (lambda metrics: metrics.dropped(), "mcp_authz_audit_dropped_total", ()),
        (lambda metrics: metrics.staged("parse", 0.0), "mcp_authz_stage_seconds_count", ("parse",)),
    ],
)
def test_what_happens_is_counted_by_its_outcome(metrics, count, name, labels):
    count(metrics)
    count(metrics)

    assert {labels: 2} == samples(metrics, name)


def test_the_keys_of_an_issuer_are_read_when_metrics_are_collected(metrics):
    assert ({(ISSUER,): 2}, {(ISSUER,): math.inf}) == (
        samples(metrics, "mcp_authz_jwks_keys"),
        samples(metrics, "mcp_authz_jwks_age_seconds"),
    )


def test_keys_that_are_not_used_are_shown_by_reason_and_fall_back_to_zero(metrics):
    metrics.skipped(ISSUER, {"weak": 2, "use": 1})
    metrics.skipped(ISSUER, {"use": 1})

    assert {(ISSUER, why.value): int(why is Skip.USE) for why in Skip} == samples(
        metrics, "mcp_authz_jwks_skipped"
    )


def test_only_the_policy_in_force_is_shown(metrics):
    metrics.policy("next", {})

    assert {("next",): 1} == samples(metrics, "mcp_authz_policy_info")


def test_a_tool_that_the_next_policy_does_not_name_is_other_from_then_on(metrics):
    metrics.policy("next", {"demo": frozenset({"purge"})})
    metrics.decided(denied(item=Item(Kind.TOOL, "echo")), 0.0)

    assert {("demo", OTHER, "deny"): 1} == samples(metrics, "mcp_authz_tool_decisions_total")


@pytest.mark.parametrize(
    ("tool", "expected"),
    [("echo", "echo"), ("quote_gold", "quote_*"), ("quote_old_gold", "quote_old_*"), ("other", "_other")],
)
def test_a_tool_is_counted_by_its_name_or_by_the_longest_pattern_that_names_it(tool, expected):
    metrics = Metrics()
    metrics.policy("a", {"demo": frozenset({"echo", "quote_*", "quote_old_*"})})
    for _ in range(2):
        metrics.decided(Decision(server="demo", method="tools/call", item=Item(Kind.TOOL, tool)), 0.1)

    assert (
        f'tool_decisions_total{{decision="deny",server="demo",tool="{expected}"}} 2.0'
        in metrics.render().decode()
    )


def test_a_denial_is_counted_by_the_issuer_that_the_policy_knows(metrics):
    who = Caller.of(principal(), "demo")
    rejected = TokenRejected(reason=Reason.BAD_SIGNATURE, detail="", issuer=ISSUER)
    unknown = TokenRejected(reason=Reason.UNKNOWN_ISSUER, detail="")
    metrics.decided(denied(caller=who), 0.0)
    metrics.decided(denied(reason=Reason.BAD_SIGNATURE, rejection=rejected), 0.0)
    metrics.decided(denied(reason=Reason.UNKNOWN_ISSUER, rejection=unknown), 0.0)
    metrics.decided(denied(reason=Reason.ALLOWED, allowed=True, caller=who), 0.0)

    assert {(ISSUER, "no_rule"): 1, (ISSUER, "bad_signature"): 1} == samples(
        metrics, "mcp_authz_issuer_denials_total"
    )


def test_the_build_the_rules_the_streams_and_the_process_are_told():
    gauges = ServiceGauges(lambda: settings(NATIVE), lambda: [("files", 3), ("gone", 1)])
    found = {sample.name: sample for family in gauges.collect() for sample in family.samples}

    assert __version__ == found["mcp_authz_build_info"].labels["version"]
    assert {"server": "files", "rule": "rule-1", "effect": "allow"} == found["mcp_authz_rule_info"].labels
    assert ({"server": "files"}, 3) == found["mcp_authz_streams_open"][1:3]
    assert found["process_resident_memory_bytes"].value > 1e6
