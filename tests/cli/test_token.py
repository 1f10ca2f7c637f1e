"""`mcp-authz token`: what it writes to its two streams, and its exit status; a process of its own where somebody logs in."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import jwt
import pytest

from authz.config.load import load
from authz.core.reasons import Reason
from authz.demo.gateway import NATIVE
from authz.demo.issuer.app import AUDIENCE, BAD_TOKENS, ROLES_CLAIM, IssuerServer
from authz.demo.ports import free_port
from authz.oauth.token_check import check_token
from tests.support.commands import command
from tests.support.waiting import DEADLINE

AUTH0_MD = Path(__file__).parents[2] / "docs" / "identity" / "auth0.md"
# With Ctrl-C in force even where the tests run in a shell's background, which switches it off.
MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from authz.cli import main; main()"
COMMAND = [sys.executable, "-c", MAIN, "token"]


@pytest.fixture(scope="module")
def issuer():
    with IssuerServer(interval=1) as running:
        yield running


@pytest.fixture
def environment(issuer):
    """Values for the demo's policy; its server trusts the issuer for `AUDIENCE`."""
    return {
        **os.environ,
        "DEMO_GRPC": "127.0.0.1:9001",
        "DEMO_HTTP": "127.0.0.1:9002",
        "DEMO_ISSUER": issuer.url,
        "DEMO_AUDIENCE": AUDIENCE,
        "DEMO_RESOURCE": "http://localhost:10000/mcp",
        "DEMO_UPSTREAM": "http://127.0.0.1:8080/mcp",
    }


def run(*arguments, given="", env=None):
    return command("token", *arguments, given=given, environment=env)


@contextmanager
def asking(url, *more, scope="files:read files:delete"):
    """Run the command until it has shown its link; gives the process, the link and the code."""
    ask = ["--issuer", url, "--client-id", "demo-native", "--audience", AUDIENCE, "--scope", scope]
    argv = [*COMMAND, *ask, *more]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            link = process.stderr.readline().split()[-1]
            yield process, link, process.stderr.readline().split()[-1]
        finally:
            process.kill()


def say(link, answer, more=""):
    assert httpx.get(f"{link}&answer={answer}{more}", trust_env=False, timeout=DEADLINE).is_success


def test_an_approved_login_prints_the_token_alone_on_stdout(issuer):
    with asking(issuer.url) as (process, link, code):
        say(link, "approve", "&roles=admin")
        out, err = process.communicate(timeout=DEADLINE)
    key = jwt.PyJWKSet.from_dict(issuer.jwks())[jwt.get_unverified_header(out.strip())["kid"]]
    claims = jwt.decode(out.strip(), key, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer.url)

    assert (0, 1, "") == (process.returncode, len(out.splitlines()), err)
    assert f"{issuer.url}activate?user_code={code}" == link
    assert ("auth0|demo", "demo-native", "files:read files:delete", ["admin"]) == (
        claims["sub"],
        claims["azp"],
        claims["scope"],
        claims[ROLES_CLAIM],
    )


def test_a_scope_that_was_not_granted_is_noted_on_stderr(issuer):
    with asking(issuer.url, scope="files:read root") as (process, link, _):
        say(link, "approve")
        out, err = process.communicate(timeout=DEADLINE)

    assert (0, 1, "note: not granted: root\n") == (process.returncode, len(out.splitlines()), err)


def test_a_denied_login_is_a_sentence_and_status_1(issuer):
    with asking(issuer.url) as (process, link, _):
        say(link, "deny")
        out, err = process.communicate(timeout=DEADLINE)

    assert (1, "") == (process.returncode, out)
    assert "the request was denied (the user denied the request)\n" == err


def test_ctrl_c_while_waiting_is_status_130_without_a_traceback(issuer):
    with asking(issuer.url) as (process, _, _code):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)

    assert (130, "", "interrupted\n") == (process.returncode, out, err)


