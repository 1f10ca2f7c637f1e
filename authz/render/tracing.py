"""Spans for an OpenTelemetry collector: one for each request, tagged with the decision."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from envoy_data_plane.envoy.config.core.v3 import GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.config.trace.v3 import OpenTelemetryConfig, TracingHttp
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManagerTracing,
)
from envoy_data_plane.envoy.type.metadata.v3 import (
    MetadataKey,
    MetadataKeyPathSegment,
    MetadataKind,
    MetadataKindRequest,
)
from envoy_data_plane.envoy.type.tracing.v3 import CustomTag, CustomTagMetadata
from envoy_data_plane.envoy.type.v3 import Percent

from authz.render.clusters import OTEL
from authz.render.decided import EXT_AUTHZ
from authz.render.options import Tracing
from authz.render.serialize import any_of

_TAGS: Mapping[str, str] = MappingProxyType(
    {
        **{key: f"mcp_authz.{key}" for key in ("decision", "reason", "rule", "server", "decision_id")},
        "method": "mcp.method.name",
        "tool": "gen_ai.tool.name",
        "prompt": "gen_ai.prompt.name",
        "resource": "mcp.resource.uri",
    }
)
"""Tags by the key of the decision's metadata that they hold: by OpenTelemetry's conventions for MCP where these have a name, as
in the service's own spans. Never the caller, because spans leave the gateway."""


def tracing(wanted: Tracing) -> HttpConnectionManagerTracing:
    """Return the connection manager's tracing."""
    exporter = OpenTelemetryConfig(
        service_name="mcp-gateway",
        grpc_service=GrpcService(
            envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=OTEL), timeout=timedelta(seconds=1)
        ),
    )
    return HttpConnectionManagerTracing(
        client_sampling=Percent(value=0),
        random_sampling=Percent(value=wanted.percent),
        overall_sampling=Percent(value=100),
        custom_tags=[_tag(key, tag) for key, tag in _TAGS.items()],
        provider=TracingHttp(name="envoy.tracers.opentelemetry", typed_config=any_of(exporter)),
    )


def _tag(key: str, tag: str) -> CustomTag:
    return CustomTag(
        tag=tag,
        metadata=CustomTagMetadata(
            kind=MetadataKind(request=MetadataKindRequest()),
            metadata_key=MetadataKey(key=EXT_AUTHZ, path=[MetadataKeyPathSegment(key=key)]),
        ),
    )
