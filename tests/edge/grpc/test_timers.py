import random

import pytest

from authz.edge.grpc.timers import Timers
from tests.support.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock(100.0)


@pytest.fixture
def timers(clock):
    return Timers(clock)


def test_what_is_due_is_done_once_in_order_of_time(timers, clock):
    done = []
    for seconds in (3.0, 1.0, 2.0, 9.0):
        timers.after(seconds, lambda seconds=seconds: done.append(seconds))
    clock.now += 3.0
    timers.run()
    timers.run()

    assert [1.0, 2.0, 3.0] == done


def test_it_waits_for_the_next_never_less_than_not_at_all(timers, clock):
    assert timers.wait() is None
    timers.after(2.0, lambda: None)
    assert 2.0 == timers.wait()
    clock.now += 5.0
    assert 0.0 == timers.wait()


def test_what_was_called_off_is_not_done(timers, clock):
    done = []
    timer = timers.after(1.0, lambda: done.append(1))
    timers.call_off(timer)
    timers.call_off(timer)
    clock.now += 2.0
    timers.run()

    assert ([], 0) == (done, len(timers))


def test_one_that_was_done_may_be_called_off(timers, clock):
    timer = timers.after(0.0, lambda: None)
    timers.run()
    timers.call_off(timer)

    assert timers.wait() is None


def test_what_is_set_while_others_are_done_is_done_when_due(timers, clock):
    done = []
    timers.after(0.0, lambda: timers.after(1.0, lambda: done.append("later")))
    timers.run()
    assert [] == done
    clock.now += 1.0
    timers.run()
    assert ["later"] == done


def test_those_called_off_do_not_pile_up_though_their_time_is_far(timers, clock):
    kept = [timers.after(1e6, lambda: None) for _ in range(10)]
    for _ in range(10_000):
        timers.call_off(timers.after(1e5, lambda: None))

    assert len(kept) <= len(timers) < 200


def test_any_order_of_setting_and_calling_off_does_what_remains(timers, clock):
    dice, done, left = random.Random(3), [], {}
    for number in range(2000):
        if left and dice.random() < 0.6:
            timers.call_off(left.pop(dice.choice(list(left))))
        else:
            left[number] = timers.after(dice.random() * 100, lambda number=number: done.append(number))
    clock.now += 100
    timers.run()

    assert (sorted(left), 0) == (sorted(done), len(timers))
