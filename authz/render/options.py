"""What an operator may add to a chain: certificates, a first roll-out, limits, tracing, Envoy's own MCP filter.

Paths are those on Envoy's machine; nothing here is read.
"""

import re
from dataclasses import dataclass
from typing import Self

from authz.render.address import Address, require

NATIVE_BODY_BYTES = 10_485_760
"""The largest body that Envoy's MCP filter can be told to read (`Mcp.max_request_body_size`)."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")


def _files(what: str, *paths: str) -> None:
    for path in paths:
        require(bool(path), f"{what}: a file is missing")
        require(path.isprintable(), f"{what}: not a path: {path!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How Envoy shows who it is.

    Attributes:
        cert: PEM file with the certificate and those that lead to its authority.
        key: PEM file with its private key.
    """

    cert: str
    key: str

    def __post_init__(self) -> None:
        """Refuse half a certificate."""
        _files("certificate", self.cert, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTls:
    """How Envoy and the service know each other.

    Attributes:
        ca: PEM bundle that verifies the service's certificate.
        own: what Envoy shows to the service.
    """

    ca: str
    own: Certificate

    def __post_init__(self) -> None:
        """Refuse to trust nobody in particular."""
        _files("certificate authority", self.ca)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where spans go.

    Attributes:
        collector: address of an OpenTelemetry collector that takes OTLP over gRPC.
        percent: share of requests that are traced, 0 to 100; a client can only lower it, by a `traceparent` that is
            not sampled.
    """

    collector: Address
    percent: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        require(0 <= self.percent <= 100, "the share of traced requests must be 0 to 100 percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many calls of one tool one caller may make.

    Attributes:
        calls: how many, also at once.
        seconds: in how long.
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
    """What is added to a chain; the default adds nothing but a bound on connections.

    Attributes:
        clients: what Envoy shows to clients; None for plain HTTP.
        service: mutual TLS to the service's gRPC port; None for plain text.
        upstream_ca: PEM bundle that verifies the certificates of MCP servers behind https.
        native_filter: put Envoy's own MCP filter in front.
        shadow: ask the service and refuse nothing.
        tracing: where spans go; None for nowhere.
        rate: calls of one tool by one caller; None for no limit.
        max_connections: connections of clients that are open at once.
    """

    clients: Certificate | None = None
    service: MutualTls | None = None
    upstream_ca: str = "/etc/ssl/certs/ca-certificates.crt"
    native_filter: bool = False
    shadow: bool = False
    tracing: Tracing | None = None
    rate: Rate | None = None
    max_connections: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _files("upstream certificate authority", self.upstream_ca)
        refusing = self.native_filter or self.rate is not None
        require(not (self.shadow and refusing), "a shadow refuses nothing: no rate limit, no native filter")
        require(0 < self.max_connections < 1 << 31, "max_connections must be 1 to 2147483647")
