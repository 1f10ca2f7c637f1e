"""The comparison of two runs of the conformance suite."""

from tests.conformance.suite import Check, Difference, Found, differences, table


def _found(**scenarios):
    return Found(0, {name: tuple(sorted(checks)) for name, checks in scenarios.items()}, "")


PASSED, FAILED = Check("a", "A", "SUCCESS"), Check("a", "A", "FAILURE", "too late")


def test_equal_runs_have_no_difference_in_whatever_order_checks_came():
    other = Check("b", "B", "INFO")

    assert [] == differences(_found(ping=[PASSED, other]), _found(ping=[other, PASSED]))


def test_a_check_that_went_another_way_is_a_difference():
    found = differences(_found(ping=[PASSED]), _found(ping=[FAILED]))

    assert [Difference("ping", PASSED, FAILED)] == found


def test_the_same_failure_in_other_words_is_a_difference():
    reworded = Check("a", "A", "FAILURE", "too early")

    assert [Difference("ping", FAILED, reworded)] == differences(
        _found(ping=[FAILED]), _found(ping=[reworded])
    )


def test_a_check_more_or_less_is_a_difference():
    assert [Difference("ping", PASSED, None)] == differences(
        _found(ping=[PASSED, PASSED]), _found(ping=[PASSED])
    )
    assert [Difference("ping", None, PASSED)] == differences(_found(ping=[]), _found(ping=[PASSED]))


def test_a_scenario_that_only_one_run_has_is_a_difference():
    assert [Difference("ping", PASSED, None)] == differences(_found(ping=[PASSED]), _found())


def test_the_table_names_scenario_check_and_both_results():
    lines = table([Difference("ping", PASSED, FAILED), Difference("tools-list", None, PASSED)]).splitlines()

    assert ["ping", "a", "SUCCESS", "FAILURE too late"] == lines[1].split(maxsplit=3)
    assert ["tools-list", "a", "absent", "SUCCESS"] == lines[2].split()
