"""The sections `limits` and `keys` of a native file, and what the settings hold of them.

A default stands where its value is used: in `core.limits` and in `settings.Fetching`, else here.
"""

from typing import TypedDict

from pydantic import Field, model_validator

from authz.config.native.section import Section
from authz.config.settings import Fetching
from authz.core import request as limits

_LIMITS = limits.DEFAULT_LIMITS
_FETCHING = Fetching()


class LimitsModel(Section):
    """Bounds; whatever is over one is refused."""

    body_bytes: int = Field(1_048_576, ge=1024, le=67_108_864, description="largest request body")
    depth: int = Field(_LIMITS.depth, ge=8, le=512, description="nesting of JSON containers in a request")
    name_chars: int = Field(
        _LIMITS.name, ge=64, le=65_536, description="length of a name, URI, task id, method or id"
    )
    items: int = Field(_LIMITS.items, ge=1, le=10_000, description="resources one subscription may name")
    args_bytes: int = Field(
        _LIMITS.args,
        ge=1024,
        le=1_048_576,
        description="largest request whose arguments an expression may read",
    )
    list_bytes: int = Field(
        16_777_216, ge=65_536, le=268_435_456, description="largest list or event that is trimmed"
    )
    check_ms: int = Field(450, ge=10, le=60_000, description="time for one decision; a later yes is a no")
    tokens: int = Field(10_000, ge=16, le=1_000_000, description="verified tokens that are remembered")
    calls: int | None = Field(
        None,
        ge=16,
        le=1_000_000,
        description="gRPC calls of one method under way in one worker; default 4096 for each core",
    )


class KeysModel(Section):
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
    def _in_order(self) -> "KeysModel":
        if not self.min_age_seconds <= self.max_age_seconds <= self.stale_for_seconds:
            msg = "min_age_seconds, max_age_seconds and stale_for_seconds must not decrease in this order"
            raise ValueError(msg)
        return self


class Bounds(TypedDict):
    """Those members of `Settings` that bound requests; each has its meaning there."""

    limits: limits.Limits
    max_body: int
    max_list: int
    check_seconds: float
    tokens: int
    calls: int | None


def bounds_of(model: LimitsModel) -> Bounds:
    """Give the bounds that a file asks for; those of a file that says nothing where `model` is the default."""
    return Bounds(
        limits=limits.Limits(
            depth=model.depth, name=model.name_chars, items=model.items, args=model.args_bytes
        ),
        max_body=model.body_bytes,
        max_list=model.list_bytes,
        check_seconds=model.check_ms / 1000,
        tokens=model.tokens,
        calls=model.calls,
    )


def fetching_of(keys: KeysModel) -> Fetching:
    """Give the way of fetching keys that a file asks for."""
    return Fetching(
        min_age=keys.min_age_seconds,
        max_age=keys.max_age_seconds,
        default_age=keys.default_age_seconds,
        cooldown=keys.cooldown_seconds,
        unknown_for=keys.unknown_for_seconds,
        max_unknown=keys.unknown_names,
        retry=keys.retry_seconds,
        stale_for=keys.stale_for_seconds,
        timeout=keys.timeout_seconds,
        max_bytes=keys.document_bytes,
    )
