"""Decode a token without verifying anything, however wrong the token is."""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

_SEGMENTS = {
    1: "the token is opaque, so only its issuer can read it; with Auth0, ask for an audience",
    5: "the token is encrypted, so only its audience can read it; with Auth0, ask for an audience",
}


class UnreadableError(ValueError):
    """The token cannot be decoded; the text says why and contains no part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInspection:
    """A decoded token.

    Attributes:
        header: the JOSE header.
        claims: the claims set.
    """

    header: dict[str, Any]
    claims: dict[str, Any]


def decode(token: str) -> TokenInspection:
    """Return a token's header and claims (RFC 7519 section 3).

    Raises:
        UnreadableError: the token is not a signed token whose header and payload are JSON objects.
    """
    segments = token.split(".")
    if len(segments) != 3:
        raise UnreadableError(_SEGMENTS.get(len(segments), "a signed token has three segments"))
    return TokenInspection(header=_object(segments[0], "header"), claims=_object(segments[1], "payload"))


def _object(segment: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        msg = f"the token's {what} is not a JSON object in base64url"
        raise UnreadableError(msg)
    return value
