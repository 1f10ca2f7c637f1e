"""The native policy file as typed models; each key is described here and in the JSON Schema."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    model_validator,
)

from authz.config.addresses import (
    check_address,
    check_authority,
    check_endpoint,
    check_host,
    check_tcp_address,
)
from authz.config.native.audit import AuditModel
from authz.config.native.cases import CasesModel
from authz.config.native.issuers import IssuerModel, Url
from authz.config.native.limits import DrainModel, KeysModel, LimitsModel
from authz.config.native.observability import ObservabilityModel
from authz.config.native.rewrite import RewriteModel
from authz.config.native.rule_model import Definition, DenialStyle, Name, RuleModel, Word
from authz.config.native.sessions import SessionsModel, StreamsModel
from authz.config.settings import MAX_CORS_AGE, MAX_WORKERS
from authz.config.validation import Section, Text

Address = Annotated[str, AfterValidator(check_address)]
TcpAddress = Annotated[str, AfterValidator(check_tcp_address)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Authority = Annotated[str, AfterValidator(check_authority)]
Host = Annotated[str, AfterValidator(check_host)]


class ListenTls(Section):
    """Mutual TLS on the gRPC port: only an Envoy with a certificate of this authority may connect."""

    cert_file: Text = Field(description="PEM file, relative to this one: the service's certificate")
    key_file: Text = Field(description="PEM file with its private key")
    client_ca_file: Text = Field(description="PEM file: the authorities whose certificates Envoy may show")


class Listen(Section):
    """Where the service listens; the flags of `serve` take precedence."""

    grpc: Address = Field("127.0.0.1:9001", description="host:port, or unix:/path/to.sock")
    http: TcpAddress = Field("127.0.0.1:9002", description="host:port of metadata, metrics and health")
    tls: ListenTls | None = Field(None, description="mutual TLS for gRPC; HTTP stays plain text")


_HEADER = "[A-Za-z0-9!#$%&'+.^_`|~-]+"
HeaderName = Annotated[str, StringConstraints(pattern=f"^{_HEADER}$", max_length=64)]
HeaderPattern = Annotated[str, StringConstraints(pattern=rf"^{_HEADER}\*?$", max_length=64)]


class CorsModel(Section):
    """What browsers of the listed origins may send and read, besides what MCP needs."""

    allow_headers: list[HeaderPattern] = Field(
        [],
        description="further request headers; a name may end in *, as mcp-param-* does, which is always allowed",
    )
    expose_headers: list[HeaderName] = Field([], description="further response headers that a page may read")
    max_age: int = Field(
        600, ge=0, le=MAX_CORS_AGE, description="seconds that a browser may keep a preflight's answer"
    )


class LockModel(Section):
    """What of a server was approved, and what becomes of the rest."""

    file: Text = Field(description="made by `mcp-authz lock`, relative to this file")
    changed: Literal["hide", "refuse", "report"] = Field(
        "hide",
        description="an item that is not as approved: hide cuts it from lists and refuses its calls, refuse also "
        "refuses the list it stands in, report only counts it",
    )
    unlisted: Literal["hide", "allow"] = Field(
        "hide", description="an item that the lock does not name: hide cuts it and refuses its calls"
    )
    keep_seconds: int = Field(
        86_400, ge=60, le=31_536_000, description="how long a change counts that no list has shown again"
    )


class ServerModel(Section):
    """One protected MCP server."""

    resource: Endpoint = Field(description="the public URL; its host and path select this server")
    upstream: Url | None = Field(
        None, description="the URL of the server behind Envoy; read by `mcp-authz envoy`"
    )
    hosts: list[Authority] = Field([], description="further authorities that select this server; * for any")
    issuers: Annotated[list[Name], Field(min_length=1)]
    authorization_servers: list[Name] | None = Field(
        None, description="the issuers that the metadata document names; default: every one that is a URL"
    )
    audiences: list[Text] = Field([], description="narrows the issuers' audiences for this server")
    origins: list[Text] = Field([], description="browsers that may call; * for any")
    cors: CorsModel = CorsModel()
    rules: list[RuleModel] = Field([])
    lock: LockModel | None = Field(None, description="the tool lock: only what was approved is served")
    arguments: Literal["locked"] | None = Field(
        None, description="locked: every call's arguments must fit the input schema in the lock"
    )
    extra: Literal["allow", "deny"] | None = Field(
        None, description="with arguments: locked, what happens to arguments that a schema does not name"
    )
    methods: dict[Text, Literal["allow"]] = Field(
        {}, description="further methods that every valid token may use"
    )
    token: Literal["remove", "forward"] = "remove"
    denial: DenialStyle = "auto"
    hide: bool = False
    lists: Literal["callable", "reachable"] = Field(
        "callable", description="reachable also lists what nothing but scope keeps from the caller"
    )
    rewriter: Literal["required", "optional"] = Field(
        "required", description="optional: let lists pass untrimmed where Envoy has no rewriter"
    )
    rewrite: RewriteModel = RewriteModel()
    scopes: list[Word] = Field([], description="scopes that a client should request first")
    resource_name: Text | None = None
    resource_documentation: Url | None = None

    @model_validator(mode="after")
    def _locked(self) -> "ServerModel":
        if self.arguments is not None and self.lock is None:
            msg = "arguments: locked needs a lock: name its file, made by `mcp-authz lock`"
            raise ValueError(msg)
        if self.extra is not None and self.arguments is None:
            msg = "extra is about arguments that a locked schema does not name: write arguments: locked"
            raise ValueError(msg)
        return self


class PolicyFile(Section):
    """The whole file."""

    listen: Listen = Listen()
    workers: int | None = Field(
        None,
        ge=1,
        le=MAX_WORKERS,
        description="worker processes; default: one a core, or one behind a Unix socket",
    )
    drain: DrainModel = DrainModel()
    limits: LimitsModel = LimitsModel()
    issuers: Annotated[dict[Name, IssuerModel], Field(min_length=1)]
    servers: Annotated[dict[Name, ServerModel], Field(min_length=1)]
    audit: AuditModel = AuditModel()
    observability: ObservabilityModel = ObservabilityModel()
    define: dict[Text, Definition] = Field({}, description="names for conditions, and for lists of names")
    insecure_hosts: list[Host] = Field([], description="hosts from which keys may be fetched over plain http")
    keys: KeysModel = KeysModel()
    sessions: SessionsModel = SessionsModel()
    streams: StreamsModel = StreamsModel()
    ca_file: Text | None = Field(
        None, description="PEM file, relative to this one: the only authorities trusted when keys are fetched"
    )
    candidate: Text | None = Field(
        None, description="policy file, relative to this one: evaluated beside it, never applied"
    )
    tests: CasesModel = CasesModel()


def schema() -> dict[str, Any]:
    """Return the file's JSON Schema (draft 2020-12), for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PolicyFile.model_json_schema()}
