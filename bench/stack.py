"""The processes of a run: the bare handler, the service, further peers, and one Envoy in front of all of them."""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from authz.config.load import load
from authz.demo.binary import envoy_binary
from authz.demo.ports import free_port
from authz.demo.probes import Probe, http_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from bench.gateway import ALONE, Backend, configuration
from bench.workload import POPULATIONS, Mint, population, to_file

POLICY = Path(__file__).with_name("policy.yaml")
ENVOY = "envoy"
SERVICE = "authz"
_TICKS = os.sysconf("SC_CLK_TCK")


class _Processes(Supervisor):
    """A supervisor that tells process ids."""

    def pid(self, name: str) -> int:
        """Give a running child's process id."""
        return self._running[name].pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What is running.

    Attributes:
        processes: the children by name: `envoy` and every backend but `alone`.
        backends: by name.
        admin: URL of Envoy's admin interface.
        requests: the populations.
        sent: how many requests of a population were sent, so that the next load goes on where the last one ended.
    """

    processes: _Processes
    backends: Mapping[str, Backend]
    admin: str
    requests: Mapping[str, list[bytes]] = field(repr=False)
    sent: dict[str, int] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Give the file that holds a population."""
        return self.processes.logs / f"{name}.requests"

    def cpu(self, name: str) -> float:
        """Give the CPU seconds, user and system, that a child and its threads have used; 0 for `alone`."""
        if name == ALONE:
            return 0.0
        line = Path(f"/proc/{self.processes.pid(name)}/stat").read_text("ascii")
        fields = line.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def counters(self, backend: str) -> dict[str, int]:
        """Give Envoy's counters for a backend: `ok` and `denied` by ext_authz; for `alone` answers with 2xx as `ok`."""
        names = {
            "ok": f"http.{backend}.ext_authz.{backend}.ok",
            "denied": f"http.{backend}.ext_authz.{backend}.denied",
        }
        if backend == ALONE:
            names = {"ok": f"http.{ALONE}.downstream_rq_2xx"}
        lines = _get(f"{self.admin}/stats?usedonly").splitlines()
        values = dict(line.rsplit(": ", 1) for line in lines if line.startswith("http."))
        return {key: int(values.get(name, 0)) for key, name in names.items()}

    def lookups(self) -> dict[str, int]:
        """Give how the service's token look-ups ended, by outcome."""
        text = _get(f"http://{self.backends[SERVICE].http}/metrics")
        return {
            sample.labels["outcome"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "mcp_authz_token_cache_total"
        }


def _get(url: str) -> str:
    response = httpx.get(url, timeout=10.0, trust_env=False)
    response.raise_for_status()
    return response.text


@contextlib.contextmanager
def running(peers: Mapping[str, str], *, envoy: bool = True) -> Iterator[Stack]:
    """Start everything, and end it on the way out.

    Args:
        peers: name to command of further ext_authz servers; `{socket}` in it is the path they must listen on, and
            they must answer gRPC health checks there.
        envoy: whether Envoy is started.

    Raises:
        StartFailed: something did not come up.
    """
    mint = Mint()
    with _Processes() as processes:
        stack = Stack(
            processes=processes,
            backends=_backends((ALONE, "bare", SERVICE, *peers), processes.logs),
            admin=f"http://127.0.0.1:{free_port()}",
            requests={name: population(name, mint) for name in POPULATIONS},
        )
        for name, requests in stack.requests.items():
            stack.file(name).write_bytes(to_file(requests))
        environment = {"BENCH_JWKS": _start_issuer(processes, mint)}
        for child in _children(stack.backends, peers, environment):
            processes.start(child)
        if envoy:
            processes.start(_envoy(stack, environment))
        yield stack


def _backends(names: tuple[str, ...], directory: Path) -> dict[str, Backend]:
    return {
        name: Backend(
            name=name,
            port=free_port(),
            service=f"unix:{directory / name}.sock",
            http=f"127.0.0.1:{free_port()}",
        )
        for name in names
    }


def _start_issuer(processes: _Processes, mint: Mint) -> str:
    """Serve the key set as a file; give its URL."""
    public = processes.logs / "public"
    public.mkdir()
    (public / "jwks.json").write_bytes(mint.jwks())
    port = free_port()
    url = f"http://127.0.0.1:{port}/jwks.json"
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(public)]
    processes.start(Child(name="issuer", argv=argv, ready=http_ready(url)))
    return url


def _children(
    backends: Mapping[str, Backend], peers: Mapping[str, str], environment: Mapping[str, str]
) -> Iterator[Child]:
    bare, service = backends["bare"], backends[SERVICE]
    python = [sys.executable, "-m"]
    yield Child(name="bare", argv=[*python, "bench.bare", bare.service], ready=_up(bare))
    serve = ["serve", "-c", str(POLICY), "--grpc", service.service, "--http", service.http]
    ready = http_ready(f"http://{service.http}/readyz")
    yield Child(name=SERVICE, argv=[*python, "authz", *serve], env=environment, ready=ready)
    for name, command in peers.items():
        backend = backends[name]
        argv = shlex.split(command.replace("{socket}", backend.service.removeprefix("unix:")))
        yield Child(name=name, argv=argv, ready=_up(backend))


def _up(backend: Backend) -> Probe:
    return socket_ready(Path(backend.service.removeprefix("unix:")))


def _envoy(stack: Stack, environment: Mapping[str, str]) -> Child:
    settings = load(str(POLICY), environment=environment)
    admin = stack.admin.removeprefix("http://")
    file = stack.processes.logs / "envoy.yaml"
    file.write_text(configuration(settings, stack.backends.values(), admin), encoding="utf-8")
    flags = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    return Child(
        name=ENVOY, argv=[envoy_binary(), "-c", file, *flags], ready=http_ready(f"{stack.admin}/ready")
    )
