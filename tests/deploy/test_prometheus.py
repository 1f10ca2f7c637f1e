"""A real Prometheus that scrapes a real service: each query of the dashboard and of the alerts is answered."""

import shutil
import subprocess

import httpx
import pytest
import yaml

from authz.demo.ports import free_port
from tests.deploy.test_dashboard import queries
from tests.support.installed import ROOT
from tests.support.serving import Served, ask
from tests.support.waiting import DEADLINE, eventually

WITH_DATA = {"Workers up", "Denied", "Policy's age", "By reason", "Rules that nothing came to", "A Check"} | {
    "Audit records lost",
    "Memory",
    "Versions",
    "Streams under way",
}
"""Panels that show something of a service that has refused requests without a token."""
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: mcp-authz
  static_configs: [{{targets: ["{target}"], labels: {{service: mcp-authz-metrics, pod: a}}}}]
"""


@pytest.fixture(scope="module")
def ask_prometheus(tmp_path_factory):
    """Give what asks a query, once there are rates."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus on the PATH: apt-get install prometheus")
    folder, address = tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{free_port()}"
    with Served(folder, "--grace", "0") as service:
        (folder / "prometheus.yml").write_text(CONFIG.format(target=service.http))
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

            def has_rates():
                ask(service.grpc)
                try:
                    return any(
                        float(each["value"][1]) for each in query("rate(mcp_authz_decisions_total[30s])")
                    )
                except httpx.TransportError:
                    return False

            try:
                assert eventually(has_rates)
                yield query
            finally:
                running.kill()


def test_each_query_of_the_dashboard_is_answered_and_the_usual_ones_with_data(ask_prometheus):
    shown = {title for title, target in queries() if ask_prometheus(target["expr"])}

    assert set() == WITH_DATA - shown


def test_each_alert_can_be_asked_and_none_fires_for_a_service_that_is_well(ask_prometheus):
    rules = yaml.safe_load((ROOT / "k8s/components/monitoring/alerts.yaml").read_text("utf-8"))
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]

    assert [] == [rule["alert"] for rule in alerts if ask_prometheus(rule["expr"])]
