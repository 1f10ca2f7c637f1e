from authz.tools.coverage import coverage, percent
from tests.tools.test_case_runner import ADMIN, ALL, tried


def test_coverage_counts_what_a_rule_decided_apart_from_where_it_only_came_closest(tmp_path):
    loaded, trials = tried(
        tmp_path,
        "claims: {}, tool: echo, expect: allow",
        "claims: {}, tool: list_files, expect: deny",
        f"{ADMIN}, {ALL}, visible: [echo, delete_file]",
        "claims: {}, tool: echo, headers: {x-env: prod}, expect: allow",
    )

    uses = coverage(loaded, trials)

    assert [
        ("rule-1", "allow", 3, 0),
        ("readers", "allow", 0, 2),
        ("deleters", "allow", 1, 0),
        ("no-secrets", "deny", 1, 0),
        ("canary", "deny", 1, 0),
    ] == [(use.rule, use.effect, use.decided, use.closest) for use in uses]
    assert 80.0 == percent(uses)


def test_of_no_rules_every_one_is_covered():
    assert 100.0 == percent([])
