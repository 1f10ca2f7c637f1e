"""When it is sure that an Envoy has no rewriter, and what ends that."""

import pytest

from authz.core.response.presence import (
    ALONE,
    AMONG_REPLICAS,
    DUE_SECONDS,
    FORGET_SECONDS,
    MOST_ENVOYS,
    RewriterPresence,
)
from tests.support.clock import ManualClock

ENVOY, OTHER = "10.0.0.1:10000", "10.0.0.2:10000"


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def presence(clock):
    return RewriterPresence(clock)


def ask(presence, clock, times=ALONE, listener=ENVOY):
    for _ in range(times):
        clock.now += 0.1
        presence.asked(listener)


def test_a_rewriter_that_never_comes_is_missing_once_the_last_of_three_lists_is_due(presence, clock):
    ask(presence, clock)
    before = presence.missing(ENVOY)
    clock.now += DUE_SECONDS

    assert [False, True] == [before, presence.missing(ENVOY)]
    assert [ENVOY] == presence.missing_at()


@pytest.mark.parametrize(("enough", "times", "expected"), [
    (ALONE, 2, False), (ALONE, 3, True), (AMONG_REPLICAS, 19, False), (AMONG_REPLICAS, 20, True),
])  # fmt: skip
def test_among_replicas_it_takes_a_longer_row(clock, enough, times, expected):
    presence = RewriterPresence(clock, enough=enough)
    ask(presence, clock, times)
    clock.now += DUE_SECONDS

    assert expected is presence.missing(ENVOY)


@pytest.mark.parametrize("sign", [RewriterPresence.came, RewriterPresence.heard])
def test_one_that_comes_here_or_to_a_sibling_ends_it_at_once(presence, clock, sign):
    ask(presence, clock)
    clock.now += DUE_SECONDS
    sign(presence, ENVOY)

    assert not presence.missing(ENVOY)
    ask(presence, clock)
    clock.now += DUE_SECONDS
    assert presence.missing(ENVOY)


def test_clients_that_hang_up_count_for_nothing_while_the_rewriter_comes_for_others(presence, clock):
    seen = []
    for _ in range(50):
        ask(presence, clock, 2)
        presence.came(ENVOY)
        clock.now += DUE_SECONDS
        seen.append(presence.missing(ENVOY))

    assert [False] * 50 == seen


def test_each_envoy_is_judged_by_itself(presence, clock):
    ask(presence, clock)
    ask(presence, clock, listener=OTHER)
    presence.came(OTHER)
    clock.now += DUE_SECONDS

    assert [ENVOY] == presence.missing_at()


def test_lists_that_are_refused_keep_it_missing(presence, clock):
    ask(presence, clock)
    clock.now += DUE_SECONDS
    ask(presence, clock, 100)

    assert presence.missing(ENVOY)


def test_an_envoy_that_asks_no_more_is_forgotten(presence, clock):
    ask(presence, clock)
    clock.now += FORGET_SECONDS

    assert [] == presence.missing_at()


def test_envoys_that_came_are_news_once(presence):
    presence.asked(OTHER)
    presence.came(ENVOY)

    assert [[ENVOY], []] == [presence.news(), presence.news()]


def test_the_number_of_envoys_is_bounded(presence, clock):
    ask(presence, clock)
    for number in range(MOST_ENVOYS):
        presence.asked(f"10.0.1.1:{number}")
    clock.now += DUE_SECONDS

    assert [] == presence.missing_at()
