"""`check --online` against issuers on loopback: each line, what it says, and its cure."""

import asyncio
import email.utils
import json
import time

import pytest

from authz.oauth import online_check
from authz.oauth.online_check import State
from tests.support import tokens
from tests.support.introspection import CLIENT, SECRET, AuthorizationServer, serving
from tests.support.jwks_server import IssuerSite, page
from tests.support.policy_files import settings
from tests.support.waiting import DEADLINE

FILE = """\
issuers:
  idp:
    issuer: ISSUER
    audiences: [AUDIENCE]
    algorithms: [ALGORITHM]
MORE
servers:
  files:
    resource: https://mcp.example/mcp
    issuers: [idp]
    rules:
      - allow: {tools: [echo]}
"""
RSA = tokens.jwk(tokens.rsa_key(), use="sig", alg="RS256")
EC = tokens.jwk(tokens.ec_key(), kid="ec", use="sig")
OCT = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}
WELL_KNOWN = "/.well-known/openid-configuration"


async def lines(
    *,
    named="URL",
    issuer="URL",
    keys=(RSA,),
    more="",
    algorithm="RS256",
    audience="https://mcp.example/mcp",
    **pages_,
):
    """Check a file whose issuer is a site; give each line, without the site's address."""
    async with IssuerSite() as site:
        document = {"issuer": named.replace("URL", site.url), "jwks_uri": f"{site.url}/jwks"}
        date = email.utils.formatdate(time.time() - pages_.pop("ahead", 0), usegmt=True)
        site.pages = {WELL_KNOWN: page(document, date=date), "/jwks": page({"keys": list(keys)}, date=date)}
        site.pages |= pages_.pop("pages", {})
        text = FILE.replace("ISSUER", issuer).replace("URL", site.url).replace("ALGORITHM", algorithm)
        given = settings(text.replace("AUDIENCE", audience).replace("MORE\n", more.replace("URL", site.url)))
        found = await online_check._check(given)
        return [
            (each.about, each.state, each.says.replace(site.url, "URL"), each.cure.replace(site.url, "URL"))
            for each in found
        ]


def checked(**changes):
    return asyncio.run(asyncio.wait_for(lines(**changes), DEADLINE))


def problem(**changes):
    """Give the only line that is not ok, but for the clock's."""
    (found,) = [line for line in checked(**changes) if line[1] is not State.OK]
    return found


def test_an_issuer_that_is_as_the_file_says_has_a_good_line_for_each_check():
    assert [
        ("discovery", State.OK, "URL/.well-known/openid-configuration", ""),
        ("issuer", State.OK, "the document names URL", ""),
        ("keys", State.OK, "1 usable (URL/jwks)", ""),
        ("algorithms", State.OK, "keys for RS256", ""),
        ("audience", State.OK, "files: https://mcp.example/mcp", ""),
    ] == checked()[:-1]
    assert "clock" == checked()[-1][0]


