import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.jws import MAX_CHARS
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.identity.token import bearer, verify
from authz.core.reasons import TABLE, Group, Reason
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    KID,
    NOW,
    b64,
    claims,
    compact,
    ec_key,
    ed_key,
    good_header,
    good_keys,
    jwk,
    key_set,
    rsa_key,
    sign,
    token,
    trust,
)

R = Reason


def judge(text, keys=..., now=NOW, **changes):
    terms = trust(**changes)
    return verify(text, {terms.issuer: (terms, good_keys() if keys is ... else keys)}, now)


def reason(text, **changes):
    result = judge(text, **changes)
    return result.reason if isinstance(result, TokenRejected) else R.ALLOWED


# The header


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
        ("Bearer " + "a" * MAX_CHARS, "a" * MAX_CHARS),
        (None, R.MISSING_TOKEN),
        ("", R.MISSING_TOKEN),
        ("Bearer", R.MALFORMED_TOKEN),
        ("Bearer ", R.MALFORMED_TOKEN),
        ("Bearer =", R.MALFORMED_TOKEN),
        ("Bearer a=b", R.MALFORMED_TOKEN),
        ("Bearer  abc", R.MALFORMED_TOKEN),
        ("Bearer abc ", R.MALFORMED_TOKEN),
        (" Bearer abc", R.MALFORMED_TOKEN),
        ("Bearer\tabc", R.MALFORMED_TOKEN),
        ("Bearer abc def", R.MALFORMED_TOKEN),
        ("Bearer abc,Bearer def", R.MALFORMED_TOKEN),
        ("Bearer abc, def", R.MALFORMED_TOKEN),
        ("Bearer abc\n", R.MALFORMED_TOKEN),
        ("Bearer \u0430bc", R.MALFORMED_TOKEN),
        ("Bearer \ud800", R.MALFORMED_TOKEN),
        ("Basic YTpi", R.MALFORMED_TOKEN),
        ("DPoP abc", R.MALFORMED_TOKEN),
        ("abc", R.MALFORMED_TOKEN),
        ("Bearer " + "a" * (MAX_CHARS + 1), R.MALFORMED_TOKEN),
    ],
)
def test_the_header_is_one_scheme_one_space_and_one_token(value, expected):
    result = bearer(value)

    assert expected == (result.reason if isinstance(result, TokenRejected) else result)


@given(st.none() | st.text())
def test_any_header_gives_a_token_or_a_refusal(value):
    assert isinstance(bearer(value), str | TokenRejected)


# Acceptance


def test_a_good_token_gives_its_principal():
    payload = claims(roles=["admin", "dev ops"], permissions=["files:read", "tools:use"])

    expected = Principal(
        issuer=ISSUER,
        subject="auth0|alice",
        client="client-1",
        scopes=("files:read", "files:delete", "tools:use"),
        roles=("admin", "dev ops"),
        claims=payload,
        expires=NOW + 600,
    )
    assert expected == judge(token(payload))


@pytest.mark.parametrize(
    ("private", "alg"),
    [
        (rsa_key, "RS256"),
        (rsa_key, "RS384"),
        (rsa_key, "PS256"),
        (rsa_key, "PS512"),
        (ec_key, "ES256"),
        (lambda: ec_key("P-384"), "ES384"),
        (lambda: ec_key("P-521"), "ES512"),
        (ed_key, "EdDSA"),
    ],
)
def test_a_token_of_each_configured_algorithm_is_accepted_and_only_if_it_is_configured(private, alg):
    text, keys = token(private=private(), alg=alg), key_set(jwk(private()))

    assert R.ALLOWED == reason(text, keys=keys, algorithms=frozenset({alg, "RS512"}))
    assert R.BAD_SIGNATURE == reason(text, keys=keys, algorithms=frozenset({"RS512"}))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": ...},
        {"typ": "jwt"},
        {"typ": "at+JWT"},
        {"typ": "application/at+jwt"},
        {"x5t": "ignored"},
        {"cty": "ignored"},
        {"unknown": {"a": [1]}},
    ],
)
def test_a_header_of_an_access_token_is_accepted(header):
    assert R.ALLOWED == reason(token(**header))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["https://issuer.example/userinfo", AUDIENCE]},
        {"exp": NOW + 0.5},
        {"exp": int(NOW) - 59},
        {"nbf": int(NOW) + 60},
        {"iat": int(NOW) + 60},
        {"iat": ...},
        {"sub": ...},
        {"scope": ...},
        {"scope": ""},
        {"scope": []},
        {"azp": ...},
        {"azp": ..., "client_id": "client-2"},
        {"https://elsewhere.example/claim": {"nested": [1, None]}},
    ],
)
def test_claims_that_say_no_less_than_they_must_are_accepted(changes):
    assert R.ALLOWED == reason(token(claims(**changes)))


