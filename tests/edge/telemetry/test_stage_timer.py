from authz.edge.telemetry.metrics import SAMPLED, Metrics
from authz.edge.telemetry.stage_timer import UNTIMED, Sampled


def test_every_mark_of_a_sampled_check_reports_its_stage_and_the_time_since_the_last():
    reported = []
    stages = Sampled(lambda stage, seconds: reported.append((stage, seconds >= 0)))
    for stage in ("parse", "token", "policy", "respond"):
        stages.mark(stage)

    assert [(stage, True) for stage in ("parse", "token", "policy", "respond")] == reported


def test_a_check_that_is_not_timed_costs_no_metric():
    UNTIMED.mark("parse")

    assert b"mcp_authz_stage_seconds_count" not in Metrics().render()


def test_stages_are_a_histogram_that_says_how_many_checks_it_stands_for():
    metrics = Metrics()
    metrics.staged("parse", 0.0002)
    text = metrics.render().decode()

    assert f"one Check in {SAMPLED}" in text
    assert 'mcp_authz_stage_seconds_bucket{le="0.0001",stage="parse"} 0.0' in text
    assert 'mcp_authz_stage_seconds_bucket{le="0.00025",stage="parse"} 1.0' in text
    assert 'mcp_authz_stage_seconds_count{stage="parse"} 1.0' in text
