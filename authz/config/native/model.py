"""The native policy file as typed models; each key is described here and in the JSON Schema."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from authz.config.addresses import (
    check_address,
    check_authority,
    check_endpoint,
    check_host,
    check_tcp_address,
)
from authz.config.native.arguments import Argument
from authz.config.native.cases import CasesModel
from authz.config.native.claims import ClaimName
from authz.config.native.issuers import IssuerModel, Url
from authz.config.native.limits import DrainModel, KeysModel, LimitsModel
from authz.config.native.rewrite import RewriteModel
from authz.config.native.sessions import SessionsModel, StreamsModel
from authz.config.settings import MAX_CORS_AGE, MAX_WORKERS
from authz.config.validation import Section, Text
from authz.core.policy.rule import Groups

_OR_NAME = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
"""A list, or the name of one in `define`, which is put in its place before the model is asked."""
_SCOPE = re.compile(r"^[\x21\x23-\x5B\x5D-\x7E]{1,256}$")


def _scope(text: str) -> str:
    """Accept one scope; the error of several in one text says how to write them."""
    if _SCOPE.fullmatch(text):
        return text
    words = text.split()
    each = f"; write each as an item: [{', '.join(words)}]" if len(words) > 1 else ""
    msg = f"a scope is one word of visible ASCII characters without quotes and backslashes{each}"
    raise ValueError(msg)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Word = Annotated[str, AfterValidator(_scope), Field(json_schema_extra={"pattern": _SCOPE.pattern})]
"""A scope, in the characters of RFC 6749 section 3.3, so that a challenge can name it."""
Address = Annotated[str, AfterValidator(check_address)]
TcpAddress = Annotated[str, AfterValidator(check_tcp_address)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Authority = Annotated[str, AfterValidator(check_authority)]
Host = Annotated[str, AfterValidator(check_host)]


def _arguments_form(value: Any) -> str:
    return "[locked]" if isinstance(value, str) else "[declared]"


RuleArguments = Annotated[
    Annotated[dict[Text, Argument], Tag("[declared]")] | Annotated[Literal["locked"], Tag("[locked]")],
    Discriminator(_arguments_form),
]


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


Names = Annotated[list[Text], WithJsonSchema(_OR_NAME)]


class ToolHints(Section):
    """Tools by what the lock says of them; what it does not say counts as the worst case."""

    readOnly: bool | None = None  # noqa: N815 - MCP's own word
    destructive: bool | None = None
    idempotent: bool | None = None
    openWorld: bool | None = None  # noqa: N815 - MCP's own word

    @model_validator(mode="after")
    def _says_something(self) -> "ToolHints":
        if not self.given:
            msg = "selects nothing: write readOnly, destructive, idempotent or openWorld"
            raise ValueError(msg)
        return self

    @property
    def given(self) -> dict[str, bool]:
        """What is asked for."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def _tools_form(value: Any) -> str:
    return "[annotations]" if isinstance(value, dict | ToolHints) else "[names]"


SelectedTools = Annotated[
    Annotated[Names, Tag("[names]")] | Annotated[ToolHints, Tag("[annotations]")],
    Discriminator(_tools_form),
]


class Select(Section):
    """Names, with `*` for any text; resources by URI; tools also by their annotations in the lock."""

    tools: SelectedTools = Field([])
    prompts: Names = Field([])
    resources: Names = Field([])
    tasks: Names = Field([])

    @model_validator(mode="after")
    def _names_something(self) -> "Select":
        if not (self.tools or self.prompts or self.resources or self.tasks):
            msg = "selects nothing: name tools, prompts, resources or tasks"
            raise ValueError(msg)
        return self


def _definition(value: Any) -> Any:
    """Accept an expression, or a list of names."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(isinstance(each, str) and each for each in value):
        return value
    msg = "an expression in a string, or a list of names, is needed"
    raise ValueError(msg)


def _group(name: str) -> str:
    """Accept a group as a rule can compare it."""
    Groups.of((name,))
    return name


GroupName = Annotated[Text, AfterValidator(_group)]
DenialStyle = Literal["auto", "result", "jsonrpc", "http"]


class RuleModel(Section):
    """One rule: what it selects, and on which conditions."""

    name: Name | None = Field(None, description="default: rule-N by position")
    allow: Select | None = None
    deny: Select | None = None
    scopes: Annotated[list[Word], WithJsonSchema(_OR_NAME)] = Field([], description="all are needed")
    any_scopes: Annotated[list[Word], WithJsonSchema(_OR_NAME)] = Field([], description="one is needed")
    roles: Names = Field([], description="one is needed")
    groups: Annotated[list[GroupName], WithJsonSchema(_OR_NAME)] = Field(
        [], description="one is needed: a group's name or path, or every path below one with /* at its end"
    )
    issuers: list[Name] = Field([], description="one of them issued the token; default: any of the server's")
    when: Text | None = Field(None, description="CEL; must not read args")
    args: Text | None = Field(None, description="CEL; may read args")
    arguments: RuleArguments | None = Field(
        None,
        description="what is asked of the call's arguments: a type, with ? for one that may be left out, or a schema; "
        "locked: what the tool's input schema in the lock asks",
    )
    extra: Literal["allow", "deny"] | None = Field(
        None, description="what happens to arguments that are not declared; default allow"
    )
    shadow: bool = Field(default=False, description="evaluated and reported, never applied")
    denial: DenialStyle | None = None
    hide: bool | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> "RuleModel":
        if (self.allow is None) == (self.deny is None):
            msg = "a rule has exactly one of allow and deny"
            raise ValueError(msg)
        if self.extra is not None and self.arguments is None:
            msg = "extra is about arguments that are not declared: declare some, or write arguments: {}"
            raise ValueError(msg)
        return self


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


class AuditModel(Section):
    """What audit records hold beyond the decision and the caller's identity."""

    claims: Annotated[list[ClaimName], Field(max_length=32)] = Field(
        [], description="claims of the caller that each record holds, by name or path; default none"
    )


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
    define: dict[Text, Annotated[Any, AfterValidator(_definition), WithJsonSchema(_OR_NAME)]] = Field(
        {}, description="names for conditions, and for lists of names"
    )
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
