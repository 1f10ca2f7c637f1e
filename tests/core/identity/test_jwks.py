import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from authz.core.identity.jwks import ALGORITHMS, KeySet, KeySetError, Skip, read_key_set, unbase64url
from tests.support.tokens import KID, b64, ec_key, ed_key, jwk, key_set, rsa_key, sign
from tests.support.work import counted

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def huge(bits):
    return {"kty": "RSA", "kid": KID, "e": "AQAB", "n": b64(((1 << bits) - 1).to_bytes(bits // 8, "big"))}


@pytest.mark.parametrize(
    ("private", "members", "algorithms"),
    [
        (rsa_key, {}, RSA_ALGORITHMS),
        (rsa_key, {"use": "sig"}, RSA_ALGORITHMS),
        (rsa_key, {"alg": "RS256", "use": "sig"}, {"RS256"}),
        (rsa_key, {"alg": "PS512"}, {"PS512"}),
        (rsa_key, {"key_ops": ["verify"]}, RSA_ALGORITHMS),
        (rsa_key, {"key_ops": ["encrypt", "verify"]}, RSA_ALGORITHMS),
        (
            rsa_key,
            {"x5c": ["ignored"], "x5t": "ignored", "x5u": "https://elsewhere.example/"},
            RSA_ALGORITHMS,
        ),
        (ec_key, {}, {"ES256"}),
        (lambda: ec_key("P-384"), {}, {"ES384"}),
        (lambda: ec_key("P-521"), {"alg": "ES512"}, {"ES512"}),
        (ed_key, {}, {"EdDSA"}),
    ],
)
def test_a_key_verifies_what_its_type_and_curve_can_and_its_alg_allows(private, members, algorithms):
    keys = key_set(jwk(private(), **members))

    assert () == keys.skipped
    key = keys.find(KID)
    assert algorithms == key.algorithms
    for alg in algorithms:
        signature = unbase64url(sign("header.payload", private(), alg))
        assert key.verify(alg, b"header.payload", signature)
        assert not key.verify(alg, b"header.payloae", signature)
        assert [alg] == [other for other in ALGORITHMS if key.verify(other, b"header.payload", signature)]


@pytest.mark.parametrize("private", [rsa_key, ec_key, ed_key])
def test_equal_keys_are_one_in_a_set_whatever_their_material(private):
    one, same = (key_set(jwk(private())).find(KID) for _ in range(2))

    assert {one} == {one, same}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"kty": "oct", "k": "c2VjcmV0"}, Skip.TYPE),
        ({"kty": "rsa"}, Skip.TYPE),
        ({"kty": None}, Skip.TYPE),
        ({"kty": ["RSA"]}, Skip.TYPE),
        ({"kty": ["EC"], "crv": "P-256"}, Skip.TYPE),
        ({"kty": "EC", "crv": ["P-256"]}, Skip.TYPE),
        *[({part: "AQAB"}, Skip.PRIVATE) for part in ("d", "p", "q", "dp", "dq", "qi", "oth")],
        ({"k": "c2VjcmV0"}, Skip.PRIVATE),
        ({"use": "enc"}, Skip.USE),
        ({"use": ["sig"]}, Skip.USE),
        ({"key_ops": ["sign"]}, Skip.USE),
        ({"key_ops": []}, Skip.USE),
        ({"key_ops": "verify"}, Skip.USE),
        ({"use": "enc", "key_ops": ["verify"]}, Skip.USE),
        ({"use": "sig", "key_ops": ["encrypt"]}, Skip.USE),
        ({"alg": "RS1"}, Skip.ALGORITHM),
        ({"alg": "ES256"}, Skip.ALGORITHM),
        ({"alg": "HS256"}, Skip.ALGORITHM),
        ({"alg": "none"}, Skip.ALGORITHM),
        ({"alg": "rs256"}, Skip.ALGORITHM),
        ({"alg": ["RS256"]}, Skip.ALGORITHM),
        ({"n": None}, Skip.MALFORMED),
        ({"n": ""}, Skip.MALFORMED),
        ({"n": 7}, Skip.MALFORMED),
        ({"n": "AQ=="}, Skip.MALFORMED),
        ({"e": "AQA B"}, Skip.MALFORMED),
        ({"e": "AA"}, Skip.MALFORMED),
        ({"e": "AQ"}, Skip.MALFORMED),
        ({"e": "Aw"}, Skip.WEAK),
        ({"e": b64((2**16).to_bytes(3, "big"))}, Skip.MALFORMED),
        ({"e": b64((2**16 - 1).to_bytes(2, "big"))}, Skip.WEAK),
        ({"e": b64((2**64 + 1).to_bytes(9, "big"))}, Skip.WEAK),
        ({"e": b64((2**80 + 1).to_bytes(11, "big"))}, Skip.WEAK),
        (huge(2048) | {"n": b64(((1 << 2048) - 2).to_bytes(256, "big"))}, Skip.WEAK),
        (huge(2040), Skip.WEAK),
        (huge(2048) | {"n": b64(((1 << 8192) + 1).to_bytes(1025, "big"))}, Skip.WEAK),
        (huge(16384), Skip.WEAK),
    ],
)
def test_an_rsa_key_that_may_not_verify_tokens_is_skipped_with_the_cause(members, why):
    good = jwk(rsa_key(), kid="good")

    keys = key_set(jwk(rsa_key(), **members), good)

    assert ((KID, why),) == keys.skipped
    assert ["good"] == list(keys.keys)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (lambda: jwk(ec_key("secp256k1")), Skip.TYPE),
        (lambda: jwk(ec_key(), crv="P-384"), Skip.MALFORMED),
        (lambda: jwk(ec_key(), crv=None), Skip.TYPE),
        (lambda: jwk(ec_key(), alg="ES384"), Skip.ALGORITHM),
        (lambda: jwk(ec_key("P-521"), alg="ES521"), Skip.ALGORITHM),
        (lambda: jwk(ec_key(), x=b64(bytes(32))), Skip.MALFORMED),
        (lambda: jwk(ec_key(), y=None), Skip.MALFORMED),
        (lambda: jwk(ed_key(), x=b64(bytes(31))), Skip.MALFORMED),
        (lambda: jwk(ed_key(), alg="ES256"), Skip.ALGORITHM),
        (lambda: jwk(ed448.Ed448PrivateKey.generate()), Skip.TYPE),
        (lambda: jwk(rsa_key(1024)), Skip.WEAK),
        (
            lambda: RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"kid": KID, "key_ops": ["verify"]},
            Skip.PRIVATE,
        ),
    ],
)
def test_a_key_of_the_wrong_curve_size_or_half_is_skipped_with_the_cause(entry, why):
    keys = key_set(entry())

    assert ((KID, why),) == keys.skipped
    assert {} == keys.keys


