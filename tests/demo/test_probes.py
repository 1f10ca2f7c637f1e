import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from authz.demo.ports import free_port
from authz.demo.probes import http_ready, port_ready, socket_ready
from tests.support.waiting import DEADLINE


@pytest.mark.parametrize(("status", "ready"), [(200, True), (204, True), (404, False), (503, False)])
def test_http_is_ready_when_it_answers_with_success(status, ready):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()

        assert ready == http_ready(f"http://127.0.0.1:{server.server_port}/")()

        thread.join(DEADLINE)


def test_http_and_ports_where_nobody_listens_are_not_ready():
    port = free_port()

    assert not http_ready(f"http://127.0.0.1:{port}/")()
    assert not port_ready("127.0.0.1", port)()


def test_a_unix_socket_is_ready_while_somebody_listens_and_not_when_only_its_file_is_left(tmp_path):
    path = tmp_path / "s"
    ready = socket_ready(path)
    before = ready()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        during = ready()

    assert path.exists()
    assert [False, True, False] == [before, during, ready()]


def test_a_port_is_ready_while_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert port_ready("127.0.0.1", listening.getsockname()[1])()
