"""The generator that keeps a schedule: a slow server does not slow it down."""

import itertools
import socket
import threading
from functools import partial

import pytest

from bench.client import HttpConnection
from bench.load import at_rate

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
STALL = 0.3


class Server:
    """Answers every request of every connection; the very first after `stall` seconds, or never when that is None."""

    def __init__(self, stall):
        self._stall = stall
        self._first = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.answered = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            while connection.recv(65_536):
                if self._stall is None:
                    continue
                if next(self._first) == 0:
                    threading.Event().wait(self._stall)
                self.answered += 1
                connection.sendall(ANSWER)

    def close(self):
        self._listener.close()


@pytest.fixture
def serving():
    servers = []

    def start(stall):
        servers.append(Server(stall))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_every_request_of_the_schedule_is_sent_and_counted(serving):
    server = serving(0.0)
    found = at_rate(server.port, 200.0, 0.25, [REQUEST], 0)
    assert (50, 50) == (found.calls, server.answered)
    assert found.late_ms >= 0


def test_what_waited_behind_a_slow_answer_is_counted_as_slow(serving, monkeypatch):
    monkeypatch.setattr("bench.load.OPEN_CONNECTIONS", 1)
    found = at_rate(serving(STALL).port, 100.0, 0.4, [REQUEST], 0)
    assert 40 == found.calls
    tenth = STALL - 20 / 100.0  # of forty requests, due every 10 ms, the first twenty waited at least so long
    assert found.p50_ms >= tenth * 1e3
    assert found.p999_ms >= STALL * 1e3
    assert found.late_ms >= (STALL - 0.02) * 1e3


def test_a_server_that_does_not_answer_is_an_error(serving, monkeypatch):
    monkeypatch.setattr("bench.load.OPEN_CONNECTIONS", 1)
    monkeypatch.setattr("bench.load.HttpConnection", partial(HttpConnection, timeout=0.1))
    with pytest.raises(TimeoutError):
        at_rate(serving(None).port, 100.0, 0.05, [REQUEST], 0)
