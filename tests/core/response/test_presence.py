"""When it is sure that an Envoy has no rewriter, and what ends that."""

import pytest

from authz.core.response.presence import (
    ALONE,
    AMONG_REPLICAS,
    DUE_SECONDS,
    IDLE_SECONDS,
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


@pytest.mark.parametrize("seconds", [IDLE_SECONDS, 1000 * IDLE_SECONDS])
def test_no_time_brings_a_rewriter(presence, clock, seconds):
    ask(presence, clock)
    clock.now += seconds

    assert presence.missing(ENVOY)


@pytest.mark.parametrize("prompt", [True, False])
def test_it_is_told_for_as_long_as_anything_is_asked_for(presence, clock, prompt):
    ask(presence, clock)
    told = []
    for _ in range(5):
        clock.now += IDLE_SECONDS - 1
        told.append(presence.missing_at())
        presence.asked(ENVOY, prompt=prompt)
    clock.now += IDLE_SECONDS

    assert [[ENVOY]] * 5 == told
    assert [] == presence.missing_at()


def test_what_may_be_answered_late_proves_nothing(presence, clock):
    for _ in range(10 * ALONE):
        presence.asked(ENVOY, prompt=False)
    clock.now += DUE_SECONDS

    assert not presence.missing(ENVOY)


def test_envoys_that_came_are_news_once(presence):
    presence.asked(OTHER)
    presence.came(ENVOY)

    assert [[ENVOY], []] == [presence.news(), presence.news()]


def fill(presence, clock, others=range(MOST_ENVOYS)):
    """Let other Envoys ask and be answered, one after the other."""
    for each in others:
        clock.now += 0.001
        presence.asked(f"10.0.1.1:{each}")
        presence.came(f"10.0.1.1:{each}")


def test_the_number_of_envoys_is_bounded(presence, clock):
    ask(presence, clock)
    clock.now += DUE_SECONDS
    fill(presence, clock)

    assert not presence.missing(ENVOY)


def test_the_envoy_that_was_idle_for_longest_makes_room(presence, clock):
    ask(presence, clock)
    clock.now += DUE_SECONDS
    for start in range(0, 3 * MOST_ENVOYS, MOST_ENVOYS // 2):
        fill(presence, clock, range(start, start + MOST_ENVOYS // 2))
        presence.asked(ENVOY)

    assert presence.missing(ENVOY)


class ChangedWhileRead(dict):
    """Envoys; `change` is called as soon as somebody has a copy of them, as by the other thread."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    def copy(self):
        known = dict(self)
        self._change()
        return known


def test_an_envoy_that_is_forgotten_while_news_is_told_is_told_and_so_is_one_that_comes_meanwhile(clock):
    presence = RewriterPresence(clock)
    presence._envoys = ChangedWhileRead(lambda: fill(presence, clock))
    presence.came(ENVOY)

    assert [ENVOY] == presence.news()
    assert f"10.0.1.1:{MOST_ENVOYS - 1}" in presence.news()
