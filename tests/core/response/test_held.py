import pytest

from authz.core.response.held import LARGE, HeldBytes


def test_what_is_held_is_counted_over_all_responses_and_given_back():
    held = HeldBytes(100)
    one, other = held.open("a"), held.open("b")

    assert [True, True, True] == [one.resize(30), other.resize(50), one.resize(50)]
    assert 100 == held.total
    one.close()
    other.close()
    other.close()
    assert 0 == held.total


@pytest.mark.requirement("security.bounded-bytes")
def test_what_does_not_fit_is_refused_and_what_is_held_is_kept():
    held = HeldBytes(100)
    first, second, third = (held.open(name) for name in "abc")
    first.resize(50)
    second.resize(40)

    assert [False, True] == [third.resize(11), third.resize(10)]
    assert 100 == held.total


@pytest.mark.requirement("security.bounded-bytes")
def test_one_server_has_half_of_the_room_at_most():
    held = HeldBytes(100)
    mine, theirs, other = held.open("a"), held.open("a"), held.open("b")

    assert [True, False, True] == [mine.resize(40), theirs.resize(11), other.resize(50)]


def slices(name, done):
    yield
    done.append(name)
    return name


def drive(*works):
    """Let each go on in turn until all are done."""
    waiting = list(works)
    while waiting:
        for work in list(waiting):
            try:
                next(work)
            except StopIteration:
                waiting.remove(work)


@pytest.mark.parametrize(
    ("size", "order"), [(LARGE, ["a1", "a2", "b1", "b2"]), (LARGE - 1, ["a1", "b1", "a2", "b2"])]
)
def test_large_bodies_are_judged_one_at_a_time(size, order):
    held, done = HeldBytes(), []

    def judging(name):
        for step in (1, 2):
            done.append(f"{name}{step}")
            yield

    drive(*(held.open(name).alone(judging(name), size, None) for name in "ab"))

    assert order == done


def test_one_that_leaves_while_it_judges_lets_the_next_one_judge():
    held, done = HeldBytes(), []
    one = held.open("a")
    work = one.alone(slices("a", done), LARGE, None)
    next(work)
    one.close()
    drive(held.open("b").alone(slices("b", done), LARGE, None))

    assert ["b"] == done
