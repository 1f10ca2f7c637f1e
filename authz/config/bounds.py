"""The sections `limits` and `keys` of a native file, as the settings hold them."""

from typing import TypedDict

from authz.config.native import Keys
from authz.config.native import Limits as LimitsModel
from authz.config.settings import Fetching
from authz.core.limits import Limits


class Bounds(TypedDict):
    """Those members of `Settings` that bound requests; each has its meaning there."""

    limits: Limits
    max_body: int
    max_list: int
    check_seconds: float
    tokens: int


def bounds_of(model: LimitsModel) -> Bounds:
    """Give the bounds that a file asks for; those of a file that says nothing where `model` is the default."""
    return Bounds(
        limits=Limits(depth=model.depth, name=model.name_chars, items=model.items, args=model.args_bytes),
        max_body=model.body_bytes,
        max_list=model.list_bytes,
        check_seconds=model.check_ms / 1000,
        tokens=model.tokens,
    )


def fetching_of(keys: Keys) -> Fetching:
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
