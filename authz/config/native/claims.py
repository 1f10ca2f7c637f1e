"""The section `claims` of an issuer: where its tokens hold what is read of them.

A claim is written by its name, or by the list of names that lead to it: `[realm_access, roles]` is the member `roles` of
the claim `realm_access`. A name with dots is one name, as in `https://example.com/roles`.
"""

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from authz.config.addresses import is_http
from authz.config.validation import Section, Text
from authz.config.yaml_document import Path
from authz.core.identity.issuer import ClaimPath

_MAX_DEPTH = 8


def _as_path(value: Any) -> Any:
    """Accept one name or a list of names.

    Raises:
        ValueError: it is neither.
    """
    names = [value] if isinstance(value, str) else value
    listed = isinstance(names, list) and 0 < len(names) <= _MAX_DEPTH
    if listed and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    msg = "a claim is a name, or the list of names that lead to it, as in [realm_access, roles]"
    raise ValueError(msg)


def _as_path_or_none(value: Any) -> Any:
    """Accept a claim, or `false` for none."""
    return () if value is False else _as_path(value)


ClaimName = Annotated[
    tuple[Text, ...],
    BeforeValidator(_as_path),
    Field(
        json_schema_extra={
            "type": ["string", "array"],
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": _MAX_DEPTH,
        }
    ),
]


ClaimNameOrFalse = Annotated[
    tuple[Text, ...],
    BeforeValidator(_as_path_or_none),
    Field(json_schema_extra={"type": ["string", "array", "boolean"], "items": {"type": "string"}}),
]


class Claims(Section):
    """The claims that hold scopes, roles, groups, client, subject and audience: a name, or a list that is a path."""

    scopes: ClaimName = Field(("scope",), description="space-separated string or list")
    permissions: ClaimNameOrFalse | None = Field(
        None,
        description="list of further scopes, or false for none; default: permissions where the issuer is Auth0's",
    )
    roles: ClaimName = Field(("roles",), description="list of strings, or one string")
    groups: ClaimName = Field(("groups",), description="list of strings, or one string")
    client: ClaimName | None = Field(None, description="default: azp, else client_id")
    subject: ClaimName = Field(("sub",), description="a string")
    audience: ClaimName = Field(("aud",), description="string or list; one of the audiences must be in it")

    def permissions_of(self, issuer: str) -> ClaimPath | None:
        """Return the claim with the permissions of an issuer, None if none is read."""
        if self.permissions is not None:
            return self.permissions or None
        return usual_permissions(issuer)

    def dotted(self) -> Iterator[tuple[Path, str, str]]:
        """Yield each name that is probably meant as a path: its key, the finding, and the cure."""
        for key in type(self).model_fields:
            path: ClaimPath | None = getattr(self, key)
            if path and len(path) == 1 and looks_like_path(path[0]):
                yield (key,), *_finding(path[0])


def usual_permissions(issuer: str) -> ClaimPath | None:
    """Return the claim in which Auth0 lists what its RBAC grants; None for another issuer, where it can mean anything."""
    host = (urlsplit(issuer).hostname or "") if is_http(issuer) else ""
    return ("permissions",) if host.endswith(_AUTH0) else None


_AUTH0 = ".auth0.com"


def looks_like_path(name: str) -> bool:
    """Return whether the name of a claim has dots and is no URI, whose dots are part of a name."""
    return "." in name.strip(".") and ":" not in name and "/" not in name


def _finding(name: str) -> tuple[str, str]:
    members = ", ".join(part for part in name.split(".") if part)
    return f"{name} is one claim, whose name has dots", f"for a claim within another write [{members}]"
