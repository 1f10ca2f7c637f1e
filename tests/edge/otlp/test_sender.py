"""Requests to a collector over real HTTP: what is asked again, what is final, and what an answer says."""

import threading

import pytest

from authz.demo.ports import free_port
from authz.edge.otlp.sender import OtlpAwayError, OtlpError, OtlpSender
from authz.edge.otlp.variables import Signal
from authz.proto import otlp_pb2
from tests.support.otlp import otlp_endpoint
from tests.support.waiting import DEADLINE, eventually

REQUEST = otlp_pb2.TraceRequest(resource_spans=[otlp_pb2.ResourceSpans()]).SerializeToString()


@pytest.fixture
def collector():
    with otlp_endpoint() as kept:
        yield kept


@pytest.fixture
def sender(collector):
    made = []

    def make(url="", **variables):
        environment = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
        made.append(OtlpSender(url or f"{collector.url}/v1/traces", Signal.TRACES, environment))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_request_arrives_as_it_was_with_the_headers_of_the_variables(collector, sender):
    assert 0 == sender(HEADERS="api-key=k").send(REQUEST)

    assert [REQUEST] == collector.raw
    (headers,) = collector.headers
    assert ("k", "application/x-protobuf") == (headers["api-key"], headers["content-type"])


def test_it_is_compressed_if_the_variables_say_so(collector, sender):
    sender(COMPRESSION="gzip").send(REQUEST)

    assert ([REQUEST], "gzip") == (collector.raw, collector.headers[0]["content-encoding"])


def test_records_that_a_collector_rejects_are_told(collector, sender):
    collector.answer = otlp_pb2.Answer(partial_success=otlp_pb2.Rejected(count=3)).SerializeToString()

    assert 3 == sender().send(REQUEST)


@pytest.mark.parametrize("answer", [b"\xff\xff\xff", b"a" * 70_000, b'{"partialSuccess":{}}'])
def test_an_answer_that_says_nothing_of_use_rejects_nothing(collector, sender, answer):
    collector.answer = answer

    assert 0 == sender().send(REQUEST)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_a_final_status_is_not_asked_again(collector, sender, status):
    collector.status = status
    with pytest.raises(OtlpError, match=f"status {status}") as caught:
        sender().send(REQUEST)

    assert not isinstance(caught.value, OtlpAwayError)
    assert 1 == len(collector.headers)


def test_a_collector_that_is_overloaded_is_asked_again_when_it_says(collector, sender):
    collector.status = 503
    asking = sender()
    thread = threading.Thread(target=asking.send, args=(REQUEST,))
    thread.start()
    assert eventually(lambda: 2 <= len(collector.headers))
    collector.status = 200
    thread.join(DEADLINE)

    assert [REQUEST] == collector.raw


def test_one_that_stays_away_is_given_up_after_the_time_of_the_variables(sender):
    with pytest.raises(OtlpAwayError, match="ConnectError"):
        sender(f"http://127.0.0.1:{free_port()}/v1/traces", TIMEOUT="50").send(REQUEST)


def test_one_that_does_not_answer_is_given_up_after_the_time_of_the_variables(collector, sender):
    collector.held.clear()
    with pytest.raises(OtlpAwayError, match="ReadTimeout"):
        sender(TIMEOUT="50").send(REQUEST)


def test_a_sender_that_is_closed_asks_nobody_again(collector, sender):
    collector.status = 429
    asking, problems = sender(TIMEOUT="600000"), []

    def send():
        try:
            asking.send(REQUEST)
        except OtlpAwayError as error:
            problems.append(str(error))

    thread = threading.Thread(target=send)
    thread.start()
    assert eventually(lambda: collector.headers)
    asking.close()
    thread.join(DEADLINE)

    assert (1, 1) == (len(problems), len(collector.headers))


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_certificate_that_is_not_there_is_an_error_of_the_start(sender, tmp_path, name):
    with pytest.raises(OSError):
        sender(**{name: str(tmp_path / "none.pem")})


def test_a_collector_that_says_at_once_is_not_asked_in_a_loop(collector, sender):
    collector.status = 503  # with `retry-after: 0`
    with pytest.raises(OtlpAwayError):
        sender(TIMEOUT="500").send(REQUEST)

    assert len(collector.headers) <= 3
