"""Figures that stand in several places, and must not contradict each other.

What the renderer and the policy's defaults say is in force; manifests, examples and documents follow them.
"""

import re
from functools import cache

import pytest

from authz.config.native.model import PolicyFile
from authz.edge.serve import CALLS_PER_CORE
from authz.render.model import TRY_SLACK
from tests.support.manifests import K8S, ROOT, walk
from tests.support.tracked import tracked
from tests.support.yaml_text import read_all_yaml, read_yaml

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
WORKERS = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
MIB = 2**20
SLACK = 0.05
"""Seconds between a Check's own limit and the end of Envoy's try."""


def default(section, key):
    return PolicyFile.model_fields[section].default.model_dump(by_alias=True)[key]


BUDGET, BODY = default("limits", "check_ms") / 1000, default("limits", "body_bytes")
RENDERED = [
    *tracked("envoy/*.yaml"),
    *(path for path in tracked("k8s/**/*.yaml") if "templates" not in path.parts),
]
"""Every file that could hold a part of Envoy's configuration."""


def documents(path):
    return [each for each in read_all_yaml(path.read_text(encoding="utf-8")) if each is not None]


@cache
def values():
    """Return each value of those files: the file, the path in it, and the value."""
    return [
        (path.relative_to(ROOT), place, value)
        for path in RENDERED
        for document in documents(path)
        for place, value in walk(document)
    ]


def found(pattern):
    """Return the values at paths that match, by place; there is at least one."""
    hits = {f"{file}: {place}": value for file, place, value in values() if re.search(pattern, place)}
    assert hits, pattern
    return hits


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s)", text).groups()
    return float(number) / (1000 if unit == "ms" else 1)


def mebibytes(text):
    return int(re.fullmatch(r"(\d+)Mi", text)[1])


def pods():
    """Yield the pods of the manifests, by file."""
    for path in (K8S / "base/gateway.yaml", K8S / "service/service.yaml"):
        for one in documents(path):
            if one["kind"] == "Deployment":
                yield path.name, one["spec"]["template"]["spec"]


def containers(pod):
    return {each["name"]: each for each in [*pod.get("initContainers", []), *pod["containers"]]}


PODS = dict(pods())
POD = pytest.mark.parametrize("name", PODS)


def test_envoy_waits_a_little_longer_for_a_check_than_the_service_takes():
    places = found(
        r"http_filters\.\d+\.typed_config\.grpc_service\.timeout$|extAuth\.timeout$|envoyExtAuthzGrpc\.timeout$"
    )
    places |= found(r"extensionProviders.*\.timeout$")

    assert {} == {
        place: value
        for place, value in places.items()
        if seconds(value) != pytest.approx(BUDGET + SLACK + TRY_SLACK)
    }


def test_one_try_of_a_check_ends_before_both_and_after_the_services_own_limit():
    tries = found(r"retry_back_off\.max_interval$")

    assert {} == {
        place: value for place, value in tries.items() if seconds(value) != pytest.approx(BUDGET + SLACK)
    }


def test_every_gateway_hands_over_bodies_up_to_the_policys_limit():
    places = {
        place: value
        for place, value in found(r"(max_request_bytes|maxRequestBytes)$").items()
        if place.startswith("k8s/")  # the examples of envoy/ are of policies with limits of their own
    }

    assert places
    assert {} == {place: value for place, value in places.items() if value != BODY}


def test_one_envoy_may_have_as_many_calls_under_way_as_the_service_takes_on_one_core():
    pattern = r"clusters\[?\.?\d+\]?.*circuit_breakers\.thresholds\[?\.?0\]?\.max_requests$"

    assert CALLS_PER_CORE == max(found(pattern).values())


@POD
def test_a_pod_has_the_time_to_drain(name):
    pod = PODS[name]
    waiting = sum(
        each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        for each in containers(pod).values()
    )
    drain = default("drain", "grace_seconds") + default("drain", "limit_seconds")

    assert waiting > 0
    assert waiting + drain + 5 <= pod["terminationGracePeriodSeconds"]


