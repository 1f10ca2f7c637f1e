"""One test for each published failure of a token library that this service could have repeated."""

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz.core.identity.jws import MAX_CHARS
from authz.core.identity.principal import TokenRejected
from authz.core.identity.token import bearer, verify
from authz.core.reasons import Reason
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    NOW,
    b64,
    claims,
    compact,
    ec_key,
    good_header,
    jwk,
    key_set,
    rsa_key,
    sign,
    token,
    trust,
)
from tests.support.work import counted

EVERY_ASYMMETRIC = frozenset({"RS256", "RS512", "PS256", "ES256", "EdDSA"})


def reason(text, keys=None, **terms):
    """Judge by a set whose key pins no algorithm of its own, the loosest that can be published."""
    trusts = {ISSUER: (trust(**terms), keys or key_set(jwk(rsa_key())))}
    result = verify(text, trusts, NOW)
    return result.reason if isinstance(result, TokenRejected) else Reason.ALLOWED


@pytest.fixture(autouse=True)
def _the_token_without_the_attack_is_accepted():
    assert Reason.ALLOWED == reason(token())


PUBLIC_FORMS = {
    "PEM": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "PEM without its last line end": lambda key: key.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).strip(),
    "PKCS #1 PEM": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "DER": lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "OpenSSH": lambda key: key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "JWK": lambda _: json.dumps(jwk(rsa_key())).encode(),
    "JWK, compact": lambda _: json.dumps(jwk(rsa_key()), separators=(",", ":")).encode(),
    "modulus": lambda _: jwk(rsa_key())["n"].encode(),
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "hs256"])
@pytest.mark.parametrize("form", PUBLIC_FORMS)
def test_cve_2022_29217_cve_2026_48526_ghsa_jq35_7prp_9v3f_a_public_key_is_no_hmac_secret(form, alg):
    """The attacker takes the published key, in the form in which the verifier might hold it, as the secret of an HMAC
    and says HS256 in the header. A verifier that lets the header choose the family computes the same HMAC.
    """
    secret = PUBLIC_FORMS[form](rsa_key().public_key())
    signing_input = f"{b64(json.dumps(good_header(alg=alg)).encode())}.{b64(json.dumps(claims()).encode())}"
    digest = {"384": hashlib.sha384, "512": hashlib.sha512}.get(alg[2:], hashlib.sha256)
    forged = f"{signing_input}.{b64(hmac.new(secret, signing_input.encode(), digest).digest())}"

    assert Reason.BAD_SIGNATURE == reason(forged)
    assert Reason.BAD_SIGNATURE == reason(forged, algorithms=EVERY_ASYMMETRIC)
    with pytest.raises(ValueError, match="asymmetric"):
        trust(algorithms=frozenset({"RS256", alg}))


def test_cve_2022_29217_a_published_symmetric_key_verifies_nothing():
    """The issuer, or whoever can write its key set, publishes an `oct` key; then everyone can sign."""
    signing_input = (
        f"{b64(json.dumps(good_header(alg='HS256')).encode())}.{b64(json.dumps(claims()).encode())}"
    )
    forged = f"{signing_input}.{b64(hmac.new(b'secret', signing_input.encode(), hashlib.sha256).digest())}"
    published = {"kty": "oct", "kid": "key-1", "alg": "HS256", "k": b64(b"secret")}

    assert Reason.BAD_SIGNATURE == reason(forged, keys=key_set(published))
    assert Reason.UNKNOWN_KEY == reason(token(), keys=key_set(published))


@pytest.mark.parametrize("alg", ["RS512", "PS256", "ES256", "EdDSA"])
def test_ghsa_jq35_7prp_9v3f_the_header_does_not_choose_among_the_key_s_algorithms(alg):
    """The key is published for RS256 only; the issuer's terms would allow more. The header names another one."""
    bound = key_set(jwk(rsa_key(), alg="RS256"))
    signer = rsa_key() if alg in {"RS512", "PS256"} else ec_key()
    forged = compact(good_header(alg=alg), claims(), signer, alg if alg != "EdDSA" else "ES256")

    assert Reason.BAD_SIGNATURE == reason(forged, keys=bound, algorithms=EVERY_ASYMMETRIC)


