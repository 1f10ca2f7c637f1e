"""Transport sockets: TLS for clients, TLS to MCP servers, and mutual TLS to the service.

Envoy verifies the authority and the name of a peer: the certificate must be for exactly the configured host, a name as
DNS name and an address as IP address.
"""

from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    ConfigSource,
    DataSource,
    PathConfigSource,
    TransportSocket,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from authz.render.address import Address
from authz.render.options import Certificate, MutualTls, WatchedSecret
from authz.render.serialize import any_of

_NAME = "envoy.transport_sockets.tls"
SECRET = "clients"
"""What a watched certificate is called in its file."""


def to_clients(own: Certificate | WatchedSecret) -> TransportSocket:
    """Return TLS 1.2 or newer for clients, with HTTP/2 offered first."""
    common = CommonTlsContext(alpn_protocols=["h2", "http/1.1"], tls_params=_modern())
    if isinstance(own, WatchedSecret):
        common.tls_certificate_sds_secret_configs = [_watched(own)]
    else:
        common.tls_certificates = [_presented(own)]
    return TransportSocket(name=_NAME, typed_config=any_of(DownstreamTlsContext(common_tls_context=common)))


def to_server(peer: Address, ca: str) -> TransportSocket:
    """Return TLS to an MCP server, whose certificate must be for its host."""
    return _upstream(peer, CommonTlsContext(validation_context=_trust(peer, ca), tls_params=_modern()))


def to_service(peer: Address, tls: MutualTls) -> TransportSocket:
    """Return mutual TLS to the service; gRPC needs HTTP/2 to be negotiated (ALPN)."""
    common = CommonTlsContext(
        alpn_protocols=["h2"],
        tls_certificates=[_presented(tls.own)],
        validation_context=_trust(peer, tls.ca),
        tls_params=_modern(),
    )
    return _upstream(peer, common)


def _upstream(peer: Address, common: CommonTlsContext) -> TransportSocket:
    context = UpstreamTlsContext(common_tls_context=common)
    if peer.is_name:  # a server name is never an address (RFC 6066 section 3)
        context.sni = peer.host
    return TransportSocket(name=_NAME, typed_config=any_of(context))


def _presented(own: Certificate) -> TlsCertificate:
    return TlsCertificate(
        certificate_chain=DataSource(filename=own.cert), private_key=DataSource(filename=own.key)
    )


def _watched(own: WatchedSecret) -> SdsSecretConfig:
    source = ConfigSource(
        path_config_source=PathConfigSource(path=own.file), resource_api_version=ApiVersion.V3
    )
    return SdsSecretConfig(name=SECRET, sds_config=source)


def _modern() -> TlsParameters:
    return TlsParameters(tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2)


def _trust(peer: Address, ca: str) -> CertificateValidationContext:
    kind = SubjectAltNameMatcherSanType.DNS if peer.is_name else SubjectAltNameMatcherSanType.IP_ADDRESS
    host = peer.host or "127.0.0.1"
    return CertificateValidationContext(
        trusted_ca=DataSource(filename=ca),
        match_typed_subject_alt_names=[
            SubjectAltNameMatcher(san_type=kind, matcher=StringMatcher(exact=host))
        ],
    )
