"""A token in compact form: which spelling and which header are accepted, and by which key it must be signed."""

import json

import pytest

from authz.core.identity.jws import (
    MAX_CHARS,
    JoseHeader,
    Jws,
    check_signature,
    is_signed,
    read_compact,
    read_object,
)
from authz.core.identity.principal import TokenRejected
from authz.core.reasons import Reason
from tests.support.tokens import (
    KID,
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
)
from tests.support.work import counted

R = Reason
RS256 = frozenset({"RS256"})


def reason(text, keys=None, algorithms=RS256):
    """Why a token is refused for its form, its header or its signature; None where it is not."""
    jws = read_compact(text)
    refused = jws if isinstance(jws, TokenRejected) else check_signature(jws, keys or good_keys(), algorithms)
    return refused and refused.reason


# Form


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        (f"{b64(b'{}')}.a.b", True),
        (f"{b64(b'  {}')}.a.b", True),
        (f"{b64(b'[]')}.a.b", False),
        (f"{b64(b'x{')}.a.b", False),
        (f"{b64(b'')}.a.b", False),
        (f"{b64(b'{}')}.a", False),
        (f"{b64(b'{}')}.a.b.c", False),
        (f"{b64(b'{}')}.a.b.c.d", False),
        ("=.a.b", False),
        ("opaque", False),
    ],
)
def test_a_token_of_three_parts_that_begins_with_an_object_says_itself_whose_it_is(text, signed):
    assert signed is is_signed(text)


def test_a_good_token_is_taken_apart():
    header, payload, _ = token().split(".")

    expected = Jws(
        header=JoseHeader("RS256", KID, "jwt"),
        payload=json.dumps(claims()).encode(),
        signing_input=f"{header}.{payload}".encode(),
        signature=read_compact(token()).signature,
    )
    assert expected == read_compact(token())
    assert token().endswith(b64(expected.signature))


def test_what_a_token_says_is_not_shown():
    shown = repr(read_compact(token(claims(sub="CANARY"))))

    assert "Jws(header=JoseHeader(alg='RS256', kid='key-1', typ='jwt'))" == shown


def of_length(chars):
    """A token of so many characters, in the form of one; its signature is none."""
    head = f"{b64(json.dumps(good_header()).encode())}."
    payload, signature = "A" * (chars - len(head) - 3), "AA"
    return f"{head}{payload}.{signature}"


@pytest.mark.parametrize(("chars", "expected"), [(16384, Jws), (16385, TokenRejected)])
def test_a_token_is_taken_apart_up_to_the_limit_of_characters_and_no_further(chars, expected):
    assert chars == len(of_length(chars))
    assert expected is type(read_compact(of_length(chars)))


def test_a_header_that_is_known_by_its_segment_is_not_read_again():
    known = JoseHeader("ES256", "k", "at+jwt")

    assert known is read_compact("not*base64.AAAA.AAAA", {"not*base64": known}).header
    assert R.MALFORMED_TOKEN is read_compact("not*base64.AAAA.AAAA", {"AAAA": known}).reason


def test_a_header_without_a_type_has_the_empty_one():
    assert "" == read_compact(compact({"alg": "RS256"}, claims())).header.typ


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
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_a_token_of_another_form_is_malformed(make):
    assert R.MALFORMED_TOKEN == read_compact(make()).reason


@pytest.mark.parametrize(("text", "word"), [("opaque", "opaque"), ("a.b.c.d.e", "encrypted")])
def test_a_token_that_auth0_gives_when_no_audience_was_asked_for_is_named_as_such(text, word):
    detail = read_compact(text).detail

    assert word in detail
    assert "no audience" in detail


@pytest.mark.parametrize("pad", [0, 1, 400])
def test_a_header_is_read_alike_at_first_sight_and_again(pad):
    """A header that was read once may be looked up by its segment."""
    texts = [token(pad="x" * pad, typ=typ) for typ in ("JWT", "at+JWT")]
    known = {text.partition(".")[0]: read_compact(text).header for text in texts}

    assert ["jwt", "at+jwt"] * 2 == [read_compact(text, known).header.typ for text in texts * 2]


def test_a_refused_header_is_refused_again():
    text = compact({"alg": "RS256", "jwk": {}}, claims())

    assert [R.MALFORMED_TOKEN] * 2 == [read_compact(text).reason for _ in range(2)]


def test_a_token_of_a_megabyte_is_refused_before_it_is_decoded():
    (_, steps), (_, few) = (
        counted(lambda size=size: read_compact("A" * size)) for size in (10**6, MAX_CHARS + 1)
    )

    assert few == steps
    assert 10 > steps


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", {}),
        (b' {"a":[1]} ', {"a": [1]}),
        (b"[]", None),
        (b"null", None),
        (b"", None),
        (b"{", None),
        (b'{"a":1,"a":1}', None),
        (b'{"a":1}{}', None),
        (b'{"a":NaN}', None),
    ],
)
def test_an_object_is_strict_json_or_none(data, expected):
    assert expected == read_object(data)


# Header and signature


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
        ({"typ": ""}, None),
        ({"typ": "id+jwt"}, None),
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

    assert None is reason(text, keys=keys, algorithms=frozenset({alg, "RS512"}))
    assert R.BAD_SIGNATURE == reason(text, keys=keys, algorithms=frozenset({"RS512"}))


def test_a_set_of_one_nameless_key_serves_a_token_without_kid():
    assert None is reason(token(kid=...), keys=key_set(jwk(rsa_key(), kid=None)))


def test_an_algorithm_that_the_key_does_not_have_is_refused_even_if_the_issuer_may_use_it():
    both = frozenset({"RS256", "PS256", "ES256"})

    for text in (token(alg="PS256"), token(private=ec_key(), alg="ES256")):
        result = check_signature(read_compact(text), good_keys(), both)
        assert (R.BAD_SIGNATURE, "the header's alg is not one of the key's") == (result.reason, result.detail)


@pytest.mark.parametrize(
    ("header", "expected"), [({"alg": "HS256"}, R.BAD_SIGNATURE), ({"kid": "other"}, R.KEYS_UNAVAILABLE)]
)
def test_without_keys_only_the_algorithm_is_judged(header, expected):
    assert expected is check_signature(read_compact(token(**header)), None, RS256).reason


def test_no_key_is_looked_for_under_a_name_that_is_not_the_tokens():
    refused = check_signature(read_compact(token(kid="next")), good_keys(), RS256)

    assert (R.UNKNOWN_KEY, "next", "") == (refused.reason, refused.kid, refused.issuer)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_segment_of_another_token_breaks_the_signature(segment):
    mine, other = token().split("."), token(claims(sub="root"), typ="at+jwt").split(".")
    mixed = [other[n] if n == segment else mine[n] for n in range(3)]

    assert R.BAD_SIGNATURE is reason(".".join(mixed))
