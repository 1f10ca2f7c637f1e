"""The demo issuer's OAuth flows: what each gives and refuses, and the official MCP client logging in through them."""

import asyncio
import dataclasses
import hashlib
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from authz.demo.client import tool_names
from authz.demo.issuer.app import AUDIENCE, ROLES_CLAIM, IssuerServer, TokenIssuer
from authz.demo.issuer.authorization_code import Flows
from authz.demo.issuer.grants import OAuthError
from authz.demo.issuer.tokens import SigningKey
from authz.demo.scenarios.login import BrowserUser, list_tools
from authz.demo.stack import Stack

LIMIT = 30.0
"""Seconds after which a test gives up waiting."""

URL = "http://127.0.0.1:8090/"
RESOURCE = "http://localhost:10000/mcp"
CALLBACK = "http://127.0.0.1:3030/callback"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def key():
    return SigningKey()


@pytest.fixture
def flows(clock, key):
    return Flows(TokenIssuer(URL, clock=clock, key=key), interval=5, lifetime=900)


def claims_of(flows, answer):
    key = jwt.PyJWKSet.from_dict(flows.issuer.jwks())[
        jwt.get_unverified_header(answer["access_token"])["kid"]
    ]
    options = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    return jwt.decode(answer["access_token"], key, algorithms=["RS256"], options=options)


def registered(flows, **asked):
    return flows.clients.register({"redirect_uris": [CALLBACK], **asked})


def asked(client, **more):
    return {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "abc",
        "scope": "files:read",
        "resource": RESOURCE,
        **more,
    }


def answered(url):
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def redeeming(client, issued, **more):
    return {
        "grant_type": "authorization_code",
        "client_id": client.id,
        "code": issued,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **more,
    }


def logged_in(flows, client=None, **more):
    client = client or registered(flows)
    code = answered(flows.authorize(asked(client, **more)))["code"]
    return flows.token(redeeming(client, code), None)


def refused(work, *arguments):
    with pytest.raises(OAuthError) as found:
        work(*arguments)
    return found.value.status, found.value.error


# Authorization code


def test_the_redirect_carries_code_state_and_issuer(flows):
    url = flows.authorize(asked(registered(flows)))

    assert url.startswith(f"{CALLBACK}?")
    assert {"code", "state", "iss"} == set(answered(url))
    assert ("abc", URL) == (answered(url)["state"], answered(url)["iss"])


def test_a_redirect_uri_keeps_its_own_query(flows):
    client = registered(flows, redirect_uris=[f"{CALLBACK}?a=b"])
    url = flows.authorize(asked(client, redirect_uri=f"{CALLBACK}?a=b"))

    assert "b" == answered(url)["a"]


def test_a_code_becomes_a_token_for_the_resource_and_the_user(flows):
    client = registered(flows)
    answer = logged_in(flows, client)
    claims = claims_of(flows, answer)

    assert ("Bearer", 3600, "files:read") == (answer["token_type"], answer["expires_in"], answer["scope"])
    assert [RESOURCE, f"{URL}userinfo"] == claims["aud"]
    assert ("auth0|demo", client.id, "files:read", []) == (
        claims["sub"],
        claims["azp"],
        claims["scope"],
        claims[ROLES_CLAIM],
    )


@pytest.mark.parametrize(
    ("more", "audience"),
    [
        ({"resource": "https://r.example"}, "https://r.example"),
        ({"audience": "https://a.example"}, "https://a.example"),
        ({"audience": "https://a.example", "resource": "https://r.example"}, "https://a.example"),
    ],
)
def test_audience_and_resource_choose_the_audience_and_audience_wins(flows, more, audience):
    assert audience == claims_of(flows, logged_in(flows, **{"resource": "", **more}))["aud"][0]


def test_without_an_audience_the_token_is_opaque_as_with_auth0(flows):
    assert "." not in logged_in(flows, resource="")["access_token"]