def test_open_gives_the_link_to_the_browser(issuer, tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with asking(issuer.url, "--open") as (process, link, _):
        say(link, "approve")
        process.communicate(timeout=DEADLINE)

    assert 0 == process.returncode
    assert link == opened.read_text().strip()


ASK = {"--issuer": "https://tenant.example/", "--client-id": "c", "--audience": "a"}


@pytest.mark.parametrize("missing", ASK)
def test_an_option_that_is_missing_is_named(missing):
    done = run(*[part for name, value in ASK.items() if name != missing for part in (name, value)])

    assert (2, "", f"missing {missing} (or pass --decode TOKEN)\n") == (
        done.status,
        done.out,
        done.err,
    )


def asked(**options):
    return [part for name, value in {**ASK, **options}.items() for part in (name, value)]


def test_an_issuer_without_tls_is_not_asked():
    done = run(*asked(**{"--issuer": "http://tenant.example/"}))

    assert (1, "", "--issuer is not an https URL; http is accepted on loopback only\n") == (
        done.status,
        done.out,
        done.err,
    )


def test_an_issuer_that_does_not_answer_is_a_sentence():
    port = free_port()
    done = run(*asked(**{"--issuer": f"http://127.0.0.1:{port}/"}))

    assert (1, "", f"127.0.0.1:{port} did not answer (ConnectError)\n") == (
        done.status,
        done.out,
        done.err,
    )


def test_a_client_that_may_not_use_the_device_flow_is_told_the_cure(issuer):
    done = run(*asked(**{"--issuer": issuer.url, "--client-id": "demo-service"}))

    assert (1, "") == (done.status, done.out)
    assert "enable its Device Code grant" in done.err


# --decode


def test_decode_shows_header_and_claims_without_verifying(issuer):
    token = BAD_TOKENS["alg_none"](issuer)
    done = run("--decode", token)

    assert (0, "") == (done.status, done.err)
    assert {'"none"', "not verified", '"auth0|user"', "in 60 min"} == {
        text for text in ('"none"', "not verified", '"auth0|user"', "in 60 min") if text in done.out
    }


def test_decode_reads_stdin_and_gives_json(issuer):
    token = issuer.token(scope="files:read", claims={"name": "\x1b[2J"})
    done = run("--decode", "-", "--json", given=f"{token}\n")
    said = json.loads(done.out)

    assert (0, {"header", "claims"}) == (done.status, set(said))
    assert ("files:read", "RS256") == (said["claims"]["scope"], said["header"]["alg"])
    assert "\x1b" not in done.out


def test_decode_shows_nothing_that_steers_a_terminal(issuer):
    done = run("--decode", issuer.token(claims={"n\x1b[2J": "v\x1b[2J[red]"}))

    assert "\x1b" not in done.out
    assert "[red]" in done.out


def test_decode_of_what_is_no_token_is_a_sentence_that_does_not_show_it():
    done = run("--decode", "opaque-secret")

    assert (1, "") == (done.status, done.out)
    assert "opaque, so only its issuer can read it" in done.err
    assert "secret" not in done.err


def judged(environment, token):
    done = run("--decode", "-", "-c", str(NATIVE), "--json", given=token, env=environment)
    return done, json.loads(done.out)["verdicts"]


def test_decode_with_a_file_says_what_rules_would_see(issuer, environment):
    token = issuer.token(scope="files:read", roles=["admin"], claims={"permissions": ["files:delete"]})
    done, found = judged(environment, token)

    assert (0, "") == (done.status, done.err)
    assert [
        {
            "server": "demo",
            "reason": "accepted",
            "detail": "",
            "scopes": ["files:read", "files:delete"],
            "roles": ["admin"],
        }
    ] == found


def test_decode_with_a_file_says_it_in_a_table_too(issuer, environment):
    done = run("--decode", issuer.token(audience="https://x"), "-c", str(NATIVE), env=environment)

    assert 1 == done.status
    assert "server demo: wrong_audience: aud names none of the configured audiences\n" in done.out


def test_decode_with_a_file_that_cannot_be_used_is_status_2(environment, issuer):
    done = run("--decode", issuer.token(), "-c", "none.yaml", env=environment)

    assert (2, "") == (done.status, done.out)
    assert "none.yaml: cannot be read" in done.err


def test_decode_asks_no_issuer_but_a_trusted_one(environment):
    with IssuerServer() as stranger:
        token = stranger.token()
        httpx.post(f"{stranger.url}demo/outage/nothing", trust_env=False, timeout=DEADLINE)
        done, found = judged(environment, token)

    assert (1, ["unknown_issuer"]) == (done.status, [verdict["reason"] for verdict in found])


def test_decode_without_the_issuers_keys_says_so(environment, issuer):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    done, found = judged({**environment, "DEMO_ISSUER": url}, issuer.token(claims={"iss": url}))

    assert (1, ["keys_unavailable"]) == (done.status, [verdict["reason"] for verdict in found])
    assert "keys not fetched" in done.err


# The mistakes that docs/identity/auth0.md lists and that show in the token, as the issuer imitates them.
MISTAKES = {
    "no audience requested": (lambda _: "an-opaque-token", "malformed_token"),
    "encrypted token": (lambda _: "a.b.c.d.e", "malformed_token"),
    "another API's audience": (lambda i: i.token(audience="https://other"), "wrong_audience"),
    "ID token": (lambda i: i.token(claims={"aud": "client-id"}), "wrong_audience"),
    "ID token for the API": (lambda i: i.token(claims={"nonce": "n"}), "bad_claims"),
    "issuer without its slash": (lambda i: i.token(claims={"iss": i.url.rstrip("/")}), "unknown_issuer"),
    "issuer under another domain": (
        lambda i: i.token(claims={"iss": "https://login.example/"}),
        "unknown_issuer",
    ),
    "HS256": (BAD_TOKENS["hs256_public_key"], "bad_signature"),
    "key revoked": (BAD_TOKENS["unknown_kid"], "unknown_key"),
    "expired": (lambda i: i.token(ttl=-3600), "expired_token"),
    "this host's clock is behind": (BAD_TOKENS["not_yet_valid"], "not_yet_valid"),
    "roles are objects": (lambda i: i.token(claims={ROLES_CLAIM: [{"name": "admin"}]}), "bad_claims"),
}


def rows():
    lines = AUTH0_MD.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_in_auth0_gives_the_reason_that_its_documentation_names(issuer, environment, mistake):
    make, reason = MISTAKES[mistake]
    found = check_token(load(str(NATIVE), environment=environment), make(issuer), time.time())

    assert [reason] == [verdict.reason for verdict in found]
    assert [f"`{reason}`"] == [row[1] for row in rows() if row[0] == mistake]


def test_every_reason_in_the_documentation_of_auth0_is_one_of_the_closed_list():
    cells = [re.fullmatch("`([a-z_]+)`", row[1]) for row in rows()]
    words = {cell[1] for cell in cells if cell}

    assert len(words) > 10
    assert words <= set(Reason)