def test_the_guide_to_draining_has_the_policys_defaults():
    grace, limit = default("drain", "grace_seconds"), default("drain", "limit_seconds")
    intervals = {seconds(value) for value in found(r"health_checks\[?\.?0\]?\.interval$").values()}

    assert f"`drain.grace_seconds` ({grace:g};" in WORKERS
    assert f"`drain.limit_seconds` ({limit:g})" in WORKERS
    assert {2.0} == intervals, "docs/workers.md says that Envoy checks health every 2 s"
    assert max(intervals) < grace, "Envoy must see NOT_SERVING before the grace is over"


@POD
def test_the_workers_of_a_pod_fit_its_memory_with_what_responses_may_hold(name):
    service = containers(PODS[name])["mcp-authz"]
    behind_a_socket = any("--grpc=unix:" in flag for flag in service["args"])
    workers = [int(flag.partition("=")[2]) for flag in service["args"] if flag.startswith("--workers=")]
    count = 1 if behind_a_socket and not workers else workers[0]
    idle = int(re.search(r"memory, idle \| (\d+) MiB", GUIDE)[1])
    most = int(re.search(r"and (\d+) MiB at most while", GUIDE)[1])
    request, limit = (mebibytes(service["resources"][kind]["memory"]) for kind in ("requests", "limits"))

    assert idle * count <= request
    assert most * count <= limit
    assert default("limits", "held_bytes") * count <= (limit - idle * count) * MIB


def test_the_guide_to_sizing_has_the_figures_of_the_manifests():
    parts = containers(PODS["gateway.yaml"])
    asked = {name: parts[name]["resources"]["requests"] for name in ("mcp-authz", "envoy")}
    said = re.search(
        r"request (\d+) millicores and (\d+) MiB for the service, and (\d+) millicores and (\d+) MiB", GUIDE
    ).groups()
    limit = mebibytes(parts["mcp-authz"]["resources"]["limits"]["memory"])
    cost = re.search(r"CPU per call \| ([0-9.]+) ms", GUIDE)[1]
    comments = re.findall(r"about ([0-9.]+) ms of CPU a call", (K8S / "base/gateway.yaml").read_text("utf-8"))

    assert said == tuple(
        str(int(re.sub(r"\D", "", asked[name][kind])))
        for name in ("mcp-authz", "envoy")
        for kind in ("cpu", "memory")
    )
    assert f"of the {limit} MiB that the manifest allows" in GUIDE
    assert [round(float(cost), 1)] == [float(each) for each in comments]
    assert all("cpu" not in each["resources"]["limits"] for each in parts.values()), "the guide says so"


def test_the_charts_values_are_those_of_the_manifests():
    chart = read_yaml((K8S / "chart/values.yaml").read_text(encoding="utf-8"))
    parts = containers(PODS["gateway.yaml"])
    scaler = next(
        one for one in documents(K8S / "base/scaling.yaml") if one["kind"] == "HorizontalPodAutoscaler"
    )["spec"]
    percent = scaler["metrics"][0]["containerResource"]["target"]["averageUtilization"]

    assert chart["resources"]["service"] == parts["mcp-authz"]["resources"]
    assert chart["resources"]["envoy"] == parts["envoy"]["resources"]
    assert chart["replicas"] == {
        "min": scaler["minReplicas"],
        "max": scaler["maxReplicas"],
        "cpuPercent": percent,
    }
    assert f"the autoscaler adds a pod at {percent} % of them" in GUIDE


@pytest.mark.parametrize("folder", ["base", "service"])
def test_a_disruption_leaves_a_pod_that_answers(folder):
    by_kind = {one["kind"]: one["spec"] for one in documents(K8S / folder / "scaling.yaml")}

    assert (
        by_kind["PodDisruptionBudget"]["maxUnavailable"] < by_kind["HorizontalPodAutoscaler"]["minReplicas"]
    )
