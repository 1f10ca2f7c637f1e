"""Which keys of an issuer's published set (JWKS, RFC 7517) may verify access tokens, and for which algorithms.

Rules of this module:

* A key is admitted, or skipped with a word that says why; one bad key never costs the set. Issuers publish keys for
  encryption, for other software and for later use, in addition to the one that matters today.
* An algorithm belongs to a key, never to a token. The key's type and curve say what it can verify, its `alg` may
  narrow that, and the token's header can only name one of what is left. There is no symmetric algorithm in the table,
  so no published key can become an HMAC secret.
* A key set names keys by `kid`. Two keys under one name are both skipped, since neither reader nor issuer can say
  which was meant. A key without a name is admitted only if it is the only one, for tokens that name none.
* A key that comes with its private half is skipped: everyone who can read the set can sign with it.

Key material is built once, here; `Key.verify` is the only use of it.
"""

import binascii
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from authz.core.wire.strict_json import JSONValue, StrictJSONError, loads

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
"""Shorter moduli are weak (NIST SP 800-131A); the work of verifying grows with the square of longer ones."""
_MIN_EXPONENT, _MAX_EXPONENT = 2**16 + 1, 2**64

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
ALGORITHMS = _RSA | frozenset(_CURVES.values())
"""Every signature algorithm that some admitted key can verify; all asymmetric (RFC 7518 section 3.1, RFC 8037)."""

_PYJWT = get_default_algorithms()
_VERIFIERS: Mapping[str, Algorithm] = MappingProxyType({name: _PYJWT[name] for name in ALGORITHMS})

_MATERIAL: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}
_PARSERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetError(ValueError):
    """The document is not a JWKS. Its text is fixed and holds nothing of the document."""


class Skip(StrEnum):
    """Why a key of the set is not used."""

    MALFORMED = "malformed"
    TYPE = "type"
    PRIVATE = "private"
    USE = "use"
    ALGORITHM = "algorithm"
    WEAK = "weak"
    DUPLICATE_KID = "duplicate_kid"
    NO_KID = "no_kid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One admitted public key.

    Attributes:
        kid: its name; None for the only key of a set when it has none.
        algorithms: what it may verify, in names of RFC 7518 and RFC 8037; never empty.
        material: the parsed public key, which has no hash.
    """

    kid: str | None
    algorithms: frozenset[str]
    material: Any = field(repr=False, hash=False)

    def verify(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Return whether `signature` over `signing_input` is this key's under `alg`; False for an `alg` not its own."""
        return alg in self.algorithms and _VERIFIERS[alg].verify(signing_input, self.material, signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """What is left of one published set.

    Attributes:
        keys: admitted keys by `kid`; under None the only key, when it has no name.
        skipped: (kid or "", why) of every other entry, in the document's order.
    """

    keys: Mapping[str | None, Key] = field(default_factory=dict)
    skipped: tuple[tuple[str, Skip], ...] = ()

    def find(self, kid: str | None) -> Key | None:
        """Return the key that a token's `kid` names; `None` means a token that names none."""
        return self.keys.get(kid)


def read_key_set(data: bytes, *, max_keys: int = 100) -> KeySet:
    """Read a JWK Set document (RFC 7517 section 5).

    Args:
        data: the document, strict JSON.
        max_keys: how many entries the document may have, usable or not.

    Returns:
        The usable keys, possibly none, and why the others are not used.

    Raises:
        KeySetError: when the document is not a JWK Set, or holds more than `max_keys` entries.
    """
    entries = [_admit(entry) for entry in _entries(data, max_keys)]
    admitted = [entry for entry in entries if isinstance(entry, Key)]
    names = Counter(key.kid for key in admitted)
    keys: dict[str | None, Key] = {}
    skipped: list[tuple[str, Skip]] = []
    for entry in entries:
        result = _name(entry, names) if isinstance(entry, Key) else entry
        if isinstance(result, Key):
            keys[result.kid] = result
        else:
            skipped.append(result)
    return KeySet(keys=MappingProxyType(keys), skipped=tuple(skipped))


def _entries(data: bytes, max_keys: int) -> list[JSONValue]:
    try:
        document = loads(data)
    except StrictJSONError:
        document = None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        msg = "not a JWK Set"
        raise KeySetError(msg)
    if len(entries) > max_keys:
        msg = "too many keys in the set"
        raise KeySetError(msg)
    return entries


def _name(key: Key, names: Counter[str | None]) -> Key | tuple[str, Skip]:
    if key.kid is None:
        return key if names.total() == 1 else ("", Skip.NO_KID)
    return key if names[key.kid] == 1 else (key.kid, Skip.DUPLICATE_KID)


def _admit(jwk: JSONValue) -> Key | tuple[str, Skip]:
    if not isinstance(jwk, dict):
        return "", Skip.MALFORMED
    kid = jwk.get("kid")
    label = kid if isinstance(kid, str) else ""
    if "kid" in jwk and not label:
        return "", Skip.MALFORMED
    own = _own_algorithms(jwk)
    if own is None:
        return label, Skip.TYPE
    algorithms = frozenset(name for name in own if jwk.get("alg", name) == name)
    refusal = _refuse_purpose(jwk, algorithms)
    if refusal is not None:
        return label, refusal
    material = _material(jwk)
    if isinstance(material, Skip):
        return label, material
    return Key(kid=label or None, algorithms=algorithms, material=material)


def _own_algorithms(jwk: dict[str, JSONValue]) -> frozenset[str] | None:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if kty == "RSA":
        return _RSA
    name = _CURVES.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str) else None
    return frozenset({name}) if name else None


