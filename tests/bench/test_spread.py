"""The simulation of several workers, where it can be told what must come out."""

import pytest

from bench.spread import simulate


def share(workers, threads, *, per_call):
    return simulate(workers, threads, per_call=per_call, seed=1, calls=4000)["share"]


@pytest.mark.parametrize("per_call", [False, True])
def test_one_worker_does_all_it_can_whoever_chooses(per_call):
    assert share(1, 4, per_call=per_call) == pytest.approx(1.0, abs=0.1)


def test_workers_with_sockets_of_their_own_are_all_busy():
    assert share(4, 1, per_call=True) == pytest.approx(1.0, abs=0.1)


def test_the_one_connection_of_a_thread_keeps_one_worker_of_a_port_busy():
    assert share(4, 1, per_call=False) == pytest.approx(0.25, abs=0.03)