@pytest.mark.parametrize("entry", [None, 1, "key", [], {"kty": "RSA", "kid": 7}, {"kid": ""}, {"kid": None}])
def test_an_entry_that_is_no_key_does_not_cost_the_set(entry):
    keys = key_set(entry, jwk(rsa_key()))

    assert (("", Skip.MALFORMED),) == keys.skipped
    assert [KID] == list(keys.keys)


def test_two_keys_under_one_name_are_both_skipped():
    keys = key_set(jwk(rsa_key()), jwk(ec_key()), jwk(rsa_key(serial=1), kid="other"))

    assert ((KID, Skip.DUPLICATE_KID), (KID, Skip.DUPLICATE_KID)) == keys.skipped
    assert ["other"] == list(keys.keys)


def test_a_key_for_encryption_may_share_the_name_of_a_key_for_signing():
    keys = key_set(jwk(rsa_key(serial=1), use="enc"), jwk(rsa_key(), use="sig"))

    assert ((KID, Skip.USE),) == keys.skipped
    assert keys.find(KID).verify("RS256", b"a.b", unbase64url(sign("a.b", rsa_key())))


def test_a_key_without_a_name_serves_tokens_without_one_only_when_it_stands_alone():
    alone = key_set(jwk(rsa_key(), kid=None))
    among = key_set(jwk(rsa_key(), kid=None), jwk(ec_key()))
    twins = key_set(jwk(rsa_key(), kid=None), jwk(ec_key(), kid=None))

    assert alone.find(None) is not None
    assert alone.find("") is None
    assert alone.find(KID) is None
    assert (("", Skip.NO_KID),) == among.skipped
    assert among.find(None) is None
    assert (("", Skip.NO_KID), ("", Skip.NO_KID)) == twins.skipped


