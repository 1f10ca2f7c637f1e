"""The comments of the rendered configuration, which say why each setting is as it is.

`authz.render.serialize` reads the keys: `Type.field`, or `Type#name` for a named element of a list. A field listed here
is always written, even at Envoy's default; an empty text has it written without a comment.
"""

from collections.abc import Mapping
from types import MappingProxyType

from authz.render.options import Certificate, RenderOptions, WatchedSecret

WHOLE = """\
Envoy with per-tool authorization of MCP requests. Rendered by `mcp-authz envoy`; edit the policy file, not this.
Needs Envoy 1.38.4 or newer (earlier ext_authz has published vulnerabilities); measured with 1.40.
"""

PLAIN = """\
Plain HTTP: render with --tls-cert and --tls-key, or terminate TLS in front.
"""

SHADOW = """\
SHADOW: NOTHING IS PROTECTED BY THIS FILE. Envoy asks the service, but every request goes on whatever the answer: denied,
failed or without a token. Lists are not trimmed, identity headers are not set and tokens are not removed. The access
log (`decision`, `reason`, `would`) and the service's audit log show what would have happened; then render without
--shadow. Body limit, path rules, CORS and the removal of identity headers apply as always.

"""

FILTERS = """\
Per-tool authorization of MCP requests for an Envoy that you already run. Rendered by `mcp-authz envoy --part filters`.
Not a bootstrap: each section says where it belongs. Needs Envoy 1.38.4 or newer.
Check the result with `mcp-authz doctor`: Envoy itself does not notice a missing gRPC cluster or a wrong order.
"""

SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "http_connection_manager": """\
1. Merge these settings into the typed_config of your HttpConnectionManager.
Keep your own access_log if you have one, and add the DYNAMIC_METADATA keys to it one by one.
On the listener around it set per_connection_buffer_limit_bytes: 32768.""",
        "http_filters": """\
2. Put these into the same HttpConnectionManager's http_filters, in this order, as the last before the router.
Other kinds of authentication go before them; no filter after ext_authz may change method, path, body or
content-encoding, or clear the route cache.
ext_authz now authorizes every route of this listener and denies what is not an MCP endpoint. To exempt other
routes, set typed_per_filter_config as on the route `metadata`.""",
        "virtual_hosts": """\
3. Merge into your route_config.virtual_hosts. If you already have a virtual host or a route, keep it and add
timeout, idle_timeout and typed_per_filter_config; keep the order, and `none` last. Set
ignore_port_in_host_matching: true on the route_config, or list the hosts with their ports, too.""",
        "clusters": """\
4. Append to static_resources.clusters (or serve them by CDS). Clusters whose name begins with mcp- reach the MCP
servers; leave them out if your routes name clusters of your own.""",
    }
)

_MANAGER = {
    "HttpConnectionManager.use_remote_address": "This is the edge: the client's address is that of the connection, "
    "and x-envoy-* headers from clients are dropped.",
    "HttpConnectionManager.internal_address_config": "No address is internal: x-envoy-* headers are dropped "
    "for clients in private networks, too.",
    "HttpConnectionManager.normalize_path": "One spelling of a path: routes, the service and the server "
    "must not read it differently.",
    "HttpConnectionManager.merge_slashes": "",
    "HttpConnectionManager.path_with_escaped_slashes_action": "",
    "HttpProtocolOptions.headers_with_underscores_action": "Servers declare parameters such as mcp-param-user_id. "
    "The service refuses x_mcp_subject, which many servers read as x-mcp-subject.",
    "HttpConnectionManager.request_timeout": "For receiving the request (slow bodies), not for answering it.",
    "HttpConnectionManager.stream_idle_timeout": "The only limit on a hung list rewrite, because message_timeout does "
    "not apply to it. Must exceed the keep-alive interval of SSE streams.",
    "HttpConnectionManager.early_header_mutation_extensions": "Identity headers come only from ext_authz: "
    "a client's own are removed before anything reads them, and so are spellings that a server may fold to one. "
    "Those with an underscore are left for the service, which refuses and records them.",
    "AccessLog.typed_config": "Single keys, never the whole namespace, which contains the caller's claims.",
    "LocalReplyConfig.mappers": "What Envoy answers by itself is JSON-RPC, too: a body that exceeds max_request_bytes "
    "never reaches the service, and a service or server may be down. Other routes keep their own replies.",
    "ComparisonFilter.op": "",
}