@pytest.mark.parametrize(
    ("more", "scope", "roles"),
    [
        ({"scope": "files:read files:delete root"}, "files:read files:delete", []),
        ({"scope": "files:delete", "login_hint": "reader"}, "", []),
        ({"scope": ""}, "", []),
        ({"login_hint": "admin"}, "files:read", ["admin"]),
        ({"roles": "admin auditor"}, "files:read", ["admin", "auditor"]),
    ],
)
def test_no_more_than_the_users_scopes_are_granted_and_roles_are_the_users_or_as_told(
    flows, more, scope, roles
):
    claims = claims_of(flows, logged_in(flows, **more))

    assert (scope, roles) == (claims["scope"], claims[ROLES_CLAIM])


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"login_hint": "nobody"}, "access_denied"),
    ],
)
def test_a_wrong_authorization_request_is_answered_at_the_redirect_uri_without_a_code(flows, more, error):
    answer = answered(flows.authorize(asked(registered(flows), **more)))

    assert (error, "abc", URL) == (answer["error"], answer["state"], answer["iss"])
    assert "code" not in answer


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"redirect_uri": "http://127.0.0.1:3030/other"}, 400, "invalid_request"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
    ],
)
def test_an_unknown_client_or_redirect_uri_is_redirected_nowhere(flows, more, status, error):
    assert (status, error) == refused(flows.authorize, asked(registered(flows), **more))


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"code_verifier": "w" * 43}, 403, "invalid_grant"),
        ({"code_verifier": ""}, 403, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:3030/other"}, 403, "invalid_grant"),
        ({"code": "guess"}, 403, "invalid_grant"),
        ({"resource": "https://other.example"}, 400, "invalid_target"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_code_is_worth_nothing_to_who_cannot_show_what_belongs_to_it(flows, more, status, error):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]

    assert (status, error) == refused(flows.token, redeeming(client, code, **more), None)


def test_a_code_of_one_client_is_worth_nothing_to_another(flows):
    code = answered(flows.authorize(asked(registered(flows))))["code"]

    assert (403, "invalid_grant") == refused(flows.token, redeeming(registered(flows), code), None)


def test_a_code_is_good_once(flows):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]
    flows.token(redeeming(client, code), None)

    assert (403, "invalid_grant") == refused(flows.token, redeeming(client, code), None)


def test_a_code_is_good_for_a_minute(flows, clock):
    client = registered(flows)
    code = answered(flows.authorize(asked(client)))["code"]
    clock.now += 60

    assert (403, "invalid_grant") == refused(flows.token, redeeming(client, code), None)


def test_a_refresh_token_is_given_when_asked_for_and_is_good_once(flows):
    client = registered(flows, grant_types=["authorization_code", "refresh_token"])
    first = logged_in(flows, client, scope="files:read offline_access")
    again = {
        "grant_type": "refresh_token",
        "client_id": client.id,
        "refresh_token": first["refresh_token"],
    }
    second = flows.token(again, None)

    assert "files:read offline_access" == claims_of(flows, second)["scope"]
    assert first["refresh_token"] != second["refresh_token"]
    assert (403, "invalid_grant") == refused(flows.token, again, None)


def test_a_client_without_the_refresh_grant_gets_no_refresh_token(flows):
    assert "refresh_token" not in logged_in(flows, scope="files:read offline_access")


# Client registration and authentication


@pytest.mark.parametrize(
    ("asked_for", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://example.com/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK + "#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": [["authorization_code"]]}, "invalid_client_metadata"),
    ],
)
def test_a_registration_that_asks_for_too_much_is_refused(flows, asked_for, error):
    assert (400, error) == refused(lambda: flows.clients.register({"redirect_uris": [CALLBACK], **asked_for}))


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_a_client_that_registers_for_a_secret_must_show_it_in_the_way_it_chose(flows, method):
    client = registered(flows, token_endpoint_auth_method=method)
    basic = "Basic " + b64encode(f"{client.id}:{client.secret}".encode()).decode()
    ways = {
        "none": ({}, None),
        "client_secret_post": ({"client_secret": client.secret}, None),
        "client_secret_basic": ({}, basic),
    }
    given = {}
    for way, (more, header) in ways.items():
        code = answered(flows.authorize(asked(client)))["code"]
        try:
            flows.token(redeeming(client, code, **more), header)
            given[way] = True
        except OAuthError:
            given[way] = False

    assert {way: way == method for way in ways} == given