@pytest.mark.parametrize(
    ("changes", "terms", "scopes"),
    [
        ({"scope": "a b"}, {}, ("a", "b")),
        ({"scope": " a  b a "}, {}, ("a", "b")),
        ({"scope": ["b", "a"]}, {}, ("b", "a")),
        ({"scope": ...}, {}, ()),
        ({"scope": ..., "permissions": ["p"]}, {}, ("p",)),
        ({"scope": "a", "permissions": ["p", "a"]}, {}, ("a", "p")),
        ({"scope": "a", "scp": ["s"]}, {"scopes_claim": "scp"}, ("s",)),
        ({"scope": "a", "permissions": ["p"]}, {"scopes_claim": "permissions"}, ("p",)),
    ],
)
def test_scopes_are_whole_words_each_once(changes, terms, scopes):
    assert scopes == judge(token(claims(**changes)), **terms).scopes


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        (..., ()),
        ([], ()),
        (["admin", "dev"], ("admin", "dev")),
        ("admin", ("admin",)),
        ("admin dev", ("admin dev",)),
    ],
)
def test_a_string_of_roles_is_one_role(value, roles):
    name = "https://mcp.example/roles"

    assert roles == judge(token(claims(**{name: value})), roles_claim=name).roles


@pytest.mark.parametrize(
    ("changes", "terms", "client"),
    [
        ({"azp": "a", "client_id": "c"}, {}, "a"),
        ({"azp": ..., "client_id": "c"}, {}, "c"),
        ({"azp": ...}, {}, ""),
        ({"azp": "a", "cid": "o"}, {"client_claim": "cid"}, "o"),
        ({"azp": "a"}, {"client_claim": "cid"}, ""),
    ],
)
def test_the_client_is_azp_else_client_id_unless_another_claim_is_configured(changes, terms, client):
    assert client == judge(token(claims(**changes)), **terms).client


def test_a_set_of_one_nameless_key_serves_a_token_without_kid():
    assert R.ALLOWED == reason(token(kid=...), keys=key_set(jwk(rsa_key(), kid=None)))


def test_each_issuer_is_judged_on_its_own_terms_and_keys():
    other = "https://other.example/"
    trusts = {
        ISSUER: (trust(), good_keys()),
        other: (trust(issuer=other, audiences=frozenset({"urn:other"})), key_set(jwk(rsa_key(serial=1)))),
    }
    crossed = token(claims(iss=other, aud="urn:other"))
    elsewhere = token(claims(iss=other), rsa_key(serial=1))
    good = token(claims(iss=other, aud="urn:other"), rsa_key(serial=1))

    assert R.BAD_SIGNATURE == verify(crossed, trusts, NOW).reason
    assert R.WRONG_AUDIENCE == verify(elsewhere, trusts, NOW).reason
    assert other == verify(good, trusts, NOW).issuer


# Refusal


def spoil(segment, change):
    """Give a good token whose segment (0, 1, 2) went through `change`; signed again unless it is the signature."""
    segments = token().split(".")
    segments[segment] = change(segments[segment])
    if segment < 2:
        segments[2] = sign(".".join(segments[:2]), rsa_key())
    return ".".join(segments)


