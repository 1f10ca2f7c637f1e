import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.config.settings import Fetching, IssuerKeys
from authz.core.identity.jwks import KeySetError, Skip
from authz.edge.jwks import store as keystore
from authz.edge.jwks.fetcher import Fetched
from authz.edge.jwks.problem import KeyProblem, each_once
from authz.edge.jwks.store import KeyStore, Schedule
from authz.edge.telemetry.metrics import Metrics
from tests.support import jwks_server as bad
from tests.support.jwks_server import MIB, HandClock, IssuerSite, https, page
from tests.support.tokens import jwk, rsa_key
from tests.support.waiting import DEADLINE

ISSUER = "https://issuer.example/"
RETRIES = [1, 2, 4, 8, 16, 32, 60, 60, 60]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


def published(*kids, **members):
    """A set of one RSA key per name, each of other material."""
    return {"keys": [jwk(rsa_key(serial=int(kid)), kid=kid, **members) for kid in kids]}


@dataclass
class Counted:
    outcomes: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    def fetched(self, issuer, outcome):
        self.outcomes.append(outcome)

    def skipped(self, issuer, counts):
        self.counts[issuer] = dict(counts)


@dataclass
class World:
    site: IssuerSite
    clock: HandClock
    counted: Counted
    store: KeyStore
    changes: list

    def publish(self, *kids, **headers):
        self.answer(page(published(*kids), **headers))

    def answer(self, answer):
        self.site.pages["/jwks"] = answer

    @property
    def kids(self):
        keys = self.store.keys(ISSUER)
        return None if keys is None else set(keys.keys)

    @property
    def fetches(self):
        return len(self.site.requests)


class Honest(KeyStore):
    """A store whose `may_refetch` is held against what comes of each refetch."""

    async def refetch(self, issuer, kid):
        expected = self.may_refetch(issuer, kid)
        flights = [source.flight for source in self._sources.values()]
        looking = asyncio.ensure_future(super().refetch(issuer, kid))
        await asyncio.sleep(0)
        if not expected:
            assert flights == [source.flight for source in self._sources.values()]
        try:
            found = await looking
        except asyncio.CancelledError:
            looking.cancel()
            raise
        assert expected or not found
        return found


@asynccontextmanager
async def world(answer=None, *, started=True, schedule=None, site=None, jwks_uri=None, **options):
    """A store of one issuer, over real HTTP, with the time in the test's hands; its first fetch is done if started."""
    async with site or IssuerSite() as running:
        running.pages.setdefault("/jwks", answer or page(published("1")))
        clock, counted, changes = HandClock(), Counted(), []
        where = IssuerKeys(issuer=ISSUER, jwks_uri=f"{running.url}/jwks" if jwks_uri is None else jwks_uri)
        store = Honest(
            {ISSUER: where},
            observer=counted,
            schedule=schedule or Schedule(jitter=0, timeout=DEADLINE),
            clock=clock,
            sleep=clock.sleep,
            on_change=lambda: changes.append(clock.now),
            **options,
        )
        here = World(running, clock, counted, store, changes)
        if started:
            await store.start()
            await clock.pause()
        try:
            yield here
        finally:
            await store.close()


async def until(condition):
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for is the state of the code under test
            await asyncio.sleep(0)


def held_back():
    """An answer that waits for the event it comes with."""
    released = asyncio.Event()

    def answer(inner):
        async def wait(connection):
            await released.wait()
            await inner(connection)

        return wait

    return answer, released


# The schedule


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("", 300),
        ("max-age=120", 120),
        ("max-age=0, no-store", 60),
        ("max-age=59", 60),
        ("max-age=86400", 600),
    ],
)
def test_keys_are_fetched_again_when_cache_control_says_so_within_one_and_ten_minutes(header, pause):
    async def go():
        async with world(page(published("1"), cache_control=header)) as here:
            return await here.clock.wake()

    assert pause == run(go())


