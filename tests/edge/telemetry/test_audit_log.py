import io
import json
import threading

from authz.core.decision import Decision, Facts
from authz.core.reasons import Reason
from authz.edge.telemetry.audit_log import AuditLog

FACTS = Facts(decision_id="id-1", policy="p", at=0.0, status=401, source="")
DENIED = Decision(reason=Reason.MISSING_TOKEN, server="demo")


class Stuck(io.RawIOBase):
    """A stream whose reader does not read until it is told to."""

    def __init__(self):
        self.read = threading.Event()
        self.writing = threading.Event()
        self.written = b""

    def write(self, data):
        self.writing.set()
        self.read.wait(20)
        self.written += bytes(data)
        return len(data)


class Broken(io.RawIOBase):
    def write(self, _data):
        raise OSError


def test_every_decision_is_one_line_of_json_in_order_once_the_log_is_closed():
    stream = io.BytesIO()
    log = AuditLog(stream)
    for number in range(2500):
        log.write(Decision(reason=Reason.MISSING_TOKEN, server=f"s{number}"), FACTS, 0.0)
    log.close()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [f"s{number}" for number in range(2500)] == [line["server"] for line in lines]


def test_a_slow_reader_of_the_log_costs_records_that_are_counted_and_never_a_wait():
    stream, dropped = Stuck(), []
    log = AuditLog(stream, size=3)
    log.on_drop = lambda: dropped.append(1)
    log.write(DENIED, FACTS, 0.0)
    assert stream.writing.wait(20)

    for _ in range(10):
        log.write(DENIED, FACTS, 0.0)
    stream.read.set()
    log.close()

    assert (7, 1 + 3) == (len(dropped), len(stream.written.splitlines()))


def test_a_stream_that_takes_nothing_does_not_keep_the_log_open():
    stream = Stuck()
    log = AuditLog(stream)
    log.write(DENIED, FACTS, 0.0)
    assert stream.writing.wait(20)
    log.close(0.01)

    assert b"" == stream.written
    stream.read.set()
    log.close()
    assert 1 == len(stream.written.splitlines())


def test_a_stream_that_cannot_be_written_to_costs_records_that_are_counted_and_not_the_thread():
    dropped = []
    log = AuditLog(Broken())
    log.on_drop = lambda: dropped.append(1)
    log.write(DENIED, FACTS, 0.0)
    log.close()

    assert [1] == dropped


def test_a_stream_that_takes_a_part_at_a_time_gets_every_byte_in_order():
    class Slow(io.RawIOBase):
        written = b""

        def write(self, data):
            self.written += bytes(data[:7])
            return min(7, len(data))

    stream = Slow()
    log = AuditLog(stream)
    for number in range(3):
        log.write(Decision(reason=Reason.MISSING_TOKEN, server=f"s{number}"), FACTS, 0.0)
    log.close()

    assert ["s0", "s1", "s2"] == [json.loads(line)["server"] for line in stream.written.splitlines()]
