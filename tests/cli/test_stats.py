"""`stats` against a service that runs, and against what is none."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from authz.cli import stats
from authz.tools import scrape
from tests.support.commands import command, spawn
from tests.support.serving import Served, ask


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("stats"), "--grace", "0", workers=1) as served:
        assert 5 == ask(served.grpc, each=5)
        yield served


@pytest.fixture(scope="module")
def url(service):
    return f"http://{service.http}"


def test_a_running_service_is_shown_as_tables(service, url):
    ended = command("stats", "--url", url)
    policy = service.get("/readyz").json()["policy"]

    assert (0, "") == (ended.status, ended.err)
    for text in (
        f"policy              {policy}",
        "DECISIONS",
        "missing_token",
        "ISSUERS",
        "https://issuer.example/",
    ):
        assert text in ended.out


@pytest.mark.parametrize("path", ["", "/", "/metrics"])
def test_programs_get_json(url, path):
    said = json.loads(command("stats", "--url", url + path, "--json").out)

    assert [("missing_token", 5.0)] == [(row["reason"], row["count"]) for row in said["decisions"]]
    assert 5 == said["checks"][0]["count"]
    assert 0 < said["checks"][0]["p50"] <= said["checks"][0]["p99"] < 0.5
    assert None is said["seconds"]


def test_watching_shows_what_happened_in_between(service, url):
    stop = threading.Event()

    def keep_asking():
        while not stop.is_set():
            ask(service.grpc)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        ended = spawn("stats", "--url", url, "--watch", "0.5", "--count", "2", "--json")
    finally:
        stop.set()
        asking.join()
    rounds = [json.loads(line) for line in ended.out.splitlines()]

    assert (0, 2) == (ended.status, len(rounds))
    assert all(shown["decisions"] and 0.5 <= shown["seconds"] for shown in rounds)


@contextmanager
def answering(status=200, body=b"", pause=None, headers=()):
    """Serve one page to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            if pause is not None:
                pause.wait(20)
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        if pause is not None:
            pause.set()
        server.shutdown()
        server.server_close()
        thread.join()


NOT_OURS = "something answers, but not with mcp-authz's metrics"
ANSWERS = {
    "another page": ({"body": b"<html>hello</html>"}, NOT_OURS),
    "another exporter": ({"body": b"# TYPE up gauge\nup 1\n"}, NOT_OURS),
    "no text": ({"body": b"\xff\xfe\x00"}, NOT_OURS),
    "nothing": ({}, NOT_OURS),
    "an error": ({"status": 404, "body": b"CANARY"}, "answered 404"),
    "a redirect": ({"status": 302, "headers": [("location", "http://127.0.0.1:1/")]}, "answered 302"),
    "too much": ({"body": b"x" * 5000}, "is longer than 4000 bytes"),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_service_of_ours_is_told(monkeypatch, answer, expected):
    monkeypatch.setattr(scrape, "MAX_BYTES", 4000)
    with answering(**answer) as url:
        ended = command("stats", "--url", url)

    assert (2, "") == (ended.status, ended.out)
    assert expected in ended.err
    assert "CANARY" not in ended.err
    assert 1 == len(ended.err.splitlines())


def test_one_that_does_not_go_on_is_given_up(monkeypatch):
    monkeypatch.setattr(scrape, "SECONDS", 0.2)
    with answering(pause=threading.Event()) as url:
        ended = command("stats", "--url", url)

    assert (2, True) == (ended.status, "no answer within 0.2 s" in ended.err)


def test_nobody_there_is_told():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        ended = command("stats", "--url", f"http://127.0.0.1:{holder.getsockname()[1]}")

    assert (2, True) == (ended.status, "no connection (does `mcp-authz serve` run there" in ended.err)


@pytest.mark.parametrize("url", ["127.0.0.1:9002", "ftp://x/", "http://user:password@x/"])
def test_a_url_that_cannot_be_is_refused(url):
    ended = command("stats", "--url", url)

    assert 2 == ended.status
    assert ended.err.startswith("--url: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {
                "ready": False,
                "key_problems": [{"issuer": "https://i/", "url": "https://i/jwks", "cause": "status 404"}],
            },
            "https://i/  status 404  https://i/jwks",
        ),
        ({"ready": True}, ""),
        (["something else"], ""),
    ],
)
def test_a_problem_with_an_issuer_is_shown_first_with_its_url(monkeypatch, body, told):
    pages = {
        "/readyz": json.dumps(body).encode(),
        "/metrics": b"# TYPE mcp_authz_policy_info gauge\nmcp_authz_policy_info 1\n",
    }
    monkeypatch.setattr(stats, "scrape", lambda url, **_: pages[url.removeprefix("http://127.0.0.1:9002")])
    ended = command("stats")

    assert 0 == ended.status
    assert told in ended.out
    assert bool(told) is ended.out.startswith("\nPROBLEMS WITH ISSUERS\n")


def test_problems_of_the_service_itself_come_before_all_else(monkeypatch):
    body = {"ready": False, "socket_problem": "the socket /s is gone", "reload_problem": "p:1: a\np:2: b"}
    pages = {
        "/readyz": json.dumps(body).encode(),
        "/metrics": b"# TYPE mcp_authz_policy_info gauge\nmcp_authz_policy_info 1\n",
    }
    monkeypatch.setattr(stats, "scrape", lambda url, **_: pages[url.removeprefix("http://127.0.0.1:9002")])
    shown, data = command("stats"), json.loads(command("stats", "--json").out)

    assert [
        "PROBLEMS OF THE SERVICE",
        "of           problem",
        "socket       the socket /s is gone",
        "policy file  p:1: a",
        "policy file  p:2: b",
    ] == shown.out.splitlines()[1:6]
    assert [body["socket_problem"], body["reload_problem"]] == [
        data["socket_problem"],
        data["reload_problem"],
    ]


def test_rules_that_decided_nothing_are_named(url):
    ended = command("stats", "--url", url, "--unused")
    rows = json.loads(command("stats", "--url", url, "--unused", "--json").out)

    assert (0, 1) == (ended.status, len(rows))
    assert rows[0]["rule"] in ended.out
