import io
import json

import pytest
import structlog

from authz.edge.telemetry.service_log import configure


class OneWrite(io.StringIO):
    """Remembers each write."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, text):
        self.writes.append(text)
        return len(text)


@pytest.fixture
def stream():
    """The stream of a configured log; the configuration is put back afterwards."""
    before = structlog.get_config()
    stream = OneWrite()
    configure(stream)
    yield stream
    structlog.configure(**before)


def test_an_entry_is_one_json_object_with_event_level_and_a_utc_time(stream):
    structlog.get_logger("authz.test").warning("keys not fetched", issuer="https://i/", failures=2)
    (entry,) = [json.loads(text) for text in stream.writes]

    assert entry.pop("timestamp").endswith("Z")
    assert {"event": "keys not fetched", "level": "warning", "issuer": "https://i/", "failures": 2} == entry


def test_an_entry_is_written_at_once_with_its_line_end(stream):
    for event in ("one", "two\nlines"):
        structlog.get_logger("authz.test").info(event)

    assert [(1, True), (1, True)] == [(text.count("\n"), text.endswith("\n")) for text in stream.writes]
