"""How this service proves to an authorization server which client it is: by a secret, or by a signature (RFC 7523)."""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz.config.settings import Introspection

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SECONDS = 60


def proof_in_headers(how: Introspection) -> Mapping[str, str]:
    """Return the header with the client's secret, none if it has a key (RFC 6749 section 2.3.1: encoded first).

    A space becomes `%20` and not `+`: every server that decodes reads it as a space, and some read `+` as a plus.
    """
    if how.private_key:
        return {}
    pair = f"{quote(how.client_id, safe='')}:{quote(how.secret, safe='')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def proof_in_form(how: Introspection, now: float) -> Mapping[str, str]:
    """Return the members of a form with what the client signed, none if it has no key (RFC 7523 section 2.2)."""
    if not how.private_key:
        return {}
    return {
        "client_id": how.client_id,
        "client_assertion_type": _TYPE,
        "client_assertion": _assertion(how, now),
    }


def _assertion(how: Introspection, now: float) -> str:
    """Return a signed proof that we are the client (RFC 7523 section 3)."""
    key = load_pem_private_key(how.private_key, None)
    claims = {
        "iss": how.client_id,
        "sub": how.client_id,
        "aud": how.issuer,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now),
        "exp": int(now) + _SECONDS,
    }
    algorithm = "RS256" if isinstance(key, RSAPrivateKey) else "ES256"
    headers = {"kid": how.key_id} if how.key_id else None
    return jwt.encode(claims, key, algorithm, headers)  # type: ignore[arg-type]  # checked when the policy is loaded
