"""The clusters of a chain: the service's three faces, and one MCP server each.

The service appears three times on purpose. `authz` is asked before every request and must always have room;
`rewriter` holds a stream open as long as an SSE response lasts; `authz_http` serves public metadata.
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
    DataSource,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http2ProtocolOptions,
    Pipe,
    SocketAddress,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    Endpoint as EnvoyEndpoint,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from authz.render.chain import Address, Chain, Endpoint
from authz.render.tree import any_of

AUTHZ = "authz"
REWRITER = "rewriter"
AUTHZ_HTTP = "authz_http"


_STREAM_WINDOW = 1_048_576
"""Bytes that the service may send ahead on one stream. Envoy's default of 256 MiB is what a slow reader could make it hold."""


def socket(address: Address, *, default_host: str) -> EnvoyAddress:
    """An address in Envoy's form; `default_host` stands in where the address names no host."""
    if address.path:
        return EnvoyAddress(pipe=Pipe(path=address.path))
    return EnvoyAddress(
        socket_address=SocketAddress(address=address.host or default_host, port_value=address.port)
    )


def clusters(chain: Chain) -> list[Cluster]:
    """Every cluster that the chain's filters and routes name."""
    return [*(_server(endpoint, chain.trusted_ca) for endpoint in chain.endpoints), *service_clusters(chain)]


def service_clusters(chain: Chain) -> list[Cluster]:
    """The clusters that reach the service itself."""
    return [_authz(chain.service), _rewriter(chain.service), _cluster(AUTHZ_HTTP, chain.http)]


def _cluster(name: str, address: Address) -> Cluster:
    kind = ClusterDiscoveryType.STRICT_DNS if address.is_name else ClusterDiscoveryType.STATIC
    target = EnvoyEndpoint(address=socket(address, default_host="127.0.0.1"))
    cluster = Cluster(
        name=name,
        type=kind,
        connect_timeout=timedelta(seconds=1),
        load_assignment=ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=target)])],
        ),
    )
    if address.is_name:
        cluster.dns_lookup_family = ClusterDnsLookupFamily.V4_PREFERRED
    return cluster


def _grpc(name: str, address: Address) -> Cluster:
    cluster = _cluster(name, address)
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


def _authz(address: Address) -> Cluster:
    cluster = _grpc(AUTHZ, address)
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
    limits = CircuitBreakersThresholds(
        max_connections=64, max_pending_requests=512, max_requests=2048, max_retries=16, track_remaining=True
    )
    return _limits(cluster, limits)


def _rewriter(address: Address) -> Cluster:
    limits = CircuitBreakersThresholds(
        max_connections=64, max_pending_requests=512, max_requests=4096, track_remaining=True
    )
    return _limits(_grpc(REWRITER, address), limits)


def _server(endpoint: Endpoint, trusted_ca: str) -> Cluster:
    limits = CircuitBreakersThresholds(max_connections=4096, max_pending_requests=1024, max_requests=4096)
    cluster = _limits(_cluster(endpoint.cluster, endpoint.upstream), limits)
    if endpoint.upstream_tls:
        cluster.transport_socket = _tls(endpoint.upstream, trusted_ca)
    return cluster


def _tls(upstream: Address, trusted_ca: str) -> TransportSocket:
    roots = CertificateValidationContext(trusted_ca=DataSource(filename=trusted_ca))
    context = UpstreamTlsContext(
        sni=upstream.host,
        auto_sni_san_validation=True,
        common_tls_context=CommonTlsContext(validation_context=roots),
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=any_of(context))
