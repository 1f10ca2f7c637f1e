"""What a token can be requested with from the demo issuer."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

AUDIENCE = "https://mcp-oauth-demo"
"""The audience of a token for which none is requested."""


class TokenFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that a token can be requested with.

    Attributes:
        sub: the subject.
        scope: scopes, separated by spaces.
        roles: the roles, or the groups where the provider has no roles.
        audience: the API identifier.
        client: the OAuth client.
        ttl: seconds from now to `exp`; negative for an expired token.
        kid: the id of the published key that signs; empty for the newest.
        claims: claims that replace the others; None removes a claim.
    """

    sub: str = "auth0|user"
    scope: str = ""
    roles: Sequence[str] = ()
    audience: str = AUDIENCE
    client: str = "demo-client"
    ttl: int = 3600
    kid: str = ""
    claims: Mapping[str, Any] = msgspec.field(default_factory=dict)
