"""Opaque tokens, asked about at a real authorization server over HTTP: cached, revoked, slow, down, flooded, signed."""

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import astuple

from authz.config.settings import Introspection
from authz.edge.jwks.introspector import Introspector
from tests.support import tokens
from tests.support.clock import ManualClock
from tests.support.introspection import CLIENT, SECRET, SIGNED_KEY, AuthorizationServer, serving
from tests.support.waiting import DEADLINE

HOW = Introspection(issuer=tokens.ISSUER, endpoint="", client_id=CLIENT, secret=SECRET, timeout=30)


class Outcomes:
    """Counts what came of questions."""

    def __init__(self):
        self.counts = Counter()

    def introspected(self, issuer, outcome):
        assert issuer == tokens.ISSUER
        self.counts[outcome] += 1


@contextlib.asynccontextmanager
async def asking(server=None, **changes):
    """Serve an authorization server, and ask it; gives server, introspector, clock and outcomes."""
    server, clock, outcomes = server or AuthorizationServer(), ManualClock(time.time()), Outcomes()
    async with serving(server):
        how = replace(HOW, endpoint=server.url, **changes)
        introspector = Introspector(
            {tokens.ISSUER: how},
            size=100,
            observer=outcomes,
            find_keys=lambda issuer: tokens.good_keys() if issuer == tokens.ISSUER else None,
            clock=clock,
        )
        try:
            yield server, introspector, clock, outcomes
        finally:
            await introspector.close()


def run(story):
    """Run a story, bounded."""
    return asyncio.run(asyncio.wait_for(story(), DEADLINE))


def test_an_answer_is_kept_as_claims_until_it_is_too_old():
    async def story():
        async with asking(cache_seconds=60) as (server, introspector, clock, outcomes):
            token = server.issue("opaque-1", exp=int(clock()) + 1000)
            assert introspector.answer(tokens.ISSUER, token) is None
            assert await introspector.ask(tokens.ISSUER, token)
            found = introspector.answer(tokens.ISSUER, token)
            clock.now += 59
            kept = introspector.answer(tokens.ISSUER, token)
            clock.now += 2
            return found, kept, introspector.answer(tokens.ISSUER, token), server.asked, outcomes.counts

    found, kept, late, asked, counts = run(story)

    assert ("alice", "a b") == (found.claims["sub"], found.claims["scope"])
    assert "active" not in found.claims
    assert found is kept
    assert late is None
    assert ["opaque-1"] == asked
    assert {"active": 1} == counts


def test_an_answer_is_kept_no_longer_than_the_token_lives():
    async def story():
        async with asking(cache_seconds=3600) as (server, introspector, clock, _):
            token = server.issue("opaque-1", exp=int(clock()) + 10)
            await introspector.ask(tokens.ISSUER, token)
            clock.now += 11
            return introspector.answer(tokens.ISSUER, token)

    assert run(story) is None


def test_a_revocation_is_noticed_when_the_answer_is_too_old_and_remembered_shortly():
    async def story():
        async with asking(cache_seconds=60, negative_seconds=5) as (server, introspector, clock, outcomes):
            token = server.issue("opaque-1")
            await introspector.ask(tokens.ISSUER, token)
            del server.known[token]
            clock.now += 61
            assert await introspector.ask(tokens.ISSUER, token)
            revoked = introspector.answer(tokens.ISSUER, token)
            clock.now += 6
            return revoked, introspector.answer(tokens.ISSUER, token), outcomes.counts

    revoked, later, counts = run(story)

    assert revoked.claims is None
    assert later is None
    assert {"active": 1, "inactive": 1} == counts


def test_many_calls_wait_for_one_question_and_one_that_leaves_does_not_end_it():
    async def story():
        async with asking() as (server, introspector, _, _counts):
            token = server.issue("opaque-1")
            server.gate.clear()
            waiting = [asyncio.create_task(introspector.ask(tokens.ISSUER, token)) for _ in range(50)]
            while not server.asked:  # noqa: ASYNC110 - the whole story is bounded
                await asyncio.sleep(0)
            waiting.pop().cancel()
            server.gate.set()
            return await asyncio.gather(*waiting), server.asked

    answered, asked = run(story)

    assert [True] * 49 == answered
    assert ["opaque-1"] == asked


def test_of_a_flood_of_tokens_the_configured_number_is_asked_about_at_once_and_a_good_answer_stays():
    async def story():
        async with asking(concurrent=8, waiting=100) as (server, introspector, _, outcomes):
            good = server.issue("good")
            await introspector.ask(tokens.ISSUER, good)
            server.gate.clear()
            flood = [asyncio.create_task(introspector.ask(tokens.ISSUER, f"junk-{n}")) for n in range(10_000)]
            while len(server.asked) < 1 + 8:  # noqa: ASYNC110 - the whole story is bounded
                await asyncio.sleep(0)
            server.gate.set()
            answered = await asyncio.gather(*flood)
            return answered, server, outcomes.counts, introspector.answer(tokens.ISSUER, good)

    answered, server, counts, good = run(story)

    assert 8 == server.most
    assert 108 == answered.count(True) == counts["inactive"]
    assert 10_000 - 108 == answered.count(False) == counts["refused"]
    assert 109 == len(server.asked)
    assert good is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 302])
