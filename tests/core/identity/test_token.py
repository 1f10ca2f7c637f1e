import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.jws import MAX_CHARS, JoseHeader
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.identity.token import bearer, validity, verify
from authz.core.reasons import TABLE, Group, Reason
from authz.core.wire.bounded_cache import BoundedCache
from tests.support.tokens import (
    ISSUER,
    KID,
    NOW,
    b64,
    claims,
    compact,
    good_header,
    good_keys,
    jwk,
    key_set,
    rsa_key,
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
    assert expected == judge(token(payload), permissions_claim=("permissions",))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": ...},
        {"typ": ""},
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


PAYLOADS = {
    "no JSON": b"text",
    "a list": json.dumps([claims()]).encode(),
    "a repeated key": json.dumps(claims()).encode()[:-1] + b',"aud":"x"}',
    "two documents": json.dumps(claims()).encode() + b"{}",
    "UTF-16": json.dumps(claims()).encode("utf-16-le"),
    "NaN": json.dumps(claims(nbf=math.nan)).encode(),
    "Infinity": json.dumps(claims(exp=math.inf)).encode(),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_claims_that_are_no_strict_json_object_are_malformed(payload):
    assert R.MALFORMED_TOKEN == reason(compact(good_header(), payload))


@pytest.mark.parametrize("issuer", [..., None, [ISSUER], "https://issuer.example", "https://ISSUER.example/"])
def test_an_issuer_is_known_to_the_letter_or_not_at_all(issuer):
    assert R.UNKNOWN_ISSUER == reason(token(claims(iss=issuer)))


@pytest.mark.parametrize("typ", ["id+jwt", "logout+jwt", "dpop+jwt", "JWT "])
def test_a_token_of_another_type_is_malformed(typ):
    assert R.MALFORMED_TOKEN == reason(token(typ=typ))


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


@pytest.mark.parametrize(
    ("changes", "reason_", "expected"),
    [
        ({"iss": "https://other/"}, R.UNKNOWN_ISSUER, ("https://other/", "https://mcp.example", "client-1")),
        ({"aud": ["a", "b"]}, R.WRONG_AUDIENCE, (ISSUER, "a, b", "client-1")),
        ({"aud": ["a" * 999] * 4}, R.WRONG_AUDIENCE, (ISSUER, "a" * 256, "client-1")),
    ],
)
def test_a_refused_token_says_whose_it_is_for_the_record_bounded(changes, reason_, expected):
    rejected = judge(token(claims(**{"azp": "client-1", "aud": "https://mcp.example", **changes})))
    said = rejected.unverified

    assert (reason_, expected) == (rejected.reason, (said.iss, said.aud, said.azp))


@pytest.mark.parametrize("text", ["x", "a.b.c"])
def test_a_token_whose_claims_are_unreadable_says_nothing_of_itself(text):
    assert None is judge(text).unverified


# Headers of tokens that were verified


def known(text, headers):
    return verify(text, {ISSUER: (trust(), good_keys())}, NOW, headers)


def test_the_header_of_a_verified_token_is_kept_once_and_read_from_there():
    headers = BoundedCache(4)
    first, second = token(), token(claims(sub="other"))
    (segment,) = {text.partition(".")[0] for text in (first, second)}

    assert isinstance(known(first, headers), Principal)
    kept = dict(headers)
    assert {segment: JoseHeader("RS256", KID, "jwt")} == kept
    assert isinstance(known(second, headers), Principal)
    assert kept[segment] is headers[segment]


@pytest.mark.parametrize(
    "text", [token, lambda: token(claims(exp=1)), lambda: token(private=rsa_key(serial=1))]
)
def test_the_header_that_is_kept_is_the_one_that_is_acted_upon(text):
    headers = BoundedCache(4)
    headers[text().partition(".")[0]] = JoseHeader("none", None, "jwt")

    assert R.BAD_SIGNATURE is known(text(), headers).reason


@pytest.mark.parametrize("text", [lambda: token(claims(exp=1)), lambda: token(private=rsa_key(serial=1))])
def test_the_header_of_a_refused_token_is_not_kept(text):
    headers = BoundedCache(4)

    assert isinstance(known(text(), headers), TokenRejected)
    assert {} == headers


@pytest.mark.parametrize(("over", "kept"), [(0, 1), (1, 0)])
def test_a_long_header_is_read_each_time(over, kept):
    """512 characters of base64url are 384 bytes."""
    headers = BoundedCache(4)
    padding = 384 + over - len(json.dumps(good_header(x="")).encode())
    long = token(x="x" * padding)

    assert 512 + over * 2 == len(long.partition(".")[0])
    assert isinstance(known(long, headers), Principal)
    assert kept == len(headers)


@pytest.mark.parametrize(
    ("changes", "terms", "expected"),
    [
        ({"iat": ..., "exp": 1000}, {"leeway": 0}, (-math.inf, 1000)),
        ({"iat": ..., "exp": 1000}, {"leeway": 60}, (-math.inf, 1060)),
        ({"iat": 500, "exp": 1000}, {"leeway": 60}, (440, 1060)),
        ({"iat": 500, "nbf": 700, "exp": 1000}, {"leeway": 60}, (640, 1060)),
        ({"iat": 700, "nbf": 500, "exp": 1000}, {"leeway": 60}, (640, 1060)),
        ({"iat": ..., "nbf": 500, "exp": 1000}, {"leeway": 60}, (440, 1060)),
        ({"iat": 500, "exp": 1000}, {"leeway": 60, "max_token_age": 100}, (440, 660)),
        ({"iat": 500, "exp": 1000}, {"leeway": 60, "max_token_age": 800}, (440, 1060)),
    ],
)
def test_a_token_is_valid_between_the_moments_at_which_its_verification_changes_its_mind(
    changes, terms, expected
):
    who = judge(token(claims(**changes)), now=650, **terms)
    starts, ends = validity(who, trust(**terms))

    assert expected == (starts, ends)
    if starts > -math.inf:
        assert [R.NOT_YET_VALID, R.ALLOWED] == [
            reason(token(claims(**changes)), now=at, **terms) for at in (starts - 1, starts)
        ]
    assert [R.ALLOWED, R.EXPIRED_TOKEN] == [
        reason(token(claims(**changes)), now=at, **terms) for at in (ends - 1, ends)
    ]


def test_a_bearer_token_keeps_the_padding_that_it_has_and_no_other_letter_is_padding():
    assert "abc==" == bearer("Bearer abc==")
    assert "abcX" == bearer("Bearer abcX")
    assert "X" == bearer("Bearer X")
