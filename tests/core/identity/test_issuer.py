import math

import pytest

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
