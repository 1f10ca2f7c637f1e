"""One test for each published failure in fetching keys that this service could have repeated."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from authz.config.settings import IssuerKeys
from authz.core.authentication import Authenticator
from authz.core.identity.principal import Caller
from authz.core.policy.policy import Policy
from authz.core.reasons import Reason
from authz.core.servers import Server
from authz.edge.jwks.store import KeyStore, Schedule
from authz.edge.telemetry.metrics import Metrics
from tests.support import jwks_server as bad
from tests.support.jwks_server import MIB, HandClock, IssuerSite, page
from tests.support.tokens import ISSUER, NOW, jwk, rsa_key, token, trust
from tests.support.waiting import DEADLINE

GOOD = page({"keys": [jwk(rsa_key())]})
STALLING = {"a slow drip", "no answer"}
SERVER = Server(
    name="files",
    hosts=frozenset({"mcp.example"}),
    path="/mcp",
    resource="https://mcp.example/mcp",
    issuers={ISSUER: trust()},
    policy=Policy(rules=()),
)


@dataclass
class World:
    """A key store that fetches over real HTTP, and the tokens that are verified with it."""

    site: IssuerSite
    clock: HandClock
    store: KeyStore
    tokens: Authenticator
    metrics: Metrics

    def answer(self, answer):
        self.site.pages["/jwks"] = answer

    def ask(self, text):
        result = self.tokens.authenticate(SERVER, f"Bearer {text}", NOW)
        return Reason.ALLOWED if isinstance(result, Caller) else result.reason

    async def look_for(self, text):
        """Ask, and look for the key where it is unknown, as a Check does."""
        result = self.tokens.authenticate(SERVER, f"Bearer {text}", NOW)
        if not isinstance(result, Caller) and result.reason is Reason.UNKNOWN_KEY:
            await self.store.refetch(result.issuer, result.kid)
        return self.ask(text)

    def fetched(self, outcome):
        labels = {"issuer": ISSUER, "outcome": outcome}
        return self.metrics.registry.get_sample_value("mcp_authz_jwks_fetches_total", labels) or 0


@asynccontextmanager
async def world(answer=GOOD, *, seconds=DEADLINE, jwks_uri=""):
    """Everything, its first fetch over. The good token is accepted then, if the answer is good."""
    async with IssuerSite(pages={"/jwks": answer}) as site:
        clock, metrics = HandClock(), Metrics()
        store = KeyStore(
            {ISSUER: IssuerKeys(issuer=ISSUER, jwks_uri=jwks_uri or f"{site.url}/jwks")},
            observer=metrics,
            schedule=Schedule(jitter=0, timeout=seconds),
            clock=clock,
            sleep=clock.sleep,
        )
        tokens = Authenticator(store.keys, metrics.remembered, size=10)
        await store.start()
        await clock.pause()
        try:
            yield World(site, clock, store, tokens, metrics)
        finally:
            await store.close()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


MISBEHAVIOURS = {
    "500": page({}, status=500),
    "HTML": page(b"<html>", kind="text/html"),
    "100 MB": bad.stream_100_mb,
    "a slow drip": bad.drip,
    "no answer": bad.say_nothing,
    "an empty set": page({"keys": []}),
    "a gzip bomb": bad.gzip_bomb(),
    "a reset": bad.reset_halfway,
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_cve_2025_64527_an_answer_of_the_key_server_ends_neither_the_service_nor_its_keys(name):
    """Envoy's jwt_authn crashed on what a remote JWKS answered. Here the fetch fails, the keys stay, little is read,
    and the next good answer is taken.
    """

    async def go():
        async with world(seconds=1 if name in STALLING else DEADLINE) as here:
            accepted = [here.ask(token())]
            here.answer(MISBEHAVIOURS[name])
            pause = await here.clock.wake(300)
            accepted.append(here.ask(token()))
            sent, failed = here.site.sent, here.fetched("failed")
            here.answer(GOOD)
            await here.clock.wake(pause)
            return [*accepted, here.ask(token())], failed, here.fetched("ok"), sent < 20 * MIB

    assert ([Reason.ALLOWED] * 3, 1, 2, True) == run(go())


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_cve_2025_64527_a_service_that_starts_with_such_an_answer_recovers_by_itself(name):
    async def go():
        async with world(MISBEHAVIOURS[name], seconds=1 if name in STALLING else DEADLINE) as here:
            before = here.ask(token()), here.store.without_keys()
            here.answer(GOOD)
            await here.clock.wake(1)
            return before, here.ask(token()), here.store.without_keys()

    assert ((Reason.KEYS_UNAVAILABLE, [ISSUER]), Reason.ALLOWED, []) == run(go())


def test_ghsa_2gx3_rcp4_g85q_ghsa_fhv5_28vv_h8m8_ten_thousand_unknown_kids_cause_one_fetch_in_a_cool_down():
    """Senders choose `kid`. A client that fetches for every unknown one lets anybody flood the issuer, and through the
    issuer's rate limit lock everybody out.
    """

    async def go():
        async with world() as here:
            attack = [here.store.refetch(ISSUER, f"kid-{number}") for number in range(10_000)]
            found = await asyncio.gather(*attack)
            flood = len(here.site.requests) - 1
            here.clock.now += 29
            late = await here.look_for(token(kid="kid-late"))
            return any(found), flood, late, len(here.site.requests) - 1, here.ask(token())

    assert (False, 1, Reason.UNKNOWN_KEY, 1, Reason.ALLOWED) == run(go())


def test_ghsa_2gx3_rcp4_g85q_ghsa_fhv5_28vv_h8m8_the_flood_grows_no_table():
    async def go():
        async with world() as here:
            for number in range(150):
                here.clock.now += 30
                await here.store.refetch(ISSUER, f"kid-{number}")
            return len(here.store._sources[ISSUER].missed), len(here.tokens)

    assert (Schedule().max_unknown, 0) == run(go())


@pytest.mark.parametrize("answer", [page({}, status=503), page({"keys": []}), page(b"<html>")])
def test_ghsa_2gx3_rcp4_g85q_ghsa_fhv5_28vv_h8m8_a_fetch_that_fails_wipes_no_key(answer):
    """The attacker's unknown kid makes the client fetch at a moment when the issuer cannot answer, and a client that
    stores what it got then refuses everybody.
    """

    async def go():
        async with world() as here:
            here.answer(answer)
            attacked = await here.look_for(token(kid="kid-unknown"))
            return attacked, here.fetched("failed"), here.ask(token())

    assert (Reason.UNKNOWN_KEY, 1, Reason.ALLOWED) == run(go())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_ghsa_9v7f_9g4p_ffgj_ghsa_993g_76c3_p5m4_the_key_server_sends_nobody_elsewhere(status):
    """A redirect would let whoever controls a path of the issuer's host, or the network in front of an internal one,
    choose whose keys are believed.
    """

    async def go():
        async with (
            IssuerSite(pages={"/jwks": GOOD}) as elsewhere,
            world(page({}, status=status, location=f"{elsewhere.url}/jwks")) as here,
        ):
            return here.ask(token()), here.fetched("failed"), elsewhere.requests

    assert (Reason.KEYS_UNAVAILABLE, 1, []) == run(go())


URLS = [
    "file://{path}",
    "file:{path}",
    "{path}",
    "data:application/json;base64,e30=",
    "http://keys.example/jwks",
]


@pytest.mark.parametrize("url", URLS)
def test_ghsa_9v7f_9g4p_ffgj_ghsa_993g_76c3_p5m4_keys_come_by_https_and_from_no_file(url, tmp_path):
    """urllib opens file: and other schemes; a URL that somebody could influence read files or took plain http."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(rsa_key())]}))

    async def go():
        async with world(jwks_uri=url.format(path=path)) as here:
            return here.ask(token()), here.fetched("failed")

    assert (Reason.KEYS_UNAVAILABLE, 1) == run(go())
