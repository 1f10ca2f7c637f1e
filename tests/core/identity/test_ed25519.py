"""Keys that are nobody's are not admitted: points of low order in every encoding, and what is no point."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from authz.core.identity.jwks import Skip, is_canonical_point, is_low_order, read_key_set

P = 2**255 - 19
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
OTHER_ORDER_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"


def little(number):
    return number.to_bytes(32, "little")


def signed(encoded):
    """Set the bit that says that x is odd."""
    return encoded[:31] + bytes([encoded[31] | 0x80])


Y = {
    "order 1": little(1),
    "order 2": little(P - 1),
    "order 4": little(0),
    "order 8": bytes.fromhex(ORDER_8),
    "order 8, the other": bytes.fromhex(OTHER_ORDER_8),
    "order 4, above the prime": little(P),
    "order 1, above the prime": little(P + 1),
}
LOW = {**Y, **{f"{name}, x odd": signed(encoded) for name, encoded in Y.items()}}


def admitted(kty, **members):
    data = json.dumps({"keys": [{"kty": kty, "kid": "k", **members}]}).encode()
    keys = read_key_set(data)
    return keys.find("k") is not None, [why for _, why in keys.skipped]


def text(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("encoded", LOW.values(), ids=LOW.keys())
def test_a_key_of_low_order_is_not_admitted_in_any_encoding(encoded):
    assert is_low_order(encoded)
    assert (False, [Skip.WEAK]) == admitted("OKP", crv="Ed25519", x=text(encoded))


def test_there_are_signatures_that_a_key_of_low_order_verifies_for_any_message():
    """The signature whose point is the neutral one and whose scalar is zero, under the neutral key."""
    made_up = little(1) + little(0)

    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(little(1)).verify(made_up, message)


@pytest.mark.parametrize("y", [2, P + 2, P + 18, 7])
def test_what_is_no_point_or_not_its_one_encoding_is_not_admitted(y):
    encoded = little(y)

    assert is_canonical_point(encoded) is (admitted("OKP", crv="Ed25519", x=text(encoded)) == (True, []))
    assert not is_low_order(encoded)


def test_half_of_all_numbers_are_a_point_and_none_above_the_prime_is():
    assert {True, False} == {is_canonical_point(little(y)) for y in range(2, 20)}
    assert {False} == {is_canonical_point(little(P + y)) for y in range(19)}
    assert (False, [Skip.MALFORMED]) == admitted("OKP", crv="Ed25519", x=text(little(P + 2)))


D = -121665 * pow(121666, -1, P) % P


def decodes(y):
    """Whether the decoding of RFC 8032, section 5.1.3, finds an x, by the candidate root and not by a criterion."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P

    return x != 0 and v * x * x % P in {u, -u % P}


def test_the_points_are_those_that_the_decoding_of_rfc_8032_finds():
    numbers = [*range(1, 60), *(P - y for y in range(1, 60)), *(pow(3, y, P) for y in range(50))]

    assert [decodes(y) for y in numbers] == [is_canonical_point(little(y)) for y in numbers]


def test_every_key_that_is_generated_is_admitted():
    for _ in range(32):
        encoded = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

        assert (False, True) == (is_low_order(encoded), is_canonical_point(encoded))
        assert (True, []) == admitted("OKP", crv="Ed25519", x=text(encoded))


SIZES = {"P-256": 32, "P-384": 48, "P-521": 66}


@pytest.mark.parametrize("curve", SIZES)
@pytest.mark.parametrize(
    "point",
    [(0, 0), (1, 1), (0, 1), (-1, -1)],
    ids=["infinity", "off the curve", "x zero", "above the prime"],
)
def test_a_point_at_infinity_or_off_its_curve_is_not_admitted(curve, point):
    size = SIZES[curve]
    x, y = ((number % 256**size).to_bytes(size, "big") for number in point)

    assert (False, [Skip.MALFORMED]) == admitted("EC", crv=curve, x=text(x), y=text(y))


@pytest.mark.parametrize("curve", ["Ed448", "X25519", "X448", "secp256k1"])
def test_curves_that_no_algorithm_here_uses_are_not_admitted(curve):
    assert (False, [Skip.TYPE]) == admitted("OKP", crv=curve, x=text(bytes(57)))
