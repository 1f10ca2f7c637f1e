"""The native policy file as typed models; the meaning of each key stands beside it and in its JSON Schema."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from authz.config.addresses import (
    check_address,
    check_authority,
    check_endpoint,
    check_host,
    check_http_url,
    check_tcp_address,
)
from authz.config.casefile import CasesModel
from authz.config.settings import Fetching
from authz.core.arguments import TYPES, Arguments
from authz.core.limits import DEFAULT_LIMITS

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
Word = Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]{1,256}$")]
"""A scope or role: RFC 6749 section 3.3's characters, so that it can stand in a challenge."""
Url = Annotated[str, AfterValidator(check_http_url)]
Address = Annotated[str, AfterValidator(check_address)]
TcpAddress = Annotated[str, AfterValidator(check_tcp_address)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Authority = Annotated[str, AfterValidator(check_authority)]
Host = Annotated[str, AfterValidator(check_host)]

_FETCHING = Fetching()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Listen(_Model):
    """Where the service listens; the flags of `serve` win."""

    grpc: Address = Field("127.0.0.1:9001", description="host:port, or unix:/path/to.sock")
    http: TcpAddress = Field("127.0.0.1:9002", description="host:port of metadata, metrics and health")


class Limits(_Model):
    """Bounds; whatever is over one is refused."""

    body_bytes: int = Field(1_048_576, ge=1024, le=67_108_864, description="largest request body")
    depth: int = Field(
        DEFAULT_LIMITS.depth, ge=8, le=512, description="nesting of JSON containers in a request"
    )
    name_chars: int = Field(
        DEFAULT_LIMITS.name, ge=64, le=65_536, description="length of a name, URI, task id, method or id"
    )
    items: int = Field(
        DEFAULT_LIMITS.items, ge=1, le=10_000, description="resources one subscription may name"
    )
    args_bytes: int = Field(
        DEFAULT_LIMITS.args,
        ge=1024,
        le=1_048_576,
        description="largest request whose arguments an expression may read",
    )
    list_bytes: int = Field(
        16_777_216, ge=65_536, le=268_435_456, description="largest list or event that is trimmed"
    )
    check_ms: int = Field(450, ge=10, le=60_000, description="time for one decision; a later yes is a no")
    tokens: int = Field(10_000, ge=16, le=1_000_000, description="verified tokens that are remembered")


class Keys(_Model):
    """When and how the issuers' keys are fetched."""

    min_age_seconds: int = Field(
        int(_FETCHING.min_age), ge=1, le=86_400, description="shortest time between scheduled fetches"
    )
    max_age_seconds: int = Field(
        int(_FETCHING.max_age), ge=1, le=86_400, description="longest, whatever Cache-Control says"
    )
    default_age_seconds: int = Field(
        int(_FETCHING.default_age), ge=1, le=86_400, description="where Cache-Control says nothing"
    )
    cooldown_seconds: int = Field(
        int(_FETCHING.cooldown),
        ge=1,
        le=3600,
        description="shortest time between fetches that unknown key names cause",
    )
    unknown_for_seconds: int = Field(
        int(_FETCHING.unknown_for),
        ge=1,
        le=86_400,
        description="how long a key name is not asked for again in vain",
    )
    unknown_names: int = Field(
        _FETCHING.max_unknown, ge=1, le=10_000, description="such names remembered for an issuer"
    )
    retry_seconds: int = Field(
        int(_FETCHING.retry), ge=1, le=600, description="first pause after a failed fetch; it doubles"
    )
    stale_for_seconds: int = Field(
        int(_FETCHING.stale_for),
        ge=60,
        le=2_592_000,
        description="how long keys live that could not be confirmed",
    )
    timeout_seconds: int = Field(
        int(_FETCHING.timeout), ge=1, le=60, description="for one key set, discovery included"
    )
    document_bytes: int = Field(
        _FETCHING.max_bytes, ge=1024, le=16_777_216, description="largest document fetched"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "Keys":
        if not self.min_age_seconds <= self.max_age_seconds <= self.stale_for_seconds:
            msg = "min_age_seconds, max_age_seconds and stale_for_seconds must not decrease in this order"
            raise ValueError(msg)
        return self


class Claims(_Model):
    """Which claims hold what."""

    scopes: Text = Field("scope", description="space-separated string or list")
    roles: Text = Field("roles", description="list of strings, or one string")
    client: Text | None = Field(None, description="default: azp, else client_id")


def _one_sentence(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Say once what a value may be, where pydantic would say it for each alternative."""
    try:
        return validate(value)
    except ValidationError:
        msg = "a string, a whole number, true, false or null is needed"
        raise ValueError(msg) from None


ClaimValue = Annotated[str | int | bool | None, WrapValidator(_one_sentence)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Issuer(_Model):
    """An OpenID Connect issuer and the terms on which its access tokens are accepted."""

    issuer: Url = Field(description="the iss claim, compared exactly, final slash included")
    audiences: Annotated[list[Text], Field(min_length=1, description="one of them must be in aud")]
    jwks_uri: Url | None = Field(None, description="default: from the issuer's discovery document")
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256"]
    claims: Claims = Claims()
    leeway_seconds: int = Field(60, ge=0, le=600)
    required_claims: dict[str, ClaimValue] = Field(default_factory=dict)
    max_token_age_seconds: int | None = Field(None, ge=1)
    allowed_clients: list[Text] | None = None


class Select(_Model):
    """Names with `*`; resources by URI."""

    tools: list[Text] = []
    prompts: list[Text] = []
    resources: list[Text] = []
    tasks: list[Text] = []

    @model_validator(mode="after")
    def _names_something(self) -> "Select":
        if not (self.tools or self.prompts or self.resources or self.tasks):
            msg = "selects nothing: name tools, prompts, resources or tasks"
            raise ValueError(msg)
        return self


def _argument_type(text: str) -> str:
    """Accept the name of a type that `core.arguments` can test; its error names them all."""
    Arguments({"": text})
    return text


ArgumentType = Annotated[
    str,
    AfterValidator(_argument_type),
    Field(json_schema_extra={"enum": [name + mark for name in TYPES for mark in ("", "?")]}),
]
DenialStyle = Literal["auto", "jsonrpc", "http"]


class RuleModel(_Model):
    """One rule: what it selects and what it asks."""

    name: Name | None = Field(None, description="default: rule-N by position")
    allow: Select | None = None
    deny: Select | None = None
    scopes: list[Word] = Field([], description="all are needed")
    any_scopes: list[Word] = Field([], description="one is needed")
    roles: list[Text] = Field([], description="one is needed")
    when: Text | None = Field(None, description="CEL; must not read args")
    args: Text | None = Field(None, description="CEL; may read args")
    arguments: dict[Text, ArgumentType] | None = Field(
        None, description="types of the call's arguments; ? for one that may be left out"
    )
    extra: Literal["allow", "deny"] | None = Field(
        None, description="arguments that are not declared; default allow"
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


class ServerModel(_Model):
    """One protected MCP server."""

    resource: Endpoint = Field(description="the public URL; its host and path select this server")
    upstream: Url | None = Field(None, description="where the server really is; read by `mcp-authz envoy`")
    hosts: list[Authority] = Field([], description="further authorities that select this server; * for any")
    issuers: Annotated[list[Name], Field(min_length=1)]
    audiences: list[Text] = Field([], description="narrows the issuers' audiences for this server")
    origins: list[Text] = Field([], description="browsers that may call; * for any")
    rules: list[RuleModel] = []
    methods: dict[Text, Literal["allow"]] = Field({}, description="methods outside the table that are open")
    token: Literal["remove", "forward"] = "remove"
    denial: DenialStyle = "auto"
    hide: bool = False
    scopes: list[Word] = Field([], description="scopes a client should ask for first")
    resource_name: Text | None = None
    resource_documentation: Url | None = None


class PolicyFile(_Model):
    """The whole file."""

    listen: Listen = Listen()
    limits: Limits = Limits()
    issuers: Annotated[dict[Name, Issuer], Field(min_length=1)]
    servers: Annotated[dict[Name, ServerModel], Field(min_length=1)]
    insecure_hosts: list[Host] = Field([], description="hosts that may give keys over plain http")
    keys: Keys = Keys()
    ca_file: Text | None = Field(
        None, description="PEM file, relative to this one: the only authorities trusted when keys are fetched"
    )
    candidate: Text | None = Field(
        None, description="policy file, relative to this one: evaluated beside it, never applied"
    )
    tests: CasesModel = CasesModel()


def schema() -> dict[str, Any]:
    """Give the file's JSON Schema (draft 2020-12), for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PolicyFile.model_json_schema()}
