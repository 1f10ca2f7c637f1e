"""The claims of a verified token: which make a caller, and on which terms."""

import math

import pytest

from authz.core.identity.claims import principal
from authz.core.identity.principal import Principal, TokenRejected
from authz.core.reasons import Reason
from tests.support.tokens import AUDIENCE, ISSUER, NOW, claims, trust

R = Reason


def judge(changes, now=NOW, **terms):
    return principal(claims(**changes), trust(**terms), now)


def reason(changes, **terms):
    result = judge(changes, **terms)
    return result.reason if isinstance(result, TokenRejected) else R.ALLOWED


def test_acceptable_claims_give_the_caller_they_name():
    given = claims(roles=["admin", "dev ops"], permissions=["files:read", "tools:use"])

    expected = Principal(
        issuer=ISSUER,
        subject="auth0|alice",
        client="client-1",
        scopes=("files:read", "files:delete", "tools:use"),
        roles=("admin", "dev ops"),
        claims=given,
        expires=NOW + 600,
    )
    assert expected == principal(given, trust(permissions_claim=("permissions",)), NOW)


def test_a_caller_whom_no_claim_names_has_no_name():
    assert "" == judge({"azp": ...}).client
    assert "" == judge({"sub": ...}, require_subject=False).subject


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
        {"scope": ...},
        {"scope": ""},
        {"scope": []},
        {"azp": ...},
        {"azp": ..., "client_id": "client-2"},
        {"https://elsewhere.example/claim": {"nested": [1, None]}},
    ],
)
def test_claims_that_say_no_less_than_they_must_are_accepted(changes):
    assert R.ALLOWED == reason(changes)


@pytest.mark.parametrize("subject", [..., ""])
def test_a_token_without_a_subject_is_refused_unless_it_is_optional(subject):
    refused = judge({"sub": subject})

    assert R.BAD_CLAIMS is refused.reason
    assert "subject: optional" in refused.detail
    assert R.ALLOWED is reason({"sub": subject}, require_subject=False)


@pytest.mark.parametrize(
    ("given", "holder"),
    [
        ({"sub": "a", "sid": "s", "jti": "j"}, ""),
        ({"sid": "s", "jti": "j"}, "sid:s"),
        ({"jti": "j"}, "jti:j"),
        ({"sid": "", "jti": "j"}, "jti:j"),
        ({"sid": 7, "jti": ["j"]}, ""),
        ({}, ""),
    ],
)
def test_what_stands_for_a_missing_subject_is_its_session_or_its_token(given, holder):
    assert holder == judge({"sub": ..., **given}, require_subject=False).holder


MERGED = {"permissions_claim": ("permissions",)}


@pytest.mark.parametrize(
    ("changes", "terms", "scopes"),
    [
        ({"scope": "a b"}, {}, ("a", "b")),
        ({"scope": " a  b a "}, {}, ("a", "b")),
        ({"scope": ["b", "a"]}, {}, ("b", "a")),
        ({"scope": ...}, {}, ()),
        ({"scope": ..., "permissions": ["p"]}, {}, ()),
        ({"scope": ..., "permissions": ["p"]}, MERGED, ("p",)),
        ({"scope": "a", "permissions": ["p", "a"]}, MERGED, ("a", "p")),
        ({"scope": "a", "permissions": ["p", None]}, MERGED, ("a",)),
        ({"scope": "a", "permissions": ["p q"]}, MERGED, ("a",)),
        ({"scope": "a", "permissions": "p"}, MERGED, ("a",)),
        ({"scope": "a", "permissions": {"p": True}}, MERGED, ("a",)),
        ({"scope": "a", "permissions": 1}, MERGED, ("a",)),
        ({"scope": "api://app/a b"}, {"scope_prefix": "api://app/"}, ("a", "b")),
        ({"scope": "api://app/ a"}, {"scope_prefix": "api://app/"}, ("a",)),
        ({"scope": "api://other/a"}, {"scope_prefix": "api://app/"}, ("api://other/a",)),
        ({"scope": "a", "scp": ["s"]}, {"scopes_claim": ("scp",)}, ("s",)),
        ({"scope": "a", "permissions": ["p"]}, {"scopes_claim": ("permissions",)}, ("p",)),
    ],
)
def test_scopes_are_whole_words_each_once(changes, terms, scopes):
    assert scopes == judge(changes, **terms).scopes


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

    assert roles == judge({name: value}, roles_claim=(name,)).roles


