"""The Grafana dashboard: each of its queries is PromQL about what a running service has."""

import json
import re
import subprocess
import sys

import promql_parser
import pytest

from tests.support.installed import ROOT
from tests.support.serving import Served, ask
from tests.support.waiting import DEADLINE

FILE = ROOT / "k8s/components/monitoring/dashboard.json"


def panels():
    return [panel for panel in json.loads(FILE.read_text("utf-8"))["panels"] if panel["type"] != "row"]


def queries():
    return [(panel["title"], target) for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory):
    """The metrics that two workers and their supervisor expose, by name."""
    with Served(tmp_path_factory.mktemp("dashboard"), "--grace", "0") as service:
        ask(service.grpc, connections=4)
        return set(re.findall(r"^# TYPE (\w+)", service.get("/metrics").text, re.MULTILINE))


def test_each_query_is_promql_about_metrics_that_the_service_has(exposed):
    for title, target in queries():
        expression = target["expr"].replace("$__rate_interval", "5m")
        promql_parser.parse(expression)
        named = {
            re.sub(r"_bucket$", "", name)
            for name in re.findall(r"\b(?:mcp_authz|process|envoy)_\w+", expression)
        }
        of_envoy = {name for name in named if name.startswith("envoy_")}  # test_prometheus scrapes one

        assert named, title
        assert named - of_envoy <= exposed, title


def test_each_legend_names_labels_that_its_query_keeps():
    for title, target in queries():
        wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        kept = {
            name.strip()
            for found in re.findall(r"by \(([^)]*)\)", target["expr"])
            for name in found.split(",")
        }

        assert wanted <= kept, title


def test_no_two_panels_share_a_place_and_each_says_what_it_is_for():
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}

        assert not cells & taken, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_file_is_the_one_that_its_script_writes():
    compared = subprocess.run(
        [sys.executable, ROOT / "k8s/dashboard.py", "--check"], timeout=DEADLINE, check=False
    )

    assert 0 == compared.returncode, "run `make k8s`"