def test_jitter_shortens_pauses_and_never_lengthens_them():
    async def go():
        async with world(schedule=Schedule(jitter=0.2, timeout=DEADLINE)) as here:
            return [await here.clock.wake() for _ in range(40)]

    pauses = run(go())
    assert all(240 <= pause <= 300 for pause in pauses)
    assert 10 < len(set(pauses))


def test_a_scheduled_fetch_brings_new_keys_and_drops_old_ones():
    async def go():
        async with world(page(published("1", "2"))) as here:
            before = here.kids
            here.publish("2", "3")
            await here.clock.wake(300)
            return before, here.kids, here.counted.outcomes

    assert ({"1", "2"}, {"2", "3"}, ["ok", "ok"]) == run(go())


def test_without_keys_names_the_issuer_until_a_fetch_succeeds_after_pauses_that_double():
    async def go():
        async with world(page({}, status=500)) as here:
            pauses = [await here.clock.wake() for _ in RETRIES[1:]]
            missing = here.store.without_keys(), here.kids, here.store.age(ISSUER)
            here.publish("1")
            pauses.append(await here.clock.wake())
            return pauses, missing, here.store.without_keys(), here.kids

    pauses, missing, missing_later, kids = run(go())
    assert [*RETRIES[1:], 300] == pauses
    assert ([ISSUER], None, float("inf")) == missing
    assert ([], {"1"}) == (missing_later, kids)


def test_the_first_pause_after_a_failure_is_short_again_after_a_success():
    async def go():
        async with world() as here:
            pauses = []
            for answer in (
                page({}, status=500),
                page({}, status=500),
                page(published("1")),
                page({}, status=500),
            ):
                here.answer(answer)
                pauses.append(await here.clock.wake())
            return pauses

    assert [1, 2, 300, 1] == run(go())


def test_a_problem_is_told_since_its_first_failure_until_the_next_success(monkeypatch):
    moments = iter(["first", "second", "after the success"])
    monkeypatch.setattr(keystore, "moment", lambda: next(moments))

    async def go():
        async with world(page({}, status=500)) as here:
            told = []
            for answer in (page({}, status=404), page(published("1")), page({}, status=500)):
                told += [(problem.cause, problem.since) for problem in here.store.problems()] or ["well"]
                here.answer(answer)
                await here.clock.wake()
            return [*told, *[(problem.cause, problem.since) for problem in here.store.problems()]]

    assert [("status 500", "first"), ("status 404", "first"), "well", ("status 500", "second")] == run(go())


def test_of_several_workers_the_one_that_saw_a_problem_first_tells_since_when():
    later, first = (
        KeyProblem(issuer=ISSUER, url="", cause="status 500", since=f"2026-01-0{day}T00:00:00Z")
        for day in (2, 1)
    )
    other = KeyProblem(issuer="https://other/", url="", cause="status 500", since=later.since)

    assert [first, other] == each_once([later, other, first])


def test_failures_do_not_add_up_to_a_number_too_large():
    async def go():
        async with world(page({}, status=500)) as here:
            here.store._sources[ISSUER].failures = 2_000  # which takes a day and a half
            return await here.clock.wake()

    assert 60 == run(go())


def test_one_issuer_that_is_silent_does_not_keep_another_waiting():
    async def go():
        async with IssuerSite(pages={"/jwks": page(published("1")), "/dead": bad.say_nothing}) as site:
            sources = {
                name: IssuerKeys(issuer=name, jwks_uri=f"{site.url}/{path}")
                for name, path in (("dead", "dead"), ("live", "jwks"))
            }
            store = KeyStore(sources, observer=Counted(), schedule=Schedule(timeout=DEADLINE))
            await store.start()
            await until(lambda: store.keys("live") is not None)
            missing = store.without_keys()
            await store.close()
            return missing

    assert ["dead"] == run(go())


