import pytest

from authz.core.identity.principal import Caller
from authz.core.reasons import Reason
from authz.tools.synthetic_caller import added, caller_of, names_an_issuer
from tests.support.core import server
from tests.support.tokens import AUDIENCE, ISSUER, NOW, trust

OTHER = "https://other.example/"


def several():
    return server(issuers={ISSUER: trust(), OTHER: trust(issuer=OTHER)})


def test_what_every_token_has_is_added_and_what_is_given_is_kept():
    who = caller_of({"sub": "alice", "scope": "a b", "exp": NOW + 5}, server(), NOW)

    assert isinstance(who, Caller)
    assert ("alice", {"a", "b"}, "demo") == (who.principal.subject, who.scopes, who.server)
    assert (ISSUER, AUDIENCE, NOW + 5) == tuple(who.principal.claims[name] for name in ("iss", "aud", "exp"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, Reason.EXPIRED_TOKEN),
        ({"aud": "https://elsewhere.example"}, Reason.WRONG_AUDIENCE),
        ({"iss": "https://stranger.example/"}, Reason.UNKNOWN_ISSUER),
        ({"iss": 5}, Reason.UNKNOWN_ISSUER),
        ({"nbf": NOW + 9999}, Reason.NOT_YET_VALID),
    ],
)
def test_claims_are_rejected_as_a_token_with_them_would_be(claims, reason):
    assert reason is caller_of(claims, server(), NOW).reason


def test_among_several_issuers_the_claims_name_theirs():
    assert Reason.UNKNOWN_ISSUER is caller_of({}, several(), NOW).reason
    assert OTHER == caller_of({"iss": OTHER}, several(), NOW).principal.issuer


@pytest.mark.parametrize(
    ("claims", "target", "expected"),
    [
        ({}, server(), ("iss", "aud", "exp", "sub")),
        ({"iss": ISSUER, "aud": AUDIENCE}, server(), ("exp", "sub")),
        ({"sub": "alice"}, server(), ("iss", "aud", "exp")),
        ({}, server(issuers={ISSUER: trust(max_token_age=60.0)}), ("iss", "aud", "exp", "iat", "sub")),
        ({}, several(), ()),
    ],
)
def test_the_claims_that_were_added_are_named(claims, target, expected):
    assert expected == added(claims, target)


@pytest.mark.parametrize(
    ("claims", "target", "expected"),
    [({}, server(), True), ({}, several(), False), ({"iss": OTHER}, several(), True)],
)
def test_an_issuer_is_clear_if_it_is_named_or_the_only_one(claims, target, expected):
    assert expected is names_an_issuer(claims, target)