NESTED = {"realm_access": {"roles": ["admin"]}, "resource_access": {"mcp": {"roles": ["reader"]}}}


@pytest.mark.parametrize(
    ("given", "path", "roles"),
    [
        (NESTED, ("realm_access", "roles"), ("admin",)),
        (NESTED, ("resource_access", "mcp", "roles"), ("reader",)),
        (NESTED, ("resource_access", "other", "roles"), ()),
        (NESTED, ("realm_access.roles",), ()),
        ({"realm_access.roles": ["dots"]}, ("realm_access.roles",), ("dots",)),
        ({}, ("realm_access", "roles"), ()),
    ],
)
def test_a_path_leads_to_a_claim_within_another_and_a_name_with_dots_does_not(given, path, roles):
    assert roles == judge(given, roles_claim=path).roles


@pytest.mark.parametrize(
    "value", ["text", ["roles"], None, 7, {"roles": None}, {"roles": [{"name": "admin"}]}]
)
@pytest.mark.parametrize(
    "name", ["roles_claim", "scopes_claim", "groups_claim", "client_claim", "subject_claim"]
)
def test_a_path_that_leads_into_something_else_is_refused_and_not_taken_for_absent(name, value):
    assert R.BAD_CLAIMS is reason({"realm_access": value}, **{name: ("realm_access", "roles")})


def test_every_claim_can_stand_within_another():
    given = {"ext": {"who": "bob", "app": "cli", "words": "a b", "team": ["/x"], "for": AUDIENCE}, "aud": ...}
    paths = {
        "subject_claim": ("ext", "who"),
        "client_claim": ("ext", "app"),
        "scopes_claim": ("ext", "words"),
        "groups_claim": ("ext", "team"),
        "audience_claim": ("ext", "for"),
    }
    found = judge(given, **paths)

    assert ("bob", "cli", ("a", "b"), ("/x",)) == (found.subject, found.client, found.scopes, found.groups)
    assert R.WRONG_AUDIENCE is reason({"ext": {"for": "another"}}, **paths)
    assert R.WRONG_AUDIENCE is reason({"ext": {}}, **paths)


def test_groups_are_read_only_where_somebody_asks_for_them():
    assert () == judge({"groups": [{"not": "a word"}]}).groups
    assert ("/a", "/b") == judge({"groups": ["/a", "/b"]}, groups_claim=("groups",)).groups
    assert R.BAD_CLAIMS is reason({"groups": [{"not": "a word"}]}, groups_claim=("groups",))


def test_a_caller_in_more_groups_than_its_token_lists_is_not_taken_for_one_without_groups():
    elsewhere = {
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.example"}},
    }

    assert "more groups than the token lists" in judge(elsewhere, groups_claim=("groups",)).detail
    assert R.ALLOWED is reason(elsewhere)
    assert R.ALLOWED is reason(elsewhere, groups_claim=("teams",))
    assert ("/a",) == judge({**elsewhere, "groups": ["/a"]}, groups_claim=("groups",)).groups


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, "ext.for is neither a string nor a list of strings"),
        ("x", "ext.for names none of the configured audiences"),
    ],
)
def test_an_audience_that_stands_elsewhere_is_named_by_its_path(value, said):
    assert said == judge({"ext": {"for": value}}, audience_claim=("ext", "for")).detail


@pytest.mark.parametrize(
    ("changes", "terms", "client"),
    [
        ({"azp": "a", "client_id": "c"}, {}, "a"),
        ({"azp": ..., "client_id": "c"}, {}, "c"),
        ({"azp": ...}, {}, ""),
        ({"azp": "a", "cid": "o"}, {"client_claim": ("cid",)}, "o"),
        ({"azp": "a"}, {"client_claim": ("cid",)}, ""),
    ],
)
def test_the_client_is_azp_else_client_id_unless_another_claim_is_configured(changes, terms, client):
    assert client == judge(changes, **terms).client


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
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
        ({"roles": None}, R.BAD_CLAIMS),
        ({"roles": {"admin": True}}, R.BAD_CLAIMS),
        ({"roles": ["admin", 1]}, R.BAD_CLAIMS),
    ],
)
def test_signed_claims_that_are_not_acceptable_are_refused(changes, expected):
    assert expected == reason(changes)


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
    assert expected == reason(changes, **terms)