_ROUTES = {
    "RouteConfiguration.ignore_port_in_host_matching": "",
    "Route#metadata": "Protected-resource metadata (RFC 9728), from the service, whose challenge points here. "
    "A direct_response would get no CORS headers.",
    "ExtAuthzPerRoute.disabled": "The only route without authorization: clients read it before they have a token.",
    "CorsPolicy.allow_origin_string_match": "CORS informs browsers but rejects no request. "
    "The service denies origins that are not listed.",
    "HeaderMatcher#:method": "A preflight that asks for nothing but allowed headers and patterns such as mcp-param-*: Envoy "
    "repeats what it asks for, because a browser knows no patterns. Other preflights get the list of the next route.",
    "CorsPolicy.expose_headers": "Without these a browser cannot see the challenge or the session.",
    "CorsPolicy.forward_not_matching_preflights": "",
    "RouteAction.host_rewrite_literal": "The server gets its own name: MCP servers refuse an unknown Host "
    "(DNS rebinding).",
    "RouteAction.timeout": "",
    "RouteAction.idle_timeout": "timeout 0s: the default of 15s would cut SSE responses off. idle_timeout limits silence.",
    "Route#none": "Keep last, and do not disable ext_authz here: a request that matches no route could pass "
    "without authorization.",
}

_FILTERS = {
    "HttpFilter#envoy.filters.http.cors": "First: preflights carry no token, and denials need the CORS headers, too.",
    "ExtAuthz.failure_mode_allow": "Fail closed: if the service is down, slow or faulty, the answer is 503.",
    "ExtAuthz.status_on_error": "",
    "ExtAuthz.with_request_body": "The service decides on exactly the bytes that go upstream. A larger body gets 413 here, "
    "never a decision on its beginning; without pack_as_bytes, Envoy would replace invalid UTF-8 before the decision.\n"
    "max_request_bytes also limits what a buffering filter may hold of a response.",
    "BufferSettings.allow_partial_message": "",
    "BufferSettings.pack_as_bytes": "",
    "ExtAuthz.clear_route_cache": "The route was chosen before the decision and stays chosen.",
    "ExtAuthz.validate_mutations": "",
    "ExtAuthz.disallowed_headers": "Never leaves Envoy for the service.",
    "ExtAuthz.decoder_header_mutation_rules": "The service may set identity headers, remove the token and ask for "
    "an uncompressed list. A change of anything else (:path, host, x-envoy-*) is an error, 500.",
    "ExtAuthz.max_denied_response_body_bytes": "",
    "ExtAuthz.emit_filter_state_stats": "For authz_us in the access log.",
    "RetryPolicy.retry_back_off": "max_interval is also the timeout of each try (Envoy 1.40), so it stays just below "
    "the whole timeout; without a base of 10ms the retry would come too late.",
    "HttpFilter#mcp-unjudged": "Refuses, with 503, what the rewriter was asked to judge and has not: without the next filter no "
    "list passes. It stands before it, because answers pass the filters in the opposite order.",
    "HttpFilter#mcp-rewrite": "Trims lists. Runs only where ext_authz set rewrite: true in its metadata, which no client "
    "can set; it costs other requests nothing.",
    "ExternalProcessor.failure_mode_allow": "Never let an untrimmed list pass.",
    "ExternalProcessor.message_timeout": "Has no effect in FULL_DUPLEX_STREAMED; stream_idle_timeout is the limit.",
    "ExternalProcessor.allow_content_length_header": "The processor sets or removes content-length itself.",
    "ExternalProcessor.processing_mode": "Only the response. FULL_DUPLEX_STREAMED passes SSE events on "
    "as they arrive and has no buffer limit that would cut a long list off.",
    "ProcessingMode.request_body_mode": "",
    "MetadataOptions.forwarding_namespaces": "The decision's metadata tells the processor for which caller to trim.",
    "MetadataOptions.receiving_namespaces": "By this it says that it has judged an answer.",
    "ExternalProcessor.mutation_rules": "For a shorter body, its length and the digests of the original.",
    "ExternalProcessor.disable_clear_route_cache": "",
    "ExternalProcessor.response_attributes": "Envoy's version, which the service shows, and warns of when it is too old.",
    "ExternalProcessor.grpc_service": "No timeout: the stream lasts as long as the response.",
}

_CLUSTERS = {
    "Cluster#authz": "The service as ext_authz. LEAST_REQUEST: of several workers or pods, an idle one answers.",
    "ClusterCommonLbConfig.healthy_panic_threshold": "No panic mode: Envoy does not ask an unhealthy service, and answers 503.",
    "Percent.value": "",
    "HealthCheckGrpcHealthCheck.service_name": "",
    "Cluster#rewriter": "The same service as ext_proc, with a circuit breaker of its own: open SSE rewrites must not "
    "use up the capacity that the Checks of all requests need.",
    "Cluster#rewriter_streams": "The same for streams that clients hold open, "
    "so that these do not take the places of lists.",
    "Cluster#rewriter_lists": "The same for lists and new sessions.",
    "Cluster#authz_http": "The service's HTTP port, for metadata only.",
    "Cluster.transport_socket": "By default, Envoy verifies no certificate: the trusted authority must be configured.",
}

