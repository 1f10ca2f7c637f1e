import math

import pytest

from authz.core.identity.issuer import ACCESS_TYPES, Introspect, IssuerTerms
from authz.core.identity.jwks import ALGORITHMS
from tests.support.tokens import trust


@pytest.mark.parametrize(
    "terms",
    [
        {"issuer": ""},
        {"audiences": frozenset()},
        {"audiences": frozenset({""})},
        {"algorithms": frozenset()},
        {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset({"RS256", "HS256"})},
        {"algorithms": frozenset({"HS512"})},
        {"algorithms": frozenset({"ES256K"})},
        {"types": frozenset({"JWT"})},
        {"types": frozenset({"JWT", "jwt"})},
        {"leeway": -1},
        {"leeway": 601},
        {"leeway": math.nan},
        {"max_token_age": 0},
        {"max_token_age": math.nan},
    ],
)
def test_terms_that_cannot_be_meant_cannot_be_built(terms):
    with pytest.raises(ValueError, match=r"issuer|audience|algorithm|types|leeway|max_token_age"):
        trust(**terms)


@pytest.mark.parametrize(
    "terms",
    [
        {"algorithms": frozenset(ALGORITHMS)},
        {"leeway": 0},
        {"leeway": 600},
        {"max_token_age": None},
        {"max_token_age": 0.5},
    ],
)
def test_terms_at_the_edge_of_what_can_be_meant_can_be_built(terms):
    assert terms == {name: getattr(trust(**terms), name) for name in terms}


def test_without_more_the_usual_access_tokens_are_accepted_and_no_issuer_is_asked():
    terms = IssuerTerms(issuer="https://issuer.example/", audiences=frozenset({"a"}))

    assert {"at+jwt", "application/at+jwt"} == ACCESS_TYPES
    assert {"", "jwt", "at+jwt", "application/at+jwt"} == terms.types
    assert (frozenset({"RS256"}), 60.0, None) == (terms.algorithms, terms.leeway, terms.max_token_age)
    assert (("scope",), None, "") == (terms.scopes_claim, terms.permissions_claim, terms.scope_prefix)
    assert (("roles",), None, None) == (terms.roles_claim, terms.groups_claim, terms.client_claim)
    assert (("sub",), ("aud",), {}) == (terms.subject_claim, terms.audience_claim, terms.required_claims)
    assert (True, None, None) == (terms.require_subject, terms.allowed_clients, terms.refuse_id_tokens)
    assert ("", Introspect.NEVER) == (terms.name, terms.introspect)


def test_the_words_for_what_an_issuer_is_asked_about_are_those_of_the_policy():
    assert ["never", "opaque", "all"] == list(Introspect)