AUTO, STRICT, NEVER = None, True, False
ID, ACCESS = R.BAD_CLAIMS, R.ALLOWED


@pytest.mark.parametrize(
    ("given", "typ", "auto", "strict"),
    [
        ({"nonce": "n"}, "", ID, ID),
        ({"nonce": "n"}, "jwt", ID, ID),
        ({"nonce": "n"}, "at+jwt", ACCESS, ID),
        ({"nonce": "n"}, "application/at+jwt", ACCESS, ID),
        ({"nonce": "n", "typ": "Bearer"}, "jwt", ACCESS, ID),
        ({"nonce": "n", "typ": "bearer"}, "jwt", ID, ID),
        ({"nonce": "n", "token_use": "access"}, "", ACCESS, ID),
        ({"at_hash": "h", "token_use": "access"}, "", ACCESS, ID),
        ({"token_use": "id"}, "at+jwt", ID, ID),
        ({"typ": "ID"}, "at+jwt", ID, ID),
        ({"typ": "ID", "token_use": "access"}, "", ID, ID),
        ({}, "", ACCESS, ACCESS),
    ],
)
def test_a_token_that_says_it_is_an_access_token_is_one_unless_it_also_says_otherwise(
    given, typ, auto, strict
):
    def judged(refuse):
        found = principal(claims(**given), trust(refuse_id_tokens=refuse), NOW, typ)
        return found.reason if isinstance(found, TokenRejected) else R.ALLOWED

    assert (auto, strict, ACCESS) == (judged(AUTO), judged(STRICT), judged(NEVER))


ORDER = [
    ("a time that is none", {"exp": "never"}, R.BAD_CLAIMS),
    ("expiry", {"exp": 0}, R.EXPIRED_TOKEN),
    ("start", {"nbf": 9e9}, R.NOT_YET_VALID),
    ("audience", {"aud": "other"}, R.WRONG_AUDIENCE),
    ("grants", {"scope": 1}, R.BAD_CLAIMS),
]


@pytest.mark.parametrize("at", range(len(ORDER)), ids=[name for name, _, _ in ORDER])
def test_the_first_check_that_refuses_gives_the_reason(at):
    """Whatever is wrong behind it. A time that is none stands for the expiry that would be read from it."""
    wrong = {}
    for _, changes, _ in reversed(ORDER[at:]):
        wrong |= changes

    assert ORDER[at][2] is reason(wrong)


@pytest.mark.parametrize(("mark", "value"), [("nonce", None), ("at_hash", ""), ("c_hash", 0)])
def test_the_mark_of_an_id_token_counts_whatever_its_value(mark, value):
    assert R.BAD_CLAIMS is reason({mark: value})
    assert R.ALLOWED is reason({mark: value}, refuse_id_tokens=False)


@pytest.mark.parametrize(
    ("token_use", "expected"), [("id", R.BAD_CLAIMS), ("access", R.ALLOWED), ("ID", R.ALLOWED)]
)
def test_of_the_uses_of_a_token_one_is_refused(token_use, expected):
    assert expected is reason({"token_use": token_use})


def test_at_the_moment_of_expiry_and_leeway_a_token_is_expired():
    end = NOW + 600 + trust().leeway

    assert isinstance(judge({}, now=math.nextafter(end, 0)), Principal)
    assert R.EXPIRED_TOKEN is judge({}, now=end).reason


@pytest.mark.parametrize(
    "changes", [{"exp": 0}, {"aud": "SECRET"}, {"sub": 1}, {"scope": ["SECRET SECRET"]}, {"roles": 1}]
)
def test_a_refusal_names_no_issuer_no_key_and_no_value(changes):
    """Whose claims they are is known to the caller of this, and who asks for a key never gets so far."""
    refused = judge(changes)

    assert ("", None) == (refused.issuer, refused.kid)
    assert "SECRET" not in refused.detail
