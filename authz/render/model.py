"""The input of the renderer: endpoints, and the chain that joins them.

Cheap to import; the renderer itself (`authz.render.bootstrap`) is not, and is never imported to serve requests.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from authz.config.preflight import expressions
from authz.render.address import Address, is_host, require
from authz.render.options import NATIVE_BODY_BYTES, RenderOptions

METADATA_PATH = "/.well-known/oauth-protected-resource"
"""The path of protected-resource metadata (RFC 9728 section 3.1), which needs no token."""

TRY_SLACK = 0.1
"""Seconds of a Check's timeout that are reserved for a second try."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_PATH = re.compile(r"/([A-Za-z0-9._~!$&'()*+,=:@-]+(/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?)?")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^\s/?#*,]+")
_TOKEN = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_TOKENS = re.compile(f"{_TOKEN}(, {_TOKEN})*")


def bare_host(host: str) -> str:
    """Return a host in lower case without its port, the form by which Envoy selects a virtual host."""
    return re.sub(r":[0-9]+$", "", host.lower()) if not host.endswith("]") else host.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One MCP server behind Envoy.

    Attributes:
        name: the server's name in the policy file; names its route and its cluster.
        hosts: host names (a port is ignored) at which it answers; "*" is any host.
        path: the exact path clients use, without query.
        upstream_host: IP literal or DNS name of the MCP server.
        upstream_port: its TCP port.
        upstream_tls: speak TLS to it; its certificate must be valid for `upstream_host`.
        upstream_path: its path there; empty when it equals `path`.
        origins: browser origins admitted by CORS, exactly as browsers send them, or "*"; empty turns CORS off.
        cors_allow_headers: request headers a browser may send, joined with ", ".
        cors_patterns: expressions that a preflight's list of request headers must all match to be allowed as it is; if empty,
            only `cors_allow_headers` are.
        cors_expose_headers: response headers a browser may read, joined with ", ".
        cors_max_age: seconds that a browser may remember a preflight's answer.
    """

    name: str
    hosts: tuple[str, ...]
    path: str
    upstream_host: str
    upstream_port: int
    upstream_tls: bool = False
    upstream_path: str = ""
    origins: tuple[str, ...] = ()
    cors_allow_headers: str = "authorization, content-type, accept, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id, traceparent, tracestate"
    cors_patterns: tuple[str, ...] = expressions((*cors_allow_headers.split(", "), "mcp-param-*"))
    cors_expose_headers: str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"
    cors_max_age: int = 600

    def __post_init__(self) -> None:
        """Reject an endpoint that could not be routed exactly, or would bypass the authorization."""
        require(
            bool(_NAME.fullmatch(self.name)),
            f"endpoint name must be letters, digits, '_', '.', '-': {self.name!r}",
        )
        require(bool(self.hosts), f"endpoint {self.name}: hosts must not be empty; '*' is any host")
        for host in self.hosts:
            ok = host == "*" or is_host(bare_host(host))
            require(ok, f"endpoint {self.name}: not a host name or '*': {host!r}")
        for path in (self.path, self.upstream_path or "/"):
            ok = bool(_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))
            require(ok, f"endpoint {self.name}: not a plain absolute path: {path!r}")
        public = self.path == METADATA_PATH or self.path.startswith(METADATA_PATH + "/")
        require(not public, f"endpoint {self.name}: {METADATA_PATH} is served without authorization")
        for origin in self.origins:
            require(
                bool(_ORIGIN.fullmatch(origin)), f"endpoint {self.name}: not an origin or '*': {origin!r}"
            )
        for names in (self.cors_allow_headers, self.cors_expose_headers):
            require(
                bool(_TOKENS.fullmatch(names)), f"endpoint {self.name}: not header names joined with ', '"
            )
        require(bool(self.upstream.host), f"endpoint {self.name}: upstream_host must not be empty")

    @property
    def upstream(self) -> Address:
        """Where the MCP server listens."""
        return Address(host=self.upstream_host, port=self.upstream_port)

    @property
    def cluster(self) -> str:
        """The name of its cluster; the prefix avoids a clash with the service's own clusters."""
        return f"mcp-{self.name}"


def _distinct(values: Iterable[object]) -> bool:
    seen = list(values)
    return len(seen) == len(set(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One listener, the servers behind it, and the service that authorizes them.

    Attributes:
        endpoints: at least one; no two may claim the same host and path.
        listen: where clients connect.
        service: the service's gRPC address (ext_authz and ext_proc).
        more_services: addresses of further workers, if each has its own.
        http: the service's HTTP address (protected-resource metadata).
        admin: Envoy's admin interface; None leaves it off.
        max_request_bytes: the largest request body that is authorized; a larger one gets 413.
        check_timeout: seconds after which an unanswered Check becomes 503.
        access_log: write one JSON line a request to standard output.
        options: what the operator adds.
    """

    endpoints: tuple[Endpoint, ...]
    listen: Address
    service: Address
    http: Address
    admin: Address | None = None
    max_request_bytes: int = 1 << 20
    check_timeout: float = 0.5
    access_log: bool = True
    more_services: tuple[Address, ...] = ()
    options: RenderOptions = field(default_factory=RenderOptions)

    def __post_init__(self) -> None:
        """Reject a chain that Envoy would refuse or route ambiguously."""
        require(bool(self.endpoints), "a chain needs at least one endpoint")
        require(_distinct(e.name for e in self.endpoints), "endpoint names must differ")
        claims = [(host, e.path) for e in self.endpoints for host in {bare_host(h) for h in e.hosts}]
        require(_distinct(claims), "two endpoints claim the same host and path (ports are ignored)")
        require(0 < self.max_request_bytes < 1 << 32, "max_request_bytes must be 1 to 4294967295")
        require(2 * TRY_SLACK <= self.check_timeout <= 61, "check_timeout must be 0.2 to 61 seconds")
        small = not self.options.native_filter or self.max_request_bytes <= NATIVE_BODY_BYTES
        require(
            small,
            f"--native-filter: Envoy's MCP filter reads at most {NATIVE_BODY_BYTES} bytes of a request; "
            "lower limits.body_bytes, or leave it out",
        )
        health = self.options.health_path
        free = all(health != e.path for e in self.endpoints)
        require(free, f"--health-path: {health} is the path of an MCP server")
        require(
            self.options.stats is None or self.admin is not None,
            "--stats: the statistics are the admin interface's; give --admin, for example unix:/run/envoy/admin.sock",
        )
        mutual = self.options.service is not None
        require(
            not (mutual and self.service.path),
            "--service-ca: a Unix socket has no name that a certificate could be for; give --service host:port, or leave "
            "it out",
        )
