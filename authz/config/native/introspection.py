"""The section `introspection` of an issuer: how it is asked about opaque tokens (RFC 7662).

The policy file never contains the secret, because people show and compare that file.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from authz.config.addresses import check_http_url
from authz.config.settings import Introspection
from authz.config.validation import Section, Text

_DEFAULTS = Introspection(issuer="", endpoint="", client_id="")


class IntrospectionModel(Section):
    """How the issuer is asked whether a token is active."""

    endpoint: Annotated[str, AfterValidator(check_http_url)] = Field(
        description="URL of the issuer's introspection endpoint"
    )
    client_id: Text = Field(description="the client as which this service asks")
    client_secret_file: Text | None = Field(
        None, description="file with the client's secret, relative to this one"
    )
    private_key_jwt: Text | None = Field(
        None, description="PEM file with the client's private key (RFC 7523), instead of a secret"
    )
    key_id: Text | None = Field(None, description="the kid of that key")
    cache_seconds: int = Field(
        _DEFAULTS.cache_seconds,
        ge=0,
        le=3600,
        description="how long an answer is used, and so how late a revocation is noticed",
    )
    negative_seconds: int = Field(
        _DEFAULTS.negative_seconds, ge=0, le=300, description="how long a token that is not active stays so"
    )
    timeout_seconds: int = Field(_DEFAULTS.timeout, ge=1, le=30, description="for one question")
    concurrent: int = Field(
        _DEFAULTS.concurrent, ge=1, le=10_000, description="questions under way at once in one worker"
    )
    waiting: int = Field(
        _DEFAULTS.waiting, ge=0, le=100_000, description="questions that wait for their turn in one worker"
    )
    signed: bool = Field(default=False, description="answers must be signed by the issuer (RFC 9701)")

    @model_validator(mode="after")
    def _one_secret(self) -> "IntrospectionModel":
        if (self.client_secret_file is None) == (self.private_key_jwt is None):
            msg = "the service proves who it is by one of client_secret_file and private_key_jwt"
            raise ValueError(msg)
        if self.key_id is not None and self.private_key_jwt is None:
            msg = "key_id names the key of private_key_jwt"
            raise ValueError(msg)
        return self