def test_the_key_set_is_found_through_the_issuers_metadata():
    async def go():
        async with IssuerSite() as site:
            site.pages["/.well-known/openid-configuration"] = page(
                {"issuer": site.url, "jwks_uri": f"{site.url}/k"}
            )
            site.pages["/k"] = page(published("1"))
            clock = HandClock()
            sources = {site.url: IssuerKeys(issuer=site.url)}
            store = KeyStore(sources, observer=Counted(), clock=clock, sleep=clock.sleep)
            await store.start()
            await clock.pause()
            kids = set(store.keys(site.url).keys)
            await store.close()
            return kids

    assert {"1"} == run(go())


def test_https_with_an_authority_of_ones_own_and_hosts_named_insecure_reach_the_fetcher(tmp_path):
    context, authority = https(tmp_path)

    async def kids(site, **options):
        async with world(site=site, **options) as here:
            return here.kids

    assert {"1"} == run(kids(IssuerSite(context=context), authorities=Path(authority).read_text("ascii")))
    assert None is run(kids(IssuerSite(context=context)))
    assert {"1"} == run(kids(IssuerSite(host="0.0.0.0"), insecure_hosts=frozenset({"0.0.0.0"})))
    assert None is run(kids(IssuerSite(host="0.0.0.0")))


def test_closing_ends_a_fetch_and_a_wait_and_leaves_no_task():
    async def go():
        async with world(bad.say_nothing, started=False) as here:
            await here.store.start()
            await until(lambda: here.fetches)
            waiting = asyncio.create_task(here.store.refetch(ISSUER, "1"))
            await asyncio.sleep(0)
            await here.store.close()
            found = await waiting
            mine = [task for task in asyncio.all_tasks() if "KeyStore" in repr(task.get_coro())]
            return found, mine, here.counted.outcomes

    assert (False, [], []) == run(go())


# Outages


@pytest.mark.parametrize(("passed", "kids"), [(86_400, {"1"}), (86_401, None)])
def test_keys_outlive_an_outage_of_a_day_and_not_a_longer_one(passed, kids):
    async def go():
        async with world() as here:
            here.answer(page({}, status=503))
            await here.clock.wake(300)
            here.clock.now += passed - 300
            return here.kids, here.store.age(ISSUER), here.store.without_keys()

    assert (kids, passed, [] if kids else [ISSUER]) == run(go())


def test_keys_that_were_dropped_come_back_with_the_next_fetch_even_unchanged():
    async def go():
        async with world() as here:
            here.clock.now += 90_000
            dropped = here.kids
            await here.clock.wake()
            return dropped, here.kids

    assert (None, {"1"}) == run(go())


MISBEHAVIOURS = {
    "500": page({}, status=500),
    "HTML": page(b"<html><body>maintenance</body></html>", kind="text/html"),
    "HTML that says it is JSON": page(b"<html><body>maintenance</body></html>"),
    "the set as text": page(published("2"), kind="text/plain"),
    "100 MB": bad.stream_100_mb,
    "a slow drip": bad.drip,
    "no answer": bad.say_nothing,
    "an empty set": page({"keys": []}),
    "nothing": page(b""),
    "no set": page({}),
    "null": page(b"null"),
    "a set of unusable keys": page({"keys": [{"kty": "oct", "k": "AAAA", "kid": "2"}, 7]}),
    "a redirect": page(published("2"), status=302, location="/elsewhere"),
    "a gzip bomb": bad.gzip_bomb(),
    "a reset": bad.reset,
    "a reset halfway": bad.reset_halfway,
    "an end halfway": bad.stop_halfway,
    "no HTTP": bad.garbage,
    "endless headers": bad.endless_headers,
    "JSON with a key twice": page(b'{"keys":[],' + json.dumps(published("2")).encode()[1:]),
    "101 keys": page({"keys": [jwk(rsa_key(serial=2), kid=str(n)) for n in range(101)]}),
    "depth": page(b"[" * 200_000),
    "no UTF-8": page(b'{"keys":["\xff"]}'),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_whatever_the_issuer_answers_the_old_keys_stay_and_the_next_good_answer_counts(name):
    async def go():
        async with world() as here:
            before = here.store.keys(ISSUER)
            # Only where the time must run out is it short, so that a busy machine fails no other row.
            here.store._fetcher._seconds = 0.3 if name in {"a slow drip", "no answer"} else DEADLINE
            here.site.pages["/elsewhere"] = page(published("2"))
            here.answer(MISBEHAVIOURS[name])
            pause = await here.clock.wake(300)
            kept = here.store.keys(ISSUER) is before
            sent, outcomes = here.site.sent, list(here.counted.outcomes)
            here.store._fetcher._seconds = DEADLINE
            here.publish("3")
            await here.clock.wake(pause)
            return kept, pause, outcomes, sent < 20 * MIB, here.kids

    assert (True, 1, ["ok", "failed"], True, {"3"}) == run(go())


MEMBERS = st.sampled_from(["kty", "kid", "n", "e", "crv", "x", "y", "use", "key_ops", "alg", "d", "x5c"])
WORDS = st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig", "RS256", ""]) | st.text(
    max_size=9
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner, max_size=3)
)
SETS = st.fixed_dictionaries(
    {"keys": VALUES | st.lists(VALUES | st.dictionaries(MEMBERS, VALUES), max_size=4)}
)


