"""The processes of a run: the bare handlers, the service, further peers, and one Envoy in front of all of them."""

import contextlib
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
from authz.demo.probes import http_ready, port_ready, socket_ready
from authz.demo.processes import Child, Supervisor
from bench import proc
from bench.gateway import ALONE, Around, Backend, configuration
from bench.native import NATIVE
from bench.workload import IN_ENVOY, POPULATIONS, Mint, population, to_file

POLICY = Path(__file__).with_name("policy.yaml")
ENVOY = "envoy"
SERVICE = "authz"
HANDLERS = {"bare": "bench.handlers.aio", "loop": "bench.handlers.native"}
"""The backends that decide nothing, and the module of each."""


class Processes(Supervisor):
    """A supervisor that knows process ids."""

    def pid(self, name: str) -> int:
        """Return the process id of a running child."""
        return self._running[name].pid


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """What is running.

    Attributes:
        processes: the children by name: `envoy` and every backend but `alone` and `native`.
        mint: the issuer whose tokens the backends accept.
        backends: by name.
        admin: URL of Envoy's admin interface.
        requests: the populations.
        sent: how many requests of a population were sent, so that the next load continues where the last one ended.
    """

    processes: Processes
    mint: Mint = field(repr=False)
    backends: Mapping[str, Backend]
    admin: str
    requests: dict[str, list[bytes]] = field(default_factory=dict, repr=False)
    sent: dict[str, int] = field(default_factory=dict)

    def populate(self, name: str, requests: list[bytes]) -> None:
        """Add a population, or replace it, and write it to its file."""
        self.requests[name] = requests
        self.file(name).write_bytes(to_file(requests))

    def file(self, name: str) -> Path:
        """Return the file that holds a population."""
        return self.processes.logs / f"{name}.requests"

    def cpu(self, name: str) -> float:
        """Return the CPU seconds that a child has used; 0 for what runs inside Envoy."""
        return 0.0 if name in IN_ENVOY else proc.cpu_seconds(self.processes.pid(name))

    def memory(self, name: str) -> dict[str, int]:
        """Return the memory of a child; see `proc.memory_kib`."""
        return proc.memory_kib(self.processes.pid(name))

    def reset_peak(self, name: str) -> None:
        """Start measuring the peak of a child's memory anew."""
        proc.reset_peak(self.processes.pid(name))

    def counters(self, backend: str) -> dict[str, int]:
        """Return Envoy's counters of a backend: `ok` and `denied` by ext_authz, or by status where it is not asked."""
        if backend in IN_ENVOY:
            keys = {"ok": "downstream_rq_2xx", "denied": "downstream_rq_4xx"}
        else:
            keys = {key: f"ext_authz.{backend}.{key}" for key in ("ok", "denied")}
        lines = _get(f"{self.admin}/stats?usedonly").splitlines()
        values = dict(line.rsplit(": ", 1) for line in lines if line.startswith("http."))
        return {key: int(values.get(f"http.{backend}.{name}", 0)) for key, name in keys.items()}

    def misses(self) -> int:
        """Return how many tokens the service did not find in its cache."""
        outcomes = service_metric(self.backends[SERVICE].http, "mcp_authz_token_cache_total", "outcome")
        return outcomes.get("miss", 0)


def service_metric(http: str, metric: str, label: str) -> dict[str, int]:
    """Return a counter of the service at an address, summed by the values of a label."""
    values: dict[str, int] = {}
    for family in text_string_to_metric_families(_get(f"http://{http}/metrics")):
        for sample in family.samples:
            if sample.name == metric:
                values[sample.labels[label]] = values.get(sample.labels[label], 0) + int(sample.value)
    return values


def _get(url: str) -> str:
    return httpx.get(url, timeout=10.0, trust_env=False).raise_for_status().text


@contextlib.contextmanager
def running(
    peers: Mapping[str, str],
    *,
    envoy: bool = True,
    policy: Path = POLICY,
    upstream: tuple[str, ...] = (),
    populations: Iterable[str] = POPULATIONS,
) -> Iterator[RunningStack]:
    """Start everything, and end it on the way out.

    Args:
        peers: name to command of further ext_authz servers; `{socket}` in it is the path they must listen on, and
            they must answer gRPC health checks there;
            the variables of `policy` are in their environment.
        envoy: whether Envoy is started.
        policy: what the service decides by.
        upstream: module and arguments of the MCP server that serves lists, at `${BENCH_UPSTREAM}` of the policy; empty
            where Envoy answers requests itself.
        populations: names of those that will be sent.

    Raises:
        StartFailed: something did not come up.
    """
    mint = Mint()
    with Processes() as processes:
        stack = RunningStack(
            processes=processes,
            mint=mint,
            backends=_backends((ALONE, NATIVE, *HANDLERS, SERVICE, *peers), processes.logs),
            admin=f"http://127.0.0.1:{free_port()}",
        )
        for name in populations:
            stack.populate(name, population(name, mint))
        upstream_url = f"http://127.0.0.1:{free_port()}/mcp"
        environment = {"BENCH_JWKS": start_issuer(processes, mint), "BENCH_UPSTREAM": upstream_url}
        if upstream:
            processes.start(_upstream(upstream, upstream_url))
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


def start_issuer(processes: Supervisor, mint: Mint) -> str:
    """Serve the key set as a file; return its URL."""
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
    commands = {name: f"{sys.executable} -m {module} unix:{{socket}}" for name, module in HANDLERS.items()}
    for name, command in {**commands, **peers}.items():
        socket = backends[name].service.removeprefix("unix:")
        argv = shlex.split(command.replace("{socket}", socket))
        yield Child(name=name, argv=argv, env=environment, ready=socket_ready(Path(socket)))
    yield serve(SERVICE, backends[SERVICE].service, backends[SERVICE].http, policy, environment)


def serve(
    name: str, grpc: str, http: str, policy: Path, environment: Mapping[str, str], *flags: str
) -> Child:
    """Return the service as a child that listens on these addresses."""
    argv = [sys.executable, "-m", "authz", "serve", "-c", str(policy), "--grpc", grpc, "--http", http, *flags]
    return Child(name=name, argv=argv, env=environment, ready=http_ready(f"http://{http}/readyz"))


def _upstream(module: tuple[str, ...], url: str) -> Child:
    where = urlsplit(url)
    argv = [sys.executable, "-m", *module, str(where.port)]
    return Child(
        name="upstream", argv=argv, deadline=60.0, ready=port_ready(str(where.hostname), int(where.port or 0))
    )


def _envoy(stack: RunningStack, policy: Path, environment: Mapping[str, str], *, upstream: bool) -> Child:
    settings = load(str(policy), environment=environment)
    around = Around(
        admin=stack.admin.removeprefix("http://"), jwks_uri=environment["BENCH_JWKS"], upstream=upstream
    )
    file = stack.processes.logs / "envoy.json"
    file.write_text(configuration(settings, stack.backends.values(), around), encoding="utf-8")
    flags = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    ready = http_ready(f"{stack.admin}/ready")
    return Child(name=ENVOY, argv=[envoy_binary(), "-c", file, *flags], ready=ready)
