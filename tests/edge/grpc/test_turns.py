from authz.edge.grpc.turns import Turns
from tests.support.clock import ManualClock


def test_when_nothing_else_is_to_be_done_the_first_goes_on():
    turns, went = Turns(ManualClock(0.0)), []
    for name in "ab":
        turns.wait(lambda name=name: went.append(name))
    turns.run(idle=True)

    assert (["a"], 1) == (went, len(turns))
    turns.run(idle=True)
    turns.run(idle=True)
    assert (["a", "b"], 0) == (went, len(turns))


def test_others_have_the_thread_for_as_long_as_the_last_slice_took():
    clock, went = ManualClock(0.0), []
    turns = Turns(clock)

    def slice_of(seconds):
        def work():
            went.append(seconds)
            clock.now += seconds

        return work

    turns.wait(slice_of(5))
    turns.wait(slice_of(1))
    turns.run(idle=False)
    for _ in range(4):
        clock.now += 1
        turns.run(idle=False)
    assert [5] == went
    clock.now += 1
    turns.run(idle=False)
    assert [5, 1] == went


def test_a_slice_that_fails_keeps_its_turn_from_nobody():
    turns, went = Turns(ManualClock(0.0)), []

    def fails():
        raise RuntimeError

    turns.wait(fails)
    turns.wait(lambda: went.append("b"))
    try:
        turns.run(idle=True)
    except RuntimeError:
        turns.run(idle=True)

    assert ["b"] == went
