"""Every refusal of a token, and every step-up: the exact challenge, and what the official client reads out of it.

The parser that is run is that of `mcp` 2.x. The 1.x line cannot be installed beside it; version 1.30.0 was read once,
and takes parameters out of the header with the same pattern, whole header and first match.
"""

import json

import httpx2
import pytest
from mcp.client.auth import utils

from authz.core.denial import METADATA_PATH, render_denial
from authz.core.identity.principal import Caller, Principal
from authz.core.identity.token import TokenAnswer, bearer, judge_answer, not_yet_asked, verify
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import TABLE, Group, Reason
from tests.support import tokens
from tests.support.core import (
    LEGACY,
    MODERN,
    RESOURCE,
    call,
    check,
    good_token,
    identify,
    message,
    mirrored,
    modern,
    post,
    rule,
    server,
    snapshot,
)

METADATA = f"https://mcp.example{METADATA_PATH}/mcp"
FIRST_SCOPES = ("files:read", "files:delete")


def _claims(**changes):
    return tokens.token(tokens.claims(**changes))


def _header(**changes):
    return tokens.token(**changes)


def _spliced(place, text):
    segments = good_token().split(".")
    segments[place] = text
    return ".".join(segments)


def _foreign():
    return tokens.token(private=tokens.rsa_key(serial=1))


NOW = int(tokens.NOW)
NOT_ONE_TOKEN = "the authorization header is not one scheme, one space and one token"
NOT_CANONICAL = "a segment is empty or not canonical base64url"
OPAQUE = "Auth0 issues such tokens when the client requested no audience"
BRINGS_ITS_OWN = "the header has a parameter that is never accepted, such as crit, jwk, jku, x5c or x5u"
NOT_A_STRING = "the header's alg, kid or typ is not a string"
NOT_A_NUMBER = "exp, nbf or iat is not a number"
NOT_ACCEPTED = "the header's alg is not accepted for this issuer"
AN_ID_TOKEN = "an ID token is not an access token"
BAD_ROLES = "the roles claim is neither a string nor a list of strings"
BAD_SCOPES = "the scopes are not a string or list of scope words"
R = Reason

