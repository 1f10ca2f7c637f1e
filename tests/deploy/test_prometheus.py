"""A real Prometheus that scrapes a real service: each query of the dashboard and of the alerts is answered."""

import contextlib
import json
import re
import shutil
import subprocess

import httpx
import pytest

from authz.demo.ports import free_port
from tests.deploy.test_dashboard import queries
from tests.support.installed import ROOT
from tests.support.manifests import walk
from tests.support.real_envoy import running_envoy
from tests.support.serving import Served, ask
from tests.support.waiting import DEADLINE, eventually
from tests.support.yaml_text import read_all_yaml, read_yaml

WITH_DATA = {"Workers up", "Denied", "Policy's age", "By reason", "Rules that nothing came to", "A Check"} | {
    "Audit records lost",
    "Memory",
    "Versions",
    "Streams under way",
    "Answers by class",
    "503s that Envoy makes",
    "Endpoints that Envoy sees healthy",
}
"""Panels that show something of a service that has refused requests without a token, and of an Envoy without a service."""
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: mcp-authz
  static_configs: [{{targets: ["{target}"], labels: {{service: mcp-authz-metrics, pod: a}}}}]
- job_name: mcp-envoy
  metrics_path: /stats/prometheus
  static_configs: [{{targets: ["{envoy}"], labels: {{service: mcp-envoy-metrics, pod: a}}}}]
  metric_relabel_configs: [{kept}]
"""
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def kept():
    """What the manifests have Prometheus keep of Envoy's statistics."""
    text = (ROOT / "k8s/components/monitoring/scrape.yaml").read_text("utf-8")
    [rule] = [rule for path, rule in walk(list(read_all_yaml(text))) if path.endswith("metricRelabelings.0")]
    return json.dumps(
        {"source_labels": rule["sourceLabels"], "regex": rule["regex"], "action": rule["action"]}
    )


@contextlib.contextmanager
def lonely_envoy(folder):
    """The manifests' Envoy beside no service; gives the addresses of its two listeners."""
    ports = {name: free_port() for name in ("clients", "stats")}
    text = (ROOT / "k8s/base/envoy.yaml").read_text("utf-8")
    for old, new in {
        "0.0.0.0, port_value: 10000": f"127.0.0.1, port_value: {ports['clients']}",
        "0.0.0.0, port_value: 9003": f"127.0.0.1, port_value: {ports['stats']}",
        "/run/envoy": str(folder),
        "/run/mcp-authz": str(folder),
    }.items():
        assert old in text
        text = text.replace(old, new)
    with running_envoy(text, ports["clients"], folder):
        yield {name: f"127.0.0.1:{port}" for name, port in ports.items()}


@pytest.fixture(scope="module")
def ask_prometheus(tmp_path_factory):
    """Give what asks a query, once there are rates."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus on the PATH: apt-get install prometheus")
    folder, address = tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{free_port()}"
    with Served(folder, "--grace", "0") as service, lonely_envoy(folder) as envoy:
        config = CONFIG.format(target=service.http, envoy=envoy["stats"], kept=kept())
        (folder / "prometheus.yml").write_text(config)
        argv = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with subprocess.Popen(
            [*argv, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
        ) as running:

            def query(expression):
                asked = {"query": expression.replace("$__rate_interval", "30s")}
                answer = httpx.get(
                    f"http://{address}/api/v1/query", params=asked, timeout=DEADLINE, trust_env=False
                )
                assert 200 == answer.status_code, answer.text
                return answer.json()["data"]["result"]

            def is_ready():
                try:
                    answer = httpx.get(f"http://{address}/-/ready", timeout=DEADLINE, trust_env=False)
                except httpx.TransportError:
                    return False
                return answer.is_success

            def has_rates():
                ask(service.grpc)
                answer = httpx.post(
                    f"http://{envoy['clients']}/mcp",
                    json=CALL,
                    headers={"host": "mcp.example.com"},
                    timeout=DEADLINE,
                    trust_env=False,
                )
                assert 503 == answer.status_code
                if not is_ready():
                    return False
                rates = ("rate(mcp_authz_decisions_total[30s])", "rate(envoy_http_ext_authz_error[30s])")
                return all(any(float(each["value"][1]) for each in query(rate)) for rate in rates)

            try:
                assert eventually(has_rates)
                yield query
            finally:
                running.kill()


def test_each_query_of_the_dashboard_is_answered_and_the_usual_ones_with_data(ask_prometheus):
    shown = {title for title, target in queries() if ask_prometheus(target["expr"])}

    assert set() == WITH_DATA - shown


def test_each_statistic_of_envoy_that_is_asked_for_is_kept(ask_prometheus):
    asked = set(re.findall(r"\benvoy_[a-z_]+", " ".join(target["expr"] for _, target in queries())))
    asked -= {"envoy_cluster_name", "envoy_response_code_class", "envoy_http_conn_manager_prefix"}

    assert asked
    assert [] == [name for name in asked if not ask_prometheus(name)]


def test_each_alert_can_be_asked_and_only_the_one_about_an_envoy_without_its_service_fires(ask_prometheus):
    rules = read_yaml((ROOT / "k8s/components/monitoring/alerts.yaml").read_text("utf-8"))
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]

    fires = [rule["alert"] for rule in alerts if ask_prometheus(rule["expr"])]
    assert ["McpEnvoyWithoutDecision"] == fires
