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
