import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.config.settings import Fetching
from authz.edge.jwks.store import Schedule

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