REFUSED = {
    "another scheme": ("Basic YTpi", R.MALFORMED_TOKEN, "the authorization scheme is not Bearer"),
    "two tokens": (f"Bearer {good_token()},Bearer {good_token()}", R.MALFORMED_TOKEN, NOT_ONE_TOKEN),
    "two spaces": (f"Bearer  {good_token()}", R.MALFORMED_TOKEN, NOT_ONE_TOKEN),
    "no token": ("Bearer ", R.MALFORMED_TOKEN, NOT_ONE_TOKEN),
    "a quoted token": (f'Bearer "{good_token()}"', R.MALFORMED_TOKEN, NOT_ONE_TOKEN),
    "a long token": ("a" * 16_385, R.MALFORMED_TOKEN, "the token is too long"),
    "an opaque token": ("abc123", R.MALFORMED_TOKEN, f"the token is opaque, not a JWT; {OPAQUE}"),
    "an encrypted token": ("a.b.c.d.e", R.MALFORMED_TOKEN, f"the token is encrypted (JWE); {OPAQUE}"),
    "two segments": ("a.b", R.MALFORMED_TOKEN, "the token does not have three segments"),
    "padding": (f"{good_token()}==", R.MALFORMED_TOKEN, NOT_CANONICAL),
    "no signature": (_spliced(2, ""), R.MALFORMED_TOKEN, NOT_CANONICAL),
    "a header that is no object": (
        _spliced(0, tokens.b64(b"[]")),
        R.MALFORMED_TOKEN,
        "the header is not a strict JSON object",
    ),
    "claims that are no object": (
        tokens.token([]),
        R.MALFORMED_TOKEN,
        "the claims are not a strict JSON object",
    ),
    "crit": (_header(crit=["exp"]), R.MALFORMED_TOKEN, BRINGS_ITS_OWN),
    "a key of its own": (_header(jwk={}), R.MALFORMED_TOKEN, BRINGS_ITS_OWN),
    "no alg": (_header(alg=...), R.MALFORMED_TOKEN, "the header has no alg"),
    "a kid that is a number": (_header(kid=1), R.MALFORMED_TOKEN, NOT_A_STRING),
    "another type": (
        _header(typ="dpop+jwt"),
        R.MALFORMED_TOKEN,
        "the header's typ is not that of an access token",
    ),
    "another issuer": (
        _claims(iss="https://other.example/"),
        R.UNKNOWN_ISSUER,
        "iss is not a configured issuer, compared exactly",
    ),
    "alg none": (_header(alg="none"), R.BAD_SIGNATURE, NOT_ACCEPTED),
    "HS256": (_header(alg="HS256"), R.BAD_SIGNATURE, NOT_ACCEPTED),
    "an unknown key": (
        _header(kid="key-2"),
        R.UNKNOWN_KEY,
        "the issuer's keys do not hold the header's kid",
    ),
    "a foreign signature": (_foreign(), R.BAD_SIGNATURE, "the signature does not verify"),
    "no exp": (_claims(exp=...), R.BAD_CLAIMS, "exp is missing"),
    "exp in words": (_claims(exp="tomorrow"), R.BAD_CLAIMS, NOT_A_NUMBER),
    "expired": (_claims(exp=NOW - 60), R.EXPIRED_TOKEN, "exp has passed"),
    "not yet valid": (_claims(nbf=NOW + 61), R.NOT_YET_VALID, "nbf or iat is in the future"),
    "another audience": (
        _claims(aud="https://other.example"),
        R.WRONG_AUDIENCE,
        "aud names none of the configured audiences",
    ),
    "an audience that is a number": (
        _claims(aud=7),
        R.BAD_CLAIMS,
        "aud is neither a string nor a list of strings",
    ),
    "an ID token": (_claims(nonce="n"), R.BAD_CLAIMS, AN_ID_TOKEN),
    "a subject that is a number": (
        _claims(sub=7),
        R.BAD_CLAIMS,
        "sub or the client claim is not a string",
    ),
    "roles that are objects": (_claims(roles=[{}]), R.BAD_CLAIMS, BAD_ROLES),
    "scopes that are a number": (_claims(scope=7), R.BAD_CLAIMS, BAD_SCOPES),
}
TERMS = {
    "too old": (
        {"max_token_age": 60},
        {"iat": NOW - 200},
        R.EXPIRED_TOKEN,
        "the token is older than max_token_age",
    ),
    "without an age": (
        {"max_token_age": 60},
        {"iat": ...},
        R.BAD_CLAIMS,
        "iat is missing, and max_token_age is set",
    ),
    "without a required claim": (
        {"required_claims": {"org_id": "o"}},
        {},
        R.BAD_CLAIMS,
        "a required claim is missing or has another value",
    ),
    "of another client": (
        {"allowed_clients": frozenset({"client-2"})},
        {},
        R.BAD_CLAIMS,
        "the client is not one of the allowed clients",
    ),
}


def refused(authorization, target=None, identified=identify):
    """Send a token to a server that asks for two scopes first; gives the reason, the status and the challenge."""
    target = target or server(scopes=FIRST_SCOPES)
    request = post(message("ping"), {"authorization": authorization}, scheme="https")
    decision = check(request, snapshot(target, identify=identified))
    given = render_denial(decision, target, request, "id-1")
    return decision.reason, given.status, dict(given.headers).get("www-authenticate")


def invalid(detail):
    return (
        f'Bearer error="invalid_token", resource_metadata="{METADATA}", scope="files:read files:delete", '
        f'error_description="{detail}"'
    )


def read(status, challenge):
    """Read a challenge with the SDK's own parser: metadata URL, scopes, error."""
    response = httpx2.Response(status, headers={"WWW-Authenticate": challenge})
    return (
        utils.extract_resource_metadata_from_www_auth(response),
        utils.extract_scope_from_www_auth(response),
        utils.extract_field_from_www_auth(response, "error"),
    )


