import json

import pytest

from authz.config.settings import IssuerKeys
from tests.config.agentgateway.test_policy import (
    AUTHENTICATION,
    HTTP,
    JWKS,
    NO_KEYS,
    PROVIDER,
    PROVIDERS,
    STRICT,
    UNKNOWN_MODE,
    UNUSABLE,
    URL,
)
from tests.support.policy_files import POLICY, problems, settings, warnings
from tests.support.tokens import jwk, rsa_key

ISSUER = "https://issuer.example/"
INLINE = json.dumps({"keys": [jwk(rsa_key())]})


@pytest.mark.parametrize(
    ("jwks", "options", "expected"),
    [
        (JWKS, {}, IssuerKeys(issuer=ISSUER, jwks_uri="https://issuer.example/jwks.json")),
        ("", {}, IssuerKeys(issuer=ISSUER)),
        (f"jwks: {{inline: '{INLINE}'}}", {}, IssuerKeys(issuer=ISSUER, inline=INLINE.encode())),
        (f"jwks: {{inline: {INLINE}}}", {}, IssuerKeys(issuer=ISSUER, inline=INLINE.encode())),
        (
            "jwks: {remote: {jwksPath: /keys, backendRef: {name: Keys, namespace: idp, port: 80}}}",
            {},
            IssuerKeys(issuer=ISSUER, jwks_uri="http://Keys.idp.svc.cluster.local:80/keys"),
        ),
        (
            "jwks: {remote: {jwksPath: keys, backendRef: {name: keys, port: 80}}}",
            {},
            IssuerKeys(issuer=ISSUER, jwks_uri="http://keys.mcp.svc.cluster.local:80/keys"),
        ),
        (
            JWKS,
            {ISSUER: "http://127.0.0.1:1/jwks"},
            IssuerKeys(issuer=ISSUER, jwks_uri="http://127.0.0.1:1/jwks"),
        ),
        (
            f"jwks: {{inline: '{INLINE}'}}",
            {ISSUER: "https://other.example/jwks"},
            IssuerKeys(issuer=ISSUER, jwks_uri="https://other.example/jwks"),
        ),
    ],
    ids=[
        "url",
        "discovery",
        "inline text",
        "inline mapping",
        "Service",
        "own namespace",
        "override",
        "over inline",
    ],
)
def test_keys_come_from_the_place_the_document_or_the_command_line_names(jwks, options, expected):
    assert {ISSUER: expected} == settings(POLICY.replace(JWKS, jwks), jwks=options).keys


@pytest.mark.parametrize(
    ("jwks", "options", "hosts"),
    [
        (JWKS, {}, set()),
        ("jwks: {remote: {backendRef: {name: Keys, port: 80}}}", {}, {"keys.mcp.svc.cluster.local"}),
        (JWKS, {ISSUER: "http://keys.idp.svc.cluster.local/x"}, {"keys.idp.svc.cluster.local"}),
        (JWKS, {ISSUER: "http://127.0.0.1/x"}, set()),
    ],
    ids=["https", "Service", "override", "loopback"],
)
def test_only_services_of_the_cluster_may_give_keys_over_plain_http(jwks, options, hosts):
    assert hosts == settings(POLICY.replace(JWKS, jwks), jwks=options).insecure_hosts


def test_an_override_for_an_issuer_that_nobody_trusts_is_an_error():
    cure = "write the issuer as the document does, slash included"

    assert [f"--jwks: no provider is https://issuer.example ({cure})"] == problems(
        POLICY, jwks={"https://issuer.example": "https://x.example/"}
    )


def test_an_override_over_plain_http_from_elsewhere_is_an_error():
    assert [f"FILE:11: {PROVIDER}.jwks: {HTTP}"] == problems(POLICY, jwks={ISSUER: "http://x.example/"})


def test_the_usual_place_of_a_token_may_be_written_out():
    location = 'location: {header: {name: authorization, prefix: "Bearer "}}'

    assert [] == warnings(POLICY.replace(JWKS, f"{JWKS}\n          {location}"))


