"""Which problems of Envoy the service's metrics show, and when they are over."""

import pytest

from authz.edge.envoy_watch import LOOKS, Judge

PERIOD = 40.0
STEP = PERIOD / LOOKS


class Counted:
    """Counts as a service would, and looks at them in turn."""

    def __init__(self, period=PERIOD):
        self.judge, self.at, self.counts, self.gauges = Judge(period), 0.0, {}, {}

    def decide(self, reason, times=1):
        self._add("decisions_total", "reason", reason, times)

    def withhold(self, cause):
        self._add("bodies_withheld_total", "cause", cause, 1)

    def _add(self, name, label, value, times):
        key = (name, frozenset({(label, value)}))
        self.counts[key] = self.counts.get(key, 0) + times

    def show(self, name, label, value):
        self.gauges[name, frozenset({(label, value)})] = 1.0

    def look(self, seconds=STEP):
        self.at += seconds
        return {each.name: each for each in self.judge.look(self.at, self.counts | self.gauges)}


def test_a_service_that_is_used_as_it_should_be_has_no_problem():
    counted, seen = Counted(), []
    for _ in range(100):
        counted.decide("allowed", 5)
        counted.decide("missing_token", 5)
        counted.decide("wrong_audience")
        counted.show("envoy_info", "version", "1.40.0")
        seen.append(counted.look())

    assert [{}] * 100 == seen


def test_listeners_without_a_rewriter_are_named():
    counted = Counted()
    counted.show("rewriter_missing", "listener", "10.0.0.2:10000")

    assert ["10.0.0.2:10000"] == counted.look()["rewriter_missing"].where


@pytest.mark.parametrize(
    ("version", "expected"), [("1.38.3", True), ("1.38.4", False), ("1.40.0", False), ("2.0.0", False)]
)
def test_an_envoy_with_known_vulnerabilities_is_a_problem(version, expected):
    counted = Counted()
    counted.show("envoy_info", "version", version)

    assert expected is ("old_envoy" in counted.look())


@pytest.mark.parametrize(
    ("cause", "name"),
    [("not_raw", "body_not_raw"), ("partial", "body_partial"), ("absent", "body_absent")],
)
def test_bodies_that_envoy_withholds_are_a_problem_until_requests_pass_again(cause, name):
    counted = Counted()
    counted.look()
    counted.withhold(cause)
    first, later = counted.look(), counted.look(seconds=120)
    counted.decide("allowed")
    over = counted.look()

    assert [True, True, False] == [name in found for found in (first, later, over)]


@pytest.mark.parametrize(("missing", "steps", "expected"), [(19, 10, False), (20, 1, False), (20, 10, True)])
def test_many_requests_without_a_token_and_none_with_one_are_a_problem(missing, steps, expected):
    counted = Counted()
    counted.decide("allowed", 100)
    counted.look()
    counted.decide("missing_token", missing)
    counted.decide("bad_origin", 50)
    found = [counted.look() for _ in range(steps)][-1]

    assert expected is ("no_tokens" in found)


@pytest.mark.parametrize("reason", ["allowed", "no_rule", "wrong_audience"])
def test_one_request_with_a_token_ends_it(reason):
    counted = Counted()
    counted.look()
    counted.decide("missing_token", 50)
    before = [counted.look() for _ in range(3)][-1]
    counted.decide(reason)

    assert [True, False] == ["no_tokens" in found for found in (before, counted.look())]


@pytest.mark.parametrize(("busy", "expected"), [(2, True), (1, False)])
def test_silence_is_a_problem_after_steady_traffic_only(busy, expected):
    counted = Counted()
    for _ in range(3 * LOOKS + 1):
        counted.decide("allowed", busy)
        counted.look()
    silent = [counted.look() for _ in range(LOOKS)]

    assert [expected] == [any("no_checks" in found for found in silent)]


def test_silence_lasts_until_envoy_asks_again():
    counted = Counted()
    for _ in range(4 * LOOKS):
        counted.decide("allowed", 5)
        counted.look()
    night = [counted.look() for _ in range(10 * LOOKS)][-1]
    counted.decide("allowed")

    assert [True, False] == ["no_checks" in found for found in (night, counted.look())]


def test_silence_can_be_left_alone():
    counted = Counted(period=0.0)
    for _ in range(4 * LOOKS):
        counted.decide("allowed", 5)
        counted.look()

    assert not any(counted.look() for _ in range(10 * LOOKS))