def test_whatever_a_document_holds_it_gives_keys_or_counts_as_a_failure():
    counted = Counted()
    with asyncio.Runner() as runner:
        store = KeyStore({ISSUER: IssuerKeys(issuer=ISSUER, jwks_uri="unused")}, observer=counted)

        @given(st.binary(max_size=300) | SETS.map(json.dumps).map(str.encode))
        @settings(max_examples=200, deadline=None)
        def counts(body):
            async def key_set(_):
                return Fetched(body=body, max_age=None)

            counted.outcomes.clear()
            store._fetcher.key_set = key_set
            runner.run(store._flight(store._sources[ISSUER]))

            assert counted.outcomes in (["ok"], ["failed"])
            assert (store.keys(ISSUER) is not None) or counted.outcomes == ["failed"]

        counts()
        runner.run(store.close())


def test_an_error_nobody_thought_of_counts_as_a_failed_fetch_and_the_next_one_is_made():
    async def go():
        async with world() as here:
            real, here.store._fetcher.key_set = here.store._fetcher.key_set, lambda _: 1 / 0
            pause = await here.clock.wake(300)
            here.store._fetcher.key_set = real
            here.publish("2")
            await here.clock.wake(pause)
            return pause, here.counted.outcomes, here.kids

    assert (1, ["ok", "failed", "ok"], {"2"}) == run(go())


# Unknown names


def test_a_token_under_a_new_name_is_accepted_on_first_sight_without_a_pause():
    """The clock stands still and no sleep ends, so that what waited for either would never come back."""

    async def go():
        async with world() as here:
            here.publish("1", "2")
            return await here.store.refetch(ISSUER, "2"), here.kids, here.fetches

    assert (True, {"1", "2"}, 2) == run(go())


def test_a_name_that_is_at_hand_costs_nothing():
    async def go():
        async with world() as here:
            return await here.store.refetch(ISSUER, "1"), here.fetches

    assert (True, 1) == run(go())


@pytest.mark.parametrize("issuer", ["https://other.example/", "inline"])
def test_an_issuer_that_is_not_fetched_is_not_refetched(issuer):
    async def go():
        inline = json.dumps(published("1")).encode()
        store = KeyStore({"inline": IssuerKeys(issuer="inline", inline=inline)}, observer=Counted())
        found = await store.refetch(issuer, "2")
        await store.close()
        return found

    assert run(go()) is False


@pytest.mark.requirement("security.bounded-fetches")
def test_ten_thousand_requests_with_names_of_their_own_cause_one_fetch():
    async def go():
        async with world() as here:
            names = [f"random-{number}" for number in range(10_000)]
            found = await asyncio.gather(*(here.store.refetch(ISSUER, name) for name in names))
            again = await asyncio.gather(*(here.store.refetch(ISSUER, name) for name in names))
            return any(found), any(again), here.fetches - 1

    assert (False, False, 1) == run(go())