_TLS = {
    "CommonTlsContext.tls_params": "",
    "TlsParameters.tls_minimum_protocol_version": "",
    "CertificateValidationContext.match_typed_subject_alt_names": "The certificate must be for exactly this host: "
    "otherwise any certificate of the authority would be accepted.",
}

_READ_ONCE = {
    "DownstreamTlsContext.common_tls_context": "Files are read at start: after a renewal, restart Envoy (hot or "
    "rolling), or render with --tls-secret.",
}

_WATCHED = {
    "Bootstrap.node": "Envoy wants these for any secret that it reads by itself, from a file too.",
    "CommonTlsContext.tls_certificate_sds_secret_configs": "Envoy reads a renewed certificate without a restart.",
}

_OVERLOAD = {
    "Bootstrap.overload_manager": "Further connections are closed at once. The limit on open files must be higher.",
}

_LIMITS = {
    "Listener.per_connection_buffer_limit_bytes": "Roughly what Envoy buffers of a response for a slow reader. "
    "Request bodies have their own limit, max_request_bytes.",
    "Cluster.per_connection_buffer_limit_bytes": "",
    "HttpConnectionManager.http2_protocol_options": "Below Envoy's defaults of 1024 streams and windows of 16 and 24 MiB: "
    "each stream may buffer one body of max_request_bytes.",
}

COMMENTS: Mapping[str, str] = MappingProxyType(
    _MANAGER | _ROUTES | _FILTERS | _CLUSTERS | _TLS | _OVERLOAD | _LIMITS
)
"""The comments on every chain, each where its subject is rendered."""

_NATIVE = {
    "HttpFilter#envoy.filters.http.mcp": "Envoy's own MCP filter, as an additional check. Its developers call it work in "
    "progress and outside their threat model, so the authorization does not depend on it. It answers with plain 400, "
    "without a reason or an audit record.",
    "Mcp.max_request_body_size": "As in ext_authz: the default of 8 KiB would refuse valid calls.",
    "Mcp.reject_duplicate_keys": "",
    "McpOverride.traffic_mode": "Not MCP; ext_authz decides.",
}

_RATE = {
    "HttpFilter#envoy.filters.http.local_ratelimit": "Limits calls of one tool by one caller, both as named by ext_authz; "
    "a client cannot choose its bucket. Each Envoy counts for itself: N of them let N times as many through.",
    "LocalRateLimit.max_dynamic_descriptors": "Buckets kept; beyond this number the least recently used one is reset.",
    "RateLimitActionMetaData.source": "",
    "LocalRateLimit.filter_enforced": "",
}

_TRACING = {
    "HttpConnectionManager.tracing": "One span for each request, tagged with the decision and never with the caller.",
    "HttpConnectionManagerTracing.client_sampling": "No header from a client forces a trace.",
    "Cluster#otel": "The collector. Spans are lost while it is down; no request waits for it.",
}

_STATS = {
    "Listener#stats": "For Prometheus. The admin interface, which can end Envoy, is reached by this one path alone.",
}

_HEALTH = {
    "Route#health": "For load balancers, at every host and without a token: 200 if Envoy and the service are alive.",
    "ExtAuthzPerRoute.disabled": "Only this route and the one for metadata have no authorization.",
}

_IN_SHADOW = {
    "ExtAuthz.shadow_mode": "SHADOW: every request goes on, whatever the service answers. NOTHING IS PROTECTED.",
    "ExtAuthz.decoder_header_mutation_rules": "Shadow mode does not change requests; Envoy drops the changes that "
    "the service asks for.",
}


def comments_on(options: RenderOptions) -> Mapping[str, str]:
    """Return the comments on a chain with these options."""
    comments = dict(COMMENTS)
    for wanted, more in (
        (isinstance(options.clients, Certificate), _READ_ONCE),
        (isinstance(options.clients, WatchedSecret), _WATCHED),
        (options.native_filter, _NATIVE),
        (options.rate is not None, _RATE),
        (options.tracing is not None, _TRACING),
        (bool(options.health_path), _HEALTH),
        (options.stats is not None, _STATS),
        (options.shadow, _IN_SHADOW),
    ):
        comments |= more if wanted else {}
    return comments
