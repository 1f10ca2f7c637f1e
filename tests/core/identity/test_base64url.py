from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.jwks import unbase64url
from tests.support.tokens import b64


@given(st.binary(max_size=100))
def test_bytes_have_one_base64url_spelling(data):
    assert data == unbase64url(b64(data))


@given(st.text(alphabet="AQg-_+/= \n.é", max_size=8))
def test_what_decodes_is_the_canonical_spelling(text):
    data = unbase64url(text)

    assert data is None or text == b64(data)


def test_the_last_character_of_a_spelling_may_be_any_of_the_alphabet():
    for character in "AXZaxz09-_":
        assert b64(unbase64url("AAA" + character)) == "AAA" + character