@pytest.mark.parametrize(("sent", "reason", "detail"), REFUSED.values(), ids=REFUSED)
def test_a_refused_token_is_answered_with_exactly_this_challenge_and_the_sdk_reads_it(sent, reason, detail):
    authorization = sent if " " in sent else f"Bearer {sent}"
    seen = refused(authorization)

    assert (reason, 401, invalid(detail)) == seen
    assert (METADATA, "files:read files:delete", "invalid_token") == read(*seen[1:])


@pytest.mark.parametrize(("terms", "claims", "reason", "detail"), TERMS.values(), ids=TERMS)
def test_a_token_that_the_terms_refuse_is_answered_alike(terms, claims, reason, detail):
    trust = tokens.trust(**terms)

    def identified(target, authorization):
        given = verify(bearer(authorization), {tokens.ISSUER: (trust, tokens.good_keys())}, tokens.NOW)
        return Caller.of(given, target.name) if isinstance(given, Principal) else given

    seen = refused(f"Bearer {_claims(**claims)}", identified=identified)

    assert (reason, 401, invalid(detail)) == seen
    assert (METADATA, "files:read files:delete", "invalid_token") == read(*seen[1:])


def test_a_token_that_its_issuer_calls_inactive_is_answered_alike():
    rejected = judge_answer(TokenAnswer(claims=None, until=0.0), tokens.trust(), tokens.NOW)
    seen = refused("Bearer opaque", identified=lambda _target, _authorization: rejected)

    assert (Reason.INACTIVE_TOKEN, 401, invalid(rejected.detail)) == seen
    assert (METADATA, "files:read files:delete", "invalid_token") == read(*seen[1:])


def test_these_tests_reach_every_reason_that_is_about_a_token():
    about_tokens = {reason for reason, row in TABLE.items() if row.group is Group.TOKEN}
    reached = {row[1] for row in REFUSED.values()} | {row[2] for row in TERMS.values()}

    assert about_tokens == reached | {Reason.MISSING_TOKEN, Reason.INACTIVE_TOKEN}


@pytest.mark.parametrize("authorization", [..., ""])
def test_without_a_token_the_challenge_names_no_error(authorization):
    seen = refused(authorization)

    assert (
        Reason.MISSING_TOKEN,
        401,
        f'Bearer resource_metadata="{METADATA}", scope="files:read files:delete"',
    ) == seen
    assert (METADATA, "files:read files:delete", None) == read(*seen[1:])


def test_a_server_that_asks_for_no_scope_first_names_none():
    seen = refused(..., server())

    assert f'Bearer resource_metadata="{METADATA}"' == seen[2]
    assert (METADATA, None, None) == read(*seen[1:])


@pytest.mark.requirement("reason.keys_unavailable")
def test_an_issuer_without_keys_is_the_services_trouble_and_challenges_nobody():
    def identified(_server, authorization):
        return verify(bearer(authorization), {tokens.ISSUER: (tokens.trust(), None)}, tokens.NOW)

    assert (Reason.KEYS_UNAVAILABLE, 503, None) == refused(f"Bearer {good_token()}", identified=identified)


@pytest.mark.requirement("reason.keys_unavailable")
def test_an_issuer_that_has_not_answered_about_a_token_is_told_as_that_and_not_as_one_without_keys():
    told = {}
    for name, rejection in {
        "asked": not_yet_asked("opaque", tokens.trust()),
        "keys": verify(good_token(), {tokens.ISSUER: (tokens.trust(), None)}, tokens.NOW),
    }.items():
        target = server()
        request = post(message("ping"), {"authorization": "Bearer x"}, scheme="https")
        decision = check(request, snapshot(target, identify=lambda *_, found=rejection: found))
        answer = render_denial(decision, target, request, "id-1")
        told[name] = (answer.status, json.loads(answer.body)["error"]["message"])

    assert {
        "asked": (503, "the issuer's introspection endpoint has not answered whether the token is active"),
        "keys": (503, "the issuer's keys are not available"),
    } == told


