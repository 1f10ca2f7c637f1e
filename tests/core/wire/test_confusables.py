"""Keys that some parser would take for a known key are told apart from keys that no parser would."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.wire.confusables import Budget, OverBudgetError, collide, fold, imitates, misleads

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


@pytest.mark.parametrize("name", ["__proto__", "constructor", "prototype"])
def test_a_key_that_stands_for_others_in_javascript_misleads_though_it_looks_like_none(name):
    assert misleads(["method", name], KNOWN)
    assert not imitates(["method", name], KNOWN)


@pytest.mark.parametrize(
    ("keys", "misled"),
    [
        ([], False),
        (["method", "uri"], False),
        (["method", "vendor"], False),
        (["vendor"], False),
        (["Method"], True),
        (["method", "Uri", "vendor"], True),
        (["\uff55ri", "vendor"], True),
    ],
)
def test_keys_mislead_where_one_imitates(keys, misled):
    assert misled is misleads(keys, KNOWN)
    assert misled is imitates(keys, KNOWN)


@pytest.mark.parametrize(
    ("keys", "suspect"),
    [
        (["é" * 128], False),
        (["é" * 129], True),
        (["é" + "a" * 128], True),
        (["é", "a" * 129], False),
        (["a" * 500], False),
        (["é" * 128, "b"], False),
        (["é" * 128, "a" * 129], False),
        (["a", "é" * 129], True),
    ],
)
def test_a_key_beyond_ascii_that_is_too_long_to_normalise_is_taken_for_an_imitation(keys, suspect):
    assert suspect is imitates(keys, KNOWN)
    assert suspect is collide(keys)
    assert suspect is misleads(keys, KNOWN, Budget(nodes=0, characters=1000))


def test_keys_are_told_apart_with_a_budget_as_without():
    for keys in (["Method", "é"], ["met\u0068od", "é"], ["é", "É"], ["a", "é", "b"], ["\u212aey", "key"]):
        assert imitates(keys, KNOWN) is imitates(keys, KNOWN, Budget(nodes=0, characters=100))
        assert collide(keys) is collide(keys, Budget(nodes=0, characters=100))


def test_only_keys_beyond_ascii_are_paid_for_and_each_once():
    budget = Budget(nodes=0, characters=5)
    assert not imitates(["a" * 100, "ééé"], KNOWN, budget)
    assert 2 == budget.characters
    assert not imitates(["ééé", "éü"], KNOWN, budget)
    assert 0 == budget.characters
    assert not imitates(["ééé", "éü"], KNOWN, budget)
    with pytest.raises(OverBudgetError):
        imitates(["ñ"], KNOWN, budget)


def test_known_keys_are_not_paid_for():
    assert not imitates(["café", "x"], KNOWN | {"café"}, Budget(nodes=0, characters=0))
    assert not misleads(["café"], KNOWN | {"café"}, Budget(nodes=0, characters=0))


def test_a_walk_is_paid_for_before_it_is_made_and_not_beyond_what_is_left():
    budget = Budget(nodes=5, characters=0)
    budget.visit(3)
    budget.visit(2)
    budget.visit(0)
    with pytest.raises(OverBudgetError):
        budget.visit(1)
    with pytest.raises(OverBudgetError):
        Budget(nodes=5, characters=0).visit(6)


def test_what_was_folded_is_folded_the_same_from_memory():
    budget = Budget(nodes=0, characters=10)

    assert ("é", "é") == (budget.fold("É"), budget.fold("É"))
    assert {"É": "é"} == budget.folded
    assert 9 == budget.characters