REFUSED = {
    "mode Optional": (
        POLICY.replace("      providers:", "      mode: Optional\n      providers:"),
        [f"FILE:8: {AUTHENTICATION}.mode: {STRICT}"],
    ),
    "mode Permissive": (
        POLICY.replace("      providers:", "      mode: Permissive\n      providers:"),
        [f"FILE:8: {AUTHENTICATION}.mode: {STRICT}"],
    ),
    "mode is a list": (
        POLICY.replace("      providers:", "      mode: [Strict]\n      providers:"),
        [f"FILE:8: {AUTHENTICATION}.mode: {UNKNOWN_MODE}"],
    ),
    "no audiences": (
        POLICY.replace("          audiences: [https://mcp.example/mcp]\n", ""),
        [
            f"FILE:9: {PROVIDER}.audiences: without audiences, a token for any API is accepted (name this API's)"
        ],
    ),
    "empty audiences": (
        POLICY.replace("[https://mcp.example/mcp]", "[]"),
        [
            f"FILE:10: {PROVIDER}.audiences: without audiences, a token for any API is accepted (name this API's)"
        ],
    ),
    "an empty audience": (
        POLICY.replace("[https://mcp.example/mcp]", "['']"),
        [
            f"FILE:10: {PROVIDER}.audiences: a list of strings is needed",
            f"FILE:10: {PROVIDER}.audiences: without audiences, a token for any API is accepted (name this API's)",
        ],
    ),
    "providers are a mapping": (
        POLICY.replace("providers:\n" + PROVIDERS, "providers: {a: b}\n"),
        [f"FILE:8: {AUTHENTICATION}.providers: a list is needed"],
    ),
    "a provider is a word": (
        POLICY.replace("providers:\n" + PROVIDERS, "providers: [a]\n"),
        [f"FILE:8: {PROVIDER}: a mapping is needed"],
    ),
    "a provider without issuer": (
        POLICY.replace("issuer: https://issuer.example/\n          ", ""),
        [f"FILE:9: {PROVIDER}.issuer: this key is required"],
    ),
    "an issuer twice": (
        POLICY.replace(PROVIDERS, PROVIDERS * 2),
        [
            (
                f"FILE:12: {AUTHENTICATION}.providers[1].issuer: a second provider for https://issuer.example/"
                " (merge the two)"
            )
        ],
    ),
    "an issuer over plain http": (
        POLICY.replace("issuer: https", "issuer: http"),
        [f"FILE:9: {PROVIDER}.issuer: {HTTP}"],
    ),
    "keys over plain http": (
        POLICY.replace("url: https", "url: http"),
        [f"FILE:11: {PROVIDER}.jwks.remote.url: {HTTP}"],
    ),
    "keys in a file": (
        POLICY.replace("https://issuer.example/jwks.json", "file:///etc/jwks.json"),
        [f"FILE:11: {PROVIDER}.jwks.remote.url: {URL}"],
    ),
    "keys nowhere": (POLICY.replace(JWKS, "jwks: {}"), [f"FILE:11: {PROVIDER}.jwks: {NO_KEYS}"]),
    "keys are a word": (POLICY.replace(JWKS, "jwks: x"), [f"FILE:11: {PROVIDER}.jwks: {NO_KEYS}"]),
    "a Service without port": (
        POLICY.replace(JWKS, "jwks: {remote: {backendRef: {name: keys}}}"),
        [f"FILE:11: {PROVIDER}.jwks.remote: {NO_KEYS}"],
    ),
    "not a Service": (
        POLICY.replace(JWKS, "jwks: {remote: {backendRef: {kind: Secret, name: keys, port: 1}}}"),
        [f"FILE:11: {PROVIDER}.jwks.remote: {NO_KEYS}"],
    ),
    "a Service with an odd name": (
        POLICY.replace(JWKS, "jwks: {remote: {backendRef: {name: evil.example/, port: 1}}}"),
        [f"FILE:11: {PROVIDER}.jwks.remote: {HTTP}"],
    ),
    "inline keys that are no JSON": (
        POLICY.replace(JWKS, "jwks: {inline: '{'}"),
        [f"FILE:11: {PROVIDER}.jwks.inline: {UNUSABLE}"],
    ),
    "inline keys without a key": (
        POLICY.replace(JWKS, "jwks: {inline: '{\"keys\": []}'}"),
        [f"FILE:11: {PROVIDER}.jwks.inline: {UNUSABLE}"],
    ),
    "an inline key that is a shared secret": (
        POLICY.replace(JWKS, "jwks: {inline: {keys: [{kty: oct, k: c2VjcmV0, kid: 2025-01-01}]}}"),
        [f"FILE:11: {PROVIDER}.jwks.inline: {UNUSABLE}"],
    ),
    "a token in another header": (
        POLICY.replace(JWKS, JWKS + "\n          location: {header: {name: x-token}}"),
        [
            (
                f"FILE:12: {PROVIDER}.location: a token is read from the Authorization header only"
                " (send the token as Authorization: Bearer, as MCP requires)"
            )
        ],
    ),
    "a token in the query": (
        POLICY.replace(JWKS, JWKS + "\n          location: {queryParameter: {name: token}}"),
        [
            (
                f"FILE:12: {PROVIDER}.location: a token is read from the Authorization header only"
                " (send the token as Authorization: Bearer, as MCP requires)"
            )
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_provider_that_cannot_be_honoured_is_refused_with_line_key_and_cure(text, expected):
    assert expected == problems(text)
