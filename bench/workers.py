"""`python -m bench.workers`: what a second worker brings, in Checks a second, straight over gRPC.

The service runs with one worker and with two in turn, round by round, each worker on a Unix socket of its own. The load comes
from nghttp2's h2load, in C, which sends one ready-made Check over and over: a generator in Python would cost as much as what
it measures. That Check is answered from what is remembered, so a call is as cheap as it can be, and the generator's share as
large as it can be. Rates are the service's own counts, and a sample counts only when every decision in it was an allow and
every request was answered. With `--pin` each worker has one core to itself, which shows what workers take from each other; the
generator runs where there is room.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from authz.config.addresses import worker_addresses
from authz.demo.ports import free_port
from authz.demo.probes import http_ready
from authz.demo.processes import Child, Supervisor
from bench.machine import machine
from bench.workload import Mint, check_request, population

POLICY = Path(__file__).with_name("policy.yaml")
METHOD = "/envoy.service.auth.v3.Authorization/Check"
CONNECTIONS, STREAMS = 16, 4
"""In all; every worker gets its part of the connections."""
_BEFORE_SECONDS, _AFTER_SECONDS = 2, 1
"""How long the load lasts around a sample; h2load takes whole seconds."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement.

    Attributes:
        workers: how many served.
        rate: Checks a second.
        worker_us: CPU microseconds of all workers for a Check.
        supervisor_us: the supervisor's, 0 where there is none.
        generator: cores that the generator kept busy.
    """

    workers: int
    rate: float
    worker_us: float
    supervisor_us: float
    generator: float


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=3, help="of one sample (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="each measures both (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="compared with one (default 2)")
    parser.add_argument("--pin", action="store_true", help="give each worker one core to itself")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = _arguments()
    if shutil.which("h2load") is None:
        msg = "h2load is needed (Debian: apt-get install nghttp2-client)"
        raise SystemExit(msg)
    facts = machine()
    samples = list(_samples(given))
    for name, value in {**facts, "load after": f"{os.getloadavg()[0]:.2f}"}.items():
        print(f"{name}: {value}")
    print(f"pinned: {'one core a worker' if given.pin else 'no'}")
    _print(samples, given.workers)


def _samples(given: argparse.Namespace) -> Iterator[Sample]:
    mint = Mint()
    with Supervisor(grace=10.0) as processes:
        body = processes.logs / "check.bin"
        message = check_request(population("mixed", mint)[0])
        body.write_bytes(b"\0" + len(message).to_bytes(4) + message)
        keys = _issuer(processes, mint)
        for _ in range(given.rounds):
            for workers in (1, given.workers):
                service = _Service(processes, keys, workers)
                if given.pin:
                    service.pin()
                yield service.sample(body, given.seconds)
                processes.stop(service.name)


def _issuer(processes: Supervisor, mint: Mint) -> str:
    public = processes.logs / "public"
    public.mkdir()
    (public / "jwks.json").write_bytes(mint.jwks())
    port = free_port()
    url = f"http://127.0.0.1:{port}/jwks.json"
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(public)]
    processes.start(Child(name="issuer", argv=argv, ready=http_ready(url)))
    return url


class _Service:
    """The service with so many workers."""

    def __init__(self, processes: Supervisor, keys: str, workers: int) -> None:
        self.workers, self.name = workers, f"authz-{workers}"
        self._processes = processes
        self._http = f"http://127.0.0.1:{free_port()}"
        self._sockets = worker_addresses(f"unix:{processes.logs}/{self.name}.sock", workers)
        listen = ["--grpc", self._sockets[0], "--http", self._http.removeprefix("http://"), "--grace", "0"]
        argv = [sys.executable, "-m", "authz", "serve", "-c", POLICY, "--workers", str(workers), *listen]
        environment = {"BENCH_JWKS": keys}
        ready = http_ready(f"{self._http}/readyz")
        processes.start(Child(name=self.name, argv=argv, env=environment, ready=ready))

    def sample(self, body: Path, seconds: int) -> Sample:
        """Load every worker and take what happens in the middle of it."""
        parent, children = self._pids()
        generator = _h2load(self._sockets, body, _BEFORE_SECONDS + seconds + _AFTER_SECONDS)
        time.sleep(_BEFORE_SECONDS)
        began, used, answered = time.perf_counter(), self._cpu(parent, children), self._decided()
        time.sleep(seconds)
        took, now, more = time.perf_counter() - began, self._cpu(parent, children), self._decided()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        whole = sum(_requests(process.communicate(timeout=60)[0]) for process in generator)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self._decided() < whole:
            msg = "the service counts fewer decisions than were answered"
            raise RuntimeError(msg)
        calls = more - answered
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(
            workers=self.workers,
            rate=calls / took,
            worker_us=(now[1] - used[1]) / calls * 1e6,
            supervisor_us=(now[0] - used[0]) / calls * 1e6,
            generator=busy / (_BEFORE_SECONDS + seconds + _AFTER_SECONDS),
        )

    def pin(self) -> None:
        """Give each worker one core; threads that begin later follow."""
        cores = sorted(os.sched_getaffinity(0))
        for core, pid in zip(cores, self._pids()[1], strict=False):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})

    def _pids(self) -> tuple[int, list[int]]:
        """Give the process ids of the supervisor, 0 for none, and of the workers."""
        log = self._processes.log(self.name).read_text("utf-8")
        workers = [int(pid) for pid in re.findall(r'"pid": (\d+), "event": "worker serves"', log)][
            -self.workers :
        ]
        (served,) = (int(pid) for pid in _children_that_serve(self._http))
        return (served, workers) if self.workers > 1 else (0, [served])

    def _cpu(self, parent: int, children: list[int]) -> tuple[float, float]:
        return (_cpu(parent) if parent else 0.0), sum(map(_cpu, children))

    def _decided(self) -> int:
        """Count the decisions; a denial among them ends the run."""
        text = httpx.get(f"{self._http}/metrics", timeout=10.0, trust_env=False).text
        counts = {"allow": 0, "deny": 0}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "mcp_authz_decisions_total":
                    counts[sample.labels["decision"]] += int(sample.value)
        if counts["deny"]:
            msg = f"{counts['deny']} Checks were denied"
            raise RuntimeError(msg)
        return counts["allow"]


def _children_that_serve(http: str) -> Iterator[str]:
    """Find the process that was started with this HTTP address."""
    address = http.removeprefix("http://").encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if address in words and b"serve" in words and b"sh" not in words[0]:
                yield folder.name


def _cpu(pid: int) -> float:
    """Give the CPU seconds, user and system, that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _h2load(sockets: tuple[str, ...], body: Path, seconds: int) -> list["subprocess.Popen[str]"]:
    each = CONNECTIONS // len(sockets)
    words = ["h2load", "-c", str(each), "-m", str(STREAMS), "-D", str(seconds), "-d", str(body)]
    words += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    return [
        subprocess.Popen(
            [*words, "--base-uri", socket, f"http://localhost{METHOD}"], stdout=subprocess.PIPE, text=True
        )
        for socket in sockets
    ]


