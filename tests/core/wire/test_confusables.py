"""Keys that some parser would take for a known key are told apart from keys that no parser would."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.wire.confusables import collide, fold, imitates

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

KNOWN = frozenset({"method", "params", "tasks", "taskId", "uri"})


@pytest.mark.parametrize(
    "key",
    [
        "Method",
        "METHOD",
        "param\u017f",  # long s, which Go folds to s
        "tas\u212as",  # the Kelvin sign, which Go folds to k
        "\uff4dethod",  # full-width m
        "\uff2dETHOD",
        "ur\u0131",  # dotless i
        "ur\u0130",  # capital I with a dot
        "TASKID",
        "taskid",
        "method\0",
        "method\0x",
        "\0",
    ],
)
def test_a_key_that_some_parser_takes_for_a_known_one_imitates(key):
    assert imitates([key], KNOWN)
    assert imitates(["method", key], KNOWN)


@pytest.mark.parametrize("key", ["method", "methods", "metho", "_method", "x", "", "m\u00e9thod", "met-hod"])
def test_a_known_key_and_a_key_no_parser_confuses_do_not_imitate(key):
    assert not imitates([key], KNOWN)


@pytest.mark.parametrize(
    ("keys", "collision"),
    [
        ([], False),
        (["path"], False),
        (["path", "paths"], False),
        (["path", "Path"], True),
        (["pas\u017f", "PASS"], True),
        (["\uff50ath", "path"], True),
        (["\u212aey", "key"], True),
        (["path", "path\0"], True),
        (["path\0"], True),
        (["a", "b", "c", "B"], True),
    ],
)
def test_names_that_are_one_to_a_folding_parser_collide(keys, collision):
    assert collision is collide(keys)


@UNHURRIED
@given(st.text())
def test_folding_twice_is_folding_once_for_ascii_case(key):
    assert fold(key) == fold(key.upper()) or not key.isascii()


@UNHURRIED
@given(st.sampled_from(sorted(KNOWN)), st.integers(min_value=0))
def test_every_change_of_case_of_a_known_key_imitates_it(key, bits):
    changed = "".join(c.swapcase() if bits >> at & 1 else c for at, c in enumerate(key))

    assert (changed != key) is imitates([changed], KNOWN)
