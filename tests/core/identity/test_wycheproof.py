"""Every JSON Web Signature case of Project Wycheproof, through the same reader of keys and tokens as production.

The payloads are not claims, so a case stops after the signature. The suite's form cases (missing segments, alien
characters, padding) are written for HMAC, which is never accepted here and would be refused for that alone. They are
run a second time with the same defect in a token that is signed with RSA over the defective text, so that only a
check of the form can refuse it.
"""

import base64
import json
from functools import cache
from pathlib import Path

import pytest

from authz.core.identity.jwks import ALGORITHMS
from authz.core.identity.jws import check_signature, read_compact
from authz.core.identity.principal import TokenRejected
from authz.core.reasons import Reason
from tests.support.tokens import b64, jwk, key_set, rsa_key, sign

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "wycheproof_json_web_signature.json"
pytestmark = pytest.mark.skipif(
    not VECTORS.exists(),
    reason="needs ../shared/vectors/wycheproof_json_web_signature.json: testvectors_v1/json_web_signature_test.json of "
    "https://github.com/C2SP/wycheproof",
)

ALIENS = {372, 373}
"""Cases the suite calls valid, since a reader may skip characters outside the alphabet; ours may not."""
OURS_ONLY = {
    "HMAC is never accepted: whoever can verify can sign": {1, 348, 352, 357, 358, 359, 376, 377},
    "the key says ES521, which is no registered algorithm": {347, 351},
    "the key says PS256, the token PS384": {346, 350},
    "the payload is empty, so it cannot hold claims": {259, 264, 268, 272, 320, 325},
    "an alien character inside a segment": ALIENS,
}
"""Valid cases that are refused here, by cause."""


@cache
def groups():
    return json.loads(VECTORS.read_bytes())["testGroups"] if VECTORS.exists() else []


def cases():
    return [
        pytest.param(group, case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups()
        for case in group["tests"]
    ]


def judge(jws, *jwks):
    parts = read_compact(jws)
    return parts if isinstance(parts, TokenRejected) else check_signature(parts, key_set(*jwks), ALGORITHMS)


@pytest.mark.parametrize(("group", "case"), cases())
def test_a_case_is_accepted_only_if_it_is_valid_and_then_always_unless_listed(group, case):
    ours_only = set().union(*OURS_ONLY.values())
    expected = case["result"] == "valid" and case["tcId"] not in ours_only

    result = judge(case["jws"], group.get("public", group["private"]))

    assert expected == (result is None)


def test_the_whole_suite_ran():
    results = [case["result"] for group in groups() for case in group["tests"]]

    assert (401, 46) == (len(results), results.count("valid"))


# The form cases again, signed with RSA

DEFECT_LOST = {367, 370}
"""Said to have wrong padding, but published without any; refused above as HMAC, and under RSA there is no defect."""


def group_named(comment):
    return next(group for group in groups() if comment == group["comment"])


def as_rs256(segment):
    """Name RS256 in a clean header segment, every other byte of its JSON kept."""
    text = base64.urlsafe_b64decode(segment + "==")
    return b64(text.replace(b"HS256", b"RS256"))


def aliens(segment):
    return [(at, char) for at, char in enumerate(segment) if not (char.isalnum() or char in "-_")]


def deform(clean, like):
    """Put the alien characters of `like` into `clean`, each as far from the nearer end."""
    for at, char in aliens(like):
        where = at if at < len(like) / 2 else len(clean) - (len(like) - at) + 1
        clean = clean[:where] + char + clean[where:]
    return clean


def strip(segment):
    return "".join(char for char in segment if char.isalnum() or char in "-_")


def resign(jws):
    header, payload, mac = jws.split(".")
    signing_input = deform(as_rs256(strip(header)), header) + "." + payload
    return signing_input + "." + deform(sign(signing_input, rsa_key()), mac)


def form_cases():
    return [
        pytest.param(case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups()
        if group["comment"] == "base64"
        for case in group["tests"]
        if case["tcId"] not in DEFECT_LOST
    ]


def test_the_cases_left_out_are_to_the_letter_the_valid_one():
    texts = {case["tcId"]: case["jws"] for case in group_named("base64")["tests"]}

    assert {texts[357]} == {texts[number] for number in DEFECT_LOST}


@pytest.mark.parametrize("case", form_cases())
def test_a_defect_of_the_spelling_is_refused_under_a_signature_that_covers_it(case):
    sound = case["result"] == "valid" and case["tcId"] not in ALIENS

    result = judge(resign(case["jws"]), jwk(rsa_key(), kid="hs256-key"))

    assert (None if sound else Reason.MALFORMED_TOKEN) == (result and result.reason)


def structure_cases():
    return [
        pytest.param(case, id=f"{case['tcId']}-{case['comment']}")
        for group in groups()
        if group["comment"] == "hs256"
        for case in group["tests"]
        if "Modified" not in case["comment"] and "None" not in case["comment"]
    ]


@pytest.mark.parametrize("case", structure_cases())
def test_a_defect_of_the_structure_is_refused_with_a_good_rsa_signature_in_it(case):
    valid = next(c["jws"] for c in group_named("hs256")["tests"] if c["result"] == "valid")
    header, payload, mac = valid.split(".")
    rs256 = as_rs256(header)

    text = case["jws"].replace(header, rs256).replace(mac, sign(f"{rs256}.{payload}", rsa_key()))
    result = judge(text, jwk(rsa_key(), kid="kid-aes-sign"))

    sound = case["result"] == "valid"
    assert (None if sound else Reason.MALFORMED_TOKEN) == (result and result.reason)
