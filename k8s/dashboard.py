"""The Grafana dashboard: `python k8s/dashboard.py` writes it, and with `--check` compares.

`ROWS` is the table of its panels; nobody edits the JSON. A test holds each query against the metrics that the service has.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).resolve().parent / "components/monitoring/dashboard.json"
_PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
_WIDE, _HIGH = 24, 8
_SECONDS, _SHARE, _RATE, _COUNT, _BYTES = "s", "percentunit", "ops", "short", "bytes"


class Panel(NamedTuple):
    """One panel: its title, what it tells, its unit, and each query with its legend."""

    title: str
    told: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"


def _quantiles(metric: str, by: str) -> dict[str, str]:
    return {
        f"p{share * 100:g} {{{{{by}}}}}": f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket[$__rate_interval])))"
        for share in (0.5, 0.99)
    }


ROWS: dict[str, list[Panel]] = {
    "At a glance": [
        Panel("Workers up", "Fewer than configured: read the service's log.", _COUNT, {"up": 'sum(mcp_authz_workers{state="up"}) or count(mcp_authz_build_info)'}, "stat"),
        Panel("Denied", "The share of requests that are denied.", _SHARE, {"denied": 'sum(rate(mcp_authz_decisions_total{decision="deny"}[$__rate_interval])) / sum(rate(mcp_authz_decisions_total[$__rate_interval]))'}, "stat"),
        Panel("Policy's age", "Since the policy was put in force.", _SECONDS, {"age": "time() - min(mcp_authz_policy_loaded_timestamp_seconds)"}, "stat"),
        Panel("Problems of Envoy", "/readyz and the console have the cure.", _COUNT, {"{{problem}}": "max by (problem) (mcp_authz_envoy_problem) > 0"}, "stat"),
    ],
    "Decisions": [
        Panel("By reason", "allowed, and every reason for a denial.", _RATE, {"{{reason}}": "sum by (reason) (rate(mcp_authz_decisions_total[$__rate_interval]))"}),
        Panel("Denials by rule", "The rule that denied, or came closest.", _RATE, {"{{server}} {{rule}} {{reason}}": 'sum by (server, rule, reason) (rate(mcp_authz_decisions_total{decision="deny"}[$__rate_interval]))'}),
        Panel("Denials by tool", "Tools that no rule names are _other.", _RATE, {"{{server}} {{tool}}": 'sum by (server, tool) (rate(mcp_authz_tool_decisions_total{decision="deny"}[$__rate_interval]))'}),
        Panel("Denials by issuer", "An issuer whose callers alone are refused has changed something.", _RATE, {"{{issuer}} {{reason}}": "sum by (issuer, reason) (rate(mcp_authz_issuer_denials_total[$__rate_interval]))"}),
        Panel("Shadow rules that disagree", "What would change if they were applied.", _RATE, {"{{server}} {{rule}}": "sum by (server, rule) (rate(mcp_authz_shadow_disagreements_total[$__rate_interval]))"}),
        Panel("Rules that nothing came to", "Since the service started.", _COUNT, {"{{server}} {{rule}}": "max by (server, rule) (mcp_authz_rule_info) unless on (server, rule) mcp_authz_decisions_total"}, "table"),
    ],
    "Time": [
        Panel("A Check", "Envoy waits this long, and the network.", _SECONDS, _quantiles("mcp_authz_check_seconds", "server")),
        Panel("Its stages", "A sample of all Checks.", _SECONDS, _quantiles("mcp_authz_stage_seconds", "stage")),
        Panel("Tokens remembered", "The share of look-ups that spare a signature.", _SHARE, {"hits": 'sum(rate(mcp_authz_token_cache_total{outcome="hit"}[$__rate_interval])) / sum(rate(mcp_authz_token_cache_total[$__rate_interval]))'}),
    ],
    "Lists and streams": [
        Panel("List items", "Kept, and trimmed for want of permission.", _RATE, {"{{server}} {{kind}} {{outcome}}": "sum by (server, kind, outcome) (rate(mcp_authz_list_items_total[$__rate_interval]))"}),
        Panel("Rewriter", "Asked for by Checks, and come: the lines should be one.", _RATE, {"asked": "sum(rate(mcp_authz_rewrites_asked_total[$__rate_interval]))", "come": "sum(rate(mcp_authz_rewrites_begun_total[$__rate_interval]))", "{{outcome}}": "sum by (outcome) (rate(mcp_authz_rewrites_total[$__rate_interval]))"}),
        Panel("Streams under way", "Bounded by streams.per_server.", _COUNT, {"{{server}}": "sum by (server) (mcp_authz_streams_open)"}),
        Panel("Changed locked items", "mcp-authz lock --diff tells which.", _COUNT, {"{{server}}": "max by (server) (mcp_authz_lock_changed_items)"}),
    ],
    "Envoy": [
        Panel("Answers by class", "Of the MCP listener, whoever made them.", _RATE, {"{{envoy_response_code_class}}xx": 'sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="mcp"}[$__rate_interval]))'}),
        Panel("503s that Envoy makes", "No decision: the service is down, slow or busy. Of a server: it was not reached.", _RATE, {"no decision": "sum(rate(envoy_http_ext_authz_error[$__rate_interval]))", "{{envoy_cluster_name}}": 'sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name=~"mcp-.*"}[$__rate_interval]) + rate(envoy_cluster_upstream_rq_pending_overflow{envoy_cluster_name=~"mcp-.*"}[$__rate_interval]) + rate(envoy_cluster_upstream_cx_none_healthy{envoy_cluster_name=~"mcp-.*"}[$__rate_interval]))'}),
        Panel("Endpoints that Envoy sees healthy", "Of the service and of each server; 0 is 503 for everything.", _COUNT, {"{{envoy_cluster_name}}": "min by (envoy_cluster_name) (envoy_cluster_membership_healthy)"}),
    ],
    "Keys, policy and process": [
        Panel("Keys' age", "It falls with each fetch; beyond keys.stale_for_seconds they are not used.", _SECONDS, {"{{issuer}}": "max by (issuer) (mcp_authz_jwks_age_seconds)"}),
        Panel("Fetches of keys", "A failure has its cause on /readyz.", _RATE, {"{{issuer}} {{outcome}}": "sum by (issuer, outcome) (rate(mcp_authz_jwks_fetches_total[$__rate_interval]))"}),
        Panel("Reloads", "A failed one leaves the last good policy in force.", _COUNT, {"{{outcome}}": "sum by (outcome) (increase(mcp_authz_policy_reloads_total[$__rate_interval]))"}),
        Panel("Audit records lost", "Whatever reads the log is too slow.", _COUNT, {"lost": "sum(increase(mcp_authz_audit_dropped_total[$__rate_interval]))"}),
        Panel("Memory", "Of all workers of a pod.", _BYTES, {"{{pod}}": 'sum by (pod) (process_resident_memory_bytes{service="mcp-authz-metrics"})'}),
        Panel("Versions", "More than one while a rollout is under way.", _COUNT, {"{{version}}": "count by (version) (mcp_authz_build_info)"}),
    ],
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(_row(title, top, len(panels)))
        top += 1
        across = 4 if row[0].kind == "stat" else 3 if len(row) % 3 == 0 else 2
        high = _HIGH // 2 if row[0].kind == "stat" else _HIGH
        for index, panel in enumerate(row):
            at = {"h": high, "w": _WIDE // across}
            place = {**at, "x": index % across * at["w"], "y": top + index // across * high}
            panels.append(_panel(panel, place, len(panels)))
        top += -(-len(row) // across) * high
    return {
        "title": "mcp-authz",
        "uid": "mcp-authz",
        "tags": ["mcp-authz"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "prometheus", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": panels,
    }


def _row(title: str, top: int, number: int) -> dict[str, Any]:
    place = {"h": 1, "w": _WIDE, "x": 0, "y": top}
    return {
        "id": number + 1,
        "type": "row",
        "title": title,
        "gridPos": place,
        "collapsed": False,
        "panels": [],
    }


def _panel(panel: Panel, place: dict[str, int], number: int) -> dict[str, Any]:
    moment = panel.kind != "timeseries"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _PROMETHEUS,
            "expr": expression,
            "legendFormat": legend,
            "instant": moment,
            "format": "table" if panel.kind == "table" else "time_series",
        }
        for index, (legend, expression) in enumerate(panel.queries.items())
    ]
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.told,
        "datasource": _PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def main() -> int:
    """Write the file; or compare, and return 1 if it differs."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text("utf-8") != text)
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
