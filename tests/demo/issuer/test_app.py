"""The demo's issuer as a process and in a thread: on loopback only, and gone when it ends."""

import socket
import sys

import httpx
import pytest

from authz.demo.issuer.app import IssuerServer, main
from authz.demo.ports import free_port
from authz.demo.probes import http_ready
from authz.demo.processes import Child, Supervisor
from tests.support.waiting import DEADLINE


def get(url):
    return httpx.get(url, trust_env=False, timeout=DEADLINE)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost"])
def test_it_refuses_to_serve_anything_but_loopback(host, capsys, monkeypatch):
    monkeypatch.setattr("socket.create_server", lambda *_args, **_kwargs: pytest.fail("it binds"))
    with pytest.raises(ValueError):
        IssuerServer(host=host)
    with pytest.raises(SystemExit) as left:
        main(["--host", host])

    assert 2 == left.value.code
    assert "--host" in capsys.readouterr().err


def test_a_stopped_issuer_answers_no_more():
    with IssuerServer() as issuer:
        assert get(issuer.jwks_uri).is_success
    with pytest.raises(httpx.ConnectError):
        get(issuer.jwks_uri)


def test_the_module_runs_an_issuer_of_its_own_url():
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    discovery = f"{url}.well-known/openid-configuration"
    argv = [sys.executable, "-m", "authz.demo.issuer.app", "--port", str(port)]
    with Supervisor() as supervisor:
        supervisor.start(Child(name="issuer", argv=argv, ready=http_ready(discovery)))

        assert url == get(discovery).json()["issuer"]


def test_a_port_that_is_taken_is_named_with_what_to_do(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as left:
        main(["--port", str(taken.getsockname()[1])])
    said = capsys.readouterr().err

    assert 2 == left.value.code
    assert "choose another port with --port" in said
