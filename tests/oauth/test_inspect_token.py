"""Reading a token without verifying it: everything that can be read is, and nothing else happens."""

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.oauth.inspect_token import UnreadableError, decode

JSON = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))


def segment(value):
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(header=JSON, claims=JSON, signature=st.sampled_from(["", "AAAA", "not base64!"]))
def test_header_and_claims_are_read_whatever_the_signature(header, claims, signature):
    found = decode(f"{segment(header)}.{segment(claims)}.{signature}")

    assert (header, claims) == (found.header, found.claims)


@given(st.text() | st.text(alphabet="ey.AJW0_-="))
def test_any_text_is_read_or_is_unreadable(text):
    try:
        found = decode(text)
    except UnreadableError:
        return

    assert isinstance(found.header, dict)
    assert isinstance(found.claims, dict)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("opaque-secret", "opaque"),
        ("a.b.c.d.e", "encrypted"),
        ("a.b", "three segments"),
        (f"{segment([])}.{segment({})}.", "header is not a JSON object"),
        (f"{segment({})}.{segment('secret')}.", "payload is not a JSON object"),
        (f"{segment({})}.e30\u00e9.", "payload is not a JSON object"),
        (
            f"{segment({})}." + urlsafe_b64encode(b"[" * 100_000).decode() + ".",
            "payload is not a JSON object",
        ),
    ],
)
def test_what_cannot_be_read_is_said_without_showing_it(token, why):
    with pytest.raises(UnreadableError, match=why) as found:
        decode(token)

    assert "secret" not in str(found.value)
