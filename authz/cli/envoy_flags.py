"""The flags of `mcp-authz envoy` that add something to a chain; an error names the flag."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from authz.config.problems import mistake
from authz.render.address import Address
from authz.render.options import Certificate, MutualTls, Rate, RenderOptions, Tracing, WatchedSecret

Read = TypeVar("Read")


def _text(flag: str, shape: str, text: str) -> Any:
    return typer.Option(flag, metavar=shape, help=text)


TlsCert = Annotated[str, _text("--tls-cert", "FILE", "Serve TLS to clients with this certificate (PEM).")]
TlsKey = Annotated[str, _text("--tls-key", "FILE", "The private key of --tls-cert (PEM).")]
TlsSecret = Annotated[
    str,
    _text(
        "--tls-secret",
        "FILE",
        "Serve TLS with the certificate that this file of Envoy's names, and read renewed ones.",
    ),
]
ServiceCa = Annotated[
    str, _text("--service-ca", "FILE", "Use mutual TLS to the service, and trust this CA for it (PEM).")
]
ServiceCert = Annotated[
    str, _text("--service-cert", "FILE", "The certificate that Envoy presents to the service (PEM).")
]
ServiceKey = Annotated[str, _text("--service-key", "FILE", "The private key of --service-cert (PEM).")]
UpstreamCa = Annotated[
    str,
    _text(
        "--upstream-ca",
        "FILE",
        "Trust these CAs for MCP servers behind https (PEM); default: Debian's bundle.",
    ),
]
NativeFilter = Annotated[
    bool, typer.Option("--native-filter", help="Add Envoy's own strict MCP filter before ext_authz.")
]
Shadow = Annotated[
    bool,
    typer.Option("--shadow", help="For a first rollout: ask the service, but enforce NOTHING."),
]
Otel = Annotated[str, _text("--otel", "ADDR", "Send spans to this OpenTelemetry collector (OTLP over gRPC).")]
OtelPercent = Annotated[
    float,
    typer.Option("--otel-percent", metavar="N", min=0, max=100, help="Percentage of requests to trace."),
]
RateLimit = Annotated[
    str,
    _text(
        "--rate-limit",
        "N/UNIT",
        "Limit one caller's calls of one tool, for example to 20/second or 600/minute.",
    ),
]
MaxConnections = Annotated[
    int, typer.Option("--max-connections", metavar="N", min=1, help="Most client connections open at once.")
]
HealthPath = Annotated[
    str,
    _text(
        "--health-path", "PATH", "Answer load balancers at this path without a token, for example /healthz."
    ),
]
Stats = Annotated[
    str,
    _text(
        "--stats",
        "ADDR",
        "Let Prometheus ask here for Envoy's /stats/prometheus, and for nothing else of --admin.",
    ),
]
Merge = Annotated[
    str,
    _text("--merge", "EXISTING", "Put everything into this bootstrap of yours, and write the result to -o."),
]
Listener = Annotated[
    str,
    _text("--listener", "NAME", "With --merge: the listener, or the stat_prefix of its connection manager."),
]
Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate",
        help="With --merge: give MCP an internal listener of its own, so that other routes notice nothing.",
    ),
]

FILES = "a path on Envoy's machine"
_NO_LISTENER = "is for a listener, and neither --part filters nor --merge renders one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags as given on the command line; empty if absent."""

    tls_cert: str
    tls_key: str
    tls_secret: str
    service_ca: str
    service_cert: str
    service_key: str
    upstream_ca: str
    native_filter: bool
    shadow: bool
    otel: str
    otel_percent: float
    rate_limit: str
    max_connections: int
    health_path: str
    stats: str

    def options(self, *, listener: bool) -> RenderOptions:
        """Return what the flags add to the chain.

        Args:
            listener: whether a listener is rendered; TLS for clients needs one.

        Raises:
            ConfigError: a flag has a bad value, or lacks another flag; the error names it.
        """
        self._refuse_in_shadow()
        clients, service = self._of_clients(), self._together(*_SERVICE)
        if self.health_path and not listener:
            raise mistake(_flag("health_path"), _NO_LISTENER, "leave it out")
        if self.stats and not listener:
            raise mistake(_flag("stats"), _NO_LISTENER, "leave it out")
        if clients and not listener:
            raise mistake(_flag(clients), _NO_LISTENER, "leave it out")
        collector = _read("--otel", Address.parse, self.otel, "as in 127.0.0.1:4317")
        return RenderOptions(
            clients=self._certificate() if clients else None,
            service=self._mutual() if service else None,
            native_filter=self.native_filter,
            shadow=self.shadow,
            tracing=Tracing(collector=collector, percent=self.otel_percent) if collector else None,
            rate=_read("--rate-limit", Rate.parse, self.rate_limit, "as in 20/second"),
            max_connections=self.max_connections,
            health_path=self.health_path,
            stats=_read("--stats", Address.parse, self.stats, "as in :9003"),
            **({"upstream_ca": self.upstream_ca} if self.upstream_ca else {}),
        )

    def _of_clients(self) -> str:
        """The name of a flag for TLS to clients that was given, or nothing."""
        both = self._together("tls_cert", "tls_key")
        if both and self.tls_secret:
            raise mistake(
                _flag("tls_secret"), "is instead of --tls-cert and --tls-key", "leave one of them out"
            )
        return "tls_cert" if both else "tls_secret" if self.tls_secret else ""

    def _certificate(self) -> Certificate | WatchedSecret:
        if self.tls_secret:
            return WatchedSecret(file=self.tls_secret)
        return Certificate(cert=self.tls_cert, key=self.tls_key)

    def _mutual(self) -> MutualTls:
        return MutualTls(ca=self.service_ca, own=Certificate(cert=self.service_cert, key=self.service_key))

    def _refuse_in_shadow(self) -> None:
        for name in ("native_filter", "rate_limit"):
            if self.shadow and getattr(self, name):
                raise mistake(_flag(name), "refuses requests, but a shadow must not", "leave one of them out")

    def _together(self, *names: str) -> bool:
        """Whether flags that need each other were given.

        Raises:
            ConfigError: only some were.
        """
        missing = [name for name in names if not getattr(self, name)]
        given = [name for name in names if name not in missing]
        if given and missing:
            raise mistake(_flag(given[0]), f"needs {' and '.join(map(_flag, missing))}", f"give {FILES}")
        return bool(given)


_SERVICE = ("service_ca", "service_cert", "service_key")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(flag: str, parse: Callable[[str], Read], text: str, cure: str) -> Read | None:
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise mistake(flag, str(error), cure) from None


def check_merge(merge: str, listener: str, *, isolate: bool, options: RenderOptions) -> None:
    """Reject flags that do not suit a merge.

    Raises:
        ConfigError: a flag needs --merge, or would change more than MCP; the error names it.
    """
    if not merge:
        for name, given in (("--listener", bool(listener)), ("--isolate", isolate)):
            if given:
                raise mistake(name, "needs --merge", "give the bootstrap that you have")
        return
    wide = {"--native-filter": options.native_filter, "--otel": options.tracing is not None}
    for name, given in wide.items():
        if given and not isolate:
            raise mistake(name, "would be for every route of the connection manager", "add --isolate")
