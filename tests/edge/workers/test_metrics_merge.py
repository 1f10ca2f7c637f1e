import pytest
from prometheus_client import CollectorRegistry, generate_latest

from authz.core.decision import Decision
from authz.core.reasons import Reason
from authz.edge.jwks.problem import IntrospectionFigures
from authz.edge.telemetry.metrics import KeyGauges, Metrics
from authz.edge.telemetry.service_gauges import IntrospectionGauges, ServiceGauges
from authz.edge.workers.metrics_merge import merge, summed
from tests.support.policy_files import NATIVE, settings

HASH = "mcp_authz_policy_info"


class Collected:
    def __init__(self, metrics):
        self.metrics = metrics

    def collect(self):
        return self.metrics


def worker(*, denials=0, seconds=0.0002, digest="a", keys=(1, 5.0), server="demo"):
    """Return the metrics of a worker that has decided some."""
    metrics = Metrics(KeyGauges(lambda: [("https://i/", *keys)]))
    metrics.policy(digest, {})
    for _ in range(denials):
        metrics.decided(Decision(reason=Reason.MISSING_TOKEN, server=server), seconds)
    return list(metrics.registry.collect())


def shown(*sources):
    """Return what Prometheus would read: sample with labels to value."""
    text = generate_latest(Collected(merge(sources))).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def decisions(samples):
    return sum(value for name, value in samples.items() if name.startswith("mcp_authz_decisions_total"))


def test_questions_about_tokens_of_all_workers_are_added_up():
    one, other = (
        IntrospectionFigures(issuer="https://i/", under_way=n, waiting=0, active=2, inactive=n)
        for n in (1, 4)
    )
    sources = [Metrics(introspection=IntrospectionGauges(lambda each=each: [each])) for each in (one, other)]
    found = shown(*(metrics.registry.collect() for metrics in sources))

    assert 5 == found['mcp_authz_introspection_questions{issuer="https://i/",state="under_way"}']
    assert 4 == found['mcp_authz_introspection_remembered{issuer="https://i/",state="active"}']


def test_one_worker_alone_is_shown_as_it_is():
    metrics = Metrics(KeyGauges(lambda: [("https://i/", 2, float("inf"))]))
    metrics.policy("a", {})
    metrics.decided(Decision(reason=Reason.MISSING_TOKEN, server="demo"), 0.0002)
    registry = CollectorRegistry()
    registry.register(Collected(merge([metrics.registry.collect()])))

    assert generate_latest(metrics.registry) == generate_latest(registry)


def test_counters_add_up_label_set_by_label_set():
    samples = shown(worker(denials=2), worker(denials=3), worker(denials=1, server="other"))

    assert 6 == decisions(samples)
    assert 5 == next(value for name, value in samples.items() if 'server="demo"' in name and "_total" in name)


@pytest.mark.parametrize(("bound", "expected"), [("0.0001", 0), ("0.00025", 2), ("0.005", 5), ("+Inf", 5)])
def test_histograms_add_up_bucket_by_bucket(bound, expected):
    samples = shown(worker(denials=2), worker(denials=3, seconds=0.004))

    assert expected == samples[f'mcp_authz_check_seconds_bucket{{le="{bound}",server="demo"}}']
    assert 5 == samples['mcp_authz_check_seconds_count{server="demo"}']
    assert pytest.approx(2 * 0.0002 + 3 * 0.004) == samples['mcp_authz_check_seconds_sum{server="demo"}']


def test_the_worst_of_a_gauge_is_shown():
    samples = shown(worker(keys=(2, 5.0)), worker(keys=(0, float("inf"))), worker(keys=(3, 1.0)))

    assert 0 == samples['mcp_authz_jwks_keys{issuer="https://i/"}']
    assert float("inf") == samples['mcp_authz_jwks_age_seconds{issuer="https://i/"}']


def test_workers_that_disagree_about_the_policy_show_it():
    samples = shown(worker(digest="a"), worker(digest="b"), worker(digest="a"))

    assert {f'{HASH}{{hash="a"}}': 1, f'{HASH}{{hash="b"}}': 1} == {
        name: value for name, value in samples.items() if name.startswith(HASH)
    }


def test_what_an_ended_worker_counted_stays_and_how_it_was_does_not():
    retired = merge([summed(worker(denials=2, digest="old")), summed(worker(denials=3))])
    samples = shown(worker(denials=1), retired)

    assert 6 == decisions(samples)
    assert [f'{HASH}{{hash="a"}}'] == [name for name in samples if name.startswith(HASH)]


def test_what_each_worker_holds_adds_up():
    gauges = [ServiceGauges(lambda: settings(NATIVE), lambda held=held: [("files", held)]) for held in (2, 3)]
    samples = shown(*(list(each.collect()) for each in gauges))
    one = shown(list(gauges[0].collect()))

    assert 5 == samples['mcp_authz_streams_open{server="files"}']
    assert samples["process_resident_memory_bytes"] > 1.5 * one["process_resident_memory_bytes"]
    assert one["process_max_fds"] == samples["process_max_fds"]
