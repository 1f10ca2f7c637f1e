"""The clusters of a chain: five for the service, one for each MCP server, and the collector of spans.

The service appears five times on purpose. `authz` is asked before every request and must always have room;
`rewriter` holds a stream open as long as a response lasts; `rewriter_lists` and `rewriter_streams` do so for lists, and
for streams that their clients hold open, so that neither these nor slow answers take the places of lists;
`authz_http` serves public metadata.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterLbPolicy,
)
from envoy_data_plane.envoy.config.core.v3 import Address as EnvoyAddress
from envoy_data_plane.envoy.config.core.v3 import (
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http2ProtocolOptions,
    Pipe,
    SocketAddress,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    Endpoint as EnvoyEndpoint,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from authz.render.address import Address
from authz.render.model import Chain, Endpoint
from authz.render.serialize import any_of
from authz.render.tls import to_server, to_service
from authz.render.workers import RETRIES

AUTHZ = "authz"
REWRITER = "rewriter"
POOLS = {"streams": "rewriter_streams", "lists": "rewriter_lists"}
"""The rewriter's clusters by the `pool` that a Check names; for an answer without one it is `rewriter`."""
AUTHZ_HTTP = "authz_http"
OTEL = "otel"

_BUFFER_BYTES = 32_768
"""Unread bytes of a response that a connection buffers before Envoy stops reading (a soft limit)."""

_STREAM_WINDOW = 1_048_576
"""Bytes that the service may send ahead on one stream. With Envoy's default, a slow reader could make it buffer 256 MiB."""


def socket(address: Address, *, default_host: str) -> EnvoyAddress:
    """Return an address as a message; `default_host` replaces a missing host."""
    if address.path:
        return EnvoyAddress(pipe=Pipe(path=address.path))
    return EnvoyAddress(
        socket_address=SocketAddress(address=address.host or default_host, port_value=address.port)
    )


def clusters(chain: Chain) -> list[Cluster]:
    """Return every cluster that the chain's filters and routes name."""
    servers = [_server(endpoint, chain.options.upstream_ca) for endpoint in chain.endpoints]
    traced = chain.options.tracing
    return [*servers, *service_clusters(chain), *([_otel(traced.collector)] if traced else [])]


def service_clusters(chain: Chain) -> list[Cluster]:
    """Return the clusters that reach the service itself; a shadow has no rewriter."""
    workers = (chain.service, *chain.more_services)
    names = () if chain.options.shadow else (REWRITER, *POOLS.values())
    asked = [_authz(*workers), *(_rewriter(name, *workers) for name in names)]
    if chain.options.service is not None:
        for cluster in asked:
            cluster.transport_socket = to_service(chain.service, chain.options.service)
    return [*asked, plain_cluster(AUTHZ_HTTP, chain.http)]


def plain_cluster(name: str, address: Address, *more: Address) -> Cluster:
    """Return a cluster of addresses, without limits."""
    kind = ClusterDiscoveryType.STRICT_DNS if address.is_name else ClusterDiscoveryType.STATIC
    targets = [EnvoyEndpoint(address=socket(one, default_host="127.0.0.1")) for one in (address, *more)]
    cluster = Cluster(
        name=name,
        type=kind,
        connect_timeout=timedelta(seconds=1),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=target) for target in targets])],
        ),
    )
    if address.is_name:
        cluster.dns_lookup_family = ClusterDnsLookupFamily.V4_PREFERRED
    return cluster


def _grpc(name: str, *addresses: Address) -> Cluster:
    cluster = plain_cluster(name, *addresses)
    cluster.connect_timeout = timedelta(milliseconds=250)
    cluster.lb_policy = ClusterLbPolicy.LEAST_REQUEST
    h2 = HttpProtocolOptionsExplicitHttpConfig(
        http2_protocol_options=Http2ProtocolOptions(initial_stream_window_size=_STREAM_WINDOW)
    )
    cluster.typed_extension_protocol_options = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any_of(
            HttpProtocolOptions(explicit_http_config=h2)
        )
    }
    return cluster


def _limits(cluster: Cluster, limits: CircuitBreakersThresholds) -> Cluster:
    cluster.circuit_breakers = CircuitBreakers(thresholds=[limits])
    return cluster


def _authz(*addresses: Address) -> Cluster:
    cluster = _watched(_grpc(AUTHZ, *addresses))
    limits = CircuitBreakersThresholds(
        max_connections=64,
        max_pending_requests=512,
        max_requests=2048,
        max_retries=16 if len(addresses) == 1 else RETRIES,
        track_remaining=True,
    )
    return _limits(cluster, limits)


def _watched(cluster: Cluster) -> Cluster:
    """Restrict a cluster to endpoints whose gRPC health is SERVING."""
    cluster.common_lb_config = ClusterCommonLbConfig(healthy_panic_threshold=Percent(value=0))
    cluster.health_checks = [
        HealthCheck(
            timeout=timedelta(seconds=1),
            interval=timedelta(seconds=2),
            no_traffic_interval=timedelta(seconds=2),
            unhealthy_threshold=2,
            healthy_threshold=1,
            grpc_health_check=HealthCheckGrpcHealthCheck(),
        )
    ]
    return cluster


def _rewriter(name: str, *addresses: Address) -> Cluster:
    limits = CircuitBreakersThresholds(
        max_connections=64, max_pending_requests=512, max_requests=4096, track_remaining=True
    )
    cluster = _grpc(name, *addresses)
    if len(addresses) > 1:
        limits.max_retries = RETRIES
        _watched(cluster)
    return _limits(cluster, limits)


def _otel(address: Address) -> Cluster:
    limits = CircuitBreakersThresholds(max_connections=4, max_pending_requests=64, max_requests=64)
    return _limits(_grpc(OTEL, address), limits)


def _server(endpoint: Endpoint, upstream_ca: str) -> Cluster:
    limits = CircuitBreakersThresholds(max_connections=4096, max_pending_requests=1024, max_requests=4096)
    cluster = _limits(plain_cluster(endpoint.cluster, endpoint.upstream), limits)
    if endpoint.upstream_tls:
        cluster.transport_socket = to_server(endpoint.upstream, upstream_ca)
    return cluster
