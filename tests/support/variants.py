"""The demo's gateways with another Envoy in front: a file of envoy/ with the test's own addresses in it.

What a file names and this machine does not have is replaced, word by word: addresses, ports, host names, certificates.
Everything else of it is what runs. The service is started as the file expects it: on a socket, a port, or with TLS.
"""

import asyncio
import contextlib
import dataclasses
import ssl
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from authz.demo.binary import envoy_binary
from authz.demo.gateway import Gateway, Ports
from authz.demo.ports import free_port
from authz.demo.probes import http_ready, port_ready
from authz.demo.processes import Child
from authz.demo.stack import Stack
from tests.support.certificates import Authority, Pair
from tests.support.commands import command
from tests.support.rendered import found
from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_yaml, write_yaml

NAMES = (
    "orders.example.com",
    "orders.internal",
    "search.example.net",
    "mcp.example.com",
    "mcp.internal",
    "mcp-authz.internal",
    "otel-collector.internal",
)
"""Host names of the examples, all of which become this machine's."""


@dataclasses.dataclass(frozen=True)
class Security:
    """Certificates for a file with TLS, and a port that speaks TLS in front of the MCP server."""

    authority: Authority
    gateway: Pair
    service: Pair
    envoy: Pair
    upstream: int

    @property
    def files(self) -> Mapping[str, Path]:
        """Path in the example to path here."""
        pairs = {"gateway": self.gateway, "envoy": self.envoy}
        return {
            "/etc/mcp-authz/ca.crt": self.authority.cert,
            **{f"/etc/mcp-authz/{name}.crt": pair.cert for name, pair in pairs.items()},
            **{f"/etc/mcp-authz/{name}.key": pair.key for name, pair in pairs.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Gateway):
    """A gateway whose Envoy runs an example.

    Attributes:
        example: the example's text.
        grpc: the service's address; a port where the example names one.
        security: for an example with TLS.
    """

    example: str
    grpc: str
    security: Security | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'https' if self.security else 'http'}://localhost:{self.ports.envoy}/mcp"

    def service(self) -> Child:
        """Say how the service is started."""
        keys = [argument for issuer, url in self.jwks.items() for argument in ("--jwks", f"{issuer}={url}")]
        where = ["--grpc", self.grpc, "--http", f"127.0.0.1:{self.ports.http}", "--grace", f"{self.grace:g}"]
        if "shadow_mode: true" in self.example:  # there is no rewriter then, see docs/operations.md
            where += ["--rewriter", "optional"]
        return Child(
            name=self.service_name,
            argv=[sys.executable, "-m", "authz", "serve", "-c", self.policy, *where, *keys],
            env=self.environment,
            ready=http_ready(f"{self.http}/readyz"),
        )

    def envoy(self) -> Child:
        """Say how Envoy is started."""
        file = self.supervisor.logs / f"{self.name}.yaml"
        file.write_text(self.substituted(), encoding="utf-8")
        argv = [envoy_binary(), "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        return Child(name=self.envoy_name, argv=argv, ready=port_ready("127.0.0.1", self.ports.envoy))

    def substituted(self) -> str:
        """Give the example with this machine's addresses, names and files."""
        text = self.example
        files = self.security.files if self.security else {}
        for old, new in {**dict.fromkeys(NAMES, "localhost"), **files}.items():
            text = text.replace(old, str(new))
        tree = read_yaml(text)
        (listener,) = tree["static_resources"]["listeners"]
        _move(listener["address"], f"127.0.0.1:{self.ports.envoy}")
        if "admin" in tree:
            _move(tree["admin"]["address"], f"127.0.0.1:{self.ports.admin}")
        for cluster in tree["static_resources"]["clusters"]:
            (endpoint,) = found(cluster["load_assignment"], "endpoint")
            _move(endpoint["address"], self._place(cluster["name"]))
        return write_yaml(tree)

    def _place(self, cluster: str) -> str:
        """Give what stands here where a cluster of the example leads; nothing does for other people's."""
        server = (
            self.security.upstream if self.security else self.upstream.rpartition(":")[2].partition("/")[0]
        )
        places = {
            **dict.fromkeys(("authz", "rewriter", "rewriter_streams", "rewriter_lists"), self.grpc),
            "authz_http": f"127.0.0.1:{self.ports.http}",
        }
        return places.get(cluster, f"127.0.0.1:{server}" if cluster.startswith("mcp-") else "127.0.0.1:1")


def _move(address: dict, place: str) -> None:
    """Put another place into an address of the same kind; a name stays a name."""
    if "pipe" in address:
        address["pipe"]["path"] = place.removeprefix("unix:")
        return
    target = address["socket_address"]
    host, _, port = place.rpartition(":")
    target["port_value"] = int(port)
    target["address"] = "localhost" if target["address"] == "localhost" else host


def variants(stack: Stack, name: str, example: str, security: Security | None = None) -> dict[str, Variant]:
    """Describe both forms of the policy behind an example, not started.

    Args:
        stack: gives issuer, MCP server and supervisor.
        name: unique in the stack.
        example: the example's text.
        security: for an example with TLS.
    """
    return {
        form: _variant(stack, f"{name}-{form}", form, example, security)
        for form in ("native", "agentgateway")
    }


def _variant(stack: Stack, name: str, form: str, example: str, security: Security | None) -> Variant:
    plain = stack._gateway(form)
    ports = Ports(envoy=free_port(), admin=free_port(), http=free_port())
    by_socket = "/run/mcp-authz/authz.sock" in example
    grpc = f"unix:{stack.supervisor.logs}/{name}.sock" if by_socket else f"127.0.0.1:{free_port()}"
    given = {field.name: getattr(plain, field.name) for field in dataclasses.fields(Gateway)}
    policy = stack.supervisor.logs / f"{name}-policy.yaml"
    variant = Variant(
        **{**given, "name": name, "ports": ports, "policy": policy},
        example=example,
        grpc=grpc,
        security=security,
    )
    variant = dataclasses.replace(variant, environment={**plain.environment, "DEMO_RESOURCE": variant.url})
    return _with_policy(variant, plain.policy, form)


def _with_policy(variant: Variant, original: Path, form: str) -> Variant:
    text = original.read_text("utf-8")
    if variant.security is None:
        variant.policy.write_text(text, encoding="utf-8")
        return variant
    if form == "agentgateway":  # these documents have no place for the service's certificate
        text, variant = _imported(variant, original), dataclasses.replace(variant, jwks={})
    pair, ca = variant.security.service, variant.security.authority.cert
    tls = f"tls: {{cert_file: {pair.cert}, key_file: {pair.key}, client_ca_file: {ca}}}"
    section = f"listen:\n  {tls}\n"
    text = text.replace("listen:\n", section, 1) if "\nlisten:\n" in text else section + text
    variant.policy.write_text(text, encoding="utf-8")
    return variant


def _imported(variant: Variant, original: Path) -> str:
    ended = command("import", original, "--resource", variant.url, environment=dict(variant.environment))
    assert 0 == ended.status, ended.err
    (keys,) = variant.jwks.values()
    lines = [f"    jwks_uri: {keys}" if "jwks_uri" in line else line for line in ended.out.splitlines()]
    return "\n".join(line for line in lines if not line.startswith("insecure_hosts")) + "\n"


@contextlib.contextmanager
def tls_in_front(port: int, pair: Pair):
    """Speak TLS on a port of its own and pass what is said on to another in plain text; gives the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    loop, up = asyncio.new_event_loop(), threading.Event()
    where: list[int] = []

    async def run(stop: asyncio.Event) -> None:
        async def meet(reader, writer):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))

        server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
        where.append(server.sockets[0].getsockname()[1])
        up.set()
        await stop.wait()
        server.close()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(stop),))
    thread.start()
    assert up.wait(DEADLINE)
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(DEADLINE)
        _close(loop)


async def _pass(reader, writer) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _close(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


@contextlib.contextmanager
def secured(stack: Stack, folder: Path):
    """Make every certificate, and a TLS port in front of the MCP server."""
    authority = Authority(folder)
    server = int(stack.upstream.rpartition(":")[2].partition("/")[0])
    with tls_in_front(server, authority.certify("server", "localhost")) as upstream:
        yield Security(
            authority=authority,
            gateway=authority.certify("gateway", "localhost"),
            service=authority.certify("service", "localhost"),
            envoy=authority.certify("envoy"),
            upstream=upstream,
        )