def _requests(report: str) -> int:
    """Give how many requests were answered; one that failed ends the run."""
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", report)
    if found is None or int(found[2]) or int(found[3]):
        msg = f"h2load says: {report.strip()[-400:]}"
        raise RuntimeError(msg)
    return int(found[1])


def _print(samples: list[Sample], workers: int) -> None:
    print(
        "\nworkers  Checks/s  low..high          worker CPU µs  supervisor CPU µs  cores busy  generator cores"
    )
    medians = {}
    for number in (1, workers):
        own = [sample for sample in samples if sample.workers == number]
        rates = [sample.rate for sample in own]
        medians[number] = statistics.median(rates)
        figures = [
            statistics.median(getattr(sample, name) for sample in own)
            for name in ("worker_us", "supervisor_us", "generator")
        ]
        busy = medians[number] * (figures[0] + figures[1]) / 1e6
        between = f"{min(rates):,.0f}..{max(rates):,.0f}"
        print(
            f"{number:7}  {medians[number]:8,.0f}  {between:17}  {figures[0]:13.0f}  {figures[1]:17.1f}"
            f"  {busy:10.2f}  {figures[2]:15.2f}"
        )
    ones = [sample.rate for sample in samples if sample.workers == 1]
    more = [sample.rate for sample in samples if sample.workers == workers]
    ratios = sorted(several / one for one, several in zip(ones, more, strict=True))
    print(
        f"\n{workers} workers / 1 worker: {statistics.median(ratios):.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