def test_a_named_key_does_not_serve_tokens_without_a_name():
    assert key_set(jwk(rsa_key())).find(None) is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[],"keys":[]}',
        b'\xef\xbb\xbf{"keys":[]}',
    ],
)
def test_a_document_that_is_no_key_set_is_an_error_that_quotes_nothing(document):
    with pytest.raises(KeySetError) as caught:
        read_key_set(document)

    assert "not a JWK Set" == str(caught.value)


def test_an_empty_set_is_a_set():
    assert KeySet() == read_key_set(b'{"keys":[]}')


def test_more_entries_than_the_limit_are_an_error():
    document = json.dumps({"keys": [{}] * 3}).encode()

    assert 3 == len(read_key_set(document, max_keys=3).skipped)
    with pytest.raises(KeySetError):
        read_key_set(document, max_keys=2)


def test_key_material_is_not_shown():
    key = key_set(jwk(rsa_key())).find(KID)

    assert "material" not in repr(key)


def test_a_modulus_of_a_megabit_is_skipped_in_as_many_steps_as_one_of_a_few_kilobytes():
    (keys, steps), (_, few) = (counted(lambda bits=bits: key_set(huge(bits))) for bits in (2**20, 2**15))

    assert ((KID, Skip.WEAK),) == keys.skipped
    assert few == steps


members = st.dictionaries(
    st.sampled_from(["kty", "crv", "kid", "use", "key_ops", "alg", "n", "e", "x", "y", "d"]),
    st.sampled_from(
        ["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "sig", "verify", "RS256", "ES256", "AQAB", ""]
    )
    | st.none()
    | st.integers(-9, 9)
    | st.lists(st.sampled_from(["verify", "sign"]), max_size=2)
    | st.binary(max_size=300).map(b64),
)


@given(st.lists(members | st.text() | st.none(), max_size=4))
def test_every_entry_of_any_set_is_either_a_key_or_skipped(entries):
    keys = key_set(*entries)

    assert len(entries) == len(keys.keys) + len(keys.skipped)
    assert all(key.algorithms <= ALGORITHMS and key.algorithms for key in keys.keys.values())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_set_or_an_error(data):
    try:
        keys = read_key_set(data)
    except KeySetError:
        return
    assert isinstance(keys, KeySet)


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=600))
def test_no_made_up_signature_verifies_and_none_raises(alg, signature):
    for private in (rsa_key(), ec_key(), ec_key("P-384"), ec_key("P-521"), ed_key()):
        assert not key_set(jwk(private)).find(KID).verify(alg, b"header.payload", signature)


@pytest.mark.parametrize("bits", [2048, 4096, 8192])
@pytest.mark.parametrize("exponent", [2**16 + 1, 2**64 - 1])
def test_a_large_key_is_a_key(bits, exponent):
    large = huge(bits) | {"e": b64(exponent.to_bytes(8, "big").lstrip(b"\0"))}

    assert [KID] == list(key_set(large).keys)


def test_a_set_has_at_most_a_hundred_entries_unless_the_caller_says_otherwise():
    assert 100 == len(key_set(*[{}] * 100).skipped)
    with pytest.raises(KeySetError, match=r"^too many keys in the set$"):
        key_set(*[{}] * 101)


def test_two_keys_are_one_only_if_they_verify_the_same():
    """Keys that were fetched again are kept if they are equal, so another key of the same name must not be."""
    one, same, other = (key_set(jwk(rsa_key(serial=serial))) for serial in (0, 0, 1))

    assert one == same
    assert one.keys == same.keys
    assert one.keys != other.keys
    assert one.keys != key_set(jwk(rsa_key(), alg="RS256")).keys


def test_the_causes_are_the_published_words():
    expected = {"malformed", "type", "private", "use", "algorithm", "weak", "duplicate_kid", "no_kid"}

    assert expected == {cause.value for cause in Skip}