STEP_UP = f'Bearer error="insufficient_scope", scope="files:delete root", resource_metadata="{METADATA}"'
AND_ITS_OWN = STEP_UP.replace(" root", " root files:read")
NEEDS_MORE = rule("allow", "purge", scopes=("files:delete", "root"))
NEEDS_A_ROLE = rule("allow", "purge", roles=("admin",))
FORBIDS = rule("deny", "purge")


def stepped(*rules, version=MODERN, **parts):
    """Call a tool of a server with these rules in a version of the protocol; gives the status and the challenge."""
    target = server(*rules, scopes=FIRST_SCOPES, **parts)
    if version == MODERN:
        request = post(
            modern("tools/call", {"name": "purge", "arguments": {}}), mirrored("tools/call", "purge")
        )
    else:
        request = call("purge", headers={"mcp-protocol-version": version})
    given = render_denial(check(request, snapshot(target)), target, request, "id-1")
    return given.status, dict(given.headers).get("www-authenticate")


@pytest.mark.parametrize(
    ("rules", "parts", "status", "challenge"),
    [
        ((NEEDS_MORE,), {}, 403, STEP_UP),
        ((NEEDS_MORE,), {"version": "2025-11-25"}, 403, AND_ITS_OWN),
        ((NEEDS_MORE,), {"version": LEGACY}, 200, None),
        ((NEEDS_MORE,), {"version": LEGACY, "denial": DenialStyle.HTTP}, 403, AND_ITS_OWN),
        ((NEEDS_MORE,), {"denial": DenialStyle.JSONRPC}, 200, None),
        ((NEEDS_MORE,), {"hide": True}, 200, None),
        ((NEEDS_A_ROLE,), {}, 200, None),
        ((NEEDS_A_ROLE,), {"denial": DenialStyle.HTTP}, 403, None),
        ((NEEDS_MORE, FORBIDS), {"denial": DenialStyle.HTTP}, 403, None),
        ((), {"denial": DenialStyle.HTTP}, 403, None),
    ],
)
def test_only_a_denial_that_more_scope_would_cure_asks_for_it_and_names_all_of_it(
    rules, parts, status, challenge
):
    seen = stepped(*rules, **parts)

    assert (status, challenge) == seen
    scopes = "files:delete root files:read" if challenge is AND_ITS_OWN else "files:delete root"
    assert challenge is None or (METADATA, scopes, "insufficient_scope") == read(*seen)


def test_the_metadata_url_is_where_the_sdk_would_look_without_a_challenge():
    assert METADATA == utils.build_protected_resource_metadata_discovery_urls(None, RESOURCE)[0]


def test_a_step_up_names_scopes_as_the_caller_s_issuer_wants_them_requested():
    target = server(
        rule("allow", "echo", scopes=["files.write"]),
        issuers={tokens.ISSUER: tokens.trust(scope_prefix="api://app/")},
        scopes=("files.read",),
    )
    headers = {"mcp-protocol-version": "2025-11-25"}
    step_up = check(call(headers=headers), snapshot(target))
    no_token = check(call(headers={**headers, "authorization": ...}), snapshot(target))

    assert 'scope="api://app/files.write api://app/files:read api://app/files:delete"' in challenge(
        step_up, target
    )
    assert 'scope="api://app/files.read"' in challenge(no_token, target)


def test_a_server_with_several_names_is_found_under_the_one_that_was_used():
    target = server(
        hosts=frozenset({"other.example"}), resources={"other.example": "https://other.example/mcp"}
    )
    refused = check(call(host="other.example", headers={"authorization": ...}), snapshot(target))

    assert f'resource_metadata="https://other.example{METADATA_PATH}/mcp"' in challenge(
        refused, target, "other.example"
    )


def challenge(decision, target, host="mcp.example"):
    answer = render_denial(decision, target, call(host=host), "0")
    return dict(answer.headers)["www-authenticate"]
