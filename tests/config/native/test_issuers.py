"""Issuers as a native file has them: names that are no URL, keys from a file, and what their tokens are read for."""

import json

import pytest

from authz.config.load import load
from authz.config.problems import ConfigError
from tests.support.policy_files import NATIVE, lines, problems, settings
from tests.support.tokens import good_keys, jwk, rsa_key

NEITHER = (
    "issuers.main.issuer: an issuer is a URL as in https://example.com/,"
    " or a name of visible ASCII; with a colon it is a URI"
)
LINE = "    issuer: https://issuer.example/\n"


def with_issuer(text):
    return NATIVE.replace(LINE, f"    {text}\n")


@pytest.mark.parametrize(
    "issuer", ["urn:example:machines", "spiffe://cluster.local", "kubernetes/serviceaccount", "x"]
)
def test_an_issuer_that_is_no_url_is_trusted_with_keys_that_are_given(issuer):
    given = settings(with_issuer(f"issuer: {issuer}\n    jwks_uri: https://keys.example/jwks"))

    assert [issuer] == list(given.keys)
    assert "https://keys.example/jwks" == given.keys[issuer].jwks_uri


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "issuer: urn:machines",
            "issuers.main: an issuer that is no URL publishes no metadata: give jwks_uri or jwks_file",
        ),
        (
            "issuer: https://a.example/\n    jwks_uri: https://a.example/keys\n    jwks_file: keys.json",
            "issuers.main: jwks_uri and jwks_file exclude each other",
        ),
        (
            "issuer: 'two words'\n    jwks_uri: https://a.example/keys",
            NEITHER,
        ),
        (
            "issuer: '1:x'\n    jwks_uri: https://a.example/keys",
            NEITHER,
        ),
        (
            "issuer: 'https:/one-slash'",
            "issuers.main.issuer: an absolute URL is needed, as in https://example.com/mcp",
        ),
        (
            "issuer: https://a.example/?x",
            "issuers.main.issuer: a URL without credentials, query or fragment is needed",
        ),
    ],
)
def test_an_issuer_that_could_not_be_meant_is_refused(text, finding):
    (line,) = problems(with_issuer(text))

    assert finding == line.partition(": ")[2]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policy.yaml").write_text(with_issuer("issuer: offline\n    jwks_file: keys.json"))
    return tmp_path


def test_keys_can_stand_in_a_file_beside_the_policy_which_is_watched_with_it(folder):
    (folder / "keys.json").write_text(json.dumps({"keys": [jwk(rsa_key())]}))
    given = load(str(folder / "policy.yaml"), environment={})

    assert good_keys().keys.keys() == {json.loads(given.keys["offline"].inline)["keys"][0]["kid"]}
    assert str(folder / "keys.json") in given.read


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (None, "no key set can be read from {}: No such file or directory"),
        ("{}", "no usable key in {}"),
        ('{"keys": []}', "no usable key in {}"),
        ("x" * 300_000, "no usable key in {}"),
        (json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "no usable key in {}"),
    ],
)
def test_a_key_file_without_a_usable_key_is_refused_without_a_word_of_its_content(folder, content, finding):
    file = folder / "keys.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(str(folder / "policy.yaml"), environment={})

    expected = f"issuers.main.jwks_file: {finding.format(file)} (give a JWK Set with public keys (RFC 7517))"
    assert [expected] == [line.partition(": ")[2] for line in lines(caught.value.problems)]


@pytest.mark.parametrize(
    ("issuer", "claims", "path"),
    [
        ("https://tenant.us.auth0.com/", "", ("permissions",)),
        ("https://tenant.us.auth0.com/", "permissions: false", None),
        ("https://login.example/", "", None),
        ("https://login.example/", "permissions: permissions", ("permissions",)),
        ("https://login.example/", "permissions: [ext, granted]", ("ext", "granted")),
        ("https://auth0.com.evil.example/", "", None),
    ],
)
def test_permissions_are_merged_where_the_file_says_so_or_the_issuer_is_auth0_s(issuer, claims, path):
    (server,) = settings(with_issuer(f"issuer: {issuer}\n    claims: {{{claims}}}")).directory.servers

    assert path == server.issuers[issuer].permissions_claim


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("true", True), ("false", False)])
def test_what_becomes_of_id_tokens_is_said_in_one_word(text, value):
    (server,) = settings(
        with_issuer(f"issuer: https://a.example/\n    refuse_id_tokens: {text}")
    ).directory.servers

    assert value is server.issuers["https://a.example/"].refuse_id_tokens


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        ("[nobody]", "this server does not trust nobody (known here: main)"),
        ("[main]", "main is no URL, so no client could ask it for a token (leave it out)"),
    ],
)
def test_metadata_names_no_issuer_that_a_client_could_not_use(names, finding):
    text = with_issuer("issuer: offline\n    jwks_uri: https://keys.example/jwks").replace(
        "    rules:", f"    authorization_servers: {names}\n    rules:"
    )

    assert [f"FILE:10: servers.files.authorization_servers[0]: {finding}"] == problems(text)