@pytest.mark.parametrize(
    ("changes", "about", "state", "says", "cure"),
    [
        (
            {"named": "URL/"},
            "issuer",
            State.ERROR,
            "the issuer's name ends in a slash: write issuer: URL/",
            "if this is the issuer that you mean, write issuer: URL/",
        ),
        (
            {"named": "https://other.example"},
            "issuer",
            State.ERROR,
            "the metadata document is not this issuer's",
            "if this is the issuer that you mean, write issuer: https://other.example",
        ),
        (
            {"issuer": "http://127.0.0.1:1/"},
            "discovery",
            State.ERROR,
            "no connection: All connection attempts failed (http://127.0.0.1:1/.well-known/openid-configuration)",
            "check issuer, to the final slash, and that this machine reaches it; or write jwks_uri",
        ),
        (
            {"pages": {"/jwks": page(b"", status=503)}},
            "keys",
            State.ERROR,
            "status 503 (URL/jwks)",
            "allow this machine to reach it over https; name its authority in ca_file if that is private",
        ),
        (
            {"pages": {"/jwks": page({"keys": [OCT]})}},
            "keys",
            State.ERROR,
            "none is usable, 1 not used (type) (URL/jwks)",
            "have the issuer publish an RSA, P-256, P-384, P-521 or Ed25519 key for signatures",
        ),
        (
            {"keys": [EC]},
            "algorithms",
            State.ERROR,
            "no key for RS256",
            "write algorithms: [ES256]",
        ),
        (
            {"audience": "another"},
            "audience",
            State.WARNING,
            "files: https://mcp.example/mcp is not in audiences, and MCP clients request a token for it",
            "add it, and have the issuer put it into tokens; or map it there to one of the audiences",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_cure(changes, about, state, says, cure):
    assert (about, state, says, cure) == problem(**changes)


def test_a_clock_that_is_further_apart_than_the_leeway_is_told():
    (line,) = [line for line in checked(ahead=300) if line[0] == "clock"]

    assert State.ERROR is line[1]
    assert "s ahead of the issuer, more than leeway_seconds (60)" in line[2]
    assert "synchronise the clocks (NTP)" == line[3]


def test_keys_that_are_given_need_no_discovery():
    found = checked(
        named="https://other", more="    jwks_uri: URL/jwks\n", pages={WELL_KNOWN: page(b"", status=404)}
    )

    assert ("discovery", State.OK) == found[0][:2]
    assert found[0][2].startswith("not needed: the file has jwks_uri")
    assert ("keys", State.OK, "1 usable (URL/jwks)", "") == found[1]


@pytest.mark.parametrize(("secret", "state"), [(SECRET, State.OK), ("wrong", State.ERROR)])
def test_an_introspection_endpoint_is_asked_about_a_token_that_nobody_issued(tmp_path, secret, state):
    async def story():
        async with serving(AuthorizationServer()) as server:
            (tmp_path / "secret").write_text(secret)
            section = (
                f"{{endpoint: {server.url}, client_id: {CLIENT}, client_secret_file: {tmp_path}/secret}}"
            )
            text = FILE.replace("ISSUER", "idp").replace("ALGORITHM", "RS256").replace("AUDIENCE", "a")
            given = settings(text.replace("MORE", f"    introspection: {section}"))
            return [
                each for each in await online_check._check(given) if each.about == "introspection"
            ], server.asked

    (line,), asked = asyncio.run(asyncio.wait_for(story(), DEADLINE))

    assert state is line.state
    assert 1 == len(asked)
    assert bool(line.cure) is (state is State.ERROR)


@pytest.mark.parametrize(
    ("signer", "state", "says"),
    [
        (tokens.rsa_key(), State.OK, "URL"),
        (
            None,
            State.ERROR,
            "introspection failed: the answer is not signed by the issuer, for this client, now (URL)",
        ),
    ],
)
def test_answers_that_must_be_signed_are_checked_with_the_keys_that_were_found(tmp_path, signer, state, says):
    async def story():
        async with serving(AuthorizationServer(signer=signer)) as server:
            (tmp_path / "secret").write_text(SECRET)
            (tmp_path / "keys").write_text(json.dumps({"keys": [RSA]}))
            section = f"endpoint: {server.url}, client_id: {CLIENT}, client_secret_file: {tmp_path}/secret"
            more = f"    jwks_file: {tmp_path}/keys\n    introspection: {{{section}, signed: true}}"
            text = FILE.replace("ISSUER", tokens.ISSUER).replace("ALGORITHM", "RS256")
            given = settings(text.replace("AUDIENCE", "a").replace("MORE", more))
            (line,) = [each for each in await online_check._check(given) if each.about == "introspection"]
            return line.state, line.says.replace(server.url, "URL")

    assert (state, says) == asyncio.run(asyncio.wait_for(story(), DEADLINE))
