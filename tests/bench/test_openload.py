"""The generator that keeps a schedule: a slow server cannot make it look away."""

import itertools
import socket
import threading

import pytest

from bench.openload import Schedule, _Connection, generate

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
    found = generate(server.port, 4, 200.0, 0.25, [REQUEST], 0)
    assert (50, 50) == (found["calls"], server.answered)


def test_what_waited_behind_a_slow_answer_is_counted_as_slow(serving):
    connection = _Connection(serving(STALL).port)
    schedule = Schedule([connection], itertools.repeat(REQUEST), 100.0, 40)
    schedule.run(10.0)
    connection.close()
    behind = [STALL - number / 100.0 for number in range(30)]
    assert all(seen >= least - 0.001 for seen, least in zip(schedule.times[:30], behind, strict=True))
    assert schedule.late[0] <= schedule.late[1]


def test_a_server_that_does_not_answer_is_an_error_after_the_limit(serving, monkeypatch):
    monkeypatch.setattr("bench.openload._GRACE", 0.1)
    connection = _Connection(serving(None).port)
    schedule = Schedule([connection], itertools.repeat(REQUEST), 100.0, 5)
    with pytest.raises(TimeoutError, match="4 requests were still to be sent"):
        schedule.run(0.2)
    connection.close()
