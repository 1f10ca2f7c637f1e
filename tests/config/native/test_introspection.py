"""The section `introspection` of an issuer, and the files that it names."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz.config.load import load
from authz.config.problems import ConfigError
from authz.config.settings import Introspection
from authz.core.identity.issuer import Introspect
from tests.support.policy_files import NATIVE, lines
from tests.support.tokens import ec_key, ed_key, rsa_key

LINE = "    audiences: [https://mcp.example/mcp]\n"
ISSUER = "https://issuer.example/"
ASK = "endpoint: https://issuer.example/introspect, client_id: mcp"
SECRET = "introspection-secret-4711"


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def loaded(tmp_path):
    """Load a policy with this section, beside files of a secret and of keys."""
    contents = {
        "secret": f"{SECRET}\n".encode(),
        "rsa.pem": pem(rsa_key()),
        "ec.pem": pem(ec_key()),
        "ed.pem": pem(ed_key()),
        "p384.pem": pem(ec_key("P-384")),
        "weak.pem": pem(rsa_key(1024)),
        "empty": b"\n",
        "lines": b"one\ntwo\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)

    def load_(section, more="", text=NATIVE):
        found = text.replace(LINE, f"{LINE}    introspection: {{{section}}}\n{more}", 1)
        (tmp_path / "policy.yaml").write_text(found)
        return load(str(tmp_path / "policy.yaml"), environment={})

    return load_


def refused(loaded, section, **more):
    with pytest.raises(ConfigError) as caught:
        loaded(section, **more)
    return [line.partition(": ")[2] for line in lines(caught.value.problems)]


def test_every_key_reaches_the_settings(loaded):
    section = (
        f"{ASK}, client_secret_file: secret, cache_seconds: 9, negative_seconds: 8, timeout_seconds: 7,"
        " concurrent: 6, waiting: 5, signed: true"
    )

    assert {
        ISSUER: Introspection(
            issuer=ISSUER,
            endpoint="https://issuer.example/introspect",
            client_id="mcp",
            secret=SECRET,
            cache_seconds=9,
            negative_seconds=8,
            timeout=7,
            concurrent=6,
            waiting=5,
            signed=True,
        )
    } == loaded(section).introspections


@pytest.mark.parametrize("file", ["rsa.pem", "ec.pem"])
def test_a_private_key_takes_the_place_of_the_secret(loaded, file):
    found = loaded(f"{ASK}, private_key_jwt: {file}, key_id: k").introspections[ISSUER]

    assert ("", "k") == (found.secret, found.key_id)
    assert found.private_key.startswith(b"-----BEGIN")


def test_no_secret_is_shown_and_its_file_is_watched(loaded, tmp_path):
    given = loaded(f"{ASK}, client_secret_file: secret")

    assert SECRET not in repr(given)
    assert str(tmp_path / "secret") in given.read


@pytest.mark.parametrize(
    ("section", "more", "introspect", "fetched"),
    [
        ("", "", Introspect.ALL, False),
        ("", "    jwks_uri: https://issuer.example/jwks\n", Introspect.OPAQUE, True),
        (", signed: true", "", Introspect.OPAQUE, True),
    ],
)
def test_an_issuer_that_is_asked_has_keys_only_if_the_file_says_so(
    loaded, section, more, introspect, fetched
):
    given = loaded(f"{ASK}, client_secret_file: secret{section}", more)
    (server,) = given.directory.servers

    assert introspect is server.issuers[ISSUER].introspect
    assert fetched is (ISSUER in given.keys)


ONE = "issuers.main.introspection: the service proves who it is by one of client_secret_file and private_key_jwt"
PLACE = "issuers.main.introspection"
PLAIN = (
    f"{PLACE}.endpoint: over plain http, tokens and the secret can be read, and answers replaced, on the way"
    " (use https, or list the host in insecure_hosts)"
)


@pytest.mark.parametrize(
    ("section", "finding"),
    [
        (ASK, ONE),
        (f"{ASK}, client_secret_file: secret, private_key_jwt: rsa.pem", ONE),
        (
            f"{ASK}, client_secret_file: secret, key_id: k",
            f"{PLACE}: key_id names the key of private_key_jwt",
        ),
        (
            f"{ASK}, client_secret_file: empty",
            f"{PLACE}.client_secret_file: no secret in FOLDER/empty: it is one line of visible ASCII",
        ),
        (
            f"{ASK}, client_secret_file: lines",
            f"{PLACE}.client_secret_file: no secret in FOLDER/lines: it is one line of visible ASCII",
        ),
        (
            f"{ASK}, client_secret_file: none",
            f"{PLACE}.client_secret_file: nothing can be read from FOLDER/none: No such file or directory",
        ),
        (
            "endpoint: http://issuer.example/introspect, client_id: mcp, client_secret_file: secret",
            PLAIN,
        ),
    ],
)
def test_what_could_not_be_meant_is_refused_without_a_word_of_the_secret(loaded, tmp_path, section, finding):
    found = refused(loaded, section)

    assert [finding.replace("FOLDER", str(tmp_path))] == found
    assert SECRET not in str(found)


@pytest.mark.parametrize("file", ["ed.pem", "p384.pem", "weak.pem", "secret", "empty"])
def test_a_key_that_cannot_sign_an_assertion_is_refused(loaded, file):
    (line,) = refused(loaded, f"{ASK}, private_key_jwt: {file}")

    assert "RSA of 2048 bits or more, or P-256, in PEM without a passphrase" in line


def test_a_server_asks_one_issuer_because_an_opaque_token_does_not_say_whose_it_is(loaded):
    second = (
        "  other:\n    issuer: https://other.example/\n    audiences: [https://mcp.example/mcp]\n"
        "    introspection: {endpoint: https://other.example/i, client_id: mcp, client_secret_file: secret}\n"
    )
    text = NATIVE.replace("servers:\n", f"{second}servers:\n").replace("[main]", "[main, other]")

    assert [
        (
            "servers.files.issuers: main and other would both be asked about opaque tokens, which do not say whose"
            " they are (keep one of them in each server)"
        )
    ] == refused(loaded, f"{ASK}, client_secret_file: secret", text=text)
