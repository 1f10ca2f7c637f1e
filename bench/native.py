"""The policy of the runs in Envoy's own filters: jwt_authn verifies, mcp reads the body, RBAC decides.

What it lacks beside the service is not measured here: lists are not trimmed, a denial is a plain 403 without a reason,
and Envoy's documentation calls the mcp filter work in progress. It is the floor of what a decision costs without a
second process, and its rules say the same as `policy.yaml`, which a test shows call by call.
"""

from typing import Any

from bench.workload import HOST, ISSUER

NATIVE = "native"
JWKS = "native-issuer"
"""The cluster from which jwt_authn fetches keys."""

_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
_TOKEN = "envoy.filters.http.jwt_authn"
_MCP = "envoy.filters.http.mcp"
_ROLES = "https://mcp.example.com/roles"


def filters(jwks_uri: str) -> list[dict[str, Any]]:
    """Give the filters that stand in the place of ext_authz and the rewrite; they need the whole body at once."""
    return [
        _filter(_TOKEN, f"{_TYPE}.jwt_authn.v3.JwtAuthentication", _tokens(jwks_uri)),
        _filter(_MCP, f"{_TYPE}.mcp.v3.Mcp", _MESSAGES),
        _filter("envoy.filters.http.rbac", f"{_TYPE}.rbac.v3.RBAC", _rules("DENY", _DENIED)),
        _filter("envoy.filters.http.rbac", f"{_TYPE}.rbac.v3.RBAC", _rules("ALLOW", _ALLOWED)),
    ]


def issuer_cluster(port: int) -> dict[str, Any]:
    """Give the cluster of the issuer on loopback."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "name": JWKS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": JWKS, "endpoints": [endpoint]},
    }


def _filter(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": kind, **config}}


def _tokens(jwks_uri: str) -> dict[str, Any]:
    provider = {
        "issuer": ISSUER,
        "audiences": [f"https://{HOST}/mcp"],
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope"]},
        "jwt_cache_config": {"jwt_cache_size": 1000},  # as many as policy.yaml lets the service remember
        "remote_jwks": {
            "http_uri": {"uri": jwks_uri, "cluster": JWKS, "timeout": "2s"},
            "async_fetch": {},
        },
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}
    return {"providers": {"bench": provider}, "rules": [rule]}


_MESSAGES: dict[str, Any] = {
    "traffic_mode": "REJECT_NO_MCP",
    "max_request_body_size": 1 << 20,
    "reject_duplicate_keys": True,
    "parser_config": {
        "methods": [
            {
                "method": "tools/call",
                "extraction_rules": [{"path": "params.name"}, {"path": "params.arguments.filename"}],
            }
        ]
    },
}


def _metadata(namespace: str, path: tuple[str, ...], value: dict[str, Any]) -> dict[str, Any]:
    matcher = {"filter": namespace, "path": [{"key": key} for key in path], "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _called(**name: Any) -> dict[str, Any]:
    """Match a tools/call whose tool's name matches."""
    method = _metadata(_MCP, ("method",), {"string_match": {"exact": "tools/call"}})
    tool = _metadata(_MCP, ("params", "name"), {"string_match": name})
    return {"and_rules": {"rules": [method, tool]}}


def _claims(claim: str, word: str) -> dict[str, Any]:
    """Match a token whose claim, a list, holds a word."""
    one = {"list_match": {"one_of": {"string_match": {"exact": word}}}}
    return _metadata(_TOKEN, ("payload", claim), one)


def _filename(**value: Any) -> dict[str, Any]:
    return _metadata(_MCP, ("params", "arguments", "filename"), {"string_match": value})


_ANYBODY: dict[str, Any] = {"any": True}
_INBOX = {
    "and_rules": {
        "rules": [
            _called(exact="delete_file"),
            _filename(prefix="/inbox/"),
            {"not_rule": _filename(contains="..")},
        ]
    }
}
_ADMIN = _claims(_ROLES, "admin")
_DELETERS = {"and_ids": {"ids": [_claims("scope", "files:delete"), _ADMIN]}}

_REPORTERS = {"or_ids": {"ids": [_claims("scope", "files:read"), _claims("scope", "reports:read")]}}

_ALLOWED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "everybody": ([_called(exact="echo"), _called(exact="get_user_info")], _ANYBODY),
    "reports": ([_called(prefix="report_")], _REPORTERS),
    "readers": ([_called(exact="list_files")], _claims("scope", "files:read")),
    "deleters": ([_INBOX], _DELETERS),
    "status-for-admins": ([_called(exact="system_status")], _ADMIN),
}
_DENIED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "secrets": ([_called(suffix="_secret")], _ANYBODY),
}


def _rules(action: str, policies: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]) -> dict[str, Any]:
    named = {
        name: {"permissions": permissions, "principals": [principal]}
        for name, (permissions, principal) in policies.items()
    }
    return {"rules_stat_prefix": f"{action.lower()}_", "rules": {"action": action, "policies": named}}
