"""Typed messages to plain values."""

from datetime import timedelta

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterLbPolicy
from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz, ExtAuthzPerRoute
from envoy_data_plane.google.protobuf import Any, Struct

from authz.render.serialize import any_of, plain, seconds


@pytest.mark.parametrize(
    ("message", "tree"),
    [
        (Cluster(), {}),
        (Cluster(type=ClusterDiscoveryType.STATIC), {"type": "STATIC"}),
        (Cluster(lb_policy=ClusterLbPolicy.ROUND_ROBIN), {}),
        (
            Cluster(lb_policy=ClusterLbPolicy.LEAST_REQUEST, name="a"),
            {"name": "a", "lb_policy": "LEAST_REQUEST"},
        ),
        (RouteAction(timeout=timedelta(0)), {"timeout": "0s"}),
        (ExtAuthzPerRoute(disabled=False), {"disabled": False}),
        (
            Struct.from_dict({"a": -32600, "b": [1.5, None], "c": {"d": 1}}),
            {"a": -32600, "b": [1.5, None], "c": {"d": 1}},
        ),
    ],
)
def test_what_was_said_is_written_and_defaults_are_not(message, tree):
    assert {"it": tree} == plain({"it": message}, {})[0]


def test_an_any_is_its_content_after_its_type():
    url = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
    route = Route(typed_per_filter_config={"f": any_of(ExtAuthzPerRoute(disabled=True))})
    tree, _ = plain(route, {})

    assert ["@type", "disabled"] == list(tree["typed_per_filter_config"]["f"])
    assert {"@type": url, "disabled": True} == tree["typed_per_filter_config"]["f"]


def test_an_any_without_a_type_is_refused():
    with pytest.raises(ValueError, match="without a type"):
        plain({"it": Any()}, {})


def test_a_field_with_a_note_is_written_at_its_default_too():
    tree, comments = plain(
        ExtAuthz(), {"ExtAuthz.failure_mode_allow": "closed", "ExtAuthz.validate_mutations": ""}
    )

    assert {"failure_mode_allow": False, "validate_mutations": False} == tree
    assert {("failure_mode_allow",): "closed"} == comments


def test_a_note_is_said_once():
    routes = [
        Route(name="a", route=RouteAction(timeout=timedelta(0))),
        Route(name="b", route=RouteAction(timeout=timedelta(0))),
    ]
    _, comments = plain({"routes": routes}, {"RouteAction.timeout": "why", "Route#b": "second"})

    assert {("routes", 0, "route", "timeout"): "why", ("routes", 1): "second"} == comments


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0s"), (0.5, "0.5s"), (0.25, "0.25s"), (600, "600s"), (0.00001, "0.00001s")]
)
def test_a_duration_is_in_seconds(value, text):
    assert text == seconds(timedelta(seconds=value))
