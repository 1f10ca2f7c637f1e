"""A rewriter in pools: what holds for the one that decides holds for each."""

from functools import cache

import pytest

from authz.doctor.diagnosis import diagnose
from authz.doctor.source import read_text
from authz.render.bootstrap import bootstrap
from tests.support.chains import SIDECAR
from tests.support.yaml_text import read_yaml, write_yaml


def rendered():
    return read_yaml(bootstrap(SIDECAR))


def pool(tree, number):
    """One rule, and its processor."""
    manager = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    (wrapper,) = (one["typed_config"] for one in manager["http_filters"] if one["name"] == "mcp-rewrite")
    rule = wrapper["xds_matcher"]["matcher_list"]["matchers"][number]
    return rule, rule["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"]


def found(tree):
    source = read_text(write_yaml(tree), "envoy.yaml")
    return {finding.check.id for finding in diagnose(source).findings}


@cache
def clean():
    return found(rendered())


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    ("field", "value", "check"),
    [
        ("failure_mode_allow", True, "rewriter-fail-open"),
        ("observability_mode", True, "rewriter-observes"),
        ("grpc_service", {"envoy_grpc": {"cluster_name": "nowhere"}}, "cluster-unknown"),
        ("grpc_service", {"envoy_grpc": {"cluster_name": "authz"}}, "cluster-shared"),
    ],
)
def test_a_hole_in_any_pool_is_found(number, field, value, check):
    tree = rendered()
    pool(tree, number)[1][field] = value

    assert {check} == found(tree) - clean()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_pool_that_is_chosen_by_another_key_is_found(number):
    tree = rendered()
    rule, _ = pool(tree, number)
    rule["predicate"]["single_predicate"]["input"]["typed_config"]["path"][0]["key"] = "mine"

    assert "rewriter-matcher" in found(tree) or "rewriter-always" in found(tree)


def test_a_rule_of_a_pool_that_runs_something_else_is_found():
    tree = rendered()
    rule, _ = pool(tree, 1)
    del rule["on_match"]["action"]["typed_config"]["typed_config"]

    assert found(tree) - clean()
