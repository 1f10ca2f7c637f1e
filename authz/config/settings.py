"""The service's settings, built once from a file and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from authz.config.files import fingerprint
from authz.config.problems import Problem
from authz.core.request import Limits
from authz.core.response.held import MAX_HELD
from authz.core.response.item_reader import MAX_ITEMS
from authz.core.response.streams import StreamShares
from authz.core.servers import Directory
from authz.core.wire.width import MAX_VALUES

MAX_WORKERS = 64
"""Most worker processes that a file or a flag may ask for."""


MAX_CORS_AGE = 86_400
"""Longest time in seconds that a browser may be told to keep a preflight's answer; none keeps it for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKeys:
    """Where one issuer's keys come from.

    Attributes:
        issuer: the issuer identifier.
        jwks_uri: URL of its key set; if empty, its discovery document has it.
        inline: the key set itself, empty if it is fetched.
    """

    issuer: str
    jwks_uri: str = ""
    inline: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """How one issuer is asked about tokens (RFC 7662).

    Attributes:
        issuer: the issuer identifier.
        endpoint: URL of its introspection endpoint.
        client_id: the client as which it is asked.
        secret: the client's secret, if it has one.
        private_key: the client's private key in PEM, otherwise.
        key_id: the `kid` of that key, empty for none.
        cache_seconds: longest time for which an answer is used.
        negative_seconds: how long a token that is not active is not asked about again.
        timeout: seconds for one question.
        concurrent: questions under way at once in one worker.
        waiting: questions that wait for their turn in one worker; one more is not asked.
        signed: whether answers must be signed (RFC 9701).
        algorithms: signature algorithms of signed answers.
    """

    issuer: str
    endpoint: str
    client_id: str
    secret: str = field(default="", repr=False)
    private_key: bytes = field(default=b"", repr=False)
    key_id: str = ""
    cache_seconds: int = 60
    negative_seconds: int = 5
    timeout: int = 2
    concurrent: int = 32
    waiting: int = 256
    signed: bool = False
    algorithms: frozenset[str] = frozenset({"RS256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Settings of the CORS filter in front of a server.

    Attributes:
        allow_methods: methods that a preflight allows.
        allow_headers: request headers that a preflight allows; a name may end in `*`.
        expose_headers: response headers that a page may read.
        max_age: seconds for which a browser may cache a preflight.
        allow_credentials: whether cookies may be sent; bearer tokens do not need it.
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
        "mcp-param-*",
        "traceparent",
        "tracestate",
    )
    expose_headers: tuple[str, ...] = ("WWW-Authenticate", "Mcp-Session-Id", "MCP-Protocol-Version")
    max_age: int = 600
    allow_credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """When and how keys are fetched, with the defaults of both forms of file. Times are in seconds.

    Attributes:
        min_age: shortest time between scheduled fetches, whatever Cache-Control says.
        max_age: longest time between them.
        default_age: time between them if Cache-Control says nothing.
        cooldown: shortest time between fetches caused by unknown key ids.
        unknown_for: how long a key id that a fetch did not return is not looked up again.
        max_unknown: how many such key ids are remembered for an issuer.
        retry: first pause after a failed fetch; each further failure doubles it, up to `min_age`.
        stale_for: how long keys that could not be refreshed stay in use.
        timeout: for one key set, discovery included.
        max_bytes: largest document.
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
        cert_file: the service's certificate chain.
        key_file: its private key.
        client_ca_file: the authorities whose certificates a client may present.
    """

    cert_file: str
    key_file: str
    client_ca_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How the service shuts down, with the defaults of both forms of file. Times are in seconds.

    Attributes:
        grace: how long it keeps answering after its health says NOT_SERVING. Envoy checks every two seconds and acts on
            the first NOT_SERVING, so within the default every Envoy has checked once.
        limit: how long open calls and streams may then still take.
    """

    grace: float = 3.0
    limit: float = 10.0


class AuditFormat(StrEnum):
    """How an audit record is written."""

    JSON = "json"
    OCSF = "ocsf"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTerms:
    """What audit records hold, and where they go.

    Attributes:
        claims: paths of the claims that records hold beyond the caller's identity.
        format: how they are written.
        file: path of the file that gets them, empty for stdout. Read at the start only, as is `otlp`.
        otlp: URL of the collector that gets them instead, empty for none.
        subject_key: key under which the caller's `sub` is hashed; empty to leave it as it is.
    """

    claims: tuple[tuple[str, ...], ...] = ()
    format: AuditFormat = AuditFormat.JSON
    file: str = ""
    otlp: str = ""
    subject_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingTerms:
    """Where spans go, and how many. Read at the start only.

    Attributes:
        endpoint: URL that takes them, empty to trace nothing.
        percent: of the requests that nobody else traces, those that begin a trace.
        queue: spans that may wait to be sent.
        agent_authorization: whether spans have the attributes that are only drafted for decisions about agents.
    """

    endpoint: str = ""
    percent: float = 1.0
    queue: int = 2048
    agent_authorization: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings.

    Attributes:
        grpc: address of the gRPC services.
        http: address of metadata, metrics and health.
        directory: the protected servers.
        keys: where each issuer's keys come from, by `iss`.
        introspections: how each issuer is asked about tokens that it has to be asked about, by `iss`.
        upstreams: URL of each server behind Envoy, by the server's name; a server without one is not rendered.
        cors: settings of the CORS filter, by the server's name.
        tools: tools and patterns of tools that rules name, by server; metrics count by them.
        limits: bounds on messages.
        max_body: largest request body in bytes.
        max_list: largest list in bytes that is filtered.
        list_items: most items of one list.
        list_values: most JSON values of one answer or event.
        held: bytes that one worker holds of all responses together. Read at the start only, like the three above.
        check_seconds: time for one decision.
        tokens: verified tokens that are remembered.
        calls: gRPC calls of one method that may be under way in one worker; None to let the machine say. Read at the start
            only.
        digest: names this policy in records and metrics.
        audit: what audit records hold, and where they go.
        tracing: where spans go, and how many.
        warnings: findings that do not prevent use.
        insecure_hosts: hosts from which keys and discovery documents may be fetched over plain http, in lower case;
            loopback is always allowed.
        fetching: when and how keys are fetched.
        tls: mutual TLS on the gRPC port; None for plain text.
        authorities: the only certificate authorities trusted when keys are fetched, in PEM; None for the system's.
        candidate: settings whose decisions are compared with these and never applied.
        files: the content of every file that these settings come from, by path.
        locks: path of the lock file of each server that has one, by the server's name.
        workers: worker processes; None for the machine's number of cores. Read only at start, like the addresses.
        drain: how the service shuts down.
        session_keys: keys that bind session ids: the first signs, each verifies; if empty, the process makes its own.
        stream_grace: seconds for which a response may stay open after its caller's token is no longer accepted.
        stream_shares: how many streams may be under way at once in one worker.
        quiet: seconds of silence after steady traffic that count as a problem of Envoy; 0 for never. Read at the start only.
        console: whether `/` of the HTTP address shows the console. Read at the start only.
        personas: claims by name, from the file's tests; the console offers them.
        every_answer: whether every response passes the rewriter, so that none outlives its token for longer than that.
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
    list_items: int = MAX_ITEMS
    list_values: int = MAX_VALUES
    held: int = MAX_HELD
    check_seconds: float
    tokens: int
    digest: str
    audit: AuditTerms = AuditTerms()
    tracing: TracingTerms = TracingTerms()
    warnings: tuple[Problem, ...] = field(default=())
    insecure_hosts: frozenset[str] = frozenset()
    fetching: Fetching = Fetching()
    tls: GrpcTls | None = None
    authorities: str | None = field(default=None, repr=False)
    candidate: "Settings | None" = None
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    locks: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    calls: int | None = None
    drain: Drain = Drain()
    introspections: Mapping[str, Introspection] = field(default_factory=dict)
    session_keys: tuple[bytes, ...] = field(default=(), repr=False)
    stream_grace: float = 60.0
    stream_shares: StreamShares = field(default_factory=StreamShares)
    every_answer: bool = False
    quiet: float = 40.0
    console: bool = True
    personas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def read(self) -> dict[str, str]:
        """The fingerprint of every file that these settings come from, by path."""
        return {path: fingerprint(content) for path, content in self.files.items()}
