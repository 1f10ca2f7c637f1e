"""Discovery of an issuer's endpoints: from its document, and else the paths that Auth0 uses."""

import pytest

from authz.oauth.endpoints import Endpoints, discover
from authz.oauth.exchange import OAuthFailure
from tests.support.oauth_server import ISSUER, answering

DOCUMENT = {
    "issuer": ISSUER,
    "device_authorization_endpoint": f"{ISSUER}d",
    "token_endpoint": f"{ISSUER}t",
}
FALLBACK = Endpoints(device=f"{ISSUER}oauth/device/code", token=f"{ISSUER}oauth/token")


def discovered(*answers, issuer=ISSUER):
    http, seen = answering(*answers)
    with http:
        return discover(http, issuer), [str(request.url) for request in seen]


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER.rstrip("/")])
def test_the_discovery_document_names_the_endpoints(issuer):
    assert (
        Endpoints(device=f"{ISSUER}d", token=f"{ISSUER}t"),
        [f"{ISSUER}.well-known/openid-configuration"],
    ) == (discovered((200, DOCUMENT), issuer=issuer))


def test_the_second_document_is_asked_for_where_rfc_8414_puts_it():
    issuer = "https://tenant.example/realms/demo"
    found, seen = discovered((404, b""), (200, DOCUMENT | {"issuer": issuer}), issuer=issuer)

    assert f"{ISSUER}d" == found.device
    assert [
        f"{issuer}/.well-known/openid-configuration",
        "https://tenant.example/.well-known/oauth-authorization-server/realms/demo",
    ] == seen


@pytest.mark.parametrize(
    "answers", [[(404, b""), (404, b"")], [(200, {"issuer": ISSUER})], [(302, b""), (200, b"<html>")]]
)
def test_where_discovery_is_silent_the_paths_are_those_of_auth0(answers):
    assert FALLBACK == discovered(*answers)[0]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (DOCUMENT | {"issuer": "https://other.example/"}, "another issuer's"),
        ({"token_endpoint": f"{ISSUER}t"}, "another issuer's"),
        (DOCUMENT | {"token_endpoint": "http://tenant.example/t"}, "token_endpoint is not an https URL"),
        (
            DOCUMENT | {"device_authorization_endpoint": 7},
            "device_authorization_endpoint is not an https URL",
        ),
    ],
)
def test_a_document_that_cannot_be_believed_is_a_failure(document, sentence):
    with pytest.raises(OAuthFailure, match=sentence):
        discovered((200, document))
