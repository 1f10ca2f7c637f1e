"""The right lines: what `mcp-authz envoy` renders at each place, as plain values to compare with and to paste.

They are literals, because the renderer takes most of a second to import; a test holds them against what it renders.
"""

from collections.abc import Mapping
from typing import Any

from authz.render.model import METADATA_PATH

DECISIONS = "envoy.filters.http.ext_authz"
"""Namespace of the dynamic metadata that ext_authz leaves, and its usual name as a filter."""
CORS = "envoy.filters.http.cors"
MINIMUM = (1, 38, 4)
"""The oldest Envoy without published holes in ext_authz."""

_TYPE = "type.googleapis.com/envoy.extensions."

IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")

Piece = Mapping[str, Any]

BODY: Piece = {"max_request_bytes": 1048576, "allow_partial_message": False, "pack_as_bytes": True}
UNAVAILABLE: Piece = {"code": "ServiceUnavailable"}
REQUEST_RULES: Piece = {
    "disallow_all": True,
    "allow_expression": {
        "regex": "^(x[-_.]mcp[-_.].*|mcp[-_.]session[-_.]id|authorization|accept-encoding)$"
    },
    "disallow_is_error": True,
}
RESPONSE_RULES: Piece = {
    "disallow_all": True,
    "allow_expression": {
        "regex": "^(content-length|content-type|etag|content-digest|digest|mcp-session-id|x-mcp-trimmed)$"
    },
}
RETRY_BASE = "0.01s"
PROCESSING_MODE: Piece = {
    "request_header_mode": "SKIP",
    "response_header_mode": "SEND",
    "request_body_mode": "NONE",
    "response_body_mode": "FULL_DUPLEX_STREAMED",
    "request_trailer_mode": "SKIP",
    "response_trailer_mode": "SEND",
}
CORS_FILTER: Piece = {"name": CORS, "typed_config": {"@type": f"{_TYPE}filters.http.cors.v3.Cors"}}
EXPOSED = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"
UNJUDGED: Piece = {"@type": f"{_TYPE}filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True}
NOTHING: Piece = {"name": "none", "match": {"prefix": "/"}, "direct_response": {"status": 404}}
METADATA_ROUTE: Piece = {
    "name": "metadata",
    "match": {"path_separated_prefix": METADATA_PATH},
    "route": {"cluster": "authz_http", "timeout": "2s"},
    "typed_per_filter_config": {DECISIONS: UNJUDGED},
}
ANY_HOST: Piece = {"name": "any-host", "domains": ["*"], "routes": [NOTHING]}
NOBODY_INTERNAL: Piece = {"cidr_ranges": [{"address_prefix": "192.0.2.1", "prefix_len": 32}]}
STRIP: Piece = {
    "name": "envoy.http.early_header_mutation.header_mutation",
    "typed_config": {
        "@type": f"{_TYPE}http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove": name} for name in IDENTITY_HEADERS],
    },
}
HEALTH_CHECK: Piece = {
    "timeout": "1s",
    "interval": "2s",
    "unhealthy_threshold": 2,
    "healthy_threshold": 1,
    "grpc_health_check": {"service_name": ""},
    "no_traffic_interval": "2s",
}
HTTP2_KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2: Piece = {
    "@type": f"{_TYPE}upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {"initial_stream_window_size": 1_048_576}},
}


def processor(cluster: str) -> dict[str, Any]:
    """Give the ext_proc configuration that calls a cluster."""
    return {
        "@type": f"{_TYPE}filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
        "failure_mode_allow": False,
        "processing_mode": dict(PROCESSING_MODE),
        "message_timeout": "2s",
        "stat_prefix": "mcp",
        "mutation_rules": RESPONSE_RULES,
        "metadata_options": {"forwarding_namespaces": {"untyped": [DECISIONS]}},
        "disable_clear_route_cache": True,
        "status_on_error": UNAVAILABLE,
        "allow_content_length_header": True,
    }


def rewriter(config: Mapping[str, Any], name: str = "envoy.filters.http.ext_proc") -> dict[str, Any]:
    """Give the filter that runs an ext_proc only where ext_authz asked for it.

    Args:
        config: the ext_proc configuration, with its "@type".
        name: the name of the ext_proc inside.
    """
    return {"name": "mcp-rewrite", "typed_config": _on_decision({"name": name, "typed_config": config})}


def _on_decision(inner: Mapping[str, Any]) -> dict[str, Any]:
    flag = {
        "@type": f"{_TYPE}matching.common_inputs.network.v3.DynamicMetadataInput",
        "filter": DECISIONS,
        "path": [{"key": "rewrite"}],
    }
    is_true = {"@type": f"{_TYPE}matching.input_matchers.metadata.v3.Metadata", "value": {"bool_match": True}}
    predicate = {
        "single_predicate": {
            "input": {"name": "authz_metadata", "typed_config": flag},
            "custom_match": {"name": "is_true", "typed_config": is_true},
        }
    }
    run = {"@type": f"{_TYPE}filters.http.composite.v3.ExecuteFilterAction", "typed_config": inner}
    rule = {"predicate": predicate, "on_match": {"action": {"name": "run", "typed_config": run}}}
    composite = {"@type": f"{_TYPE}filters.http.composite.v3.Composite"}
    return {
        "@type": f"{_TYPE}common.matching.v3.ExtensionWithMatcher",
        "xds_matcher": {"matcher_list": {"matchers": [rule]}},
        "extension_config": {"name": "composite", "typed_config": composite},
    }
