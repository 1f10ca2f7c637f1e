"""The gateway's pod, its containers started here with the arguments and files that the manifests give them.

Only places differ: paths below a directory of the test, ports, the issuer, and where the MCP server is.
"""

import re
import signal
import sys
from base64 import b64decode

import httpx
import pytest

from authz.demo.issuer.app import AUDIENCE
from authz.demo.ports import free_port
from authz.demo.probes import http_ready, port_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from authz.demo.stack import Stack
from tests.support.manifests import built, container, named
from tests.support.real_envoy import envoy_binary
from tests.support.running import EVERYTHING
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, message

FORMS = {"base": "native", "overlays/auth0": "agentgateway"}


@pytest.fixture(scope="module")
def demo():
    """Issuer and MCP server, started as the manifests start the latter."""
    arguments = container(built("overlays/auth0"), "mcp-server", "mcp-server")["args"]
    name = arguments[arguments.index("--expose") + 1]
    with Stack(forms=(), mcp_arguments=("--expose", name)) as stack:
        yield stack


class Pod:
    """One set of manifests and where its things are on this machine."""

    def __init__(self, name, demo, directory):
        self.objects, self.demo, self.directory = built(name), demo, directory
        self.port, self.http, self.stats = free_port(), free_port(), free_port()
        issuer = demo.issuer.removeprefix("http://").rstrip("/")
        self.environment = {"AUTH0_DOMAIN": issuer, "API_IDENTIFIER": AUDIENCE}
        if any("jwks=" in one for one in container(self.objects, "mcp-gateway", "mcp-authz")["args"]):
            assert set(self.environment) == set(named(self.objects, "ConfigMap", "mcp-auth0")["data"])
        for volume in ("socket", "policy", "envoy", "admin"):
            (directory / volume).mkdir()
        policy = named(self.objects, "ConfigMap", "mcp-policy")["data"]["policy.yaml"]
        policy = policy.replace("https://YOUR_TENANT.us.auth0.com/", demo.issuer).replace(
            "https://mcp-oauth-demo", AUDIENCE
        )
        (directory / "policy/policy.yaml").write_text(policy, encoding="utf-8")
        key = named(self.objects, "Secret", "mcp-session-key")["data"]["session.key"]
        (directory / "policy/session.key").write_bytes(b64decode(key))
        envoy = named(self.objects, "ConfigMap", "mcp-envoy")["data"]["envoy.yaml"]
        (directory / "envoy/envoy.yaml").write_text(self._placed(envoy), encoding="utf-8")

    def _placed(self, text):
        server = self.demo.upstream.split(":")[2].split("/")[0]
        moves = {
            "address: 0.0.0.0, port_value: 10000": f"address: 127.0.0.1, port_value: {self.port}",
            "address: mcp-server, port_value: 8080": f"address: 127.0.0.1, port_value: {server}",
            "port_value: 9002": f"port_value: {self.http}",
            "address: 0.0.0.0, port_value: 9003": f"address: 127.0.0.1, port_value: {self.stats}",
            "/run/envoy": str(self.directory / "admin"),
            "0.0.0.0:9002": f"127.0.0.1:{self.http}",
            "/run/mcp-authz": str(self.directory / "socket"),
            "/etc/mcp-authz/policy": str(self.directory / "policy"),
            "/etc/envoy": str(self.directory / "envoy"),
        }
        for old, new in moves.items():
            text = text.replace(old, new)
        return text

    def service(self):
        """The service's container."""
        arguments = [self._placed(one) for one in container(self.objects, "mcp-gateway", "mcp-authz")["args"]]
        arguments = [
            re.sub(r"\$\((\w+)\)", lambda found: self.environment[found[1]], one) for one in arguments
        ]
        arguments = [
            one.replace("/=https://", "/=http://") for one in arguments
        ]  # the issuer has no certificate
        up, ready = (
            socket_ready(self.directory / "socket/authz.sock"),
            http_ready(f"http://127.0.0.1:{self.http}/readyz"),
        )
        return Child(
            name="mcp-authz",
            argv=[sys.executable, "-m", "authz", *arguments],
            env=self.environment,
            ready=lambda: up() and ready(),
        )

    def envoy(self):
        """Envoy's container."""
        arguments = [self._placed(one) for one in container(self.objects, "mcp-gateway", "envoy")["args"]]
        return Child(
            name="envoy", argv=[envoy_binary(), *arguments], ready=port_ready("127.0.0.1", self.port)
        )

    def probe(self, name, kind):
        """Ask a probe, as the kubelet does; true when it holds."""
        probe = container(self.objects, "mcp-gateway", name)[kind]
        ports = {"metrics": self.http, "http": self.port}
        if "tcpSocket" in probe:
            return port_ready("127.0.0.1", ports[probe["tcpSocket"]["port"]])()
        asked = probe["httpGet"]
        return http_ready(f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}")()


@pytest.fixture(scope="module", params=FORMS)
def pod(request, demo, tmp_path_factory):
    one = Pod(request.param, demo, tmp_path_factory.mktemp("pod"))
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    assert not any(one.probe(name, kind) for name in ("mcp-authz", "envoy") for kind in kinds)
    with Supervisor() as supervisor:
        supervisor.start(one.service())
        supervisor.start(one.envoy())
        yield one


def token(pod, **fields):
    form = "native" if pod.objects is built("base") else "agentgateway"
    return pod.demo.token(form, **fields)


HOST = {"host": "mcp.example.com"}


@pytest.mark.parametrize("kind", ["startupProbe", "livenessProbe", "readinessProbe"])
@pytest.mark.parametrize("name", ["mcp-authz", "envoy"])
def test_each_probe_holds_once_the_pod_is_up(pod, name, kind):
    assert pod.probe(name, kind)


def test_three_of_five_tools_are_listed_and_five_for_an_admin(pod):
    user, admin = token(pod, scope="files:read files:delete"), token(pod, **EVERYTHING)

    assert ["echo", "get_user_info", "list_files"] == ask(
        pod.port, user, message("tools/list"), change=HOST
    ).tools
    assert 5 == len(ask(pod.port, admin, message("tools/list"), change=HOST).tools)


def test_calls_are_decided_alike(pod):
    user = token(pod, scope="files:read")

    assert 200 == ask(pod.port, user, call("list_files", path="/"), change=HOST).status
    assert "no_rule" == ask(pod.port, user, call("system_status"), change=HOST).reason
    assert 401 == ask(pod.port, None, call(), change=HOST).status


def test_of_the_admin_interface_only_the_statistics_are_reached(pod):
    def asked(path):
        return httpx.get(f"http://127.0.0.1:{pod.stats}{path}", timeout=DEADLINE, trust_env=False)

    assert "envoy_http_ext_authz_ok{" in asked("/stats/prometheus").text
    closed = (
        "/",
        "/stats",
        "/config_dump",
        "/quitquitquit",
        "/stats/prometheus/",
        "/stats/prometheus%2f..%2f",
    )
    assert {404} == {asked(path).status_code for path in closed}


def test_a_container_that_is_killed_comes_back_on_the_same_socket(demo, tmp_path):
    """The socket's directory outlives the container."""
    pod = Pod("base", demo, tmp_path)
    with Supervisor() as supervisor:
        supervisor.start(pod.service())
        supervisor.send("mcp-authz", signal.SIGKILL)
        assert eventually(lambda: not supervisor.running("mcp-authz"))
        assert (tmp_path / "socket/authz.sock").exists()
        supervisor.restart("mcp-authz")
        supervisor.start(pod.envoy())

        assert 200 == ask(pod.port, token(pod), call(), change=HOST).status
