"""Options of a chain: certificates, a shadow roll-out, limits, tracing, Envoy's own MCP filter.

Paths are on Envoy's machine; nothing here reads them.
"""

import re
from dataclasses import dataclass
from typing import Self

from authz.render.address import Address, require

NATIVE_BODY_BYTES = 10_485_760
"""The largest body that Envoy's MCP filter can be told to read (`Mcp.max_request_body_size`)."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""A path that no normalisation changes, without a query string."""
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")


def _files(what: str, *paths: str) -> None:
    for path in paths:
        require(bool(path), f"{what}: a file is missing")
        require(path.isprintable(), f"{what}: not a path: {path!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How Envoy proves its identity.

    Attributes:
        cert: PEM file with the certificate and its chain.
        key: PEM file with its private key.
    """

    cert: str
    key: str

    def __post_init__(self) -> None:
        """Reject a certificate without its key."""
        _files("certificate", self.cert, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSecret:
    """A certificate that Envoy reads again when it is renewed.

    Attributes:
        file: YAML file with Envoy's own secret resource, which names the PEM files and the directory to watch.
    """

    file: str

    def __post_init__(self) -> None:
        """Reject a missing file."""
        _files("certificate", self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTls:
    """How Envoy and the service authenticate each other.

    Attributes:
        ca: PEM bundle that verifies the service's certificate.
        own: the certificate that Envoy presents to the service.
    """

    ca: str
    own: Certificate

    def __post_init__(self) -> None:
        """Reject a missing authority."""
        _files("certificate authority", self.ca)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where spans are sent.

    Attributes:
        collector: address of an OpenTelemetry collector that takes OTLP over gRPC.
        percent: share of requests that are traced, 0 to 100; a client can only lower it, with an unsampled
            `traceparent`.
    """

    collector: Address
    percent: float = 1.0

    def __post_init__(self) -> None:
        """Reject a share outside 0 to 100 percent."""
        require(0 <= self.percent <= 100, "the share of traced requests must be 0 to 100 percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many calls of one tool one caller may make.

    Attributes:
        calls: the number of calls, which may come all at once.
        seconds: the length of the interval.
    """

    calls: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `20/second`, `600/minute` or `1000/hour`.

        Raises:
            ValueError: the text is none of these.
        """
        found = _RATE.fullmatch(text)
        if found is None:
            msg = f"expected N/second, N/minute or N/hour, got {text!r}"
            raise ValueError(msg)
        return cls(calls=int(found[1]), seconds=_SECONDS[found[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """What is added to a chain; the default adds only a limit on connections.

    Attributes:
        clients: the certificate that Envoy presents to clients; None for plain HTTP.
        service: mutual TLS to the service's gRPC port; None for plain text.
        upstream_ca: PEM bundle that verifies the certificates of MCP servers behind https.
        native_filter: add Envoy's own MCP filter before ext_authz.
        shadow: ask the service, but enforce nothing.
        tracing: where spans are sent; None turns tracing off.
        rate: calls of one tool by one caller; None for no limit.
        max_connections: client connections open at once.
        health_path: the path at which load balancers may ask without a token whether Envoy and the service are alive;
            empty for none.
        stats: where Prometheus asks for Envoy's statistics; None for nowhere.
    """

    clients: Certificate | WatchedSecret | None = None
    service: MutualTls | None = None
    upstream_ca: str = "/etc/ssl/certs/ca-certificates.crt"
    native_filter: bool = False
    shadow: bool = False
    tracing: Tracing | None = None
    rate: Rate | None = None
    max_connections: int = 10_000
    health_path: str = ""
    stats: Address | None = None

    def __post_init__(self) -> None:
        """Reject options that contradict each other."""
        _files("upstream certificate authority", self.upstream_ca)
        refusing = self.native_filter or self.rate is not None
        require(not (self.shadow and refusing), "a shadow refuses nothing: no rate limit, no native filter")
        well_formed = not self.health_path or _PATH.fullmatch(self.health_path) is not None
        require(well_formed, f"--health-path: not a path such as /healthz: {self.health_path!r}")
        require(0 < self.max_connections < 1 << 31, "max_connections must be 1 to 2147483647")
