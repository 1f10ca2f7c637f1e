"""Keys and the tokens they sign, of the shape Auth0 gives; good ones, and ones that are wrong in one way each.

Nothing here listens or asks who wants a token: `authz.demo.issuer.app` serves it, on loopback alone.
"""

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

AUDIENCE = "https://mcp-oauth-demo"
"""The API identifier that tokens are for when none is asked for."""
ROLES_CLAIM = "https://mcp-demo/roles"

_RSA_BITS = 2048


class TokenFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked of a token.

    Attributes:
        sub: the subject.
        scope: scopes, separated by spaces.
        roles: value of `ROLES_CLAIM`.
        audience: the API identifier; `aud` is a list of it and the issuer's userinfo.
        client: `azp`.
        ttl: seconds from now to `exp`; negative for a token that expired.
        kid: which published key signs; empty for the newest.
        claims: claims to set as they are, last; None takes a claim out.
    """

    sub: str = "auth0|user"
    scope: str = ""
    roles: Sequence[str] = ()
    audience: str = AUDIENCE
    client: str = "demo-client"
    ttl: int = 3600
    kid: str = ""
    claims: Mapping[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key and its name in the key set."""

    kid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        repr=False,
    )

    def jwk(self) -> dict[str, str]:
        """Return the public half (RFC 7517 section 4, RFC 7518 section 6.3.1)."""
        numbers = self.private.public_key().public_numbers()
        n, e = _number(numbers.n), _number(numbers.e)
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e}

    def pem(self) -> bytes:
        """Return the public half in PEM."""
        pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(pem, info)

    def sign(self, data: bytes) -> bytes:
        """Sign as RS256 does (RFC 7518 section 3.3)."""
        return self.private.sign(data, padding.PKCS1v15(), SHA256())


class TokenIssuer:
    """Keys and the tokens they sign. Any thread may read while one changes it.

    Attributes:
        url: the issuer identifier, with a final slash as Auth0 has it.
        keys: what is published; the first signs.
        clock: seconds since the epoch.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], float] = time.time, key: SigningKey | None = None
    ) -> None:
        """Begin with `key`, a new one when None. `clock` gives seconds since the epoch."""
        self.url = url
        self.keys: tuple[SigningKey, ...] = (key or SigningKey(),)
        self.clock = clock

    @property
    def jwks_uri(self) -> str:
        """Where the key set is served."""
        return f"{self.url}.well-known/jwks.json"

    def now(self) -> int:
        """Return the issuer's time in seconds since the epoch."""
        return int(self.clock())

    def rotate(self) -> str:
        """Sign with a new key from now on, keep the old ones published, and return the new key's kid."""
        key = SigningKey()
        self.keys = (key, *self.keys)
        return key.kid

    def revoke(self, kid: str) -> None:
        """Publish a key no longer.

        Raises:
            ValueError: it is not published, or it is the one that signs (rotate first).
        """
        if self._key(kid) is self.keys[0]:
            msg = "the key that signs cannot be revoked"
            raise ValueError(msg)
        self.keys = tuple(key for key in self.keys if key.kid != kid)

    def jwks(self) -> dict[str, Any]:
        """Return the key set (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key in self.keys]}

    def claims(self, **fields: Any) -> dict[str, Any]:
        """Return the claims of an access token of Auth0's default profile, for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
        """
        asked, now = TokenFields(**fields), self.now()
        claims = {
            "iss": self.url,
            "sub": asked.sub,
            "aud": [asked.audience, f"{self.url}userinfo"],
            "azp": asked.client,
            "iat": min(now, now + asked.ttl),
            "exp": now + asked.ttl,
            "scope": asked.scope,
            ROLES_CLAIM: list(asked.roles),
            **asked.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **fields: Any) -> str:
        """Return a signed access token for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
            ValueError: no key of that `kid` is published.
        """
        key = self._key(fields.get("kid") or self.keys[0].kid)
        return _compact({"alg": "RS256", "typ": "JWT", "kid": key.kid}, self.claims(**fields), key.sign)

    def _key(self, kid: str) -> SigningKey:
        for key in self.keys:
            if key.kid == kid:
                return key
        msg = "no key of this kid is published"
        raise ValueError(msg)


def _expired(issuer: TokenIssuer) -> str:
    return issuer.token(claims={"iat": issuer.now() - 7200, "exp": issuer.now() - 3600})


def _not_yet_valid(issuer: TokenIssuer) -> str:
    return issuer.token(claims={"nbf": issuer.now() + 3600})


def _wrong_audience(issuer: TokenIssuer) -> str:
    return issuer.token(audience="https://another-api.example")


def _wrong_issuer(issuer: TokenIssuer) -> str:
    return issuer.token(claims={"iss": "https://another-issuer.example/"})


def _unknown_kid(issuer: TokenIssuer) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(16)}
    return _compact(header, issuer.claims(), issuer.keys[0].sign)


def _foreign_key(issuer: TokenIssuer) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": issuer.keys[0].kid}
    return _compact(header, issuer.claims(), SigningKey().sign)


def _alg_none(issuer: TokenIssuer) -> str:
    return _compact({"alg": "none", "typ": "JWT"}, issuer.claims(), lambda _: b"")


def _hs256_public_key(issuer: TokenIssuer) -> str:
    key = issuer.keys[0]
    header = {"alg": "HS256", "typ": "JWT", "kid": key.kid}
    return _compact(header, issuer.claims(), lambda data: hmac.digest(key.pem(), data, hashlib.sha256))


BAD_TOKENS: Mapping[str, Callable[[TokenIssuer], str]] = MappingProxyType(
    {
        "expired": _expired,
        "not_yet_valid": _not_yet_valid,
        "wrong_audience": _wrong_audience,
        "wrong_issuer": _wrong_issuer,
        "unknown_kid": _unknown_kid,
        "foreign_key": _foreign_key,
        "alg_none": _alg_none,
        "hs256_public_key": _hs256_public_key,
    }
)
"""Tokens that must be refused, each wrong in one way: kind to maker."""


def _compact(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    signed = f"{_json(header)}.{_json(claims)}"
    return f"{signed}.{_base64(sign(signed.encode()))}"


def _json(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