def _refuse_purpose(jwk: dict[str, JSONValue], algorithms: frozenset[str]) -> Skip | None:
    operations = jwk.get("key_ops", ["verify"])
    if not _PRIVATE.isdisjoint(jwk):
        return Skip.PRIVATE
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return Skip.USE
    return None if algorithms else Skip.ALGORITHM


def _material(jwk: dict[str, JSONValue]) -> Any | Skip:
    kty = cast("str", jwk["kty"])
    members = {name: jwk.get(name) for name in _MATERIAL[kty]}
    if any(not isinstance(text, str) or unbase64url(text) is None for text in members.values()):
        return Skip.MALFORMED
    try:
        material = _PARSERS[kty]({"kty": kty, "crv": jwk.get("crv"), **members})
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError):
        return Skip.MALFORMED
    return _flaw(material) or material


def _flaw(material: Any) -> Skip | None:
    """Return what is wrong with a key that its library took. Points of the NIST curves are checked by that library."""
    if isinstance(material, RSAPublicKey):
        return None if _sound_rsa(material) else Skip.WEAK
    if isinstance(material, Ed25519PublicKey):
        encoded = material.public_bytes_raw()
        if is_low_order(encoded):
            return Skip.WEAK
        return None if is_canonical_point(encoded) else Skip.MALFORMED
    return None


def _sound_rsa(key: RSAPublicKey) -> bool:
    numbers = key.public_numbers()
    return (
        MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
        and _MIN_EXPONENT <= numbers.e <= _MAX_EXPONENT
        and numbers.n % 2 == 1
    )


# Which Ed25519 public keys can be somebody's (RFC 8032). OpenSSL takes any 32 bytes. For a point whose order divides the
# cofactor 8, signatures can be made up without a private key, some of them for every message. A key that is generated is
# never one of these.

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_SIGN = 1 << 255


def is_low_order(encoded: bytes) -> bool:
    """Return whether a point's order divides 8, in any of its encodings.

    The order is 1, 2 or 4 where y is 1, -1 or 0. It is 8 where twice the point has y = 0, which means -x² = y², and
    that turns the curve's equation -x² + y² = 1 + dx²y² into dy⁴ + 2y² = 1.

    Args:
        encoded: 32 bytes; y may be above the field's prime.
    """
    y = _y(encoded) % _P
    square = y * y % _P
    return y * (square - 1) * (_D * square * square + 2 * square - 1) % _P == 0


def is_canonical_point(encoded: bytes) -> bool:
    """Return whether 32 bytes are the one encoding of a point on the curve (RFC 8032 section 5.1.3)."""
    y = _y(encoded)
    if y >= _P:
        return False
    x_square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(x_square, (_P - 1) // 2, _P) == 1


def _y(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little") & ~_SIGN


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_EACH = [_ALPHABET[at : at + 1] for at in range(64)]
_LAST = (frozenset([b"", *_EACH]), frozenset[bytes](), frozenset(_EACH[::16]), frozenset(_EACH[::4]))
"""What may stand last, by how many characters go beyond a multiple of four: bits that stand for nothing are zero there."""


def unbase64url(text: str) -> bytes | None:
    """Decode base64url as JOSE writes it (RFC 7515 section 2); None for any other spelling of the same bytes.

    Padding, white space, the other alphabet and non-zero trailing bits are refused: one value has one spelling.
    """
    if not text.isascii():
        return None
    raw = text.encode()
    if raw.translate(None, _ALPHABET) or raw[-1:] not in _LAST[len(raw) % 4]:
        return None
    return binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"==")
