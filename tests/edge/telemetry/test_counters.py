import pytest

from authz.edge.telemetry.counters import Counters, DurationHistogram

BUCKETS = (0.001, 0.01)


def samples(collector):
    """Return (name, labels) to value of every sample."""
    return {
        (sample.name, *sample.labels.items()): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


def bucket(bound, **labels):
    return ("seconds_bucket", *labels.items(), ("le", bound))


def test_a_counter_that_was_never_added_to_has_no_sample():
    assert {} == samples(Counters("things", "Things.", ("kind",)))


def test_each_label_set_is_counted_apart():
    counter = Counters("things", "Things.", ("kind", "outcome"))
    counter.add(("a", "ok"))
    counter.add(("a", "ok"), 4)
    counter.add(("a", "failed"))

    assert {
        ("things_total", ("kind", "a"), ("outcome", "ok")): 5,
        ("things_total", ("kind", "a"), ("outcome", "failed")): 1,
    } == samples(counter)


def test_a_counter_without_labels_can_be_shown_before_anything_happened():
    counter = Counters("restarts", "Restarts.", ())
    counter.add((), 0)

    assert {("restarts_total",): 0} == samples(counter)


def test_what_was_collected_does_not_change_with_what_is_added_later():
    counter = Counters("things", "Things.", ("kind",))
    counter.add(("a",))
    (before,) = counter.collect()
    counter.add(("a",))

    assert [1] == [sample.value for sample in before.samples]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, (1, 1, 1)),
        (0.001, (1, 1, 1)),
        (0.0011, (0, 1, 1)),
        (0.01, (0, 1, 1)),
        (0.5, (0, 0, 1)),
    ],
)
def test_a_duration_counts_in_every_bucket_that_is_not_below_it(seconds, expected):
    histogram = DurationHistogram("seconds", "Time.", ("server",), BUCKETS)
    histogram.add(("demo",), seconds)
    found = samples(histogram)

    assert expected == tuple(found[bucket(bound, server="demo")] for bound in ("0.001", "0.01", "+Inf"))
    assert (1, seconds) == tuple(found[name, ("server", "demo")] for name in ("seconds_count", "seconds_sum"))


def test_each_label_set_has_a_histogram_of_its_own():
    histogram = DurationHistogram("seconds", "Time.", ("server",), BUCKETS)
    for server, seconds in (("a", 0.002), ("b", 0.5), ("a", 0.003)):
        histogram.add((server,), seconds)
    found = samples(histogram)

    assert (2, 1) == tuple(found["seconds_count", ("server", server)] for server in ("a", "b"))
    assert pytest.approx(0.005) == found["seconds_sum", ("server", "a")]
    assert (2, 0) == tuple(found[bucket("0.01", server=server)] for server in ("a", "b"))
