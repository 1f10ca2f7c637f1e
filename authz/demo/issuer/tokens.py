"""Signing keys and tokens in a provider's shape: good tokens, and tokens that are each wrong in one way.

Nothing here listens, and nothing checks who requests a token; `authz.demo.issuer.app` serves the tokens, on loopback only.
"""

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from authz.demo.issuer.shapes import ROLES_CLAIM, SHAPES
from authz.demo.issuer.token_fields import AUDIENCE, TokenFields

__all__ = ["AUDIENCE", "BAD_TOKENS", "ROLES_CLAIM", "SigningKey", "TokenFields", "TokenIssuer"]

_RSA_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key and its id in the key set."""

    kid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        repr=False,
    )

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JWK (RFC 7517 section 4, RFC 7518 section 6.3.1)."""
        numbers = self.private.public_key().public_numbers()
        n, e = _number(numbers.n), _number(numbers.e)
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e}

    def pem(self) -> bytes:
        """Return the public key in PEM."""
        pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(pem, info)

    def sign(self, data: bytes) -> bytes:
        """Return the RS256 signature of the data (RFC 7518 section 3.3)."""
        return self.private.sign(data, padding.PKCS1v15(), SHA256())


class TokenIssuer:
    """Signing keys, and the tokens that they sign. Any thread may read while one thread changes the keys.

    Attributes:
        url: the issuer identifier, with a trailing slash like Auth0's.
        keys: the published keys; the first one signs.
        clock: returns seconds since the epoch.
        shape: how the provider writes its tokens.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        key: SigningKey | None = None,
        idp: str = "auth0",
    ) -> None:
        """Start with `key`, or with a new key if it is None.

        Args:
            url: the issuer identifier.
            clock: returns seconds since the epoch.
            key: signs.
            idp: the provider whose tokens are imitated, of `authz.demo.issuer.shapes.SHAPES`.
        """
        self.url = url
        self.shape = SHAPES[idp]
        self.keys: tuple[SigningKey, ...] = (key or SigningKey(),)
        self.clock = clock

    @property
    def jwks_uri(self) -> str:
        """The URL of the key set."""
        return f"{self.url}.well-known/jwks.json"

    def now(self) -> int:
        """Return the issuer's time in seconds since the epoch."""
        return int(self.clock())

    def rotate(self) -> str:
        """Switch to a new signing key, keep the old ones published, and return the new key's id."""
        key = SigningKey()
        self.keys = (key, *self.keys)
        return key.kid

    def revoke(self, kid: str) -> None:
        """Stop publishing a key.

        Raises:
            ValueError: the key is not published, or it is the one that signs (rotate first).
        """
        if self._key(kid) is self.keys[0]:
            msg = "the key that signs cannot be revoked"
            raise ValueError(msg)
        self.keys = tuple(key for key in self.keys if key.kid != kid)

    def jwks(self) -> dict[str, Any]:
        """Return the key set (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key in self.keys]}

    def claims(self, **fields: Any) -> dict[str, Any]:
        """Return the claims of an access token, for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
        """
        wanted, now = TokenFields(**fields), self.now()
        claims = {
            "iss": self.url,
            "iat": min(now, now + wanted.ttl),
            "exp": now + wanted.ttl,
            **self.shape.claims(wanted, self.url),
            **wanted.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **fields: Any) -> str:
        """Return a signed access token for the given `TokenFields`.

        Raises:
            TypeError: there is no such field.
            ValueError: no key with that `kid` is published.
        """
        key = self._key(fields.get("kid") or self.keys[0].kid)
        typ = {"typ": "JWT"} if self.shape.typed else {}
        return _compact({"alg": "RS256", **typ, "kid": key.kid}, self.claims(**fields), key.sign)

    def _key(self, kid: str) -> SigningKey:
        for key in self.keys:
            if key.kid == kid:
                return key
        msg = "no key with this kid is published"
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
"""Makers of tokens that must be rejected, by what is wrong with the token."""


def _compact(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    signed = f"{_json(header)}.{_json(claims)}"
    return f"{signed}.{_base64(sign(signed.encode()))}"


def _json(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