def test_a_server_that_fails_says_nothing_about_a_token(status):
    async def story():
        async with asking(AuthorizationServer(status=status)) as (server, introspector, _, outcomes):
            token = server.issue("opaque-1")
            first = await introspector.ask(tokens.ISSUER, token)
            problems = introspector.problems()
            server.status = 200
            return (
                first,
                problems,
                await introspector.ask(tokens.ISSUER, token),
                introspector.problems(),
                outcomes.counts,
                server.url,
            )

    first, problems, second, none, counts, server_url = run(story)

    assert (False, True) == (first, second)
    assert [f"introspection failed: status {status}"] == [problem.cause for problem in problems]
    assert [server_url] == [problem.url for problem in problems]
    assert all(problem.since for problem in problems)
    assert [] == none
    assert {"failed": 1, "active": 1} == counts


def test_a_server_that_is_down_or_slow_says_nothing_either():
    async def story():
        async with asking(timeout=0) as (server, introspector, _, outcomes):
            slow = await introspector.ask(tokens.ISSUER, server.issue("opaque-1"))
            return slow, introspector.problems(), outcomes.counts

    async def down():
        how = replace(HOW, endpoint="http://127.0.0.1:1/introspect")
        outcomes = Outcomes()
        introspector = Introspector({tokens.ISSUER: how}, size=9, observer=outcomes, find_keys=lambda _: None)
        answered = await introspector.ask(tokens.ISSUER, "opaque-1")
        await introspector.close()
        return answered, introspector.problems()[0].cause, outcomes.counts

    slow, problems, counts = run(story)
    assert (False, ["introspection failed: no answer within 0 s"], {"failed": 1}) == (
        slow,
        [each.cause for each in problems],
        counts,
    )
    answered, problem, counts = run(down)
    assert (False, {"failed": 1}) == (answered, counts)
    assert problem.startswith("introspection failed: no connection")


@pytest.mark.parametrize(
    "said", [{}, {"active": "true"}, {"active": 1}, {"active": None}, {"active": True, "x": 10**400}]
)
def test_an_answer_that_does_not_say_true_or_false_is_none(said):
    async def story():
        async with asking() as (server, introspector, _, outcomes):
            server.known["opaque-1"] = said
            answered = await introspector.ask(tokens.ISSUER, "opaque-1")
            return answered, outcomes.counts

    assert (False, {"failed": 1}) == run(story)


@pytest.mark.parametrize("key", [tokens.rsa_key, tokens.ec_key])
def test_a_client_without_a_secret_proves_itself_by_a_signature(key):
    pem = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    async def story():
        server = AuthorizationServer(assertions=key().public_key())
        async with asking(server, secret="", private_key=pem, key_id=SIGNED_KEY) as (_, introspector, _, _):
            return await introspector.ask(tokens.ISSUER, server.issue("opaque-1"))

    assert run(story)


def signed_by(key, **changes):
    return AuthorizationServer(signer=key, changes=changes)


@pytest.mark.parametrize(
    ("server", "accepted"),
    [
        (lambda: signed_by(tokens.rsa_key()), True),
        (lambda: signed_by(tokens.rsa_key(), aud=["other", CLIENT]), True),
        (lambda: signed_by(tokens.rsa_key(), typ="application/token-introspection+jwt"), True),
        (lambda: signed_by(tokens.rsa_key(serial=1)), False),
        (lambda: signed_by(tokens.rsa_key(), iss="https://other.example/"), False),
        (lambda: signed_by(tokens.rsa_key(), aud="another client"), False),
        (lambda: signed_by(tokens.rsa_key(), iat=0), False),
        (lambda: signed_by(tokens.rsa_key(), iat="now"), False),
        (lambda: signed_by(tokens.rsa_key(), typ="JWT"), False),
        (lambda: signed_by(tokens.rsa_key(), token_introspection=True), False),
        (AuthorizationServer, False),
    ],
    ids=[
        "good",
        "list",
        "long type",
        "key",
        "issuer",
        "audience",
        "old",
        "no time",
        "type",
        "no answer",
        "unsigned",
    ],
)
def test_where_answers_must_be_signed_only_the_issuer_s_own_for_this_client_counts(server, accepted):
    async def story():
        async with asking(server(), signed=True) as (known, introspector, _, outcomes):
            answered = await introspector.ask(tokens.ISSUER, known.issue("opaque-1"))
            return answered, outcomes.counts

    assert (accepted, {"active" if accepted else "failed": 1}) == run(story)


def test_what_is_under_way_waits_and_is_remembered_can_be_read_for_each_issuer():
    async def story():
        async with asking(concurrent=2, waiting=8) as (server, introspector, _, _):
            server.issue("opaque-good")
            await introspector.ask(tokens.ISSUER, "opaque-good")
            server.gate.clear()
            flood = [asyncio.create_task(introspector.ask(tokens.ISSUER, f"opaque-{n}")) for n in range(5)]
            await asyncio.sleep(0)
            during = introspector.figures()
            server.gate.set()
            await asyncio.gather(*flood)
            return during, introspector.figures()

    during, after = run(story)

    assert [(tokens.ISSUER, 2, 3, 1, 0)] == [astuple(each) for each in during]
    assert [(tokens.ISSUER, 0, 0, 1, 5)] == [astuple(each) for each in after]


def test_an_issuer_that_is_not_asked_has_no_answer():
    async def story():
        async with asking() as (_, introspector, _, _):
            unknown = "https://unknown.example/"
            return await introspector.ask(unknown, "t"), introspector.answer(unknown, "t")

    assert (False, None) == run(story)
