"""The section `issuers` of a native file: whose access tokens are accepted, and on which terms."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from authz.config.addresses import check_http_url, check_issuer, is_http
from authz.config.native.claims import Claims
from authz.config.native.introspection import IntrospectionModel
from authz.config.validation import Section, Text

Url = Annotated[str, AfterValidator(check_http_url)]
Issuer = Annotated[str, AfterValidator(check_issuer)]
ScopePrefix = Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]{1,256}$")]


def _one_sentence(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Report once what a value may be, where pydantic would report every alternative."""
    try:
        return validate(value)
    except ValidationError:
        msg = "a string, a whole number, true, false or null is needed"
        raise ValueError(msg) from None


ClaimValue = Annotated[str | int | bool | None, WrapValidator(_one_sentence)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class IssuerModel(Section):
    """An OpenID Connect issuer and the terms on which its access tokens are accepted."""

    issuer: Issuer = Field(description="the iss claim, compared exactly, including a final slash")
    audiences: Annotated[list[Text], Field(min_length=1, description="one of them must be in aud")]
    jwks_uri: Url | None = Field(None, description="default: from the issuer's discovery document")
    jwks_file: Text | None = Field(
        None, description="file with the key set, relative to this one, instead of a URL"
    )
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = Field(["RS256"])
    claims: Claims = Claims()
    leeway_seconds: int = Field(60, ge=0, le=600)
    required_claims: dict[str, ClaimValue] = Field(default_factory=dict)
    max_token_age_seconds: int | None = Field(None, ge=1)
    allowed_clients: list[Text] | None = None
    subject: Literal["required", "optional"] = Field(
        "required", description="optional: accept tokens without sub, whose sessions are bound by sid or jti"
    )
    introspection: IntrospectionModel | None = Field(
        None, description="how the issuer is asked about opaque tokens, and without known keys about all"
    )
    refuse_id_tokens: Literal["auto"] | bool = Field(
        "auto",
        description="auto believes a token that says it is an access token; false takes ID tokens, too",
    )
    scope_prefix: ScopePrefix | None = Field(
        None, description="what a client must put before a scope when it requests one; rules leave it out"
    )

    @model_validator(mode="after")
    def _has_keys(self) -> "IssuerModel":
        if self.jwks_uri and self.jwks_file:
            msg = "jwks_uri and jwks_file exclude each other"
            raise ValueError(msg)
        introspected = self.introspection is not None and not self.introspection.signed
        if not (is_http(self.issuer) or self.jwks_uri or self.jwks_file or introspected):
            msg = "an issuer that is no URL publishes no metadata: give jwks_uri or jwks_file"
            raise ValueError(msg)
        return self

    @property
    def has_keys(self) -> bool:
        """Whether its keys are known: where it is asked about tokens, only if the file says so."""
        asked = self.introspection
        return asked is None or asked.signed or bool(self.jwks_uri or self.jwks_file)