def test_a_look_that_would_be_in_vain_is_known_without_a_look():
    async def go():
        async with world() as here:
            hopes = [here.store.may_refetch(ISSUER, "x")]
            await here.store.refetch(ISSUER, "x")
            for passed in (0, 30, 300):
                here.clock.now += passed
                hopes.append([here.store.may_refetch(ISSUER, name) for name in ("x", "y", "1")])
        return [*hopes, here.store.may_refetch(ISSUER, "y"), here.store.may_refetch("other", "1")]

    cooling, cooled, forgotten = [False, False, True], [False, True, True], [True, True, True]
    assert [True, cooling, cooled, forgotten, False, False] == run(go())


@pytest.mark.parametrize(("passed", "fetches"), [(0, 1), (29.9, 1), (30, 2)])
def test_another_name_is_looked_for_when_the_cool_down_is_over(passed, fetches):
    async def go():
        async with world() as here:
            await here.store.refetch(ISSUER, "x")
            here.clock.now += passed
            await here.store.refetch(ISSUER, "y")
            return here.fetches - 1

    assert fetches == run(go())


@pytest.mark.parametrize(("passed", "fetches"), [(30, 1), (299.9, 1), (300, 2)])
@pytest.mark.parametrize("name", ["x", None, ""])
def test_the_same_name_is_not_looked_for_again_after_a_fetch_that_did_not_bring_it(name, passed, fetches):
    async def go():
        async with world() as here:
            await here.store.refetch(ISSUER, name)
            here.clock.now += passed
            await here.store.refetch(ISSUER, name)
            return here.fetches - 1

    assert fetches == run(go())


def test_a_name_in_vain_does_not_use_up_the_cool_down_of_a_new_one():
    async def go():
        async with world() as here:
            await here.store.refetch(ISSUER, "retired")
            here.clock.now += 31
            here.publish("1", "2")
            await here.store.refetch(ISSUER, "retired")
            return await here.store.refetch(ISSUER, "2")

    assert run(go())


def test_a_name_that_was_in_vain_is_accepted_as_soon_as_any_fetch_brings_it():
    async def go():
        async with world() as here:
            await here.store.refetch(ISSUER, "2")
            here.publish("1", "2")
            await here.clock.wake(10)
            return await here.store.refetch(ISSUER, "2"), here.fetches

    assert (True, 3) == run(go())


def test_names_in_vain_are_forgotten_when_the_keys_change():
    async def go():
        async with world() as here:
            await here.store.refetch(ISSUER, "x")
            here.publish("2")
            await here.clock.wake(40)
            fetches = here.fetches
            here.publish("2", "3")
            await here.store.refetch(ISSUER, "x")
            return here.fetches - fetches, here.kids

    assert (1, {"2", "3"}) == run(go())


def test_of_a_failed_fetch_nothing_is_remembered_but_the_cool_down():
    async def go():
        async with world() as here:
            here.answer(page({}, status=500))
            await here.store.refetch(ISSUER, "2")
            here.publish("1", "2")
            early = await here.store.refetch(ISSUER, "2")
            here.clock.now += 30
            return early, await here.store.refetch(ISSUER, "2")

    assert (False, True) == run(go())


def test_the_names_in_vain_are_bounded_and_the_oldest_goes_first():
    async def go():
        async with world(schedule=Schedule(cooldown=0, max_unknown=3, jitter=0, timeout=DEADLINE)) as here:
            for name in "abcd":
                await here.store.refetch(ISSUER, name)
            await here.store.refetch(ISSUER, "d")
            fetches = here.fetches
            await here.store.refetch(ISSUER, "a")
            return fetches - 1, here.fetches - 1, list(here.store._sources[ISSUER].missed)

    assert (4, 5, ["c", "d", "a"]) == run(go())


# One fetch at a time


