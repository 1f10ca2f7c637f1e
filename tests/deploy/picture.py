"""Makes the dashboard's picture for the documentation: `python -m tests.deploy.picture docs/dashboard.png`.

The demo runs, callers call for about a minute, a real Prometheus scrapes service and Envoy, and each panel's query is asked of
it over that minute. The panels are drawn where the dashboard has them, by matplotlib: Grafana itself is no package.
"""

import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import matplotlib as mpl
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from authz.demo.ports import free_port
from authz.demo.stack import Stack
from tests.support.installed import ROOT
from tests.support.running import EVERYTHING
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, message

DASHBOARD = json.loads((ROOT / "k8s/components/monitoring/dashboard.json").read_text("utf-8"))
CALLS, STEP, RATE = 4500, 1, "10s"
COLUMNS, INCHES, HIGH = 24, 0.72, 0.36
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: mcp-authz
  static_configs: [{{targets: ["{service}"], labels: {{service: mcp-authz-metrics, pod: mcp-gateway-0}}}}]
- job_name: mcp-envoy
  metrics_path: /stats/prometheus
  static_configs: [{{targets: ["127.0.0.1:{envoy}"], labels: {{service: mcp-envoy-metrics, pod: mcp-gateway-0}}}}]
"""
UNITS = {"s": "s", "percentunit": "", "ops": "/s", "short": "", "bytes": "B"}


@contextlib.contextmanager
def prometheus(folder, gateway):
    """A Prometheus that scrapes both processes of a gateway; gives what asks it."""
    program = shutil.which("prometheus")
    assert program, "needs prometheus on the PATH: apt-get install prometheus"
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(service=gateway.http.removeprefix("http://"), envoy=gateway.ports.admin))
    argv = [program, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    with subprocess.Popen([*argv, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as running:

        def asked(expression, **span):
            kind = "query_range" if "start" in span else "query"
            asking = {"query": expression.replace("$__rate_interval", RATE), **span}
            answer = httpx.get(
                f"http://{address}/api/v1/{kind}", params=asking, timeout=DEADLINE, trust_env=False
            )
            return answer.raise_for_status().json()["data"]["result"]

        def up():
            with contextlib.suppress(httpx.TransportError, httpx.HTTPStatusError):
                return len(asked("up == 1")) == 2
            return False

        try:
            assert eventually(up)
            yield asked
        finally:
            running.kill()


def live(stack, gateway, calls):
    """Let callers call: readers, an admin, one whose token is not accepted, one without; and break the service off once."""
    turn = random.Random(1)
    reader, admin = stack.token(scope="files:read"), stack.token(**EVERYTHING)
    expired = stack.bad_token("expired")
    for number_of_call in range(calls):
        token = turn.choice([reader] * 6 + [admin] * 3 + [expired, None])
        asked = turn.choice(
            [call("list_files", path="/")] * 5
            + [call("delete_file", filename="/inbox/a"), call("system_status"), call("get_user_info")]
            + [message("tools/list")] * 3
        )
        ask(gateway.ports.envoy, token, asked)
        if number_of_call == calls * 2 // 3:
            stack.supervisor.stop(gateway.service_name)
            for _ in range(20):
                ask(gateway.ports.envoy, reader, call("list_files", path="/"))
            stack.supervisor.restart(gateway.service_name)


def legend(text, labels):
    """The legend of a series, its `{{label}}`s filled in."""
    filled = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), text)
    return re.sub(r" +", " ", filled).strip()


def number(value, unit):
    """A number as the panel's unit has it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    return f"{value / 2**20:,.0f} MiB" if unit == "bytes" else f"{value:,.3g} {UNITS[unit]}".strip()


def still(axes, panel, asked, end):
    """A panel of one moment: a figure, or a table's rows."""
    axes.set_axis_off()
    unit = panel["fieldConfig"]["defaults"]["unit"]
    found = [
        (legend(target["legendFormat"], each["metric"]), float(each["value"][1]))
        for target in panel["targets"]
        for each in asked(target["expr"], time=end)
    ]
    if panel["type"] == "table":
        text = "\n".join(name for name, _ in found) or "none"
        axes.text(0.02, 0.95, text, va="top", fontsize=8, transform=axes.transAxes)
    else:
        text = "\n".join(number(value, unit) for _, value in found) or "none"
        axes.text(0.5, 0.4, text, ha="center", va="center", fontsize=18, transform=axes.transAxes)


def moving(axes, panel, asked, span):
    """A panel over time."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    drawn = 0
    for target in panel["targets"]:
        for each in asked(target["expr"], **span):
            at = [datetime.fromtimestamp(moment, UTC) for moment, _ in each["values"]]
            values = [float(value) / (2**20 if unit == "bytes" else 1) for _, value in each["values"]]
            axes.plot(at, values, linewidth=1.1, label=legend(target["legendFormat"], each["metric"]))
            drawn += 1
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * 1.3)  # room for the legend
    axes.tick_params(labelsize=6)
    axes.xaxis.set_major_formatter(DateFormatter("%M:%S"))
    axes.grid(alpha=0.3)
    axes.set_ylabel("MiB" if unit == "bytes" else UNITS[unit], fontsize=7)
    if drawn:
        axes.legend(fontsize=5.5, loc="upper left", ncols=2, framealpha=0.7)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no data in this minute", ha="center", fontsize=8, transform=axes.transAxes)


def draw(asked, began, end, file):
    """Draw every panel at its place."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    panels = DASHBOARD["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(COLUMNS * INCHES, rows * HIGH), dpi=80)
    for panel in panels:
        at = panel["gridPos"]
        left, top = at["x"] / COLUMNS, 1 - at["y"] / rows
        if panel["type"] == "row":
            figure.text(
                left + 0.008, top - 0.5 / rows, panel["title"], fontsize=11, weight="bold", va="center"
            )
            continue
        place = (left + 0.035, top - (at["h"] - 0.8) / rows, at["w"] / COLUMNS - 0.05, (at["h"] - 2.2) / rows)
        axes = figure.add_axes(place)
        axes.set_title(panel["title"], fontsize=8, loc="left")
        if panel["type"] == "timeseries":
            moving(axes, panel, asked, {"start": began, "end": end, "step": STEP})
        else:
            still(axes, panel, asked, end)
    figure.savefig(file)


def main(file):
    """Run, and draw."""
    with Stack(forms=("native",)) as stack:
        gateway = stack.gateways["native"]
        with prometheus(Path(stack.supervisor.logs), gateway) as asked:
            began = time.time()
            live(stack, gateway, CALLS)
            draw(asked, began, time.time(), file)


if __name__ == "__main__":
    main(sys.argv[1])
