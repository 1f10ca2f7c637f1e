"""The sections `limits`, `keys` and `drain` of a native file, and the settings they become.

A field has the name and the default of the setting it fills; its alias is the key in the file, which names the unit.
"""

from dataclasses import fields
from functools import partial
from typing import Any

from pydantic import Field, model_validator

from authz.config.settings import Drain, Fetching
from authz.config.validation import Section
from authz.core.request import Limits
from authz.core.response.held import MAX_HELD
from authz.core.response.item_reader import MAX_ITEMS
from authz.core.wire.width import MAX_VALUES


def _setting(defaults: object, name: str, key: str, bounds: tuple[int, int], text: str) -> Any:
    """Describe the key that fills a setting and takes its default."""
    low, high = bounds
    return Field(getattr(defaults, name), alias=key, ge=low, le=high, description=text)


_limit, _key, _drain = (partial(_setting, defaults) for defaults in (Limits(), Fetching(), Drain()))
_MIB = 1_048_576
_HOUR, _DAY = 3600, 86_400


class LimitsModel(Section):
    """Bounds on messages; a message over one of them is refused."""

    max_body: int = Field(_MIB, alias="body_bytes", ge=1024, le=64 * _MIB, description="largest request body")
    depth: int = _limit("depth", "depth", (8, 512), "nesting of JSON containers in a request")
    name: int = _limit("name", "name_chars", (64, 65_536), "length of a name, URI, task id, method or id")
    items: int = _limit("items", "items", (1, 10_000), "resources one subscription may name")
    args: int = _limit(
        "args", "args_bytes", (1024, _MIB), "largest request whose arguments an expression may read"
    )
    nodes: int = _limit("nodes", "nodes", (64, 10_000_000), "JSON values of a request")
    keys: int = _limit("keys", "keys", (64, 10_000_000), "members of a request's JSON objects together")
    normalised: int = _limit(
        "normalised",
        "normalised_chars",
        (64, _MIB),
        "characters of keys beyond ASCII that are compared with the keys that are read",
    )
    max_list: int = Field(
        16 * _MIB,
        alias="list_bytes",
        ge=65_536,
        le=256 * _MIB,
        description="largest list or event that is filtered",
    )
    list_items: int = Field(MAX_ITEMS, ge=1, le=1_000_000, description="items of one list that is filtered")
    list_values: int = Field(
        MAX_VALUES, ge=1000, le=100_000_000, description="JSON values of one answer or event that is read"
    )
    held: int = Field(
        MAX_HELD,
        alias="held_bytes",
        ge=131_072,
        le=65_536 * _MIB,
        description="what one worker holds of all responses together, half of it for one server",
    )
    check_ms: int = Field(
        450, ge=10, le=60_000, description="time for one decision; an allow that takes longer is a denial"
    )
    tokens: int = Field(10_000, ge=16, le=1_000_000, description="verified tokens that are remembered")
    quiet: int = Field(
        40,
        alias="quiet_seconds",
        ge=0,
        le=_DAY,
        description="silence after steady traffic that is reported as a problem of Envoy; 0 for never",
    )
    calls: int | None = Field(
        None,
        ge=16,
        le=1_000_000,
        description="gRPC calls of one method under way in one worker; default 4096 for each core",
    )


class KeysModel(Section):
    """When and how the issuers' keys are fetched."""

    min_age: int = _key("min_age", "min_age_seconds", (1, _DAY), "shortest time between scheduled fetches")
    max_age: int = _key("max_age", "max_age_seconds", (1, _DAY), "longest, whatever Cache-Control says")
    default_age: int = _key(
        "default_age", "default_age_seconds", (1, _DAY), "used where Cache-Control says nothing"
    )
    cooldown: int = _key(
        "cooldown", "cooldown_seconds", (1, _HOUR), "shortest time between fetches caused by unknown key ids"
    )
    unknown_for: int = _key(
        "unknown_for",
        "unknown_for_seconds",
        (1, _DAY),
        "how long a key id that a fetch did not return is not looked up again",
    )
    max_unknown: int = _key(
        "max_unknown", "unknown_names", (1, 10_000), "such key ids remembered for an issuer"
    )
    retry: int = _key("retry", "retry_seconds", (1, 600), "first pause after a failed fetch; it doubles")
    stale_for: int = _key(
        "stale_for",
        "stale_for_seconds",
        (60, 30 * _DAY),
        "how long keys that could not be refreshed stay in use",
    )
    timeout: int = _key("timeout", "timeout_seconds", (1, 60), "for one key set, discovery included")
    max_bytes: int = _key("max_bytes", "document_bytes", (1024, 16 * _MIB), "largest document fetched")

    @model_validator(mode="after")
    def _in_order(self) -> "KeysModel":
        if not self.min_age <= self.max_age <= self.stale_for:
            msg = "min_age_seconds, max_age_seconds and stale_for_seconds must not decrease in this order"
            raise ValueError(msg)
        return self


class DrainModel(Section):
    """How the service shuts down."""

    grace: float = _drain(
        "grace",
        "grace_seconds",
        (0, 300),
        "how long it keeps answering after its health says NOT_SERVING, so that Envoy notices first",
    )
    limit: float = _drain(
        "limit", "limit_seconds", (0, 300), "how long open calls and streams may then still take"
    )


def bounds_of(model: LimitsModel) -> dict[str, Any]:
    """Return the fields of `Settings` that bound messages; a default model gives those of a file without the section."""
    values = model.model_dump()
    limits = Limits(**{each.name: values.pop(each.name) for each in fields(Limits)})
    return {"limits": limits, "check_seconds": values.pop("check_ms") / 1000, **values}