def test_the_service_gets_a_token_of_its_own_with_its_secret(flows):
    service = flows.clients.service
    form = {
        "grant_type": "client_credentials",
        "client_id": service.id,
        "client_secret": service.secret,
        "audience": AUDIENCE,
        "scope": "files:read root",
    }
    claims = claims_of(flows, flows.token(form, None))

    assert ("demo-service@clients", AUDIENCE, "client-credentials", "files:read") == (
        claims["sub"],
        claims["aud"],
        claims["gty"],
        claims["scope"],
    )


@pytest.mark.parametrize("secret", ["", "secret", "demo-service"])
def test_there_is_no_default_secret(flows, secret):
    form = {
        "grant_type": "client_credentials",
        "client_id": "demo-service",
        "client_secret": secret,
        "audience": AUDIENCE,
    }

    assert (401, "invalid_client") == refused(flows.token, form, None)
    assert flows.clients.service.secret != Flows(TokenIssuer(URL)).clients.service.secret


def test_a_client_may_use_its_own_grant_types_only(flows):
    form = {"grant_type": "client_credentials", "client_id": "demo-native", "audience": AUDIENCE}

    assert (403, "unauthorized_client") == refused(flows.token, form, None)
    assert (403, "unauthorized_client") == refused(flows.device_code, {"client_id": "demo-service"})


# Device flow


@pytest.fixture
def code(flows):
    form = {"client_id": "demo-native", "audience": AUDIENCE, "scope": "files:read"}
    return flows.device_code(form)


def poll(flows, code):
    form = {"grant_type": DEVICE, "client_id": "demo-native", "device_code": code["device_code"]}
    try:
        return 200, flows.token(form, None)
    except OAuthError as error:
        return error.status, error.error


def answer(flows, code, what, **more):
    flows.activate({"user_code": code["user_code"], "answer": what, **more})


def test_a_device_code_has_the_members_of_auth0s(code):
    assert {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    } == set(code)
    assert f"{URL}activate?user_code={code['user_code']}" == code["verification_uri_complete"]
    assert (900, 5) == (code["expires_in"], code["interval"])


def test_polls_find_the_code_pending_until_it_is_approved(flows, clock, code):
    seen = [poll(flows, code)]
    clock.now += 5
    seen.append(poll(flows, code))
    answer(flows, code, "approve", roles="admin")
    clock.now += 5
    status, given = poll(flows, code)
    claims = claims_of(flows, given)

    assert [(403, "authorization_pending")] * 2 == seen
    assert (200, AUDIENCE, "files:read", ["admin"]) == (
        status,
        claims["aud"][0],
        claims["scope"],
        claims[ROLES_CLAIM],
    )
    assert (403, "invalid_grant") == poll(flows, code)


def test_polling_too_fast_costs_five_seconds_more_from_then_on(flows, clock, code):
    poll(flows, code)
    clock.now += 4.9
    assert (429, "slow_down") == poll(flows, code)
    clock.now += 9.9
    assert (429, "slow_down") == poll(flows, code)
    clock.now += 15
    assert (403, "authorization_pending") == poll(flows, code)


def test_a_code_expires_once_and_is_unknown_after_that(flows, clock, code):
    clock.now += 900

    assert [(403, "expired_token"), (403, "invalid_grant")] == [poll(flows, code), poll(flows, code)]


def test_a_denied_code_is_denied_once_and_unknown_after_that(flows, clock, code):
    answer(flows, code, "deny")

    assert [(403, "access_denied"), (403, "invalid_grant")] == [poll(flows, code), poll(flows, code)]


def test_a_device_code_is_worth_nothing_to_another_client(flows, code):
    form = {"grant_type": DEVICE, "client_id": registered(flows).id, "device_code": code["device_code"]}

    assert (403, "unauthorized_client") == refused(flows.token, form, None)