def test_requests_that_come_while_a_refetch_runs_wait_for_that_one():
    async def go():
        async with world() as here:
            hold, release = held_back()
            here.answer(hold(page(published("1", "2"))))
            first = asyncio.create_task(here.store.refetch(ISSUER, "2"))
            await until(lambda: here.fetches == 2)
            others = [asyncio.create_task(here.store.refetch(ISSUER, name)) for name in ("2", "2", "x")]
            await asyncio.sleep(0)
            waited = [task.done() for task in others]
            release.set()
            return waited, await first, await asyncio.gather(*others), here.fetches

    assert ([False] * 3, True, [True, True, False], 2) == run(go())


def test_a_request_joins_a_scheduled_fetch_and_looks_once_more_itself_if_that_did_not_bring_the_key():
    """The scheduled fetch may have been answered before the issuer published the key."""

    async def go():
        async with world() as here:
            hold, release = held_back()
            here.answer(hold(page(published("1"))))
            here.clock._ends.put_nowait(None)
            await until(lambda: here.fetches == 2)
            waiting = [asyncio.create_task(here.store.refetch(ISSUER, "2")) for _ in range(3)]
            await asyncio.sleep(0)
            here.publish("1", "2")
            release.set()
            return await asyncio.gather(*waiting), here.fetches

    assert ([True] * 3, 3) == run(go())


def test_a_scheduled_fetch_joins_a_refetch_that_runs():
    async def go():
        async with world() as here:
            hold, release = held_back()
            here.answer(hold(page(published("1", "2"))))
            waiting = asyncio.create_task(here.store.refetch(ISSUER, "2"))
            await until(lambda: here.fetches == 2)
            here.clock._ends.put_nowait(None)
            await asyncio.sleep(0)
            release.set()
            await here.clock.pause()
            return await waiting, here.fetches

    assert (True, 2) == run(go())


def test_who_gives_up_waiting_does_not_end_the_fetch_for_the_others():
    async def go():
        async with world() as here:
            hold, release = held_back()
            here.answer(hold(page(published("1", "2"))))
            impatient = asyncio.create_task(here.store.refetch(ISSUER, "2"))
            await until(lambda: here.fetches == 2)
            patient = asyncio.create_task(here.store.refetch(ISSUER, "2"))
            await asyncio.sleep(0)
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            release.set()
            return await patient, here.fetches

    assert (True, 2) == run(go())


# What is published


def test_the_same_object_is_given_until_a_key_changes():
    async def go():
        async with world(page(published("1", "2"))) as here:
            seen = [here.store.keys(ISSUER)]
            for answer in (
                page(published("2", "1"), cache_control="max-age=60"),
                page({"keys": [*published("1", "2")["keys"], {"kty": "oct", "k": "AAAA"}]}),
                page(published("1")),
            ):
                here.answer(answer)
                await here.clock.wake()
                seen.append(here.store.keys(ISSUER))
            return [keys is seen[0] for keys in seen], len(here.changes)

    assert ([True, True, True, False], 2) == run(go())


