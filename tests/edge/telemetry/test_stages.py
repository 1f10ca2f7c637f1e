from authz.edge.telemetry.counters import SAMPLED, StageSampler, no_mark
from authz.edge.telemetry.metrics import Metrics


def test_every_mark_of_a_sampled_check_reports_its_stage_and_the_time_since_the_last():
    reported = []
    mark = StageSampler(lambda stage, seconds: reported.append((stage, seconds >= 0))).begin()
    for stage in ("parse", "token", "policy", "respond"):
        mark(stage)

    assert [(stage, True) for stage in ("parse", "token", "policy", "respond")] == reported


def test_one_check_in_so_many_is_timed_the_first_among_them():
    sampler = StageSampler(lambda stage, seconds: None)
    timed = [sampler.begin() is not no_mark for _ in range(2 * SAMPLED)]

    assert [0, SAMPLED] == [number for number, sampled in enumerate(timed) if sampled]


def test_a_check_that_is_not_timed_costs_no_metric():
    no_mark("parse")

    assert b"mcp_authz_stage_seconds_count" not in Metrics().render()


def test_stages_are_a_histogram_that_says_how_many_checks_it_stands_for():
    metrics = Metrics()
    metrics.staged("parse", 0.0002)
    text = metrics.render().decode()

    assert f"one Check in {SAMPLED}" in text
    assert 'mcp_authz_stage_seconds_bucket{le="0.0001",stage="parse"} 0.0' in text
    assert 'mcp_authz_stage_seconds_bucket{le="0.00025",stage="parse"} 1.0' in text
    assert 'mcp_authz_stage_seconds_count{stage="parse"} 1.0' in text