def loosen(segment):
    """Give another spelling of the same bytes: set the unused low bits of a segment's last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4 in (2, 3)
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


FORMS = {
    "empty": lambda: "",
    "opaque": lambda: "v2local~opaque",
    "two segments": lambda: token().rpartition(".")[0],
    "four segments": lambda: token() + ".AAAA",
    "encrypted": lambda: "a.b.c.d.e",
    "JSON serialisation": lambda: json.dumps(
        dict(zip(("protected", "payload", "signature"), token().split("."), strict=True))
    ),
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "no header": lambda: spoil(0, lambda _: ""),
    "no payload": lambda: spoil(1, lambda _: ""),
    "too long": lambda: token(claims(pad="x" * MAX_CHARS)),
    "padding in the header": lambda: spoil(0, lambda s: s + "="),
    "padding in the signature": lambda: spoil(2, lambda s: s + "=="),
    "newline at the end": lambda: token() + "\n",
    "space in front": lambda: " " + token(),
    "space within the payload": lambda: spoil(1, lambda s: s[:5] + " " + s[5:]),
    "the other alphabet": lambda: spoil(2, lambda s: "+/" + s[2:]),
    "loose bits in the signature": lambda: spoil(2, loosen),
    "not ASCII": lambda: spoil(1, lambda s: s + "é"),
    "a lone surrogate": lambda: token() + "\ud800",
    "header is no JSON": lambda: compact(b"{", claims()),
    "header is a list": lambda: compact([good_header()], claims()),
    "header repeats a key": lambda: compact(b'{"alg":"RS256","kid":"key-1","alg":"RS256"}', claims()),
    "payload is no JSON": lambda: compact(good_header(), b"text"),
    "payload is a list": lambda: compact(good_header(), [claims()]),
    "payload repeats a key": lambda: compact(
        good_header(), json.dumps(claims()).encode()[:-1] + b',"aud":"x"}'
    ),
    "payload has two documents": lambda: compact(good_header(), json.dumps(claims()).encode() + b"{}"),
    "payload in UTF-16": lambda: compact(good_header(), json.dumps(claims()).encode("utf-16-le")),
    "payload with NaN": lambda: token(claims(nbf=math.nan)),
    "payload with Infinity": lambda: token(claims(exp=math.inf)),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_a_token_of_another_form_is_malformed(make):
    assert R.MALFORMED_TOKEN == reason(make())


@pytest.mark.parametrize(("text", "word"), [("opaque", "opaque"), ("a.b.c.d.e", "encrypted")])
def test_a_token_that_auth0_gives_when_no_audience_was_asked_for_is_named_as_such(text, word):
    detail = judge(text).detail

    assert word in detail
    assert "no audience" in detail


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": ...}, R.MALFORMED_TOKEN),
        ({"alg": None}, R.MALFORMED_TOKEN),
        ({"alg": 256}, R.MALFORMED_TOKEN),
        ({"alg": ["RS256"]}, R.MALFORMED_TOKEN),
        ({"alg": ""}, R.BAD_SIGNATURE),
        ({"alg": "none"}, R.BAD_SIGNATURE),
        ({"alg": "None"}, R.BAD_SIGNATURE),
        ({"alg": "rs256"}, R.BAD_SIGNATURE),
        ({"alg": "HS256"}, R.BAD_SIGNATURE),
        ({"alg": "RS384"}, R.BAD_SIGNATURE),
        ({"alg": "PS256"}, R.BAD_SIGNATURE),
        ({"alg": "RS256 "}, R.BAD_SIGNATURE),
        ({"typ": None}, R.MALFORMED_TOKEN),
        ({"typ": 1}, R.MALFORMED_TOKEN),
        ({"typ": ""}, R.ALLOWED),
        ({"typ": "id+jwt"}, R.MALFORMED_TOKEN),
        ({"typ": "logout+jwt"}, R.MALFORMED_TOKEN),
        ({"typ": "dpop+jwt"}, R.MALFORMED_TOKEN),
        ({"typ": "JWT "}, R.MALFORMED_TOKEN),
        ({"kid": None}, R.MALFORMED_TOKEN),
        ({"kid": 1}, R.MALFORMED_TOKEN),
        ({"kid": [KID]}, R.MALFORMED_TOKEN),
        ({"kid": ...}, R.UNKNOWN_KEY),
        ({"kid": ""}, R.UNKNOWN_KEY),
        ({"kid": "KEY-1"}, R.UNKNOWN_KEY),
        ({"kid": "../../key-1"}, R.UNKNOWN_KEY),
        ({"crit": []}, R.MALFORMED_TOKEN),
        ({"crit": ["exp"]}, R.MALFORMED_TOKEN),
        ({"jwk": {}}, R.MALFORMED_TOKEN),
        ({"jku": "https://attacker.example/jwks"}, R.MALFORMED_TOKEN),
        ({"x5u": "https://attacker.example/cert"}, R.MALFORMED_TOKEN),
        ({"x5c": None}, R.MALFORMED_TOKEN),
        ({"b64": True}, R.MALFORMED_TOKEN),
        ({"zip": "DEF"}, R.MALFORMED_TOKEN),
        ({"enc": "A256GCM"}, R.MALFORMED_TOKEN),
    ],
)
def test_a_signed_header_that_asks_for_more_is_refused(header, expected):
    assert expected == reason(token(**header))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": ...}, R.UNKNOWN_ISSUER),
        ({"iss": None}, R.UNKNOWN_ISSUER),
        ({"iss": [ISSUER]}, R.UNKNOWN_ISSUER),
        ({"iss": "https://issuer.example"}, R.UNKNOWN_ISSUER),
        ({"iss": "https://ISSUER.example/"}, R.UNKNOWN_ISSUER),
        ({"exp": ...}, R.BAD_CLAIMS),
        ({"exp": None}, R.BAD_CLAIMS),
        ({"exp": True}, R.BAD_CLAIMS),
        ({"exp": str(int(NOW) + 600)}, R.BAD_CLAIMS),
        ({"exp": [int(NOW) + 600]}, R.BAD_CLAIMS),
        ({"exp": int(NOW) - 60}, R.EXPIRED_TOKEN),
        ({"exp": NOW - 60.5}, R.EXPIRED_TOKEN),
        ({"exp": 0}, R.EXPIRED_TOKEN),
        ({"exp": -1}, R.EXPIRED_TOKEN),
        ({"nbf": int(NOW) + 61}, R.NOT_YET_VALID),
        ({"nbf": "0"}, R.BAD_CLAIMS),
        ({"nbf": False}, R.BAD_CLAIMS),
        ({"nbf": None}, R.BAD_CLAIMS),
        ({"iat": int(NOW) + 61}, R.NOT_YET_VALID),
        ({"iat": "0"}, R.BAD_CLAIMS),
        ({"aud": ...}, R.WRONG_AUDIENCE),
        ({"aud": []}, R.WRONG_AUDIENCE),
        ({"aud": ""}, R.WRONG_AUDIENCE),
        ({"aud": AUDIENCE + "/"}, R.WRONG_AUDIENCE),
        ({"aud": AUDIENCE[:-1]}, R.WRONG_AUDIENCE),
        ({"aud": f"{AUDIENCE} other"}, R.WRONG_AUDIENCE),
        ({"aud": ["https://sibling.example/api", "https://issuer.example/userinfo"]}, R.WRONG_AUDIENCE),
        ({"aud": None}, R.BAD_CLAIMS),
        ({"aud": {AUDIENCE: True}}, R.BAD_CLAIMS),
        ({"aud": [AUDIENCE, 1]}, R.BAD_CLAIMS),
        ({"aud": [[AUDIENCE]]}, R.BAD_CLAIMS),
        ({"nonce": "n"}, R.BAD_CLAIMS),
        ({"at_hash": "h"}, R.BAD_CLAIMS),
        ({"c_hash": "h"}, R.BAD_CLAIMS),
        ({"token_use": "id"}, R.BAD_CLAIMS),
        ({"typ": "ID"}, R.BAD_CLAIMS),
        ({"sub": None}, R.BAD_CLAIMS),
        ({"sub": 7}, R.BAD_CLAIMS),
        ({"azp": None}, R.BAD_CLAIMS),
        ({"azp": ["client-1"]}, R.BAD_CLAIMS),
        ({"scope": None}, R.BAD_CLAIMS),
        ({"scope": {"files:read": True}}, R.BAD_CLAIMS),
        ({"scope": ["a", 1]}, R.BAD_CLAIMS),
        ({"scope": ["a b"]}, R.BAD_CLAIMS),
        ({"scope": "a\tb"}, R.BAD_CLAIMS),
        ({"scope": "a\r\nx-mcp-subject: root"}, R.BAD_CLAIMS),
        ({"scope": "f\u0131les:read"}, R.BAD_CLAIMS),
        ({"permissions": ["a", None]}, R.BAD_CLAIMS),
        ({"permissions": 1}, R.BAD_CLAIMS),
        ({"roles": None}, R.BAD_CLAIMS),
        ({"roles": {"admin": True}}, R.BAD_CLAIMS),
        ({"roles": ["admin", 1]}, R.BAD_CLAIMS),
    ],
)
def test_signed_claims_that_are_not_acceptable_are_refused(changes, expected):
    assert expected == reason(token(claims(**changes)))


@pytest.mark.parametrize(
    ("changes", "terms", "expected"),
    [
        ({"exp": int(NOW)}, {"leeway": 0}, R.EXPIRED_TOKEN),
        ({"exp": int(NOW) + 1}, {"leeway": 0}, R.ALLOWED),
        ({"nbf": int(NOW) + 1}, {"leeway": 0}, R.NOT_YET_VALID),
        ({"nbf": int(NOW)}, {"leeway": 0}, R.ALLOWED),
        ({"iat": int(NOW) - 159}, {"max_token_age": 100}, R.ALLOWED),
        ({"iat": int(NOW) - 160}, {"max_token_age": 100}, R.EXPIRED_TOKEN),
        ({"iat": ...}, {"max_token_age": 100}, R.BAD_CLAIMS),
        ({}, {"allowed_clients": frozenset({"client-1"})}, R.ALLOWED),
        ({}, {"allowed_clients": frozenset({"client-2"})}, R.BAD_CLAIMS),
        ({"azp": ...}, {"allowed_clients": frozenset({"client-1"})}, R.BAD_CLAIMS),
        ({}, {"allowed_clients": frozenset()}, R.BAD_CLAIMS),
        ({"nonce": "n"}, {"refuse_id_tokens": False}, R.ALLOWED),
        ({"org_id": "org_1"}, {"required_claims": {"org_id": None}}, R.ALLOWED),
        ({"org_id": None}, {"required_claims": {"org_id": None}}, R.BAD_CLAIMS),
        ({}, {"required_claims": {"org_id": None}}, R.BAD_CLAIMS),
        ({"org_id": "org_1"}, {"required_claims": {"org_id": "org_1"}}, R.ALLOWED),
        ({"org_id": "org_2"}, {"required_claims": {"org_id": "org_1"}}, R.BAD_CLAIMS),
        ({"org_id": ["org_1"]}, {"required_claims": {"org_id": "org_1"}}, R.BAD_CLAIMS),
        ({"email_verified": True}, {"required_claims": {"email_verified": True}}, R.ALLOWED),
        ({"email_verified": 1}, {"required_claims": {"email_verified": True}}, R.BAD_CLAIMS),
        ({"email_verified": "true"}, {"required_claims": {"email_verified": True}}, R.BAD_CLAIMS),
        ({"level": 1.0}, {"required_claims": {"level": 1}}, R.BAD_CLAIMS),
    ],
)
def test_the_terms_of_trust_decide(changes, terms, expected):
    assert expected == reason(token(claims(**changes)), **terms)


def test_an_absent_typ_can_be_refused():
    strict = frozenset({"at+jwt"})

    assert R.MALFORMED_TOKEN == reason(token(typ=...), types=strict)
    assert R.MALFORMED_TOKEN == reason(token(typ="JWT"), types=strict)
    assert R.ALLOWED == reason(token(typ="at+jwt"), types=strict)


def test_another_key_under_the_same_name_does_not_verify():
    assert R.BAD_SIGNATURE == reason(token(private=rsa_key(serial=1)))


@pytest.mark.requirement("reason.bad_signature")
def test_a_changed_claim_breaks_the_signature():
    header, _, signature = token().split(".")

    assert R.BAD_SIGNATURE == reason(f"{header}.{b64(json.dumps(claims(sub='root')).encode())}.{signature}")


def test_an_algorithm_that_the_key_does_not_have_is_refused_even_if_the_issuer_may_use_it():
    both = frozenset({"RS256", "PS256", "ES256"})

    for text in (token(alg="PS256"), token(private=ec_key(), alg="ES256")):
        result = judge(text, algorithms=both)
        assert (R.BAD_SIGNATURE, "the header's alg is not one of the key's") == (result.reason, result.detail)


def test_without_keys_a_token_cannot_be_judged_and_that_is_no_fault_of_the_caller():
    result = judge(token(), keys=None)

    assert (R.KEYS_UNAVAILABLE, ISSUER) == (result.reason, result.issuer)
    assert Group.SERVICE is TABLE[result.reason].group


def test_a_token_that_no_key_could_cure_does_not_wait_for_keys():
    assert R.BAD_SIGNATURE == reason(token(alg="HS256"), keys=None)
    assert R.UNKNOWN_ISSUER == reason(token(claims(iss="https://other.example/")), keys=None)


def test_an_unknown_key_is_named_for_the_key_store_and_not_shown():
    result = judge(token(kid="next-month"))

    assert (R.UNKNOWN_KEY, ISSUER, "next-month") == (result.reason, result.issuer, result.kid)
    assert "next-month" not in repr(result)


def test_terms_filed_under_another_issuer_are_not_used():
    trusts = {ISSUER: (trust(issuer="https://other.example/"), good_keys())}

    assert R.UNKNOWN_ISSUER == verify(token(), trusts, NOW).reason


def test_the_signature_is_judged_before_the_claims():
    forged = token(claims(exp=0, aud="other"), rsa_key(serial=1))

    assert R.BAD_SIGNATURE == reason(forged)


# Promises


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "azp",
    "client_id",
    "scope",
    "permissions",
    "roles",
    "token_use",
    "typ",
]


@given(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=3))
def test_any_signed_claims_give_a_principal_with_plain_words_or_a_refusal(changes):
    result = judge(token(claims(**changes)))

    if isinstance(result, Principal):
        assert ISSUER == result.issuer
        assert all(isinstance(word, str) for word in (result.subject, result.client, *result.roles))
        assert " ".join(result.scopes).split() == list(result.scopes)
        assert NOW - 60 < result.expires
    else:
        assert isinstance(result, TokenRejected)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "cty", "crit", "jwk"]), json_values, max_size=3))
def test_any_signed_header_gives_a_principal_or_a_refusal(changes):
    assert isinstance(judge(token(**changes)), Principal | TokenRejected)


@given(st.text() | st.lists(st.binary(max_size=40).map(b64), min_size=3, max_size=3).map(".".join))
def test_nothing_but_a_signed_token_is_accepted_and_nothing_raises(text):
    assert isinstance(judge(text), TokenRejected)


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_no_single_changed_character_is_accepted(position, character):
    good = token()
    index = position % len(good)
    changed = good[:index] + character + good[index + 1 :]

    assert (changed == good) == isinstance(judge(changed), Principal)


@given(st.text(alphabet="xyzXYZ0189", min_size=12, max_size=40))
@pytest.mark.requirement("security.nothing-secret-is-written")
def test_a_refusal_quotes_nothing_of_the_token(secret):
    texts = (
        token(claims(iss=secret)),
        token(claims(aud=secret)),
        token(claims(sub=[secret])),
        token(claims(scope=[[secret]])),
        token(kid=secret),
        token(alg=secret),
        token(typ=secret),
        secret,
    )

    results = [judge(text) for text in texts]
    assert all(isinstance(result, TokenRejected) for result in results)
    assert not any(secret in repr(result) or secret in result.detail for result in results)
