"""Spans for an OpenTelemetry collector: one for each request, tagged with the decision."""

from datetime import timedelta

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
from authz.render.extensions import EXT_AUTHZ
from authz.render.options import Tracing
from authz.render.serialize import any_of

_TAGS = ("decision", "reason", "rule", "server", "method", "tool")
"""Keys of the decision's metadata that become tags `mcp.KEY`; never the caller, because spans leave the gateway."""


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
        custom_tags=[_tag(key) for key in _TAGS],
        provider=TracingHttp(name="envoy.tracers.opentelemetry", typed_config=any_of(exporter)),
    )


def _tag(key: str) -> CustomTag:
    return CustomTag(
        tag=f"mcp.{key}",
        metadata=CustomTagMetadata(
            kind=MetadataKind(request=MetadataKindRequest()),
            metadata_key=MetadataKey(key=EXT_AUTHZ, path=[MetadataKeyPathSegment(key=key)]),
        ),
    )
