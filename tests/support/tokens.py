"""Keys and tokens for tests: good ones, and ones that are broken by hand in exactly one place."""

import base64
import json
import time
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from authz.core.identity.issuer import IssuerTerms
from authz.core.identity.jwks import KeySet, read_key_set

NOW = 1_790_000_000.0
"""When it is in tests that are given the time."""
A_DAY = 86_400
ISSUER = "https://issuer.example/"
AUDIENCE = "https://mcp.example/mcp"
KID = "key-1"

_SIGNERS = get_default_algorithms()
_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}


@cache
def rsa_key(bits: int = 2048, exponent: int = 65537, serial: int = 0) -> rsa.RSAPrivateKey:
    """Give an RSA key, made once per process; another `serial` gives another key of the same size."""
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits)


@cache
def ec_key(curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Give a key on the named curve, made once per process."""
    return ec.generate_private_key(_CURVES[curve])


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    """Give an Ed25519 key, made once per process."""
    return ed25519.Ed25519PrivateKey.generate()


def b64(data: bytes) -> str:
    """Encode as JOSE does: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """Give the public half as a JWK; `members` are added, those that are None are left out."""
    families = ((rsa.RSAPrivateKey, RSAAlgorithm), (ec.EllipticCurvePrivateKey, ECAlgorithm))
    family = next((f for kind, f in families if isinstance(private, kind)), OKPAlgorithm)
    public = family.to_jwk(private.public_key(), as_dict=True)
    public.pop("key_ops", None)
    return {name: value for name, value in {**public, "kid": KID, **members}.items() if value is not None}


def key_set(*jwks: Any) -> KeySet:
    """Read the given JWKs as one published set."""
    return read_key_set(json.dumps({"keys": jwks}).encode())


@cache
def good_keys() -> KeySet:
    """Give the set that holds the default RSA key under the default name."""
    return key_set(jwk(rsa_key(), use="sig", alg="RS256"))


def trust(**changes: Any) -> IssuerTerms:
    """Give the terms for the default issuer."""
    return IssuerTerms(**{"issuer": ISSUER, "audiences": frozenset({AUDIENCE}), **changes})


def claims(**changes: Any) -> dict[str, Any]:
    """Give acceptable claims with `changes`; a change to `...` leaves the claim out."""
    base = {
        "iss": ISSUER,
        "sub": "auth0|alice",
        "aud": AUDIENCE,
        "azp": "client-1",
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 600,
        "scope": "files:read files:delete",
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


def current(**changes: Any) -> dict[str, Any]:
    """Return claims that are acceptable by the host's clock, and for longer than any run of the tests takes."""
    now = int(time.time())
    return claims(**{"iat": now - 10, "exp": now + A_DAY, **changes})


def sign(signing_input: str, private: Any, alg: str = "RS256") -> str:
    """Sign the ASCII text as it stands and give the third segment."""
    return b64(_SIGNERS[alg].sign(signing_input.encode(), private))


def compact(header: Any, payload: Any, private: Any = None, alg: str = "RS256") -> str:
    """Sign a header and payload of any content; bytes go in as they are, other values as JSON."""
    segments = [
        b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)
    ]
    signing_input = ".".join(segments)
    return f"{signing_input}.{sign(signing_input, private or rsa_key(), alg)}"


def good_header(**changes: Any) -> dict[str, Any]:
    """Give an acceptable header with `changes`; a change to `...` leaves the parameter out."""
    base = {"alg": "RS256", "typ": "JWT", "kid": KID}
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


def token(payload: Any = None, private: Any = None, **header: Any) -> str:
    """Give a token that is good but for what the arguments change; it is signed with the header's `alg` if it can be."""
    alg = header.get("alg", "RS256")
    signer = (
        alg
        if isinstance(alg, str) and alg in _SIGNERS and not alg.startswith("HS") and alg != "none"
        else "RS256"
    )
    return compact(good_header(**header), claims() if payload is None else payload, private, signer)