@pytest.mark.parametrize("signature", ["", "AA", "signature of another"])
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_cve_2022_29217_an_unsigned_token_is_no_token(alg, signature):
    """The header says that there is no signature, and a verifier that obeys has nothing to check."""
    signed = token(alg=alg).rpartition(".")
    unsigned = f"{signed[0]}.{signed[2] if signature == 'signature of another' else signature}"

    assert reason(unsigned) in {Reason.BAD_SIGNATURE, Reason.MALFORMED_TOKEN}


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 0},
        {"crit": ["urn:example:must-understand"], "urn:example:must-understand": True},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": None},
        {"crit": "alg"},
        {"crit": ["alg"]},
        {"crit": {}},
    ],
)
def test_ghsa_752w_5fwx_jx9f_cve_2025_59420_no_critical_extension_is_understood(header):
    """`crit` names extensions without which the token must not be believed (RFC 7515 section 4.1.11), such as
    binding to a key. A verifier that skips the parameter accepts the token as if it were not bound.
    """
    assert Reason.MALFORMED_TOKEN == reason(token(**header))


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER[:-1],
        ISSUER + "/",
        ISSUER[:-5],
        ISSUER[1:],
        "/",
        "",
        ISSUER + "evil",
        "https://issuer.example.evil.example/",
        "https://ISSUER.example/",
        "https://issuer.example:443/",
        " " + ISSUER,
        ISSUER + "\x00",
        [ISSUER],
        {ISSUER: 1},
        None,
    ],
)
def test_ghsa_75c5_xw7c_p5pm_the_issuer_is_compared_to_the_letter(issuer):
    """A verifier that asks whether the claim is *in* the configured text accepts every substring of it."""
    assert Reason.UNKNOWN_ISSUER == reason(token(claims(iss=issuer)))


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
FITTING = (MAX_CHARS - 600) // 8
HUGE = {
    "deep claims": lambda: compact(good_header(), DEEP),
    "deep header": lambda: compact(DEEP, claims()),
    "deep arrays": lambda: compact(good_header(), b"[" * 1_000_000),
    "deep claims within the limit": lambda: compact(good_header(), b"[" * (FITTING * 5)),
    "deep header within the limit": lambda: compact(b'{"a":' * FITTING, b"{}"),
    "unclosed string within the limit": lambda: compact(b"[" * 70 + b'"' + b'\\"' * FITTING, b"{}"),
    "long number within the limit": lambda: compact(good_header(), b'{"exp":' + b"9" * (FITTING * 5) + b"}"),
    "a megabyte of claims": lambda: token(claims(pad="x" * 1_000_000)),
    "a megabyte of dots": lambda: "." * 1_000_000,
    "a megabyte of signature": lambda: token().rpartition(".")[0] + "." + "A" * 1_000_000,
}


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE)
def test_ghsa_8wjv_2p76_3863_cve_2025_61920_deep_and_huge_tokens_cost_little(make):
    """Unsigned text is decoded before anything is verified: nesting exhausts the parser's stack, which is a crash or
    an uncaught error, and size buys work from a caller without credentials.
    """
    text = make()
    found, steps = counted(lambda: reason(text))

    assert Reason.MALFORMED_TOKEN == found
    assert 1000 > steps


def test_cve_2025_61920_a_huge_header_is_refused_before_it_is_decoded():
    assert Reason.MALFORMED_TOKEN == bearer("Bearer " + "A" * (MAX_CHARS + 1)).reason


def resigned(header, payload):
    return f"{header}.{payload}.{sign(f'{header}.{payload}', rsa_key())}"


def lax(change):
    """Give a token in whose signed text `change` was made to the header segment, with a signature that covers it."""
    header, payload, _ = token().split(".")
    return resigned(*change(header, payload))


SPELLINGS = {
    "padded header": lambda: lax(lambda h, p: (h + "=" * (-len(h) % 4 or 4), p)),
    "padded payload": lambda: lax(lambda h, p: (h, p + "=" * (-len(p) % 4 or 4))),
    "padded signature": lambda: token() + "==",
    "space in the header": lambda: lax(lambda h, p: (h[:4] + " " + h[4:], p)),
    "line end in the payload": lambda: lax(lambda h, p: (h, p[:4] + "\n" + p[4:])),
    "line end behind": lambda: token() + "\n",
    "alien character in the signature": lambda: token() + "!",
    "fourth segment": lambda: token() + ".",
    "fourth segment in front": lambda: "." + token(),
    "five segments": lambda: token() + ".AA.AA",
    "flattened JSON": lambda: json.dumps(
        dict(zip(("protected", "payload", "signature"), token().split("."), strict=True))
    ),
    "general JSON": lambda: json.dumps(
        {
            "payload": token().split(".")[1],
            "signatures": [{"protected": token().split(".")[0], "signature": token().split(".")[2]}],
        }
    ),
}


@pytest.mark.parametrize("make", SPELLINGS.values(), ids=SPELLINGS)
def test_ghsa_hxm8_2xgr_2p9m_a_token_has_one_spelling(make):
    """Decoders that skip padding, white space and alien characters give one token many texts, so that a cache, a
    denylist or a second verifier that goes by the text takes it for another token.
    """
    assert Reason.MALFORMED_TOKEN == reason(make())


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://sibling.example/api"},
        {"aud": ["https://sibling.example/api", "https://issuer.example/userinfo"]},
        {"aud": ...},
        {"aud": []},
        {"aud": ""},
        {"aud": "client-1"},
        {"aud": AUDIENCE + "/admin"},
        {"aud": AUDIENCE.upper()},
        {"aud": ..., "resource": AUDIENCE},
        {"aud": ..., "azp": AUDIENCE},
    ],
)
def test_audience_confusion_a_token_for_a_sibling_api_is_refused(change):
    """Every API of a tenant trusts the same issuer and keys. Only `aud` says which of them a token is for, and a
    service that accepts its neighbour's tokens lends its powers to whoever the neighbour admits.
    """
    assert Reason.WRONG_AUDIENCE == reason(token(claims(**change)))


@pytest.mark.parametrize("change", [{"nonce": "n-1"}, {"at_hash": "h"}, {"c_hash": "h"}, {"token_use": "id"}])
def test_audience_confusion_an_id_token_is_no_access_token(change):
    """An ID token is signed by the same key, for the client to read; where client and API share an identifier its
    audience is right too.
    """
    assert Reason.BAD_CLAIMS == reason(token(claims(**change)))


@pytest.mark.parametrize("parameter", ["jwk", "jku", "x5u", "x5c"])
def test_a_token_does_not_bring_its_own_key(parameter):
    """The attacker signs with a key of their own and sends it along, or says where to fetch it (RFC 8725 section
    3.10).
    """
    own = {
        "jwk": jwk(rsa_key(serial=1)),
        "jku": "https://attacker.example/keys",
        "x5u": "https://attacker.example/cert",
        "x5c": ["MIIB"],
    }

    assert Reason.MALFORMED_TOKEN == reason(token(private=rsa_key(serial=1), **{parameter: own[parameter]}))
