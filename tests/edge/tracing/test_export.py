"""The queue of spans: bounded, counted, and nobody waits for the collector."""

import threading

from authz.edge.tracing.export import UNSAMPLED_PER_SECOND, SpanQueue
from authz.edge.tracing.spans import WorkSpan
from tests.support.waiting import DEADLINE, eventually

SPAN = WorkSpan(name="work", parent=None, start=0, end=1)
OFTEN = 0.01


class Collector:
    """Takes spans, once it may, if it does."""

    where = "http://collector.example/v1/traces"

    def __init__(self, *, takes=True, waits=False):
        self.takes, self.got, self.closed = takes, [], False
        self.asked, self.may = threading.Event(), threading.Event()
        if not waits:
            self.may.set()

    def send(self, spans):
        self.asked.set()
        self.may.wait(DEADLINE)
        if isinstance(self.takes, Exception):
            raise self.takes
        self.got += spans
        return len(spans) if self.takes else 0

    def close(self):
        self.closed = True


def queue(collector, size=100, **parts):
    counts = {}

    def count(outcome, number):
        counts[outcome] = counts.get(outcome, 0) + number

    return SpanQueue(collector, size=size, count=count, interval=OFTEN, **parts), counts


def test_every_span_is_sent_and_counted_once_the_queue_is_closed():
    collector = Collector()
    spans, counts = queue(collector, size=5000)
    for _ in range(1500):
        spans.add(SPAN)
    spans.close()

    assert (1500, {"exported": 1500}, True) == (len(collector.got), counts, collector.closed)


def test_a_collector_that_takes_its_time_costs_spans_that_are_counted_and_never_a_wait():
    collector = Collector(waits=True)
    spans, counts = queue(collector, size=3)
    spans.add(SPAN)
    assert collector.asked.wait(DEADLINE)
    for _ in range(10):
        spans.add(SPAN)
    collector.may.set()
    spans.close()

    assert {"dropped": 7, "exported": 4} == counts


def test_spans_that_the_collector_refuses_are_counted_and_the_next_ones_are_sent():
    collector = Collector(takes=False)
    spans, counts = queue(collector)
    spans.add(SPAN)
    assert eventually(lambda: 1 == counts.get("failed"))
    collector.takes = ValueError("whatever a library raises")
    spans.add(SPAN)
    assert eventually(lambda: 2 == counts.get("failed"))
    collector.takes = True
    spans.add(SPAN)
    spans.close()

    assert {"failed": 2, "exported": 1} == counts


def test_a_collector_that_never_answers_does_not_keep_the_service_from_its_end():
    collector = Collector(waits=True)
    spans, _ = queue(collector)
    spans.add(SPAN)
    assert collector.asked.wait(DEADLINE)
    spans.close(0.01)

    assert collector.closed
    collector.may.set()


def test_spans_that_nobody_sampled_have_a_budget_by_the_second_and_what_is_beyond_is_counted():
    now = [0.0]
    spans, counts = queue(Collector(), size=10_000, clock=lambda: now[0])

    def admitted(asked):
        return sum(spans.admit_unsampled() for _ in range(asked))

    found = [admitted(3 * UNSAMPLED_PER_SECOND)]
    now[0] = 0.5
    found.append(admitted(3 * UNSAMPLED_PER_SECOND))
    now[0] = 60.0
    found.append(admitted(3 * UNSAMPLED_PER_SECOND))
    spans.close()

    assert [UNSAMPLED_PER_SECOND, UNSAMPLED_PER_SECOND // 2, UNSAMPLED_PER_SECOND] == found
    assert {"dropped": 9 * UNSAMPLED_PER_SECOND - sum(found)} == counts


def test_a_flood_of_denials_leaves_half_of_the_queue_to_what_was_sampled():
    collector = Collector(waits=True)
    spans, counts = queue(collector, size=10, clock=lambda: 0.0)
    spans.add(SPAN)
    assert collector.asked.wait(DEADLINE)
    for _ in range(20):
        if spans.admit_unsampled():
            spans.add(SPAN)
    assert {"dropped": 15} == counts
    for _ in range(5):
        spans.add(SPAN)
    collector.may.set()
    spans.close()

    assert {"dropped": 15, "exported": 11} == counts
