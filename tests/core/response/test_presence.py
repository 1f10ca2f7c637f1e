"""When a list may pass an Envoy, for whom it may not, what ends that, and when its rewriter is told as missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.response.presence import (
    ALONE,
    AMONG_REPLICAS,
    DUE_SECONDS,
    IDLE_SECONDS,
    MOST_CALLERS,
    MOST_ENVOYS,
    NEVER_CAME,
    TOLD_SECONDS,
    RewriterPresence,
)
from tests.support.clock import ManualClock

ENVOY, OTHER, NO_ENVOY = "10.0.0.1:10000", "10.0.0.2:10000", ""
ANN, BEN, EVE = "ann", "ben", "eve"


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def presence(clock):
    return RewriterPresence(clock)


@pytest.fixture
def proved(presence):
    """The presence of an Envoy whose rewriter has come."""
    presence.came(ENVOY, "somebody")
    return presence


def ask(presence, clock, *callers, listener=ENVOY):
    for caller in callers:
        clock.now += 0.1
        presence.asked(listener, caller)


def refused(presence, *callers, listener=ENVOY):
    return [caller for caller in callers if presence.refuses(listener, caller)]


def test_no_list_passes_before_the_rewriter_has_come_and_none_is_refused_after(presence):
    before = refused(presence, ANN, BEN)
    presence.came(ENVOY, ANN)

    assert ([ANN, BEN], []) == (before, refused(presence, ANN, BEN))


def test_no_time_brings_a_rewriter(presence, clock):
    ask(presence, clock, ANN)
    clock.now += 1000 * IDLE_SECONDS

    assert presence.refuses(ENVOY, ANN)


@pytest.mark.parametrize("heard", [False, True])
def test_one_that_came_to_a_sibling_is_as_good(presence, clock, heard):
    ask(presence, clock, ANN, BEN)
    presence.heard(ENVOY, [ANN] if heard else [])
    clock.now += DUE_SECONDS

    assert ([] if heard else [ANN]) == refused(presence, ANN)


def test_a_caller_whose_list_is_not_brought_in_time_is_refused_until_one_of_his_is(proved, clock):
    ask(proved, clock, EVE)
    in_time = refused(proved, EVE, ANN)
    clock.now += DUE_SECONDS
    late = refused(proved, EVE, ANN)
    proved.came(ENVOY, ANN)
    other_came = refused(proved, EVE, ANN)
    proved.came(ENVOY, EVE)

    assert ([], [EVE, ANN], [EVE], []) == (in_time, late, other_came, refused(proved, EVE, ANN))


def test_who_is_suspected_for_one_caller_is_acquitted_where_nothing_could_ask(proved, clock):
    ask(proved, clock, EVE)
    clock.now += DUE_SECONDS
    suspected = refused(proved, ANN)
    proved.acquit(ENVOY)

    assert ([ANN], [EVE]) == (suspected, refused(proved, EVE, ANN))


def test_who_was_asked_for_and_did_not_come_is_not_acquitted(proved, clock):
    ask(proved, clock, EVE)
    clock.now += DUE_SECONDS
    assert proved.wants(ENVOY, "")
    proved.acquit(ENVOY)

    assert [EVE, ANN] == refused(proved, EVE, ANN)


def test_once_it_did_not_come_for_two_callers_nobody_is_acquitted(proved, clock):
    ask(proved, clock, ANN, BEN)
    in_time = refused(proved, ANN, BEN, EVE)
    clock.now += DUE_SECONDS
    proved.acquit(ENVOY)
    late = refused(proved, ANN, BEN, EVE)
    proved.came(ENVOY, EVE)

    assert ([], [ANN, BEN, EVE]) == (in_time, late)
    assert [ANN, BEN] == refused(proved, ANN, BEN, EVE)


@pytest.mark.parametrize("times", [1, 100])
def test_however_often_one_caller_hangs_up_nobody_else_is_refused(proved, clock, times):
    seen = []
    for _ in range(times):
        ask(proved, clock, EVE)
        clock.now += DUE_SECONDS
        proved.acquit(ENVOY)
        seen += refused(proved, ANN)

    assert [] == seen


def test_who_waits_among_too_many_makes_room_for_the_next(proved, clock):
    for number in range(MOST_CALLERS + 1):
        proved.asked(ENVOY, f"caller-{number}")
    proved.came(ENVOY, "somebody")
    clock.now += DUE_SECONDS

    assert ["caller-1"] == refused(proved, "caller-0", "caller-1")


@pytest.mark.parametrize(
    ("callers", "times", "expected"),
    [
        ([ANN, BEN], AMONG_REPLICAS // 2 - 1, []),
        ([ANN, BEN], AMONG_REPLICAS // 2, [ANN, EVE]),
        ([ANN], AMONG_REPLICAS, []),
    ],
)
def test_among_replicas_a_long_row_is_needed_and_no_single_caller_is_accused(clock, callers, times, expected):
    presence = RewriterPresence(clock, alone=False)
    presence.came(ENVOY, "somebody")
    ask(presence, clock, *callers * times)
    clock.now += DUE_SECONDS

    assert expected == refused(presence, ANN, EVE)


def test_among_replicas_no_list_passes_before_the_rewriter_has_come_either(clock):
    assert RewriterPresence(clock, alone=False).refuses(ENVOY, ANN)


def test_what_comes_from_no_envoy_is_refused_by_rows_only(presence, clock):
    unseen = refused(presence, ANN, listener=NO_ENVOY)
    ask(presence, clock, ANN, BEN, listener=NO_ENVOY)
    clock.now += DUE_SECONDS
    two = refused(presence, ANN, listener=NO_ENVOY)
    ask(presence, clock, ANN, listener=NO_ENVOY)
    clock.now += DUE_SECONDS

    assert ([], [], [ANN]) == (unseen, two, refused(presence, ANN, listener=NO_ENVOY))


def test_each_envoy_is_judged_by_itself(presence):
    presence.came(OTHER, ANN)

    assert (True, False) == (presence.refuses(ENVOY, ANN), presence.refuses(OTHER, ANN))


def test_what_may_be_answered_late_proves_nothing(proved, clock):
    for caller in (ANN, BEN) * ALONE:
        proved.asked(ENVOY, caller, prompt=False)
    clock.now += TOLD_SECONDS

    assert ([], []) == (refused(proved, ANN, BEN), proved.missing_at())


def test_a_refusal_of_something_else_asks_once_in_a_while_and_only_until_it_is_known(presence, clock):
    first = [presence.wants(ENVOY, ANN) for _ in range(3)]
    clock.now += DUE_SECONDS
    later = presence.wants(ENVOY, ANN)
    presence.came(ENVOY, ANN)
    clock.now += DUE_SECONDS

    assert ([True, False, False], True, False) == (first, later, presence.wants(ENVOY, ANN))
    assert not presence.wants(NO_ENVOY, ANN)


@pytest.mark.parametrize(
    ("came", "times", "told"),
    [
        (False, NEVER_CAME - 1, []),
        (False, NEVER_CAME, [ENVOY]),
        (True, ALONE - 1, []),
        (True, ALONE, [ENVOY]),
    ],
)
def test_it_is_told_as_missing_after_a_few_in_a_row_the_last_of_which_is_due(
    presence, clock, came, times, told
):
    if came:
        presence.came(ENVOY, ANN)
    ask(presence, clock, *[ANN] * times)
    before = presence.missing_at()
    clock.now += TOLD_SECONDS

    assert ([], told) == (before, presence.missing_at())
    presence.came(ENVOY, BEN)
    assert [] == presence.missing_at()


@pytest.mark.parametrize("prompt", [True, False])
def test_it_is_told_for_as_long_as_anything_is_asked_for(presence, clock, prompt):
    ask(presence, clock, *[ANN] * ALONE)
    told = []
    for _ in range(5):
        clock.now += IDLE_SECONDS - 1
        told.append(presence.missing_at())
        presence.asked(ENVOY, ANN, prompt=prompt)
    clock.now += IDLE_SECONDS

    assert [[ENVOY]] * 5 == told
    assert [] == presence.missing_at()


def test_what_came_is_news_once_and_only_where_there_is_somebody_to_tell(presence):
    presence.came(ENVOY, ANN)
    untold = presence.news()
    woken = []
    presence.on_news = lambda: woken.append(1)
    for listener, caller in ((ENVOY, ANN), (OTHER, ANN), (ENVOY, BEN), (ENVOY, ANN)):
        presence.came(listener, caller)

    assert {} == untold
    assert {ENVOY: {ANN, BEN}, OTHER: {ANN}} == presence.news()
    assert ({}, 4) == (presence.news(), len(woken))


def fill(presence, clock, others=range(MOST_ENVOYS)):
    """Let other Envoys ask and be answered, one after the other."""
    for each in others:
        clock.now += 0.001
        presence.asked(f"10.0.1.1:{each}")
        presence.came(f"10.0.1.1:{each}")


def test_an_envoy_that_is_forgotten_has_to_show_its_rewriter_again(proved, clock):
    fill(proved, clock)

    assert proved.refuses(ENVOY, ANN)


def test_the_envoy_that_was_idle_for_longest_makes_room(proved, clock):
    for start in range(0, 3 * MOST_ENVOYS, MOST_ENVOYS // 2):
        fill(proved, clock, range(start, start + MOST_ENVOYS // 2))
        proved.asked(ENVOY, ANN, prompt=False)

    assert not proved.refuses(ENVOY, ANN)


CALLERS = st.sampled_from([ANN, BEN, EVE])
STEPS = st.lists(
    st.tuples(
        CALLERS, st.sampled_from(["list", "hang up", "other"]), st.sampled_from([0.0, 0.3, DUE_SECONDS])
    ),
    max_size=60,
)


class Envoy:
    """An Envoy that has a rewriter or none, and passes lists as it is told to.

    What becomes of a list is what can: it is trimmed, its client hangs up before the answer, or it leaks.
    """

    def __init__(self, *, has_rewriter, heard=True):
        self.heard = heard  # whether a knock reaches it
        self.clock = ManualClock(1000.0)
        self.presence = RewriterPresence(self.clock)
        self.has_rewriter = has_rewriter
        self.leaked: list[tuple[str, float]] = []
        self.refused: list[tuple[str, float]] = []

    def request(self, caller, does):
        if (
            does == "other"
        ):  # a refusal for another reason, on which Envoy runs the rewriter where it is asked to
            if self.presence.wants(ENVOY, caller) and self.has_rewriter:
                self.presence.came(ENVOY, caller)
            return
        refuses = self.presence.refuses(ENVOY, caller) and not self.shown(caller)
        self.presence.asked(ENVOY, caller)
        if refuses:
            self.refused.append((caller, self.clock.now))
        elif not self.has_rewriter:
            self.leaked.append((caller, self.clock.now))
        if self.has_rewriter and (
            refuses or does == "list"
        ):  # nobody can hang up between a refusal and its answer
            self.presence.came(ENVOY, caller)

    def shown(self, caller):
        """Return whether a list may pass after a knock."""
        if self.heard and self.presence.wants(ENVOY, "") and self.has_rewriter:
            self.presence.came(ENVOY, "")
        self.presence.acquit(ENVOY)
        return not self.presence.refuses(ENVOY, caller)

    def run(self, steps):
        for caller, does, seconds in steps:
            self.clock.now += seconds
            self.request(caller, does)


HEARD = pytest.mark.parametrize("heard", [True, False])


@pytest.mark.requirement("security.no-list-without-rewriter")
@HEARD
@given(steps=STEPS)
def test_without_a_rewriter_nothing_ever_passes(heard, steps):
    envoy = Envoy(has_rewriter=False, heard=heard)
    envoy.run(steps)

    assert [] == envoy.leaked


def firsts(leaked):
    """Return when each caller first got a list whole."""
    found: dict[str, float] = {}
    for caller, at in leaked:
        found.setdefault(caller, at)
    return found


@pytest.mark.requirement("security.no-list-without-rewriter")
@HEARD
@given(before=STEPS, after=STEPS)
def test_after_it_was_taken_away_lists_pass_for_as_long_as_one_is_due_to_one_caller_or_where_nobody_can_knock_to_two(
    heard, before, after
):
    envoy = Envoy(has_rewriter=True, heard=heard)
    envoy.run(before)
    envoy.has_rewriter = False
    envoy.run(after)
    first = firsts(envoy.leaked)

    assert all(at < first[caller] + DUE_SECONDS for caller, at in envoy.leaked)
    alone = 1 if heard else 2
    if len(first) > alone:
        earliest = sorted(first.values())
        assert earliest[alone] < earliest[alone - 1] + DUE_SECONDS


@pytest.mark.requirement("security.no-list-without-rewriter")
@HEARD
@given(steps=STEPS)
def test_where_there_is_a_rewriter_the_next_list_after_a_refusal_passes(heard, steps):
    envoy = Envoy(has_rewriter=True, heard=heard)
    for caller, does, seconds in steps:
        envoy.clock.now += seconds
        count = len(envoy.refused)
        envoy.request(caller, does)
        if len(envoy.refused) > count:
            assert not envoy.presence.refuses(ENVOY, caller)


@pytest.mark.requirement("security.no-list-without-rewriter")
@HEARD
@given(steps=STEPS)
def test_whatever_one_caller_does_others_are_refused_no_list_for_it(heard, steps):
    envoy = Envoy(has_rewriter=True, heard=heard)
    envoy.request(ANN, "list")
    first = len(envoy.refused)
    envoy.run([(caller, does if caller == EVE else "list", seconds) for caller, does, seconds in steps])

    assert {EVE} >= {caller for caller, _ in envoy.refused[first:]}


@pytest.mark.requirement("security.no-list-without-rewriter")
@given(steps=STEPS)
def test_where_it_can_knock_nobody_can_have_a_list_of_others_refused(steps):
    envoy = Envoy(has_rewriter=True)
    envoy.run([(caller, "list" if caller == ANN else does, seconds) for caller, does, seconds in steps])

    assert ANN not in {caller for caller, _ in envoy.refused}
