"""What was decided of late, from a series of looks at the metrics."""

import pytest

from authz.core.decision import Decision
from authz.core.reasons import Reason
from authz.edge.http.console.activity import HOUR, Activity
from authz.edge.http.console.chart import bars
from authz.edge.http.console.samples import samples_of
from authz.edge.telemetry.metrics import Metrics


class Day:
    """Metrics that grow, and the looks at them."""

    def __init__(self):
        self.now, self.metrics = 10_000.0, Metrics()
        self.activity = Activity(lambda: self.now)
        self.look(0)

    def look(self, seconds, *reasons, rule="r"):
        self.now += seconds
        for reason in reasons:
            allowed = reason is Reason.ALLOWED
            self.metrics.decided(Decision(reason=reason, allowed=allowed, server="s", rule=rule), 0.1)
        self.activity.note(samples_of(self.metrics.registry.collect()))


def test_the_rate_now_is_that_between_the_last_two_looks():
    day = Day()
    assert day.activity.now() is None

    day.look(5, *[Reason.ALLOWED] * 10, *[Reason.NO_RULE] * 5)

    assert (2.0, 1.0) == day.activity.now()


def test_each_part_of_the_hour_has_what_was_decided_in_it():
    day = Day()
    day.look(60, *[Reason.ALLOWED] * 6)
    day.look(60, *[Reason.NO_RULE] * 12)

    rates = day.activity.recent(HOUR, 60)

    assert [(0.1, 0.0), (0.0, 0.2)] == rates[-2:]
    assert {(0.0, 0.0)} == set(rates[:-2])


def test_an_hour_is_kept_and_no_more_however_often_it_is_looked():
    day = Day()
    for _ in range(2000):
        day.look(4, Reason.ALLOWED)
        day.look(0, Reason.ALLOWED)

    assert 900 == len(day.activity._looks)
    assert all(rate.allowed == pytest.approx(0.5, rel=0.1) for rate in day.activity.recent(HOUR, 60)[1:-1])


def test_a_rule_and_a_reason_have_the_time_of_their_last_decision():
    day = Day()
    day.look(5, Reason.INTERNAL, rule="old")
    day.look(100, Reason.ALLOWED, rule="new")

    ages = [day.activity.rule_age("s", rule) for rule in ("old", "new", "never")]
    lately = [day.activity.lately(reason) for reason in ("internal", "deadline")]

    assert ([100.0, 0.0, None], [True, False]) == (ages, lately)
    day.look(1000)
    assert not day.activity.lately("internal")


def test_a_chart_says_in_words_what_it_shows():
    day = Day()
    day.look(5, *[Reason.ALLOWED] * 30, *[Reason.NO_RULE] * 30)

    drawn = bars(day.activity.recent(60, 6), "The last minute")

    words = "The last minute: at most 6 decisions a second, of these at most 3 denied"
    assert f'role="img" aria-label="{words}"' in drawn
    assert (1, 1) == (drawn.count('class="allow"'), drawn.count('class="deny"'))
