"""The processes of a run: the bare handlers, the service, further peers, and one Envoy in front of all of them."""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from authz.config.load import load
from authz.demo.binary import envoy_binary
from authz.demo.ports import free_port
from authz.demo.probes import Probe, http_ready, port_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from bench.gateway import ALONE, Around, Backend, configuration
from bench.native import NATIVE
from bench.workload import IN_ENVOY, POPULATIONS, Mint, population, to_file

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
        processes: the children by name: `envoy` and every backend but `alone` and `native`.
        mint: the issuer whose tokens the backends accept.
        backends: by name.
        admin: URL of Envoy's admin interface.
        requests: the populations.
        sent: how many requests of a population were sent, so that the next load goes on where the last one ended.
    """

    processes: _Processes
    mint: Mint = field(repr=False)
    backends: Mapping[str, Backend]
    admin: str
    requests: Mapping[str, list[bytes]] = field(repr=False)
    sent: dict[str, int] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Give the file that holds a population."""
        return self.processes.logs / f"{name}.requests"

    def cpu(self, name: str) -> float:
        """Give the CPU seconds, user and system, that a child and its threads have used; 0 where it is no process."""
        if name in IN_ENVOY:
            return 0.0
        line = Path(f"/proc/{self.processes.pid(name)}/stat").read_text("ascii")
        fields = line.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def counters(self, backend: str) -> dict[str, int]:
        """Give Envoy's counters for a backend: `ok` and `denied` by ext_authz, and by status where it is not asked."""
        names = {
            "ok": f"http.{backend}.ext_authz.{backend}.ok",
            "denied": f"http.{backend}.ext_authz.{backend}.denied",
        }
        if backend in IN_ENVOY:
            names = {"ok": f"http.{backend}.downstream_rq_2xx", "denied": f"http.{backend}.downstream_rq_4xx"}
        lines = _get(f"{self.admin}/stats?usedonly").splitlines()
        values = dict(line.rsplit(": ", 1) for line in lines if line.startswith("http."))
        return {key: int(values.get(name, 0)) for key, name in names.items()}

    def status(self, name: str) -> dict[str, int]:
        """Give the memory of a child in KiB: `VmRSS` now, `VmHWM` the most since `forget_peak`."""
        lines = Path(f"/proc/{self.processes.pid(name)}/status").read_text("ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {key: int(fields[key].split()[0]) for key in ("VmRSS", "VmHWM")}

    def forget_peak(self, name: str) -> None:
        """Let the peak of a child's memory begin anew."""
        Path(f"/proc/{self.processes.pid(name)}/clear_refs").write_text("5", "ascii")

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
def running(
    peers: Mapping[str, str],
    *,
    envoy: bool = True,
    policy: Path = POLICY,
    upstream: str = "",
    populations: Iterable[str] = POPULATIONS,
) -> Iterator[Stack]:
    """Start everything, and end it on the way out.

    Args:
        peers: name to command of further ext_authz servers; `{socket}` in it is the path they must listen on, and
            they must answer gRPC health checks there.
        envoy: whether Envoy is started.
        policy: what the service decides by.
        upstream: module of the MCP server that serves lists, at `${BENCH_UPSTREAM}` of the policy; empty where Envoy
            answers requests itself.
        populations: names of those that will be sent.

    Raises:
        StartFailed: something did not come up.
    """
    mint = Mint()
    with _Processes() as processes:
        stack = Stack(
            processes=processes,
            mint=mint,
            backends=_backends((ALONE, NATIVE, "bare", "loop", SERVICE, *peers), processes.logs),
            admin=f"http://127.0.0.1:{free_port()}",
            requests={name: population(name, mint) for name in populations},
        )
        for name, requests in stack.requests.items():
            stack.file(name).write_bytes(to_file(requests))
        environment = {"BENCH_JWKS": _start_issuer(processes, mint), "BENCH_UPSTREAM": _upstream_url()}
        if upstream:
            processes.start(_upstream(upstream, environment["BENCH_UPSTREAM"]))
        for child in _children(stack.backends, peers, policy, environment):
            processes.start(child)
        if envoy:
            processes.start(_envoy(stack, policy, environment, upstream=bool(upstream)))
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
    backends: Mapping[str, Backend], peers: Mapping[str, str], policy: Path, environment: Mapping[str, str]
) -> Iterator[Child]:
    service = backends[SERVICE]
    python = [sys.executable, "-m"]
    for name in ("bare", "loop"):
        yield Child(
            name=name, argv=[*python, f"bench.{name}", backends[name].service], ready=_up(backends[name])
        )
    serve = ["serve", "-c", str(policy), "--grpc", service.service, "--http", service.http]
    ready = http_ready(f"http://{service.http}/readyz")
    yield Child(name=SERVICE, argv=[*python, "authz", *serve], env=environment, ready=ready)
    for name, command in peers.items():
        backend = backends[name]
        argv = shlex.split(command.replace("{socket}", backend.service.removeprefix("unix:")))
        yield Child(name=name, argv=argv, ready=_up(backend))


def _up(backend: Backend) -> Probe:
    return socket_ready(Path(backend.service.removeprefix("unix:")))


def _upstream_url() -> str:
    return f"http://127.0.0.1:{free_port()}/mcp"


def _upstream(module: str, url: str) -> Child:
    where = urlsplit(url)
    argv = [sys.executable, "-m", module, str(where.port)]
    return Child(name="upstream", argv=argv, ready=port_ready(str(where.hostname), int(where.port or 0)))


def _envoy(stack: Stack, policy: Path, environment: Mapping[str, str], *, upstream: bool) -> Child:
    settings = load(str(policy), environment=environment)
    around = Around(
        admin=stack.admin.removeprefix("http://"), jwks_uri=environment["BENCH_JWKS"], upstream=upstream
    )
    file = stack.processes.logs / "envoy.json"
    file.write_text(configuration(settings, stack.backends.values(), around), encoding="utf-8")
    flags = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    return Child(
        name=ENVOY, argv=[envoy_binary(), "-c", file, *flags], ready=http_ready(f"{stack.admin}/ready")
    )
