"""The policy of the runs in Envoy's own filters: jwt_authn verifies, mcp reads the body, RBAC decides.

What it lacks beside the service is not measured here: lists are not trimmed, a denial is a plain 403 without a reason,
and Envoy's documentation calls the mcp filter work in progress. It is the floor of what a decision costs without a
second process, and its rules say the same as `policy.yaml`, which a test shows call by call.

RBAC matches metadata with ten lines a matcher, so `native.yaml` has four short forms, which are expanded here: `called`
(a tools/call whose tool's name matches), `filename` (its argument matches), `scope` and `role` (the token has it).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

NATIVE = "native"
_JWKS = "native-issuer"
"""The cluster from which jwt_authn fetches keys."""
_TOKEN = "envoy.filters.http.jwt_authn"
_MCP = "envoy.filters.http.mcp"


def filters(jwks_uri: str) -> list[dict[str, Any]]:
    """Return the filters that replace ext_authz and the rewriter; they need the whole body at once."""
    text = Path(__file__).with_name("native.yaml").read_text("utf-8").replace("${BENCH_JWKS}", jwks_uri)
    expanded: list[dict[str, Any]] = _expanded(yaml.safe_load(text))
    return expanded


def issuer_cluster(port: int) -> dict[str, Any]:
    """Return the cluster of the issuer on loopback."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "name": _JWKS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _JWKS, "endpoints": [endpoint]},
    }


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((key, only), *_) = value.items() or [("", None)]
    return _FORMS[key](only) if key in _FORMS else {key: _expanded(item) for key, item in value.items()}


def _metadata(namespace: str, path: tuple[str, ...], value: dict[str, Any]) -> dict[str, Any]:
    matcher = {"filter": namespace, "path": [{"key": key} for key in path], "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _called(name: dict[str, str]) -> dict[str, Any]:
    method = _metadata(_MCP, ("method",), {"string_match": {"exact": "tools/call"}})
    return {"and_rules": {"rules": [method, _metadata(_MCP, ("params", "name"), {"string_match": name})]}}


def _claim(claim: str, word: str) -> dict[str, Any]:
    """Match a token whose claim, a list, holds a word."""
    one = {"list_match": {"one_of": {"string_match": {"exact": word}}}}
    return _metadata(_TOKEN, ("payload", claim), one)


_FORMS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "called": _called,
    "filename": lambda text: _metadata(_MCP, ("params", "arguments", "filename"), {"string_match": text}),
    "scope": lambda word: _claim("scope", word),
    "role": lambda word: _claim("https://mcp.example.com/roles", word),
}