@pytest.mark.parametrize(
    "more", [{"user_code": "XXXX-XXXX"}, {"answer": "perhaps"}, {"answer": ""}, {"login_hint": "nobody"}]
)
def test_an_activation_that_makes_no_sense_changes_nothing(flows, code, more):
    form = {"user_code": code["user_code"], "answer": "approve", **more}
    refused(flows.activate, form)

    assert (403, "authorization_pending") == poll(flows, code)


# Over HTTP


@pytest.fixture(scope="module")
def served():
    server = IssuerServer()
    with server:
        yield server


def test_discovery_names_endpoints_that_answer(served):
    url = served.flows.issuer.url
    found = httpx.get(f"{url}.well-known/openid-configuration", trust_env=False).json()
    endpoints = [value for name, value in found.items() if name.endswith("_endpoint")]

    assert 4 == len(endpoints)
    assert [] == [e for e in endpoints if httpx.options(e, trust_env=False).status_code == 404]
    assert ["S256"] == found["code_challenge_methods_supported"]
    assert found["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (401, b"grant_type=client_credentials&client_id=x", "application/x-www-form-urlencoded"),
        (400, b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (400, b"grant_type=%FF", "application/x-www-form-urlencoded"),
        (400, b'{"grant_type":"a"}', "application/json"),
    ],
)
def test_a_token_request_that_makes_no_sense_is_refused_and_not_stored(served, status, content, kind):
    url = f"{served.flows.issuer.url}oauth/token"
    answer = httpx.post(url, content=content, headers={"content-type": kind}, trust_env=False)

    assert (status, "no-store") == (answer.status_code, answer.headers["cache-control"])
    assert "error" in answer.json()


# The official client, which knows one URL


@pytest.fixture(scope="module")
def gateway():
    """Our gateway in front of the MCP server; it takes tokens whose audience is its own URL (RFC 8707)."""
    with Stack(forms=("native",)) as stack:
        started = stack.gateways["native"]
        stack.supervisor.stop(started.service_name)
        stack.supervisor.stop(started.envoy_name)
        own = dataclasses.replace(
            started, name="own", environment={**started.environment, "DEMO_AUDIENCE": started.url}
        )
        own.start()
        yield stack, own


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("hint", "tools"),
    [
        ("demo", ["echo", "get_user_info", "list_files"]),
        ("admin", ["echo", "get_user_info", "list_files", "delete_file", "system_status"]),
    ],
)
def test_the_mcp_sdk_finds_registers_logs_in_and_lists_its_tools_with_nothing_but_the_url(
    gateway, hint, tools
):
    stack, own = gateway
    user = BrowserUser(hint)
    names = asyncio.run(asyncio.wait_for(list_tools(own.url, user), LIMIT))
    asked_for = user.last_request
    claims = jwt.decode(user.tokens.access_token, options={"verify_signature": False})

    assert tools == names
    assert 1 == len(user.pages)
    assert ("S256", own.url) == (asked_for["code_challenge_method"], asked_for["resource"])
    assert stack.issuer == user.registration.issuer
    assert own.url in claims["aud"]
    assert user.registration.client_id == claims["azp"]


@pytest.mark.envoy
def test_a_token_of_the_device_flow_lists_the_tools_of_who_confirmed_it(gateway):
    stack, own = gateway
    ask = ["--issuer", stack.issuer, "--client-id", "demo-native", "--audience", own.url]
    argv = [sys.executable, "-m", "authz", "token", *ask, "--scope", "files:read"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            link = process.stderr.readline().split()[-1]
            httpx.get(f"{link}&answer=approve&roles=admin", trust_env=False)
            token, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    tools = asyncio.run(tool_names(own.url, token.strip(), "legacy"))

    assert ["echo", "get_user_info", "list_files", "system_status"] == tools


@pytest.mark.envoy
def test_a_token_for_another_resource_is_refused_by_the_gateway(gateway):
    stack, own = gateway
    token = stack.token(audience=AUDIENCE)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    response = httpx.post(own.url, json=body, headers=headers, trust_env=False)

    assert (401, "wrong_audience") == (response.status_code, response.json()["error"]["data"]["reason"])
