"""Everything the service runs by, built once from a file and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from authz.config.problems import Problem
from authz.core.request import Limits
from authz.core.servers import Directory

MAX_WORKERS = 64
"""Most processes that decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKeys:
    """Where one issuer's keys come from.

    Attributes:
        issuer: the issuer identifier.
        jwks_uri: URL of its key set; empty to ask its discovery document.
        inline: the key set itself, empty when it is fetched.
    """

    issuer: str
    jwks_uri: str = ""
    inline: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """What the CORS filter in front of a server is told.

    Attributes:
        allow_methods: methods for preflights.
        allow_headers: request headers for preflights.
        expose_headers: response headers a page may read.
        max_age: seconds a preflight may be remembered.
        allow_credentials: whether cookies and the like may be sent; bearer tokens need it not.
    """

    allow_methods: tuple[str, ...] = ("GET", "POST", "DELETE", "OPTIONS")
    allow_headers: tuple[str, ...] = (
        "authorization",
        "content-type",
        "accept",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "last-event-id",
    )
    expose_headers: tuple[str, ...] = ("WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version")
    max_age: int = 600
    allow_credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """When and how keys are fetched; the defaults of both forms of file. In seconds unless named otherwise.

    Attributes:
        min_age: shortest time between scheduled fetches, whatever Cache-Control says.
        max_age: longest.
        default_age: where Cache-Control says nothing.
        cooldown: shortest time between fetches that unknown key names cause.
        unknown_for: how long a name is not asked for again that a fetch did not bring.
        max_unknown: how many such names are remembered for an issuer.
        retry: first pause after a failure; doubled with each further one up to `min_age`.
        stale_for: how long keys live that could not be confirmed.
        timeout: for one key set, with the metadata that leads to it.
        max_bytes: size of one document.
    """

    min_age: float = 60
    max_age: float = 600
    default_age: float = 300
    cooldown: float = 30
    unknown_for: float = 300
    max_unknown: int = 100
    retry: float = 1
    stale_for: float = 86_400
    timeout: float = 5
    max_bytes: int = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcTls:
    """Paths of the PEM files for mutual TLS on the gRPC port.

    Attributes:
        cert_file: the service's certificate and those that lead to its authority.
        key_file: its private key.
        client_ca_file: authorities whose certificates a client may show.
    """

    cert_file: str
    key_file: str
    client_ca_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How the service ends when it is told to; the defaults of both forms of file. In seconds.

    Attributes:
        grace: how long it answers on after its health says NOT_SERVING. Envoy asks every two seconds and takes the
            first NOT_SERVING for an answer, so the default lets every Envoy ask once.
        limit: how long calls and streams under way may then still take.
    """

    grace: float = 3.0
    limit: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings.

    Attributes:
        grpc: address of the gRPC services.
        http: address of metadata, metrics and health.
        directory: the protected servers.
        keys: where each issuer's keys come from, by `iss`.
        upstreams: URL of each server behind Envoy, by the server's name; a server without one is not rendered.
        cors: what the CORS filter is told, by the server's name.
        tools: names of tools that rules name, by server; metrics count each of these apart.
        limits: bounds on messages.
        max_body: largest request body in bytes.
        max_list: largest list in bytes that is trimmed.
        check_seconds: time for one decision.
        tokens: verified tokens that are remembered.
        digest: names this policy in records and metrics.
        warnings: findings that do not prevent use.
        insecure_hosts: hosts from which keys and discovery documents may come over plain http, lower-case;
            loopback needs no mention.
        fetching: when and how keys are fetched.
        tls: mutual TLS on the gRPC port; None for plain text.
        ca_file: path of a PEM file with the only authorities that are trusted then; None for the usual ones.
        candidate: settings whose decisions are compared with these and never applied.
        read: path of every file that these settings come from, to the digest of its content.
        workers: processes that decide; None to let the machine say. Read at the start only, as addresses are.
        drain: how the service ends.
        session_keys: with what session ids are bound: the first signs, each verifies; none for a key of the process.
        stream_grace: seconds for which a response may stay open after its caller's token is no longer accepted.
        every_answer: whether the answer to every request passes the rewriter, so that none outlives its token longer.
    """

    grpc: str
    http: str
    directory: Directory
    keys: Mapping[str, IssuerKeys]
    upstreams: Mapping[str, str]
    cors: Mapping[str, Cors]
    tools: Mapping[str, frozenset[str]]
    limits: Limits
    max_body: int
    max_list: int
    check_seconds: float
    tokens: int
    digest: str
    warnings: tuple[Problem, ...] = field(default=())
    insecure_hosts: frozenset[str] = frozenset()
    fetching: Fetching = Fetching()
    tls: GrpcTls | None = None
    ca_file: str | None = None
    candidate: "Settings | None" = None
    read: Mapping[str, str] = field(default_factory=dict, repr=False)
    workers: int | None = None
    drain: Drain = Drain()
    session_keys: tuple[bytes, ...] = field(default=(), repr=False)
    stream_grace: float = 60.0
    every_answer: bool = False
