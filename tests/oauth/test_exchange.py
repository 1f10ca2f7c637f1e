"""One exchange with an authorization server: over https, and bounded."""

import pytest

from authz.oauth.exchange import OAuthFailure, Unreachable, check_url, exchange, printable_line
from tests.support.oauth_server import ISSUER, answering


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://tenant.example/", True),
        ("http://127.0.0.1:8090/", True),
        ("http://localhost:8090/", True),
        ("http://[::1]:8090/", True),
        ("http://tenant.example/", False),
        ("http://localhost.example/", False),
        ("http://127.0.0.1.example/", False),
        ("http://127.0.0.1@tenant.example/", False),
        ("https://user@tenant.example/", False),
        ("ftp://127.0.0.1/", False),
        ("https://", False),
        ("https://[", False),
        ("https://a b/", False),
        ("https://a/\x1b[2J", False),
        ("tenant.example", False),
        ("", False),
        (None, False),
    ],
)
def test_https_anywhere_and_http_on_loopback_alone(url, good):
    try:
        accepted = check_url(url, "it") == url
    except OAuthFailure:
        accepted = False

    assert good == accepted


def test_an_answer_that_is_too_long_is_given_up():
    http, _ = answering((200, b" " * 300_000))
    with http, pytest.raises(Unreachable, match="too long"):
        exchange(http, ISSUER)


def test_a_servers_words_are_one_line_of_bounded_length():
    assert ("a b", "", 300) == (printable_line("a\nb"), printable_line(None), len(printable_line("x" * 9999)))