CHANGES = {
    "other material under the same name": {"keys": [jwk(rsa_key(serial=2), kid="1")]},
    "another name": {"keys": [jwk(rsa_key(serial=1), kid="2")]},
    "fewer algorithms": published("1", alg="RS256"),
    "one more": published("1", "2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_key_is_a_change_of_the_set(name):
    async def go():
        async with world() as here:
            before = here.store.keys(ISSUER)
            here.answer(page(CHANGES[name]))
            await here.clock.wake(300)
            return here.store.keys(ISSUER) is before, len(here.changes)

    assert (False, 2) == run(go())


def test_keys_that_are_not_used_are_counted_by_why_and_cost_the_others_nothing():
    entries = [
        *published("1")["keys"],
        {"kty": "oct", "k": "AAAA", "kid": "a"},
        {"kty": "oct", "k": "AAAA", "kid": "b"},
        jwk(rsa_key(serial=2), kid="c", use="enc"),
        jwk(rsa_key(1024), kid="d"),
    ]

    async def go():
        async with world(page({"keys": entries})) as here:
            return here.kids, here.counted.counts

    assert ({"1"}, {ISSUER: {"type": 2, "use": 1, "weak": 1}}) == run(go())


def test_the_metric_of_unused_keys_returns_to_zero():
    metrics = Metrics()

    def value(why):
        labels = {"issuer": ISSUER, "why": why.value}
        return metrics.registry.get_sample_value("mcp_authz_jwks_skipped", labels)

    metrics.skipped(ISSUER, {"weak": 3})
    assert {why: 3 if why is Skip.WEAK else 0 for why in Skip} == {why: value(why) for why in Skip}
    metrics.skipped(ISSUER, {"use": 1})
    assert {why: 1 if why is Skip.USE else 0 for why in Skip} == {why: value(why) for why in Skip}


def test_keys_in_the_file_are_there_at_once_for_good_and_without_a_word_to_anybody():
    """`on_change` is for those who remember tokens, and while a store is made there is nobody who does."""

    async def go():
        changes, counted, clock = [], Counted(), HandClock()
        inline = json.dumps({"keys": [*published("1")["keys"], 7]}).encode()
        store = KeyStore(
            {ISSUER: IssuerKeys(issuer=ISSUER, inline=inline)},
            observer=counted,
            clock=clock,
            on_change=lambda: changes.append(1),
        )
        await store.start()
        clock.now += 1e9
        told = store.without_keys(), set(store.keys(ISSUER).keys), store.age(ISSUER)
        await store.close()
        return told, changes, counted.outcomes, counted.counts

    assert (([], {"1"}, 0.0), [], [], {ISSUER: {"malformed": 1}}) == run(go())


@pytest.mark.parametrize("inline", [b"{", b"[]", b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AAAA"}]}'])
def test_keys_in_the_file_that_are_none_end_the_start(inline):
    with pytest.raises(KeySetError):
        KeyStore({ISSUER: IssuerKeys(issuer=ISSUER, inline=inline)}, observer=Counted())


def test_nobody_has_the_keys_of_an_issuer_that_is_not_configured():
    assert None is KeyStore({}, observer=Counted()).keys(ISSUER)


def test_the_log_names_issuer_and_cause_and_nothing_of_the_document(monkeypatch):
    lines = []

    class Log:
        def warning(self, event, **values):
            lines.append((event, values))

        info = warning

    monkeypatch.setattr(keystore, "_LOG", Log())

    async def go():
        async with world(page(b'{"secret":"in the document"}')) as here:
            await here.store.refetch(ISSUER, "a name from a token")

    run(go())
    assert ("keys not fetched", {**lines[0][1], "problem": "not a JWK Set"}) == lines[0]
    assert {"issuer", "url", "problem", "failures"} == set(lines[0][1])
    assert "secret" not in repr(lines)
    assert "a name from a token" not in repr(lines)


EXACT = Schedule(min_age=60, max_age=600, default_age=300, retry=1, jitter=0)


@pytest.mark.parametrize(
    ("said", "age"), [(None, 300), (0, 60), (59, 60), (61, 61), (599, 599), (601, 600), (10**9, 600)]
)
def test_what_cache_control_says_counts_within_the_bounds(said, age):
    assert age == EXACT.age(said)


@pytest.mark.parametrize(
    ("failures", "pause"), [(0, 300), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10**6, 60)]
)
def test_pauses_double_from_failure_to_failure_up_to_the_shortest_age(failures, pause):
    assert pause == EXACT.pause(300, failures)


@given(st.floats(60, 600), st.integers(0, 100), st.floats(0, 0.9))
def test_chance_only_shortens_a_pause_and_by_no_more_than_the_jitter(age, failures, jitter):
    whole = EXACT.pause(age, failures)
    pause = Schedule(jitter=jitter).pause(age, failures)

    assert whole * (1 - jitter) * 0.999 <= pause <= whole


def test_the_bounds_are_those_of_the_settings():
    assert {name: getattr(Fetching(), name) for name in Fetching.__dataclass_fields__} == {
        name: getattr(Schedule(), name) for name in Fetching.__dataclass_fields__
    }
